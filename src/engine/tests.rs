use super::*;
use crate::event::{DAY_MS, EventKind, ImpressionOf, MINUTE_MS};

const WALL_MS: i64 = 1_700_000_000_000;

fn settings() -> Settings {
    Settings {
        window: Window::default(),
        campaign: Campaign::default(),
        clock: Clock::Wall,
        max_future_ms: 5 * MINUTE_MS,
        expected_customers: 10,
        max_customers: 3,
        max_tracks: 2,
        first_decision: 1,
    }
}

fn play(customer: u64, event_id: u64, unix_ms: i64) -> Event {
    Event {
        customer: Id::Number(customer),
        id: Id::Number(event_id),
        time: Time::from_unix_ms(unix_ms),
        kind: EventKind::Play { track: Id::Number(event_id), mobile: true },
    }
}

fn plays(engine: &Engine, customer: u64, count: u64) {
    for event_id in 0..count {
        let unix_ms = WALL_MS - DAY_MS + event_id as i64 * MINUTE_MS;
        assert_eq!(engine.apply(play(customer, event_id, unix_ms), WALL_MS), Ok(Applied::Accepted));
    }
}

fn reason(engine: &Engine, customer: u64) -> Reason {
    let ask = Ask { dry_run: true, request_id: None };
    engine.decide(&Id::Number(customer), &ask, WALL_MS).reason
}

#[test]
fn an_event_is_visible_to_the_very_next_decision() {
    let engine = Engine::new(settings());
    assert_eq!(reason(&engine, 48), Reason::UnknownCustomer);
    plays(&engine, 48, 1);
    assert_eq!(reason(&engine, 48), Reason::NoModel);
    engine.forget(&Id::Number(48));
    assert_eq!(reason(&engine, 48), Reason::UnknownCustomer);
    assert_eq!(engine.counters().plays_kept(), 0);
}

#[test]
fn events_far_ahead_of_the_wall_clock_are_refused_in_both_clock_modes() {
    for clock in [Clock::Wall, Clock::Event] {
        let engine = Engine::new(Settings { clock, ..settings() });
        let (near, far) = (WALL_MS + 5 * MINUTE_MS, WALL_MS + 5 * MINUTE_MS + 1);
        assert!(engine.apply(play(48, 1, near), WALL_MS).is_ok());
        assert!(matches!(engine.apply(play(48, 2, far), WALL_MS), Err(Rejection::TooFarAhead { .. })));
        assert_eq!(engine.counters().plays_kept(), 1);
    }
}

#[test]
fn by_the_event_clock_now_is_the_newest_event() {
    let engine = Engine::new(Settings { clock: Clock::Event, ..settings() });
    assert_eq!(engine.now_ms(WALL_MS), WALL_MS);
    plays(&engine, 48, 2);
    assert!(engine.apply(play(48, 9, 1000), WALL_MS).is_ok());
    assert_eq!(engine.now_ms(WALL_MS), WALL_MS - DAY_MS + MINUTE_MS);
}

#[test]
fn a_full_store_refuses_new_customers_only() {
    let engine = Engine::new(settings());
    for customer in 1..=3 {
        plays(&engine, customer, 1);
    }
    assert_eq!(engine.apply(play(4, 1, 0), WALL_MS), Err(Rejection::StoreFull(3)));
    assert_eq!(engine.check(&play(4, 1, 0), WALL_MS), Err(Rejection::StoreFull(3)));
    assert!(engine.apply(play(3, 9, 0), WALL_MS).is_ok());
}

#[test]
fn a_refused_event_of_a_new_customer_makes_no_profile() {
    let engine = Engine::new(settings());
    let kind = EventKind::Impression(ImpressionOf::Decision(DecisionId(5)));
    let impression = Event { kind, ..play(48, 1, WALL_MS) };
    assert!(matches!(engine.apply(impression, WALL_MS), Err(Rejection::Misfit(_))));
    assert_eq!(engine.customer_count(), 0);
    assert_eq!(reason(&engine, 48), Reason::UnknownCustomer);
}

#[test]
fn a_retry_within_the_minute_gets_the_same_answer_and_counts_once() {
    let engine = Engine::new(settings());
    let ask = Ask { dry_run: false, request_id: Some(RequestId::parse("abc").expect("an id")) };
    let first = engine.decide(&Id::Number(48), &ask, WALL_MS);
    plays(&engine, 48, 1);
    assert_eq!(engine.decide(&Id::Number(48), &ask, WALL_MS + RETRY_PERIOD_MS), first);
    assert_eq!(engine.counters().decisions().map(|(_, count)| count).sum::<u64>(), 1);
    assert_eq!(engine.counters().retries(), 1);
    let other = engine.decide(&Id::Number(49), &ask, WALL_MS);
    assert_ne!(other.id, first.id);
    let later = engine.decide(&Id::Number(48), &ask, WALL_MS + RETRY_PERIOD_MS + 1);
    assert_ne!(later.id, first.id);
    assert_eq!(later.reason, Reason::NoModel);
}

#[test]
fn the_catalogue_is_bounded_and_knows_repeats() {
    let engine = Engine::new(settings());
    let track = Track { title: "Caught Up In You".into(), artist: ".38 Special".into(), length_s: 200 };
    assert_eq!(engine.put_track(Id::Number(0), track.clone()), Ok(Applied::Accepted));
    assert_eq!(engine.put_track(Id::Number(0), track.clone()), Ok(Applied::Duplicate));
    assert_eq!(engine.put_track(Id::Number(1), track.clone()), Ok(Applied::Accepted));
    assert_eq!(engine.put_track(Id::Number(2), track.clone()), Err(2));
    assert_eq!(engine.track(&Id::Number(1)), Some(track));
}

#[test]
fn sizes_that_the_memory_sketch_counts_with() {
    use crate::profile::Play;
    assert_eq!(size_of::<Play>(), 56, "docs/decisions/profile-layout.md says 56");
    assert_eq!(size_of::<Customer>(), 248, "docs/decisions/profile-layout.md says 248");
}
