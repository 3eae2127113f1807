//! The rules of a model file's values.

use crate::calibrate::{Calibration, Platt};
use crate::data::fixed::Shortest;
use crate::data::labels::Labels;
use crate::data::rows::{MAX_FEATURES, finite};
use crate::data::scaling::Scaling;
use crate::evaluate::metrics::{Confusion, Interval};
use crate::model::machine::Machine;
use crate::model::metadata::{MAX_METADATA_BYTES, Metadata};
use crate::model::training::{Measured, SolverRecord, Training};
use crate::model::{Features, ModelError, Parts};
use crate::score::fold;
use crate::solve::duality::allowed_gap;

/// Every rule of a model; parts that pass are never checked again.
pub(crate) fn check(parts: &Parts) -> Result<(), ModelError> {
    if let Some(name) = &parts.name {
        check_name(name).map_err(|problem| ModelError::field("name", problem))?;
    }
    check_features(&parts.features)?;
    check_window(&parts.window)?;
    check_labels(&parts.labels)?;
    let count = parts.features.count;
    if let Some(scaling) = &parts.scaling {
        check_numbers("scaling.mean", &scaling.mean, count)?;
        check_numbers("scaling.scale", &scaling.scale, count)?;
        if let Some(bad) = scaling.scale.iter().position(|&scale| scale <= 0.0) {
            return Err(ModelError::field(format!("scaling.scale[{bad}]"), "must be above 0"));
        }
    }
    check_machine(&parts.machine, count, parts.scaling.as_ref())?;
    // An isotonic one cannot be made out of range.
    if let Some(Platt { a, b }) = parts.calibration.as_ref().and_then(Calibration::platt) {
        check_numbers("calibration.a", &[a], 1)?;
        check_numbers("calibration.b", &[b], 1)?;
        if a > 0.0 {
            let problem = "must be 0 or below: above it a higher score has a lower probability; train again, or set \
                           calibration to null for a model that tells scores alone";
            return Err(ModelError::field("calibration.a", problem));
        }
    }
    parts.training.as_ref().map_or(Ok(()), |training| check_training(training, count))
}

/// The rule for names of models: 1 to 64 of `A-Z a-z 0-9 . _ : -`.
///
/// # Errors
/// The rule, for a message.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    let fits = (1..=64).contains(&name.len()) && name.bytes().all(allowed);
    fits.then_some(()).ok_or("must be 1 to 64 of A-Z a-z 0-9 . _ : -")
}

/// Also checked before anything is allocated by the count.
pub(crate) fn check_features(features: &Features) -> Result<(), ModelError> {
    let Features { definition, names, count } = features;
    if !(1..=MAX_FEATURES).contains(count) {
        return Err(ModelError::field("features.count", format!("must be from 1 to {MAX_FEATURES}")));
    }
    let short = |text: &String| (1..=64).contains(&text.len());
    if !definition.iter().all(short) {
        return Err(ModelError::field("features.definition", "must have 1 to 64 characters"));
    }
    let Some(names) = names else { return Ok(()) };
    if names.len() != *count {
        let problem = format!("has {} names for {count} features", names.len());
        return Err(ModelError::field("features.names", problem));
    }
    match names.iter().position(|name| !short(name)) {
        Some(bad) => Err(ModelError::field(format!("features.names[{bad}]"), "must have 1 to 64 characters")),
        None => Ok(()),
    }
}

fn check_window(window: &Metadata) -> Result<(), ModelError> {
    let bytes = window.as_str().len();
    if bytes > MAX_METADATA_BYTES {
        let problem = format!("must be at most {MAX_METADATA_BYTES} bytes of JSON, not {bytes}");
        return Err(ModelError::field("window", problem));
    }
    Ok(())
}

fn check_labels(labels: &Labels) -> Result<(), ModelError> {
    let number = |field: &str, text: &String| {
        let value = finite(text).filter(|_| text.len() <= 32);
        value.ok_or_else(|| ModelError::field(field, "must be a number of at most 32 characters, such as 1"))
    };
    let positive = number("labels.positive", &labels.positive)?;
    let negative = number("labels.negative", &labels.negative)?;
    if positive > negative {
        return Ok(());
    }
    Err(ModelError::field(
        "labels",
        format!("positive ({positive}) must be greater than negative ({negative})"),
    ))
}

fn check_machine(machine: &Machine, count: usize, scaling: Option<&Scaling>) -> Result<(), ModelError> {
    check_numbers("bias", &[machine.bias()], 1)?;
    match machine {
        Machine::Linear { weights, bias } => {
            check_numbers("weights", weights, count)?;
            let (folded, bias) = fold(weights, *bias, scaling);
            check_numbers("weights (divided by scaling.scale)", &folded, count)?;
            check_numbers("bias (moved by scaling.mean)", &[bias], 1)
        }
        Machine::Kernel { kernel, vectors, coefficients, .. } => {
            if let Some((field, wanted)) = kernel.fault() {
                return Err(ModelError::field(format!("kernel.{field}"), format!("must be {wanted}")));
            }
            if vectors.is_empty() {
                return Err(ModelError::field("support_vectors", "must not be empty"));
            }
            check_numbers("coefficients", coefficients, vectors.len())?;
            for (i, vector) in vectors.rows().enumerate() {
                check_numbers(&format!("support_vectors[{i}]"), vector, count)?;
            }
            Ok(())
        }
    }
}

