//! Rows of a campaign, made of records.

use std::iter;
use upbeat_core::campaign::Bill;
use upbeat_core::decision::Reason;
use upbeat_core::event::{ClickOf, DAY_MS, Event, EventKind, Membership, Time};
use upbeat_engine::ledger::Charge;
use upbeat_engine::{Coins, Facts};

use super::*;

const ATTRIBUTION_MS: i64 = 1_800_000;
const COST: i64 = 20_000;

fn id(text: &str) -> Id {
    Id::Text(text.into())
}

/// A version of one campaign, `a`.
fn version(version: u64, keys: &str) -> Entry {
    let toml = format!(
        "[[campaign]]\nid = \"a\"\nad = \"AD\"\nimpression_cost = 0.02\nclick_value = 0.5\nthreshold = {{ score = 0.0 }}\n{keys}\n"
    );
    crate::testing::version(version, "a", &toml)
}

fn facts(number: u64, time_ms: i64, reason: Reason, coins: Coins<'static>) -> Facts<'static> {
    Facts {
        id: DecisionId(number),
        time_ms,
        reason,
        eligible: true,
        campaign: Some(0),
        version: 1,
        model: None,
        counts: Some(Counts { plays: 2, parts: [2, 0, 0, 0, 0, 1] }),
        coins,
    }
}

fn pacing(rate: u16) -> Coins<'static> {
    Coins::Pacing(vec![(0, rate)].into())
}

fn show(customer: u64, time_ms: i64, coins: Coins<'static>) -> Entry {
    let charge = Charge { expires_s: 0, day: 0, bill: Bill::Show, cost: COST };
    let facts = Box::new(facts(customer, time_ms, Reason::LikelyToClick, coins));
    Entry::ShownInPlan { customer: Id::Number(customer), facts, charge, answer: None }
}

fn unshown(customer: u64, time_ms: i64, reason: Reason, coins: Coins<'static>) -> Entry {
    let facts = Box::new(facts(1000 + customer, time_ms, reason, coins));
    Entry::Decided { customer: Id::Number(customer), facts, has_state: false }
}

fn event(customer: u64, time_ms: i64, kind: EventKind) -> Entry {
    let (customer, time) = (Id::Number(customer), Time::from_unix_ms(time_ms));
    Entry::Event { event: Event { customer, id: Id::Number(1), time, kind }, last_event_s: 0 }
}

/// What is found of these records.
fn tested(entries: &[Entry]) -> Result<(OfCampaign, Vec<crate::lift::Difference>), ImpossibleShow> {
    let mut found = Found::default();
    let play = event(9, 0, EventKind::Play { track: Id::Number(1), mobile: false });
    let records = || iter::once(&play).chain(entries).zip(1..);
    records().for_each(|(entry, position)| found.note(position, entry));
    let mut backtest = Backtest::new(&found, ATTRIBUTION_MS, vec![(0, None)], Question::default());
    records().try_for_each(|(entry, position)| backtest.entry(position, entry.clone()))?;
    let (campaigns, lift) = backtest.finish()?;
    Ok((campaigns.into_iter().next().expect("the campaign"), lift.of(0)))
}

fn of(campaign: &OfCampaign, policy: Policy) -> Estimate {
    let is_it = |of: &&Estimated| of.policy == policy && of.estimator == Estimator::Ips;
    campaign.estimates().iter().find(is_it).expect("it is there").estimate
}

#[test]
fn rows_count_once_no_click_can_come_for_any_of_their_age_shown_or_not() {
    let late = ATTRIBUTION_MS + 1;
    let entries = [
        version(1, ""),
        show(1, 0, pacing(65_535 / 4)),
        unshown(2, 0, Reason::Paced, pacing(65_535 / 4)),
        show(3, 1, pacing(65_535 / 4)),
        unshown(4, 1, Reason::Paced, pacing(65_535 / 4)),
        unshown(5, late, Reason::Paced, pacing(65_535 / 4)),
    ];
    let (campaign, _) = tested(&entries).expect("rows");
    assert_eq!((campaign.eligible, campaign.young, campaign.mature(), campaign.shown), (5, 3, 2, 1));
}

#[test]
fn rows_that_a_rule_refused_never_enter_and_what_pacing_never_passes_is_unsupported() {
    let refused = |customer, reason, coins| {
        let mut entry = unshown(customer, 0, reason, coins);
        let Entry::Decided { facts, .. } = &mut entry else { unreachable!("it is one") };
        facts.eligible = false;
        entry
    };
    let entries = [
        version(1, ""),
        refused(1, Reason::Capped, Coins::None),
        // No lease of the budget was there when its coin had fallen, or the customer had been tossed that day.
        refused(6, Reason::Paced, Coins::None),
        refused(7, Reason::UnlikelyToClick, pacing(65_535 / 2)),
        unshown(2, 0, Reason::Paced, Coins::None),
        show(3, 0, Coins::None),
        // Another campaign's toss: this one was refused by its threshold.
        unshown(4, 0, Reason::UnlikelyToClick, Coins::Exploration(vec![(1, 1 << 62)].into())),
        unshown(5, 2 * ATTRIBUTION_MS, Reason::Paced, Coins::None),
    ];
    let (campaign, _) = tested(&entries).expect("rows");
    assert_eq!((campaign.decisions, campaign.mature()), (7, 2));
    assert_eq!(of(&campaign, Policy::ShowAll).unsupported, 0.5);
    assert_eq!(of(&campaign, Policy::ShowAll).profit_micro, -(COST as f64), "the row that could be shown");
    assert_eq!(of(&campaign, Policy::ShowNone).unsupported, 0.0);
}

