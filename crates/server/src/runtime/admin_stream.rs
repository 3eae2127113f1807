//! The stream under hyper: time limits of idle connections, of heads under way and of clients that do not read. Hyper has
//! one limit for the first two and none for the last.

use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep_until};

use crate::config::Limits;
use crate::metrics::CutCause;
use crate::wire::{CheckedRequests, Refused, WriteDeadline};

/// Bytes read at a time.
const READ_BYTES: usize = 8 << 10;

/// What the stream and the service of one connection know together.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// Whether the service works on a request; then nothing is waited for from the client.
    answering: AtomicBool,
    /// When bytes last arrived; `None` while the client has not asked for anything.
    last_read: Mutex<Option<Instant>>,
    remains: Mutex<Remains>,
}

/// What is left of a connection once hyper is done with it.
#[derive(Debug, Default)]
pub(super) struct Remains {
    /// The socket, where its client may still send.
    pub(super) stream: Option<TcpStream>,
    /// Whether something was sent since bytes last arrived.
    pub(super) has_answered: bool,
    /// Why the client was given up that did not read.
    pub(super) cut: Option<CutCause>,
    /// What the last bytes are answered with, which are no request or a refused one, and did not reach hyper.
    pub(super) refused: Option<StatusCode>,
    /// Why the rest of a head did not arrive.
    pub(super) lost_head: Option<ErrorKind>,
}

impl Exchange {
    /// The service has a request.
    pub(super) fn begin(&self) {
        self.answering.store(true, Ordering::Relaxed);
    }

    /// The service has answered it.
    pub(super) fn end(&self) {
        self.answering.store(false, Ordering::Relaxed);
    }

