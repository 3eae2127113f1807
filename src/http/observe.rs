//! Round every request: its id, its counts, its log line, and an answer where a handler panics.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::metrics::{DECISION_ROUTE, ProblemLabels, RequestLabels};
use super::problem::{Kind, Problem};
use crate::event::Id;

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
        app.metrics.decision_seconds.observe(elapsed.as_secs_f64());
    }
    if route == DECISION_ROUTE && status == 200 {
        app.metrics.decisions_answered.inc();
    } else {
        app.metrics.requests.get_or_create(&RequestLabels { route: route.to_owned(), status }).inc();
    }
    let problem = response.extensions().get::<Kind>().copied();
    if let Some(kind) = problem {
        app.metrics.problems.get_or_create(&ProblemLabels { r#type: kind.slug() }).inc();
    }
    let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    let problem = problem.map(Kind::slug);
    let id = request_id.to_str().unwrap_or_default();
    if status >= 500 {
        tracing::warn!(id, %method, route, status, elapsed_us, problem, "request");
    } else {
        tracing::debug!(id, %method, route, status, elapsed_us, problem, "request");
    }
    response.headers_mut().insert(REQUEST_ID, request_id);
    response
}

/// The caller's id if it is one, else a new one.
fn request_id(app: &App, request: &Request) -> HeaderValue {
    let brought = request.headers().get(REQUEST_ID);
    let valid = brought.filter(|value| value.to_str().is_ok_and(|text| Id::parse(text).is_ok()));
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
