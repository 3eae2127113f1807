//! The log on a simulated disk.

mod copies;
mod damage;
mod growing;
mod history;
mod lanes;
mod lives;
mod model;
mod packing;
mod rewriting;
mod snapshots;
mod spares;
mod torture;

use super::*;
use crate::disk::simulated::{Dice, SimulatedDisk};

const LANES: usize = 3;
const LANE_BYTES: usize = 4096 + (16 << 10);

fn random(seed: u64) -> Box<dyn FnMut() -> u64 + Send> {
    let mut dice = Dice::new(seed);
    Box::new(move || dice.draw())
}

fn memories() -> Vec<Memory> {
    (0..LANES).map(|_| Memory::anonymous(LANE_BYTES)).collect()
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
fn second_process_is_refused_and_told_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let first = LockFile::take(directory.path()).unwrap();
    let refused = LockFile::take(directory.path()).unwrap_err().to_string();
    assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
    drop(first);
    LockFile::take(directory.path()).unwrap();
}

#[test]
fn threads_publish_at_once_and_whatever_is_durable_is_in_the_log_whole() {
    const EACH: u64 = 500;
    let disk = SimulatedDisk::new(1, 1 << 30);
    let options = Options { segment_bytes: 1 << 20, group_bytes: 4 << 10, sync: true };
    let mut visitor = |_: Record<'_>| Ok(());
    let opened = open(disk.clone(), options, Start::BEGINNING, memories(), random(1), &mut visitor);
    let Opened { mut writer, lanes, positions, .. } = opened.unwrap();
    let publishers = std::sync::atomic::AtomicUsize::new(lanes.len());
    std::thread::scope(|scope| {
        for mut lane in lanes {
            let (positions, publishers) = (positions.clone(), &publishers);
            scope.spawn(move || {
                for number in 0..EACH {
                    while !lane.has_room(3, 48) {
                        std::thread::yield_now();
                    }
                    if number % 10 == 0 {
                        let unit = positions.begin_unit().expect("few are open");
                        lane.publish(2, unit.number(), 8, |into| into.copy_from_slice(&number.to_le_bytes()));
                        std::thread::yield_now();
                        lane.publish(2, unit.number(), 8, |into| into.copy_from_slice(&number.to_le_bytes()));
                        unit.commit(&mut lane);
                    } else {
                        lane.publish(1, 0, 8, |into| into.copy_from_slice(&number.to_le_bytes()));
                    }
                }
                publishers.fetch_sub(1, std::sync::atomic::Ordering::AcqRel);
            });
        }
        scope.spawn(|| {
            loop {
                let ended = publishers.load(std::sync::atomic::Ordering::Acquire) == 0;
                if writer.step().unwrap() == Step::Idle && ended {
                    break;
                }
            }
        });
    });
    assert_eq!(positions.durable(), positions.next());
    disk.lose_power();
    let (mut records, mut of_units) = (0, 0);
    let mut count = |record: Record<'_>| {
        records += 1;
        of_units += u64::from(record.unit != 0);
        Ok(())
    };
    let recovered = read(&disk, Start::BEGINNING, &mut count).unwrap();
    assert_eq!((records, of_units), (3 * EACH * 11 / 10, 3 * EACH / 5));
    assert_eq!((recovered.replayed.dropped, recovered.next.position), (0, positions.next()));
}
