//! How far to go along a direction.

use super::losses::SmoothLoss;

/// Rows whose losses are computed together.
const LANES: usize = 8;

/// The slope where a step ends is at most this share of the slope where it begins.
const ENOUGH: f64 = 0.1;

/// Evaluations of one search; few take more than three.
const MOST_EVALUATIONS: u32 = 60;

/// The losses along a direction: `Σ cost · loss(margin + step · change)`.
pub(super) struct Line<'a> {
    pub costs: &'a [f64],
    /// What the costs are multiplied by.
    pub scale: f64,
    pub margins: &'a [f64],
    pub changes: &'a [f64],
    /// The penalty's slope where the step is 0, and how it grows.
    pub penalty_slope: f64,
    pub penalty_curvature: f64,
}

/// The objective less the penalty's value at the beginning, and its first two derivatives, at one step.
#[derive(Debug, Clone, Copy)]
struct Point {
    value: f64,
    slope: f64,
    curvature: f64,
}

impl Line<'_> {
    /// The step at which the objective is about least, by Newton's method between bounds; `value` and `slope` are those of
    /// step 0, the latter below 0. None where no step makes the objective less, beyond rounding.
    pub fn search<L: SmoothLoss>(&self, value: f64, slope: f64) -> Option<f64> {
        let (mut least, mut most) = (0.0, f64::INFINITY);
        let mut step = 1.0;
        // Sums of as many rows are no more exact.
        let rounding = 1e-13 * value.abs();
        for _ in 0..MOST_EVALUATIONS {
            let point = self.at::<L>(step);
            if !(point.value.is_finite() && point.slope.is_finite()) || point.value > value + rounding {
                most = step;
            } else if point.slope.abs() <= ENOUGH * slope.abs() {
                return Some(step);
            } else if point.slope < 0.0 {
                least = step;
            } else {
                most = step;
            }
            let newton = step - point.slope / point.curvature;
            step = if newton > least && newton < most {
                newton
            } else if most.is_finite() {
                0.5 * (least + most)
            } else {
                10.0 * step
            };
        }
        (least > 0.0).then_some(least)
    }

    fn at<L: SmoothLoss>(&self, step: f64) -> Point {
        let of_row = |cost: f64, margin: f64, change: f64| {
            let bend = L::at(margin + step * change);
            let pull = cost * change;
            [cost * bend.value, pull * bend.pull, pull * change * bend.curvature]
        };
        let mut sums = [[0.0; LANES]; 3];
        let (costs, costs_rest) = self.costs.as_chunks::<LANES>();
        let (margins, margins_rest) = self.margins.as_chunks::<LANES>();
        let (changes, changes_rest) = self.changes.as_chunks::<LANES>();
        for ((costs, margins), changes) in costs.iter().zip(margins).zip(changes) {
            for lane in 0..LANES {
                let terms = of_row(costs[lane], margins[lane], changes[lane]);
                (0..3).for_each(|kind| sums[kind][lane] += terms[kind]);
            }
        }
        for ((cost, margin), change) in costs_rest.iter().zip(margins_rest).zip(changes_rest) {
            let terms = of_row(*cost, *margin, *change);
            (0..3).for_each(|kind| sums[kind][0] += terms[kind]);
        }
        let [value, pull, curvature] = sums.map(|lanes| self.scale * lanes.iter().sum::<f64>());
        Point {
            value: value + step * self.penalty_slope + 0.5 * step * step * self.penalty_curvature,
            slope: self.penalty_slope + step * self.penalty_curvature - pull,
            curvature: self.penalty_curvature + curvature,
        }
    }
}
