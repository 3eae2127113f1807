//! Coordinate descent before Newton's method, where rows may be separable.
//!
//! Where they are, the multipliers are all but independent of each other and of great costs, and few passes are enough, while
//! Newton's method meets the rows within a hard margin few by few.

use super::super::{LinearOptions, coordinate};
use super::GAP_PER_EPSILON;
use super::direction::ALWAYS_FACTORED;
use crate::solve::{Examples, NoProgress, Solution, Stopping, duality};

/// Passes with each epsilon. Where costs are great some hundred are needed, and Newton's method would take thousands of steps of
/// conjugate gradients, each of which costs as much as a pass.
const PASSES: u64 = 300;

/// While the gap is too great, the next solve takes this share of the last one's epsilon, so many times.
const TIGHTER: f64 = 0.01;
const ROUNDS: u32 = 4;

/// Whether rows are wide, and so few that they may be separable.
pub(super) fn applies(examples: &Examples) -> bool {
    let (rows, columns) = (examples.x.len(), examples.x.columns());
    columns >= ALWAYS_FACTORED && rows <= 2 * columns
}

/// Some passes; the solution has converged where its duality gap is small.
pub(super) fn solve(examples: &Examples, options: &LinearOptions, stopping: Stopping) -> Solution {
    let round = |epsilon: f64, done: u64, start: Option<&[f64]>| {
        let max_iterations = PASSES.min(stopping.max_iterations - done);
        let tighter = Stopping { epsilon, max_iterations };
        let mut solution = coordinate::solve(examples, options, tighter, u64::MAX, start, &NoProgress);
        let met = solution.converged;
        solution.iterations += done;
        solution.gap = duality::of_linear(examples, options.loss, options.bias, &solution);
        solution.converged = solution.gap <= GAP_PER_EPSILON * stopping.epsilon;
        (solution, met)
    };
    let mut epsilon = stopping.epsilon;
    let (mut solution, mut met) = round(epsilon, 0, None);
    for _ in 1..ROUNDS {
        // A solve that did not come to its epsilon would not come to a lesser one.
        if solution.converged || !met || solution.iterations >= stopping.max_iterations {
            break;
        }
        epsilon *= TIGHTER;
        (solution, met) = round(epsilon, solution.iterations, Some(&solution.alpha));
    }
    solution
}

/// The weights of a solution, with the bias behind them.
pub(super) fn weights(examples: &Examples, solution: &Solution) -> Vec<f64> {
    let mut weights = duality::weights(examples, &solution.alpha);
    weights.push(solution.bias);
    weights
}
