//! The unit of a machine's scores.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::calibrate::{Calibration, Isotonic, Platt};
use crate::data::problem::Problem;
use crate::evaluate::ties::constant;
use crate::score::Scorer;

/// Rows that a unit is taken from at most. Machines whose units are of different rows differ by chance: by some 5 % for 500,
/// which moved the log loss of 5,000 listeners by a tenth, and by 1 % for these.
const ROWS: usize = 10_000;

/// Where a machine's scores of the rows that it was trained on lie, and how far they scatter.
///
/// Machines of different folds, and that of all rows, have different units where rows are few or one class is rare: there
/// the scores' scatter is that of the weights' chance, and differs by a factor of two and more. One calibration of all of
/// them would tell too much of the one and too little of the other; in their units they are alike. No label of a row that
/// was held back is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct ScoreUnit {
    middle: f64,
    deviation: f64,
}

impl ScoreUnit {
    /// Of rows that the machine was trained on, by their weights.
    pub(crate) fn of(scorer: &Scorer, training: &Problem) -> Self {
        let rows = rows_of(training.len());
        let scores = scorer.score_rows(&training.x, &rows);
        if constant(scores.iter().copied()) {
            return Self::default();
        }
        let weights: Vec<f64> =
            rows.iter().map(|&row| training.weights.as_ref().map_or(1.0, |weights| weights[row])).collect();
        let all: f64 = weights.iter().sum();
        let mean = |of: &dyn Fn(f64) -> f64| -> f64 {
            scores.iter().zip(&weights).map(|(&score, weight)| of(score) * (weight / all)).sum()
        };
        let middle = mean(&|score| score);
        Self { middle, deviation: mean(&|score| (score - middle).powi(2)).sqrt() }
    }

    /// False where the machine scores all rows alike: its last digits have no unit.
    pub(crate) fn is_known(&self) -> bool {
        self.deviation.is_normal() && self.middle.is_finite()
    }

    /// The score in this unit.
    pub(crate) fn inside(&self, score: f64) -> f64 {
        (score - self.middle) / self.deviation
    }

    /// A calibration of scores in this unit as one of scores; none where that takes numbers beyond their range.
    pub(crate) fn outside(&self, calibration: &Calibration) -> Option<Calibration> {
        match calibration {
            Calibration::Platt(Platt { a, b }) => {
                let a = a / self.deviation;
                let b = b - a * self.middle;
                (a.is_finite() && b.is_finite()).then_some(Calibration::Platt(Platt { a, b }))
            }
            Calibration::Isotonic(isotonic) => {
                let scores = isotonic.scores().iter().map(|score| self.middle + score * self.deviation);
                let moved = Isotonic::new(scores.collect(), isotonic.probabilities().to_vec());
                moved.ok().map(Calibration::Isotonic)
            }
        }
    }
}

/// All rows, or as many of them as are enough, at random: every tenth row would be those of one weekday or one kind where a
/// file has such an order.
fn rows_of(rows: usize) -> Vec<usize> {
    if rows <= ROWS {
        return (0..rows).collect();
    }
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(rows as u64);
    let mut all: Vec<usize> = (0..rows).collect();
    let (chosen, _) = all.partial_shuffle(&mut rng, ROWS);
    chosen.sort_unstable();
    chosen.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::matrix::Matrix;
    use crate::solve::NoProgress;
    use crate::train::fit::fit;
    use crate::train::parameters::Parameters;

    /// Of three times as many rows as a unit is taken from every third is of another kind.
    #[test]
    fn unit_does_not_depend_on_the_order_of_the_rows() {
        let value =
            |row: usize| (row * 7919 % 1000) as f64 / 1000.0 + if row.is_multiple_of(3) { 5.0 } else { 0.0 };
        let unit = |order: &[usize]| {
            let positive = order.iter().map(|&row| value(row) + (row % 7) as f64 / 10.0 > 1.1).collect();
            let x = Matrix::from_rows(order.iter().map(|&row| [value(row)]));
            let problem = Problem::new(x, positive).unwrap();
            let scorer = fit(&problem, &Parameters::default(), &NoProgress).unwrap().scorer();
            ScoreUnit::of(&scorer, &problem)
        };
        let as_written: Vec<usize> = (0..3 * ROWS).collect();
        let mut sorted = as_written.clone();
        sorted.sort_by_key(|row| row % 3);
        let [one, other] = [unit(&as_written), unit(&sorted)];
        assert!((one.middle - other.middle).abs() < 0.03 * one.deviation, "{one:?} {other:?}");
        assert!((one.deviation / other.deviation - 1.0).abs() < 0.03, "{one:?} {other:?}");
    }
}
