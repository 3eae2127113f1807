//! Training with smartcore's support vector classifier.
//!
//! smartcore's support vectors, coefficients and bias are private, and its serialised form cannot predict. Two
//! things are public, and they suffice: a kernel of the caller's own, and the trained machine's decision function
//! `b + Σ w_j K(x, sv_j)`. So smartcore is given row
//! *numbers* for rows, with a kernel that looks the rows up. A row number past the end is a probe: its
//! kernel is 1 with one training row and 0 with all others, and the decision function then reads out that
//! row's coefficient. (Row numbers also avoid a fault of smartcore 0.7, which cuts rows to as many
//! features as there are rows.)

use smartcore::error::Failed;
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::svm::svc::{SVC, SVCParameters};

use crate::data::matrix::Matrix;
use crate::kernel::Kernel;
use crate::model::machine::Machine;
use crate::solve::duality::{Duality, is_converged};
use crate::solve::linear::Loss;
use crate::train::fit::Solve;
use crate::train::parameters::{NO_SUPPORT, Parameters, Solver, TrainError};

/// Passes over the rows: more cost time and did not change the objective (docs/decisions/training-with-smartcore.md
/// in the repository has the figures).
const EPOCHS: usize = 3;

/// Up to this many rows all kernel values are computed once, 128 MiB of them.
const TABLE_ROWS: usize = 4096;

type Classifier<'a> = SVC<'a, f64, i32, DenseMatrix<f64>, Vec<i32>>;

/// Trains on scaled rows of both classes.
///
/// # Errors
/// A solver that did not end in finite numbers, or found no support vector.
pub(crate) fn fit(
    x: &Matrix,
    positive: &[bool],
    parameters: &Parameters,
) -> Result<(Machine, Solve), TrainError> {
    let mut readings = decide(x, positive, parameters, x.len()..2 * x.len() + 1)
        .map_err(|error| failed(error.to_string()))?;
    // The last probe has kernel 0 with every row: it reads the bias alone.
    let bias = readings.pop().unwrap_or(f64::NAN);
    let coefficients: Vec<f64> = readings.iter().map(|&reading| coefficient(reading, bias)).collect();
    if !bias.is_finite() || coefficients.iter().any(|coefficient| !coefficient.is_finite()) {
        return Err(failed("it did not come to finite numbers".to_owned()));
    }
    let support: Vec<usize> = (0..x.len()).filter(|&row| coefficients[row] != 0.0).collect();
    if support.is_empty() {
        return Err(failed(NO_SUPPORT.to_owned()));
    }
    let kept: Vec<f64> = support.iter().map(|&row| coefficients[row]).collect();
    let rows = Rows::new(x.clone(), parameters.kernel);
    let (mut duality, mut square, mut total, mut balance) = (Duality::default(), 0.0, 0.0, 0.0);
    for row in 0..x.len() {
        let without_bias: f64 =
            support.iter().map(|&other| coefficients[other] * rows.value(row, other)).sum();
        let sign = if positive[row] { 1.0 } else { -1.0 };
        let alpha = sign * coefficients[row];
        duality.add(Loss::Hinge, alpha, parameters.c, sign * (without_bias + bias));
        square += coefficients[row] * without_bias;
        total += alpha;
        balance += coefficients[row];
    }
    let gap = duality.relative(0.5 * square, bias * balance);
    let solve = Solve {
        objective: Some(0.5 * square - total),
        gap: gap.is_finite().then_some(gap),
        solver: parameters.solver,
        iterations: None,
        converged: is_converged(true, gap, parameters.epsilon),
        support_vectors: support.len(),
        bounded: kept.iter().filter(|coefficient| coefficient.abs() >= parameters.c).count(),
    };
    Ok((Machine::from_expansion(parameters.kernel, x.select(&support), kept, bias), solve))
}

fn failed(problem: String) -> TrainError {
    TrainError::Solver { solver: Solver::Smartcore.name(), problem }
}

/// Trains, and gives smartcore's own decision values of the named rows and probes.
fn decide(
    x: &Matrix,
    positive: &[bool],
    parameters: &Parameters,
    asked: std::ops::Range<usize>,
) -> Result<Vec<f64>, Failed> {
    let numbers = column(0..x.len())?;
    let asked = column(asked)?;
    let classes: Vec<i32> = positive.iter().map(|&positive| if positive { 1 } else { -1 }).collect();
    let options = SVCParameters::default()
        .with_c(parameters.c)
        .with_epoch(EPOCHS)
        .with_tol(parameters.epsilon)
        .with_seed(Some(parameters.seed))
        .with_kernel(Rows::new(x.clone(), parameters.kernel));
    let trained: Classifier = SVC::fit(&numbers, &classes, &options)?;
    trained.decision_function(&asked)
}

/// A probe's kernel value is not 1 but 2^200, so that the bias it is added to drops out of the 53 bits of
/// the sum and the coefficient is read exactly. A row without coefficient reads the bias itself.
const PROBE: f64 = 1.606_938_044_258_990_3e60;

