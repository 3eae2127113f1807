//! Finding and reading snapshots.

use std::sync::Arc;

use super::{
    BLOCK_HEAD, BLOCK_MAGIC, Checked, DATA, HEAD, LAST, LAST_BYTES, MAGIC, MOST_BLOCK_BYTES, SnapshotError,
    VERSION, at, encode_block_head, half, name, position, word,
};
use crate::Start;
use crate::disk::{Disk, File};

/// A snapshot whose blocks can be read, in any order and by several threads.
pub struct Snapshot<D: Disk> {
    name: String,
    file: D::File,
    salt: u64,
    from: u64,
    reached: u64,
    bytes: u64,
    /// Where each block begins.
    offsets: Vec<u64>,
}

impl<D: Disk> Snapshot<D> {
    /// Opens a snapshot: the heads of its blocks and its end are checked now, the blocks as they are read.
    pub(crate) fn open(disk: &D, name: &str) -> Result<Self, SnapshotError> {
        let file = at(name, disk.open(name))?;
        let bytes = at(name, file.size())?;
        let damaged = |offset, problem| SnapshotError::Damaged { file: name.to_owned(), offset, problem };
        let mut head = [0; HEAD];
        let read = at(name, file.read_at(0, &mut head))?;
        if read < HEAD || word(&head, 0) != MAGIC {
            return Err(damaged(0, "this is no snapshot"));
        }
        if half(&head, 8) != crc32c::crc32c(&head[12..]) {
            return Err(damaged(0, "its head is damaged"));
        }
        let version = half(&head, 12);
        if version > VERSION {
            return Err(SnapshotError::Newer { file: name.to_owned(), version });
        }
        let mut snapshot = Self {
            name: name.to_owned(),
            file,
            salt: word(&head, 16),
            from: word(&head, 24),
            reached: 0,
            bytes,
            offsets: Vec::new(),
        };
        let mut offset = HEAD as u64;
        loop {
            let (kind, length) = snapshot.block_head(offset)?;
            if kind == LAST {
                break;
            }
            snapshot.offsets.push(offset);
            offset += (BLOCK_HEAD + length) as u64;
        }
        let mut closing = Vec::new();
        snapshot.read_block(offset, LAST, snapshot.offsets.len() as u64, &mut closing)?;
        let expected = [snapshot.offsets.len() as u64, offset];
        if closing.len() != LAST_BYTES || [word(&closing, 8), word(&closing, 16)] != expected {
            return Err(damaged(offset, "its last block does not fit the others"));
        }
        if offset + (BLOCK_HEAD + LAST_BYTES) as u64 != bytes {
            return Err(damaged(offset, "something follows its last block"));
        }
        snapshot.reached = word(&closing, 0);
        Ok(snapshot)
    }

    /// Records from this position on are to be applied to its state.
    #[must_use]
    pub fn from(&self) -> u64 {
        self.from
    }

    /// Nothing in it is of a position at or above this one.
    #[must_use]
    pub fn reached(&self) -> u64 {
        self.reached
    }

    /// From where the log is read that goes on from it.
    #[must_use]
    pub fn start(&self) -> Start {
        Start { from: self.from(), reached: self.reached() }
    }

