//! Entries that have passed out of a full list, as fingerprints.

use std::hash::BuildHasher;

use crate::event::{IdRef, Time};

/// How many entries that have passed out of a full list are still recognised when they are told again: as many as the
/// default window keeps, which adds a third to the 12 bytes that such a play takes.
const PASSED_LIMIT: usize = 256;

/// The last entries that passed out of a list, as 32-bit fingerprints, only so that a repeat is counted as one.
#[derive(Debug, Clone, Default)]
pub(super) struct Passed {
    /// A ring once it is full; boxed, since few lists ever let an entry pass.
    ring: Option<Box<Ring>>,
}

#[derive(Debug, Clone)]
struct Ring {
    fingerprints: Vec<u32>,
    oldest: usize,
}

impl Passed {
    /// Whether this entry is remembered to have passed.
    pub(super) fn knows(&self, time: Time, event_id: IdRef<'_>) -> bool {
        let fingerprint = fingerprint(time, event_id);
        self.ring.as_ref().is_some_and(|ring| ring.fingerprints.contains(&fingerprint))
    }

    /// Remembers an entry that has just passed out of its list; the oldest fingerprint leaves for it.
    pub(super) fn remember(&mut self, time: Time, event_id: IdRef<'_>) {
        let fingerprint = fingerprint(time, event_id);
        let ring = self.ring.get_or_insert_with(Ring::with_all_its_room);
        if ring.fingerprints.len() < PASSED_LIMIT {
            ring.fingerprints.push(fingerprint);
            return;
        }
        ring.fingerprints[ring.oldest] = fingerprint;
        ring.oldest = (ring.oldest + 1) % PASSED_LIMIT;
    }

    /// Remembers an entry that was older than all of a full list, if there is room: those who tell a history again from
    /// its beginning would otherwise find none of what had passed.
    pub(super) fn remember_late(&mut self, time: Time, event_id: IdRef<'_>) {
        if self.ring.as_ref().is_none_or(|ring| ring.fingerprints.len() < PASSED_LIMIT) {
            self.remember(time, event_id);
        }
    }

    /// Whether remembering one more takes memory.
    pub(super) fn grows(&self) -> bool {
        self.ring.is_none()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        if self.ring.is_some() { size_of::<Ring>() + PASSED_LIMIT * size_of::<u32>() } else { 0 }
    }
}

impl Ring {
    fn with_all_its_room() -> Box<Self> {
        Box::new(Self { fingerprints: Vec::with_capacity(PASSED_LIMIT), oldest: 0 })
    }
}

fn fingerprint(time: Time, event_id: IdRef<'_>) -> u32 {
    let hash = foldhash::quality::FixedState::default().hash_one((time.unix_ms, event_id));
    (hash >> 32) as u32
}
