//! The shipped campaigns and their models, whose probabilities are those of a show being clicked: the document is valid and
//! every profit threshold can be judged; the models score as recorded at training; the card has their figures.

use std::collections::BTreeMap;
use std::sync::Arc;

use upbeat_core::campaign::{Document, Label, Plan, Served, Slot, Threshold};
use upbeat_core::model::{check_serving, label, read, serving_notes};
use upbeat_core::profile::Window;
use upbeat_engine::campaigns::parse;
use upbeat_server::runtime::{SHIPPED_CAMPAIGNS, shipped_model};
use upbeat_svm::{Metrics, Model, RowReader};

const CARD: &str = include_str!("../model/impression/README.md");
const MEASURES: &str = include_str!("../model/impression/measures.json");
const VECTORS: &str = include_str!("../model/golden.features.txt");
const PREDICTIONS: [(&str, &str); 4] = [
    ("gold-one-day", include_str!("../model/impression/gold-one-day.golden.txt")),
    ("free-referral", include_str!("../model/impression/free-referral.golden.txt")),
    ("charity-donation", include_str!("../model/impression/charity-donation.golden.txt")),
    ("facebook-like", include_str!("../model/impression/facebook-like.golden.txt")),
];

fn document() -> Document {
    parse(SHIPPED_CAMPAIGNS).expect("a valid document of campaigns")
}

fn model(name: &str) -> Model {
    read(shipped_model(name).expect("a shipped model")).expect("it reads")
}

/// What `scripts/train-default-model` measured of a model on ads that listeners heard whom it never saw.
#[derive(serde::Deserialize)]
struct Fresh {
    ad: String,
    model: String,
    metrics: Metrics,
    profit: Profit,
}

#[derive(serde::Deserialize)]
struct Profit {
    rows: u64,
    clicks: u64,
    mean_probability: f64,
    threshold: f64,
    shown: u64,
    shown_clicks: u64,
    shown_probability: f64,
    profit_per_1000: Both,
}

/// Profit of a thousand ads heard, had all been shown, or those above the threshold.
#[derive(serde::Deserialize)]
struct Both {
    all: f64,
    threshold: f64,
}

fn measures() -> BTreeMap<String, Fresh> {
    serde_json::from_str(MEASURES).expect("measures of each model")
}

#[test]
fn shipped_campaigns_are_valid_and_their_profit_thresholds_can_be_judged() {
    let document = document();
    assert_eq!(document.campaign.len(), 4);
    let slots: Vec<_> =
        (0..).map(Slot).zip(&document.campaign).map(|(slot, one)| (one.id.clone(), slot)).collect();
    let models: Vec<Served> = document
        .campaign
        .iter()
        .map(|campaign| {
            let model = model(&campaign.model);
            Served::new(&*campaign.model, model.id().to_owned(), label(&model), Arc::new(model))
        })
        .collect();
    let plan = Plan::new(&document, &slots, &models).expect("every threshold can be judged");
    assert!(plan.campaigns.iter().all(|campaign| campaign.model.is_some()));
    for campaign in &document.campaign {
        assert_eq!(campaign.threshold, Threshold::Profit, "{}", campaign.id);
    }
    assert_eq!(shipped_model("default"), None);
    assert_eq!(shipped_model("../gold-one-day"), None);
}

#[test]
fn shipped_models_are_of_impressions_calibrated_and_serve_the_default_window() {
    for (name, _) in PREDICTIONS {
        let model = model(name);
        assert_eq!((model.name(), label(&model)), (Some(name), Label::Impression));
        check_serving(&model, Window::default()).expect("it serves with the default window");
        assert_eq!(serving_notes(&model), Vec::<String>::new(), "{name}");
        assert!(model.scorer().probability(0.0).is_some(), "{name} is calibrated");
    }
}

#[test]
fn golden_vectors_score_as_recorded_at_training() {
    for (name, predictions) in PREDICTIONS {
        let scorer = model(name).scorer();
        let mut rows = RowReader::new(VECTORS.as_bytes());
        for expected in predictions.lines() {
            let row = rows.next_row().expect("golden rows read").expect("a row for every prediction");
            let mut vector = [0.0; 6];
            row.fill(&mut vector).expect("six features");
            let expected: f64 =
                expected.split_once(' ').expect("label and value").1.parse().expect("a number");
            let actual = scorer.score(&vector);
            assert!(
                (actual - expected).abs() <= 1e-12 * expected.abs().max(1.0),
                "{name}: {actual} for {expected}"
            );
        }
        assert_eq!(predictions.lines().count(), 54, "{name}");
        assert!(rows.next_row().expect("golden rows read").is_none(), "more vectors than predictions");
    }
}

