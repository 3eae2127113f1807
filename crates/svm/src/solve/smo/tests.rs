//! What a solution must satisfy, whatever way it was found.

use std::io::Write as _;
use std::process::Command;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;
use crate::solve::NoProgress;
use crate::testing::{blobs, skipped};

const STOPPING: Stopping = Stopping { epsilon: 1e-3, max_iterations: 1_000_000 };

fn plain() -> SmoOptions {
    SmoOptions { cache_bytes: 1 << 20, ..SmoOptions::default() }
}

fn solve(x: &Matrix, positive: &[bool], costs: &[f64], kernel: Kernel, options: SmoOptions) -> Solution {
    Smo::new(x, positive, kernel, Loss::Hinge, options).solve(costs, STOPPING, None, &NoProgress)
}

/// Rows of a given width; a third of them repeat an earlier row, whatever its class.
fn random_rows(rows: usize, features: usize, seed: u64) -> (Matrix, Vec<bool>, Vec<f64>) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut x = Matrix::new(features);
    let positive: Vec<bool> = (0..rows).map(|row| row == 0 || (row > 1 && rng.random_bool(0.4))).collect();
    for (row, &positive) in positive.iter().enumerate() {
        let values: Vec<f64> = match rng.random_bool(0.3) && row > 0 {
            true => x.row(rng.random_range(0..row)).to_vec(),
            false => (0..features).map(|_| rng.random_range(-2.0..2.0) + f64::from(positive)).collect(),
        };
        x.push(&values);
    }
    let costs = (0..rows).map(|_| 10.0_f64.powf(rng.random_range(-2.0..2.0))).collect();
    (x, positive, costs)
}

fn kernels() -> impl Strategy<Value = Kernel> {
    prop_oneof![
        Just(Kernel::Linear),
        (0.01f64..10.0).prop_map(|gamma| Kernel::Rbf { gamma }),
        (0.05f64..0.5, 0.0f64..1.0, 1u32..4).prop_map(|(gamma, coef0, degree)| Kernel::Poly {
            gamma,
            coef0,
            degree
        }),
        (0.01f64..0.5, -1.0f64..0.5).prop_map(|(gamma, coef0)| Kernel::Sigmoid { gamma, coef0 }),
    ]
}

/// `y - Σ yα K` in double precision, and how far single-precision kernel values may have carried it: sixteen
/// units in the last place of each term.
fn residuals(x: &Matrix, positive: &[bool], kernel: Kernel, alpha: &[f64]) -> (Vec<f64>, f64) {
    let mut slack = 0.0_f64;
    let residual = |row: usize| {
        let mut residual = sign(positive[row]);
        let mut size = 0.0;
        for other in 0..x.len() {
            let term = alpha[other] * kernel.apply(x.row(row), x.row(other));
            residual -= sign(positive[other]) * term;
            size += term.abs();
        }
        slack = slack.max(size * 16.0 * f64::from(f32::EPSILON));
        residual
    };
    ((0..x.len()).map(residual).collect(), slack)
}

fn sign(positive: bool) -> f64 {
    if positive { 1.0 } else { -1.0 }
}

/// The optimality conditions, recomputed from their definition.
fn assert_optimal(x: &Matrix, positive: &[bool], costs: &[f64], kernel: Kernel, solution: &Solution) {
    let (residuals, slack) = residuals(x, positive, kernel, &solution.alpha);
    let (mut top, mut bottom) = (f64::NEG_INFINITY, f64::INFINITY);
    let (mut balance, mut objective) = (0.0, 0.0);
    for (row, &alpha) in solution.alpha.iter().enumerate() {
        assert!((0.0..=costs[row]).contains(&alpha), "row {row}: {alpha} of {}", costs[row]);
        let (below, above) = (alpha < costs[row], alpha > 0.0);
        let (rises, falls) = if positive[row] { (below, above) } else { (above, below) };
        if rises {
            top = top.max(residuals[row]);
        }
        if falls {
            bottom = bottom.min(residuals[row]);
        }
        balance += sign(positive[row]) * alpha;
        objective -= 0.5 * alpha * (sign(positive[row]) * residuals[row] + 1.0);
    }
    let total: f64 = solution.alpha.iter().sum();
    // Multipliers of rows that can be separated are multiplied by so much that no row is within the margin: then twice as much.
    let epsilon = 2.01 * STOPPING.epsilon;
    assert!(top - bottom <= epsilon + 2.0 * slack, "violated by {}, slack {slack}", top - bottom);
    assert!(balance.abs() <= 1e-11 * total.max(1.0), "Σyα = {balance}");
    let off = (objective - solution.objective).abs();
    assert!(
        off <= 1e-9 * objective.abs() + total * slack,
        "{objective} is reported as {}",
        solution.objective
    );
    let within = (top.min(bottom) - slack - 1e-9)..=(top.max(bottom) + slack + 1e-9);
    assert!(within.contains(&solution.bias), "bias {} outside {within:?}", solution.bias);
}

