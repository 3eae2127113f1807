//! Reading what `svm-train` writes.

use std::io::BufRead;

use crate::calibrate::{Calibration, Platt};
use crate::data::matrix::Matrix;
use crate::data::rows::{RowError, RowFault, shorten};
use crate::formats::header::{HeaderLine, HeaderReader, set};
use crate::formats::{ExchangeError, Import, order};
use crate::kernel::Kernel;
use crate::model::machine::Machine;
use crate::model::{Features, Model, Parts};

/// Most numbers in all support vectors together: 128 MiB of memory, and more than a model file holds.
const MAX_CELLS: usize = 1 << 24;

const TOOL: &str = "svm-train";

/// The header lines that were there.
#[derive(Default)]
struct Header {
    svm_type: Option<()>,
    nr_class: Option<()>,
    kind: Option<String>,
    gamma: Option<f64>,
    coef0: Option<f64>,
    degree: Option<u32>,
    rho: Option<f64>,
    labels: Option<[String; 2]>,
    prob_a: Option<f64>,
    prob_b: Option<f64>,
    total_sv: Option<usize>,
    of_classes: Option<[usize; 2]>,
}

/// Reads a libSVM `c_svc` model of two classes from its second line on.
///
/// # Errors
/// Another type of model or kernel, more than two classes, lines that are not numbers, vectors wider than
/// the features asked for, more or fewer vectors than the header announces.
pub(crate) fn import<R: BufRead>(
    first: HeaderLine,
    mut lines: HeaderReader<R>,
    wanted: Import,
) -> Result<Model, ExchangeError> {
    let header = Header::read(first, &mut lines)?;
    let missing = |key| ExchangeError::Missing(key, TOOL);
    header.svm_type.ok_or(missing("svm_type"))?;
    let kernel = header.kernel()?;
    let rho = header.rho.ok_or(missing("rho"))?;
    let total = header.total_sv.ok_or(missing("total_sv"))?;
    let (sign, labels) = order(header.labels.ok_or(missing("label"))?);
    let (mut coefficients, vectors) = read_vectors(lines, total, &wanted)?;

    coefficients.iter_mut().for_each(|coefficient| *coefficient *= sign);
    // 1 - 1/(1+exp(Af+B)) = 1/(1+exp(A(-f)-B)): changing the score's sign changes that of B and leaves A.
    let calibration = match (header.prob_a, header.prob_b) {
        (Some(a), Some(b)) => Some(Calibration::Platt(Platt { a, b: b * sign })),
        (None, None) => None,
        (Some(_), None) => return Err(missing("probB")),
        (None, Some(_)) => return Err(missing("probA")),
    };
    let count = vectors.columns();
    Ok(Model::new(Parts {
        name: wanted.name,
        features: Features::of_count(count),
        window: wanted.window,
        labels,
        scaling: None,
        machine: Machine::from_expansion(kernel, vectors, coefficients, -rho * sign),
        calibration,
        training: None,
    })?)
}

fn read_vectors<R: BufRead>(
    mut lines: HeaderReader<R>,
    total: usize,
    wanted: &Import,
) -> Result<(Vec<f64>, Matrix), ExchangeError> {
    let mut coefficients: Vec<f64> = Vec::new();
    let mut rows: Vec<Vec<(usize, f64)>> = Vec::new();
    let mut entries = Vec::new();
    let mut widest = 1;
    while let Some(coefficient) = lines.next_vector(&mut entries)? {
        let line = lines.line();
        if rows.len() == total {
            let problem = format!("more support vectors than the {total} of total_sv");
            return Err(ExchangeError::Line { line, problem });
        }
        let index = entries.last().map_or(0, |entry| entry.0);
        if let Some(features) = wanted.features.filter(|&features| index > features) {
            return Err(RowError::At { line, fault: RowFault::BeyondModel { index, features } }.into());
        }
        widest = widest.max(index);
        coefficients.push(coefficient);
        rows.push(entries.clone());
        if rows.len().saturating_mul(wanted.count(widest)) > MAX_CELLS {
            return Err(ExchangeError::TooBig(MAX_CELLS));
        }
    }
    if rows.len() < total {
        let (line, what) = (lines.line(), "support vectors");
        return Err(ExchangeError::Truncated { line, what, wanted: total, read: rows.len() });
    }
    let mut vectors = Matrix::new(wanted.count(widest));
    for row in rows {
        let dense = vectors.push_zeros();
        row.into_iter().for_each(|(index, value)| dense[index - 1] = value);
    }
    Ok((coefficients, vectors))
}

