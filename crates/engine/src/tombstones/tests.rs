use upbeat_core::campaign::Single;
use upbeat_core::event::{DecisionId, EventKind, Id, ImpressionOf, Membership, Row, Time};
use upbeat_core::feedback::FeedbackPeriods;
use upbeat_core::profile::{Applied, Window};

use super::*;
use crate::{Clock, NotRemoved, Outcome, Rejection, RowKind, Settings};

const WALL_MS: i64 = 1_700_000_000_000;

fn engine_for(max_customers: usize, max_tombstones: usize) -> Engine {
    let settings = Settings {
        window: Window { plays: 4, days: 28 },
        clock: Clock::Wall,
        max_future_ms: 300_000,
        expected_customers: 0,
        max_customers,
        max_profile_bytes: 1 << 20,
        max_retry_bytes: 1 << 20,
        max_tracks: 2,
        max_tombstones,
        first_decision: 1,
        feedback: FeedbackPeriods::default(),
    };
    Engine::new(settings, Single::default().document())
}

fn engine() -> Engine {
    engine_for(100, 100)
}

fn event(customer: u64, event_id: u64, unix_ms: i64, kind: EventKind) -> Event {
    Event {
        customer: Id::Number(customer),
        id: Id::Number(event_id),
        time: Time::from_unix_ms(unix_ms),
        kind,
    }
}

fn play(customer: u64, event_id: u64, unix_ms: i64) -> Event {
    event(customer, event_id, unix_ms, EventKind::Play { track: Id::Number(9), mobile: false })
}

fn until(engine: &Engine, customer: u64) -> Option<i64> {
    engine.tombstones.get(engine.digest(&Id::Number(customer))).map(|of| of.erased_until_ms)
}

#[test]
fn events_up_to_the_erasure_are_erased_and_a_newer_one_begins_a_new_profile() {
    let engine = engine();
    for event_id in 0..10 {
        engine.apply(play(1, event_id, WALL_MS - 1000 * event_id as i64), WALL_MS).expect("it is taken");
    }
    engine.apply(play(2, 1, WALL_MS - 1000), WALL_MS).expect("it is taken");
    assert_eq!(engine.remove(&Id::Number(1), WALL_MS + 5000), Ok(true));
    assert_eq!(until(&engine, 1), Some(WALL_MS), "not when it was made, but the newest that was erased");
    for event_id in 0..10 {
        let again = play(1, event_id, WALL_MS - 1000 * event_id as i64);
        assert_eq!(engine.apply(again, WALL_MS), Ok(Applied::Erased));
    }
    // Also such as were never sent.
    assert_eq!(engine.apply(play(1, 99, WALL_MS), WALL_MS), Ok(Applied::Erased));
    assert!(!engine.contains(&Id::Number(1)) && engine.customer_count() == 1);
    assert_eq!(engine.apply(play(1, 11, WALL_MS + 1), WALL_MS), Ok(Applied::Accepted));
    assert_eq!(engine.apply(play(1, 12, WALL_MS), WALL_MS), Ok(Applied::Erased), "also beside a new profile");
    assert_eq!(engine.profile(&Id::Number(1)).map(|profile| profile.plays().len()), Some(1));
    assert_eq!(
        engine.apply(play(2, 1, WALL_MS - 1000), WALL_MS),
        Ok(Applied::Duplicate),
        "of another customer"
    );
    let erased = engine
        .counters()
        .events()
        .find(|(kind, outcome, _)| (*kind, *outcome) == (RowKind::Play, Outcome::Erased));
    assert_eq!(erased.map(|(.., count)| count), Some(12));
    assert_eq!((engine.tombstone_count(), engine.counters().erasures()), (1, 1));
}

#[test]
fn every_kind_of_event_is_erased_in_each_of_the_three_ways_in() {
    let engine = engine();
    engine.apply(play(1, 1, WALL_MS), WALL_MS).expect("it is taken");
    assert_eq!(engine.remove(&Id::Number(1), WALL_MS), Ok(true));
    let kinds = [
        EventKind::Play { track: Id::Number(1), mobile: true },
        EventKind::click(Id::Number(1)),
        EventKind::Membership(Membership::Gold),
        EventKind::Impression(ImpressionOf::Campaign(Id::Number(1))),
        // Nobody knows this decision, and nobody says so of whoever was erased.
        EventKind::Impression(ImpressionOf::Decision(DecisionId(7))),
    ];
    let events = || kinds.iter().cloned().zip(0..).map(|(kind, id)| event(1, id, WALL_MS - 5, kind));
    for event in events() {
        assert_eq!(engine.apply(event, WALL_MS), Ok(Applied::Erased));
    }
    let rows = || events().chain([play(2, 1, WALL_MS)]).map(|event| Ok(Row::Event(event)));
    let each = engine.apply_each(rows(), WALL_MS);
    assert_eq!((each.erased, each.accepted, each.refused(), each.rows()), (5, 1, 0, 6));
    let all = engine.apply_all(rows(), WALL_MS).expect("none is refused");
    assert_eq!((all.erased, all.duplicates, all.refused(), all.rows()), (5, 1, 0, 6));
    assert_eq!(engine.customer_count(), 1);
}

#[test]
fn rows_of_an_atomic_body_that_contradict_each_other_are_erased_and_not_refused() {
    let engine = engine();
    engine.apply(play(1, 1, WALL_MS), WALL_MS).expect("it is taken");
    assert_eq!(engine.remove(&Id::Number(1), WALL_MS), Ok(true));
    let member = |level| Ok(Row::Event(event(1, 1, WALL_MS, EventKind::Membership(level))));
    let rows = [member(Membership::Gold), member(Membership::Silver)];
    assert_eq!(engine.apply_all(rows.into_iter(), WALL_MS).map(|report| report.erased), Ok(2));
}

