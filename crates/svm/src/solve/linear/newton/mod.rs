//! The squared hinge and the logistic loss by Newton's method on the primal problem
//!
//! ```text
//! min ½ |w|² + Σ cost · loss(z·v)
//! ```
//!
//! with `z` a signed row and the signed constant 1 behind it, and `v` the weights `w` with the bias behind them, which is
//! free or has its square in the penalty as well. Mangasarian, "A finite Newton method for classification"
//! (Optimization Methods and Software 17, 2002), and Keerthi and DeCoste, "A modified finite Newton method for fast solution of
//! large scale linear SVMs" (JMLR 6, 2005), for the squared hinge loss; Lin, Weng and Keerthi, "Trust region
//! Newton method for large-scale logistic regression" (JMLR 9, 2008), for conjugate gradients where rows are wide. The step
//! along Newton's direction is found by a search, which makes every start good: ten iterations or so, whatever the cost
//! and however rare a class.
//!
//! A row's multiplier is its cost times minus the loss's derivative, so that every iteration has a dual solution too. With
//! these multipliers the duality gap is `½ |g|²`, where `g` is the gradient: by the conjugate of the loss
//! a row's primal and dual terms add up to `−alpha z·v`.

mod dense;
mod descent;
mod direction;
mod losses;
mod rows;
mod search;
mod span;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;

use self::dense::Dense;
use self::direction::{ALWAYS_FACTORED, Hessian, inner};
use self::losses::{Logistic, SmoothLoss, SquaredHinge};
use self::rows::{Rows, Sparse};
use self::search::Line;
use self::span::Start;
use super::{Bias, LinearOptions, Loss};
use crate::data::either as data;
use crate::solve::duality::Duality;
use crate::solve::{Examples, NoProgress, Progress, Solution, Stopping};

/// The duality gap relative to the objective at which a solve of rows that are not wide ends, whatever epsilon: Newton's last step takes it from one
/// in a million to here.
const LEAST_GAP: f64 = 1e-13;

/// A solution has converged when the gap, relative to the objective, is at most this share of epsilon.
const GAP_PER_EPSILON: f64 = 1e-3;

/// And the share of that which a solve of wide rows ends at.
const GAP_OF_WIDE: f64 = 0.1;

/// The decrease that Newton's method foresees, relative to the objective, below which it is rounding.
const NO_DECREASE: f64 = 1e-14;

/// Iterations at most; no problem is known that takes a hundred.
const MOST_ITERATIONS: u64 = 1000;

/// Iterations before the costs are made soft. Most problems take less than ten; margins that are hard, since costs are great and
/// rows can be separated, would take hundreds: each shows the few rows only that its step runs into.
const FEW_STEPS: u64 = 15;

/// By what soft costs grow from one solve to the next, and the relative gap of all but the last.
const HARDENING: f64 = 10.0;
const ROUGH_GAP: f64 = 1e-2;

/// So many steps that foresee no decrease and do not halve the gap end a solve; the first one does where the gap is small.
const FRUITLESS_STEPS: u32 = 3;
const SMALL_GAP: f64 = 1e-9;

/// Steps whose decrease of the objective is lost in its rounding. Full ones may still take the gradient, and with it the gap,
/// closer to zero; whether they do shows afterwards.
struct Polish {
    /// The least gap among the beginnings of such steps, with weights and margins.
    best: Option<(f64, Vec<f64>, Vec<f64>)>,
    fruitless: u32,
}

impl Polish {
    /// Counts a step that did not halve the gap. Where the solve goes on or ends with a lesser gap than the best, forgets that.
    fn is_over(&mut self, gap: f64) -> bool {
        let Some((best, ..)) = self.best else { return false };
        if gap > 0.5 * best {
            self.fruitless += 1;
        }
        if gap < best {
            self.best = None;
        }
        self.fruitless >= FRUITLESS_STEPS || (self.fruitless > 0 && best < SMALL_GAP)
    }

    fn keep(&mut self, gap: f64, weights: &[f64], margins: &[f64]) {
        if self.best.is_none() {
            self.best = Some((gap, weights.to_vec(), margins.to_vec()));
        }
    }
}

