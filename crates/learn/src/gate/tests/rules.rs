//! Each check by itself, with tables.

use super::super::*;
use super::world::{BREAK_EVEN, COST_MICRO, SHOWN, VALUE_MICRO};
use upbeat_simulate::Rng;

const CHALLENGE: Challenge = Challenge {
    number: 1,
    trained_until_ms: 1_000,
    fixed_ms: 2_000,
    cost_micro: COST_MICRO,
    value_micro: VALUE_MICRO,
};

pub(super) fn gate() -> Gate {
    Gate::new(Settings::default(), CHALLENGE).expect("sound settings")
}

/// A row that counts for everything: explored, shown, not clicked; the candidate alone would show it.
pub(super) const EXPLORED: Row =
    Row { decided_ms: 3_000, propensity: 0.02, candidate_shows: 1.0, probability: 0.3, ..SHOWN };

fn verdict(gate: &Gate, check: Check) -> Verdict {
    gate.verdicts().into_iter().find(|verdict| verdict.check == check).expect("a verdict of every check")
}

/// A gate whose every check has passed, by 60,000 rows: half both models show, at four of five, and half the candidate alone.
fn passed() -> Gate {
    let (mut gate, mut rng) = (gate(), Rng::new(8));
    gate.judge_customers(&customers(1_000, 20, 20));
    for row in 0..60_000 {
        let is_both = rng.chance(0.5);
        let propensity = if is_both { 0.8 } else { 0.02 };
        let shown = rng.chance(propensity);
        let probability = if is_both { BREAK_EVEN * 1.2 } else { 0.3 };
        let row = Row {
            decided_ms: 3_000 + row,
            propensity,
            shown,
            clicked: shown && rng.chance(probability),
            candidate_shows: if is_both { 0.8 } else { 1.0 },
            champion_shows: if is_both { 0.8 } else { 0.0 },
            probability,
            ..SHOWN
        };
        assert_eq!(gate.observe(&row), Taken::Counted);
    }
    gate
}

fn customers(count: u64, clicked: u64, wrong: u64) -> Vec<Customer> {
    let customer = |index: u64| {
        let (is_wrong, has_clicked) = (index < wrong, index < clicked);
        Customer {
            time_ms: 1_500,
            score: if is_wrong != has_clicked { 1.0 } else { -1.0 },
            clicked: has_clicked,
        }
    };
    (0..count).map(customer).collect()
}

#[test]
fn gate_that_has_seen_nothing_passes_no_check_that_it_could_not_compute() {
    let gate = gate();
    assert!(!gate.promotes());
    assert_eq!(gate.standing(2_000), Standing::Stays);
    let verdicts = gate.verdicts();
    assert_eq!(verdicts.iter().map(|verdict| verdict.check).collect::<Vec<_>>(), Check::ALL);
    for verdict in verdicts {
        assert_eq!(verdict.outcome.ok(), Some(false), "{verdict:?}");
        assert!(verdict.sentence.ends_with('.') && !verdict.sentence.contains("NaN"), "{verdict:?}");
    }
}

#[test]
fn gate_promotes_where_every_verdict_passed_and_only_there() {
    let good = passed();
    assert!(good.promotes(), "{:#?}", good.verdicts());
    assert_eq!(good.standing(i64::MAX), Standing::Promote);
    assert!(good.verdicts().iter().all(|verdict| verdict.outcome != Outcome::Failed));
    let mut bad = [good.clone(), good.clone(), good.clone()];
    bad[0].judge_customers(&customers(100, 20, 15));
    bad[1].settings.min_clicks = 1_000_000;
    bad[2].settings.min_effective = 1e9;
    for (gate, check) in bad.iter().zip([Check::CustomerError, Check::Clicks, Check::EffectiveSample]) {
        let failed = gate.verdicts().into_iter().filter(|verdict| verdict.outcome == Outcome::Failed);
        assert_eq!(failed.map(|verdict| verdict.check).collect::<Vec<_>>(), [check]);
        assert!(!gate.promotes());
        let sentence = gate.sentence(gate.standing(2_000));
        assert!(
            sentence.contains(check.as_str()) && sentence.starts_with("The champion stays"),
            "{sentence}"
        );
    }
}

#[test]
fn gate_is_a_function_of_the_rows() {
    assert_eq!(passed(), passed());
}

