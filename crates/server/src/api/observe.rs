//! The layer around every routed request: request id, gate, metrics, log line, and an answer when a handler panics.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::{Kind, Problem};
use crate::gate::{Admission, HeadFacts, Listener, Principal, is_request_id};
use crate::metrics::{DECISION_ROUTE, EVENTS_ROUTE, OTHER_ROUTE, RequestLabels};
use crate::runtime::{App, Barrier};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives the request an id, asks the gate, runs the route, counts and logs the answer.
pub(crate) async fn observe(
    State((app, listener)): State<(Arc<App>, Listener)>,
    mut request: Request,
    next: Next,
) -> Response {
    // An event loop has already asked the gate; hyper, on the admin listener, has not.
    let Admission { admitted, since } = match request.extensions_mut().remove::<Admission>() {
        Some(admission) => admission,
        None => {
            Admission { admitted: admit(&app, &HeadFacts::of(listener, &request)), since: Instant::now() }
        }
    };
    let request_id = request_id(&app, &request);
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or(OTHER_ROUTE, MatchedPath::as_str);

    let unavailable =
        admitted.is_ok().then(|| super::unavailable(&app, &method, request.uri().path())).flatten();
    let mut response = match admitted {
        Ok(_principal) => match unavailable {
            None => next.run(request).await,
            Some(problem) => problem.into_response(),
        },
        Err(problem) => problem.into_response(),
    };

    let elapsed = since.elapsed();
    let status = response.status().as_u16();
    if route == DECISION_ROUTE {
        response.extensions_mut().insert(DecisionSince(since));
    }
    let problem = response.extensions().get::<Kind>().copied();
    // One that waits for the log is counted once it is sent.
    let is_withheld =
        route == EVENTS_ROUTE && status == 200 && response.extensions().get::<Barrier>().is_some();
    if !is_withheld {
        count(&app, route, status, problem);
    }
    let id = request_id.as_bytes();
    log(&app, &Observed { id, method: method.as_str(), route, status, elapsed, problem });
    response.headers_mut().insert(REQUEST_ID, request_id);
    response
}

/// On the reply to a decision: since when it is waited for. The event loop observes the time once it has the reply, which
/// waits for its turn there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DecisionSince(pub(crate) Instant);

/// Asks the gate; a gate that panics has refused the request.
///
/// # Errors
/// The problem to answer with.
pub(crate) fn admit(app: &App, facts: &HeadFacts<'_>) -> Result<Principal, Problem> {
    catch_unwind(AssertUnwindSafe(|| app.admit(facts))).unwrap_or_else(|panic| Err(problem_of(&*panic)))
}

/// Counts a request by its route (or [`OTHER_ROUTE`]), its status and its problem.
pub(crate) fn count(app: &App, route: &str, status: u16, problem: Option<Kind>) {
    match (route, status) {
        (DECISION_ROUTE, 200) => app.metrics.count_decision_answered(),
        (EVENTS_ROUTE, 200) => app.metrics.count_events_answered(),
        _ => {
            app.metrics.requests.get_or_create(&RequestLabels { route: route.to_owned(), status }).inc();
        }
    }
    if let Some(kind) = problem {
        app.metrics.problems.get_or_create(&kind.into()).inc();
    }
}

/// An answered request, for its log line.
pub(crate) struct Observed<'a> {
    /// The request id.
    pub(crate) id: &'a [u8],
    /// The method.
    pub(crate) method: &'a str,
    /// The route's pattern, or `other`.
    pub(crate) route: &'a str,
    /// The status of the answer.
    pub(crate) status: u16,
    /// The time from the head of the request to the answer.
    pub(crate) elapsed: Duration,
    /// The kind of problem that was answered, if any.
    pub(crate) problem: Option<Kind>,
}

/// Logs a request: answers of 500 and above at `warn`, one of every `log.sample` requests at `info`, the others at
/// `debug`.
pub(crate) fn log(app: &App, observed: &Observed) {
    macro_rules! log_at {
        ($level:ident) => {
            if tracing::enabled!(tracing::Level::$level) {
                let Observed { method, route, status, .. } = *observed;
                let id = std::str::from_utf8(observed.id).unwrap_or_default();
                let elapsed_us = u64::try_from(observed.elapsed.as_micros()).unwrap_or(u64::MAX);
                let problem = observed.problem.map(Kind::slug);
                tracing::event!(
                    tracing::Level::$level,
                    id,
                    method,
                    route,
                    status,
                    elapsed_us,
                    problem,
                    "request"
                );
            }
        };
    }
    if observed.status >= 500 {
        log_at!(WARN);
    } else if app.is_sampled() {
        log_at!(INFO);
    } else {
        log_at!(DEBUG);
    }
}

/// The caller's request id if it is valid, otherwise a new one.
fn request_id(app: &App, request: &Request) -> HeaderValue {
    let sent = request.headers().get(REQUEST_ID);
    let valid = sent.filter(|value| is_request_id(value.as_bytes()));
    valid.cloned().unwrap_or_else(|| {
        HeaderValue::from_bytes(&app.new_request_id()).unwrap_or(HeaderValue::from_static("none"))
    })
}

/// The answer to a request whose handler panicked; the server continues.
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    problem_of(&*panic).into_response()
}

fn problem_of(panic: &(dyn Any + Send)) -> Problem {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!(message, "a handler panicked");
    Problem::new(Kind::Internal, "the server failed at this request and has logged why")
}
