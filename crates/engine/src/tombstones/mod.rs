//! Tombstones: who was erased, and up to which time, without saying who.
//!
//! An erasure must survive what is sent again: whoever replays old input would otherwise bring the customer back. So of each
//! erasure there stays a digest of the customer's id and the newest time of what was erased. Events of the customer up to that
//! time are answered `erased` and change nothing; newer ones begin a new profile.
//!
//! The check is made under the lock of the customer's shard, where the event is applied, so that it has an order with the
//! erasure. For an event that is newer than everything erased it is one load; only others look for a digest.

mod bury;
mod digest;
pub mod file;
mod rewriting;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;
use upbeat_core::event::Event;

use crate::Engine;
use crate::sync::Arc;
use crate::table::{Place, Places, Reservation};

pub use bury::Buried;
pub(crate) use digest::DigestKey;

/// The approximate number of tombstones in a full shard.
const TOMBSTONES_PER_SHARD: usize = 4096;
const FEWEST_SHARDS: usize = 16;
const MOST_SHARDS: usize = 1 << 14;

/// Somebody who was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tombstone {
    /// The keyed digest of the customer's id.
    pub digest: [u8; 16],
    /// Events of the customer up to this time are erased, in Unix milliseconds. `i64::MIN` where it is not known, as of a
    /// customer of whom a version without tombstones had nothing any more: then no event is.
    pub erased_until_ms: i64,
    /// When the erasure was made by the wall clock, in Unix milliseconds; of several whose content is still in the log, the
    /// first. 0 where it is not known.
    pub made_ms: i64,
    /// The position of the erasure, below which the log may still hold records of the customer; 0 once it holds none.
    pub position: u64,
}

impl Tombstone {
    /// What two erasures of one customer come to, in either order.
    fn merge(&mut self, other: Self) {
        self.erased_until_ms = self.erased_until_ms.max(other.erased_until_ms);
        self.made_ms = match (self.position, other.position) {
            (0, _) => other.made_ms,
            (_, 0) => self.made_ms,
            _ => self.made_ms.min(other.made_ms),
        };
        self.position = self.position.max(other.position);
    }
}

/// Erasures whose customers' records may still be in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingErasures {
    /// How many.
    pub count: usize,
    /// When the oldest of them was made by the wall clock, in Unix milliseconds; 0 if that is not known of one.
    pub oldest_ms: i64,
    /// The highest position of an erasure: records of these customers are below it.
    pub position: u64,
}

impl PendingErasures {
    fn of(tombstone: &Tombstone) -> Option<Self> {
        let Tombstone { made_ms, position, .. } = *tombstone;
        (position > 0).then_some(Self { count: 1, oldest_ms: made_ms, position })
    }

    fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            oldest_ms: self.oldest_ms.min(other.oldest_ms),
            position: self.position.max(other.position),
        }
    }
}

/// Tombstones of some digests.
#[derive(Default)]
struct Shard {
    tombstones: HashTable<Tombstone>,
    /// Of those in `tombstones` that are pending. A position only rises, so it is kept up to date without looking at them all.
    pending: Option<PendingErasures>,
}

impl Shard {
    fn find(&self, digest: [u8; 16]) -> Option<&Tombstone> {
        self.tombstones.find(hash(digest), |held| held.digest == digest)
    }

    fn put(&mut self, tombstone: Tombstone) -> bool {
        let hash = hash(tombstone.digest);
        let held = self.tombstones.find_mut(hash, |held| held.digest == tombstone.digest);
        let (before, after, is_new) = match held {
            Some(held) => {
                let before = PendingErasures::of(held);
                held.merge(tombstone);
                (before, *held, false)
            }
            None => {
                self.tombstones.insert_unique(hash, tombstone, |held| self::hash(held.digest));
                (None, tombstone, true)
            }
        };
        if let Some(mut after) = PendingErasures::of(&after) {
            after.count -= usize::from(before.is_some());
            self.pending = Some(self.pending.map_or(after, |pending| pending.and(after)));
        }
        is_new
    }

    /// Says of all up to this position that the log holds nothing of them any more.
    fn content_erased(&mut self, below_or_at: u64) {
        if self.pending.is_none() {
            return;
        }
        self.tombstones
            .iter_mut()
            .filter(|held| held.position <= below_or_at)
            .for_each(|held| held.position = 0);
        self.pending = self.tombstones.iter().filter_map(PendingErasures::of).reduce(PendingErasures::and);
    }
}

