//! What is kept on a disk: opened while the listeners answer already, written by the journal's thread, and ended when nothing
//! is published any more.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use upbeat_engine::storage::{self, OpenError, Phase};
use upbeat_journal::disk::{Disk, RealDisk};
use upbeat_journal::{MOST_BYTES, RecoveryError, StepError, bytes_to_give_back};

mod error;

pub use error::StorageError;
pub(super) use error::quoted;

use super::app::{App, Kept};
use super::backups::remove_pins;
use super::campaigns::CampaignsError;
use super::data_dir::{DataDir, DataDirError};
use super::journal::{Journal, Running};
use super::lanes::{self, Lanes, LanesError};
use super::recovery::Progress;
use super::snapshots::{self, Snapshots};
use super::spare::Spare;
use super::timed_disk::TimedDisk;
use crate::config::{self, Config, Durability};

/// Where the lanes end with the process, no record stays in one for longer.
const EVERY_WITHOUT_LANES: Duration = Duration::from_millis(1);

/// Nor a decision that showed nothing.
const UNSHOWN_WITHOUT_LANES_MS: u64 = 1000;

/// The period in which the log tells how far the recovery is.
const PROGRESS_PERIOD: Duration = Duration::from_secs(1);

/// A last snapshot that is given up at the deadline of a stop has this long to remove its file; the next start does so otherwise.
const GIVING_UP: Duration = Duration::from_millis(100);

/// Threads that apply what is read, at most: more than these wait for the one that reads.
pub(super) const MOST_THREADS: usize = 8;

/// A data directory that is this process's, and where its lanes lie. Nothing of it is read yet.
pub struct Storage {
    directory: DataDir,
    lanes: Lanes,
    /// Where the lanes lay that the directory told of before.
    lanes_before: Option<PathBuf>,
}

impl Storage {
    /// Takes the data directory of a configuration, and makes it if it is not there. `None` if nothing is to be kept.
    ///
    /// # Errors
    /// It cannot be used; nothing was changed in it.
    pub fn take(config: &Config) -> Result<Option<Self>, StorageError> {
        if config.in_memory {
            return Ok(None);
        }
        let mut directory = DataDir::open(&config.data_dir, config.allow_network_file_system)?;
        let loops = config.event_loops().map_err(StorageError::Thread)?;
        // One for each loop, and one that all other threads share.
        let lanes = Lanes::open(&config.lanes_dir, &directory.path, loops + 1)?;
        if let Some(former) = directory.lock.lanes()
            && lanes.path.as_deref() != Some(former)
            && lanes::are_of(former, &directory.path)
        {
            remove_new(lanes.path.as_deref(), lanes.is_new);
            return Err(LanesError::Elsewhere { former: former.to_owned() }.into());
        }
        let lanes_before = lanes::former(directory.lock.lanes());
        directory.lock.note_lanes(lanes.path.clone()).map_err(DataDirError::from)?;
        Ok(Some(Self { directory, lanes, lanes_before }))
    }

    /// Reads what is kept into the app's engine, on a thread of its own, and goes on with it.
    ///
    /// # Errors
    /// It cannot be read or gone on with.
    pub async fn open(self, app: &Arc<App>) -> Result<Opened, StorageError> {
        let (sender, opened) = oneshot::channel();
        let app = Arc::clone(app);
        let open = move || {
            // Nobody waits any longer where the server stops meanwhile.
            let _ = sender.send(self.read(&app));
        };
        thread::Builder::new().name("recovery".into()).spawn(open).map_err(StorageError::Thread)?;
        opened.await.map_err(|_| StorageError::Panicked)?
    }

    fn read(self, app: &Arc<App>) -> Result<Opened, StorageError> {
        let Self { mut directory, lanes, lanes_before } = self;
        let (path, is_new) = (lanes.path.clone(), lanes.is_new);
        match Self::begin(&directory, lanes, app) {
            Ok((journal, spare, snapshots)) => {
                Ok(Opened { journal, spare, snapshots, lanes: path, directory })
            }
            Err(error) => {
                if remove_new(path.as_deref(), is_new) {
                    // Without it the next start looks for what is not there, and goes on.
                    let _ = directory.lock.note_lanes(lanes_before);
                }
                Err(error)
            }
        }
    }