    /// When bytes last arrived; `None` while the client has not asked for anything.
    pub(super) fn last_read(&self) -> Option<Instant> {
        *self.last_read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_read(&self, now: Instant) {
        *self.last_read.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// What is left, once the stream was dropped.
    pub(super) fn take_remains(&self) -> Remains {
        std::mem::take(&mut *self.remains())
    }

    fn remains(&self) -> MutexGuard<'_, Remains> {
        self.remains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket whose client has to keep to the limits, and to the wire's rules of framing. An idle connection ends as if its
/// client had closed it, and so does one whose request is refused.
pub(super) struct AdminStream {
    /// Taken when this is dropped.
    stream: Option<TcpStream>,
    exchange: Arc<Exchange>,
    idle_timeout: Duration,
    header_timeout: Duration,
    write_timeout: Duration,
    timer: Pin<Box<Sleep>>,
    /// When the last byte was read or written.
    last: Instant,
    /// Since when the rest of a head is awaited.
    head_since: Option<Instant>,
    /// While the socket takes no more.
    blocked: Option<WriteDeadline>,
    requests: CheckedRequests,
    /// What hyper may read.
    passed: Vec<u8>,
    /// Set once hyper is to read no more than that.
    ended: Option<Refused>,
    has_answered: bool,
    /// Whether the client has nothing to hear any more: it has left, or its time is over.
    is_over: bool,
    /// Why the rest of a head did not arrive. Hyper, which has nothing of it, takes that for the end of an idle connection.
    lost_head: Option<ErrorKind>,
    cut: Option<CutCause>,
}

impl AdminStream {
    /// Limits `stream`, whose service shares `exchange`.
    pub(super) fn new(stream: TcpStream, limits: &Limits, exchange: Arc<Exchange>) -> Self {
        let now = Instant::now();
        Self {
            stream: Some(stream),
            exchange,
            idle_timeout: limits.idle_timeout.get(),
            header_timeout: limits.header_timeout.get(),
            write_timeout: limits.write_timeout.get(),
            timer: Box::pin(sleep_until(now.into())),
            last: now,
            head_since: None,
            blocked: None,
            requests: CheckedRequests::new(limits.header_bytes),
            passed: Vec::new(),
            ended: None,
            has_answered: false,
            is_over: false,
            lost_head: None,
            cut: None,
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        // It is there until this is dropped.
        self.stream.as_mut().map(Pin::new).ok_or_else(|| ErrorKind::NotConnected.into())
    }

    /// Whether the instant has come; if not, the task is woken then.
    fn is_due(&mut self, context: &mut Context<'_>, due: Instant) -> bool {
        if self.timer.deadline() != due.into() {
            self.timer.as_mut().reset(due.into());
        }
        self.timer.as_mut().poll(context).is_ready()
    }

    /// Bytes were read, or their end.
    fn note_read(&mut self, bytes: usize) {
        self.is_over |= bytes == 0;
        self.has_answered &= bytes == 0;
        self.last = Instant::now();
        if bytes > 0 {
            self.exchange.note_read(self.last);
        }
    }

    /// Passes on to hyper what it may have of what arrived, or of the end. All that was passed before is read.
    fn pass_on(&mut self, arrived: &[u8]) {
        self.note_read(arrived.len());
        let Self { requests, passed, ended, .. } = self;
        if arrived.is_empty() {
            *passed = requests.rest();
            *ended = Some(Refused(None));
        } else if let Err(refused) = requests.take(arrived, passed) {
            *ended = Some(refused);
        }
        // A head behind one that is whole now is another one.
        let before = self.head_since.filter(|_| self.passed.is_empty());
        self.head_since = self.requests.is_in_head().then(|| before.unwrap_or(self.last));
    }

    /// What a read without bytes comes to.
    fn wait_for_bytes(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.exchange.answering.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let head_since = self.head_since;
        match head_since {
            Some(since) if self.is_due(context, since + self.header_timeout) => {
                (self.is_over, self.lost_head) = (true, Some(ErrorKind::TimedOut));
                Poll::Ready(Err(ErrorKind::TimedOut.into()))
            }
            None if self.is_due(context, self.last + self.idle_timeout) => {
                self.is_over = true;
                Poll::Ready(Ok(()))
            }
            _ => Poll::Pending,
        }
    }

    /// What a write of `offered` bytes comes to.
    fn note_write(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
        offered: usize,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            let taken = written?;
            self.last = Instant::now();
            self.has_answered = true;
            // Until here the server was waited for.
            self.head_since = self.head_since.map(|_| self.last);
            match &mut self.blocked {
                Some(blocked) if taken > 0 => blocked.progressed(),
                _ => {}
            }
            return Poll::Ready(Ok(taken));
        }
        let blocked = self.blocked.get_or_insert_with(|| WriteDeadline::new(offered));
        let (due, cause) = blocked.due(self.write_timeout);
        if !self.is_due(context, due) {
            return Poll::Pending;
        }
        (self.is_over, self.cut) = (true, Some(cause));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for AdminStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.blocked.is_some() {
            // No further request of a client that does not take its answers is read. The task is woken once it has.
            return Poll::Pending;
        }
        loop {
            if !self.passed.is_empty() {
                let length = buffer.remaining().min(self.passed.len());
                buffer.put_slice(&self.passed[..length]);
                self.passed.drain(..length);
                return Poll::Ready(Ok(()));
            }
            if self.ended.is_some() {
                return Poll::Ready(Ok(()));
            }
            let mut bytes = [MaybeUninit::uninit(); READ_BYTES];
            let mut arrived = ReadBuf::uninit(&mut bytes);
            match self.stream()?.poll_read(context, &mut arrived) {
                Poll::Ready(Ok(())) => self.pass_on(arrived.filled()),
                Poll::Ready(Err(error)) => {
                    self.is_over = true;
                    if self.requests.is_between_requests() {
                        // How a client leaves that has asked for nothing is its own affair. Hyper makes an error of it
                        // where it looks for the next request just behind an answer.
                        self.ended = Some(Refused(None));
                        continue;
                    }
                    self.lost_head = self.requests.is_in_head().then(|| error.kind());
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => return self.wait_for_bytes(context),
            }
        }
    }
}

impl AsyncWrite for AdminStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write(context, bytes);
        self.note_write(context, written, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write_vectored(context, slices);
        self.note_write(context, written, slices.iter().map(|slice| slice.len()).sum())
    }

    /// Hyper keeps the bytes of an answer as they are until they are written, and so their share of the memory of
    /// answers. One call of the kernel writes head and body.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.stream()?.poll_flush(context))?;
        // Hyper flushes once all is written.
        if self.blocked.take().is_some() {
            // Reading left no waker behind.
            context.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.ended, Some(Refused(Some(_)))) {
            // The answer to what was refused is still to be sent.
            return Poll::Ready(Ok(()));
        }
        self.stream()?.poll_shutdown(context)
    }
}

impl Drop for AdminStream {
    fn drop(&mut self) {
        let stream = self.stream.take();
        if let (Some(_), Some(stream)) = (self.cut, &stream) {
            // What the kernel still holds for the client is given up with it.
            let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
        *self.exchange.remains() = Remains {
            stream: stream.filter(|_| !self.is_over),
            has_answered: self.has_answered,
            cut: self.cut,
            refused: self.ended.and_then(|Refused(status)| status),
            lost_head: self.lost_head,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::task::{Wake, Waker};

    use tokio::net::TcpListener;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn reading_goes_on_once_a_blocked_answer_is_sent() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let _client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("a connection");
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut stream = AdminStream::new(stream, &Limits::default(), Arc::default());
        stream.blocked = Some(WriteDeadline::new(1));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let mut bytes = [0; 8];
        let read = Pin::new(&mut stream).poll_read(&mut context, &mut ReadBuf::new(&mut bytes));
        assert!(read.is_pending());
        assert!(!woken.0.load(Ordering::Relaxed));
        assert!(Pin::new(&mut stream).poll_flush(&mut context).is_ready());
        assert!(woken.0.load(Ordering::Relaxed), "the task asks for bytes again");
    }
}
