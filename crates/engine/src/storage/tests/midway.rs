//! What happens between the beginning of a snapshot and the copy of a customer.

use upbeat_core::event::{DAY_MS, Event, EventKind, Id, Membership, Time};
use upbeat_core::profile::Applied;
use upbeat_journal::disk::simulated::SimulatedDisk;

use super::model::held_by;
use super::{WALL_MS, memories, opened, play, settings, showing};
use crate::Clock;

fn membership(event_id: u64, unix_ms: i64, level: Membership) -> Event {
    Event {
        customer: Id::Number(1),
        id: Id::Number(event_id),
        time: Time::from_unix_ms(unix_ms),
        kind: EventKind::Membership(level),
    }
}

#[test]
fn eviction_that_is_done_again_over_a_later_membership_keeps_what_it_kept() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let engine = showing(settings(Clock::Wall));
    let mut opened_first = opened(&engine, &disk, memories(1, 32 << 10), 1, 1);
    let later_ms = WALL_MS + 40 * DAY_MS;
    for event in [membership(1, WALL_MS, Membership::Gold), play(1, 2, WALL_MS)] {
        assert_eq!(engine.apply(event, WALL_MS), Ok(Applied::Accepted));
    }
    let (writer, mut once) = (&mut opened_first.writer, true);
    // After the first block, which holds no customer yet.
    let written = opened_first.snapshotter.write(&engine, &mut |_| {
        if std::mem::take(&mut once) {
            let evicted: usize = (0..engine.shards()).map(|shard| engine.evict_idle(shard, later_ms)).sum();
            assert_eq!(evicted, 1);
            let cancelled = membership(3, later_ms, Membership::Free);
            assert_eq!(engine.apply(cancelled, later_ms), Ok(Applied::Accepted));
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