/// The planted chances are in docs/simulator.md. That of the offer is 0.5 for listeners whom it suits fully, some of whom hold
/// Gold and never click.
#[test]
fn probabilities_are_near_the_planted_chance_of_a_click() {
    let probability = |name: &str, mobile: f64, unique: f64| {
        let scorer = model(name).scorer();
        scorer.probability(scorer.score(&[0.29, 0.21, 0.21, 0.29, mobile, unique])).expect("a probability")
    };
    for (name, mobile, unique, expected) in [
        ("gold-one-day", 0.85, 0.98, 0.48),
        ("gold-one-day", 0.55, 0.98, 0.005),
        ("free-referral", 0.58, 0.99, 0.44),
        ("facebook-like", 0.85, 0.98, 0.46),
        // None of the simulated listeners plays on the phone alone.
        ("gold-one-day", 1.0, 0.98, 0.5),
        ("facebook-like", 1.0, 0.98, 0.5),
        ("charity-donation", 1.0, 0.98, 0.42),
        ("facebook-like", 0.50, 0.98, 0.41),
        ("charity-donation", 0.58, 0.98, 0.42),
    ] {
        let found = probability(name, mobile, unique);
        assert!((found - expected).abs() < 0.03, "{name} {mobile}: {found}, not {expected}");
    }
}

#[test]
fn measures_are_of_the_shipped_models_and_show_probabilities_that_can_be_trusted() {
    let (measures, document) = (measures(), document());
    assert_eq!(measures.len(), document.campaign.len());
    for campaign in &document.campaign {
        let (name, fresh) = (&campaign.model, &measures[&campaign.model]);
        assert_eq!(fresh.ad, campaign.ad.to_string(), "{name}");
        assert_eq!(fresh.model, model(name).id(), "measures.json is of another {name}");
        let profit = &fresh.profit;
        let clicked = profit.clicks as f64 / profit.rows as f64;
        assert!(
            (profit.mean_probability - clicked).abs() < 0.005,
            "{name}: {} {clicked}",
            profit.mean_probability
        );
        assert!(fresh.metrics.calibration_error.expect("a value") < 0.005, "{name}");
        // Of those above the threshold too, as many click as the probability says, and leaving the others out pays.
        let clicked = profit.shown_clicks as f64 / profit.shown as f64;
        assert!(
            (profit.shown_probability - clicked).abs() < 0.02,
            "{name}: {} {clicked}",
            profit.shown_probability
        );
        let cost_share = campaign.impression_cost.micro() as f64 / campaign.click_value.micro() as f64;
        assert!((profit.threshold - cost_share).abs() < 1e-9, "{name}: campaigns.toml has other money");
        assert!(profit.shown > 0 && profit.shown < profit.rows, "{name}: the threshold distinguishes nobody");
        let Both { all, threshold } = profit.profit_per_1000;
        assert!(threshold > all && threshold > 0.0, "{name}: {threshold} above the threshold, {all} for all");
    }
}

#[test]
fn card_has_the_figures_of_the_measures() {
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    for (name, Fresh { model, metrics, profit, .. }) in measures() {
        let line = |start: String| {
            let found = CARD.lines().find(|line| line.starts_with(&start));
            found.unwrap_or_else(|| panic!("the card has no line {start}")).to_owned()
        };
        let quality = line(format!("| `{name}` | `{model}` |"));
        for figure in [
            format!("| {:.4} (", metrics.auc.expect("an AUC")),
            format!("| {:.4} |", metrics.log_loss.expect("a log loss")),
            format!("| {:.4} |", metrics.calibration_error.expect("an error")),
            format!("| {} |", percent(profit.mean_probability)),
            format!("| {} |", percent(profit.clicks as f64 / profit.rows as f64)),
        ] {
            assert!(quality.contains(&figure), "{name}: no {figure} in {quality}");
        }
        let money = line(format!("| `{name}` | {} |", percent(profit.threshold)));
        for figure in [
            format!("| {} |", percent(profit.shown as f64 / profit.rows as f64)),
            format!("| {} |", percent(profit.shown_probability)),
            format!("| {:.2} |", profit.profit_per_1000.all),
            format!("| {:.2} |", profit.profit_per_1000.threshold),
        ] {
            assert!(money.contains(&figure), "{name}: no {figure} in {money}");
        }
    }
}
