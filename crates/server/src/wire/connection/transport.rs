//! A socket and what it has not taken yet.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use bytes::Buf;

use super::CloseReason;
use super::held::{Held, Hold};
use crate::metrics::{CutCause, Withheld};
use crate::runtime::{Barrier, ResponseMemory};
use crate::wire::deadline::WriteDeadline;

/// A socket that does not block.
pub(in crate::wire) trait Socket: Read + Write {
    /// Says that nothing more will be sent.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Has the close drop what the kernel still holds for the client, which would keep megabytes for one that does not
    /// read.
    fn discard_unsent(&mut self);
}

impl Socket for mio::net::TcpStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(std::net::Shutdown::Write)
    }

    fn discard_unsent(&mut self) {
        // Where this fails, the kernel gives the bytes up later.
        let _ = socket2::SockRef::from(&*self).set_linger(Some(Duration::ZERO));
    }
}

/// What is sent of an answer before others have their turn, in bytes.
const MOST_SENT_BYTES: usize = 128 << 10;

/// How much of what was offered the socket took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Nothing,
    Some,
    /// All: it may take more.
    All,
}

impl Sent {
    fn of(bytes: usize) -> Self {
        if bytes == 0 { Self::Nothing } else { Self::Some }
    }
}

/// A socket, what is known of it, and the answers that it has not taken.
pub(in crate::wire) struct Transport<S> {
    pub(in crate::wire) stream: S,
    /// Whether the socket may have bytes that were not read.
    pub(in crate::wire) readable: bool,
    /// When it first had them.
    readable_since: Instant,
    /// When the bytes that were last read were there to be read.
    pub(super) arrived: Instant,
    /// Whether the client has sent its last byte.
    pub(in crate::wire) finished: bool,
    /// Whether the client has ever sent something.
    pub(super) has_received: bool,
    unsent: Bytes,
    /// Goes out behind `unsent`.
    queued: Bytes,
    /// Only while answers wait for the socket, so that clients which read cost no clock.
    blocked: Option<Box<WriteDeadline>>,
    /// Answers that wait for the log. Nothing else waits while there are any.
    held: Option<Box<Held>>,
}

impl<S: Socket> Transport<S> {
    pub(super) fn new(stream: S, now: Instant) -> Self {
        Self {
            stream,
            readable: false,
            readable_since: now,
            arrived: now,
            finished: false,
            has_received: false,
            unsent: Bytes::new(),
            queued: Bytes::new(),
            blocked: None,
            held: None,
        }
    }

    /// Notes what the poller said at `polled`.
    pub(in crate::wire) fn notice(&mut self, readable: bool, polled: Instant) {
        if readable && !self.readable {
            self.readable = true;
            self.readable_since = polled;
        }
    }

    /// From now on what has arrived is waited for: before, the client or the router was.
    pub(super) fn restart_arrival(&mut self, now: Instant) {
        (self.arrived, self.readable_since) = (now, now);
    }