pub(super) fn solve(
    examples: &Examples,
    options: &LinearOptions,
    stopping: Stopping,
    progress: &dyn Progress,
) -> Solution {
    let mut start = None;
    if span::applies(examples) {
        start = span::solve(examples, options, stopping);
    } else if options.loss == Loss::SquaredHinge && descent::applies(examples) {
        let solution = descent::solve(examples, options, stopping);
        if solution.converged || stopping.max_iterations <= solution.iterations {
            return solution;
        }
        start = Some(Start { weights: descent::weights(examples, &solution), iterations: 0, good: false });
    }
    match examples.x {
        data::Rows::Dense(_) => {
            solve_rows(&Dense::new(examples), examples, options, start, stopping, progress)
        }
        data::Rows::Sparse(x) => {
            let rows = Sparse { x, positive: examples.positive };
            solve_rows(&rows, examples, options, start, stopping, progress)
        }
    }
}

fn solve_rows<R: Rows>(
    rows: &R,
    examples: &Examples,
    options: &LinearOptions,
    start: Option<Start>,
    stopping: Stopping,
    progress: &dyn Progress,
) -> Solution {
    match options.loss {
        Loss::Hinge => unreachable!("the hinge loss has no derivative"),
        Loss::SquaredHinge => {
            Newton::<R, SquaredHinge>::new(rows, examples, options).solve(start, stopping, progress)
        }
        Loss::Logistic => {
            Newton::<R, Logistic>::new(rows, examples, options).solve(start, stopping, progress)
        }
    }
}

struct Newton<'a, R, L> {
    rows: &'a R,
    examples: &'a Examples<'a>,
    bias: Bias,
    weights: Vec<f64>,
    /// `z·weights` of each row.
    margins: Vec<f64>,
    /// The multiplier of each row that belongs to its margin.
    alpha: Vec<f64>,
    /// The second derivative of each row's loss, times its cost.
    factors: Vec<f64>,
    /// What the costs are multiplied by for the time being.
    scale: f64,
    iterations: u64,
    /// Whether more iterations would not have gained anything.
    ended: bool,
    loss: PhantomData<L>,
}

impl<'a, R: Rows, L: SmoothLoss> Newton<'a, R, L> {
    /// Starts with weights of zero, where every row bends the loss.
    fn new(rows: &'a R, examples: &'a Examples<'a>, options: &LinearOptions) -> Self {
        let zeros = || vec![0.0; rows.len()];
        Self {
            rows,
            examples,
            bias: options.bias,
            weights: vec![0.0; rows.width()],
            margins: zeros(),
            alpha: zeros(),
            factors: zeros(),
            scale: 1.0,
            iterations: 0,
            ended: false,
            loss: PhantomData,
        }
    }

    fn solve(mut self, start: Option<Start>, stopping: Stopping, progress: &dyn Progress) -> Solution {
        let mut before = 0;
        if let Some(start) = start {
            self.start(start.weights);
            before = start.iterations;
            if start.good {
                // Where it is good enough already, this takes no step.
                self.descend(GAP_PER_EPSILON * stopping.epsilon, 0, &NoProgress);
                if self.ended {
                    let solution = self.solution(stopping.epsilon);
                    return Solution { iterations: before, ..solution };
                }
            }
        }
        let most = stopping.max_iterations.saturating_sub(before).min(MOST_ITERATIONS);
        let least_gap = self.least_gap(stopping.epsilon);
        self.descend(least_gap, most.min(FEW_STEPS), progress);
        if self.iterations == FEW_STEPS && !self.ended && most > FEW_STEPS {
            // Margins that costs make hard are found soft first, and then hardened.
            self.weights.fill(0.0);
            self.margins.fill(0.0);
            self.scale = self.soft();
            while self.scale < 1.0 {
                self.descend(ROUGH_GAP, most, progress);
                self.scale *= HARDENING;
            }
            self.scale = 1.0;
            self.descend(least_gap, most, progress);
        }
        let solution = self.solution(stopping.epsilon);
        Solution { iterations: before + solution.iterations, ..solution }
    }

