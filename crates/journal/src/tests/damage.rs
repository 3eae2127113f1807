//! Damage of every kind to a small log and its snapshots: what is recovered is right, or the log is refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::disk::Disk;
use crate::disk::simulated::SimulatedDisk;
use crate::snapshot::{Check, SnapshotWriter, find};
use crate::{Finding, Opened, Options, Record, RecoveryError, Start, check, open, read, repair};

use super::{memories, random};

const OPTIONS: Options = Options { segment_bytes: 20 << 10, group_bytes: 4 << 10, sync: true };

/// A log of a few groups with two snapshots, and the numbers that it holds. The last group is a mark.
fn small_log() -> (Arc<SimulatedDisk>, BTreeSet<u64>) {
    let disk = Arc::new(SimulatedDisk::new(1, 1 << 20));
    let mut visitor = |_: Record<'_>| Ok(());
    let opened = open(Arc::clone(&disk), OPTIONS, Start::BEGINNING, memories(), random(1), &mut visitor);
    let Opened { mut writer, mut lanes, positions, .. } = opened.unwrap();
    let mut snapshots = find(Arc::clone(&disk)).unwrap().snapshots;
    let mut numbers = BTreeSet::new();
    for group in 0..5_u64 {
        if group == 2 || group == 4 {
            let from = positions.next();
            let mut snapshot = SnapshotWriter::create(Arc::clone(&disk), from, group, 0).unwrap();
            let block: Vec<u8> = numbers.iter().flat_map(|number: &u64| number.to_le_bytes()).collect();
            snapshot.block(&block[..block.len() / 16 * 8]).unwrap();
            snapshot.block(&block[block.len() / 16 * 8..]).unwrap();
            let Check::Done(checked) = snapshot.finish(from).unwrap().step(2).unwrap() else { panic!("two") };
            assert!(snapshots.publish(checked, positions.durable()).unwrap().is_none());
        }
        for number in group * 10..group * 10 + 3 {
            lanes[0].publish(1, 0, 24, |into| into.copy_from_slice(&number.to_le_bytes().repeat(3)));
            numbers.insert(number);
        }
        writer.step().unwrap();
    }
    writer.mark().unwrap();
    disk.kill();
    (disk, numbers)
}

/// What a start would have: the numbers, or why it is refused.
fn recovered(disk: &Arc<SimulatedDisk>) -> Result<BTreeSet<u64>, String> {
    let found = find(Arc::clone(disk)).map_err(|error| error.to_string())?;
    let mut numbers = BTreeSet::new();
    let mut start = Start::BEGINNING;
    if let Some(newest) = &found.newest {
        start = newest.start();
        let mut block = Vec::new();
        for number in 0..newest.blocks() {
            newest.block(number, &mut block).map_err(|error| error.to_string())?;
            numbers
                .extend(block.chunks_exact(8).map(|number| u64::from_le_bytes(number.try_into().unwrap())));
        }
    }
    let mut visitor = |record: Record<'_>| {
        let number = u64::from_le_bytes(record.payload[..8].try_into().unwrap());
        assert_eq!(record.payload, number.to_le_bytes().repeat(3));
        numbers.insert(number);
        Ok(())
    };
    read(&**disk, start, &mut visitor).map_err(|error: RecoveryError| error.to_string())?;
    Ok(numbers)
}

/// Does damage to a copy: all is recovered, or the start is refused and a check says that something is wrong.
fn damaged(disk: &SimulatedDisk, numbers: &BTreeSet<u64>, name: &str, change: impl Fn(&mut Vec<u8>)) -> bool {
    let copy = Arc::new(disk.copy(7));
    copy.damage(name, change);
    let before = copy.contents(name);
    let refused = match recovered(&copy) {
        Ok(found) => {
            assert_eq!(&found, numbers, "{name}: other data");
            false
        }
        Err(_) => true,
    };
    let report = check(&copy);
    assert_eq!(copy.contents(name), before, "{name}: checking changes nothing");
    if refused {
        assert!(report.is_err() || !report.unwrap().is_sound(), "{name}: the check sees nothing");
    }
    refused
}

/// Every `step`-th byte of what is not zeros, each cut there and each bit of it flipped, and all bits of heads.
fn damage_all(step: usize) {
    let (disk, numbers) = small_log();
    assert_eq!(recovered(&disk).unwrap(), numbers);
    let report = check(&disk).unwrap();
    assert!(report.findings.is_empty() && report.records == 15 && report.snapshots.len() == 2, "{report:?}");
    let mut refusals = 0;
    for name in disk.names().unwrap() {
        let contents = disk.contents(&name);
        let used =
            contents.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 2).min(contents.len());
        for at in (0..used).filter(|at| at % 4096 < 64 || at % step == 0) {
            if at % step == 0 {
                refusals += usize::from(damaged(&disk, &numbers, &name, |bytes| bytes.truncate(at)));
            }
            let bit = 1 << (at % 8);
            refusals += usize::from(damaged(&disk, &numbers, &name, |bytes| bytes[at] ^= bit));
        }
    }
    assert!(refusals > 0, "damage to the log is refused");
}

