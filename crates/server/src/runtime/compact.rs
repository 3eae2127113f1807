//! Compacting a data directory that no server uses: two new snapshots, and no log before them.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::{fs, io};

use upbeat_core::campaign::{Document, Single};
use upbeat_core::feedback::FeedbackPeriods;
use upbeat_engine::storage::{self, OpenError};
use upbeat_engine::{Clock, Engine, Settings, Started};
use upbeat_journal::disk::{Disk, RealDisk};
use upbeat_journal::snapshot::{SnapshotError, find};
use upbeat_journal::{LogFile, MOST_BYTES, Retention, StepError, check, log_files, remove_history};

use super::data_dir::{DataDir, DataDirError};
use super::lanes::{self, Lanes, LanesError};
use super::storage::{MOST_THREADS, quoted, random};
use crate::config::Config;

/// Segments are as small as any record allows.
const SEGMENT_BYTES: u64 = MOST_BYTES as u64;

/// Segments that are made: one for what the lanes held, and one for each of two openings.
const SEGMENTS: u64 = 3;

/// No history is kept.
const NOTHING: Retention = Retention { bytes: 0, not_before_ms: u64::MAX };

/// Why a directory is not compacted. Unless it says otherwise, nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// The directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The lanes cannot be read.
    #[error(transparent)]
    Lanes(#[from] LanesError),
    /// Something in it is damaged.
    #[error("{}: {}\nCompacting keeps nothing to repair it from. What is sound, and what a repair would lose, say\n  \
        upbeat journal check {}\n  upbeat journal repair {}", path.display(), damage.join("\n"), quoted(path), quoted(path))]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// Every place.
        damage: Vec<String>,
    },
    /// The lanes of the last server are not to be seen.
    #[error("{}: its last server was killed, and what was not in its log yet lay in {}, which is not there: start a server on \
        this directory and stop it, then compact", path.display(), lanes.display())]
    NoLanes {
        /// The directory.
        path: PathBuf,
        /// Where they were.
        lanes: PathBuf,
    },
    /// There is too little space for the new snapshots.
    #[error("{}: new snapshots need {needed} bytes, and {free} are free", path.display())]
    Space {
        /// The directory.
        path: PathBuf,
        /// In bytes.
        needed: u64,
        /// In bytes.
        free: u64,
    },
    /// The directory cannot be read.
    #[error("{}: {error}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: OpenError,
    },
    /// Something failed on the way. Everything that was kept is still there.
    #[error("{}: {error}; everything that was kept is still there", path.display())]
    Amid {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: OpenError,
    },
    /// A snapshot could not be written. Everything that was kept is still there.
    #[error("{}: no snapshot: {error}; everything that was kept is still there", path.display())]
    Snapshot {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: SnapshotError,
    },
    /// The log could not be written. Everything that was kept is still there.
    #[error("{}: {error}; everything that was kept is still there", path.display())]
    Step {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: StepError,
    },
    /// The disk failed.
    #[error("{}: {error}", path.display())]
    Disk {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// A sound directory that is this process's, and can be compacted.
pub struct Compaction {
    directory: DataDir,
    /// Where the last server's lanes lie.
    lanes: Option<PathBuf>,
    /// With what it ran.
    started: Option<Started>,
    log: Vec<LogFile>,
    bytes: u64,
    /// Of the newest snapshot.
    snapshot_bytes: u64,
}

/// What compacting came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes of the directory's files before.
    pub before: u64,
    /// Bytes of the directory's files now.
    pub after: u64,
    /// Customers in the new snapshots.
    pub customers: u64,
    /// Records that were in lanes of a killed server alone.
    pub drained: usize,
}

impl Compaction {
    /// Takes a directory that no server uses, and reads all of it. Changes nothing but the lock.
    ///
    /// # Errors
    /// It is damaged, in use, none of Upbeat's, or its last server's lanes are not to be seen.
    pub fn prepare(path: &Path) -> Result<Self, CompactError> {
        // The file system does not matter to a directory that is there already.
        let directory = DataDir::open(path, true)?;
        let path = &directory.path;
        let failed = |error| CompactError::Disk { path: path.clone(), error };
        let lanes = directory.lock.lanes().map(Path::to_owned);
        if let Some(lanes) = lanes.as_ref().filter(|lanes| !lanes::are_of(lanes, path)) {
            return Err(CompactError::NoLanes { path: path.clone(), lanes: lanes.clone() });
        }
        let disk = Arc::new(RealDisk::new(path));
        let unreadable = |error: OpenError| CompactError::Open { path: path.clone(), error };
        let report =
            check(&disk).map_err(|error| unreadable(upbeat_journal::OpenError::Recovery(error).into()))?;
        let findings = report.findings.iter().filter(|finding| !finding.is_harmless());
        let damage: Vec<String> = findings.map(ToString::to_string).collect();
        if !damage.is_empty() {
            return Err(CompactError::Damaged { path: path.clone(), damage });
        }
        let started = storage::last_started(Arc::clone(&disk)).map_err(unreadable)?;
        let log = log_files(&*disk, None).map_err(failed)?;
        let bytes = bytes_of(path).map_err(failed)?;
        let snapshot_bytes = report.snapshots.first().map_or(0, |(_, _, bytes)| *bytes);
        Ok(Self { directory, lanes, started, log, bytes, snapshot_bytes })
    }

    /// The number of the log's files, all of which go, and their bytes.
    #[must_use]
    pub fn log(&self) -> (usize, u64) {
        (self.log.len(), self.log.iter().map(|file| file.bytes).sum())
    }