fn coefficient(reading: f64, bias: f64) -> f64 {
    if reading == bias { 0.0 } else { reading / PROBE }
}

fn column(numbers: std::ops::Range<usize>) -> Result<DenseMatrix<f64>, Failed> {
    let values: Vec<f64> = numbers.map(|number| number as f64).collect();
    DenseMatrix::new(values.len(), 1, values, false)
}

/// The rows that row numbers stand for: smartcore's kernel.
struct Rows {
    x: Matrix,
    kernel: Kernel,
    /// All kernel values, row by row; empty when there are too many rows.
    table: Vec<f64>,
}

impl Rows {
    fn new(x: Matrix, kernel: Kernel) -> Self {
        let mut table = Vec::new();
        if x.len() <= TABLE_ROWS {
            table.reserve_exact(x.len() * x.len());
            for u in x.rows() {
                table.extend(x.rows().map(|v| kernel.apply(u, v)));
            }
        }
        Self { x, kernel, table }
    }

    fn value(&self, i: usize, j: usize) -> f64 {
        let rows = self.x.len();
        if i >= rows {
            if i - rows == j { PROBE } else { 0.0 }
        } else if let Some(&value) = self.table.get(i * rows + j) {
            value
        } else {
            self.kernel.apply(self.x.row(i), self.x.row(j))
        }
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows, {}", self.x.len(), self.kernel)
    }
}

impl smartcore::svm::Kernel for Rows {
    fn apply(&self, i: &Vec<f64>, j: &Vec<f64>) -> Result<f64, Failed> {
        // The first is the row asked about, maybe a probe; the second is always a training row.
        Ok(self.value(i[0] as usize, j[0] as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Scorer;
    use crate::testing::blobs;

    fn parameters(kernel: Kernel, c: f64) -> Parameters {
        Parameters {
            solver: Solver::Smartcore,
            loss: crate::solve::linear::Loss::Hinge,
            kernel,
            c,
            standardise: false,
            seed: 3,
            ..Parameters::default()
        }
    }

    #[test]
    fn converted_machines_score_as_smartcore_decides() {
        let problem = blobs(80, 0.1, 11);
        for kernel in [
            Kernel::Linear,
            Kernel::Rbf { gamma: 20.0 },
            Kernel::Poly { gamma: 2.0, coef0: 0.5, degree: 3 },
            Kernel::Sigmoid { gamma: 0.3, coef0: -0.4 },
        ] {
            for c in [0.1, 5.0] {
                let parameters = parameters(kernel, c);
                let (machine, _) = fit(&problem.x.to_dense(), &problem.positive, &parameters).unwrap();
                let scorer = Scorer::compile(&machine, None, None);
                let decided =
                    decide(&problem.x.to_dense(), &problem.positive, &parameters, 0..problem.len()).unwrap();
                for (row, decided) in problem.x.rows().zip(decided) {
                    let score = scorer.score(row);
                    assert!((score - decided).abs() < 1e-9, "{kernel} C={c}: {score} and {decided}");
                }
            }
        }
    }

    #[test]
    fn machines_have_converged_where_their_gap_is_small() {
        let problem = blobs(80, 0.1, 11);
        for (c, converged) in [(0.1, true), (5.0, true), (1000.0, false)] {
            let parameters = parameters(Kernel::Rbf { gamma: 20.0 }, c);
            let solve = fit(&problem.x.to_dense(), &problem.positive, &parameters).unwrap().1;
            assert_eq!(
                (solve.converged, solve.gap.unwrap() <= 1e-3),
                (converged, converged),
                "{c} {solve:?}"
            );
        }
    }

    #[test]
    fn problems_with_fewer_rows_than_features_keep_every_feature() {
        // Only the last feature separates the classes; smartcore by itself cuts rows to their number.
        let mut x = Matrix::new(6);
        for last in [0.0, 0.1, 0.9, 1.0] {
            x.push(&[0.5, 0.5, 0.5, 0.5, 0.5, last]);
        }
        let positive = [false, false, true, true];
        let (machine, _) = fit(&x, &positive, &parameters(Kernel::Linear, 100.0)).unwrap();
        let right = x.rows().zip(positive).filter(|(row, positive)| (machine.score(row) > 0.0) == *positive);
        assert_eq!(right.count(), 4);
    }

    #[test]
    fn identical_rows_of_both_classes_end() {
        let mut x = Matrix::new(2);
        (0..40).for_each(|_| x.push(&[0.5, 0.5]));
        let positive: Vec<bool> = (0..40).map(|i| i % 3 == 0).collect();
        for kernel in [Kernel::Linear, Kernel::Rbf { gamma: 1.0 }] {
            let (machine, _) = fit(&x, &positive, &parameters(kernel, 1.0)).unwrap();
            assert!(machine.score(&[0.5, 0.5]) <= 0.0, "the greater class wins");
        }
    }
}