#[test]
fn damage_is_refused_or_recovered_from_and_never_gives_other_data() {
    damage_all(97);
}

#[test]
#[ignore = "long; just torture runs it"]
fn torture_by_damage_of_every_byte() {
    damage_all(1);
}

#[test]
fn torn_end_is_told_and_all_before_it_recovered() {
    let (disk, numbers) = small_log();
    let last = disk.names().unwrap().into_iter().filter(|name| name.starts_with("segment")).max().unwrap();
    let contents = disk.contents(&last);
    let end = contents.iter().rposition(|byte| *byte != 0).unwrap() / 4096 * 4096;
    // The mark is the last group; a torn one after it begins in the middle of nothing.
    disk.damage(&last, |bytes| bytes[end + 10] ^= 1);
    assert_eq!(recovered(&disk).unwrap(), numbers);
    let report = check(&disk).unwrap();
    assert!(report.is_sound());
    let [finding] = &report.findings[..] else { panic!("{report:?}") };
    assert!(finding.to_string().contains(&format!("{last}, byte {end}: a torn end")), "{finding}");
}

#[test]
fn files_of_others_are_left_alone_unless_they_have_our_names() {
    let (disk, numbers) = small_log();
    for name in ["notes.txt", "segment-1", "segment-000000000001.bak", "snapshot-7"] {
        disk.create(name, 10).unwrap();
        disk.damage(name, |bytes| bytes.fill(b'x'));
    }
    assert_eq!(recovered(&disk).unwrap(), numbers);
    assert!(check(&disk).unwrap().findings.is_empty());
    disk.create("segment-000000000099", 10).unwrap();
    disk.damage("segment-000000000099", |bytes| bytes.fill(b'x'));
    let refused = recovered(&disk).unwrap_err();
    assert!(refused.contains("segment-000000000099") && refused.contains("no file of ours"), "{refused}");
}

#[test]
fn newer_format_is_refused_by_name_and_version() {
    let (disk, _) = small_log();
    let newer = |bytes: &mut Vec<u8>| {
        bytes[12] = 9;
        let checksum = crc32c::crc32c(&bytes[12..128]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    };
    let name = disk.names().unwrap().into_iter().filter(|name| name.starts_with("segment")).max().unwrap();
    disk.damage(&name, newer);
    let refused = recovered(&disk).unwrap_err();
    assert!(refused.contains(&name) && refused.contains("version 9"), "{refused}");
    assert!(check(&disk).unwrap_err().to_string().contains("version 9"));
}

#[test]
fn repair_loses_what_the_check_named_and_nothing_else_and_leaves_the_damaged_log_alone() {
    let (disk, numbers) = small_log();
    // Without snapshots the log alone has everything.
    for name in disk.names().unwrap().iter().filter(|name| name.starts_with("snapshot")) {
        disk.remove(name).unwrap();
    }
    let name = "segment-000000000001";
    // The second and third of its groups: the first is empty.
    for (group, lost) in [(2, 0..3), (3, 10..13)] {
        let copy = Arc::new(disk.copy(7));
        copy.damage(name, |bytes| bytes[group * 4096 + 100] ^= 1);
        let before = copy.contents(name);
        assert!(recovered(&copy).is_err());
        let report = check(&copy).unwrap();
        let [finding @ Finding::Lost { offset, .. }] = &report.findings[..] else { panic!("{report:?}") };
        assert_eq!(*offset, group as u64 * 4096, "{finding}");
        let to = Arc::new(SimulatedDisk::new(3, 1 << 20));
        let repaired = repair(&copy, &*to, random(5)).unwrap();
        assert_eq!((repaired.report.findings.len(), repaired.units), (1, 0));
        assert_eq!(copy.contents(name), before);
        let left: BTreeSet<u64> = numbers.iter().copied().filter(|number| !lost.contains(number)).collect();
        assert_eq!(recovered(&to).unwrap(), left);
        assert!(check(&to).unwrap().findings.is_empty());
        let mut visitor = |_: Record<'_>| Ok(());
        let opened = open(Arc::clone(&to), OPTIONS, Start::BEGINNING, memories(), random(1), &mut visitor);
        assert!(opened.unwrap().positions.next() > 15);
    }
    // A head.
    let copy = Arc::new(disk.copy(7));
    copy.damage(name, |bytes| bytes[20] ^= 1);
    let last = disk.names().unwrap().into_iter().filter(|name| name.starts_with("segment")).max().unwrap();
    copy.damage(&last, |bytes| bytes[20] ^= 1);
    assert!(recovered(&copy).is_err());
    let to = Arc::new(SimulatedDisk::new(3, 1 << 20));
    repair(&copy, &*to, random(5)).unwrap();
    assert_eq!(recovered(&to).unwrap(), numbers);
}
