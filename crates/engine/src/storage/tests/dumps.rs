//! A dump has all that its directory holds.

use std::sync::Arc;

use upbeat_core::event::{Id, Row};
use upbeat_journal::disk::simulated::SimulatedDisk;

use super::model::held_by;
use super::{WALL_MS, memories, opened, play, settings, showing};
use crate::storage::dump;
use crate::{Clock, Engine, Entry, Settings};

/// An engine that was sent the events of a dump, as a caller would send them.
fn sent_again(disk: &SimulatedDisk, settings: Settings) -> (Engine, usize) {
    let (engine, mut shown) = (showing(settings), 0);
    let damaged = dump(Arc::new(disk.clone()), &mut |_, entry| {
        match entry {
            Entry::Event { event, .. } => drop(engine.apply(event, WALL_MS)),
            Entry::Erasure { customer, .. } => drop(engine.remove(&customer, WALL_MS)),
            Entry::Shown { .. } | Entry::ShownInPlan { .. } => shown += 1,
            _ => {}
        }
        Ok(())
    });
    assert_eq!(damaged.expect("it can be read").damaged, Vec::<String>::new());
    (engine, shown)
}

#[test]
fn events_of_a_dump_sent_again_give_the_same_profiles_with_and_without_a_snapshot() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let engine = showing(settings(Clock::Wall));
    let mut opened = opened(&engine, &disk, memories(1, 32 << 10), 1, 1);
    let mut flush = |engine: &Engine| {
        while engine.durable() < engine.barrier() {
            opened.writer.step().expect("the disk is good");
        }
    };
    for event_id in 0..30 {
        engine
            .apply(play(event_id % 4, event_id, WALL_MS - 1000 * event_id as i64), WALL_MS)
            .expect("it is taken");
    }
    assert_eq!(engine.remove(&Id::Number(3), WALL_MS), Ok(true));
    let rows = (100..110).map(|event_id| Ok(Row::Event(play(1, event_id, WALL_MS))));
    assert!(engine.apply_all(rows, WALL_MS).is_ok());
    flush(&engine);
    for with_snapshot in [false, true] {
        if with_snapshot {
            let written = opened.snapshotter.write(&engine, &mut |_| true).expect("the disk is good");
            assert_eq!(written.map(|written| written.customers), Some(3));
        }
        let (again, shown) = sent_again(&disk, settings(Clock::Wall));
        assert_eq!(shown, 0);
        let plays = |engine: &Engine| -> Vec<_> {
            let ids = held_by(engine).into_keys();
            ids.map(|id| (id.clone(), engine.profile(&id))).collect()
        };
        assert_eq!(plays(&again), plays(&engine), "with a snapshot: {with_snapshot}");
    }
    // What comes after the snapshot is in the log.
    engine.apply(play(7, 1, WALL_MS), WALL_MS).expect("it is taken");
    assert!(engine.decide_once(&Id::Number(7), false, WALL_MS).reason.shows());
    while engine.durable() < engine.barrier() {
        opened.writer.step().expect("the disk is good");
    }
    let (again, shown) = sent_again(&disk, settings(Clock::Wall));
    assert_eq!((again.customer_count(), shown), (engine.customer_count(), 1));
}
