//! The digest of a customer's id, under which an erasure is kept: whoever reads it and not the key cannot tell whose it is.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};
use upbeat_core::event::{Id, IdRef};

use crate::decision_ids::{IdKey, MOST_HASHED, put_hashed};
use crate::{Engine, Started};

/// What the numbers derived from the key of ids are for.
mod purpose {
    pub(super) const FIRST_OF_DIGESTS: u8 = 3;
    pub(super) const SECOND_OF_DIGESTS: u8 = 4;
    pub(super) const FINGERPRINT: u8 = 5;
}

/// The key of digests, derived from that of decisions' ids, so that it is kept with the log and the snapshots.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct DigestKey([u64; 2]);

/// With the key, the digests of all numbers are made in minutes.
impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(…)")
    }
}

impl DigestKey {
    /// The key of a directory's digests.
    pub(crate) fn of(key: IdKey) -> Self {
        Self([key.derived(purpose::FIRST_OF_DIGESTS), key.derived(purpose::SECOND_OF_DIGESTS)])
    }

    /// The digest of an id: SipHash-2-4 with 128 bits. Two of a hundred million ids share one with a chance of 1 in 10^22.
    pub(crate) fn digest(self, id: IdRef<'_>) -> [u8; 16] {
        let mut bytes = [0; MOST_HASHED];
        let length = put_hashed(id, &mut bytes);
        let mut hasher = SipHasher24::new_with_keys(self.0[0], self.0[1]);
        hasher.write(&bytes[..length]);
        hasher.finish128().as_bytes()
    }
}

/// What tells the tombstones of one directory from those of another, as 16 hexadecimal digits: it is derived from the key.
fn fingerprint(key: IdKey) -> String {
    format!("{:016x}", key.derived(purpose::FINGERPRINT))
}

impl Started {
    /// The fingerprint of the directory in which this process began; see [`Engine::server_fingerprint`].
    #[must_use]
    pub fn server_fingerprint(&self) -> String {
        fingerprint(self.id_key)
    }
}

impl Engine {
    /// The digest under which an erasure of this customer is kept.
    #[must_use]
    pub fn digest(&self, customer: &Id) -> [u8; 16] {
        self.decision_ids.digests().digest(customer.as_ref())
    }

    /// What tells this server's tombstones from those of another: 16 hexadecimal digits, the same for as long as its directory
    /// and its copies last, and of this process alone without a directory.
    #[must_use]
    pub fn server_fingerprint(&self) -> String {
        fingerprint(self.decision_ids.key())
    }
}
