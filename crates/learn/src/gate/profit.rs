//! The candidate's profit a decision less the champion's, bounded below at every moment.

use super::row::Row;
use super::verdict::{Check, Finding, Outcome, Verdict};
use super::{Challenge, Settings, SettingsError};
use crate::sequence::LowerBound;

/// With the probability 1 − this, a challenger that is good enough is never given up as futile. It says nothing of
/// promotions: giving up too early promotes nobody.
const FUTILE_ALPHA: f64 = 0.05;

/// Differences of probabilities below this are rounding.
const SAME: f64 = 1e-12;

/// Candidate less champion, from rows weighted by propensities.
///
/// A row that was shown says (π_candidate − π_champion) / μ times what the show earned; one that was not says 0, since not
/// showing earns 0 under any policy. Where that could cost the candidate more than the sequence's least number, for the ad is
/// shown too rarely or never, the row counts as the worst that the show can bring, without a weight: which it does is known
/// before the coin falls, and it can only make the bound lower.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Profit {
    alpha: f64,
    min_gain: f64,
    /// No row costs the candidate more, or brings it more, than these, in micro-units.
    most_loss: f64,
    most_gain: f64,
    lower: LowerBound,
    /// Of the same numbers with the opposite sign, and with the best for the worst.
    upper: LowerBound,
    differing: u64,
    too_rare: u64,
    /// Rows whose cost or value have grown out of what the sequence was made for.
    out_of_range: u64,
    sum: f64,
}

impl Profit {
    pub fn new(settings: &Settings, challenge: &Challenge) -> Result<Self, SettingsError> {
        let (cost, value) = (challenge.cost_micro as f64, challenge.value_micro as f64);
        let gain = (value - cost).max(0.0);
        // A little more than that, so that rounding leaves nothing outside.
        let most_loss = f64::max(cost * settings.max_weight, gain) * (1.0 + 1e-9);
        let most_gain = f64::max(gain * settings.max_weight, cost) * (1.0 + 1e-9);
        let (scale, min_gain) = (f64::max(cost, gain), settings.min_gain_micro);
        let made = LowerBound::new(-most_loss, min_gain, scale);
        let made = made.zip(LowerBound::new(-most_gain, -min_gain, scale));
        let (lower, upper) = made.ok_or(SettingsError::Money {
            min_gain,
            cost_micro: challenge.cost_micro,
            value_micro: challenge.value_micro,
        })?;
        let alpha = settings.alpha_of(challenge.number);
        Ok(Self {
            alpha,
            min_gain,
            most_loss,
            most_gain,
            lower,
            upper,
            differing: 0,
            too_rare: 0,
            out_of_range: 0,
            sum: 0.0,
        })
    }

    pub fn observe(&mut self, row: &Row) {
        let difference = row.candidate_shows - row.champion_shows;
        if difference.abs() < SAME {
            self.count(0.0, 0.0);
            return;
        }
        self.differing += 1;
        let (cost, value) = (row.cost_micro as f64, row.value_micro as f64);
        // What a show can earn at worst and at best, for the candidate.
        let ends = [difference * -cost, difference * (value - cost)];
        let (worst, best) = (ends[0].min(ends[1]).min(0.0), ends[0].max(ends[1]).max(0.0));
        if worst < -self.most_loss || best > self.most_gain {
            self.out_of_range += 1;
            return;
        }
        let earned = if row.clicked { value - cost } else { -cost };
        let weighted = match row.is_played() {
            true => difference * earned / row.propensity,
            false => 0.0,
        };
        let fits = |end: f64, limit: f64| row.propensity > 0.0 && end.abs() <= limit * row.propensity;
        let (low_fits, high_fits) = (fits(worst, self.most_loss), fits(best, self.most_gain));
        self.too_rare += u64::from(!low_fits);
        self.count(if low_fits { weighted } else { worst }, if high_fits { weighted } else { best });
    }

    fn count(&mut self, low: f64, high: f64) {
        self.sum += low;
        self.lower.observe(low);
        self.upper.observe(-high);
    }

    pub fn finding(&self) -> Finding {
        if self.out_of_range > 0 || self.lower.rows() == 0 {
            return Finding::not_computed(self.min_gain);
        }
        let value = self.lower.bound(self.alpha);
        let outcome = Outcome::passed_if(self.passes());
        Finding { outcome, value: Some(value), limit: self.min_gain }
    }

    /// The outcome alone, with less work: this is asked after every row.
    pub fn passes(&self) -> bool {
        self.out_of_range == 0 && self.lower.is_above_centre(self.alpha)
    }

    /// Whether the candidate is less than good enough: no more rows will help it.
    pub fn is_futile(&self) -> bool {
        self.out_of_range == 0 && self.upper.is_above_centre(FUTILE_ALPHA)
    }

    pub fn rows(&self) -> u64 {
        self.lower.rows()
    }

    /// The most that the candidate earns a decision beyond the champion, in micro-units, at the level of futility.
    pub fn upper(&self) -> f64 {
        -self.upper.bound(FUTILE_ALPHA)
    }

    #[cfg(test)]
    pub fn sum(&self) -> f64 {
        self.sum
    }

    #[cfg(test)]
    pub fn evidence_needed(&self) -> f64 {
        -self.alpha.ln()
    }

    pub fn verdict(&self) -> Verdict {
        let finding = self.finding();
        let Self { differing, too_rare, out_of_range, min_gain, .. } = self;
        let rows = self.lower.rows();
        let sentence = if *out_of_range > 0 {
            format!(
                "The profit cannot be compared: cost or value of {out_of_range} decisions have grown out of what the comparison \
                 was made for. The next challenger begins with the new ones."
            )
        } else if let Some(low) = finding.value {
            let rare = match too_rare {
                0 => String::new(),
                _ => format!(" {too_rare} of them were too rarely shown to tell, and count at their worst."),
            };
            format!(
                "In {rows} decisions since the candidate was fixed, of which it decides {differing} otherwise, it earns {:.0} \
                 micro-units a decision more than the champion; at least {low:.0}, by a bound that holds at every moment with \
                 probability {:.4}; more than {min_gain:.0} is needed.{rare}",
                self.sum / rows as f64,
                1.0 - self.alpha
            )
        } else {
            "The profit could not be compared: no decision has matured since the candidate was fixed."
                .to_owned()
        };
        finding.with_sentence(Check::Profit, sentence)
    }
}
