//! A durable log of opaque records.
//!
//! Threads publish records in lanes ([`LaneWriter`]); one thread ([`Writer`]) collects them into groups, writes and syncs
//! each, and says up to which position everything is durable. Reading the log again gives every record that was said to be
//! durable, cuts a torn end, and refuses damage.
//!
//! The crate knows nothing of events, reads no clock and starts no thread, and makes every disk call through [`disk::Disk`].

mod check;
mod continuation;
mod copy;
pub mod disk;
mod end;
mod error;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod group;
mod history;
mod lane;
mod lock;
mod memory;
mod pack;
mod planted;
mod positions;
mod record;
mod recovery;
mod repair;
mod replay;
mod rewrite;
mod rotation;
mod segment;
pub mod snapshot;
mod spare;
mod step;
mod units;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use check::{Finding, Report, check, oldest, oldest_whole};
pub use continuation::Continuation;
pub use copy::{CopiedFile, Copy, LogEnd, files_of_copy};
pub use error::RecoveryError;
pub use files::{SPARE_NAMES, bytes_to_give_back, is_file_name};
pub use group::{BLOCK, GroupHead, MOST_BYTES};
pub use history::{LogFile, Retention, log_files, remove_before, remove_history};
pub use lane::LaneWriter;
pub use lock::{LOCK_NAME, LockError, LockFile};
pub use memory::Memory;
pub use positions::{Positions, Unit};
pub use record::{ABANDONED, COMMIT, Record, Stored, VOID, records, size as record_bytes, stored};
pub use recovery::{Group, Recovered, Start, TornEnd, read, read_groups};
pub use repair::{Repaired, repair};
pub use replay::{Replayed, Visitor};
pub use rewrite::{
    FILE_HEAD_BYTES, HistoryFile, Rewrite, RewriteError, Rewritten, group_bytes, history_covers,
};
pub use rotation::Rotation;
pub use segment::SegmentHead;
pub use spare::{Making, SpareMaker};
pub use step::{Step, StepError};
pub use writer::Writer;

/// How a log is kept.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes of a segment; at least one group of the largest size fits in any case.
    pub segment_bytes: u64,
    /// The most bytes of a group's records, up to [`MOST_BYTES`]; more wait for the next group. No record is larger.
    pub group_bytes: usize,
    /// Whether a group is synced before it is said to be durable. Without, it survives the process and not the machine.
    pub sync: bool,
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
    /// Whether every record that the former process has published is there: all its lanes are, or there was none. Else the last
    /// ones may be lost, also where it has ended in order: then its lanes are gone, and whoever ended it knows that there are none.
    /// Of one that ended before it had opened the log it is what that one found.
    pub complete: bool,
}

use disk::Disk;
use lane::Lane;
use planted::{Guard, stands};
use replay::InOrder;

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

/// Reads a log from `start` on, gives its records in the order of their positions to `visitor`, those that are in lanes
/// alone among them, and goes on with it. Everything that was visited is durable when this returns. `memories` are of the lanes,
/// those of the former process if they outlived it; `random` gives random numbers.
///
/// # Errors
/// See [`OpenError`]; after [`RecoveryError`] nothing that was durable was changed on the disk.
pub fn open<D: Disk>(
    disk: D,
    options: Options,
    start: Start,
    memories: Vec<Memory>,
    mut random: Box<dyn FnMut() -> u64 + Send>,
    visitor: &mut impl Visitor,
) -> Result<Opened<D>, OpenError> {
    check::check_whole(&files::open_segments(&disk)?, start)?;
    let mut held = Held::of(&memories, start);
    let mut in_order = InOrder::new(start.from, visitor);
    let mut recovered = recovery::read_in_order(&disk, start, &mut in_order, |position| {
        held.records.remove(&position);
    })?;
    // Lanes of an earlier process were drained before the log of a later one began.
    let former = recovered.lives.last().copied();
    held.records.retain(|_, (_, life)| Some(*life) == former || !stands(Guard::LanesOfLastProcess));
    let released = held.lanes.iter().filter(|lane| Some(lane.life) == former).map(|lane| lane.group).max();
    let is_older = recovered.is_older_than(released.unwrap_or(0))?;
    let mut next = recovered.next;
    for (position, (bytes, _)) in &held.records {
        if let Some((record, _)) = record::read(bytes) {
            in_order.hold(&record);
        }
        next.position = next.position.max(position + 1);
    }
    // With all lanes of the process, every record that was published before one that is here is here, too.
    let lanes_of_former = held.lanes.iter().filter(|lane| Some(lane.life) == former).count() as u64;
    let all_known = lanes_of_former == recovered.lanes && !is_older;
    let drain = former.filter(|_| !held.records.is_empty() || (all_known && in_order.holds_units()));
    recovered.replayed = in_order.finish(all_known)?;
    // One that ended before it had opened the log may have left lanes of itself and of the process before it, or of itself alone:
    // they tell nothing of what it found. Without syncs a loss of power may have taken what would tell that it had opened the log.
    let opening = recovered.began.filter(|(floor, _)| start.from <= *floor && !visitor.has_opened(*floor));
    let complete = opening.map_or(all_known, |(_, complete)| complete && (all_known || recovered.synced));
    recovered.make_durable(&disk)?;
    let positions = Positions::starting_at(next.position);
    let life = random();
    let mut writer = Writer::new(disk, options, positions.clone(), next, random);
    if let Some(former) = drain {
        let records: Vec<u8> = held.records.values().flat_map(|(bytes, _)| bytes).copied().collect();
        let watermark = if all_known { next.position } else { recovered.watermark };
        writer.append((former, recovered.lanes), (recovered.watermark, watermark), &records)?;
    }
    // The segment first: a lane counts only if the log knows its process.
    writer.begin((life, memories.len() as u64), next.position, complete)?;
    let lanes: Vec<_> = memories.into_iter().map(|memory| Lane::begin(memory, life)).collect();
    writer.collect_from(lanes.clone());
    let group_bytes = options.group_bytes.min(MOST_BYTES);
    let lanes = lanes.into_iter().map(|lane| LaneWriter::new(lane, positions.clone(), group_bytes)).collect();
    Ok(Opened { writer, lanes, positions, recovered, drained: held.records.len(), complete })
}

/// What lanes of former processes hold, by position: the bytes of each record and the process's number.
struct Held {
    records: BTreeMap<u64, (Vec<u8>, u64)>,
    lanes: Vec<HeldLane>,
}

/// A lane of a former process.
struct HeldLane {
    /// The number of its process.
    life: u64,
    /// The last group that was in the log when its records were released.
    group: u64,
}

impl Held {
    /// What lies below the start is durable elsewhere, and would not be seen in the log.
    fn of(memories: &[Memory], start: Start) -> Self {
        let (mut records, mut lanes) = (BTreeMap::new(), Vec::new());
        for (lane, life) in memories.iter().filter_map(|memory| Lane::of_former_process(memory.clone())) {
            lanes.push(HeldLane { life, group: lane.group() });
            let (mut at, tail) = (lane.head(), lane.published().tail);
            while let Some((bytes, after)) = lane.record(at, tail) {
                if let Some((record, _)) =
                    record::read(bytes).filter(|(record, _)| record.position >= start.from)
                {
                    records.insert(record.position, (bytes.to_vec(), life));
                }
                at = after;
            }
        }
        Self { records, lanes }
    }
}
