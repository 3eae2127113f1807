//! One connection on the short way: what it holds between its turns, and what it does in one.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use super::INPUT_BYTES;
use super::work::{Answerer, Left};
use crate::http::app::App;

/// An event whose body does not follow its head within this time is left to the router, which waits longer. Most
/// clients that send the two apart send them within a millisecond.
pub(super) const BODY_PATIENCE: Duration = Duration::from_millis(250);

/// So often a connection may read and answer before others have their turn.
const ROUNDS_PER_TURN: u32 = 8;

/// What a connection waits for after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// That the socket has bytes, or room.
    Socket,
    /// Only for the others: it can go on at once.
    Turn,
}

/// How a turn ended the connection.
#[derive(Debug)]
pub(super) enum How {
    /// As it should.
    Closed,
    /// Otherwise: why.
    Broken(io::Error),
    /// The router goes on.
    HandOver,
}

/// One connection. Between its turns it holds only what is unfinished.
pub(super) struct Connection<S> {
    pub(super) stream: S,
    /// Whether the socket may have bytes that were not read.
    pub(super) readable: bool,
    /// Whether the client has sent its last byte.
    pub(super) finished: bool,
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

impl<S: Read + Write> Connection<S> {
    pub(super) fn new(stream: S, now: Instant) -> Self {
        Self {
            stream,
            readable: false,
            finished: false,
            unread: Vec::new(),
            left: Left::Incomplete(None),
            unsent: Vec::new(),
            sent: 0,
            last: now,
            body_since: None,
        }
    }

    /// Since when nothing but the body of an event is awaited. The router could not send what waits to be sent.
    fn awaited_body(&self) -> Option<Instant> {
        self.body_since.filter(|_| self.unsent.is_empty())
    }

    /// When the time for what is awaited is over.
    pub(super) fn due(&self, header_timeout: Duration) -> Instant {
        match self.awaited_body() {
            Some(since) => since + BODY_PATIENCE,
            None => self.last + header_timeout,
        }
    }

    /// What follows when that time has come.
    pub(super) fn expired(&self) -> How {
        if self.awaited_body().is_some() {
            How::HandOver
        } else if self.unread.is_empty() && self.unsent.is_empty() {
            How::Closed
        } else {
            How::Broken(ErrorKind::TimedOut.into())
        }
    }

    /// What follows, after a turn, when the server stops; `None` while answers wait to be sent.
    pub(super) fn stopped(&self) -> Option<How> {
        let how = if self.unread.is_empty() { How::Closed } else { How::HandOver };
        self.unsent.is_empty().then_some(how)
    }

    /// When something was last finished.
    pub(super) fn last(&self) -> Instant {
        self.last
    }

