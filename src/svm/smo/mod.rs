//! Sequential minimal optimisation: the kernel solver.
//!
//! Second-order selection of pairs after Fan, Chen and Lin, "Working set selection using second order
//! information", JMLR 6 (2005); shrinking, the stopping rule, bounds of each row's own and the bias after Chang
//! and Lin, "LIBSVM: a library for support vector machines" (2011), sections 4 and 5. The dual problem is
//! `min ½ αᵀQα - Σα` with `0 ≤ α_i ≤ C_i` and `Σ yα = 0`.
//!
//! Here it is solved in signed multipliers `β = yα`, in which no label occurs any more: a pair's step lets one β
//! rise and the other fall, and instead of the gradient the residual `y - Σ β K` is kept, which is the bias where
//! β is free. Kernel rows are then the kernel's own values, good for any costs.
//!
//! Where this differs from libSVM: the residuals of rows that were set aside are brought up to date from what
//! changed since then, instead of keeping libSVM's `G_bar`, whose upkeep needs whole kernel rows; and rows are set
//! aside only when enough of them go to be worth packing the others.
//!
//! One thread does it all. Two that each keep half of the rows and meet twice an iteration were slower at every
//! size up to 50,000 rows of six features and 8,000 of 200, because an iteration takes some ten microseconds;
//! folds and grid points beside each other use more cores better.

mod cache;
mod kernel_rows;
mod layout;
mod passes;
#[cfg(test)]
mod tests;
mod vectorised;
mod working_set;

use self::layout::Points;
use self::passes::{FALLS, RISES, TAU};
use self::working_set::{Change, Extremes, Step, WorkingSet};
use super::kernel::Kernel;
use super::problem::Matrix;
use super::simd::Simd;
use super::solver::{Solution, Stopping, Watch};

/// Iterations between two looks at which rows to set aside; libSVM's number.
const SHRINK_EVERY: u64 = 1000;

/// Iterations between two calls of [`Watch::solving`].
const TELL_EVERY: u64 = 1000;

/// Rows are set aside when they are at least one in so many of the active ones.
const WORTH_PACKING: usize = 8;

/// How the solver works; none of it changes what it finds beyond rounding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SmoOptions {
    /// Bytes for kernel rows that are kept; two rows are always kept.
    pub(super) cache_bytes: usize,
    /// Whether rows that seem settled at a bound are set aside for a while.
    pub(super) shrinking: bool,
    /// The vector instructions to use.
    pub(super) simd: Simd,
}

impl Default for SmoOptions {
    fn default() -> Self {
        Self { cache_bytes: 256 << 20, shrinking: true, simd: Simd::detect() }
    }
}

/// What solves of the same rows under the same kernel share: rows laid out for vector instructions, and kernel
/// rows that were computed before.
#[derive(Debug)]
pub(super) struct Smo<'a> {
    x: &'a Matrix,
    positive: &'a [bool],
    set: WorkingSet,
    shrinking: bool,
}

impl<'a> Smo<'a> {
    /// `x` are finite rows, scaled where scaling is asked for; `positive` their classes, both of which occur.
    pub(super) fn new(x: &'a Matrix, positive: &'a [bool], kernel: Kernel, options: SmoOptions) -> Self {
        assert_eq!(x.len(), positive.len(), "a class for each row");
        let set = WorkingSet::new(Points::new(x, kernel), options.cache_bytes, options.simd);
        Self { x, positive, set, shrinking: options.shrinking }
    }

    /// Solves for these costs, one a row, finite and above 0.
    ///
    /// `start` are multipliers to begin with, `0 ≤ α ≤ cost` and `Σ yα = 0`; see [`rescaled`].
    ///
    /// Values beyond what single precision holds (kernel values from about 10³⁰) end at once with multipliers of
    /// zero, `converged` false and a bias of 0; so does a solve whose objective is no number.
    pub(super) fn solve(
        &mut self,
        costs: &[f64],
        stopping: Stopping,
        start: Option<&[f64]>,
        watch: &dyn Watch,
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
            return unsolved(costs.len(), 0);
        }
        let bounds = Bounds { positive: self.positive, costs };
        let begun = self.set.begin(self.positive, &bounds.all_moves(&signed), &nonzero(&signed));
        let mut run = Run { bounds, signed, set: &mut self.set, aside: Vec::new(), iterations: 0 };
        let (converged, extremes) = run.iterate(begun, self.shrinking, stopping, watch);
        let Run { signed, iterations, .. } = run;
        self.solution(signed, costs, extremes, iterations, converged)
    }

    /// Bias and objective after Chang and Lin (2011), section 4.1.5: the bias is the mean residual of the free
    /// rows, or lies midway between the ends where there is none.
    fn solution(
        &self,
        signed: Vec<f64>,
        costs: &[f64],
        extremes: Extremes,
        iterations: u64,
        converged: bool,
    ) -> Solution {
        let bounds = Bounds { positive: self.positive, costs };
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
        let points = self.set.points();
        for (column, centre) in points.centre.iter().enumerate().filter(|_| points.is_linear()) {
            let weight: f64 = signed.iter().zip(self.x.rows()).map(|(signed, x)| signed * x[column]).sum();
            bias -= weight * centre;
        }
        if !(objective.is_finite() && bias.is_finite() && signed.iter().all(|signed| signed.is_finite())) {
            return unsolved(costs.len(), iterations);
        }
        let alpha = signed.into_iter().map(f64::abs).collect();
        Solution { alpha, bias, objective, iterations, converged }
    }
}

