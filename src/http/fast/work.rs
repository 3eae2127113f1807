//! Answering what has arrived: many requests in one go, into one buffer.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use axum::response::{IntoResponse, Response};

use super::head::{self, Read, Request, What};
use super::reply::{self, Date, Ending};
use super::{INPUT_BYTES, OUTPUT_BYTES};
use crate::engine::Ask;
use crate::event::Id;
use crate::http::app::App;
use crate::http::observe::{self, Seen};
use crate::http::problem::Kind;
use crate::http::{answer, events, metrics};

/// What bytes that were not answered are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// The beginning of a request, or nothing; with so many bytes it will be whole, if that is known already.
    Incomplete(Option<usize>),
    /// Requests for another turn.
    Requests,
    /// A request for the router.
    ForTheRouter,
}

/// What became of the bytes that arrived.
pub(super) struct Done {
    /// So many of them are answered.
    pub(super) bytes: usize,
    /// What the others are.
    pub(super) left: Left,
    /// When that was.
    pub(super) at: Instant,
}

/// The buffers of a thread.
pub(super) struct Answerer {
    /// Answers to be sent.
    pub(super) output: Vec<u8>,
    body: Vec<u8>,
    date: Date,
}

/// A request that goes to the router after all.
struct NotHere;

impl Answerer {
    pub(super) fn new() -> Self {
        Self {
            output: Vec::with_capacity(2 * OUTPUT_BYTES),
            body: Vec::with_capacity(answer::MAX_BYTES),
            date: Date::new(Instant::now()),
        }
    }

    /// Answers the requests in `bytes` one after the other, until `output` is full or one is not for here.
    pub(super) fn answer(&mut self, app: &App, bytes: &[u8]) -> Done {
        let max_head_bytes = app.config.limits.header_bytes.min(INPUT_BYTES);
        let wall_ms = app.wall_ms();
        let mut done = Done { bytes: 0, left: Left::Requests, at: Instant::now() };
        while self.output.len() < OUTPUT_BYTES {
            let rest = &bytes[done.bytes..];
            let request = match head::read(rest, max_head_bytes) {
                Read::Request(request) => request,
                Read::Incomplete(needed) => {
                    done.left = Left::Incomplete(needed);
                    return done;
                }
                Read::Other => {
                    done.left = Left::ForTheRouter;
                    return done;
                }
            };
            let length = request.length;
            let Ok(at) = self.one(app, &request, wall_ms, done.at) else {
                done.left = Left::ForTheRouter;
                return done;
            };
            done.at = at;
            done.bytes += length;
            if done.bytes == bytes.len() {
                done.left = Left::Incomplete(None);
                return done;
            }
        }
        done
    }

    /// Answers one request, and tells when that was done.
    fn one(
        &mut self,
        app: &App,
        request: &Request,
        wall_ms: i64,
        started: Instant,
    ) -> Result<Instant, NotHere> {
        if let What::Decision { customer, .. } = &request.what {
            // What is held of them is on its way from memory while the head of the answer is written.
            app.engine.prefetch(customer);
        }
        let made_id;
        let request_id = match request.request_id.filter(|id| super::is_plain_id(id)) {
            Some(id) => id,
            None => {
                made_id = app.new_request_id();
                &made_id
            }
        };
        let turn = Turn { app, request_id, wall_ms, started };
        let begun = self.output.len();
        let answered = catch_unwind(AssertUnwindSafe(|| match &request.what {
            What::Decision { customer, ask, is_head } => Ok(self.decide(&turn, customer, ask, *is_head)),
            What::Event(event) => self.apply(&turn, event),
        }));
        answered.unwrap_or_else(|panic| {
            // What was written till then may be half an answer.
            self.output.truncate(begun);
            Ok(self.tell_of(panic, &turn, &request.what))
        })
    }

    fn decide(&mut self, turn: &Turn, customer: &Id, ask: &Ask, is_head: bool) -> Instant {
        let Turn { app, wall_ms, started, .. } = *turn;
        reply::begin_json_head(&mut self.output, turn.request_id);
        let decision = app.engine.decide(customer, ask, wall_ms);
        self.body.clear();
        answer::write(&mut self.body, customer, &app.engine.settings().campaign.id, &decision);
        self.end_answer(turn, !is_head);
        let now = Instant::now();
        app.metrics.decision_seconds.observe(now - started);
        app.metrics.decisions_answered.inc();
        turn.log(now, method_of_decision(is_head), metrics::DECISION_ROUTE, 200, None);
        now
    }

