//! The short way: decisions and single events answered in front of hyper.
//!
//! A connection begins here. Requests for decisions and single small events are read from a buffer that all
//! connections of a thread share, and answered into another, so that an idle connection holds no memory beside its
//! socket. The first request that is anything else hands the connection over to hyper and the router, with every unread
//! byte, for the rest of its life: errors and rare cases have one implementation.

mod head;
mod reply;
mod work;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::coop::has_budget_remaining;
use tokio::time::sleep_until;

use super::app::App;
use work::{Answerer, Left};

/// Bytes read at a time.
const INPUT_BYTES: usize = 16 << 10;

/// While so many bytes of answers wait for the socket, no further request is answered. Together with one read this is
/// all that a client that does not listen makes us hold.
const OUTPUT_BYTES: usize = 16 << 10;

/// An event whose body does not follow its head within this time is left to the router, which waits longer. Most
/// clients that send the two apart send them within a millisecond.
const BODY_PATIENCE: Duration = Duration::from_millis(250);

/// How a connection's time here ended.
pub(super) enum End {
    /// As it should: the client has left, was idle for too long, or the server stops.
    Closed,
    /// Otherwise: why.
    Broken(io::Error),
    /// It goes on elsewhere, with these bytes unread.
    HandOver(TcpStream, Vec<u8>),
}

/// What all connections of a thread share.
struct Shared {
    input: Box<[u8; INPUT_BYTES]>,
    answerer: Answerer,
}

thread_local! {
    static SHARED: RefCell<Shared> =
        RefCell::new(Shared { input: Box::new([0; INPUT_BYTES]), answerer: Answerer::new() });
}

/// Whether bytes are 1–64 of `A-Z a-z 0-9 . _ : -`.
pub(super) fn is_plain_id(bytes: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
    (1..=64).contains(&bytes.len()) && bytes.iter().all(is_plain)
}

/// Answers requests until there is one for the router, or the connection ends, or `stop` says so.
///
/// There is one timer a connection and it is not set anew at each request: when it fires, it is moved to where it
/// would be by now.
pub(super) async fn answer(stream: TcpStream, app: &Arc<App>, stop: &watch::Receiver<bool>) -> End {
    let mut connection = Connection::new(stream, app);
    let mut stopping = stop.clone();
    let mut timer = pin!(sleep_until(connection.due().into()));
    let mut stopping = pin!(stopping.changed());
    let mut asked = false;
    let how = poll_fn(|context| {
        let polled = SHARED.with_borrow_mut(|shared| connection.poll(context, shared));
        if polled.is_ready() {
            return polled;
        }
        if !has_budget_remaining() {
            // It worked for as long as tokio lets a task and is woken at once to go on. Till then neither timer nor
            // `stop` would listen, and whole requests may wait in the socket.
            return Poll::Pending;
        }
        if !asked {
            // Once is enough: this task is woken whatever happens first.
            asked = true;
            let _ = (timer.as_mut().poll(context), stopping.as_mut().poll(context));
        }
        if stop.has_changed().unwrap_or(true) && connection.unsent.is_empty() {
            return Poll::Ready(if connection.unread.is_empty() { How::Closed } else { How::HandOver });
        }
        let due = connection.due();
        if timer.is_elapsed() || due < timer.deadline().into_std() {
            if Instant::now() >= due {
                return Poll::Ready(connection.expired());
            }
            timer.as_mut().reset(due.into());
            let _ = timer.as_mut().poll(context);
        }
        Poll::Pending
    })
    .await;
    match how {
        How::Closed => End::Closed,
        How::Broken(error) => End::Broken(error),
        How::HandOver => End::HandOver(connection.stream, connection.unread),
    }
}

enum How {
    Closed,
    Broken(io::Error),
    HandOver,
}

