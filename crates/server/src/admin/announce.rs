//! Answers of a server that is about to stop announce that their connection is closed.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use crate::runtime::App;

/// While the server drains, every answer says `connection: close`, and hyper closes behind it: a client that is told so
/// sends its next request elsewhere, and none on a connection that is being closed.
pub(super) async fn announce_close(State(app): State<Arc<App>>, mut response: Response) -> Response {
    if app.is_draining() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
