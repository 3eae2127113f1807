//! The hinge loss with a free bias by an interior point method: Ferris and Munson, "Interior-point
//! methods for massive support vector machines" (SIAM Journal on Optimization 13, 2002), with the
//! predictor and corrector of Mehrotra (SIAM Journal on Optimization 2, 1992).
//!
//! With `z` a signed row and the signed constant 1 behind it, and `v` the weights with the bias behind
//! them, the conditions are, for each row,
//!
//! ```text
//! z·v − 1 = lower − upper,   alpha · lower = 0,   (cost − alpha) · upper = 0,   all four at least 0
//! ```
//!
//! and `weights = Σ alpha z`, `0 = Σ alpha z` for the bias. Newton's method is applied to them with a
//! small number in place of the two products' zeros. Rows are eliminated one by one, so that an iteration
//! costs a few passes over the rows and one system of as many unknowns as there are columns: two dozen
//! iterations, whatever the cost of an error, where coordinate descent needs ever more passes. Where the
//! corrected steps cycle, which small problems make them do now and then, the method changes to steps without correction (`gap.rs`).

use super::Bias;
mod cut;

use super::cholesky::Cholesky;
use super::gap::GapHistory;
use super::packed::{Line, Packed, WIDTH, Weights, add, dot};
use crate::solve::{Examples, Progress, Solution, Stopping};

/// Rows of at most so many columns with the constant feature are solved this way: an iteration costs a
/// row the square of that.
pub(super) const MAX_COLUMNS: usize = 64;

/// A step goes so far towards the nearest bound.
const TOWARDS_BOUND: f64 = 0.995;

/// The gap between the primal and the dual objective, relative to the sum of the multipliers, from which
/// on these are cut to their bounds and the conditions checked.
const SMALL_GAP: f64 = 1e-8;

/// From this gap on the best point is kept, because rounding may spoil the next ones.
const WORTH_KEEPING: f64 = 1e-6;

/// Below this gap rounding leaves nothing to gain.
const LEAST_GAP: f64 = 1e-13;

/// Rows of no more lines are multiplied whole.
const FEW_LINES: usize = 8;

/// To what share of their mean a careful step takes the products.
const CAREFUL_SHARE: f64 = 0.1;

/// A row's variables and their steps.
#[derive(Debug, Clone, Copy)]
struct Point {
    alpha: f64,
    /// `cost − alpha`, a variable of its own: as a difference it would cancel to 0 next to the bound, and the steps,
    /// which divide by it, would be NaN.
    room: f64,
    lower: f64,
    upper: f64,
    alpha_step: f64,
    lower_step: f64,
    upper_step: f64,
    cost: f64,
    /// One over what the row's bounds add to its diagonal.
    theta: f64,
    /// The row's violation of its first condition when `lower` and `upper` are left out.
    gradient: f64,
}

struct Interior<'a, W> {
    rows: &'a Packed,
    bias: Bias,
    points: Vec<Point>,
    weights: W,
    /// Columns with the constant feature.
    size: usize,
}

/// The sums over the rows for a Newton step.
struct Normal<W> {
    /// `Σ theta z zᵀ`, a row after the other.
    matrix: Vec<Line>,
    /// `Σ theta gradient z`
    gradient: W,
    /// `Σ alpha z`
    expansion: W,
    /// `Σ alpha·lower + (cost − alpha)·upper`
    gap: f64,
    /// `Σ alpha`
    total: f64,
}

/// Solves for the hinge loss.
pub(super) fn solve(
    examples: &Examples,
    bias: Bias,
    stopping: Stopping,
    progress: &dyn Progress,
) -> Solution {
    match Packed::lines_for(examples.x.columns()) {
        1 => solve_with(examples, bias, stopping, progress, [Line::ZERO; 1]),
        2 => solve_with(examples, bias, stopping, progress, [Line::ZERO; 2]),
        lines => solve_with(examples, bias, stopping, progress, vec![Line::ZERO; lines]),
    }
}

