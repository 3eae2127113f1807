//! The table of customers: a record a slot, found with one miss of the cache.
//!
//! A map that keeps tags, keys and records apart, or one lock for many records in a line of its own, misses the cache
//! for each of them; at a million customers each miss costs a hundred nanoseconds and more, and the rest of a decision
//! less than one of them. Here the hash tells the slot, the slot holds key and record, and what is read before it (a
//! part's lock and its slots' address, 32 bytes) stays in the cache. See docs/decisions/profile-store.md.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Sweep, UpdateError};
use crate::event::Id;

/// A full part holds about so many ids. Parts are locked one at a time, and grow by moving all they hold: at this size
/// that takes less than half a millisecond.
const IDS_PER_PART: usize = 2048;
const FEWEST_PARTS: usize = 64;
const MOST_PARTS: usize = 1 << 14;

/// A part grows by a fifth when four of five slots are taken, so that from two of three to four of five always are: few
/// to probe, few to waste. It grows by at least this.
const FEWEST_SLOTS: usize = 4;

/// A bounded concurrent table by id. Values are reached through closures, so no lock outlives a call; a closure must
/// not call the table again.
pub struct Table<V> {
    parts: Box<[Mutex<Part<V>>]>,
    hasher: foldhash::fast::RandomState,
    /// Kept beside the parts because adding theirs up would lock them all.
    len: AtomicUsize,
    limit: usize,
}

impl<V: Default> Table<V> {
    /// An empty table with room for `expected` ids from the start, and for `limit` at most.
    #[must_use]
    pub fn new(expected: usize, limit: usize) -> Self {
        let parts = (limit / IDS_PER_PART).clamp(FEWEST_PARTS, MOST_PARTS).next_power_of_two();
        let room = slots_for(expected.min(limit) / parts);
        Self {
            parts: (0..parts).map(|_| Mutex::new(Part::with_slots(room))).collect(),
            hasher: foldhash::fast::RandomState::default(),
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

    /// How many parts [`Table::sweep`] goes through.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// The part of an id, and the hash by which the part finds it.
    fn part(&self, id: &Id) -> (MutexGuard<'_, Part<V>>, u64) {
        let hash = self.hasher.hash_one(id);
        // The uppermost bits choose the part, those below the slot.
        let bits = self.parts.len().trailing_zeros();
        let part = &self.parts[(hash >> (u64::BITS - bits)) as usize];
        (lock(part), hash << bits)
    }

    /// Reads one value.
    pub fn with<R>(&self, id: &Id, read: impl FnOnce(&V) -> R) -> Option<R> {
        self.with_mut(id, |value| read(value))
    }

    /// Changes one value that is there.
    pub fn with_mut<R>(&self, id: &Id, change: impl FnOnce(&mut V) -> R) -> Option<R> {
        let (mut part, hash) = self.part(id);
        let slot = part.find(id, hash).ok()?;
        part.slots[slot].as_mut().map(|(_, value)| change(value))
    }

    /// Has the cache fetch the record of an id that is about to be asked for.
    pub fn prefetch(&self, id: &Id) {
        let (part, hash) = self.part(id);
        if let Some(slot) = part.slots.get(part.home(hash)) {
            prefetch(slot);
        }
    }

    /// Changes one value, beginning with the default one if the id is new; a refused change leaves nothing behind.
    ///
    /// # Errors
    /// The table is full and the id new, or `change` refused.
    pub fn update<R, E>(
        &self,
        id: Id,
        change: impl FnOnce(&mut V) -> Result<R, E>,
    ) -> Result<R, UpdateError<E>> {
        let (mut part, hash) = self.part(&id);
        if let Ok(slot) = part.find(&id, hash)
            && let Some((_, value)) = &mut part.slots[slot]
        {
            return change(value).map_err(UpdateError::Refused);
        }
        if self.is_full() {
            return Err(UpdateError::Full);
        }
        let mut value = V::default();
        let result = change(&mut value).map_err(UpdateError::Refused)?;
        part.insert(id, value, hash, |id| self.hash_in_part(id));
        self.len.fetch_add(1, Ordering::Relaxed);
        Ok(result)
    }

    fn hash_in_part(&self, id: &Id) -> u64 {
        self.hasher.hash_one(id) << self.parts.len().trailing_zeros()
    }

    /// Forgets one id and gives back what was held.
    pub fn remove(&self, id: &Id) -> Option<V> {
        let (mut part, hash) = self.part(id);
        let slot = part.find(id, hash).ok()?;
        let removed = part.remove(slot, |id| self.hash_in_part(id));
        self.len.fetch_sub(1, Ordering::Relaxed);
        removed.map(|(_, value)| value)
    }

    /// Shows each value of one part, `0..parts()`, once, and removes those it is told to. Only that part is locked
    /// meanwhile; what it no longer needs of its memory it gives back.
    pub fn sweep(&self, part: usize, show: impl FnMut(&Id, &mut V) -> Sweep) {
        let mut part = lock(&self.parts[part]);
        let before = part.len;
        part.sweep(show, |id| self.hash_in_part(id));
        self.len.fetch_sub(before - part.len, Ordering::Relaxed);
    }
}

/// A panic in a closure leaves a value as far as it was changed; the next event or decision mends or shows it.
fn lock<V>(part: &Mutex<Part<V>>) -> MutexGuard<'_, Part<V>> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The least number of slots for so many ids, four of five taken.
fn slots_for(ids: usize) -> usize {
    if ids == 0 { 0 } else { (ids + ids.div_ceil(4)).max(FEWEST_SLOTS) }
}

/// Open addressing with linear probing (Knuth, The Art of Computer Programming 3, section 6.4, algorithms L and R).
struct Part<V> {
    slots: Box<[Option<(Id, V)>]>,
    len: usize,
}

impl<V> Part<V> {
    fn with_slots(slots: usize) -> Self {
        Self { slots: std::iter::repeat_with(|| None).take(slots).collect(), len: 0 }
    }

    /// The slot that a hash points to, by multiplication rather than by division (Lemire, "Fast Random Integer
    /// Generation in an Interval", 2019, section 2). With it slots need not be a power of two.
    fn home(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.slots.len() as u128) >> 64) as usize
    }

