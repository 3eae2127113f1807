//! A thread's event loop: waits for sockets, gives each connection its turn, and keeps its timers.
//!
//! It does what a runtime would do for these connections, and nothing else, because a decision costs little more than
//! the kernel's part of it: see docs/decisions/http-server.md for what that saves.

use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, Instant};

use axum::extract::Request;
use mio::{Events, Interest, Poll, Token, Waker, event::Event, net::TcpStream};
use slab::Slab;

use super::command::{Command, ConnectionKey, Handle};
use super::connection::{CloseReason, Connection, Next, Socket, Turn};
use super::dispatch::{Dispatch, Reply, RouterTasks, TaskGuard};
use super::fast::Answerer;
use super::parking::Parking;
use super::{BODY_READ_BYTES, Input, Scope};
use crate::gate::Listener;
use crate::runtime::App;

/// One call of the kernel reports so many sockets at most.
const EVENTS_PER_POLL: usize = 256;

/// Says that there are commands; connections are numbered from 0.
const COMMANDS: Token = Token(usize::MAX);

/// A loop and its connections.
pub(crate) struct EventLoop<G> {
    app: Arc<App>,
    poll: Poll,
    commands: Receiver<Command<G>>,
    /// Its own handle, for replies.
    handle: Handle<G>,
    router: RouterTasks,
    slots: Slab<Slot<G>>,
    /// Counts the connections that were admitted.
    generation: u64,
    /// When each connection is looked at again though nothing has come, and its slot.
    timers: BTreeSet<(Instant, usize)>,
    /// Slots of connections that go on without waiting for their socket.
    queue: Vec<usize>,
    /// Connections whose answers wait for the log.
    parking: Parking,
    /// The last instant that is known.
    now: Instant,
    /// When the poller last reported sockets: what it reported waits for its turn since then.
    polled: Instant,
    /// The end of the stop that is under way.
    stop_deadline: Option<Instant>,
    input: Input,
    answerer: Answerer,
}

/// A connection in a loop.
struct Slot<G> {
    connection: Connection<TcpStream>,
    generation: u64,
    /// Its entry among the timers: not later than it is due, and moved only when that has come, not at each request.
    timer: Instant,
    is_queued: bool,
    is_parked: bool,
    /// Held for as long as the connection is open.
    _given: G,
}

/// Sends requests of one connection to the router.
struct ToRouter<'a, G> {
    router: &'a RouterTasks,
    handle: &'a Handle<G>,
    key: ConnectionKey,
}

impl<G: Send + 'static> Dispatch for ToRouter<'_, G> {
    fn dispatch(&mut self, request: Request) -> Option<TaskGuard> {
        let (handle, key) = (self.handle.clone(), self.key);
        Some(self.router.spawn(request, move |reply| {
            // A loop that has ended has closed the connection.
            let _ = handle.send(Command::Reply(key, reply));
        }))
    }
}