    /// Reads what is kept and starts the threads that go on with it.
    fn begin(directory: &DataDir, lanes: Lanes, app: &Arc<App>) -> Result<Threads, StorageError> {
        let started = Instant::now();
        let disk = Arc::new(TimedDisk::new(RealDisk::new(&directory.path), app.metrics.journal.clone()));
        let told = std::cell::Cell::new(started);
        let progress = |progress: storage::Progress| {
            let phase = match progress.phase {
                Phase::Snapshot => "snapshot",
                Phase::Log => "log",
            };
            let storage::Progress { bytes, of_bytes, records, .. } = progress;
            let progress = Progress { phase, bytes, of_bytes, records };
            app.recovery().note(progress);
            if told.get().elapsed() >= PROGRESS_PERIOD {
                told.set(Instant::now());
                app.supervisor().starting(&progress);
                tracing::info!("reading what was kept: {progress}");
            }
        };
        let random = Box::new(random);
        let lanes_path = lanes.path.clone().unwrap_or_default();
        let failed = |error| match error {
            OpenError::Log(upbeat_journal::OpenError::Step(StepError::Full))
            | OpenError::Step(StepError::Full) => {
                let (path, needed) = (directory.path.clone(), app.config.journal.segment_bytes.0);
                StorageError::Space { path, needed, free: disk.free().unwrap_or(0) }
            }
            OpenError::Log(upbeat_journal::OpenError::Recovery(
                error @ RecoveryError::OlderThanLanes { .. },
            )) => {
                let (path, lanes) = (directory.path.clone(), lanes_path.clone());
                StorageError::OlderThanLanes { path, lanes, error }
            }
            error => StorageError::Open { path: directory.path.clone(), error },
        };
        let options = options(&app.config);
        look_at_space(&directory.path, options.journal.segment_bytes)?;
        let shared = Arc::clone(&disk);
        let opened = storage::open(&app.engine, shared, lanes.memories, options, random, &progress);
        let opened = opened.map_err(failed)?;
        // Nobody reads what an earlier process held.
        if let Err(error) = remove_pins(&directory.path) {
            tracing::warn!("what an earlier process held for a backup takes space still: {error}");
        }
        let took = started.elapsed();
        app.metrics.journal.recovery_seconds.set(took.as_secs_f64());
        tell(&opened.recovered, app, took);
        // Leases of budgets are on their way to the disk before the first ad is shown.
        app.engine.tick(app.wall_ms());

        let every = longest_in_lane(&app.config, lanes.path.is_some());
        let durability = Arc::clone(app.durability());
        let spare = Spare::start(opened.writer.spare_maker()).map_err(StorageError::Thread)?;
        let rotation = opened.writer.rotation();
        let unshown = longest_unshown(&app.config, lanes.path.is_some(), every);
        let hold = unshown.get().saturating_sub(every.get()) / 2;
        let metrics = app.metrics.journal.clone();
        let journal = Journal::new(opened.writer, durability, metrics, (every.get(), hold));
        let journal = journal.start().map_err(StorageError::Thread)?;
        tell_bounds(&app.config, lanes.path.is_some(), (every, unshown));
        app.set_kept(Kept {
            data_dir: directory.path.clone(),
            lanes: lanes.path.clone(),
            every,
            unshown,
            recovered_records: opened.recovered.records,
            recovery_seconds: took.as_secs_f64(),
        });
        app.begin_registry().map_err(CampaignsError::from)?;
        app.take_file_of_campaigns()?;
        let read = opened.recovered.log.bytes;
        let snapshots = Snapshots::new(opened.snapshotter, disk, Arc::clone(app), (read, rotation));
        let snapshots = snapshots.start().map_err(StorageError::Thread)?;
        Ok((journal, spare, snapshots))
    }
}

/// Removes the lanes of a start that is refused, if it has made them; whether it has.
fn remove_new(path: Option<&Path>, is_new: bool) -> bool {
    let made = path.filter(|_| is_new);
    made.inspect(|path| lanes::remove(path)).is_some()
}

/// How the log is kept.
fn options(config: &Config) -> storage::Options {
    let segment_bytes = config.journal.segment_bytes.0;
    // A segment holds several groups, so that little of its end is left over.
    let group_bytes = usize::try_from(segment_bytes / 4).unwrap_or(MOST_BYTES).min(MOST_BYTES);
    let sync = config.durability != Durability::Off;
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    storage::Options { journal: upbeat_journal::Options { segment_bytes, group_bytes, sync }, threads }
}

/// Looks whether the first file of the log has room, before anything is changed. What was made ahead by the last process goes, and
/// so does what its last file holds beyond its end.
fn look_at_space(path: &Path, needed: u64) -> Result<(), StorageError> {
    let disk = RealDisk::new(path);
    // A disk that does not say is found out by the log.
    let (Ok(free), Ok(given_back)) = (disk.free(), bytes_to_give_back(&disk)) else { return Ok(()) };
    let free = free + given_back;
    if free >= needed {
        return Ok(());
    }
    Err(StorageError::Space { path: path.to_owned(), needed, free })
}

/// The longest time that a record which nobody waits for is left in its lane.
fn longest_in_lane(config: &Config, lanes_outlive: bool) -> config::Duration {
    let every = match config.durability {
        // Answers wait where what was acknowledged half the interval ago is not durable: until then there is time for a sync.
        Durability::Interval => {
            let quarter = config.journal.interval.get().as_millis() as u64 / 4;
            config::Duration::from_millis(quarter.max(1)).min(config.decisions.sync_interval)
        }
        Durability::Ack | Durability::Off => config.decisions.sync_interval,
    };
    let without = config::Duration::from_millis(EVERY_WITHOUT_LANES.as_millis() as u64);
    if lanes_outlive { every } else { every.min(without) }
}

