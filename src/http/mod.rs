//! The server: two listeners, one app.

pub mod app;

mod admin;
mod answer;
mod body;
mod connection;
mod content;
mod customers;
mod decisions;
mod events;
mod extract;
mod fast;
mod forgetting;
mod health;
mod latency;
mod linger;
mod metrics;
mod observe;
mod priority;
mod problem;
mod rewound;
mod workers;

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

pub use admin::OPENAPI_YAML;
pub use app::App;
pub use metrics::LOG_LINES_DROPPED;

use connection::Plane;
use problem::{Kind, Problem};
use workers::Workers;

/// The sockets to serve on.
pub struct Listeners {
    /// Decisions, events, health.
    pub data: TcpListener,
    /// Metrics, profiles, models.
    pub admin: TcpListener,
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every accepted request was answered.
    Clean,
    /// The deadline passed with requests still open.
    Cut,
}

/// Serves until `shutdown` resolves, then drains: `/readyz` says no, accepted requests finish, and after the
/// configured deadline what is still open is cut.
///
/// Decisions and single events are answered on threads of their own, as many as the configuration's `workers`; all else
/// on the runtime that this is called on.
///
/// # Errors
/// The threads cannot be started.
pub async fn run(
    listeners: Listeners,
    app: Arc<App>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<Stopped> {
    let plane = Plane::new("data", &app, data_router(&app));
    let go_on = {
        let (plane, runtime) = (Arc::clone(&plane), Handle::current());
        move |end, admission| plane.go_on(&runtime, end, admission)
    };
    // Dropping them cuts what is still open, so they live as long as this function.
    let workers = Arc::new(Workers::start(&app, go_on)?);
    let (stop, stopping) = watch::channel(false);
    let accept = |listener, plane, workers| {
        tokio::spawn(connection::accept(listener, plane, workers, stopping.clone()))
    };
    let data = accept(listeners.data, plane, Some(Arc::clone(&workers)));
    let admin = accept(listeners.admin, Plane::new("admin", &app, admin_router(&app)), None);
    drop(stopping);
    let forgetting = tokio::spawn(forgetting::forget_silent_customers(Arc::clone(&app)));

    shutdown.await;
    forgetting.abort();
    app.start_draining();
    tracing::info!(drain = %app.config.shutdown.drain, "stopping: no longer ready");
    tokio::time::sleep(app.config.shutdown.drain.get()).await;
    // Every connection holds a receiver, and drops it when it ends.
    stop.send_replace(true);
    for loop_ in [data, admin] {
        if let Err(error) = loop_.await {
            tracing::error!(%error, "an accept loop failed");
        }
    }
    // No connection comes after this word.
    workers.stop();
    match tokio::time::timeout(app.config.shutdown.deadline.get(), stop.closed()).await {
        Ok(()) => Ok(Stopped::Clean),
        Err(_) => Ok(Stopped::Cut),
    }
}

/// Routes of the data plane.
fn data_router(app: &Arc<App>) -> Router {
    let routes = Router::new()
        .route("/should-show-ad/{customer}", get(decisions::one))
        .route("/events", post(events::post))
        .route("/decisions", post(decisions::batch))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz));
    with_layers(routes, app)
}

/// Routes of the control plane.
fn admin_router(app: &Arc<App>) -> Router {
    let routes = Router::new()
        .route("/", get(admin::index))
        .route("/metrics", get(admin::metrics))
        .route("/openapi.yaml", get(admin::openapi))
        .route("/models", get(admin::models))
        .route("/campaigns", get(admin::campaigns))
        .route("/tracks/{id}", get(admin::track))
        .route("/customers/{id}", get(customers::get).delete(customers::delete))
        .route("/customers/{id}/explain", get(customers::explain));
    with_layers(routes, app)
}

/// What every route has around it: from outside in, request id and counting, panics caught.
fn with_layers(routes: Router<Arc<App>>, app: &Arc<App>) -> Router {
    routes
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(
            ServiceBuilder::new()
                .layer(axum::middleware::from_fn_with_state(Arc::clone(app), observe::observe))
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
