//! The fast path: decisions and single small events, many requests in one go, into one buffer.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use axum::response::{IntoResponse, Response};
use upbeat_core::event::Id;
use upbeat_engine::{Ask, NotKept};

use super::connection::Hold;
use super::head::{self, Action, FastHead, FastRequest};
use super::reply::{self, Date, Ending};
use super::{HEAD_READ_BYTES, OUTPUT_BYTES};
use crate::api::observe::{self, Observed};
use crate::api::{Kind, Problem, answer, events};
use crate::gate::{HeadFacts, Headers, HostLines, Listener, Principal, is_request_id};
use crate::metrics::{self, Withheld};
use crate::runtime::App;

/// What bytes that were not answered are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pending {
    /// The beginning of a request, or nothing; with so many bytes it will be whole, if that is known already.
    Incomplete(Option<usize>),
    /// Requests for another turn.
    Requests,
    /// Something that is not for the fast path.
    Other,
}

/// What became of the bytes that arrived.
pub(super) struct Answered {
    /// So many of them are answered.
    pub(super) bytes: usize,
    /// What the others are.
    pub(super) pending: Pending,
    /// When that was.
    pub(super) at: Instant,
    /// Whether the last answer announced that the connection is closed behind it.
    pub(super) closes: bool,
}

/// The longest `Host` that is remembered, in bytes: a name of DNS with a port is not longer.
const MAX_KNOWN_HOST_BYTES: usize = 264;

/// The buffers of a thread.
pub(super) struct Answerer {
    /// Answers to be sent.
    pub(super) output: Vec<u8>,
    /// Which of them wait until what they say is durable.
    pub(super) hold: Option<Hold>,
    /// Whether the server drains: answers announce that the connection is closed behind them. The event loop sets it once
    /// in each round, so that a request costs no look at memory that all threads share.
    pub(super) draining: bool,
    /// Whether what was kept is still being read: then the router refuses what cannot be answered yet. Set with `draining`.
    pub(super) recovering: bool,
    body: Vec<u8>,
    date: Date,
    /// The `Host` that was admitted last. Nearly all requests of a thread have the same, which is then not read again.
    known_host: Vec<u8>,
}

/// A request that goes to the router after all.
struct NotFast;

impl Answerer {
    pub(super) fn new() -> Self {
        Self {
            output: Vec::with_capacity(2 * OUTPUT_BYTES),
            hold: None,
            body: Vec::with_capacity(answer::MAX_BYTES),
            draining: false,
            recovering: false,
            known_host: Vec::with_capacity(MAX_KNOWN_HOST_BYTES),
            date: Date::new(Instant::now()),
        }
    }

    /// The `date` header's text at `now`, and the buffer that it is written to.
    pub(super) fn output_and_date(&mut self, now: Instant) -> (&mut Vec<u8>, &str) {
        (&mut self.output, self.date.at(now))
    }

    /// Answers the requests in `bytes` one after the other, until `output` is full or one is not for the fast path. They
    /// have waited since `arrived`.
    pub(super) fn answer(&mut self, app: &App, bytes: &[u8], arrived: Instant) -> Answered {
        let max_head_bytes = app.config.limits.header_bytes.min(HEAD_READ_BYTES);
        let wall_ms = app.wall_ms();
        let mut answered = Answered { bytes: 0, pending: Pending::Requests, at: arrived, closes: false };
        if self.recovering {
            answered.pending = Pending::Other;
            return answered;
        }
        while self.output.len() < OUTPUT_BYTES {
            let rest = &bytes[answered.bytes..];
            // Empty lines before a request are ignored (RFC 9112, section 2.2).
            if let [b'\r', b'\n', ..] = rest {
                answered.bytes += 2;
                if answered.bytes == bytes.len() {
                    answered.pending = Pending::Incomplete(None);
                    return answered;
                }
                continue;
            }
            let mut headers = head::fast_headers();
            let request = match head::read_fast(rest, max_head_bytes, &mut headers) {
                FastHead::Request(request) => request,
                FastHead::Incomplete(needed) => {
                    answered.pending = Pending::Incomplete(needed);
                    return answered;
                }
                FastHead::Other => {
                    answered.pending = Pending::Other;
                    return answered;
                }
            };
            let length = request.length;
            // Requests that came together are all answered; the announcement is the last one's.
            let closes = self.draining && is_blank(&rest[length..]);
            let Ok(at) = self.one(app, &request, (wall_ms, arrived), closes) else {
                answered.pending = Pending::Other;
                return answered;
            };
            answered.at = at;
            answered.bytes += length;
            if closes {
                return Answered { bytes: bytes.len(), pending: Pending::Incomplete(None), at, closes };
            }
            if answered.bytes == bytes.len() {
                answered.pending = Pending::Incomplete(None);
                return answered;
            }
        }
        answered
    }

