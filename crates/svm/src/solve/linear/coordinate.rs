//! Coordinate descent for the hinge and the squared hinge loss, and the free bias by the method of multipliers.

use super::order::Order;
use super::packed::{Line, Packed, fetch};
use super::signed::{DenseRows, SignedRows, SparseRows};
use super::svc::{Multiplier, descend};
use super::{Bias, LinearOptions};
use crate::data::either::Rows;
use crate::solve::{Examples, Progress, Solution, Stopping};

/// The outcome of a run of coordinate descent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Descent {
    pub passes: u64,
    pub converged: bool,
}

/// One pass over the active rows in their order. `visit` takes a row's multiplier, the weights and the row, and
/// returns whether it stays active; a later row is prefetched meanwhile.
#[inline(always)]
pub(super) fn pass<R: SignedRows>(
    rows: &R,
    multipliers: &mut [Multiplier],
    weights: &mut R::Weights,
    order: &mut Order,
    mut visit: impl FnMut(&mut Multiplier, &mut R::Weights, R::Row<'_>) -> bool,
) {
    // A copy that nothing else can point to stays in registers.
    let mut w = weights.clone();
    order.pass(|row, later| {
        rows.fetch(later);
        fetch(&multipliers[later]);
        visit(&mut multipliers[row], &mut w, rows.row(row))
    });
    *weights = w;
}

/// Solves for the hinge or the squared hinge loss by coordinate descent, whatever the width and bias, with about so many
/// visits of a row at most: passes over the few rows that are between their bounds are short.
pub(super) fn solve(
    examples: &Examples,
    options: &LinearOptions,
    stopping: Stopping,
    most_visits: u64,
    start: Option<&[f64]>,
    progress: &dyn Progress,
) -> Solution {
    Task { examples, options, stopping, most_visits, start, progress }.solve_for_width()
}

struct Task<'a> {
    examples: &'a Examples<'a>,
    options: &'a LinearOptions,
    stopping: Stopping,
    most_visits: u64,
    start: Option<&'a [f64]>,
    progress: &'a dyn Progress,
}