fn assert_close(one: f64, other: f64, relative: f64, what: &str) {
    assert!((one - other).abs() <= relative * one.abs().max(1.0), "{what}: {one} and {other}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn solutions_meet_the_optimality_conditions(
        kernel in kernels(),
        features in prop_oneof![1usize..12, Just(6), Just(20)],
        rows in prop_oneof![2usize..6, 2usize..150],
        shrinking in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let (x, positive, costs) = random_rows(rows, features, seed);
        let simd = Simd::available()[seed as usize % Simd::available().len()];
        let options = SmoOptions { simd, shrinking, ..plain() };
        let solution = solve(&x, &positive, &costs, kernel, options);
        prop_assert!(solution.converged, "{kernel} {solution:?}");
        assert_optimal(&x, &positive, &costs, kernel, &solution);
    }

    #[test]
    fn warm_start_along_c_ends_at_the_optimum_of_a_cold_one(
        kernel in kernels().prop_filter("one optimum", |kernel| !matches!(kernel, Kernel::Sigmoid { .. })),
        ratio in 0.1f64..10.0,
        seed in any::<u64>(),
    ) {
        let (x, positive, costs) = random_rows(60, 4, seed);
        let mut smo = Smo::new(&x, &positive, kernel, Loss::Hinge, plain());
        let before = smo.solve(&costs, STOPPING, None, &NoProgress);
        let costs: Vec<f64> = costs.iter().map(|cost| cost * ratio).collect();
        let start = rescaled(&before.alpha, Some(&costs), ratio);
        let warm = smo.solve(&costs, STOPPING, Some(&start), &NoProgress);
        assert_optimal(&x, &positive, &costs, kernel, &warm);
        let cold = solve(&x, &positive, &costs, kernel, plain());
        // Each is within epsilon per unit of multiplier of the optimum.
        let total: f64 = costs.iter().sum();
        prop_assert!((warm.objective - cold.objective).abs() <= 1e-3 * cold.objective.abs() + 1e-5 * total);
    }
}

#[test]
fn shrinking_and_packing_change_nothing_beyond_rounding() {
    let problem = blobs(500, 0.15, 3);
    for kernel in [Kernel::Linear, Kernel::Rbf { gamma: 30.0 }] {
        let costs = vec![20.0; problem.len()];
        let solve = |options| solve(&problem.x.to_dense(), &problem.positive, &costs, kernel, options);
        let with = solve(SmoOptions { shrinking: true, ..plain() });
        let without = solve(SmoOptions { shrinking: false, ..plain() });
        assert!(with.converged && without.converged && with.iterations > 2 * 500, "{}", with.iterations);
        assert_optimal(&problem.x.to_dense(), &problem.positive, &costs, kernel, &with);
        assert_close(with.objective, without.objective, 1e-5, "objective");
    }
}

#[test]
fn cache_size_changes_no_bit_of_the_solution() {
    for (features, kernel) in [(6, Kernel::Linear), (20, Kernel::Rbf { gamma: 0.05 })] {
        let (x, positive, _) = random_rows(200, features, 1);
        for &simd in Simd::available() {
            let solve = |cache_bytes| {
                let options = SmoOptions { cache_bytes, simd, ..plain() };
                solve(&x, &positive, &[2.0; 200], kernel, options)
            };
            let plenty = solve(64 << 20);
            assert!(plenty.converged);
            assert_eq!(plenty, solve(0));
        }
    }
}

