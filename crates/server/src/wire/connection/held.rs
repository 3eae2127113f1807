//! Answers that are held back until what they say is durable.

use std::time::Instant;

use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse;

use super::{CloseReason, Connection, Next, Socket, State, Turn};
use crate::api::{Kind, Problem, observe};
use crate::metrics::{EVENTS_ROUTE, Withheld};
use crate::runtime::{Barrier, Fate};
use crate::wire::dispatch::Dispatch;
use crate::wire::reply;

/// From where on the answers that were written wait for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) struct Hold {
    /// Bytes of answers before the first one that waits. Those behind it wait as well, since answers go out in order.
    pub(in crate::wire) from: usize,
    /// What they wait for: the barrier of the last.
    pub(in crate::wire) barrier: Barrier,
    /// How many of them are to be counted once they are sent.
    pub(in crate::wire) withheld: Withheld,
}

/// Answers that wait.
pub(super) struct Held {
    /// Their bytes.
    pub(super) bytes: Bytes,
    /// How many of the bytes say nothing that has to be durable.
    pub(super) sure: usize,
    /// Goes out behind them.
    pub(super) body: Bytes,
    pub(super) barrier: Barrier,
    pub(super) withheld: Withheld,
    pub(super) since: Instant,
}

impl<S: Socket> Connection<S> {
    /// Ends the wait for the log if what was held back is durable by now: it is sent. Where nobody can say whether it is, or
    /// the wait is overdue, 503 is sent in its place and the connection closed behind it.
    ///
    /// # Errors
    /// The connection is to be closed: why.
    pub(in crate::wire) fn end_hold<D: Dispatch>(
        &mut self,
        is_overdue: bool,
        turn: &mut Turn<'_, D>,
    ) -> Result<Next, CloseReason> {
        if let Some((barrier, _)) = self.transport.held() {
            match turn.app.durability().fate(barrier) {
                Fate::Pending if !is_overdue => return Ok(Next::Event),
                Fate::Durable => turn.app.metrics.count_released(self.transport.release()),
                Fate::Pending | Fate::Unknown => self.replace_held(turn)?,
            }
            self.last = Instant::now();
            // What arrived in the meantime waited for the log, not for this connection's turn.
            self.transport.restart_arrival(self.last);
        }
        self.turn(turn)
    }

    /// Answers 503 in place of the first answer that waits. Those behind it are dropped: the client learns from the close
    /// that it has to send their requests again.
    fn replace_held<D>(&mut self, turn: &mut Turn<'_, D>) -> Result<(), CloseReason> {
        let Some(held) = self.transport.take_held() else { return Ok(()) };
        let (sure, unsure) = held.bytes.split_at(held.sure);
        let problem = Problem::fate_unknown(turn.app.config.ack_timeout);
        observe::count(turn.app, EVENTS_ROUTE, 503, Some(Kind::FateUnknown));
        turn.app.metrics.acks_unknown.inc();
        let mut response = problem.into_response();
        response.headers_mut().remove(header::CONNECTION);
        let (output, date) = turn.answerer.output_and_date(Instant::now());
        output.extend_from_slice(sure);
        reply::write_response(output, response, request_id(unsure), (date, true), true);
        self.state = State::Closing { lingers: true };
        self.send(Bytes::new(), turn)
    }
}

/// The id of the request that an answer is to.
fn request_id(answer: &[u8]) -> &[u8] {
    const FIELD: &[u8] = b"\r\nx-request-id: ";
    let value = memchr::memmem::find(answer, FIELD).map(|at| &answer[at + FIELD.len()..]);
    let length = value.and_then(|value| memchr::memchr(b'\r', value));
    value.zip(length).map_or(b"none", |(value, length)| &value[..length])
}