#[test]
fn tombstone_covers_the_newest_of_all_that_is_held() {
    let kinds = [
        EventKind::click(Id::Number(1)),
        EventKind::Membership(Membership::Gold),
        EventKind::Impression(ImpressionOf::Campaign(Id::Number(1))),
        EventKind::Impression(ImpressionOf::Campaign(Id::Number(77))),
    ];
    for kind in kinds {
        let engine = engine();
        engine.apply(play(1, 1, WALL_MS - 60_000), WALL_MS).expect("it is taken");
        engine.apply(event(1, 2, WALL_MS - 7, kind.clone()), WALL_MS).expect("it is taken");
        assert_eq!(engine.remove(&Id::Number(1), WALL_MS), Ok(true));
        assert_eq!(until(&engine, 1), Some(WALL_MS - 7), "{kind:?}");
    }
}

#[test]
fn whoever_is_not_held_or_was_evicted_is_erased_up_to_now_or_the_last_event() {
    let engine = engine();
    assert_eq!(engine.remove(&Id::Number(1), WALL_MS), Ok(false));
    assert_eq!(until(&engine, 1), Some(WALL_MS));
    assert_eq!(engine.apply(play(1, 1, WALL_MS), WALL_MS + 1), Ok(Applied::Erased));
    // A member whose plays were evicted: they may be newer than the membership.
    let member = event(2, 1, WALL_MS - 90_000, EventKind::Membership(Membership::Gold));
    engine.apply(member, WALL_MS - 50_000).expect("it is taken");
    assert_eq!(engine.remove(&Id::Number(2), WALL_MS), Ok(true));
    assert_eq!(until(&engine, 2), Some(WALL_MS - 50_000 + 999));
}

#[test]
fn later_erasure_raises_the_time_and_an_earlier_one_does_not_lower_it() {
    let engine = engine();
    let erase = |wall_ms| engine.remove(&Id::Number(1), wall_ms).expect("there is room");
    erase(WALL_MS);
    erase(WALL_MS - 500);
    assert_eq!(until(&engine, 1), Some(WALL_MS));
    erase(WALL_MS + 500);
    assert_eq!((until(&engine, 1), engine.tombstone_count()), (Some(WALL_MS + 500), 1));
}

#[test]
fn erasure_beyond_the_limit_is_refused_and_removes_nothing_and_a_known_one_is_not() {
    let engine = engine_for(100, 2);
    for customer in 0..3 {
        engine.apply(play(customer, 1, WALL_MS), WALL_MS).expect("it is taken");
    }
    for customer in [0, 1, 0] {
        assert!(engine.remove(&Id::Number(customer), WALL_MS).is_ok());
    }
    let refused = engine.remove(&Id::Number(2), WALL_MS).expect_err("there is no room");
    assert_eq!(refused, NotRemoved::TombstonesFull(2));
    assert!(refused.to_string().contains("limits.tombstones"), "{refused}");
    assert!(engine.contains(&Id::Number(2)) && engine.tombstone_count() == 2);
}

#[test]
fn erased_event_needs_no_place_in_a_full_store() {
    let engine = engine_for(1, 10);
    engine.apply(play(1, 1, WALL_MS), WALL_MS).expect("it is taken");
    assert_eq!(engine.remove(&Id::Number(1), WALL_MS), Ok(true));
    engine.apply(play(2, 1, WALL_MS), WALL_MS).expect("it is taken");
    assert_eq!(engine.apply(play(3, 1, WALL_MS), WALL_MS), Err(Rejection::StoreFull(1)));
    assert_eq!(engine.apply(play(1, 1, WALL_MS), WALL_MS), Ok(Applied::Erased));
    let rows = [Ok(Row::Event(play(1, 1, WALL_MS)))];
    assert_eq!(engine.apply_all(rows.into_iter(), WALL_MS).map(|report| report.erased), Ok(1));
}

#[test]
fn pending_erasures_are_counted_until_their_content_is_erased() {
    let shard = |position, made_ms| Tombstone { digest: [7; 16], erased_until_ms: 1, made_ms, position };
    let other = Tombstone { digest: [8; 16], ..shard(9, 90) };
    let mut held = Shard::default();
    assert!(held.put(shard(5, 50)) && held.put(other) && !held.put(shard(7, 70)));
    let pending = PendingErasures { count: 2, oldest_ms: 50, position: 9 };
    assert_eq!(held.pending, Some(pending), "the first of one customer is the oldest");
    held.content_erased(6);
    assert_eq!(held.pending, Some(pending), "the second erasure of one customer is above it");
    held.content_erased(8);
    assert_eq!(held.pending, Some(PendingErasures { count: 1, oldest_ms: 90, position: 9 }));
    assert!(!held.put(shard(12, 30)));
    assert_eq!(held.pending, Some(PendingErasures { count: 2, oldest_ms: 30, position: 12 }));
    held.content_erased(12);
    assert_eq!(held.pending, None);
}

#[test]
fn digests_depend_on_the_key_and_tell_a_number_from_its_bytes() {
    let (one, other) = (engine(), engine());
    let digest = |engine: &Engine, id: &Id| engine.digest(id);
    assert_eq!(digest(&one, &Id::Number(48)), digest(&one, &Id::Number(48)));
    assert_ne!(digest(&one, &Id::Number(48)), digest(&other, &Id::Number(48)));
    assert_ne!(digest(&one, &Id::Number(48)), digest(&one, &Id::Text("0".into())));
    assert_ne!(one.server_fingerprint(), other.server_fingerprint());
    assert_eq!(one.server_fingerprint().len(), 16);
}