    /// Answers one request; when that was done.
    fn one(
        &mut self,
        app: &App,
        request: &FastRequest,
        (wall_ms, started): (i64, Instant),
        closes: bool,
    ) -> Result<Instant, NotFast> {
        if let Action::Decision { customer, .. } = &request.action {
            // What is held of them is on its way from memory while the head of the answer is written.
            app.engine.prefetch(std::slice::from_ref(customer));
        }
        let new_id;
        let request_id = match request.request_id.filter(|id| is_request_id(id)) {
            Some(id) => id,
            None => {
                new_id = app.new_request_id();
                &new_id
            }
        };
        let exchange = Exchange { app, request_id, wall_ms, started, closes };
        let begun = self.output.len();
        let answered = catch_unwind(AssertUnwindSafe(|| self.admitted(&exchange, request)));
        answered.unwrap_or_else(|panic| {
            // What was written till then may be half an answer.
            self.output.truncate(begun);
            Ok(self.answer_panic(panic, &exchange, &request.action))
        })
    }

    /// Answers one request if the gate lets it pass.
    fn admitted(&mut self, exchange: &Exchange, request: &FastRequest) -> Result<Instant, NotFast> {
        let FastRequest { method, target, host, is_cross_site, headers, .. } = *request;
        // The router says so of larger ones.
        if let Action::Event(event) = request.action
            && event.len() > exchange.app.config.limits.event_bytes
        {
            return Err(NotFast);
        }
        let known_host = match host {
            HostLines::One(value) if value == self.known_host => HostLines::Known,
            host => host,
        };
        let facts = HeadFacts {
            listener: Listener::Data,
            method,
            target,
            is_http_10: false,
            authority: None,
            host: known_host,
            is_cross_site,
            headers: Headers::Parsed(headers),
        };
        let admitted = exchange.app.admit(&facts);
        if let (Ok(_), HostLines::One(value)) = (&admitted, known_host)
            && value.len() <= MAX_KNOWN_HOST_BYTES
        {
            self.known_host.clear();
            self.known_host.extend_from_slice(value);
        }
        match (admitted, &request.action) {
            (Ok(principal), Action::Decision { customer, ask, is_head }) => {
                let begun = self.output.len();
                let decided = self.decide(exchange, principal, customer, ask, *is_head);
                Ok(decided.unwrap_or_else(|not_kept| {
                    self.output.truncate(begun);
                    let problem = Problem::from(not_kept);
                    self.refuse_action(problem.into_response(), exchange, &request.action)
                }))
            }
            (Ok(principal), Action::Event(event)) => Ok(self.apply(exchange, principal, event)),
            (Err(problem), action) => Ok(self.refuse_action(problem.into_response(), exchange, action)),
        }
    }

    fn decide(
        &mut self,
        exchange: &Exchange,
        _principal: Principal,
        customer: &Id,
        ask: &Ask,
        is_head: bool,
    ) -> Result<Instant, NotKept> {
        let Exchange { app, wall_ms, started, .. } = *exchange;
        reply::begin_json_head(&mut self.output, exchange.request_id);
        let decision = app.engine.decide(customer, ask, wall_ms)?;
        self.body.clear();
        answer::write(&mut self.body, customer, &app.engine.running(), &decision);
        self.end_answer(exchange, !is_head);
        let now = Instant::now();
        app.metrics.decision_seconds.observe(now.saturating_duration_since(started));
        match &mut self.hold {
            None => app.metrics.count_decision_answered(),
            Some(hold) => hold.withheld.decisions += 1,
        }
        exchange.log(now, method_of_decision(is_head), metrics::DECISION_ROUTE, 200, None);
        Ok(now)
    }

    fn apply(&mut self, exchange: &Exchange, _principal: Principal, event: &[u8]) -> Instant {
        let Exchange { app, wall_ms, .. } = *exchange;
        app.metrics.count_body_bytes(event.len());
        let applied = events::apply_json(app, event, wall_ms);
        if let Some(barrier) = events::barrier(app, &applied) {
            // The first one is where the answers begin that wait, the last one is what they wait for.
            let (from, withheld) =
                self.hold.map_or((self.output.len(), Withheld::default()), |hold| (hold.from, hold.withheld));
            self.hold = Some(Hold { from, barrier, withheld });
        }
        let (status, problem) = match applied {
            Ok(report) => {
                self.body.clear();
                // Writing to memory does not fail.
                let _ = serde_json::to_writer(&mut self.body, &report);
                reply::begin_json_head(&mut self.output, exchange.request_id);
                self.end_answer(exchange, true);
                match &mut self.hold {
                    None => app.metrics.count_events_answered(),
                    Some(hold) => hold.withheld.events += 1,
                }
                (200, None)
            }
            Err(problem) => self.refuse(exchange, metrics::EVENTS_ROUTE, problem.into_response(), true),
        };
        let now = Instant::now();
        exchange.log(now, "POST", metrics::EVENTS_ROUTE, status, problem);
        now
    }

