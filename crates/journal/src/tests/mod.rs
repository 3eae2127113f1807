//! The log on a simulated disk: a plain list beside it of what was published and what was said to be durable.

use std::collections::BTreeSet;

mod snapshots;

use super::*;
use crate::disk::simulated::{Call, Dice, SimulatedDisk};

const LANES: usize = 3;

struct Model {
    /// All that was ever published.
    published: BTreeSet<u64>,
    /// Below this everything is durable.
    durable: u64,
}

fn payload(position_hint: u64, dice: &mut Dice) -> Vec<u8> {
    let length = dice.below(200) as usize + 8;
    let mut payload = vec![position_hint as u8; length];
    payload[..8].copy_from_slice(&position_hint.to_le_bytes());
    payload
}

fn random(seed: u64) -> Box<dyn FnMut() -> u64 + Send> {
    let mut dice = Dice::new(seed);
    Box::new(move || dice.draw())
}

fn memories() -> Vec<Memory> {
    (0..LANES).map(|_| Memory::anonymous(4096 + (16 << 10))).collect()
}

/// One history of a log by a seed: publishing, writing, failures, kills and losses of power.
fn history(seed: u64) {
    let mut dice = Dice::new(seed);
    let disk = SimulatedDisk::new(dice.draw(), 1 << 30);
    let mut lanes = memories();
    let mut model = Model { published: BTreeSet::new(), durable: 0 };
    // What the last recovery gave.
    let mut must = BTreeSet::new();
    let mut unique = 0;
    for life in 0..4 {
        let mut seen = BTreeSet::new();
        let opened = open(
            disk.clone(),
            Options { segment_bytes: 32 << 10, group_bytes: 8 << 10, sync: true },
            Start::BEGINNING,
            lanes.clone(),
            random(dice.draw()),
            &mut |record: Record<'_>| {
                assert!(seen.last().is_none_or(|last| *last < record.position), "seed {seed}: order");
                let hint = u64::from_le_bytes(record.payload[..8].try_into().unwrap());
                assert!(record.payload[8..].iter().all(|byte| *byte == hint as u8), "seed {seed}: payload");
                assert!(seen.insert(record.position), "seed {seed}: {} comes twice", record.position);
                Ok(())
            },
        );
        let mut opened = opened.unwrap_or_else(|error| panic!("seed {seed}, life {life}: {error}"));
        for position in &must {
            assert!(seen.contains(position), "seed {seed}, life {life}: {position} was durable and is lost");
        }
        for position in &seen {
            assert!(
                model.published.contains(position),
                "seed {seed}, life {life}: {position} was never published"
            );
        }
        // What was recovered is durable from now on; what is lost is nobody's, and its positions are free.
        assert!(seen.iter().all(|position| *position < opened.positions.next()), "seed {seed}");
        model.published = seen.clone();
        must = seen;
        model.durable = opened.positions.durable();
        let mut published_now = BTreeSet::new();
        if dice.one_in(3) {
            let call = [Call::Write, Call::Sync, Call::Create, Call::SyncNames][dice.below(4) as usize];
            disk.fail_after(call, dice.below(6), [libc::EIO, libc::ENOSPC][dice.below(2) as usize]);
        }
        for _ in 0..dice.below(60) {
            for _ in 0..dice.below(30) {
                let lane = &mut opened.lanes[dice.below(LANES as u64) as usize];
                unique += 1;
                let payload = payload(unique, &mut dice);
                if lane.has_room(1, payload.len()) {
                    let position = lane.publish(1, 0, payload.len(), |into| into.copy_from_slice(&payload));
                    published_now.insert(position);
                    assert!(model.published.insert(position), "seed {seed}: {position} was taken twice");
                }
            }
            match dice.below(4) {
                0 => {}
                1 => drop(opened.writer.mark()),
                _ => drop(opened.writer.step()),
            }
            model.durable = opened.positions.durable();
        }
        must.extend(published_now.iter().filter(|position| **position < model.durable));
        match dice.below(3) {
            // The lanes outlive the process: nothing that was published is lost.
            0 => {
                must.extend(&published_now);
                disk.kill();
            }
            // A container's lanes do not.
            1 => {
                disk.kill();
                lanes = memories();
            }
            _ => {
                disk.lose_power();
                lanes = memories();
            }
        }
    }
}

