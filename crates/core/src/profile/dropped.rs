//! Entries that a full list has dropped, as fingerprints.

use super::Applied;
use crate::event::{IdRef, StableHash, Time};

/// How many dropped entries are still recognised when they are sent again: as many as the default window keeps. It adds
/// a third to the 12 bytes that each of those plays takes.
pub(super) const DROPPED_LIMIT: usize = 256;

/// The last entries that a list dropped, as 32-bit fingerprints, only so that a repeat is counted as a duplicate.
#[derive(Debug, Clone, Default)]
pub(super) struct Dropped {
    /// A ring buffer once it is full; boxed, since few lists ever drop an entry.
    ring: Option<Box<Ring>>,
}

#[derive(Debug, Clone)]
struct Ring {
    fingerprints: Vec<u32>,
    oldest: usize,
}

impl Dropped {
    /// Whether an entry with this entry's fingerprint was dropped.
    pub(super) fn contains(&self, time: Time, event_id: IdRef<'_>) -> bool {
        let fingerprint = fingerprint(time, event_id);
        self.ring.as_ref().is_some_and(|ring| ring.fingerprints.contains(&fingerprint))
    }

    /// Records an entry that its list has just dropped, in place of the oldest fingerprint when there are
    /// [`DROPPED_LIMIT`].
    pub(super) fn record(&mut self, time: Time, event_id: IdRef<'_>) {
        let fingerprint = fingerprint(time, event_id);
        let ring = self.ring.get_or_insert_with(Ring::with_full_capacity);
        if ring.fingerprints.len() < DROPPED_LIMIT {
            ring.fingerprints.push(fingerprint);
            return;
        }
        ring.fingerprints[ring.oldest] = fingerprint;
        ring.oldest = (ring.oldest + 1) % DROPPED_LIMIT;
    }

    /// The result of inserting an entry that is older than all of a full list, which is not kept.
    ///
    /// While there is room its fingerprint is recorded: all that were ever dropped are known then, so an entry that is
    /// not among them is new. A full ring has forgotten some and cannot tell, so the entry is too old; if it replaced
    /// the oldest fingerprint instead, a history that is sent again from its beginning would overwrite the ring before
    /// it is compared with it, and be accepted as often as it is sent.
    pub(super) fn record_late(&mut self, time: Time, event_id: IdRef<'_>) -> Applied {
        if self.contains(time, event_id) {
            return Applied::Duplicate;
        }
        if self.ring.as_ref().is_some_and(|ring| ring.fingerprints.len() >= DROPPED_LIMIT) {
            return Applied::TooOld;
        }
        self.record(time, event_id);
        Applied::Accepted
    }

    /// What becomes of an entry that is not kept, although the list has room: the window was smaller when it dropped what is
    /// recorded here. `None` if the entry is new. `is_oldest` says whether it is older than all that are kept.
    pub(super) fn of_list_with_room(
        &self,
        time: Time,
        event_id: IdRef<'_>,
        is_oldest: bool,
    ) -> Option<Applied> {
        let ring = self.ring.as_ref()?;
        if self.contains(time, event_id) {
            return Some(Applied::Duplicate);
        }
        // As for a full list: a full ring has forgotten some, and cannot tell.
        (is_oldest && ring.fingerprints.len() >= DROPPED_LIMIT).then_some(Applied::TooOld)
    }

    /// The fingerprints, that which is replaced first coming first.
    pub(super) fn fingerprints(&self) -> impl ExactSizeIterator<Item = u32> {
        let ring: (&[u32], usize) =
            self.ring.as_ref().map_or((&[], 0), |ring| (&ring.fingerprints, ring.oldest));
        let (fingerprints, oldest) = ring;
        (0..fingerprints.len()).map(move |index| fingerprints[(oldest + index) % fingerprints.len()])
    }

    /// What [`Dropped::fingerprints`] was taken from; at most [`DROPPED_LIMIT`] of them.
    pub(super) fn from_fingerprints(fingerprints: impl ExactSizeIterator<Item = u32>) -> Self {
        if fingerprints.len() == 0 {
            return Self::default();
        }
        let mut ring = Ring::with_full_capacity();
        ring.fingerprints.extend(fingerprints.take(DROPPED_LIMIT));
        Self { ring: Some(ring) }
    }

    /// Whether recording one more entry takes memory.
    pub(super) fn grows(&self) -> bool {
        self.ring.is_none()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        if self.ring.is_some() { size_of::<Ring>() + DROPPED_LIMIT * size_of::<u32>() } else { 0 }
    }
}

impl Ring {
    /// Allocated once in full, so that [`Dropped::heap_bytes`] is exact.
    fn with_full_capacity() -> Box<Self> {
        Box::new(Self { fingerprints: Vec::with_capacity(DROPPED_LIMIT), oldest: 0 })
    }
}

/// Files hold it, so it is the same for ever.
fn fingerprint(time: Time, event_id: IdRef<'_>) -> u32 {
    (StableHash::with_key(0).word(time.unix_ms as u64).id(event_id).finish() >> 32) as u32
}
