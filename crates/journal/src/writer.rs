//! The journal's thread: lanes → group → write → sync → durable.
//!
//! A group is written only after the sync of the one before returned. So only the last group of a log can be torn, and
//! nothing acknowledged is in it.

mod collect;
mod end;
mod held;

use std::io;
use std::sync::Arc;

use crate::Options;
use crate::continuation::Continuation;
use crate::disk::{Disk, File};
use crate::group::{self, BLOCK, GroupHead, MOST_BYTES};
use crate::lane::Lane;
use crate::pack::Packer;
use crate::planted::{Guard, stands};
use crate::positions::Positions;
use crate::record;
use crate::rewrite;
use crate::rotation::Rotation;
use crate::segment::{self, Open, SegmentHead, VERSION};
use crate::spare::{self, Spare, SpareMaker};
use crate::step::{Step, StepError};
use crate::units::Units;
use held::Seen;

/// Collects what the lanes publish and makes it durable, group by group.
pub struct Writer<D: Disk> {
    disk: D,
    segment_bytes: u64,
    group_bytes: usize,
    sync: bool,
    lanes: Vec<Arc<Lane>>,
    /// Up to where each lane is collected into `group`.
    collected: Vec<u64>,
    positions: Positions,
    life: u64,
    /// The number of lanes of `life`.
    lanes_of_life: u64,
    /// What the next segment says of how its process began.
    begins: Option<bool>,
    salts: Box<dyn FnMut() -> u64 + Send>,
    segment: Option<Open<D::File>>,
    spare: Spare<D::File>,
    rotation: Rotation,
    next_segment: u64,
    next_group: u64,
    /// The head and records of the group that is to be written, sealed or not.
    group: Vec<u8>,
    /// The number of records in `group`.
    group_records: usize,
    packer: Packer,
    /// All of `group` is of the kind that is packed.
    group_is_small: bool,
    /// What waits in the lanes, as far as that was looked at.
    seen: Seen,
    /// Above all positions in `group` and in the groups before it.
    group_top: u64,
    /// Above those of them that are not of the kind that is packed.
    others_top: u64,
    /// Above all positions in the groups before `group`.
    top: u64,
    units: Units,
    /// A unit is collected whole, and no watermark on the disk says so: recovery would drop it.
    unit_passed: bool,
    /// The last group had no room for all that was published when it was collected.
    behind: bool,
    watermark: u64,
    /// `group` holds one that was not written for want of space.
    kept: bool,
    failed: bool,
    /// The last durable group is not marked as such on the disk yet.
    unmarked: bool,
}

impl<D: Disk> Writer<D> {
    /// A writer of a log that goes on at `from`, in a new segment. `salts` gives random numbers.
    pub(crate) fn new(
        disk: D,
        options: Options,
        positions: Positions,
        from: Continuation,
        salts: Box<dyn FnMut() -> u64 + Send>,
    ) -> Self {
        // Of a former process: its name may be in memory alone, and no later sync tell. The space is needed first of all.
        spare::remove(&disk);
        rewrite::remove_unfinished(&disk);
        let mut group = Vec::new();
        group::begin(&mut group);
        let group_bytes = options.group_bytes.min(MOST_BYTES);
        Self {
            collected: Vec::new(),
            lanes: Vec::new(),
            disk,
            segment_bytes: options.segment_bytes.max((group::size(group_bytes) + BLOCK) as u64),
            group_bytes,
            sync: options.sync,
            positions,
            life: 0,
            lanes_of_life: 0,
            begins: None,
            salts,
            segment: None,
            spare: Spare::new(),
            rotation: Rotation::default(),
            next_segment: from.segment,
            next_group: from.group,
            group,
            group_records: 0,
            packer: Packer::default(),
            group_is_small: true,
            seen: Seen::default(),
            group_top: from.position,
            others_top: 0,
            top: from.position,
            units: Units::default(),
            unit_passed: false,
            behind: false,
            watermark: 0,
            kept: false,
            failed: false,
            unmarked: false,
        }
    }