    fn after(&self, slot: usize) -> usize {
        if slot + 1 == self.slots.len() { 0 } else { slot + 1 }
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.slots.len() - from }
    }

    /// The slot that holds `id`, or else the empty one where it would go; the number of slots if there is none.
    fn find(&self, id: &Id, hash: u64) -> Result<usize, usize> {
        if self.slots.is_empty() {
            return Err(0);
        }
        let mut slot = self.home(hash);
        // At most four of five slots are taken, so an empty one comes.
        loop {
            match &self.slots[slot] {
                None => return Err(slot),
                Some((held, _)) if held == id => return Ok(slot),
                Some(_) => slot = self.after(slot),
            }
        }
    }

    /// Adds an id that is not there.
    fn insert(&mut self, id: Id, value: V, hash: u64, hash_of: impl Fn(&Id) -> u64) {
        if slots_for(self.len + 1) > self.slots.len() {
            self.move_to(self.slots.len() + (self.slots.len() / 5).max(FEWEST_SLOTS), hash_of);
        }
        if let Err(slot) = self.find(&id, hash) {
            self.slots[slot] = Some((id, value));
            self.len += 1;
        }
    }

    fn move_to(&mut self, slots: usize, hash_of: impl Fn(&Id) -> u64) {
        let mut moved = Self::with_slots(slots);
        for (id, value) in std::mem::take(&mut self.slots).into_iter().flatten() {
            if let Err(slot) = moved.find(&id, hash_of(&id)) {
                moved.slots[slot] = Some((id, value));
                moved.len += 1;
            }
        }
        *self = moved;
    }

    /// Empties a slot and closes the gap, so that no id behind it is lost.
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

    fn sweep(&mut self, mut show: impl FnMut(&Id, &mut V) -> Sweep, hash_of: impl Fn(&Id) -> u64) {
        // From an empty slot on no run of slots is cut in two, so that none that moves is met again or missed.
        let Some(start) = self.slots.iter().position(Option::is_none) else {
            return;
        };
        for step in 1..self.slots.len() {
            let slot = (start + step) % self.slots.len();
            while let Some((id, value)) = &mut self.slots[slot]
                && show(id, value) == Sweep::Remove
            {
                self.remove(slot, &hash_of);
            }
        }
        self.shrink(hash_of);
    }

    fn shrink(&mut self, hash_of: impl Fn(&Id) -> u64) {
        let needed = slots_for(self.len);
        if needed < self.slots.len() / 2 {
            self.move_to(needed, hash_of);
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn prefetch<T>(value: &T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    let first = std::ptr::from_ref(value).cast::<i8>();
    // SAFETY: fetching ahead reads nothing and never faults, and both lines are the value's own.
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

    fn push(table: &Table<Vec<u8>>, id: u64, value: u8) -> Result<usize, UpdateError<()>> {
        table.update(Id::Number(id), |values| {
            values.push(value);
            Ok(values.len())
        })
    }

    #[test]
    fn a_sweep_shows_every_value_once_removes_what_it_is_told_to_and_gives_memory_back() {
        let table = Table::new(0, 100_000);
        for id in 0..50_000 {
            push(&table, id, id as u8).expect("room");
        }
        let slots =
            |table: &Table<Vec<u8>>| table.parts.iter().map(|part| lock(part).slots.len()).sum::<usize>();
        let before = slots(&table);
        let mut shown = std::collections::HashSet::new();
        for part in 0..table.parts() {
            table.sweep(part, |id, _| {
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
    fn threads_at_once_lose_nothing() {
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
        /// Few slots and a bad hash, so that runs collide, wrap round and are cut by removals.
        #[test]
        fn a_part_holds_what_a_map_holds(
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
            let mut part = Part::with_slots(0);
            let mut expected = HashMap::new();
            for step in steps {
                match step {
                    Step::Push(number) => {
                        let id = Id::Number(number.into());
                        if part.find(&id, hash(&id)).is_err() {
                            part.insert(id.clone(), number, hash(&id), hash);
                        }
                        expected.insert(id, number);
                    }
                    Step::Remove(number) => {
                        let id = Id::Number(number.into());
                        let removed = part.find(&id, hash(&id)).ok().and_then(|slot| part.remove(slot, hash));
                        prop_assert_eq!(removed, expected.remove_entry(&id));
                    }
                    Step::Sweep(divisor) => {
                        let kept = |number: u8| number.is_multiple_of(divisor.max(1));
                        let show = |_: &Id, number: &mut u8| match kept(*number) {
                            true => Sweep::Keep,
                            false => Sweep::Remove,
                        };
                        part.sweep(show, hash);
                        expected.retain(|_, number| kept(*number));
                    }
                }
                prop_assert_eq!(part.len, expected.len());
            }
            for (id, number) in &expected {
                let slot = part.find(id, hash(id)).expect("held");
                prop_assert_eq!(part.slots[slot].as_ref(), Some(&(id.clone(), *number)));
            }
        }
    }
}
