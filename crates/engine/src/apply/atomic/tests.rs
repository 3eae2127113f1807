use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use upbeat_core::catalogue::Track;
use upbeat_core::event::{DAY_MS, DecisionId, Event, EventKind, Id, ImpressionOf, Membership, Time};
use upbeat_core::profile::Applied;

use super::*;
use crate::apply::tests::engine_with as engine;
use crate::{NotPut, NotRemoved, RowProblem};

const WALL_MS: i64 = 1_700_000_000_000;

fn event(customer: u64, kind: EventKind) -> Event {
    Event { customer: Id::Number(customer), id: Id::Number(7), time: Time::from_unix_ms(WALL_MS), kind }
}

fn membership(customer: u64, level: Membership) -> Event {
    event(customer, EventKind::Membership(level))
}

fn play(customer: u64) -> Event {
    event(customer, EventKind::Play { track: Id::Number(1), mobile: true })
}

fn body(events: impl IntoIterator<Item = Event>) -> impl Iterator<Item = Result<Row, String>> {
    events.into_iter().map(|event| Ok(Row::Event(event))).collect::<Vec<_>>().into_iter()
}

/// A body that is checked, and of which no row is applied.
fn checked(engine: &Engine, events: impl IntoIterator<Item = Event>) -> Box<AtomicBody> {
    match engine.advance(engine.begin_atomic(body(events), WALL_MS), usize::MAX) {
        Progress::UnderWay(body) => body,
        Progress::Applied(report, _) | Progress::Refused(report, _) => panic!("{report:?}"),
    }
}

/// Applies the rows of a checked body.
fn finish(engine: &Engine, body: Box<AtomicBody>) -> Report {
    match engine.advance(body, usize::MAX) {
        Progress::Applied(report, _) => report,
        Progress::UnderWay(_) => panic!("it is not applied"),
        Progress::Refused(report, _) => panic!("{report:?}"),
    }
}

#[test]
fn rows_of_an_atomic_body_are_applied_whatever_comes_between_check_and_apply() {
    let engine = engine(3, 1 << 20);
    let body = checked(&engine, [1, 2].map(|customer| membership(customer, Membership::Gold)));
    let claimed = |customer| Err(Rejection::Claimed(Id::Number(customer)));
    assert_eq!(engine.apply(membership(2, Membership::Silver), WALL_MS), claimed(2));
    assert_eq!(engine.apply(play(2), WALL_MS), Ok(Applied::Accepted), "a play contradicts nothing");
    assert_eq!(engine.remove(&Id::Number(2), WALL_MS), Err(NotRemoved::Claimed));
    assert_eq!(
        engine.apply(play(3), WALL_MS),
        Err(Rejection::StoreFull(3)),
        "two places are reserved, one is taken"
    );
    let report = finish(&engine, body);
    assert_eq!((report.accepted, report.refused()), (2, 0));
    for customer in [1, 2] {
        let profile = engine.profile(&Id::Number(customer)).expect("a customer");
        assert_eq!(profile.level(), Some(Membership::Gold), "{customer}");
    }
    assert_eq!(engine.apply(play(3), WALL_MS), Ok(Applied::Accepted), "the place left over is free again");
    assert_eq!(engine.remove(&Id::Number(2), WALL_MS), Ok(true));
    assert_eq!(engine.apply(membership(1, Membership::Silver), WALL_MS).map_err(|_| ()), Err(()));
}

#[test]
fn atomic_body_keeps_its_customers_from_eviction() {
    let engine = engine(1, 1 << 20);
    engine.apply(play(1), WALL_MS).expect("a play");
    let body = checked(&engine, [membership(1, Membership::Gold)]);
    let idle_ms = WALL_MS + 60 * DAY_MS;
    let sweep = || (0..engine.shards()).map(|shard| engine.evict_idle(shard, idle_ms)).sum::<usize>();
    assert_eq!(sweep(), 0);
    assert_eq!(finish(&engine, body).accepted, 1);
    assert_eq!(sweep(), 1, "its plays");
}

#[test]
fn confirmation_in_an_atomic_body_holds_though_the_history_moves_on() {
    let engine = engine(1, 1 << 20);
    let campaign = Id::Text("gold-one-day".into());
    engine.apply(play(1), WALL_MS).expect("a play");
    engine.customers.with_mut(&Id::Number(1), |customer| {
        let time = Time::from_unix_ms(WALL_MS - 1);
        customer.count_decided_impression(
            DecisionId(9),
            campaign.clone(),
            time,
            &engine.campaigns.load().bounds(256),
        );
    });
    let confirmation = event(1, EventKind::Impression(ImpressionOf::Decision(DecisionId(9))));
    let body = checked(&engine, [confirmation, play(1)]);
    for number in 0..200 {
        let kind = EventKind::Impression(ImpressionOf::Campaign(campaign.clone()));
        let impression = Event { id: Id::Number(number), ..event(1, kind) };
        engine.apply(impression, WALL_MS).expect("an impression");
    }
    assert_eq!(finish(&engine, body).refused(), 0);
}