/// Digests are as good as random, and nobody without the key can choose them.
fn hash(digest: [u8; 16]) -> u64 {
    u64::from_le_bytes(digest[..8].try_into().unwrap_or_default())
}

/// All tombstones.
pub(crate) struct Tombstones {
    /// The newest time up to which anybody was erased, in Unix milliseconds: what is newer is of nobody who was erased.
    ///
    /// Relaxed suffices: the lock of a customer's shard orders the erasure and what is asked after it.
    newest_ms: AtomicI64,
    shards: Box<[Mutex<Shard>]>,
    places: Arc<Places>,
}

impl Tombstones {
    /// None yet, and at most `limit` of them.
    pub(crate) fn new(limit: usize) -> Self {
        let shards = (limit / TOMBSTONES_PER_SHARD).clamp(FEWEST_SHARDS, MOST_SHARDS).next_power_of_two();
        Self {
            newest_ms: AtomicI64::new(i64::MIN),
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            places: Arc::new(Places::new(limit)),
        }
    }

    fn shard(&self, digest: [u8; 16]) -> MutexGuard<'_, Shard> {
        let number = u64::from_le_bytes(digest[8..].try_into().unwrap_or_default());
        lock(&self.shards[number as usize % self.shards.len()])
    }

    /// The tombstone of this digest.
    pub(crate) fn get(&self, digest: [u8; 16]) -> Option<Tombstone> {
        self.shard(digest).find(digest).copied()
    }

    /// How many there are, or will be at once.
    pub(crate) fn len(&self) -> usize {
        self.places.taken()
    }

    /// The most there may be.
    pub(crate) fn limit(&self) -> usize {
        self.places.limit()
    }

    /// Takes the place of a tombstone that is to be put; `None` if all are taken.
    pub(crate) fn place(&self) -> Option<Place<'_>> {
        self.places.take()
    }

    /// Puts a tombstone, at a place that was taken for it, or beyond the limit if none was; with one of the same digest it is
    /// merged, and the place is given back.
    pub(crate) fn put(&self, tombstone: Tombstone, place: Option<Place<'_>>) {
        self.newest_ms.fetch_max(tombstone.erased_until_ms, Ordering::Relaxed);
        if !self.shard(tombstone.digest).put(tombstone) {
            return;
        }
        match place {
            Some(place) => place.keep(),
            None => Reservation::new(&self.places).take().keep(),
        }
    }

    /// The number of shards.
    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The tombstones of one shard, `0..shards()`, in no order.
    pub(crate) fn of_shard(&self, shard: usize) -> Vec<Tombstone> {
        lock(&self.shards[shard]).tombstones.iter().copied().collect()
    }
}

/// Locks a shard even if it is poisoned: nothing under the lock panics but for want of memory, and then a tombstone is there or not.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Whether an event is of a time up to which its customer was erased. The customer's shard must be locked, so that the
    /// answer holds until the event is applied; a yes holds for ever.
    #[inline]
    pub(crate) fn is_erased(&self, event: &Event) -> bool {
        event.time.unix_ms <= self.tombstones.newest_ms.load(Ordering::Relaxed) && self.has_tombstone(event)
    }

    #[cold]
    fn has_tombstone(&self, event: &Event) -> bool {
        let tombstone = self.tombstones.get(self.digest(&event.customer));
        tombstone.is_some_and(|tombstone| event.time.unix_ms <= tombstone.erased_until_ms)
    }

    /// How many tombstones there are.
    #[must_use]
    pub fn tombstone_count(&self) -> usize {
        self.tombstones.len()
    }

    /// All tombstones, in no order. Copies some 40 bytes of each.
    #[must_use]
    pub fn tombstones(&self) -> Vec<Tombstone> {
        (0..self.tombstones.shards()).flat_map(|shard| self.tombstones.of_shard(shard)).collect()
    }

    /// The erasures of customers of whom the log may still hold records; `None` if there are none. After a restart they are
    /// those again whose content nobody has erased since: see [`Engine::log_content_erased`].
    #[must_use]
    pub fn pending_erasures(&self) -> Option<PendingErasures> {
        let of = |shard: &Mutex<Shard>| lock(shard).pending;
        self.tombstones.shards.iter().filter_map(of).reduce(PendingErasures::and)
    }

    /// Says that no file of the directory holds records any more of customers whose erasures have positions up to this one; the
    /// next snapshot keeps that. To be called when that is durable: after a call that comes too early, nothing looks for
    /// these records again.
    pub fn log_content_erased(&self, below_or_at: u64) {
        self.tombstones.shards.iter().for_each(|shard| lock(shard).content_erased(below_or_at));
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests;
