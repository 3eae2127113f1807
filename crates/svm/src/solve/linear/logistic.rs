//! Dual coordinate descent for logistic regression: Yu, Huang and Lin, "Dual coordinate descent methods
//! for logistic regression and maximum entropy models" (Machine Learning 85, 2011), algorithm 5.

use super::Loss;
use super::coordinate::{Descent, Multipliers, pass};
use super::logarithm::ln;
use super::order::Order;
use super::signed::SignedRows;
use crate::solve::{Progress, Stopping};

/// Most Newton steps for one row; few take more than five.
const MAX_NEWTON_STEPS: u32 = 100;

/// Where a Newton step would leave the interval, the distance to the bound becomes this share of itself.
const SHRINK: f64 = 0.1;

/// One row's multiplier. Both distances from the bounds are kept: near a bound, the difference of the
/// cost and the greater one would have no digit of the lesser.
#[derive(Debug, Clone, Copy)]
pub(super) struct Multiplier {
    alpha: f64,
    /// `cost − alpha`
    rest: f64,
    cost: f64,
    /// The row's inner product with itself.
    square: f64,
}

impl Multipliers for Multiplier {
    fn new(_: Loss, cost: f64, square: f64, alpha: f64) -> Self {
        let least = (0.001 * cost).min(1e-8);
        let alpha = alpha.max(least).min(cost - least);
        Self { alpha, rest: cost - alpha, cost, square }
    }

    fn alpha(&self) -> f64 {
        self.alpha
    }

    /// The negative entropy of the cost's two parts.
    fn added(&self) -> f64 {
        self.alpha * ln(self.alpha) + self.rest * ln(self.rest) - self.cost * ln(self.cost)
    }

    /// Passes over the rows until no gradient exceeds `stopping.epsilon` when its row is visited, which is
    /// LIBLINEAR's rule. `weights` is `Σ alpha z`, and what the caller adds, throughout.
    fn descend<R: SignedRows>(
        rows: &R,
        multipliers: &mut [Self],
        weights: &mut R::Weights,
        order: &mut Order,
        stopping: Stopping,
        progress: &dyn Progress,
    ) -> Descent {
        let least_accuracy = stopping.epsilon.min(1e-8);
        // How exactly one row is solved: roughly at first, when the others will move anyway.
        let mut accuracy = 1e-2;
        for number in 1..=stopping.max_iterations {
            let mut newton_steps = 0;
            let mut violation: f64 = 0.0;
            pass(rows, multipliers, weights, order, |multiplier, w, z| {
                let solved = one_row(multiplier, R::dot(w, z), accuracy);
                violation = violation.max(solved.gradient);
                newton_steps += u64::from(solved.steps);
                if solved.steps > 0 {
                    R::add(w, solved.change, z);
                }
                true
            });
            progress.solving(number, violation);
            if violation < stopping.epsilon {
                return Descent { passes: number, converged: true };
            }
            if newton_steps <= multipliers.len() as u64 / 10 {
                accuracy = least_accuracy.max(0.1 * accuracy);
            }
        }
        Descent { passes: stopping.max_iterations, converged: false }
    }
}

struct Solved {
    /// How far the gradient was from zero, before.
    gradient: f64,
    steps: u32,
    /// How much alpha grew.
    change: f64,
}

/// Minimises over one multiplier by Newton's method (the paper's algorithm 4), `score` being sign times
/// decision value. Of alpha and rest, that one is moved which is the lesser at the minimum.
#[inline]
fn one_row(multiplier: &mut Multiplier, score: f64, accuracy: f64) -> Solved {
    let Multiplier { alpha, rest, cost, square } = *multiplier;
    let moves_rest = 0.5 * square * (rest - alpha) + score < 0.0;
    let (old, sign) = if moves_rest { (rest, -1.0) } else { (alpha, 1.0) };
    let mut new = if cost - old < 0.5 * cost { SHRINK * old } else { old };
    let gradient_at = |new: f64| square * (new - old) + sign * score + ln(new / (cost - new));
    let mut gradient = gradient_at(new);
    let before = gradient.abs();
    let mut steps = 0;
    while steps <= MAX_NEWTON_STEPS && gradient.abs() >= accuracy {
        // The gradient over the curvature, which is `square + cost / (new (cost − new))`.
        let both = new * (cost - new);
        let step = new - gradient * both / (square * both + cost);
        new = if step <= 0.0 { SHRINK * new } else { step };
        gradient = gradient_at(new);
        steps += 1;
    }
    if steps > 0 {
        (multiplier.alpha, multiplier.rest) = if moves_rest { (cost - new, new) } else { (new, cost - new) };
    }
    Solved { gradient: before, steps, change: sign * (new - old) }
}
