//! The rule that compares candidates.

use crate::evaluate::metrics::Metrics;
use crate::kernel::Kernel;
use crate::train::search::Candidate;

/// A line ties with a curve within so many rows, or units of the log loss of all rows together, by the criterion.
const ROWS_TIE: f64 = 1.5;
const LOG_LOSS_TIE: f64 = 0.5;

/// What the other measure counts where the log loss is asked for, and where the error is.
const ERROR_BESIDE_LOG_LOSS: f64 = 0.25;
const BRIER_BESIDE_ERROR: f64 = 5.0;

/// Width of the bell that weighs a candidate's neighbours, in doublings of C and of gamma.
const NEIGHBOUR_WIDTH: f64 = 0.7;

/// Neighbours are at most this far, in doublings of C and of gamma: one cell of the coarse grid.
const NEIGHBOUR_REACH: f64 = 2.1;

/// What makes one candidate better than another. Both measures are looked at, each in standard errors of its least and
/// averaged with those of the neighbours on the grid; a line that is as good as a curve wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criterion {
    /// Negative log probability of the true labels, after calibration; the error counts a quarter beside it, for a log
    /// loss does not know where the label changes.
    LogLoss,
    /// Rows with the wrong label; the Brier score counts five times beside it, for it scatters less than a count of few rows. Unlike the log
    /// loss, it is bounded on every row: where features have heavy tails, scores of lines have them too, a sigmoid of such scores is
    /// certain of a few wrong rows, and these few would decide against every line.
    Error,
}

/// What candidates are compared by, of all rows together.
#[derive(Clone, Copy)]
enum Measure {
    Error,
    LogLoss,
    Brier,
}

impl Measure {
    fn of(self, metrics: &Metrics, brier: Option<f64>) -> f64 {
        let mean = match self {
            Self::Error => Some(metrics.error),
            Self::LogLoss => metrics.log_loss,
            Self::Brier => brier,
        };
        mean.map_or(f64::INFINITY, |mean| mean * metrics.confusion.rows() as f64)
    }

    /// The mean over all repetitions of the candidate's cross-validation.
    fn over_repetitions(self, candidate: &Candidate) -> f64 {
        let again = candidate.again.iter().map(|again| self.of(&again.metrics, again.brier));
        let first = self.of(&candidate.metrics, candidate.brier);
        (first + again.sum::<f64>()) / (1 + candidate.again.len()) as f64
    }
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
                "least log loss and a quarter of the error, in standard errors and averaged with neighbours on the grid; \
                 near ties over more folds"
            }
            Self::Error => {
                "least error and five times the Brier score, in standard errors and averaged with neighbours on the grid; \
                 near ties over more folds"
            }
        }
    }

    /// The measure to minimise: the log loss of all rows together, or how many rows are wrong.
    pub fn of(self, metrics: &Metrics) -> f64 {
        self.measures()[0].0.of(metrics, None)
    }

    /// The measure that was asked for and the other, with what each counts.
    fn measures(self) -> [(Measure, f64); 2] {
        match self {
            Self::LogLoss => [(Measure::LogLoss, 1.0), (Measure::Error, ERROR_BESIDE_LOG_LOSS)],
            Self::Error => [(Measure::Error, 1.0), (Measure::Brier, BRIER_BESIDE_ERROR)],
        }
    }

    fn tie(self) -> f64 {
        match self {
            Self::LogLoss => LOG_LOSS_TIE,
            Self::Error => ROWS_TIE,
        }
    }
}

/// The best candidate, of equal ones the first: among those that were compared again, where any was. What was compared once
/// has more luck to be the best by. A straight line that is worse by no more than a row and a half, or half a unit of the log loss
/// of all rows, wins against a curve. Looks at parameters and measures alone, so that the measures may be of any part of the rows.
pub(super) fn choose(tried: &[&Candidate], criterion: Criterion) -> Option<usize> {
    let values = judged(tried, criterion);
    let repeated = tried.iter().any(|tried| !tried.again.is_empty());
    let places: Vec<usize> =
        (0..tried.len()).filter(|&place| !repeated || !tried[place].again.is_empty()).collect();
    let least_of = |places: &[usize]| places.iter().copied().min_by(|&i, &j| values[i].total_cmp(&values[j]));
    let best = least_of(&places)?;
    let lines: Vec<usize> =
        places.into_iter().filter(|&place| tried[place].parameters.kernel == Kernel::Linear).collect();
    let least = smoothed(tried, criterion.measures()[0].0).into_iter().fold(f64::INFINITY, f64::min);
    let tie = criterion.tie() / least.sqrt().max(1.0);
    Some(least_of(&lines).filter(|&line| values[line] <= values[best] + tie).unwrap_or(best))
}

