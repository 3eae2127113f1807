//! Challengers over logs.

use upbeat_svm::{Calibration, Machine, Parts, Platt};

use super::*;
use crate::job::Verdict;

/// A line over the share of plays on a phone: its probability is above one of five where so many of forty are.
fn above(mobile: u16, falls: bool) -> Model {
    let (slope, middle) = (if falls { -10.0 } else { 10.0 }, (f64::from(mobile) - 0.5) / 40.0);
    let mut weights = vec![0.0; FEATURE_COUNT];
    weights[4] = slope;
    // The log-odds of one of five are ln(1/4).
    let parts = Parts {
        name: None,
        features: upbeat_core::model::features(FEATURE_COUNT),
        window: upbeat_core::model::metadata(Window::default(), upbeat_core::campaign::Label::Impression),
        labels: upbeat_svm::Labels::default(),
        scaling: None,
        machine: Machine::Linear { weights, bias: -slope * middle - 4_f64.ln() },
        calibration: Some(Calibration::Platt(Platt { a: -1.0, b: 0.0 })),
        training: None,
    };
    Model::new(parts).expect("a model")
}

/// The champion shows whom at least 20 of 40 plays on a phone are known of, the challenger the others.
fn given() -> Given {
    Given { champion: Some(above(20, false)), challenger: Some(above(20, true)) }
}

fn challenged(now_ms: i64, trained_until_ms: i64, fixed_ms: i64) -> Ask {
    let Given { champion, challenger } = given();
    let challenger = Challenger {
        id: challenger.expect("a model").id().to_owned(),
        number: 1,
        trained_until_ms,
        fixed_ms,
        cost_micro: COST_MICRO,
        value_micro: VALUE_MICRO,
    };
    Ask {
        champion: champion.map(|model| model.id().to_owned()),
        challenger: Some(challenger),
        train: false,
        ..ask(now_ms)
    }
}

fn judged(ask: &Ask, given: &Given, entries: &[Entry]) -> Judged {
    answer(ask, given, entries).judged.expect("a challenger")
}

fn verdict<'a>(judged: &'a Judged, check: &str) -> &'a Verdict {
    judged.verdicts.iter().find(|of| of.check == check).expect("a verdict")
}

const LATER_MS: i64 = 10 * ATTRIBUTION_MS;

#[test]
fn rows_say_what_both_models_would_have_done_with_the_rate_that_pacing_had() {
    let quarter = 65_535 / 4;
    let share = f64::from(quarter) / 65_535.0;
    let entries = [
        // Before anything is known of pacing: both would show at certainty. The challenger alone shows it: it was clicked.
        decided(1, 1_000, Reason::Exploring, counts(5), exploring(1)),
        click(1, 2_000),
        // The champion's, at one of four, not clicked; and one that pacing left out.
        decided(2, 3_000, Reason::LikelyToClick, counts(30), pacing(quarter)),
        decided(3, 4_000, Reason::Paced, counts(30), pacing(quarter)),
        // Explored after that: the challenger would have shown it at one of four.
        decided(4, 5_000, Reason::Exploring, counts(5), exploring(1)),
        decided(5, 6_000, Reason::UnlikelyToClick, counts(5), exploring(1)),
        // The rate is then another one, which changes nothing of what was before.
        decided(6, 7_000, Reason::LikelyToClick, counts(30), Coins::None),
        // A label that is not known yet, and one that the candidate was fitted to.
        decided(7, LATER_MS, Reason::LikelyToClick, counts(30), Coins::None),
        decided(8, -1_000, Reason::LikelyToClick, counts(30), Coins::None),
    ];
    let found = judged(&challenged(LATER_MS + 1, -500, 0), &given(), &entries);
    assert_eq!((found.rows, found.agreement), (6, Some(0.0)), "{found:?}");
    let explored = 1.0 / (0.1 * (1.0 - 1e-9));
    let (cost, gain) = (COST_MICRO as f64, (VALUE_MICRO - COST_MICRO) as f64);
    let expected = explored * gain + cost - explored * share * cost + cost;
    let told = found.would_have_profit_micro.expect("rows");
    assert!((told - expected).abs() < 1e-3 * expected.abs(), "{told} and {expected}");
    // Two customers whom it would have shown: one clicked and the probability of it was above a half, one did not.
    assert!(verdict(&found, "customer_error").sentence.contains("Of 6 customers"), "{found:?}");
}