impl<G: Send + 'static> EventLoop<G> {
    /// A loop without connections, and the way to it.
    ///
    /// # Errors
    /// There are no more file descriptors.
    pub(crate) fn new(app: Arc<App>, router: RouterTasks) -> io::Result<(Self, Handle<G>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), COMMANDS)?);
        app.slices().join(&waker);
        let parking = Parking::new(app.durability().join(&waker));
        let (sender, commands) = mpsc::channel();
        let handle = Handle::new(sender, waker);
        let new = Self {
            app,
            poll,
            commands,
            handle: handle.clone(),
            router,
            slots: Slab::new(),
            generation: 0,
            timers: BTreeSet::new(),
            queue: Vec::new(),
            parking,
            now: Instant::now(),
            polled: Instant::now(),
            stop_deadline: None,
            input: Box::new([0; BODY_READ_BYTES]),
            answerer: Answerer::new(),
        };
        Ok((new, handle))
    }

    /// Runs until it is told to end.
    ///
    /// # Errors
    /// The kernel refuses to wait.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_POLL);
        while self.stop_deadline.is_none() || !self.slots.is_empty() {
            match self.poll.poll(&mut events, self.poll_timeout()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            self.polled = Instant::now();
            self.now = self.polled;
            self.answerer.draining = self.stop_deadline.is_some() || self.app.is_draining();
            self.answerer.recovering = self.app.recovery().is_under_way();
            let queue = std::mem::take(&mut self.queue);
            let mut has_commands = false;
            for event in &events {
                match event.token() {
                    COMMANDS => has_commands = true,
                    Token(slot) => self.notice(slot, event),
                }
            }
            for slot in queue {
                self.turn(slot);
            }
            if has_commands && !self.obey() {
                return Ok(());
            }
            self.expire();
            self.end_holds();
            if self.app.slices().is_waiting() {
                self.app.slices().run_next();
            }
            self.app.durability().wake_from_long_sleep();
        }
        Ok(())
    }

    /// The commands of a loop that has failed, those that it has not obeyed and those that still come.
    pub(crate) fn take_commands(&mut self) -> Receiver<Command<G>> {
        std::mem::replace(&mut self.commands, mpsc::channel().1)
    }

    /// How many connections it has.
    pub(crate) fn connections(&self) -> usize {
        self.slots.len()
    }

    /// How long to wait for sockets at most.
    fn poll_timeout(&self) -> Option<Duration> {
        let durability = self.app.durability();
        if !self.queue.is_empty() || self.app.slices().is_waiting() || !self.parking.wait(durability) {
            return Some(Duration::ZERO);
        }
        self.timers.first().map(|(due, _)| due.saturating_duration_since(self.now))
    }

    /// Something happened at a socket.
    fn notice(&mut self, slot: usize, event: &Event) {
        let Some(held) = self.slots.get_mut(slot) else {
            return;
        };
        let transport = &mut held.connection.transport;
        transport.finished |= event.is_read_closed();
        transport.notice(event.is_readable() || event.is_read_closed() || event.is_error(), self.polled);
        // A client that has only sent its last byte still waits for its answers; one that has gone does not, and the
        // router's work for it is cut.
        if held.connection.waits_for_server() && (event.is_error() || event.is_write_closed()) {
            return self.close(slot, &io::ErrorKind::ConnectionReset.into());
        }
        if !held.is_queued {
            self.turn(slot);
        }
    }

    /// Lets a connection read, answer and write.
    fn turn(&mut self, slot: usize) {
        self.drive(slot, |connection, turn| connection.turn(turn));
    }

    /// Has a connection do something, and sees to what follows.
    fn drive(
        &mut self,
        slot: usize,
        work: impl FnOnce(&mut Connection<TcpStream>, &mut Turn<'_, ToRouter<'_, G>>) -> Result<Next, CloseReason>,
    ) {
        let Some(held) = self.slots.get_mut(slot) else {
            return;
        };
        held.is_queued = false;
        let key = ConnectionKey { slot, generation: held.generation };
        let mut turn = Turn {
            app: &self.app,
            input: &mut self.input,
            answerer: &mut self.answerer,
            dispatch: ToRouter { router: &self.router, handle: &self.handle, key },
            polled: self.polled,
        };
        let connection = &mut held.connection;
        let done = catch_unwind(AssertUnwindSafe(|| work(connection, &mut turn)));
        let next = done.unwrap_or_else(|_| {
            // What was written till then may be half an answer.
            self.answerer.output.clear();
            self.answerer.hold = None;
            Err(CloseReason::Failed(io::Error::other("its turn panicked")))
        });
        self.now = self.now.max(connection.last());
        match next {
            Err(reason) => self.close(slot, &reason),
            Ok(Next::Turn) => {
                held.is_queued = true;
                self.queue.push(slot);
            }
            Ok(Next::Event) => {
                if let Some((barrier, _)) = held.connection.transport.held()
                    && !std::mem::replace(&mut held.is_parked, true)
                {
                    self.parking.park(barrier, key);
                }
                self.wait(slot);
            }
        }
    }

    /// Goes on with the connections whose answers need wait for the log no longer.
    fn end_holds(&mut self) {
        while let Some(key) = self.parking.take_known(self.app.durability()) {
            // A connection may have been closed while it waited.
            if let Some(held) = self.slots.get_mut(key.slot).filter(|held| held.generation == key.generation)
            {
                held.is_parked = false;
                self.drive(key.slot, |connection, turn| connection.end_hold(false, turn));
            }
        }
    }

    /// Leaves a connection to its socket, for as long as is due.
    fn wait(&mut self, slot: usize) {
        let due = self.due(slot);
        if due < self.slots[slot].timer {
            self.set_timer(slot, due);
        }
    }

    /// When the time for what a connection waits for is over.
    fn due(&self, slot: usize) -> Instant {
        let connection = &self.slots[slot].connection;
        match self.stop_deadline {
            Some(deadline) => connection.due_at_stop(&self.app, deadline),
            None => connection.due(&self.app),
        }
    }

    /// Moves a connection's timer.
    fn set_timer(&mut self, slot: usize, due: Instant) {
        let before = std::mem::replace(&mut self.slots[slot].timer, due);
        self.timers.remove(&(before, slot));
        self.timers.insert((due, slot));
    }

    /// Sees to the connections whose time has come.
    fn expire(&mut self) {
        while let Some((_, slot)) = self.timers.first().copied().filter(|(timer, _)| *timer <= self.now) {
            let due = self.due(slot);
            if due > self.now {
                self.set_timer(slot, due);
                continue;
            }
            if self.stop_deadline.is_some() && self.slots[slot].connection.is_between_requests() {
                self.close_idle(slot);
                continue;
            }
            self.drive(slot, |connection, turn| connection.expired(turn));
            // A connection that goes on has another time limit now; one that is queued will have.
            if self.slots.contains(slot) {
                let due = self.due(slot);
                self.set_timer(slot, due.max(self.now + Duration::from_millis(1)));
            }
        }
    }

    /// Does what it is told to; whether to go on.
    fn obey(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Admit(stream, scope, given)) => self.admit(stream, scope, given),
                Ok(Command::Reply(key, reply)) => self.reply(key, reply),
                Ok(Command::Stop(deadline)) => self.stop(deadline),
                Ok(Command::Answer(sender)) => _ = sender.send(()),
                #[cfg(test)]
                Ok(Command::Test(act)) => act(),
                Ok(Command::Cut) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    fn admit(&mut self, stream: std::net::TcpStream, scope: Scope, given: G) {
        let mut stream = TcpStream::from_std(stream);
        let entry = self.slots.vacant_entry();
        let slot = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        // The poller reports at once what has arrived already.
        if let Err(error) = self.poll.registry().register(&mut stream, Token(slot), interest) {
            return self.app.metrics.count_connection_error(Listener::Data, &error);
        }
        let now = Instant::now();
        self.now = self.now.max(now);
        let connection = Connection::new(stream, scope, now);
        let timer = connection.due(&self.app);
        self.timers.insert((timer, slot));
        self.generation += 1;
        let generation = self.generation;
        entry.insert(Slot {
            connection,
            generation,
            timer,
            is_queued: false,
            is_parked: false,
            _given: given,
        });
    }

    fn reply(&mut self, key: ConnectionKey, reply: Option<Reply>) {
        // A connection may have failed while the router was at work.
        if self.slots.get(key.slot).is_some_and(|held| held.generation == key.generation) {
            self.drive(key.slot, |connection, turn| {
                connection.reply(reply, turn)?;
                connection.turn(turn)
            });
        }
    }

    /// Closes a connection that is idle while the server stops, unless its socket has a request all the same: what came
    /// before the close is answered.
    fn close_idle(&mut self, slot: usize) {
        let generation = self.slots[slot].generation;
        self.slots[slot].connection.transport.readable = true;
        self.turn(slot);
        let is_idle = |held: &Slot<G>| held.generation == generation && held.connection.is_between_requests();
        if self.slots.get(slot).is_some_and(is_idle) {
            self.close(slot, &CloseReason::Done);
        }
    }

    fn stop(&mut self, deadline: Instant) {
        self.stop_deadline = Some(deadline);
        self.answerer.draining = true;
        let slots: Vec<usize> = self.slots.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            // What was asked until now is answered, whether or not the poller has reported it.
            self.slots[slot].connection.transport.notice(true, self.polled);
            self.turn(slot);
        }
    }

    fn close(&mut self, slot: usize, reason: &CloseReason) {
        let mut held = self.slots.remove(slot);
        self.timers.remove(&(held.timer, slot));
        match reason {
            CloseReason::Done => {}
            CloseReason::Failed(error) => self.app.metrics.count_connection_error(Listener::Data, error),
            CloseReason::Cut(cause) => {
                self.app.metrics.count_connection_cut(Listener::Data, *cause);
                held.connection.transport.stream.discard_unsent();
            }
        }
    }
}

impl<G> Drop for EventLoop<G> {
    fn drop(&mut self) {
        self.app.slices().leave(self.handle.waker());
        self.app.durability().leave(self.parking.waiter());
    }
}

#[cfg(test)]
mod tests;
