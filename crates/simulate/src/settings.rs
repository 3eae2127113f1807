//! What a simulation is made from, and what of it is refused.

/// Most customers that can be simulated.
const MAX_CUSTOMERS: u32 = 10_000_000;
/// Most plays that can be simulated.
const MAX_PLAYS: u64 = 1_000_000_000;
/// Longest history, in weeks: ten years.
const MAX_WEEKS: u32 = 520;
/// 1970-01-01T00:00:00: no history starts before it.
const EARLIEST_START_S: i64 = 0;
/// 9999-12-31T23:59:59: no history ends after it.
const LATEST_END_S: i64 = 253_402_300_799;
const WEEK_S: i64 = 7 * 86_400;

/// What a simulation is made from: equal settings give equal files.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Customers, `1..=10_000_000`.
    pub customers: u32,
    /// Plays in the history, `1..=1_000_000_000`.
    pub plays: u64,
    /// Seed of every random number.
    pub seed: u64,
    /// Length of the history, `1..=520`.
    pub weeks: u32,
    /// Where the history ends: seconds since 1970-01-01T00:00:00 as written, without a time zone.
    /// Every event is before it.
    pub end_s: i64,
    /// Whether the taste for the offer moves in the second half of the history.
    pub drift: bool,
    /// Share of rows in the files that are repeated whole further down, `0.0..=1.0`.
    pub resend: f64,
    /// Share of rows in the files that come up to three days late, `0.0..=1.0`.
    pub late: f64,
}

impl Default for Settings {
    /// The size and time of the original data set: 5,000 customers, 1,000,000 plays, 13 weeks up to
    /// 2015.
    fn default() -> Self {
        Self {
            customers: 5_000,
            plays: 1_000_000,
            seed: 1,
            weeks: 13,
            end_s: 1_420_070_400,
            drift: false,
            resend: 0.0,
            late: 0.0,
        }
    }
}

impl Settings {
    /// Whether this can be simulated.
    ///
    /// # Errors
    /// The first setting that is out of range; see [`SettingsError`].
    pub fn check(&self) -> Result<(), SettingsError> {
        if !(1..=MAX_CUSTOMERS).contains(&self.customers) {
            return Err(SettingsError::Customers(self.customers));
        }
        if !(1..=MAX_PLAYS).contains(&self.plays) {
            return Err(SettingsError::Plays(self.plays));
        }
        if !(1..=MAX_WEEKS).contains(&self.weeks) {
            return Err(SettingsError::Weeks(self.weeks));
        }
        if self.start_s() < EARLIEST_START_S || self.end_s > LATEST_END_S {
            return Err(SettingsError::End);
        }
        for (name, share) in [("resend", self.resend), ("late", self.late)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(SettingsError::Share { name, share });
            }
        }
        Ok(())
    }

    /// The first second of the history.
    pub(super) fn start_s(&self) -> i64 {
        self.end_s.saturating_sub(self.span_s())
    }

    /// Length of the history in seconds, below 2³².
    pub(super) fn span_s(&self) -> i64 {
        i64::from(self.weeks) * WEEK_S
    }
}

/// A setting that cannot be simulated; the message names it and says what would do.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// No customers, or too many.
    #[error("customers is {0}; give a number from 1 to 10000000")]
    Customers(u32),
    /// No plays, or too many.
    #[error("plays is {0}; give a number from 1 to 1000000000")]
    Plays(u64),
    /// No weeks, or too many.
    #[error("weeks is {0}; give a number from 1 to 520")]
    Weeks(u32),
    /// The history would leave the years 1970 to 9999.
    #[error("the history must start in 1970 or later and end in 9999 or earlier; move its end")]
    End,
    /// A share that is none.
    #[error("{name} is {share}; give a share from 0 to 1, such as 0.05")]
    Share {
        /// The setting's name.
        name: &'static str,
        /// Its value.
        share: f64,
    },
}