    /// Makes `records`, which the process `life` left in its `lanes`, durable in a segment that counts as its own: units
    /// that it left open end with it. `watermarks` are that of its last group, and the one that holds with these.
    pub(crate) fn append(
        &mut self,
        (life, lanes): (u64, u64),
        watermarks: (u64, u64),
        records: &[u8],
    ) -> Result<(), StepError> {
        (self.life, self.lanes_of_life, self.watermark) = (life, lanes, watermarks.0);
        let mut rest = records;
        while let Some((record, after)) = record::read(rest) {
            let whole = &rest[..rest.len() - after.len()];
            if self.group.len() - group::HEAD + whole.len() > self.group_bytes {
                self.write()?;
            }
            self.group.extend_from_slice(whole);
            self.group_top = self.group_top.max(record.position + 1);
            rest = after;
        }
        self.watermark = watermarks.1;
        self.write()
    }

    /// Opens the first segment of the process `life`. Everything below `watermark` is durable, and it is `complete` or not: see
    /// [`Opened::complete`](crate::Opened::complete).
    pub(crate) fn begin(
        &mut self,
        (life, lanes): (u64, u64),
        watermark: u64,
        complete: bool,
    ) -> Result<(), StepError> {
        (self.life, self.lanes_of_life, self.watermark) = (life, lanes, watermark);
        self.begins = Some(complete);
        (self.top, self.group_top) = (watermark, watermark);
        self.segment = None;
        self.write()
    }

    /// Collects from these lanes from now on.
    pub(crate) fn collect_from(&mut self, lanes: Vec<Arc<Lane>>) {
        self.collected = lanes.iter().map(|lane| lane.head()).collect();
        self.lanes = lanes;
    }

    /// Collects what is published, up to one group, and makes it durable.
    ///
    /// # Errors
    /// The disk is full, and the same group is tried by the next call; or the log has failed, for good.
    pub fn step(&mut self) -> Result<Step, StepError> {
        self.step_by(Self::collect)
    }

    fn step_by(&mut self, collect: impl FnOnce(&mut Self)) -> Result<Step, StepError> {
        if self.failed {
            return Err(StepError::HasFailed);
        }
        if self.positions.broken() {
            self.failed = true;
            return Err(StepError::Failed(io::Error::other("a panic broke off records that count together")));
        }
        if !self.kept {
            collect(self);
        }
        let bytes = self.group.len() - group::HEAD;
        let passes_unit = self.unit_passed && stands(Guard::WholeUnits);
        if bytes == 0 && !self.kept && !passes_unit && !self.is_to_rotate() {
            // What the last group held beyond its watermark is known to be all there is.
            self.positions.set_durable(self.watermark);
            return Ok(Step::Idle);
        }
        let (records, is_small) = (self.group_records, self.group_is_small && bytes > 0);
        self.write()?;
        for (lane, collected) in self.lanes.iter().zip(&self.collected) {
            lane.release(*collected, self.next_group - 1);
        }
        self.unmarked = true;
        Ok(Step::Written { bytes, records, is_small })
    }

    /// Has the log go on in a new file, from another thread.
    #[must_use]
    pub fn rotation(&self) -> Rotation {
        self.rotation.clone()
    }

    /// A file that is not made ahead may find the disk full, while the present one has room for impressions. And a group that
    /// is kept may be on the disk: it is written again where it lies.
    fn is_to_rotate(&self) -> bool {
        !self.kept && self.rotation.is_due() && (self.spare.is_ready() || !self.spare.has_maker())
    }

    /// What makes the next segments ahead, for another thread.
    pub fn spare_maker(&self) -> SpareMaker<D>
    where
        D: Clone,
    {
        SpareMaker::new(self.disk.clone(), self.segment_bytes, self.spare.clone())
    }

    /// Whether the last group had no room for all that was published when it was collected: whoever steps at intervals steps
    /// again at once.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// Whether there was no space for another segment when the last one was to be made ahead: what is left of the one that
    /// is open is all that the log has.
    #[must_use]
    pub fn is_short_of_space(&self) -> bool {
        self.spare.has_no_space()
    }

    /// How full the fullest lane is, in thousandths: whoever steps at intervals steps earlier when this is high.
    #[must_use]
    pub fn fullest_lane(&self) -> u16 {
        self.lanes.iter().map(|lane| lane.fill()).max().unwrap_or(0)
    }

