//! Reading what `svm-train` writes.

use std::io::BufRead;

use crate::feature::FEATURE_COUNT;
use crate::profile::Window;
use crate::svm::calibration::Calibration;
use crate::svm::kernel::Kernel;
use crate::svm::machine::Machine;
use crate::svm::model::{Features, Labels, Model, Parts};
use crate::svm::problem::Matrix;
use crate::svm::rows::{RowReader, finite, shorten};

use super::LibsvmError;

/// A header line longer than this belongs to another kind of file.
const MAX_HEADER_BYTES: u64 = 64 << 10;

/// Most lines before `SV`; libSVM writes at most 13.
const MAX_HEADER_LINES: u64 = 64;

/// Most numbers in all support vectors together: 512 MiB of memory.
const MAX_CELLS: usize = 1 << 26;

/// The header lines that were there.
#[derive(Default)]
struct Header {
    kind: Option<String>,
    gamma: Option<f64>,
    coef0: Option<f64>,
    degree: Option<u32>,
    rho: Option<f64>,
    labels: Option<[String; 2]>,
    prob_a: Option<f64>,
    prob_b: Option<f64>,
    total_sv: Option<usize>,
}

/// Reads a libSVM `c_svc` model of two classes. `features` is how many features rows have; when not
/// given, six if no support vector has more, else the greatest index.
///
/// # Errors
/// Another type of model or kernel, more than two classes, lines that are not numbers, vectors wider than
/// `features`.
pub fn import(
    mut input: impl BufRead,
    window: Window,
    features: Option<usize>,
    name: Option<String>,
) -> Result<Model, LibsvmError> {
    let header = Header::read(&mut input)?;
    let kernel = header.kernel()?;
    let labels = header.labels.ok_or(LibsvmError::Missing("label"))?;
    let rho = header.rho.ok_or(LibsvmError::Missing("rho"))?;
    let total = header.total_sv.ok_or(LibsvmError::Missing("total_sv"))?;
    let (mut coefficients, vectors) = read_vectors(input, features)?;
    if coefficients.len() != total {
        return Err(LibsvmError::Truncated { wanted: total, read: coefficients.len() });
    }

    let [first, second] = labels;
    let first_is_positive = finite(&first) > finite(&second);
    let (sign, labels) = if first_is_positive {
        (1.0, Labels { positive: first, negative: second })
    } else {
        (-1.0, Labels { positive: second, negative: first })
    };
    coefficients.iter_mut().for_each(|coefficient| *coefficient *= sign);
    // 1 - 1/(1+exp(Af+B)) = 1/(1+exp(A(-f)-B)): turning the score round turns B round and leaves A.
    let calibration = header.prob_a.zip(header.prob_b).map(|(a, b)| Calibration { a, b: b * sign });
    let count = vectors.columns();
    Ok(Model::new(Parts {
        name,
        features: Features::of_count(count),
        window,
        labels,
        scaling: None,
        machine: Machine::from_expansion(kernel, vectors, coefficients, -rho * sign),
        calibration,
        training: None,
    })?)
}

fn read_vectors(input: impl BufRead, features: Option<usize>) -> Result<(Vec<f64>, Matrix), LibsvmError> {
    let mut reader = RowReader::new(input);
    let mut coefficients = Vec::new();
    let mut rows: Vec<Vec<(usize, f64)>> = Vec::new();
    let mut widest = 0;
    while let Some(row) = reader.next_row()? {
        let width = row.entries.last().map_or(0, |entry| entry.0);
        if let Some(features) = features {
            row.fill(&mut vec![0.0; features])?;
        }
        widest = widest.max(width);
        coefficients.push(row.value);
        rows.push(row.entries.to_vec());
        if rows.len().saturating_mul(widest) > MAX_CELLS {
            return Err(LibsvmError::TooBig(MAX_CELLS));
        }
    }
    let count = features.unwrap_or(if widest <= FEATURE_COUNT { FEATURE_COUNT } else { widest });
    let mut vectors = Matrix::new(count.max(1));
    let mut dense = vec![0.0; vectors.columns()];
    for row in rows {
        dense.fill(0.0);
        row.into_iter().for_each(|(index, value)| dense[index - 1] = value);
        vectors.push(&dense);
    }
    Ok((coefficients, vectors))
}

