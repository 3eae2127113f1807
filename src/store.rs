//! The profile store: a concurrent map whose guards never leave this file.

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::event::Id;

/// A bounded concurrent map by id.
///
/// Values are reached through closures, so no lock outlives a call. A closure must not call the store again.
pub struct Store<V> {
    map: DashMap<Id, V, foldhash::fast::RandomState>,
    /// Kept beside the map because its own `len` locks every shard.
    len: AtomicUsize,
    limit: usize,
}

/// Why an update did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpdateError<E> {
    /// The id is new and the store holds as many as it may.
    Full,
    /// The update itself refused.
    Refused(E),
}

/// What becomes of a value that [`Store::sweep`] has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// It stays.
    Keep,
    /// It is removed.
    Remove,
}

/// A full part holds about so many ids. Parts are locked one at a time, and grow by moving all they hold: at this size
/// that takes less than a tenth of a millisecond.
const IDS_PER_PART: usize = 2048;
const FEWEST_PARTS: usize = 64;
const MOST_PARTS: usize = 1 << 14;

impl<V: Default> Store<V> {
    /// An empty store with room for `expected` ids from the start, and for `limit` at most.
    #[must_use]
    pub fn new(expected: usize, limit: usize) -> Self {
        let parts = (limit / IDS_PER_PART).clamp(FEWEST_PARTS, MOST_PARTS).next_power_of_two();
        Self {
            map: DashMap::with_capacity_and_hasher_and_shard_amount(
                expected.min(limit),
                foldhash::fast::RandomState::default(),
                parts,
            ),
            len: AtomicUsize::new(0),
            limit,
        }
    }

    /// How many ids are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a new id would be refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    /// How many ids it may hold.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Reads one value.
    pub fn with<R>(&self, id: &Id, read: impl FnOnce(&V) -> R) -> Option<R> {
        self.map.get(id).map(|value| read(&value))
    }

    /// Changes one value that is there.
    pub fn with_mut<R>(&self, id: &Id, change: impl FnOnce(&mut V) -> R) -> Option<R> {
        self.map.get_mut(id).map(|mut value| change(&mut value))
    }

    /// Changes one value, beginning with the default one if the id is new; a refused change leaves nothing behind.
    ///
    /// # Errors
    /// The store is full and the id new, or `change` refused.
    pub fn update<R, E>(
        &self,
        id: Id,
        change: impl FnOnce(&mut V) -> Result<R, E>,
    ) -> Result<R, UpdateError<E>> {
        match self.map.entry(id) {
            Entry::Occupied(mut entry) => change(entry.get_mut()).map_err(UpdateError::Refused),
            Entry::Vacant(entry) => {
                if self.is_full() {
                    return Err(UpdateError::Full);
                }
                let mut value = V::default();
                let result = change(&mut value).map_err(UpdateError::Refused)?;
                self.len.fetch_add(1, Ordering::Relaxed);
                entry.insert(value);
                Ok(result)
            }
        }
    }

    /// Forgets one id and gives back what was held.
    pub fn remove(&self, id: &Id) -> Option<V> {
        let (_, value) = self.map.remove(id)?;
        self.len.fetch_sub(1, Ordering::Relaxed);
        Some(value)
    }
}

impl<V> Store<V> {
    /// How many parts [`Store::sweep`] goes through.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.map.shards().len()
    }

    /// Shows each value of one part, `0..parts()`, and removes those it is told to. Only that part is locked meanwhile.
    pub fn sweep(&self, part: usize, mut show: impl FnMut(&Id, &mut V) -> Sweep) {
        let mut removed = 0;
        let mut table = self.map.shards()[part].write();
        // SAFETY: the table is locked for writing, so nothing else moves or frees its buckets; the iterator does not
        // outlive it, and hashbrown allows erasing the bucket that the iterator has just given.
        unsafe {
            for bucket in table.iter() {
                let (id, value) = bucket.as_mut();
                if show(id, value.get_mut()) == Sweep::Remove {
                    table.erase(bucket);
                    removed += 1;
                }
            }
        }
        drop(table);
        self.len.fetch_sub(removed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(store: &Store<Vec<u8>>, id: u64, value: u8) -> Result<usize, UpdateError<()>> {
        store.update(Id::Number(id), |values| {
            values.push(value);
            Ok(values.len())
        })
    }

    #[test]
    fn a_full_store_takes_no_new_id_but_serves_the_old_ones() {
        let store = Store::new(10, 1);
        assert_eq!(push(&store, 1, 7), Ok(1));
        assert_eq!(push(&store, 2, 7), Err(UpdateError::Full));
        assert_eq!(push(&store, 1, 8), Ok(2));
        assert_eq!(store.remove(&Id::Number(1)), Some(vec![7, 8]));
        assert_eq!(push(&store, 2, 7), Ok(1));
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn a_sweep_shows_every_value_once_and_removes_what_it_is_told_to() {
        let store = Store::new(0, 100_000);
        for id in 0..10_000 {
            push(&store, id, id as u8).expect("room");
        }
        let mut shown = std::collections::HashSet::new();
        for part in 0..store.parts() {
            store.sweep(part, |id, _| {
                assert!(shown.insert(id.clone()), "{id} was shown twice");
                let Id::Number(number) = id else { panic!("{id}") };
                if number % 3 == 0 { Sweep::Remove } else { Sweep::Keep }
            });
        }
        assert_eq!(shown.len(), 10_000);
        assert_eq!(store.len(), 6_666);
        assert_eq!(store.with(&Id::Number(3), Vec::len), None);
        assert_eq!(store.with(&Id::Number(4), Vec::len), Some(1));
    }

    #[test]
    fn a_refused_first_update_leaves_nothing_behind() {
        let store: Store<Vec<u8>> = Store::new(10, 10);
        let refused = store.update(Id::Number(1), |_| Err::<(), _>("no"));
        assert_eq!(refused, Err(UpdateError::Refused("no")));
        assert_eq!(store.with(&Id::Number(1), Vec::len), None);
        assert!(store.is_empty());
    }
}