#[test]
fn durable_records_are_recovered_once_and_none_is_invented() {
    for seed in 0..60 {
        history(seed);
    }
}

#[test]
fn a_unit_is_recovered_whole_or_not_at_all_and_holds_the_watermark() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let options = Options { segment_bytes: 32 << 10, group_bytes: 256, sync: true };
    let mut visitor = |_: Record<'_>| Ok(());
    let opened = open(disk.clone(), options, Start::BEGINNING, memories(), random(1), &mut visitor);
    let Opened { mut writer, mut lanes, positions, .. } = opened.unwrap();
    let write = |into: &mut [u8]| into.fill(7);

    lanes[0].publish(1, 0, 8, write);
    let unit = positions.begin_unit().unwrap();
    let first = lanes[1].publish(2, unit.number(), 100, write);
    let other = lanes[0].publish(1, 0, 8, write);
    while writer.step().unwrap() != Step::Idle {}
    assert_eq!(positions.durable(), first, "the open unit holds what comes after it");

    // More than a group takes: the watermark does not divide the unit either.
    let more: Vec<u64> = (0..4).map(|_| lanes[1].publish(2, unit.number(), 100, write)).collect();
    let commit = unit.commit(&mut lanes[1]);
    let last = lanes[2].publish(1, 0, 8, write);
    assert_ne!(writer.step().unwrap(), Step::Idle);
    assert_eq!(positions.durable(), first);
    while writer.step().unwrap() != Step::Idle {}
    assert_eq!(positions.durable(), positions.next());

    // One is abandoned, one is open when the process is killed.
    let dropped = positions.begin_unit().unwrap();
    lanes[1].publish(3, dropped.number(), 8, write);
    drop(dropped);
    while writer.step().unwrap() != Step::Idle {}
    assert_eq!(positions.durable(), positions.next());
    let open_still = positions.begin_unit().unwrap();
    lanes[1].publish(4, open_still.number(), 8, write);
    while writer.step().unwrap() != Step::Idle {}
    disk.kill();

    let mut seen = Vec::new();
    let mut collect = |record: Record<'_>| {
        seen.push(record.position);
        Ok(())
    };
    let recovered = read(&disk, Start::BEGINNING, &mut collect).unwrap();
    let mut expected = vec![1, first, other];
    expected.extend(more);
    expected.push(last);
    assert!(!expected.contains(&commit));
    assert_eq!(seen, expected);
    assert_eq!(recovered.replayed, Replayed { records: seen.len() as u64, dropped: 2 });
}

#[test]
fn a_record_whose_payload_could_not_be_made_is_void_and_holds_nothing_up() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let options = Options { segment_bytes: 32 << 10, group_bytes: 8 << 10, sync: true };
    let mut visitor = |_: Record<'_>| Ok(());
    let opened = open(disk.clone(), options, Start::BEGINNING, memories(), random(1), &mut visitor);
    let Opened { mut writer, mut lanes, positions, .. } = opened.unwrap();
    let lane = &mut lanes[0];
    let broken = std::panic::AssertUnwindSafe(|| lane.publish(1, 0, 8, |_| panic!("on purpose")));
    std::panic::catch_unwind(broken).unwrap_err();
    let after = lane.publish(1, 0, 8, |into| into.fill(7));
    while writer.step().unwrap() != Step::Idle {}
    assert_eq!(positions.durable(), positions.next());
    let mut seen = Vec::new();
    let mut collect = |record: Record<'_>| {
        seen.push(record.position);
        Ok(())
    };
    read(&disk, Start::BEGINNING, &mut collect).unwrap();
    assert_eq!(seen, [after]);
}

#[test]
fn planted_faults_are_found() {
    use crate::planted::{Guard, without};
    let guards = [
        Guard::SyncNames,
        Guard::SyncGroup,
        Guard::KeepGroupWhenFull,
        Guard::WriteLastGroupAgain,
        Guard::ClearTornEnd,
    ];
    for guard in guards {
        let found =
            without(guard, || (0..30).any(|seed| std::panic::catch_unwind(|| history(seed)).is_err()));
        assert!(found, "{guard:?} is not missed");
    }
}

#[test]
fn second_process_is_refused_and_told_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let first = LockFile::take(directory.path()).unwrap();
    let refused = LockFile::take(directory.path()).unwrap_err().to_string();
    assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
    drop(first);
    LockFile::take(directory.path()).unwrap();
}
