//! ONNX: a model as a graph for serving stacks.
//!
//! The model's formula in plain operators of the default domain, on 64-bit floats: scaling, kernel, sum, sigmoid. Rows
//! come in and probabilities go out as 32-bit floats. The classifiers of `ai.onnx.ml` are not used: they compute in
//! 32-bit floats, and a probability may then be another one (docs/decisions/onnx-export.md in the repository).

mod graph;
mod messages;
mod run;

use std::io::Write;

use prost::Message;

use self::messages::{Graph, OperatorSet, Property};
use self::run::Runner;
use crate::data::fixed::{Shortest, Significant};
use crate::formats::probe::{self, Difference};
use crate::formats::{ExchangeError, has_sigmoid};
use crate::model::Model;
use crate::score::Scorer;

/// Version 7 of the format, with opset 13: what runtimes since 2020 read.
const IR_VERSION: i64 = 7;
const OPSET: i64 = 13;

/// Most that a probability may differ from the model's; of scores it is a share of their size.
pub const MAX_DIFFERENCE: f64 = 1e-4;

/// Writes a model as ONNX.
///
/// Input `X`: float32 `[N, features]`, unscaled. Outputs: `label`, `[N]`, int64 when both labels are whole
/// numbers, else the labels as text; and float32 `[N, 2]`, the negative label's column first:
/// `probabilities` of a model calibrated by Platt's method, `scores` (minus the score, and the score) of any other.
///
/// Before anything is written, the graph is run for rows such as the model was trained on and held against the model:
/// labels must be equal where the score is not as good as 0, and probabilities within [`MAX_DIFFERENCE`].
///
/// # Errors
/// A model whose rows need more than 32-bit floats, with the greatest difference and the feature; a failing writer.
pub fn export(model: &Model, mut output: impl Write) -> Result<(), ExchangeError> {
    let parts = model.parts();
    let graph = graph::of(parts);
    check(model, &graph)?;
    let file = messages::Model {
        ir_version: IR_VERSION,
        producer_name: "upbeat".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        doc_string: format!("Input X: float32 [N, {}], unscaled.", parts.features.count),
        graph: Some(graph),
        opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
        metadata_props: properties(model),
    };
    output.write_all(&file.encode_to_vec())?;
    Ok(output.flush()?)
}

/// Refuses a graph whose answers are not the model's.
fn check(model: &Model, graph: &Graph) -> Result<(), ExchangeError> {
    let runner = Runner::new(graph);
    let calibrated = has_sigmoid(model);
    let difference = probe::greatest_difference(model, calibrated, |row| runner.run(row));
    match difference.filter(|difference| difference.apart > MAX_DIFFERENCE) {
        Some(difference) => Err(ExchangeError::NotExportable(refusal(model, calibrated, &difference))),
        None => Ok(()),
    }
}

fn refusal(model: &Model, calibrated: bool, difference: &Difference) -> String {
    let Difference { row, value, given, unit, rows, .. } = difference;
    let mut said = format!(
        "ONNX takes rows as 32-bit floats, and a {} of this model would be {} where it is {} (the greatest difference \
         of {rows} rows; {} is allowed)",
        if calibrated { "probability" } else { "score" },
        Significant(*given, 4),
        Significant(*value, 4),
        Significant(MAX_DIFFERENCE * unit, 2)
    );
    let narrow = |value: f64| f64::from((value as f32).clamp(f32::MIN, f32::MAX));
    // The feature whose rounding alone does most of it.
    let scorer = Scorer::new(model);
    let of = |row: &[f64]| {
        let score = scorer.score(row);
        if calibrated { scorer.probability(score).unwrap_or(score) } else { score }
    };
    let moved = |i: usize| {
        let mut row = row.clone();
        row[i] = narrow(row[i]);
        (of(&row) - value).abs()
    };
    let worst = (0..row.len()).map(|i| (moved(i), i)).max_by(|one, other| one.0.total_cmp(&other.0));
    if let Some((_, i)) = worst.filter(|worst| worst.0 > 0.0) {
        let name =
            model.parts().features.names.as_ref().map_or(String::new(), |names| format!(" ({})", names[i]));
        said += &format!(
            "; feature {}{name} weighs most, of which {} becomes {}. Subtract a constant from it or divide it by one, \
             so that it lies near 0 and 1, and train again; or export to libSVM's format",
            i + 1,
            Shortest(row[i]),
            Shortest(narrow(row[i]))
        );
    } else if value.abs() > f64::from(f32::MAX) {
        said += "; its scores are beyond 32-bit floats. Train with a smaller C, or on features nearer to 0";
    } else {
        said += "; rows differ by less than sums of such great values can hold. Train with --scale standard or a smaller \
                 gamma, or export to libSVM's format";
    }
    said
}

/// The file's metadata: identity, names of the features, labels, and `upbeat.window_<key>` for each plain value of
/// the model's own metadata ([`Model::window`]).
fn properties(model: &Model) -> Vec<Property> {
    let parts = model.parts();
    let property =
        |key: &str, value: &str| Property { key: format!("upbeat.{key}"), value: value.to_owned() };
    let mut all = vec![property("model_id", model.id())];
    all.extend(model.name().map(|name| property("model_name", name)));
    all.extend(parts.features.definition.as_ref().map(|name| property("feature_definition", name)));
    all.extend(parts.features.names.as_ref().map(|names| property("feature_names", &names.join(","))));
    all.extend(parts.window.scalars().iter().map(|(key, value)| property(&format!("window_{key}"), value)));
    all.push(property("label_positive", &parts.labels.positive));
    all.push(property("label_negative", &parts.labels.negative));
    all
}

#[cfg(test)]
mod tests;