    /// The number of its blocks.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.offsets.len()
    }

    /// Its size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The name of its file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads a block into `buffer` and checks it; blocks are numbered from 0.
    ///
    /// # Errors
    /// It is damaged, or the disk failed.
    ///
    /// # Panics
    /// There is no such block.
    pub fn block(&self, number: usize, buffer: &mut Vec<u8>) -> Result<(), SnapshotError> {
        self.read_block(self.offsets[number], DATA, number as u64, buffer)
    }

    /// Reads and checks all blocks.
    ///
    /// # Errors
    /// One is damaged, or the disk failed.
    pub fn check(&self) -> Result<(), SnapshotError> {
        let mut buffer = Vec::new();
        (0..self.blocks()).try_for_each(|number| self.block(number, &mut buffer))
    }

    fn damaged(&self, offset: u64, problem: &'static str) -> SnapshotError {
        SnapshotError::Damaged { file: self.name.clone(), offset, problem }
    }

    /// What the head at `offset` says of its block: kind and length.
    fn block_head(&self, offset: u64) -> Result<(u32, usize), SnapshotError> {
        let mut head = [0; BLOCK_HEAD];
        let read = at(&self.name, self.file.read_at(offset, &mut head))?;
        let length = half(&head, 28) as usize;
        let ours = read == BLOCK_HEAD
            && half(&head, 0) == BLOCK_MAGIC
            && word(&head, 8) == self.salt
            && half(&head, 24) <= LAST
            && length <= MOST_BLOCK_BYTES;
        ours.then_some((half(&head, 24), length)).ok_or_else(|| self.damaged(offset, "no block begins here"))
    }

    fn read_block(
        &self,
        offset: u64,
        kind: u32,
        number: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<(), SnapshotError> {
        let (_, length) = self.block_head(offset)?;
        buffer.resize(BLOCK_HEAD + length, 0);
        let read = at(&self.name, self.file.read_at(offset, buffer))?;
        if read < buffer.len() {
            return Err(self.damaged(offset, "the file ends within the block"));
        }
        let (head, payload) = buffer.split_at(BLOCK_HEAD);
        if head != encode_block_head(self.salt, number, kind, payload) {
            return Err(self.damaged(offset, "the block is damaged"));
        }
        buffer.drain(..BLOCK_HEAD);
        Ok(())
    }
}

/// The snapshots of a directory.
pub struct Snapshots<D: Disk> {
    disk: Arc<D>,
    /// The positions of those that are kept, newest first.
    kept: Vec<u64>,
}

/// What was found.
pub struct Found<D: Disk> {
    /// For whoever writes the next ones.
    pub snapshots: Snapshots<D>,
    /// The newest sound one: all its blocks were read and checked.
    pub newest: Option<Snapshot<D>>,
    /// Why newer ones cannot be used, newest first. They stay until the next one is finished.
    pub damaged: Vec<SnapshotError>,
}

/// Looks for the newest sound snapshot. Changes nothing.
///
/// # Errors
/// A newer program wrote one, or the disk failed.
pub fn find<D: Disk>(disk: Arc<D>) -> Result<Found<D>, SnapshotError> {
    let mut kept = positions(&*disk)?;
    let (mut newest, mut damaged) = (None, Vec::new());
    while let Some(first) = kept.first() {
        let name = name(*first);
        let sound = Snapshot::open(&*disk, &name).and_then(|snapshot| {
            snapshot.check()?;
            // A copy under another name would begin at the wrong record.
            (snapshot.from == *first)
                .then_some(())
                .ok_or_else(|| snapshot.damaged(0, "it has the name of another"))?;
            Ok(snapshot)
        });
        match sound {
            Ok(snapshot) => {
                newest = Some(snapshot);
                break;
            }
            Err(error @ SnapshotError::Damaged { .. }) => damaged.push(error),
            Err(error) => return Err(error),
        }
        kept.remove(0);
    }
    Ok(Found { snapshots: Snapshots { disk, kept }, newest, damaged })
}

/// The positions of all snapshots that have their name, newest first.
fn positions<D: Disk>(disk: &D) -> Result<Vec<u64>, SnapshotError> {
    let names = at("the data directory", disk.names())?;
    let mut positions: Vec<u64> = names.iter().filter_map(|name| position(name)).collect();
    positions.sort_unstable_by(|a, b| b.cmp(a));
    Ok(positions)
}

impl<D: Disk> Snapshots<D> {
    /// The log is needed from this position on: that of the older of the two that are kept. `None` if all of it is needed.
    #[must_use]
    pub fn log_needed_from(&self) -> Option<u64> {
        self.kept.get(1).copied()
    }

    /// Gives a snapshot its name if the log is `durable` past everything in it, and removes all but the newest two.
    /// Else it is handed back, to be tried again.
    ///
    /// # Errors
    /// The disk failed. The former ones are kept.
    pub fn publish(
        &mut self,
        snapshot: Checked<D>,
        durable: u64,
    ) -> Result<Option<Checked<D>>, SnapshotError> {
        let from = snapshot.from();
        if let Err(early) = snapshot.publish(durable)? {
            return Ok(Some(early));
        }
        self.kept.retain(|kept| *kept != from);
        self.kept.insert(0, from);
        self.kept.truncate(2);
        for old in positions(&*self.disk)?.iter().filter(|position| !self.kept.contains(position)) {
            at(&name(*old), self.disk.remove(&name(*old)))?;
        }
        Ok(None)
    }
}
