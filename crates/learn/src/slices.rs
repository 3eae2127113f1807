//! What was observed of a campaign by hour of the day, by membership, and by the probability that was told.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use upbeat_core::event::{Membership, Zone};

use super::estimate::Chance;
use super::interval::{NORMAL, wilson};

/// Where bins of probabilities begin: finer below, where clicks of ads are.
const EDGES: [f64; 18] =
    [0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95];

/// What was observed of some eligible decisions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slice {
    /// Eligible decisions.
    pub decisions: u64,
    /// Ads that were shown.
    pub shown: u64,
    /// Ads that were clicked in time.
    pub clicked: u64,
    /// What was earned, in micro-units.
    pub profit_micro: i64,
}

impl Slice {
    fn add(&mut self, chance: &Chance) {
        self.decisions += 1;
        let Some(shown) = &chance.shown else { return };
        self.shown += 1;
        self.clicked += u64::from(shown.is_clicked);
        self.profit_micro = self.profit_micro.saturating_add(shown.profit_micro());
    }

    /// The share of shown ads that were clicked, and its 95 % interval (Wilson's); `None` where none was shown.
    #[must_use]
    pub fn click_rate(&self) -> Option<(f64, (f64, f64))> {
        let rate = self.clicked as f64 / self.shown as f64;
        (self.shown > 0).then(|| (rate, upbeat_svm::wilson(self.clicked, self.shown)))
    }
}

/// How often ads were clicked of which a probability in some range was told. Shown ads count by one over the probability that they
/// were shown, so that the bin is one of all eligible decisions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reliability {
    /// The mean of what was told, `0.0..=1.0`.
    pub told: f64,
    /// The share that was clicked, `0.0..=1.0`.
    pub found: f64,
    /// The ends of its 95 % interval.
    pub interval: (f64, f64),
    /// Ads that were shown.
    pub shown: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    shown: u64,
    weight: f64,
    squared: f64,
    clicks: f64,
    told: f64,
}

/// What was observed of a campaign.
#[derive(Debug)]
pub struct Slices {
    zone: TimeZone,
    hours: [Slice; 24],
    levels: BTreeMap<Option<Membership>, Slice>,
    bins: [Bin; EDGES.len()],
}

impl Slices {
    /// With hours as the clocks of a zone show them; of UTC where this system does not know it.
    #[must_use]
    pub fn new(zone: &str) -> Self {
        let zone = Zone::named(zone).unwrap_or_else(|_| Zone::utc()).time_zone();
        Self { zone, hours: Default::default(), levels: BTreeMap::new(), bins: Default::default() }
    }

    /// Takes an eligible decision of this time, of a customer of this level, of which this probability of a click was told.
    pub fn add(&mut self, chance: &Chance, time_ms: i64, level: Option<Membership>, told: Option<f64>) {
        if let Ok(instant) = Timestamp::from_millisecond(time_ms) {
            self.hours[usize::try_from(self.zone.to_datetime(instant).hour()).unwrap_or(0) % 24].add(chance);
        }
        self.levels.entry(level).or_default().add(chance);
        let (Some(shown), Some(told)) = (&chance.shown, told) else { return };
        if chance.propensity <= 0.0 {
            return;
        }
        let bin = &mut self.bins[EDGES.partition_point(|edge| *edge <= told).saturating_sub(1)];
        let weight = 1.0 / chance.propensity;
        bin.shown += 1;
        bin.weight += weight;
        bin.squared += weight * weight;
        bin.clicks += weight * f64::from(u8::from(shown.is_clicked));
        bin.told += weight * told;
    }

    /// By hour, from midnight on.
    #[must_use]
    pub fn hours(&self) -> &[Slice; 24] {
        &self.hours
    }

    /// By membership at the decision, ascending; first those of whom the log does not tell it.
    pub fn levels(&self) -> impl Iterator<Item = (Option<Membership>, &Slice)> {
        self.levels.iter().map(|(level, slice)| (*level, slice))
    }

    /// By the probability that was told, ascending; ranges of which no ad was shown are left out.
    #[must_use]
    pub fn reliability(&self) -> Vec<Reliability> {
        let shown = self.bins.iter().filter(|bin| bin.shown > 0);
        let point = |bin: &Bin| {
            let found = bin.clicks / bin.weight;
            let effective = bin.weight * bin.weight / bin.squared;
            Reliability {
                told: bin.told / bin.weight,
                found,
                interval: wilson(found, effective, NORMAL),
                shown: bin.shown,
            }
        };
        shown.map(point).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::Shown;

    #[test]
    fn decisions_are_sliced_by_local_hour_membership_and_probability() {
        let mut slices = Slices::new("Asia/Seoul");
        let shown = |is_clicked| Some(Shown { is_clicked, cost_micro: 20_000, value_micro: 500_000 });
        let chance = |propensity, shown| Chance { propensity, shown, customer: 1 };
        // Midnight of UTC is nine o'clock in Seoul.
        slices.add(&chance(0.5, shown(true)), 0, Some(Membership::Free), Some(0.04));
        slices.add(&chance(0.25, shown(false)), 3_600_000, Some(Membership::Free), Some(0.035));
        slices.add(&chance(0.25, None), 3_600_000, None, Some(0.6));
        slices.add(&chance(1.0, shown(true)), -1, Some(Membership::Silver), Some(1.0));
        let of = |hour: usize| (slices.hours()[hour].decisions, slices.hours()[hour].clicked);
        assert_eq!((of(9), of(10), of(8)), ((1, 1), (2, 0), (1, 1)));
        let levels: Vec<_> =
            slices.levels().map(|(level, of)| (level, of.decisions, of.profit_micro)).collect();
        let expected =
            [(None, 1, 0), (Some(Membership::Free), 2, 460_000), (Some(Membership::Silver), 1, 480_000)];
        assert_eq!(levels, expected);
        let [low, high] = &slices.reliability()[..] else { panic!("{:?}", slices.reliability()) };
        assert!((low.found - 2.0 / 6.0).abs() < 1e-12, "by the weights 2 and 4: {low:?}");
        assert!((low.told - (2.0 * 0.04 + 4.0 * 0.035) / 6.0).abs() < 1e-12, "{low:?}");
        assert_eq!((high.found, high.told, high.shown), (1.0, 1.0, 1));
        assert!(low.interval.0 < low.found && low.found < low.interval.1 && high.interval.0 < 1.0);
        assert_eq!(slices.hours()[9].click_rate().expect("a rate").0, 1.0);
        assert_eq!(slices.hours()[0].click_rate(), None);
    }
}
