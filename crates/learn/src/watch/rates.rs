//! How many shown ads were clicked, and how many were expected to be, over the last hours of a log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::gate::Calibration;
use crate::interval::{NORMAL, wilson};

const HOUR_MS: i64 = 3_600_000;

/// Hours that are kept: those of a week.
const MOST_HOURS: i64 = 7 * 24;

/// Ads of some time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Ads that were shown and played, and can no longer be clicked in time.
    pub shown: u64,
    /// Those of them that were clicked.
    pub clicks: u64,
    /// Clicks that the model expects of them; `None` where it tells no probability of a click on a show.
    pub expected: Option<f64>,
    /// Clicks expected to clicks that came, and the 95 % interval of that; `None` without clicks, or where none is expected.
    pub calibration: Option<[f64; 3]>,
    /// Clicks a shown ad, and the 95 % interval of that; `None` where nothing was shown.
    pub click_rate: Option<[f64; 3]>,
}

/// Shown ads by the hour in which they were shown, of the last week.
#[derive(Debug, Default)]
pub(super) struct Rates {
    hours: BTreeMap<i64, (Calibration, bool)>,
}

impl Rates {
    /// Counts an ad, and the probability of its click that the model tells.
    pub(super) fn add(&mut self, time_ms: i64, probability: Option<f64>, is_clicked: bool) {
        let newest = self.hours.last_key_value().map_or(i64::MIN, |(hour, _)| *hour);
        let hour = time_ms.div_euclid(HOUR_MS);
        if hour <= newest.saturating_sub(MOST_HOURS) {
            return;
        }
        let (of, is_told) = self.hours.entry(hour).or_insert((Calibration::default(), true));
        of.observe(probability.unwrap_or(0.0), is_clicked);
        *is_told &= probability.is_some();
        if hour > newest {
            self.hours.retain(|other, _| *other > hour - MOST_HOURS);
        }
    }

    /// What was counted in the last so many hours before the end of the newest.
    pub(super) fn last(&self, hours: i64) -> Measured {
        let Some((newest, _)) = self.hours.last_key_value() else { return Measured::default() };
        let mut sum = (Calibration::default(), true);
        for (of, is_told) in self.hours.range(newest - hours + 1..).map(|(_, of)| of) {
            sum.0.merge(of);
            sum.1 &= is_told;
        }
        let (of, is_told) = sum;
        let (shown, clicks) = (of.shown(), of.clicks());
        let click_rate = (shown > 0).then(|| {
            let rate = clicks as f64 / shown as f64;
            let (low, high) = wilson(rate, shown as f64, NORMAL);
            [rate, low, high]
        });
        let calibration = of.ratio().filter(|_| is_told);
        Measured { shown, clicks, expected: is_told.then(|| of.expected()), calibration, click_rate }
    }
}