#[test]
fn error_per_customer_must_be_a_tenth_at_most_and_below_always_no() {
    for (count, clicked, wrong, expected) in [
        (1_000, 150, 100, Outcome::Passed),
        (1_000, 150, 101, Outcome::Failed),
        (1_000, 100, 100, Outcome::Failed),
        (1_000, 100, 99, Outcome::Passed),
        (1_000, 99, 500, Outcome::NotInformative),
        (1_000, 0, 0, Outcome::NotInformative),
        (0, 0, 0, Outcome::Failed),
    ] {
        let mut gate = gate();
        gate.judge_customers(&customers(count, clicked, wrong));
        let found = verdict(&gate, Check::CustomerError);
        assert_eq!(found.outcome, expected, "{clicked} {wrong}: {}", found.sentence);
    }
}

#[test]
fn customer_whom_the_candidate_may_have_seen_spoils_the_error() {
    for spoiled in [
        Customer { time_ms: CHALLENGE.trained_until_ms, score: 1.0, clicked: true },
        Customer { time_ms: 1_500, score: f64::NAN, clicked: true },
    ] {
        let (mut gate, mut all) = (gate(), customers(1_000, 150, 50));
        all.push(spoiled);
        gate.judge_customers(&all);
        assert_eq!(verdict(&gate, Check::CustomerError).value, None);
        assert_eq!(verdict(&gate, Check::CustomerError).outcome, Outcome::Failed);
    }
}

/// Calibration of this many ads shown with one probability, of which so many were clicked.
fn calibration(shown: u64, clicks: u64, probability: f64) -> [Outcome; 2] {
    let mut gate = gate();
    for index in 0..shown {
        let row = Row { decided_ms: 1_500, clicked: index < clicks, probability, ..SHOWN };
        assert_eq!(gate.observe(&row), Taken::HeldOut);
    }
    [Check::Calibration, Check::CalibrationNearBreakEven].map(|check| verdict(&gate, check).outcome)
}

#[test]
fn calibration_passes_where_the_whole_interval_is_within_a_tenth() {
    use Outcome::{Failed, Passed};
    for (shown, clicks, probability, expected) in [
        (20_000, 800, 0.04, [Passed, Passed]),
        (20_000, 760, 0.04, [Failed, Failed]),
        (20_000, 840, 0.04, [Failed, Failed]),
        // 300 clicks are too few, however well they agree.
        (7_500, 300, 0.04, [Failed, Failed]),
        (20_000, 0, 0.04, [Failed, Failed]),
        (20_000, 2_000, 0.1, [Passed, Failed]),
        (40_000, 800, 0.02, [Passed, Passed]),
        (10_000, 800, 0.08, [Passed, Passed]),
    ] {
        assert_eq!(calibration(shown, clicks, probability), expected, "{clicks} of {shown} at {probability}");
    }
}

#[test]
fn calibrations_interval_covers_the_true_ratio_in_95_of_100_samples() {
    let (mut rng, mut covered) = (Rng::new(5), 0);
    for _ in 0..1_000 {
        let mut calibration = Calibration::default();
        for _ in 0..4_000 {
            let probability = 0.3 * rng.unit() * rng.unit();
            // The truth is 0.8 of what is said, everywhere: a ratio of 1.25.
            calibration.observe(probability, rng.chance(0.8 * probability));
        }
        let [_, low, high] = calibration.ratio().expect("clicks");
        covered += i32::from(low <= 1.25 && 1.25 <= high);
    }
    assert!((930..=970).contains(&covered), "{covered} of 1000");
}

#[test]
fn calibration_asked_at_every_click_rarely_passes_a_model_that_is_wrong_by_more_than_the_limit() {
    // Its interval is for one look: at the limit itself more than its 2.5 % pass at some click of 5,000.
    for (ratio, most) in [(1.1, 75), (1.15, 9), (1.2, 0)] {
        let passes = |seed: &u64| {
            let (mut rng, mut calibration) = (Rng::new(*seed), Calibration::default());
            (0..125_000).any(|_| {
                let clicked = rng.chance(BREAK_EVEN / ratio);
                calibration.observe(BREAK_EVEN, clicked);
                clicked && calibration.finding().outcome == Outcome::Passed
            })
        };
        let passed = (0..300).filter(passes).count();
        eprintln!("gate: a calibration of {ratio} passes at some click in {passed} of 300 runs");
        assert!(passed <= most, "{ratio}: {passed} of 300");
    }
}

