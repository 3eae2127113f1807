//! What the journal's thread counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::declare::Declare;
use super::labels::StateLabels;
use super::latency::Latency;

/// The families `upbeat_journal_…`.
#[derive(Debug, Clone)]
pub struct JournalMetrics {
    groups: Counter,
    records: Counter,
    bytes: Counter,
    group_bytes: GroupBytes,
    /// What all groups take in the log's files.
    file_bytes: Arc<AtomicU64>,
    /// Seconds of a sync.
    pub(crate) sync_seconds: Latency,
    lag_records: Gauge,
    lag_seconds: Gauge<f64, AtomicU64>,
    /// When everything that had been published by then was last known to be durable, in nanoseconds since `FIRST`.
    caught_up_ns: Arc<AtomicU64>,
    state: Family<StateLabels, Gauge>,
    snapshots: Counter,
    /// Snapshots that could not be written.
    pub(crate) snapshots_failed: Counter,
    snapshot_bytes: Gauge,
    snapshot_age_seconds: Gauge<f64, AtomicU64>,
    /// When the last snapshot was written, or the process began, in nanoseconds since `FIRST`.
    snapshot_ns: Arc<AtomicU64>,
    segments: Gauge,
    history_segments: Gauge,
    history_bytes: Gauge,
    /// Times that history could not be removed or rewritten.
    pub(crate) history_failed: Counter,
    erase_overdue: Gauge,
    /// Seconds that the last recovery took.
    pub(crate) recovery_seconds: Gauge<f64, AtomicU64>,
}

/// Bytes of groups by size.
#[derive(Debug, Clone)]
struct GroupBytes(Histogram);

impl Default for GroupBytes {
    fn default() -> Self {
        // From a single event to the largest group.
        Self(Histogram::new([
            64.0,
            256.0,
            1024.0,
            4096.0,
            16384.0,
            65536.0,
            262_144.0,
            1_048_576.0,
            8_388_608.0,
        ]))
    }
}

/// The instant from which instants are counted.
static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);

impl JournalMetrics {
    pub(super) fn declare(declare: &mut Declare<'_>) -> Self {
        LazyLock::force(&FIRST);
        let group_bytes = GroupBytes::default();
        declare.0.register(
            "journal_group_bytes",
            "Bytes of a group of records that was written and synced at once",
            group_bytes.0.clone(),
        );
        Self {
            groups: declare.single("journal_groups", "Groups of records written and synced"),
            records: declare.single("journal_records", "Records written"),
            bytes: declare.single("journal_bytes", "Bytes of records written"),
            group_bytes,
            file_bytes: Arc::default(),
            sync_seconds: declare.single("journal_sync_seconds", "Seconds of a sync of the log's disk"),
            lag_records: declare
                .single("journal_lag_records", "Records that are published and not durable yet"),
            lag_seconds: declare.single(
                "journal_lag_seconds",
                "Seconds since everything published was last durable; 0 while it is",
            ),
            caught_up_ns: Arc::default(),
            state: declare
                .family("journal_state", "1 for what the journal does at the moment, 0 for all else"),
            snapshots: declare.single("journal_snapshots", "Snapshots written"),
            snapshots_failed: declare
                .single("journal_snapshots_failed", "Snapshots that could not be written"),
            snapshot_bytes: declare.single("journal_snapshot_bytes", "Bytes of the last snapshot"),
            snapshot_age_seconds: declare.single(
                "journal_snapshot_age_seconds",
                "Seconds since the last snapshot of this process, or since its start",
            ),
            snapshot_ns: Arc::default(),
            segments: declare.single("journal_segments", "Files of the log that a start may need"),
            history_segments: declare.single("journal_history_segments", "Files of the log that are history"),
            history_bytes: declare.single("journal_history_bytes", "Bytes of the log that are history"),
            history_failed: declare.single(
                "journal_history_failed",
                "Times that history could not be removed or rewritten, for its bounds or for an erasure",
            ),
            erase_overdue: declare.single(
                "erase_overdue",
                "1 where a customer of whom the log may still hold records was deleted longer than erase_deadline ago",
            ),
            recovery_seconds: declare
                .single("journal_recovery_seconds", "Seconds that the recovery at the start took"),
        }
    }

