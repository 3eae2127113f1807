//! Estimates against a planted truth.

use std::io::Write;

use upbeat_simulate::Rng;

use super::*;

const COST: i64 = 20_000;
const VALUE: i64 = 500_000;

/// A row of a simulated campaign: its taste, which the planted click probability and all policies are functions of.
struct Simulated {
    taste: f64,
    chance: Chance,
}

/// How often this show is clicked.
fn click_probability(taste: f64) -> f64 {
    0.3 * taste * taste
}

/// How often the logged policy shows likely ones, and others.
type Logged = [f64; 2];

/// Pacing passes four of ten likely ones.
const PACED: Logged = [0.4, 0.1];

/// All likely ones are shown, and of the others a few.
const EXPLORED: Logged = [1.0, 0.05];

/// What a policy logged. `alike` rows are of one customer, and have one taste.
fn simulated([likely, unlikely]: Logged, dice: &mut Rng, rows: usize, alike: usize) -> Vec<Simulated> {
    let mut taste = 0.0;
    let one = |at: usize| {
        if at.is_multiple_of(alike) {
            taste = dice.unit();
        }
        let propensity = if taste > 0.4 { likely } else { unlikely };
        let shown = dice.chance(propensity).then(|| Shown {
            is_clicked: dice.chance(click_probability(taste)),
            cost_micro: COST,
            value_micro: VALUE,
        });
        let customer = (at / alike) as u64;
        Simulated { taste, chance: Chance { propensity, shown, customer } }
    };
    (0..rows).map(one).collect()
}

/// The probability that a policy shows a row, by its taste.
type Policy = fn(f64) -> f64;