impl Task<'_> {
    /// Up to fifteen dense features get code of their own, with the weights in registers.
    fn solve_for_width(&self) -> Solution {
        let constant = match self.options.bias {
            Bias::Regularised => 1.0,
            Bias::Free => stiffness(self.examples),
        };
        let dense = self.examples;
        match (self.examples.x, Packed::lines_for(self.examples.x.columns())) {
            (Rows::Sparse(x), _) => {
                self.solve(&SparseRows::new(x, self.examples.positive, constant), constant)
            }
            (Rows::Dense(_), 1) => self.solve(&DenseRows::new(dense, constant, [Line::ZERO; 1]), constant),
            (Rows::Dense(_), 2) => self.solve(&DenseRows::new(dense, constant, [Line::ZERO; 2]), constant),
            (Rows::Dense(_), lines) => {
                self.solve(&DenseRows::new(dense, constant, vec![Line::ZERO; lines]), constant)
            }
        }
    }

    /// `constant` is the rows' constant feature.
    fn solve<R: SignedRows>(&self, rows: &R, constant: f64) -> Solution {
        let Examples { costs, .. } = *self.examples;
        let mut order = Order::new(costs.len(), self.options.seed, self.most_visits);
        let mut multipliers: Vec<Multiplier> = costs
            .iter()
            .enumerate()
            .map(|(row, &cost)| {
                let alpha = self.start.map_or(0.0, |start| start[row]);
                Multiplier::new(self.options.loss, cost, rows.square(row), alpha)
            })
            .collect();
        let (bias, descent) = match self.options.bias {
            Bias::Regularised => {
                let mut weights = expand(rows, &multipliers);
                let (stopping, progress) = (self.stopping, self.progress);
                let descent = descend(rows, &mut multipliers, &mut weights, &mut order, stopping, progress);
                (None, descent)
            }
            Bias::Free => {
                let (bias, descent) = self.free_bias(rows, &mut multipliers, &mut order, constant);
                (Some(bias), descent)
            }
        };
        let mut weights = expand(rows, &multipliers);
        let summed = rows.constant(&mut weights);
        let bias = match bias {
            None => *summed,
            Some(bias) => {
                *summed = 0.0;
                bias
            }
        };
        let added: f64 = multipliers.iter().map(Multiplier::added).sum();
        let objective = 0.5 * R::length_squared(&weights) + added;
        let alpha = multipliers.iter().map(Multiplier::alpha).collect();
        let (iterations, converged) = (descent.passes, descent.converged);
        Solution { alpha, bias, weights: None, objective, gap: f64::INFINITY, iterations, converged }
    }

    /// The method of multipliers (Bertsekas, "Constrained Optimization and Lagrange Multiplier Methods",
    /// 1982, section 2.2) for the constraint `Σ ±alpha = 0`, whose multiplier is the bias.
    ///
    /// Each round solves a problem in which leaving the last round's bias costs something: the bias is that
    /// one plus the constant feature's weight. For the primal problem this is the proximal
    /// point method, which for a piecewise linear function ends after finitely many rounds. The rounds
    /// end when the bias moves by at most epsilon, so that `Σ ±alpha` is at most epsilon / constant², and
    /// this is also within epsilon of `Σ alpha`: where costs are small, so are the bias's moves.
    fn free_bias<R: SignedRows>(
        &self,
        rows: &R,
        multipliers: &mut [Multiplier],
        order: &mut Order,
        constant: f64,
    ) -> (f64, Descent) {
        let (mut bias, mut passes) = (0.0, 0);
        loop {
            let mut weights = expand(rows, multipliers);
            *rows.constant(&mut weights) += bias / constant;
            let max_iterations = self.stopping.max_iterations - passes;
            let stopping = Stopping { max_iterations, ..self.stopping };
            let descent = descend(rows, multipliers, &mut weights, order, stopping, self.progress);
            passes += descent.passes;
            let moved = *rows.constant(&mut weights) * constant;
            let total: f64 = multipliers.iter().map(Multiplier::alpha).sum();
            let shift = (moved - bias).abs();
            let epsilon = self.stopping.epsilon;
            let steady = shift <= epsilon && shift <= epsilon * constant * constant * total;
            bias = moved;
            if !descent.converged || steady || passes >= self.stopping.max_iterations {
                return (bias, Descent { passes, converged: descent.converged && steady });
            }
        }
    }
}

/// `Σ alpha z`
fn expand<R: SignedRows>(rows: &R, multipliers: &[Multiplier]) -> R::Weights {
    let mut weights = rows.zero();
    for (row, multiplier) in multipliers.iter().enumerate() {
        if multiplier.alpha() != 0.0 {
            R::add(&mut weights, multiplier.alpha(), rows.row(row));
        }
    }
    weights
}

/// A round moves the bias by the square of the constant feature times what the classes' multipliers differ
/// by; a class whose costs sum to less than this, over that square, would take thousands of rounds.
const LEAST_MOVE: f64 = 30.0;

/// Beyond this the features are lost in the rounding of a row's length.
const MOST_STIFF: f64 = 1e12;

/// The constant feature's value for a free bias: the root of the mean square of a row's length, or more
/// where a class's costs are small.
///
/// The greater it is, the fewer rounds and the more passes in each, since it is then all that a row's
/// length consists of.
fn stiffness(examples: &Examples) -> f64 {
    let squares: f64 = (0..examples.x.len()).map(|row| examples.x.square(row)).sum();
    let mean = squares / examples.costs.len() as f64;
    let of_class = |class: bool| -> f64 {
        let costs = examples.costs.iter().zip(examples.positive);
        costs.filter(|(_, positive)| **positive == class).map(|(cost, _)| cost).sum()
    };
    let mean = if mean.is_normal() { mean } else { 1.0 };
    mean.max(LEAST_MOVE / of_class(true).min(of_class(false))).min(MOST_STIFF).sqrt()
}
