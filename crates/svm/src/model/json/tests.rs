use proptest::prelude::*;

use super::*;
use crate::model::Model;
use crate::model::training::Measured;
use crate::score::Scorer;
use crate::{Confusion, Interval, Isotonic, Metrics, Platt, SolverRecord};

fn numbers(count: usize) -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec(-1e6f64..1e6, count)
}

fn kernels() -> impl Strategy<Value = Kernel> {
    prop_oneof![
        Just(Kernel::Linear),
        (1e-6f64..1e3).prop_map(|gamma| Kernel::Rbf { gamma }),
        (1e-6f64..1e3, -9.0f64..9.0, 1u32..=10).prop_map(|(gamma, coef0, degree)| Kernel::Poly {
            gamma,
            coef0,
            degree
        }),
        (1e-6f64..1e3, -9.0f64..9.0).prop_map(|(gamma, coef0)| Kernel::Sigmoid { gamma, coef0 }),
    ]
}

fn trainings() -> impl Strategy<Value = Training> {
    (1e-9f64..1e9, any::<u64>(), proptest::option::of(0.0f64..1.0)).prop_map(|(c, seed, auc)| Training {
        solver: "smartcore".to_owned(),
        tool_version: "0.1.0 \"quoted\" ü".to_owned(),
        c,
        seed,
        rows: u64::MAX,
        positives: seed,
        parameters: auc.map(|auc| SolverRecord {
            loss: "logistic".to_owned(),
            bias: "free".to_owned(),
            epsilon: auc + 1e-9,
            class_weights: [Number(auc + 0.1), Number(3.0)],
            row_weights: true,
            objective: Some(-auc / 7.0),
            gap: Some(auc / 9.0),
            iterations: Some(seed),
            converged: false,
            support_vectors: seed,
        }),
        feature_mean: None,
        constant: auc.map(|auc| auc > 0.5),
        data_sha256: auc.map(|_| "0123456789abcdef".repeat(4)),
        measured: auc.map(|auc| Measured {
            unconverged_folds: None,
            method: "holdout".to_owned(),
            folds: None,
            metrics: Metrics {
                error: auc / 3.0,
                error_interval: Some(Interval(auc / 9.0, auc / 2.0)),
                precision_interval: None,
                recall_interval: Some(Interval(0.0, 1.0)),
                auc_interval: Some(Interval(auc / 3.0, auc)),
                probability_auc: Some(auc),
                calibration_error: Some(auc / 11.0),
                confusion: Confusion { true_positive: seed / 4, ..Confusion::default() },
                precision: None,
                recall: Some(auc / 7.0),
                auc: Some(auc),
                log_loss: Some(auc * 3.0),
            },
        }),
    })
}

prop_compose! {
    fn models()(
        (kernel, count, vectors, name) in (kernels(), prop_oneof![Just(6usize), 1usize..70], 1usize..5, "[A-Za-z0-9._:-]{1,64}"),
        (scaled, named) in any::<(bool, bool)>(),
        calibrated in 0..3
    )(
        (rows, coefficients) in (proptest::collection::vec(numbers(count), vectors), numbers(vectors)),
        (mean, scale) in (numbers(count), proptest::collection::vec(1e-6f64..1e6, count)),
        (bias, platt) in (-1e9f64..1e9, (-9.0f64..=0.0, -9.0f64..9.0)),
        training in proptest::option::of(trainings()),
        window in (1u32..=65_536, 1u32..=36_500),
        (kernel, count) in (Just(kernel), Just(count)),
        name in Just(named.then_some(name)),
        (scaled, calibrated) in Just((scaled, calibrated))
    ) -> Model {
        let means = mean.clone();
        let mut matrix = Matrix::new(count);
        rows.iter().for_each(|row| matrix.push(row));
        Model::new(Parts {
            name,
            features: Features::of_count(count),
            window: Metadata::new(&window),
            labels: Labels { positive: "+1".to_owned(), negative: "-1.0".to_owned() },
            scaling: scaled.then_some(Scaling { mean, scale }),
            machine: Machine::from_expansion(kernel, matrix, coefficients, bias),
            calibration: match calibrated {
                0 => None,
                1 => Some(Calibration::Platt(Platt { a: platt.0, b: platt.1 })),
                _ => Some(Calibration::Isotonic(
                    Isotonic::new(vec![bias, bias + 1.0], vec![platt.0.abs() / 9.0, 1.0]).unwrap(),
                )),
            },
            training: training.map(|training| Training {
                feature_mean: (calibrated > 0).then_some(means),
                ..training
            }),
        }).unwrap()
    }
}

