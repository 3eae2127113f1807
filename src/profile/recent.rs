//! The most recent entries by (time, event id), each once.

use std::hash::BuildHasher;

use super::Applied;
use crate::event::{Id, Time};

/// How many entries that have passed out of a full list are still recognised when they are told again.
const PASSED_LIMIT: usize = 4096;

/// An entry that is the same as another when time and event id agree.
pub trait RecentEntry {
    /// What entries are ordered and recognised by.
    fn key(&self) -> (Time, &Id);
}

/// At most so many entries, the most recent by (time, event id), ascending.
///
/// What is kept depends on the set of entries told, not on their order. Entries that passed out are remembered
/// as 32-bit fingerprints (the last 4,096 of them), only so that a repeat is counted as one.
#[derive(Debug, Clone)]
pub struct Recent<T> {
    kept: Vec<T>,
    passed: Vec<u32>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), passed: Vec::new() }
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
    /// Adds an entry where it belongs, and lets the oldest pass out when there are more than `limit`.
    pub fn insert(&mut self, entry: T, limit: usize) -> Applied {
        let position = match self.position(entry.key()) {
            Ok(_) => return Applied::Duplicate,
            Err(position) => position,
        };
        if position == 0 && self.kept.len() >= limit {
            let fingerprint = fingerprint(entry.key());
            if self.passed.contains(&fingerprint) {
                return Applied::Duplicate;
            }
            self.remember(fingerprint);
            return Applied::Accepted;
        }
        if self.kept.len() >= limit {
            self.remember(fingerprint(self.kept[0].key()));
            // One shift rather than a removal and an insertion.
            self.kept[..position].rotate_left(1);
            self.kept[position - 1] = entry;
        } else {
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

    fn remember(&mut self, fingerprint: u32) {
        if self.passed.len() >= PASSED_LIMIT {
            self.passed.drain(..PASSED_LIMIT / 2);
        }
        self.passed.push(fingerprint);
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

fn fingerprint(key: (Time, &Id)) -> u32 {
    let hash = foldhash::quality::FixedState::default().hash_one((key.0.unix_ms, key.1));
    (hash >> 32) as u32
}