/// One connection. Between its turns it holds only what is unfinished.
struct Connection {
    app: Arc<App>,
    stream: TcpStream,
    /// What was read and is not answered: the beginning of a request, or more requests than one turn answers.
    unread: Vec<u8>,
    /// What is to become of it.
    left: Left,
    /// Answers that the socket has not taken.
    unsent: Vec<u8>,
    sent: usize,
    /// When something was last finished.
    last: Instant,
    /// When the head was read whose body has not arrived.
    body_since: Option<Instant>,
}

impl Connection {
    fn new(stream: TcpStream, app: &Arc<App>) -> Self {
        Self {
            app: Arc::clone(app),
            stream,
            unread: Vec::new(),
            left: Left::Incomplete(None),
            unsent: Vec::new(),
            sent: 0,
            last: Instant::now(),
            body_since: None,
        }
    }

    /// Since when nothing but the body of an event is awaited. The router could not send what waits to be sent.
    fn awaited_body(&self) -> Option<Instant> {
        self.body_since.filter(|_| self.unsent.is_empty())
    }

    /// When the time for what is awaited is over.
    fn due(&self) -> Instant {
        match self.awaited_body() {
            Some(since) => since + BODY_PATIENCE,
            None => self.last + self.app.config.limits.header_timeout.get(),
        }
    }

    fn expired(&self) -> How {
        if self.awaited_body().is_some() {
            How::HandOver
        } else if self.unread.is_empty() && self.unsent.is_empty() {
            How::Closed
        } else {
            How::Broken(io::ErrorKind::TimedOut.into())
        }
    }

