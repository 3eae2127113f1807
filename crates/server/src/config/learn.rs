//! Settings of what is learned from decisions.

use serde::{Deserialize, Serialize};

use upbeat_core::feedback::FeedbackPeriods;

use super::Duration;

/// Which decision a click, or a rise of the membership, is taken for the outcome of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Learn {
    /// A click that names no decision belongs to an impression of its ad at most so long before.
    pub attribution: Duration,
    /// A rise of the membership belongs to an impression at most so long before.
    pub conversion: Duration,
}

impl Learn {
    /// The same in milliseconds. Its ranges are days at most, so nothing is cut off.
    pub(crate) fn periods(&self) -> FeedbackPeriods {
        let ms = |duration: Duration| i64::try_from(duration.get().as_millis()).unwrap_or(i64::MAX);
        FeedbackPeriods { attribution_ms: ms(self.attribution), conversion_ms: ms(self.conversion) }
    }
}

impl Default for Learn {
    fn default() -> Self {
        Self { attribution: Duration::from_secs(30 * 60), conversion: Duration::from_secs(7 * 24 * 3600) }
    }
}
