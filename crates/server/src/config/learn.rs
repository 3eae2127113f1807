//! Settings of what is learnt from decisions.

use serde::{Deserialize, Serialize};

use upbeat_core::feedback::FeedbackPeriods;
use upbeat_learn::job::GateSettings;

use super::Duration;

/// Which decision a click, or a rise of the membership, is taken for the outcome of; when models are trained, and what a new one must
/// show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Learn {
    /// A click that names no decision belongs to an impression of its ad at most so long before.
    pub attribution: Duration,
    /// A rise of the membership belongs to an impression at most so long before.
    pub conversion: Duration,
    /// How often a job judges the challenger of each campaign whose mode is not `frozen`, or trains one, by the engine's clock.
    pub every: Duration,
    /// A model is trained once so many more outcomes are known.
    pub min_labels: u64,
    /// The probability that a champion is ever replaced by a model that is no better, 0 to 1.
    pub alpha: f64,
    /// By how much a new model must earn more a decision, in units of the campaigns' currency.
    pub min_gain: f64,
    /// How long a challenger may stay.
    pub max_age: Duration,
}

impl Learn {
    /// The same in milliseconds. Its ranges are days at most, so nothing is cut off.
    pub(crate) fn periods(&self) -> FeedbackPeriods {
        FeedbackPeriods { attribution_ms: ms(self.attribution), conversion_ms: ms(self.conversion) }
    }

    /// How often jobs are begun, in milliseconds.
    pub(crate) fn every_ms(&self) -> i64 {
        ms(self.every)
    }

    /// What the gate asks of a challenger of a campaign that explores so much.
    pub(crate) fn gate(&self, exploration: f64) -> GateSettings {
        GateSettings {
            alpha: self.alpha,
            min_gain_micro: self.min_gain * 1e6,
            max_age_ms: ms(self.max_age),
            exploration,
        }
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.get().as_millis()).unwrap_or(i64::MAX)
}

impl Default for Learn {
    fn default() -> Self {
        const DAY_S: u64 = 24 * 3600;
        Self {
            attribution: Duration::from_secs(30 * 60),
            conversion: Duration::from_secs(7 * DAY_S),
            every: Duration::from_secs(3600),
            min_labels: 500,
            alpha: 0.05,
            min_gain: 0.0,
            max_age: Duration::from_secs(7 * DAY_S),
        }
    }
}
