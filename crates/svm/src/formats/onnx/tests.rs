use super::*;
use crate::model::{Features, Parts};

fn exported(parts: Parts) -> Result<messages::Model, ExchangeError> {
    let mut bytes = Vec::new();
    export(&Model::new(parts).unwrap(), &mut bytes)?;
    Ok(messages::Model::decode(bytes.as_slice()).unwrap())
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

fn linear_parts() -> Parts {
    parts(Machine::Linear { weights: vec![2.0, -4.0], bias: 0.5 })
}

fn kernel_parts() -> Parts {
    let mut vectors = Matrix::new(2);
    [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]].iter().for_each(|row| vectors.push(row));
    let kernel = Kernel::Poly { gamma: 0.5, coef0: 1.0, degree: 3 };
    parts(Machine::Kernel { kernel, vectors, coefficients: vec![-1.0, 2.0, -3.0], bias: 0.25 })
}

fn attribute<'a>(node: &'a Node, name: &str) -> &'a Attribute {
    node.attribute.iter().find(|attribute| attribute.name == name).unwrap()
}

fn operators(model: &messages::Model) -> Vec<&str> {
    model.graph.as_ref().unwrap().node.iter().map(|node| node.op_type.as_str()).collect()
}

#[test]
fn linear_model_is_one_node_with_the_scaling_folded_in() {
    let scaling = Scaling { mean: vec![1.0, 0.0], scale: vec![2.0, 4.0] };
    let model = exported(Parts { scaling: Some(scaling), ..linear_parts() }).unwrap();
    assert_eq!(operators(&model), ["LinearClassifier"]);
    let node = &model.graph.as_ref().unwrap().node[0];
    assert_eq!(attribute(node, "coefficients").floats, [-1.0, 1.0, 1.0, -1.0]);
    assert_eq!(attribute(node, "intercepts").floats, [0.5, -0.5]);
    assert_eq!(attribute(node, "classlabels_ints").ints, [-1, 1]);
}

#[test]
fn kernel_model_has_the_vectors_of_the_positive_label_in_front() {
    let scaling = Scaling { mean: vec![1.0, 0.0], scale: vec![2.0, 4.0] };
    let model = exported(Parts { scaling: Some(scaling), ..kernel_parts() }).unwrap();
    assert_eq!(operators(&model), ["Scaler", "SVMClassifier"]);
    let nodes = &model.graph.as_ref().unwrap().node;
    assert_eq!(attribute(&nodes[0], "offset").floats, [1.0, 0.0]);
    assert_eq!(attribute(&nodes[0], "scale").floats, [0.5, 0.25]);
    assert_eq!(attribute(&nodes[1], "support_vectors").floats, [3.0, 4.0, 1.0, 2.0, 5.0, 6.0]);
    assert_eq!(attribute(&nodes[1], "coefficients").floats, [2.0, -1.0, -3.0]);
    assert_eq!(attribute(&nodes[1], "vectors_per_class").ints, [1, 2]);
    assert_eq!(attribute(&nodes[1], "kernel_params").floats, [0.5, 1.0, 3.0]);
    assert_eq!(attribute(&nodes[1], "rho").floats, [0.25]);
    assert_eq!(attribute(&nodes[1], "classlabels_ints").ints, [1, -1]);
    assert_eq!(nodes[1].input, nodes[0].output);
}

#[test]
fn outputs_follow_calibration_and_labels() {
    let labels = Labels { positive: "0.5".to_owned(), negative: "0".to_owned() };
    for (calibration, labels, second, element) in [
        (None, linear_parts().labels, "scores", TYPE_INT64),
        (Some(Calibration::Platt(Platt { a: -2.0, b: 0.5 })), labels, "probabilities", TYPE_STRING),
    ] {
        let model = exported(Parts { calibration, labels, ..linear_parts() }).unwrap();
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
fn numbers_beyond_32_bit_floats_are_refused() {
    let machine = Machine::Linear { weights: vec![1e300, 1.0], bias: 0.0 };
    let reported = exported(parts(machine)).unwrap_err().to_string();
    assert!(reported.starts_with("coefficients: -1e300 cannot be exported"), "{reported}");
}
