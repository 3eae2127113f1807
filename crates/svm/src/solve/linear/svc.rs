//! Dual coordinate descent for the hinge and the squared hinge loss: Hsieh, Chang, Lin, Keerthi and
//! Sundararajan, "A dual coordinate descent method for large-scale linear SVM" (ICML 2008), algorithm 3.

use super::Loss;
use super::coordinate::{Descent, pass};
use super::order::Order;
use super::signed::SignedRows;
use crate::solve::{Progress, Stopping};

/// A gradient below this changes nothing beyond rounding.
const NO_GRADIENT: f64 = 1e-12;

/// One row's multiplier and its constants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Multiplier {
    alpha: f64,
    /// Its upper bound: the cost; infinite for the squared hinge loss.
    upper: f64,
    /// What the loss adds to the diagonal of Q: `1 / (2 cost)` for the squared hinge loss.
    diagonal: f64,
    /// One over the row's diagonal of Q with what the loss adds.
    inverse: f64,
}

impl Multiplier {
    /// A multiplier that starts at `alpha`, cut to its bounds; `square` is the row's inner product with itself.
    pub(super) fn new(loss: Loss, cost: f64, square: f64, alpha: f64) -> Self {
        let (upper, diagonal) = match loss {
            Loss::SquaredHinge => (f64::INFINITY, 0.5 / cost),
            Loss::Hinge => (cost, 0.0),
            Loss::Logistic => unreachable!("logistic regression is solved by Newton's method"),
        };
        Self { alpha: alpha.max(0.0).min(upper), upper, diagonal, inverse: 1.0 / (square + diagonal) }
    }

    pub(super) fn alpha(&self) -> f64 {
        self.alpha
    }

    /// What the row adds to the dual objective besides its part of `½ |w|²`.
    pub(super) fn added(&self) -> f64 {
        0.5 * self.diagonal * self.alpha * self.alpha - self.alpha
    }
}

/// Passes over the rows until the projected gradients lie within `stopping.epsilon` of each other and of
/// zero, which is LIBLINEAR's rule. `weights` is `Σ alpha z`, and what the caller adds, throughout.
pub(super) fn descend<R: SignedRows>(
    rows: &R,
    multipliers: &mut [Multiplier],
    weights: &mut R::Weights,
    order: &mut Order,
    stopping: Stopping,
    progress: &dyn Progress,
) -> Descent {
    order.activate_all();
    // A row at a bound is left out when its gradient points further out than any did in the last pass.
    let (mut beyond, mut below) = (f64::INFINITY, f64::NEG_INFINITY);
    for number in 1..=stopping.max_iterations {
        let (mut greatest, mut least) = (f64::NEG_INFINITY, f64::INFINITY);
        pass(rows, multipliers, weights, order, |multiplier, w, z| {
            let Multiplier { alpha, upper, diagonal, inverse } = *multiplier;
            let gradient = R::dot(w, z) - 1.0 + alpha * diagonal;
            let projected = if alpha == 0.0 {
                if gradient > beyond {
                    return false;
                }
                gradient.min(0.0)
            } else if alpha == upper {
                if gradient < below {
                    return false;
                }
                gradient.max(0.0)
            } else {
                gradient
            };
            greatest = greatest.max(projected);
            least = least.min(projected);
            if projected.abs() > NO_GRADIENT {
                let moved = (alpha - gradient * inverse).max(0.0).min(upper);
                multiplier.alpha = moved;
                R::add(w, moved - alpha, z);
            }
            true
        });
        // When the pass left out every row that was still active, none of those violates anything.
        let violation =
            if greatest < least { 0.0 } else { (greatest - least).max(greatest.abs()).max(least.abs()) };
        progress.solving(number, violation);
        if violation <= stopping.epsilon {
            if order.is_complete() {
                return Descent { passes: number, converged: true };
            }
            order.activate_all();
            (beyond, below) = (f64::INFINITY, f64::NEG_INFINITY);
        } else {
            beyond = if greatest > 0.0 { greatest } else { f64::INFINITY };
            below = if least < 0.0 { least } else { f64::NEG_INFINITY };
        }
        if order.is_spent() {
            return Descent { passes: number, converged: false };
        }
    }
    Descent { passes: stopping.max_iterations, converged: false }
}
