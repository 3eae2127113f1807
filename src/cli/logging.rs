//! Logs to stderr, written by a thread of its own: who reads them slowly makes no decision wait.

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use crate::config::{Config, LogFormat};
use crate::http::LOG_LINES_DROPPED;

/// So many lines wait for the thread; further ones are dropped and counted. A line takes about 200 bytes.
const WAITING_LINES: usize = 8192;

/// At the end the lines that still wait are given so long to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How often an end that finds no room tries again.
const RETRY: Duration = Duration::from_millis(10);

enum Message {
    Line(Vec<u8>),
    /// Everything before this is written when its other end hears of it.
    Written(SyncSender<()>),
}

/// Keeps logging going; when it is dropped, what was logged is written, if somebody reads.
pub(crate) struct Logging(SyncSender<Message>);

/// Logs to stderr, so that stdout stays for answers.
///
/// # Errors
/// The configured level is not one, or there is no thread to be had.
pub(crate) fn start(config: &Config) -> anyhow::Result<Logging> {
    let filter = config.log.filter()?;
    let (sender, lines) = sync_channel(WAITING_LINES);
    thread::Builder::new().name("log".into()).spawn(move || write_lines(&lines))?;
    let writer = sender.clone();
    let logging =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || Lines(writer.clone()));
    let ansi = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && io::IsTerminal::is_terminal(&io::stderr());
    // A second start in one process, as in tests, keeps the first logger.
    let _ = match config.log.format {
        LogFormat::Json => logging.json().flatten_event(true).try_init(),
        LogFormat::Text => logging.with_ansi(ansi).try_init(),
    };
    Ok(Logging(sender))
}

fn write_lines(messages: &Receiver<Message>) {
    for message in messages {
        // Nobody may read stderr any more; that is no reason to stop serving.
        let _ = match message {
            Message::Line(line) => io::stderr().write_all(&line),
            Message::Written(told) => told.send(()).map_err(io::Error::other),
        };
    }
}

/// Takes lines to the thread; the formatter writes each in one piece.
struct Lines(SyncSender<Message>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Message::Line(line.to_vec())).is_err() {
            LOG_LINES_DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        let (told, written) = sync_channel(1);
        let mut message = Message::Written(told);
        let retries = LAST_WORDS.as_millis() / RETRY.as_millis();
        for _ in 0..retries {
            match self.0.try_send(message) {
                Ok(()) => {
                    let _ = written.recv_timeout(LAST_WORDS);
                    return;
                }
                Err(TrySendError::Full(unsent)) => message = unsent,
                Err(TrySendError::Disconnected(_)) => return,
            }
            thread::sleep(RETRY);
        }
    }
}
