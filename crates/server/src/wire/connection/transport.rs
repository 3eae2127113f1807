//! A socket and what it has not taken yet.

use std::io::{self, ErrorKind, Read, Write};

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

/// A socket, what is known of it, and the answers that it has not taken.
pub(in crate::wire) struct Transport<S> {
    pub(in crate::wire) stream: S,
    /// Whether the socket may have bytes that were not read.
    pub(in crate::wire) readable: bool,
    /// Whether the client has sent its last byte.
    pub(in crate::wire) finished: bool,
    unsent: Vec<u8>,
    sent: usize,
}

impl<S: Socket> Transport<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, readable: false, finished: false, unsent: Vec::new(), sent: 0 }
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

    /// Offers `output` to the socket and keeps what it does not take.
    pub(super) fn send(&mut self, output: &mut Vec<u8>) -> io::Result<()> {
        if output.is_empty() {
            return Ok(());
        }
        let unsent = write(&mut self.stream, output).map(|taken| output[taken..].to_vec());
        // Whatever happened: the buffer is the next connection's now.
        output.clear();
        self.unsent = unsent?;
        Ok(())
    }

    /// Offers what waits to be sent to the socket; how many bytes it took.
    pub(super) fn send_unsent(&mut self) -> io::Result<usize> {
        let taken = write(&mut self.stream, &self.unsent[self.sent..])?;
        self.sent += taken;
        if self.sent == self.unsent.len() {
            (self.unsent, self.sent) = (Vec::new(), 0);
        }
        Ok(taken)
    }

    /// Whether answers wait to be sent.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
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
