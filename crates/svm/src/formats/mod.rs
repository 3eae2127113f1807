//! Models in the formats of other tools: libSVM and LIBLINEAR (read and written), ONNX (written).

mod header;
pub mod liblinear;
pub mod libsvm;
pub mod onnx;
mod probe;

use std::io::BufRead;

use crate::data::fixed::Shortest;
use crate::data::labels::Labels;
use crate::data::rows::{RowError, finite};
use crate::formats::header::HeaderReader;
use crate::formats::probe::{Answer, Difference};
use crate::model::metadata::Metadata;
use crate::model::{Model, ModelError};

/// Most that a score may differ from the model's once the scaling is part of the weights, as a share of its size.
const MAX_FOLDED_DIFFERENCE: f64 = 1e-6;

/// Why a file is not a model that can be imported, or why a model cannot be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// A line is wrong.
    #[error("line {line}: {problem}")]
    Line {
        /// Line number, from 1.
        line: u64,
        /// What is wrong and what is wanted.
        problem: String,
    },
    /// A header line is missing.
    #[error("the header has no `{0}` line; this is not a whole model that {1} wrote, copy it again")]
    Missing(&'static str, &'static str),
    /// The file ends early.
    #[error(
        "the file ends at line {line}, after {read} {what}, and the header tells of {wanted}; it is not whole, copy it \
         again"
    )]
    Truncated {
        /// The last line, from 1.
        line: u64,
        /// What is counted.
        what: &'static str,
        /// How many the header announces.
        wanted: usize,
        /// How many there are.
        read: usize,
    },
    /// More numbers than a model may have.
    #[error("the support vectors are more than {0} numbers (vectors × features)")]
    TooBig(usize),
    /// A support vector's line is wrong.
    #[error(transparent)]
    Vector(#[from] RowError),
    /// What was read does not make a model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The model has no form in the other format.
    #[error("{0}")]
    NotExportable(String),
}

/// Which tool's text a model was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// `svm-train`'s, which begins with `svm_type`.
    Libsvm,
    /// LIBLINEAR's `train`'s, which begins with `solver_type`.
    Liblinear,
}

/// What an imported file does not say itself.
///
/// ```
/// use upbeat_svm::{Import, TextFormat};
///
/// let text = "svm_type c_svc\nkernel_type linear\nnr_class 2\ntotal_sv 1\nrho 0.5\nlabel 1 -1\nSV\n1 1:2\n";
/// let (format, model) = Import::default().read(text.as_bytes())?;
/// assert_eq!(format, TextFormat::Libsvm);
/// assert_eq!(model.predict(&[0.3]), "1");
/// # Ok::<(), upbeat_svm::ExchangeError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// How the rows were made; the caller's own.
    pub window: Metadata,
    /// How many features a row has, `1..=1_000_000`; when not given, the greatest index in the file, or
    /// `least_features` where that is more.
    pub features: Option<usize>,
    /// How many features a row has at least when `features` is not given: a file leaves out zeros, and so maybe the
    /// last features.
    pub least_features: usize,
    /// A name for people, see [`check_name`](crate::check_name).
    pub name: Option<String>,
}

impl Default for Import {
    /// No metadata, no name, and as many features as the file has.
    fn default() -> Self {
        Self { window: Metadata::default(), features: None, least_features: 1, name: None }
    }
}

impl Import {
    /// Reads a model of two classes as libSVM or LIBLINEAR write it; the first word decides which.
    ///
    /// Memory grows with what is read, never with what a header says.
    ///
    /// # Errors
    /// Regression, one class or more than two; a file that is neither, not whole, or joined with another;
    /// numbers that are not finite; more features than asked for.
    pub fn read(self, input: impl BufRead) -> Result<(TextFormat, Model), ExchangeError> {
        let mut header = HeaderReader::new(input);
        let first = header.next_line("svm_type", "svm-train")?;
        if first.key == "solver_type" {
            return Ok((TextFormat::Liblinear, liblinear::import(first, header, self)?));
        }
        Ok((TextFormat::Libsvm, libsvm::import(first, header, self)?))
    }