    /// Writes on the disk that the last group is durable, if that is not there yet: for when nothing more comes. Damage up to
    /// a mark is told from a torn end.
    ///
    /// # Errors
    /// As of [`Writer::step`].
    pub fn mark(&mut self) -> Result<(), StepError> {
        if self.failed {
            return Err(StepError::HasFailed);
        }
        if !self.unmarked || self.kept {
            return Ok(());
        }
        if self.positions.broken() {
            return self.step().map(drop);
        }
        // A mark is worth no new segment.
        if self.segment.as_ref().is_none_or(|open| open.end + BLOCK as u64 > open.bytes) {
            return Ok(());
        }
        self.write()?;
        self.unmarked = false;
        Ok(())
    }

    /// Writes the group in memory, syncs it and says that it is durable.
    fn write(&mut self) -> Result<(), StepError> {
        let rotated = self.open_segment()?;
        let open = self.segment.as_mut().expect("opened above");
        let head = GroupHead {
            salt: open.salt,
            number: self.next_group,
            durable: self.next_group - 1,
            watermark: self.watermark,
            top: self.group_top,
        };
        let records = self.group.len();
        group::seal(&mut self.group, &head);
        if let Err(error) = open.file.write_at(open.end, &self.group) {
            self.group.truncate(records);
            return Err(self.failure(error));
        }
        if self.sync && stands(Guard::SyncGroup) {
            let synced = match open.file.sync() {
                Err(_) if !stands(Guard::FailedSyncIsFinal) => open.file.sync(),
                synced => synced,
            };
            if let Err(error) = synced {
                // Final whatever it says: the kernel has marked the pages clean.
                self.failed = true;
                return Err(StepError::Failed(error));
            }
        }
        open.end += self.group.len() as u64;
        self.kept = false;
        self.next_group += 1;
        group::begin(&mut self.group);
        self.group_records = 0;
        self.group_is_small = true;
        self.unit_passed = false;
        self.top = self.group_top;
        self.positions.set_durable(self.watermark);
        self.rotation.finish(rotated);
        Ok(())
    }

    /// Opens the next segment if the group does not fit into the one that is open, or one was asked for; the number of
    /// the last such request where it did, else 0.
    fn open_segment(&mut self) -> Result<u64, StepError> {
        let (size, asked) = (group::size(self.group.len() - group::HEAD) as u64, self.rotation.asked());
        let fits = |open: &Open<_>| open.end + size <= open.bytes;
        if !self.is_to_rotate() && self.segment.as_ref().is_some_and(fits) {
            return Ok(0);
        }
        let short = (BLOCK as u64 + size).max(segment::SHORT_BYTES).min(self.segment_bytes);
        let ahead = self.spare.is_ready();
        let head = SegmentHead {
            version: VERSION,
            salt: (self.salts)(),
            number: self.next_segment,
            life: self.life,
            lanes: self.lanes_of_life,
            first_group: self.next_group,
            floor: self.top,
            synced: self.sync,
            bytes: if ahead { self.segment_bytes } else { short },
            thinned: false,
            begins: self.begins,
        };
        // Damage in a segment that is followed by another is no torn end.
        if let Some(former) = self.segment.take().filter(|_| !self.sync)
            && let Err(error) = former.file.sync()
        {
            self.failed = true;
            return Err(StepError::Failed(error));
        }
        // A number is tried once: what a failed attempt left behind has it.
        self.next_segment += 1;
        let spare = ahead.then_some(&self.spare);
        let file = segment::make(&self.disk, &head, spare).map_err(|error| self.failure(error))?;
        self.begins = None;
        self.segment = Some(Open { file, salt: head.salt, end: BLOCK as u64, bytes: head.bytes });
        Ok(asked)
    }

    /// Whether the log can go on: a full disk heals, and the group is kept.
    fn failure(&mut self, error: io::Error) -> StepError {
        if error.kind() == io::ErrorKind::StorageFull || error.kind() == io::ErrorKind::QuotaExceeded {
            // A mark, too: it may be on the disk, and then nothing else may have its number.
            self.kept = stands(Guard::KeepGroupWhenFull);
            if !self.kept {
                group::begin(&mut self.group);
            }
            return StepError::Full;
        }
        self.failed = true;
        StepError::Failed(error)
    }
}
