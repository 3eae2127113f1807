//! The engine's counters, read by the metrics and the demo.

use std::sync::atomic::{AtomicIsize, AtomicU64, Ordering};

use upbeat_core::decision::Reason;
use upbeat_core::event::EventKind;
use upbeat_core::feedback::{FeedbackKind, FeedbackKinds};

use crate::RowProblem;
use crate::striped::{Padded, Striped};

/// The result of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was new.
    Accepted,
    /// It had been applied before.
    Duplicate,
    /// It is older than what a full profile can tell apart from a repeat.
    TooOld,
    /// It is of a time up to which its customer was erased.
    Erased,
    /// It was refused.
    Rejected,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 5] = [Self::Accepted, Self::Duplicate, Self::TooOld, Self::Erased, Self::Rejected];

    /// The metric label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::TooOld => "too_old",
            Self::Erased => "erased",
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
    /// An event: an ad that was shown was not played.
    Void,
    /// An event: a membership began or changed.
    Membership,
    /// An entry of the track catalogue.
    Track,
    /// A row whose kind could not be read.
    Unreadable,
}

impl RowKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Play,
        Self::Click,
        Self::Impression,
        Self::Void,
        Self::Membership,
        Self::Track,
        Self::Unreadable,
    ];

    /// The metric label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Play => "play",
            Self::Click => "click",
            Self::Impression => "impression",
            Self::Void => "void",
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
            EventKind::Void { .. } => Self::Void,
            EventKind::Membership(_) => Self::Membership,
        }
    }
}

/// Counts since the start. Each thread counts by itself; readers sum up. Updates are relaxed, so a reader may see one
/// counter ahead of another.
#[derive(Debug, Default)]
pub struct Counters {
    counts: Striped<Counts>,
    /// Not by thread, because every event asks whether there is memory left. Decisions change it only where they count an
    /// impression.
    profile_bytes: Padded<AtomicIsize>,
}

/// The counts of one stripe.
#[derive(Debug, Default)]
struct Counts {
    events: [[AtomicU64; Outcome::ALL.len()]; RowKind::ALL.len()],
    refused: [AtomicU64; RowProblem::ALL.len()],
    decisions: [AtomicU64; Reason::ALL.len()],
    dry_runs: AtomicU64,
    retries: AtomicU64,
    requests_not_kept: AtomicU64,
    unlogged: AtomicU64,
    /// Negative where the stripe's threads removed what others had added.
    plays_kept: AtomicIsize,
    evicted: AtomicU64,
    erasures: AtomicU64,
    feedback: [[AtomicU64; FeedbackKind::ALL.len()]; FEEDBACK_EVENTS.len()],
}

/// The events that say what became of a shown ad.
const FEEDBACK_EVENTS: [RowKind; 3] = [RowKind::Click, RowKind::Impression, RowKind::Void];