#[test]
fn rows_count_by_when_they_were_decided_and_for_what_they_may() {
    let mut gate = gate();
    for (row, expected) in [
        (Row { decided_ms: 1_000, ..EXPLORED }, Taken::Left),
        (Row { decided_ms: 1_001, ..EXPLORED }, Taken::HeldOut),
        (Row { decided_ms: 2_000, ..EXPLORED }, Taken::HeldOut),
        (Row { decided_ms: 2_001, ..EXPLORED }, Taken::Counted),
        (Row { decided_ms: 2_002, eligible: false, ..EXPLORED }, Taken::Left),
        (Row { decided_ms: 2_003, matured: false, ..EXPLORED }, Taken::Unmatured),
        (Row { decided_ms: 2_003, ..EXPLORED }, Taken::Counted),
        (Row { decided_ms: 2_002, ..EXPLORED }, Taken::Counted),
        (Row { decided_ms: 2_004, shown: false, held_out: true, ..EXPLORED }, Taken::Counted),
        (Row { decided_ms: 2_004, held_out: true, ..EXPLORED }, Taken::Refused),
    ] {
        assert_eq!(gate.observe(&row), expected, "{row:?}");
    }
    assert_eq!(gate.rows(), 4);
}

#[test]
fn row_that_contradicts_itself_closes_the_gate() {
    let unshown = Row { shown: false, ..EXPLORED };
    for row in [
        Row { propensity: 0.0, ..EXPLORED },
        Row { propensity: 1.0, ..unshown },
        Row { propensity: f64::NAN, ..EXPLORED },
        Row { propensity: 1.5, ..EXPLORED },
        Row { clicked: true, ..unshown },
        Row { voided: true, ..unshown },
        Row { probability: -0.1, ..EXPLORED },
        Row { candidate_shows: f64::INFINITY, ..EXPLORED },
        Row { cost_micro: -1, ..EXPLORED },
    ] {
        let mut gate = passed();
        assert_eq!(gate.observe(&Row { decided_ms: i64::MAX, ..row }), Taken::Refused, "{row:?}");
        assert!(!gate.promotes());
        assert_eq!(verdict(&gate, Check::Propensities).outcome, Outcome::Failed);
    }
}

#[test]
fn propensities_that_are_not_those_of_the_log_are_found_out() {
    for (told, passes) in [(0.02, true), (0.01, false), (0.04, false)] {
        let (mut gate, mut rng) = (gate(), Rng::new(2));
        for _ in 0..20_000 {
            gate.observe(&Row { shown: rng.chance(0.02), propensity: told, ..EXPLORED });
        }
        let found = verdict(&gate, Check::Propensities);
        assert_eq!(found.outcome == Outcome::Passed, passes, "{}", found.sentence);
    }
}

#[test]
fn show_without_a_chance_is_unsupported_and_more_than_a_twentieth_fails() {
    let unsupported = Row { propensity: 0.0, shown: false, ..EXPLORED };
    for (count, expected) in [(50, Outcome::Passed), (51, Outcome::Failed)] {
        let mut gate = gate();
        (0..count).for_each(|_| assert_eq!(gate.observe(&unsupported), Taken::Counted));
        // Not showing earns 0 and needs no support, even where the ad was certain to be shown.
        let refused = Row { propensity: 1.0, candidate_shows: 0.0, champion_shows: 1.0, ..EXPLORED };
        (count..1_000).for_each(|_| assert_eq!(gate.observe(&refused), Taken::Counted));
        let found = verdict(&gate, Check::Unsupported);
        assert_eq!((found.outcome, found.value), (expected, Some(count as f64 / 1_000.0)));
    }
}

#[test]
fn show_that_is_too_rare_to_tell_counts_at_its_worst() {
    // The default's greatest weight is 100: one of 200 is too rare, and each such row costs the candidate what a show costs.
    let rare = Row { propensity: 0.005, clicked: true, ..EXPLORED };
    let mut gate = gate();
    gate.observe(&rare);
    assert_eq!(gate.profit.sum(), -(COST_MICRO as f64));
    let found = verdict(&gate, Check::Profit);
    assert!(found.sentence.contains("1 of them were too rarely shown"), "{}", found.sentence);
    for (row, expected) in [
        (Row { clicked: true, ..EXPLORED }, 480_000.0 / 0.02),
        (EXPLORED, -20_000.0 / 0.02),
        (Row { voided: true, ..EXPLORED }, 0.0),
        (Row { shown: false, ..EXPLORED }, 0.0),
        (Row { champion_shows: 1.0, clicked: true, ..EXPLORED }, 0.0),
        (
            Row { propensity: 0.5, champion_shows: 0.5, candidate_shows: 0.0, clicked: true, ..EXPLORED },
            -480_000.0,
        ),
        (Row { propensity: 0.5, champion_shows: 0.5, candidate_shows: 0.0, ..EXPLORED }, 20_000.0),
        (Row { propensity: 0.1, champion_shows: 1.0, candidate_shows: 0.0, ..EXPLORED }, -480_000.0),
    ] {
        let mut gate = self::gate();
        gate.observe(&row);
        assert!((gate.profit.sum() - expected).abs() < 1e-6, "{row:?}: {}", gate.profit.sum());
    }
}

