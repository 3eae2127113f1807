//! What a connection may ask for: everything, or health alone where there is no room for another connection.

use std::sync::LazyLock;
use std::time::Duration;

use super::dispatch;
use super::head::RoutedHead;
use crate::api::problem::PROBLEM_JSON;
use crate::api::{self, Kind, Problem};
use crate::gate::Principal;
use crate::runtime::App;

/// What a connection may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything, as often as it likes.
    Everything,
    /// Health, once. Such a connection is one more than there is room for: whoever watches over the server must not take a
    /// server that is full for one that is dead. Any other request is answered 503.
    Health,
}

/// A connection for health alone that has not asked by then is told that it is one too many.
pub(super) const TIME_TO_ASK: Duration = Duration::from_secs(1);

/// Why a connection is refused.
const TOO_MANY: &str = "as many connections are open as limits.connections or the limit on open files allows; keep \
                        connections alive and share them";

/// The answer to a connection that is one too many and has not asked for anything.
pub(crate) static TOO_MANY_CONNECTIONS: LazyLock<String> = LazyLock::new(|| {
    let body = format!(
        "{{\"type\":\"/problems/overloaded\",\"title\":\"The server is busy\",\"status\":503,\"detail\":\"{TOO_MANY}\"}}"
    );
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {}\r\n\
         retry-after: 1\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
});

impl Scope {
    /// Asks the gate about the head of a request for the router, and whether the connection may ask for it.
    pub(super) fn admit(self, app: &App, head: &RoutedHead) -> Result<Principal, Problem> {
        let principal = dispatch::admit(app, head)?;
        let path = head.request.uri().path();
        if let Some(problem) = api::unavailable(app, head.request.method(), path) {
            return Err(problem);
        }
        let is_health = matches!(path, "/healthz" | "/readyz");
        if self == Self::Health && !is_health {
            app.metrics.count_connection_refused(crate::gate::Listener::Data);
            return Err(Problem::new(Kind::Overloaded, TOO_MANY));
        }
        Ok(principal)
    }
}
