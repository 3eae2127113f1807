//! Opening an engine on a directory: the newest snapshot, then the log, and from there on every change is published.

pub(crate) mod blocks;
mod class;
mod copying;
mod decisions;
mod dump;
mod erased;
mod of_customer;
mod profiles;
mod redo;
mod replay;
mod restore;
mod seen;
mod snapshotter;
mod stats;
#[cfg(all(test, not(feature = "loom")))]
mod tests;

use std::sync::Arc;

use upbeat_core::encoding::DecodeError;
use upbeat_core::event::StableHash;
use upbeat_journal::disk::Disk;
use upbeat_journal::snapshot::{Found, SnapshotError, find};
use upbeat_journal::{Memory, OpenError as LogError, RecoveryError, Start, StepError, Writer};

use crate::decision_ids::{IdKey, NextNumbers};
use crate::log::{Log, Payload, Started, kind};
use crate::{Engine, campaigns};

pub use class::{RecordClass, record_class};
pub use decisions::{decisions, decisions_and_plays};
pub use dump::{Dumped, dump, history, last_started};
pub use erased::ErasedCustomers;
pub use of_customer::{OfCustomer, digest_of, log_of, snapshot_of};
pub use profiles::{ProfilesBefore, profiles_before};
pub use snapshotter::{Snapshotter, Written};
pub use stats::{Count, SnapshotStats, Stats, stats};

/// How an engine is kept.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How its log is kept.
    pub journal: upbeat_journal::Options,
    /// Threads that apply what is read, beside the one that reads; at least one.
    pub threads: usize,
}

/// What is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The newest snapshot.
    Snapshot,
    /// The log since then.
    Log,
}

/// How far an engine has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being read.
    pub phase: Phase,
    /// Bytes read of it.
    pub bytes: u64,
    /// Bytes of it in all.
    pub of_bytes: u64,
    /// Customers of the snapshot, or records of the log, so far.
    pub records: u64,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// The first position that was read of the log: everything before is in the snapshot. 1 without a snapshot.
    pub from: u64,
    /// The size of the snapshot, in bytes; 0 without one.
    pub snapshot_bytes: u64,
    /// Why newer snapshots could not be used.
    pub damaged: Vec<String>,
    /// Records of the log that were applied.
    pub records: u64,
    /// What reading the log found.
    pub log: upbeat_journal::Recovered,
    /// Records that were in lanes of the former process and not in its log.
    pub drained: usize,
    /// What a loss of power has forfeited of all campaigns' budgets, in micro-units: shows may have been made for it of which no record
    /// tells.
    pub forfeited: i64,
}

/// An engine's log that goes on.
pub struct Opened<D: Disk> {
    /// For the journal's thread.
    pub writer: Writer<Arc<D>>,
    /// For whoever writes snapshots.
    pub snapshotter: Snapshotter<D>,
    /// What was found.
    pub recovered: Recovered,
}

/// Why an engine is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log cannot be read or written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log cannot be written.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The snapshots cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A block of a snapshot is not readable though its checksum is right.
    #[error(
        "{file}, block {number}: {error}; its checksum is right: start the version of Upbeat that wrote it"
    )]
    Block {
        /// The snapshot's file.
        file: String,
        /// Which block, from 0 on.
        number: usize,
        /// What is wrong.
        error: DecodeError,
    },
    /// Snapshots are damaged, and the log alone does not give what was in them.
    #[error("{damaged}; without it: {error}")]
    WithoutSnapshot {
        /// What is wrong with the newest of them, with its file and the place.
        damaged: String,
        /// Why the log is not enough.
        error: RecoveryError,
    },
    /// A record is not readable though its checksum is right.
    #[error("position {position}: {error}; its checksum is right: start the version of Upbeat that wrote it")]
    Record {
        /// Its position.
        position: u64,
        /// What is wrong.
        error: DecodeError,
    },
    /// The campaigns that were kept are not readable.
    #[error("the campaigns that ran last: {0}; start the version of Upbeat that wrote them")]
    Campaigns(campaigns::Invalid),
    /// The engine has a log already.
    #[error("this engine has a log already")]
    Twice,
    /// The lanes are too small for what has to be written at the beginning.
    #[error("the lanes have no room for the first records; they are of {0} bytes")]
    NoRoom(usize),
}

impl OpenError {
    /// Whether something that was durable is damaged or missing: a repair can keep what is sound. Records that are whole and not
    /// readable are none of that.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        use RecoveryError::{Behind, Damaged, Missing};
        matches!(
            self,
            Self::Log(LogError::Recovery(Damaged { .. } | Missing { .. } | Behind { .. }))
                | Self::Snapshot(SnapshotError::Damaged { .. })
                | Self::WithoutSnapshot { .. }
        )
    }
}