fn unsolved(rows: usize, iterations: u64) -> Solution {
    Solution { alpha: vec![0.0; rows], bias: 0.0, objective: 0.0, iterations, converged: false }
}

/// Multipliers found under one C, made feasible under another, to start from: `ratio` is the new C by the old.
///
/// Scaling keeps `Σ yα = 0`, bounded multipliers stay bounded and free ones free. DeCoste and Wagstaff, "Alpha
/// seeding for support vector machines" (2000), section 3. One that misses its bound by rounding is put there: as a
/// free one it would cost an iteration.
pub(super) fn rescaled(alpha: &[f64], costs: &[f64], ratio: f64) -> Vec<f64> {
    let scaled = |(alpha, &cost): (&f64, &f64)| {
        let scaled = alpha * ratio;
        if scaled >= cost * (1.0 - 1e-14) { cost } else { scaled }
    };
    alpha.iter().zip(costs).map(scaled).collect()
}

/// How far signed multipliers may go: `0..=C` for a positive row, `-C..=0` for a negative one.
#[derive(Debug, Clone, Copy)]
struct Bounds<'a> {
    positive: &'a [bool],
    costs: &'a [f64],
}

impl Bounds<'_> {
    fn of(&self, row: usize) -> (f64, f64) {
        if self.positive[row] { (0.0, self.costs[row]) } else { (-self.costs[row], 0.0) }
    }

    fn all_moves(&self, signed: &[f64]) -> Vec<u8> {
        signed.iter().enumerate().map(|(row, &signed)| self.moves(row, signed)).collect()
    }

    fn moves(&self, row: usize, signed: f64) -> u8 {
        let (least, most) = self.of(row);
        (u8::from(signed < most) * RISES) | (u8::from(signed > least) * FALLS)
    }
}

/// One solve under way.
struct Run<'a> {
    bounds: Bounds<'a>,
    signed: Vec<f64>,
    set: &'a mut WorkingSet,
    /// The signed multipliers that were not zero each time that rows were set aside.
    aside: Vec<Vec<Change>>,
    iterations: u64,
}

impl Run<'_> {
    /// Iterates until the optimality conditions hold for all rows; whether they do, and the ends at last.
    fn iterate(
        &mut self,
        begun: Extremes,
        shrinking: bool,
        stopping: Stopping,
        watch: &dyn Watch,
    ) -> (bool, Extremes) {
        let mut extremes = begun;
        let period = SHRINK_EVERY.min(self.signed.len() as u64);
        let mut shrink_at = self.iterations + period;
        let mut near_the_end = false;
        loop {
            if extremes.violation() <= stopping.epsilon {
                if self.aside.is_empty() {
                    return (true, extremes);
                }
                extremes = self.restore();
                shrink_at = self.iterations;
                continue;
            }
            if self.iterations >= stopping.max_iterations {
                break;
            }
            if shrinking && self.iterations >= shrink_at {
                shrink_at = self.iterations + period;
                if !near_the_end && extremes.violation() <= 10.0 * stopping.epsilon {
                    // Rows set aside far from the end are looked at again once: that is near enough to the end
                    // for few to be set aside wrongly from here on.
                    near_the_end = true;
                    extremes = self.restore();
                    shrink_at = self.iterations;
                    continue;
                }
                extremes = self.set_aside(extremes);
            }
            match self.pair(extremes) {
                Some(next) => extremes = next,
                None => break,
            }
            self.iterations += 1;
            if self.iterations.is_multiple_of(TELL_EVERY) {
                watch.solving(self.iterations, extremes.violation());
            }
        }
        (false, self.restore())
    }

    /// Optimises one pair of multipliers; none where there is no pair, as among values that are no numbers.
    fn pair(&mut self, extremes: Extremes) -> Option<Extremes> {
        let first = extremes.top?;
        let (second, value) = self.set.partner(first)?;
        let (i, j) = (first.row as usize, second.row as usize);
        let curvature = f64::from(first.diagonal) + f64::from(second.diagonal) - 2.0 * f64::from(value);
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

    fn set_aside(&mut self, extremes: Extremes) -> Extremes {
        let (top, bottom) = (extremes.top.map_or(f64::INFINITY, |top| top.residual), extremes.bottom);
        let [active, idle] = self.set.count(top, bottom);
        if idle * WORTH_PACKING < active {
            return extremes;
        }
        self.aside.push(nonzero(&self.signed));
        self.set.set_aside(top, bottom)
    }

    fn restore(&mut self) -> Extremes {
        let aside = std::mem::take(&mut self.aside);
        let changes: Vec<_> = aside.iter().map(|before| self.changes_since(before)).collect();
        let moves = self.bounds.all_moves(&self.signed);
        self.set.restore(&moves, &changes)
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
