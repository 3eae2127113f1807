//! ONNX: a model as a graph for serving stacks.
//!
//! A linear machine becomes a `LinearClassifier` with the scaling folded in, a kernel machine a
//! `SVMClassifier` behind a `Scaler`, all three of the domain `ai.onnx.ml`. The calibration follows as
//! plain operators on the score: the classifier's own `prob_a` and `prob_b` are not used, because runtimes
//! find two-class probabilities by an iteration that stops early (docs/decisions/onnx-export.md in the repository).

mod messages;

use std::io::Write;

use prost::Message;

use self::messages::{
    Attribute, Dimension, FLOATS, Graph, INT, INTS, Node, OperatorSet, Property, STRING, STRINGS, Shape,
    TYPE_FLOAT, TYPE_INT64, TYPE_STRING, Tensor, TensorType, Type, ValueInfo,
};
use crate::calibrate::{Calibration, Platt};
use crate::data::labels::Labels;
use crate::data::matrix::Matrix;
use crate::data::rows::finite;
use crate::data::scaling::Scaling;
use crate::formats::ExchangeError;
use crate::kernel::Kernel;
use crate::model::Model;
use crate::model::machine::Machine;
use crate::score::fold;

/// Version 7 of the format, with opset 13: what runtimes since 2020 read.
const IR_VERSION: i64 = 7;
const OPSET: i64 = 13;
const ML_OPSET: i64 = 1;
const ML: &str = "ai.onnx.ml";

/// Writes a model as ONNX.
///
/// Input `X`: float32 `[N, features]`, unscaled. Outputs: `label`, `[N]`, int64 when both labels are whole
/// numbers, else the labels as text; and float32 `[N, 2]`, the negative label's column first:
/// `probabilities` of a calibrated model, `scores` (minus the score, and the score) of any other.
///
/// # Errors
/// Numbers beyond 32-bit floats; a failing writer.
pub fn export(model: &Model, mut output: impl Write) -> Result<(), ExchangeError> {
    let parts = model.parts();
    let mut graph = Graph { name: "upbeat".to_owned(), ..Graph::default() };
    graph.input.push(matrix("X", parts.features.count));
    match &parts.machine {
        Machine::Linear { weights, bias } => {
            let (weights, bias) = fold(weights, *bias, parts.scaling.as_ref());
            graph.node.push(linear(&weights, bias, &parts.labels)?);
        }
        Machine::Kernel { kernel, vectors, coefficients, bias } => {
            if let Some(scaling) = &parts.scaling {
                graph.node.push(scaler(scaling)?);
            }
            let input = if parts.scaling.is_some() { "scaled" } else { "X" };
            let expansion = (vectors, coefficients.as_slice(), *bias);
            graph.node.push(machine(input, *kernel, expansion, &parts.labels)?);
        }
    }
    graph.output.push(ValueInfo {
        name: "label".to_owned(),
        kind: tensor(if whole(&parts.labels).is_some() { TYPE_INT64 } else { TYPE_STRING }, &[None]),
    });
    if let Some(platt) = parts.calibration.as_ref().and_then(Calibration::platt) {
        calibrate(&mut graph, platt)?;
        graph.output.push(matrix("probabilities", 2));
    } else {
        graph.output.push(matrix("scores", 2));
    }
    let file = messages::Model {
        ir_version: IR_VERSION,
        producer_name: "upbeat".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        doc_string: format!("Input X: float32 [N, {}], unscaled.", parts.features.count),
        graph: Some(graph),
        opset_import: [("", OPSET), (ML, ML_OPSET)]
            .map(|(domain, version)| OperatorSet { domain: domain.to_owned(), version })
            .to_vec(),
        metadata_props: properties(model),
    };
    output.write_all(&file.encode_to_vec())?;
    Ok(output.flush()?)
}

/// `(x - mean) / scale`
fn scaler(scaling: &Scaling) -> Result<Node, ExchangeError> {
    let factors: Vec<f64> = scaling.scale.iter().map(|scale| scale.recip()).collect();
    Ok(Node {
        attribute: vec![floats("offset", &scaling.mean)?, floats("scale", &factors)?],
        ..node(ML, "Scaler", &["X"], &["scaled"])
    })
}

/// A row of weights for each label. Of two equal scores the first wins, which is the negative label.
fn linear(weights: &[f64], bias: f64, labels: &Labels) -> Result<Node, ExchangeError> {
    let rows: Vec<f64> = weights.iter().map(|weight| -weight).chain(weights.iter().copied()).collect();
    Ok(Node {
        attribute: vec![
            floats("coefficients", &rows)?,
            floats("intercepts", &[-bias, bias])?,
            text("post_transform", "NONE"),
            class_labels(labels, [&labels.negative, &labels.positive]),
        ],
        ..node(ML, "LinearClassifier", &["X"], &["label", "scores"])
    })
}