#[test]
fn click_worth_more_than_the_comparison_was_made_for_closes_the_gate() {
    let mut gate = passed();
    gate.observe(&Row { decided_ms: i64::MAX, value_micro: 1_000 * VALUE_MICRO, ..EXPLORED });
    assert!(!gate.promotes());
    let found = verdict(&gate, Check::Profit);
    assert!(found.value.is_none() && found.sentence.contains("cannot be compared"), "{}", found.sentence);
}

#[test]
fn least_gain_is_what_the_lower_bound_must_exceed() {
    let good = passed();
    let low = verdict(&good, Check::Profit).value.expect("a bound");
    assert!(low > 0.0);
    for (share, expected) in [(0.5, true), (2.0, false)] {
        let settings = Settings { min_gain_micro: share * low, ..Settings::default() };
        let mut gate = Gate::new(settings, CHALLENGE).expect("sound");
        let mut rng = Rng::new(7);
        for _ in 0..20_000 {
            let both = rng.chance(0.5);
            let shown = rng.chance(if both { 0.8 } else { 0.02 });
            let clicked = shown && rng.chance(if both { BREAK_EVEN * 1.2 } else { 0.3 });
            let row = if both { Row { champion_shows: 1.0, propensity: 0.8, ..EXPLORED } } else { EXPLORED };
            gate.observe(&Row { shown, clicked, ..row });
        }
        assert_eq!(verdict(&gate, Check::Profit).outcome == Outcome::Passed, expected, "{share}");
    }
}

#[test]
fn candidate_that_shows_nobody_becomes_futile_and_one_that_decides_alike_grows_too_old() {
    let (mut gate, mut rng) = (gate(), Rng::new(4));
    let champions =
        Row { propensity: 0.7, champion_shows: 0.7, candidate_shows: 0.0, probability: 0.2, ..EXPLORED };
    while gate.standing(3_000) == Standing::Stays && gate.rows() < 50_000 {
        let shown = rng.chance(0.7);
        gate.observe(&Row { shown, clicked: shown && rng.chance(0.2), ..champions });
    }
    assert_eq!(gate.standing(3_000), Standing::Futile);
    assert!(gate.sentence(Standing::Futile).contains("at most -"), "{}", gate.sentence(Standing::Futile));
    let mut same = self::gate();
    for _ in 0..50_000 {
        let shown = rng.chance(0.7);
        same.observe(&Row { candidate_shows: 0.7, shown, clicked: shown && rng.chance(0.2), ..champions });
    }
    let age = Settings::default().max_age_ms;
    let standings = [age - 1, age].map(|age| same.standing(CHALLENGE.fixed_ms + age));
    assert_eq!(standings, [Standing::Stays, Standing::TooOld]);
}

#[test]
fn challengers_of_a_reign_spend_alpha_together_and_a_promotion_begins_another() {
    let spent: f64 = (1..=100_000).map(|number| alpha_of(0.05, number)).sum();
    assert!(spent < 0.05 && spent > 0.0499, "{spent}");
    assert_eq!([1, 2, 3].map(|number| alpha_of(0.12, number)), [0.06, 0.02, 0.01]);
    let reign = Reign::default();
    assert_eq!(reign.after(Standing::Stays).number(), 1);
    let third = reign.after(Standing::Futile).after(Standing::TooOld);
    assert_eq!((third.number(), third.after(Standing::Promote).number()), (3, 1));
    let later = Gate::new(Settings::default(), Challenge { number: 9, ..CHALLENGE }).expect("sound");
    assert!(later.profit.evidence_needed() > gate().profit.evidence_needed() + 3.0);
}

#[test]
fn gate_of_settings_that_nothing_can_be_held_against_is_not_made() {
    let good = Settings::default();
    for settings in [
        Settings { alpha: 0.0, ..good },
        Settings { alpha: 1.0, ..good },
        Settings { alpha: f64::NAN, ..good },
        Settings { min_gain_micro: -1.0, ..good },
        Settings { min_gain_micro: 1e12, ..good },
        Settings { max_age_ms: 0, ..good },
        Settings { max_weight: 0.5, ..good },
        Settings { min_effective: f64::NAN, ..good },
    ] {
        assert!(Gate::new(settings, CHALLENGE).is_err(), "{settings:?}");
    }
    for challenge in [
        Challenge { number: 0, ..CHALLENGE },
        Challenge { trained_until_ms: 2_001, ..CHALLENGE },
        Challenge { cost_micro: 0, value_micro: 0, ..CHALLENGE },
        Challenge { cost_micro: -1, ..CHALLENGE },
    ] {
        let error = Gate::new(good, challenge).expect_err("a challenge that cannot be judged").to_string();
        assert!(!error.is_empty());
    }
}
