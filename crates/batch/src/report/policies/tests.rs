//! The page of estimates: complete, well-formed and self-contained, whatever was found.

use super::*;
use crate::report::tests::{check, pictures};

fn threshold(step: i32, cost: f64) -> Threshold {
    let threshold = 10_f64.powf(f64::from(step) * 0.3 - 3.0);
    let profit = 40.0 - (cost - 30.0).powi(2) / 20.0;
    Threshold { threshold, cost, profit, interval: Some((profit - 20.0, profit + 30.0)) }
}

fn slice(name: &str, shown: u64, clicked: u64) -> Slice {
    let rate = clicked as f64 / shown as f64;
    let click_rate = (shown > 0).then_some((rate, (rate * 0.5, rate * 1.5)));
    Slice { name: name.to_owned(), decisions: shown * 2 + 1, shown, clicked, click_rate, profit: -1.5 }
}

fn campaign() -> OfCampaign {
    let curve =
        |most: f64| (0..=10).map(|step| threshold(step, most * (1.0 - f64::from(step) / 10.0))).collect();
    let told = |told: f64| ReliabilityPoint {
        told,
        found: told * 1.2,
        interval: (told * 0.8, told * 2.0),
        shown: 40,
    };
    let lift = |outcome: &str| Lift {
        outcome: outcome.to_owned(),
        with: (0.05, 900),
        without: (0.02, 100),
        interval: (-0.01, 0.06),
    };
    OfCampaign {
        name: "gold-one-day".to_owned(),
        currency: Some("USD".to_owned()),
        summary: "Of 8,000 decisions 1,600 are eligible.".to_owned(),
        doubt: Some("none was clicked".to_owned()),
        columns: ["policy", "estimator", "profit"].map(str::to_owned).to_vec(),
        rows: vec![["show-all", "ips", "1.20"].map(str::to_owned).to_vec()],
        curves: vec![("champion".to_owned(), curve(70.0)), ("challenger".to_owned(), curve(60.0))],
        show_all: Some(-12.0),
        break_even: Some(0.04),
        reliability: [0.01, 0.04, 0.2].map(told).to_vec(),
        lift: ["clicks", "upgrades"].map(lift).to_vec(),
        hours: (0..24).map(|hour| slice(&format!("{hour}:00"), hour % 5 * 20, hour % 5)).collect(),
        memberships: vec![slice("free", 100, 7), slice("not known", 0, 0)],
    }
}

fn page(campaigns: Vec<OfCampaign>) -> String {
    let page = Policies { source: "upbeat-data".to_owned(), campaigns }.render().expect("a page");
    check(&page);
    page
}

#[test]
fn page_has_every_picture_and_table() {
    let page = page(vec![campaign()]);
    assert_eq!(pictures(&page), 5);
    for part in [
        "Profit against threshold",
        "What a budget buys",
        "Reliability",
        "Lift against the holdout",
        "By hour",
        "By membership",
        "show-all",
        "Careful:",
        "USD",
        "<td>free</td>",
        "7.0\u{a0}% (3.5\u{a0}% to 10.5\u{a0}%)",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn unknown_figures_leave_their_pictures_out() {
    let bare = || OfCampaign {
        currency: None,
        doubt: None,
        curves: Vec::new(),
        show_all: None,
        break_even: None,
        reliability: Vec::new(),
        lift: Vec::new(),
        hours: vec![slice("0:00", 0, 0); 24],
        memberships: Vec::new(),
        ..campaign()
    };
    let bare = page(vec![bare(), bare()]);
    assert_eq!(pictures(&bare), 0);
    assert!(!bare.contains("By membership") && !bare.contains("thresholds, probabilities"), "{bare}");
    assert_eq!(pictures(&page(Vec::new())), 0);
}

#[test]
fn figures_that_are_all_zero_or_cannot_be_computed_make_a_page() {
    let none = |step: i32| Threshold { cost: 0.0, profit: 0.0, interval: None, ..threshold(step, 0.0) };
    let flat = OfCampaign {
        curves: vec![("champion".to_owned(), (0..=10).map(none).collect())],
        show_all: Some(0.0),
        break_even: Some(5.0),
        reliability: vec![ReliabilityPoint { told: 0.0, found: 0.0, interval: (0.0, 1.0), shown: 1 }],
        lift: vec![Lift {
            outcome: "clicks".to_owned(),
            with: (0.0, 1),
            without: (0.0, 1),
            interval: (0.0, 0.0),
        }],
        ..campaign()
    };
    assert_eq!(pictures(&page(vec![flat])), 4, "there is no cost to draw by");
}

#[test]
fn markup_in_names_and_sentences_is_escaped() {
    let evil = "<script src=\"elsewhere\">&'";
    let text = || evil.to_owned();
    let hostile = OfCampaign {
        name: text(),
        currency: Some(text()),
        summary: text(),
        doubt: Some(text()),
        columns: vec![text()],
        rows: vec![vec![text()]],
        memberships: vec![slice(evil, 1, 1)],
        ..campaign()
    };
    let page = page(vec![hostile]);
    assert!(!page.contains("<script") && page.contains("&lt;script"), "{page}");
}
