//! A segment made ahead by another thread than the journal's: filled with zeros, so that a write within it changes nothing
//! but data, and a sync has no list of blocks to write. While there is one, a full disk is known a whole segment before
//! the log needs space.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, File};

/// The name of a segment that is ready.
pub(crate) const NAME: &str = "spare";

/// Its name until it is.
pub(crate) const UNFINISHED: &str = "spare.tmp";

#[derive(Debug)]
enum Slot<F> {
    Empty,
    Ready(F),
    /// There was no space for one.
    NoSpace,
}

/// Where the segment that was made ahead waits for the journal's thread.
#[derive(Debug)]
pub(crate) struct Spare<F>(Arc<Mutex<Slot<F>>>);

/// Removes what a former process made ahead. Mostly there is none; one that stays is replaced by the next.
pub(crate) fn remove<D: Disk>(disk: &D) {
    let _ = disk.remove(UNFINISHED);
    let _ = disk.remove(NAME);
}

impl<F> Clone for Spare<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F> Spare<F> {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Slot::Empty)))
    }

    fn slot(&self) -> MutexGuard<'_, Slot<F>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody makes segments ahead.
    pub fn has_maker(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    pub fn is_ready(&self) -> bool {
        matches!(*self.slot(), Slot::Ready(_))
    }

    pub fn has_no_space(&self) -> bool {
        matches!(*self.slot(), Slot::NoSpace)
    }

    /// Takes the segment and gives it its name, if there is one.
    pub fn take<D: Disk<File = F>>(&self, disk: &D, name: &str) -> Option<io::Result<F>> {
        // Locked until it has its name: the next one will have the name that it has now.
        let mut slot = self.slot();
        match std::mem::replace(&mut *slot, Slot::Empty) {
            Slot::Ready(file) => Some(disk.rename(NAME, name).map(|()| file)),
            other => {
                *slot = other;
                None
            }
        }
    }
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Making {
    /// A segment waits: there is nothing to do.
    Ready,
    /// There is more to write.
    More,
    /// There is no space for a whole segment.
    NoSpace,
}

/// Makes segments ahead, one at a time.
pub struct SpareMaker<D: Disk> {
    disk: D,
    bytes: u64,
    spare: Spare<D::File>,
    /// The file and how far it is filled.
    making: Option<(D::File, u64)>,
    zeros: Vec<u8>,
}

impl<D: Disk> SpareMaker<D> {
    pub(crate) fn new(disk: D, bytes: u64, spare: Spare<D::File>) -> Self {
        Self { disk, bytes, spare, making: None, zeros: Vec::new() }
    }

    /// Writes up to `bytes` bytes of the next segment; after the last the segment is synced. Whoever calls paces: a sync of
    /// the log waits for what is being written.
    ///
    /// # Errors
    /// The disk failed. The log can go on without, and the next step begins again.
    pub fn step(&mut self, bytes: usize) -> io::Result<Making> {
        if matches!(*self.spare.slot(), Slot::Ready(_)) {
            return Ok(Making::Ready);
        }
        let step = self.fill(bytes);
        if step.is_err() && self.making.take().is_some() {
            let _ = self.disk.remove(UNFINISHED);
        }
        match step {
            Err(error)
                if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                *self.spare.slot() = Slot::NoSpace;
                Ok(Making::NoSpace)
            }
            step => step,
        }
    }

    fn fill(&mut self, bytes: usize) -> io::Result<Making> {
        let (file, filled) = match &mut self.making {
            Some(making) => making,
            None => {
                // What an earlier step or process left.
                let _ = self.disk.remove(UNFINISHED);
                self.making.insert((self.disk.create(UNFINISHED, self.bytes)?, 0))
            }
        };
        let bytes = (self.bytes - *filled).min(bytes as u64);
        self.zeros.resize(bytes as usize, 0);
        file.write_at(*filled, &self.zeros)?;
        *filled += bytes;
        if *filled < self.bytes {
            return Ok(Making::More);
        }
        file.sync()?;
        let mut slot = self.spare.slot();
        self.disk.rename(UNFINISHED, NAME)?;
        if let Some((file, _)) = self.making.take() {
            *slot = Slot::Ready(file);
        }
        Ok(Making::Ready)
    }
}
