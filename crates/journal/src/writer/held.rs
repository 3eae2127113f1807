//! Small records that may wait for more of them: a group takes whole blocks of the disk, however few are in it.

use super::Writer;
use crate::disk::Disk;
use crate::group::{self, BLOCK};
use crate::pack;
use crate::record;
use crate::step::{Step, StepError};

/// What waits in the lanes, as far as that was looked at: so each record is looked at once.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Up to where in each lane.
    until: Vec<u64>,
    /// What the records take in a group, at least.
    bytes: usize,
    /// There is one of another kind than that which is packed.
    other: bool,
}

impl Seen {
    /// The lanes are collected up to here.
    pub fn begin(&mut self, collected: &[u64]) {
        self.until.clear();
        self.until.extend_from_slice(collected);
        (self.bytes, self.other) = (0, false);
    }
}

impl<D: Disk> Writer<D> {
    /// What is published and in no group takes at least so many bytes there, where all of it is of the kind that is packed: whoever
    /// steps at intervals may wait for more. `None` where nothing is there, or anything else is to be made durable or has to be
    /// done, such as to go on in a new file.
    pub fn held_bytes(&mut self) -> Option<usize> {
        let is_free = self.packer.kind.is_some() && !self.kept && self.group.len() == group::HEAD;
        // A record above the watermark counts only once all below it are there.
        let is_whole = self.watermark >= self.others_top;
        let has_more = self.is_to_rotate() || self.rotation.wants_position() || self.positions.broken();
        if !is_free || !is_whole || has_more || self.unit_passed {
            return None;
        }
        let seen = &mut self.seen;
        if seen.until.len() != self.lanes.len() {
            seen.begin(&self.collected);
        }
        for (lane, until) in self.lanes.iter().zip(&mut seen.until) {
            let tail = lane.published().tail;
            while let Some((bytes, next)) = lane.record(*until, tail) {
                if let Some((record, _)) = record::read(bytes) {
                    seen.bytes += pack::least_size(record.payload.len());
                    seen.other |= !self.packer.takes(&record);
                }
                *until = next;
            }
        }
        (!seen.other && seen.bytes > 0).then_some(seen.bytes)
    }

    /// As [`Writer::step`] where [`Writer::held_bytes`] says that there is something, and leaves what would not fill a block of the
    /// disk, unless that is all there is. What was published at a position below `all_below` is not left.
    ///
    /// # Errors
    /// As of [`Writer::step`].
    pub fn step_in_blocks(&mut self, all_below: u64) -> Result<Step, StepError> {
        let blocks = (group::HEAD + self.seen.bytes) / BLOCK;
        self.step_by(|writer| {
            if blocks > 0 {
                writer.collect_within((blocks * BLOCK - group::HEAD).min(writer.group_bytes));
            }
            if blocks == 0 || writer.first_left().is_some_and(|position| position < all_below) {
                writer.collect();
            }
        })
    }

    /// The lowest position that is published and not collected.
    fn first_left(&self) -> Option<u64> {
        let first = |(lane, collected): (&std::sync::Arc<crate::lane::Lane>, &u64)| {
            let (mut at, tail) = (*collected, lane.published().tail);
            loop {
                let (bytes, next) = lane.record(at, tail)?;
                if let Some((record, _)) = record::read(bytes) {
                    return Some(record.position);
                }
                at = next;
            }
        };
        self.lanes.iter().zip(&self.collected).filter_map(first).min()
    }
}
