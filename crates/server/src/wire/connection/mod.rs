//! One connection: what it holds between its turns, and what it does in one.

mod held;
mod routed;
mod transport;

#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use axum::body::Bytes;

use super::body::{Discard, Fault};
use super::dispatch::Dispatch;
use super::fast::{Answered, Answerer, Pending};
use super::scope::TIME_TO_ASK;
use super::{HEAD_READ_BYTES, IDLE_AT_STOP, Input, Scope, TOO_MANY_CONNECTIONS};
use crate::gate::Listener;
use crate::metrics::CutCause;
use crate::runtime::App;

pub(super) use held::Hold;
use routed::{Collecting, Routed};
pub(super) use transport::Socket;
use transport::{Sent, Transport};

/// So often a connection may read and answer before others have their turn.
const ROUNDS_PER_TURN: u32 = 8;

/// A connection that has waited so long for its socket is looked at again; nothing is due before.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// What a connection waits for after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// That the socket has bytes, or room; or for the router.
    Event,
    /// Only for the others: it can go on at once.
    Turn,
}

/// Why a connection is closed.
#[derive(Debug)]
pub(super) enum CloseReason {
    /// As it should be: the client has left, was idle for too long, or has its last answer.
    Done,
    /// It failed.
    Failed(io::Error),
    /// Its client did not take its answers.
    Cut(CutCause),
}

impl From<io::Error> for CloseReason {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<ErrorKind> for CloseReason {
    fn from(kind: ErrorKind) -> Self {
        Self::Failed(kind.into())
    }
}

/// What a turn needs beside the connection.
pub(super) struct Turn<'a, D> {
    pub(super) app: &'a App,
    pub(super) input: &'a mut Input,
    pub(super) answerer: &'a mut Answerer,
    /// Takes requests for the router.
    pub(super) dispatch: D,
    /// When the poller was last asked: what it reported has waited for its turn since then.
    pub(super) polled: Instant,
}

/// Where a connection is in a request.
enum State {
    /// Requests are read; `unread` is this.
    Reading(Pending),
    /// The body of a request for the router arrives.
    Collecting(Box<Collecting>),
    /// The router has a request.
    Routed(Box<Routed>),
    /// The rest of a body that nobody wants is read past; then requests are read again.
    Discarding(Box<Discard>),
    /// The last answer is on its way. Where the client may still be sending, a plain close would have it miss the answer.
    Closing { lingers: bool },
    /// The last answer is sent, and whatever still comes is read past until the client closes.
    Lingering(Box<Discard>),
}

/// What of a request has begun to arrive and is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    Body,
}

/// One connection. Between its turns it holds only what is unfinished.
pub(super) struct Connection<S> {
    pub(super) transport: Transport<S>,
    state: State,
    scope: Scope,
    /// What was read and is not answered: the beginning of a request, more requests than one turn answers, or what came
    /// behind a request that the router has.
    unread: Vec<u8>,
    /// When something was last finished.
    last: Instant,
    /// What has begun to arrive for the fast path and is not whole, and when it began.
    under_way: Option<(Part, Instant)>,
}

impl<S: Socket> Connection<S> {
    pub(super) fn new(stream: S, scope: Scope, now: Instant) -> Self {
        Self {
            transport: Transport::new(stream, now),
            state: State::Reading(Pending::Incomplete(None)),
            scope,
            unread: Vec::new(),
            last: now,
            under_way: None,
        }
    }

    /// When the time for what is awaited is over.
    pub(super) fn due(&self, app: &App) -> Instant {
        let limits = &app.config.limits;
        if let Some((_, since)) = self.transport.held() {
            return since + app.config.ack_timeout.get();
        }
        if self.transport.has_unsent() {
            let due = self.transport.write_due(limits.write_timeout.get());
            return due.map_or(self.last + NEVER, |(due, _)| due);
        }
        match &self.state {
            State::Reading(_) if self.scope == Scope::Health => self.last + TIME_TO_ASK,
            State::Reading(_) => match self.under_way {
                Some((Part::Head, since)) => since + limits.header_timeout.get(),
                Some((Part::Body, since)) => since + limits.body_timeout.get(),
                None => self.last + limits.idle_timeout.get(),
            },
            State::Collecting(collecting) => collecting.since + limits.body_timeout.get(),
            State::Routed(_) => self.last + NEVER,
            State::Discarding(discard) | State::Lingering(discard) => discard.due(),
            // It is left as soon as the answer is sent.
            State::Closing { .. } => self.last + limits.write_timeout.get(),
        }
    }

