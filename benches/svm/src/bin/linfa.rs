//! The peer linfa-svm, for the table of `benches/svm/run`: trains on one libSVM file, measures on another, prints one
//! JSON object. Usage: linfa TRAIN TEST linear|rbf C GAMMA EPSILON

use std::time::Instant;

use linfa::prelude::*;
use linfa_svm::Svm;
use ndarray::{Array1, Array2};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [train, test, kernel, c, gamma, epsilon] = arguments.as_slice() else {
        panic!("usage: linfa TRAIN TEST linear|rbf C GAMMA EPSILON");
    };
    let number = |text: &String| text.parse::<f64>().expect("C, GAMMA and EPSILON are numbers");
    let (c, gamma) = (number(c), number(gamma));
    let (train, test) = (read(train), read(test));
    let parameters = Svm::<_, bool>::params().pos_neg_weights(c, c).eps(number(epsilon));
    let parameters = match kernel.as_str() {
        "linear" => parameters.linear_kernel(),
        // linfa's Gaussian kernel divides by its parameter where libSVM's multiplies by gamma.
        "rbf" => parameters.gaussian_kernel(1.0 / gamma),
        other => panic!("kernel {other} is not one of linear and rbf"),
    };
    let start = Instant::now();
    let model = parameters.fit(&train).expect("linfa trains");
    let seconds = start.elapsed().as_secs_f64();
    let predicted = model.predict(test.records());
    let wrong = predicted.iter().zip(test.targets()).filter(|(predicted, truth)| predicted != truth).count();
    // "Exited after N iterations with obj = X and V support vectors": the only place that reports the objective.
    let text = model.to_string();
    let objective = text.split("obj = ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or("null");
    println!(
        "{{\"seconds\":{seconds},\"objective\":{objective},\"error\":{},\"support_vectors\":{}}}",
        wrong as f64 / test.nsamples() as f64,
        model.nsupport()
    );
}

/// Six features and labels 0 and 1.
fn read(path: &str) -> Dataset<f64, bool, ndarray::Ix1> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        labels.push(words.next() == Some("1"));
        let mut row = [0.0; 6];
        for word in words {
            let (index, value) = word.split_once(':').expect("index:value");
            row[index.parse::<usize>().expect("an index") - 1] = value.parse().expect("a number");
        }
        values.extend(row);
    }
    let records = Array2::from_shape_vec((labels.len(), 6), values).expect("six values a row");
    Dataset::new(records, Array1::from_vec(labels))
}
