//! Newton's method against the optimality conditions, coordinate descent, and itself on other forms of the same rows.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;
use crate::data::either::Rows;
use crate::data::matrix::Matrix;
use crate::data::sparse::SparseMatrix;
use crate::score::simd::Simd;
use crate::solve::linear::coordinate;
use crate::solve::{NoProgress, duality};

const LOSSES: [Loss; 2] = [Loss::SquaredHinge, Loss::Logistic];
const BIASES: [Bias; 2] = [Bias::Regularised, Bias::Free];
const STOPPING: Stopping = Stopping { epsilon: 1e-3, max_iterations: 1000 };

/// From [`STOPPING`].
const MOST_GAP: f64 = 1e-6;

/// What the solver stays below, whatever the problem; passes of coordinate descent before it count as well.
const MOST_ITERATIONS: u64 = 500;

/// A solution's weights.
fn weights_of(examples: &Examples, solution: &Solution) -> Vec<f64> {
    let rebuilt = || descent::weights(examples, solution)[..examples.x.columns()].to_vec();
    solution.weights.clone().unwrap_or_else(rebuilt)
}

#[derive(Debug)]
struct Case {
    x: Rows,
    positive: Vec<bool>,
    costs: Vec<f64>,
}

impl Case {
    /// Two clouds that overlap; one row in `rarity` is positive. Some columns repeat, add up or never vary.
    fn clouds(rows: usize, columns: usize, rarity: usize, cost: f64, seed: u64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut x = Matrix::new(columns);
        let positive: Vec<bool> = (0..rows).map(|row| row % rarity == 0).collect();
        for &positive in &positive {
            let mut row: Vec<f64> = (0..columns)
                .map(|_| rng.random_range(-1.0..1.0) + 0.3 * f64::from(u8::from(positive)))
                .collect();
            if columns > 6 {
                row[1] = 2.5;
                row[2] = row[0];
                row[3] = row[4] + row[5];
            }
            x.push(&row);
        }
        Self { x: x.into(), positive, costs: vec![cost; rows] }
    }

    fn examples(&self) -> Examples<'_> {
        Examples { x: &self.x, positive: &self.positive, costs: &self.costs }
    }

    fn solve(&self, loss: Loss, bias: Bias) -> Solution {
        solve(&self.examples(), &LinearOptions { loss, bias, seed: 1 }, STOPPING, &NoProgress)
    }

    /// `½ |w|² + Σ cost · loss` of the weights themselves, as the papers write it.
    fn primal(&self, loss: Loss, bias: Bias, solution: &Solution) -> f64 {
        let weights = &weights_of(&self.examples(), solution);
        let of_bias = if bias == Bias::Regularised { solution.bias * solution.bias } else { 0.0 };
        let penalty = 0.5 * (weights.iter().map(|weight| weight * weight).sum::<f64>() + of_bias);
        let losses = (0..self.costs.len()).map(|row| {
            let score = self.x.dot(row, weights) + solution.bias;
            let margin = if self.positive[row] { score } else { -score };
            self.costs[row]
                * match loss {
                    Loss::Logistic => (-margin).max(0.0) + (-margin.abs()).exp().ln_1p(),
                    _ => (1.0 - margin).max(0.0).powi(2),
                }
        });
        penalty + losses.sum::<f64>()
    }

    /// The machine's objective is the optimum, which the multipliers prove.
    #[track_caller]
    fn assert_optimal(&self, loss: Loss, bias: Bias, solution: &Solution) {
        let about = format!("{loss} {bias:?} C = {}: gap {:e}", self.costs[0], solution.gap);
        assert!(
            solution.converged && solution.iterations < MOST_ITERATIONS,
            "{about} {}",
            solution.iterations
        );
        let primal = self.primal(loss, bias, solution);
        assert!(primal + solution.objective <= MOST_GAP * primal, "{about} {primal} {}", solution.objective);
        assert!(solution.alpha.iter().all(|alpha| *alpha >= 0.0), "{about}");
        if bias == Bias::Free {
            let signed =
                solution.alpha.iter().zip(&self.positive).map(|(alpha, &p)| if p { *alpha } else { -alpha });
            let total: f64 = solution.alpha.iter().sum();
            let tolerance = if solution.weights.is_some() { 1e-12 } else { 1e-5 };
            assert!(signed.sum::<f64>().abs() <= tolerance * total, "{about}");
        }
    }
}

