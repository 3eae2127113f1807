//! What is watched of a campaign, made of records and rows.

use upbeat_core::campaign::Bill;
use upbeat_core::event::DecisionId;
use upbeat_core::feature::Counts;
use upbeat_engine::ledger::Charge;
use upbeat_engine::{Coins, Facts};

use super::*;

const HOUR_MS: i64 = 3_600_000;

const COUNTS: Counts = Counts { plays: 20, parts: [5, 5, 5, 5, 18, 19] };

/// A version of one campaign, `a`, with this holdout.
fn version(version: u64, holdout: f64) -> Entry {
    let toml = format!(
        "holdout_all = 0.1\n[[campaign]]\nid = \"a\"\nad = \"AD\"\nimpression_cost = 0.02\nclick_value = 0.5\nthreshold = {{ score = 0.0 }}\n\
         holdout = {holdout}\n"
    );
    crate::testing::version(version, "a", &toml)
}

fn facts(time_ms: i64, reason: Reason, version: u64) -> Box<Facts<'static>> {
    Box::new(Facts {
        id: DecisionId(1),
        time_ms,
        reason,
        eligible: true,
        campaign: Some(0),
        version,
        model: None,
        counts: Some(COUNTS),
        coins: Coins::None,
    })
}

fn show(customer: u64, time_ms: i64, version: u64) -> Entry {
    let charge = Charge { expires_s: 0, day: 0, bill: Bill::Show, cost: 20_000 };
    let facts = facts(time_ms, Reason::LikelyToClick, version);
    Entry::ShownInPlan { customer: Id::Number(customer), facts, charge, answer: None }
}

fn not_shown(customer: u64, reason: Reason, version: u64) -> Entry {
    Entry::Decided { customer: Id::Number(customer), facts: facts(0, reason, version), has_state: true }
}

fn found(versions: &[(u64, f64)]) -> Found {
    let mut found = Found::default();
    versions.iter().for_each(|(number, holdout)| found.note(1, &version(*number, *holdout)));
    found
}

#[test]
fn customer_counts_once_in_the_group_of_the_first_decision_that_would_show_the_campaign() {
    let found = found(&[(1, 0.0), (2, 0.5)]);
    let mut watch = Watch::new(&found, 0, None);
    let log = [
        not_shown(1, Reason::Paced, 1),
        not_shown(1, Reason::HeldOut, 1),
        show(1, 5, 2),
        show(2, 6, 1),
        show(2, 7, 1),
        not_shown(2, Reason::HeldOut, 2),
        not_shown(3, Reason::UnlikelyToClick, 1),
        not_shown(4, Reason::HeldOut, 2),
        show(5, 9, 2),
    ];
    log.iter().zip(2..).for_each(|(entry, position)| watch.entry(position, entry));
    let ratio = watch.finish().split.expect("the log is whole");
    assert_eq!((ratio.treated, ratio.held_out), (2, 2));
    // Own and common holdout: a tenth of two customers, and 0.1 + 0.9 / 2 of two others.
    assert!((ratio.expected - 2.0 * 0.1 - 2.0 * 0.55).abs() < 1e-9, "{ratio:?}");
}

#[test]
fn customers_of_before_the_log_and_of_versions_that_it_has_lost_do_not_count() {
    let found = found(&[(5, 0.5)]);
    let shown = |customer: u64, time_ms: i64| Entry::Shown {
        customer: Id::Number(customer),
        decision: DecisionId(7),
        campaign: Id::Text("a".into()),
        time_ms,
        answer: None,
    };
    let mut watch = Watch::new(&found, 0, None);
    [shown(1, 50), shown(1, 900), shown(2, 100), shown(3, 700)].iter().for_each(|entry| watch.before(entry));
    watch.begin(ProfilesBefore { from: 10, known_from: 12 });
    // The first was shown it before, the second first at this time, the third has lost this one from the history.
    let log = [show(1, 100, 5), show(2, 100, 5), show(3, 100, 5), show(4, 100, 5), show(6, 100, 4)];
    log.iter().zip(2..).for_each(|(entry, position)| watch.entry(position, entry));
    let ratio = watch.finish().split.expect("a snapshot says who");
    assert_eq!((ratio.treated, ratio.held_out), (2, 0));
    let mut watch = Watch::new(&found, 0, None);
    watch.begin(ProfilesBefore { from: 0, known_from: u64::MAX });
    let watched = watch.finish();
    assert_eq!((watched.split, watched.findings[2].state), (None, State::Unknown));
}

