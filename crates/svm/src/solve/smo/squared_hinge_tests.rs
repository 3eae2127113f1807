//! The squared hinge loss: its optimality conditions, Newton's method on the same problem, and libSVM with the ridge in the
//! kernel's values.

use std::process::{Command, Stdio};

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;
use crate::solve::linear::{self, Bias, LinearOptions};
use crate::solve::{Examples, NoProgress};
use crate::testing::{blobs, skipped};

const STOPPING: Stopping = Stopping { epsilon: 1e-3, max_iterations: 1_000_000 };

struct Case {
    x: Matrix,
    positive: Vec<bool>,
    costs: Vec<f64>,
}

impl Case {
    /// Rows of three features, every fourth of which repeats an earlier one, whatever its class.
    fn random(rows: usize, cost: f64, seed: u64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut x = Matrix::new(3);
        let positive: Vec<bool> =
            (0..rows).map(|row| row == 0 || (row > 1 && rng.random_bool(0.3))).collect();
        for (row, &positive) in positive.iter().enumerate() {
            let values: Vec<f64> = if row % 4 == 3 {
                x.row(rng.random_range(0..row)).to_vec()
            } else {
                (0..3).map(|_| rng.random_range(-1.0..1.0) + 0.5 * f64::from(u8::from(positive))).collect()
            };
            x.push(&values);
        }
        let costs = (0..rows).map(|_| cost * rng.random_range(0.5..2.0)).collect();
        Self { x, positive, costs }
    }

    fn smo(&self, kernel: Kernel, shrinking: bool) -> Smo<'_> {
        let options = SmoOptions { shrinking, ..SmoOptions::default() };
        Smo::new(&self.x, &self.positive, kernel, Loss::SquaredHinge, options)
    }

    fn solve(&self, kernel: Kernel, shrinking: bool) -> Solution {
        self.smo(kernel, shrinking).solve(&self.costs, STOPPING, None, &NoProgress)
    }

    /// A row's slack is `alpha / 2C` where it has a multiplier; where it has none it has no slack.
    #[track_caller]
    fn assert_optimal(&self, kernel: Kernel, solution: &Solution) {
        let sign = |row: usize| if self.positive[row] { 1.0 } else { -1.0 };
        let (mut size, mut balance, mut objective) = (0.0_f64, 0.0, 0.0);
        let mut violation = 0.0_f64;
        for row in 0..self.costs.len() {
            let alpha = solution.alpha[row];
            let terms = (0..self.costs.len()).map(|other| {
                sign(other) * solution.alpha[other] * kernel.apply(self.x.row(row), self.x.row(other))
            });
            let (sum, total) = terms.fold((0.0, 0.0), |(sum, total), term| (sum + term, total + term.abs()));
            size = size.max(total);
            let slack = 1.0 - sign(row) * (sum + solution.bias);
            violation = violation.max(if alpha > 0.0 {
                (slack - 0.5 * alpha / self.costs[row]).abs()
            } else {
                slack.max(0.0)
            });
            balance += sign(row) * alpha;
            objective += 0.5 * alpha * (sign(row) * sum + 0.5 * alpha / self.costs[row]) - alpha;
        }
        let total: f64 = solution.alpha.iter().sum();
        // Kernel values are in single precision.
        let rounding = size * 32.0 * f64::from(f32::EPSILON);
        assert!(solution.converged, "{kernel} {} iterations", solution.iterations);
        assert!(violation <= STOPPING.epsilon + rounding, "{kernel}: {violation} of {rounding}");
        assert!(balance.abs() <= 1e-11 * total.max(1.0), "{kernel}: {balance}");
        let off = (objective - solution.objective).abs();
        assert!(
            off <= 1e-6 * objective.abs() + total * rounding,
            "{kernel}: {objective} {}",
            solution.objective
        );
    }
}

