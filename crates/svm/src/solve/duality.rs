//! How far a solution is from the optimum at most: its duality gap.
//!
//! The primal objective `P = ½ |w|² + Σ cost · loss(margin)` of any weights is at least the optimum, the dual
//! objective `D` of any feasible multipliers at most (Boyd and Vandenberghe, "Convex Optimization", 2004, section 5.2).
//! Where `w = Σ ±alpha x`, their difference is a sum over the rows of numbers that are at least 0, by Fenchel and
//! Young, and is computed as that sum: the difference of two large objectives would be their rounding.

use super::linear::{Bias, Loss};
use super::{Examples, Solution};

/// Sums over the rows of a solution.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Duality {
    gap: f64,
    losses: f64,
}

impl Duality {
    /// Adds a row of this margin, which is its score times its sign.
    #[inline]
    pub fn add(&mut self, loss: Loss, alpha: f64, cost: f64, margin: f64) {
        let short = 1.0 - margin;
        let (loss, gap) = match loss {
            Loss::Hinge if short > 0.0 => (cost * short, (cost - alpha) * short),
            Loss::Hinge => (0.0, -alpha * short),
            Loss::SquaredHinge => {
                let short = short.max(0.0);
                let missing = short - 0.5 * alpha / cost;
                (cost * short * short, cost * missing * missing + alpha * (margin - 1.0).max(0.0))
            }
            Loss::Logistic => (cost * softplus(-margin), cost * divergence(alpha / cost, margin)),
        };
        self.losses += loss;
        self.gap += gap;
    }

    /// The gap relative to the primal objective, `(P − D) / P`, for this `½ |w|²`; infinite where it is not a number.
    /// `unbalanced` is what the bias times `Σ ±alpha` adds where that sum, which a free bias keeps at 0, is not.
    pub fn relative(&self, half_square: f64, unbalanced: f64) -> f64 {
        let gap = self.gap + unbalanced.abs();
        let relative = gap / (half_square + self.losses);
        if gap.is_finite() && relative.is_finite() { relative } else { f64::INFINITY }
    }
}

/// A rule that is met within epsilon bounds the gap by some ten epsilons where an error costs about as much as the weights; so
/// many are allowed, up to the greatest gap, where a small epsilon is asked for.
const RULE_GAP: f64 = 20.0;

/// No solution of a greater relative gap has converged, unless a greater epsilon is asked for.
const GREATEST_GAP: f64 = 1e-3;

/// Whether a solution is as good as asked for: its gap is within epsilon, or the solver's own rule is met and the
/// gap is at most a thousandth and twenty epsilons.
pub(crate) fn is_converged(rule: bool, gap: f64, epsilon: f64) -> bool {
    gap <= if rule { allowed_gap(epsilon) } else { epsilon }
}

/// The greatest relative gap of a solution that has converged, whatever solver found it.
pub(crate) fn allowed_gap(epsilon: f64) -> f64 {
    (RULE_GAP * epsilon).min(GREATEST_GAP).max(epsilon)
}

/// The relative gap of a linear machine's solution. Two passes over the rows.
pub(crate) fn of_linear(examples: &Examples, loss: Loss, bias: Bias, solution: &Solution) -> f64 {
    let weights = weights(examples, &solution.alpha);
    let signed = |(alpha, positive): (&f64, &bool)| if *positive { *alpha } else { -alpha };
    let balance: f64 = solution.alpha.iter().zip(examples.positive).map(signed).sum();
    let mut duality = Duality::default();
    for row in 0..examples.x.len() {
        let score = examples.x.dot(row, &weights) + solution.bias;
        let margin = if examples.positive[row] { score } else { -score };
        duality.add(loss, solution.alpha[row], examples.costs[row], margin);
    }
    let square: f64 = weights.iter().map(|weight| weight * weight).sum();
    match bias {
        Bias::Free => duality.relative(0.5 * square, solution.bias * balance),
        Bias::Regularised => {
            let unbalanced = solution.bias * (balance - solution.bias);
            duality.relative(0.5 * (square + solution.bias * solution.bias), unbalanced)
        }
    }
}

/// A gap that lifting need not lessen.
const FINE_GAP: f64 = 1e-6;

