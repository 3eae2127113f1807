//! Training with smartcore's support vector classifier.
//!
//! smartcore keeps what it finds to itself: support vectors, coefficients and bias are private, and its
//! serialised form cannot predict. Two things are public, and they suffice: the kernel is ours to write,
//! and the trained machine's decision function is `b + Σ w_j K(x, sv_j)`. So smartcore is given row
//! *numbers* for rows, with a kernel that looks the rows up. A row number past the end is a probe: its
//! kernel is 1 with one training row and 0 with all others, and the decision function then reads out that
//! row's coefficient. (Row numbers also go round smartcore 0.7's habit of cutting rows to as many
//! features as there are rows.)

use std::rc::Rc;

use smartcore::error::Failed;
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::svm::svc::{SVC, SVCParameters};

use super::kernel::Kernel;
use super::machine::Machine;
use super::problem::Matrix;
use super::train::{Settings, TrainError};

/// Name and version of the solver, for model files.
pub const NAME: &str = "smartcore 0.7";

/// Passes over the rows; see docs/decisions for the figures that chose it.
const EPOCHS: usize = 2;

/// The KKT tolerance at which training stops, libSVM's default too.
const TOLERANCE: f64 = 1e-3;

/// Up to this many rows all kernel values are computed once, 128 MiB of them.
const TABLE_ROWS: usize = 4096;

/// Greater kernel values than this, times C, lose the digits that the tolerance asks for.
const MAX_MAGNITUDE: f64 = 1e12;

type Classifier<'a> = SVC<'a, f64, i32, DenseMatrix<f64>, Vec<i32>>;

/// Trains on scaled rows of both classes.
///
/// # Errors
/// Kernel values too great to train with; a solver that did not end in finite numbers.
pub(super) fn fit(x: &Matrix, positive: &[bool], settings: &Settings) -> Result<Machine, TrainError> {
    let kernel = settings.kernel;
    check_magnitude(x, settings)?;
    let rows = Rc::new(Rows::new(x.clone(), kernel));
    let solver = |error: Failed| TrainError::Solver(error.to_string());
    let numbers = column(0..x.len()).map_err(solver)?;
    let probes = column(x.len()..2 * x.len() + 1).map_err(solver)?;
    let classes: Vec<i32> = positive.iter().map(|&positive| if positive { 1 } else { -1 }).collect();
    let parameters = SVCParameters::default()
        .with_c(settings.c)
        .with_epoch(EPOCHS)
        .with_tol(TOLERANCE)
        .with_seed(Some(settings.seed))
        .with_kernel(Lookup(Rc::clone(&rows)));
    let trained: Classifier = SVC::fit(&numbers, &classes, &parameters).map_err(solver)?;

    let mut readings = trained.decision_function(&probes).map_err(solver)?;
    // The last probe has kernel 0 with every row: it reads the bias alone.
    let bias = readings.pop().unwrap_or(f64::NAN);
    let coefficients: Vec<f64> = readings.iter().map(|&reading| coefficient(reading, bias)).collect();
    if !bias.is_finite() || coefficients.iter().any(|coefficient| !coefficient.is_finite()) {
        return Err(TrainError::Solver("it did not come to finite numbers".to_owned()));
    }
    let support: Vec<usize> = (0..x.len()).filter(|&row| coefficients[row] != 0.0).collect();
    if support.is_empty() {
        return Err(TrainError::Solver("it found no support vector; try a greater -c".to_owned()));
    }
    let kept = support.iter().map(|&row| coefficients[row]).collect();
    Ok(Machine::from_expansion(kernel, x.select(&support), kept, bias))
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

/// smartcore loops for ever on values that are not numbers, so they must not arise.
fn check_magnitude(x: &Matrix, settings: &Settings) -> Result<(), TrainError> {
    // |K(u, v)| is greatest for a vector with itself, by Cauchy and Schwarz; RBF and sigmoid stay within 1.
    let norm = x.rows().map(|row| Kernel::Linear.apply(row, row)).fold(0.0, f64::max);
    let greatest = match settings.kernel {
        Kernel::Linear => norm,
        Kernel::Poly { gamma, coef0, degree } => (gamma * norm + coef0.abs()).powi(degree as i32),
        Kernel::Rbf { .. } | Kernel::Sigmoid { .. } if norm.is_finite() => 1.0,
        Kernel::Rbf { .. } | Kernel::Sigmoid { .. } => norm,
    };
    // Written so that NaN is refused as well.
    if greatest * settings.c.max(1.0) <= MAX_MAGNITUDE {
        return Ok(());
    }
    Err(TrainError::TooGreat { kernel: settings.kernel.name() })
}

/// The rows that row numbers stand for.
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

/// smartcore's view of a kernel over row numbers.
struct Lookup(Rc<Rows>);

impl std::fmt::Debug for Lookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lookup({})", self.0.kernel)
    }
}

impl smartcore::svm::Kernel for Lookup {
    fn apply(&self, i: &Vec<f64>, j: &Vec<f64>) -> Result<f64, Failed> {
        // The first is the row asked about, maybe a probe; the second is always a training row.
        Ok(self.0.value(i[0] as usize, j[0] as usize))
    }
}
