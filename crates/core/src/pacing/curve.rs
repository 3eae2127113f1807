//! The traffic of a day, learned from the days before.

/// Slots of a day.
pub const DAY_SLOTS: usize = 96;

/// The length of a slot in milliseconds: a quarter of an hour.
pub const SLOT_MS: i64 = 900_000;

/// How much a new day counts against the days before.
const NEWEST: f64 = 0.25;

/// What each quarter of an hour by the local clock has of a day's traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// One for each slot from local midnight on; they need not add up to 1.
    shares: [f64; DAY_SLOTS],
}

/// Even, as nothing is learned yet.
impl Default for Curve {
    fn default() -> Self {
        Self { shares: [1.0 / DAY_SLOTS as f64; DAY_SLOTS] }
    }
}

impl Curve {
    /// A curve of these shares; any that is negative or not finite is taken as 0.
    #[must_use]
    pub fn of(shares: [f64; DAY_SLOTS]) -> Self {
        Self { shares: shares.map(|share| if share.is_finite() { share.max(0.0) } else { 0.0 }) }
    }

    /// The shares, one for each slot from local midnight on.
    #[must_use]
    pub fn shares(&self) -> &[f64; DAY_SLOTS] {
        &self.shares
    }

    /// Learns from a whole day: so many requests came in each slot. A day without any teaches nothing.
    pub fn learn(&mut self, requests: &[u64; DAY_SLOTS]) {
        let total: u64 = requests.iter().sum();
        if total == 0 {
            return;
        }
        for (share, count) in self.shares.iter_mut().zip(requests) {
            *share += NEWEST * (*count as f64 / total as f64 - *share);
        }
    }
}