    /// How many bytes have arrived, 0 at their end; `None` where the socket has to be waited for. `polled` is when the
    /// poller was last asked.
    pub(super) fn read(&mut self, buffer: &mut [u8], polled: Instant) -> io::Result<Option<usize>> {
        while self.readable {
            match self.stream.read(buffer) {
                Ok(length) => {
                    // A short read has emptied the socket, and the poller says when more arrives. It has reported the
                    // end already, so that is to be read for.
                    self.readable = length == buffer.len() || self.finished;
                    self.arrived = std::mem::replace(&mut self.readable_since, polled);
                    self.has_received |= length > 0;
                    return Ok(Some(length));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Offers `output` to the socket and keeps what it does not take, and `body` to go behind it.
    ///
    /// # Errors
    /// The socket fails, or there is no memory left for what it does not take.
    pub(super) fn send(
        &mut self,
        output: &mut Vec<u8>,
        body: Bytes,
        memory: &Arc<ResponseMemory>,
    ) -> Result<(), CloseReason> {
        let unsent = match write(&mut self.stream, output) {
            Ok(taken) if taken == output.len() => Ok(Bytes::new()),
            Ok(taken) => self.keep(&output[taken..], body.len(), memory),
            Err(error) => Err(error.into()),
        };
        // Whatever happened: the buffer is the next connection's now.
        output.clear();
        (self.unsent, self.queued) = (unsent?, body);
        Ok(())
    }

    /// Holds back the answers of `output` from `hold` on, and `body` behind them, until the log has passed its barrier;
    /// those before are offered to the socket.
    ///
    /// # Errors
    /// As of [`Transport::send`].
    pub(super) fn hold(
        &mut self,
        output: &mut Vec<u8>,
        body: Bytes,
        hold: Hold,
        memory: &Arc<ResponseMemory>,
    ) -> Result<(), CloseReason> {
        let held =
            write(&mut self.stream, &output[..hold.from]).map_err(CloseReason::from).and_then(|taken| {
                let permit =
                    memory.try_take(output.len() - taken).ok_or(CloseReason::Cut(CutCause::Memory))?;
                let bytes = permit.hold(Bytes::copy_from_slice(&output[taken..]));
                Ok(Held {
                    bytes,
                    sure: hold.from - taken,
                    body,
                    barrier: hold.barrier,
                    withheld: hold.withheld,
                    since: Instant::now(),
                })
            });
        output.clear();
        self.held = Some(Box::new(held?));
        Ok(())
    }

    /// What the answers wait for that are held back, and since when.
    pub(in crate::wire) fn held(&self) -> Option<(Barrier, Instant)> {
        self.held.as_ref().map(|held| (held.barrier, held.since))
    }

    /// Has what was held back sent from now on; what is to be counted of it.
    pub(super) fn release(&mut self) -> Withheld {
        let Some(held) = self.held.take() else { return Withheld::default() };
        (self.unsent, self.queued) = (held.bytes, held.body);
        held.withheld
    }

    /// Takes back what is held, to send something else.
    pub(super) fn take_held(&mut self) -> Option<Held> {
        self.held.take().map(|held| *held)
    }

    /// Keeps `unsent`, behind which so many bytes of a body will go.
    fn keep(
        &mut self,
        unsent: &[u8],
        body_length: usize,
        memory: &Arc<ResponseMemory>,
    ) -> Result<Bytes, CloseReason> {
        let permit = memory.try_take(unsent.len()).ok_or(CloseReason::Cut(CutCause::Memory))?;
        self.blocked = Some(Box::new(WriteDeadline::new(unsent.len() + body_length)));
        Ok(permit.hold(Bytes::copy_from_slice(unsent)))
    }

    /// Offers some of what waits to be sent to the socket.
    pub(super) fn send_unsent(&mut self) -> io::Result<Sent> {
        if self.unsent.is_empty() {
            self.unsent = std::mem::take(&mut self.queued);
        }
        let offered = &self.unsent[..self.unsent.len().min(MOST_SENT_BYTES)];
        let taken = write(&mut self.stream, offered)?;
        let sent = if taken == offered.len() { Sent::All } else { Sent::of(taken) };
        self.unsent.advance(taken);
        if self.unsent.is_empty() {
            // An empty part of an answer would hold on to the memory of the whole.
            self.unsent = Bytes::new();
        }
        if self.unsent.is_empty() && self.queued.is_empty() {
            self.blocked = None;
        } else if let Some(blocked) = &mut self.blocked {
            if taken > 0 {
                blocked.progressed();
            }
        } else if sent != Sent::All {
            self.blocked = Some(Box::new(WriteDeadline::new(self.unsent.len() + self.queued.len())));
        }
        Ok(sent)
    }

    /// When a client that does not take its answers is given up, and for what; `None` while nothing waits for the socket.
    pub(super) fn write_due(&self, timeout: Duration) -> Option<(Instant, CutCause)> {
        self.blocked.as_ref().map(|blocked| blocked.due(timeout))
    }

    /// Whether answers wait to be sent.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty() || !self.queued.is_empty() || self.held.is_some()
    }
}

/// How many bytes the socket takes until it is full.
fn write(stream: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match stream.write(&bytes[taken..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(more) => taken += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}
