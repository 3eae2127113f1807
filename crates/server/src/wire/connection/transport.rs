//! A socket and what it has not taken yet.

use std::io::{self, ErrorKind, Read, Write};

use axum::body::Bytes;
use bytes::Buf;

/// A socket that does not block.
pub(in crate::wire) trait Socket: Read + Write {
    /// Says that nothing more will be sent.
    fn shutdown_write(&mut self) -> io::Result<()>;
}

impl Socket for mio::net::TcpStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(std::net::Shutdown::Write)
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
    /// Whether the client has sent its last byte.
    pub(in crate::wire) finished: bool,
    unsent: Bytes,
    /// Goes out behind `unsent`.
    queued: Bytes,
}

impl<S: Socket> Transport<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, readable: false, finished: false, unsent: Bytes::new(), queued: Bytes::new() }
    }

    /// How many bytes have arrived, 0 at their end; `None` where the socket has to be waited for.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        while self.readable {
            match self.stream.read(buffer) {
                Ok(length) => {
                    // A short read has emptied the socket, and the poller says when more arrives. It has reported the
                    // end already, so that is to be read for.
                    self.readable = length == buffer.len() || self.finished;
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
    pub(super) fn send(&mut self, output: &mut Vec<u8>, body: Bytes) -> io::Result<()> {
        let unsent = write(&mut self.stream, output).map(|taken| Bytes::copy_from_slice(&output[taken..]));
        // Whatever happened: the buffer is the next connection's now.
        output.clear();
        (self.unsent, self.queued) = (unsent?, body);
        Ok(())
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
        Ok(sent)
    }

    /// Whether answers wait to be sent.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty() || !self.queued.is_empty()
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
