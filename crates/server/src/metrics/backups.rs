//! What is counted of backups.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::declare::Declare;
use super::labels::{BackupLabels, BackupOutcome};

/// The families `upbeat_backup…`.
#[derive(Debug, Clone)]
pub struct BackupMetrics {
    outcomes: Family<BackupLabels, Counter>,
    pinned_bytes: Gauge,
    last_success_s: Gauge<f64, AtomicU64>,
}

impl BackupMetrics {
    pub(super) fn declare(declare: &mut Declare<'_>) -> Self {
        Self {
            outcomes: declare.family("backups", "Backups, by what became of them"),
            pinned_bytes: declare.single(
                "backup_pinned_bytes",
                "Bytes of files that are held for backups under way, whether or not the log has them still",
            ),
            last_success_s: declare.single(
                "backup_last_success_timestamp_seconds",
                "When all of a backup was last read from this process, in seconds since 1970; 0 before the first",
            ),
        }
    }

    /// Counts a backup that ended at `now_ms`, in Unix milliseconds.
    pub(crate) fn count(&self, outcome: BackupOutcome, now_ms: i64) {
        self.outcomes.get_or_create(&outcome.into()).inc();
        if outcome == BackupOutcome::Finished {
            self.last_success_s.set(now_ms as f64 / 1e3);
        }
    }

    /// Notes how many bytes are held.
    pub(crate) fn note_pinned(&self, bytes: u64) {
        self.pinned_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
