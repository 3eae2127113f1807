//! One shard: slots, and how ids are found, inserted and removed in them.

use upbeat_core::event::Id;

use super::Sweep;

/// A shard grows by a fifth, but at least by this many slots, when four of five slots are taken. So its load is from
/// two thirds to four fifths: short probes, and little unused memory.
const FEWEST_SLOTS: usize = 4;

/// A slot, which holds an id and its record or nothing. A record of the profile store takes 96 bytes; aligned to half a
/// cache line, it lies on two lines whatever its place in the shard, and both are prefetched. Aligned as the allocator
/// likes, every other record would lie on three.
#[repr(align(32))]
pub(super) struct Slot<V>(pub(super) Option<(Id, V)>);

/// The least number of slots for `ids` ids, with four of five slots taken.
pub(super) fn slots_for(ids: usize) -> usize {
    if ids == 0 { 0 } else { (ids + ids.div_ceil(4)).max(FEWEST_SLOTS) }
}

/// The part of a table behind one lock: a hash table with open addressing and linear probing (Knuth, The Art of Computer Programming 3, section 6.4,
/// algorithms L and R).
pub(super) struct Shard<V> {
    pub(super) slots: Box<[Slot<V>]>,
    pub(super) len: usize,
}

impl<V> Shard<V> {
    pub(super) fn with_slots(slots: usize) -> Self {
        Self { slots: std::iter::repeat_with(|| Slot(None)).take(slots).collect(), len: 0 }
    }

    /// The home slot of a hash, by multiplication instead of division (Lemire, "Fast Random Integer Generation in an
    /// Interval", 2019, section 2); so the number of slots need not be a power of two.
    pub(super) fn home(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.slots.len() as u128) >> 64) as usize
    }

    /// Prefetches the slot where a hash is at home.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        if let Some(slot) = self.slots.get(self.home(hash)) {
            prefetch(slot);
        }
    }

    fn after(&self, slot: usize) -> usize {
        if slot + 1 == self.slots.len() { 0 } else { slot + 1 }
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.slots.len() - from }
    }

    /// The slot that holds `id`, or as an error the empty slot where it would be inserted; `Err(0)` if there are no
    /// slots.
    pub(super) fn find(&self, id: &Id, hash: u64) -> Result<usize, usize> {
        if self.slots.is_empty() {
            return Err(0);
        }
        let mut slot = self.home(hash);
        // At most four of five slots are taken, so there is an empty one.
        loop {
            match &self.slots[slot].0 {
                None => return Err(slot),
                Some((held, _)) if held == id => return Ok(slot),
                Some(_) => slot = self.after(slot),
            }
        }
    }

    /// Inserts an id that is not there.
    pub(super) fn insert(&mut self, id: Id, value: V, hash: u64, hash_of: impl Fn(&Id) -> u64) {
        if slots_for(self.len + 1) > self.slots.len() {
            self.resize(self.slots.len() + (self.slots.len() / 5).max(FEWEST_SLOTS), hash_of);
        }
        if let Err(slot) = self.find(&id, hash) {
            self.slots[slot] = Slot(Some((id, value)));
            self.len += 1;
        }
    }

    /// Moves all records to a new number of slots.
    fn resize(&mut self, slots: usize, hash_of: impl Fn(&Id) -> u64) {
        let mut moved = Self::with_slots(slots);
        for (id, value) in std::mem::take(&mut self.slots).into_iter().filter_map(|slot| slot.0) {
            if let Err(slot) = moved.find(&id, hash_of(&id)) {
                moved.slots[slot] = Slot(Some((id, value)));
                moved.len += 1;
            }
        }
        *self = moved;
    }

    /// Empties a slot and closes the gap, so that ids behind it are still found.
    pub(super) fn remove(&mut self, slot: usize, hash_of: impl Fn(&Id) -> u64) -> Option<(Id, V)> {
        let removed = self.slots[slot].0.take()?;
        self.len -= 1;
        let (mut gap, mut next) = (slot, self.after(slot));
        while let Some((id, _)) = &self.slots[next].0 {
            let home = self.home(hash_of(id));
            if self.distance(home, next) >= self.distance(gap, next) {
                self.slots.swap(gap, next);
                gap = next;
            }
            next = self.after(next);
        }
        Some(removed)
    }

    pub(super) fn sweep(
        &mut self,
        mut visit: impl FnMut(&Id, &mut V) -> Sweep,
        hash_of: impl Fn(&Id) -> u64,
    ) {
        // A sweep that starts at an empty slot divides no run of taken slots, so a record that moves when a gap is
        // closed is neither visited twice nor missed.
        let Some(start) = self.slots.iter().position(|slot| slot.0.is_none()) else {
            return;
        };
        for step in 1..self.slots.len() {
            let slot = (start + step) % self.slots.len();
            while let Some((id, value)) = &mut self.slots[slot].0
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
#[inline]
pub(crate) fn prefetch<T>(value: &T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    let first = std::ptr::from_ref(value).cast::<i8>();
    // SAFETY: prefetching reads nothing and never faults, and both cache lines belong to the value.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(first);
        _mm_prefetch::<_MM_HINT_T0>(first.add(size_of::<T>() - 1));
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn prefetch<T>(_value: &T) {}
