//! LIBLINEAR's model text: what its `train` writes and its `predict` reads.
//!
//! A weight a line, and behind them that of the bias, when there is one: LIBLINEAR takes a bias for one
//! more feature, which is `bias` in every row. A score above 0 means the *first* label of the file.

use std::io::{BufRead, Write};

use crate::calibrate::{Calibration, Platt};
use crate::data::g17::G17;
use crate::data::rows::{MAX_FEATURES, shorten};
use crate::formats::header::{HeaderLine, HeaderReader, set};
use crate::formats::{ExchangeError, Import, check_folded, order, whole_labels};
use crate::model::machine::Machine;
use crate::model::{Features, Model, Parts};
use crate::score::fold;

const TOOL: &str = "LIBLINEAR's train";

/// Solvers of two classes whose score is that of a support vector machine.
const MACHINES: [&str; 4] =
    ["L2R_L2LOSS_SVC_DUAL", "L2R_L2LOSS_SVC", "L2R_L1LOSS_SVC_DUAL", "L1R_L2LOSS_SVC"];

/// Solvers of two classes whose score is the log of the odds.
const LOGISTIC: [&str; 3] = ["L2R_LR", "L1R_LR", "L2R_LR_DUAL"];

/// The calibration of a logistic regression: probability = 1 / (1 + exp(-score)).
const OF_LOG_ODDS: Calibration = Calibration::Platt(Platt { a: -1.0, b: 0.0 });

/// Writes a linear model as LIBLINEAR text, with the scaling folded into weights and bias: it takes rows
/// as they are.
///
/// A model whose scores are the log of the odds (its calibration is a = -1, b = 0) is written as `L2R_LR`,
/// for which `predict -b 1` gives its probabilities; any other as `L2R_L1LOSS_SVC_DUAL`, without its
/// calibration, for which the format has no field.
///
/// # Errors
/// A model with another kernel; labels that are not whole numbers; means so many times their scale that the weights cannot
/// hold the scaling; a failing writer.
pub fn export(model: &Model, mut output: impl Write) -> Result<(), ExchangeError> {
    let parts = model.parts();
    let Machine::Linear { weights, bias } = &parts.machine else {
        return Err(ExchangeError::NotExportable(format!(
            "LIBLINEAR has linear models only, and this one's kernel is {}; use --format libsvm or onnx",
            parts.machine.kernel().name()
        )));
    };
    let [positive, negative] = whole_labels(&parts.labels)?;
    let (weights, bias) = fold(weights, *bias, parts.scaling.as_ref());
    check_folded(model, &weights, bias)?;
    let solver = if keeps_calibration(model) { LOGISTIC[0] } else { "L2R_L1LOSS_SVC_DUAL" };
    writeln!(output, "solver_type {solver}\nnr_class 2\nlabel {positive} {negative}")?;
    writeln!(output, "nr_feature {}\nbias 1\nw", weights.len())?;
    for weight in weights.iter().chain([&bias]) {
        // LIBLINEAR itself ends each weight with a space.
        writeln!(output, "{} ", G17(*weight))?;
    }
    Ok(output.flush()?)
}

/// Whether LIBLINEAR's text can hold the model's calibration.
pub fn keeps_calibration(model: &Model) -> bool {
    model.parts().calibration == Some(OF_LOG_ODDS)
}

/// The header lines that were there.
#[derive(Default)]
struct Header {
    solver: Option<String>,
    nr_class: Option<()>,
    labels: Option<[String; 2]>,
    nr_feature: Option<usize>,
    bias: Option<f64>,
}