impl Header {
    fn read<R: BufRead>(first: HeaderLine, lines: &mut HeaderReader<R>) -> Result<Self, ExchangeError> {
        let mut header = Self::default();
        let line = lines.read_until("SV", TOOL, first, |line| header.take(line))?;
        if let (Some(total), Some([first, second])) = (header.total_sv, header.of_classes)
            && first.checked_add(second) != Some(total)
        {
            return Err(line.fault(format!("nr_sv {first} {second} does not add up to total_sv {total}")));
        }
        Ok(header)
    }

    fn take(&mut self, line: &HeaderLine) -> Result<(), ExchangeError> {
        match line.key.as_str() {
            "svm_type" if line.one()? == "c_svc" => set(&mut self.svm_type, line, ()),
            "svm_type" => Err(line.wrong("c_svc, a classifier")),
            "nr_class" if line.one()? == "2" => set(&mut self.nr_class, line, ()),
            "nr_class" => Err(line.wrong("2")),
            "kernel_type" => set(&mut self.kind, line, kernel_type(line)?),
            "gamma" => set(&mut self.gamma, line, line.number()?),
            "coef0" => set(&mut self.coef0, line, line.number()?),
            "degree" => set(&mut self.degree, line, line.whole()?),
            "rho" => set(&mut self.rho, line, line.number()?),
            "probA" => set(&mut self.prob_a, line, falling(line)?),
            "probB" => set(&mut self.prob_b, line, line.number()?),
            "total_sv" => set(&mut self.total_sv, line, line.whole()?),
            "label" => set(&mut self.labels, line, line.labels()?),
            "nr_sv" => set(&mut self.of_classes, line, counts(line)?),
            "prob_density_marks" => Err(line.fault("a one-class model cannot tell two classes apart")),
            other => {
                let mut problem = format!("`{}` is not a line of a libSVM model", shorten(other));
                if line.line == 1 {
                    problem += "; one begins with svm_type, a LIBLINEAR model with solver_type";
                }
                Err(line.fault(problem))
            }
        }
    }

    fn kernel(&self) -> Result<Kernel, ExchangeError> {
        let gamma = || self.gamma.ok_or(ExchangeError::Missing("gamma", TOOL));
        let coef0 = || self.coef0.ok_or(ExchangeError::Missing("coef0", TOOL));
        let degree = || self.degree.ok_or(ExchangeError::Missing("degree", TOOL));
        match self.kind.as_deref().ok_or(ExchangeError::Missing("kernel_type", TOOL))? {
            "rbf" => Ok(Kernel::Rbf { gamma: gamma()? }),
            "sigmoid" => Ok(Kernel::Sigmoid { gamma: gamma()?, coef0: coef0()? }),
            "polynomial" => Ok(Kernel::Poly { gamma: gamma()?, coef0: coef0()?, degree: degree()? }),
            _ => Ok(Kernel::Linear),
        }
    }
}

fn kernel_type(line: &HeaderLine) -> Result<String, ExchangeError> {
    let kind = line.one()?;
    let known = ["linear", "polynomial", "rbf", "sigmoid"].contains(&kind);
    known.then(|| kind.to_owned()).ok_or_else(|| line.wrong("linear, polynomial, rbf or sigmoid"))
}

/// The slope of libSVM's sigmoid, which has our sign whichever label comes first.
fn falling(line: &HeaderLine) -> Result<f64, ExchangeError> {
    let slope = line.number()?;
    if slope > 0.0 {
        let problem = "probA is above 0, so that a higher decision value has a lower probability; take the lines \
                       probA and probB out to import the decision values alone";
        return Err(line.fault(problem));
    }
    Ok(slope)
}

fn counts(line: &HeaderLine) -> Result<[usize; 2], ExchangeError> {
    let counts = line.pair().map(|pair| pair.map(str::parse::<usize>));
    match counts {
        Some([Ok(first), Ok(second)]) => Ok([first, second]),
        _ => Err(line.wrong("two whole numbers")),
    }
}