/// The places of those that are `within` so many standard errors of the best, at most so many, best first. Candidates are
/// compared on the same rows, so that their difference scatters less than either measure.
pub(super) fn near_ties(tried: &[&Candidate], criterion: Criterion, within: f64, most: usize) -> Vec<usize> {
    let values = judged(tried, criterion);
    let best = values.iter().copied().fold(f64::INFINITY, f64::min);
    let mut places: Vec<usize> = (0..tried.len()).filter(|&place| values[place] <= best + within).collect();
    places.sort_by(|&one, &other| values[one].total_cmp(&values[other]));
    places.truncate(most);
    places
}

/// What is made as small as it can be: both measures in standard errors, for a count the root of the least count, and for
/// the log loss or Brier score of all rows, which scatter about as much, the same.
fn judged(tried: &[&Candidate], criterion: Criterion) -> Vec<f64> {
    let mut values = vec![0.0; tried.len()];
    for (measure, weight) in criterion.measures() {
        let smooth = smoothed(tried, measure);
        let least = smooth.iter().copied().fold(f64::INFINITY, f64::min);
        // Without any probability the log loss and the Brier score say nothing.
        if least.is_finite() {
            let unit = weight / least.sqrt().max(1.0);
            values.iter_mut().zip(smooth).for_each(|(value, smooth)| *value += unit * smooth);
        }
    }
    values
}

/// The measure of every candidate, averaged half with the mean of itself and its neighbours: the true error changes slowly
/// along C and gamma, and the scatter of a count of few wrong rows does not. A missing neighbour leaves its weight to the
/// others.
fn smoothed(tried: &[&Candidate], measure: Measure) -> Vec<f64> {
    let of_each = |candidate: &&Candidate| {
        let parameters = &candidate.parameters;
        let place = [parameters.c.log2(), parameters.kernel.gamma().map_or(0.0, f64::log2)];
        (place, measure.over_repetitions(candidate))
    };
    let of_each: Vec<([f64; 2], f64)> = tried.iter().map(of_each).collect();
    let average = |one: usize| {
        let (mut sum, mut weights) = (0.0, 0.0);
        for (other, (place, value)) in of_each.iter().enumerate() {
            let away = [0, 1].map(|axis| (place[axis] - of_each[one].0[axis]).abs());
            if tried[one].of_one_surface(tried[other]) && away.iter().all(|&away| away < NEIGHBOUR_REACH) {
                let squares = away.iter().map(|away| away * away).sum::<f64>();
                let weight = (-squares / (2.0 * NEIGHBOUR_WIDTH * NEIGHBOUR_WIDTH)).exp();
                sum += weight * value;
                weights += weight;
            }
        }
        0.5 * (of_each[one].1 + sum / weights)
    };
    (0..tried.len()).map(average).collect()
}

