//! Segments that are made ahead, and what becomes of them when the process ends before they are used.

use super::*;
use crate::disk::File;

const OPTIONS: Options = Options { segment_bytes: 64 << 10, group_bytes: 4 << 10, sync: true };

fn opened(disk: &SimulatedDisk) -> Opened<SimulatedDisk> {
    let mut visitor = |_: Record<'_>| Ok(());
    open(disk.clone(), OPTIONS, Start::BEGINNING, memories(), random(1), &mut visitor).unwrap()
}

fn make(maker: &mut SpareMaker<SimulatedDisk>) {
    while maker.step(16 << 10).unwrap() == Making::More {}
}

#[test]
fn segment_that_was_made_ahead_is_used_by_the_next_process() {
    let disk = SimulatedDisk::new(1, 1 << 20);
    let log = opened(&disk);
    let first = disk.contents("segment-000000000001");
    assert_eq!(first.len(), 20 << 10, "the first is short, so that nobody waits for its zeros");
    make(&mut log.writer.spare_maker());
    disk.kill();

    let mut log = opened(&disk);
    let calls = disk.calls();
    assert_eq!(log.writer.spare_maker().step(16 << 10).unwrap(), Making::Ready);
    assert_eq!(disk.calls(), calls, "nothing is made again");
    for _ in 0..4 {
        log.lanes[0].publish(1, 0, 2000, |into| into.fill(7));
        log.writer.step().unwrap();
    }
    assert_eq!(disk.contents("segment-000000000003").len(), 64 << 10, "it is the one that was made ahead");
    assert!(disk.open("spare").is_err());
}

#[test]
fn segment_ahead_that_is_of_another_size_or_not_unused_is_made_again() {
    for change in [|bytes: &mut Vec<u8>| bytes.truncate(32 << 10), |bytes: &mut Vec<u8>| bytes[4096] = 1] {
        let disk = SimulatedDisk::new(1, 1 << 20);
        make(&mut opened(&disk).writer.spare_maker());
        disk.kill();
        disk.damage("spare", change);
        let log = opened(&disk);
        assert!(disk.open("spare").is_err());
        make(&mut log.writer.spare_maker());
        assert_eq!(disk.open("spare").unwrap().size().unwrap(), 64 << 10);
    }
}

#[test]
fn start_on_a_full_disk_takes_the_space_of_the_segment_ahead() {
    let disk = SimulatedDisk::new(1, 1 << 20);
    make(&mut opened(&disk).writer.spare_maker());
    disk.kill();
    disk.set_capacity((1 << 20) - disk.free().unwrap());
    assert_eq!(disk.free().unwrap(), 0);
    let mut log = opened(&disk);
    let position = log.lanes[0].publish(1, 0, 8, |into| into.fill(7));
    log.writer.step().unwrap();
    assert!(log.positions.durable() > position);
}