impl Header {
    fn read(input: &mut impl BufRead) -> Result<Self, LibsvmError> {
        let mut header = Self::default();
        for line in 1..=MAX_HEADER_LINES {
            let mut bytes = Vec::new();
            std::io::Read::take(&mut *input, MAX_HEADER_BYTES).read_until(b'\n', &mut bytes)?;
            if bytes.is_empty() {
                return Err(LibsvmError::Missing("SV"));
            }
            let text = String::from_utf8_lossy(&bytes);
            let mut words = text.trim_start_matches('\u{feff}').split_ascii_whitespace();
            let Some(key) = words.next() else { continue };
            if key == "SV" {
                return Ok(header);
            }
            let values: Vec<&str> = words.collect();
            header.take(key, &values).map_err(|problem| LibsvmError::Header { line, problem })?;
        }
        Err(LibsvmError::Missing("SV"))
    }

    fn take(&mut self, key: &str, values: &[&str]) -> Result<(), String> {
        let one = || match values {
            [value] => Ok(*value),
            _ => Err(format!("`{key}` takes one value; a model of two classes is wanted")),
        };
        let wrong = |wanted: &str| format!("`{key}` must be {wanted}, not `{}`", shorten(&values.join(" ")));
        let number = || finite(one()?).ok_or_else(|| wrong("a finite number"));
        match key {
            "svm_type" if one()? != "c_svc" => return Err(wrong("c_svc, a classifier")),
            "nr_class" if one()? != "2" => return Err(wrong("2")),
            "svm_type" | "nr_class" | "nr_sv" => {}
            "kernel_type" => self.kind = Some(one()?.to_owned()),
            "gamma" => self.gamma = Some(number()?),
            "coef0" => self.coef0 = Some(number()?),
            "degree" => self.degree = Some(one()?.parse().map_err(|_| wrong("a whole number"))?),
            "rho" => self.rho = Some(number()?),
            "probA" => self.prob_a = Some(number()?),
            "probB" => self.prob_b = Some(number()?),
            "prob_density_marks" => return Err("a one-class model cannot tell two classes apart".to_owned()),
            "total_sv" => self.total_sv = Some(one()?.parse().map_err(|_| wrong("a whole number"))?),
            "label" => match values {
                [first, second] if finite(first).is_some() && finite(second).is_some() => {
                    self.labels = Some([(*first).to_owned(), (*second).to_owned()]);
                }
                _ => return Err(wrong("two numbers")),
            },
            _ => return Err(format!("`{}` is not a line of a libSVM model", shorten(key))),
        }
        Ok(())
    }

    fn kernel(&self) -> Result<Kernel, LibsvmError> {
        let gamma = || self.gamma.ok_or(LibsvmError::Missing("gamma"));
        let coef0 = || self.coef0.ok_or(LibsvmError::Missing("coef0"));
        match self.kind.as_deref() {
            Some("linear") => Ok(Kernel::Linear),
            Some("rbf") => Ok(Kernel::Rbf { gamma: gamma()? }),
            Some("sigmoid") => Ok(Kernel::Sigmoid { gamma: gamma()?, coef0: coef0()? }),
            Some("polynomial") => {
                let degree = self.degree.ok_or(LibsvmError::Missing("degree"))?;
                Ok(Kernel::Poly { gamma: gamma()?, coef0: coef0()?, degree })
            }
            Some(other) => Err(LibsvmError::NotExportable(format!(
                "kernel_type {} cannot be imported; linear, polynomial, rbf and sigmoid can",
                shorten(other)
            ))),
            None => Err(LibsvmError::Missing("kernel_type")),
        }
    }
}