    /// Answers a request that panicked as the router would. The router itself must not have it: a decision may be
    /// counted and an event applied already.
    fn answer_panic(&mut self, panic: Box<dyn Any + Send>, exchange: &Exchange, action: &Action) -> Instant {
        self.refuse_action(observe::panicked(panic), exchange, action)
    }

    /// Answers a request with a problem.
    fn refuse_action(&mut self, response: Response, exchange: &Exchange, action: &Action) -> Instant {
        let (method, route, with_body) = match action {
            Action::Decision { is_head, .. } => {
                (method_of_decision(*is_head), metrics::DECISION_ROUTE, !is_head)
            }
            Action::Event(_) => ("POST", metrics::EVENTS_ROUTE, true),
        };
        let (status, problem) = self.refuse(exchange, route, response, with_body);
        let now = Instant::now();
        if route == metrics::DECISION_ROUTE {
            let elapsed = now.saturating_duration_since(exchange.started);
            exchange.app.metrics.decision_seconds.observe(elapsed);
        }
        exchange.log(now, method, route, status, problem);
        now
    }

    /// Ends a head that has begun, and appends the body.
    fn end_answer(&mut self, exchange: &Exchange, with_body: bool) {
        let date = self.date.at(exchange.started);
        Ending { date, body_length: self.body.len(), closes: exchange.closes }.write(&mut self.output);
        if with_body {
            self.output.extend_from_slice(&self.body);
        }
    }

    /// Writes and counts a problem; its status and kind.
    fn refuse(
        &mut self,
        exchange: &Exchange,
        route: &str,
        response: Response,
        with_body: bool,
    ) -> (u16, Option<Kind>) {
        let status = response.status().as_u16();
        let kind = response.extensions().get::<Kind>().copied();
        observe::count(exchange.app, route, status, kind);
        let date = self.date.at(exchange.started);
        let ending = (date, exchange.closes);
        reply::write_response(&mut self.output, response, exchange.request_id, ending, with_body);
        (status, kind)
    }
}

/// What is known of a request while it is answered.
struct Exchange<'a> {
    app: &'a App,
    request_id: &'a [u8],
    wall_ms: i64,
    started: Instant,
    /// Whether the connection is closed behind the answer.
    closes: bool,
}

impl Exchange<'_> {
    fn log(&self, now: Instant, method: &str, route: &str, status: u16, problem: Option<Kind>) {
        let elapsed = now.saturating_duration_since(self.started);
        observe::log(self.app, &Observed { id: self.request_id, method, route, status, elapsed, problem });
    }
}

/// Whether nothing but empty lines stands here, which are no request.
pub(super) fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

fn method_of_decision(is_head: bool) -> &'static str {
    if is_head { "HEAD" } else { "GET" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Format;
    use crate::tests::app;

    #[test]
    fn panic_is_answered_and_counted_once() {
        let app = app();
        let exchange =
            Exchange { app: &app, request_id: b"r", wall_ms: 0, started: Instant::now(), closes: false };
        let decision = |is_head| Action::Decision { customer: Id::Number(48), ask: Ask::default(), is_head };
        for (action, with_body) in
            [(decision(false), true), (decision(true), false), (Action::Event(b"{}"), true)]
        {
            let mut answerer = Answerer::new();
            answerer.answer_panic(Box::new("a secret"), &exchange, &action);
            let text = String::from_utf8(answerer.output).expect("text");
            let (head, body) = text.split_once("\r\n\r\n").expect("a head");
            assert!(head.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{head}");
            assert!(
                head.contains("\r\nx-request-id: r\r\n") && !head.contains("content-length: 0"),
                "{head}"
            );
            assert_eq!(body.contains("/problems/internal"), with_body, "{body}");
            assert!(!text.contains("secret"), "{text}");
        }
        let metrics = app.metrics.render(Format::Classic).expect("text");
        for line in [
            "upbeat_problems_total{type=\"internal\"} 3",
            "upbeat_http_requests_total{route=\"/should-show-ad/{customer}\",status=\"500\"} 2",
            "upbeat_http_requests_total{route=\"/events\",status=\"500\"} 1",
            "upbeat_decision_seconds_count 2",
        ] {
            assert!(metrics.contains(line), "{line} in {metrics}");
        }
    }
}
