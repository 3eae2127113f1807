//! A request for the router: its body collected, its reply written.

use std::io::{self, ErrorKind};
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::StatusCode;

use super::{CloseReason, Connection, Hold, Part, Socket, State, Turn};
use crate::api::{self, Problem};
use crate::gate::{Listener, Principal};
use crate::metrics::Withheld;
use crate::wire::body::{Collector, Discard, Fault, Framing, MOST_DISCARDED_BYTES};
use crate::wire::dispatch::{self, Dispatch, Reply, ReplyForm, TaskGuard};
use crate::wire::fast::{Pending, is_blank};
use crate::wire::head::{self, AnyHead, RoutedHead};
use crate::wire::reply;
use crate::wire::{BODY_READ_BYTES, Scope};

/// A request whose body arrives.
pub(super) struct Collecting {
    head: RoutedHead,
    principal: Principal,
    body: Collector,
    pub(super) since: Instant,
}

/// A request that the router has.
pub(super) struct Routed {
    form: ReplyForm,
    /// What of its body is left to read past.
    rest: Option<Framing>,
    _task: Option<TaskGuard>,
}

impl<S: Socket> Connection<S> {
    /// Begins the request at the front of `unread`, which is not for the fast path.
    pub(super) fn route<D: Dispatch>(&mut self, turn: &mut Turn<'_, D>) -> Result<(), CloseReason> {
        match head::read_any(&self.unread, turn.app.config.limits.header_bytes) {
            AnyHead::Incomplete => {
                self.under_way.get_or_insert((Part::Head, self.transport.arrived));
                self.state = State::Reading(Pending::Incomplete(None));
            }
            AnyHead::Refused(status) => return self.refuse(status, turn),
            AnyHead::Request(head) => {
                self.unread.drain(..head.length);
                match self.scope.admit(turn.app, &head) {
                    Ok(principal) => return self.begin(*head, principal, turn),
                    Err(problem) => self.dispatch_without_body(*head, Err(problem), turn),
                }
            }
        }
        Ok(())
    }

    /// Closes behind an answer to bytes that are no request.
    fn refuse<D>(&mut self, status: StatusCode, turn: &mut Turn<'_, D>) -> Result<(), CloseReason> {
        turn.app.metrics.count_connection_error(Listener::Data, &io::Error::from(ErrorKind::InvalidData));
        let (output, date) = turn.answerer.output_and_date(Instant::now());
        reply::write_refusal(output, status, date);
        self.state = State::Closing { lingers: true };
        self.send(Bytes::new(), turn)
    }

    /// Collects the body of an admitted request, or has it answered at once.
    fn begin<D: Dispatch>(
        &mut self,
        head: RoutedHead,
        principal: Principal,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), CloseReason> {
        let limit = api::body_limit(turn.app, &head.request).filter(|_| !head.framing.is_empty());
        let Some(limit) = limit else {
            self.dispatch_without_body(head, Ok(principal), turn);
            return Ok(());
        };
        let announced = head.framing.announced();
        let (expects_continue, framing) = (head.expects_continue, head.framing.clone());
        let collecting = Collecting {
            head,
            principal,
            body: Collector::new(framing, limit, turn.app.body_memory()),
            since: match self.under_way.take() {
                Some((Part::Body, since)) => since,
                _ => self.transport.arrived,
            },
        };
        self.state = State::Collecting(Box::new(collecting));
        if announced.is_some_and(|length| length > limit as u64) {
            self.fail_body(Fault::TooLarge { limit }, turn);
            return Ok(());
        }
        if expects_continue && self.unread.is_empty() {
            turn.answerer.output.extend_from_slice(reply::CONTINUE);
            return self.send(Bytes::new(), turn);
        }
        Ok(())
    }

    /// Reads on in a body.
    pub(super) fn collect<D: Dispatch>(&mut self, turn: &mut Turn<'_, D>) -> Result<bool, CloseReason> {
        let State::Collecting(collecting) = &self.state else { return Ok(true) };
        let (most, mut unread) = (collecting.body.read_bytes(), Vec::new());
        let next = self.next_bytes(&mut turn.input[..most], turn.polled, &mut unread)?;
        let Some(arrived) = next else { return Ok(false) };
        let State::Collecting(collecting) = &mut self.state else { return Ok(true) };
        if arrived.is_empty() {
            let bytes = collecting.body.len();
            self.fail_body(Fault::Ended { bytes }, turn);
            return Ok(true);
        }
        match collecting.body.take(arrived) {
            Ok((length, is_whole)) => {
                self.unread = arrived[length..].to_vec();
                if is_whole {
                    self.finish_body(turn);
                }
            }
            Err((fault, length)) => {
                self.unread = arrived[length..].to_vec();
                self.fail_body(fault, turn);
            }
        }
        Ok(true)
    }

