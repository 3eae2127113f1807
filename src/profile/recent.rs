//! The most recent entries by (time, event id), each once.

use super::Applied;
use super::passed::Passed;
use crate::event::{Id, Time};

/// An entry that is the same as another when time and event id agree.
pub trait RecentEntry {
    /// What entries are ordered and recognised by.
    fn key(&self) -> (Time, &Id);

    /// Bytes on the heap beside the value itself.
    fn heap_bytes(&self) -> usize;
}

/// At most so many entries, the most recent by (time, event id), ascending.
///
/// What is kept depends on the set of entries told, not on their order. Of entries that passed out the last 256 are
/// recognised when they are told again.
#[derive(Debug, Clone)]
pub struct Recent<T> {
    kept: Vec<T>,
    /// What the entries have on the heap beside themselves, kept count of because adding it up takes long.
    entry_bytes: usize,
    passed: Passed,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), entry_bytes: 0, passed: Passed::default() }
    }
}

/// Equal when the same entries are kept.
impl<T: PartialEq> PartialEq for Recent<T> {
    fn eq(&self, other: &Self) -> bool {
        self.kept == other.kept
    }
}

impl<T: Eq> Eq for Recent<T> {}

impl<T: RecentEntry> Recent<T> {
    /// A list of entries that ascend by (time, event id), and what has passed out of it.
    pub(super) fn from_parts(kept: Vec<T>, passed: Passed) -> Self {
        let entry_bytes = kept.iter().map(RecentEntry::heap_bytes).sum();
        Self { kept, entry_bytes, passed }
    }

    /// Adds an entry where it belongs, and lets the oldest pass out when there are more than `limit`.
    pub fn insert(&mut self, entry: T, limit: usize) -> Applied {
        let position = match self.position(entry.key()) {
            Ok(_) => return Applied::Duplicate,
            Err(position) => position,
        };
        if position == 0 && self.kept.len() >= limit {
            let (time, event_id) = entry.key();
            if self.passed.knows(time, event_id.as_ref()) {
                return Applied::Duplicate;
            }
            self.passed.remember_late(time, event_id.as_ref());
            return Applied::Accepted;
        }
        self.entry_bytes += entry.heap_bytes();
        if self.kept.len() >= limit {
            self.entry_bytes -= self.kept[0].heap_bytes();
            let (time, event_id) = self.kept[0].key();
            self.passed.remember(time, event_id.as_ref());
            // One shift rather than a removal and an insertion.
            self.kept[..position].rotate_left(1);
            self.kept[position - 1] = entry;
        } else {
            if self.kept.len() == self.kept.capacity() {
                // Most lists hold one entry or two; doubling from four would cost more than they do.
                self.kept.reserve_exact((self.kept.len() / 2).max(1));
            }
            self.kept.insert(position, entry);
        }
        Applied::Accepted
    }

    /// The entry told under this time and id, if it is kept.
    #[must_use]
    pub fn get(&self, time: Time, event_id: &Id) -> Option<&T> {
        let position = self.position((time, event_id)).ok()?;
        Some(&self.kept[position])
    }

    fn position(&self, key: (Time, &Id)) -> Result<usize, usize> {
        if self.kept.last().is_none_or(|last| last.key() < key) {
            return Err(self.kept.len());
        }
        self.kept.binary_search_by(|entry| entry.key().cmp(&key))
    }

    /// Whether inserting an entry of this key takes memory.
    pub(super) fn grows_by(&self, time: Time, event_id: &Id, limit: usize) -> bool {
        (self.kept.len() < limit || self.passed.grows()) && self.get(time, event_id).is_none()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.entry_bytes + self.kept.capacity() * size_of::<T>() + self.passed.heap_bytes()
    }
}

impl<T> Recent<T> {
    /// The entries kept, oldest first.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.kept
    }

    /// The entries kept; their keys must stay as they are.
    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.kept.iter_mut()
    }
}
