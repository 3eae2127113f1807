//! Answering what has arrived: many requests in one go, into one buffer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use axum::response::IntoResponse;

use super::head::{self, Read, Request, What};
use super::reply::{self, Date, Ending};
use super::{INPUT_BYTES, OUTPUT_BYTES};
use crate::engine::Ask;
use crate::event::Id;
use crate::http::app::App;
use crate::http::observe::{self, Seen};
use crate::http::problem::Problem;
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
            let begun = self.output.len();
            // The router tells of a panic, and this connection has not said anything yet.
            let answered = catch_unwind(AssertUnwindSafe(|| self.one(app, &request, wall_ms, done.at)));
            let Ok(Ok(at)) = answered else {
                self.output.truncate(begun);
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
        let made_id;
        let request_id = match request.request_id.filter(|id| super::is_plain_id(id)) {
            Some(id) => id,
            None => {
                made_id = app.new_request_id();
                &made_id
            }
        };
        match &request.what {
            What::Decision { customer, ask, is_head } => {
                self.decide(app, customer, ask, wall_ms);
                self.write_answer(request_id, started, !is_head);
                let now = Instant::now();
                app.metrics.decision_seconds.observe(now - started);
                app.metrics.decisions_answered.inc();
                let method = if *is_head { "HEAD" } else { "GET" };
                let route = metrics::DECISION_ROUTE;
                let seen = Seen {
                    id: request_id,
                    method,
                    route,
                    status: 200,
                    elapsed: now - started,
                    problem: None,
                };
                observe::log(app, &seen);
                Ok(now)
            }
            What::Event(event) => self.apply(app, event, request_id, wall_ms, started),
        }
    }

    fn decide(&mut self, app: &App, customer: &Id, ask: &Ask, wall_ms: i64) {
        let decision = app.engine.decide(customer, ask, wall_ms);
        self.body.clear();
        answer::write(&mut self.body, customer, &app.engine.settings().campaign.id, &decision);
    }

    fn apply(
        &mut self,
        app: &App,
        event: &[u8],
        request_id: &[u8],
        wall_ms: i64,
        started: Instant,
    ) -> Result<Instant, NotHere> {
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
                self.write_answer(request_id, started, true);
                app.metrics.events_answered.inc();
                (200, None)
            }
            Err(problem) => {
                let (status, kind) = self.refuse(problem, request_id, started);
                observe::count(app, metrics::EVENTS_ROUTE, status, Some(kind));
                (status, Some(kind))
            }
        };
        let now = Instant::now();
        let route = metrics::EVENTS_ROUTE;
        let elapsed = now - started;
        observe::log(app, &Seen { id: request_id, method: "POST", route, status, elapsed, problem });
        Ok(now)
    }

    fn write_answer(&mut self, request_id: &[u8], now: Instant, with_body: bool) {
        let ending = Ending { request_id, date: self.date.at(now), body_length: self.body.len() };
        reply::write_json_head(&mut self.output, &ending);
        if with_body {
            self.output.extend_from_slice(&self.body);
        }
    }

    fn refuse(
        &mut self,
        problem: Problem,
        request_id: &[u8],
        now: Instant,
    ) -> (u16, crate::http::problem::Kind) {
        let kind = problem.kind();
        let response = problem.into_response();
        reply::write_response(&mut self.output, response, request_id, self.date.at(now));
        (kind.status().as_u16(), kind)
    }
}