    /// What is to be taken next of a body: what is unread, moved to `unread`, or else what the socket has. `None` when it
    /// has nothing, empty at its end.
    fn next_bytes<'a>(
        &mut self,
        input: &'a mut [u8],
        polled: Instant,
        unread: &'a mut Vec<u8>,
    ) -> io::Result<Option<&'a [u8]>> {
        *unread = std::mem::take(&mut self.unread);
        if !unread.is_empty() {
            return Ok(Some(unread));
        }
        Ok(self.transport.read(input, polled)?.map(|length| &input[..length]))
    }

    /// Has a request answered whose body has arrived.
    fn finish_body<D: Dispatch>(&mut self, turn: &mut Turn<'_, D>) {
        if let Some(Collecting { head, principal, body, since }) = self.take_collecting() {
            let body = body.finish();
            turn.app.metrics.count_body_bytes(body.len());
            let form = ReplyForm::of(&head);
            let request = dispatch::request(head, Ok(principal), Some(Ok(body)), since);
            self.dispatch(request, form, None, turn);
        }
    }

    /// Has a request answered whose body will not arrive.
    pub(super) fn fail_body<D: Dispatch>(&mut self, fault: Fault, turn: &mut Turn<'_, D>) {
        if let Some(Collecting { head, principal, body, since }) = self.take_collecting() {
            let mut form = ReplyForm::of(&head);
            // Where a body ends that is malformed, cut short or late, nobody knows.
            form.closes |= fault != Fault::NoMemory;
            let rest = body.into_framing();
            let request = dispatch::request(head, Ok(principal), Some(Err(fault)), since);
            self.dispatch(request, form, Some(rest), turn);
        }
    }

    /// Has a request answered that has no body, or whose body nobody wants.
    fn dispatch_without_body<D: Dispatch>(
        &mut self,
        head: RoutedHead,
        admitted: Result<Principal, Problem>,
        turn: &mut Turn<'_, D>,
    ) {
        let mut form = ReplyForm::of(&head);
        // A client that was not asked for its body may send it or not (RFC 9110, section 10.1.1).
        form.closes |= head.expects_continue;
        // Nor is the connection kept for one that will be given up before its end.
        form.closes |= head.framing.announced().is_some_and(|bytes| bytes > MOST_DISCARDED_BYTES);
        let rest = head.framing.clone();
        let request = dispatch::request(head, admitted, None, self.transport.arrived);
        self.dispatch(request, form, Some(rest), turn);
    }

    fn dispatch<D: Dispatch>(
        &mut self,
        request: Request,
        mut form: ReplyForm,
        rest: Option<Framing>,
        turn: &mut Turn<'_, D>,
    ) {
        form.closes |= self.scope == Scope::Health;
        self.under_way = None;
        let rest = rest.filter(|framing| !framing.is_empty());
        let task = turn.dispatch.dispatch(request);
        self.state = State::Routed(Box::new(Routed { form, rest, _task: task }));
    }

    /// The request whose body arrives, if one does; any other state stays.
    fn take_collecting(&mut self) -> Option<Collecting> {
        match std::mem::replace(&mut self.state, State::Reading(Pending::Incomplete(None))) {
            State::Collecting(collecting) => Some(*collecting),
            other => {
                self.state = other;
                None
            }
        }
    }

    /// Takes the router's reply; `None` where there is none.
    ///
    /// # Errors
    /// The connection is to be closed: why.
    pub(in crate::wire) fn reply<D>(
        &mut self,
        reply: Option<Reply>,
        turn: &mut Turn<'_, D>,
    ) -> Result<(), CloseReason> {
        let State::Routed(routed) = &mut self.state else { return Ok(()) };
        let (mut form, rest) = (routed.form, routed.rest.take());
        let reply = reply.ok_or(CloseReason::Failed(io::Error::other("the router was cut")))?;
        // Requests that came together are all answered; the announcement of a stop is the last one's.
        form.closes |= reply.wants_close() || (turn.answerer.draining && is_blank(&self.unread));
        self.last = Instant::now();
        self.transport.restart_arrival(self.last);
        if let Some(since) = reply.decision_since {
            turn.app.metrics.decision_seconds.observe(self.last.saturating_duration_since(since));
        }
        // What is said of the events need not be durable yet.
        turn.answerer.hold = reply.barrier.map(|barrier| {
            let withheld = Withheld { events: u64::from(reply.status == StatusCode::OK), decisions: 0 };
            Hold { from: 0, barrier, withheld }
        });
        let (output, date) = turn.answerer.output_and_date(self.last);
        let body = reply::write_reply(output, reply, form, date);
        self.state = if form.closes {
            State::Closing { lingers: rest.is_some() }
        } else if let Some(rest) = rest {
            State::Discarding(Box::new(Discard::new(Some(rest), self.last)))
        } else {
            self.reading()
        };
        self.send(body, turn)
    }

    /// What is read next, by what was read already.
    fn reading(&self) -> State {
        let nothing = self.unread.is_empty();
        State::Reading(if nothing { Pending::Incomplete(None) } else { Pending::Requests })
    }

    /// Reads past what nobody wants.
    pub(super) fn discard<D>(&mut self, turn: &mut Turn<'_, D>) -> Result<bool, CloseReason> {
        let mut unread = Vec::new();
        let next = self.next_bytes(&mut turn.input[..BODY_READ_BYTES], turn.polled, &mut unread);
        let arrived = match next {
            Ok(Some(arrived)) => arrived,
            Ok(None) => return Ok(false),
            // The request was answered and counted, and how the client leaves behind that is its own affair.
            Err(_) => return Err(CloseReason::Done),
        };
        if arrived.is_empty() {
            return Err(CloseReason::Done);
        }
        let now = Instant::now();
        let (length, is_whole) = match &mut self.state {
            State::Lingering(discard) => discard.take(arrived, now).map_err(|_| CloseReason::Done)?,
            State::Discarding(discard) => match discard.take(arrived, now) {
                Ok(taken) => taken,
                Err(_) => {
                    // Where the next request begins nobody knows. The answer is sent, but a plain close would reset the
                    // connection for the bytes that are unread, and the client might lose it.
                    turn.app
                        .metrics
                        .count_connection_error(Listener::Data, &io::Error::from(ErrorKind::InvalidData));
                    self.state = State::Closing { lingers: true };
                    return Ok(true);
                }
            },
            _ => return Ok(true),
        };
        if is_whole {
            self.unread = arrived[length..].to_vec();
            self.last = now;
            self.state = self.reading();
        }
        Ok(true)
    }
}