#[test]
fn confirmation_cannot_contradict_an_atomic_body_that_was_checked() {
    let engine = engine(1, 1 << 20);
    engine.apply(play(1), WALL_MS).expect("a play");
    engine.customers.with_mut(&Id::Number(1), |customer| {
        for decision in [8, 9] {
            let (campaign, time) = (Id::Text("gold-one-day".into()), Time::from_unix_ms(WALL_MS - 1));
            let campaigns = engine.campaigns.load();
            let bounds = campaigns.bounds(256);
            customer.count_decided_impression(DecisionId(decision), campaign, time, &bounds);
        }
    });
    let confirmation =
        |decision| event(1, EventKind::Impression(ImpressionOf::Decision(DecisionId(decision))));
    let other = confirmation(9);
    let body = checked(&engine, [confirmation(8)]);
    assert!(matches!(engine.apply(other.clone(), WALL_MS), Err(Rejection::Claimed(_))));
    assert_eq!(finish(&engine, body).accepted, 1);
    assert!(matches!(engine.apply(other.clone(), WALL_MS), Err(Rejection::Conflict(_))));
    let both = [confirmation(8), other].map(|event| Ok(Row::Event(event)));
    assert_eq!(engine.apply_all(both.into_iter(), WALL_MS).expect_err("a conflict").rejected[0].index, 1);
}

#[test]
fn atomic_body_of_plays_refuses_nobody_elses_membership_but_a_deletion() {
    let engine = engine(10, 1 << 20);
    let body = checked(&engine, [play(1), play(2), membership(2, Membership::Gold)]);
    assert_eq!(engine.apply(membership(1, Membership::Silver), WALL_MS), Ok(Applied::Accepted));
    assert!(matches!(engine.apply(membership(2, Membership::Silver), WALL_MS), Err(Rejection::Claimed(_))));
    assert_eq!(engine.remove(&Id::Number(1), WALL_MS), Err(NotRemoved::Claimed));
    assert_eq!(finish(&engine, body).accepted, 3);
    assert_eq!(engine.remove(&Id::Number(1), WALL_MS), Ok(true));
}

#[test]
fn claim_and_places_of_an_atomic_body_are_free_before_its_remains_are_dropped() {
    let engine = engine(3, 1 << 20);
    let checked = checked(&engine, [1, 2].map(|customer| membership(customer, Membership::Gold)));
    assert_eq!(engine.apply(play(1), WALL_MS), Ok(Applied::Accepted), "takes the third place");
    let Progress::Applied(_, remains) = engine.advance(checked, usize::MAX) else {
        panic!("it is not applied")
    };
    assert_eq!(engine.customer_count(), 2, "the place that was not needed is free");
    engine.apply_all(body([play(3)]), WALL_MS).expect("the claim and a place");
    assert_eq!(engine.remove(&Id::Number(1), WALL_MS), Ok(true));
    drop(remains);
    assert_eq!(engine.customer_count(), 2, "nothing is given back twice");
    let refused = engine.begin_atomic(body([4, 5].map(play)), WALL_MS);
    let Progress::Refused(_, remains) = engine.advance(refused, usize::MAX) else {
        panic!("there is a place for one of them")
    };
    assert_eq!((engine.customer_count(), engine.remove(&Id::Number(3), WALL_MS)), (2, Ok(true)));
    drop(remains);
    assert_eq!(engine.customer_count(), 1);
}

#[test]
fn maps_of_an_atomic_body_do_not_grow_while_it_is_checked() {
    let engine = engine(1000, 1 << 20);
    let track = Track { title: "t".into(), artist: "a".into(), length_s: 1 };
    let rows = (0..100).map(|customer| Ok(Row::Event(membership(customer, Membership::Gold))));
    let rows = rows.chain([1, 2].map(|id| Ok(Row::Track(Id::Number(id), track.clone()))));
    let capacities = |body: &AtomicBody| {
        let Additions { customers, tracks, memberships, confirmations, .. } = &body.additions;
        [customers.capacity(), tracks.capacity(), memberships.capacity(), confirmations.capacity()]
    };
    let body = engine.begin_atomic(rows, WALL_MS);
    let before = capacities(&body);
    let Progress::UnderWay(body) = engine.advance(body, usize::MAX) else { panic!("there is room") };
    assert_eq!(capacities(&body), before);
    assert_eq!((body.additions.customers.len(), body.additions.memberships.len()), (100, 100));
    assert_eq!((body.additions.tracks.len(), before[3]), (2, 0));
}

