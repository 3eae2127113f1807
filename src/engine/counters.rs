//! What the engine counts: plain atomics, read by metrics and by the demo.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::decision::Reason;

/// What became of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was new.
    Accepted,
    /// It had been told before.
    Duplicate,
    /// It was refused.
    Rejected,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Accepted, Self::Duplicate, Self::Rejected];

    /// The metric label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Rejected => "rejected",
        }
    }
}

/// Kinds that events are counted under; `unreadable` are rows whose kind could not be told.
pub const KINDS: [&str; 6] = ["play", "click", "impression", "membership", "track", "unreadable"];

/// Counts since the start; relaxed, so a reader may see one ahead of another.
#[derive(Debug, Default)]
pub struct Counters {
    events: [[AtomicU64; Outcome::ALL.len()]; KINDS.len()],
    decisions: [AtomicU64; Reason::ALL.len()],
    dry_runs: AtomicU64,
    retries: AtomicU64,
    plays_kept: AtomicUsize,
}

impl Counters {
    /// Counts one event; a kind that is not among `KINDS` counts as unreadable.
    pub fn count_event(&self, kind: &str, outcome: Outcome) {
        let row = KINDS.iter().position(|known| *known == kind).unwrap_or(KINDS.len() - 1);
        self.events[row][outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Events by kind and outcome.
    pub fn events(&self) -> impl Iterator<Item = (&'static str, Outcome, u64)> {
        KINDS.iter().zip(&self.events).flat_map(|(kind, row)| {
            Outcome::ALL
                .into_iter()
                .map(|outcome| (*kind, outcome, row[outcome as usize].load(Ordering::Relaxed)))
        })
    }

    pub(super) fn count_decision(&self, reason: Reason, dry_run: bool) {
        let counter = if dry_run { &self.dry_runs } else { &self.decisions[reason as usize] };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Decisions by reason, without dry runs and without retries that got an earlier answer.
    pub fn decisions(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL
            .into_iter()
            .map(|reason| (reason, self.decisions[reason as usize].load(Ordering::Relaxed)))
    }

    /// Decisions that were asked for as dry runs.
    #[must_use]
    pub fn dry_runs(&self) -> u64 {
        self.dry_runs.load(Ordering::Relaxed)
    }

    pub(super) fn count_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that got an earlier answer again.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    pub(super) fn add_plays(&self, count: usize) {
        self.plays_kept.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn remove_plays(&self, count: usize) {
        self.plays_kept.fetch_sub(count, Ordering::Relaxed);
    }

    /// Plays kept in all profiles.
    #[must_use]
    pub fn plays_kept(&self) -> usize {
        self.plays_kept.load(Ordering::Relaxed)
    }
}
