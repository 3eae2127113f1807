//! The coins of decisions: keyed hashes (SipHash-1-3), so that nobody knows them beforehand and holdouts stay.

use siphasher::sip::SipHasher13;
use upbeat_core::campaign::Slot;
use upbeat_core::decision::policy::{Coins, Salt};
use upbeat_core::event::Id;

use crate::decision_ids::{IdKey, MOST_HASHED, put_hashed};

/// What the keys are derived for: numbers that nothing else has.
mod purpose {
    pub(super) const COINS: [u8; 2] = [6, 7];
    pub(super) const HOLDOUTS: [u8; 2] = [8, 9];
}

/// The keys of coins, derived from that of decisions' ids, so that they are kept with the log and the snapshots.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CoinKeys {
    coins: SipHasher13,
    holdouts: SipHasher13,
}

impl CoinKeys {
    /// Derived from this key.
    pub fn of(key: IdKey) -> Self {
        let hasher = |purposes: [u8; 2]| {
            let [one, other] = purposes.map(|purpose| key.derived(purpose));
            SipHasher13::new_with_keys(one, other)
        };
        Self { coins: hasher(purpose::COINS), holdouts: hasher(purpose::HOLDOUTS) }
    }
}

/// The coins of one decision for a customer: functions of its number.
#[derive(Debug)]
pub(super) struct DecisionCoins<'a> {
    pub keys: &'a CoinKeys,
    pub number: u64,
    pub customer: &'a Id,
}

impl DecisionCoins<'_> {
    /// The coin of a purpose: 0 for the toss, and those of pacing by their campaigns.
    fn coin(&self, of: u32) -> u64 {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.number.to_le_bytes());
        bytes[8..].copy_from_slice(&of.to_le_bytes());
        self.keys.coins.hash(&bytes)
    }
}

impl Coins for DecisionCoins<'_> {
    fn toss(&self) -> u64 {
        self.coin(0)
    }

    fn pass(&self, campaign: Slot) -> u64 {
        self.coin(u32::from(campaign.0) + 1)
    }

    fn holdout(&self, salt: Salt<'_>) -> u64 {
        let mut bytes = [0; 1 + 2 * MOST_HASHED];
        let mut length = 1;
        if let Salt::Campaign(campaign) = salt {
            bytes[0] = 1;
            length += put_hashed(campaign.as_ref(), &mut bytes[length..]);
            // An id has a length of its own, or the end of one could be the beginning of the other.
            bytes[0] |= (length as u8) << 1;
        }
        length += put_hashed(self.customer.as_ref(), &mut bytes[length..]);
        self.keys.holdouts.hash(&bytes[..length])
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use upbeat_core::campaign::{Rate, Share};

    use super::*;

    fn coins<'a>(keys: &'a CoinKeys, number: u64, customer: &'a Id) -> DecisionCoins<'a> {
        DecisionCoins { keys, number, customer }
    }

    #[test]
    fn coins_of_a_decision_are_independent_and_fall_as_often_as_their_rate_says() {
        let (keys, customer) = (CoinKeys::of(IdKey([1, 2])), Id::Number(48));
        let (rate, mut fell) = (Rate(65_535 / 5), [0_u32; 4]);
        for number in 0..100_000 {
            let coins = coins(&keys, number, &customer);
            let [one, other] = [0, 1].map(|slot| rate.falls(|| coins.pass(Slot(slot))));
            let toss = Share::of(0.2).takes(coins.toss());
            for (count, fell) in fell.iter_mut().zip([one, other, one && other, toss && one]) {
                *count += u32::from(fell);
            }
        }
        // Five standard deviations.
        for (count, expected) in fell.into_iter().zip([20_000.0, 20_000.0, 4_000.0, 4_000.0_f64]) {
            assert!((f64::from(count) - expected).abs() < 5.0 * expected.sqrt(), "{count} of {expected}");
        }
    }

    #[test]
    fn holdouts_of_two_campaigns_overlap_as_if_by_chance_and_stay_while_the_number_changes() {
        let keys = CoinKeys::of(IdKey([1, 2]));
        let (a, b) = (Id::Text("a".into()), Id::Text("b".into()));
        let (share, mut both) = (Share::of(0.1), 0_u32);
        for customer in (0..100_000).map(Id::Number) {
            let held = |number, salt| share.takes(coins(&keys, number, &customer).holdout(salt));
            let first = held(1, Salt::Campaign(&a));
            assert_eq!(first, held(2, Salt::Campaign(&a)));
            both += u32::from(first && held(1, Salt::Campaign(&b)));
        }
        assert!((900..=1100).contains(&both), "{both} of 100,000 are in both of 10 %");
    }
}
