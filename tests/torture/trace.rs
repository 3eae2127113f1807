//! The calls that a watched program made.

use std::ffi::OsStr;
use std::fs;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Nanoseconds of `CLOCK_MONOTONIC`, which all processes of the machine share.
pub type Instant = u64;

pub fn now() -> Instant {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is ours to fill.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) }, 0);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// What one call did. Paths are those from the watched directory on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A file that was there when the program began, with its contents.
    Exists(u64, PathBuf, Range<usize>),
    /// All that was there when the program began has been told.
    Begun,
    Create(u64, PathBuf),
    Write {
        file: u64,
        at: u64,
        bytes: Range<usize>,
    },
    Size(u64, u64),
    Allocate(u64, u64),
    Sync(u64),
    MakeDirectory(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncNames(PathBuf),
}

#[derive(Debug, Clone)]
pub struct Call {
    pub start: Instant,
    pub end: Instant,
    /// It returned an error.
    pub failed: bool,
    pub change: Change,
}

/// All calls, in the order in which they returned.
#[derive(Debug, Default)]
pub struct Trace {
    text: Vec<u8>,
    pub calls: Vec<Call>,
}

/// Bytes of `struct head` of `trace_disk.c`.
const HEAD: usize = 64;

impl Trace {
    /// Reads what `trace_disk.c` wrote of the programs that were watched below `directory`, one after the other: a file of each,
    /// whose name begins with `path`'s and ends with when it began.
    ///
    /// # Panics
    /// A program made a call that the library cannot follow, or a trace does not read.
    pub fn read(path: &Path, directory: &Path) -> Self {
        let (parent, name) = (path.parent().expect("a parent"), path.file_name());
        let files = fs::read_dir(parent).expect("a folder").map(|entry| entry.expect("an entry").path());
        let mut files: Vec<PathBuf> = files.filter(|file| file.file_stem() == name).collect();
        files.sort();
        let mut trace = Self::default();
        for file in files {
            let begins = trace.text.len();
            trace.text.append(&mut fs::read(file).expect("the trace"));
            let end = trace.read_records(begins, directory);
            trace.text.truncate(end);
        }
        // Each was written down after it had returned, by threads in turn: only nearly in order.
        trace.calls.sort_by_key(|call| call.end);
        trace
    }

    /// Reads the records from `at` on; returns where the last whole one ends: that of a program that was killed may be cut.
    fn read_records(&mut self, mut at: usize, directory: &Path) -> usize {
        let Self { text, calls } = self;
        while at + HEAD <= text.len() {
            let word =
                |from: usize| u64::from_ne_bytes(text[at + from..at + from + 8].try_into().expect("8 bytes"));
            let half =
                |from: usize| u32::from_ne_bytes(text[at + from..at + from + 4].try_into().expect("4 bytes"));
            let (kind, failed, start, end) = (half(0), half(4) != 0, word(8), word(16));
            let (file, offset, length) = (word(24), word(32), word(40));
            let (path_bytes, other_bytes) = (half(48) as usize, half(52) as usize);
            let data_bytes = word(56) as usize;
            let names = at + HEAD;
            let data = names + path_bytes + other_bytes;
            if data + data_bytes > text.len() {
                break;
            }
            let path = |from: usize, bytes: usize| {
                let path = Path::new(OsStr::from_bytes(&text[from..from + bytes]));
                path.strip_prefix(directory).unwrap_or(path).to_owned()
            };
            let (first, second) = (path(names, path_bytes), path(names + path_bytes, other_bytes));
            let change = match kind {
                1 => Change::Exists(file, first, data..data + data_bytes),
                2 => Change::Create(file, first),
                3 => Change::Write { file, at: offset, bytes: data..data + data_bytes },
                4 => Change::Size(file, length),
                5 => Change::Allocate(file, offset + length),
                6 => Change::Sync(file),
                7 => Change::MakeDirectory(first),
                8 => Change::Rename(first, second),
                9 | 10 => Change::Remove(first),
                11 => Change::SyncNames(first),
                12 => panic!("the program made a call that cannot be traced: {}", first.display()),
                13 => Change::Begun,
                other => panic!("unknown kind {other} in the trace at byte {at}"),
            };
            calls.push(Call { start, end, failed, change });
            at = data + data_bytes;
        }
        at
    }

    pub fn bytes(&self, range: &Range<usize>) -> &[u8] {
        &self.text[range.clone()]
    }
}
