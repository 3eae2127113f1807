//! The unit of a machine's scores.

use crate::calibrate::{Calibration, Isotonic, Platt};
use crate::data::problem::Problem;
use crate::evaluate::ties::constant;
use crate::score::Scorer;

/// Rows that a unit is taken from at most: its deviation is then known to some 3 %, at the cost of a few hundred scores.
const ROWS: usize = 500;

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
        let step = training.len().div_ceil(ROWS);
        let rows: Vec<usize> = (0..training.len()).step_by(step).collect();
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
