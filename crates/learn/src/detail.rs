//! What a page shows of a campaign beyond the estimates of some policies.

use super::Terms;
use super::backtest::Judge;
use super::estimate::{Chance, Estimate, Estimator, Tally};
use super::slices::Slices;

/// What a page shows beyond the estimates.
#[derive(Debug)]
pub struct Detail {
    /// What was observed.
    pub slices: Slices,
    pub(crate) champion: Option<Curve>,
    pub(crate) challenger: Option<Curve>,
}

/// The policies of all thresholds of one model's probability.
#[derive(Debug)]
pub(crate) struct Curve(Vec<(f64, Tally)>);

/// What the policy of a threshold would have earned.
#[derive(Debug, Clone, Copy)]
pub struct AtThreshold {
    /// The threshold of the probability, `0.0..=1.0`.
    pub threshold: f64,
    /// What it would have earned, self-normalised.
    pub estimate: Estimate,
}

impl Curve {
    /// Of thresholds from 0.001 on, forty for three powers of ten.
    fn new() -> Self {
        let threshold = |step: i32| 10_f64.powf(f64::from(step) * 3.0 / 40.0 - 3.0);
        Self((0..=40).map(|step| (threshold(step), Tally::default())).collect())
    }

    pub(crate) fn add(&mut self, chance: &Chance, probability: Option<f64>) {
        for (threshold, tally) in &mut self.0 {
            tally.add(chance, f64::from(u8::from(probability.is_some_and(|of| of > *threshold))));
        }
    }

    fn estimates(&self) -> Vec<AtThreshold> {
        let at = |(threshold, tally): &(f64, Tally)| AtThreshold {
            threshold: *threshold,
            estimate: tally.estimate(Estimator::Snips),
        };
        self.0.iter().map(at).collect()
    }
}

impl Detail {
    pub(crate) fn new(terms: &Terms, champion: Option<&Judge>, challenger: Option<&Judge>) -> Self {
        let curve = |judge: Option<&Judge>| judge.filter(|judge| judge.knows_clicks()).map(|_| Curve::new());
        let slices = Slices::new(&terms.time_zone);
        Self { slices, champion: curve(champion), challenger: curve(challenger) }
    }

    /// The thresholds of the champion's probability, if it is one of a click.
    #[must_use]
    pub fn champion(&self) -> Vec<AtThreshold> {
        self.champion.as_ref().map_or(Vec::new(), Curve::estimates)
    }

    /// Those of the challenger's.
    #[must_use]
    pub fn challenger(&self) -> Vec<AtThreshold> {
        self.challenger.as_ref().map_or(Vec::new(), Curve::estimates)
    }
}
