use upbeat_journal::disk::simulated::SimulatedDisk;
use upbeat_journal::{Memory, Options, Start, Writer};

use super::*;

const SEGMENT_BYTES: u64 = 64 << 10;

fn writer(disk: &SimulatedDisk) -> Writer<SimulatedDisk> {
    let options = Options { segment_bytes: SEGMENT_BYTES, group_bytes: 16 << 10, sync: true };
    let memories = vec![Memory::anonymous(4096 + (64 << 10))];
    let mut visit = |_: upbeat_journal::Record<'_>| Ok(());
    let opened =
        upbeat_journal::open(disk.clone(), options, Start::BEGINNING, memories, Box::new(|| 7), &mut visit);
    opened.expect("a new directory").writer
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "timed out waiting until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn is_ready(disk: &SimulatedDisk) -> bool {
    disk.names().expect("a good disk").iter().any(|name| name == "spare")
}

#[test]
fn next_file_is_made_ahead_and_the_thread_ends_when_it_is_told_to() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let writer = writer(&disk);
    let spare = Spare::start(writer.spare_maker()).expect("a thread");
    until("the file is there", || is_ready(&disk));
    assert!(!writer.is_short_of_space());
    spare.stop();
}

#[test]
fn want_of_space_is_told_and_the_file_made_once_there_is_some() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let writer = writer(&disk);
    disk.set_capacity(SEGMENT_BYTES);
    let spare = Spare::start(writer.spare_maker()).expect("a thread");
    until("the want is known", || writer.is_short_of_space());
    assert!(!is_ready(&disk));
    disk.set_capacity(1 << 30);
    // Without waiting for the end of its pause.
    spare.thread.thread().unpark();
    until("the file is there", || is_ready(&disk));
    until("it is known", || !writer.is_short_of_space());
    spare.stop();
}

#[test]
fn disk_that_fails_once_is_tried_again() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let writer = writer(&disk);
    disk.fail_after(upbeat_journal::disk::simulated::Call::Create, 0, libc::EIO);
    let before = disk.calls();
    let spare = Spare::start(writer.spare_maker()).expect("a thread");
    until("it has tried", || disk.calls() > before + 1);
    until("the file is there", || {
        spare.thread.thread().unpark();
        is_ready(&disk)
    });
    spare.stop();
}
