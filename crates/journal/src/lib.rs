//! A durable log of opaque records.
//!
//! Threads publish records in lanes ([`LaneWriter`]); one thread ([`Writer`]) collects them into groups, writes and syncs
//! each, and says up to which position everything is durable. Reading the log again gives every record that was said to be
//! durable, cuts a torn end, and refuses damage.
//!
//! The crate knows nothing of events, reads no clock and starts no thread, and makes every disk call through [`disk::Disk`].

pub mod disk;
mod group;
mod lane;
mod memory;
mod record;
mod recovery;
mod segment;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use group::{GroupHead, MOST_BYTES};
pub use lane::LaneWriter;
pub use memory::Memory;
pub use record::{Record, VOID};
pub use recovery::{Recovered, RecoveryError, TornEnd, read};
pub use writer::{Continuation, Step, StepError, Writer};

/// How a log is kept.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes of a segment; at least one group of the largest size fits in any case.
    pub segment_bytes: u64,
    /// The most bytes of a group's records, up to [`MOST_BYTES`]; more wait for the next group.
    pub group_bytes: usize,
}

/// The counters that all threads see.
#[derive(Debug, Clone)]
pub struct Positions {
    next: Arc<AtomicU64>,
    durable: Arc<AtomicU64>,
}

impl Positions {
    /// The position that will be taken next. Whoever waits until everything below is durable waits for all that it has seen.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Every record at a position below is durable.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }
}

/// A log that goes on.
pub struct Opened<D: Disk> {
    /// For the journal's thread.
    pub writer: Writer<D>,
    /// For one thread each.
    pub lanes: Vec<LaneWriter>,
    /// For all.
    pub positions: Positions,
    /// What was found.
    pub recovered: Recovered,
    /// Records that were in lanes of the former process and not in its log.
    pub drained: usize,
}

use disk::Disk;
use lane::Lane;

/// Why a log does not go on.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be read.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// It cannot be written.
    #[error(transparent)]
    Step(#[from] StepError),
}

/// Reads a log, gives each of its records to `visit`, those of the lanes last, and goes on with it. Everything that was visited is durable when
/// this returns. `memories` are of the lanes, those of the former process if they outlived it; `random` gives random numbers.
///
/// # Errors
/// See [`OpenError`]; after [`RecoveryError`] nothing was changed on the disk.
pub fn open<D: Disk>(
    disk: D,
    options: Options,
    memories: Vec<Memory>,
    mut random: Box<dyn FnMut() -> u64 + Send>,
    mut visit: impl FnMut(Record<'_>) -> Result<(), String>,
) -> Result<Opened<D>, OpenError> {
    let mut held = Held::of(&memories);
    let recovered = read(&disk, |_, records| {
        let mut visit = |record: Record<'_>| {
            held.records.remove(&record.position);
            visit(record)
        };
        each(records, &mut visit).map(drop)
    })?;
    let mut next = recovered.next;
    let left = held.of_lives(&recovered.lives);
    let drained = each(&left, &mut |record| {
        next.position = next.position.max(record.position + 1);
        visit(record)
    });
    let refused = |what| RecoveryError::Refused { file: "the lanes".to_owned(), offset: 0, what };
    let drained = drained.map_err(refused)?;
    recovered.settle(&disk)?;
    let (next_position, durable) = (Arc::new(AtomicU64::new(next.position)), Arc::new(AtomicU64::new(0)));
    let life = random();
    let mut writer = Writer::new(
        disk,
        options,
        Arc::clone(&next_position),
        Arc::clone(&durable),
        next,
        life,
        random,
    );
    // The segment first: a lane counts only if the log knows its process.
    writer.begin(&left)?;
    let lanes: Vec<_> = memories.into_iter().map(|memory| Lane::begin(memory, life)).collect();
    writer.collect_from(lanes.clone());
    let lanes = lanes.into_iter().map(|lane| LaneWriter::new(lane, Arc::clone(&next_position))).collect();
    let positions = Positions { next: next_position, durable };
    Ok(Opened { writer, lanes, positions, recovered, drained })
}

/// Gives each record of a group to `visit`; returns how many there were.
fn each(
    mut records: &[u8],
    visit: &mut impl FnMut(Record<'_>) -> Result<(), String>,
) -> Result<usize, String> {
    let mut count = 0;
    while let Some((record, rest)) = record::read(records) {
        if record.kind != VOID {
            visit(record)?;
        }
        records = rest;
        count += 1;
    }
    Ok(count)
}

/// What lanes of former processes hold, by position: the bytes of each record and the process's number.
struct Held {
    records: BTreeMap<u64, (Vec<u8>, u64)>,
}

impl Held {
    fn of(memories: &[Memory]) -> Self {
        let mut records = BTreeMap::new();
        for (lane, life) in memories.iter().filter_map(|memory| Lane::of_former_process(memory.clone())) {
            let (mut at, tail) = (lane.head(), lane.published().tail);
            while let Some((bytes, after)) = lane.record(at, tail) {
                if let Some((record, _)) = record::read(bytes) {
                    records.insert(record.position, (bytes.to_vec(), life));
                }
                at = after;
            }
        }
        Self { records }
    }

    /// The records of the processes that wrote the log, in order: a lane of another log is none of ours.
    fn of_lives(&self, lives: &[u64]) -> Vec<u8> {
        let ours = self.records.values().filter(|(_, life)| lives.contains(life));
        ours.flat_map(|(bytes, _)| bytes).copied().collect()
    }
}
