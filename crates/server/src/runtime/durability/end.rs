//! Where the log ends, for whoever copies it while it is written.

use std::sync::PoisonError;
use std::time::Duration;

use upbeat_journal::LogEnd;

use super::{Barrier, Durability, Fate};

impl Durability {
    /// Notes where the log ends, for copies. An end that is not known leaves the former one: what is before it stays as it is.
    pub(in crate::runtime) fn note_end(&self, end: Option<LogEnd>) {
        if end.is_some() {
            *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
        }
    }

    /// The end of a log that holds all that was published before this was called, whether anybody waits for it or not; `None`
    /// where it does not come so far within `timeout`.
    pub(crate) async fn end_with_all(&self, timeout: Duration) -> Option<LogEnd> {
        let barrier = Barrier(self.log.next());
        let look = || {
            let end = *self.end.lock().unwrap_or_else(PoisonError::into_inner);
            match end.filter(|end| end.complete >= barrier.0) {
                Some(end) => Some(Some(end)),
                None => (self.fate(barrier) == Fate::Unknown).then_some(None),
            }
        };
        self.progress_until(look, timeout).await.flatten()
    }
}
