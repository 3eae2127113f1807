//! Logs to stderr, written by a thread of its own: a slow reader of stderr delays no decision.

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use upbeat_server::config::{Config, LogFormat};
use upbeat_server::metrics::LOG_LINES_DROPPED;

/// Lines that may wait for the thread; further ones are dropped and counted. A line takes about 200 bytes.
const QUEUED_LINES: usize = 8192;

/// At the end of the process, how long the lines that still wait may take to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a flush that finds the queue full waits before it tries again.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

enum Message {
    Line(Vec<u8>),
    /// Is answered when everything before it is written.
    Flush(SyncSender<()>),
}

/// Keeps logging going; when it is dropped, waiting lines are written, for at most [`FLUSH_TIMEOUT`].
pub(crate) struct Logging(SyncSender<Message>);

/// Logs to stderr; stdout is for answers.
///
/// # Errors
/// The configured level is none, or no thread can be started.
pub(crate) fn start(config: &Config) -> anyhow::Result<Logging> {
    let filter = config.log.filter()?;
    let (sender, lines) = sync_channel(QUEUED_LINES);
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
        // Stderr may be closed; that does not end the server.
        let _ = match message {
            Message::Line(line) => io::stderr().write_all(&line),
            Message::Flush(flushed) => flushed.send(()).map_err(io::Error::other),
        };
    }
}

/// Queues lines for the thread; the formatter writes each in one call.
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
        let (sender, flushed) = sync_channel(1);
        let mut message = Message::Flush(sender);
        let retries = FLUSH_TIMEOUT.as_millis() / RETRY_INTERVAL.as_millis();
        for _ in 0..retries {
            match self.0.try_send(message) {
                Ok(()) => {
                    let _ = flushed.recv_timeout(FLUSH_TIMEOUT);
                    return;
                }
                Err(TrySendError::Full(unsent)) => message = unsent,
                Err(TrySendError::Disconnected(_)) => return,
            }
            thread::sleep(RETRY_INTERVAL);
        }
    }
}
