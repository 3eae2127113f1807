//! Problems on which a solver once went astray: rare classes, collinear and repeated rows, great and tiny costs. What
//! is found is compared with SMO.

use proptest::prelude::*;

use super::tests::Case;
use super::*;
use crate::kernel::Kernel;
use crate::solve::smo::{Smo, SmoOptions};
use crate::solve::{NoProgress, duality};

/// A case whose rows all cost as much.
fn case(rows: &[Vec<f64>], positive: &[bool], cost: f64) -> Case {
    Case::new(rows, positive, &vec![cost; positive.len()])
}

fn hinge(case: &Case, bias: Bias) -> Solution {
    case.solve(Loss::Hinge, bias, 1e-3)
}

fn by_smo(case: &Case) -> Solution {
    let rows = case.x.to_dense();
    let mut smo = Smo::new(&rows, &case.positive, Kernel::Linear, Loss::Hinge, SmoOptions::default());
    smo.solve(&case.costs, stopping(200_000), None, &NoProgress)
}

fn stopping(max_iterations: u64) -> Stopping {
    Stopping { epsilon: 1e-3, max_iterations }
}

/// Numbers of a seed, uniform in 0..1 (Marsaglia's xorshift).
fn numbers(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Shares of a day with two decimals, which sum to about 1 and so are collinear with the constant, and two more columns.
fn shares(rows: usize, seed: u64, positive: impl Fn(&[f64], f64) -> bool) -> (Vec<Vec<f64>>, Vec<bool>) {
    let mut next = numbers(seed);
    let mut all = Vec::new();
    let mut classes = Vec::new();
    for row in 0..rows {
        let parts = [next(), next(), next(), next()].map(|part| part + 0.1);
        let sum: f64 = parts.iter().sum();
        let two_decimals = |value: f64| (100.0 * value).round() / 100.0;
        let mut values: Vec<f64> = parts.iter().map(|part| two_decimals(part / sum)).collect();
        values.extend([two_decimals(next()), two_decimals(0.8 + 0.2 * next())]);
        // One row of each class is given.
        classes.push(row == 0 || row != 1 && positive(&values, next()));
        all.push(values);
    }
    (all, classes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn hinge_of_hard_rows_converges_and_agrees_with_smo(
        seed in any::<u64>(),
        rows in 3usize..36,
        shape in 0usize..6,
        power in -4i32..=8,
    ) {
        let noise = if seed % 2 == 0 { 0.0 } else { 0.6 };
        let (mut all, positive) = shares(rows, seed, |values, chance| {
            values[0] + 0.3 * values[4] + noise * (chance - 0.5) > 0.42
        });
        match shape {
            // A constant column; a column twice; every row twice; one column; columns of very different sizes.
            1 => all.iter_mut().for_each(|row| row[2] = 7.0),
            2 => all.iter_mut().for_each(|row| row[1] = row[0]),
            3 => (0..rows / 2).for_each(|row| all[rows - 1 - row] = all[row].clone()),
            4 => all.iter_mut().for_each(|row| row.truncate(1)),
            5 => all.iter_mut().for_each(|row| row[3] *= 1e-3),
            _ => {}
        }
        let case = case(&all, &positive, 10f64.powi(power));
        for bias in [Bias::Free, Bias::Regularised] {
            let solution = hinge(&case, bias);
            prop_assert!(solution.converged, "{bias:?} {solution:?}");
            prop_assert!(solution.gap <= 1e-3, "{bias:?} {}", solution.gap);
            prop_assert!(solution.alpha.iter().all(|alpha| alpha.is_finite()) && solution.bias.is_finite());
        }
        let smo = by_smo(&case);
        if smo.converged {
            let ours = hinge(&case, Bias::Free).objective;
            // Neither dual objective is below the optimum by more than its gap.
            let slack = 2e-3 + smo.gap;
            prop_assert!((ours - smo.objective).abs() <= slack * ours.abs().max(1e-12), "{ours} {}", smo.objective);
        }
    }
}

#[test]
fn rare_class_is_solved_to_the_optimum_of_all_rows() {
    for (rows, positives, cost) in [(3000, 12, 1.0), (3000, 12, 1000.0), (2000, 2, 1.0), (3000, 60, 1.0)] {
        let (all, _) = shares(rows, 9, |_, _| false);
        let mut order: Vec<usize> = (0..rows).collect();
        let score = |row: &usize| all[*row][0] + 0.5 * all[*row][4];
        order.sort_by(|one, other| score(other).total_cmp(&score(one)));
        let mut positive = vec![false; rows];
        order[..positives].iter().for_each(|&row| positive[row] = true);
        for swapped in [false, true] {
            let positive: Vec<bool> = positive.iter().map(|positive| positive ^ swapped).collect();
            let case = case(&all, &positive, cost);
            for bias in [Bias::Free, Bias::Regularised] {
                let solution = hinge(&case, bias);
                // The gap is of all rows, those included that no chunk held.
                let gap = duality::of_linear(&case.examples(), Loss::Hinge, bias, &solution);
                assert!(solution.converged && gap <= 1e-3, "{rows} {positives} {cost} {bias:?}: {gap}");
            }
        }
    }
}

#[test]
fn rare_class_that_nothing_tells_apart_converges_to_the_constant() {
    let (all, positive) = shares(2000, 5, |_, chance| chance < 0.004);
    let case = case(&all, &positive, 1.0);
    let solution = hinge(&case, Bias::Free);
    let positives = positive.iter().filter(|positive| **positive).count() as f64;
    // Every positive row is an error: two for the difference of the classes, since the bias stays at −1.
    assert!(solution.converged, "{}", solution.gap);
    assert!((solution.objective + 2.0 * positives).abs() < 0.05 * positives, "{}", solution.objective);
}

#[test]
fn separable_rows_at_great_costs_have_no_gap() {
    for columns in [2, 100] {
        let mut next = numbers(3);
        let mut row = |positive: bool| -> Vec<f64> {
            (0..columns).map(|column| next() + if positive && column < 2 { 2.0 } else { 0.0 }).collect()
        };
        let positive: Vec<bool> = (0..60).map(|row| row % 2 == 0).collect();
        let rows: Vec<Vec<f64>> = positive.iter().map(|&positive| row(positive)).collect();
        for cost in [1.0, 100.0, 1e5] {
            for bias in [Bias::Free, Bias::Regularised] {
                let solution = hinge(&case(&rows, &positive, cost), bias);
                assert!(
                    solution.converged && solution.gap <= 3e-3,
                    "{columns} {cost} {bias:?} {}",
                    solution.gap
                );
            }
        }
    }
}

#[test]
fn descent_goes_no_further_than_to_scores_that_have_no_gap_once_multiplied() {
    let mut next = numbers(3);
    let positive: Vec<bool> = (0..60).map(|row| row % 2 == 0).collect();
    let mut row = |positive: bool| -> Vec<f64> {
        (0..300).map(|_| 0.15 * (if positive { 1.0 } else { -1.0 } + next())).collect()
    };
    let rows: Vec<Vec<f64>> = positive.iter().map(|&positive| row(positive)).collect();
    let case = case(&rows, &positive, 1e5);
    let passes = |epsilon: f64| {
        let stopping = Stopping { epsilon, max_iterations: 1000 };
        let options = LinearOptions { loss: Loss::Hinge, bias: Bias::Free, seed: 1 };
        coordinate::solve(&case.examples(), &options, stopping, u64::MAX, None, &NoProgress).iterations
    };
    let solution = hinge(&case, Bias::Free);
    assert!(solution.converged && solution.gap <= 1e-3, "{}", solution.gap);
    assert!(solution.iterations <= passes(1e-4), "{}", solution.iterations);
}

#[test]
fn method_that_did_not_converge_is_followed_by_another() {
    let (all, positive) = shares(200, 11, |values, chance| values[0] + 0.2 * (chance - 0.5) > 0.3);
    let case = case(&all, &positive, 1e4);
    let options = LinearOptions { loss: Loss::Hinge, bias: Bias::Regularised, seed: 1 };
    let descent = coordinate::solve(&case.examples(), &options, stopping(100), u64::MAX, None, &NoProgress);
    assert!(!descent.converged);
    let solution = hinge(&case, Bias::Regularised);
    assert!(solution.converged && solution.iterations > 50 && solution.gap < 1e-6, "{}", solution.gap);
}

#[test]
fn multipliers_that_are_small_beside_great_costs_are_found() {
    // Two equal rows of either class have the whole cost as their multiplier, the others next to none of it.
    let one = vec![0.46, 0.23, 0.15, 0.16, 0.65, 1.0];
    let other = vec![0.07, 0.17, 0.66, 0.1, 0.31, 0.85];
    for power in 0..=8 {
        let all = [one.clone(), other.clone(), other.clone(), one.clone()];
        let case = case(&all, &[true, false, true, true], 10f64.powi(power));
        for bias in [Bias::Free, Bias::Regularised] {
            let solution = hinge(&case, bias);
            assert!(solution.converged, "{bias:?} {solution:?}");
        }
    }
}

#[test]
fn gap_is_of_the_machine_that_is_written_where_an_error_of_one_class_costs_a_million_times_as_much() {
    let rows =
        [[1, 1], [1, 1], [1, 1], [0, 0], [1, 0], [0, 1], [1, 0], [0, 1], [0, 0], [1, 1], [1, 1], [1, 1]];
    let rows: Vec<Vec<f64>> = rows.iter().map(|row| row.map(f64::from).to_vec()).collect();
    let positive = [1, 1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 1].map(|positive| positive == 1);
    let mut case = case(&rows, &positive, 1.0);
    for weight in [1e3, 1e4, 1e5, 1e6] {
        case.costs = positive.iter().map(|&positive| if positive { weight } else { 1.0 }).collect();
        let solution = hinge(&case, Bias::Free);
        let weights = duality::weights(&case.examples(), &solution.alpha);
        let loss = |row: usize| {
            let score: f64 = weights.iter().zip(&rows[row]).map(|(weight, value)| weight * value).sum();
            let score = score + solution.bias;
            case.costs[row] * (1.0 - if positive[row] { score } else { -score }).max(0.0)
        };
        let primal = 0.5 * weights.iter().map(|weight| weight * weight).sum::<f64>()
            + (0..rows.len()).map(loss).sum::<f64>();
        // The constant 1: each of the five negative rows lacks 2.
        assert!(solution.converged && primal < 10.02, "{weight}: {primal} {solution:?}");
    }
}
