//! A thread's event loop: waits for sockets, gives each connection its turn, and minds the time.
//!
//! It does what a runtime would do for these connections, and nothing else, because a decision costs little more than
//! the kernel's part of it: see docs/decisions/http-server.md for what that saves.

use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;

use super::connection::{Connection, How, Next};
use super::work::Answerer;
use super::{End, INPUT_BYTES};
use crate::http::app::App;

/// One call of the kernel tells of so many sockets at most.
const EVENTS_PER_POLL: usize = 256;

/// Says that there are messages; connections are numbered from 0.
const MAIL: Token = Token(usize::MAX);

/// What a loop is told from outside. `G` is what comes with a connection and is given back at its end.
pub(in crate::http) enum Message<G> {
    /// A connection for it, which does not block.
    Admit(std::net::TcpStream, G),
    /// Answer what was asked, take no more, and end when no connection is left.
    Stop,
    /// End now; what is open is cut.
    Cut,
}

/// The other end of a loop.
pub(in crate::http) struct Mailbox<G> {
    /// Bounded by `limits.connections`: what comes with a connection holds one of its slots.
    messages: Sender<Message<G>>,
    waker: Waker,
}

impl<G> Mailbox<G> {
    /// Tells the loop.
    ///
    /// # Errors
    /// The loop has ended, or cannot be woken.
    pub(in crate::http) fn send(&self, message: Message<G>) -> io::Result<()> {
        self.messages.send(message).map_err(|_| io::Error::other("its event loop has ended"))?;
        self.waker.wake()
    }
}

/// A loop and its connections.
pub(in crate::http) struct EventLoop<G, F> {
    app: Arc<App>,
    poll: Poll,
    messages: Receiver<Message<G>>,
    /// Is told how each connection ended.
    finish: F,
    guests: Slab<Guest<G>>,
    /// When each guest is looked at again though nothing has come, and which.
    timers: BTreeSet<(Instant, usize)>,
    /// Guests who go on without waiting for their socket.
    queue: Vec<usize>,
    /// The last instant that is known.
    now: Instant,
    stopping: bool,
    input: Box<[u8; INPUT_BYTES]>,
    answerer: Answerer,
}

/// A connection in a loop.
struct Guest<G> {
    connection: Connection<TcpStream>,
    /// Its entry among the timers: not later than it is due, and moved only when that has come, not at each request.
    timer: Instant,
    is_queued: bool,
    given: G,
}

