//! What every solver takes and what it gives back.

pub(crate) mod duality;
pub(crate) mod linear;
#[cfg(feature = "smartcore")]
pub(crate) mod smartcore;
pub(crate) mod smo;
mod vectorised;

use crate::data::either::Rows;

/// Rows to train on, with what an error on each costs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Examples<'a> {
    /// The rows, scaled where scaling is asked for; finite.
    pub x: &'a Rows,
    /// Whether the row at the same place has the positive label; both classes occur.
    pub positive: &'a [bool],
    /// C of each row: the setting's C, times its class's weight, times its own; finite and above 0.
    pub costs: &'a [f64],
}

/// When a solver ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stopping {
    /// The optimality conditions are met within this; above 0. libSVM's and LIBLINEAR's `-e`.
    pub epsilon: f64,
    /// At most so many iterations; the solution then says that it did not converge. The linear solvers take `u64::MAX`
    /// for their own bounds.
    pub max_iterations: u64,
}

/// What a solver finds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Solution {
    /// The multiplier of each row, `0.0..=cost` (without upper bound for the squared hinge loss).
    ///
    /// The decision function is `Σ ±alpha_i · K(x_i, x) + bias`, with the sign of the row's class.
    pub alpha: Vec<f64>,
    /// Added to the sum.
    pub bias: f64,
    /// The weights of a linear machine where the solver holds them more exactly than the multipliers, which carry their
    /// rounding times the cost; else the sum of the multipliers' rows is meant.
    pub weights: Option<Vec<f64>>,
    /// The dual objective that was minimised, with the sign that libSVM and LIBLINEAR print:
    /// `½ αᵀQα − Σα` and what the loss adds.
    pub objective: f64,
    /// The duality gap by the primal objective, at least 0; infinite where there is no solution. See `duality.rs`.
    pub gap: f64,
    /// Iterations taken: pairs of multipliers for SMO, passes over the rows for coordinate descent.
    pub iterations: u64,
    /// Whether this is the optimum within epsilon: see `duality::is_converged`.
    pub converged: bool,
}

impl Solution {
    /// What a solver gives back that found nothing.
    pub fn none(rows: usize) -> Self {
        let (alpha, gap) = (vec![0.0; rows], f64::INFINITY);
        Self { alpha, bias: 0.0, weights: None, objective: 0.0, gap, iterations: 0, converged: false }
    }
}

/// Observes training as it goes; a progress bar is one. Called from several threads.
pub trait Progress: Sync {
    /// A stage begins that has `total` parts, where that is known; `what` names it for people.
    fn stage(&self, _what: &str, _total: Option<u64>) {}

    /// `more` parts of the stage are done.
    fn advance(&self, _more: u64) {}

    /// A solver is at work: iterations so far, and by how much the optimality conditions are violated. Called every
    /// thousand iterations of SMO, and every pass or step of the linear solvers.
    fn solving(&self, _iterations: u64, _violation: f64) {}
}

/// Observes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {}
