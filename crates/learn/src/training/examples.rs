//! Examples: what became of ads that were shown, with what was known when they were.

use std::collections::VecDeque;

use upbeat_core::event::DecisionId;
use upbeat_core::feature::Counts;

use crate::Row;

/// The most examples that a training takes, the newest: some 56 bytes each.
pub const MOST_EXAMPLES: usize = 100_000;

/// No example weighs more than this: an ad that was shown with a probability below 1 % counts as one of 1 %.
pub const MOST_WEIGHT: f64 = 100.0;

/// An ad that was shown, was not given back, and can no longer be clicked in time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Example {
    /// When it was decided, in Unix milliseconds.
    pub time_ms: i64,
    /// The decision.
    pub id: DecisionId,
    /// The plays of the window, as they were counted at the decision.
    pub counts: Counts,
    /// Whether it was clicked in time.
    pub clicked: bool,
    /// One over the probability that it was shown, every coin but holdouts in it, at most [`MOST_WEIGHT`].
    pub weight: f64,
}

/// How many of them were clicked.
pub(super) fn clicks(examples: &[Example]) -> usize {
    examples.iter().filter(|example| example.clicked).count()
}

/// The examples of one campaign, of the rows of a log.
#[derive(Debug, Clone)]
pub struct Examples {
    slot: u16,
    /// Labels are counted of decisions after this.
    since_ms: i64,
    /// The newest, by when their labels were known.
    newest: VecDeque<Example>,
    /// Ads that were shown since, and those whose labels are known.
    pub shown: u64,
    /// See `shown`.
    pub labels: u64,
    /// Ads whose events the log has no longer.
    pub forgotten: u64,
}

impl Examples {
    /// None yet, of the campaign with this slot. Labels are counted of decisions after `since_ms`, in Unix milliseconds.
    #[must_use]
    pub fn new(slot: u16, since_ms: Option<i64>) -> Self {
        let since_ms = since_ms.unwrap_or(i64::MIN);
        Self { slot, since_ms, newest: VecDeque::new(), shown: 0, labels: 0, forgotten: 0 }
    }

    /// Takes a row, if it is an example. Only what was known at the decision and its matured label are taken of it.
    pub fn row(&mut self, row: &Row) {
        let Some(facts) = &row.facts else { return };
        if facts.campaign != Some(self.slot) || !row.is_shown() {
            return;
        }
        let is_since = row.time_ms > self.since_ms;
        self.shown += u64::from(is_since);
        if !row.has_events {
            self.forgotten += 1;
            return;
        }
        let weight = row.training_weight().filter(|weight| weight.is_finite() && *weight >= 1.0);
        let (true, Some(weight), Some(counts)) = (row.is_mature, weight, row.counts()) else { return };
        if counts.plays == 0 {
            return;
        }
        self.labels += u64::from(is_since);
        self.keep(Example {
            time_ms: row.time_ms,
            id: row.id,
            counts: *counts,
            clicked: row.is_clicked,
            weight: weight.min(MOST_WEIGHT),
        });
    }

    pub(super) fn keep(&mut self, example: Example) {
        if self.newest.len() == MOST_EXAMPLES {
            self.newest.pop_front();
        }
        self.newest.push_back(example);
    }

    /// Whether none was kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.newest.is_empty()
    }

    /// All that were kept.
    #[must_use]
    pub fn take(self) -> Vec<Example> {
        self.newest.into()
    }
}
