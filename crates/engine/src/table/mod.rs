//! The profile store: a table of customers with one record per slot, found with one cache miss.
//!
//! A map that stores tags, keys and records in separate places, or locks in cache lines of their own, has a cache miss
//! for each of them. At a million customers a miss takes a hundred nanoseconds or more, and the rest of a decision
//! takes less than one miss. Here the hash gives the slot, and the slot holds key and record; what is read before it (a
//! shard's lock and the address of its slots, 32 bytes) stays in the cache. See docs/decisions/profile-store.md.

mod places;
mod shard;

use std::hash::BuildHasher;
use std::sync::PoisonError;

use upbeat_core::event::Id;

use crate::hashing::{Hasher, hasher};
use crate::sync::{Arc, Mutex, MutexGuard};
use shard::{Shard, slots_for};

pub(crate) use places::{Place, Places, Reservation};
pub(crate) use shard::prefetch;

/// The approximate number of ids in a full shard. Shards are locked one at a time, and growing moves all their records:
/// at this size that takes less than half a millisecond.
const IDS_PER_SHARD: usize = 2048;
const FEWEST_SHARDS: usize = if cfg!(feature = "loom") { 2 } else { 64 };
const MOST_SHARDS: usize = 1 << 14;

/// So many ids are prefetched at the same time: whoever visits many prefetches as many ahead of those that are visited.
pub const PREFETCHED: usize = 8;

/// Why an update was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpdateError<E> {
    /// The id is new, and the table holds its limit of ids.
    Full,
    /// The update itself refused, with this error.
    Refused(E),
}

/// What [`Table::sweep`] is to do with a value that it has visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// Keep it.
    Keep,
    /// Remove it.
    Remove,
}

/// A bounded concurrent hash table by id. Values are accessed through closures, so no lock outlives a call. A closure
/// must not call the table: it would deadlock.
pub struct Table<V> {
    shards: Box<[Mutex<Shard<V>>]>,
    hasher: Hasher,
    /// Counted here because adding up the shards' own lengths would lock them all.
    places: Arc<Places>,
}

impl<V: Default> Table<V> {
    /// An empty table with memory for `expected` ids from the start, and for `limit` ids at most.
    #[must_use]
    pub fn new(expected: usize, limit: usize) -> Self {
        let shards = (limit / IDS_PER_SHARD).clamp(FEWEST_SHARDS, MOST_SHARDS).next_power_of_two();
        let room = slots_for(expected.min(limit) / shards);
        Self {
            shards: (0..shards).map(|_| Mutex::new(Shard::with_slots(room))).collect(),
            hasher: hasher(),
            places: Arc::new(Places::new(limit)),
        }
    }

