//! What holds when the wall clock is set back, and how long a shown ad keeps a customer.

use upbeat_core::campaign::Cap;
use upbeat_core::event::HOUR_MS;

use super::*;

/// An engine that shows the ad to everyone with a play in the window, as often as the cap allows.
fn showing(cap: Cap) -> Engine {
    let campaign = Single { threshold: f64::MIN, min_plays: 1, cap, ..Single::default() };
    let engine = Engine::new(settings(), campaign.document());
    engine
        .promote(upbeat_svm::Model::read(include_bytes!("../../../../model/default.json")).expect("a model"))
        .expect("it fits");
    engine
}

fn decide(engine: &Engine, wall_ms: i64) -> Reason {
    engine.decide(&Id::Number(48), &Ask::default(), wall_ms).expect("no request id").reason
}

fn sweep(engine: &Engine, wall_ms: i64) -> usize {
    (0..engine.shards()).map(|shard| engine.evict_idle(shard, wall_ms)).sum()
}

#[test]
fn cap_holds_when_the_wall_clock_is_set_back() {
    for back_ms in [1, HOUR_MS, DAY_MS, 27 * DAY_MS] {
        let engine = showing(Cap { impressions: 2, hours: 24 });
        plays(&engine, 48, 20);
        assert_eq!(decide(&engine, WALL_MS), Reason::LikelyToClick);
        assert_eq!(decide(&engine, WALL_MS - back_ms), Reason::LikelyToClick, "the second of two");
        assert_eq!(decide(&engine, WALL_MS - back_ms), Reason::Capped, "back by {back_ms} ms");
    }
}

#[test]
fn window_counts_plays_that_are_ahead_of_a_clock_set_back() {
    let engine = showing(Cap::default());
    plays(&engine, 48, 20);
    let ask = Ask { dry_run: true, request_id: None, ..Ask::default() };
    let score = |wall_ms: i64| engine.decide(&Id::Number(48), &ask, wall_ms).expect("no request id").score;
    let expected = score(WALL_MS);
    assert!(expected.is_some());
    // Set back, forth beyond the window, and back again: a score kept from one instant must not serve another.
    for (wall_ms, has_score) in [
        (WALL_MS - 20 * DAY_MS, true),
        (WALL_MS + 40 * DAY_MS, false),
        (WALL_MS - 400 * DAY_MS, true),
        (WALL_MS + 27 * DAY_MS - 20 * MINUTE_MS, true),
        (WALL_MS + 40 * DAY_MS, false),
        (WALL_MS, true),
    ] {
        assert_eq!(score(wall_ms), expected.filter(|_| has_score), "at {wall_ms}");
    }
}

#[test]
fn retry_after_a_step_back_of_less_than_a_minute_gets_the_same_answer() {
    let engine = showing(Cap { impressions: 64, hours: 1 });
    plays(&engine, 48, 20);
    let ask =
        Ask { dry_run: false, request_id: Some(RequestId::parse("abc").expect("an id")), ..Ask::default() };
    let answer = |wall_ms: i64| engine.decide(&Id::Number(48), &ask, wall_ms).expect("room");
    let first = answer(WALL_MS);
    assert_eq!(answer(WALL_MS - 30_000), first);
    assert_ne!(answer(WALL_MS - HOUR_MS).id, first.id, "an hour is no retry");
    assert_eq!(engine.profile(&Id::Number(48)).expect("a profile").impressions().count(), 2);
}

#[test]
fn nobody_is_evicted_by_a_clock_set_back_and_idleness_goes_on_from_there() {
    let engine = showing(Cap::default());
    plays(&engine, 48, 20);
    let back_ms = WALL_MS - 365 * DAY_MS;
    assert_eq!(sweep(&engine, back_ms), 0);
    assert_eq!(sweep(&engine, back_ms + 28 * DAY_MS), 0);
    assert_eq!(sweep(&engine, back_ms + 28 * DAY_MS + 1000), 1, "not only when the clock is there again");
}

#[test]
fn shown_ad_keeps_a_customer_for_as_long_as_an_event_does() {
    for (cap, days) in [(Cap::default(), 28), (Cap { impressions: 2, hours: 8760 }, 365)] {
        let engine = showing(cap);
        plays(&engine, 48, 20);
        let shown_ms = WALL_MS + 20 * DAY_MS;
        assert_eq!(decide(&engine, shown_ms), Reason::LikelyToClick);
        let idle_ms = shown_ms + days * DAY_MS;
        assert_eq!(sweep(&engine, idle_ms), 0, "not a moment earlier");
        assert_eq!(engine.profile(&Id::Number(48)).expect("held").impressions().count(), 1);
        assert_eq!(sweep(&engine, idle_ms + 1000), 1);
        assert_eq!(engine.profile_bytes(), 0);
    }
}

#[test]
fn decision_without_show_does_not_keep_a_customer() {
    let engine = showing(Cap::default());
    plays(&engine, 48, 20);
    let ask = Ask { dry_run: true, request_id: None, ..Ask::default() };
    let dry = engine.decide(&Id::Number(48), &ask, WALL_MS + 20 * DAY_MS).expect("no request id");
    assert_eq!(dry.reason, Reason::LikelyToClick);
    assert_eq!(sweep(&engine, WALL_MS + 28 * DAY_MS + 1000), 1);
}