/// Reads a LIBLINEAR classifier of two classes from its second line on.
///
/// # Errors
/// Regression, one class, more than two classes, Crammer and Singer's method; more or fewer weights than
/// the header announces, or weights that are not finite numbers.
pub(crate) fn import<R: BufRead>(
    first: HeaderLine,
    mut lines: HeaderReader<R>,
    wanted: Import,
) -> Result<Model, ExchangeError> {
    let header = Header::read(first, &mut lines)?;
    let missing = |key| ExchangeError::Missing(key, TOOL);
    let solver = header.solver.ok_or(missing("solver_type"))?;
    header.nr_class.ok_or(missing("nr_class"))?;
    let count = header.nr_feature.ok_or(missing("nr_feature"))?;
    let bias_feature = header.bias.ok_or(missing("bias"))?;
    let (sign, labels) = order(header.labels.ok_or(missing("label"))?);

    // Below 0 means no bias, as on the command line of `train -B`.
    let with_bias = bias_feature >= 0.0;
    let mut weights = read_weights(&mut lines, count + usize::from(with_bias))?;
    weights.iter_mut().for_each(|weight| *weight *= sign);
    let bias = if with_bias { weights.pop().unwrap_or(0.0) * bias_feature } else { 0.0 };
    let columns = wanted.count(count);
    if columns < count {
        return Err(ExchangeError::NotExportable(format!(
            "the model has {count} features, and rows are to have {columns}"
        )));
    }
    weights.resize(columns, 0.0);
    Ok(Model::new(Parts {
        name: wanted.name,
        features: Features::of_count(columns),
        window: wanted.window,
        labels,
        scaling: None,
        machine: Machine::Linear { weights, bias },
        calibration: LOGISTIC.contains(&solver.as_str()).then_some(OF_LOG_ODDS),
        training: None,
    })?)
}

fn read_weights<R: BufRead>(lines: &mut HeaderReader<R>, wanted: usize) -> Result<Vec<f64>, ExchangeError> {
    let mut weights = Vec::new();
    while let Some(weight) = lines.next_number()? {
        if weights.len() == wanted {
            let problem = format!("more weights than the {wanted} of nr_feature and bias");
            return Err(ExchangeError::Line { line: lines.line(), problem });
        }
        weights.push(weight);
    }
    if weights.len() < wanted {
        let (line, what, read) = (lines.line(), "weights", weights.len());
        return Err(ExchangeError::Truncated { line, what, wanted, read });
    }
    Ok(weights)
}

impl Header {
    fn read<R: BufRead>(first: HeaderLine, lines: &mut HeaderReader<R>) -> Result<Self, ExchangeError> {
        let mut header = Self::default();
        lines.read_until("w", TOOL, first, |line| header.take(line))?;
        Ok(header)
    }

    fn take(&mut self, line: &HeaderLine) -> Result<(), ExchangeError> {
        match line.key.as_str() {
            "solver_type" => set(&mut self.solver, line, solver_type(line)?),
            "nr_class" if line.one()? == "2" => set(&mut self.nr_class, line, ()),
            "nr_class" => Err(line.wrong("2")),
            "label" => set(&mut self.labels, line, line.labels()?),
            "nr_feature" => {
                let count = Some(line.whole()?).filter(|count| (1..=MAX_FEATURES).contains(count));
                let count = count.ok_or_else(|| line.wrong(&format!("from 1 to {MAX_FEATURES}")))?;
                set(&mut self.nr_feature, line, count)
            }
            "bias" => set(&mut self.bias, line, line.number()?),
            other => Err(line.fault(format!("`{}` is not a line of a LIBLINEAR model", shorten(other)))),
        }
    }
}

fn solver_type(line: &HeaderLine) -> Result<String, ExchangeError> {
    let solver = line.one()?;
    if MACHINES.contains(&solver) || LOGISTIC.contains(&solver) {
        return Ok(solver.to_owned());
    }
    let why = match solver {
        "MCSVM_CS" => "a score for each class (Crammer and Singer); train with another -s",
        "ONECLASS_SVM" => "one class; it cannot tell two apart",
        "L2R_L2LOSS_SVR" | "L2R_L2LOSS_SVR_DUAL" | "L2R_L1LOSS_SVR_DUAL" => "regression, not classes",
        _ => return Err(line.wrong("a classifier of LIBLINEAR's, such as L2R_L1LOSS_SVC_DUAL")),
    };
    Err(line.fault(format!("a model of {solver} is {why}")))
}

#[cfg(test)]
mod tests;
