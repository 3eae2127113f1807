//! The library that is preloaded into the program under test, and the words by which a test steers it.

use std::fs::{self, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{io, thread};

/// `enum control` of `trace_disk.c`.
#[derive(Debug, Clone, Copy)]
pub enum Word {
    Space = 0,
    FailSync,
    FailWrite,
    SyncUs,
    Faults,
    KillIn,
    KillAfter,
    KillWhen,
    ShortWrite,
    HangSync,
    LieSync,
    LieNames,
    KillOf,
    DiedIn,
    DiedOf,
    FaultOf,
    Rotations,
    Count,
}

/// The calls that a process can be killed in: `enum kind` of `trace_disk.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Create = 2,
    Write = 3,
    Size = 4,
    Allocate = 5,
    Sync = 6,
    MakeDirectory = 7,
    Rename = 8,
    Unlink = 9,
    SyncNames = 11,
    /// Any of them.
    Any = 255,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Create,
        Self::Write,
        Self::Size,
        Self::Allocate,
        Self::Sync,
        Self::MakeDirectory,
        Self::Rename,
        Self::Unlink,
        Self::SyncNames,
    ];
}

/// The files that a call in which a process is killed may be on: `enum file_kind` of `trace_disk.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of {
    Any,
    Snapshot,
    Segment,
    Spare,
    Other,
}

/// Compiles a C source of this folder, once per run of the tests; returns the path of what it became.
fn compiled(source: &str, flags: &[&str], output: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture");
    let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join(output);
    // Another run of the tests may use the file meanwhile, so that it is replaced whole.
    let made = output.with_extension(std::process::id().to_string());
    let mut compiler = Command::new("cc");
    compiler.args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"]).args(flags);
    compiler.arg("-o").arg(&made).arg(folder.join(source)).args(["-ldl", "-lpthread"]);
    let status = compiler.status().expect("cc runs: install a C compiler");
    assert!(status.success(), "{source} compiles");
    fs::rename(&made, &output).expect("the output is renamed");
    output
}

pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| compiled("trace_disk.c", &["-shared", "-fPIC"], "trace_disk.so"))
}

pub fn appender() -> &'static Path {
    static APPENDER: OnceLock<PathBuf> = OnceLock::new();
    APPENDER.get_or_init(|| compiled("appender.c", &[], "appender"))
}

/// Steers the library while the program runs: words in a file that both have mapped.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    words: NonNull<AtomicU64>,
}

// SAFETY: the words are atomics, and are unmapped only when nobody has them any longer.
unsafe impl Send for Control {}
// SAFETY: as above.
unsafe impl Sync for Control {}

/// Bytes of the file.
const CONTROL_BYTES: usize = Word::Count as usize * 8;

/// For so long a process is waited for that has come to the call in which it is killed.
const DYING: Duration = Duration::from_secs(1);

impl Control {
    pub fn new(path: &Path) -> Self {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(path).expect("a file");
        file.set_len(CONTROL_BYTES as u64).expect("a length");
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping of an open file; the kernel chooses the address.
        let start = unsafe {
            libc::mmap(ptr::null_mut(), CONTROL_BYTES, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        assert!(start != libc::MAP_FAILED, "the words are mapped: {}", io::Error::last_os_error());
        Self { path: path.to_owned(), words: NonNull::new(start.cast()).expect("an address") }
    }

    fn word(&self, word: Word) -> &AtomicU64 {
        // SAFETY: there are as many words in the mapping, which lasts as long as `self`.
        unsafe { self.words.add(word as usize).as_ref() }
    }

    pub fn set(&self, word: Word, value: u64) {
        self.word(word).store(value, Ordering::SeqCst);
    }

    pub fn get(&self, word: Word) -> u64 {
        self.word(word).load(Ordering::SeqCst)
    }

    /// Has the process killed in the n-th call from now on.
    pub fn kill_in(&self, kind: Kind, of: Of, number: u64, when: u64) {
        self.set(Word::KillWhen, when);
        self.set(Word::KillOf, of as u64);
        self.set(Word::KillAfter, number);
        self.set(Word::DiedIn, 0);
        self.set(Word::KillIn, kind as u64);
    }

    /// The call in which the process was killed since, or is about to be, if there is one; from now on none is.
    pub fn take_death(&self) -> Option<(Kind, Of)> {
        let is_armed = self.get(Word::KillIn) != 0;
        // Either the count is taken away before its end, or a call has come to its end and says so.
        let has_come = self.word(Word::KillAfter).swap(0, Ordering::SeqCst) == 0 && is_armed;
        let begun = Instant::now();
        while has_come && self.get(Word::DiedIn) == 0 && begun.elapsed() < DYING {
            thread::yield_now();
        }
        self.set(Word::KillIn, 0);
        let (kind, of) = (self.get(Word::DiedIn), self.get(Word::DiedOf));
        let kind = Kind::ALL.into_iter().find(|each| *each as u64 == kind)?;
        let of = [Of::Any, Of::Snapshot, Of::Segment, Of::Spare, Of::Other][of as usize];
        self.set(Word::DiedIn, 0);
        Some((kind, of))
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's own, and no reference into it is left.
        unsafe { libc::munmap(self.words.as_ptr().cast(), CONTROL_BYTES) };
    }
}

/// What a program is watched and disturbed by.
#[derive(Debug, Default)]
pub struct Watch<'a> {
    /// Files below it are watched. Without symbolic links.
    pub directory: PathBuf,
    pub trace: Option<PathBuf>,
    pub control: Option<&'a Control>,
}

impl Watch<'_> {
    pub fn apply(&self, command: &mut Command) {
        command.env("LD_PRELOAD", library()).env("DISK_DIRECTORY", &self.directory);
        if let Some(trace) = &self.trace {
            command.env("DISK_TRACE", trace);
        }
        if let Some(control) = self.control {
            command.env("DISK_CONTROL", &control.path);
        }
    }
}