    /// What follows when that time has come.
    ///
    /// # Errors
    /// The connection is to be closed: why.
    pub(super) fn expired<D: Dispatch>(&mut self, turn: &mut Turn<'_, D>) -> Result<Next, CloseReason> {
        if self.transport.held().is_some() {
            return self.end_hold(true, turn);
        }
        if self.transport.has_unsent() {
            // The poller reports room only once there is plenty of it: a slow reader may have made some.
            self.transport.send_unsent()?;
            let due = self.transport.write_due(turn.app.config.limits.write_timeout.get());
            return match due.filter(|(due, _)| *due <= Instant::now()) {
                Some((_, cause)) => Err(CloseReason::Cut(cause)),
                None => Ok(Next::Turn),
            };
        }
        match &self.state {
            State::Reading(_) if self.scope == Scope::Health => {
                turn.app.metrics.count_connection_refused(Listener::Data);
                turn.answerer.output.extend_from_slice(TOO_MANY_CONNECTIONS.as_bytes());
                self.state = State::Closing { lingers: true };
                self.send(Bytes::new(), turn)?;
                Ok(Next::Turn)
            }
            State::Reading(Pending::Incomplete(Some(_))) => {
                // The head may be refused, or its body be too large: then the router has it already.
                self.route(turn)?;
                if matches!(self.state, State::Collecting(_)) {
                    self.fail_body(Fault::TimedOut, turn);
                }
                Ok(Next::Turn)
            }
            State::Collecting(_) => {
                self.fail_body(Fault::TimedOut, turn);
                Ok(Next::Turn)
            }
            State::Routed(_) => Ok(Next::Event),
            State::Lingering(_) => Err(CloseReason::Done),
            State::Reading(_) if self.unread.is_empty() => Err(CloseReason::Done),
            State::Reading(_) | State::Discarding(_) | State::Closing { .. } => {
                Err(ErrorKind::TimedOut.into())
            }
        }
    }

    /// The same while the server stops, which ends at `deadline`. A connection is idle when it has asked and been answered
    /// and was then silent for [`IDLE_AT_STOP`]. One that has not asked yet is not: its request may be on the way. Neither
    /// that one nor one that has its last answer makes the stop an unclean one.
    pub(super) fn due_at_stop(&self, app: &App, deadline: Instant) -> Instant {
        let due = self.due(app);
        match &self.state {
            State::Lingering(_) => due.min(deadline),
            State::Reading(_) if self.is_between_requests() => {
                let idle = if self.transport.has_received { self.last + IDLE_AT_STOP } else { deadline };
                due.min(idle).min(deadline)
            }
            _ => due,
        }
    }

    /// Whether nothing of a request has arrived, and all answers are sent.
    pub(super) fn is_between_requests(&self) -> bool {
        matches!(self.state, State::Reading(_)) && self.unread.is_empty() && !self.transport.has_unsent()
    }

    /// Whether it waits for the router or for the log, and for nothing that its client does.
    pub(super) fn waits_for_server(&self) -> bool {
        matches!(self.state, State::Routed(_)) || self.transport.held().is_some()
    }

    /// When something was last finished.
    pub(super) fn last(&self) -> Instant {
        self.last
    }

    /// Reads, answers and writes until there is nothing to do, or others should have their turn.
    ///
    /// # Errors
    /// The connection is to be closed: why.
    pub(super) fn turn<D: Dispatch>(&mut self, turn: &mut Turn<'_, D>) -> Result<Next, CloseReason> {
        for _ in 0..ROUNDS_PER_TURN {
            if self.transport.held().is_some() {
                return Ok(Next::Event);
            }
            if self.transport.has_unsent() {
                let sent = self.transport.send_unsent()?;
                if sent != Sent::Nothing {
                    // A client that reads slowly is not idle.
                    self.last = Instant::now();
                }
                if self.transport.has_unsent() {
                    return Ok(if sent == Sent::All { Next::Turn } else { Next::Event });
                }
                // Until here the client was waited for.
                self.transport.restart_arrival(turn.polled);
                if let State::Discarding(discard) = &mut self.state {
                    discard.begin(self.last);
                }
            }
            if !self.round(turn)? {
                return Ok(Next::Event);
            }
            // A body is large and its sender in no hurry.
            let takes_body = matches!(self.state, State::Collecting(_) | State::Discarding(_));
            if takes_body && self.unread.is_empty() && self.transport.readable {
                break;
            }
        }
        Ok(Next::Turn)
    }

