//! Asking the journal's thread to go on in a new file, so that what is durable by now lies in files that can become history.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[derive(Debug, Default)]
struct Shared {
    asked: AtomicU64,
    done: AtomicU64,
    /// A position is to be taken.
    position: AtomicBool,
}

/// For whoever wants the log to go on in a new file, or at a later position. Clones are of the same log.
#[derive(Debug, Clone, Default)]
pub struct Rotation(Arc<Shared>);

impl Rotation {
    /// Asks for a new file; [`Rotation::is_done`] says of the number that is returned whether there is one. The journal's
    /// thread makes it at its next step, where there is space: with a file made ahead, or where nobody makes them ahead.
    #[must_use]
    pub fn ask(&self) -> u64 {
        self.0.asked.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Whether the log goes on in a file that was made after this number was given: every position that was durable before
    /// is in files before it.
    #[must_use]
    pub fn is_done(&self, number: u64) -> bool {
        self.0.done.load(Ordering::Acquire) >= number
    }

    /// Has the journal's thread take a position at its next step, by a record that says nothing: where nothing else comes, two
    /// snapshots would begin at the same position, and be one.
    pub fn take_position(&self) {
        self.0.position.store(true, Ordering::Release);
    }

    /// Whether a position is to be taken.
    pub(crate) fn wants_position(&self) -> bool {
        self.0.position.load(Ordering::Relaxed)
    }

    /// Whether a position is to be taken now.
    pub(crate) fn takes_position(&self) -> bool {
        self.wants_position() && self.0.position.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn asked(&self) -> u64 {
        self.0.asked.load(Ordering::Acquire)
    }

    pub(crate) fn is_due(&self) -> bool {
        !self.is_done(self.asked())
    }

    pub(crate) fn finish(&self, number: u64) {
        self.0.done.fetch_max(number, Ordering::AcqRel);
    }
}