fn add_one(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    /// Counts one event.
    pub fn count_event(&self, kind: RowKind, outcome: Outcome) {
        add_one(&self.counts.own().events[kind as usize][outcome as usize]);
    }

    /// Counts what was odd about an event that says what became of a shown ad.
    pub fn count_feedback(&self, of: RowKind, said: FeedbackKinds) {
        let Some(place) = FEEDBACK_EVENTS.iter().position(|kind| *kind == of) else { return };
        said.iter().for_each(|kind| add_one(&self.counts.own().feedback[place][kind as usize]));
    }

    /// How many events had what is odd about them, by kind of event.
    pub fn feedback(&self) -> impl Iterator<Item = (RowKind, FeedbackKind, u64)> {
        FEEDBACK_EVENTS.into_iter().enumerate().flat_map(move |(place, of)| {
            FeedbackKind::ALL.iter().map(move |kind| {
                (of, *kind, self.counts.sum(|counts| &counts.feedback[place][*kind as usize]))
            })
        })
    }

    /// Events by kind and outcome.
    pub fn events(&self) -> impl Iterator<Item = (RowKind, Outcome, u64)> {
        RowKind::ALL.into_iter().flat_map(move |kind| {
            Outcome::ALL.into_iter().map(move |outcome| {
                (kind, outcome, self.counts.sum(|counts| &counts.events[kind as usize][outcome as usize]))
            })
        })
    }

    pub(super) fn count_refused(&self, problem: RowProblem) {
        add_one(&self.counts.own().refused[problem as usize]);
    }

    /// Refused rows by problem, of bodies of any format.
    pub fn refused(&self) -> impl Iterator<Item = (RowProblem, u64)> {
        let count = |problem: RowProblem| self.counts.sum(|counts| &counts.refused[problem as usize]);
        RowProblem::ALL.iter().map(move |problem| (*problem, count(*problem)))
    }

    pub(super) fn count_decision(&self, reason: Reason, dry_run: bool) {
        let counts = self.counts.own();
        add_one(if dry_run { &counts.dry_runs } else { &counts.decisions[reason as usize] });
    }

    pub(super) fn count_dry_run(&self) {
        add_one(&self.counts.own().dry_runs);
    }

    /// Decisions by reason, without dry runs and without retries that got their earlier answer.
    pub fn decisions(&self) -> impl Iterator<Item = (Reason, u64)> {
        let count = |reason: Reason| self.counts.sum(|counts| &counts.decisions[reason as usize]);
        Reason::ALL.into_iter().map(move |reason| (reason, count(reason)))
    }

    /// Decisions that were asked for as dry runs.
    #[must_use]
    pub fn dry_runs(&self) -> u64 {
        self.counts.sum(|counts| &counts.dry_runs)
    }

    pub(super) fn count_retry(&self) {
        add_one(&self.counts.own().retries);
    }

    /// Retries that got their earlier answer.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.counts.sum(|counts| &counts.retries)
    }

    pub(super) fn count_request_not_kept(&self) {
        add_one(&self.counts.own().requests_not_kept);
    }

    /// Requests that were refused because their answer could not be kept for retries.
    #[must_use]
    pub fn requests_not_kept(&self) -> u64 {
        self.counts.sum(|counts| &counts.requests_not_kept)
    }

    pub(super) fn count_unlogged(&self) {
        add_one(&self.counts.own().unlogged);
    }

    /// Decisions that showed nothing and are not in the log, for want of room.
    #[must_use]
    pub fn unlogged(&self) -> u64 {
        self.counts.sum(|counts| &counts.unlogged)
    }

    pub(super) fn add_plays(&self, count: usize) {
        self.counts.own().plays_kept.fetch_add(count as isize, Ordering::Relaxed);
    }

    pub(super) fn change_plays(&self, count: isize) {
        self.counts.own().plays_kept.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn remove_plays(&self, count: usize) {
        self.counts.own().plays_kept.fetch_sub(count as isize, Ordering::Relaxed);
    }

    /// Plays kept in all profiles.
    #[must_use]
    pub fn plays_kept(&self) -> usize {
        let kept = self.counts.all().map(|counts| counts.plays_kept.load(Ordering::Relaxed)).sum::<isize>();
        usize::try_from(kept).unwrap_or(0)
    }

    /// Adds to the bytes that profiles take; negative where they have freed some.
    pub(super) fn add_bytes(&self, bytes: isize) {
        // Most plays take none, because capacity grows by several plays at a time.
        if bytes != 0 {
            self.profile_bytes.0.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    pub(super) fn profile_bytes(&self) -> usize {
        usize::try_from(self.profile_bytes.0.load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub(super) fn count_evicted(&self, customers: usize) {
        self.counts.own().evicted.fetch_add(customers as u64, Ordering::Relaxed);
    }

    pub(super) fn count_erasure(&self) {
        add_one(&self.counts.own().erasures);
    }

    /// Erasures that were made, of customers who were known or not.
    #[must_use]
    pub fn erasures(&self) -> u64 {
        self.counts.sum(|counts| &counts.erasures)
    }

    /// Customers evicted because they were idle for longer than the window.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.counts.sum(|counts| &counts.evicted)
    }
}
