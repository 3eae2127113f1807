//! Segments that are made ahead, and what becomes of them when the process ends before they are used.

use super::*;

const OPTIONS: Options = Options { segment_bytes: 64 << 10, group_bytes: 4 << 10, sync: true };

fn opened(disk: &SimulatedDisk) -> Opened<SimulatedDisk> {
    let mut visitor = |_: Record<'_>| Ok(());
    open(disk.clone(), OPTIONS, Start::BEGINNING, memories(), random(1), &mut visitor).unwrap()
}

fn make(maker: &mut SpareMaker<SimulatedDisk>) {
    while maker.step(16 << 10).unwrap() == Making::More {}
}

#[test]
fn first_segment_is_short_and_the_next_the_one_that_was_made_ahead() {
    let disk = SimulatedDisk::new(1, 1 << 20);
    let mut log = opened(&disk);
    assert_eq!(disk.contents("segment-000000000001").len(), 20 << 10, "nobody waits for many zeros");
    make(&mut log.writer.spare_maker());
    for _ in 0..4 {
        log.lanes[0].publish(1, 0, 2000, |into| into.fill(7));
        log.writer.step().unwrap();
    }
    assert_eq!(disk.contents("segment-000000000002").len(), 64 << 10);
    assert!(disk.open("spare").is_err());
}

/// The name of a file may be in memory alone where syncing the names has failed, and another process is not told.
#[test]
fn segment_ahead_of_a_former_process_is_not_used() {
    let disk = SimulatedDisk::new(1, 1 << 20);
    let log = opened(&disk);
    make(&mut log.writer.spare_maker());
    disk.fail_after(crate::disk::simulated::Call::SyncNames, 0, libc::EIO);
    disk.sync_names().unwrap_err();
    disk.kill();
    let mut log = opened(&disk);
    assert!(disk.open("spare").is_err());
    make(&mut log.writer.spare_maker());
    let mut last = 0;
    for _ in 0..9 {
        assert!(log.lanes[0].has_room(1, 2000));
        last = log.lanes[0].publish(1, 0, 2000, |into| into.fill(7));
        log.writer.step().unwrap();
    }
    assert!(log.positions.durable() > last);
    disk.lose_power();
    assert_eq!(opened(&disk).recovered.next.position, last + 1);
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
