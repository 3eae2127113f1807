//! The model that ships inside the binary: it is valid, can serve, and scores its golden vectors as recorded when it was
//! trained.

use serde_json::Value;
use upbeat_core::model::check_serving;
use upbeat_core::profile::Window;
use upbeat_svm::{Interval, Metrics, Model, RowReader, Scorer};

const MODEL: &[u8] = include_bytes!("../model/default.json");
const CARD: &str = include_str!("../model/README.md");
const MEASURES: &str = include_str!("../model/measures.json");
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

/// What `upbeat evaluate --json` said of rows that the model never saw.
#[derive(serde::Deserialize)]
struct Fresh {
    model: String,
    metrics: Metrics,
}

/// A line of the card's table, as `scripts/train-default-model` writes it.
fn card_row(name: &str, metrics: &Metrics) -> String {
    let share = |value: Option<f64>, interval: Option<Interval>| match (value, interval) {
        (Some(value), Some(Interval(low, high))) => {
            format!("{:.2} % ({:.2}–{:.2})", 100.0 * value, 100.0 * low, 100.0 * high)
        }
        _ => "–".to_owned(),
    };
    let auc_interval = metrics.auc_interval.expect("an interval of the AUC");
    format!(
        "| {name} | {} | {} | {} | {:.4} ({:.4}–{:.4}) | {:.4} | {:.4} |",
        share(Some(metrics.error), metrics.error_interval),
        share(metrics.precision, metrics.precision_interval),
        share(metrics.recall, metrics.recall_interval),
        metrics.auc.expect("an AUC"),
        auc_interval.0,
        auc_interval.1,
        metrics.log_loss.expect("a log loss"),
        metrics.calibration_error.expect("a calibration error")
    )
}

/// Where one of these fails: `scripts/train-default-model` makes the model and whatever quotes it anew.
#[test]
fn card_has_the_figures_of_the_shipped_model_and_of_rows_that_it_never_saw() {
    let model = Model::read(MODEL).expect("the shipped model reads");
    let training = model.parts().training.as_ref().expect("the shipped model has its history");
    let measured = training.measured.as_ref().expect("it was measured");
    let Fresh { model: of, metrics } = serde_json::from_str(MEASURES).expect("upbeat evaluate --json");
    assert_eq!(of, model.id(), "model/measures.json is of another model");
    let folds = measured.folds.expect("a cross-validation");
    let confusion = metrics.confusion;
    let thousands = |count: u64| match (count / 1000, count % 1000) {
        (0, rest) => rest.to_string(),
        (thousands, rest) => format!("{thousands},{rest:03}"),
    };
    for line in [
        format!("| Model | `{}` |", model.id()),
        card_row("never seen", &metrics),
        card_row(&format!("{folds}-fold cross-validation"), &measured.metrics),
        format!("else 0: {} of {} |", thousands(training.positives), thousands(training.rows)),
        format!(
            "| label 1 | {} | {} |",
            thousands(confusion.true_positive),
            thousands(confusion.false_negative)
        ),
        format!(
            "| label 0 | {} | {} |",
            thousands(confusion.false_positive),
            thousands(confusion.true_negative)
        ),
    ] {
        assert!(CARD.contains(&line), "model/README.md has no line {line}");
    }
}

#[test]
fn pages_that_quote_an_answer_of_the_shipped_model_name_it() {
    let model = Model::read(MODEL).expect("the shipped model reads");
    let quoted = format!("\"model\":\"{}\"", model.id());
    let readme = include_str!("../README.md");
    let answers: Vec<&str> = readme.lines().filter(|line| line.starts_with("{\"customer\":")).collect();
    assert_eq!(answers.len(), 3, "README.md shows three answers");
    for answer in answers {
        assert!(answer.contains(&quoted), "README.md quotes another model: {answer}");
    }
    let decision: Value = serde_json::from_str(
        readme.lines().find(|line| line.contains("likely_to_click\"")).expect("an answer"),
    )
    .expect("JSON");
    let scorer = model.scorer();
    let number = |field: &str| decision[field].as_f64().expect("a number");
    let probability = scorer.probability(number("score")).expect("the shipped model is calibrated");
    assert!(
        (probability - number("probability")).abs() < 1e-12,
        "README.md has another calibration's probability"
    );
}

/// Its report's log loss and calibration error are those of listeners that it never saw, to within twice what 5,000 of them
/// scatter by.
#[test]
fn shipped_model_is_on_listeners_it_never_saw_what_its_report_says() {
    let model = Model::read(MODEL).expect("the shipped model reads");
    let told = &model
        .parts()
        .training
        .as_ref()
        .and_then(|training| training.measured.as_ref())
        .expect("measures")
        .metrics;
    let fresh: Fresh = serde_json::from_str(MEASURES).expect("measures of rows that it never saw");
    for (name, told, fresh) in [
        ("log loss", told.log_loss, fresh.metrics.log_loss),
        ("calibration error", told.calibration_error, fresh.metrics.calibration_error),
    ] {
        let (told, fresh) = (told.expect("a value"), fresh.expect("a value"));
        assert!((told - fresh).abs() < 0.01, "{name}: reported {told}, {fresh} on listeners never seen");
    }
}