    /// Compacts the directory. A process that is killed at any moment leaves a sound one.
    ///
    /// # Errors
    /// There is no space, or the disk failed. Everything is still there, but for what two snapshots had covered already.
    pub fn run(mut self) -> Result<Compacted, CompactError> {
        let path = self.directory.path.clone();
        let failed = |error| CompactError::Disk { path: path.clone(), error };
        let disk = Arc::new(RealDisk::new(&path));
        self.look_at_space(&disk)?;
        let first = self.rewrite(&disk)?;
        // What the first one holds is read here, so that nothing goes which is not proven to be readable.
        let second = self.rewrite(&disk)?;
        remove_history(&*disk, second.needed_from, NOTHING).map_err(failed)?;
        if let Some(lanes) = &self.lanes {
            lanes::remove(lanes);
        }
        self.directory.lock.note_lanes(None).map_err(DataDirError::from)?;
        let after = bytes_of(&path).map_err(failed)?;
        Ok(Compacted {
            before: self.bytes,
            after,
            customers: second.customers,
            drained: first.drained + second.drained,
        })
    }

    /// Removes what two sound snapshots cover already where that makes the room that is needed, and only then.
    fn look_at_space(&self, disk: &Arc<RealDisk>) -> Result<(), CompactError> {
        let path = &self.directory.path;
        let failed = |error| CompactError::Disk { path: path.clone(), error };
        let needed = SEGMENTS * SEGMENT_BYTES + 2 * self.snapshot_bytes;
        let free = disk.free().map_err(failed)?;
        if free >= needed {
            return Ok(());
        }
        let found = find(Arc::clone(disk));
        let found = found.map_err(|error| CompactError::Snapshot { path: path.clone(), error })?;
        let needed_from = found.snapshots.log_needed_from();
        let covered = log_files(&**disk, needed_from).map_err(failed)?;
        let covered: u64 = covered.iter().filter(|file| file.history).map(|file| file.bytes).sum();
        if free + covered < needed {
            return Err(CompactError::Space { path: path.clone(), needed, free: free + covered });
        }
        remove_history(&**disk, needed_from, NOTHING).map(drop).map_err(failed)
    }

    /// Opens the directory as a server does, and writes a snapshot.
    fn rewrite(&mut self, disk: &Arc<RealDisk>) -> Result<Rewritten, CompactError> {
        let path = self.directory.path.clone();
        let lanes = match self.lanes.as_deref().and_then(Path::parent) {
            Some(place) => Lanes::open(place, &path, 1)?,
            None => Lanes::of_process(1),
        };
        let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let journal =
            upbeat_journal::Options { segment_bytes: SEGMENT_BYTES, group_bytes: MOST_BYTES, sync: true };
        let engine = Engine::new(settings(self.started.as_ref()), document(self.started.as_ref()));
        let options = storage::Options { journal, threads };
        let opened =
            storage::open(&engine, Arc::clone(disk), lanes.memories, options, Box::new(random), &|_| {});
        let opened = opened.map_err(|error| CompactError::Amid { path: path.clone(), error })?;
        // The lanes go in the end, and with them what would tell that nothing is lost.
        engine.end_leases();
        let (mut writer, mut snapshotter) = (opened.writer, opened.snapshotter);
        let mut broken = None;
        // Nobody else uses the disk's time, so nothing is waited for but the log, which is written here.
        let mut pace = |_| {
            broken = writer.step().err();
            broken.is_none()
        };
        let written = snapshotter.write(&engine, &mut pace);
        let written = written.map_err(|error| CompactError::Snapshot { path: path.clone(), error })?;
        if let Some(error) = broken {
            return Err(CompactError::Step { path, error });
        }
        writer.mark().map_err(|error| CompactError::Step { path: path.clone(), error })?;
        let given_up = || CompactError::Disk { path: path.clone(), error: io::Error::other("no snapshot") };
        let customers = written.ok_or_else(given_up)?.customers;
        Ok(Rewritten {
            customers,
            drained: opened.recovered.drained,
            needed_from: snapshotter.log_needed_from(),
        })
    }
}

/// What an opening came to.
struct Rewritten {
    customers: u64,
    drained: usize,
    needed_from: Option<u64>,
}

/// The settings with which the last server ran: with others it would be as if they had changed. The clock of events is kept in any
/// case, whichever that server had.
pub(super) fn settings(started: Option<&Started>) -> Settings {
    let config = Config::default();
    Settings {
        window: started.map_or(config.window, |started| started.window),
        clock: Clock::Event,
        max_future_ms: i64::MAX,
        expected_customers: config.limits.expected_customers,
        max_customers: config.limits.customers,
        max_profile_bytes: config.limits.profile_bytes,
        max_retry_bytes: config.limits.retry_bytes,
        max_tracks: config.limits.tracks,
        max_tombstones: config.limits.tombstones,
        first_decision: 0,
        feedback: FeedbackPeriods::default(),
    }
}

/// The campaign of a server of a version that ran one; a later one has kept its campaigns in the directory.
pub(super) fn document(started: Option<&Started>) -> Document {
    started.and_then(|started| started.campaign.as_ref()).map(Single::document).unwrap_or_default()
}

/// Bytes that the disk holds for all files of a directory.
fn bytes_of(path: &Path) -> io::Result<u64> {
    fs::read_dir(path)?.try_fold(0, |bytes, entry| {
        let metadata = entry?.metadata()?;
        Ok(bytes + if metadata.is_file() { metadata.blocks() * 512 } else { 0 })
    })
}
