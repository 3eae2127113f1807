//! The hinge loss: which methods solve it, and in which order.

use super::{Bias, LinearOptions, Loss, chunks, coordinate, interior};
use crate::data::either::Rows;
use crate::kernel::Kernel;
use crate::solve::smo::{Smo, SmoOptions};
use crate::solve::{Examples, Progress, Solution, Stopping, duality};

/// Passes of coordinate descent; LIBLINEAR's own bound.
const MAX_PASSES: u64 = 1000;

/// Whole passes of coordinate descent that cost as much as the interior point method does on rows that are not wide. Passes over
/// the rows between their bounds cost less, and many of them may follow.
const FIRST_PASSES: u64 = 50;

/// While the gap of coordinate descent that meets its rule is too great, the next solve takes this share of the last one's
/// epsilon, at most so many times.
const TIGHTER: f64 = 0.1;
const MOST_TIGHTER: u32 = 4;

/// Rows of more columns are not solved by the interior point method, whose system would be too great.
const WIDEST: usize = 512;

/// Multiplications of one of its steps on wide rows, at most.
const STEP_WORK: usize = 200_000_000;

/// Multiplications of SMO where it takes over, at most: it then has a minute's worth of a problem of any size.
const SMO_WORK: u64 = 50_000_000_000;

/// Most numbers of rows that SMO takes over; it needs them dense.
const SMO_NUMBERS: usize = 50_000_000;

/// Most numbers of sparse rows of many columns that the interior point method makes dense: they take 80 MB.
const INTERIOR_NUMBERS: usize = 10_000_000;

/// A way to solve, with a bound on its iterations.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Method {
    /// Coordinate descent that visits the rows as often as so many passes over all of them.
    Descent(u64),
    Interior,
    Smo(u64),
}

/// Solves the dual problem; `start` are multipliers to begin with, which may be those of another cost.
///
/// Methods follow each other until one converges, which is judged by the duality gap as well (`duality.rs`); where none
/// does, the solution with the least gap says that it did not. `stopping` bounds the iterations of all of them together.
/// An iteration is a pass of coordinate descent over the rows, a step of the interior point method or a pair of SMO.
///
/// With a free bias `Σ ±alpha` is 0 within 1e-9 of the costs' sum, and within `epsilon` over the mean square of a row's
/// length by coordinate descent.
/// `Machine::from_expansion` with the signed multipliers gives the decision function for every loss.
pub(super) fn solve(
    examples: &Examples,
    options: &LinearOptions,
    stopping: Stopping,
    start: Option<&[f64]>,
    progress: &dyn Progress,
) -> Solution {
    let mut run = Run::new(options, stopping, progress);
    let few_columns = examples.x.columns() < interior::MAX_COLUMNS;
    if few_columns && chunks::applies(examples, options.bias) {
        let asked = stopping.max_iterations;
        let mut left = asked;
        let solution = chunks::solve(examples, options.bias, |some| {
            let stopping = Stopping { max_iterations: left, ..stopping };
            let mut run = Run::new(options, stopping, progress);
            run.follow(some, None);
            // A bound that was asked for holds for all rounds together.
            left = if asked < u64::MAX { left - run.iterations } else { left };
            run.solution(some)
        });
        run.take(run.judged(examples, solution));
    }
    if !run.settled {
        run.follow(examples, start);
    }
    run.solution(examples)
}

/// A solution with its gap, and whether it meets its method's own rule.
struct Judged {
    solution: Solution,
    met: bool,
}

/// Methods that follow each other.
struct Run<'a> {
    options: &'a LinearOptions,
    stopping: Stopping,
    progress: &'a dyn Progress,
    iterations: u64,
    best: Option<Solution>,
    /// Whether the best one meets its method's own rule and has a gap within epsilon: then no method is tried after it.
    settled: bool,
}

impl<'a> Run<'a> {
    fn new(options: &'a LinearOptions, stopping: Stopping, progress: &'a dyn Progress) -> Self {
        Self { options, stopping, progress, iterations: 0, best: None, settled: false }
    }