#[test]
fn decisions_before_the_fixing_count_for_calibration_and_those_of_training_for_nothing() {
    let entries: Vec<Entry> = (1..=30)
        .map(|number| decided(number, number as i64 * 1_000, Reason::LikelyToClick, counts(30), Coins::None))
        .collect();
    let found = judged(&challenged(LATER_MS, 10_000, 20_000), &given(), &entries);
    assert_eq!(found.rows, 10);
    assert!(verdict(&found, "calibration").sentence.contains("20 ads were shown"), "{found:?}");
}

#[test]
fn propensities_are_right_where_a_fifth_of_the_customers_is_held_out() {
    let (mut rng, mut entries) = (Rng::new(5), Vec::new());
    for number in 1..=20_000_u64 {
        let is_held_out = number % 1_000 < 200;
        let is_likely = rng.chance(0.5);
        let (coins, chance) = if is_likely { (pacing(32_768), 0.5) } else { (exploring(1), 0.1) };
        let reason = match (rng.chance(chance), is_likely) {
            (true, _) if is_held_out => Reason::HeldOut,
            (true, true) => Reason::LikelyToClick,
            (true, false) => Reason::Exploring,
            (false, true) => Reason::Paced,
            (false, false) => Reason::UnlikelyToClick,
        };
        let counts = counts(if is_likely { 30 } else { 5 });
        entries.push(decided(number, number as i64, reason, counts, coins));
    }
    let found = judged(&challenged(LATER_MS, -2, -1), &given(), &entries);
    let of = verdict(&found, "propensities");
    assert_eq!((found.rows, of.ok), (20_000, Some(true)), "{}", of.sentence);
    assert!((of.value.expect("rows") - 1.0).abs() < 0.06, "{}", of.sentence);
}

#[test]
fn challenger_that_cannot_be_judged_stays_with_a_sentence_and_goes_when_it_is_too_old() {
    let ask = || challenged(LATER_MS, 0, 1_000);
    let mut of_other_window = given();
    let other = given().challenger.expect("a model").parts().clone();
    let window = Window { plays: 100, days: 7 };
    let window = upbeat_core::model::metadata(window, upbeat_core::campaign::Label::Impression);
    of_other_window.challenger = Some(Model::new(Parts { window, ..other.clone() }).expect("a model"));
    let uncalibrated = Model::new(Parts { calibration: None, ..other }).expect("a model");
    for (ask, given, said) in [
        (ask(), Given { champion: None, ..given() }, "the champion's model"),
        (ask(), Given { challenger: None, ..given() }, "PUT /models/"),
        (ask(), of_other_window, "trained on a window of 100 plays"),
        (ask(), Given { challenger: Some(uncalibrated), ..given() }, "no probability that a show is clicked"),
        (Ask { gate: GateSettings { alpha: 0.0, ..ask().gate }, ..ask() }, given(), "alpha is 0"),
        (Ask { gate: GateSettings { min_gain_micro: 1e12, ..ask().gate }, ..ask() }, given(), "profits"),
        (challenged(LATER_MS, 2_000, 1_000), given(), "which is later"),
        (Ask { campaign: Id::Number(7), ..ask() }, given(), "no version of the campaigns that has 7"),
    ] {
        let found = judged(&ask, &given, &[]);
        assert_eq!(found.standing, Standing::NotComputed, "{said}");
        assert!(found.sentence.starts_with("The champion stays in force"), "{}", found.sentence);
        assert!(found.sentence.contains(said), "{} and {said}", found.sentence);
        let old = Ask { now_ms: 1_000 + ask.gate.max_age_ms, train: true, ..ask };
        let Answer { judged, trained, .. } = answer(&old, &given, &[]);
        assert_eq!(judged.map(|judged| judged.standing), Some(Standing::TooOld), "{said}");
        assert!(trained.is_some(), "and makes room for another");
    }
}

