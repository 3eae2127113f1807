//! A copy that is opened as a server would open it, and erasing from it whoever was erased since it was taken.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use upbeat_engine::storage::{self, Snapshotter};
use upbeat_engine::{Engine, NotRemoved, Settings, Started, Tombstone};
use upbeat_journal::disk::RealDisk;
use upbeat_journal::{HistoryFile, MOST_BYTES, Record, StepError, Writer, history_covers, log_files};

use super::RestoreError;
use crate::runtime::app::machine_clock;
use crate::runtime::compact::{document, settings};
use crate::runtime::lanes::Lanes;
use crate::runtime::storage::{MOST_THREADS, random};

/// As many tombstones as any server may have.
const MOST_TOMBSTONES: usize = 100_000_000;

/// Each opening begins a file of the log and writes a snapshot; after so many at most, everything before them is history.
const MOST_OPENINGS: u32 = 4;

/// A copy that is opened.
pub(super) struct Opened<'a> {
    path: &'a Path,
    disk: Arc<RealDisk>,
    pub(super) engine: Engine,
    writer: Writer<Arc<RealDisk>>,
    snapshotter: Snapshotter<RealDisk>,
}

impl<'a> Opened<'a> {
    /// Opens the copy at a path, with what its last server ran with.
    pub(super) fn open(path: &'a Path, started: Option<&Started>) -> Result<Self, RestoreError> {
        let disk = Arc::new(RealDisk::new(path));
        let settings = Settings { max_tombstones: MOST_TOMBSTONES, ..settings(started) };
        let engine = Engine::new(settings, document(started));
        let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        // Segments are as small as any record allows: what is written here is little.
        let segment_bytes = MOST_BYTES as u64;
        let journal = upbeat_journal::Options { segment_bytes, group_bytes: MOST_BYTES, sync: true };
        let options = storage::Options { journal, threads };
        let memories = Lanes::of_process(1).memories;
        let opened = storage::open(&engine, Arc::clone(&disk), memories, options, Box::new(random), &|_| {});
        let opened = opened.map_err(|error| RestoreError::Open { path: path.to_owned(), error })?;
        let (writer, snapshotter) = (opened.writer, opened.snapshotter);
        Ok(Self { path, disk, engine, writer, snapshotter })
    }

    fn step(&self, error: StepError) -> RestoreError {
        RestoreError::Step { path: self.path.to_owned(), error }
    }

    /// Makes durable what was published.
    pub(super) fn make_durable(&mut self) -> Result<(), RestoreError> {
        while self.engine.durable() < self.engine.barrier() {
            self.writer.step().map_err(|error| self.step(error))?;
        }
        self.writer.mark().map_err(|error| self.step(error))
    }

    /// Erases whose tombstones these are: customers who were held, and tombstones that were not known.
    fn bury(&mut self, tombstones: &[Tombstone]) -> Result<(usize, usize), RestoreError> {
        let (mut customers, mut taken) = (0, 0);
        loop {
            let known = self.engine.tombstone_count();
            let held = self.engine.customer_count();
            let buried = self.engine.bury(tombstones, machine_clock());
            self.make_durable()?;
            match buried {
                Ok(buried) => return Ok((customers + buried.customers, taken + buried.taken)),
                // The lane was full. What was taken so far is written by now, and is not taken again.
                Err(NotRemoved::LogUnavailable)
                    if (self.engine.tombstone_count(), self.engine.customer_count()) != (known, held) =>
                {
                    customers += held - self.engine.customer_count();
                    taken += self.engine.tombstone_count() - known;
                }
                Err(error) => {
                    return Err(RestoreError::Bury { path: self.path.to_owned(), error });
                }
            }
        }
    }

    fn snapshot(&mut self) -> Result<(), RestoreError> {
        let mut broken = None;
        let writer = &mut self.writer;
        // Nobody else uses the disk's time, so nothing is waited for but the log, which is written here.
        let mut pace = |_| {
            broken = writer.step().err();
            broken.is_none()
        };
        let written = self.snapshotter.write(&self.engine, &mut pace);
        written.map_err(|error| RestoreError::Snapshot { path: self.path.to_owned(), error })?;
        match broken {
            Some(error) => Err(self.step(error)),
            None => self.make_durable(),
        }
    }

    /// Rewrites all history without the records of those who were erased.
    fn rewrite(&self) -> Result<(), RestoreError> {
        let needed_from = self.snapshotter.log_needed_from();
        let failed =
            |error: upbeat_journal::RewriteError| RestoreError::Rewrite { path: self.path.to_owned(), error };
        let rule = self.engine.rewrite_rule();
        let mut rule = |record: Record<'_>| {
            rule(&record).map_err(|error| format!("position {}: {error}", record.position))
        };
        let files = log_files(&*self.disk, needed_from).map_err(super::at(self.path))?;
        for file in files.iter().filter(|file| file.history) {
            let opened = HistoryFile::open(&*self.disk, file);
            let Some(opened) = opened.map_err(|error| failed(error.into()))? else { continue };
            opened.rewrite(&*self.disk, (0, false), &mut rule, &mut |_| true).map_err(failed)?;
        }
        Ok(())
    }
}

/// What was erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Erased {
    /// Customers who were in the copy.
    pub(super) customers: usize,
    /// Tombstones that the copy did not know.
    pub(super) tombstones: usize,
}

/// Opens the copy at a path and erases whose tombstones these are: their profiles, and what snapshots and log hold of them, and of
/// those whose erasure was not finished when the copy was taken. Returns what was erased, and the number of customers that are left.
pub(super) fn open_and_erase(
    path: &Path,
    started: Option<&Started>,
    tombstones: &[Tombstone],
) -> Result<(Erased, usize), RestoreError> {
    let mut opened = Opened::open(path, started)?;
    let (customers, taken) = opened.bury(tombstones)?;
    let erased = Erased { customers, tombstones: taken };
    let Some(pending) = opened.engine.pending_erasures() else {
        return Ok((erased, opened.engine.customer_count()));
    };
    // Two snapshots without them, and a file of the log after them: then all that holds something of them is history.
    opened.snapshot()?;
    for _ in 0..MOST_OPENINGS {
        drop(opened);
        opened = Opened::open(path, started)?;
        opened.snapshot()?;
        let needed_from = opened.snapshotter.log_needed_from();
        let covers = history_covers(&*opened.disk, needed_from, pending.position);
        if covers.map_err(|error| RestoreError::Rewrite { path: path.to_owned(), error: error.into() })? {
            opened.rewrite()?;
            opened.engine.log_content_erased(pending.position);
            opened.snapshot()?;
            return Ok((erased, opened.engine.customer_count()));
        }
    }
    let error = std::io::Error::other("the log did not go on in a new file");
    Err(super::at(path)(error))
}
