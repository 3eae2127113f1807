use super::messages::{TYPE_INT64, TYPE_STRING};
use super::*;
use crate::calibrate::{Calibration, Platt};
use crate::data::labels::Labels;
use crate::data::matrix::Matrix;
use crate::data::scaling::Scaling;
use crate::kernel::Kernel;
use crate::model::machine::Machine;
use crate::model::{Features, Parts};

fn exported(parts: Parts) -> Result<messages::Model, ExchangeError> {
    let mut bytes = Vec::new();
    export(&Model::new(parts).unwrap(), &mut bytes)?;
    Ok(messages::Model::decode(bytes.as_slice()).unwrap())
}

fn refusal(parts: Parts) -> String {
    exported(parts).unwrap_err().to_string()
}

fn parts(machine: Machine) -> Parts {
    Parts {
        name: None,
        features: Features::of_count(machine.features()),
        window: serde_json::from_str(r#"{"plays":256,"days":28}"#).unwrap(),
        labels: Labels { positive: "+1".to_owned(), negative: "-1.0".to_owned() },
        scaling: None,
        machine,
        calibration: None,
        training: None,
    }
}

fn linear(weights: [f64; 2], bias: f64) -> Parts {
    parts(Machine::Linear { weights: weights.to_vec(), bias })
}

fn kernel_parts(kernel: Kernel) -> Parts {
    let mut vectors = Matrix::new(2);
    [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]].iter().for_each(|row| vectors.push(row));
    parts(Machine::Kernel { kernel, vectors, coefficients: vec![-1.0, 2.0, -3.0], bias: 0.25 })
}

fn platt(a: f64, b: f64) -> Option<Calibration> {
    Some(Calibration::Platt(Platt { a, b }))
}

fn kernels() -> [Kernel; 4] {
    [
        Kernel::Linear,
        Kernel::Rbf { gamma: 0.3 },
        Kernel::Poly { gamma: 0.5, coef0: 1.0, degree: 3 },
        Kernel::Sigmoid { gamma: 0.05, coef0: -0.5 },
    ]
}

#[test]
fn graph_gives_the_probabilities_of_every_kernel_behind_every_scaling() {
    let scaling = Scaling { mean: vec![1.0, 0.0], scale: vec![2.0, 4.0] };
    let machines = kernels().into_iter().map(kernel_parts).chain([linear([2.0, -4.0], 0.5)]);
    for base in machines {
        for scaling in [None, Some(scaling.clone())] {
            let parts = Parts { scaling, calibration: platt(-1.5, 0.25), ..base.clone() };
            let model = exported(parts.clone()).unwrap();
            let (graph, scorer) = (model.graph.as_ref().unwrap(), Model::new(parts).unwrap().scorer());
            let runner = Runner::new(graph);
            for row in [[0.5, 0.25], [2.0, -1.0], [5.0, 6.0], [-3.0, 8.0]] {
                let score = scorer.score(&row);
                let answer = runner.run(&row);
                let probability = scorer.probability(score).unwrap();
                assert_eq!(answer.positive, score > 0.0);
                assert!((answer.value - probability).abs() < 1e-7, "{answer:?} {probability}");
            }
            assert!(
                graph.node.iter().all(|node| node.domain.is_empty()),
                "operators of the default domain only"
            );
        }
    }
}

#[test]
fn steep_sigmoid_of_scores_that_hardly_differ_is_exported_with_its_probabilities() {
    // The hinge loss of few positives: every score is -1 but for some 10^-8, which 32-bit floats do not tell apart.
    for (slope, tiny) in [(-1e6, 1e-7), (-3e7, 1e-8), (-1e10, 1e-11)] {
        let parts = Parts { calibration: platt(slope, slope + 1.5), ..linear([tiny, -tiny / 2.0], -1.0) };
        let model = exported(parts.clone()).unwrap();
        let scorer = Model::new(parts).unwrap().scorer();
        let runner = Runner::new(model.graph.as_ref().unwrap());
        for row in [[0.1, 0.9], [0.7, 0.2], [1.0, 1.0], [25.0, 0.0]] {
            let wanted = scorer.probability(scorer.score(&row)).unwrap();
            let given = runner.run(&row).value;
            assert!((given - wanted).abs() < 1e-5, "{given} {wanted}");
        }
    }
}