#[test]
fn nothing_is_trained_while_a_challenger_stays() {
    let entries: Vec<Entry> = (1..=30)
        .map(|number| decided(number, number as i64 * 1_000, Reason::LikelyToClick, counts(30), Coins::None))
        .collect();
    let ask = Ask { train: true, ..challenged(LATER_MS, 0, 1_000) };
    let Answer { judged, trained, .. } = answer(&ask, &given(), &entries);
    assert_eq!((judged.map(|of| of.standing), trained), (Some(Standing::Stays), None));
}

#[test]
fn decisions_of_a_clock_that_had_jumped_are_left_out_and_counted() {
    let days_ms = 30 * DAY_MS;
    let entries = [
        decided(1, 2_000, Reason::LikelyToClick, counts(30), Coins::None),
        decided(2, days_ms, Reason::LikelyToClick, counts(30), Coins::None),
        decided(3, 3_000, Reason::LikelyToClick, counts(30), Coins::None),
    ];
    // The label of the third would be taken for known if the clock of the second were believed.
    let now_ms = 3_000 + ATTRIBUTION_MS;
    let found = judged(&challenged(now_ms, 0, 1_000), &given(), &entries);
    assert_eq!(found.rows, 1, "{found:?}");
    assert!(found.sentence.contains("1 decisions are left out"), "{}", found.sentence);
    let said = refusal(answer(&ask(now_ms), &Given::default(), &entries));
    assert!(said.contains("1 ads have a label") && said.contains("the clock had jumped"), "{said}");
}

#[test]
fn challenger_and_training_of_a_clock_that_had_jumped_ahead_stand_in_nobodys_way() {
    let entries: Vec<Entry> = (1..=30)
        .map(|number| decided(number, number as i64 * 1_000, Reason::LikelyToClick, counts(30), Coins::None))
        .collect();
    let ahead_ms = LATER_MS + 365 * DAY_MS;
    let ask =
        Ask { train: true, trained_until_ms: Some(ahead_ms), ..challenged(LATER_MS, ahead_ms, ahead_ms) };
    let Answer { judged, trained, .. } = answer(&ask, &given(), &entries);
    let judged = judged.expect("a challenger");
    assert_eq!(judged.standing, Standing::TooOld, "{}", judged.sentence);
    let said = ["The champion stays in force", "the clock had jumped ahead", "365.0 days"];
    assert!(said.iter().all(|said| judged.sentence.contains(said)), "{}", judged.sentence);
    let Some(Training::None { sentence, labels }) = trained else { panic!("{trained:?}") };
    assert_eq!(labels, 30, "those of before the jump count: {sentence}");
}

#[test]
fn candidate_that_would_not_have_earned_more_than_the_champion_is_not_offered() {
    let ads = shown(2_000, 3);
    let entries: Vec<(i64, Entry)> = ads
        .iter()
        .flat_map(|ad| {
            let click = ad.clicked.then(|| (ad.time_ms + 1, click(ad.number, ad.time_ms + 1)));
            [Some((ad.time_ms, ad.entry())), click].into_iter().flatten()
        })
        .collect();
    let entries = in_order(entries);
    let ask = ask(2_000_000 + ATTRIBUTION_MS + 1);
    // A click is likelier than one of five from 10 of 40 plays on a phone on.
    let best = Given { champion: Some(above(10, false)), challenger: None };
    let said = refusal(answer(&ask, &best, &entries));
    assert!(said.contains("micro-units an ad more than the champion"), "{said}");
    let worst = Given { champion: Some(above(10, true)), challenger: None };
    model(answer(&ask, &worst, &entries));
}

#[test]
fn customer_is_thought_to_click_where_one_of_all_ads_shown_is_likelier_clicked_than_none() {
    // The challenger's probability of these is near one of five: of three ads one is clicked by 49 of 100, of four by 59.
    for (ads, expected) in [(3, 1.0), (4, 0.0)] {
        let mut entries = Vec::new();
        for customer in 1..=100_u64 {
            for ad in 0..ads {
                let number = ad * 1_000_000 + customer;
                let time_ms = 1_000 + (ad * 1_000 + customer) as i64;
                entries.push(decided(number, time_ms, Reason::LikelyToClick, counts(20), pacing(60_000)));
            }
            entries.push(click(customer, 20_000));
        }
        let found = judged(&challenged(LATER_MS, 0, 0), &given(), &entries);
        let of = verdict(&found, "customer_error");
        assert_eq!(of.value, Some(expected), "{}", of.sentence);
    }
}