#[test]
fn every_instruction_set_finds_the_same_vectors() {
    let problem = blobs(300, 0.1, 5);
    let costs = vec![1.0; problem.len()];
    for kernel in [Kernel::Linear, Kernel::Rbf { gamma: 2.0 }, Kernel::Sigmoid { gamma: 0.2, coef0: -0.5 }] {
        let found: Vec<Solution> = Simd::available()
            .iter()
            .map(|&simd| {
                solve(
                    &problem.x.to_dense(),
                    &problem.positive,
                    &costs,
                    kernel,
                    SmoOptions { simd, ..plain() },
                )
            })
            .collect();
        for other in &found[1..] {
            assert_close(found[0].objective, other.objective, 1e-6, "objective");
            let differ = found[0].alpha.iter().zip(&other.alpha);
            let differ = differ.filter(|(one, other)| (**one > 0.0) != (**other > 0.0)).count();
            assert!(differ <= 3, "{kernel}: {differ} vectors of one are not of the other");
        }
    }
}

#[test]
fn kernel_rows_of_one_c_are_reused_for_the_next() {
    let (x, positive, _) = random_rows(200, 20, 1);
    let mut smo = Smo::new(&x, &positive, Kernel::Rbf { gamma: 0.05 }, Loss::Hinge, plain());
    for c in [0.1, 1.0, 10.0] {
        let costs = vec![c; 200];
        let solution = smo.solve(&costs, STOPPING, None, &NoProgress);
        assert_eq!(solution, solve(&x, &positive, &costs, Kernel::Rbf { gamma: 0.05 }, plain()));
    }
}

#[test]
fn bound_on_iterations_ends_a_solve_as_not_converged() {
    let (x, positive, costs) = random_rows(100, 3, 1);
    let mut smo = Smo::new(&x, &positive, Kernel::Rbf { gamma: 1.0 }, Loss::Hinge, plain());
    let stopping = Stopping { epsilon: 1e-3, max_iterations: 7 };
    let solution = smo.solve(&costs, stopping, None, &NoProgress);
    assert_eq!((solution.iterations, solution.converged), (7, false));
    let (residuals, _) = residuals(&x, &positive, Kernel::Rbf { gamma: 1.0 }, &solution.alpha);
    let terms = solution.alpha.iter().zip(&positive).zip(residuals);
    let objective: f64 =
        terms.map(|((alpha, &positive), residual)| -0.5 * alpha * (sign(positive) * residual + 1.0)).sum();
    assert_close(solution.objective, objective, 1e-5, "objective");
}

#[test]
fn equal_rows_of_both_classes_end() {
    for kernel in [Kernel::Linear, Kernel::Rbf { gamma: 1.0 }, Kernel::Sigmoid { gamma: 1.0, coef0: 0.0 }] {
        let mut x = Matrix::new(2);
        (0..9).for_each(|_| x.push(&[0.5, 0.25]));
        let positive: Vec<bool> = (0..9).map(|row| row % 3 == 0).collect();
        let solution = solve(&x, &positive, &[2.0; 9], kernel, plain());
        assert!(solution.converged);
        // All rows are the same: the scarcer class is all at its bound.
        assert_close(solution.objective, -12.0, 1e-6, "objective");
        assert_close(solution.bias, -1.0, 1e-6, "bias");
    }
}

#[test]
fn two_rows_of_different_classes_are_separated_midway() {
    let mut x = Matrix::new(1);
    x.push(&[1001.0]);
    x.push(&[1003.0]);
    let solution = solve(&x, &[true, false], &[10.0; 2], Kernel::Linear, plain());
    assert_eq!(solution.alpha, [0.5; 2]);
    assert_eq!((solution.bias, solution.objective), (1002.0, -0.5));
}

#[test]
fn values_beyond_single_precision_give_a_finite_unconverged_solution() {
    let mut x = Matrix::new(2);
    [[1e200, 1.0], [-1e200, 2.0], [1e200, 3.0], [-1e200, 4.0]].iter().for_each(|row| x.push(row));
    let positive = [true, false, true, false];
    for kernel in [
        Kernel::Linear,
        Kernel::Poly { gamma: 1.0, coef0: 0.0, degree: 10 },
        Kernel::Sigmoid { gamma: 1.0, coef0: 0.0 },
    ] {
        let solution = solve(&x, &positive, &[1.0; 4], kernel, plain());
        assert_eq!(solution, Solution::none(4), "{kernel}");
    }
    let solution = solve(&x, &positive, &[1.0; 4], Kernel::Rbf { gamma: 1.0 }, plain());
    assert!(solution.converged && solution.objective.is_finite(), "{solution:?}");
    let mut one = Matrix::new(1);
    [1.0, 2.0, 3.0, 4.0].iter().for_each(|value| one.push(&[*value]));
    let solution = solve(&one, &positive, &[1e300; 4], Kernel::Linear, plain());
    assert!(solution.objective.is_finite() && solution.alpha.iter().all(|alpha| alpha.is_finite()));
}

