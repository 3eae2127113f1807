//! `/healthz` and `/readyz`: liveness and readiness.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::json as object;

use super::content::json;
use super::extract::{CheckedQuery, NoQuery};
use super::problem::{Kind, Problem};
use crate::runtime::App;

/// `GET /healthz`: 200 as long as the process answers.
pub(crate) async fn healthz(CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>) -> Response {
    json(&object!({"status": "alive"}))
}

/// `GET /readyz`: 200 unless the server is draining or an event loop has failed. The configured model is loaded before the listeners open.
pub(crate) async fn readyz(
    State(app): State<Arc<App>>,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Result<Response, Problem> {
    if app.is_draining() {
        return Err(Problem::new(Kind::NotReady, "the server is stopping; ask another one"));
    }
    if app.has_failed_loop() {
        let detail =
            "an event loop of this server failed, and the others do its work; start the server again";
        return Err(Problem::new(Kind::NotReady, detail));
    }
    Ok(json(&object!({"status": "ready"})))
}
