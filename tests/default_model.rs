//! The model that ships inside the binary: it is valid, can serve, and scores its golden vectors as recorded when it was
//! trained.

use upbeat_core::model::check_serving;
use upbeat_core::profile::Window;
use upbeat_svm::{Model, RowReader, Scorer};

const MODEL: &[u8] = include_bytes!("../model/default.json");
const VECTORS: &str = include_str!("../model/golden.features.txt");
const PREDICTIONS: &str = include_str!("../model/golden.predictions.txt");

#[test]
fn shipped_model_serves_the_default_window_and_refuses_another() {
    let model = Model::read(MODEL).expect("the shipped model reads");
    check_serving(&model, Window::default()).expect("it serves with the default window");
    let other = Window { plays: 256, days: 7 };
    let refusal = check_serving(&model, other).expect_err("another window is refused").to_string();
    assert!(refusal.contains("28 days") && refusal.contains("window.days"), "{refusal}");
}

#[test]
fn golden_vectors_score_as_recorded_at_training() {
    let model = Model::read(MODEL).expect("the shipped model reads");
    let scorer = Scorer::new(&model);
    let mut rows = RowReader::new(VECTORS.as_bytes());
    let mut count = 0;
    for expected in PREDICTIONS.lines() {
        let row = rows.next_row().expect("golden rows read").expect("a row for every prediction");
        let mut vector = [0.0; 6];
        row.fill(&mut vector).expect("six features");
        let (label, score) = expected.split_once(' ').expect("label and decision value");
        let expected: f64 = score.parse().expect("a number");
        let actual = scorer.score(&vector);
        assert!((actual - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{actual} for {expected}");
        assert_eq!(if actual > 0.0 { "1" } else { "0" }, label);
        count += 1;
    }
    assert_eq!(count, 54);
    assert!(rows.next_row().expect("golden rows read").is_none(), "more vectors than predictions");
}

#[test]
fn phone_listener_is_likelier_to_click_than_others() {
    let model = Model::read(MODEL).expect("the shipped model reads");
    let scorer = Scorer::new(&model);
    let probability = |mobile: f64| {
        let score = scorer.score(&[0.29, 0.21, 0.21, 0.29, mobile, 0.93]);
        scorer.probability(score).expect("the shipped model is calibrated")
    };
    assert!(probability(0.81) > 0.8, "{}", probability(0.81));
    assert!(probability(0.57) < 0.1, "{}", probability(0.57));
}