#[test]
fn objective_and_bias_equal_svm_trains() {
    if Command::new("svm-train").output().is_err() {
        skipped("svm-train is not installed (libsvm-tools)");
        return;
    }
    let problem = blobs(400, 0.1, 7);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.txt");
    let mut file = std::fs::File::create(&path).unwrap();
    for (row, &positive) in problem.x.rows().zip(&problem.positive) {
        write!(file, "{}", if positive { "+1" } else { "-1" }).unwrap();
        for (column, value) in row.iter().enumerate() {
            write!(file, " {}:{value}", column + 1).unwrap();
        }
        writeln!(file).unwrap();
    }
    drop(file);
    for (kernel, flags) in [
        (Kernel::Linear, "-t 0"),
        (Kernel::Rbf { gamma: 3.0 }, "-t 2 -g 3"),
        (Kernel::Poly { gamma: 1.0, coef0: 0.5, degree: 3 }, "-t 1 -g 1 -r 0.5 -d 3"),
        (Kernel::Sigmoid { gamma: 0.5, coef0: -1.0 }, "-t 3 -g 0.5 -r -1"),
    ] {
        for (c, weight) in [(1.0, 1.0), (10.0, 3.0)] {
            let call = format!("{flags} -e 0.00001 -c {c} -w1 {weight}");
            let ran = Command::new("svm-train")
                .args(call.split(' '))
                .arg(&path)
                .arg(folder.path().join("model"))
                .output()
                .unwrap();
            let printed = String::from_utf8(ran.stdout).unwrap();
            let number = |name: &str| -> f64 {
                let rest = printed.split(name).nth(1).unwrap();
                rest.split([',', '\n']).next().unwrap().trim().parse().unwrap()
            };
            let cost = |&positive: &bool| if positive { c * weight } else { c };
            let costs: Vec<f64> = problem.positive.iter().map(cost).collect();
            let rows = problem.x.to_dense();
            let mut smo = Smo::new(&rows, &problem.positive, kernel, Loss::Hinge, plain());
            let stopping = Stopping { epsilon: 1e-5, ..STOPPING };
            let solution = smo.solve(&costs, stopping, None, &NoProgress);
            assert!(solution.converged);
            assert_close(number("obj ="), solution.objective, 1e-5, &call);
            assert_close(number("rho ="), -solution.bias, 1e-2, &call);
        }
    }
}

#[test]
fn kernel_machines_converge_within_the_gap_whatever_an_error_costs() {
    let noise = blobs(120, 0.5, 3);
    for (problem, gamma) in [(&noise, 1.0), (&blobs(120, 0.1, 4), 1.0), (&blobs(120, 0.0, 5), 0.2)] {
        let x = problem.x.to_dense();
        for cost in [1.0, 1e3, 1e5] {
            let solution = solve(&x, &problem.positive, &[cost; 120], Kernel::Rbf { gamma }, plain());
            let exact =
                gap_in_double_precision(&x, &problem.positive, cost, Kernel::Rbf { gamma }, &solution);
            assert!(
                solution.converged && solution.gap <= 1e-3 && (exact - solution.gap).abs() <= 1e-5,
                "{cost}: {} {exact} {}",
                solution.gap,
                solution.iterations
            );
        }
    }
}

/// The relative duality gap of the machine that is written, whose kernel values are in double precision.
fn gap_in_double_precision(
    x: &Matrix,
    positive: &[bool],
    cost: f64,
    kernel: Kernel,
    solution: &Solution,
) -> f64 {
    let sign = |row: usize| if positive[row] { 1.0 } else { -1.0 };
    let (mut losses, mut square) = (0.0, 0.0);
    for row in 0..x.len() {
        let without_bias: f64 = (0..x.len())
            .map(|other| sign(other) * solution.alpha[other] * kernel.apply(x.row(row), x.row(other)))
            .sum();
        losses += cost * (1.0 - sign(row) * (without_bias + solution.bias)).max(0.0);
        square += sign(row) * solution.alpha[row] * without_bias;
    }
    let total: f64 = solution.alpha.iter().sum();
    (losses + square - total) / (losses + 0.5 * square)
}
