//! Writing a snapshot: blocks, the closing block, reading it back, its name.

use std::sync::Arc;

use super::{
    DATA, HEAD, LAST, MOST_BLOCK_BYTES, Snapshot, SnapshotError, at, encode_block_head, encode_head,
    is_unfinished, name, unfinished_name,
};
use crate::disk::{Disk, File};
use crate::planted::{Guard, stands};

/// Bytes after which a snapshot is synced: the log's syncs never wait for more than these.
const SYNC_BYTES: u64 = 4 << 20;

/// A snapshot that is being written. Dropped, its file is removed.
pub struct SnapshotWriter<D: Disk> {
    file: Unfinished<D>,
    salt: u64,
    blocks: u64,
    end: u64,
    synced: u64,
    /// A block with its head, so that one call writes both.
    buffer: Vec<u8>,
}

/// A file under another name, which is removed unless it gets its own.
struct Unfinished<D: Disk> {
    disk: Arc<D>,
    file: D::File,
    name: String,
    from: u64,
    named: bool,
}

impl<D: Disk> Drop for Unfinished<D> {
    fn drop(&mut self) {
        if !self.named {
            // What cannot be removed now is removed before the next one begins.
            let _ = self.disk.remove(&self.name);
        }
    }
}

impl<D: Disk> SnapshotWriter<D> {
    /// Begins a snapshot to whose state records from position `from` on are to be applied. `salt` is random. It begins
    /// only if `needed` bytes are free: as large as the last one, and what the log needs meanwhile.
    ///
    /// # Errors
    /// There is no such space, or the disk failed.
    pub fn create(disk: Arc<D>, from: u64, salt: u64, needed: u64) -> Result<Self, SnapshotError> {
        let unfinished = unfinished_name(from);
        for left in at("the data directory", disk.names())?.iter().filter(|name| is_unfinished(name)) {
            at(left, disk.remove(left))?;
        }
        let free = at("the data directory", disk.free())?;
        if free < needed {
            return Err(SnapshotError::Space { needed, free });
        }
        let file = at(&unfinished, disk.create(&unfinished, 0))?;
        let file = Unfinished { disk, file, name: unfinished, from, named: false };
        at(&file.name, file.file.write_at(0, &encode_head(salt, from)))?;
        Ok(Self { file, salt, blocks: 0, end: HEAD as u64, synced: 0, buffer: Vec::new() })
    }

    /// Bytes written so far: whoever writes at a bounded rate sleeps as they grow.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.end
    }

    /// Writes a block of up to [`MOST_BLOCK_BYTES`]; 256 KiB is a good size.
    ///
    /// # Errors
    /// The disk failed or is full: the snapshot is of no use.
    ///
    /// # Panics
    /// The block is larger.
    pub fn block(&mut self, payload: &[u8]) -> Result<(), SnapshotError> {
        assert!(payload.len() <= MOST_BLOCK_BYTES, "the block is larger than a snapshot's blocks are");
        self.append(DATA, payload)?;
        self.blocks += 1;
        if self.end - self.synced >= SYNC_BYTES {
            at(&self.file.name, self.file.file.sync())?;
            self.synced = self.end;
        }
        Ok(())
    }

    fn append(&mut self, kind: u32, payload: &[u8]) -> Result<(), SnapshotError> {
        self.buffer.clear();
        self.buffer.extend_from_slice(&encode_block_head(self.salt, self.blocks, kind, payload));
        self.buffer.extend_from_slice(payload);
        at(&self.file.name, self.file.file.write_at(self.end, &self.buffer))?;
        self.end += self.buffer.len() as u64;
        Ok(())
    }

    /// Closes the snapshot: nothing in it is of a position at or above `reached`. What was written is to be checked.
    ///
    /// # Errors
    /// The disk failed or is full.
    pub fn finish(mut self, reached: u64) -> Result<Checking<D>, SnapshotError> {
        let words = [reached, self.blocks, self.end];
        let closing: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.append(LAST, &closing)?;
        at(&self.file.name, self.file.file.sync())?;
        // Where the file system allows, what is read now comes from the disk.
        self.file.file.drop_cache();
        let snapshot = Snapshot::open(&*self.file.disk, &self.file.name)?;
        Ok(Checking { file: self.file, snapshot, checked: 0, buffer: Vec::new() })
    }
}

/// A snapshot that is read back.
pub struct Checking<D: Disk> {
    file: Unfinished<D>,
    snapshot: Snapshot<D>,
    checked: usize,
    buffer: Vec<u8>,
}

/// What a step of checking came to.
pub enum Check<D: Disk> {
    /// There are more blocks.
    More(Checking<D>),
    /// All is on the disk as it was written.
    Done(Checked<D>),
}

impl<D: Disk> Checking<D> {
    /// Reads and checks up to `blocks` more blocks.
    ///
    /// # Errors
    /// What is read is not what was written, or the disk failed.
    pub fn step(mut self, blocks: usize) -> Result<Check<D>, SnapshotError> {
        let end = self.snapshot.blocks().min(self.checked + blocks);
        for block in self.checked..end {
            self.snapshot.block(block, &mut self.buffer)?;
        }
        self.checked = end;
        if self.checked < self.snapshot.blocks() {
            return Ok(Check::More(self));
        }
        Ok(Check::Done(Checked {
            file: self.file,
            reached: self.snapshot.reached(),
            bytes: self.snapshot.bytes(),
        }))
    }
}

/// A snapshot that is on the disk and waits for the log.
pub struct Checked<D: Disk> {
    file: Unfinished<D>,
    reached: u64,
    bytes: u64,
}

impl<D: Disk> Checked<D> {
    /// The log must be durable up to here before the snapshot may be used.
    #[must_use]
    pub fn reached(&self) -> u64 {
        self.reached
    }

    /// Its position S.
    #[must_use]
    pub fn from(&self) -> u64 {
        self.file.from
    }

    /// Its size.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives the file its name if the log is `durable` that far.
    pub(super) fn publish(mut self, durable: u64) -> Result<Result<(), Self>, SnapshotError> {
        if durable < self.reached && stands(Guard::SnapshotAfterLog) {
            return Ok(Err(self));
        }
        let name = name(self.file.from);
        at(&name, self.file.disk.rename(&self.file.name, &name))?;
        self.file.named = true;
        at(&name, self.file.disk.sync_names())?;
        Ok(Ok(()))
    }
}
