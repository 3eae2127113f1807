//! The profile store: a table of customers with one record per slot, found with one cache miss.
//!
//! A map that stores tags, keys and records in separate places, or locks in cache lines of their own, has a cache miss
//! for each of them. At a million customers a miss takes a hundred nanoseconds or more, and the rest of a decision
//! takes less than one miss. Here the hash gives the slot, and the slot holds key and record; what is read before it (a
//! shard's lock and the address of its slots, 32 bytes) stays in the cache. See docs/decisions/profile-store.md.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use upbeat_core::event::Id;

/// The approximate number of ids in a full shard. Shards are locked one at a time, and growing moves all their records:
/// at this size that takes less than half a millisecond.
const IDS_PER_SHARD: usize = 2048;
const FEWEST_SHARDS: usize = 64;
const MOST_SHARDS: usize = 1 << 14;

/// A shard grows by a fifth, but at least by this many slots, when four of five slots are taken. So its load is from
/// two thirds to four fifths: short probes, and little unused memory.
const FEWEST_SLOTS: usize = 4;

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
    hasher: foldhash::fast::RandomState,
    /// Counted here because adding up the shards' own lengths would lock them all.
    len: AtomicUsize,
    limit: usize,
}

impl<V: Default> Table<V> {
    /// An empty table with memory for `expected` ids from the start, and for `limit` ids at most.
    #[must_use]
    pub fn new(expected: usize, limit: usize) -> Self {
        let shards = (limit / IDS_PER_SHARD).clamp(FEWEST_SHARDS, MOST_SHARDS).next_power_of_two();
        let room = slots_for(expected.min(limit) / shards);
        Self {
            shards: (0..shards).map(|_| Mutex::new(Shard::with_slots(room))).collect(),
            hasher: foldhash::fast::RandomState::default(),
            len: AtomicUsize::new(0),
            limit,
        }
    }

    /// The number of ids held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether no id is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a new id would be refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    /// The most ids that it may hold.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The number of shards, each of which [`Table::sweep`] visits by itself.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The locked shard of an id, and the id's hash within the shard.
    fn shard(&self, id: &Id) -> (MutexGuard<'_, Shard<V>>, u64) {
        let hash = self.hasher.hash_one(id);
        // The uppermost bits choose the shard, those below the slot.
        let bits = self.shards.len().trailing_zeros();
        let shard = &self.shards[(hash >> (u64::BITS - bits)) as usize];
        (lock(shard), hash << bits)
    }

    /// Reads one value; `None` if the id is not there.
    pub fn with<R>(&self, id: &Id, read: impl FnOnce(&V) -> R) -> Option<R> {
        self.with_mut(id, |value| read(value))
    }

    /// Changes one value; `None` if the id is not there.
    pub fn with_mut<R>(&self, id: &Id, change: impl FnOnce(&mut V) -> R) -> Option<R> {
        let (mut shard, hash) = self.shard(id);
        let slot = shard.find(id, hash).ok()?;
        shard.slots[slot].as_mut().map(|(_, value)| change(value))
    }

    /// Prefetches the record of an id into the processor's cache.
    pub fn prefetch(&self, id: &Id) {
        let (shard, hash) = self.shard(id);
        if let Some(slot) = shard.slots.get(shard.home(hash)) {
            prefetch(slot);
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
        let (mut shard, hash) = self.shard(&id);
        if let Ok(slot) = shard.find(&id, hash)
            && let Some((_, value)) = &mut shard.slots[slot]
        {
            return change(value).map_err(UpdateError::Refused);
        }
        if self.is_full() {
            return Err(UpdateError::Full);
        }
        let mut value = V::default();
        let result = change(&mut value).map_err(UpdateError::Refused)?;
        shard.insert(id, value, hash, |id| self.hash_in_shard(id));
        self.len.fetch_add(1, Ordering::Relaxed);
        Ok(result)
    }

    fn hash_in_shard(&self, id: &Id) -> u64 {
        self.hasher.hash_one(id) << self.shards.len().trailing_zeros()
    }

    /// Removes one id and returns its value; `None` if the id is not there.
    pub fn remove(&self, id: &Id) -> Option<V> {
        let (mut shard, hash) = self.shard(id);
        let slot = shard.find(id, hash).ok()?;
        let removed = shard.remove(slot, |id| self.hash_in_shard(id));
        self.len.fetch_sub(1, Ordering::Relaxed);
        removed.map(|(_, value)| value)
    }

    /// Visits each value of one shard, `0..shards()`, once, and removes those for which `visit` returns
    /// [`Sweep::Remove`]. Only that shard is locked meanwhile. Memory that it no longer needs is freed.
    ///
    /// # Panics
    /// There is no such shard.
    pub fn sweep(&self, shard: usize, visit: impl FnMut(&Id, &mut V) -> Sweep) {
        let mut shard = lock(&self.shards[shard]);
        let before = shard.len;
        shard.sweep(visit, |id| self.hash_in_shard(id));
        self.len.fetch_sub(before - shard.len, Ordering::Relaxed);
    }
}

/// Locks a shard even if it is poisoned: a panic in a closure leaves a value partly changed, which the next event or
/// decision corrects or shows.
fn lock<V>(shard: &Mutex<Shard<V>>) -> MutexGuard<'_, Shard<V>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The least number of slots for `ids` ids, with four of five slots taken.
fn slots_for(ids: usize) -> usize {
    if ids == 0 { 0 } else { (ids + ids.div_ceil(4)).max(FEWEST_SLOTS) }
}

/// A hash table with open addressing and linear probing (Knuth, The Art of Computer Programming 3, section 6.4,
/// algorithms L and R).
struct Shard<V> {
    slots: Box<[Option<(Id, V)>]>,
    len: usize,
}

impl<V> Shard<V> {
    fn with_slots(slots: usize) -> Self {
        Self { slots: std::iter::repeat_with(|| None).take(slots).collect(), len: 0 }
    }

