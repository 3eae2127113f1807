//! The usual form of a decision: it is written where it stays, without allocation, since nearly every decision has it.

use upbeat_core::event::Id;
use upbeat_core::feature::FEATURE_COUNT;

use super::{Coins, ELIGIBLE, EPOCH_MS, Facts, HAS_COINS, MOST_MS, NO_CAMPAIGN, code, day_parts};
use crate::ModelId;
use crate::decision_ids::UNSHOWN;

/// Its bytes up to the decision's number.
const USUAL: usize = 23;

/// The bytes of a model's id where it is six of them in hexadecimal digits, as ids of models are. All digits are read at once,
/// without a branch for each.
#[inline]
fn packed_model(model: ModelId) -> Option<[u8; 6]> {
    let digits: [u8; 12] = model.as_bytes().try_into().ok()?;
    let (mut values, mut are_digits) = ([0; 12], true);
    for (value, digit) in values.iter_mut().zip(digits) {
        are_digits &= digit.is_ascii_digit() | (b'a'..=b'f').contains(&digit);
        *value = (digit & 0xf) + 9 * (digit >> 6);
    }
    let mut packed = [0; 6];
    for (byte, pair) in packed.iter_mut().zip(values.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    are_digits.then_some(packed)
}

/// A decision that has the usual form, without its coins.
#[derive(Debug)]
pub(in crate::log) struct Usual {
    first: u8,
    customer: u32,
    /// After 2020, of five bytes.
    ms: u64,
    campaign: u8,
    parts: [u8; FEATURE_COUNT],
    model: [u8; 6],
    /// Of the decision and of the campaigns' version.
    numbers: [u64; 2],
}

impl Usual {
    /// What a decision came to in the usual form; `None` where it does not have it.
    #[inline]
    pub fn of(customer: &Id, facts: &Facts<'_>) -> Option<Self> {
        let Id::Number(customer) = customer else { return None };
        let customer = u32::try_from(*customer).ok()?;
        let ms = u64::try_from(facts.time_ms.checked_sub(EPOCH_MS)?).ok().filter(|ms| *ms < MOST_MS)?;
        let campaign = match facts.campaign {
            None => NO_CAMPAIGN,
            Some(slot) => u8::try_from(slot).ok().filter(|slot| *slot != NO_CAMPAIGN)?,
        };
        let (counts, model) = (facts.counts?, packed_model(facts.model?)?);
        let (mut parts, mut all) = ([0; FEATURE_COUNT], 0);
        for (byte, part) in parts.iter_mut().zip(counts.parts) {
            all |= part;
            *byte = part as u8;
        }
        if all > 0xff || day_parts(&counts) != u32::from(counts.plays) {
            return None;
        }
        let flag = if facts.eligible { ELIGIBLE } else { 0 };
        let coins = if facts.coins == Coins::None { 0 } else { HAS_COINS };
        let first = code(facts.reason) | flag | coins;
        let numbers = [facts.id.0 ^ UNSHOWN, facts.version];
        Some(Self { first, customer, ms, campaign, parts, model, numbers })
    }

    /// How many bytes it takes.
    #[inline]
    pub fn length(&self) -> usize {
        let of = |number: u64| (u64::BITS - (number | 1).leading_zeros()).div_ceil(7) as usize;
        USUAL + of(self.numbers[0]) + of(self.numbers[1])
    }

    /// Writes it into so many bytes.
    #[inline]
    pub fn write(&self, into: &mut [u8]) {
        let (head, mut rest) = into.split_at_mut(USUAL);
        head[0] = self.first;
        head[1..5].copy_from_slice(&self.customer.to_le_bytes());
        head[5..10].copy_from_slice(&self.ms.to_le_bytes()[..5]);
        head[10] = self.campaign;
        head[11..17].copy_from_slice(&self.parts);
        head[17..].copy_from_slice(&self.model);
        for mut number in self.numbers {
            let mut end = 0;
            while number >= 0x80 {
                rest[end] = number as u8 | 0x80;
                number >>= 7;
                end += 1;
            }
            rest[end] = number as u8;
            rest = &mut rest[end + 1..];
        }
    }
}
