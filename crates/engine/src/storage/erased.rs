//! Who was erased, by the records of a log: whoever lists events of it leaves theirs out.

use std::collections::HashMap;

use upbeat_core::event::Id;

use crate::log::Entry;
use crate::tombstones::DigestKey;

/// The erasures in a log, and their positions. It holds 24 bytes of each erasure.
#[derive(Debug, Default)]
pub struct ErasedCustomers {
    key: Option<DigestKey>,
    digests: HashMap<[u8; 16], u64>,
    /// Of erasures of versions without tombstones.
    ids: HashMap<Id, u64>,
}

impl ErasedCustomers {
    /// Takes note of an entry of a [dump](super::dump()) or a log, with its position; all are to be given before the first is asked
    /// about. What is of a snapshot has no position, and erases nothing: it is not there.
    pub fn note(&mut self, position: Option<u64>, entry: &Entry) {
        if let Entry::Started(started) = entry {
            self.key = Some(DigestKey::of(started.id_key));
        }
        let Some(position) = position else { return };
        match entry {
            Entry::Erased { customer } => raise(self.ids.entry(customer.clone()).or_default(), position),
            Entry::Erasure { tombstone, .. } | Entry::Tombstone(tombstone) => {
                raise(self.digests.entry(tombstone.digest).or_default(), position);
            }
            _ => {}
        }
    }

    /// Whether this customer was erased after an entry with this position, or after the snapshot that it is of.
    #[must_use]
    pub fn covers(&self, position: Option<u64>, customer: &Id) -> bool {
        let digest = || self.key.map(|key| key.digest(customer.as_ref()));
        let by_digest = || self.digests.get(&digest()?).copied();
        let by_digest = if self.digests.is_empty() { None } else { by_digest() };
        let by_id = self.ids.get(customer).copied();
        by_digest.max(by_id).is_some_and(|erased| position.is_none_or(|position| position < erased))
    }
}

fn raise(held: &mut u64, position: u64) {
    *held = position.max(*held);
}
