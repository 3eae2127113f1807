//! Lanes that do not belong to the log with which they are found.

use super::*;
use crate::planted::{Guard, without};

const OPTIONS: Options = Options { segment_bytes: 32 << 10, group_bytes: 4 << 10, sync: true };

fn opened(
    disk: &SimulatedDisk,
    options: Options,
    lanes: &[Memory],
    seed: u64,
) -> (Result<Opened<SimulatedDisk>, OpenError>, Vec<u64>) {
    let mut seen = Vec::new();
    let mut collect = |record: Record<'_>| {
        seen.push(u64::from(record.payload[0]));
        Ok(())
    };
    let opened = open(disk.clone(), options, Start::BEGINNING, lanes.to_vec(), random(seed), &mut collect);
    (opened, seen)
}

fn publish(log: &mut Opened<SimulatedDisk>, lane: usize, byte: u8, unit: u16) {
    log.lanes[lane].publish(1, unit, 8, |into| into.fill(byte));
}

fn flush(log: &mut Opened<SimulatedDisk>) {
    while log.writer.step().unwrap() != Step::Idle {}
}

#[test]
fn lanes_of_another_log_are_left_alone() {
    let (disk, other, lanes) = (SimulatedDisk::new(1, 1 << 30), SimulatedDisk::new(2, 1 << 30), memories());
    let mut log = opened(&disk, OPTIONS, &lanes, 1).0.unwrap();
    publish(&mut log, 0, 1, 0);
    let mut second = opened(&other, OPTIONS, &memories(), 2).0.unwrap();
    publish(&mut second, 0, 7, 0);
    flush(&mut second);
    disk.kill();
    other.kill();
    let (_, seen) = opened(&other, OPTIONS, &lanes, 3);
    assert_eq!(seen, [7], "what another directory's process published is none of this one's");
}

#[test]
fn lanes_of_a_process_before_the_last_are_left_alone() {
    let (disk, lanes) = (SimulatedDisk::new(1, 1 << 30), memories());
    let mut log = opened(&disk, OPTIONS, &lanes, 1).0.unwrap();
    publish(&mut log, 0, 1, 0);
    disk.kill();
    // Started with lanes elsewhere, and then with these again.
    let mut log = opened(&disk, OPTIONS, &memories(), 2).0.unwrap();
    publish(&mut log, 0, 2, 0);
    flush(&mut log);
    disk.kill();
    let (_, seen) = opened(&disk, OPTIONS, &lanes, 3);
    assert_eq!(seen, [2], "its position has been given to another record");
}

/// A directory of which a copy was made, put back in place while the lanes of the killed process are still there. Returns
/// the copy, the lanes, and the files of the copy.
fn put_back(options: Options) -> (SimulatedDisk, Vec<Memory>) {
    let (disk, lanes) = (SimulatedDisk::new(1, 1 << 30), memories());
    let mut log = opened(&disk, options, &lanes, 1).0.unwrap();
    publish(&mut log, 0, 1, 0);
    flush(&mut log);
    let copy = disk.copy(2);
    let unit = log.positions.begin_unit().unwrap();
    publish(&mut log, 0, 2, unit.number());
    publish(&mut log, 1, 3, 0);
    flush(&mut log);
    publish(&mut log, 1, 4, unit.number());
    unit.commit(&mut log.lanes[0]);
    disk.kill();
    (copy, lanes)
}

#[test]
fn log_that_is_older_than_its_lanes_is_refused_and_opened_without_them() {
    let (copy, lanes) = put_back(OPTIONS);
    let before = (copy.names().unwrap(), copy.contents("segment-000000000001"));
    let (refused, _) = opened(&copy, OPTIONS, &lanes, 3);
    let error = refused.err().expect("acknowledged records are missing").to_string();
    assert!(error.contains("ends with group") && error.contains("older copy"), "{error}");
    assert_eq!((copy.names().unwrap(), copy.contents("segment-000000000001")), before);
    assert_eq!(opened(&copy, OPTIONS, &memories(), 4).1, [1]);

    let (copy, lanes) = put_back(OPTIONS);
    let (log, seen) = without(Guard::LanesOfThisLog, || opened(&copy, OPTIONS, &lanes, 3));
    assert!(log.is_ok());
    assert_eq!(seen, [1, 4], "half a unit, and nothing says that there was more");
}

#[test]
fn log_without_syncs_that_is_older_than_its_lanes_divides_no_unit() {
    let options = Options { sync: false, ..OPTIONS };
    let (copy, lanes) = put_back(options);
    let (log, seen) = opened(&copy, options, &lanes, 3);
    assert_eq!(seen, [1]);
    assert_eq!(log.unwrap().recovered.replayed.dropped, 2);
}

#[test]
fn lanes_of_the_last_process_are_drained_once_however_often_they_are_found() {
    let (disk, lanes) = (SimulatedDisk::new(1, 1 << 30), memories());
    let mut log = opened(&disk, OPTIONS, &lanes, 1).0.unwrap();
    publish(&mut log, 0, 1, 0);
    flush(&mut log);
    publish(&mut log, 1, 2, 0);
    disk.kill();
    // As the lanes were before they were drained.
    let before: Vec<Vec<u8>> =
        lanes.iter().map(|lane| unsafe { lane.bytes(0, lane.len()) }.to_vec()).collect();
    assert_eq!(opened(&disk, OPTIONS, &lanes, 2).1, [1, 2]);
    disk.kill();
    for (lane, bytes) in lanes.iter().zip(&before) {
        // SAFETY: no other thread has them.
        unsafe { lane.bytes_mut(0, lane.len()) }.copy_from_slice(bytes);
    }
    assert_eq!(opened(&disk, OPTIONS, &lanes, 3).1, [1, 2]);
}

