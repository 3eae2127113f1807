//! The gate: what a candidate must show, on decisions that were logged, before it becomes the champion.
//!
//! A [`Gate`] is made when candidate and champion are fixed, and reads the log's decisions in their order. It is a function of
//! them: after a restart it is made again from the log. After every row it may be asked whether the candidate is promoted;
//! asking often does no harm, since [profit](crate::sequence) is bounded at every moment at once. What cannot be computed
//! fails, and the old champion stays. The reasons and the figures are in docs/decisions/gate.md.

mod calibration;
mod customers;
mod profit;
mod reign;
mod row;
mod support;
mod verdict;

pub(crate) use calibration::Calibration;
use customers::Customers;
use profit::Profit;
use support::Support;

pub use customers::Customer;
pub use reign::{Reign, alpha_of};
pub use row::{Row, Taken};
pub use verdict::{Check, Outcome, Verdict};

/// What a campaign asks of a candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The probability that a reign ends with a candidate that is no better, 0 to 1, both exclusive.
    pub alpha: f64,
    /// By how much the profit a decision must be above the champion's, in micro-units. At least 0.
    pub min_gain_micro: f64,
    /// How long a challenger may stay, in milliseconds. Above 0.
    pub max_age_ms: i64,
    /// The greatest weight of a show that the candidate alone makes, at least 1: where it would be greater, the row counts at its
    /// worst. The smaller, the sooner a better candidate is seen; 1 / `exploration` loses nothing.
    pub max_weight: f64,
    /// The least effective sample size, in rows.
    pub min_effective: f64,
    /// The fewest clicks on ads that the candidate would have shown.
    pub min_clicks: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            alpha: 0.05,
            min_gain_micro: 0.0,
            max_age_ms: 7 * 86_400_000,
            max_weight: 100.0,
            min_effective: 30.0,
            min_clicks: 20,
        }
    }
}

impl Settings {
    fn alpha_of(&self, number: u32) -> f64 {
        alpha_of(self.alpha, number)
    }
}

/// One candidate's challenge of one champion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge {
    /// Its number in the champion's [`Reign`], from 1.
    pub number: u32,
    /// The newest decision that the candidate was fitted to or calibrated on, in Unix milliseconds. Later ones are held out.
    pub trained_until_ms: i64,
    /// From when on both models are fixed. Profit is compared on decisions after it.
    pub fixed_ms: i64,
    /// What a show costs then, in micro-units.
    pub cost_micro: i64,
    /// What a click is worth then, in micro-units.
    pub value_micro: i64,
}

/// Why no gate can be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// A setting is out of its range.
    #[error("{name} is {value}; it must be {range}")]
    Range {
        /// Which.
        name: &'static str,
        /// What it is.
        value: f64,
        /// What it must be.
        range: &'static str,
    },
    /// There is nothing to compare.
    #[error(
        "profits cannot be compared with a cost of {cost_micro}, a value of {value_micro} and a least gain of {min_gain} \
         micro-units: none may be below 0, a show must cost or bring something, and the least gain must be within reach"
    )]
    Money {
        /// The least gain.
        min_gain: f64,
        /// What a show costs.
        cost_micro: i64,
        /// What a click is worth.
        value_micro: i64,
    },
    /// The candidate was fixed before its training ended.
    #[error(
        "the candidate was fixed at {fixed_ms} and trained on rows up to {trained_until_ms}, which is later"
    )]
    Times {
        /// From when on it is fixed.
        fixed_ms: i64,
        /// Its newest training row.
        trained_until_ms: i64,
    },
}

/// What becomes of a challenger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has shown enough: it becomes the champion.
    Promote,
    /// It stays until more is known.
    Stays,
    /// It is not good enough, and no more rows will change that.
    Futile,
    /// It has stayed as long as it may.
    TooOld,
}

/// The evidence for one candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    settings: Settings,
    challenge: Challenge,
    customers: Customers,
    calibration: Calibration,
    near_break_even: Calibration,
    profit: Profit,
    support: Support,
}

impl Gate {
    /// Nothing seen yet: it does not pass.
    ///
    /// # Errors
    /// Settings or a challenge that no evidence could be held against.
    pub fn new(settings: Settings, challenge: Challenge) -> Result<Self, SettingsError> {
        let in_range = |name, value: f64, is_good: bool, range| match is_good {
            true => Ok(()),
            false => Err(SettingsError::Range { name, value, range }),
        };
        let Settings { alpha, min_gain_micro: gain, max_age_ms, max_weight, min_effective, .. } = settings;
        in_range("alpha", alpha, alpha > 0.0 && alpha < 1.0, "between 0 and 1")?;
        in_range("min_gain_micro", gain, gain >= 0.0 && gain.is_finite(), "0 or more")?;
        in_range("max_age_ms", max_age_ms as f64, max_age_ms > 0, "above 0")?;
        in_range("max_weight", max_weight, (1.0..=1e6).contains(&max_weight), "1 to 1,000,000")?;
        in_range("min_effective", min_effective, min_effective >= 0.0, "0 or more")?;
        in_range("number", challenge.number.into(), challenge.number > 0, "1 or more")?;
        let Challenge { trained_until_ms, fixed_ms, cost_micro, value_micro, .. } = challenge;
        if trained_until_ms > fixed_ms {
            return Err(SettingsError::Times { fixed_ms, trained_until_ms });
        }
        if cost_micro < 0 || value_micro < 0 {
            return Err(SettingsError::Money { min_gain: gain, cost_micro, value_micro });
        }
        Ok(Self {
            settings,
            challenge,
            customers: Customers::default(),
            calibration: Calibration::default(),
            near_break_even: Calibration::default(),
            profit: Profit::new(&settings, &challenge)?,
            support: Support::default(),
        })
    }

