//! Sequential minimal optimisation: the kernel solver.
//!
//! Second-order selection of pairs after Fan, Chen and Lin, "Working set selection using second order
//! information", JMLR 6 (2005); shrinking, the stopping rule, bounds of each row's own and the bias after Chang
//! and Lin, "LIBSVM: a library for support vector machines" (2011), sections 4 and 5. The dual problem is
//! `min ½ αᵀQα - Σα` with `0 ≤ α_i ≤ C_i` and `Σ yα = 0`. Under the squared hinge loss the multipliers have no upper bound,
//! and Q has `1/(2C_i)` added to its diagonal, the *ridge* (Tsang, Kwok and Cheung, "Core vector machines", JMLR 6, 2005,
//! section 3.2).
//!
//! Here it is solved in signed multipliers `β = yα`, in which no label occurs any more: a pair's step lets one β
//! rise and the other fall, and instead of the gradient the residual `y - Σ β K` is kept, which is the bias where
//! β is free. Kernel rows are then the kernel's own values, good for any costs.
//!
//! Where this differs from libSVM: the residuals of rows that were shrunk are recomputed from the multipliers that
//! changed since then, instead of keeping libSVM's `G_bar`, whose upkeep needs whole kernel rows; and rows are
//! shrunk only when they are enough to be worth packing the others.
//!
//! One thread does it all. Two that each keep half of the rows and meet twice an iteration were slower at every
//! size up to 50,000 rows of six features and 8,000 of 200, because an iteration takes some ten microseconds;
//! folds and grid points in parallel use more cores better.

mod cache;
mod exact;
mod kernel_rows;
mod layout;
mod passes;
mod solution;
#[cfg(test)]
mod squared_hinge_tests;
#[cfg(test)]
mod tests;
mod working_set;

use self::layout::Points;
use self::passes::{FALLS, RISES, TAU};
use self::working_set::{Change, Extremes, Step, WorkingSet};
use crate::data::matrix::Matrix;
use crate::kernel::Kernel;
use crate::score::simd::Simd;
use crate::solve::linear::Loss;
use crate::solve::{Progress, Solution, Stopping};

/// Iterations between two decisions on which rows to shrink; libSVM's number.
const SHRINK_EVERY: u64 = 1000;

/// Iterations between two calls of [`Progress::solving`].
const REPORT_EVERY: u64 = 1000;

/// Rows are shrunk when they are at least one in so many of the active ones.
const WORTH_PACKING: usize = 8;

/// A solve whose gap contradicts its rule is gone on with to this share of its tolerance, until that is less than this share of
/// the one asked for; for so many times the first one's iterations in all, and so many more a row.
const TIGHTER: f64 = 0.1;
const LEAST_TIGHTER: f64 = 1e-8;
const MOST_MORE: u64 = 4;
const MORE_PER_ROW: u64 = 100;

/// How often a solve goes on from residuals in double precision that contradict those it ended with.
const MOST_REFINEMENTS: u32 = 8;

/// Options of the solver; none changes the solution beyond rounding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SmoOptions {
    /// Bytes for kernel rows that are kept; two rows are always kept.
    pub(crate) cache_bytes: usize,
    /// Whether rows that are expected to stay at their bound are left out for a while (shrinking).
    pub(crate) shrinking: bool,
    /// The vector instructions to use.
    pub(crate) simd: Simd,
}

impl Default for SmoOptions {
    fn default() -> Self {
        Self { cache_bytes: 256 << 20, shrinking: true, simd: Simd::detect() }
    }
}

/// The state that solves of the same rows under the same kernel share: rows laid out for vector instructions, and
/// cached kernel rows.
#[derive(Debug)]
pub(crate) struct Smo<'a> {
    x: &'a Matrix,
    positive: &'a [bool],
    kernel: Kernel,
    loss: Loss,
    set: WorkingSet,
    shrinking: bool,
}

impl<'a> Smo<'a> {
    /// `x` are finite rows, scaled where scaling is asked for; `positive` their classes, both of which occur. The loss
    /// is the hinge or the squared hinge.
    pub(crate) fn new(
        x: &'a Matrix,
        positive: &'a [bool],
        kernel: Kernel,
        loss: Loss,
        options: SmoOptions,
    ) -> Self {
        assert_eq!(x.len(), positive.len(), "a class for each row");
        assert_ne!(loss, Loss::Logistic, "logistic regression has no support vectors");
        let set = WorkingSet::new(Points::new(x, kernel), options.cache_bytes, options.simd);
        Self { x, positive, kernel, loss, set, shrinking: options.shrinking }
    }