#[test]
fn unit_that_is_broken_off_fails_the_log_and_nothing_after_it_is_durable() {
    let (disk, lanes) = (SimulatedDisk::new(1, 1 << 30), memories());
    let mut log = opened(&disk, OPTIONS, &lanes, 1).0.unwrap();
    let unit = log.positions.begin_unit().unwrap();
    let first = log.positions.next();
    publish(&mut log, 0, 1, unit.number());
    flush(&mut log);
    publish(&mut log, 1, 2, 0);
    unit.break_off();
    assert!(matches!(log.writer.step(), Err(StepError::Failed(_))));
    assert!(matches!(log.writer.step(), Err(StepError::HasFailed)));
    assert!(log.positions.durable() <= first);
}

/// Opens a log; whether all that was published before was there. Records of kind 1 tell that their process had opened it.
fn opened_by(
    disk: &SimulatedDisk,
    options: Options,
    lanes: &[Memory],
    seed: u64,
) -> (Opened<SimulatedDisk>, bool) {
    struct Last(u64);
    impl Visitor for Last {
        fn record(&mut self, record: Record<'_>) -> Result<(), String> {
            self.0 = if record.kind == 1 { record.position } else { self.0 };
            Ok(())
        }

        fn has_opened(&self, from: u64) -> bool {
            self.0 >= from
        }
    }
    let log = open(disk.clone(), options, Start::BEGINNING, lanes.to_vec(), random(seed), &mut Last(0));
    let log = log.unwrap();
    let complete = log.complete;
    (log, complete)
}

fn bytes_of(lanes: &[Memory]) -> Vec<Vec<u8>> {
    // SAFETY: no other thread has them.
    lanes.iter().map(|lane| unsafe { lane.bytes(0, lane.len()) }.to_vec()).collect()
}

/// As if the process had been killed after it had begun so many of its lanes: the others are as they were `before`.
fn begin_first(lanes: &[Memory], before: &[Vec<u8>], begun: usize) {
    for (lane, bytes) in lanes.iter().zip(before).skip(begun) {
        // SAFETY: no other thread has them.
        unsafe { lane.bytes_mut(0, lane.len()) }.copy_from_slice(bytes);
    }
}

#[test]
fn killed_process_is_known_whole_also_after_starts_that_were_killed_before_they_had_opened_its_log() {
    for begun in 0..=LANES {
        let (disk, lanes) = (SimulatedDisk::new(1, 1 << 30), memories());
        let (mut log, complete) = opened_by(&disk, OPTIONS, &lanes, 1);
        assert!(complete, "there was none before");
        publish(&mut log, 0, 1, 0);
        flush(&mut log);
        publish(&mut log, 1, 2, 0);
        disk.kill();
        for start in 0..3 {
            let before = bytes_of(&lanes);
            assert!(opened_by(&disk, OPTIONS, &lanes, 2 + start).1, "{begun} lanes, start {start}");
            disk.kill();
            begin_first(&lanes, &before, begun);
        }
        assert_eq!(opened(&disk, OPTIONS, &lanes, 6).1, [1, 2]);
    }
}

#[test]
fn loss_of_power_is_known_also_after_starts_that_were_killed_before_they_had_opened_the_log() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let mut log = opened_by(&disk, OPTIONS, &memories(), 1).0;
    publish(&mut log, 0, 1, 0);
    flush(&mut log);
    publish(&mut log, 1, 2, 0);
    disk.lose_power();
    let lanes = memories();
    for start in 0..3 {
        let (mut log, complete) = opened_by(&disk, OPTIONS, &lanes, 2 + start);
        assert!(!complete, "start {start}: all its lanes are here, and none of those that are lost");
        // Of another kind: as what it books of the loss.
        log.lanes[0].publish(2, 0, 8, |into| into.fill(3));
        disk.kill();
    }
    let mut log = opened_by(&disk, OPTIONS, &lanes, 6).0;
    publish(&mut log, 0, 4, 0);
    disk.kill();
    assert!(opened_by(&disk, OPTIONS, &lanes, 7).1, "the one before had opened it, and is here whole");
}

#[test]
fn process_without_syncs_may_have_opened_a_log_that_does_not_tell_of_it() {
    let options = Options { sync: false, ..OPTIONS };
    let (disk, lanes) = (SimulatedDisk::new(1, 1 << 30), memories());
    opened_by(&disk, options, &lanes, 1);
    disk.kill();
    assert!(opened_by(&disk, options, &lanes, 2).1);
    disk.lose_power();
    assert!(!opened_by(&disk, options, &memories(), 3).1);
}

#[test]
fn repaired_log_tells_of_no_process_that_it_found_all_there_was() {
    for loses_power in [false, true] {
        let (disk, lanes) = (SimulatedDisk::new(1, 1 << 30), memories());
        let mut log = opened_by(&disk, OPTIONS, &lanes, 1).0;
        publish(&mut log, 0, 1, 0);
        flush(&mut log);
        let lanes = if loses_power { memories() } else { lanes };
        if loses_power {
            disk.lose_power()
        } else {
            disk.kill()
        }
        assert_eq!(opened_by(&disk, OPTIONS, &lanes, 2).1, !loses_power);
        disk.kill();
        let repaired = SimulatedDisk::new(3, 1 << 30);
        repair(&std::sync::Arc::new(disk), &repaired, random(5)).unwrap();
        // With its lanes nothing but a loss that it has found is to be told; without them nobody knows.
        assert_eq!(opened_by(&repaired.copy(4), OPTIONS, &lanes, 6).1, !loses_power);
        assert!(!opened_by(&repaired, OPTIONS, &memories(), 7).1);
    }
}
