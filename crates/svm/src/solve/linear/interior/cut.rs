//! From the interior point to a solution: multipliers that approach a bound are set to it, and the optimality conditions
//! checked.

use super::super::Bias;
use super::super::cholesky::Cholesky;
use super::super::packed::{Line, Weights, add, dot};
use super::{Interior, Point, add_outer, entry, solve_lines};
use crate::solve::Solution;

/// Added to the diagonal of the system behind `Interior::redistribute`, relative to its greatest row.
const RIDGE: f64 = 1e-14;

impl<W: Weights> Interior<'_, W> {
    /// The multipliers, those that approach a bound set to it.
    pub(super) fn multipliers(&self) -> impl Iterator<Item = f64> + '_ {
        self.points.iter().map(Point::cut)
    }

    /// The solution of such multipliers. They converged when they meet libSVM's
    /// condition within epsilon: the greatest `sign − w·x` among rows whose signed multiplier may grow, less the least
    /// among those whose may fall (Fan, Chen and Lin, JMLR 6, 2005, section 2).
    pub(super) fn cut(&self, mut alpha: Vec<f64>, iterations: u64, epsilon: f64, zero: &W) -> Solution {
        let lines = zero.as_ref().len();
        self.redistribute(&mut alpha, zero);
        if self.bias == Bias::Free {
            self.balance(&mut alpha, lines);
        }
        let mut weights = zero.clone();
        for (z, &alpha) in self.rows.rows(lines).zip(&alpha) {
            if alpha > 0.0 {
                add(weights.as_mut(), alpha, z);
            }
        }
        let (bias, violation) = match self.bias {
            Bias::Free => {
                *self.rows.constant(weights.as_mut()) = 0.0;
                self.free_bias(&alpha, &weights)
            }
            Bias::Regularised => {
                (*self.rows.constant(weights.as_mut()), self.projected_gradients(&alpha, &weights))
            }
        };
        // Without a finite bias there is no solution: the numbers are too great for this arithmetic.
        let (bias, violation) = if bias.is_finite() { (bias, violation) } else { (0.0, f64::INFINITY) };
        let total: f64 = alpha.iter().sum();
        let objective = 0.5 * dot(weights.as_ref(), weights.as_ref()) - total;
        let converged = violation <= epsilon;
        Solution { alpha, bias, weights: None, objective, gap: f64::INFINITY, iterations, converged }
    }

    /// By how much the projected gradients differ from each other and from 0, which is LIBLINEAR's rule.
    fn projected_gradients(&self, alpha: &[f64], weights: &W) -> f64 {
        let (mut greatest, mut least) = (0.0f64, 0.0f64);
        for ((z, &alpha), point) in self.rows.rows(weights.as_ref().len()).zip(alpha).zip(&self.points) {
            let gradient = dot(weights.as_ref(), z) - 1.0;
            if alpha > 0.0 {
                greatest = greatest.max(gradient);
            }
            if alpha < point.cost {
                least = least.min(gradient);
            }
        }
        greatest - least
    }

    /// The bias that libSVM would take, and the violation of its condition.
    fn free_bias(&self, alpha: &[f64], weights: &W) -> (f64, f64) {
        let lines = weights.as_ref().len();
        let (mut may_grow, mut may_fall) = (f64::NEG_INFINITY, f64::INFINITY);
        let (mut free, mut free_sum) = (0u64, 0.0);
        for ((z, &alpha), point) in self.rows.rows(lines).zip(alpha).zip(&self.points) {
            let sign = self.sign(z);
            let bias = sign * (1.0 - dot(weights.as_ref(), z));
            let (positive, can_add, can_take) = (sign > 0.0, alpha < point.cost, alpha > 0.0);
            if if positive { can_add } else { can_take } {
                may_grow = may_grow.max(bias);
            }
            if if positive { can_take } else { can_add } {
                may_fall = may_fall.min(bias);
            }
            if can_add && can_take {
                free += 1;
                free_sum += bias;
            }
        }
        let bias = if free > 0 { free_sum / free as f64 } else { 0.5 * (may_grow + may_fall) };
        (bias, (may_grow - may_fall).max(0.0))
    }

    /// Makes `Σ alpha z` equal to the weights again, and zero for the bias: the difference that the cuts made is
    /// distributed over the rows between their bounds, least to those close to one. Without it, thousands of small
    /// cuts would move the weights when costs are great.
    fn redistribute(&self, alpha: &mut [f64], zero: &W) {
        let lines = zero.as_ref().len();
        // The second time removes the rounding of the first.
        for _ in 0..2 {
            let mut residual = self.weights.clone();
            if self.bias == Bias::Free {
                *self.rows.constant(residual.as_mut()) = 0.0;
            }
            let mut matrix = vec![Line::ZERO; self.size * lines];
            let mut greatest = 0.0;
            for ((z, &alpha), point) in self.rows.rows(lines).zip(&*alpha).zip(&self.points) {
                if alpha > 0.0 {
                    add(residual.as_mut(), -alpha, z);
                }
                let room = alpha.min(point.cost - alpha);
                if room > 0.0 {
                    add_outer(&mut matrix, room * room, z, lines);
                    greatest = f64::max(greatest, room * room * dot(z, z));
                }
            }
            // The rows in question may be fewer than the columns; the ridge picks the shortest solution.
            let ridge = RIDGE * greatest;
            let Some(cholesky) = Cholesky::new(self.size, |row, column| {
                entry(&matrix, row, column, lines) + if row == column { ridge } else { 0.0 }
            }) else {
                return;
            };
            solve_lines(&cholesky, residual.as_mut());
            for ((z, alpha), point) in self.rows.rows(lines).zip(&mut *alpha).zip(&self.points) {
                let room = alpha.min(point.cost - *alpha);
                if room > 0.0 {
                    *alpha = (*alpha + room * room * dot(residual.as_ref(), z)).max(0.0).min(point.cost);
                }
            }
        }
    }

    /// Makes `Σ ±alpha` zero to rounding where the rows between their bounds were too few to restore the
    /// weights and the bias alike. Without any such row the sum stays as it is, at most the size of the cuts.
    fn balance(&self, alpha: &mut [f64], lines: usize) {
        let (mut excess, mut rooms) = (0.0, 0.0);
        for ((z, &alpha), point) in self.rows.rows(lines).zip(&*alpha).zip(&self.points) {
            excess += self.sign(z) * alpha;
            rooms += alpha.min(point.cost - alpha);
        }
        if excess.abs() < rooms {
            for ((z, alpha), point) in self.rows.rows(lines).zip(&mut *alpha).zip(&self.points) {
                *alpha -= self.sign(z) * excess / rooms * alpha.min(point.cost - *alpha);
            }
        }
    }
}

impl Point {
    /// Of a multiplier and its bound's multiplier, one is zero at the optimum: the one that is small already.
    fn cut(&self) -> f64 {
        let room = self.room;
        if self.alpha < self.lower * self.cost {
            0.0
        } else if room < self.upper * self.cost {
            self.cost
        } else {
            self.alpha
        }
    }
}