#[test]
fn holdout_that_loses_customers_is_bad_and_one_without_is_good() {
    let found = found(&[(1, 0.5)]);
    for (losing, expected) in [(false, State::Good), (true, State::Bad)] {
        let mut watch = Watch::new(&found, 0, None);
        for customer in 0..4000 {
            let draw = StableHash::with_key(9).word(customer).finish() as f64 / u64::MAX as f64;
            match draw < 0.55 {
                true => watch.entry(2, &not_shown(customer, Reason::HeldOut, 1)),
                false if losing && customer % 5 == 0 => {}
                false => watch.entry(2, &show(customer, 5, 1)),
            }
        }
        let watched = watch.finish();
        assert_eq!(watched.findings[2].state, expected, "{}", watched.findings[2].sentence);
        let text = serde_json::to_string(&watched).expect("JSON");
        assert_eq!(serde_json::from_str::<Watched>(&text).expect("as it was written"), watched);
    }
}

fn judge() -> Judge {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../model/impression/gold-one-day.json");
    Judge::new(&upbeat_core::model::read(&std::fs::read(path).expect("a model")).expect("a model"))
}

#[test]
fn calibration_is_of_the_week_and_click_rate_of_the_day_against_it_by_the_time_of_the_ads() {
    let (found, judge) = (found(&[(1, 0.0)]), judge());
    let probability =
        judge.judge(&COUNTS).and_then(|(_, probability)| probability).expect("a calibrated model");
    let mut watch = Watch::new(&found, 0, Some(judge.clone()));
    let ad = |time_ms: i64, is_clicked: bool| {
        let row = Row::of(show(1, time_ms, 1), &found.campaigns).expect("a decision");
        Row { is_clicked, is_mature: true, ..row }
    };
    // As many clicks as expected for a week of 7,000 ads, and half as long before, which do not count; in any order.
    let clicks = (1000.0 * probability).round() as usize;
    for day in [9, 3, 8, 1, 2, 7, 6, 5, 4] {
        for number in 0..1000 {
            let time_ms = (100 - day) * 24 * HOUR_MS + number as i64 % 24 * HOUR_MS;
            watch.row(&ad(time_ms, number < if day > 7 { 1000 } else { clicks }));
        }
    }
    // None of these counts.
    let last = ad(100 * 24 * HOUR_MS - 1, true);
    watch.row(&Row { is_mature: false, ..last.clone() });
    watch.row(&Row { has_events: false, ..last.clone() });
    watch.row(&Row { was_voided: true, ..last });
    let watched = watch.finish();
    assert_eq!((watched.week.shown, watched.week.clicks), (7000, 7 * clicks as u64));
    assert_eq!((watched.day.shown, watched.day.clicks), (1000, clicks as u64));
    let [ratio, low, high] = watched.week.calibration.expect("there were clicks");
    assert!((0.95..1.05).contains(&ratio) && low < ratio && ratio < high, "{ratio} {low} {high}");
    let states: Vec<State> = watched.findings.iter().map(|of| of.state).collect();
    assert_eq!(states, [State::Good, State::Good, State::Unknown]);

    // The last day nobody clicks, or everybody.
    for (is_clicked, expected) in [(false, State::Bad), (true, State::Bad)] {
        let mut watch = Watch::new(&found, 0, Some(judge.clone()));
        for number in 0..7000 {
            let time_ms = number / 1000 * 24 * HOUR_MS;
            watch.row(&ad(time_ms, if number >= 6000 { is_clicked } else { number % 5 == 0 }));
        }
        let watched = watch.finish();
        assert_eq!(watched.findings[1].state, expected, "{}", watched.findings[1].sentence);
        assert_ne!(watched.findings[0].state, State::Unknown);
        assert!(
            is_clicked || watched.findings[0].state == State::Bad,
            "too few click: {}",
            watched.findings[0].sentence
        );
    }
}
