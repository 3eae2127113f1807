//! A lower confidence bound for a mean, right at every moment at once: a *confidence sequence*, made by betting.
//!
//! A fixed-n interval that is looked at after every row is wrong sooner or later, however small its α. This one may be looked
//! at after every row, and whoever looks may stop when they like what they see: the probability that it *ever* lies above
//! the mean is at most α (Ville 1939).
//!
//! For a supposed mean m of numbers X ≥ −B, a gambler whose wealth is 1 bets a share s of it, in 0 to 1, against "the mean
//! is at most m". One row multiplies the wealth by
//!
//! ```text
//! 1 + s · (X − m) / (B + m)         never below 1 − s, and in the mean at most 1 where the mean of X is at most m
//! ```
//!
//! (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 2024, section 4; Karampatziakis,
//! Mineiro and Ramdas, "Off-policy confidence sequences", ICML 2021, section 4, for importance-weighted rewards, which have a
//! small least value and a great largest one: the bound asks only for the least.) The gambler here divides the first unit
//! among eight fixed shares and never moves any of it, which is Cover's universal portfolio on a grid: the wealth is the
//! weighted sum of eight products. All m whose wealth has reached 1/α are refuted, and the bound is the largest of them.
//! Wealth falls in m and its logarithm is convex in m, so that a few supposed means suffice: between two of them a line
//! through the two below gives a bound that is never too high.

/// The shares that are bet, with how much of the first unit each has. A gain of one sixth of a percent of B a row, and one of
/// half of B, each have a bet within a factor of √2 of the best for them; which costs little more than the logarithm of the
/// weight. More lies on the bets that suit the few and great gains of exploration.
const BETS: [(f64, f64); 8] = [
    (0.9, 0.10),
    (0.45, 0.20),
    (0.225, 0.25),
    (0.112_5, 0.20),
    (0.056, 0.10),
    (0.028, 0.06),
    (0.014, 0.05),
    (0.007, 0.04),
];

/// Supposed means on each side of the centre: at the scale, and each time nearer by a factor of √2.
const STEPS: i32 = 24;

/// A lower confidence sequence for the mean of numbers that are never below a known one.
///
/// It is right where the mean of each row, given the rows before it, is the same or at most the supposed one; rows may depend
/// on each other in any other way. Its memory is bounded: 3 KiB. It is a function of the rows, in whatever order for which
/// that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct LowerBound {
    /// B: no number is below −B. Above 0.
    most_loss: f64,
    /// Rising; one of them is the centre.
    means: Vec<f64>,
    centre: usize,
    /// For each supposed mean the logarithm of each bet's wealth, but for the rows that were 0.
    log_wealth: Vec<[f64; BETS.len()]>,
    /// How many rows were 0. Nearly all are, and they need no arithmetic until somebody looks.
    zeros: u64,
    rows: u64,
}

impl LowerBound {
    /// Nothing seen yet. `least`, below 0, is what no number will fall below; `centre` the mean that matters most, for which the
    /// sequence is exact; `scale`, above 0, the greatest distance from it that bounds are wanted for. `None` where one of them
    /// is not such a number, or the centre is not above the least.
    #[must_use]
    pub fn new(least: f64, centre: f64, scale: f64) -> Option<Self> {
        let is_sound = least < 0.0 && scale > 0.0 && centre > least;
        if !is_sound || ![least, centre, scale].iter().all(|number| number.is_finite()) {
            return None;
        }
        let distance = |step: i32| scale * 0.5_f64.powf(f64::from(step) / 2.0);
        let below =
            (0..STEPS).map(|step| centre - distance(step)).filter(|mean| *mean > least * (1.0 - 1e-9));
        let mut means: Vec<f64> = below.collect();
        let index = means.len();
        means.push(centre);
        means.extend((0..STEPS).rev().map(|step| centre + distance(step)));
        let log_wealth = vec![[0.0; BETS.len()]; means.len()];
        Some(Self { most_loss: -least, means, centre: index, log_wealth, zeros: 0, rows: 0 })
    }

    /// Counts one row. A number below the least is taken as the least, which would make the bound wrong: the caller sees to it
    /// that there is none.
    pub fn observe(&mut self, number: f64) {
        debug_assert!(number >= -self.most_loss * (1.0 + 1e-9), "{number} is below {}", -self.most_loss);
        self.rows += 1;
        if number == 0.0 {
            self.zeros += 1;
            return;
        }
        let above_least = (number + self.most_loss).max(0.0);
        for (mean, logs) in self.means.iter().zip(&mut self.log_wealth) {
            let odds = above_least / (self.most_loss + mean) - 1.0;
            for (log, (share, _)) in logs.iter_mut().zip(BETS) {
                *log += (share * odds).ln_1p();
            }
        }
    }

    /// How many rows were counted.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The logarithm of the wealth against the centre: evidence that the mean is above it, in nats.
    #[must_use]
    pub fn evidence(&self) -> f64 {
        self.log_wealth_at(self.centre)
    }

    /// Whether the bound at level 1 − `alpha` is above the centre; without the work of finding it.
    #[must_use]
    pub fn is_above_centre(&self, alpha: f64) -> bool {
        self.evidence() > -alpha.ln()
    }

    /// The bound at level 1 − `alpha`: with at least this probability, the mean is above it at every moment. The least number
    /// where nothing is refuted.
    #[must_use]
    pub fn bound(&self, alpha: f64) -> f64 {
        let needed = -alpha.ln();
        let last = (0..self.means.len()).rev().find(|index| self.log_wealth_at(*index) > needed);
        let Some(last) = last else { return -self.most_loss };
        let Some(before) = last.checked_sub(1) else { return self.means[last] };
        let (mean, log) = (self.means[last], self.log_wealth_at(last));
        let slope = (log - self.log_wealth_at(before)) / (mean - self.means[before]);
        let reached = if slope < 0.0 { mean + (needed - log) / slope } else { mean };
        self.means.get(last + 1).map_or(mean, |above| reached.clamp(mean, *above))
    }

    fn log_wealth_at(&self, index: usize) -> f64 {
        let mean = self.means[index];
        let odds_of_zero = self.most_loss / (self.most_loss + mean) - 1.0;
        let mut logs = self.log_wealth[index];
        for (log, (share, weight)) in logs.iter_mut().zip(BETS) {
            *log += weight.ln() + self.zeros as f64 * (share * odds_of_zero).ln_1p();
        }
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        most + logs.iter().map(|log| (log - most).exp()).sum::<f64>().ln()
    }
}

#[cfg(test)]
mod tests;