    /// The relative gap to end at. Of wide rows each step's conjugate gradients take longer than all before.
    fn least_gap(&self, epsilon: f64) -> f64 {
        let wide = self.rows.bias() >= ALWAYS_FACTORED;
        if wide { (GAP_OF_WIDE * GAP_PER_EPSILON * epsilon).max(LEAST_GAP) } else { LEAST_GAP }
    }

    /// Starts with these weights where they are better than none.
    fn start(&mut self, mut weights: Vec<f64>) {
        let without = self.measure();
        weights.resize(self.rows.width(), 0.0);
        let mut margins = vec![0.0; self.margins.len()];
        self.rows.products(&weights, &mut margins);
        let none = std::mem::replace(&mut self.margins, margins);
        let with = self.measure() + 0.5 * self.penalised(&weights, &weights);
        if with < without {
            self.weights = weights;
        } else {
            self.margins = none;
        }
    }

    /// Newton's method with the costs as they are scaled, until the relative gap is at most `least_gap`, no step gains
    /// anything, or there have been `most` iterations in all.
    fn descend(&mut self, least_gap: f64, most: u64, progress: &dyn Progress) {
        self.ended = true;
        let mut polish = Polish { best: None, fruitless: 0 };
        loop {
            let objective = self.measure() + 0.5 * self.penalised(&self.weights, &self.weights);
            let gradient = self.gradient();
            let gap = self.gap(&gradient) / objective;
            if self.iterations > 0 {
                progress.solving(self.iterations, gap);
            }
            let over = polish.is_over(gap);
            if gap.is_nan() || gap <= least_gap || over {
                break;
            }
            if self.iterations >= most {
                self.ended = false;
                break;
            }
            let hessian = Hessian { rows: self.rows, factors: &self.factors, of_bias: self.of_bias() };
            let Some(direction) = hessian.direction(&gradient) else { break };
            let slope = inner(&gradient, &direction);
            if slope.is_nan() || slope >= 0.0 {
                break;
            }
            let foreseeable = -slope > NO_DECREASE * objective;
            if !foreseeable {
                polish.keep(gap, &self.weights, &self.margins);
            }
            if !self.advance(&direction, objective, slope, foreseeable) {
                break;
            }
            self.iterations += 1;
        }
        if let Some((_, weights, margins)) = polish.best {
            (self.weights, self.margins) = (weights, margins);
        }
    }

    /// By what to multiply the costs so that a usual row's loss weighs about as much as the penalty.
    fn soft(&self) -> f64 {
        let mut squares = vec![0.0; self.rows.width()];
        self.rows.squares(self.examples.costs, &mut squares);
        1.0 / squares.iter().sum::<f64>()
    }

    /// What is added to the bias's second derivative.
    fn of_bias(&self) -> f64 {
        if self.bias == Bias::Regularised { 1.0 } else { 0.0 }
    }

    /// The inner product as the penalty takes it: without a free bias.
    fn penalised(&self, one: &[f64], other: &[f64]) -> f64 {
        let bias = self.rows.bias();
        inner(&one[..bias], &other[..bias]) + self.of_bias() * one[bias] * other[bias]
    }

    /// Computes multipliers and second derivatives from the margins; returns the sum of the losses.
    fn measure(&mut self) -> f64 {
        let mut value = 0.0;
        let derived = self.alpha.iter_mut().zip(&mut self.factors);
        for ((&margin, &cost), (alpha, factor)) in self.margins.iter().zip(self.examples.costs).zip(derived) {
            let bend = L::at(margin);
            let cost = self.scale * cost;
            value += cost * bend.value;
            *alpha = cost * bend.pull;
            *factor = cost * bend.curvature;
        }
        value
    }

    /// The weights less `Σ alpha z`.
    fn gradient(&self) -> Vec<f64> {
        let mut sum = vec![0.0; self.rows.width()];
        self.rows.sum(&self.alpha, &mut sum);
        let mut gradient: Vec<f64> =
            self.weights.iter().zip(&sum).map(|(weight, sum)| weight - sum).collect();
        let bias = self.rows.bias();
        gradient[bias] = self.of_bias() * self.weights[bias] - sum[bias];
        gradient
    }