    /// Socket and unread bytes, for the router.
    pub(super) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.unread)
    }

    /// Reads, answers and writes until there is nothing to do, or others should have their turn.
    ///
    /// # Errors
    /// The connection has ended: how.
    pub(super) fn turn(
        &mut self,
        app: &App,
        input: &mut [u8; INPUT_BYTES],
        answerer: &mut Answerer,
    ) -> Result<Next, How> {
        for _ in 0..ROUNDS_PER_TURN {
            if !self.send_unsent().map_err(How::Broken)? {
                return Ok(Next::Socket);
            }
            match self.left {
                Left::Requests => {
                    let unread = std::mem::take(&mut self.unread);
                    self.work(app, &unread, answerer);
                }
                Left::ForTheRouter => return Err(How::HandOver),
                Left::Incomplete(needed) => {
                    let Some(arrived) = self.read(input).map_err(How::Broken)? else {
                        return Ok(Next::Socket);
                    };
                    let arrived = &input[..arrived];
                    if arrived.is_empty() {
                        return Err(self.left_by_client());
                    }
                    if self.unread.is_empty() {
                        self.work(app, arrived, answerer);
                    } else {
                        self.unread.extend_from_slice(arrived);
                        if !is_worth_a_look(needed, self.unread.len(), arrived) {
                            continue;
                        }
                        let unread = std::mem::take(&mut self.unread);
                        self.work(app, &unread, answerer);
                    }
                }
            }
            self.send(&mut answerer.output).map_err(How::Broken)?;
        }
        Ok(Next::Turn)
    }

    /// How many bytes have arrived, 0 at their end; `None` where the socket has to be waited for.
    fn read(&mut self, input: &mut [u8; INPUT_BYTES]) -> io::Result<Option<usize>> {
        while self.readable {
            match self.stream.read(input) {
                Ok(length) => {
                    // A short read has emptied the socket, and the poller tells when more arrives. It told of the end
                    // already, so that is to be read for.
                    self.readable = length == input.len() || self.finished;
                    return Ok(Some(length));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Answers what can be answered of `bytes` and keeps the rest.
    fn work(&mut self, app: &App, bytes: &[u8], answerer: &mut Answerer) {
        // Empty already, unless a connection before this one was cut short by a panic.
        answerer.output.clear();
        let done = answerer.answer(app, bytes);
        self.left = done.left;
        if done.bytes > 0 {
            self.last = done.at;
        }
        let awaits_body = matches!(done.left, Left::Incomplete(Some(_)));
        self.body_since = awaits_body.then(|| self.body_since.filter(|_| done.bytes == 0).unwrap_or(done.at));
        self.unread = bytes[done.bytes..].to_vec();
    }

    /// Offers `output` to the socket and keeps what it does not take.
    fn send(&mut self, output: &mut Vec<u8>) -> io::Result<()> {
        if output.is_empty() {
            return Ok(());
        }
        let unsent = write(&mut self.stream, output).map(|taken| output[taken..].to_vec());
        // Whatever happened: the buffer is the next connection's now.
        output.clear();
        self.unsent = unsent?;
        Ok(())
    }

    /// Whether nothing waits to be sent any more.
    fn send_unsent(&mut self) -> io::Result<bool> {
        if self.unsent.is_empty() {
            return Ok(true);
        }
        let taken = write(&mut self.stream, &self.unsent[self.sent..])?;
        if taken > 0 {
            // Who reads slowly is not idle.
            self.last = Instant::now();
        }
        self.sent += taken;
        if self.sent < self.unsent.len() {
            return Ok(false);
        }
        (self.unsent, self.sent) = (Vec::new(), 0);
        Ok(true)
    }

    /// What follows when the client sends no more.
    fn left_by_client(&self) -> How {
        match self.left {
            // The router has a word for bodies that are cut short.
            Left::Incomplete(Some(_)) => How::HandOver,
            _ if self.unread.is_empty() => How::Closed,
            _ => How::Broken(ErrorKind::UnexpectedEof.into()),
        }
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
    use std::collections::VecDeque;
    use std::sync::Arc;

    use super::*;
    use crate::http::tests::{QUESTION, app};

    /// A socket that brings what it is given, piece by piece, and takes so many bytes.
    #[derive(Default)]
    struct Socket {
        brings: VecDeque<Vec<u8>>,
        room: usize,
        taken: Vec<u8>,
    }

    impl Read for Socket {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let piece = self.brings.pop_front().ok_or(ErrorKind::WouldBlock)?;
            buffer[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }

    impl Write for Socket {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = bytes.len().min(self.room);
            if length == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.room -= length;
            self.taken.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

    /// A connection, and what a turn of it needs.
    struct Bench {
        app: Arc<App>,
        input: Box<[u8; INPUT_BYTES]>,
        answerer: Answerer,
        connection: Connection<Socket>,
    }

    impl Bench {
        fn new(pieces: &[&[u8]], room: usize) -> Self {
            let brings = pieces.iter().map(|piece| piece.to_vec()).collect();
            let socket = Socket { brings, room, taken: Vec::new() };
            Self {
                app: app(),
                input: Box::new([0; INPUT_BYTES]),
                answerer: Answerer::new(),
                connection: Connection::new(socket, Instant::now()),
            }
        }

        /// A turn after the socket has told that it has bytes.
        fn turn(&mut self) -> Result<Next, How> {
            self.connection.readable = true;
            self.connection.turn(&self.app, &mut self.input, &mut self.answerer)
        }

        fn answers(&self) -> usize {
            memchr::memmem::find_iter(&self.connection.stream.taken, "HTTP/1.1 200 OK").count()
        }
    }

    #[test]
    fn the_end_is_read_for_only_once_the_poller_has_told_of_it() {
        let mut bench = Bench::new(&[QUESTION], usize::MAX);
        assert!(matches!(bench.turn(), Ok(Next::Socket)));
        assert_eq!(bench.answers(), 1);
        assert!(!bench.connection.readable, "a short read has emptied the socket");

        bench.connection.stream.brings = [QUESTION.to_vec(), Vec::new()].into();
        bench.connection.finished = true;
        assert!(matches!(bench.turn(), Err(How::Closed)));
        assert_eq!(bench.answers(), 2);
    }

    #[test]
    fn half_a_request_at_the_end_is_an_error() {
        let mut bench = Bench::new(&[&QUESTION[..20], b""], usize::MAX);
        bench.connection.finished = true;
        assert!(matches!(bench.turn(), Err(How::Broken(_))));
    }

    #[test]
    fn a_full_socket_is_waited_for_and_nothing_more_is_read() {
        let mut bench = Bench::new(&[QUESTION, QUESTION], 100);
        assert!(matches!(bench.turn(), Ok(Next::Socket)));
        assert_eq!(bench.connection.stream.brings.len(), 1);
        assert!(bench.connection.stopped().is_none(), "an answer waits to be sent");
        bench.connection.stream.room = usize::MAX;
        assert!(matches!(bench.turn(), Ok(Next::Socket)));
        assert_eq!(bench.answers(), 2);
        assert!(matches!(bench.connection.stopped(), Some(How::Closed)));
    }

    #[test]
    fn who_always_has_more_to_ask_lets_others_have_their_turn() {
        let pieces: Vec<&[u8]> = vec![QUESTION; 3 * ROUNDS_PER_TURN as usize];
        let mut bench = Bench::new(&pieces, usize::MAX);
        bench.connection.finished = true;
        assert!(matches!(bench.turn(), Ok(Next::Turn)));
        assert_eq!(bench.answers(), ROUNDS_PER_TURN as usize);
    }

    #[test]
    fn nothing_is_handed_over_while_answers_wait_to_be_sent() {
        let mut connection = Bench::new(&[], 0).connection;
        connection.unread = b"POST /events ".to_vec();
        connection.body_since = Some(connection.last);
        assert_eq!(connection.due(HEADER_TIMEOUT), connection.last + BODY_PATIENCE);
        assert!(matches!(connection.expired(), How::HandOver));

        connection.unsent = b"HTTP/1.1 200 OK".to_vec();
        assert_eq!(connection.due(HEADER_TIMEOUT), connection.last + HEADER_TIMEOUT);
        assert!(matches!(connection.expired(), How::Broken(_)));
    }
}
