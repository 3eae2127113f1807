//! What a log takes on a real disk.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use upbeat_journal::disk::RealDisk;
use upbeat_journal::{Memory, Options, Record, Start, log_files, open};

const SEGMENT_BYTES: u64 = 4 << 20;

/// Bytes that the files of the log take on the disk.
fn space(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).expect("the directory is there");
    files.map(|file| file.and_then(|file| file.metadata()).expect("a file").blocks() * 512).sum()
}

#[test]
fn space_that_a_dead_process_had_allocated_ahead_is_given_back_by_the_next_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = Arc::new(RealDisk::new(directory.path()));
    let options = Options { segment_bytes: SEGMENT_BYTES, group_bytes: 64 << 10, sync: true };
    let starts = 8;
    for start in 0..starts {
        let mut records = 0;
        let mut salt = start << 32;
        let random = Box::new(move || {
            salt += 1;
            salt
        });
        let mut count = |_: Record<'_>| {
            records += 1;
            Ok(())
        };
        let memories = vec![Memory::anonymous(4096 + (64 << 10))];
        let mut opened = open(Arc::clone(&disk), options, Start::BEGINNING, memories, random, &mut count)
            .expect("it opens");
        assert_eq!(records, start, "what every process before has written is there");
        opened.lanes[0].publish(1, 0, 5, |into| into.copy_from_slice(b"event"));
        opened.writer.step().expect("a group");
        // Killed: nothing is ended in order.
    }
    let taken = space(directory.path());
    assert!(taken < 2 * SEGMENT_BYTES, "{starts} starts took {taken} bytes");
    let told: u64 =
        log_files(&*disk, None).expect("the directory is read").iter().map(|file| file.bytes).sum();
    assert!(told <= taken, "files of the log are told as larger than they are: {told}, {taken}");
}