    /// The number of ids held, and of places that are reserved.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.taken()
    }

    /// Whether no id is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a new id would be refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= self.limit()
    }

    /// The most ids that it may hold.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.places.limit()
    }

    /// A reservation of places in this table, without one yet.
    pub(crate) fn reservation(&self) -> Reservation {
        Reservation::new(&self.places)
    }

    /// The number of shards, each of which [`Table::sweep`] visits by itself.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The locked shard of an id, and the id's hash within the shard.
    #[inline]
    fn shard(&self, id: &Id) -> (MutexGuard<'_, Shard<V>>, u64) {
        let (shard, hash) = self.place(id);
        (lock(shard), hash)
    }

    /// The shard of an id, and the id's hash within the shard.
    #[inline]
    fn place(&self, id: &Id) -> (&Mutex<Shard<V>>, u64) {
        let hash = self.hasher.hash_one(id);
        // The uppermost bits choose the shard, those below the slot.
        let bits = self.shards.len().trailing_zeros();
        (&self.shards[(hash >> (u64::BITS - bits)) as usize], hash << bits)
    }

    /// Reads one value; `None` if the id is not there.
    pub fn with<R>(&self, id: &Id, read: impl FnOnce(&V) -> R) -> Option<R> {
        self.with_mut(id, |value| read(value))
    }

    /// Changes one value; `None` if the id is not there.
    pub fn with_mut<R>(&self, id: &Id, change: impl FnOnce(&mut V) -> R) -> Option<R> {
        let (mut shard, hash) = self.shard(id);
        let slot = shard.find(id, hash).ok()?;
        shard.slots[slot].0.as_mut().map(|(_, value)| change(value))
    }

    /// As [`Table::with_mut`], with what `meanwhile` makes under the lock while the record comes from memory.
    #[inline]
    pub fn with_mut_meanwhile<B, R>(
        &self,
        id: &Id,
        meanwhile: impl FnOnce() -> B,
        change: impl FnOnce(&mut V, B) -> R,
    ) -> Option<R> {
        let (mut shard, hash) = self.shard(id);
        shard.prefetch(hash);
        let made = meanwhile();
        let slot = shard.find(id, hash).ok()?;
        shard.slots[slot].0.as_mut().map(|(_, value)| change(value, made))
    }

    /// Prefetches the records of some ids into the processor's cache. Each takes several turns to memory; those of
    /// [`PREFETCHED`] ids are made at the same time.
    pub fn prefetch(&self, ids: &[Id]) {
        for ids in ids.chunks(PREFETCHED) {
            let mut places = [None; PREFETCHED];
            for (place, id) in places.iter_mut().zip(ids) {
                let (shard, hash) = self.place(id);
                prefetch(shard);
                *place = Some((shard, hash));
            }
            places.into_iter().flatten().for_each(|(shard, hash)| lock(shard).prefetch(hash));
        }
    }

    /// Changes one value, or inserts a changed default value if the id is new; if the change is refused, the id is not
    /// inserted.
    ///
    /// # Errors
    /// The id is new and the table is full, or `change` refused.
    pub fn update<R, E>(
        &self,
        id: Id,
        change: impl FnOnce(&mut V) -> Result<R, E>,
    ) -> Result<R, UpdateError<E>> {
        let place = || self.places.take().ok_or(UpdateError::Full);
        self.update_in_place(id, place, |value| change(value).map_err(UpdateError::Refused))
    }

    /// As [`Table::update`], with a reserved place for a new id: the table is never too full.
    ///
    /// # Errors
    /// `change` refused; a new id is not inserted, and its place stays reserved.
    pub(crate) fn update_reserved<R, E>(
        &self,
        id: Id,
        reserved: &mut Reservation,
        change: impl FnOnce(&mut V) -> Result<R, E>,
    ) -> Result<R, E> {
        self.update_in_place(id, || Ok(reserved.take()), change)
    }

    fn update_in_place<'a, R, E>(
        &self,
        id: Id,
        place: impl FnOnce() -> Result<Place<'a>, E>,
        change: impl FnOnce(&mut V) -> Result<R, E>,
    ) -> Result<R, E> {
        let (mut shard, hash) = self.shard(&id);
        if let Ok(slot) = shard.find(&id, hash)
            && let Some((_, value)) = &mut shard.slots[slot].0
        {
            return change(value);
        }
        let place = place()?;
        let mut value = V::default();
        let result = change(&mut value)?;
        shard.insert(id, value, hash, |id| self.hash_in_shard(id));
        place.keep();
        Ok(result)
    }

    fn hash_in_shard(&self, id: &Id) -> u64 {
        self.hasher.hash_one(id) << self.shards.len().trailing_zeros()
    }

    /// Removes one id and returns its value, if `may_go` agrees, which is asked under the lock of the id's shard, also where
    /// the id is not there; `None` if it is not there or stays.
    pub fn remove_if(&self, id: &Id, may_go: impl FnOnce(Option<&V>) -> bool) -> Option<V> {
        let (mut shard, hash) = self.shard(id);
        let found = shard.find(id, hash).ok();
        let value = found.and_then(|slot| shard.slots[slot].0.as_ref().map(|(_, value)| value));
        if !may_go(value) {
            return None;
        }
        let slot = found?;
        let removed = shard.remove(slot, |id| self.hash_in_shard(id));
        self.places.give_back(1);
        removed.map(|(_, value)| value)
    }

    /// Removes one id and returns its value; `None` if the id is not there.
    pub fn remove(&self, id: &Id) -> Option<V> {
        self.remove_if(id, |_| true)
    }

    /// The ids of one shard, `0..shards()`, in no order.
    ///
    /// # Panics
    /// There is no such shard.
    #[must_use]
    pub fn ids(&self, shard: usize) -> Vec<Id> {
        let shard = lock(&self.shards[shard]);
        shard.slots.iter().filter_map(|slot| slot.0.as_ref().map(|(id, _)| id.clone())).collect()
    }

    /// Calls `visit` with each value of one shard, `0..shards()`, under one lock, in no order.
    ///
    /// # Panics
    /// There is no such shard.
    pub fn each(&self, shard: usize, visit: impl FnMut(&V)) {
        let shard = lock(&self.shards[shard]);
        shard.slots.iter().filter_map(|slot| slot.0.as_ref().map(|(_, value)| value)).for_each(visit);
    }

    /// Calls `visit` with the values of some ids of one shard, `0..shards()`, under one lock, until it says `false`; ids that
    /// are not there are passed over. Returns how many ids were done with.
    ///
    /// # Panics
    /// There is no such shard.
    pub fn visit(&self, shard: usize, ids: &[Id], mut visit: impl FnMut(&Id, &V) -> bool) -> usize {
        let shard = lock(&self.shards[shard]);
        for (done, id) in ids.iter().enumerate() {
            let found = shard.find(id, self.hash_in_shard(id)).ok();
            let value = found.and_then(|slot| shard.slots[slot].0.as_ref().map(|(_, value)| value));
            if value.is_some_and(|value| !visit(id, value)) {
                return done + 1;
            }
        }
        ids.len()
    }

    /// Visits each value of one shard, `0..shards()`, once, and removes those for which `visit` returns
    /// [`Sweep::Remove`]. Only that shard is locked meanwhile. Memory that it no longer needs is freed.
    ///
    /// # Panics
    /// There is no such shard, or `visit` panicked; what was removed before is gone, and counted so.
    pub fn sweep(&self, shard: usize, visit: impl FnMut(&Id, &mut V) -> Sweep) {
        let shard = lock(&self.shards[shard]);
        let mut swept = Swept { before: shard.len, shard, places: &self.places };
        swept.shard.sweep(visit, |id| self.hash_in_shard(id));
    }
}

/// A shard that is being swept. The places of the removed ids are given back when it is dropped, also by a panic.
struct Swept<'a, V> {
    shard: MutexGuard<'a, Shard<V>>,
    before: usize,
    places: &'a Places,
}

impl<V> Drop for Swept<'_, V> {
    fn drop(&mut self) {
        self.places.give_back(self.before - self.shard.len);
    }
}

/// Locks a shard even if it is poisoned: a panic in a closure leaves a value partly changed, which the next event or
/// decision corrects or shows.
fn lock<V>(shard: &Mutex<Shard<V>>) -> MutexGuard<'_, Shard<V>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, feature = "loom"))]
mod schedules;
#[cfg(all(test, not(feature = "loom")))]
mod tests;