#[test]
fn squared_hinge_reaches_its_optimum_at_every_cost() {
    for power in (-4..=8).step_by(2) {
        let case = Case::clouds(400, 20, 3, 10_f64.powi(power), 1);
        for bias in BIASES {
            case.assert_optimal(Loss::SquaredHinge, bias, &case.solve(Loss::SquaredHinge, bias));
        }
    }
}

#[test]
fn logistic_regression_reaches_its_optimum_at_every_cost() {
    for power in (-4..=8).step_by(2) {
        let case = Case::clouds(400, 20, 3, 10_f64.powi(power), 1);
        for bias in BIASES {
            case.assert_optimal(Loss::Logistic, bias, &case.solve(Loss::Logistic, bias));
        }
    }
}

#[test]
fn optimum_is_reached_however_rare_a_class() {
    for rarity in [2, 100, 1999] {
        let case = Case::clouds(2000, 7, rarity, 100.0, 3);
        for loss in LOSSES {
            for bias in BIASES {
                case.assert_optimal(loss, bias, &case.solve(loss, bias));
            }
        }
    }
}

#[test]
fn optimum_of_separable_rows_is_finite_and_reached() {
    for cost in [1.0, 1e4, 1e8] {
        let mut case = Case::clouds(60, 7, 2, cost, 5);
        let Rows::Dense(x) = &mut case.x else { unreachable!("they are dense") };
        for (row, &positive) in x.rows_mut().zip(&case.positive) {
            row[6] = if positive { 3.0 } else { -3.0 };
        }
        for loss in LOSSES {
            for bias in BIASES {
                case.assert_optimal(loss, bias, &case.solve(loss, bias));
            }
        }
    }
}

#[test]
fn optimum_is_reached_where_rows_have_heavy_tails() {
    let mut case = Case::clouds(500, 7, 10, 1e4, 9);
    let Rows::Dense(x) = &mut case.x else { unreachable!("they are dense") };
    for (number, row) in x.rows_mut().enumerate() {
        row.iter_mut().for_each(|value| *value *= 10_f64.powi((number % 7) as i32 - 3));
    }
    for loss in LOSSES {
        for bias in BIASES {
            case.assert_optimal(loss, bias, &case.solve(loss, bias));
        }
    }
}

#[test]
fn wide_rows_reach_the_optimum_too() {
    for (rows, columns) in [(20, 100), (80, 70)] {
        for cost in [1e-2, 1e3] {
            let case = Case::clouds(rows, columns, 3, cost, 11);
            for loss in LOSSES {
                for bias in BIASES {
                    case.assert_optimal(loss, bias, &case.solve(loss, bias));
                }
            }
        }
    }
}

#[test]
fn few_rows_of_many_columns_reach_the_optimum_in_the_space_that_they_span() {
    for (rows, columns) in [(7, 100), (21, 303)] {
        for cost in [1e-2, 1.0, 1e5] {
            let mut case = Case::clouds(rows, columns, 3, cost, 7);
            let Rows::Dense(x) = &mut case.x else { unreachable!("they are dense") };
            // A row that depends on two others, and one without a value.
            let sum: Vec<f64> = x.row(1).iter().zip(x.row(2)).map(|(one, other)| one + other).collect();
            let depending = [(4, sum), (5, vec![0.0; columns])];
            for (row, values) in depending {
                x.rows_mut().nth(row).expect("there are more").copy_from_slice(&values);
            }
            for loss in LOSSES {
                for bias in BIASES {
                    let options = LinearOptions { loss, bias, seed: 1 };
                    let spanned = span::solve(&case.examples(), &options, STOPPING).expect("finite products");
                    let without = Start { good: false, weights: vec![0.0; columns + 1], iterations: 0 };
                    let rows = Dense::new(&case.examples());
                    let solve = |start| {
                        solve_rows(&rows, &case.examples(), &options, Some(start), STOPPING, &NoProgress)
                    };
                    let iterations = spanned.iterations;
                    let (spanned, without) = (solve(spanned), solve(without));
                    case.assert_optimal(loss, bias, &spanned);
                    assert_eq!(spanned.iterations, iterations, "{loss} {bias:?} {cost}: no step was left");
                    let off = (spanned.objective - without.objective).abs();
                    assert!(
                        off <= 2.0 * MOST_GAP * without.objective.abs(),
                        "{loss} {bias:?} {cost}: {off:e}"
                    );
                }
            }
        }
    }
}

