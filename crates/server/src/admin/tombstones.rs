//! `/tombstones` on the admin listener: who was erased, as a file that a restored backup needs.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use upbeat_engine::tombstones::file;

use crate::api::extract::{CheckedQuery, NoQuery};
use crate::api::{Kind, Problem};
use crate::runtime::App;

/// `GET /tombstones`: the file of all tombstones.
pub(super) async fn get(
    State(app): State<Arc<App>>,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Result<Response, Problem> {
    // To sort a million takes a tenth of a second, for which this thread has other requests.
    let write = move || {
        let engine = &app.engine;
        file::write(&engine.server_fingerprint(), app.wall_ms(), &engine.tombstones())
    };
    let written = tokio::task::spawn_blocking(write).await;
    let text = written.map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}