impl Candidate {
    /// Whether the two differ in C and gamma alone.
    fn of_one_surface(&self, other: &Self) -> bool {
        self.family == other.family && self.parameters.class_weights == other.parameters.class_weights
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;
    use crate::evaluate::metrics::Confusion;
    use crate::train::parameters::Parameters;
    use crate::train::search::Again;

    /// Of a thousand rows, with a Brier score of a third of the log loss.
    fn candidate(family: usize, c: f64, wrong: u64, log_loss: f64) -> Candidate {
        let mut metrics = Metrics::measure(&[1.0, -1.0], &[true, false], None, None).unwrap();
        metrics.confusion =
            Confusion { false_positive: wrong, true_negative: 1000 - wrong, ..Confusion::default() };
        metrics.error = wrong as f64 / 1000.0;
        metrics.log_loss = Some(log_loss);
        let parameters = Parameters { c, ..Parameters::default() };
        let brier = Some(log_loss / 3.0);
        Candidate {
            family,
            parameters,
            metrics,
            brier,
            scores: Vec::new(),
            probabilities: None,
            again: Vec::new(),
        }
    }

    fn chosen(tried: &[Candidate], criterion: Criterion) -> usize {
        choose(&tried.iter().collect::<Vec<_>>(), criterion).unwrap()
    }

    #[test]
    fn both_measures_count_and_equal_candidates_go_to_the_first() {
        for (tried, criterion, place) in [
            ([(30, 0.05), (16, 0.03), (16, 0.02), (40, 0.019)], Criterion::Error, 2),
            ([(30, 0.05), (16, 0.02), (16, 0.02), (40, 0.02)], Criterion::Error, 1),
            // The Brier score of all rows scatters less than a count, and counts five times.
            ([(30, 0.05), (16, 0.021), (17, 0.02), (40, 0.019)], Criterion::Error, 2),
            // Half the rows are wrong: no log loss is worth that.
            ([(500, 0.1), (40, 0.11), (60, 0.12), (60, 0.12)], Criterion::LogLoss, 1),
            ([(30, 0.13), (40, 0.1), (60, 0.12), (60, 0.12)], Criterion::LogLoss, 1),
            ([(0, f64::INFINITY), (40, 0.1), (41, 0.1), (99, 0.1)], Criterion::LogLoss, 1),
        ] {
            let tried: Vec<Candidate> = (0..4).map(|i| candidate(i, 1.0, tried[i].0, tried[i].1)).collect();
            assert_eq!(chosen(&tried, criterion), place, "{criterion:?}");
        }
    }

    #[test]
    fn few_rows_that_are_wrong_with_certainty_do_not_decide_where_the_error_is_asked_for() {
        // As of a line on features with heavy tails: fewer wrong rows, and a log loss of a few of them.
        let line = Candidate { brier: Some(0.025), ..candidate(0, 1.0, 30, 0.2) };
        let curve = Candidate { brier: Some(0.028), ..candidate(1, 1.0, 36, 0.12) };
        let tried = [line, curve];
        assert_eq!((chosen(&tried, Criterion::Error), chosen(&tried, Criterion::LogLoss)), (0, 1));
    }

    #[test]
    fn lucky_cell_among_bad_ones_loses_against_a_valley() {
        let wrong = [60, 23, 60, 60, 25, 23, 23, 25, 60];
        let mut tried: Vec<Candidate> =
            wrong.iter().zip(0..).map(|(&wrong, i)| candidate(0, 2f64.powi(i), wrong, 0.1)).collect();
        assert_eq!(chosen(&tried, Criterion::Error), 5);
        // Neighbours are of one family: the same numbers in families of their own are not averaged.
        tried.iter_mut().enumerate().for_each(|(i, tried)| tried.family = i);
        assert_eq!(chosen(&tried, Criterion::Error), 1);
    }

    #[test]
    fn line_wins_against_a_curve_that_is_hardly_better() {
        let curve = |wrong, log_loss| {
            let mut curve = candidate(1, 1.0, wrong, log_loss);
            curve.parameters.kernel = Kernel::Rbf { gamma: 1.0 };
            curve
        };
        for (line, curve, place) in [
            (candidate(0, 1.0, 16, 0.02), curve(16, 0.0199), 0),
            (candidate(0, 1.0, 16, 0.02), curve(15, 0.02), 0),
            (candidate(0, 1.0, 16, 0.02), curve(13, 0.02), 1),
            (candidate(0, 1.0, 0, 0.0005), curve(0, 0.0004), 0),
        ] {
            assert_eq!(chosen(&[line, curve], Criterion::Error), place);
        }
    }

    #[test]
    fn further_cross_validations_are_averaged_with_the_first() {
        let mut tried = [candidate(0, 1.0, 30, 0.1), candidate(1, 1.0, 20, 0.1)];
        assert_eq!(chosen(&tried, Criterion::Error), 1);
        let worse = candidate(1, 1.0, 60, 0.1).metrics;
        let same = tried[0].metrics;
        tried[0].again.push(Again {
            metrics: same,
            brier: tried[0].brier,
            scores: Vec::new(),
            probabilities: None,
        });
        tried[1].again.push(Again {
            metrics: worse,
            brier: tried[1].brier,
            scores: Vec::new(),
            probabilities: None,
        });
        assert_eq!(chosen(&tried, Criterion::Error), 0);
        assert_eq!(near_ties(&tried.each_ref(), Criterion::Error, 0.5, 9), [0]);
    }

    #[test]
    fn averages_of_neighbours_scatter_less_than_the_best_cell() {
        // The expected count of wrong rows is a valley along log C; each count scatters around it by its root, as counts do.
        let expected = |step: i32| 40.0 + 2.0 * f64::from(step - 5).powi(2);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut regret = [0.0; 2];
        let mut steps = [Vec::new(), Vec::new()];
        for _ in 0..400 {
            let tried: Vec<Candidate> = (0..10)
                .map(|step| {
                    let normal: f64 = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
                    let wrong = (expected(step) + normal * expected(step).sqrt()).round().max(0.0) as u64;
                    candidate(0, 2f64.powi(step), wrong, 0.1)
                })
                .collect();
            let least = |values: &[f64]| (0..10).min_by(|&i, &j| values[i].total_cmp(&values[j])).unwrap();
            let tried: Vec<&Candidate> = tried.iter().collect();
            let alone: Vec<f64> = tried.iter().map(|tried| Criterion::Error.of(&tried.metrics)).collect();
            for (rule, values) in [alone, smoothed(&tried, Measure::Error)].iter().enumerate() {
                let step = least(values);
                regret[rule] += expected(step as i32) - expected(5);
                steps[rule].push(step as f64);
            }
        }
        let variance = steps.map(|steps| {
            let mean = steps.iter().sum::<f64>() / 400.0;
            steps.iter().map(|step| (step - mean).powi(2)).sum::<f64>() / 400.0
        });
        assert!(variance[1] < 0.9 * variance[0] && regret[1] < 0.9 * regret[0], "{variance:?} {regret:?}");
    }
}
