//! What happens between the beginning of a snapshot and the copy of a customer.

use upbeat_core::event::{DAY_MS, Event, EventKind, Id, MINUTE_MS, Membership, Row, Time};
use upbeat_core::profile::Applied;
use upbeat_journal::disk::simulated::SimulatedDisk;

use super::model::held_by;
use super::{WALL_MS, memories, opened, play, settings, showing};
use crate::apply::Progress;
use crate::{Clock, Engine};

fn membership(event_id: u64, unix_ms: i64, level: Membership) -> Event {
    Event {
        customer: Id::Number(1),
        id: Id::Number(event_id),
        time: Time::from_unix_ms(unix_ms),
        kind: EventKind::Membership(level),
    }
}

/// An engine to which `before` happens, and `midway` between the beginning of a snapshot and the copies of customers, is killed; the
/// next one has to hold the same.
fn recovers_what_happens_midway(before: impl FnOnce(&Engine), midway: impl FnOnce(&Engine)) {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let engine = showing(settings(Clock::Wall));
    let mut opened_first = opened(&engine, &disk, memories(1, 32 << 10), 1, 1);
    before(&engine);
    let (writer, mut midway) = (&mut opened_first.writer, Some(midway));
    // After the first block, which holds no customer yet.
    let written = opened_first.snapshotter.write(&engine, &mut |_| {
        if let Some(midway) = midway.take() {
            midway(&engine);
        }
        writer.step().is_ok()
    });
    assert!(matches!(written, Ok(Some(written)) if written.customers == 1), "{written:?}");
    disk.kill();
    let recovered = showing(settings(Clock::Wall));
    let again = opened(&recovered, &disk, memories(1, 32 << 10), 2, 2);
    assert!(again.recovered.snapshot_bytes > 0 && again.recovered.records > 0);
    assert_eq!(held_by(&recovered), held_by(&engine));
}

fn sweep(engine: &Engine, wall_ms: i64) -> usize {
    (0..engine.shards()).map(|shard| engine.evict_idle(shard, wall_ms)).sum()
}

#[test]
fn last_event_after_a_correction_that_is_done_again_stays_the_last() {
    let ahead_ms = WALL_MS + 40 * DAY_MS;
    recovers_what_happens_midway(
        |engine| assert_eq!(engine.apply(play(1, 1, ahead_ms), ahead_ms), Ok(Applied::Accepted)),
        |engine| {
            assert_eq!(sweep(engine, WALL_MS), 0);
            let later_ms = WALL_MS + MINUTE_MS;
            assert_eq!(engine.apply(play(1, 2, later_ms), later_ms), Ok(Applied::Accepted));
        },
    );
}

#[test]
fn copy_that_took_the_place_of_an_event_is_no_last_event_when_it_is_done_again() {
    recovers_what_happens_midway(
        |engine| {
            for event in [membership(1, WALL_MS, Membership::Gold), play(1, 2, WALL_MS)] {
                assert_eq!(engine.apply(event, WALL_MS), Ok(Applied::Accepted));
            }
        },
        |engine| {
            let kind = EventKind::Play { track: Id::Number(1), mobile: false };
            let copy = Event { kind, ..play(1, 2, WALL_MS) };
            assert_eq!(engine.apply(copy, WALL_MS + DAY_MS), Ok(Applied::Replaced));
            assert_eq!(sweep(engine, WALL_MS + 40 * DAY_MS), 1);
        },
    );
}

#[test]
fn eviction_that_is_done_again_over_a_later_membership_keeps_what_it_kept() {
    let later_ms = WALL_MS + 40 * DAY_MS;
    recovers_what_happens_midway(
        |engine| {
            for event in [membership(1, WALL_MS, Membership::Gold), play(1, 2, WALL_MS)] {
                assert_eq!(engine.apply(event, WALL_MS), Ok(Applied::Accepted));
            }
        },
        |engine| {
            assert_eq!(sweep(engine, later_ms), 1);
            let cancelled = membership(3, later_ms, Membership::Free);
            assert_eq!(engine.apply(cancelled, later_ms), Ok(Applied::Accepted));
        },
    );
}

#[test]
fn copy_of_an_event_whose_body_was_lost_keeps_its_customer_from_eviction() {
    let (disk, lanes) = (SimulatedDisk::new(1, 1 << 30), memories(1, 32 << 10));
    let engine = showing(settings(Clock::Wall));
    let _opened = opened(&engine, &disk, lanes.clone(), 1, 1);
    let rows = [play(1, 2, WALL_MS), play(2, 3, WALL_MS)].map(|event| Ok(Row::Event(event)));
    let mut body = Some(engine.begin_atomic(rows.into_iter(), WALL_MS));
    // Both rows are checked, and the first one is applied.
    for count in [2, 1] {
        let Some(Progress::UnderWay(rest)) = body.take().map(|body| engine.advance(body, count)) else {
            panic!("it is under way");
        };
        body = Some(rest);
    }
    let kind = EventKind::Play { track: Id::Number(1), mobile: false };
    let copy = Event { kind, ..play(1, 2, WALL_MS) };
    assert_eq!(engine.apply(copy, WALL_MS), Ok(Applied::Replaced));
    disk.kill();
    let recovered = showing(settings(Clock::Wall));
    opened(&recovered, &disk, lanes, 1, 2);
    assert_eq!((recovered.customer_count(), sweep(&recovered, WALL_MS)), (1, 0));
}
