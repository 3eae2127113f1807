//! What events change of money: the account of the one campaign, and shows that hold their cost.

use upbeat_core::campaign::{Bill, Campaign, Document, Money, Slot};
use upbeat_core::event::{ClickOf, DecisionId, EventKind, ImpressionOf, MINUTE_MS, Membership, Row, Time};
use upbeat_core::profile::Applied;

use super::*;
use crate::apply::tests::engine_with;
use crate::campaigns::NewCampaigns;
use crate::ledger::Report;

const WALL_MS: i64 = 1_700_000_000_000;
const COST: i64 = 20_000;

fn campaign() -> Id {
    Id::Text("gold-one-day".into())
}

fn engine(bill: Bill) -> Engine {
    let engine = engine_with(1000, 1 << 20);
    let campaign = Campaign {
        impression_cost: Money::from_micro(COST),
        click_value: Money::from_micro(500_000),
        daily_budget: Some(Money::from_micro(100_000_000)),
        bill,
        ..Campaign::new(campaign(), Id::Text("ADV_REDUCED_1DAY".into()))
    };
    let document = Document { campaign: vec![campaign], ..Document::default() };
    engine.set_campaigns(NewCampaigns::of(document, "test"), WALL_MS - MINUTE_MS).expect("it is right");
    engine
}

/// A show at [`WALL_MS`] that holds its cost.
fn shown(engine: &Engine, customer: u64) -> DecisionId {
    let customer = Id::Number(customer);
    let kind = EventKind::Play { track: Id::Number(1), mobile: true };
    let play =
        Event { customer: customer.clone(), id: Id::Number(1), time: Time::from_unix_ms(WALL_MS), kind };
    engine.apply(play, WALL_MS).expect("it is taken");
    let campaigns = engine.campaigns.load();
    let (_, decision) = engine.decision_ids.shown(campaigns.slots.key(Slot(0)), &customer);
    let (campaign, bounds) = (campaigns.slots.ids()[0].clone(), campaigns.bounds(256));
    let show = |held: &mut crate::Customer| {
        held.count_decided_impression(decision, campaign, Time::from_unix_ms(WALL_MS), &bounds)
    };
    engine.customers.with_mut(&customer, show).expect("they are known");
    engine.accounts.reserve(None, 0, WALL_MS, |_| true).expect("there is money");
    decision
}

fn event(event_id: u64, customer: u64, minute: i64, kind: EventKind) -> Event {
    let time = Time::from_unix_ms(WALL_MS + minute * MINUTE_MS);
    Event { customer: Id::Number(customer), id: Id::Number(event_id), time, kind }
}

fn confirm(decision: DecisionId) -> EventKind {
    EventKind::Impression(ImpressionOf::Decision(decision))
}

/// The report, at so many minutes after the shows.
fn report(engine: &Engine, minute: i64) -> Report {
    engine.tick(WALL_MS + minute * MINUTE_MS);
    engine.report(&campaign(), 0, i32::MAX).expect("it runs")
}

/// What is held, spent, given back, taken late and not billed.
fn money(engine: &Engine, minute: i64) -> [i64; 5] {
    let Report { reserved, spent, returned, late, overrun, .. } = report(engine, minute);
    [reserved, spent, returned, late, overrun]
}

/// Applies an event when it happens, twice; the second time it changes nothing.
fn say(engine: &Engine, event: &Event) {
    let applied = [(); 2].map(|()| engine.apply(event.clone(), event.time.unix_ms).expect("it is taken"));
    assert!(applied[1] == Applied::Duplicate, "{applied:?}");
}

#[test]
fn void_gives_money_back_once_and_a_confirmation_takes_it_again() {
    for bill in [Bill::Show, Bill::Impression] {
        let engine = engine(bill);
        let decision = shown(&engine, 1);
        assert_eq!(money(&engine, 0), [COST, 0, 0, 0, 0]);
        say(&engine, &event(1, 1, 1, EventKind::Void { decision }));
        say(&engine, &event(2, 1, 2, EventKind::Void { decision }));
        assert_eq!(money(&engine, 3), [0, 0, COST, 0, 0], "{bill:?}");
        say(&engine, &event(3, 1, 4, confirm(decision)));
        say(&engine, &event(4, 1, 5, EventKind::Void { decision }));
        assert_eq!(money(&engine, 60)[..2], [0, COST], "{bill:?}: played after all");
        assert_eq!(report(&engine, 60).impressions, 1);
    }
}