#[test]
fn model_whose_rows_need_more_than_32_bits_is_refused_with_the_feature() {
    let scaling = |mean: f64, scale: f64| Some(Scaling { mean: vec![0.0, mean], scale: vec![1.0, scale] });
    for (scaling, message) in [
        (scaling(1e9, 1.0), "feature 2 weighs most, of which 10000000"),
        (scaling(0.0, 1e-150), "becomes 0. Subtract a constant from it or divide it"),
        (scaling(0.0, 1e200), "becomes 3.4028234663852886e38"),
    ] {
        let calibration = platt(-2.0, 0.0);
        let reported = refusal(Parts { scaling, calibration, ..linear([1.0, 1.0], 0.25) });
        assert!(reported.contains(message), "{message:?} not in {reported:?}");
        assert!(
            reported
                .starts_with("ONNX takes rows as 32-bit floats, and a probability of this model would be 0"),
            "{reported}"
        );
    }
    let reported = refusal(linear([1e300, 1.0], 1e300));
    assert!(
        reported.contains("a score of this model would be") && reported.contains("beyond 32-bit floats"),
        "{reported}"
    );
}

#[test]
fn rows_at_the_end_of_32_bit_floats_have_labels_and_probabilities() {
    for kernel in kernels() {
        let parts = Parts { calibration: platt(-2.0, 0.5), ..kernel_parts(kernel) };
        let model = exported(parts).unwrap();
        let runner = Runner::new(model.graph.as_ref().unwrap());
        for row in [[1e30, -1e30], [3.4e38, 3.4e38], [-3.4e38, 3.0], [1e200, -1e200], [f64::INFINITY, 0.0]] {
            let answer = runner.run(&row);
            assert!((0.0..=1.0).contains(&answer.value), "{kernel} {row:?}: {answer:?}");
        }
    }
}

#[test]
fn outputs_follow_calibration_and_labels() {
    let labels = Labels { positive: "0.5".to_owned(), negative: "0".to_owned() };
    let base = linear([2.0, -4.0], 0.5);
    for (calibration, labels, second, element) in [
        (None, base.labels.clone(), "scores", TYPE_INT64),
        (platt(-2.0, 0.5), labels, "probabilities", TYPE_STRING),
    ] {
        let model = exported(Parts { calibration, labels, ..base.clone() }).unwrap();
        let graph = model.graph.as_ref().unwrap();
        let names: Vec<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
        assert_eq!(names, ["label", second]);
        let kind = graph.output[0].kind.as_ref().unwrap().tensor.as_ref().unwrap();
        assert_eq!(kind.element, element);
        assert!(graph.node.iter().any(|node| node.output.iter().any(|output| output == second)));
        let property = |key: &str| model.metadata_props.iter().find(|property| property.key == key).unwrap();
        assert_eq!(property("upbeat.model_id").value.len(), 12);
        assert_eq!(property("upbeat.window_days").value, "28");
        let keys: Vec<&str> = model.metadata_props.iter().map(|property| property.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "upbeat.model_id",
                "upbeat.window_plays",
                "upbeat.window_days",
                "upbeat.label_positive",
                "upbeat.label_negative"
            ]
        );
    }
}

#[test]
fn check_finds_a_graph_of_other_numbers() {
    let model = Model::new(Parts { calibration: platt(-2.0, 0.5), ..linear([2.0, -4.0], 0.5) }).unwrap();
    let mut graph = graph::of(model.parts());
    check(&model, &graph).unwrap();
    let bias = graph.initializer.iter_mut().find(|tensor| tensor.name == "bias").unwrap();
    bias.double_data[0] += 0.01;
    assert!(check(&model, &graph).is_err());
}
