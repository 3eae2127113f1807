//! The admin listener's routes: metrics, health, contract, models, campaigns, tracks, customers, interests,
//! tombstones, backups, index.

mod announce;
mod backups;
mod campaigns;
mod customers;
mod history;
mod interests;
mod linger;
mod models;
mod retraining;
mod tombstones;

#[cfg(test)]
pub(crate) use linger::keep_reading;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post, put};
use http_body_util::BodyExt;
use serde::Serialize;
use upbeat_core::catalogue::Track;
use upbeat_engine::LogState;

use crate::api::content::json;
use crate::api::extract::{CheckedQuery, NoQuery, TrackId};
use crate::api::{Kind, Problem, health, with_layers};
use crate::gate::Listener;
use crate::metrics::Format;
use crate::runtime::{App, state_name};

/// The HTTP contract of both listeners, from the repository.
pub const OPENAPI_YAML: &str = include_str!("../../../../openapi.yaml");

/// Routes of the admin listener.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let routes = Router::new()
        .route("/", get(index))
        // Here, too: connections of a data listener that was passed wait while what was kept is read.
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics))
        .route("/openapi.yaml", get(openapi))
        .route("/models", get(models::list))
        .route("/models/{model}", put(models::upload))
        .route("/models/{model}/promote", post(models::promote))
        .route("/retrain", post(retraining::begin))
        .route("/retrain/{job}", get(retraining::get).delete(retraining::cancel))
        .route("/campaigns", get(campaigns::get).put(campaigns::put))
        .route("/campaigns/history", get(campaigns::history))
        .route("/campaigns/{campaign}/report", get(campaigns::report))
        .route("/tracks/{track}", get(track))
        .route("/interests", get(interests::get))
        .route("/tombstones", get(tombstones::get))
        .route("/backups", post(backups::begin))
        .route("/backups/{backup}", get(backups::get).delete(backups::end))
        .route("/backups/{backup}/{file}", get(backups::read))
        .route("/customers/{customer}", get(customers::get).delete(customers::delete))
        .route("/customers/{customer}/explain", get(customers::explain))
        .route("/customers/{customer}/events", get(history::get));
    let routes = routes.layer(from_fn_with_state(Arc::clone(app), hold_answer));
    let announce = map_response_with_state(Arc::clone(app), announce::announce_close);
    with_layers(routes, app, Listener::Admin).layer(from_fn(linger::keep_reading)).layer(announce)
}

/// Has a large answer hold its share of the memory of answers until its last byte is sent; hyper keeps the bytes as they
/// are until then.
async fn hold_answer(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    /// Smaller ones are bounded by the number of connections.
    const SMALL_BYTES: usize = 4 << 10;
    let (parts, body) = next.run(request).await.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Problem::new(Kind::Internal, error.to_string()).into_response(),
    };
    if body.len() <= SMALL_BYTES {
        return Response::from_parts(parts, Body::from(body));
    }
    match app.response_memory().try_take_for_admin(body.len()) {
        Some(permit) => Response::from_parts(parts, Body::from(permit.hold(body))),
        None => app.no_room_for_answer().into_response(),
    }
}

/// `GET /`: the index of the admin listener.
async fn index(CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>) -> Html<&'static str> {
    Html(include_str!("index.html"))
}

/// `GET /metrics`: metrics in the text format that `Accept` asks for.
async fn metrics(
    State(app): State<Arc<App>>,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let format = Format::accepted_by(&headers);
    let durability = app.durability();
    let state = if app.recovery().is_under_way() { "recovering" } else { state_name(durability.log_state()) };
    app.metrics.journal.sample_state(state);
    // Without a log there is nothing to tell, and of one that has failed nobody knows how far behind it is.
    if !matches!(durability.log_state(), LogState::Off | LogState::Failed) {
        app.metrics.journal.sample_lag(durability.lag());
    }
    let text = app.metrics.render(format).map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
    // Caches of one format must not answer for the other.
    let headers = [(header::CONTENT_TYPE, format.content_type()), (header::VARY, "accept")];
    Ok((headers, text).into_response())
}

/// `GET /openapi.yaml`: the contract.
async fn openapi(CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>) -> Response {
    ([(header::CONTENT_TYPE, "application/yaml")], OPENAPI_YAML).into_response()
}

#[derive(Serialize)]
struct TrackView {
    track_id: upbeat_core::event::Id,
    #[serde(flatten)]
    track: Track,
}

/// `GET /tracks/{track}`: one track of the catalogue.
async fn track(
    State(app): State<Arc<App>>,
    TrackId(id): TrackId,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Result<Response, Problem> {
    let track = app.engine.track(&id);
    let track = track.ok_or_else(|| Problem::new(Kind::TrackNotFound, format!("track {id} is not known")))?;
    Ok(json(&TrackView { track_id: id, track }))
}
