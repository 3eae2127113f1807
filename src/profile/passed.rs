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

#[derive(Debug, Clone, Default)]
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

    /// Remembers that this entry passed.
    pub(super) fn remember(&mut self, time: Time, event_id: IdRef<'_>) {
        let fingerprint = fingerprint(time, event_id);
        let ring = self.ring.get_or_insert_default();
        if ring.fingerprints.len() < PASSED_LIMIT {
            ring.fingerprints.push(fingerprint);
            return;
        }
        ring.fingerprints[ring.oldest] = fingerprint;
        ring.oldest = (ring.oldest + 1) % PASSED_LIMIT;
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let ring = |ring: &Ring| size_of::<Ring>() + ring.fingerprints.capacity() * size_of::<u32>();
        self.ring.as_deref().map_or(0, ring)
    }
}

fn fingerprint(time: Time, event_id: IdRef<'_>) -> u32 {
    let hash = foldhash::quality::FixedState::default().hash_one((time.unix_ms, event_id));
    (hash >> 32) as u32
}
