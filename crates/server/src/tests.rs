//! Fixtures of the unit tests.

use std::sync::Arc;

use upbeat_core::event::Zone;

use crate::config::Config;
use crate::runtime::App;

/// The shortest request for a decision.
pub(crate) const DECISION: &[u8] = b"GET /should-show-ad/48 HTTP/1.1\r\nhost: a\r\n\r\n";

/// An app without customers, whose clock stands still.
pub(crate) fn app() -> Arc<App> {
    Arc::new(App::new(Config::default(), Zone::utc(), || 1_700_000_000_000))
}
