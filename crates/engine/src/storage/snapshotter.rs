//! Writing snapshots of an engine that goes on.

use std::sync::Arc;

use upbeat_journal::disk::Disk;
use upbeat_journal::snapshot::{Check, SnapshotError, SnapshotWriter, Snapshots};

use super::copying::Copying;
use crate::Engine;

/// Blocks that are read back between two looks at the pace.
const CHECKED_AT_ONCE: usize = 16;

/// What a customer takes on the disk beside the plays, in bytes, for the estimate of the space.
const CUSTOMER_BYTES: u64 = 64;
const PLAY_BYTES: u64 = 12;
const TOMBSTONE_BYTES: u64 = 40;

/// A snapshot that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The log is needed from this position on.
    pub from: u64,
    /// The position at its end.
    pub reached: u64,
    /// The size of its file, in bytes.
    pub bytes: u64,
    /// The customers in it.
    pub customers: u64,
}

/// Writes the snapshots of an engine's directory.
pub struct Snapshotter<D: Disk> {
    disk: Arc<D>,
    snapshots: Snapshots<D>,
    random: Box<dyn FnMut() -> u64 + Send>,
    /// What the log may need while a snapshot is written, in bytes.
    log_bytes: u64,
    last: Option<Written>,
}

impl<D: Disk> Snapshotter<D> {
    pub(super) fn new(
        disk: Arc<D>,
        snapshots: Snapshots<D>,
        random: Box<dyn FnMut() -> u64 + Send>,
        log_bytes: u64,
    ) -> Self {
        Self { disk, snapshots, random, log_bytes, last: None }
    }

    /// Writes a snapshot and gives it its name once the log is durable past everything in it; `None` if it was given up.
    ///
    /// `pace` is called with the bytes written or read back so far, between two locks of customers, and waits as long
    /// as it likes; where it answers no, the snapshot is given up. While the log is not durable so far, it is called again and
    /// again, so it should wait. A thread of low priority may call this: it locks a shard for some 20 µs at a time.
    ///
    /// # Errors
    /// There is no space, or the disk failed. The former snapshots are kept.
    pub fn write(
        &mut self,
        engine: &Engine,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<Written>, SnapshotError> {
        let mut copying = loop {
            if let Some(copying) = Copying::begin(engine) {
                break copying;
            }
            if engine.log.get().is_none() || !pace(0) {
                return Ok(None);
            }
        };
        let needed = self.estimated_bytes(engine) + self.log_bytes;
        let salt = (self.random)();
        let mut writer = SnapshotWriter::create(Arc::clone(&self.disk), copying.from(), salt, needed)?;
        while let Some(block) = copying.block(engine) {
            writer.block(&block)?;
            if !pace(writer.written()) {
                return Ok(None);
            }
        }
        let mut bytes = writer.written();
        let mut checking = writer.finish(Copying::reached(engine))?;
        let mut checked = loop {
            match checking.step(CHECKED_AT_ONCE)? {
                Check::Done(checked) => break checked,
                Check::More(more) => checking = more,
            }
            bytes += (CHECKED_AT_ONCE as u64) << 17;
            if !pace(bytes) {
                return Ok(None);
            }
        };
        let written = Written {
            from: checked.from(),
            reached: checked.reached(),
            bytes: checked.bytes(),
            customers: copying.customers,
        };
        while let Some(early) = self.snapshots.publish(checked, engine.durable())? {
            if !pace(bytes) {
                return Ok(None);
            }
            checked = early;
        }
        self.last = Some(written);
        Ok(Some(written))
    }

    /// About how large a snapshot of the engine is now, in bytes.
    #[must_use]
    pub fn estimated_bytes(&self, engine: &Engine) -> u64 {
        let (plays, customers) = (engine.counters().plays_kept() as u64, engine.customer_count() as u64);
        let tombstones = engine.tombstone_count() as u64;
        plays * PLAY_BYTES + customers * CUSTOMER_BYTES + tombstones * TOMBSTONE_BYTES
    }

    /// The last snapshot that this process has written.
    #[must_use]
    pub fn last(&self) -> Option<Written> {
        self.last
    }

    /// The log is needed from this position on, `None` if all of it is: what was before is history.
    #[must_use]
    pub fn log_needed_from(&self) -> Option<u64> {
        self.snapshots.log_needed_from()
    }
}
