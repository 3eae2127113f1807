//! Budgets as decisions and events use them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use upbeat_core::campaign::{Label, Served};
use upbeat_core::decision::Reason;
use upbeat_core::event::{
    DAY_MS, DecisionId, Event, EventKind, HOUR_MS, Id, ImpressionOf, MINUTE_MS, Membership, Time,
};
use upbeat_core::feedback::FeedbackPeriods;
use upbeat_core::profile::{Applied, Window};
use upbeat_svm::Model;

use super::{BEGINNING_MS, day_in_berlin};
use crate::campaigns::{DEFAULT_MODEL, NewCampaigns, parse};
use crate::ledger::Report;
use crate::{Clock, Decision, Engine, Settings};

/// Campaigns that show an ad to everybody, each with more keys.
fn campaigns(of: &[(&str, &str)]) -> NewCampaigns {
    let toml: String = of
        .iter()
        .map(|(id, keys)| {
            format!(
                "[[campaign]]\nid = \"{id}\"\nad = \"AD-{id}\"\ntime_zone = \"Europe/Berlin\"\nmin_plays = 1\n\
                 threshold = {{ score = -1e9 }}\nimpression_cost = 0.02\nclick_value = 0.5\n{keys}\n"
            )
        })
        .collect();
    let document = parse(&toml).expect("a document");
    NewCampaigns { toml, document, who: "test".to_owned(), models: Vec::new() }
}

/// An engine with so many customers of one play.
fn engine(customers: u64, new: NewCampaigns) -> Engine {
    let settings = Settings {
        window: Window::default(),
        clock: Clock::Wall,
        max_future_ms: DAY_MS,
        expected_customers: customers as usize,
        max_customers: 1 << 20,
        max_profile_bytes: 1 << 30,
        max_retry_bytes: 1 << 20,
        max_tracks: 10,
        max_tombstones: 10,
        first_decision: 1,
        feedback: FeedbackPeriods::default(),
    };
    let engine = Engine::with_campaigns(settings, new, BEGINNING_MS).expect("it is sound");
    let model = Model::read(include_bytes!("../../../../../model/default.json").as_slice()).expect("a model");
    // As a model that judges contests.
    let served = Served::new(DEFAULT_MODEL, "test", Label::Impression, Arc::new(model));
    engine.serve_models(&[served]).expect("it is served");
    for customer in 0..customers {
        let kind = EventKind::Play { track: Id::Number(1), mobile: true };
        let time = Time::from_unix_ms(BEGINNING_MS - HOUR_MS);
        let event = Event { customer: Id::Number(customer), id: Id::Number(1), time, kind };
        assert_eq!(engine.apply(event, BEGINNING_MS), Ok(Applied::Accepted));
    }
    engine
}

fn report(engine: &Engine, campaign: &str) -> Report {
    engine.report(&Id::Text(campaign.into()), i32::MIN, i32::MAX).expect("it runs")
}

fn decide(engine: &Engine, customer: u64, now_ms: i64) -> Decision {
    engine.decide_once(&Id::Number(customer), false, now_ms)
}

fn say(engine: &Engine, customer: u64, id: u64, now_ms: i64, kind: EventKind) -> Applied {
    let time = Time::from_unix_ms(now_ms);
    let event = Event { customer: Id::Number(customer), id: Id::Number(id), time, kind };
    engine.apply(event, now_ms).expect("it is taken")
}

fn confirmed(decision: DecisionId) -> EventKind {
    EventKind::Impression(ImpressionOf::Decision(decision))
}

#[test]
fn budgets_of_two_campaigns_are_spent_to_the_last_show_by_64_threads() {
    let engine = engine(
        6_400,
        campaigns(&[
            ("first", "priority = 1\ndaily_budget = 20.0"),
            ("second", "daily_budget = 30.0\ntotal_budget = 25.0"),
        ]),
    );
    let shown = [AtomicU64::new(0), AtomicU64::new(0)];
    std::thread::scope(|scope| {
        for thread in 0..64 {
            let (engine, shown) = (&engine, &shown);
            scope.spawn(move || {
                for customer in (thread..6_400).step_by(64) {
                    let decision = decide(engine, customer, BEGINNING_MS + thread as i64);
                    let slot = decision.campaign.expect("a campaign was asked");
                    if decision.reason.shows() {
                        shown[usize::from(slot.0)].fetch_add(1, Ordering::Relaxed);
                    } else {
                        assert_eq!(decision.reason, Reason::OverBudget);
                    }
                }
            });
        }
    });
    assert_eq!(shown.map(AtomicU64::into_inner), [1_000, 1_250]);
    let (first, second) = (report(&engine, "first"), report(&engine, "second"));
    assert_eq!((first.reserved, second.reserved), (20_000_000, 25_000_000));
    let refused: u64 = [first, second].iter().flat_map(|report| report.not_shown.values()).sum();
    assert_eq!(refused, 6_400 - 2_250);
}

