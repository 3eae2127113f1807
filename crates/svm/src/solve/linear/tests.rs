//! The optimality conditions on random problems, and hand-made hard cases.

mod peers;

use proptest::prelude::*;

use super::*;
use crate::data::either::Rows;
use crate::data::matrix::Matrix;
use crate::data::sparse::SparseMatrix;
use crate::kernel::Kernel;
use crate::model::machine::Machine;
use crate::solve::{Examples, NoProgress, Progress, Solution, Stopping};
use crate::testing::blobs;

const LOSSES: [Loss; 3] = [Loss::Hinge, Loss::SquaredHinge, Loss::Logistic];
const BIASES: [Bias; 2] = [Bias::Regularised, Bias::Free];

#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) x: Rows,
    pub(super) positive: Vec<bool>,
    pub(super) costs: Vec<f64>,
}

impl Case {
    pub(super) fn new(rows: &[Vec<f64>], positive: &[bool], costs: &[f64]) -> Self {
        let mut x = Matrix::new(rows[0].len());
        rows.iter().for_each(|row| x.push(row));
        Self { x: x.into(), positive: positive.to_vec(), costs: costs.to_vec() }
    }

    fn blobs(rows: usize, cost: f64) -> Self {
        let problem = blobs(rows, 0.1, 7);
        Self { costs: vec![cost; problem.len()], x: problem.x, positive: problem.positive }
    }

    pub(super) fn examples(&self) -> Examples<'_> {
        Examples { x: &self.x, positive: &self.positive, costs: &self.costs }
    }

    pub(super) fn solve(&self, loss: Loss, bias: Bias, epsilon: f64) -> Solution {
        solve(&self.examples(), &options(loss, bias), stopping(epsilon), None, &NoProgress)
    }

    fn sign(&self, row: usize) -> f64 {
        if self.positive[row] { 1.0 } else { -1.0 }
    }

    /// The decision function, as training will build it.
    fn machine(&self, solution: &Solution) -> Machine {
        let signed = solution.alpha.iter().enumerate().map(|(row, alpha)| self.sign(row) * alpha).collect();
        Machine::from_expansion(Kernel::Linear, self.x.clone(), signed, solution.bias)
    }

    fn balance(&self, solution: &Solution) -> f64 {
        solution.alpha.iter().enumerate().map(|(row, alpha)| self.sign(row) * alpha).sum()
    }

    /// By how much the worst row violates its optimality condition.
    fn violation(&self, solution: &Solution, loss: Loss) -> f64 {
        let machine = self.machine(solution);
        let of = |row: usize| {
            let (alpha, cost) = (solution.alpha[row], self.costs[row]);
            let margin = self.sign(row) * machine.score(self.x.row(row));
            let (gradient, upper) = match loss {
                Loss::Hinge => (margin - 1.0, cost),
                Loss::SquaredHinge => (margin - 1.0 + 0.5 * alpha / cost, f64::INFINITY),
                // A gradient of so much moves the multiplier by at most a quarter of the cost times that.
                Loss::Logistic => return (alpha / cost - 1.0 / (1.0 + margin.exp())).abs() * 4.0,
            };
            assert!((0.0..=upper).contains(&alpha), "{alpha} is outside of 0 to {upper}");
            if alpha == 0.0 {
                (-gradient).max(0.0)
            } else if alpha == upper {
                gradient.max(0.0)
            } else {
                gradient.abs()
            }
        };
        (0..self.costs.len()).map(of).fold(0.0, f64::max)
    }

    /// The dual objective as the papers write it.
    fn objective(&self, solution: &Solution, loss: Loss, bias: Bias) -> f64 {
        let Machine::Linear { weights, .. } = self.machine(solution) else {
            unreachable!("the kernel is linear")
        };
        let constant = if bias == Bias::Regularised { self.balance(solution) } else { 0.0 };
        let square = weights.iter().map(|weight| weight * weight).sum::<f64>() + constant * constant;
        let added = solution.alpha.iter().zip(&self.costs).map(|(&alpha, &cost)| match loss {
            Loss::Hinge => -alpha,
            Loss::SquaredHinge => 0.25 * alpha * alpha / cost - alpha,
            Loss::Logistic => alpha * alpha.ln() + (cost - alpha) * (cost - alpha).ln() - cost * cost.ln(),
        });
        0.5 * square + added.sum::<f64>()
    }
}

