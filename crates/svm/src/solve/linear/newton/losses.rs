//! What a row adds to the primal and the dual objective, as functions of its margin.

use super::super::Loss;
use super::super::exponential::exp;
use super::super::logarithm::ln;

/// A loss at one margin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bend {
    pub value: f64,
    /// Minus the derivative: the multiplier of a row of cost 1.
    pub pull: f64,
    /// The second derivative; for the squared hinge loss the generalised one of Keerthi and DeCoste (2005).
    pub curvature: f64,
}

/// A convex loss that is once differentiable.
pub(super) trait SmoothLoss {
    const LOSS: Loss;

    fn at(margin: f64) -> Bend;

    /// What a row of cost 1 adds to the dual objective besides its part of `½ |w|²`, when its multiplier is `share` of
    /// that which belongs to the margin: the convex conjugate of the loss.
    fn conjugate(margin: f64, share: f64) -> f64;
}

/// `max(0, 1 − m)²`
#[derive(Debug)]
pub(super) struct SquaredHinge;

impl SmoothLoss for SquaredHinge {
    const LOSS: Loss = Loss::SquaredHinge;

    #[inline(always)]
    fn at(margin: f64) -> Bend {
        let slack = 1.0 - margin;
        let slack = if slack > 0.0 { slack } else { 0.0 };
        Bend { value: slack * slack, pull: 2.0 * slack, curvature: if slack > 0.0 { 2.0 } else { 0.0 } }
    }

    #[inline(always)]
    fn conjugate(margin: f64, share: f64) -> f64 {
        let alpha = share * Self::at(margin).pull;
        0.25 * alpha * alpha - alpha
    }
}

/// `ln(1 + exp(−m))`
#[derive(Debug)]
pub(super) struct Logistic;

impl SmoothLoss for Logistic {
    const LOSS: Loss = Loss::Logistic;

    #[inline(always)]
    fn at(margin: f64) -> Bend {
        let e = exp(-margin.abs());
        let greater = 1.0 / (1.0 + e);
        let lesser = e * greater;
        Bend {
            value: ln_1p(e) + if margin < 0.0 { -margin } else { 0.0 },
            pull: if margin < 0.0 { greater } else { lesser },
            curvature: greater * lesser,
        }
    }

    /// `p ln p + (1 − p) ln(1 − p)`, where p is the share of the logistic function of −m.
    #[inline(always)]
    fn conjugate(margin: f64, share: f64) -> f64 {
        let e = exp(-margin.abs());
        let greater = 1.0 / (1.0 + e);
        let (p, rest) = if margin < 0.0 { (greater, e * greater) } else { (e * greater, greater) };
        entropy(share * p) + entropy(rest + (1.0 - share) * p)
    }
}

/// `p ln p`
#[inline(always)]
fn entropy(p: f64) -> f64 {
    if p < f64::MIN_POSITIVE { 0.0 } else { p * ln(p) }
}

/// `ln(1 + e)` for `0 ≤ e ≤ 1`: what `1 + e` loses of e, the quotient restores (Goldberg, "What every computer scientist
/// should know about floating-point arithmetic", 1991, theorem 4).
#[inline(always)]
fn ln_1p(e: f64) -> f64 {
    let sum = 1.0 + e;
    if sum == 1.0 { e } else { ln(sum) * e / (sum - 1.0) }
}