impl<G, F: Fn(End, G)> EventLoop<G, F> {
    /// A loop without connections.
    ///
    /// # Errors
    /// There are no more file descriptors.
    pub(in crate::http) fn new(app: Arc<App>, finish: F) -> io::Result<(Self, Mailbox<G>)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), MAIL)?;
        let (sender, messages) = mpsc::channel();
        let new = Self {
            app,
            poll,
            messages,
            finish,
            guests: Slab::new(),
            timers: BTreeSet::new(),
            queue: Vec::new(),
            now: Instant::now(),
            stopping: false,
            input: Box::new([0; INPUT_BYTES]),
            answerer: Answerer::new(),
        };
        Ok((new, Mailbox { messages: sender, waker }))
    }

    /// Runs until it is told to end.
    ///
    /// # Errors
    /// The kernel refuses to wait.
    pub(in crate::http) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_POLL);
        while !self.stopping || !self.guests.is_empty() {
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            let before = self.now;
            let queue = std::mem::take(&mut self.queue);
            let mut has_mail = false;
            for event in &events {
                match event.token() {
                    MAIL => has_mail = true,
                    Token(key) => self.notice(key, event),
                }
            }
            for key in queue {
                self.turn(key);
            }
            if has_mail && !self.read_mail() {
                return Ok(());
            }
            // Whoever was answered has asked the clock; at other times nobody is in a hurry.
            if self.now == before {
                self.now = Instant::now();
            }
            self.expire();
        }
        Ok(())
    }

    /// How long to wait for sockets at most.
    fn patience(&self) -> Option<Duration> {
        if !self.queue.is_empty() {
            return Some(Duration::ZERO);
        }
        self.timers.first().map(|(due, _)| due.saturating_duration_since(self.now))
    }

    /// Something happened at a socket.
    fn notice(&mut self, key: usize, event: &Event) {
        let Some(guest) = self.guests.get_mut(key) else {
            return;
        };
        let connection = &mut guest.connection;
        connection.finished |= event.is_read_closed();
        connection.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        if !guest.is_queued {
            self.turn(key);
        }
    }

    /// Lets a guest read, answer and write.
    fn turn(&mut self, key: usize) {
        let Some(guest) = self.guests.get_mut(key) else {
            return;
        };
        guest.is_queued = false;
        let connection = &mut guest.connection;
        let turned = catch_unwind(AssertUnwindSafe(|| {
            connection.turn(&self.app, &mut self.input, &mut self.answerer)
        }));
        let next = turned.unwrap_or_else(|_| Err(How::Broken(io::Error::other("its turn panicked"))));
        self.now = self.now.max(connection.last());
        match next {
            Err(how) => self.end(key, how),
            Ok(Next::Turn) => {
                guest.is_queued = true;
                self.queue.push(key);
            }
            Ok(Next::Socket) => self.wait(key),
        }
    }

    /// Leaves a guest to their socket, for as long as is due.
    fn wait(&mut self, key: usize) {
        let guest = &mut self.guests[key];
        if self.stopping
            && let Some(how) = guest.connection.stopped()
        {
            return self.end(key, how);
        }
        let due = guest.connection.due(self.app.config.limits.header_timeout.get());
        if due < guest.timer {
            self.set_timer(key, due);
        }
    }

    /// Moves a guest's timer.
    fn set_timer(&mut self, key: usize, due: Instant) {
        let before = std::mem::replace(&mut self.guests[key].timer, due);
        self.timers.remove(&(before, key));
        self.timers.insert((due, key));
    }

    /// Sees to those whose time has come.
    fn expire(&mut self) {
        while let Some((_, key)) = self.timers.first().copied().filter(|(timer, _)| *timer <= self.now) {
            let connection = &self.guests[key].connection;
            let due = connection.due(self.app.config.limits.header_timeout.get());
            if due <= self.now {
                let how = connection.expired();
                self.end(key, how);
            } else {
                self.set_timer(key, due);
            }
        }
    }

    /// Does what it is told; whether to go on.
    fn read_mail(&mut self) -> bool {
        loop {
            match self.messages.try_recv() {
                Ok(Message::Admit(stream, given)) => self.admit(stream, given),
                Ok(Message::Stop) => self.stop(),
                Ok(Message::Cut) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    fn admit(&mut self, stream: std::net::TcpStream, given: G) {
        let mut stream = TcpStream::from_std(stream);
        let entry = self.guests.vacant_entry();
        let key = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        // The poller tells at once of what has arrived already.
        if let Err(error) = self.poll.registry().register(&mut stream, Token(key), interest) {
            return (self.finish)(End::Broken(error), given);
        }
        let now = Instant::now();
        let timer = now + self.app.config.limits.header_timeout.get();
        self.timers.insert((timer, key));
        entry.insert(Guest { connection: Connection::new(stream, now), timer, is_queued: false, given });
    }

    fn stop(&mut self) {
        self.stopping = true;
        let keys: Vec<usize> = self.guests.iter().map(|(key, _)| key).collect();
        for key in keys {
            // What was asked until now is answered, whether or not the poller has told of it.
            self.guests[key].connection.readable = true;
            self.turn(key);
        }
    }

    fn end(&mut self, key: usize, how: How) {
        let Guest { connection, timer, given, .. } = self.guests.remove(key);
        self.timers.remove(&(timer, key));
        let end = match how {
            How::Closed => End::Closed,
            How::Broken(error) => End::Broken(error),
            How::HandOver => {
                let (mut stream, unread) = connection.into_parts();
                match self.poll.registry().deregister(&mut stream) {
                    Ok(()) => End::HandOver(stream.into(), unread),
                    Err(error) => End::Broken(error),
                }
            }
        };
        (self.finish)(end, given);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;
    use crate::http::tests::{QUESTION, app};

    /// Nothing here waits longer than this; it is far more than anything takes.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A loop that has not begun to run. Connections come with a number.
    struct Idle<F> {
        event_loop: EventLoop<u32, F>,
        mailbox: Mailbox<u32>,
        ends: Receiver<(End, u32)>,
    }

    fn idle() -> Idle<impl Fn(End, u32) + Send + 'static> {
        let (sender, ends) = mpsc::channel();
        let finish = move |end, number| {
            // A test that has seen enough listens no more.
            let _ = sender.send((end, number));
        };
        let (event_loop, mailbox) = EventLoop::new(app(), finish).expect("file descriptors");
        Idle { event_loop, mailbox, ends }
    }

    /// A client's end of a connection and the server's.
    fn ends() -> (std::net::TcpStream, std::net::TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let client = std::net::TcpStream::connect(address).expect("a connection");
        client.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let (stream, _) = listener.accept().expect("a connection");
        stream.set_nonblocking(true).expect("it does not block");
        (client, stream)
    }

    #[test]
    fn what_was_asked_before_the_stop_is_answered_and_the_loop_ends() {
        let Idle { event_loop, mailbox, ends: ended } = idle();
        let (mut client, stream) = ends();
        let (mut silent, other) = ends();
        client.write_all(QUESTION).expect("it is sent");
        mailbox.send(Message::Admit(stream, 1)).expect("mail");
        mailbox.send(Message::Admit(other, 2)).expect("mail");
        mailbox.send(Message::Stop).expect("mail");
        event_loop.run().expect("a kernel that waits");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("it is sent");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer:?}");
        assert_eq!(silent.read(&mut [0]).expect("the end"), 0);
        for number in [1, 2] {
            assert!(matches!(ended.recv(), Ok((End::Closed, given)) if given == number));
        }
    }

    #[test]
    fn who_never_ceases_to_ask_keeps_nobody_from_their_turn() {
        let Idle { event_loop, mailbox, ends: _ended } = idle();
        let (mut client, stream) = ends();
        mailbox.send(Message::Admit(stream, 1)).expect("mail");
        let running = std::thread::spawn(|| event_loop.run());
        let mut reader = client.try_clone().expect("a second handle");
        let asking = std::thread::spawn(move || {
            let many = QUESTION.repeat(1000);
            while client.write_all(&many).is_ok() {}
        });
        let reading = std::thread::spawn(move || {
            let mut bytes = [0; 1 << 16];
            while reader.read(&mut bytes).is_ok_and(|length| length > 0) {}
        });
        for number in 2..100 {
            let (mut other, stream) = ends();
            mailbox.send(Message::Admit(stream, number)).expect("mail");
            other.write_all(QUESTION).expect("it is sent");
            let mut answer = [0; 15];
            other.read_exact(&mut answer).expect("it is answered");
            assert_eq!(&answer, b"HTTP/1.1 200 OK");
        }
        mailbox.send(Message::Cut).expect("mail");
        running.join().expect("no panic").expect("a kernel that waits");
        reading.join().expect("no panic");
        asking.join().expect("no panic");
    }

    #[test]
    fn whatever_is_not_for_here_is_handed_over_with_its_bytes() {
        let Idle { event_loop, mailbox, ends: ended } = idle();
        let (mut client, stream) = ends();
        client.write_all(QUESTION).expect("it is sent");
        client.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").expect("it is sent");
        mailbox.send(Message::Admit(stream, 7)).expect("mail");
        let running = std::thread::spawn(|| event_loop.run());
        let Ok((End::HandOver(mut stream, unread), 7)) = ended.recv_timeout(PATIENCE) else {
            panic!("it is not handed over");
        };
        assert_eq!(unread, b"GET /healthz HTTP/1.1\r\n\r\n");
        stream.write_all(b"!").expect("the socket is open");
        drop(stream);
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("it is sent");
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with('!'), "{answer:?}");
        mailbox.send(Message::Cut).expect("mail");
        running.join().expect("no panic").expect("a kernel that waits");
    }
}