    fn apply(&mut self, turn: &Turn, event: &[u8]) -> Result<Instant, NotHere> {
        let Turn { app, wall_ms, .. } = *turn;
        // Larger ones are told so by the router.
        if event.len() > app.config.limits.event_bytes {
            return Err(NotHere);
        }
        app.metrics.body_bytes.inc_by(event.len() as u64);
        let (status, problem) = match events::apply_json(app, event, wall_ms) {
            Ok(report) => {
                self.body.clear();
                // Writing to memory does not fail.
                let _ = serde_json::to_writer(&mut self.body, &report);
                reply::begin_json_head(&mut self.output, turn.request_id);
                self.end_answer(turn, true);
                app.metrics.events_answered.inc();
                (200, None)
            }
            Err(problem) => self.refuse(turn, metrics::EVENTS_ROUTE, problem.into_response(), true),
        };
        let now = Instant::now();
        turn.log(now, "POST", metrics::EVENTS_ROUTE, status, problem);
        Ok(now)
    }

    /// Answers a request that panicked as the router would. The router itself must not have it: a decision may be
    /// counted and an event applied already.
    fn tell_of(&mut self, panic: Box<dyn Any + Send>, turn: &Turn, what: &What) -> Instant {
        let (method, route, with_body) = match what {
            What::Decision { is_head, .. } => {
                (method_of_decision(*is_head), metrics::DECISION_ROUTE, !is_head)
            }
            What::Event(_) => ("POST", metrics::EVENTS_ROUTE, true),
        };
        let (status, problem) = self.refuse(turn, route, observe::panicked(panic), with_body);
        let now = Instant::now();
        if route == metrics::DECISION_ROUTE {
            turn.app.metrics.decision_seconds.observe(now - turn.started);
        }
        turn.log(now, method, route, status, problem);
        now
    }

    /// Ends a head that has begun, and appends the body.
    fn end_answer(&mut self, turn: &Turn, with_body: bool) {
        let date = self.date.at(turn.started);
        Ending { date, body_length: self.body.len() }.write(&mut self.output);
        if with_body {
            self.output.extend_from_slice(&self.body);
        }
    }

    /// Writes and counts a problem, and gives back its status and kind.
    fn refuse(
        &mut self,
        turn: &Turn,
        route: &str,
        response: Response,
        with_body: bool,
    ) -> (u16, Option<Kind>) {
        let status = response.status().as_u16();
        let kind = response.extensions().get::<Kind>().copied();
        observe::count(turn.app, route, status, kind);
        let date = self.date.at(turn.started);
        reply::write_response(&mut self.output, response, turn.request_id, date, with_body);
        (status, kind)
    }
}

/// What is known of a request while it is answered.
struct Turn<'a> {
    app: &'a App,
    request_id: &'a [u8],
    wall_ms: i64,
    started: Instant,
}

impl Turn<'_> {
    fn log(&self, now: Instant, method: &str, route: &str, status: u16, problem: Option<Kind>) {
        let elapsed = now - self.started;
        observe::log(self.app, &Seen { id: self.request_id, method, route, status, elapsed, problem });
    }
}

fn method_of_decision(is_head: bool) -> &'static str {
    if is_head { "HEAD" } else { "GET" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::app;

    #[test]
    fn a_panic_is_answered_and_counted_once() {
        let app = app();
        let turn = Turn { app: &app, request_id: b"r", wall_ms: 0, started: Instant::now() };
        let decision = |is_head| What::Decision { customer: Id::Number(48), ask: Ask::default(), is_head };
        for (what, with_body) in
            [(decision(false), true), (decision(true), false), (What::Event(b"{}"), true)]
        {
            let mut answerer = Answerer::new();
            answerer.tell_of(Box::new("a secret"), &turn, &what);
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
        let metrics = app.metrics.render().expect("text");
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