    /// Reads, answers and writes until there is nothing to do.
    fn poll(&mut self, context: &mut Context<'_>, shared: &mut Shared) -> Poll<How> {
        loop {
            if let Err(error) = ready!(self.poll_unsent(context)) {
                return Poll::Ready(How::Broken(error));
            }
            let written = match self.left {
                Left::Requests => {
                    let unread = std::mem::take(&mut self.unread);
                    self.work(&unread, &mut shared.answerer);
                    self.poll_write(context, &mut shared.answerer.output)
                }
                Left::ForTheRouter => return Poll::Ready(How::HandOver),
                Left::Incomplete(needed) => {
                    let mut buffer = ReadBuf::new(&mut *shared.input);
                    if let Err(error) = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                        return Poll::Ready(How::Broken(error));
                    }
                    let arrived = buffer.filled();
                    if arrived.is_empty() {
                        return Poll::Ready(self.left_by_client());
                    }
                    if self.unread.is_empty() {
                        self.work(arrived, &mut shared.answerer);
                    } else {
                        self.unread.extend_from_slice(arrived);
                        if !is_worth_a_look(needed, self.unread.len(), arrived) {
                            continue;
                        }
                        let unread = std::mem::take(&mut self.unread);
                        self.work(&unread, &mut shared.answerer);
                    }
                    self.poll_write(context, &mut shared.answerer.output)
                }
            };
            if let Err(error) = written {
                return Poll::Ready(How::Broken(error));
            }
        }
    }

    /// Answers what can be answered of `bytes` and keeps the rest.
    fn work(&mut self, bytes: &[u8], answerer: &mut Answerer) {
        // Empty already, unless a connection before this one was cut short by a panic.
        answerer.output.clear();
        let done = answerer.answer(&self.app, bytes);
        self.left = done.left;
        if done.bytes > 0 {
            self.last = done.at;
        }
        let awaits_body = matches!(done.left, Left::Incomplete(Some(_)));
        self.body_since = awaits_body.then(|| self.body_since.filter(|_| done.bytes == 0).unwrap_or(done.at));
        self.unread = bytes[done.bytes..].to_vec();
    }

    /// Offers `output` to the socket and keeps what it does not take.
    fn poll_write(&mut self, context: &mut Context<'_>, output: &mut Vec<u8>) -> io::Result<()> {
        if output.is_empty() {
            return Ok(());
        }
        let taken = match Pin::new(&mut self.stream).poll_write(context, output) {
            Poll::Ready(taken) => taken,
            Poll::Pending => Ok(0),
        };
        let unsent = taken.map(|taken| output[taken..].to_vec());
        // Whatever happened: the buffer is the next connection's now.
        output.clear();
        self.unsent = unsent?;
        Ok(())
    }

    /// Ready when nothing waits to be sent.
    fn poll_unsent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.unsent.len() {
            let rest = &self.unsent[self.sent..];
            self.sent += ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            // Who reads slowly is not idle.
            self.last = Instant::now();
        }
        if self.sent > 0 {
            (self.unsent, self.sent) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }

    /// What follows when the client sends no more.
    fn left_by_client(&self) -> How {
        match self.left {
            // The router has a word for bodies that are cut short.
            Left::Incomplete(Some(_)) => How::HandOver,
            _ if self.unread.is_empty() => How::Closed,
            _ => How::Broken(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Whether the bytes that `arrived` may have completed a request, so that a client that sends them one by one does not
/// have all before them read each time.
fn is_worth_a_look(needed: Option<usize>, unread: usize, arrived: &[u8]) -> bool {
    match needed {
        Some(needed) => unread >= needed,
        None => memchr::memchr(b'\n', arrived).is_some() || unread > INPUT_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::coop::consume_budget;
    use tokio::task::{JoinHandle, yield_now};
    use tokio::time::timeout;

    use super::*;
    use crate::config::Config;
    use crate::event::Zone;

    /// Nothing here waits longer than this; it is far more than anything takes.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn app() -> Arc<App> {
        Arc::new(App::new(Config::default(), Zone::utc(), || 1_700_000_000_000))
    }

    /// A client's end of a connection and the server's.
    async fn ends() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let client = TcpStream::connect(address).await.expect("a connection");
        (client, listener.accept().await.expect("a connection").0)
    }

    /// Answers in a task that begins when it has worked for as long as tokio lets it work at a time.
    fn answer_when_tired(stream: TcpStream, stop: watch::Receiver<bool>) -> JoinHandle<bool> {
        tokio::spawn(async move {
            while has_budget_remaining() {
                consume_budget().await;
            }
            matches!(answer(stream, &app(), &stop).await, End::Closed)
        })
    }

    #[tokio::test]
    async fn who_has_worked_for_long_hears_of_the_stop_all_the_same() {
        let (_client, stream) = ends().await;
        let (stop, stopping) = watch::channel(false);
        let answering = answer_when_tired(stream, stopping);
        // Other tasks have their turn until it waits.
        for _ in 0..10 {
            yield_now().await;
        }
        stop.send_replace(true);
        assert!(timeout(PATIENCE, answering).await.expect("it stops").expect("no panic"));
    }

    #[tokio::test]
    async fn what_was_asked_before_the_stop_is_answered() {
        let (mut client, stream) = ends().await;
        let (stop, stopping) = watch::channel(false);
        client.write_all(b"GET /should-show-ad/48 HTTP/1.1\r\n\r\n").await.expect("it is sent");
        stream.readable().await.expect("it is there");
        stop.send_replace(true);
        let answering = answer_when_tired(stream, stopping);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("it is sent");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer:?}");
        assert!(answering.await.expect("no panic"));
    }

    #[tokio::test]
    async fn nothing_is_handed_over_while_answers_wait_to_be_sent() {
        let (_client, stream) = ends().await;
        let mut connection = Connection::new(stream, &app());
        connection.unread = b"POST /events ".to_vec();
        connection.body_since = Some(connection.last);
        assert_eq!(connection.due(), connection.last + BODY_PATIENCE);
        assert!(matches!(connection.expired(), How::HandOver));

        connection.unsent = b"HTTP/1.1 200 OK".to_vec();
        assert_eq!(connection.due(), connection.last + connection.app.config.limits.header_timeout.get());
        assert!(matches!(connection.expired(), How::Broken(_)));
    }
}
