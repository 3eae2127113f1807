//! Erasures: what a directory keeps of them, and what it forgets.

use std::sync::Arc;

use upbeat_core::catalogue::Track;
use upbeat_core::event::{Event, Id, MINUTE_MS, Row};
use upbeat_core::profile::Applied;
use upbeat_journal::disk::simulated::SimulatedDisk;
use upbeat_journal::{Record, Rewrite, Start};

use super::histories::History;
use super::model::{Change, held_by, newest_ms, tombstones_of};
use super::{WALL_MS, memories, opened, play, settings, showing};
use crate::log::{Payload, Use};
use crate::storage::{ErasedCustomers, Opened, history};
use crate::tombstones::file;
use crate::{Buried, Clock, Engine, Entry, NotRemoved, PendingErasures, Tombstone};

impl History {
    /// Erases somebody, known or not.
    pub fn erase(&mut self) {
        let (customer, from) = (self.customer(), self.next());
        let held = self.engine.customers.with(&customer, |held| (held.profile.clone(), held.last_event_s()));
        let until_ms = match &held {
            Some((profile, last_event_s)) => newest_ms(&customer, profile, *last_event_s),
            None => self.engine.now_ms(self.wall_ms),
        };
        if let Ok(known) = self.engine.remove(&customer, self.wall_ms) {
            assert_eq!(known, held.is_some(), "seed {}", self.seed);
            let erased = self.erased.entry(customer.clone()).or_insert(until_ms);
            *erased = (*erased).max(until_ms);
            self.note(from, vec![Change::Erased(customer, until_ms, self.wall_ms)]);
        }
    }
}

/// An engine on a disk of its own, and what flushes its log.
fn engine_on(disk: &SimulatedDisk, seed: u64) -> (Engine, Opened<SimulatedDisk>) {
    let engine = showing(settings(Clock::Wall));
    let opened = opened(&engine, disk, memories(1, 32 << 10), 2, seed);
    (engine, opened)
}

fn flush(engine: &Engine, opened: &mut Opened<SimulatedDisk>) {
    while engine.durable() < engine.barrier() {
        opened.writer.step().expect("the disk is good");
    }
}

/// It waits for the log to be durable, so that is done before.
fn snapshot(engine: &Engine, opened: &mut Opened<SimulatedDisk>) {
    flush(engine, opened);
    let written = opened.snapshotter.write(engine, &mut |_| true).expect("the disk is good");
    assert!(written.is_some());
}

fn erased_until(engine: &Engine, customer: u64) -> Option<i64> {
    let digest = engine.digest(&Id::Number(customer));
    engine.tombstones().iter().find(|of| of.digest == digest).map(|of| of.erased_until_ms)
}

#[test]
fn tombstones_outlive_a_loss_of_power_with_and_without_a_snapshot() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let (engine, mut before) = engine_on(&disk, 1);
    for customer in 0..40 {
        engine.apply(play(customer, 1, WALL_MS), WALL_MS).expect("it is taken");
        assert_eq!(engine.remove(&Id::Number(customer), WALL_MS + customer as i64), Ok(true));
    }
    flush(&engine, &mut before);
    let (kept, fingerprint) = (tombstones_of(&engine), engine.server_fingerprint());
    disk.lose_power();
    for life in 2..5 {
        let (engine, mut opened) = engine_on(&disk, life);
        assert_eq!(
            (tombstones_of(&engine), engine.server_fingerprint()),
            (kept.clone(), fingerprint.clone())
        );
        assert_eq!(engine.apply(play(7, 1, WALL_MS), WALL_MS), Ok(Applied::Erased));
        let pending = PendingErasures { count: 40, oldest_ms: WALL_MS, position: kept_position(&kept) };
        assert_eq!(engine.pending_erasures(), Some(pending));
        // From the second of these lives on they are in a snapshot, in several blocks, and in no record that is read.
        snapshot(&engine, &mut opened);
        disk.lose_power();
    }
}

fn kept_position(tombstones: &[Tombstone]) -> u64 {
    tombstones.iter().map(|tombstone| tombstone.position).max().unwrap_or(0)
}