fn options(loss: Loss, bias: Bias) -> LinearOptions {
    LinearOptions { loss, bias, seed: 1 }
}

/// Coordinate descent's passes have no bound that holds for all random problems: a few in a hundred thousand
/// take more than this.
fn stopping(epsilon: f64) -> Stopping {
    Stopping { epsilon, max_iterations: 100_000 }
}

/// What the interior point method stays below, whatever the problem.
const INTERIOR_STEPS: u64 = 60;

fn near(a: f64, b: f64, relative: f64) -> bool {
    (a - b).abs() <= relative * a.abs().max(b.abs()).max(1e-3)
}

fn cases() -> impl Strategy<Value = Case> {
    (1usize..20, 2usize..25).prop_flat_map(|(columns, rows)| {
        let row = || proptest::collection::vec(-2.0f64..2.0, columns);
        let rest = proptest::collection::vec((row(), any::<bool>(), 0.05f64..4.0), rows - 2);
        (row(), row(), 0.05f64..4.0, rest).prop_map(|(first, second, cost, rest)| {
            let mut case = Case::new(&[first, second], &[true, false], &[cost, 0.5 * cost]);
            for (row, positive, cost) in rest {
                case.x.dense_mut().push(&row);
                case.positive.push(positive);
                case.costs.push(cost);
            }
            case
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn solutions_meet_the_optimality_conditions(case in cases()) {
        let epsilon = 1e-3;
        for loss in LOSSES {
            for bias in BIASES {
                let descends = loss == Loss::Hinge || (loss, bias) == (Loss::SquaredHinge, Bias::Regularised);
                let descent = descends.then(|| {
                    let options = options(loss, bias);
                    coordinate::solve(&case.examples(), &options, stopping(epsilon), u64::MAX, None, &NoProgress)
                });
                for solution in std::iter::once(case.solve(loss, bias, epsilon)).chain(descent) {
                    prop_assert!(solution.converged, "{loss} {bias:?}");
                    // Rows that were visited early in the last pass have seen the later ones move.
                    let violation = case.violation(&solution, loss);
                    prop_assert!(violation <= 5.0 * epsilon, "{loss} {bias:?} {violation}");
                    let naive = case.objective(&solution, loss, bias);
                    prop_assert!(near(solution.objective, naive, 1e-6), "{loss} {bias:?} {naive}");
                    match bias {
                        // Newton's weights and multipliers agree within the square root of the gap.
                        Bias::Regularised => {
                            let off = (solution.bias - case.balance(&solution)).abs();
                            prop_assert!(off <= 1e-5 * solution.bias.abs().max(1.0), "{loss} {off:e}");
                        }
                        Bias::Free => {
                            let squares: f64 = case.x.rows().flatten().map(|value| value * value).sum();
                            let tolerance = 1.01 * epsilon * case.costs.len() as f64 / squares;
                            prop_assert!(case.balance(&solution).abs() <= tolerance, "{loss}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn interior_point_and_coordinate_descent_agree(case in cases()) {
        let exact = case.solve(Loss::Hinge, Bias::Free, 1e-5);
        let descent = coordinate::solve(
            &case.examples(), &options(Loss::Hinge, Bias::Free), stopping(1e-5), u64::MAX, None, &NoProgress);
        prop_assert!(exact.converged && exact.iterations < INTERIOR_STEPS, "{exact:?}");
        prop_assume!(descent.converged);
        prop_assert!(near(exact.objective, descent.objective, 1e-3), "{exact:?} {descent:?}");
        prop_assert!(case.balance(&exact).abs() <= 1e-9, "{}", case.balance(&exact));
    }

    #[test]
    fn sparse_rows_have_the_solution_of_dense_ones(case in cases()) {
        let mut case = case;
        case.x.dense_mut().rows_mut().flatten().filter(|value| value.abs() < 1.0).for_each(|value| *value = 0.0);
        let mut sparse = SparseMatrix::new(case.x.columns());
        case.x.rows().for_each(|row| sparse.push(row.iter().copied().enumerate()));
        let sparse = Case { x: sparse.into(), ..case.clone() };
        for loss in [Loss::Hinge, Loss::SquaredHinge] {
            for bias in BIASES {
                let solve = |case: &Case| {
                    coordinate::solve(&case.examples(), &options(loss, bias), stopping(1e-6), u64::MAX, None, &NoProgress)
                };
                let (dense, sparse) = (solve(&case), solve(&sparse));
                prop_assume!(dense.converged && sparse.converged);
                prop_assert!(near(dense.objective, sparse.objective, 1e-5), "{loss} {bias}");
            }
        }
    }

    #[test]
    fn repeated_row_counts_as_a_row_of_twice_the_cost(case in cases()) {
        let mut twice = case.clone();
        for row in 0..case.costs.len() {
            twice.x.dense_mut().push(case.x.row(row));
            twice.positive.push(case.positive[row]);
            twice.costs.push(case.costs[row]);
        }
        let mut dear = case;
        dear.costs.iter_mut().for_each(|cost| *cost *= 2.0);
        for loss in LOSSES {
            for bias in BIASES {
                let (twice, dear) = (twice.solve(loss, bias, 1e-4), dear.solve(loss, bias, 1e-4));
                // The logistic objective differs by the entropy of the halves: comparing the biases suffices.
                let same = if loss == Loss::Logistic {
                    near(twice.bias, dear.bias, 1e-2) || (twice.bias - dear.bias).abs() < 1e-2
                } else {
                    near(twice.objective, dear.objective, 1e-3)
                };
                prop_assert!(same, "{loss} {bias:?} {} {}", twice.objective, dear.objective);
            }
        }
    }
}

#[test]
fn interior_point_takes_careful_steps_when_corrected_ones_cycle() {
    // Separable, at costs far above the multipliers: corrected steps alone cycle.
    let rows = [vec![1.0, 2.0], vec![-0.25, 0.5], vec![0.5, 0.0], vec![-2.0, -1.0]];
    let case = Case::new(&rows, &[true, false, false, false], &[100.0; 4]);
    let exact = case.solve(Loss::Hinge, Bias::Free, 1e-5);
    assert!(exact.converged && exact.iterations < INTERIOR_STEPS, "{exact:?}");
    let options = options(Loss::Hinge, Bias::Free);
    let descent = coordinate::solve(&case.examples(), &options, stopping(1e-5), u64::MAX, None, &NoProgress);
    assert!(near(exact.objective, descent.objective, 1e-4), "{exact:?} {descent:?}");
    assert!(near(exact.bias, descent.bias, 1e-3), "{exact:?} {descent:?}");
}

#[test]
fn interior_point_ends_where_rounding_bounds_its_accuracy() {
    for cost in [1e-2, 1.0, 1e4, 1e8] {
        let case = Case::blobs(200, cost);
        let solution = interior::solve(&case.examples(), Bias::Free, stopping(1e-300), &NoProgress);
        assert!(!solution.converged && solution.iterations < 2 * INTERIOR_STEPS, "{cost}: {solution:?}");
    }
}

#[test]
fn warm_start_takes_no_more_passes_than_a_cold_one() {
    for loss in [Loss::Hinge, Loss::SquaredHinge] {
        for bias in BIASES {
            if loss != Loss::Hinge && bias == Bias::Free {
                continue;
            }
            let case = Case::blobs(400, 1.0);
            let run = |start: Option<&[f64]>| {
                coordinate::solve(
                    &case.examples(),
                    &options(loss, bias),
                    stopping(1e-3),
                    u64::MAX,
                    start,
                    &NoProgress,
                )
            };
            let cold = run(None);
            let warm = run(Some(&cold.alpha));
            assert!(near(warm.objective, cold.objective, 1e-4), "{loss} {bias:?}");
            let fewer = warm.iterations <= cold.iterations || bias == Bias::Free;
            assert!(fewer, "{loss} {bias:?}: {} after {}", warm.iterations, cold.iterations);
            // Multipliers of another cost are cut to the bounds.
            let dear = vec![1e9; cold.alpha.len()];
            assert!(near(run(Some(&dear)).objective, cold.objective, 1e-2), "{loss} {bias:?}");
        }
    }
}

#[test]
fn bound_on_iterations_is_reported_as_not_converged() {
    for loss in LOSSES {
        for bias in BIASES {
            let case = Case::blobs(300, 10.0);
            let stopping = Stopping { epsilon: 1e-9, max_iterations: 2 };
            let solution = solve(&case.examples(), &options(loss, bias), stopping, None, &NoProgress);
            assert!(!solution.converged, "{loss} {bias:?}");
            assert_eq!(solution.iterations, 2, "{loss} {bias:?}");
        }
    }
}

#[test]
fn progress_is_reported_after_each_pass() {
    struct Count(std::sync::atomic::AtomicU64);
    impl Progress for Count {
        fn solving(&self, _: u64, violation: f64) {
            assert!(violation >= 0.0);
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    for loss in LOSSES {
        for bias in BIASES {
            let count = Count(0.into());
            let case = Case::blobs(100, 1.0);
            let solution = solve(&case.examples(), &options(loss, bias), stopping(1e-3), None, &count);
            assert_eq!(count.0.into_inner(), solution.iterations, "{loss} {bias:?}");
        }
    }
}

#[test]
fn degenerate_rows_end_with_finite_numbers() {
    let same = || vec![0.3, 0.7];
    let far = || vec![1e160, -1e160];
    for (rows, positive) in [
        (vec![vec![0.0, 0.0], vec![0.0, 0.0]], vec![true, false]),
        (vec![same(), same()], vec![true, false]),
        (vec![same(), same(), same()], vec![true, false, false]),
        (vec![vec![1.0, 5.0], vec![1.0, 5.0], vec![1.0, 5.1]], vec![true, true, false]),
        (vec![vec![1.0, 0.0], vec![-1.0, 0.0]], vec![true, false]),
        (vec![far(), same(), far()], vec![true, false, false]),
        (vec![vec![1e-170, 0.0], vec![0.0, 1e-170]], vec![true, false]),
    ] {
        for cost in [1e-6, 1.0, 1e6] {
            let case = Case::new(&rows, &positive, &vec![cost; rows.len()]);
            for loss in LOSSES {
                for bias in BIASES {
                    let stopping = Stopping { epsilon: 1e-3, max_iterations: 2000 };
                    let solution = solve(&case.examples(), &options(loss, bias), stopping, None, &NoProgress);
                    assert!(solution.bias.is_finite(), "{loss} {bias:?} {cost} {rows:?}");
                    assert!(solution.alpha.iter().all(|alpha| alpha.is_finite() && *alpha >= 0.0));
                }
            }
        }
    }
}

#[test]
fn two_points_are_separated_midway() {
    let case = Case::new(&[vec![3.0], vec![1.0]], &[true, false], &[10.0, 10.0]);
    let solution = case.solve(Loss::Hinge, Bias::Free, 1e-6);
    // w = 1, b = −2: the margin is 1 on either side, and each multiplier is ½.
    assert!(near(solution.bias, -2.0, 1e-6), "{solution:?}");
    assert!(solution.alpha.iter().all(|&alpha| near(alpha, 0.5, 1e-6)), "{solution:?}");
    assert!(near(solution.objective, -0.5, 1e-6), "{solution:?}");
}

#[test]
fn solution_depends_on_the_seed_alone() {
    let case = Case::blobs(300, 1.0);
    for loss in LOSSES {
        for bias in BIASES {
            assert_eq!(case.solve(loss, bias, 0.1), case.solve(loss, bias, 0.1), "{loss} {bias:?}");
        }
    }
}
