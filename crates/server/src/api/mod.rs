//! The data listener's routes: thin handlers around plain calls, and the form of every error.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod content;
mod decisions;
mod event_line;
pub(crate) mod events;
pub(crate) mod explained;
pub(crate) mod extract;
pub(crate) mod health;
pub(crate) mod observe;
pub(crate) mod problem;
mod refused_rows;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, Request};
use axum::routing::{get, post};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use upbeat_engine::{LogRefusal, LogState};

pub(crate) use body::collect_for_admin;
pub use event_line::{event_line, id_value};
pub(crate) use problem::Place;
pub use problem::{Kind, Problem};
pub(crate) use refused_rows::RefusedRows;

use crate::gate::Listener;
use crate::runtime::App;

/// Routes of the data listener.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let routes = Router::new()
        .route("/should-show-ad/{customer}", get(decisions::one))
        .route("/events", post(events::post))
        .route("/decisions", post(decisions::batch))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz));
    with_layers(routes, app, Listener::Data)
}

/// The longest body that the route of a request accepts, in bytes. `None` if it accepts none, or refuses the request by
/// its head; then the event loop does not wait for the body.
///
/// Handlers call the same functions, so both interpret a head in the same way.
pub(crate) fn body_limit(app: &App, head: &Request<()>) -> Option<usize> {
    match (head.method(), head.uri().path()) {
        (&Method::POST, "/events") => {
            Some(events::Plan::of(app, head.uri(), head.headers()).ok()?.body_limit)
        }
        (&Method::POST, "/decisions") => {
            decisions::BatchPlan::of(app, head.uri(), head.headers()).ok().map(|plan| plan.body_limit)
        }
        _ => None,
    }
}

/// Why a request cannot be answered now, whatever it says: what was kept is still being read, or the log takes no events. Asked
/// by its head, so that no body is read for it.
pub(crate) fn unavailable(app: &App, method: &Method, path: &str) -> Option<Problem> {
    const ALWAYS: [&str; 5] = ["/healthz", "/readyz", "/metrics", "/openapi.yaml", "/"];
    if app.recovery().is_under_way() && !ALWAYS.contains(&path) {
        let progress = app.recovery().progress();
        let detail =
            format!("the server is starting: {progress}; send this request again when /readyz answers 200");
        app.engine.count_log_refusal(LogRefusal::Recovering);
        return Some(Problem::new(Kind::NotReady, detail));
    }
    if path != "/events" || method != Method::POST {
        return None;
    }
    let (cause, detail) = match app.durability().log_state() {
        LogState::Off | LogState::Accepting => {
            if !app.durability().is_backed_up() {
                return None;
            }
            let detail = "more waits for the disk of the log than there is room for, and nothing was applied; send this request \
                          again in a second";
            (LogRefusal::Backlog, detail)
        }
        state @ (LogState::Reserve | LogState::Full) => {
            let detail =
                "the disk of the log is full, and nothing was applied; send this request again in a second";
            (LogRefusal::of(state), detail)
        }
        LogState::Failed => {
            let detail =
                "the log has failed, and nothing was applied; send this request again after the next start";
            (LogRefusal::Failed, detail)
        }
    };
    app.engine.count_log_refusal(cause);
    Some(Problem::new(Kind::LogUnavailable, detail))
}

/// Adds the layers that every route has, from the outside in: request id, gate, metrics and log; then catching panics.
pub(crate) fn with_layers(routes: Router<Arc<App>>, app: &Arc<App>, listener: Listener) -> Router {
    let state = (Arc::clone(app), listener);
    routes
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(
            ServiceBuilder::new()
                .layer(axum::middleware::from_fn_with_state(state, observe::observe))
                .layer(CatchPanicLayer::custom(observe::panicked)),
        )
        .with_state(Arc::clone(app))
}

async fn not_found() -> Problem {
    let detail =
        "there is nothing at this path on this listener; GET /openapi.yaml on the admin listener lists them";
    Problem::new(Kind::NotFound, detail)
}

async fn method_not_allowed(method: Method) -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        format!("{method} is not allowed here; the Allow header says what is"),
    )
}

#[cfg(test)]
mod tests;