    /// Solves for these costs, one a row, finite and above 0.
    ///
    /// `start` are multipliers to begin with, `0 ≤ α`, at most the cost under the hinge loss, and `Σ yα = 0`;
    /// see [`rescaled`].
    ///
    /// Values beyond what single precision holds (kernel values from about 10³⁰) end at once with multipliers of
    /// zero, `converged` false and a bias of 0; so does a solve whose objective is NaN.
    pub(crate) fn solve(
        &mut self,
        costs: &[f64],
        stopping: Stopping,
        start: Option<&[f64]>,
        progress: &dyn Progress,
    ) -> Solution {
        assert_eq!(costs.len(), self.positive.len(), "a cost for each row");
        let mut signed = vec![0.0; costs.len()];
        if let Some(start) = start {
            assert_eq!(start.len(), costs.len(), "a multiplier for each row");
            for (signed, (alpha, &positive)) in signed.iter_mut().zip(start.iter().zip(self.positive)) {
                *signed = if positive { *alpha } else { -alpha };
            }
        }
        if !self.set.points().representable {
            return Solution::none(costs.len());
        }
        let squared = self.loss == Loss::SquaredHinge;
        let bounds = Bounds { positive: self.positive, costs: (!squared).then_some(costs) };
        let ridge = if squared { costs.iter().map(|cost| 0.5 / cost).collect() } else { Vec::new() };
        let (mut tighter, mut spent, mut most, mut refined) = (stopping, 0, None, 0);
        let moves = bounds.all_moves(&signed);
        let mut begun = self.set.begin(self.positive, &moves, &nonzero(&signed), ridge);
        loop {
            let mut run = Run { bounds, signed, set: &mut self.set, shrunk: Vec::new(), iterations: spent };
            let (met, extremes) = run.iterate(begun, self.shrinking, tighter, progress);
            let Run { signed: found, iterations, .. } = run;
            signed = found;
            let mut ended = (met, extremes);
            let mut solution = self.solution(&signed, bounds, costs, stopping, iterations, ended);
            if self.lost_digits(&signed, bounds, costs, &solution, tighter.epsilon) {
                // The machine that is written scores in double precision.
                let exact = self.set.replace_residuals(self.residuals(&signed));
                ended = (exact.violation() <= tighter.epsilon, exact);
                solution = self.solution(&signed, bounds, costs, stopping, iterations, ended);
            }
            if met && !ended.0 && refined < MOST_REFINEMENTS {
                refined += 1;
            } else if ended.0
                && !solution.converged
                && solution.gap.is_finite()
                && tighter.epsilon >= LEAST_TIGHTER * stopping.epsilon
            {
                // Great costs multiply what the rule leaves.
                tighter.epsilon *= TIGHTER;
            } else {
                return solution;
            }
            (begun, spent) = (ended.1, iterations);
            let more = MORE_PER_ROW * costs.len() as u64;
            let most = *most.get_or_insert(spent.saturating_mul(MOST_MORE).saturating_add(more));
            tighter.max_iterations = stopping.max_iterations.min(most);
        }
    }
}

/// Multipliers found under one C, made feasible under another, to start from: `ratio` is the new C by the old.
///
/// Scaling keeps `Σ yα = 0`, bounded multipliers stay bounded and free ones free. DeCoste and Wagstaff, "Alpha
/// seeding for support vector machines" (2000), section 3. One that misses its bound by rounding is put there: as a
/// free one it would cost an iteration. `costs` are the bounds, where the loss has any.
pub(crate) fn rescaled(alpha: &[f64], costs: Option<&[f64]>, ratio: f64) -> Vec<f64> {
    let mut scaled: Vec<f64> = alpha.iter().map(|alpha| alpha * ratio).collect();
    for (scaled, &cost) in scaled.iter_mut().zip(costs.unwrap_or_default()) {
        *scaled = if *scaled >= cost * (1.0 - 1e-14) { cost } else { *scaled };
    }
    scaled
}

/// How far signed multipliers may go: `0..=C` for a positive row, `-C..=0` for a negative one.
#[derive(Debug, Clone, Copy)]
struct Bounds<'a> {
    positive: &'a [bool],
    /// None where nothing bounds them from above.
    costs: Option<&'a [f64]>,
}

