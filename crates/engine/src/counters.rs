//! The engine's counters: plain atomics, read by the metrics and the demo.

use std::sync::atomic::{AtomicIsize, AtomicU64, AtomicUsize, Ordering};

use upbeat_core::decision::Reason;
use upbeat_core::event::EventKind;

use crate::RowProblem;

/// The result of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was new.
    Accepted,
    /// It had been applied before.
    Duplicate,
    /// It is older than what a full profile can tell apart from a repeat.
    TooOld,
    /// It was refused.
    Rejected,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Accepted, Self::Duplicate, Self::TooOld, Self::Rejected];

    /// The metric label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::TooOld => "too_old",
            Self::Rejected => "rejected",
        }
    }
}

/// The kind of a row, under which it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// An event: a track started.
    Play,
    /// An event: an ad was clicked.
    Click,
    /// An event: an ad was played.
    Impression,
    /// An event: a membership began or changed.
    Membership,
    /// An entry of the track catalogue.
    Track,
    /// A row whose kind could not be read.
    Unreadable,
}

impl RowKind {
    /// Every kind.
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

impl From<&EventKind> for RowKind {
    fn from(kind: &EventKind) -> Self {
        match kind {
            EventKind::Play { .. } => Self::Play,
            EventKind::Click { .. } => Self::Click,
            EventKind::Impression(_) => Self::Impression,
            EventKind::Membership(_) => Self::Membership,
        }
    }
}

/// Counts since the start. Updates are relaxed, so a reader may see one counter ahead of another.
#[derive(Debug, Default)]
pub struct Counters {
    events: [[AtomicU64; Outcome::ALL.len()]; RowKind::ALL.len()],
    refused: [AtomicU64; RowProblem::ALL.len()],
    decisions: [AtomicU64; Reason::ALL.len()],
    dry_runs: AtomicU64,
    retries: AtomicU64,
    requests_not_kept: AtomicU64,
    /// Negative for a moment, when one thread counts a removal before another counts the addition.
    plays_kept: AtomicIsize,
    profile_bytes: AtomicIsize,
    evicted: AtomicUsize,
}

impl Counters {
    /// Counts one event.
    pub fn count_event(&self, kind: RowKind, outcome: Outcome) {
        self.events[kind as usize][outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Events by kind and outcome.
    pub fn events(&self) -> impl Iterator<Item = (RowKind, Outcome, u64)> {
        RowKind::ALL.into_iter().zip(&self.events).flat_map(|(kind, row)| {
            Outcome::ALL
                .into_iter()
                .map(move |outcome| (kind, outcome, row[outcome as usize].load(Ordering::Relaxed)))
        })
    }

    pub(super) fn count_refused(&self, problem: RowProblem) {
        self.refused[problem as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Refused rows by problem, of bodies of any format.
    pub fn refused(&self) -> impl Iterator<Item = (RowProblem, u64)> {
        let counts = self.refused.iter().map(|count| count.load(Ordering::Relaxed));
        RowProblem::ALL.iter().copied().zip(counts)
    }

    pub(super) fn count_decision(&self, reason: Reason, dry_run: bool) {
        let counter = if dry_run { &self.dry_runs } else { &self.decisions[reason as usize] };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Decisions by reason, without dry runs and without retries that got their earlier answer.
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

    /// Retries that got their earlier answer.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    pub(super) fn count_request_not_kept(&self) {
        self.requests_not_kept.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that were refused because their answer could not be kept for retries.
    #[must_use]
    pub fn requests_not_kept(&self) -> u64 {
        self.requests_not_kept.load(Ordering::Relaxed)
    }

    pub(super) fn add_plays(&self, count: usize) {
        self.plays_kept.fetch_add(count as isize, Ordering::Relaxed);
    }

    /// Adds to the bytes that profiles take; negative where they have freed some.
    pub(super) fn add_bytes(&self, bytes: isize) {
        // Most plays take none, because capacity grows by several plays at a time.
        if bytes != 0 {
            self.profile_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    pub(super) fn profile_bytes(&self) -> usize {
        usize::try_from(self.profile_bytes.load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub(super) fn count_evicted(&self, customers: usize) {
        self.evicted.fetch_add(customers, Ordering::Relaxed);
    }

    /// Customers evicted because they were idle for longer than the window.
    #[must_use]
    pub fn evicted(&self) -> usize {
        self.evicted.load(Ordering::Relaxed)
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
