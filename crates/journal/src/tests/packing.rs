//! Packed records in a log: whoever reads it gets what was published.

use std::sync::Arc;

use super::*;

const OPTIONS: Options = Options { segment_bytes: 64 << 10, group_bytes: 16 << 10, sync: true };
const KIND: u16 = 1;

type Disk = Arc<SimulatedDisk>;

/// Payloads by position, of all that is given.
#[derive(Default)]
struct Seen {
    records: Vec<(u64, u16, Vec<u8>)>,
    unwanted: Option<u16>,
}

impl Visitor for Seen {
    fn record(&mut self, record: Record<'_>) -> Result<(), String> {
        self.records.push((record.position, record.kind, record.payload.to_vec()));
        Ok(())
    }

    fn wants(&self, kind: u16) -> bool {
        self.unwanted != Some(kind)
    }
}

fn begin(disk: &Disk, lanes: &[Memory], seed: u64, packs: bool) -> (Opened<Disk>, Seen) {
    let mut seen = Seen::default();
    let opened = open(Arc::clone(disk), OPTIONS, Start::BEGINNING, lanes.to_vec(), random(seed), &mut seen);
    let mut opened = opened.unwrap();
    if packs {
        opened.writer.pack(KIND);
    }
    (opened, seen)
}

fn seen(disk: &Disk, unwanted: Option<u16>) -> (Seen, Recovered) {
    let mut seen = Seen { unwanted, ..Seen::default() };
    let recovered = read(disk, Start::BEGINNING, &mut seen).unwrap();
    (seen, recovered)
}

fn flush(log: &mut Opened<Disk>) {
    while log.writer.step().unwrap() != Step::Idle {}
}

/// Publishes in all lanes by turns, and now and then a record of another kind or of a unit; what was published.
fn publish(log: &mut Opened<Disk>, count: u64) -> Vec<(u64, u16, Vec<u8>)> {
    let mut published = Vec::new();
    for number in 0..count {
        let lane = &mut log.lanes[(number / 7) as usize % LANES];
        let payload = vec![number as u8; 4 + number as usize % 21];
        assert!(lane.has_room(2, 64));
        let (kind, unit) = match number % 50 {
            13 => (2, None),
            20 => (KIND, log.positions.begin_unit()),
            _ => (KIND, None),
        };
        let of = unit.as_ref().map_or(0, Unit::number);
        let position = lane.publish(kind, of, payload.len(), |into| into.copy_from_slice(&payload));
        published.push((position, kind, payload));
        unit.map(|unit| unit.commit(lane));
        if number % 90 == 89 {
            flush(log);
        }
    }
    published
}

#[test]
fn packed_log_is_read_checked_repaired_and_counted_as_one_that_is_not() {
    let disks = [true, false].map(|packs| {
        let disk = Arc::new(SimulatedDisk::new(1, 1 << 30));
        let mut log = begin(&disk, &memories(), 1, packs).0;
        let published = publish(&mut log, 1000);
        flush(&mut log);
        disk.lose_power();
        (disk, published)
    });
    let mut bytes = Vec::new();
    for (disk, published) in &disks {
        let (all, recovered) = seen(disk, None);
        assert_eq!(all.records, *published);
        assert_eq!(recovered.replayed.records, published.len() as u64);
        let (others, recovered) = seen(disk, Some(KIND));
        assert!(others.records.iter().all(|(_, kind, _)| *kind == 2));
        assert_eq!(recovered.replayed.records, 20);
        let report = check(disk).unwrap();
        assert!(report.findings.is_empty(), "{report:?}");
        // Commits are records, too.
        assert_eq!(report.records, published.len() as u64 + 20);
        let to = Arc::new(SimulatedDisk::new(3, 1 << 22));
        repair(disk, &*to, random(5)).unwrap();
        assert_eq!(seen(&to, None).0.records, *published);
        let mut taken = 0;
        let mut records = 0;
        read_groups(disk, Start::BEGINNING, |group| {
            taken += stored(group.records).map(|stored| stored.bytes).sum::<usize>();
            records += stored(group.records).map(|stored| stored.records).sum::<u64>();
            assert!(stored(group.records).all(|stored| matches!(stored.kind, KIND | 2 | COMMIT)));
            Ok(())
        })
        .unwrap();
        assert_eq!(records, report.records);
        bytes.push(taken);
    }
    assert!(bytes[0] * 2 < bytes[1], "{bytes:?}");
}