impl Bounds<'_> {
    fn of(&self, row: usize) -> (f64, f64) {
        let most = self.costs.map_or(f64::INFINITY, |costs| costs[row]);
        if self.positive[row] { (0.0, most) } else { (-most, 0.0) }
    }

    fn all_moves(&self, signed: &[f64]) -> Vec<u8> {
        signed.iter().enumerate().map(|(row, &signed)| self.moves(row, signed)).collect()
    }

    fn moves(&self, row: usize, signed: f64) -> u8 {
        let (least, most) = self.of(row);
        (u8::from(signed < most) * RISES) | (u8::from(signed > least) * FALLS)
    }
}

/// One solve in progress.
struct Run<'a> {
    bounds: Bounds<'a>,
    signed: Vec<f64>,
    set: &'a mut WorkingSet,
    /// The signed multipliers that were not zero each time that rows were shrunk.
    shrunk: Vec<Vec<Change>>,
    iterations: u64,
}

impl Run<'_> {
    /// Iterates until the optimality conditions hold for all rows; returns whether they do, and the final extremes.
    fn iterate(
        &mut self,
        begun: Extremes,
        shrinking: bool,
        stopping: Stopping,
        progress: &dyn Progress,
    ) -> (bool, Extremes) {
        let mut extremes = begun;
        let period = SHRINK_EVERY.min(self.signed.len() as u64);
        let mut shrink_at = self.iterations + period;
        let mut near_optimum = false;
        loop {
            if extremes.violation() <= stopping.epsilon {
                if self.shrunk.is_empty() {
                    return (true, extremes);
                }
                extremes = self.unshrink();
                shrink_at = self.iterations;
                continue;
            }
            if self.iterations >= stopping.max_iterations {
                break;
            }
            if shrinking && self.iterations >= shrink_at {
                shrink_at = self.iterations + period;
                if !near_optimum && extremes.violation() <= 10.0 * stopping.epsilon {
                    // Rows that were shrunk far from the optimum are activated once: from here on few are shrunk
                    // wrongly. libSVM does the same.
                    near_optimum = true;
                    extremes = self.unshrink();
                    shrink_at = self.iterations;
                    continue;
                }
                extremes = self.shrink(extremes);
            }
            match self.pair(extremes) {
                Some(next) => extremes = next,
                None => break,
            }
            self.iterations += 1;
            if self.iterations.is_multiple_of(REPORT_EVERY) {
                progress.solving(self.iterations, extremes.violation());
            }
        }
        (false, self.unshrink())
    }

    /// Optimises one pair of multipliers; none where there is no pair, as among NaN values.
    fn pair(&mut self, extremes: Extremes) -> Option<Extremes> {
        let first = extremes.top?;
        let (second, value) = self.set.partner(first)?;
        let (i, j) = (first.row as usize, second.row as usize);
        let curvature = self.set.curvature(first, second, value);
        let curvature = if curvature > 0.0 { curvature } else { f64::from(TAU) };
        let (least, most) = (self.bounds.of(j).0, self.bounds.of(i).1);
        let room = [most - self.signed[i], self.signed[j] - least];
        let step = ((first.residual - second.residual) / curvature).min(room[0]).min(room[1]);
        // A multiplier that meets its bound is set to it: the difference could miss it by rounding.
        self.signed[i] = if step == room[0] { most } else { self.signed[i] + step };
        self.signed[j] = if step == room[1] { least } else { self.signed[j] - step };
        let moves = [i, j].map(|row| self.bounds.moves(row, self.signed[row]));
        let step = Step { pair: [first, second], step, moves };
        Some(self.set.step(&step))
    }

    fn shrink(&mut self, extremes: Extremes) -> Extremes {
        let (top, bottom) = (extremes.top.map_or(f64::INFINITY, |top| top.residual), extremes.bottom);
        let [active, idle] = self.set.count(top, bottom);
        if idle * WORTH_PACKING < active {
            return extremes;
        }
        self.shrunk.push(nonzero(&self.signed));
        self.set.shrink(top, bottom)
    }

    fn unshrink(&mut self) -> Extremes {
        let shrunk = std::mem::take(&mut self.shrunk);
        let changes: Vec<_> = shrunk.iter().map(|before| self.changes_since(before)).collect();
        let moves = self.bounds.all_moves(&self.signed);
        self.set.unshrink(&moves, &changes)
    }

    fn changes_since(&self, before: &[Change]) -> Vec<Change> {
        let mut changes = self.signed.clone();
        before.iter().for_each(|&(row, signed)| changes[row as usize] -= signed);
        nonzero(&changes)
    }
}

/// The numbers that are not zero, each with its row.
fn nonzero(values: &[f64]) -> Vec<Change> {
    let rows = values.iter().enumerate().filter(|(_, value)| **value != 0.0);
    rows.map(|(row, value)| (row as u32, *value)).collect()
}