#[test]
fn holdout_of_the_version_that_decided_is_a_coin() {
    let entries = [
        version(1, "holdout = 0.5"),
        version(2, ""),
        show(1, 0, Coins::None),
        unshown(2, 0, Reason::HeldOut, Coins::None),
        event(1, 1000, EventKind::Click { of: ClickOf::Decision { decision: DecisionId(1), ad: None } }),
        show(3, 2 * ATTRIBUTION_MS, Coins::None),
    ];
    let (campaign, _) = tested(&entries).expect("rows");
    let all = of(&campaign, Policy::ShowAll);
    assert_eq!((all.max_weight, all.clicks, all.profit_micro), (2.0, 2.0, 960_000.0));
    assert_eq!(of(&campaign, Policy::Logging).profit_micro, 480_000.0, "what was observed");
}

#[test]
fn show_whose_logged_probability_is_zero_is_told() {
    let other = Coins::Pacing(vec![(1, 65_535 / 2)].into());
    let late = unshown(2, 2 * ATTRIBUTION_MS, Reason::Paced, Coins::None);
    for (keys, coins) in [("", other), ("holdout = 1.0", Coins::None)] {
        let entries = [version(1, keys), show(1, 0, coins), late.clone()];
        let error = tested(&entries).expect_err("a contradiction");
        assert!(error.to_string().contains("logged probability of that was 0"), "{error}");
    }
}

#[test]
fn lift_compares_customers_from_their_first_would_be_show_on() {
    let click = |customer, time_ms| event(customer, time_ms, EventKind::click(id("AD")));
    let level = |customer, time_ms, level| event(customer, time_ms, EventKind::Membership(level));
    let entries = [
        version(1, "holdout = 0.5"),
        level(1, 0, Membership::Silver),
        click(1, 0),
        show(1, 10_000, Coins::None),
        unshown(2, 10_000, Reason::HeldOut, Coins::None),
        show(3, 10_000, Coins::None),
        click(1, 20_000),
        click(1, 90_000_000),
        click(2, 20_000),
        event(3, 20_000, EventKind::click(id("ANOTHER"))),
        level(1, 20_000, Membership::Silver),
        level(3, 20_000, Membership::Silver),
        level(2, 20_000, Membership::Free),
    ];
    let (_, lift) = tested(&entries).expect("rows");
    let [clicks, upgrades] = &lift[..] else { panic!("nobody was followed for a day: {lift:?}") };
    assert_eq!((clicks.treated, clicks.held_out, clicks.with, clicks.without), (2, 1, 1.0, 1.0));
    assert_eq!((upgrades.with, upgrades.without), (0.5, 0.0), "one was silver before: {upgrades:?}");
    assert!(
        clicks.interval.0 < 0.0 && clicks.interval.1 > 0.0,
        "of three customers nothing is certain: {clicks:?}"
    );
}

#[test]
fn plays_a_day_are_compared_of_customers_who_were_followed_for_a_day() {
    let play =
        |customer, time_ms| event(customer, time_ms, EventKind::Play { track: Id::Number(1), mobile: false });
    let day = DAY_MS;
    let entries = [
        version(1, "holdout = 0.5"),
        play(1, 0),
        show(1, 10_000, Coins::None),
        unshown(2, 10_000, Reason::HeldOut, Coins::None),
        play(1, 20_000),
        play(1, day),
        play(2, day),
        show(3, day + 20_000, Coins::None),
        play(3, day + 30_000),
        unshown(1, 2 * day + 10_000, Reason::Paced, Coins::None),
    ];
    let (_, lift) = tested(&entries).expect("rows");
    let plays = lift.iter().find(|of| of.outcome == crate::lift::Outcome::Plays).expect("it is there");
    assert_eq!((plays.treated, plays.held_out, plays.with, plays.without), (1, 1, 1.0, 0.5), "{plays:?}");
}

#[test]
fn rows_whose_events_the_log_has_no_longer_are_left_out() {
    let click =
        event(1, 1000, EventKind::Click { of: ClickOf::Decision { decision: DecisionId(1), ad: None } });
    let entries = [
        version(1, ""),
        show(1, 0, Coins::None),
        click,
        show(2, 1000, Coins::None),
        show(3, 2 * ATTRIBUTION_MS, Coins::None),
    ];
    let mut found = Found::default();
    let records = || entries.iter().zip(1..);
    records().for_each(|(entry, position)| found.note(position, entry));
    let mut backtest = Backtest::new(&found, ATTRIBUTION_MS, vec![(0, None)], Question::default());
    records().try_for_each(|(entry, position)| backtest.entry(position, entry.clone())).expect("rows");
    let (campaigns, _) = backtest.finish().expect("rows");
    let [campaign] = &campaigns[..] else { panic!("{campaigns:?}") };
    assert_eq!((campaign.eligible, campaign.forgotten, campaign.young, campaign.mature()), (3, 1, 1, 1));
    assert_eq!(campaign.clicked, 0, "the click that is left is of a show that is not");
}