#[test]
fn refused_atomic_body_leaves_places_and_customers_free() {
    let engine = engine(2, 1 << 20);
    engine.apply(membership(1, Membership::Free), WALL_MS).expect("a membership");
    let rows = [play(2), membership(1, Membership::Gold)];
    let report = engine.apply_all(body(rows), WALL_MS).expect_err("another level");
    assert_eq!(report.rejected[0].index, 1);
    assert_eq!((engine.customer_count(), engine.counters().plays_kept()), (1, 0));
    assert_eq!(engine.apply(play(2), WALL_MS), Ok(Applied::Accepted));
    assert_eq!(engine.remove(&Id::Number(1), WALL_MS), Ok(true));
}

#[test]
fn atomic_body_for_which_there_is_room_is_applied_whole() {
    let engine = engine(10, 1);
    let report = engine.apply_all(body([play(1), play(2)]), WALL_MS).expect("there is still room");
    assert_eq!(report.accepted, 2);
    let click = event(1, EventKind::click(Id::Number(1)));
    let refused = engine.apply_all(body([click]), WALL_MS).expect_err("known customers are checked too");
    assert_eq!(refused.worst, Some(RowProblem::MemoryFull));
    let repeated = engine.apply_all(body([play(1)]), WALL_MS).expect("a repeat needs no room");
    assert_eq!(repeated.duplicates, 1);
}

#[test]
fn atomic_tracks_have_their_places_reserved() {
    let engine = engine(1, 1 << 20);
    let track = Track { title: "t".into(), artist: "a".into(), length_s: 1 };
    let rows = [1, 2].map(|id| Ok(Row::Track(Id::Number(id), track.clone())));
    let checked = engine.advance(engine.begin_atomic(rows.into_iter(), WALL_MS), usize::MAX);
    assert_eq!(engine.put_track(Id::Number(3), track.clone()), Err(NotPut::Full(2)));
    let Progress::UnderWay(body) = checked else { panic!("two places were free") };
    assert_eq!(finish(&engine, body).accepted, 2);
    assert_eq!(engine.track_count(), 2);
}

#[test]
fn racing_atomic_bodies_and_single_rows_leave_no_body_half_applied() {
    const CUSTOMERS: u64 = 200;
    let (mut bodies_applied, mut bodies_refused) = (0, 0);
    for round in 0..20 {
        // Room for the customers of two of the three bodies, and for no other.
        let engine = engine(2 * CUSTOMERS as usize, 1 << 30);
        let (done, ended) = (AtomicBool::new(false), AtomicUsize::new(0));
        let bodies: Vec<Vec<Event>> = (0..3)
            .map(|number| (0..CUSTOMERS).map(|c| membership(1000 * number + c, Membership::Gold)).collect())
            .collect();
        std::thread::scope(|scope| {
            let applied: Vec<_> = bodies
                .iter()
                .map(|rows| {
                    scope.spawn(|| {
                        let result = engine.apply_all(body(rows.iter().cloned()), WALL_MS);
                        ended.fetch_add(1, Ordering::Relaxed);
                        result
                    })
                })
                .collect();
            // Contradicts one row of each body, and deletes customers.
            let single = scope.spawn(|| {
                let mut accepted = Vec::new();
                // In the first round nothing can contradict the first of the bodies.
                while round == 0 && ended.load(Ordering::Relaxed) == 0 {
                    std::thread::yield_now();
                }
                while !done.load(Ordering::Relaxed) {
                    for number in 0..3 {
                        let row = membership(1000 * number + CUSTOMERS - 1, Membership::Silver);
                        if engine.apply(row.clone(), WALL_MS).is_ok() {
                            accepted.push(row.customer);
                        }
                        let _ = engine.remove(&Id::Number(1000 * number + round), WALL_MS);
                    }
                }
                accepted
            });
            for (rows, result) in bodies.iter().zip(applied) {
                let result = result.join().expect("no panic");
                if let Ok(report) = &result {
                    bodies_applied += 1;
                    assert_eq!(report.accepted as u64, CUSTOMERS, "half applied: {report:?}");
                    let held = rows.iter().filter(|row| engine.contains(&row.customer)).count() as u64;
                    assert!(held + 1 >= CUSTOMERS, "one of them may be deleted: {held}");
                } else {
                    bodies_refused += 1;
                    let middle = &rows[CUSTOMERS as usize / 2].customer;
                    assert!(!engine.contains(middle), "refused, and yet applied");
                }
            }
            done.store(true, Ordering::Relaxed);
            single.join().expect("no panic");
        });
        assert!(engine.customer_count() <= 2 * CUSTOMERS as usize);
    }
    assert!(bodies_applied > 0 && bodies_refused > 0, "{bodies_applied} applied, {bodies_refused} refused");
}