/// Fills an empty engine from the directory of `disk` and publishes all its changes there from now on. `lanes` are the memories of the
/// lanes, those of the former process if they outlived it: the first for all threads without a stripe of their own, the others
/// for those with one. `random` gives random numbers. What was read, the beginning of this process and its lease
/// of decisions' numbers are durable when this returns.
///
/// # Errors
/// See [`OpenError`]. The engine may be filled in part then, and has no log.
pub fn open<D: Disk>(
    engine: &Engine,
    disk: Arc<D>,
    lanes: Vec<Memory>,
    options: Options,
    mut random: Box<dyn FnMut() -> u64 + Send>,
    progress: &dyn Fn(Progress),
) -> Result<Opened<D>, OpenError> {
    if engine.log.get().is_some() {
        return Err(OpenError::Twice);
    }
    engine.event_clock.set_key(random());
    engine.accounts.reset();
    let lane_bytes = lanes.first().map_or(0, Memory::len);
    let Found { snapshots, newest, damaged } = find(Arc::clone(&disk))?;
    let damaged: Vec<String> = damaged.iter().map(ToString::to_string).collect();
    let (mut start, mut snapshot_bytes, mut restored) = (Start::BEGINNING, 0, None);
    if let Some(snapshot) = newest {
        restored = Some(restore::restore(engine, &snapshot, options.threads, progress)?);
        start = snapshot.start();
        snapshot_bytes = snapshot.bytes();
    }
    let (key, mut count) = (random(), 0_u64);
    let new_key = IdKey([random(), random()]);
    let salts = move || {
        count += 1;
        StableHash::with_key(key).word(count).finish()
    };
    let snapshotter =
        Snapshotter::new(Arc::clone(&disk), snapshots, Box::new(salts), 2 * options.journal.segment_bytes);
    let read = replay::replay(engine, restored.as_ref(), options.threads, progress, |visitor| {
        upbeat_journal::open(disk, options.journal, start, lanes, random, visitor)
    });
    let (opened, mut ids) = read.map_err(|error| match (error, damaged.first()) {
        (OpenError::Log(LogError::Recovery(error @ RecoveryError::Missing { .. })), Some(damaged)) => {
            OpenError::WithoutSnapshot { damaged: damaged.clone(), error }
        }
        (error, _) => error,
    })?;
    let upbeat_journal::Opened { mut writer, lanes, positions, recovered, drained, complete } = opened;
    writer.pack(kind::DECIDED);
    let log = Log::new(lanes, positions);
    let numbers = restored.map_or_else(NextNumbers::default, |restored| restored.numbers);
    engine.decision_ids.keep(ids.key.unwrap_or(new_key), numbers.max(ids.next));
    let has_lost_version = ids.replace_lost_version();
    let has_campaigns = ids.kept.is_some() && !has_lost_version;
    engine.adopt_campaigns(ids.kept, &ids.campaigns, ids.versions).map_err(OpenError::Campaigns)?;
    // Before the process has begun: who finds its records finds these.
    let forfeited = engine.accounts.take_over(&log, complete).ok_or(OpenError::NoRoom(lane_bytes))?;
    // Those that were kept need no second record.
    let campaigns = (!has_campaigns).then(|| Payload::of_campaigns(&engine.kept_campaigns().0));
    log.begin(&engine.started(), campaigns.as_ref(), engine.decision_ids.next())
        .ok_or(OpenError::NoRoom(lane_bytes))?;
    let configured = engine.accounts.configure(Some(&log), &engine.running().plan, None);
    configured.then_some(()).ok_or(OpenError::NoRoom(lane_bytes))?;
    // All of it, before a change can come: the numbers of this process are its own from here on.
    while engine_needs(&log, &mut writer)? {}
    engine.log.set(Arc::new(log)).map_err(|_| OpenError::Twice)?;
    if let Some(champion) = engine.champion() {
        engine.log_promotion(champion.id);
    }
    let recovered = Recovered {
        from: start.from,
        snapshot_bytes,
        damaged,
        records: recovered.replayed.records,
        log: recovered,
        drained,
        forfeited,
    };
    Ok(Opened { writer, snapshotter, recovered })
}

/// Takes a step; whether what the log holds is not durable yet.
fn engine_needs<D: Disk>(log: &Log, writer: &mut Writer<D>) -> Result<bool, StepError> {
    writer.step()?;
    Ok(!log.is_durable())
}

impl Engine {
    /// What this engine runs with.
    fn started(&self) -> Started {
        Started {
            window: self.settings.window,
            campaign: None,
            clock_key: self.event_clock.key(),
            id_key: self.decision_ids.key(),
        }
    }
}

impl Log {
    /// Publishes what a process begins with and leases numbers of decisions from `first` on; `None` without room.
    fn begin(&self, started: &Started, campaigns: Option<&Payload>, first: NextNumbers) -> Option<()> {
        let payload = Payload::of_start(started);
        for payload in [Some(&payload), campaigns].into_iter().flatten() {
            self.room(crate::log::Use::Show, 1, payload.bytes().len())?.publish(payload, 0);
        }
        self.renew_used(first);
        self.covers(first.shown).then_some(())
    }
}
