//! Copies that are taken while the log is written.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::disk::simulated::SimulatedDisk;
use crate::disk::{Disk, File};
use crate::snapshot::{Check, SnapshotWriter, Snapshots, find};
use crate::{Copy, LogEnd, Opened, Options, Record, Start, Step, check, files_of_copy, open, read};

use super::{memories, random};

const OPTIONS: Options = Options { segment_bytes: 20 << 10, group_bytes: 4 << 10, sync: true };

/// What a copy holds, on a disk of its own: the bytes that belong to it, and zeros.
fn copied(disk: &Arc<SimulatedDisk>, copy: &Copy) -> Arc<SimulatedDisk> {
    let made = Arc::new(SimulatedDisk::new(2, 16 << 20));
    for file in &copy.files {
        let mut bytes = vec![0; file.bytes as usize];
        assert_eq!(disk.open(&file.name).unwrap().read_at(0, &mut bytes).unwrap(), bytes.len());
        let into = made.create(&file.name, file.size).unwrap();
        into.write_at(0, &bytes).unwrap();
        into.sync().unwrap();
    }
    made.sync_names().unwrap();
    made
}

/// The numbers in a directory: those of the newest snapshot, and those of the log from there on.
fn numbers(disk: &Arc<SimulatedDisk>) -> BTreeSet<u64> {
    let found = find(Arc::clone(disk)).unwrap();
    assert!(found.damaged.is_empty());
    let (mut numbers, mut start) = (BTreeSet::new(), Start::BEGINNING);
    if let Some(newest) = &found.newest {
        start = newest.start();
        let mut block = Vec::new();
        newest.block(0, &mut block).unwrap();
        numbers.extend(block.chunks_exact(8).map(|number| u64::from_le_bytes(number.try_into().unwrap())));
    }
    let mut visitor = |record: Record<'_>| {
        numbers.insert(u64::from_le_bytes(record.payload[..8].try_into().unwrap()));
        Ok(())
    };
    read(disk, start, &mut visitor).unwrap();
    numbers
}

fn snapshot(
    disk: &Arc<SimulatedDisk>,
    snapshots: &mut Snapshots<SimulatedDisk>,
    (from, durable): (u64, u64),
    held: &BTreeSet<u64>,
) {
    let mut writer = SnapshotWriter::create(Arc::clone(disk), from, from, 0).unwrap();
    writer.block(&held.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    let Check::Done(checked) = writer.finish(from).unwrap().step(2).unwrap() else { panic!("one block") };
    assert!(snapshots.publish(checked, durable).unwrap().is_none());
}

#[test]
fn copy_holds_everything_up_to_its_end_and_nothing_that_was_written_later() {
    let disk = Arc::new(SimulatedDisk::new(1, 16 << 20));
    let mut visitor = |_: Record<'_>| Ok(());
    let opened = open(Arc::clone(&disk), OPTIONS, Start::BEGINNING, memories(), random(1), &mut visitor);
    let Opened { mut writer, mut lanes, positions, .. } = opened.unwrap();
    let mut snapshots = find(Arc::clone(&disk)).unwrap().snapshots;
    let mut held = BTreeSet::new();
    let mut ends: Vec<(LogEnd, BTreeSet<u64>)> = Vec::new();
    for group in 0..12_u64 {
        if group % 4 == 2 {
            snapshot(&disk, &mut snapshots, (positions.next(), positions.durable()), &held);
        }
        for number in group * 10..group * 10 + 5 {
            let lane = &mut lanes[number as usize % 3];
            lane.publish(1, 0, 600, |into| into.copy_from_slice(&number.to_le_bytes().repeat(75)));
            held.insert(number);
        }
        while writer.step().unwrap() != Step::Idle {}
        let end = writer.end().unwrap();
        assert_eq!((end.complete, end.top), (positions.next(), positions.next()));
        // That of a moment ago, too: more was written since, and perhaps a snapshot made.
        ends.push((end, held.clone()));
        for (end, held) in &ends[ends.len().saturating_sub(2)..] {
            for history in [true, false] {
                let copy = files_of_copy(&*disk, end, history).unwrap();
                assert_eq!(copy.position, end.top);
                let made = copied(&disk, &copy);
                let report = check(&made).unwrap();
                assert!(report.findings.is_empty(), "{:?}", report.findings);
                assert_eq!(report.positions.1, end.top);
                assert_eq!(numbers(&made), *held, "group {group}, history {history}");
            }
        }
    }
    let (end, _) = ends.last().unwrap();
    let whole = files_of_copy(&*disk, end, true).unwrap();
    let short = files_of_copy(&*disk, end, false).unwrap();
    assert!(
        short.files.len() < whole.files.len() && short.snapshot == whole.snapshot && short.snapshot.is_some()
    );
    assert!(short.files.iter().all(|file| whole.files.contains(file)));
    assert_eq!(whole.files.last().unwrap().name, end.file());

    // The file in which the log ended is not there any more, and then what is needed of its beginning.
    disk.remove(&end.file()).unwrap();
    let error = files_of_copy(&*disk, end, true).unwrap_err().to_string();
    assert!(error.contains("last files are missing"), "{error}");
    for name in disk.names().unwrap() {
        if name.starts_with("snapshot-") || name.ends_with("01") {
            disk.remove(&name).unwrap();
        }
    }
    let error = files_of_copy(&*disk, &ends[ends.len() - 2].0, true).unwrap_err().to_string();
    assert!(error.contains("positions from 1 on are needed"), "{error}");
}
