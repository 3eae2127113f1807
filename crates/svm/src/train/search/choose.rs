//! The rule that compares candidates.

use crate::evaluate::metrics::Metrics;
use crate::train::search::Candidate;

/// Log losses within this share of the least are a tie; and within one unit over all rows together, a
/// likelihood ratio of e.
const LOG_LOSS_TIE: f64 = 0.01;

/// Counts of wrong rows within this many standard errors, √count, of the least are a tie; and within one
/// row. Candidates are compared on the same rows, so that their difference scatters less than either count.
const ERROR_TIE: f64 = 0.5;

/// What makes one candidate better than another. Ties go by the other measure, and ties of both to the
/// simpler candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criterion {
    /// Negative log probability of the true labels, after calibration; within 1 % (or one unit) is a tie.
    LogLoss,
    /// Rows with the wrong label; within half a standard error (or one row) is a tie.
    Error,
}

impl Criterion {
    /// `log-loss` or `error`, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::LogLoss => "log-loss",
            Self::Error => "error",
        }
    }

    /// The rule of choice, in words.
    pub fn rule(self) -> &'static str {
        match self {
            Self::LogLoss => {
                "log loss within 1 % (or one unit over all rows) of the least, then the least error, then the simplest"
            }
            Self::Error => {
                "error within half a standard error (or one row) of the least, then the least log loss, then the simplest"
            }
        }
    }

    /// The measure to minimise: the log loss of all rows together, or how many rows are wrong.
    pub fn of(self, metrics: &Metrics) -> f64 {
        match self {
            Self::LogLoss => {
                metrics.log_loss.map_or(f64::INFINITY, |mean| mean * metrics.confusion.rows() as f64)
            }
            Self::Error => metrics.error * metrics.confusion.rows() as f64,
        }
    }

    /// The worst that still counts as good as `best`.
    fn tied(self, best: f64) -> f64 {
        match self {
            Self::LogLoss => best + (LOG_LOSS_TIE * best).max(1.0),
            Self::Error => best + (ERROR_TIE * best.sqrt()).max(1.0),
        }
    }

    fn other(self) -> Self {
        match self {
            Self::LogLoss => Self::Error,
            Self::Error => Self::LogLoss,
        }
    }
}

/// The first of the candidates that tie by both measures, simplest first. Looks at parameters and measures alone, so
/// that the measures may be of any part of the rows.
pub(super) fn choose(tried: &[&Candidate], criterion: Criterion) -> Option<usize> {
    let mut tied: Vec<usize> = (0..tried.len()).collect();
    for measure in [criterion, criterion.other()] {
        let value = |&place: &usize| measure.of(&tried[place].metrics);
        let best = tied.iter().map(value).fold(f64::INFINITY, f64::min);
        tied.retain(|place| value(place) <= measure.tied(best));
    }
    tied.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::metrics::Confusion;
    use crate::train::parameters::Parameters;

    #[test]
    fn ties_go_by_the_other_measure_and_then_to_the_simpler() {
        let candidate = |wrong: u64, log_loss: f64| {
            let mut metrics = Metrics::measure(&[1.0, -1.0], &[true, false], None, None).unwrap();
            metrics.confusion =
                Confusion { false_positive: wrong, true_negative: 1000 - wrong, ..Confusion::default() };
            metrics.error = wrong as f64 / 1000.0;
            metrics.log_loss = Some(log_loss);
            let parameters = Parameters::default();
            Candidate {
                family: 0,
                parameters,
                metrics,
                converged: true,
                scores: Vec::new(),
                probabilities: None,
            }
        };
        for (tried, criterion, chosen) in [
            ([(30, 0.5), (16, 0.3), (18, 0.2), (40, 0.1)], Criterion::Error, 2),
            ([(30, 0.5), (16, 0.2), (18, 0.2), (40, 0.1)], Criterion::Error, 1),
            ([(30, 0.5), (16, 0.2), (19, 0.1), (40, 0.1)], Criterion::Error, 1),
            ([(30, 0.5), (40, 0.1005), (18, 0.1), (18, 0.1)], Criterion::LogLoss, 2),
            ([(0, f64::INFINITY), (40, 0.1), (41, 0.1), (99, 0.1)], Criterion::LogLoss, 1),
            ([(2, 0.0101), (2, 0.0100), (1, 0.0099), (1, 0.009)], Criterion::Error, 1),
        ] {
            let tried = tried.map(|(wrong, loss)| candidate(wrong, loss));
            assert_eq!(choose(&tried.each_ref(), criterion), Some(chosen));
        }
    }
}