#[test]
fn erasures_whose_content_is_gone_stay_so_once_a_snapshot_says_it() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let (engine, mut opened) = engine_on(&disk, 1);
    engine.apply(play(1, 1, WALL_MS), WALL_MS).expect("it is taken");
    engine.remove(&Id::Number(1), WALL_MS).expect("it is taken");
    let position = engine.pending_erasures().expect("it is pending").position;
    flush(&engine, &mut opened);
    snapshot(&engine, &mut opened);
    engine.log_content_erased(position);
    assert_eq!(engine.pending_erasures(), None);
    // The snapshot says otherwise until the next one.
    disk.lose_power();
    let (engine, mut opened) = engine_on(&disk, 2);
    assert_eq!(engine.pending_erasures().map(|pending| pending.position), Some(position));
    engine.log_content_erased(position);
    snapshot(&engine, &mut opened);
    disk.lose_power();
    let (engine, _opened) = engine_on(&disk, 3);
    assert_eq!((engine.pending_erasures(), erased_until(&engine, 1)), (None, Some(WALL_MS)));
}

/// A log as versions wrote it that knew no tombstones.
#[test]
fn erasure_of_a_version_without_tombstones_erases_up_to_the_newest_that_the_log_had() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let (engine, mut opened) = engine_on(&disk, 1);
    for (event_id, unix_ms) in [(1, WALL_MS - 9), (2, WALL_MS - 5), (3, WALL_MS - 7)] {
        engine.apply(play(1, event_id, unix_ms), WALL_MS).expect("it is taken");
    }
    for customer in [1, 2] {
        let payload = Payload::of_former_erasure(&Id::Number(customer));
        let log = engine.log.get().expect("it has one");
        log.room(Use::Erasure, 1, payload.bytes().len()).expect("there is room").publish(&payload, 0);
    }
    flush(&engine, &mut opened);
    disk.lose_power();
    let (engine, _opened) = engine_on(&disk, 2);
    assert_eq!(engine.customer_count(), 0);
    assert_eq!(erased_until(&engine, 1), Some(WALL_MS - 5));
    assert_eq!(engine.apply(play(1, 2, WALL_MS - 5), WALL_MS), Ok(Applied::Erased));
    // Nothing is known of the other, but that records of theirs may be in the log.
    assert_eq!(engine.apply(play(2, 1, 0), WALL_MS), Ok(Applied::Accepted));
    assert_eq!(engine.pending_erasures().map(|pending| (pending.count, pending.oldest_ms)), Some((2, 0)));
}

#[test]
fn rule_for_history_drops_what_is_below_an_erasure_and_leaves_no_id() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let (engine, mut opened) = engine_on(&disk, 1);
    let secret = Id::Text("a-secret-id".into());
    let of_secret = |event_id, unix_ms| Event { customer: secret.clone(), ..play(1, event_id, unix_ms) };
    // A track may have the same id.
    let track = Track { title: "t".into(), ..Track::default() };
    engine.put_track(secret.clone(), track.clone()).expect("there is room");
    for (event_id, minutes) in [(1, 0), (2, 1)] {
        let wall_ms = WALL_MS + minutes * MINUTE_MS;
        engine.apply(of_secret(event_id, wall_ms), wall_ms).expect("it is taken");
        engine.apply(play(2, event_id, wall_ms), wall_ms).expect("it is taken");
        assert!(engine.decide_once(&secret, false, wall_ms).reason.shows());
        let rows = [of_secret(10 + event_id, wall_ms), play(3, event_id, wall_ms)];
        engine.apply_all(rows.into_iter().map(|event| Ok(Row::Event(event))), wall_ms).expect("it is taken");
        engine.remove(&secret, wall_ms).expect("there is room");
    }
    let after_ms = WALL_MS + 2 * MINUTE_MS;
    engine.apply(of_secret(3, after_ms), after_ms).expect("it is newer");
    flush(&engine, &mut opened);
    let (rule, mut kept, mut rewritten) = (engine.rewrite_rule(), Vec::new(), Vec::new());
    upbeat_journal::read(&disk, Start::BEGINNING, &mut |record: Record<'_>| {
        match rule(&record).map_err(|error| error.to_string())? {
            Rewrite::Keep => {
                kept.push((record.position, Entry::decode(record.kind, record.payload).expect("whole")))
            }
            Rewrite::Drop => rewritten.push("dropped"),
            Rewrite::Replace(kind, payload) => {
                let entry = Entry::decode(kind, &payload).expect("whole");
                assert!(matches!(entry, Entry::Tombstone(of) if of.digest == engine.digest(&secret)));
                let again = Record { kind, payload: &payload, ..record };
                assert_eq!(rule(&again), Ok(Rewrite::Keep), "a second time nothing changes");
                rewritten.push("tombstone");
            }
        }
        Ok(())
    })
    .expect("it can be read");
    // Each time an event, an ad, an event of an atomic body, and the erasure.
    let each = ["dropped", "dropped", "dropped", "tombstone"];
    assert_eq!(rewritten, [each, each].concat());
    let events = kept.iter().filter_map(|(_, entry)| match entry {
        Entry::Event { event, .. } => Some((event.customer.clone(), event.id.clone())),
        _ => None,
    });
    let of = |customer, event_id| (Id::Number(customer), Id::Number(event_id));
    let newer = (secret.clone(), Id::Number(3));
    assert_eq!(events.collect::<Vec<_>>(), [of(2, 1), of(3, 1), of(2, 2), of(3, 2), newer]);
    assert!(
        kept.iter().any(|(_, entry)| *entry == Entry::Track { id: secret.clone(), track: track.clone() })
    );
    // Once it is done, nothing is looked for.
    engine.log_content_erased(u64::MAX);
    let rule = engine.rewrite_rule();
    upbeat_journal::read(&disk, Start::BEGINNING, &mut |record: Record<'_>| {
        assert_ne!(rule(&record), Ok(Rewrite::Drop));
        Ok(())
    })
    .expect("it can be read");
}