    /// Counts a group that is durable.
    pub(crate) fn count_group(&self, bytes: usize, records: usize) {
        self.groups.inc();
        self.records.inc_by(records as u64);
        self.bytes.inc_by(bytes as u64);
        self.group_bytes.0.observe(bytes as f64);
        self.file_bytes.fetch_add(upbeat_journal::group_bytes(bytes), Ordering::Relaxed);
    }

    /// Counts a mark, which is a group without records.
    pub(crate) fn count_mark(&self) {
        self.file_bytes.fetch_add(upbeat_journal::group_bytes(0), Ordering::Relaxed);
    }

    /// Bytes of the log's files that groups have taken: each takes whole blocks, so it is much more than their records where
    /// these are few.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes.load(Ordering::Relaxed)
    }

    /// Everything that was published before `then` is durable.
    pub(crate) fn note_durable(&self, then: Instant) {
        self.caught_up_ns.store(ns_since_first(then), Ordering::Relaxed);
    }

    /// Notes what the journal does, by its name, when metrics are asked.
    pub(crate) fn sample_state(&self, now: &'static str) {
        for state in StateLabels::ALL {
            self.state.get_or_create(&StateLabels::new(state)).set(i64::from(state == now));
        }
    }

    /// Bytes of records that were written.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// A snapshot was written.
    pub(crate) fn note_snapshot(&self, bytes: u64) {
        self.snapshots.inc();
        self.snapshot_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.snapshot_ns.store(ns_since_first(Instant::now()), Ordering::Relaxed);
    }

    /// Notes how many files the log has.
    pub(crate) fn note_files(&self, needed: usize, history: usize, history_bytes: u64) {
        self.segments.set(needed as i64);
        self.history_segments.set(history as i64);
        self.history_bytes.set(i64::try_from(history_bytes).unwrap_or(i64::MAX));
    }

    /// Notes whether the log may still hold records of a customer whose deletion is longer ago than that may be.
    pub(crate) fn note_erasures(&self, is_overdue: bool) {
        self.erase_overdue.set(i64::from(is_overdue));
    }

    /// What is counted of snapshots and files.
    pub(crate) fn files(&self) -> FileCounts {
        let snapshot = *FIRST + Duration::from_nanos(self.snapshot_ns.load(Ordering::Relaxed));
        FileCounts {
            snapshots: self.snapshots.get(),
            snapshots_failed: self.snapshots_failed.get(),
            snapshot_age: snapshot.elapsed(),
            segments: self.segments.get(),
            history_bytes: self.history_bytes.get(),
            history_failed: self.history_failed.get(),
            erase_overdue: self.erase_overdue.get() != 0,
        }
    }

    /// Notes how far behind the log is, `records` of them, when metrics are asked.
    pub(crate) fn sample_lag(&self, records: u64) {
        self.lag_records.set(i64::try_from(records).unwrap_or(i64::MAX));
        let caught_up = *FIRST + Duration::from_nanos(self.caught_up_ns.load(Ordering::Relaxed));
        let snapshot = *FIRST + Duration::from_nanos(self.snapshot_ns.load(Ordering::Relaxed));
        self.snapshot_age_seconds.set(snapshot.elapsed().as_secs_f64());
        self.lag_seconds.set(if records == 0 { 0.0 } else { caught_up.elapsed().as_secs_f64() });
    }
}

/// What is counted of snapshots and of the files of the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileCounts {
    /// Snapshots of this process.
    pub(crate) snapshots: u64,
    pub(crate) snapshots_failed: u64,
    /// Since the last of them, or since the start.
    pub(crate) snapshot_age: Duration,
    /// Files that a start may need.
    pub(crate) segments: i64,
    pub(crate) history_bytes: i64,
    /// Times that history could not be removed or rewritten.
    pub(crate) history_failed: u64,
    /// Whether records of a customer should be gone who was deleted.
    pub(crate) erase_overdue: bool,
}

fn ns_since_first(then: Instant) -> u64 {
    u64::try_from(then.saturating_duration_since(*FIRST).as_nanos()).unwrap_or(u64::MAX)
}
