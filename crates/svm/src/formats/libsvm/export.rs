//! Writing what `svm-predict` reads.

use std::io::Write;

use crate::calibrate::{Calibration, Platt};
use crate::data::g17::G17;
use crate::data::matrix::Matrix;
use crate::data::scaling::Scaling;
use crate::formats::{ExchangeError, whole_labels};
use crate::kernel::Kernel;
use crate::model::Model;
use crate::model::machine::Machine;
use crate::score::fold;

/// Writes a model as libSVM text.
///
/// A linear model is one support vector, its weights, with the scaling folded in: it takes rows as they
/// are. A kernel model with scaling takes *scaled* rows; [`write_range`] writes what `svm-scale -r` needs.
///
/// ```
/// use upbeat_svm::{Model, Parameters, Problem, libsvm};
///
/// let problem = Problem::read("1 1:2\n1 1:3\n0 1:0\n0 1:-1\n".as_bytes())?;
/// let model = Model::train(&problem, &Parameters::default())?;
/// let mut text = Vec::new();
/// libsvm::export(&model, &mut text)?;
/// assert!(text.starts_with(b"svm_type c_svc\nkernel_type linear\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Labels that are not whole numbers (libSVM reads no others); a failing writer.
pub fn export(model: &Model, mut output: impl Write) -> Result<(), ExchangeError> {
    let parts = model.parts();
    let [positive, negative] = whole_labels(&parts.labels)?;
    writeln!(output, "svm_type c_svc")?;
    let kernel = parts.machine.kernel();
    let name = if let Kernel::Poly { .. } = kernel { "polynomial" } else { kernel.name() };
    writeln!(output, "kernel_type {name}")?;
    if let Some(degree) = kernel.degree() {
        writeln!(output, "degree {degree}")?;
    }
    if let Some(gamma) = kernel.gamma() {
        writeln!(output, "gamma {}", G17(gamma))?;
    }
    if let Some(coef0) = kernel.coef0() {
        writeln!(output, "coef0 {}", G17(coef0))?;
    }
    let (coefficients, vectors, bias) = expansion(&parts.machine, parts.scaling.as_ref());
    // libSVM keeps the vectors of the first label in front.
    let (of_first, of_second): (Vec<usize>, Vec<usize>) =
        (0..coefficients.len()).partition(|&i| coefficients[i] > 0.0);
    writeln!(output, "nr_class 2\ntotal_sv {}\nrho {}", coefficients.len(), G17(-bias))?;
    writeln!(output, "label {positive} {negative}")?;
    if let Some(Platt { a, b }) = parts.calibration.as_ref().and_then(Calibration::platt) {
        writeln!(output, "probA {}\nprobB {}", G17(a), G17(b))?;
    }
    writeln!(output, "nr_sv {} {}\nSV", of_first.len(), of_second.len())?;
    for row in of_first.into_iter().chain(of_second) {
        write!(output, "{}", G17(coefficients[row]))?;
        for (i, &value) in vectors.row(row).iter().enumerate().filter(|entry| *entry.1 != 0.0) {
            write!(output, " {}:{}", i + 1, G17(value))?;
        }
        // libSVM itself ends each vector with a space.
        writeln!(output, " ")?;
    }
    Ok(output.flush()?)
}

/// Coefficients, vectors and bias; a linear machine is one vector for unscaled rows.
fn expansion(machine: &Machine, scaling: Option<&Scaling>) -> (Vec<f64>, Matrix, f64) {
    match machine {
        Machine::Linear { weights, bias } => {
            let (weights, bias) = fold(weights, *bias, scaling);
            let mut vectors = Matrix::new(weights.len());
            vectors.push(&weights);
            (vec![1.0], vectors, bias)
        }
        Machine::Kernel { vectors, coefficients, bias, .. } => (coefficients.clone(), vectors.clone(), *bias),
    }
}

/// The scaling of a kernel model, when rows must be scaled before libSVM sees them.
pub fn row_scaling(model: &Model) -> Option<&Scaling> {
    let parts = model.parts();
    parts.scaling.as_ref().filter(|_| parts.machine.kernel() != Kernel::Linear)
}

/// Writes a scaling in the form that `svm-scale -r` reads.
///
/// svm-scale maps `[min, max]` to `[-1, 1]`: with `mean - scale` and `mean + scale` for them, that is
/// `(x - mean) / scale`.
///
/// # Errors
/// A failing writer.
pub fn write_range(scaling: &Scaling, mut output: impl Write) -> std::io::Result<()> {
    writeln!(output, "x\n-1 1")?;
    for (i, (mean, scale)) in scaling.mean.iter().zip(&scaling.scale).enumerate() {
        writeln!(output, "{} {} {}", i + 1, G17(mean - scale), G17(mean + scale))?;
    }
    output.flush()
}
