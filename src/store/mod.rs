//! What is held by id: the table of customers, and a concurrent map for the rest. Their guards never leave this folder.

mod table;

pub use table::Table;

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

/// What becomes of a value that [`Table::sweep`] has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// It stays.
    Keep,
    /// It is removed.
    Remove,
}

impl<V: Default> Store<V> {
    /// An empty store with room for `expected` ids from the start, and for `limit` at most.
    #[must_use]
    pub fn new(expected: usize, limit: usize) -> Self {
        Self {
            map: DashMap::with_capacity_and_hasher(
                expected.min(limit),
                foldhash::fast::RandomState::default(),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What both containers promise, told once.
    macro_rules! is_bounded {
        ($name:ident, $Container:ident) => {
            mod $name {
                use super::*;

                fn push(store: &$Container<Vec<u8>>, id: u64, value: u8) -> Result<usize, UpdateError<()>> {
                    store.update(Id::Number(id), |values| {
                        values.push(value);
                        Ok(values.len())
                    })
                }

                #[test]
                fn a_full_one_takes_no_new_id_but_serves_the_old_ones() {
                    let store = $Container::new(10, 1);
                    assert_eq!(push(&store, 1, 7), Ok(1));
                    assert_eq!(push(&store, 2, 7), Err(UpdateError::Full));
                    assert_eq!(push(&store, 1, 8), Ok(2));
                    assert_eq!(store.remove(&Id::Number(1)), Some(vec![7, 8]));
                    assert_eq!(push(&store, 2, 7), Ok(1));
                    assert_eq!(store.len(), 1);
                }

                #[test]
                fn a_refused_first_update_leaves_nothing_behind() {
                    for expected in [0, 10] {
                        let store: $Container<Vec<u8>> = $Container::new(expected, 10);
                        let refused = store.update(Id::Number(1), |_| Err::<(), _>("no"));
                        assert_eq!(refused, Err(UpdateError::Refused("no")));
                        assert_eq!(store.with(&Id::Number(1), Vec::len), None);
                        assert!(store.is_empty());
                    }
                }
            }
        };
    }
    is_bounded!(the_store, Store);
    is_bounded!(the_table, Table);
}
