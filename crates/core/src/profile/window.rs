//! Which of a customer's plays count: one rule for profiles, `upbeat features` and training rows.

use std::ops::RangeInclusive;

use crate::event::DAY_MS;

/// The most recent plays that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// At most this many plays, `1..=65_535`.
    pub plays: u32,
    /// At most this many days old, `1..=36_500`.
    pub days: u32,
}

impl Default for Window {
    fn default() -> Self {
        Self { plays: 256, days: 28 }
    }
}

impl Window {
    /// The allowed values of [`Window::plays`].
    pub const PLAYS: RangeInclusive<u32> = 1..=65_535;

    /// The allowed values of [`Window::days`].
    pub const DAYS: RangeInclusive<u32> = 1..=36_500;

    /// The earliest instant that is still in the window at `now_ms`; both in Unix milliseconds.
    #[must_use]
    pub fn start_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_sub(i64::from(self.days) * DAY_MS)
    }

    /// The index of the first play that counts, of `plays` plays ascending by (time, event id). `older` of them are
    /// before [`Window::start_ms`]; of the others the most recent [`Window::plays`] count.
    #[must_use]
    pub fn first(&self, plays: usize, older: usize) -> usize {
        older.max(plays.saturating_sub(self.plays as usize))
    }

    /// The first key that is out of range, and what it must be, as in `from 1 to 65535`; `None` if both are in range.
    #[must_use]
    pub fn range_error(&self) -> Option<(&'static str, &'static str)> {
        let keys = [
            (Self::PLAYS.contains(&self.plays), ("plays", "from 1 to 65535")),
            (Self::DAYS.contains(&self.days), ("days", "from 1 to 36500")),
        ];
        keys.into_iter().find_map(|(good, range_error)| (!good).then_some(range_error))
    }
}