#[test]
fn record_that_is_packed_in_the_log_and_still_in_its_lane_is_recovered_once() {
    let lanes = memories();
    let disk = Arc::new(SimulatedDisk::new(1, 1 << 30));
    let mut log = begin(&disk, &lanes, 1, true).0;
    let mut published = publish(&mut log, 80);
    // It is written, and the process is killed in the sync: nothing is released.
    disk.hang_after(crate::disk::simulated::Call::Sync, 0);
    assert!(disk.catch_hang(|| log.writer.step()).is_none());
    published.extend(publish(&mut log, 10));
    drop(log);
    disk.kill();
    let (mut log, seen) = begin(&disk, &lanes, 2, false);
    assert_eq!(seen.records, published);
    assert!(log.drained > 0 && log.positions.next() > published.last().unwrap().0);
    let next = log.lanes[0].publish(KIND, 0, 1, |into| into.fill(1));
    assert!(next > published.last().unwrap().0);
}

#[test]
fn next_position_is_above_those_that_are_packed_in_the_last_record() {
    let disk = Arc::new(SimulatedDisk::new(1, 1 << 30));
    let mut log = begin(&disk, &memories(), 1, true).0;
    // While it is open the watermark says nothing of what comes after it.
    let unit = log.positions.begin_unit().unwrap();
    log.lanes[1].publish(2, unit.number(), 8, |into| into.fill(7));
    for _ in 0..9 {
        log.lanes[0].publish(KIND, 0, 8, |into| into.fill(7));
    }
    let next = log.positions.next();
    log.writer.step().unwrap();
    disk.lose_power();
    std::mem::forget(unit);
    let (log, seen) = begin(&disk, &memories(), 2, true);
    assert_eq!((seen.records.len(), log.positions.next()), (9, next));
}

#[test]
fn rewriting_takes_records_out_of_packed_ones_and_packs_the_rest_again() {
    let disk = Arc::new(SimulatedDisk::new(1, 1 << 30));
    let mut log = begin(&disk, &memories(), 1, true).0;
    let published = publish(&mut log, 1500);
    flush(&mut log);
    let needed_from = log.positions.next();
    let number = log.writer.rotation().ask();
    log.writer.step().unwrap();
    assert!(log.writer.rotation().is_done(number));
    let mut rule = |record: Record<'_>| {
        Ok(match record.payload[0] % 5 {
            _ if record.kind != KIND => Rewrite::Keep,
            0 => Rewrite::Drop,
            1 => Rewrite::Replace(3, vec![2; 100]),
            _ => Rewrite::Keep,
        })
    };
    let mut rewritten = Rewritten::default();
    for file in log_files(&*disk, Some(needed_from)).unwrap() {
        let Some(opened) = HistoryFile::open(&*disk, &file).unwrap() else { continue };
        let file = opened.rewrite(&*disk, (0, false), &mut rule, &mut |_| true).unwrap().unwrap();
        rewritten.dropped += file.dropped;
        rewritten.replaced += file.replaced;
    }
    let expected: Vec<_> = published
        .into_iter()
        .filter_map(|(position, kind, payload)| match payload[0] % 5 {
            _ if kind != KIND => Some((position, kind, payload)),
            0 => None,
            1 => Some((position, 3, vec![2; 100])),
            _ => Some((position, kind, payload)),
        })
        .collect();
    assert!(rewritten.dropped > 200 && rewritten.replaced > 200);
    assert_eq!(seen(&disk, None).0.records, expected);
    assert!(check(&disk).unwrap().findings.is_empty());
}

