//! `/healthz` and `/readyz`: alive, and ready to be asked.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::json as object;

use super::app::App;
use super::content::json;
use super::extract::{CheckedQuery, NoQuery};
use super::problem::{Kind, Problem};

/// The process answers.
pub(super) async fn healthz(CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>) -> Response {
    json(&object!({"status": "alive"}))
}

/// Ready to be asked: the model that was configured is loaded (before the listeners open) and no stop is under way.
pub(super) async fn readyz(
    State(app): State<Arc<App>>,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Result<Response, Problem> {
    if app.is_draining() {
        return Err(Problem::new(Kind::NotReady, "the server is stopping; ask another one"));
    }
    Ok(json(&object!({"status": "ready"})))
}