fn kernels() -> impl Strategy<Value = Kernel> {
    prop_oneof![
        Just(Kernel::Linear),
        (0.05f64..10.0).prop_map(|gamma| Kernel::Rbf { gamma }),
        (0.05f64..0.5, 0.0f64..1.0, 1u32..4).prop_map(|(gamma, coef0, degree)| Kernel::Poly {
            gamma,
            coef0,
            degree
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn squared_hinge_solutions_meet_the_optimality_conditions(
        kernel in kernels(),
        rows in prop_oneof![2usize..6, 2usize..120],
        power in -3i32..3,
        shrinking in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let case = Case::random(rows, 10_f64.powi(power), seed);
        let solution = case.solve(kernel, shrinking);
        case.assert_optimal(kernel, &solution);
        prop_assert!(solution.gap <= 1e-2, "{}", solution.gap);
    }
}

#[test]
fn warm_start_along_c_ends_at_the_optimum_of_a_cold_one() {
    let kernel = Kernel::Rbf { gamma: 0.7 };
    let mut case = Case::random(100, 0.1, 3);
    let mut start = None;
    for ratio in [1.0, 10.0, 10.0, 0.01] {
        case.costs.iter_mut().for_each(|cost| *cost *= ratio);
        let begin = start.map(|alpha: Vec<f64>| rescaled(&alpha, None, ratio));
        let warm = case.smo(kernel, true).solve(&case.costs, STOPPING, begin.as_deref(), &NoProgress);
        case.assert_optimal(kernel, &warm);
        let cold = case.solve(kernel, true);
        assert!((warm.objective - cold.objective).abs() <= 1e-3 * cold.objective.abs());
        start = Some(warm.alpha);
    }
}

#[test]
fn smo_and_newton_find_the_same_optimum_of_the_linear_kernel() {
    for power in [-2, 0, 2] {
        let case = Case::random(80, 10_f64.powi(power), 5);
        let smo = case.solve(Kernel::Linear, true);
        let x = case.x.clone().into();
        let examples = Examples { x: &x, positive: &case.positive, costs: &case.costs };
        let options = LinearOptions { loss: Loss::SquaredHinge, bias: Bias::Free, seed: 1 };
        let newton = linear::solve(&examples, &options, STOPPING, None, &NoProgress);
        let off = (smo.objective - newton.objective).abs();
        assert!(off <= 1e-4 * newton.objective.abs(), "{} {}", smo.objective, newton.objective);
        assert!((smo.bias - newton.bias).abs() < 1e-2, "{} {}", smo.bias, newton.bias);
    }
}

#[test]
fn equal_rows_of_both_classes_are_told_apart_by_nothing_but_the_ridge() {
    for cost in [1e-3, 1.0, 1e6] {
        let mut x = Matrix::new(1);
        (0..9).for_each(|_| x.push(&[0.5]));
        let positive: Vec<bool> = (0..9).map(|row| row % 3 == 0).collect();
        let case = Case { x, positive, costs: vec![cost; 9] };
        let solution = case.solve(Kernel::Rbf { gamma: 1.0 }, true);
        assert!(solution.converged, "{cost}");
        // Three positive rows and six negative ones: the score is the mean label, −⅓.
        assert!((solution.bias + 1.0 / 3.0).abs() < 1e-3, "{cost}: {}", solution.bias);
    }
}

#[test]
fn kernel_that_leaves_the_objective_without_a_bound_ends_as_not_converged() {
    // K(u, u) = tanh(|u|² − 2) is below zero here, and a great C leaves no ridge to make up for it.
    let mut x = Matrix::new(1);
    [0.1, -0.2, 0.3, -0.4].iter().for_each(|value| x.push(&[*value]));
    let case = Case { x, positive: vec![true, false, true, false], costs: vec![1e6; 4] };
    let solution = case.solve(Kernel::Sigmoid { gamma: 1.0, coef0: -2.0 }, true);
    assert!(solution.alpha.iter().all(|alpha| alpha.is_finite()) && solution.bias.is_finite());
    if solution.converged {
        assert!(solution.gap.is_finite(), "{solution:?}");
    }
}

#[test]
fn objective_equals_libsvms_with_the_ridge_in_the_kernel() {
    if Command::new("svm-train").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        skipped("svm-train is not installed (libsvm-tools)");
        return;
    }
    let problem = blobs(150, 0.15, 7);
    let rows = problem.x.to_dense();
    let folder = tempfile::tempdir().unwrap();
    for (kernel, c) in
        [(Kernel::Rbf { gamma: 3.0 }, 0.5), (Kernel::Poly { gamma: 1.0, coef0: 0.5, degree: 3 }, 20.0)]
    {
        let mut text = String::new();
        for (row, &positive) in problem.positive.iter().enumerate() {
            text += &format!("{} 0:{}", if positive { "+1" } else { "-1" }, row + 1);
            for other in 0..rows.len() {
                let ridge = if row == other { 0.5 / c } else { 0.0 };
                text += &format!(" {}:{:?}", other + 1, kernel.apply(rows.row(row), rows.row(other)) + ridge);
            }
            text.push('\n');
        }
        std::fs::write(folder.path().join("rows"), text).unwrap();
        let mut call = Command::new("svm-train");
        call.args("-t 4 -c 1e9 -e 0.00001 rows model".split(' ')).current_dir(folder.path());
        let printed = String::from_utf8(call.output().unwrap().stdout).unwrap();
        let (_, rest) = printed.split_once("obj = ").unwrap_or_else(|| panic!("no objective in {printed}"));
        let theirs: f64 = rest.split(',').next().unwrap().parse().unwrap();
        let mut smo = Smo::new(&rows, &problem.positive, kernel, Loss::SquaredHinge, SmoOptions::default());
        let stopping = Stopping { epsilon: 1e-5, ..STOPPING };
        let ours = smo.solve(&vec![c; rows.len()], stopping, None, &NoProgress);
        let off = (ours.objective - theirs).abs();
        assert!(off <= 1e-5 * theirs.abs(), "{kernel}: {} and {theirs}", ours.objective);
    }
}

#[test]
fn solver_continues_until_the_gap_agrees_with_the_rule_at_great_costs() {
    for seed in 1..4 {
        let mut case = Case::random(120, 1e5, seed);
        for row in case.x.rows_mut() {
            row.iter_mut().zip([1e-2, 1.0, 10.0]).for_each(|(value, scale)| *value *= scale);
        }
        let solution = case.solve(Kernel::Rbf { gamma: 1.0 / 3.0 }, true);
        assert!(solution.converged && solution.gap <= 20.0 * STOPPING.epsilon, "{seed}: {:e}", solution.gap);
    }
}

#[test]
fn costs_whose_ridge_is_beyond_single_precision_converge() {
    for cost in [1e-20, 1e-61, 1e-290] {
        let case = Case::random(60, cost, 3);
        let solution = case.solve(Kernel::Rbf { gamma: 1.0 }, true);
        assert!(solution.converged && solution.iterations < 10_000, "{cost:e}: {solution:?}");
    }
}
