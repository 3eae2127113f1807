//! When something is tried again that failed.

use std::io;
use std::time::{Duration, Instant};

use upbeat_journal::{RecoveryError, RewriteError};

/// What failed is tried again so much later.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(60);

/// A failure, and what it lacked.
#[derive(Debug, Default)]
pub(super) struct Retry {
    /// When it is tried again; `None` where nothing has failed.
    pub(super) at: Option<Instant>,
    /// It is tried again as soon as so many bytes are free: while the disk is full the log grows by all that is not removed from it.
    pub(super) lacked: Option<u64>,
}

impl Retry {
    /// Something failed at `now`, for want of `lacked` bytes where that is known.
    pub(super) fn failed(&mut self, now: Instant, lacked: Option<u64>) {
        *self = Self { at: Some(now + RETRY_AFTER), lacked };
    }

    /// Whether it may be tried at `now`, with so many bytes free as `free` finds.
    pub(super) fn is_due(&self, now: Instant, free: impl FnOnce() -> io::Result<u64>) -> bool {
        self.at.is_none_or(|at| now >= at)
            || self.lacked.is_some_and(|lacked| free().is_ok_and(|free| free >= lacked))
    }

    /// It succeeded.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The bytes that were lacked where an error says that the disk is full, and `free` were free before: more than those.
pub(super) fn lacked_by(error: &io::Error, free: u64) -> Option<u64> {
    (error.kind() == io::ErrorKind::StorageFull).then(|| free.saturating_add(1))
}

/// The same of a file of history that could not be rewritten.
pub(super) fn lacked_by_rewrite(error: &RewriteError, free: u64) -> Option<u64> {
    match error {
        RewriteError::Space { needed, .. } => Some(*needed),
        RewriteError::Log(RecoveryError::Disk { error, .. }) => lacked_by(error, free),
        RewriteError::Log(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_due_after_a_minute_or_with_the_space_that_it_lacked() {
        let (mut retry, began) = (Retry::default(), Instant::now());
        let full = || -> io::Result<u64> { Ok(99) };
        assert!(retry.is_due(began, full), "nothing has failed");
        retry.failed(began, None);
        assert!(
            !retry.is_due(began + RETRY_AFTER / 2, || Ok(u64::MAX))
                && retry.is_due(began + RETRY_AFTER, full)
        );
        retry.failed(began, Some(100));
        assert!(!retry.is_due(began, full) && retry.is_due(began, || Ok(100)));
        assert!(!retry.is_due(began, || Err(io::ErrorKind::NotFound.into())));
        retry.clear();
        assert!(retry.is_due(began, full));
        assert_eq!(lacked_by(&io::ErrorKind::StorageFull.into(), 7), Some(8));
        assert_eq!(lacked_by(&io::ErrorKind::NotFound.into(), 7), None);
    }
}
