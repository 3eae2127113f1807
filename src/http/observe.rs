//! Round every request: its id, its counts, its log line, and an answer where a handler panics.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::fast::is_plain_id;
use super::metrics::{DECISION_ROUTE, EVENTS_ROUTE, ProblemLabels, RequestLabels};
use super::problem::{Kind, Problem};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives the request an id, counts it, logs it.
pub(super) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = request_id(&app, &request);
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("other", MatchedPath::as_str);

    let mut response = next.run(super::linger::keep_reading(request)).await;

    let elapsed = started.elapsed();
    let status = response.status().as_u16();
    if route == DECISION_ROUTE {
        app.metrics.decision_seconds.observe(elapsed);
    }
    let problem = response.extensions().get::<Kind>().copied();
    count(&app, route, status, problem);
    let id = request_id.as_bytes();
    log(&app, &Seen { id, method: method.as_str(), route, status, elapsed, problem });
    response.headers_mut().insert(REQUEST_ID, request_id);
    response
}

/// Counts a request by its route (or `other`), its status and its problem.
pub(super) fn count(app: &App, route: &str, status: u16, problem: Option<Kind>) {
    match (route, status) {
        (DECISION_ROUTE, 200) => app.metrics.decisions_answered.inc(),
        (EVENTS_ROUTE, 200) => app.metrics.events_answered.inc(),
        _ => app.metrics.requests.get_or_create(&RequestLabels { route: route.to_owned(), status }).inc(),
    };
    if let Some(kind) = problem {
        app.metrics.problems.get_or_create(&ProblemLabels { r#type: kind.slug() }).inc();
    }
}

/// A request that was answered, for its line in the log.
pub(super) struct Seen<'a> {
    /// Its id.
    pub(super) id: &'a [u8],
    /// Its method.
    pub(super) method: &'a str,
    /// The route's pattern, or `other`.
    pub(super) route: &'a str,
    /// The status of the answer.
    pub(super) status: u16,
    /// From the head of the request to the answer.
    pub(super) elapsed: Duration,
    /// What was wrong, if something was.
    pub(super) problem: Option<Kind>,
}

/// Logs a request: what failed as a warning, one of so many as `log.sample` says for all to see, the others for those
/// who debug.
pub(super) fn log(app: &App, seen: &Seen) {
    macro_rules! tell {
        ($level:ident) => {
            if tracing::enabled!(tracing::Level::$level) {
                let Seen { method, route, status, .. } = *seen;
                let id = std::str::from_utf8(seen.id).unwrap_or_default();
                let elapsed_us = u64::try_from(seen.elapsed.as_micros()).unwrap_or(u64::MAX);
                let problem = seen.problem.map(Kind::slug);
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
    if seen.status >= 500 {
        tell!(WARN);
    } else if app.is_sampled() {
        tell!(INFO);
    } else {
        tell!(DEBUG);
    }
}

/// The caller's id if it is one, else a new one.
fn request_id(app: &App, request: &Request) -> HeaderValue {
    let brought = request.headers().get(REQUEST_ID);
    let valid = brought.filter(|value| is_plain_id(value.as_bytes()));
    valid.cloned().unwrap_or_else(|| {
        HeaderValue::from_bytes(&app.new_request_id()).unwrap_or(HeaderValue::from_static("none"))
    })
}

/// What a panic in a handler is answered with; the server lives on.
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!(message, "a handler panicked");
    Problem::new(Kind::Internal, "the server failed at this request and has logged why").into_response()
}
