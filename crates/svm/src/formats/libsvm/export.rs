//! Writing what `svm-predict` reads.

use std::io::Write;

use crate::calibrate::{Calibration, Platt};
use crate::data::g17::G17;
use crate::data::matrix::Matrix;
use crate::data::scaling::Scaling;
use crate::formats::probe::{self, Answer};
use crate::formats::{ExchangeError, check_folded, has_sigmoid, whole_labels};
use crate::kernel::Kernel;
use crate::model::Model;
use crate::model::machine::Machine;
use crate::score::{Scorer, fold};

/// Most that the range file may move a probability, or a score as a share of its size.
const MAX_RANGE_DIFFERENCE: f64 = 1e-6;

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
/// Labels that are not whole numbers (libSVM reads no others); means so many times their scale that a linear model's weights
/// cannot hold the scaling, or [`write_range`]'s file a kernel model's; a failing writer.
pub fn export(model: &Model, mut output: impl Write) -> Result<(), ExchangeError> {
    let parts = model.parts();
    let [positive, negative] = whole_labels(&parts.labels)?;
    check(model)?;
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

/// Refuses a model whose scaling neither the weights nor the range file can hold.
fn check(model: &Model) -> Result<(), ExchangeError> {
    if let Machine::Linear { weights, bias } = &model.parts().machine {
        let (weights, bias) = fold(weights, *bias, model.parts().scaling.as_ref());
        return check_folded(model, &weights, bias);
    }
    let by_range = difference_behind(model, |scaled| scaled);
    match by_range.filter(|&apart| apart > MAX_RANGE_DIFFERENCE) {
        Some(_) => Err(ExchangeError::NotExportable(
            "the range file for svm-scale cannot hold this model's scaling: a mean is too many times its scale, or a \
             number is too great. Train with --scale none, or subtract a constant from such features"
                .to_owned(),
        )),
        None => Ok(()),
    }
}

/// How far probabilities, or scores as a share of their size, are from the model's at most when rows go through
/// `svm-scale`, which writes six digits; none for a model that takes rows as they are.
///
/// Measured over rows such as the model was trained on.
pub fn svm_scale_difference(model: &Model) -> Option<f64> {
    difference_behind(model, |scaled| format!("{scaled:.5e}").parse().unwrap_or(scaled))
}

/// The same with the scaled values as `written` changes them.
fn difference_behind(model: &Model, written: impl Fn(f64) -> f64) -> Option<f64> {
    let scaling = row_scaling(model)?;
    let ranges: Vec<[f64; 2]> = ranges(scaling).collect();
    let machine = Scorer::compile(&model.parts().machine, None, model.parts().calibration.clone());
    let by_probability = has_sigmoid(model);
    let difference = probe::greatest_difference(model, by_probability, |row| {
        let scaled = row.iter().zip(&ranges).map(|(value, [least, most])| {
            // As svm-scale does it, which leaves out a feature without a range.
            if least == most { 0.0 } else { written(-1.0 + 2.0 * (value - least) / (most - least)) }
        });
        let score = machine.score(&scaled.collect::<Vec<f64>>());
        let value = if by_probability { machine.probability(score).unwrap_or(score) } else { score };
        Answer { positive: score > 0.0, value }
    });
    Some(difference.map_or(0.0, |difference| difference.apart))
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
    for (i, [least, most]) in ranges(scaling).enumerate() {
        writeln!(output, "{} {} {}", i + 1, G17(least), G17(most))?;
    }
    output.flush()
}

/// What becomes -1 and 1 of each feature.
fn ranges(scaling: &Scaling) -> impl Iterator<Item = [f64; 2]> {
    scaling.mean.iter().zip(&scaling.scale).map(|(mean, scale)| [mean - scale, mean + scale])
}