#[test]
fn unconfirmed_show_is_spent_or_released_when_its_reservation_ends() {
    for (bill, released, late) in [(Bill::Show, 0, 0), (Bill::Impression, COST, COST)] {
        let engine = engine(bill);
        let decision = shown(&engine, 1);
        assert_eq!(money(&engine, 31), [0, COST - released, released, 0, 0], "{bill:?}");
        say(&engine, &event(1, 1, 40, confirm(decision)));
        assert_eq!(money(&engine, 41), [0, COST, released, late, 0], "{bill:?}");
    }
}

#[test]
fn clicks_and_upgrades_are_counted_for_the_campaign_of_their_show() {
    let engine = engine(Bill::Show);
    let (one, _) = (shown(&engine, 1), shown(&engine, 2));
    let of = ClickOf::Decision { decision: one, ad: None };
    say(&engine, &event(1, 1, 1, EventKind::Click { of }));
    let on_ad = EventKind::click(Id::Text("ADV_REDUCED_1DAY".into()));
    say(&engine, &event(2, 1, 2, on_ad.clone()));
    say(&engine, &event(1, 2, 2, on_ad.clone()));
    say(&engine, &event(1, 3, 2, on_ad));
    say(&engine, &event(3, 2, 9, EventKind::Membership(Membership::Gold)));
    let report = report(&engine, 10);
    assert_eq!((report.clicks, report.value, report.upgrades), (2, 1_000_000, 1));
}

#[test]
fn decision_whose_record_was_lost_costs_when_it_is_confirmed_and_gives_nothing_back() {
    let engine = engine(Bill::Impression);
    let campaigns = engine.campaigns.load();
    let (_, decision) = engine.decision_ids.shown(campaigns.slots.key(Slot(0)), &Id::Number(1));
    let void = event(1, 1, 1, EventKind::Void { decision });
    assert_eq!(engine.apply(void, WALL_MS), Ok(Applied::TooOld));
    assert_eq!(money(&engine, 1), [0; 5]);
    say(&engine, &event(2, 1, 2, confirm(decision)));
    assert_eq!(money(&engine, 3), [0, COST, 0, COST, 0]);
}

#[test]
fn atomic_body_books_its_money_with_the_commit_or_not_at_all() {
    let engine = engine(Bill::Impression);
    let decisions: Vec<DecisionId> = (1..=4).map(|customer| shown(&engine, customer)).collect();
    let row = |customer: u64, kind| Ok(Row::Event(event(9, customer, 1, kind)));
    let rows = || {
        let of = ClickOf::Decision { decision: decisions[2], ad: None };
        vec![
            row(1, EventKind::Void { decision: decisions[0] }),
            row(2, confirm(decisions[1])),
            row(3, EventKind::Click { of }),
        ]
    };
    let foreign = row(3, confirm(decisions[3]));
    let refused = engine.apply_all(rows().into_iter().chain([foreign]), WALL_MS + MINUTE_MS);
    assert_eq!(refused.expect_err("it names another's decision").refused(), 1);
    assert_eq!(money(&engine, 1), [4 * COST, 0, 0, 0, 0]);
    for _ in 0..2 {
        engine.apply_all(rows().into_iter(), WALL_MS + MINUTE_MS).expect("it is taken");
        assert_eq!(money(&engine, 1), [2 * COST, COST, COST, 0, 0]);
        assert_eq!(report(&engine, 1).clicks, 1);
    }
}

#[test]
fn atomic_body_with_more_confirmations_than_are_booked_at_once_is_refused() {
    let engine = engine(Bill::Show);
    let decisions: Vec<DecisionId> = (0..257).map(|customer| shown(&engine, customer)).collect();
    let rows = (0..)
        .zip(&decisions)
        .map(|(customer, decision)| Ok(Row::Event(event(9, customer, 1, confirm(*decision)))));
    let rows: Vec<Result<Row, String>> = rows.collect();
    let refused = engine.apply_all(rows.clone().into_iter(), WALL_MS).expect_err("one too many");
    assert_eq!(refused.refused(), 1);
    assert!(refused.rejected[0].detail.contains("at most 256 decisions"), "{:?}", refused.rejected[0]);
    assert_eq!(engine.apply_all(rows.into_iter().take(256), WALL_MS).expect("it is taken").accepted, 256);
}