/// The solution of a separable problem with its scores multiplied by so much, at most 1 / (1 − epsilon), that no row lies
/// within the margin: where an error costs much, what rounding leaves of one is most of the primal objective. None
/// where a multiplier would exceed its cost, or the gap would not be less.
pub(crate) fn lifted(examples: &Examples, bias: Bias, epsilon: f64, solution: &Solution) -> Option<Solution> {
    let bounded = || solution.alpha.iter().zip(examples.costs).any(|(alpha, cost)| alpha >= cost);
    if !solution.gap.is_finite() || solution.gap <= FINE_GAP || bounded() {
        return None;
    }
    let weights = weights(examples, &solution.alpha);
    let short = (0..examples.costs.len()).map(|row| {
        let score = examples.x.dot(row, &weights) + solution.bias;
        1.0 - if examples.positive[row] { score } else { -score }
    });
    let short = short.fold(0.0, f64::max) + f64::EPSILON;
    if short > epsilon.min(0.5) {
        return None;
    }
    let factor = 1.0 / (1.0 - short);
    let total: f64 = solution.alpha.iter().sum();
    let square = 2.0 * (solution.objective + total);
    let mut lifted = Solution {
        alpha: solution.alpha.iter().map(|alpha| alpha * factor).collect(),
        bias: solution.bias * factor,
        objective: 0.5 * factor * factor * square - factor * total,
        weights: None,
        ..*solution
    };
    let within = lifted.alpha.iter().zip(examples.costs).all(|(alpha, cost)| alpha <= cost);
    lifted.gap = of_linear(examples, Loss::Hinge, bias, &lifted);
    (within && lifted.gap < solution.gap).then_some(lifted)
}

/// `Σ ±alpha x`
pub(crate) fn weights(examples: &Examples, alpha: &[f64]) -> Vec<f64> {
    let mut weights = vec![0.0; examples.x.columns()];
    for (row, (&alpha, &positive)) in alpha.iter().zip(examples.positive).enumerate() {
        if alpha != 0.0 {
            examples.x.add_to(row, if positive { alpha } else { -alpha }, &mut weights);
        }
    }
    weights
}

/// `ln(1 + exp(x))` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The Kullback and Leibler divergence of a coin of `1 / (1 + exp(margin))` from one of `share`.
fn divergence(share: f64, margin: f64) -> f64 {
    let entropy = |p: f64| if p > 0.0 { p * p.ln() } else { 0.0 };
    (entropy(share) + entropy(1.0 - share) + share * softplus(margin) + (1.0 - share) * softplus(-margin))
        .max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::matrix::Matrix;

    /// Two points at 3 and 1: by symmetry both multipliers are equal, and `w = 2 alpha`.
    fn gap(loss: Loss, alpha: f64, bias: f64) -> f64 {
        let x = Matrix::from_rows([[3.0], [1.0]]).into();
        let examples = Examples { x: &x, positive: &[true, false], costs: &[10.0, 10.0] };
        let (objective, gap) = (0.0, 0.0);
        let solution = Solution {
            alpha: vec![alpha; 2],
            bias,
            weights: None,
            objective,
            gap,
            iterations: 1,
            converged: true,
        };
        of_linear(&examples, loss, Bias::Free, &solution)
    }

    #[test]
    fn gap_is_the_primal_less_the_dual_objective_by_the_primal() {
        // The optimum of the hinge loss is w = 1, with no loss; half of it has P = ⅛ + 20 · ½ and D = ½ − ⅛.
        assert!(gap(Loss::Hinge, 0.5, -2.0).abs() < 1e-12);
        let primal = 0.125 + 20.0 * 0.5;
        let exact = (primal - 0.375) / primal;
        assert!((gap(Loss::Hinge, 0.25, -1.0) - exact).abs() < 1e-12);
        // Too much weight: no loss, P = 2, and D = 2 − 2.
        assert!((gap(Loss::Hinge, 1.0, -4.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn gap_of_smooth_losses_is_0_where_the_multiplier_is_the_slope_of_the_loss() {
        // Squared hinge: alpha = 20 (1 − 2 alpha).
        assert!(gap(Loss::SquaredHinge, 20.0 / 41.0, -2.0 * 40.0 / 41.0) < 1e-12);
        assert!(gap(Loss::SquaredHinge, 0.3, -1.2) > 0.1);
        // Logistic: alpha = 10 / (1 + exp(2 alpha)), found by halving.
        let (mut low, mut high) = (0.0, 10.0);
        for _ in 0..200 {
            let alpha = 0.5 * (low + high);
            if alpha * (1.0 + (2.0f64 * alpha).exp()) < 10.0 { low = alpha } else { high = alpha }
        }
        assert!(gap(Loss::Logistic, low, -4.0 * low) < 1e-12);
        assert!(gap(Loss::Logistic, 0.5 * low, -2.0 * low) > 0.01);
    }

    #[test]
    fn rule_does_not_excuse_a_gap_above_a_thousandth() {
        assert!(is_converged(true, 0.9e-3, 1e-3) && is_converged(true, 0.9e-3, 1e-4));
        assert!(!is_converged(true, 1.5e-3, 1e-3) && !is_converged(true, 1.5e-3, 1e-4));
        assert!(
            is_converged(true, 1e-8, 1e-9)
                && !is_converged(true, 1e-6, 1e-9)
                && !is_converged(false, 1e-8, 1e-9)
        );
        assert!(is_converged(false, 0.05, 0.1));
    }

    #[test]
    fn gap_of_numbers_beyond_the_arithmetic_is_infinite() {
        assert_eq!(gap(Loss::Hinge, f64::INFINITY, 0.0), f64::INFINITY);
        assert_eq!(gap(Loss::Hinge, f64::NAN, 0.0), f64::INFINITY);
    }
}
