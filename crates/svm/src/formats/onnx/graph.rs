//! The graph of a model: its formula in plain operators on 64-bit floats.

use super::messages::{
    Attribute, Dimension, Graph, INT, Node, Shape, TYPE_DOUBLE, TYPE_FLOAT, TYPE_INT64, TYPE_STRING, Tensor,
    TensorType, Type, ValueInfo,
};
use crate::calibrate::{Calibration, Platt};
use crate::data::labels::Labels;
use crate::data::matrix::Matrix;
use crate::data::rows::finite;
use crate::kernel::Kernel;
use crate::model::Parts;
use crate::model::machine::Machine;

/// Greatest kernel value that is summed: a polynomial of rows at the end of 32-bit floats overflows, and two sums that
/// overflowed to both sides are no number.
const MAX_KERNEL_VALUE: f64 = 1e290;

/// Input `X`, outputs `label` and `probabilities` or `scores`.
pub(super) fn of(parts: &Parts) -> Graph {
    let mut graph = Graph { name: "upbeat".to_owned(), ..Graph::default() };
    let columns = parts.features.count;
    graph.input.push(matrix("X", columns));
    // A row beyond 32-bit floats arrives as infinity, and infinities of both signs add up to no number.
    graph.float("least", f32::MIN);
    graph.float("most", f32::MAX);
    graph.node("Clip", &["X", "least", "most"], "bounded");
    graph.cast("bounded", TYPE_DOUBLE, "x");
    score(&mut graph, parts);
    labels(&mut graph, &parts.labels);
    if let Some(platt) = parts.calibration.as_ref().and_then(Calibration::platt) {
        probabilities(&mut graph, platt);
    } else {
        graph.node("Neg", &["score"], "negative");
        graph.columns("negative", "score", "scores");
    }
    graph
}

/// `x` becomes `score`, `[N, 1]`.
fn score(graph: &mut Graph, parts: &Parts) {
    let columns = parts.features.count;
    let mut rows = "x";
    if let Some(scaling) = &parts.scaling {
        graph.doubles("mean", &[columns], &scaling.mean);
        graph.doubles("scale", &[columns], &scaling.scale);
        graph.node("Sub", &[rows, "mean"], "centred");
        graph.node("Div", &["centred", "scale"], "scaled");
        rows = "scaled";
    }
    match &parts.machine {
        Machine::Linear { weights, .. } => {
            graph.doubles("weights", &[columns, 1], weights);
            graph.node("MatMul", &[rows, "weights"], "sum");
        }
        Machine::Kernel { kernel, vectors, coefficients, .. } => {
            kernel_values(graph, rows, *kernel, vectors);
            graph.doubles("coefficients", &[coefficients.len(), 1], coefficients);
            graph.node("MatMul", &["kernel", "coefficients"], "sum");
        }
    }
    graph.doubles("bias", &[1], &[parts.machine.bias()]);
    graph.node("Add", &["sum", "bias"], "exact");
    // What leaves the graph is a 32-bit float.
    graph.double("least_score", f64::from(f32::MIN));
    graph.double("most_score", f64::from(f32::MAX));
    graph.node("Clip", &["exact", "least_score", "most_score"], "score");
}

/// The rows become `kernel`, `[N, vectors]`: the kernel's value of each row and each support vector.
fn kernel_values(graph: &mut Graph, rows: &str, kernel: Kernel, vectors: &Matrix) {
    match kernel {
        Kernel::Linear => {
            graph.transposed("vectors", vectors, 1.0);
            graph.node("MatMul", &[rows, "vectors"], "kernel");
        }
        Kernel::Rbf { gamma } => rbf(graph, rows, gamma, vectors),
        Kernel::Poly { gamma, coef0, degree } => {
            inner(graph, rows, gamma, coef0, vectors);
            graph.double("degree", f64::from(degree));
            graph.node("Pow", &["inner", "degree"], "power");
            graph.double("least_power", -MAX_KERNEL_VALUE);
            graph.double("most_power", MAX_KERNEL_VALUE);
            graph.node("Clip", &["power", "least_power", "most_power"], "kernel");
        }
        Kernel::Sigmoid { gamma, coef0 } => {
            inner(graph, rows, gamma, coef0, vectors);
            graph.node("Tanh", &["inner"], "kernel");
        }
    }
}

/// `gamma u·v + coef0`
fn inner(graph: &mut Graph, rows: &str, gamma: f64, coef0: f64, vectors: &Matrix) {
    graph.transposed("vectors", vectors, gamma);
    graph.double("coef0", coef0);
    graph.node("MatMul", &[rows, "vectors"], "product");
    graph.node("Add", &["product", "coef0"], "inner");
}