    /// How many features the model gets when its file uses indices up to `greatest`.
    pub(crate) fn count(&self, greatest: usize) -> usize {
        self.features.unwrap_or(greatest.max(self.least_features))
    }
}

/// Both tools score for the file's first label, this crate for the greater one: the labels in this crate's order, and
/// the sign by which scores are multiplied.
pub(crate) fn order(labels: [String; 2]) -> (f64, Labels) {
    let [first, second] = labels;
    if finite(&first) > finite(&second) {
        (1.0, Labels { positive: first, negative: second })
    } else {
        (-1.0, Labels { positive: second, negative: first })
    }
}

/// Whether the model's calibration is the one that libSVM's text and ONNX graphs have.
pub(crate) fn has_sigmoid(model: &Model) -> bool {
    model.parts().calibration.as_ref().is_some_and(|calibration| calibration.platt().is_some())
}

/// Refuses weights with the scaling folded in whose scores are not the model's: where a mean is many times its scale, the
/// digits that count are lost in the sum.
pub(crate) fn check_folded(model: &Model, weights: &[f64], bias: f64) -> Result<(), ExchangeError> {
    let difference = probe::greatest_difference(model, false, |row| {
        let score = weights.iter().zip(row).map(|(weight, value)| weight * value).sum::<f64>() + bias;
        Answer { positive: score > 0.0, value: score }
    });
    match difference.filter(|difference| difference.apart > MAX_FOLDED_DIFFERENCE) {
        Some(Difference { value, given, .. }) => Err(ExchangeError::NotExportable(format!(
            "a score would be {} where it is {}: the format has no place for the scaling, and with means so far from 0 \
             the weights cannot hold it. Train with --scale none, or subtract a constant from such features",
            Shortest(given),
            Shortest(value)
        ))),
        None => Ok(()),
    }
}

/// Both labels, the positive first, as C's `%d` reads them.
pub(crate) fn whole_labels(labels: &Labels) -> Result<[i32; 2], ExchangeError> {
    let whole = |label: &String| {
        let value = finite(label).unwrap_or(f64::NAN);
        Some(value as i32).filter(|&whole| f64::from(whole) == value).ok_or_else(|| {
            ExchangeError::NotExportable(format!(
                "label {label} cannot be exported: libSVM and LIBLINEAR read whole numbers only; \
                 train on labels such as 1 and 0"
            ))
        })
    };
    Ok([whole(&labels.positive)?, whole(&labels.negative)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBSVM: &str = "svm_type c_svc\nkernel_type rbf\ngamma 0.25\nnr_class 2\ntotal_sv 2\nrho -1.5\nlabel 0 1\n\
                          probA -2\nprobB 0.5\nnr_sv 1 1\nSV\n0.45 1:0.06 2:0.28 \n-0.45 1:0.59 3:0.51 \n";
    const LIBLINEAR: &str =
        "solver_type L2R_LR\nnr_class 2\nlabel 0 1\nnr_feature 2\nbias 1\nw\n0.107 \n1.189 \n-0.62 \n";

    #[test]
    fn model_that_is_cut_at_any_byte_is_refused_with_what_to_do() {
        for text in [LIBSVM, LIBLINEAR] {
            Import::default().read(text.as_bytes()).expect("whole");
            let first = text.find('\n').unwrap();
            for cut in 0..text.len() {
                let said = Import::default().read(&text.as_bytes()[..cut]).unwrap_err().to_string();
                // What is left of the first line may be that of any file.
                let known = cut <= first && (said.starts_with("line 1: ") || said.contains("svm_type"));
                assert!(known || said.ends_with("copy it again"), "{cut}: {said}");
            }
        }
    }
}