fn sample() -> String {
    let file = r#"{
"format":"upbeat-model","version":1,"name":null,
"features":{"definition":"upbeat.shares/1","names":["morning","afternoon","evening","night","mobile","unique_tracks"],"count":6},
"window":{"plays":256,"days":28},
"labels":{"positive":"1","negative":"0"},
"scaling":{"mean":[0,0,0,0,0.6,0.9],"scale":[1,1,1,1,0.1,0.05]},
"kernel":{"type":"rbf","gamma":0.5},
"support_vectors":[[0,0,0,0,1,1],[0,0,0,0,-1,0.25]],
"coefficients":[1,-1],
"bias":-0.25,
"calibration":{"a":-2,"b":0.5},
"training":null
}"#;
    file.to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn written_models_read_back_bit_by_bit(model in models()) {
        let bytes = model.to_bytes();
        let back = Model::read(&bytes).unwrap();
        prop_assert_eq!(&back, &model);
        prop_assert_eq!(back.to_bytes(), bytes);
    }

    #[test]
    fn damaged_file_is_an_error_or_a_model_that_scores(
        at in 0usize..700, with in proptest::collection::vec(any::<u8>(), 0..3), cut in any::<bool>()
    ) {
        let mut bytes = sample().into_bytes();
        let at = at.min(bytes.len());
        let end = if cut { bytes.len() } else { (at + 1).min(bytes.len()) };
        bytes.splice(at..end, with);
        if let Ok(model) = Model::read(&bytes) {
            let scorer = Scorer::new(&model);
            let _ = scorer.probability(scorer.score(&vec![0.5; scorer.features()]));
        }
    }
}

#[test]
fn every_file_cut_before_its_last_brace_is_refused() {
    let text = sample();
    let end = text.rfind('}').unwrap();
    assert!(Model::read(&text.as_bytes()[..=end]).is_ok());
    for cut in 0..end {
        assert!(Model::read(&text.as_bytes()[..cut]).is_err(), "cut at byte {cut}");
    }
}

#[test]
fn refusals_name_the_field() {
    assert!(Model::read(sample().as_bytes()).is_ok());
    for (from, to, message) in [
        ("upbeat-model", "other-model", "field format: must be \"upbeat-model\""),
        ("\"version\":1", "\"version\":4", "field version: is 4, this build reads versions 1 to 3"),
        ("\"bias\":-0.25", "\"bias\":-0.25,\"extra\":1", "unknown field `extra`"),
        ("\"bias\":-0.25", "\"bias\":1,\"bias\":2", "duplicate field `bias`"),
        ("\"bias\":-0.25,", "", "missing field `bias`"),
        ("\"bias\":-0.25", "\"bias\":1e999", "`1e999` is not a finite number"),
        ("\"bias\":-0.25", "\"bias\":\"1\"", "is not a finite number"),
        ("\"bias\":-0.25", "\"bias\":NaN", "not an Upbeat model file"),
        ("\"count\":6", "\"count\":5", "field features.names: has 6 names for 5 features"),
        ("1,1],[0", "1],[0", "field support_vectors[0]: has 5 numbers where 6 are wanted"),
        ("\"count\":6", "\"count\":0", "field features.count"),
        ("\"count\":6", "\"count\":99999999999999", "field features.count"),
        ("\"morning\",", "", "field features.names: has 5 names for 6 features"),
        ("\"window\":{\"plays\":256,\"days\":28},", "", "missing field `window`"),
        ("\"positive\":\"1\"", "\"positive\":\"-1\"", "must be greater than negative"),
        ("\"positive\":\"1\"", "\"positive\":\"yes\"", "field labels.positive: must be a number"),
        ("[0,0,0,0,0.6,0.9]", "[0]", "field scaling.mean: has 1 numbers where 6 are wanted"),
        ("0.1,0.05", "0.1,0", "field scaling.scale[5]: must be above 0"),
        ("\"rbf\"", "\"rbx\"", "field kernel.type: must be linear, rbf, poly or sigmoid"),
        ("\"rbf\"", "\"linear\"", "field kernel: rbf takes gamma"),
        ("\"gamma\":0.5", "\"gamma\":0", "field kernel.gamma: must be a finite number above 0"),
        ("[1,-1]", "[1]", "field coefficients: has 1 numbers where 2 are wanted"),
        ("[1,-1]", "[1,-1],\"weights\":[1]", "field support_vectors: a kernel model has"),
        ("\"a\":-2,", "", "calibration must have a and b, or scores and probabilities"),
        ("\"a\":-2", "\"a\":1e-300", "field calibration.a: must be 0 or below: above it a higher score"),
        ("\"b\":0.5", "\"b\":0.5,\"scores\":[1]", "calibration must have a and b, or"),
        (
            "\"a\":-2,\"b\":0.5",
            "\"scores\":[2,1],\"probabilities\":[0.1,0.2]",
            "scores must be finite and rise",
        ),
        ("\"name\":null", "\"name\":\"a b\"", "field name: must be 1 to 64 of"),
        ("\"training\":null", "\"training\":{}", "missing field"),
    ] {
        let file = sample();
        assert!(file.contains(from), "{from}");
        let reported = Model::read(file.replace(from, to).as_bytes()).unwrap_err().to_string();
        assert!(reported.contains(message), "{message:?} not in {reported:?}");
    }
    let deep = "[".repeat(100_000);
    assert!(Model::read(deep.as_bytes()).is_err());
}