fn solve_with<W: Weights>(
    examples: &Examples,
    bias: Bias,
    stopping: Stopping,
    progress: &dyn Progress,
    zero: W,
) -> Solution {
    let rows = Packed::new(examples, 1.0);
    let mut interior = Interior::new(examples, &rows, bias, zero.clone());
    let (mut step, mut iterations) = (0.0, 0);
    let mut history = GapHistory::new();
    // The least gap from `WORTH_KEEPING` on, with what a solution is made of: the points themselves take ten times as much.
    let (mut least, mut kept) = (f64::INFINITY, (Vec::new(), zero.clone()));
    loop {
        let normal = interior.advance(step, &zero);
        // At the solution the sum of the multipliers is the primal objective and half the weights' square.
        let residual = interior.square(&normal.expansion) - interior.square(&interior.weights);
        let gap = (normal.gap + 0.5 * residual.abs()) / normal.total;
        if iterations > 0 {
            progress.solving(iterations, gap);
        }
        history.record(gap);
        let mut last = gap <= LEAST_GAP || history.is_stalled() || iterations >= stopping.max_iterations;
        if gap <= SMALL_GAP || last {
            let solution =
                interior.cut(interior.multipliers().collect(), iterations, stopping.epsilon, &zero);
            if solution.converged || gap <= LEAST_GAP {
                return solution;
            }
        }
        if gap < least && (gap <= WORTH_KEEPING || history.is_careful()) {
            least = gap;
            kept.0.clear();
            kept.0.extend(interior.multipliers());
            kept.1.clone_from(&interior.weights);
        }
        match interior.newton(&normal, history.is_careful(), &zero) {
            Some(longest) => step = longest,
            None => last = true,
        }
        if last {
            // What rounding has spoilt since then is of no use to whoever goes on from here.
            if least.is_finite() {
                interior.weights = kept.1;
                return interior.cut(kept.0, iterations, stopping.epsilon, &zero);
            }
            return interior.cut(interior.multipliers().collect(), iterations, stopping.epsilon, &zero);
        }
        iterations += 1;
    }
}

impl<'a, W: Weights> Interior<'a, W> {
    /// Starts midway between the bounds, with weights of zero.
    fn new(examples: &Examples, rows: &'a Packed, bias: Bias, zero: W) -> Self {
        let points = examples
            .costs
            .iter()
            .map(|&cost| Point {
                alpha: 0.5 * cost,
                room: 0.5 * cost,
                lower: 1.0,
                upper: 1.0,
                alpha_step: 0.0,
                lower_step: 0.0,
                upper_step: 0.0,
                cost,
                theta: 0.0,
                gradient: 0.0,
            })
            .collect();
        Self { rows, bias, points, weights: zero, size: examples.x.columns() + 1 }
    }

    /// Takes a step of this length and computes the sums for the next one.
    fn advance(&mut self, step: f64, zero: &W) -> Normal<W> {
        let lines = zero.as_ref().len();
        let mut matrix = vec![Line::ZERO; self.size * lines];
        let mut gradient_sum = zero.clone();
        let mut expansion = zero.clone();
        let (mut gap, mut total) = (0.0, 0.0);
        for (z, point) in self.rows.rows(lines).zip(&mut self.points) {
            point.alpha += step * point.alpha_step;
            point.room -= step * point.alpha_step;
            point.lower += step * point.lower_step;
            point.upper += step * point.upper_step;
            let room = point.room;
            point.theta = point.alpha * room / (point.lower * room + point.upper * point.alpha);
            point.gradient = dot(self.weights.as_ref(), z) - 1.0;
            gap += point.alpha * point.lower + room * point.upper;
            total += point.alpha;
            add(expansion.as_mut(), point.alpha, z);
            add(gradient_sum.as_mut(), point.theta * point.gradient, z);
            add_outer(&mut matrix, point.theta, z, lines);
        }
        Normal { matrix, gradient: gradient_sum, expansion, gap, total }
    }