/// As libSVM has it: a sum above 0 is the first label's, and its vectors stand in front. Runtimes write
/// minus the sum into the first column and the sum into the second, so the columns come out as the linear
/// machine's do.
fn machine(
    input: &str,
    kernel: Kernel,
    (vectors, coefficients, bias): (&Matrix, &[f64], f64),
    labels: &Labels,
) -> Result<Node, ExchangeError> {
    let (of_first, of_second): (Vec<usize>, Vec<usize>) =
        (0..coefficients.len()).partition(|&i| coefficients[i] > 0.0);
    let counts = [of_first.len() as i64, of_second.len() as i64];
    let order: Vec<usize> = of_first.into_iter().chain(of_second).collect();
    let in_order: Vec<f64> = order.iter().map(|&i| coefficients[i]).collect();
    let flat: Vec<f64> = order.iter().flat_map(|&i| vectors.row(i)).copied().collect();
    let name = match kernel {
        Kernel::Linear => "LINEAR",
        Kernel::Rbf { .. } => "RBF",
        Kernel::Poly { .. } => "POLY",
        Kernel::Sigmoid { .. } => "SIGMOID",
    };
    let degree = kernel.degree().map_or(0.0, f64::from);
    let parameters = [kernel.gamma().unwrap_or(0.0), kernel.coef0().unwrap_or(0.0), degree];
    Ok(Node {
        attribute: vec![
            text("kernel_type", name),
            floats("kernel_params", &parameters)?,
            floats("support_vectors", &flat)?,
            floats("coefficients", &in_order)?,
            // Added to the sum, unlike libSVM's.
            floats("rho", &[bias])?,
            ints("vectors_per_class", &counts),
            text("post_transform", "NONE"),
            class_labels(labels, [&labels.positive, &labels.negative]),
        ],
        ..node(ML, "SVMClassifier", &[input], &["label", "scores"])
    })
}

/// The columns `1 - p` and `p` with `p = sigmoid(-a · score - b)`.
fn calibrate(graph: &mut Graph, Platt { a, b }: Platt) -> Result<(), ExchangeError> {
    let constant = |name: &str, value: f64| -> Result<Tensor, ExchangeError> {
        let float_data = vec![single(name, value)?];
        Ok(Tensor {
            dims: vec![1],
            data_type: TYPE_FLOAT,
            float_data,
            name: name.to_owned(),
            ..Tensor::default()
        })
    };
    graph.initializer = vec![
        Tensor {
            dims: vec![1],
            data_type: TYPE_INT64,
            int64_data: vec![1],
            name: "positive_column".to_owned(),
            ..Tensor::default()
        },
        constant("slope", -a)?,
        constant("offset", -b)?,
        constant("one", 1.0)?,
    ];
    let whole = |name: &str, value: i64| Attribute {
        i: Some(value),
        kind: INT,
        name: name.to_owned(),
        ..Attribute::default()
    };
    graph.node.extend([
        Node {
            attribute: vec![whole("axis", 1)],
            ..node("", "Gather", &["scores", "positive_column"], &["score"])
        },
        node("", "Mul", &["score", "slope"], &["sloped"]),
        node("", "Add", &["sloped", "offset"], &["log_odds"]),
        node("", "Sigmoid", &["log_odds"], &["positive"]),
        node("", "Sub", &["one", "positive"], &["negative"]),
        Node {
            attribute: vec![whole("axis", 1)],
            ..node("", "Concat", &["negative", "positive"], &["probabilities"])
        },
    ]);
    Ok(())
}

/// Both labels as whole numbers, the positive first.
fn whole(labels: &Labels) -> Option<[i64; 2]> {
    // Beyond 2^53 not every whole number is a 64-bit float.
    let whole =
        |label: &str| finite(label).filter(|value| value.fract() == 0.0 && value.abs() < (1u64 << 53) as f64);
    Some([whole(&labels.positive)? as i64, whole(&labels.negative)? as i64])
}

fn class_labels(labels: &Labels, order: [&String; 2]) -> Attribute {
    match whole(labels) {
        Some(_) => ints("classlabels_ints", &order.map(|label| finite(label).unwrap_or(0.0) as i64)),
        None => Attribute {
            name: "classlabels_strings".to_owned(),
            strings: order.map(|label| label.clone().into_bytes()).to_vec(),
            kind: STRINGS,
            ..Attribute::default()
        },
    }
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

fn node(domain: &str, operator: &str, input: &[&str], output: &[&str]) -> Node {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Node {
        input: owned(input),
        output: owned(output),
        name: output[0].to_owned(),
        op_type: operator.to_owned(),
        domain: domain.to_owned(),
        attribute: Vec::new(),
    }
}

fn floats(name: &str, values: &[f64]) -> Result<Attribute, ExchangeError> {
    let floats = values.iter().map(|&value| single(name, value)).collect::<Result<_, _>>()?;
    Ok(Attribute { name: name.to_owned(), floats, kind: FLOATS, ..Attribute::default() })
}

fn ints(name: &str, values: &[i64]) -> Attribute {
    Attribute { name: name.to_owned(), ints: values.to_vec(), kind: INTS, ..Attribute::default() }
}

fn text(name: &str, value: &str) -> Attribute {
    Attribute { name: name.to_owned(), s: Some(value.into()), kind: STRING, ..Attribute::default() }
}

/// The nearest 32-bit float.
fn single(name: &str, value: f64) -> Result<f32, ExchangeError> {
    Some(value as f32).filter(|single| single.is_finite()).ok_or_else(|| {
        ExchangeError::NotExportable(format!(
            "{name}: {value:e} cannot be exported: ONNX's classifiers compute in 32-bit floats"
        ))
    })
}

/// The type of a tensor; a dimension without a size is that of the rows.
fn tensor(element: i32, sizes: &[Option<usize>]) -> Option<Type> {
    let dimension = |size: &Option<usize>| match size {
        Some(size) => Dimension { value: Some(*size as i64), name: None },
        None => Dimension { value: None, name: Some("N".to_owned()) },
    };
    let shape = Some(Shape { dim: sizes.iter().map(dimension).collect() });
    Some(Type { tensor: Some(TensorType { element, shape }) })
}

fn matrix(name: &str, columns: usize) -> ValueInfo {
    ValueInfo { name: name.to_owned(), kind: tensor(TYPE_FLOAT, &[None, Some(columns)]) }
}

#[cfg(test)]
mod tests;
