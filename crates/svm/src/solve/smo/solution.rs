//! What a solve ends with: residuals as exact as they must be, bias, objective and gap.

use super::working_set::{Change, Extremes};
use super::{Bounds, FALLS, RISES, Smo, exact, nonzero};
use crate::solve::duality::{self, Duality};
use crate::solve::linear::Loss;
use crate::solve::{Solution, Stopping};

/// The share of epsilon that rounding may take before residuals are computed in double precision.
const ROUNDING_SHARE: f64 = 0.25;

impl Smo<'_> {
    /// Whether the rounding errors of kernel values in single precision, added up in a residual as they chance to fall, are more
    /// than a share of epsilon; or, times what errors cost the rows whose multipliers are free, of the objective.
    pub(super) fn lost_digits(
        &self,
        signed: &[f64],
        bounds: Bounds,
        costs: &[f64],
        solution: &Solution,
        epsilon: f64,
    ) -> bool {
        let norm = signed.iter().map(|signed| signed * signed).sum::<f64>().sqrt();
        let rounding = f64::from(f32::EPSILON) * f64::from(self.set.greatest_value()) * norm;
        let free = |row: &usize| bounds.moves(*row, signed[*row]) == RISES | FALLS;
        let cost: f64 = (0..costs.len()).filter(free).map(|row| costs[row]).sum();
        rounding * (cost / -solution.objective).max(1.0) > ROUNDING_SHARE * epsilon
    }

    /// The residuals of all rows, in double precision: the steps' own sum up what single precision leaves of each kernel value,
    /// and multipliers of a great C multiply it.
    pub(super) fn residuals(&self, signed: &[f64]) -> Vec<f64> {
        let support = nonzero(signed);
        let points = self.set.points();
        let scores: Vec<f64> = if points.is_linear() {
            let weights = self.weights(&support, &points.centre);
            let centred = |row: &[f64]| -> f64 {
                let pairs = row.iter().zip(&points.centre);
                weights.iter().zip(pairs).map(|(weight, (x, centre))| weight * (x - centre)).sum()
            };
            self.x.rows().map(centred).collect()
        } else {
            exact::scores(self.x, self.kernel, &support)
        };
        let rows = scores.iter().zip(self.positive).zip(signed).enumerate();
        rows.map(|(row, ((score, &positive), signed))| {
            let sign = if positive { 1.0 } else { -1.0 };
            sign - score - self.set.ridge_of(row as u32) * signed
        })
        .collect()
    }

    /// `Σ signed (x − centre)`
    fn weights(&self, support: &[Change], centre: &[f64]) -> Vec<f64> {
        let mut weights = vec![0.0; centre.len()];
        for &(row, signed) in support {
            let centred = self.x.row(row as usize).iter().zip(centre);
            weights
                .iter_mut()
                .zip(centred)
                .for_each(|(weight, (x, centre))| *weight += signed * (x - centre));
        }
        weights
    }

    /// Bias and objective after Chang and Lin (2011), section 4.1.5: the bias is the mean residual of the free
    /// rows, or lies midway between the ends where there is none.
    pub(super) fn solution(
        &self,
        signed: &[f64],
        bounds: Bounds,
        costs: &[f64],
        stopping: Stopping,
        iterations: u64,
        (converged, extremes): (bool, Extremes),
    ) -> Solution {
        let (mut sum, mut free, mut objective) = (0.0, 0_u64, 0.0);
        for (row, (&signed, &residual)) in signed.iter().zip(self.set.residuals()).enumerate() {
            objective -= 0.5 * (signed * residual + signed.abs());
            if bounds.moves(row, signed) == RISES | FALLS {
                sum += residual;
                free += 1;
            }
        }
        let midway = extremes.top.map_or(extremes.bottom, |top| 0.5 * (top.residual + extremes.bottom));
        let mut bias = if free > 0 { sum / free as f64 } else { midway };
        let (mut gap, mut lift) = (self.gap(signed, costs, bias, 1.0), 1.0);
        if gap > stopping.epsilon && self.loss == Loss::Hinge {
            let least = self.least_loss_bias(costs, bias);
            let least_gap = self.gap(signed, costs, least, 1.0);
            if least_gap < gap {
                (gap, bias) = (least_gap, least);
            }
        }
        if gap > stopping.epsilon {
            let lifted = self.lift(signed, costs, bias, stopping.epsilon);
            let lifted_gap = self.gap(signed, costs, bias, lifted);
            if lifted_gap < gap {
                (gap, lift) = (lifted_gap, lifted);
                let total: f64 = signed.iter().map(|signed| signed.abs()).sum();
                objective = lift * lift * (objective + total) - lift * total;
                bias *= lift;
            }
        }
        let points = self.set.points();
        if points.is_linear() {
            // The machine that is written takes nothing from its rows.
            let weights = self.weights(&nonzero(signed), &vec![0.0; points.features]);
            let shift: f64 = weights.iter().zip(&points.centre).map(|(weight, centre)| weight * centre).sum();
            bias -= lift * shift;
        }
        if !(objective.is_finite() && bias.is_finite() && signed.iter().all(|signed| signed.is_finite())) {
            return Solution { iterations, ..Solution::none(signed.len()) };
        }
        let alpha = signed.iter().map(|signed| lift * signed.abs()).collect();
        let converged = duality::is_converged(converged, gap, stopping.epsilon);
        Solution { alpha, bias, weights: None, objective, gap, iterations, converged }
    }

    /// The bias of the least hinge loss for these residuals, the nearest to `bias`: where one class is rare, its few rows
    /// within the margin outweigh many that the mean of the free ones lets in.
    ///
    /// The loss falls by the costs of positive rows above the bias and rises by those of negative rows below it, so that
    /// its slope rises by each row's cost at its residual.
    fn least_loss_bias(&self, costs: &[f64], bias: f64) -> f64 {
        let mut places: Vec<(f64, f64)> =
            self.set.residuals().iter().copied().zip(costs.iter().copied()).collect();
        places.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
        let positives = costs.iter().zip(self.positive).filter(|(_, positive)| **positive);
        let mut slope = -positives.map(|(cost, _)| cost).sum::<f64>();
        let mut level = None;
        for &(residual, cost) in &places {
            if let Some(level) = level {
                return bias.clamp(level, residual);
            }
            slope += cost;
            if slope > 0.0 {
                return residual;
            }
            level = (slope == 0.0).then_some(residual);
        }
        bias
    }

    /// By what to multiply multipliers and bias that no row lies within the margin, as `duality::lifted` does: 1 where a multiplier
    /// would exceed its cost, or a row is further within the margin than epsilon.
    fn lift(&self, signed: &[f64], costs: &[f64], bias: f64, epsilon: f64) -> f64 {
        if self.loss != Loss::Hinge {
            return 1.0;
        }
        let sign = |row: usize| if self.positive[row] { 1.0 } else { -1.0 };
        let short =
            self.set.residuals().iter().enumerate().map(|(row, residual)| sign(row) * (residual - bias));
        let short = short.fold(0.0, f64::max);
        let lift = 1.0 / (1.0 - short);
        let within = short <= epsilon.min(0.5)
            && signed.iter().zip(costs).all(|(signed, &cost)| lift * signed.abs() <= cost);
        if within { lift } else { 1.0 }
    }

    /// The relative duality gap of multipliers and bias that are `lift` times these, from the residuals as they are: a row's margin is
    /// `1 − y (residual − bias)`, and the ridge's part of the residual is none of its score.
    fn gap(&self, signed: &[f64], costs: &[f64], bias: f64, lift: f64) -> f64 {
        let (mut duality, mut square, mut balance) = (Duality::default(), 0.0, 0.0);
        for (row, (&signed, &residual)) in signed.iter().zip(self.set.residuals()).enumerate() {
            let sign = if self.positive[row] { 1.0 } else { -1.0 };
            let residual = residual + self.set.ridge_of(row as u32) * signed;
            duality.add(self.loss, lift * signed.abs(), costs[row], lift * (1.0 - sign * (residual - bias)));
            square += signed * (sign - residual);
            balance += signed;
        }
        duality.relative(0.5 * lift * lift * square.max(0.0), lift * lift * bias * balance)
    }
}