    /// Finds the direction and moves the weights along it. Returns the length of the rows' step, or none when
    /// rounding has made the system singular. A careful direction leaves the correction out.
    fn newton(&mut self, normal: &Normal<W>, careful: bool, zero: &W) -> Option<f64> {
        let lines = zero.as_ref().len();
        let cholesky = Cholesky::new(self.size, |row, column| {
            let regularised = row + 1 < self.size || self.bias == Bias::Regularised;
            let identity = if row == column && regularised { 1.0 } else { 0.0 };
            entry(&normal.matrix, row, column, lines) + identity
        })?;
        // The residuals of the conditions on the weights and on the bias.
        let mut residual = normal.expansion.clone();
        add(residual.as_mut(), -1.0, self.weights.as_ref());
        if self.bias == Bias::Free {
            *self.rows.constant(residual.as_mut()) += *self.rows.constant(self.weights.as_mut());
        }
        let mut right = residual.clone();
        add(right.as_mut(), -1.0, normal.gradient.as_ref());
        let mut predictor = right.clone();
        solve_lines(&cholesky, predictor.as_mut());

        // The predictor aims at the bounds themselves; the length of its step decides how close to them to aim next.
        let mut centring = zero.clone();
        let mut correction = zero.clone();
        let (mut towards, mut products) = (0.0, 0.0);
        for (z, point) in self.rows.rows(lines).zip(&mut self.points) {
            let room = point.room;
            let (inverse, inverse_room) = (1.0 / point.alpha, 1.0 / room);
            let alpha_step = -point.theta * (point.gradient + dot(predictor.as_ref(), z));
            let (share, room_share) = (alpha_step * inverse, alpha_step * inverse_room);
            let lower_step = -point.lower - point.lower * share;
            let upper_step = -point.upper + point.upper * room_share;
            towards = f64::max(towards, (-share).max(room_share));
            towards = f64::max(towards, (1.0 + share).max(1.0 - room_share));
            products += alpha_step * (lower_step - upper_step);
            // Newton's method neglects the products of the steps; the corrector adds them.
            point.lower_step = alpha_step * lower_step;
            point.upper_step = -alpha_step * upper_step;
            add(centring.as_mut(), point.theta * (inverse - inverse_room), z);
            let corrected = point.upper_step * inverse_room - point.lower_step * inverse;
            add(correction.as_mut(), point.theta * corrected, z);
        }
        let reach = if towards > 1.0 { 1.0 / towards } else { 1.0 };
        let gap_then = (1.0 - reach) * normal.gap + reach * reach * products;
        let bounds = 2.0 * self.points.len() as f64;
        let ratio = (gap_then / normal.gap).clamp(0.0, 1.0);
        let (corrected, share) = if careful { (0.0, CAREFUL_SHARE) } else { (1.0, ratio * ratio * ratio) };
        let target = share * normal.gap / bounds;

        let mut direction = right;
        add(direction.as_mut(), target, centring.as_ref());
        add(direction.as_mut(), corrected, correction.as_ref());
        solve_lines(&cholesky, direction.as_mut());
        let mut towards = 0.0;
        for (z, point) in self.rows.rows(lines).zip(&mut self.points) {
            let room = point.room;
            let lower_aim = (target - corrected * point.lower_step) / point.alpha;
            let upper_aim = (target - corrected * point.upper_step) / room;
            let alpha_step =
                point.theta * (lower_aim - upper_aim - point.gradient - dot(direction.as_ref(), z));
            point.lower_step = lower_aim - point.lower - point.lower / point.alpha * alpha_step;
            point.upper_step = upper_aim - point.upper + point.upper / room * alpha_step;
            point.alpha_step = alpha_step;
            let nearest = (-alpha_step / point.alpha)
                .max(alpha_step / room)
                .max(-point.lower_step / point.lower)
                .max(-point.upper_step / point.upper);
            towards = f64::max(towards, nearest);
        }
        if !towards.is_finite() || !direction.as_ref().iter().flat_map(|line| line.0).all(f64::is_finite) {
            return None;
        }
        let step = if towards > TOWARDS_BOUND { TOWARDS_BOUND / towards } else { 1.0 };
        add(self.weights.as_mut(), step, direction.as_ref());
        Some(step)
    }

    /// The square of the length of what is regularised: weights without the bias where that is free.
    fn square(&self, weights: &W) -> f64 {
        let mut weights = weights.clone();
        if self.bias == Bias::Free {
            *self.rows.constant(weights.as_mut()) = 0.0;
        }
        dot(weights.as_ref(), weights.as_ref())
    }

    /// The sign of a row, which is its constant feature.
    fn sign(&self, z: &[Line]) -> f64 {
        z[(self.size - 1) / WIDTH].0[(self.size - 1) % WIDTH]
    }
}

/// `matrix += factor · z zᵀ`, a row of the matrix after the other, each of `lines` lines.
#[inline]
fn add_outer(matrix: &mut [Line], factor: f64, z: &[Line], lines: usize) {
    for (column, row) in matrix.chunks_exact_mut(lines).enumerate() {
        let value = z[column / WIDTH].0[column % WIDTH];
        // Most columns of a sparse row add nothing; of few columns a test would cost more than it saves.
        if lines <= FEW_LINES || value != 0.0 {
            add(row, factor * value, z);
        }
    }
}

/// One number of such a matrix.
fn entry(matrix: &[Line], row: usize, column: usize, lines: usize) -> f64 {
    matrix[row * lines + column / WIDTH].0[column % WIDTH]
}

/// Solves for weights that lie in lines.
fn solve_lines(cholesky: &Cholesky, lines: &mut [Line]) {
    let mut flat: Vec<f64> = lines.iter().flat_map(|line| line.0).collect();
    cholesky.solve(&mut flat);
    for (line, values) in lines.iter_mut().zip(flat.chunks_exact(WIDTH)) {
        line.0.copy_from_slice(values);
    }
}
