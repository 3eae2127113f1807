//! A log that is read while it is written: what is seen is a beginning of it, and never damage.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, Mutex};

use crate::disk::simulated::SimulatedDisk;
use crate::disk::{Disk, File};
use crate::{Opened, Options, Record, Start, Step, check, open, read};

use super::{memories, random};

thread_local! {
    /// Reads until the writer goes on.
    static READS: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// What the writer does between two reads.
type Meanwhile = Arc<Mutex<dyn FnMut() + Send>>;

/// A disk that is written at one of its reads.
struct WrittenMeanwhile {
    disk: SimulatedDisk,
    names: Vec<String>,
    meanwhile: Meanwhile,
}

struct WrittenFile {
    file: <SimulatedDisk as Disk>::File,
    meanwhile: Meanwhile,
}

impl Disk for WrittenMeanwhile {
    type File = WrittenFile;

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.names.clone())
    }
    fn create(&self, _: &str, _: u64) -> io::Result<WrittenFile> {
        panic!("it is read")
    }
    fn open(&self, name: &str) -> io::Result<WrittenFile> {
        Ok(WrittenFile { file: self.disk.open(name)?, meanwhile: Arc::clone(&self.meanwhile) })
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

impl File for WrittenFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
    fn space(&self) -> io::Result<u64> {
        self.file.space()
    }
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let left = READS.get();
        READS.set(left.saturating_sub(1));
        if left == 0 {
            READS.set(usize::MAX);
            (self.meanwhile.lock().unwrap())();
        }
        self.file.read_at(at, into)
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

/// Looks at a log of `groups` groups, to which more are written at read number `at`; `None` where there are fewer reads.
fn looked_at(groups: u64, at: usize, look: impl Fn(&Arc<WrittenMeanwhile>) -> u64) -> Option<u64> {
    let disk = SimulatedDisk::new(1, 1 << 20);
    let options = Options { segment_bytes: 20 << 10, group_bytes: 4 << 10, sync: true };
    let mut visitor = |_: Record<'_>| Ok(());
    let opened = open(disk.clone(), options, Start::BEGINNING, memories(), random(1), &mut visitor);
    let Opened { mut writer, mut lanes, .. } = opened.unwrap();
    let mut write = move |groups: u64| {
        for _ in 0..groups {
            lanes[0].publish(1, 0, 24, |into| into.fill(7));
            while writer.step().unwrap() != Step::Idle {}
        }
    };
    write(groups);
    let names = disk.names().unwrap();
    // More than are left of a file, so that the log goes on in others.
    let meanwhile = Arc::new(Mutex::new(move || write(7)));
    let read = Arc::new(WrittenMeanwhile { disk, names, meanwhile });
    READS.set(at);
    let records = look(&read);
    (READS.replace(usize::MAX) > at).then_some(records)
}

fn at_every_read(look: impl Fn(&Arc<WrittenMeanwhile>) -> u64) {
    let mut grown = 0;
    for groups in [0, 1, 2, 3, 4, 6] {
        for at in 0.. {
            let Some(records) = looked_at(groups, at, &look) else { break };
            assert!(
                (groups..=groups + 7).contains(&records),
                "{groups} groups, read {at}: {records} records"
            );
            grown += u64::from(records > groups);
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
