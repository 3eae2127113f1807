//! Linear machines.
//!
//! libSVM leaves the bias free; LIBLINEAR's is the weight of a constant feature and kept small with the others. Both are
//! solved for every loss: the squared hinge and the logistic loss by Newton's method on the primal problem (`newton/`), the hinge
//! loss by an interior point method where rows are not wide (`interior.rs`), whose efforts do not grow with the cost, and by
//! dual coordinate descent (`svc.rs`); `hinge.rs` says which, and what follows where one does not converge.

mod cholesky;
mod chunks;
mod coordinate;
mod exponential;
mod gap;
#[cfg(test)]
mod hard_tests;
mod hinge;
mod interior;
mod logarithm;
mod newton;
mod order;
mod packed;
mod signed;
mod svc;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::solve::{Examples, Progress, Solution, Stopping};

/// The loss of a row as a function of its margin `m`, which is its score times its sign (+1 or −1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// `max(0, 1 − m)`: the support vector machine of libSVM, and of LIBLINEAR's `-s 3`.
    Hinge,
    /// `max(0, 1 − m)²`: LIBLINEAR's `-s 1`.
    SquaredHinge,
    /// `ln(1 + exp(−m))`: logistic regression, LIBLINEAR's `-s 7`.
    Logistic,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hinge => "hinge",
            Self::SquaredHinge => "squared-hinge",
            Self::Logistic => "logistic",
        })
    }
}

/// Whether the bias is regularised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bias {
    /// The bias is free, as in libSVM: `Σ ±alpha` is 0.
    Free,
    /// The bias is the weight of a feature that is always 1, and so kept small with the others, as with LIBLINEAR's
    /// `-B 1`.
    Regularised,
}

impl fmt::Display for Bias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Free => "free",
            Self::Regularised => "regularised",
        })
    }
}

/// Options of the linear solvers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LinearOptions {
    pub loss: Loss,
    pub bias: Bias,
    /// Seeds the order in which rows are visited.
    pub seed: u64,
}

/// Solves the problem; `start` are multipliers to begin with, which may be those of another cost.
///
/// An iteration is a pass of coordinate descent over the rows, a step of the interior point method or of Newton's, or a
/// pair of SMO; `stopping` bounds those of all methods that follow each other. Only coordinate descent uses `start`. With a
/// free bias `Σ ±alpha` is 0 within 1e-9 of the costs' sum, and within `epsilon` over the mean square of a row's length by
/// coordinate descent. `Machine::from_expansion` with the signed multipliers
/// gives the decision function for every loss, and [`Solution::weights`] more exactly.
pub(crate) fn solve(
    examples: &Examples,
    options: &LinearOptions,
    stopping: Stopping,
    start: Option<&[f64]>,
    progress: &dyn Progress,
) -> Solution {
    if options.loss == Loss::Hinge {
        return hinge::solve(examples, options, stopping, start, progress);
    }
    newton::solve(examples, options, stopping, progress)
}