#[test]
fn start_that_is_not_the_solution_leaves_all_iterations_to_the_solve() {
    let case = Case::clouds(20, 100, 3, 1e5, 7);
    let rows = Dense::new(&case.examples());
    for loss in LOSSES {
        for bias in BIASES {
            let options = LinearOptions { loss, bias, seed: 1 };
            let start = Start { weights: vec![1e-3; 101], iterations: 40, good: true };
            let solution = solve_rows(&rows, &case.examples(), &options, Some(start), STOPPING, &NoProgress);
            case.assert_optimal(loss, bias, &solution);
            assert!(solution.iterations > 40, "{loss} {bias:?}");
        }
    }
}

#[test]
fn wide_rows_that_can_be_separated_converge_however_many_they_are() {
    for rows in [50, 80] {
        for cost in [1e-2, 1e2, 1e5] {
            let mut case = Case::clouds(rows, 4 * rows, 2, cost, 5);
            let Rows::Dense(x) = &mut case.x else { unreachable!("they are dense") };
            for (row, &positive) in x.rows_mut().zip(&case.positive) {
                row.iter_mut().for_each(|value| *value = 0.1 * *value + if positive { 0.2 } else { -0.2 });
            }
            for bias in BIASES {
                let solution = case.solve(Loss::SquaredHinge, bias);
                assert!(solution.converged, "{rows} {cost} {bias:?}: {:e}", solution.gap);
            }
        }
    }
}

#[test]
fn sparse_rows_have_the_optimum_of_dense_ones() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    for (rows, columns) in [(60, 12), (40, 100), (25, 2100)] {
        let (mut dense, mut sparse) = (Matrix::new(columns), SparseMatrix::new(columns));
        for _ in 0..rows {
            let mut row = vec![0.0; columns];
            (0..5).for_each(|_| row[rng.random_range(0..columns)] = rng.random_range(-1.0..2.0));
            dense.push(&row);
            sparse.push(row.into_iter().enumerate());
        }
        let positive: Vec<bool> = (0..rows).map(|row| row % 3 == 0).collect();
        let costs = vec![3.0; rows];
        let case = |x: Rows| Case { x, positive: positive.clone(), costs: costs.clone() };
        let (dense, sparse) = (case(dense.into()), case(sparse.into()));
        for loss in LOSSES {
            for bias in BIASES {
                let (one, other) = (dense.solve(loss, bias), sparse.solve(loss, bias));
                sparse.assert_optimal(loss, bias, &other);
                let off = (one.objective - other.objective).abs();
                assert!(off <= 1e-6 * one.objective.abs(), "{loss} {bias:?} {columns}: {off}");
            }
        }
    }
}

#[test]
fn wide_separable_rows_reach_the_optimum_at_great_costs() {
    for cost in [1e2, 1e5] {
        let mut case = Case::clouds(40, 100, 3, cost, 13);
        let Rows::Dense(x) = &mut case.x else { unreachable!("they are dense") };
        for (row, &positive) in x.rows_mut().zip(&case.positive) {
            row[6] = if positive { 2.0 } else { -2.0 };
        }
        for bias in BIASES {
            let solution = case.solve(Loss::SquaredHinge, bias);
            assert!(solution.converged && solution.gap <= MOST_GAP, "{bias:?} {cost} {:e}", solution.gap);
        }
    }
}