#[test]
fn only_records_of_the_kind_that_is_packed_may_wait_and_nothing_else_may_be_due() {
    let disk = Arc::new(SimulatedDisk::new(1, 1 << 30));
    let mut log = begin(&disk, &memories(), 1, true).0;
    let small =
        |log: &mut Opened<Disk>, lane: usize| log.lanes[lane].publish(KIND, 0, 31, |into| into.fill(7));
    assert_eq!(log.writer.held_bytes(), None, "there is nothing");
    small(&mut log, 0);
    assert_eq!(log.writer.held_bytes(), Some(33));
    small(&mut log, 2);
    assert_eq!((log.writer.held_bytes(), log.writer.held_bytes()), (Some(66), Some(66)), "each counts once");
    log.lanes[1].publish(2, 0, 4, |into| into.fill(7));
    assert_eq!(log.writer.held_bytes(), None);
    assert!(matches!(log.writer.step().unwrap(), Step::Written { records: 3, is_small: false, .. }));
    small(&mut log, 0);
    assert_eq!(log.writer.held_bytes(), Some(33));
    // An open unit, whose records do not count before its end.
    let unit = log.positions.begin_unit().unwrap();
    log.lanes[1].publish(2, unit.number(), 4, |into| into.fill(7));
    flush(&mut log);
    small(&mut log, 0);
    assert_eq!(log.writer.held_bytes(), None, "they are above the watermark");
    unit.commit(&mut log.lanes[1]);
    flush(&mut log);
    small(&mut log, 0);
    assert_eq!(log.writer.held_bytes(), Some(33));
    log.writer.rotation().take_position();
    assert_eq!(log.writer.held_bytes(), None);
    flush(&mut log);
    small(&mut log, 0);
    let _ = log.writer.rotation().ask();
    assert_eq!(log.writer.held_bytes(), None);
    assert!(matches!(log.writer.step().unwrap(), Step::Written { records: 1, is_small: true, .. }));
    small(&mut log, 0);
    assert_eq!(log.writer.held_bytes(), Some(33));
    log.writer.pack(2);
    assert_eq!(log.writer.held_bytes(), None);
}

#[test]
fn whole_blocks_of_small_records_are_written_and_the_rest_is_left_once_and_outlives_the_process() {
    let (disk, lanes) = (Arc::new(SimulatedDisk::new(1, 1 << 30)), memories());
    let mut log = begin(&disk, &lanes, 1, true).0;
    let mut published = Vec::new();
    let publish = |log: &mut Opened<Disk>, published: &mut Vec<u64>, count: u64| {
        for number in 0..count {
            let lane = &mut log.lanes[(number / 20) as usize % LANES];
            assert!(lane.has_room(1, 31));
            published.push(lane.publish(KIND, 0, 31, |into| into.fill(7)));
        }
    };
    publish(&mut log, &mut published, 300);
    assert_eq!(log.writer.held_bytes(), Some(300 * 33));
    let first = log.positions.next();
    let Step::Written { bytes, records, is_small: true } = log.writer.step_in_blocks(0).unwrap() else {
        panic!("there is something")
    };
    assert!(2 * 4096 - 64 - 200 < bytes && bytes <= 2 * 4096 - 64, "{bytes} bytes fill two blocks");
    assert!(!log.writer.is_behind() && log.positions.durable() < first);
    assert_eq!(log.writer.held_bytes(), Some((300 - records) * 33));

    // What was left is not left again, where more came.
    publish(&mut log, &mut published, 300);
    assert!(log.writer.held_bytes() > Some(300 * 33));
    log.writer.step_in_blocks(first).unwrap();
    assert!(log.positions.durable() >= first);
    flush(&mut log);
    assert_eq!(log.positions.durable(), log.positions.next());
    // And less than a block is not left at all.
    publish(&mut log, &mut published, 10);
    assert_eq!(log.writer.held_bytes(), Some(330));
    log.writer.step_in_blocks(0).unwrap();
    assert_eq!(log.positions.durable(), log.positions.next());

    publish(&mut log, &mut published, 200);
    log.writer.held_bytes().expect("they may wait");
    log.writer.step_in_blocks(0).unwrap();
    assert!(log.positions.durable() < log.positions.next(), "some are in the lanes alone");
    disk.kill();
    drop(begin(&disk, &lanes, 2, true));
    let seen = seen(&disk, None).0.records.into_iter().map(|(position, ..)| position).collect::<Vec<_>>();
    assert_eq!(seen, published);
}
