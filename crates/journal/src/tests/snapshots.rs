//! Snapshots by themselves: their name, their checks, what is removed.

use std::sync::Arc;

use crate::disk::Disk;
use crate::disk::simulated::SimulatedDisk;
use crate::snapshot::{Check, Checked, SnapshotError, SnapshotWriter, Snapshots, find};
use crate::{Options, Record, Retention, Start, log_files, open, remove_history};

use super::{memories, random};

fn disk() -> Arc<SimulatedDisk> {
    Arc::new(SimulatedDisk::new(1, 64 << 20))
}

/// A checked snapshot of two blocks.
fn checked(disk: &Arc<SimulatedDisk>, from: u64, reached: u64) -> Checked<SimulatedDisk> {
    let mut writer = SnapshotWriter::create(Arc::clone(disk), from, 77 + from, 1).unwrap();
    writer.block(b"first").unwrap();
    writer.block(&vec![from as u8; 100_000]).unwrap();
    let mut checking = writer.finish(reached).unwrap();
    loop {
        match checking.step(1).unwrap() {
            Check::More(more) => checking = more,
            Check::Done(done) => return done,
        }
    }
}

fn publish(disk: &Arc<SimulatedDisk>, snapshots: &mut Snapshots<SimulatedDisk>, from: u64) {
    let early = snapshots.publish(checked(disk, from, from + 5), from + 4).unwrap();
    let early = early.expect("the log is not durable so far");
    assert!(snapshots.publish(early, from + 5).unwrap().is_none());
}

#[test]
fn snapshot_gets_its_name_when_the_log_is_durable_past_it_and_two_are_kept() {
    let disk = disk();
    let mut snapshots = find(Arc::clone(&disk)).unwrap().snapshots;
    assert_eq!(snapshots.log_needed_from(), None);
    publish(&disk, &mut snapshots, 10);
    assert_eq!(snapshots.log_needed_from(), None, "there is one alone: all of the log is needed");
    publish(&disk, &mut snapshots, 20);
    publish(&disk, &mut snapshots, 30);
    assert_eq!(snapshots.log_needed_from(), Some(20));
    assert_eq!(disk.names().unwrap().len(), 2);
    let found = find(Arc::clone(&disk)).unwrap();
    let newest = found.newest.unwrap();
    assert_eq!((newest.from(), newest.reached(), newest.blocks()), (30, 35, 2));
    let mut block = Vec::new();
    newest.block(0, &mut block).unwrap();
    assert_eq!(block, b"first");
    assert_eq!(found.snapshots.log_needed_from(), Some(20));
}

#[test]
fn damaged_snapshot_is_told_and_the_former_one_taken_until_the_next() {
    let disk = disk();
    let mut snapshots = find(Arc::clone(&disk)).unwrap().snapshots;
    for from in [10, 20] {
        publish(&disk, &mut snapshots, from);
    }
    let name = crate::snapshot::name(20);
    disk.damage(&name, |bytes| bytes[50_000] ^= 1);
    let mut found = find(Arc::clone(&disk)).unwrap();
    assert_eq!(found.newest.unwrap().from(), 10);
    assert!(matches!(&found.damaged[..], [SnapshotError::Damaged { file, .. }] if *file == name));
    assert_eq!(found.snapshots.log_needed_from(), None);
    publish(&disk, &mut found.snapshots, 30);
    assert_eq!(found.snapshots.log_needed_from(), Some(10), "the damaged one does not count");
    assert!(!disk.names().unwrap().contains(&name));
}

#[test]
fn snapshot_that_is_not_finished_leaves_nothing_and_begins_only_where_there_is_space() {
    let disk = disk();
    let mut writer = SnapshotWriter::create(Arc::clone(&disk), 10, 1, 1).unwrap();
    writer.block(b"some").unwrap();
    assert_eq!(disk.names().unwrap().len(), 1);
    drop(writer);
    assert!(disk.names().unwrap().is_empty());
    let refused = SnapshotWriter::create(Arc::clone(&disk), 10, 1, 65 << 20);
    assert!(matches!(refused, Err(SnapshotError::Space { .. })));
    // What a killed process left behind.
    disk.create("snapshot-00000000000000000007.tmp", 100).unwrap();
    drop(SnapshotWriter::create(Arc::clone(&disk), 10, 1, 1).unwrap());
    assert!(disk.names().unwrap().is_empty());
}

#[test]
fn segments_below_the_older_snapshot_are_history_and_go_by_age_and_size() {
    let disk = disk();
    let options = Options { segment_bytes: 16 << 10, group_bytes: 4 << 10, sync: true };
    let mut visitor = |_: Record<'_>| Ok(());
    let mut log =
        open(Arc::clone(&disk), options, Start::BEGINNING, memories(), random(1), &mut visitor).unwrap();
    for _ in 0..20 {
        assert!(log.lanes[0].has_room(1, 3000));
        log.lanes[0].publish(1, 0, 3000, |into| into.fill(7));
        log.writer.step().unwrap();
    }
    let files = log_files(&*disk, None).unwrap();
    assert!(files.len() >= 6 && files.iter().all(|file| !file.history));
    let files = log_files(&*disk, Some(12)).unwrap();
    let history = files.iter().filter(|file| file.history).count();
    assert!(history >= 2);
    disk.set_modified(&files[0].name, 99);
    let keep_all = Retention { bytes: u64::MAX, not_before_ms: 0 };
    assert!(remove_history(&*disk, Some(12), keep_all).unwrap().is_empty());
    for (index, file) in files.iter().enumerate().skip(1) {
        disk.set_modified(&file.name, 100 + index as u64);
    }
    let by_age = Retention { bytes: u64::MAX, not_before_ms: 100 };
    assert_eq!(remove_history(&*disk, Some(12), by_age).unwrap().len(), 1);
    let by_size = Retention { bytes: 0, not_before_ms: 0 };
    assert_eq!(remove_history(&*disk, Some(12), by_size).unwrap().len(), history - 1);
    // What is needed is there, and what is not cannot be asked for.
    disk.kill();
    let mut seen = Vec::new();
    let mut collect = |record: Record<'_>| {
        seen.push(record.position);
        Ok(())
    };
    let start = Start { from: 12, reached: 12 };
    crate::read(&*disk, start, &mut collect).unwrap();
    assert_eq!(seen, (12..21).collect::<Vec<u64>>());
    let missing = crate::read(&*disk, Start::BEGINNING, &mut visitor).unwrap_err();
    assert!(matches!(missing, crate::RecoveryError::Missing { .. }), "{missing}");
    let behind = crate::read(&*disk, Start { from: 12, reached: 99 }, &mut visitor).unwrap_err();
    assert!(matches!(behind, crate::RecoveryError::Behind { .. }), "{behind}");
}