fn policies() -> [(&'static str, Policy); 3] {
    [
        ("show-all", |_| 1.0),
        ("likely", |taste| f64::from(u8::from(taste > 0.5))),
        ("unlikely", |taste| f64::from(u8::from(taste < 0.3))),
    ]
}

/// The true profit of a row by a policy, by a fine grid of tastes.
fn truth(policy: Policy) -> f64 {
    let grid = 100_000;
    let of = |at: usize| {
        let taste = (at as f64 + 0.5) / f64::from(grid);
        policy(taste) * (click_probability(taste) * VALUE as f64 - COST as f64)
    };
    (0..grid as usize).map(of).sum::<f64>() / f64::from(grid)
}

/// Half of the textbook's interval, the normal one of independent rows, of the profit a row; and whether it covers.
fn textbook(rows: &[Simulated], policy: Policy, estimator: Estimator, expected: f64) -> (f64, bool) {
    let count = rows.len() as f64;
    let weighted = |row: &Simulated| {
        let show = policy(row.taste);
        let shown = row.chance.shown.map(|shown| (show / row.chance.propensity, shown.profit_micro() as f64));
        (show, shown.map_or(0.0, |(weight, _)| weight), shown.map_or(0.0, |(_, profit)| profit))
    };
    let mean =
        |of: &dyn Fn((f64, f64, f64)) -> f64| rows.iter().map(|row| of(weighted(row))).sum::<f64>() / count;
    let (shows, weight, profit) = (
        mean(&|(show, ..)| show),
        mean(&|(_, weight, _)| weight),
        mean(&|(_, weight, profit)| weight * profit),
    );
    let variance = match estimator {
        Estimator::Ips => mean(&|(_, weight, of)| (weight * of - profit).powi(2)),
        Estimator::Snips => {
            let rate = profit / weight;
            mean(&|(show, own, of)| (rate * (show - shows) + shows / weight * own * (of - rate)).powi(2))
        }
    };
    let half = 1.96 * (variance / count).sqrt();
    let found = if estimator == Estimator::Ips { profit } else { shows * profit / weight };
    (half, (found - expected).abs() <= half)
}

/// How many of 200 runs cover the truth, and the mean width by that of the textbook. With `--nocapture` the rows of
/// docs/decisions/estimates.md are printed.
fn coverage(
    coins: Logged,
    (count, alike): (usize, usize),
    (policy_name, policy): (&str, Policy),
    estimator: Estimator,
) -> (u32, f64) {
    let expected = truth(policy);
    let (mut covered, mut width, mut textbooks, mut by_textbook) = (0, 0.0, 0.0, 0);
    for run in 0..200 {
        let rows = simulated(coins, &mut Rng::new(run), count, alike);
        let mut tally = Tally::default();
        rows.iter().for_each(|row| tally.add(&row.chance, policy(row.taste)));
        let (low, high) = tally.estimate(estimator).interval.expect("an interval");
        let each = count as f64;
        covered += u32::from((low / each..=high / each).contains(&expected));
        width += (high - low) / each;
        let (half, covers) = textbook(&rows, policy, estimator, expected);
        textbooks += 2.0 * half;
        by_textbook += u32::from(covers);
    }
    let (name, width_by) = (estimator.name(), width / textbooks);
    let line = format!(
        "| {policy_name} | {coins:?} | {count} | {alike} | {name} | {covered} | {by_textbook} | {width_by:.2} |"
    );
    let _ = writeln!(std::io::stderr(), "{line}");
    (covered, width / textbooks)
}

#[test]
fn intervals_cover_the_planted_truth_and_are_hardly_wider_than_the_textbooks() {
    let [all, likely, unlikely] = policies();
    for (coins, rows, (name, policy)) in [
        (PACED, 1000, all),
        (PACED, 1000, likely),
        (PACED, 3000, all),
        // Of these, thirty shows in a thousand are logged, and one in a hundred of them is clicked.
        (PACED, 10_000, unlikely),
        (EXPLORED, 3000, all),
        (EXPLORED, 3000, likely),
    ] {
        for estimator in Estimator::ALL {
            let (covered, width) = coverage(coins, (rows, 1), (name, policy), estimator);
            let of =
                format!("{name} of {rows} by {coins:?}, {}: {covered} of 200, {width:.3}", estimator.name());
            assert!(covered >= 181, "{of}");
            assert!(width <= 1.5, "{of}");
        }
    }
}

#[test]
fn intervals_cover_also_where_hardly_any_show_was_clicked() {
    let [_, _, unlikely] = policies();
    for estimator in Estimator::ALL {
        let (covered, _) = coverage(PACED, (3000, 1), unlikely, estimator);
        assert!(covered >= 181, "{}: {covered} of 200", estimator.name());
    }
}

#[test]
fn intervals_know_that_rows_of_a_customer_are_alike() {
    let [all, ..] = policies();
    for estimator in Estimator::ALL {
        let (covered, _) = coverage(PACED, (3000, 30), all, estimator);
        assert!(covered >= 181, "{}: {covered} of 200", estimator.name());
    }
}

#[test]
fn logging_policy_earns_exactly_what_was_observed() {
    let rows = simulated(PACED, &mut Rng::new(7), 5000, 1);
    let mut tally = Tally::default();
    let (mut clicks, mut cost, mut profit) = (0, 0, 0);
    for Simulated { chance, .. } in &rows {
        tally.add(chance, chance.propensity);
        if let Some(shown) = &chance.shown {
            clicks += i64::from(shown.is_clicked);
            cost += shown.cost_micro;
            profit += shown.profit_micro();
        }
    }
    let found = tally.estimate(Estimator::Ips);
    assert_eq!(
        (found.clicks, found.cost_micro, found.profit_micro),
        (clicks as f64, cost as f64, profit as f64)
    );
    assert_eq!(found.max_weight, 1.0);
    let shown = rows.iter().filter(|row| row.chance.shown.is_some()).count();
    assert!((found.ess - shown as f64).abs() < 1e-6);
    // Self-normalised: as often as its coins fall on average.
    let snips = tally.estimate(Estimator::Snips).profit_micro;
    let expected = rows.iter().map(|row| row.chance.propensity).sum::<f64>() * profit as f64 / shown as f64;
    assert!((snips - expected).abs() < 1e-3, "{snips} and {expected}");
}

#[test]
fn unsupported_rows_are_counted_and_never_clipped() {
    let shown = |is_clicked| Some(Shown { is_clicked, cost_micro: COST, value_micro: VALUE });
    let of = |propensity, shown, customer| Chance { propensity, shown, customer };
    let mut tally = Tally::default();
    let rows = [
        of(0.001, shown(true), 0),
        of(0.5, shown(false), 1),
        of(0.5, None, 2),
        of(0.0, None, 3),
        of(0.0, None, 4),
    ];
    rows.iter().for_each(|row| tally.add(row, 1.0));
    tally.add(&of(0.0, None, 5), 0.0);
    let found = tally.estimate(Estimator::Ips);
    assert!((found.unsupported - 2.0 / 6.0).abs() < 1e-12, "those that it would show: {found:?}");
    assert!((found.max_weight - 1000.0).abs() < 1e-9 && (found.clicks - 1000.0).abs() < 1e-9, "{found:?}");
    let snips = tally.estimate(Estimator::Snips);
    assert!(
        (snips.clicks - 3.0 * 1000.0 / 1002.0).abs() < 1e-9,
        "of the rows that could be shown: {snips:?}"
    );
    assert!((snips.ess - 1002.0_f64.powi(2) / 1_000_004.0).abs() < 1e-9);
}

#[test]
fn policies_of_whose_shows_none_was_logged_have_no_interval_and_showing_nothing_earns_nothing() {
    let mut unseen = Tally::default();
    let mut none = Tally::default();
    for customer in 0..50 {
        let chance = Chance { propensity: 0.01, shown: None, customer };
        unseen.add(&chance, 1.0);
        none.add(&chance, 0.0);
    }
    assert_eq!(unseen.estimate(Estimator::Ips).interval, None);
    assert_eq!(unseen.estimate(Estimator::Snips).interval, None);
    let none = none.estimate(Estimator::Snips);
    assert_eq!((none.clicks, none.profit_micro, none.interval), (0.0, 0.0, Some((0.0, 0.0))));
}

#[test]
fn coin_before_a_policy_scales_what_it_earns() {
    let rows = simulated(PACED, &mut Rng::new(3), 2000, 1);
    let (mut all, mut random) = (Tally::default(), Tally::default());
    for row in &rows {
        all.add(&row.chance, 1.0);
        random.add(&row.chance, 0.3);
    }
    for estimator in Estimator::ALL {
        let (scaled, random) = (all.estimate(estimator).scaled(0.3), random.estimate(estimator));
        assert!((scaled.profit_micro - random.profit_micro).abs() < 1e-3);
        assert!(
            (scaled.ess - random.ess).abs() < 1e-6 && (scaled.max_weight - random.max_weight).abs() < 1e-9
        );
    }
}
