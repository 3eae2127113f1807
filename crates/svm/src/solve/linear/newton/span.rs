//! Few rows of many columns, solved in the space that they span.
//!
//! The weights of a regularised machine are a sum of multiples of the rows (Schölkopf, Herbrich and Smola, "A generalized
//! representer theorem", COLT 2001), so that only the rows' inner products matter. With `X Xᵀ = L Lᵀ` the rows of the square
//! matrix `L` have the same ones: they are the rows turned into as many coordinates as there are rows. Chapelle, "Training a support
//! vector machine in the primal" (Neural Computation 19, 2007), solves for the multiples themselves.

use super::super::packed::WIDTH;
use super::super::{LinearOptions, solve as solve_linear};
use super::direction::ALWAYS_FACTORED;
use crate::data::either::Rows;
use crate::data::matrix::Matrix;
use crate::score::simd::Simd;
use crate::solve::vectorised::vectorised;
use crate::solve::{Examples, NoProgress, Stopping};

/// Rows are few when the columns are at least so many times as many.
const WIDER: usize = 4;

/// More rows are not solved like this: as many columns could begin with coordinate descent, whose multipliers at great costs
/// carry more rounding than weights may have.
const MOST_ROWS: usize = ALWAYS_FACTORED - 1;

/// Columns whose products are summed at a time, so that the rows' parts stay in the second-level cache.
const CHUNK: usize = 512;

/// Rows whose products with another one are summed together.
const TILE: usize = 4;

/// A row of which no more than this share of its square is left beside the rows before it is a sum of multiples of those.
const DEPENDENT: f64 = 1e-13;

/// Weights to begin with.
pub(super) struct Start {
    /// With the bias behind them.
    pub weights: Vec<f64>,
    /// The iterations that led there.
    pub iterations: u64,
    /// Whether they are expected to be the solution.
    pub good: bool,
}

/// Whether rows are few, and dense.
pub(super) fn applies(examples: &Examples) -> bool {
    let (rows, columns) = (examples.x.len(), examples.x.columns());
    matches!(examples.x, Rows::Dense(_)) && rows <= MOST_ROWS && columns >= WIDER * rows
}

/// Solves for the turned rows. None where the products are too great for this arithmetic.
pub(super) fn solve(examples: &Examples, options: &LinearOptions, stopping: Stopping) -> Option<Start> {
    let Rows::Dense(x) = examples.x else { return None };
    let rows = x.len();
    let mut factor = vec![0.0; rows * rows];
    products(Simd::detect(), x.values(), x.columns(), &mut factor);
    if !factor.iter().all(|value| value.is_finite()) {
        return None;
    }
    factorise(&mut factor, rows);
    let turned: Rows = Matrix::from_rows(factor.chunks_exact(rows)).into();
    let solution = solve_linear(&Examples { x: &turned, ..*examples }, options, stopping, None, &NoProgress);
    let turned_weights = match solution.weights {
        Some(weights) => weights,
        None => super::descent::weights(&Examples { x: &turned, ..*examples }, &solution),
    };
    let multiples = multiples(&factor, rows, &turned_weights);
    let mut weights = vec![0.0; x.columns()];
    for (row, multiple) in x.rows().zip(multiples) {
        weights.iter_mut().zip(row).for_each(|(weight, value)| *weight += multiple * value);
    }
    weights.push(solution.bias);
    Some(Start { weights, iterations: solution.iterations, good: true })
}

vectorised! {
    /// Adds the inner products of all pairs of rows to the lower triangle of a square matrix.
    fn products(x: &[f64], columns: usize, into: &mut [f64]) = products_body
}

#[inline(always)]
fn products_body<const FMA: bool>(x: &[f64], columns: usize, into: &mut [f64]) {
    let rows = x.len() / columns;
    for start in (0..columns).step_by(CHUNK) {
        let part = |row: usize| &x[row * columns + start..row * columns + columns.min(start + CHUNK)];
        for (row, into) in into.chunks_exact_mut(rows).enumerate() {
            let (one, rest) = part(row).as_chunks::<WIDTH>();
            for first in (0..=row).step_by(TILE) {
                // Behind the last row the last one is taken again, and its products are left.
                let others: [_; TILE] =
                    std::array::from_fn(|at| part((first + at).min(rows - 1)).as_chunks::<WIDTH>());
                let mut sums = [[0.0; WIDTH]; TILE];
                for (place, one) in one.iter().enumerate() {
                    for (sums, (other, _)) in sums.iter_mut().zip(&others) {
                        for lane in 0..WIDTH {
                            sums[lane] += one[lane] * other[place][lane];
                        }
                    }
                }
                for ((into, sums), (_, other)) in into[first..].iter_mut().zip(&sums).zip(&others) {
                    let products = rest.iter().zip(*other).map(|(one, other)| one * other);
                    *into += sums.iter().sum::<f64>() + products.sum::<f64>();
                }
            }
        }
    }
}

/// Turns the lower triangle of `A`, positive semidefinite, into `L` with `A = L Lᵀ`, with zeros above it. A column without a
/// pivot is zero: its row depends on those before. Golub and Van Loan, "Matrix Computations", section 4.2.8.
fn factorise(matrix: &mut [f64], size: usize) {
    for row in 0..size {
        let (before, from) = matrix.split_at_mut(row * size);
        let whole = from[row];
        for column in 0..row {
            let other = &before[column * size..][..=column];
            let known: f64 = other[..column].iter().zip(&*from).map(|(one, other)| one * other).sum();
            from[column] = if other[column] > 0.0 { (from[column] - known) / other[column] } else { 0.0 };
        }
        let left = whole - from[..row].iter().map(|value| value * value).sum::<f64>();
        from[row] = if left > DEPENDENT * whole { left.sqrt() } else { 0.0 };
        from[row + 1..size].fill(0.0);
    }
}

/// The multiples of the rows whose sum the weights of the turned rows stand for: `Lᵀ multiples = weights`.
fn multiples(factor: &[f64], size: usize, weights: &[f64]) -> Vec<f64> {
    let mut multiples = weights[..size].to_vec();
    for row in (0..size).rev() {
        let (line, pivot) = (&factor[row * size..][..row], factor[row * size + row]);
        let multiple = if pivot > 0.0 { multiples[row] / pivot } else { 0.0 };
        multiples[row] = multiple;
        multiples[..row].iter_mut().zip(line).for_each(|(left, value)| *left -= multiple * value);
    }
    multiples
}