    /// The home slot of a hash, by multiplication instead of division (Lemire, "Fast Random Integer Generation in an
    /// Interval", 2019, section 2); so the number of slots need not be a power of two.
    fn home(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.slots.len() as u128) >> 64) as usize
    }

    fn after(&self, slot: usize) -> usize {
        if slot + 1 == self.slots.len() { 0 } else { slot + 1 }
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.slots.len() - from }
    }

    /// The slot that holds `id`, or as an error the empty slot where it would be inserted; `Err(0)` if there are no
    /// slots.
    fn find(&self, id: &Id, hash: u64) -> Result<usize, usize> {
        if self.slots.is_empty() {
            return Err(0);
        }
        let mut slot = self.home(hash);
        // At most four of five slots are taken, so there is an empty one.
        loop {
            match &self.slots[slot] {
                None => return Err(slot),
                Some((held, _)) if held == id => return Ok(slot),
                Some(_) => slot = self.after(slot),
            }
        }
    }

    /// Inserts an id that is not there.
    fn insert(&mut self, id: Id, value: V, hash: u64, hash_of: impl Fn(&Id) -> u64) {
        if slots_for(self.len + 1) > self.slots.len() {
            self.resize(self.slots.len() + (self.slots.len() / 5).max(FEWEST_SLOTS), hash_of);
        }
        if let Err(slot) = self.find(&id, hash) {
            self.slots[slot] = Some((id, value));
            self.len += 1;
        }
    }

    /// Moves all records to a new number of slots.
    fn resize(&mut self, slots: usize, hash_of: impl Fn(&Id) -> u64) {
        let mut moved = Self::with_slots(slots);
        for (id, value) in std::mem::take(&mut self.slots).into_iter().flatten() {
            if let Err(slot) = moved.find(&id, hash_of(&id)) {
                moved.slots[slot] = Some((id, value));
                moved.len += 1;
            }
        }
        *self = moved;
    }

    /// Empties a slot and closes the gap, so that ids behind it are still found.
    fn remove(&mut self, slot: usize, hash_of: impl Fn(&Id) -> u64) -> Option<(Id, V)> {
        let removed = self.slots[slot].take()?;
        self.len -= 1;
        let (mut gap, mut next) = (slot, self.after(slot));
        while let Some((id, _)) = &self.slots[next] {
            let home = self.home(hash_of(id));
            if self.distance(home, next) >= self.distance(gap, next) {
                self.slots.swap(gap, next);
                gap = next;
            }
            next = self.after(next);
        }
        Some(removed)
    }

    fn sweep(&mut self, mut visit: impl FnMut(&Id, &mut V) -> Sweep, hash_of: impl Fn(&Id) -> u64) {
        // A sweep that starts at an empty slot divides no run of taken slots, so a record that moves when a gap is
        // closed is neither visited twice nor missed.
        let Some(start) = self.slots.iter().position(Option::is_none) else {
            return;
        };
        for step in 1..self.slots.len() {
            let slot = (start + step) % self.slots.len();
            while let Some((id, value)) = &mut self.slots[slot]
                && visit(id, value) == Sweep::Remove
            {
                self.remove(slot, &hash_of);
            }
        }
        self.shrink(hash_of);
    }

    fn shrink(&mut self, hash_of: impl Fn(&Id) -> u64) {
        let needed = slots_for(self.len);
        if needed < self.slots.len() / 2 {
            self.resize(needed, hash_of);
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn prefetch<T>(value: &T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    let first = std::ptr::from_ref(value).cast::<i8>();
    // SAFETY: prefetching reads nothing and never faults, and both cache lines belong to the value.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(first);
        _mm_prefetch::<_MM_HINT_T0>(first.add(size_of::<T>() - 1));
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn prefetch<T>(_value: &T) {}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn full_table_refuses_new_ids_and_serves_known_ones() {
        let table = Table::new(10, 1);
        assert_eq!(push(&table, 1, 7), Ok(1));
        assert_eq!(push(&table, 2, 7), Err(UpdateError::Full));
        assert_eq!(push(&table, 1, 8), Ok(2));
        assert_eq!(table.remove(&Id::Number(1)), Some(vec![7, 8]));
        assert_eq!(push(&table, 2, 7), Ok(1));
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn refused_first_update_leaves_nothing_behind() {
        for expected in [0, 10] {
            let table: Table<Vec<u8>> = Table::new(expected, 10);
            let refused = table.update(Id::Number(1), |_| Err::<(), _>("no"));
            assert_eq!(refused, Err(UpdateError::Refused("no")));
            assert_eq!(table.with(&Id::Number(1), Vec::len), None);
            assert!(table.is_empty());
        }
    }

    fn push(table: &Table<Vec<u8>>, id: u64, value: u8) -> Result<usize, UpdateError<()>> {
        table.update(Id::Number(id), |values| {
            values.push(value);
            Ok(values.len())
        })
    }

    #[test]
    fn sweep_visits_every_value_once_removes_some_and_frees_memory() {
        let table = Table::new(0, 100_000);
        for id in 0..50_000 {
            push(&table, id, id as u8).expect("room");
        }
        let slots =
            |table: &Table<Vec<u8>>| table.shards.iter().map(|shard| lock(shard).slots.len()).sum::<usize>();
        let before = slots(&table);
        let mut shown = std::collections::HashSet::new();
        for shard in 0..table.shards() {
            table.sweep(shard, |id, _| {
                assert!(shown.insert(id.clone()), "{id} was shown twice");
                let Id::Number(number) = id else { panic!("{id}") };
                if number % 5 == 0 { Sweep::Keep } else { Sweep::Remove }
            });
        }
        assert_eq!((shown.len(), table.len()), (50_000, 10_000));
        assert!(slots(&table) < before / 3, "{} of {before} slots are left", slots(&table));
        for id in 0..50_000 {
            let held = (id % 5 == 0).then_some(1);
            assert_eq!(table.with(&Id::Number(id), Vec::len), held, "{id}");
        }
    }

    #[test]
    fn concurrent_updates_are_not_lost() {
        let table = Table::new(0, 1_000_000);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let table = &table;
                scope.spawn(move || (0..20_000).for_each(|id| drop(push(table, id, thread))));
            }
        });
        assert_eq!(table.len(), 20_000);
        assert!((0..20_000).all(|id| table.with(&Id::Number(id), Vec::len) == Some(4)));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(u8),
        Remove(u8),
        Sweep(u8),
    }

    proptest! {
        /// Few slots and a weak hash, so that runs collide, wrap around and are split by removals.
        #[test]
        fn shard_holds_what_a_map_holds(
            steps in prop::collection::vec(
                prop_oneof![
                    5 => any::<u8>().prop_map(Step::Push),
                    3 => any::<u8>().prop_map(Step::Remove),
                    1 => any::<u8>().prop_map(Step::Sweep),
                ],
                0..300,
            ),
            bits in 1u32..9,
        ) {
            let hash = |id: &Id| match id {
                Id::Number(number) => (number << (u64::BITS - 8)) >> (8 - bits) << (8 - bits),
                Id::Text(_) => 0,
            };
            let mut shard = Shard::with_slots(0);
            let mut expected = HashMap::new();
            for step in steps {
                match step {
                    Step::Push(number) => {
                        let id = Id::Number(number.into());
                        if shard.find(&id, hash(&id)).is_err() {
                            shard.insert(id.clone(), number, hash(&id), hash);
                        }
                        expected.insert(id, number);
                    }
                    Step::Remove(number) => {
                        let id = Id::Number(number.into());
                        let removed = shard.find(&id, hash(&id)).ok().and_then(|slot| shard.remove(slot, hash));
                        prop_assert_eq!(removed, expected.remove_entry(&id));
                    }
                    Step::Sweep(divisor) => {
                        let kept = |number: u8| number.is_multiple_of(divisor.max(1));
                        let visit = |_: &Id, number: &mut u8| match kept(*number) {
                            true => Sweep::Keep,
                            false => Sweep::Remove,
                        };
                        shard.sweep(visit, hash);
                        expected.retain(|_, number| kept(*number));
                    }
                }
                prop_assert_eq!(shard.len, expected.len());
            }
            for (id, number) in &expected {
                let slot = shard.find(id, hash(id)).expect("held");
                prop_assert_eq!(shard.slots[slot].as_ref(), Some(&(id.clone(), *number)));
            }
        }
    }
}
