//! What the engine counts: plain atomics, read by metrics and by the demo.

use std::sync::atomic::{AtomicIsize, AtomicU64, AtomicUsize, Ordering};

use crate::decision::Reason;
use crate::event::EventKind;

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

/// What events are counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// A track started.
    Play,
    /// An ad clicked.
    Click,
    /// An ad played.
    Impression,
    /// A membership begun or changed.
    Membership,
    /// An entry of the track catalogue.
    Track,
    /// A row whose kind could not be told.
    Unreadable,
}

impl Counted {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Play, Self::Click, Self::Impression, Self::Membership, Self::Track, Self::Unreadable];

    /// The metric label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Play => "play",
            Self::Click => "click",
            Self::Impression => "impression",
            Self::Membership => "membership",
            Self::Track => "track",
            Self::Unreadable => "unreadable",
        }
    }
}

impl From<&EventKind> for Counted {
    fn from(kind: &EventKind) -> Self {
        match kind {
            EventKind::Play { .. } => Self::Play,
            EventKind::Click { .. } => Self::Click,
            EventKind::Impression(_) => Self::Impression,
            EventKind::Membership(_) => Self::Membership,
        }
    }
}

/// Counts since the start; relaxed, so a reader may see one ahead of another.
#[derive(Debug, Default)]
pub struct Counters {
    events: [[AtomicU64; Outcome::ALL.len()]; Counted::ALL.len()],
    decisions: [AtomicU64; Reason::ALL.len()],
    dry_runs: AtomicU64,
    retries: AtomicU64,
    /// Below 0 for a moment, where one thread has counted what left before another what came.
    plays_kept: AtomicIsize,
    profile_bytes: AtomicIsize,
    forgotten: AtomicUsize,
}

impl Counters {
    /// Counts one event.
    pub fn count_event(&self, kind: Counted, outcome: Outcome) {
        self.events[kind as usize][outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Events by kind and outcome.
    pub fn events(&self) -> impl Iterator<Item = (Counted, Outcome, u64)> {
        Counted::ALL.into_iter().zip(&self.events).flat_map(|(kind, row)| {
            Outcome::ALL
                .into_iter()
                .map(move |outcome| (kind, outcome, row[outcome as usize].load(Ordering::Relaxed)))
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
        self.plays_kept.fetch_add(count as isize, Ordering::Relaxed);
    }

    /// Counts bytes that profiles took, or gave back where there are fewer than none.
    pub(super) fn add_bytes(&self, bytes: isize) {
        // Most plays take none, since room for some is made at once.
        if bytes != 0 {
            self.profile_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    pub(super) fn profile_bytes(&self) -> usize {
        usize::try_from(self.profile_bytes.load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub(super) fn count_forgotten(&self, customers: usize) {
        self.forgotten.fetch_add(customers, Ordering::Relaxed);
    }

    /// Customers forgotten because they were silent for longer than the window.
    #[must_use]
    pub fn forgotten(&self) -> usize {
        self.forgotten.load(Ordering::Relaxed)
    }

    pub(super) fn remove_plays(&self, count: usize) {
        self.plays_kept.fetch_sub(count as isize, Ordering::Relaxed);
    }

    /// Plays kept in all profiles.
    #[must_use]
    pub fn plays_kept(&self) -> usize {
        usize::try_from(self.plays_kept.load(Ordering::Relaxed)).unwrap_or(0)
    }
}
