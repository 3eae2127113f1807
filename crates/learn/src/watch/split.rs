//! Whether as many customers are held out as the holdout's share says, looked at after every one of them.
//!
//! Each customer is held out or not by a digest that nothing else goes by. Where the groups are of other sizes than that says, one of them
//! has lost customers on its way into the log, and no comparison of the two is to be believed (a *sample ratio mismatch*: Fabijan et
//! al., KDD 2019).
//!
//! Against "a customer is held out with probability q", whoever believes that the odds are e^θ times as high multiplies a wealth of 1, a
//! customer, by
//!
//! ```text
//! e^(θ x) / (1 − q + q e^θ)          x = 1 where the customer is held out, else 0; in the mean 1 where it is q
//! ```
//!
//! whatever q is for this customer, given those before. The first unit is divided evenly among many θ of both signs. The wealth is a
//! martingale then, so that it ever reaches 1/α with probability α at most (Ville 1939; mixtures: Robbins, Annals of Mathematical
//! Statistics 41, 1970; for this check: Lindon and Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022).

use serde::{Deserialize, Serialize};

/// The logarithms of the odds that are believed in, of either sign, from a hundredth up by factors of √2 to more than one.
const TILTS: usize = 32;

/// At this level a mismatch is said.
pub const ALPHA: f64 = 0.001;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// Customers who were shown it.
    pub treated: u64,
    /// Customers who were held out.
    pub held_out: u64,
    /// As many should have been held out, of both together.
    pub expected: f64,
    /// The logarithm of the largest wealth so far, in nats: at least 0.
    pub evidence: f64,
}

impl Ratio {
    /// The probability that the groups would ever have looked so wrong if all were well, at most: it may be looked at at every moment.
    #[must_use]
    pub fn p(&self) -> f64 {
        (-self.evidence).exp()
    }

    /// Whether the groups are of other sizes than the share says.
    #[must_use]
    pub fn is_mismatch(&self) -> bool {
        self.p() <= ALPHA
    }
}

/// Counts customers of both groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    found: Ratio,
    log_wealth: [f64; TILTS],
}

impl Default for Split {
    fn default() -> Self {
        Self {
            found: Ratio { treated: 0, held_out: 0, expected: 0.0, evidence: 0.0 },
            log_wealth: [0.0; TILTS],
        }
    }
}

fn tilt(index: usize) -> f64 {
    let size = 0.01 * 2.0_f64.powf((index / 2) as f64 / 2.0);
    if index.is_multiple_of(2) { size } else { -size }
}

impl Split {
    /// Counts a customer who is held out with this probability. Where it is 0 or 1 nothing is left to chance, and nothing is learnt, unless
    /// the customer contradicts it.
    pub fn add(&mut self, is_held_out: bool, share: f64) {
        let Self { found, log_wealth } = self;
        *(if is_held_out { &mut found.held_out } else { &mut found.treated }) += 1;
        found.expected += share;
        let is_possible = if is_held_out { share > 0.0 } else { share < 1.0 };
        if !is_possible {
            found.evidence = f64::MAX;
            return;
        }
        if share <= 0.0 || share >= 1.0 {
            return;
        }
        let mut most = f64::NEG_INFINITY;
        for (index, log) in log_wealth.iter_mut().enumerate() {
            let tilt = tilt(index);
            *log += if is_held_out { tilt } else { 0.0 } - (share * tilt.exp_m1()).ln_1p();
            most = most.max(*log);
        }
        // The mixture is at most its greatest part: mostly it needs not be computed.
        if most > found.evidence {
            let sum: f64 = log_wealth.iter().map(|log| (log - most).exp()).sum();
            found.evidence = found.evidence.max(most + (sum / TILTS as f64).ln());
        }
    }

    /// What was found so far.
    #[must_use]
    pub fn found(&self) -> Ratio {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use upbeat_core::event::StableHash;

    use super::*;

    /// A number from 0 to 1.
    fn draw(seed: u64, number: u64) -> f64 {
        (StableHash::with_key(seed).word(number).finish() >> 11) as f64 / (1_u64 << 53) as f64
    }

    #[test]
    fn right_splits_alarm_at_most_as_often_as_the_level_says_though_looked_at_after_every_customer() {
        const SEEDS: u64 = 1000;
        let shares = [0.5, 0.05, 0.2];
        let most_evidence = (0..SEEDS).map(|seed| {
            let mut split = Split::default();
            for number in 0..3000 {
                // Versions of the campaign with other shares decided of some.
                let share = shares[(number as usize / 500 + seed as usize) % 3];
                split.add(draw(seed, number) < share, share);
            }
            // The largest at any moment, as whoever looks after every customer sees it.
            split.found()
        });
        let (mut mismatches, mut at_five_percent) = (0, 0);
        for found in most_evidence {
            mismatches += u64::from(found.is_mismatch());
            at_five_percent += u64::from(found.p() <= 0.05);
        }
        // One is expected at most, and 50; more than these come once in 10,000 times then.
        assert!(mismatches <= 6 && at_five_percent <= 76, "{mismatches} and {at_five_percent} of {SEEDS}");
        assert!(at_five_percent > 0, "the level is not made by never alarming");
    }

    #[test]
    fn loss_of_one_in_a_hundred_treated_customers_alarms_and_the_same_customers_without_it_do_not() {
        const CUSTOMERS: u64 = 2_000_000;
        let (mut lossy, mut whole) = (Split::default(), Split::default());
        for number in 0..CUSTOMERS {
            let is_held_out = draw(1, number) < 0.5;
            whole.add(is_held_out, 0.5);
            if is_held_out || draw(2, number) >= 0.01 {
                lossy.add(is_held_out, 0.5);
            }
        }
        assert!(lossy.found().is_mismatch() && !whole.found().is_mismatch(), "{lossy:?} {whole:?}");
    }

    #[test]
    fn group_that_cannot_be_is_a_mismatch_at_once_and_one_that_must_be_is_none() {
        for (is_held_out, share, is_mismatch) in
            [(true, 0.0, true), (false, 1.0, true), (false, 0.0, false), (true, 1.0, false)]
        {
            let mut split = Split::default();
            split.add(is_held_out, share);
            assert_eq!(split.found().is_mismatch(), is_mismatch, "{is_held_out} {share}");
        }
    }
}
