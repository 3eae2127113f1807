//! Whether the log can tell what the candidate would earn.

use super::row::Row;
use super::verdict::{Check, Finding, Outcome, Verdict};

/// The share of decisions that may be unsupported.
const MOST_UNSUPPORTED: f64 = 0.05;

/// Of a normal variable, this many deviations on either side hold 99 %.
const DEVIATIONS: f64 = 2.576;

/// Sums over the rows that count for profit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Support {
    rows: u64,
    /// Rows that had a chance to be shown; the sum of 1/propensity over those that were, and its variance, which the
    /// propensities give: Σ(1/μ − 1).
    possible: u64,
    inverse: f64,
    variance: f64,
    /// Sums of the candidate's weights.
    weights: f64,
    squares: f64,
    clicks: u64,
    unsupported: u64,
    refused: u64,
}

impl Support {
    pub fn observe(&mut self, row: &Row) {
        self.rows += 1;
        if row.propensity > 0.0 {
            self.possible += 1;
            self.inverse += if row.is_chosen() { 1.0 / row.propensity } else { 0.0 };
            self.variance += 1.0 / row.propensity - 1.0;
        }
        self.weights += row.weight();
        self.squares += row.weight() * row.weight();
        self.clicks += u64::from(row.is_played() && row.clicked && row.candidate_shows > 0.0);
        self.unsupported += u64::from(row.candidate_shows > 0.0 && row.propensity == 0.0);
    }

    pub fn refuse(&mut self) {
        self.refused += 1;
    }

    /// The mean of 1[shown]/μ, and how far it may be from 1.
    fn mean(&self) -> (f64, f64) {
        let possible = self.possible as f64;
        (self.inverse / possible, DEVIATIONS * self.variance.sqrt() / possible)
    }

    pub fn propensities(&self) -> Finding {
        if self.possible == 0 || self.refused > 0 {
            return Finding::not_computed(1.0);
        }
        let (mean, apart) = self.mean();
        Finding {
            outcome: Outcome::passed_if((mean - 1.0).abs() <= apart + 1e-9),
            value: Some(mean),
            limit: 1.0,
        }
    }

    pub fn propensities_verdict(&self) -> Verdict {
        let (finding, (mean, apart)) = (self.propensities(), self.mean());
        let sentence = if self.refused > 0 {
            format!(
                "{} rows contradict themselves: shown with a propensity of 0, or clicked and not shown. \
                 The log cannot be trusted to tell what the candidate would earn.",
                self.refused
            )
        } else if self.possible == 0 {
            "Propensities could not be checked: in no matured decision since the candidate was fixed could the ad be shown."
                .to_owned()
        } else {
            format!(
                "In {} decisions that could show the ad, 1/propensity of those that did is {mean:.3} in the mean, by a 99 % \
                 interval {:.3} to {:.3}, which must hold 1.",
                self.possible,
                mean - apart,
                mean + apart
            )
        };
        finding.with_sentence(Check::Propensities, sentence)
    }

    /// (Σw)² / Σw² (Kish, Survey Sampling, 1965).
    pub fn effective_sample(&self, floor: f64) -> Finding {
        let effective = if self.squares > 0.0 { self.weights * self.weights / self.squares } else { 0.0 };
        Finding { outcome: Outcome::passed_if(effective >= floor), value: Some(effective), limit: floor }
    }

    pub fn effective_sample_verdict(&self, floor: f64) -> Verdict {
        let finding = self.effective_sample(floor);
        let effective = finding.value.unwrap_or_default();
        let sentence = format!(
            "What was shown is worth {effective:.0} rows of equal weight under the candidate; at least {floor:.0} are needed."
        );
        finding.with_sentence(Check::EffectiveSample, sentence)
    }

    pub fn clicks(&self, floor: u64) -> Finding {
        let (clicks, limit) = (self.clicks as f64, floor as f64);
        Finding { outcome: Outcome::passed_if(self.clicks >= floor), value: Some(clicks), limit }
    }

    pub fn clicks_verdict(&self, floor: u64) -> Verdict {
        let sentence = format!(
            "{} clicks came on ads that the candidate would have shown, too; at least {floor} are needed.",
            self.clicks
        );
        self.clicks(floor).with_sentence(Check::Clicks, sentence)
    }

    pub fn unsupported(&self) -> Finding {
        if self.rows == 0 {
            return Finding::not_computed(MOST_UNSUPPORTED);
        }
        let share = self.unsupported as f64 / self.rows as f64;
        Finding {
            outcome: Outcome::passed_if(share <= MOST_UNSUPPORTED),
            value: Some(share),
            limit: MOST_UNSUPPORTED,
        }
    }

    pub fn unsupported_verdict(&self) -> Verdict {
        let finding = self.unsupported();
        let sentence = match finding.value {
            None => "No decision has matured since the candidate was fixed.".to_owned(),
            Some(share) => format!(
                "In {} of {} decisions ({:.1} %) the candidate shows the ad where it is never shown; at most {:.0} % may be so. \
                 Exploration gives every show a chance.",
                self.unsupported,
                self.rows,
                100.0 * share,
                100.0 * MOST_UNSUPPORTED
            ),
        };
        finding.with_sentence(Check::Unsupported, sentence)
    }
}