fn check_training(training: &Training, count: usize) -> Result<(), ModelError> {
    let hex = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !training.data_sha256.iter().all(hex) {
        return Err(ModelError::field("training.data_sha256", "must be 64 hex digits"));
    }
    if !(training.c.is_finite() && training.c > 0.0) {
        return Err(ModelError::field("training.c", "must be a finite number above 0"));
    }
    if training.positives > training.rows {
        return Err(ModelError::field("training.positives", "must not be more than training.rows"));
    }
    if let Some(mean) = &training.feature_mean {
        check_numbers("training.feature_mean", mean, count)?;
    }
    if let Some(measured) = &training.measured {
        check_measured(measured)?;
    }
    let Some(parameters) = &training.parameters else { return Ok(()) };
    if parameters.support_vectors > training.rows {
        let problem = "must not be more than training.rows";
        return Err(ModelError::field("training.parameters.support_vectors", problem));
    }
    check_parameters(parameters)
}

/// Shares lie in 0 to 1, intervals hold what they are of, counts can be added up.
fn check_measured(measured: &Measured) -> Result<(), ModelError> {
    let wrong = |field: &str, wanted: &str| {
        Err(ModelError::field(format!("training.measured.{field}"), format!("must be {wanted}")))
    };
    if measured.folds.is_some_and(|folds| folds < 2) {
        return wrong("folds", "2 or more, or null");
    }
    if measured.unconverged_folds.is_some_and(|count| !(1..=measured.folds.unwrap_or(0)).contains(&count)) {
        return wrong("unconverged_folds", "from 1 to the number of folds, or null");
    }
    let metrics = &measured.metrics;
    let Confusion { true_positive, false_positive, false_negative, true_negative } = metrics.confusion;
    let counts = [true_positive, false_positive, false_negative, true_negative];
    if counts.iter().any(|&count| count > u64::MAX / 4) {
        return wrong("metrics.confusion", "counts of rows");
    }
    for (field, value, interval) in [
        ("metrics.error", Some(metrics.error), metrics.error_interval),
        ("metrics.precision", metrics.precision, metrics.precision_interval),
        ("metrics.recall", metrics.recall, metrics.recall_interval),
        ("metrics.auc", metrics.auc, metrics.auc_interval),
        ("metrics.probability_auc", metrics.probability_auc, None),
        ("metrics.calibration_error", metrics.calibration_error, None),
    ] {
        if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            return wrong(field, "from 0 to 1");
        }
        if interval.is_some_and(|Interval(low, high)| !(0.0 <= low && low <= high && high <= 1.0)) {
            return wrong(&format!("{field}_interval"), "two rising numbers from 0 to 1");
        }
    }
    if metrics.log_loss.is_some_and(|loss| loss < 0.0) {
        return wrong("metrics.log_loss", "0 or more");
    }
    Ok(())
}

fn check_parameters(parameters: &SolverRecord) -> Result<(), ModelError> {
    let wrong = |field: &str, wanted: &str| {
        Err(ModelError::field(format!("training.parameters.{field}"), format!("must be {wanted}")))
    };
    let above_0 = |value: f64| value.is_finite() && value > 0.0;
    if !["hinge", "squared-hinge", "logistic"].contains(&parameters.loss.as_str()) {
        return wrong("loss", "hinge, squared-hinge or logistic");
    }
    if !["free", "regularised"].contains(&parameters.bias.as_str()) {
        return wrong("bias", "free or regularised");
    }
    if !above_0(parameters.epsilon) {
        return wrong("epsilon", "a finite number above 0");
    }
    if parameters.gap.is_some_and(|gap| gap.is_nan() || gap < 0.0) {
        return wrong("gap", "0 or more");
    }
    // Files of versions 1 and 2 have no gap to judge by.
    let allowed = allowed_gap(parameters.epsilon);
    if let Some(gap) = parameters.gap.filter(|&gap| parameters.converged && gap > allowed) {
        let (gap, allowed) = (Shortest(gap), Shortest(allowed));
        let above =
            format!("false, since gap is {gap} and no solver converges above {allowed} at this epsilon");
        return wrong("converged", &format!("{above}; train again"));
    }
    if !parameters.class_weights.iter().all(|weight| above_0(weight.0)) {
        return wrong("class_weights", "finite numbers above 0");
    }
    Ok(())
}

fn check_numbers(field: &str, numbers: &[f64], count: usize) -> Result<(), ModelError> {
    if numbers.len() != count {
        let problem = format!("has {} numbers where {count} are wanted", numbers.len());
        return Err(ModelError::field(field, problem));
    }
    match numbers.iter().position(|number| !number.is_finite()) {
        Some(_) if count == 1 => Err(ModelError::field(field, "must be a finite number")),
        Some(bad) => Err(ModelError::field(format!("{field}[{bad}]"), "must be a finite number")),
        None => Ok(()),
    }
}
