//! Reading from the disk rather than from the page cache, on a real file system.

use std::fs::File as StdFile;
use std::os::fd::AsRawFd;
use std::path::Path;

use upbeat_journal::disk::{Disk, File, RealDisk};

const BYTES: usize = 3 << 20;
const PAGE: usize = 4096;

/// The file systems on which pages that are not needed go: ext2 to ext4, XFS, btrfs.
const ON_A_DISK: [i64; 3] = [0xef53, 0x5846_5342, 0x9123_683e];

fn is_on_a_disk(file: &StdFile) -> bool {
    let mut of = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the descriptor is open, and the kernel fills the structure when it returns 0.
    let kind = unsafe {
        assert_eq!(libc::fstatfs(file.as_raw_fd(), of.as_mut_ptr()), 0);
        of.assume_init().f_type
    };
    ON_A_DISK.contains(&(kind as i64))
}

/// How many of the file's pages are in memory.
fn resident(file: &StdFile) -> usize {
    let mut pages = vec![0_u8; BYTES / PAGE];
    // SAFETY: a new mapping of an open file, which is not read and unmapped again; a byte for each page of it.
    unsafe {
        let map =
            libc::mmap(std::ptr::null_mut(), BYTES, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0);
        assert_ne!(map, libc::MAP_FAILED);
        assert_eq!(libc::mincore(map, BYTES, pages.as_mut_ptr().cast()), 0);
        assert_eq!(libc::munmap(map, BYTES), 0);
    }
    pages.iter().filter(|page| **page & 1 == 1).count()
}

#[test]
fn synced_data_is_read_from_the_disk_once_its_cache_is_dropped() {
    let directory = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).expect("a directory");
    let disk = RealDisk::new(directory.path());
    let file = disk.create("snapshot", 0).expect("a file");
    let path = StdFile::open(directory.path().join("snapshot")).expect("the same file");
    if !is_on_a_disk(&path) {
        return;
    }
    for (at, byte) in (0..BYTES).step_by(256 << 10).zip(1_u8..) {
        file.write_at(at as u64, &[byte; 256 << 10]).expect("there is space");
    }
    assert_eq!(resident(&path), BYTES / PAGE);
    file.sync().expect("the disk is good");
    file.drop_cache();
    assert_eq!(resident(&path), 0, "the next read would be of memory");
    let mut read = vec![0; BYTES];
    assert_eq!(file.read_at(0, &mut read).expect("the disk is good"), BYTES);
    assert!(read.chunks(256 << 10).zip(1_u8..).all(|(part, byte)| part.iter().all(|read| *read == byte)));
}