    /// Tries the methods for these rows until one converges or no iteration is left.
    fn follow(&mut self, examples: &Examples, start: Option<&[f64]>) {
        let methods = methods(examples, self.options);
        for (place, &method) in methods.iter().enumerate() {
            let left = self.stopping.max_iterations - self.iterations;
            // SMO's time grows with the square of the rows, the interior point method's with that of the columns: they are for
            // what has not converged at all.
            let converged = self.best.as_ref().is_some_and(|best| best.converged);
            let dear = matches!(method, Method::Smo(_)) || examples.x.columns() >= interior::MAX_COLUMNS;
            if left == 0 || converged && dear {
                return;
            }
            // A bound that was asked for is the last method's own.
            let asked = self.stopping.max_iterations < u64::MAX && place + 1 == methods.len();
            let max_iterations = |own: u64| if asked { left } else { own.min(left) };
            let judged = self.run(method, examples, start, max_iterations);
            self.take(judged);
            if self.settled {
                return;
            }
        }
    }

    fn run(
        &self,
        method: Method,
        examples: &Examples,
        start: Option<&[f64]>,
        max_iterations: impl Fn(u64) -> u64,
    ) -> Judged {
        let within = |own: u64| Stopping { max_iterations: max_iterations(own), ..self.stopping };
        let warm = |is_good: fn(&Solution) -> bool| {
            self.best.as_ref().filter(|best| is_good(best)).map(|best| best.alpha.as_slice())
        };
        let solution = match method {
            Method::Descent(own) => {
                // A few multipliers that the interior point method took for 0 beside great costs may be all of the gap; a pass
                // finds them, but would not come to the great ones from 0.
                let warm = warm(|best| best.objective < 0.0);
                let visits = if own < MAX_PASSES { own * examples.costs.len() as u64 } else { u64::MAX };
                let (within, start) = (within(MAX_PASSES), warm.or(start));
                return self.descend(examples, within, visits, start);
            }
            Method::Interior => interior::solve(examples, self.options.bias, within(u64::MAX), self.progress),
            Method::Smo(own) => {
                let dense = examples.x.to_dense();
                let mut smo =
                    Smo::new(&dense, examples.positive, Kernel::Linear, Loss::Hinge, SmoOptions::default());
                let warm = warm(|best| best.gap < WARM).filter(|alpha| is_balanced(alpha, examples.positive));
                smo.solve(examples.costs, within(own), warm, self.progress)
            }
        };
        self.judged(examples, solution)
    }

    /// Coordinate descent until the gap is within epsilon as well: where costs are great, its rule leaves more of a gap than
    /// that, and is asked to be met more closely.
    fn descend(&self, examples: &Examples, within: Stopping, visits: u64, start: Option<&[f64]>) -> Judged {
        let solve = |stopping: Stopping, start: Option<&[f64]>| {
            let found = coordinate::solve(examples, self.options, stopping, visits, start, self.progress);
            self.judged(examples, found)
        };
        let mut tighter = within;
        let mut judged = solve(tighter, start);
        for _ in 0..MOST_TIGHTER {
            let Judged { solution, met } = &judged;
            let iterations = solution.iterations;
            let left = within.max_iterations.saturating_sub(iterations);
            if !met || left == 0 || !solution.gap.is_finite() || solution.gap <= within.epsilon {
                break;
            }
            tighter = Stopping { epsilon: TIGHTER * tighter.epsilon, max_iterations: left };
            judged = solve(tighter, Some(&solution.alpha));
            judged.solution.iterations += iterations;
        }
        judged
    }

    /// Judges a method's solution by its gap, after multiplying it where that lessens the gap.
    fn judged(&self, examples: &Examples, mut solution: Solution) -> Judged {
        let (bias, epsilon, met) = (self.options.bias, self.stopping.epsilon, solution.converged);
        solution.gap = duality::of_linear(examples, Loss::Hinge, bias, &solution);
        if let Some(lifted) = duality::lifted(examples, bias, epsilon, &solution) {
            solution = lifted;
        }
        solution.converged = duality::is_converged(met, solution.gap, epsilon);
        Judged { solution, met }
    }

    /// Keeps a solution where it is better than the ones before.
    fn take(&mut self, Judged { solution, met }: Judged) {
        self.iterations += solution.iterations;
        let settled = met && solution.gap <= self.stopping.epsilon;
        if self.best.as_ref().is_none_or(|best| settled || solution.gap < best.gap) {
            self.best = Some(solution);
            self.settled = settled;
        }
    }

    fn solution(self, examples: &Examples) -> Solution {
        let iterations = self.iterations;
        Solution { iterations, ..self.best.unwrap_or_else(|| Solution::none(examples.costs.len())) }
    }
}

