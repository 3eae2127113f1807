//! A log that is read while it is written: what is seen is a beginning of it, and never damage.
//!
//! The calls of a writer that change files are recorded, and made again on files in memory: those before some call before a reader
//! begins, and those before a later one when it has made so many reads. So a reader sees files that are being made, heads and groups
//! of which a part is written, and all that comes after.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use crate::disk::simulated::{SimulatedDisk, SimulatedFile};
use crate::disk::{Disk, File};
use crate::{Making, Opened, Options, Record, Start, Step, check, open, read};

use super::{memories, random};

/// A change of a directory.
#[derive(Clone)]
enum Change {
    Create(String, usize),
    Write(String, usize, Vec<u8>),
    Rename(String, String),
    Remove(String),
}

type Changes = Arc<Mutex<Vec<Change>>>;

/// A disk that notes each change.
#[derive(Clone)]
struct Recorded {
    disk: SimulatedDisk,
    changes: Changes,
}

struct RecordedFile {
    file: SimulatedFile,
    /// Changed by a rename: what it is known by.
    name: Arc<Mutex<String>>,
    changes: Changes,
}

impl Recorded {
    fn note(&self, change: Change) {
        self.changes.lock().unwrap().push(change);
    }
}

thread_local! {
    /// The names of files that are open, to be renamed with them.
    static OPEN: RefCell<Vec<Arc<Mutex<String>>>> = const { RefCell::new(Vec::new()) };
    /// Reads until the reader's directory goes on.
    static READS: Cell<usize> = const { Cell::new(usize::MAX) };
}

impl Disk for Recorded {
    type File = RecordedFile;

    fn names(&self) -> io::Result<Vec<String>> {
        self.disk.names()
    }
    fn create(&self, name: &str, bytes: u64) -> io::Result<RecordedFile> {
        let file = self.disk.create(name, bytes)?;
        self.note(Change::Create(name.to_owned(), bytes as usize));
        let name = Arc::new(Mutex::new(name.to_owned()));
        OPEN.with_borrow_mut(|open| open.push(Arc::clone(&name)));
        Ok(RecordedFile { file, name, changes: Arc::clone(&self.changes) })
    }
    fn open(&self, name: &str) -> io::Result<RecordedFile> {
        let name_of = Arc::new(Mutex::new(name.to_owned()));
        Ok(RecordedFile { file: self.disk.open(name)?, name: name_of, changes: Arc::clone(&self.changes) })
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)?;
        self.note(Change::Rename(from.to_owned(), to.to_owned()));
        OPEN.with_borrow(|open| {
            for name in open {
                let mut name = name.lock().unwrap();
                if *name == from {
                    to.clone_into(&mut name);
                }
            }
        });
        Ok(())
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)?;
        self.note(Change::Remove(name.to_owned()));
        Ok(())
    }
    fn sync_names(&self) -> io::Result<()> {
        self.disk.sync_names()
    }
    fn free(&self) -> io::Result<u64> {
        self.disk.free()
    }
}

impl File for RecordedFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
    fn space(&self) -> io::Result<u64> {
        self.file.space()
    }
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(at, into)
    }
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(at, bytes)?;
        let name = self.name.lock().unwrap().clone();
        // In parts, as a reader may see it: within the head, and within what follows.
        let mut cuts = vec![0, 50.min(bytes.len()), bytes.len().div_ceil(2), bytes.len()];
        cuts.dedup();
        let mut changes = self.changes.lock().unwrap();
        for part in cuts.windows(2).filter(|part| part[0] < part[1]) {
            let some = bytes[part[0]..part[1]].to_vec();
            changes.push(Change::Write(name.clone(), at as usize + part[0], some));
        }
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
    fn release(&self, from: u64) -> io::Result<()> {
        self.file.release(from)
    }
    fn modified_ms(&self) -> io::Result<u64> {
        self.file.modified_ms()
    }
    fn set_modified_ms(&self, ms: u64) -> io::Result<()> {
        self.file.set_modified_ms(ms)
    }
}

/// What a writer changed, and after how many changes each of its records was in the log.
struct History {
    changes: Vec<Change>,
    written: Vec<usize>,
}

/// A log of 10 records, in three files; `ahead` makes files ahead.
fn history(ahead: bool) -> History {
    let disk = Recorded { disk: SimulatedDisk::new(1, 1 << 20), changes: Changes::default() };
    let options = Options { segment_bytes: 20 << 10, group_bytes: 4 << 10, sync: true };
    let mut visitor = |_: Record<'_>| Ok(());
    let opened = open(disk.clone(), options, Start::BEGINNING, memories(), random(1), &mut visitor);
    let Opened { mut writer, mut lanes, .. } = opened.unwrap();
    let mut maker = ahead.then(|| writer.spare_maker());
    let mut written = Vec::new();
    for _ in 0..10 {
        if let Some(maker) = &mut maker {
            while maker.step(16 << 10).unwrap() == Making::More {}
        }
        lanes[0].publish(1, 0, 24, |into| into.fill(7));
        while writer.step().unwrap() != Step::Idle {}
        written.push(disk.changes.lock().unwrap().len());
    }
    let changes = disk.changes.lock().unwrap().clone();
    History { changes, written }
}

