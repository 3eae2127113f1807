//! The most recent entries by (time, event id), each once.

use super::Applied;
use super::dropped::Dropped;
use crate::event::{Id, Time};

/// An entry of a [`Recent`] list; two entries are the same when time and event id agree.
pub trait RecentEntry {
    /// The time and event id by which entries are ordered and recognised.
    fn key(&self) -> (Time, &Id);

    /// Whether this is the smaller of two copies of one entry that differ in what else they say.
    fn precedes(&self, other: &Self) -> bool;

    /// Bytes on the heap, without the value itself.
    fn heap_bytes(&self) -> usize;
}

/// Deduplicates `entries`, which ascend by their keys: moves the smallest of each run of entries with equal keys to the
/// front and returns how many there are. `precedes` says whether the first of two is the smaller. What follows them is
/// unspecified.
pub fn keep_distinct<T: Copy, K: PartialEq>(
    entries: &mut [T],
    key: impl Fn(&T) -> K,
    precedes: impl Fn(&T, &T) -> bool,
) -> usize {
    let Some(last) = entries.len().checked_sub(1) else { return 0 };
    let Some(mut kept) = (0..last).find(|&at| key(&entries[at]) == key(&entries[at + 1])) else {
        return entries.len();
    };
    for at in kept + 1..entries.len() {
        if key(&entries[at]) != key(&entries[kept]) {
            kept += 1;
            entries[kept] = entries[at];
        } else if precedes(&entries[at], &entries[kept]) {
            entries[kept] = entries[at];
        }
    }
    kept + 1
}

/// At most so many entries, the most recent by (time, event id), ascending.
///
/// What is kept depends on the set of entries inserted, not on their order: of several copies of one entry the smallest
/// is kept. The last 256 entries that were dropped are recognised as duplicates when they are inserted again.
#[derive(Debug, Clone)]
pub struct Recent<T> {
    kept: Vec<T>,
    /// The sum of the entries' own [`RecentEntry::heap_bytes`], kept up to date because adding it up takes long.
    entry_bytes: usize,
    dropped: Dropped,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), entry_bytes: 0, dropped: Dropped::default() }
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
    /// A list of entries that ascend by (time, event id), and what it has dropped so far.
    pub(super) fn from_parts(kept: Vec<T>, dropped: Dropped) -> Self {
        let entry_bytes = kept.iter().map(RecentEntry::heap_bytes).sum();
        Self { kept, entry_bytes, dropped }
    }

    /// The entries kept, oldest first.
    pub(super) fn into_kept(self) -> Vec<T> {
        self.kept
    }

    /// What it has dropped so far.
    pub(super) fn dropped(&self) -> &Dropped {
        &self.dropped
    }

    /// Inserts an entry in order, and drops the oldest when there are more than `limit`.
    ///
    /// An entry older than all of a full list is not kept: it is accepted where its fingerprint can be recorded, and too
    /// old otherwise.
    pub fn insert(&mut self, entry: T, limit: usize) -> Applied {
        let position = match self.position(entry.key()) {
            Ok(position) if entry.precedes(&self.kept[position]) => {
                self.entry_bytes += entry.heap_bytes();
                self.entry_bytes -= self.kept[position].heap_bytes();
                self.kept[position] = entry;
                return Applied::Replaced;
            }
            Ok(_) => return Applied::Duplicate,
            Err(position) => position,
        };
        if position == 0 && self.kept.len() >= limit {
            let (time, event_id) = entry.key();
            return self.dropped.record_late(time, event_id.as_ref());
        }
        self.entry_bytes += entry.heap_bytes();
        if self.kept.len() >= limit {
            self.entry_bytes -= self.kept[0].heap_bytes();
            let (time, event_id) = self.kept[0].key();
            self.dropped.record(time, event_id.as_ref());
            // One shift instead of a removal and an insertion.
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

    /// The entry of this time and id, if it is kept.
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
    pub(super) fn would_grow(&self, time: Time, event_id: &Id, limit: usize) -> bool {
        (self.kept.len() < limit || self.dropped.grows()) && self.get(time, event_id).is_none()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.entry_bytes + self.kept.capacity() * size_of::<T>() + self.dropped.heap_bytes()
    }
}

impl<T> Recent<T> {
    /// The entries kept, oldest first.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::keep_distinct;

    #[test]
    fn smallest_entry_of_each_key_is_kept_in_order() {
        for (entries, expected) in [
            (vec![], vec![]),
            (vec![(1, 'a')], vec![(1, 'a')]),
            (vec![(1, 'b'), (2, 'a')], vec![(1, 'b'), (2, 'a')]),
            (
                vec![(1, 'b'), (1, 'a'), (1, 'c'), (2, 'd'), (3, 'f'), (3, 'e')],
                vec![(1, 'a'), (2, 'd'), (3, 'e')],
            ),
        ] {
            let mut kept = entries.clone();
            let count = keep_distinct(&mut kept, |entry: &(u8, char)| entry.0, |one, other| one.1 < other.1);
            assert_eq!(kept[..count], expected, "{entries:?}");
        }
    }
}