/// Solutions of a greater gap are a worse start of SMO than none.
const WARM: f64 = 0.1;

/// The methods for a problem, in their order.
fn methods(examples: &Examples, options: &LinearOptions) -> Vec<Method> {
    let (rows, columns) = (examples.costs.len(), examples.x.columns());
    let few_columns = columns < interior::MAX_COLUMNS;
    let numbers = rows.saturating_mul(columns);
    // Of a sparse row the zeros are read, but not multiplied with the others.
    let (stored, most_numbers) = match examples.x {
        Rows::Dense(_) => (numbers, usize::MAX),
        Rows::Sparse(x) => (x.stored() + rows, INTERIOR_NUMBERS),
    };
    let step_work = stored.saturating_mul(columns).saturating_add(numbers);
    let interior = few_columns || columns <= WIDEST && step_work <= STEP_WORK && numbers <= most_numbers;
    match options.bias {
        Bias::Free => {
            let first = if few_columns { Method::Interior } else { Method::Descent(MAX_PASSES) };
            let mut methods = vec![first];
            if interior && !few_columns {
                methods.push(Method::Interior);
            }
            if numbers <= SMO_NUMBERS {
                methods.push(Method::Smo((SMO_WORK / numbers.max(rows * 8) as u64).min(10_000_000)));
            }
            methods
        }
        Bias::Regularised if interior => {
            let first = if few_columns { FIRST_PASSES } else { MAX_PASSES };
            vec![Method::Descent(first), Method::Interior, Method::Descent(MAX_PASSES)]
        }
        Bias::Regularised => vec![Method::Descent(MAX_PASSES)],
    }
}

/// Whether `Σ ±alpha` is 0 to rounding, as SMO wants its start.
fn is_balanced(alpha: &[f64], positive: &[bool]) -> bool {
    let (mut balance, mut total) = (0.0, 0.0);
    for (&alpha, &positive) in alpha.iter().zip(positive) {
        balance += if positive { alpha } else { -alpha };
        total += alpha;
    }
    f64::abs(balance) <= 1e-12 * total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::matrix::Matrix;
    use crate::data::sparse::SparseMatrix;
    use crate::solve::NoProgress;
    use crate::testing::blobs;

    #[test]
    fn sparse_rows_count_by_what_they_store_where_the_interior_point_method_is_weighed() {
        let (rows, columns) = (2500, 300);
        let positive: Vec<bool> = (0..rows).map(|row| row % 2 == 0).collect();
        let costs = vec![1.0; rows];
        let mut sparse = SparseMatrix::new(columns);
        let mut dense = Matrix::new(columns);
        for row in 0..rows {
            sparse.push([(row % 100, 1.0), (100 + row % 77, 1.0), (200 + row % 100, 1.0)]);
            dense.push_zeros();
        }
        for bias in [Bias::Regularised, Bias::Free] {
            let options = LinearOptions { loss: Loss::Hinge, bias, seed: 1 };
            let has_interior = |x: &Rows| {
                let examples = Examples { x, positive: &positive, costs: &costs };
                methods(&examples, &options).contains(&Method::Interior)
            };
            assert!(has_interior(&sparse.clone().into()), "{bias:?}");
            assert!(!has_interior(&dense.clone().into()), "{bias:?}: a step would take too long");
        }
    }

    #[test]
    fn coordinate_descent_is_bounded_by_visits_where_another_method_follows() {
        // At small costs most multipliers are at their bounds, and passes over the others are short.
        let problem = blobs(300, 0.2, 1);
        let costs = vec![1.0; 300];
        let examples = Examples { x: &problem.x, positive: &problem.positive, costs: &costs };
        let options = LinearOptions { loss: Loss::Hinge, bias: Bias::Regularised, seed: 1 };
        let stopping = Stopping { epsilon: 1e-9, max_iterations: MAX_PASSES };
        let within = |passes: u64| {
            let visits = passes * 300;
            coordinate::solve(&examples, &options, stopping, visits, None, &NoProgress)
        };
        let solution = within(FIRST_PASSES);
        assert!(solution.iterations > FIRST_PASSES, "{}", solution.iterations);
        let bounded = within(1);
        assert!(!bounded.converged && bounded.iterations < 5, "{}", bounded.iterations);
    }
}