#[test]
fn report_adds_up_over_voids_confirmations_clicks_and_the_end_of_reservations() {
    let engine =
        engine(20, campaigns(&[("paid", "daily_budget = 0.2\nbill = \"impression\"\nreserve = \"10m\"")]));
    let shows: Vec<DecisionId> = (0..10).map(|customer| decide(&engine, customer, BEGINNING_MS).id).collect();
    assert_eq!(decide(&engine, 10, BEGINNING_MS).reason, Reason::OverBudget);
    let soon_ms = BEGINNING_MS + MINUTE_MS;
    // Three are played, one of them is said to be so twice, and one is clicked.
    for (customer, id) in [(0, 100), (1, 101), (2, 102), (2, 103)] {
        say(&engine, customer, id, soon_ms, confirmed(shows[customer as usize]));
    }
    let ad = EventKind::Click { of: upbeat_core::event::ClickOf::Ad(Id::Text("AD-paid".into())) };
    say(&engine, 0, 110, soon_ms, ad);
    // Two are voided, one of them twice; a void of what was played changes nothing.
    for (customer, id) in [(3, 120), (4, 121), (4, 122), (1, 123)] {
        say(&engine, customer, id, soon_ms, EventKind::Void { decision: shows[customer as usize] });
    }
    say(&engine, 1, 130, soon_ms, EventKind::Membership(Membership::Silver));
    let now = report(&engine, "paid");
    assert_eq!((now.reserved, now.spent, now.returned), (100_000, 60_000, 40_000));
    assert_eq!((now.impressions, now.clicks, now.upgrades), (3, 1, 1));
    assert_eq!((now.value, now.profit), (500_000, 440_000));
    // What was given back is shown again, to the last micro-unit; and after ten minutes what nobody confirmed.
    assert!((10..12).all(|customer| decide(&engine, customer, soon_ms).reason.shows()));
    assert_eq!(decide(&engine, 12, soon_ms).reason, Reason::OverBudget);
    let later_ms = soon_ms + 10 * MINUTE_MS;
    engine.tick(later_ms);
    let later = report(&engine, "paid");
    assert_eq!((later.reserved, later.spent, later.returned), (0, 60_000, 180_000));
    assert_eq!(later.budget.map(|_| later.overrun), Some(0));
    // Late ones take what is left of their day, and then nothing is billed.
    for customer in 12..19 {
        assert!(decide(&engine, customer, later_ms).reason.shows());
    }
    say(&engine, 5, 140, later_ms, confirmed(shows[5]));
    let end = report(&engine, "paid");
    assert_eq!((end.reserved, end.spent, end.late, end.overrun), (140_000, 60_000, 0, 20_000));
    assert_eq!(end.not_shown.get("over_budget"), Some(&2));
}

#[test]
fn raised_and_lowered_budget_counts_at_once() {
    let of = |daily: &str| campaigns(&[("one", &format!("daily_budget = {daily}"))]);
    let engine = engine(20, of("0.1"));
    let shown = |from: u64| {
        (from..20).take_while(|customer| decide(&engine, *customer, BEGINNING_MS).reason.shows()).count()
    };
    assert_eq!(shown(0), 5);
    engine.set_campaigns(of("0.06"), BEGINNING_MS).expect("it is sound");
    assert_eq!((shown(5), report(&engine, "one").reserved), (0, 100_000));
    engine.set_campaigns(of("0.14"), BEGINNING_MS).expect("it is sound");
    assert_eq!((shown(5), report(&engine, "one").reserved), (2, 140_000));
    let today = day_in_berlin(BEGINNING_MS);
    let of_days = engine.report(&Id::Text("one".into()), today, today + 3).expect("it runs");
    assert_eq!((of_days.budget, of_days.reserved), (Some(420_000), 140_000));
    assert!(engine.report(&Id::Text("none".into()), 0, 1).is_none());
}

#[test]
fn paced_day_of_decisions_spends_its_budget_to_the_end_and_not_before() {
    let daily = "daily_budget = 40.0\npacing = \"even\"";
    let engine = engine(500, campaigns(&[("even", daily)]));
    // Midnight in Berlin.
    let start_ms = BEGINNING_MS + 22 * HOUR_MS;
    let (mut shown, mut at_noon) = (0, 0);
    for minute in 0..25 * 60 {
        let now_ms = start_ms + minute * MINUTE_MS;
        engine.tick(now_ms);
        // Twice and a half what can be paid.
        for request in 0..(minute + 1) * 5_000 / 1_500 - minute * 5_000 / 1_500 {
            let decision = decide(&engine, ((minute * 7 + request) % 500) as u64, now_ms + request);
            assert!(decision.reason.shows() || matches!(decision.reason, Reason::Paced | Reason::OverBudget));
            shown += i64::from(decision.reason.shows());
        }
        if minute == 750 {
            at_noon = shown;
        }
    }
    assert!((1_998..=2_000).contains(&shown), "{shown} of 2,000");
    assert!((800..=1_200).contains(&at_noon), "{at_noon} in the first half of a day of 25 hours");
}
