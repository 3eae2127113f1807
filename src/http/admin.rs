//! The smaller resources of the admin listener: metrics, contract, models, campaigns, tracks, index.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;

use super::app::App;
use super::content::json;
use super::extract::{CheckedQuery, NoQuery, TrackId};
use super::problem::{Kind, Problem};
use crate::campaign::Campaign;
use crate::engine::Track;
use crate::feature::FEATURE_NAMES;
use crate::profile::Window;

/// The contract, as it stands in the repository.
pub const OPENAPI_YAML: &str = include_str!("../../openapi.yaml");

/// Where to look.
pub(super) async fn index(CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>) -> Html<&'static str> {
    Html(include_str!("index.html"))
}

/// Metrics in the OpenMetrics text format.
pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Result<Response, Problem> {
    let text = app.metrics.render().map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}

/// The contract.
pub(super) async fn openapi(CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>) -> Response {
    ([(header::CONTENT_TYPE, "application/yaml")], OPENAPI_YAML).into_response()
}

#[derive(Serialize)]
struct Models {
    models: Vec<ModelView>,
}

#[derive(Serialize)]
struct ModelView {
    id: String,
    role: &'static str,
    kernel: &'static str,
    support_vectors: usize,
    window: Window,
    features: [&'static str; FEATURE_NAMES.len()],
    calibrated: bool,
}

/// The models loaded.
pub(super) async fn models(
    State(app): State<Arc<App>>,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Response {
    let view = app.engine.champion().map(|champion| ModelView {
        id: champion.id.to_string(),
        role: "champion",
        kernel: champion.model.parts().machine.kernel().name(),
        support_vectors: champion.model.parts().machine.support_vectors(),
        window: champion.model.window(),
        features: FEATURE_NAMES,
        calibrated: champion.scorer.probability(0.0).is_some(),
    });
    json(&Models { models: view.into_iter().collect() })
}

#[derive(Serialize)]
struct Campaigns<'a> {
    campaigns: [&'a Campaign; 1],
}

/// The campaigns that run.
pub(super) async fn campaigns(
    State(app): State<Arc<App>>,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Response {
    json(&Campaigns { campaigns: [&app.engine.settings().campaign] })
}

#[derive(Serialize)]
struct TrackView {
    track_id: crate::event::Id,
    #[serde(flatten)]
    track: Track,
}

/// One track of the catalogue.
pub(super) async fn track(
    State(app): State<Arc<App>>,
    TrackId(id): TrackId,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Result<Response, Problem> {
    let track = app.engine.track(&id);
    let track =
        track.ok_or_else(|| Problem::new(Kind::TrackNotFound, format!("track {id} was never told")))?;
    Ok(json(&TrackView { track_id: id, track }))
}
