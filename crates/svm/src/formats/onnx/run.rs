//! Runs a graph for single rows, as an ONNX runtime does: to hold what was exported against the model.

use std::collections::HashMap;

use super::messages::{Graph, Node, TYPE_FLOAT};
use crate::formats::probe::Answer;

/// A graph that was written here, with its constants as numbers.
pub(super) struct Runner<'a> {
    graph: &'a Graph,
    constants: HashMap<&'a str, Vec<f64>>,
}

impl<'a> Runner<'a> {
    pub fn new(graph: &'a Graph) -> Self {
        let numbers = graph.initializer.iter().map(|tensor| {
            let singles = tensor.float_data.iter().map(|&value| f64::from(value));
            let wholes = tensor.int64_data.iter().map(|&value| value as f64);
            (tensor.name.as_str(), singles.chain(wholes).chain(tensor.double_data.iter().copied()).collect())
        });
        Self { graph, constants: numbers.collect() }
    }

    /// What the graph gives for a row, which it takes as 32-bit floats.
    pub fn run(&self, row: &[f64]) -> Answer {
        let mut values: HashMap<&str, Vec<f64>> = HashMap::new();
        values.insert("X", row.iter().map(|&value| f64::from(value as f32)).collect());
        for node in &self.graph.node {
            let result = {
                let input = |i: usize| {
                    let name = node.input[i].as_str();
                    values.get(name).or_else(|| self.constants.get(name)).map_or(&[][..], Vec::as_slice)
                };
                apply(node, input)
            };
            values.insert(&node.output[0], result);
        }
        let output = |i: usize| values.get(self.graph.output[i].name.as_str());
        let last = |i: usize| output(i).and_then(|values| values.last()).copied().unwrap_or(f64::NAN);
        Answer { positive: last(0) == 1.0, value: last(1) }
    }
}

fn apply<'v>(node: &Node, input: impl Fn(usize) -> &'v [f64]) -> Vec<f64> {
    let each = |change: fn(f64) -> f64| input(0).iter().map(|&value| change(value)).collect();
    let pairs = |change: fn(f64, f64) -> f64| broadcast(input(0), input(1), change);
    match node.op_type.as_str() {
        "Add" => pairs(|one, other| one + other),
        "Sub" => pairs(|one, other| one - other),
        "Mul" => pairs(|one, other| one * other),
        "Div" => pairs(|one, other| one / other),
        "Min" => pairs(|one, other| if one > other { other } else { one }),
        "Pow" => pairs(f64::powf),
        "Greater" => pairs(|one, other| f64::from(u8::from(one > other))),
        "Neg" => each(|value| -value),
        "Exp" => each(f64::exp),
        "Tanh" => each(f64::tanh),
        "Sigmoid" => each(|value| 1.0 / (1.0 + (-value).exp())),
        "Clip" => input(0).iter().map(|value| value.clamp(input(1)[0], input(2)[0])).collect(),
        "Cast" if node.attribute.iter().any(|attribute| attribute.i == Some(i64::from(TYPE_FLOAT))) => {
            each(|value| f64::from(value as f32))
        }
        "Concat" => [input(0), input(1)].concat(),
        "ReduceSum" => vec![input(0).iter().sum()],
        "MatMul" => product(input(0), input(1)),
        // A cast to 64 bits; and the label, of which the condition is kept.
        _ => input(0).to_vec(),
    }
}

/// Element by element; a single number goes with all of the other side.
fn broadcast(one: &[f64], other: &[f64], change: fn(f64, f64) -> f64) -> Vec<f64> {
    let at = |values: &[f64], i: usize| if values.len() == 1 { values[0] } else { values[i] };
    (0..one.len().max(other.len())).map(|i| change(at(one, i), at(other, i))).collect()
}

/// A row times a matrix with as many rows as it has columns.
fn product(row: &[f64], matrix: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; matrix.len() / row.len()];
    for (value, weights) in row.iter().zip(matrix.chunks_exact(sums.len())) {
        sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += value * weight);
    }
    sums
}
