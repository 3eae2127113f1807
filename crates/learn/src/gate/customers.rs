//! The seed's rule: how often the sign of the score is wrong of customers who clicked, or did not.

use super::verdict::{Check, Finding, Outcome, Verdict};

/// The greatest error that passes, and the share of customers who clicked below which the rule tells nothing: saying no to
/// all would pass there.
const MOST_ERROR: f64 = 0.1;
const LEAST_CLICKED: f64 = 0.1;

/// A customer held out: newer than every row that the candidate was fitted to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Customer {
    /// The newest of their rows, in Unix milliseconds.
    pub time_ms: i64,
    /// The candidate's score, which says yes above 0.
    pub score: f64,
    /// The seed's label: whether they ever clicked the ad.
    pub clicked: bool,
}

/// Errors on customers held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Customers {
    count: u64,
    wrong: u64,
    clicked: u64,
    /// Customers that the candidate may have seen, or whose score is no number.
    unfit: u64,
}

impl Customers {
    pub fn of(customers: &[Customer], trained_until_ms: i64) -> Self {
        let mut found = Self::default();
        for customer in customers {
            found.count += 1;
            found.wrong += u64::from((customer.score > 0.0) != customer.clicked);
            found.clicked += u64::from(customer.clicked);
            found.unfit += u64::from(customer.time_ms <= trained_until_ms || !customer.score.is_finite());
        }
        found
    }

    fn share(self, count: u64) -> f64 {
        count as f64 / self.count as f64
    }

    pub fn finding(self) -> Finding {
        if self.count == 0 || self.unfit > 0 {
            return Finding::not_computed(MOST_ERROR);
        }
        let (error, no_to_all) = (self.share(self.wrong), self.share(self.clicked));
        let limit = MOST_ERROR.min(no_to_all);
        let outcome = match no_to_all < LEAST_CLICKED {
            true => Outcome::NotInformative,
            false => Outcome::passed_if(error <= MOST_ERROR && error < no_to_all),
        };
        Finding { outcome, value: Some(error), limit }
    }

    pub fn verdict(self) -> Verdict {
        let Self { count, unfit, .. } = self;
        let finding = self.finding();
        let sentence = if count == 0 {
            "The error per customer could not be computed: no customers were held out.".to_owned()
        } else if unfit > 0 {
            format!(
                "The error per customer could not be computed: {unfit} of {count} customers are not newer than the training \
                 rows, or have no score."
            )
        } else {
            let [error, no] = [self.wrong, self.clicked].map(|of| 100.0 * self.share(of));
            let told = format!(
                "Of {count} customers held out, the candidate is wrong of {error:.1} %, and saying no to all of {no:.1} %"
            );
            match finding.outcome {
                Outcome::NotInformative => {
                    format!("{told}: where under 10 % clicked this tells nothing, and does not decide.")
                }
                _ => format!("{told}: needed is at most 10 %, and less than saying no to all."),
            }
        };
        finding.with_sentence(Check::CustomerError, sentence)
    }
}