impl History {
    /// Records in the log after so many changes.
    fn records(&self, changes: usize) -> u64 {
        self.written.iter().filter(|written| **written <= changes).count() as u64
    }
}

/// The bytes of a file, under whatever name.
type Bytes = Arc<Mutex<Vec<u8>>>;

/// Files in memory, to which changes are made.
#[derive(Default)]
struct Files(BTreeMap<String, Bytes>);

impl Files {
    fn make(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Create(name, bytes) => {
                    self.0.insert(name.clone(), Arc::new(Mutex::new(vec![0; *bytes])));
                }
                Change::Write(name, at, bytes) => {
                    let mut file = self.0[name].lock().unwrap();
                    let end = (at + bytes.len()).max(file.len());
                    file.resize(end, 0);
                    file[*at..at + bytes.len()].copy_from_slice(bytes);
                }
                Change::Rename(from, to) => {
                    let file = self.0.remove(from).unwrap();
                    self.0.insert(to.clone(), file);
                }
                Change::Remove(name) => drop(self.0.remove(name)),
            }
        }
    }
}

/// The directory as a reader has it: the files that there were, opened, and what is written to them.
struct Read {
    opened: BTreeMap<String, Bytes>,
    meanwhile: Arc<Mutex<dyn FnMut() + Send>>,
}

struct ReadFile(Bytes, Arc<Mutex<dyn FnMut() + Send>>);

impl Disk for Read {
    type File = ReadFile;

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.opened.keys().cloned().collect())
    }
    fn create(&self, _: &str, _: u64) -> io::Result<ReadFile> {
        panic!("it is read")
    }
    fn open(&self, name: &str) -> io::Result<ReadFile> {
        Ok(ReadFile(Arc::clone(&self.opened[name]), Arc::clone(&self.meanwhile)))
    }
    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        panic!("it is read")
    }
    fn remove(&self, _: &str) -> io::Result<()> {
        panic!("it is read")
    }
    fn sync_names(&self) -> io::Result<()> {
        panic!("it is read")
    }
    fn free(&self) -> io::Result<u64> {
        Ok(0)
    }
}

impl File for ReadFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }
    fn space(&self) -> io::Result<u64> {
        self.size()
    }
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let left = READS.get();
        READS.set(left.saturating_sub(1));
        if left == 0 {
            READS.set(usize::MAX);
            (self.1.lock().unwrap())();
        }
        let bytes = self.0.lock().unwrap();
        let from = bytes.get(at as usize..).unwrap_or_default();
        let read = from.len().min(into.len());
        into[..read].copy_from_slice(&from[..read]);
        Ok(read)
    }
    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        panic!("it is read")
    }
    fn sync(&self) -> io::Result<()> {
        panic!("it is read")
    }
    fn release(&self, _: u64) -> io::Result<()> {
        panic!("it is read")
    }
    fn modified_ms(&self) -> io::Result<u64> {
        Ok(0)
    }
    fn set_modified_ms(&self, _: u64) -> io::Result<()> {
        panic!("it is read")
    }
}

/// Has `look` look after the first `before` changes, to which those up to `after` come at read number `at`, and count records;
/// `None` where there are fewer reads.
fn looked_at(
    history: &History,
    (before, after): (usize, usize),
    at: usize,
    look: &impl Fn(&Arc<Read>) -> u64,
) -> Option<u64> {
    let mut files = Files::default();
    files.make(&history.changes[..before]);
    let opened = files.0.clone();
    let rest = history.changes[before..after].to_vec();
    let meanwhile = Arc::new(Mutex::new(move || files.make(&rest)));
    READS.set(at);
    let records = look(&Arc::new(Read { opened, meanwhile }));
    (READS.replace(usize::MAX) > at).then_some(records)
}

/// At every read, everywhere in what a writer does.
fn at_every_read(look: impl Fn(&Arc<Read>) -> u64) {
    let mut grown = 0;
    for history in [history(false), history(true)] {
        let all = history.changes.len();
        for before in 0..all {
            for more in [1, 2, 4, 9, 30, all] {
                let after = (before + more).min(all);
                for at in 0.. {
                    let Some(records) = looked_at(&history, (before, after), at, &look) else { break };
                    // The last two of a group's three parts may be zeros, which are there already.
                    let (known, most) = (history.records(before), history.records(after + 2));
                    assert!(
                        (known..=most).contains(&records),
                        "changes {before}..{after} at read {at}: {records} records of {known} to {most}"
                    );
                    grown += u64::from(records > known);
                }
            }
        }
    }
    assert!(grown > 0, "what is written meanwhile is seen where that is early enough");
}

#[test]
fn log_that_grows_while_it_is_read_is_read_without_a_finding() {
    at_every_read(|disk| {
        let mut records = 0;
        let mut count = |record: Record<'_>| {
            records += u64::from(record.kind == 1);
            Ok(())
        };
        read(&**disk, Start::BEGINNING, &mut count).unwrap();
        records
    });
}

#[test]
fn log_that_grows_while_it_is_checked_is_sound() {
    at_every_read(|disk| {
        let report = check(disk).unwrap();
        assert!(report.is_sound(), "{:?}", report.findings);
        report.records
    });
}
