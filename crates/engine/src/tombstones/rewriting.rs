//! What becomes of the records of history when those of erased customers go.

use std::collections::HashMap;

use upbeat_core::encoding::DecodeError;
use upbeat_journal::{Record, Rewrite};

use super::{DigestKey, Tombstone};
use crate::Engine;
use crate::log::{Entry, customer_of, kind};

impl Engine {
    /// The rule by which the history of the log is rewritten, so that nothing of the customers is left in it whose erasures are
    /// pending at this moment: their records below the erasure go, and the record of an erasure, which names the customer,
    /// becomes that of a tombstone, which does not. Of tracks nothing goes, whatever their ids.
    ///
    /// It is for files that no recovery reads any more, below what [`Snapshotter::log_needed_from`] says: with one of them
    /// rewritten, an older snapshot would bring the customer back. Once all files below
    /// [`PendingErasures::position`](super::PendingErasures::position) are rewritten, durably, and no snapshot is older,
    /// [`Engine::log_content_erased`] is told that position, as it was before this was called.
    ///
    /// The rule gives an error for a record that cannot be read. It changes nothing a second time. It copies 40 bytes of each
    /// erasure that is pending.
    ///
    /// [`Snapshotter::log_needed_from`]: crate::storage::Snapshotter::log_needed_from
    pub fn rewrite_rule(&self) -> impl Fn(&Record<'_>) -> Result<Rewrite, DecodeError> + Send + Sync + use<> {
        let pending = self.tombstones().into_iter().filter(|tombstone| tombstone.position > 0);
        let pending: HashMap<[u8; 16], Tombstone> = pending.map(|of| (of.digest, of)).collect();
        let key = self.decision_ids.digests();
        move |record| rewrite(&pending, key, record)
    }
}

fn rewrite(
    pending: &HashMap<[u8; 16], Tombstone>,
    key: DigestKey,
    record: &Record<'_>,
) -> Result<Rewrite, DecodeError> {
    let Some(customer) = customer_of(record.kind, record.payload)? else { return Ok(Rewrite::Keep) };
    let nameless = |tombstone: Tombstone| {
        let (kind, payload) = Entry::Tombstone(tombstone).encode();
        Rewrite::Replace(kind, payload)
    };
    if record.kind == kind::ERASURE {
        // Also below a later erasure of the same customer: what it says stays true.
        return Ok(match Entry::decode(record.kind, record.payload)? {
            Entry::Erasure { tombstone, .. } => nameless(tombstone),
            _ => Rewrite::Keep,
        });
    }
    Ok(match pending.get(&key.digest(customer)) {
        Some(tombstone) if record.kind == kind::ERASED && record.position <= tombstone.position => {
            nameless(*tombstone)
        }
        Some(tombstone) if record.position < tombstone.position => Rewrite::Drop,
        _ => Rewrite::Keep,
    })
}