    /// One step; whether another can follow at once.
    fn round<D: Dispatch>(&mut self, turn: &mut Turn<'_, D>) -> Result<bool, CloseReason> {
        match &mut self.state {
            State::Reading(Pending::Requests) => {
                let unread = std::mem::take(&mut self.unread);
                self.answer(&unread, turn)?;
            }
            State::Reading(Pending::Other) => self.route(turn)?,
            State::Reading(Pending::Incomplete(needed)) => {
                let needed = *needed;
                let length = match self.transport.read(&mut turn.input[..HEAD_READ_BYTES], turn.polled) {
                    Ok(Some(length)) => length,
                    Ok(None) => return Ok(false),
                    // How a client leaves that has asked for nothing is its own affair.
                    Err(_) if self.unread.is_empty() => return Err(CloseReason::Done),
                    Err(error) => return Err(error.into()),
                };
                if length == 0 {
                    return self.ended_by_client(turn);
                }
                // The buffer is lent to the answerer beside the turn.
                let arrived = &turn.input[..length];
                if self.scope == Scope::Health {
                    self.unread.extend_from_slice(arrived);
                    self.route(turn)?;
                } else if self.unread.is_empty() {
                    let answered = turn.answerer.answer(turn.app, arrived, self.transport.arrived);
                    self.unread = arrived[answered.bytes..].to_vec();
                    self.answered(&answered);
                    self.send(Bytes::new(), turn)?;
                } else {
                    self.unread.extend_from_slice(arrived);
                    let most = turn.app.config.limits.header_bytes;
                    if is_worth_parsing(needed, self.unread.len(), arrived, most) {
                        let unread = std::mem::take(&mut self.unread);
                        self.answer(&unread, turn)?;
                    }
                }
            }
            State::Collecting(_) => return self.collect(turn),
            State::Routed(_) => return Ok(false),
            State::Discarding(_) | State::Lingering(_) => return self.discard(turn),
            State::Closing { lingers } => {
                let transport = &mut self.transport;
                let mut lingers = *lingers || transport.readable || !self.unread.is_empty();
                if !lingers && turn.answerer.draining {
                    // The client did not choose to end here and may have sent more in the meantime.
                    transport.readable = true;
                    let arrived = transport.read(&mut turn.input[..HEAD_READ_BYTES], turn.polled);
                    lingers = matches!(arrived, Ok(Some(1..)));
                }
                if !lingers {
                    return Err(CloseReason::Done);
                }
                // A client that has left has nothing to read; what it sent is read past all the same, since closing a
                // socket with unread bytes has it lose the answer.
                let _ = transport.stream.shutdown_write();
                self.unread = Vec::new();
                let discard = Discard::new(None, Instant::now());
                self.state = State::Lingering(Box::new(discard));
            }
        }
        Ok(true)
    }

    /// Answers what the fast path can answer of `bytes`, sends that, and keeps the rest.
    fn answer<D>(&mut self, bytes: &[u8], turn: &mut Turn<'_, D>) -> Result<(), CloseReason> {
        let answered = turn.answerer.answer(turn.app, bytes, self.transport.arrived);
        self.unread = bytes[answered.bytes..].to_vec();
        self.answered(&answered);
        self.send(Bytes::new(), turn)
    }

    /// Sends what was written for this connection, and `body` behind it, or holds it back for the log.
    fn send<D>(&mut self, body: Bytes, turn: &mut Turn<'_, D>) -> Result<(), CloseReason> {
        let (output, memory) = (&mut turn.answerer.output, turn.app.response_memory());
        match turn.answerer.hold.take() {
            None => self.transport.send(output, body, memory),
            Some(hold) => self.transport.hold(output, body, hold, memory),
        }
    }

    /// Notes what became of bytes.
    fn answered(&mut self, answered: &Answered) {
        let Answered { bytes, pending, at, closes } = *answered;
        if bytes > 0 {
            self.last = at;
        }
        let before = self.under_way.filter(|_| bytes == 0);
        self.under_way = match pending {
            Pending::Incomplete(Some(_)) => {
                before.filter(|(part, _)| *part == Part::Body).or(Some((Part::Body, at)))
            }
            Pending::Incomplete(None) if !self.unread.is_empty() => before.or(Some((Part::Head, at))),
            // More of a head may be the router's to read.
            Pending::Other => before,
            Pending::Incomplete(None) | Pending::Requests => None,
        };
        self.state = if closes { State::Closing { lingers: false } } else { State::Reading(pending) };
    }

    /// What follows when the client sends no more and no body is read.
    fn ended_by_client<D: Dispatch>(&mut self, turn: &mut Turn<'_, D>) -> Result<bool, CloseReason> {
        if self.unread.is_empty() {
            return Err(CloseReason::Done);
        }
        // A body that is cut short is the router's to refuse, and bytes that are no request are refused even so.
        self.route(turn)?;
        match self.state {
            State::Reading(_) => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(true),
        }
    }
}

/// Whether the bytes that `arrived` may have completed a request, so that a client that sends them one by one does not
/// have all before them parsed each time.
fn is_worth_parsing(needed: Option<usize>, unread: usize, arrived: &[u8], most: usize) -> bool {
    match needed {
        Some(needed) => unread >= needed,
        None => memchr::memchr(b'\n', arrived).is_some() || unread > most,
    }
}