#[test]
fn tombstones_of_a_later_time_erase_whom_an_older_copy_holds_and_are_kept_with_it() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let (engine, mut opened) = engine_on(&disk, 1);
    for customer in 1..5 {
        engine.apply(play(customer, 1, WALL_MS), WALL_MS).expect("it is taken");
    }
    flush(&engine, &mut opened);
    let copy = disk.copy(1);
    for customer in [2, 3, 99] {
        engine.remove(&Id::Number(customer), WALL_MS + MINUTE_MS).expect("there is room");
    }
    let tombstones = engine.tombstones();
    let text = file::write(&engine.server_fingerprint(), WALL_MS, &tombstones);
    let file = file::read(&text).expect("it was written");
    let (restored, mut opened) = engine_on(&copy, 2);
    assert_eq!((restored.customer_count(), restored.server_fingerprint()), (4, file.server));
    let wall_ms = WALL_MS + 10 * MINUTE_MS;
    assert_eq!(restored.bury(&file.tombstones, wall_ms), Ok(Buried { taken: 3, customers: 2 }));
    assert_eq!(
        restored.bury(&file.tombstones, wall_ms),
        Ok(Buried { taken: 0, customers: 0 }),
        "they are known"
    );
    let pending = restored.pending_erasures().map(|pending| (pending.count, pending.oldest_ms));
    assert_eq!(pending, Some((3, wall_ms)), "the copy's log holds them");
    flush(&restored, &mut opened);
    copy.lose_power();
    let (again, _opened) = engine_on(&copy, 3);
    assert_eq!(tombstones_of(&again), tombstones_of(&restored));
    let held: Vec<Id> = held_by(&again).into_keys().collect();
    assert_eq!(held, [Id::Number(1), Id::Number(4)]);
    for customer in [2, 3, 99] {
        assert_eq!(again.apply(play(customer, 1, WALL_MS), WALL_MS), Ok(Applied::Erased));
    }
    // Of whoever was not held the copy's log may have events: they are in no list of it.
    let mut erased = ErasedCustomers::default();
    let mut events = Vec::new();
    for pass in 0..2 {
        history(Arc::new(copy.clone()), &mut |position, entry| {
            match entry {
                Entry::Event { event, .. } if pass == 1 && !erased.covers(position, &event.customer) => {
                    events.push(event.customer);
                }
                entry if pass == 0 => erased.note(position, &entry),
                _ => {}
            }
            Ok(())
        })
        .expect("it can be read");
    }
    assert_eq!(events, [Id::Number(1), Id::Number(4)]);
    assert!(erased.covers(Some(1), &Id::Number(99)));
}

#[test]
fn tombstones_that_the_log_has_no_room_for_are_taken_with_another_call() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let engine = showing(settings(Clock::Wall));
    let mut opened = opened(&engine, &disk, memories(1, 4 << 10), 1, 1);
    let of = |number: u8| Tombstone { digest: [number; 16], erased_until_ms: 1, made_ms: 0, position: 0 };
    let tombstones: Vec<Tombstone> = (0..200).map(of).collect();
    let mut calls = 1;
    while let Err(refused) = engine.bury(&tombstones, WALL_MS) {
        assert_eq!(refused, NotRemoved::LogUnavailable);
        flush(&engine, &mut opened);
        calls += 1;
        assert!(calls < 100, "it comes to an end");
    }
    assert!(calls > 1, "the lane is too small for all");
    assert_eq!(engine.tombstone_count(), 200);
}