    /// Holds the candidate against customers that it has not seen: newer than every row that it was fitted to. Those given
    /// last count.
    pub fn judge_customers(&mut self, customers: &[Customer]) {
        self.customers = Customers::of(customers, self.challenge.trained_until_ms);
    }

    /// Takes another decision of the log. All that were decided before some instant must be taken, in whatever order: every
    /// figure is a sum over them, and only *which* decisions are in it may not depend on what came of them.
    pub fn observe(&mut self, row: &Row) -> Taken {
        if row.decided_ms <= self.challenge.trained_until_ms {
            return Taken::Left;
        }
        if !row.matured {
            return Taken::Unmatured;
        }
        if !row.is_sound() {
            self.support.refuse();
            return Taken::Refused;
        }
        if !row.eligible {
            return Taken::Left;
        }
        if row.is_played() {
            self.calibration.observe(row.probability, row.clicked);
            if calibration::is_near_break_even(row) {
                self.near_break_even.observe(row.probability, row.clicked);
            }
        }
        if row.decided_ms <= self.challenge.fixed_ms {
            return Taken::HeldOut;
        }
        self.support.observe(row);
        self.profit.observe(row);
        Taken::Counted
    }

    /// Whether nothing stands in the way of a promotion: every check that decides has passed.
    #[must_use]
    pub fn promotes(&self) -> bool {
        let Settings { min_effective, min_clicks, .. } = self.settings;
        let passed = |outcome: Outcome| outcome != Outcome::Failed;
        self.profit.passes()
            && passed(self.customers.finding().outcome)
            && passed(self.calibration.finding().outcome)
            && passed(self.near_break_even.finding().outcome)
            && passed(self.support.propensities().outcome)
            && passed(self.support.effective_sample(min_effective).outcome)
            && passed(self.support.clicks(min_clicks).outcome)
            && passed(self.support.unsupported().outcome)
    }

    /// What becomes of the challenger at this instant, in Unix milliseconds.
    #[must_use]
    pub fn standing(&self, now_ms: i64) -> Standing {
        if self.promotes() {
            Standing::Promote
        } else if self.profit.is_futile() || self.refuted().is_some() {
            Standing::Futile
        } else if now_ms.saturating_sub(self.challenge.fixed_ms) >= self.settings.max_age_ms {
            Standing::TooOld
        } else {
            Standing::Stays
        }
    }

    /// The calibration that no more rows will bring right, if there is one.
    fn refuted(&self) -> Option<&Calibration> {
        [&self.calibration, &self.near_break_even].into_iter().find(|of| of.is_refuted())
    }

    /// What each check has found, in the order of [`Check::ALL`].
    #[must_use]
    pub fn verdicts(&self) -> Vec<Verdict> {
        let Settings { min_effective, min_clicks, .. } = self.settings;
        vec![
            self.customers.verdict(),
            self.calibration.verdict(Check::Calibration),
            self.near_break_even.verdict(Check::CalibrationNearBreakEven),
            self.profit.verdict(),
            self.support.propensities_verdict(),
            self.support.effective_sample_verdict(min_effective),
            self.support.clicks_verdict(min_clicks),
            self.support.unsupported_verdict(),
        ]
    }

    /// Rows that count for profit.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.profit.rows()
    }

    /// What the challenger's standing comes to, in words.
    #[must_use]
    pub fn sentence(&self, standing: Standing) -> String {
        match standing {
            Standing::Promote => {
                "Every check that decides has passed: the candidate becomes the champion.".to_owned()
            }
            Standing::Stays => {
                let failed = self.verdicts().into_iter().filter(|verdict| verdict.outcome == Outcome::Failed);
                let failed: Vec<_> = failed.map(|verdict| verdict.check.as_str()).collect();
                format!(
                    "The champion stays in force, and the candidate is watched: not passed yet are {}.",
                    failed.join(", ")
                )
            }
            Standing::Futile if let Some(of) = self.refuted() => {
                format!(
                    "The champion stays in force: the candidate tells too many clicks or too few, {}.",
                    of.refutation()
                )
            }
            Standing::Futile => format!(
                "The champion stays in force: the candidate earns at most {:.0} micro-units a decision more, and {:.0} are \
                 needed.",
                self.profit.upper(),
                self.settings.min_gain_micro
            ),
            Standing::TooOld => format!(
                "The champion stays in force: the candidate has not shown enough in {:.1} days, which is as long as one may stay.",
                self.settings.max_age_ms as f64 / 86_400_000.0
            ),
        }
    }
}

#[cfg(test)]
mod tests;