#[test]
fn record_of_convergence_is_believed_only_where_its_gap_allows_it() {
    let trained = Model::train(&crate::testing::blobs(60, 0.1, 3), &crate::Parameters::default()).unwrap();
    let parts = trained.parts();
    let reported = |converged: bool, gap: Option<f64>, epsilon: f64| {
        let mut training = parts.training.clone().unwrap();
        let record = training.parameters.as_mut().unwrap();
        (record.converged, record.gap, record.epsilon) = (converged, gap, epsilon);
        let file = Parts { training: Some(training), ..parts.clone() };
        Model::read(&to_bytes(&file)).err().map(|error| error.to_string())
    };
    for (converged, gap, epsilon) in [
        (true, Some(1e-3), 1e-3),
        (true, Some(0.9e-3), 1e-4),
        (true, Some(0.4), 0.5),
        (false, Some(0.9), 1e-3),
        // Files of versions 1 and 2 have no gap.
        (true, None, 1e-3),
    ] {
        assert_eq!(reported(converged, gap, epsilon), None, "{gap:?} {epsilon}");
    }
    for (gap, epsilon) in [(0.9, 1e-3), (1.1e-3, 1e-3), (1.1e-3, 1e-4), (1e-3, 1e-9)] {
        let error = reported(true, Some(gap), epsilon).expect("a gap that is not converged");
        let said = format!("field training.parameters.converged: must be false, since gap is {gap}");
        assert!(error.starts_with(&said), "{error}");
    }
}

#[test]
fn folds_that_did_not_converge_are_some_of_the_folds() {
    let trained = Model::train(&crate::testing::blobs(60, 0.1, 3), &crate::Parameters::default()).unwrap();
    let text = String::from_utf8(trained.to_bytes()).unwrap();
    assert!(text.contains("\"folds\":10"), "{text}");
    let with = |fields: &str| Model::read(text.replace("\"folds\":10", fields).as_bytes());
    for fields in ["\"folds\":10,\"unconverged_folds\":10", "\"folds\":10,\"unconverged_folds\":null"] {
        assert!(with(fields).is_ok(), "{fields}");
    }
    for fields in [
        "\"folds\":10,\"unconverged_folds\":11",
        "\"folds\":10,\"unconverged_folds\":0",
        "\"folds\":null,\"unconverged_folds\":3",
    ] {
        let error = with(fields).unwrap_err().to_string();
        assert!(error.contains("training.measured.unconverged_folds: must be from 1"), "{fields}: {error}");
    }
}

#[test]
fn window_is_any_json_value_of_bounded_size() {
    for window in ["null", "3", "\"a month\"", "{ \"days\": 28.0 ,\n \"plays\":[1] }"] {
        let text = sample().replace("{\"plays\":256,\"days\":28}", window);
        let model = Model::read(text.as_bytes()).unwrap();
        assert_eq!(model.window().as_str(), window);
        let again = Model::read(&model.to_bytes()).unwrap();
        assert_eq!(again.parts(), model.parts());
    }
    let long = format!("\"{}\"", "x".repeat(5000));
    let error = Model::read(sample().replace("{\"plays\":256,\"days\":28}", &long).as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "field window: must be at most 4096 bytes of JSON, not 5002");
}

#[test]
fn other_features_leave_the_machine_as_it_is() {
    let model = Model::read(sample().as_bytes()).unwrap();
    assert_eq!(model.id().len(), 12);
    let machine = model.parts().machine.clone();
    let error = model.clone().with_features(Features::of_count(5)).unwrap_err().to_string();
    assert_eq!(error, "field features.count: must stay 6, as the machine has it, not 5");
    let described = model.clone().with_features(Features::of_count(6)).unwrap();
    assert_eq!(
        (described.parts().features.definition.as_ref(), &described.parts().machine),
        (None, &machine)
    );
    assert_ne!(described.id(), model.id());
}

/// The repository's shipped files; a package of the crate by itself does not have them.
#[test]
fn models_of_earlier_versions_read_and_are_written_in_the_current_one() {
    let repository = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for name in ["model/default.json", "tests/svm_cli/version-1.json", "tests/svm_cli/version-2.json"] {
        let Ok(bytes) = std::fs::read(repository.join(name)) else { return };
        let model = Model::read(&bytes).unwrap();
        assert_eq!(model.window().as_str(), "{\"plays\":256,\"days\":28}", "{name}");
        let current = Model::new(model.parts().clone()).unwrap();
        let back = Model::read(&current.to_bytes()).unwrap();
        assert_eq!((back.parts(), back.id()), (model.parts(), current.id()), "{name}");
        assert!(back.to_bytes().starts_with(b"{\n\"format\":\"upbeat-model\",\n\"version\":3,\n"), "{name}");
    }
}