/// `exp(-gamma |u-v|²)` as `exp(2 gamma u·v - gamma |v|² - gamma |u|²)`: a difference of every row and vector would take
/// the memory of all of them times the features. Rows and vectors are first moved by the vectors' mean, which changes no
/// distance and keeps the three terms from cancelling out.
fn rbf(graph: &mut Graph, rows: &str, gamma: f64, vectors: &Matrix) {
    let mean = vectors.mean();
    let mut moved = vectors.clone();
    for row in moved.rows_mut() {
        row.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean);
    }
    let lengths: Vec<f64> =
        moved.rows().map(|row| -gamma * row.iter().map(|value| value * value).sum::<f64>()).collect();
    graph.doubles("middle", &[mean.len()], &mean);
    graph.node("Sub", &[rows, "middle"], "moved");
    graph.transposed("vectors", &moved, 2.0 * gamma);
    graph.node("MatMul", &["moved", "vectors"], "product");
    graph.doubles("of_vectors", &[lengths.len()], &lengths);
    graph.node("Add", &["product", "of_vectors"], "less_vector");
    graph.node("Mul", &["moved", "moved"], "squares");
    graph.ints("columns", &[1], &[1]);
    graph.node("ReduceSum", &["squares", "columns"], "length");
    graph.double("gamma", gamma);
    graph.node("Mul", &["length", "gamma"], "of_row");
    graph.node("Sub", &["less_vector", "of_row"], "rounded");
    graph.double("zero", 0.0);
    graph.node("Min", &["rounded", "zero"], "exponent");
    graph.node("Exp", &["exponent"], "kernel");
}

/// A score above 0 is the positive label's; any other is the negative label's.
fn labels(graph: &mut Graph, labels: &Labels) {
    let element = if let Some([positive, negative]) = whole(labels) {
        graph.ints("positive_label", &[], &[positive]);
        graph.ints("negative_label", &[], &[negative]);
        TYPE_INT64
    } else {
        graph.string("positive_label", &labels.positive);
        graph.string("negative_label", &labels.negative);
        TYPE_STRING
    };
    graph.double("threshold", 0.0);
    graph.ints("rows", &[1], &[-1]);
    graph.node("Greater", &["exact", "threshold"], "is_positive");
    graph.node("Where", &["is_positive", "positive_label", "negative_label"], "column_of_labels");
    graph.node("Reshape", &["column_of_labels", "rows"], "label");
    graph.output.push(ValueInfo { name: "label".to_owned(), kind: tensor(element, &[None]) });
}

/// The columns `1 - p` and `p` with `p = sigmoid(-a · score - b)`.
fn probabilities(graph: &mut Graph, Platt { a, b }: Platt) {
    graph.double("slope", -a);
    graph.double("offset", -b);
    graph.double("one", 1.0);
    graph.node("Mul", &["score", "slope"], "sloped");
    graph.node("Add", &["sloped", "offset"], "log_odds");
    graph.node("Sigmoid", &["log_odds"], "positive");
    graph.node("Sub", &["one", "positive"], "negative");
    graph.columns("negative", "positive", "probabilities");
}

/// Both labels as whole numbers, the positive first.
fn whole(labels: &Labels) -> Option<[i64; 2]> {
    // Beyond 2^53 not every whole number is a 64-bit float.
    let whole =
        |label: &str| finite(label).filter(|value| value.fract() == 0.0 && value.abs() < (1u64 << 53) as f64);
    Some([whole(&labels.positive)? as i64, whole(&labels.negative)? as i64])
}

impl Graph {
    fn node(&mut self, operator: &str, input: &[&str], output: &str) {
        self.node_with(operator, input, output, None);
    }

    /// A node with one attribute, a whole number.
    fn node_with(&mut self, operator: &str, input: &[&str], output: &str, attribute: Option<(&str, i64)>) {
        let attribute =
            attribute.map(|(name, value)| Attribute { name: name.to_owned(), i: Some(value), kind: INT });
        self.node.push(Node {
            input: input.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: output.to_owned(),
            op_type: operator.to_owned(),
            domain: String::new(),
            attribute: attribute.into_iter().collect(),
        });
    }

    fn cast(&mut self, input: &str, element: i32, output: &str) {
        self.node_with("Cast", &[input], output, Some(("to", i64::from(element))));
    }

    /// Two columns as an output of 32-bit floats.
    fn columns(&mut self, first: &str, second: &str, output: &str) {
        self.node_with("Concat", &[first, second], "both", Some(("axis", 1)));
        self.cast("both", TYPE_FLOAT, output);
        self.output.push(matrix(output, 2));
    }

    fn constant(&mut self, name: &str, shape: &[usize], data_type: i32) -> &mut Tensor {
        let dims = shape.iter().map(|&size| size as i64).collect();
        self.initializer.push(Tensor { dims, data_type, name: name.to_owned(), ..Tensor::default() });
        self.initializer.last_mut().expect("it was pushed")
    }

    fn doubles(&mut self, name: &str, shape: &[usize], values: &[f64]) {
        self.constant(name, shape, TYPE_DOUBLE).double_data = values.to_vec();
    }

    fn double(&mut self, name: &str, value: f64) {
        self.doubles(name, &[], &[value]);
    }

    fn float(&mut self, name: &str, value: f32) {
        self.constant(name, &[], TYPE_FLOAT).float_data = vec![value];
    }

    fn ints(&mut self, name: &str, shape: &[usize], values: &[i64]) {
        self.constant(name, shape, TYPE_INT64).int64_data = values.to_vec();
    }

    fn string(&mut self, name: &str, value: &str) {
        self.constant(name, &[], TYPE_STRING).string_data = vec![value.into()];
    }

    /// The rows of a matrix as columns, times a factor.
    fn transposed(&mut self, name: &str, matrix: &Matrix, factor: f64) {
        let columns = 0..matrix.columns();
        let values: Vec<f64> =
            columns.flat_map(|column| matrix.rows().map(move |row| factor * row[column])).collect();
        self.doubles(name, &[matrix.columns(), matrix.len()], &values);
    }
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