#[test]
fn rows_that_tell_nothing_get_the_bias_of_their_classes() {
    for value in [0.0, 1e-150] {
        let mut x = Matrix::new(4);
        (0..120).for_each(|row| x.push(&[if row % 2 == 0 { value } else { -value }; 4]));
        let positive: Vec<bool> = (0..120).map(|row| row % 10 < 3).collect();
        let case = Case { x: x.into(), positive, costs: vec![1.0; 120] };
        // Three in ten are positive: the squared hinge's best score is 2p − 1, the logistic's the log of the odds.
        for (loss, bias) in [(Loss::SquaredHinge, -0.4), (Loss::Logistic, (0.3_f64 / 0.7).ln())] {
            let solution = case.solve(loss, Bias::Free);
            case.assert_optimal(loss, Bias::Free, &solution);
            assert!((solution.bias - bias).abs() < 1e-6, "{loss}: {}", solution.bias);
        }
    }
}

#[test]
fn unattainable_accuracy_is_reported_as_not_converged() {
    for loss in LOSSES {
        for bias in BIASES {
            let case = Case::clouds(200, 7, 3, 1e4, 2);
            let stopping = Stopping { epsilon: 1e-300, max_iterations: 1000 };
            let options = LinearOptions { loss, bias, seed: 1 };
            let solution = solve(&case.examples(), &options, stopping, &NoProgress);
            assert!(!solution.converged && solution.iterations < MOST_ITERATIONS, "{loss} {bias:?}");
        }
    }
}

#[test]
fn solution_is_the_same_with_all_instructions() {
    let case = Case::clouds(300, 70, 3, 10.0, 1);
    for loss in LOSSES {
        let options = LinearOptions { loss, bias: Bias::Free, seed: 1 };
        let solve = |simd| {
            let rows = Dense::with(&case.examples(), simd);
            solve_rows(&rows, &case.examples(), &options, None, STOPPING, &NoProgress)
        };
        let found: Vec<Solution> = Simd::available().iter().map(|&simd| solve(simd)).collect();
        assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{loss}");
    }
}

fn cases() -> impl Strategy<Value = Case> {
    (1usize..12, 2usize..40, -3i32..4, any::<u64>()).prop_map(|(columns, rows, power, seed)| {
        let rarity = 2 + (seed % 7) as usize;
        let mut case = Case::clouds(rows, columns, rarity, 10_f64.powi(power), seed);
        // Each class has a row.
        case.positive[1] = false;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        case.costs.iter_mut().for_each(|cost| *cost *= rng.random_range(0.1..10.0));
        case
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn newton_meets_the_optimality_conditions_of_random_problems(case in cases()) {
        for loss in LOSSES {
            for bias in BIASES {
                let solution = case.solve(loss, bias);
                case.assert_optimal(loss, bias, &solution);
                // The multipliers alone give the machine as well, but for their rounding.
                let gap = duality::of_linear(&case.examples(), loss, bias, &Solution { weights: None, ..solution });
                prop_assert!(gap <= MOST_GAP, "{loss} {bias:?} {gap:e}");
            }
        }
    }

    #[test]
    fn newton_and_coordinate_descent_agree(case in cases()) {
        let options = LinearOptions { loss: Loss::SquaredHinge, bias: Bias::Regularised, seed: 1 };
        let stopping = Stopping { epsilon: 1e-4, max_iterations: 2000 };
        let descent = coordinate::solve(&case.examples(), &options, stopping, u64::MAX, None, &NoProgress);
        let newton = case.solve(options.loss, options.bias);
        if descent.converged {
            let off = (descent.objective - newton.objective).abs();
            prop_assert!(off <= 1e-4 * newton.objective.abs(), "{newton:?} {descent:?}");
        }
    }
}