    /// The duality gap, to first order where a free bias's condition on the multipliers is not met yet.
    fn gap(&self, gradient: &[f64]) -> f64 {
        let bias = self.rows.bias();
        // A bias of 0 is no optimum as long as it has a slope; margins are of the order of 1.
        let unmet = (1.0 - self.of_bias()) * gradient[bias].abs() * self.weights[bias].abs().max(1.0);
        0.5 * self.penalised(gradient, gradient) + unmet
    }

    /// Goes along the direction as far as the objective falls, or all the way where its fall cannot be seen; false where it
    /// does not fall.
    fn advance(&mut self, direction: &[f64], objective: f64, slope: f64, foreseeable: bool) -> bool {
        let moved_by = |step: f64, weights: &[f64]| -> Vec<f64> {
            weights.iter().zip(direction).map(|(weight, by)| weight + step * by).collect()
        };
        let mut moved = moved_by(1.0, &self.weights);
        let mut margins = vec![0.0; self.margins.len()];
        self.rows.products(&moved, &mut margins);
        if foreseeable {
            let changes: Vec<f64> = margins.iter().zip(&self.margins).map(|(then, now)| then - now).collect();
            let line = Line {
                costs: self.examples.costs,
                scale: self.scale,
                margins: &self.margins,
                changes: &changes,
                penalty_slope: self.penalised(&self.weights, direction),
                penalty_curvature: self.penalised(direction, direction),
            };
            let losses = objective - 0.5 * self.penalised(&self.weights, &self.weights);
            let Some(step) = line.search::<L>(losses, slope) else { return false };
            if step != 1.0 {
                moved = moved_by(step, &self.weights);
                // From the weights again: a long step would multiply the rounding of the changes.
                self.rows.products(&moved, &mut margins);
            }
        }
        (self.weights, self.margins) = (moved, margins);
        true
    }

    /// The solution, with the multipliers of the class that has more of them made as many as the other's where the bias is
    /// free, so that they meet its condition to rounding.
    fn solution(mut self, epsilon: f64) -> Solution {
        self.measure();
        let shares = self.balance();
        let (mut added, mut balance, mut duality) = (0.0, 0.0, Duality::default());
        for (row, alpha) in self.alpha.iter_mut().enumerate() {
            let (positive, cost) = (self.examples.positive[row], self.examples.costs[row]);
            let (margin, share) = (self.margins[row], shares[usize::from(positive)]);
            *alpha *= share;
            added += cost * L::conjugate(margin, share);
            balance += if positive { *alpha } else { -*alpha };
            duality.add(L::LOSS, *alpha, cost, margin);
        }
        let mut sum = vec![0.0; self.rows.width()];
        self.rows.sum(&self.alpha, &mut sum);
        let place = self.rows.bias();
        let bias = self.weights[place];
        // The rows' part of the gap is of the weights themselves; these are the multipliers' sum but for rounding.
        let apart: Vec<f64> = self.weights.iter().zip(&sum).map(|(weight, sum)| weight - sum).collect();
        let unbalanced = (1.0 - self.of_bias()) * (bias * balance).abs();
        let rest = 0.5 * self.penalised(&apart, &apart) + unbalanced;
        let gap = duality.relative(0.5 * self.penalised(&self.weights, &self.weights), rest);
        let objective = 0.5 * self.penalised(&sum, &sum) + added;
        self.weights.truncate(place);
        let (weights, converged) = (Some(self.weights), gap <= GAP_PER_EPSILON * epsilon);
        Solution { alpha: self.alpha, bias, weights, objective, gap, iterations: self.iterations, converged }
    }

    /// The share of their multipliers that the classes keep, the negative one's first.
    fn balance(&self) -> [f64; 2] {
        let mut sums = [0.0; 2];
        for (alpha, &positive) in self.alpha.iter().zip(self.examples.positive) {
            sums[usize::from(positive)] += alpha;
        }
        let lesser = sums[0].min(sums[1]);
        sums.map(|sum| if self.bias == Bias::Free && sum > lesser { lesser / sum } else { 1.0 })
    }
}