/// The longest time that a decision which showed nothing is left in its lane.
fn longest_unshown(config: &Config, lanes_outlive: bool, every: config::Duration) -> config::Duration {
    let unshown = config.decisions.unshown_interval.max(every);
    if lanes_outlive { unshown } else { unshown.min(config::Duration::from_millis(UNSHOWN_WITHOUT_LANES_MS)) }
}

/// Tells what was found.
fn tell(recovered: &storage::Recovered, app: &App, took: Duration) {
    let (records, customers) = (recovered.records, app.engine.customer_count());
    let drained = recovered.drained;
    let took_s = took.as_secs_f64();
    tracing::info!(records, drained, customers, took_s, "what was kept is read");
    if recovered.forfeited > 0 {
        tracing::warn!(
            micro_units = recovered.forfeited,
            "the last process has lost its latest records, and what budgets had leased to it counts as lost: ads may have been shown for \
             it. The reports of the campaigns have it"
        );
    }
    for damaged in &recovered.damaged {
        tracing::error!("a snapshot is damaged, and an older one was taken with more of the log: {damaged}");
    }
    if let Some(torn) = &recovered.log.torn {
        tracing::warn!(
            file = torn.file,
            offset = torn.offset,
            bytes = torn.bytes,
            "the log ended in the middle of a group, which is cut: nothing in it was acknowledged"
        );
    }
}

/// Says at the start what a crash may take.
fn tell_bounds(config: &Config, lanes_outlive: bool, (every, unshown): (config::Duration, config::Duration)) {
    match config.durability {
        Durability::Ack => {}
        Durability::Interval => tracing::info!(
            interval = %config.journal.interval,
            "durability = \"interval\": a loss of power takes acknowledged events of the last such time"
        ),
        Durability::Off => tracing::info!(
            "durability = \"off\": a loss of power takes acknowledged events that the system had not written by itself"
        ),
    }
    if !lanes_outlive {
        tracing::info!(
            %every,
            %unshown,
            "the lanes end with the process: a kill takes impressions of the last such time, and decisions that showed nothing of \
             the second one. A lanes_dir in a tmpfs that outlives it keeps them"
        );
    }
}

/// A random number of the system's.
///
/// # Panics
/// The system has none, which no system of the last years says.
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    // SAFETY: the buffer is as long as is said.
    let failed = unsafe { libc::getentropy(bytes.as_mut_ptr().cast(), bytes.len()) };
    assert_eq!(failed, 0, "the system gives no random numbers: {}", io::Error::last_os_error());
    u64::from_ne_bytes(bytes)
}

/// What works on what is kept.
type Threads = (Running, Spare, snapshots::Running<TimedDisk<RealDisk>>);

/// What is kept, while it is written.
pub struct Opened {
    journal: Running,
    spare: Spare,
    snapshots: snapshots::Running<TimedDisk<RealDisk>>,
    lanes: Option<PathBuf>,
    /// Held to the end.
    directory: DataDir,
}

/// What a stop may still do once everything is answered that will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// Nobody waits for the end but who has asked for it.
    Unhurried,
    /// Connections wait for the next process.
    Awaited,
    /// Something was cut, and may be at work yet.
    Cut,
}

impl Opened {
    /// Makes everything durable that was published, for which there is time until `deadline` and `least` in any case, writes a last
    /// snapshot where there is time for it before `deadline`, and ends; whether everything is durable. To be called when nothing is
    /// published any more.
    pub(super) async fn end(mut self, deadline: Instant, least: Duration, closing: Closing) -> bool {
        let (sender, durable) = oneshot::channel();
        let (ends, ended) = oneshot::channel();
        let end = move || {
            let snapshots = self.snapshots.stop();
            let is_durable = self.journal.stop();
            self.spare.stop();
            // What was cut may publish yet. The next start reads it in the lanes, as after a kill.
            let is_over = is_durable && closing != Closing::Cut;
            if let Some(lanes) = self.lanes.filter(|_| is_over) {
                lanes::remove(&lanes);
                if let Err(error) = self.directory.lock.note_lanes(None) {
                    tracing::warn!("the next start looks for lanes that are gone: {error}");
                }
            }
            let _ = sender.send(is_durable);
            if let Some(snapshots) = snapshots.filter(|_| is_over) {
                snapshots.end(deadline, closing == Closing::Awaited);
            }
            let _ = ends.send(());
        };
        if thread::Builder::new().name("end".into()).spawn(end).is_err() {
            return false;
        }
        let until_deadline = || deadline.saturating_duration_since(Instant::now());
        let is_durable = tokio::time::timeout(until_deadline().max(least), durable).await;
        let is_durable = matches!(is_durable, Ok(Ok(true)));
        if is_durable && tokio::time::timeout(until_deadline() + GIVING_UP, ended).await.is_err() {
            tracing::warn!(
                "the disk was waited for until the deadline of the stop; there is no last snapshot"
            );
        }
        is_durable
    }
}
