//! Taking tombstones that were kept elsewhere: whoever was erased after a backup must be erased from what it restores.

use std::collections::HashMap;

use super::Tombstone;
use crate::log::{Payload, Use};
use crate::{Engine, NotRemoved};

/// What came of tombstones that were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Buried {
    /// Tombstones that were not known, or erase more than was known.
    pub taken: usize,
    /// Customers who were held and are erased now.
    pub customers: usize,
}

impl Engine {
    /// Takes tombstones of [`Engine::tombstones`], as kept in a [`file`](super::file): the customers whose they are and who are
    /// held are erased, and events of all of them up to the time of the tombstone are answered `erased` from now on. Each of
    /// those that are not known here becomes a record in the log and a pending erasure of `wall_ms` (Unix milliseconds):
    /// its customer's records may be in the log. What the tombstones say of their own positions does not matter.
    ///
    /// It looks at every customer, so it takes some 100 ms for a million. To be called before anything is answered, of
    /// tombstones with this engine's [fingerprint](Engine::server_fingerprint). They count once they are
    /// durable: [`Engine::barrier`], asked after it.
    ///
    /// # Errors
    /// There are more than may be, or the log has no room for all: what was taken stays taken. Where it is
    /// [`NotRemoved::LogUnavailable`], call it again with the same tombstones when the log has written some of it.
    pub fn bury(&self, tombstones: &[Tombstone], wall_ms: i64) -> Result<Buried, NotRemoved> {
        let mut new: HashMap<[u8; 16], i64> = HashMap::new();
        for Tombstone { digest, erased_until_ms, .. } in tombstones {
            let known = self.tombstones.get(*digest);
            if known.is_none_or(|known| known.erased_until_ms < *erased_until_ms) {
                let until_ms = new.entry(*digest).or_insert(*erased_until_ms);
                *until_ms = (*until_ms).max(*erased_until_ms);
            }
        }
        let mut buried = Buried::default();
        if new.is_empty() {
            return Ok(buried);
        }
        let _erasing = self.erasures.begin();
        for shard in 0..self.customers.shards() {
            for id in self.customers.ids(shard) {
                let digest = self.digest(&id);
                let Some(until_ms) = new.get(&digest).copied() else { continue };
                // What is held is of an older state, so all of it is of before the erasure.
                let until = |held_ms: Option<i64>| held_ms.map_or(until_ms, |held_ms| held_ms.max(until_ms));
                buried.customers += usize::from(self.erase(&id, wall_ms, until)?);
                buried.taken += 1;
                new.remove(&digest);
            }
        }
        for (digest, erased_until_ms) in new {
            self.bury_unknown(Tombstone { digest, erased_until_ms, made_ms: wall_ms, position: 0 })?;
            buried.taken += 1;
        }
        Ok(buried)
    }

    /// Takes the tombstone of somebody who is not held, and whose id nobody knows.
    fn bury_unknown(&self, mut tombstone: Tombstone) -> Result<(), NotRemoved> {
        let place = self.place_for(tombstone.digest)?;
        if let Some(log) = self.log.get() {
            let payload = Payload::of_tombstone(&tombstone);
            let room = log.room(Use::Erasure, 1, payload.bytes().len());
            tombstone.position = room.ok_or(NotRemoved::LogUnavailable)?.publish(&payload, 0);
        }
        self.tombstones.put(tombstone, place);
        Ok(())
    }
}
