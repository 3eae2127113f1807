//! Ids of decisions, and how one that was given is told from one that was not.
//!
//! The id of a decision that shows an ad is a number and a tag: a keyed hash of the number, the customer and the campaign
//! (SipHash-1-3; Aumasson and Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012). The key is random and kept with the
//! data. So a confirmation is accepted although a loss of power took the record of its decision, and one of an id that was
//! never given, or given for another customer, is refused. Ids of all other decisions have the highest bit set, and
//! nothing confirms them.
//!
//! An id has 64 bits. The number takes 32 of them at first and leaves 29 to the tag: a guess is right once in 500 million.
//! After 4 billion ads it takes 39, after 500 billion 46, which are 70 trillion.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use siphasher::sip::SipHasher13;
use upbeat_core::campaign::Slot;
use upbeat_core::event::{DecisionId, Id, IdRef, MAX_ID_LENGTH};

use crate::campaigns::Slots;
use crate::decide::CoinKeys;
use crate::striped::Numbers;
use crate::tombstones::DigestKey;

/// Set in the ids of decisions that show nothing.
pub(crate) const UNSHOWN: u64 = 1 << 63;

/// Bits below the two that say how many bits the number has.
const BITS: u32 = 61;

/// How many bits the number has: as few as it needs.
const NUMBER_BITS: [u32; 3] = [32, 39, 46];

/// Bytes of an id as [`put_hashed`] puts them, at most.
pub(crate) const MOST_HASHED: usize = 1 + MAX_ID_LENGTH;

/// Puts an id as keyed hashes take it, so that no number is hashed as a text is; returns how many bytes that takes. They are
/// kept by what the hashes are kept in: other bytes would be other ids and digests.
pub(crate) fn put_hashed(id: IdRef<'_>, into: &mut [u8]) -> usize {
    let number;
    let (kind, id) = match id {
        IdRef::Number(of) => {
            number = of.to_le_bytes();
            (0, number.as_slice())
        }
        IdRef::Text(text) => (1, text.as_bytes()),
    };
    into[0] = kind;
    into[1..=id.len()].copy_from_slice(id);
    1 + id.len()
}

/// The secret of ids.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdKey(pub(crate) [u64; 2]);

/// Whoever reads a log of the program must not be able to make ids.
impl fmt::Debug for IdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdKey(…)")
    }
}

impl IdKey {
    /// A key for as long as the process lasts.
    fn of_process() -> Self {
        let random = RandomState::new();
        Self([random.hash_one(0), random.hash_one(1)])
    }

    /// Where numbers begin that nothing was kept of. It differs from key to key, so that ids of a directory that was removed, or of
    /// a process without one, do not come again.
    fn first_number(self) -> u64 {
        self.0[0] >> 34
    }

    fn hash(self, before: &[u8], id: &Id) -> u64 {
        let mut bytes = [0; 8 + MOST_HASHED];
        let (head, rest) = bytes.split_at_mut(before.len());
        head.copy_from_slice(before);
        let length = before.len() + put_hashed(id.as_ref(), rest);
        SipHasher13::new_with_keys(self.0[0], self.0[1]).hash(&bytes[..length])
    }

    /// A number that is derived from the key for one purpose, `3..=255`: 1 and 2 give the keys of campaigns. Nobody who knows it
    /// knows another, or the key.
    pub(crate) fn derived(self, purpose: u8) -> u64 {
        self.hash(&[purpose], &Id::Number(0))
    }

    /// A key for the ids of one campaign.
    pub(crate) fn of_campaign(self, campaign: &Id) -> Self {
        Self([self.hash(&[1], campaign), self.hash(&[2], campaign)])
    }

    /// The id of the decision of this number to show an ad to a customer; this is a campaign's key.
    fn id(self, number: u64, customer: &Id) -> DecisionId {
        let last = NUMBER_BITS.len() - 1;
        let class = NUMBER_BITS[..last].iter().position(|bits| number >> bits == 0).unwrap_or(last);
        let bits = NUMBER_BITS[class];
        let number = number & ((1 << bits) - 1);
        let tag = self.hash(&number.to_le_bytes(), customer) >> (64 - BITS + bits);
        DecisionId((class as u64) << BITS | number << (BITS - bits) | tag)
    }
}

/// The number of a decision that shows an ad; `None` if the id cannot be that of one.
fn number_of(id: DecisionId) -> Option<u64> {
    let bits = NUMBER_BITS.get((id.0 >> BITS) as usize)?;
    Some((id.0 & ((1 << BITS) - 1)) >> (BITS - bits))
}

/// Numbers of decisions that are not given yet: above all that were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct NextNumbers {
    /// Of decisions that show nothing.
    pub unshown: u64,
    /// Of decisions that show an ad.
    pub shown: u64,
}

impl NextNumbers {
    /// Above all that either of them is above of.
    pub fn max(self, other: Self) -> Self {
        Self { unshown: self.unshown.max(other.unshown), shown: self.shown.max(other.shown) }
    }

    /// Above the number of this decision.
    pub fn above(id: DecisionId) -> Self {
        match number_of(id) {
            Some(number) => Self { unshown: 0, shown: number.saturating_add(1) },
            None => Self { unshown: (id.0 & !UNSHOWN).saturating_add(1), shown: 0 },
        }
    }
}

/// A key of ids, and those that are derived from it.
#[derive(Debug)]
struct Keys {
    ids: IdKey,
    digests: DigestKey,
    coins: CoinKeys,
}

impl From<IdKey> for Keys {
    fn from(ids: IdKey) -> Self {
        Self { ids, digests: DigestKey::of(ids), coins: CoinKeys::of(ids) }
    }
}

/// The ids of an engine's decisions.
pub(crate) struct DecisionIds {
    unshown: Numbers,
    shown: Numbers,
    of_process: Keys,
    /// Set once, when a directory is opened.
    kept: OnceLock<Keys>,
}

impl DecisionIds {
    /// Ids with a key of this process; numbers of decisions that show nothing are at least `first`.
    pub fn new(first: u64) -> Self {
        let key = IdKey::of_process();
        Self {
            unshown: Numbers::new(first & !UNSHOWN),
            shown: Numbers::new(key.first_number()),
            of_process: key.into(),
            kept: OnceLock::new(),
        }
    }

    /// Goes on with the key of a directory and above the numbers that were given with it; 0 are none.
    pub fn keep(&self, key: IdKey, next: NextNumbers) {
        // Small, so that a decision takes few bytes in the log.
        let first = |next| if next == 0 { key.first_number() } else { next };
        self.unshown.restart(first(next.unshown));
        self.shown.restart(first(next.shown));
        // A second directory is refused before.
        let _ = self.kept.set(key.into());
    }

    fn keys(&self) -> &Keys {
        self.kept.get().unwrap_or(&self.of_process)
    }

    /// The key, to be kept.
    pub fn key(&self) -> IdKey {
        self.keys().ids
    }

    /// The key of digests of customers' ids, which is derived from it.
    pub fn digests(&self) -> DigestKey {
        self.keys().digests
    }

    /// The keys of coins, which are derived from it.
    pub fn coins(&self) -> &CoinKeys {
        &self.keys().coins
    }

    /// Above all numbers that were given.
    pub fn next(&self) -> NextNumbers {
        NextNumbers { unshown: self.unshown.highest(), shown: self.shown.highest() }
    }

    /// The id of a decision that shows nothing.
    #[inline]
    pub fn unshown(&self) -> DecisionId {
        DecisionId(UNSHOWN | self.unshown.take())
    }

    /// A number for a decision that shows an ad of the campaign of this key, and its id.
    pub fn shown(&self, campaign: IdKey, customer: &Id) -> (u64, DecisionId) {
        let number = self.shown.take();
        (number, campaign.id(number, customer))
    }

    /// Whether the number of this id was given to a decision that showed an ad: to whom is in its tag.
    pub fn was_given(&self, id: DecisionId) -> bool {
        let given = self.key().first_number()..self.shown.highest();
        number_of(id).is_some_and(|number| given.contains(&number))
    }

    /// The campaign whose ad a decision has shown to this customer, by the id alone; `None` if there was no such decision.
    pub fn campaign_of(&self, slots: &Slots, id: DecisionId, customer: &Id) -> Option<Slot> {
        let number = number_of(id).filter(|number| *number < self.shown.highest())?;
        slots.keys().find(|(_, key)| key.id(number, customer) == id).map(|(slot, _)| slot)
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests;
