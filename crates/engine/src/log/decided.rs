//! What a decision came to, as the log keeps it: with what estimates and models need to learn from it.
//!
//! Nearly all decisions are of the usual form, which takes 23 bytes before the numbers of the decision and of the campaigns:
//!
//! ```text
//! reason, eligible, form, coins u8 | customer u32 | time, ms since 2020 u40 | campaign u8 |
//! morning, afternoon, evening, night, mobile, unique: u8 each | model: six bytes, of which its id is the digits |
//! decision varint | campaigns' version varint | coins, where there are any
//! ```
//!
//! Score and probability are not kept: the model gives them again, to the bit, from the counts.

mod usual;

use std::borrow::Cow;

use upbeat_core::campaign::{Plan, Rate, Share};
use upbeat_core::decision::Reason;
use upbeat_core::decision::policy::{self, Verdict};
use upbeat_core::encoding::{DecodeError, Decoder, put_id, put_varint, unzigzag, zigzag};
use upbeat_core::event::{DecisionId, Id, IdRef, Time};
use upbeat_core::feature::Counts;

use super::parts::{decode_model, text};
use crate::ModelId;
use crate::decision_ids::UNSHOWN;
pub(super) use usual::Usual;

/// What a decision came to, but for the customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts<'a> {
    /// Its id.
    pub id: DecisionId,
    /// When, by the engine's clock, in Unix milliseconds.
    pub time_ms: i64,
    /// Why.
    pub reason: Reason,
    /// Whether estimates may use it: not where a deterministic rule refused every campaign, and not after the toss of the day.
    pub eligible: bool,
    /// The slot of the campaign that the answer names.
    pub campaign: Option<u16>,
    /// The version of the campaigns that were in force.
    pub version: u64,
    /// The model of that campaign.
    pub model: Option<ModelId>,
    /// What the features were computed from; `None` where the policy did not come so far.
    pub counts: Option<Counts>,
    /// The coins that were thrown for it.
    pub coins: Coins<'a>,
}

/// The coins of a decision, and with them the propensity of every action.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Coins<'a> {
    /// None: what was done was certain.
    #[default]
    None,
    /// One for each of these campaigns in this order, until one falls: its slot, and how many of 65,535 fall. Each is possible
    /// and none certain, but for the last, which may be certain.
    Pacing(Cow<'a, [(u16, u16)]>),
    /// One toss for these campaigns, or none: their slots, and how many of 2^64 are theirs; `u64::MAX` is all.
    Exploration(Cow<'a, [(u16, u64)]>),
}

impl Facts<'_> {
    /// How probable each action was, with every coin in it: that nothing is shown, and for each campaign that was possible, by its
    /// slot, that it is, or would be but for a holdout. Together they are 1.
    #[must_use]
    pub fn propensities(&self) -> (f64, Vec<(u16, f64)>) {
        let mut none = 1.0;
        let shows = match &self.coins {
            Coins::None => {
                let shown = self.campaign.filter(|_| self.reason.shows() || self.reason == Reason::HeldOut);
                return (
                    if shown.is_some() { 0.0 } else { 1.0 },
                    shown.map(|slot| (slot, 1.0)).into_iter().collect(),
                );
            }
            Coins::Pacing(of) => {
                let mut shows = Vec::with_capacity(of.len());
                for (slot, rate) in &**of {
                    let rate = Rate(*rate).value();
                    shows.push((*slot, none * rate));
                    none *= 1.0 - rate;
                }
                shows
            }
            Coins::Exploration(of) => {
                let shows: Vec<_> =
                    of.iter().map(|(slot, share)| (*slot, Share::of_count(*share).value())).collect();
                shows.iter().for_each(|(_, share)| none -= share);
                shows
            }
        };
        (none.max(0.0), shows)
    }
}

impl Coins<'static> {
    /// The coins of a verdict. `pass` gives the pacing rate of a campaign at the decision, by its place in the plan.
    #[inline]
    pub fn of(plan: &Plan, counts: &Counts, pass: impl Fn(usize) -> Rate, verdict: &Verdict) -> Self {
        let is_certain = || policy::bits(verdict.passed).all(|index| pass(index) == Rate::ALWAYS);
        if verdict.explored == 0 && is_certain() {
            return Self::None;
        }
        Self::thrown(plan, counts, &pass, verdict)
    }

    #[cold]
    fn thrown(plan: &Plan, counts: &Counts, pass: &impl Fn(usize) -> Rate, verdict: &Verdict) -> Self {
        if verdict.explored != 0 {
            let share =
                |index: usize| (plan.campaigns[index].slot.0, plan.campaigns[index].exploration.count());
            return Self::Exploration(policy::bits(verdict.explored).map(share).collect());
        }
        let mut of = Vec::new();
        for index in policy::contest_order(plan, counts, verdict) {
            match pass(index) {
                Rate::NEVER => {}
                Rate::ALWAYS if of.is_empty() => break,
                rate => of.push((plan.campaigns[index].slot.0, rate.0)),
            }
            if pass(index) == Rate::ALWAYS {
                break;
            }
        }
        if of.is_empty() { Self::None } else { Self::Pacing(of.into()) }
    }
}

/// The first byte: the reason, and these.
const REASON: u8 = 0x1f;
const ELIGIBLE: u8 = 0x20;
const OTHER_FORM: u8 = 0x40;
const HAS_COINS: u8 = 0x80;

/// 2020-01-01, and the milliseconds after it that have five bytes: up to the year 2054.
const EPOCH_MS: i64 = 1_577_836_800_000;
const MOST_MS: u64 = 1 << 40;

/// Stands for no campaign.
const NO_CAMPAIGN: u8 = u8::MAX;

/// The most campaigns whose coins a decision has.
const MOST_COINS: usize = 64;

/// The number of a reason in records, for ever.
fn code(reason: Reason) -> u8 {
    match reason {
        Reason::LikelyToClick => 0,
        Reason::UnlikelyToClick => 1,
        Reason::AlreadyGold => 2,
        Reason::NotInAudience => 3,
        Reason::UnknownCustomer => 4,
        Reason::TooLittleHistory => 5,
        Reason::NoModel => 6,
        Reason::Capped => 7,
        Reason::LogUnavailable => 8,
        Reason::NoCampaign => 9,
        Reason::Paused => 10,
        Reason::NotScheduled => 11,
        Reason::CoolingDown => 12,
        Reason::OverBudget => 13,
        Reason::Paced => 14,
        Reason::HeldOut => 15,
        Reason::Exploring => 16,
    }
}

fn reason(code: u8) -> Result<Reason, DecodeError> {
    let of = Reason::ALL.into_iter().find(|reason| self::code(*reason) == code);
    of.ok_or_else(|| DecodeError::bad("a reason", code))
}

/// Every play has a part of the day.
fn day_parts(counts: &Counts) -> u32 {
    counts.parts[..4].iter().map(|part| u32::from(*part)).sum()
}

/// The bytes in whatever form.
pub(super) fn encode(customer: &Id, facts: &Facts<'_>) -> Vec<u8> {
    let mut into = Vec::with_capacity(96);
    put(customer, facts, &mut into);
    into
}

/// Appends the bytes in whatever form.
pub(super) fn put(customer: &Id, facts: &Facts<'_>, into: &mut Vec<u8>) {
    if let Some(usual) = Usual::of(customer, facts) {
        let begun = into.len();
        into.resize(begun + usual.length(), 0);
        usual.write(&mut into[begun..]);
    } else {
        encode_other(customer, facts, into);
    }
    match &facts.coins {
        Coins::None => {}
        Coins::Pacing(of) => {
            put_varint(into, (of.len() as u64) << 1);
            for (slot, rate) in &**of {
                put_varint(into, (*slot).into());
                into.extend_from_slice(&rate.to_le_bytes());
            }
        }
        Coins::Exploration(of) => {
            put_varint(into, (of.len() as u64) << 1 | 1);
            for (slot, share) in &**of {
                put_varint(into, (*slot).into());
                into.extend_from_slice(&share.to_le_bytes());
            }
        }
    }
}

fn encode_other(customer: &Id, facts: &Facts<'_>, into: &mut Vec<u8>) {
    let flag = if facts.eligible { ELIGIBLE } else { 0 };
    let coins = if facts.coins == Coins::None { 0 } else { HAS_COINS };
    into.push(code(facts.reason) | flag | coins | OTHER_FORM);
    put_id(into, customer.as_ref());
    put_varint(into, zigzag(facts.time_ms));
    put_varint(into, facts.campaign.map_or(0, |slot| u64::from(slot) + 1));
    match &facts.counts {
        None => put_varint(into, 0),
        Some(counts) => {
            put_varint(into, u64::from(counts.plays) + 1);
            counts.parts.iter().for_each(|part| put_varint(into, (*part).into()));
        }
    }
    let model = facts.model.as_ref().map_or(&[][..], ModelId::as_bytes);
    into.push(model.len() as u8);
    into.extend_from_slice(model);
    put_varint(into, facts.id.0 ^ UNSHOWN);
    put_varint(into, facts.version);
}

/// The id of a model of these bytes: without formatting, since recovery reads nearly every decision so.
fn unpacked_model(packed: &[u8]) -> ModelId {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = packed.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    let digits: String = digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect();
    ModelId::new(&digits)
}

/// Of whom a decision is.
pub(super) fn customer_of<'a>(from: &mut Decoder<'a>) -> Result<IdRef<'a>, DecodeError> {
    let what = "a customer";
    match from.byte("a decision")? & OTHER_FORM {
        0 => Ok(IdRef::Number(from.u32(what)?.into())),
        _ => from.id_ref(what),
    }
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(from: &mut Decoder<'_>) -> Result<(Id, Facts<'static>), DecodeError> {
    let first = from.rest().first().copied().unwrap_or_default();
    let customer: Id = customer_of(from)?.to_id();
    let (time_ms, campaign, counts, model);
    if first & OTHER_FORM == 0 {
        let (seconds, high) = (from.u32("a time")?, from.byte("a time")?);
        time_ms = EPOCH_MS + (i64::from(seconds) | i64::from(high) << 32);
        campaign = Some(from.byte("a campaign")?).filter(|slot| *slot != NO_CAMPAIGN).map(u16::from);
        let mut of = Counts::default();
        for part in &mut of.parts {
            *part = from.byte("counts")?.into();
        }
        of.plays = day_parts(&of) as u16;
        counts = Some(of);
        model = Some(unpacked_model(from.bytes(6, "a model's id")?));
    } else {
        let ms = unzigzag(from.varint("a time")?);
        let time = Time::from_parts(ms, 0, false).ok_or_else(|| DecodeError::bad("a time", ms))?;
        time_ms = time.unix_ms;
        campaign = small(from, "a campaign")?.checked_sub(1).map(|slot| slot as u16);
        counts = match small(from, "counts")?.checked_sub(1) {
            None => None,
            Some(plays) => {
                let mut of = Counts { plays: plays as u16, ..Counts::default() };
                for part in &mut of.parts {
                    let count = from.varint_u32("counts")?;
                    *part = u16::try_from(count).map_err(|_| DecodeError::bad("counts", count))?;
                }
                Some(of)
            }
        };
        model = match text(from, 15, "a model's id")? {
            "" => None,
            model => Some(decode_model(model)?),
        };
    }
    let number = from.varint("a decision")?;
    let id = DecisionId(number ^ UNSHOWN);
    let version = from.varint("a version of campaigns")?;
    let coins = if first & HAS_COINS == 0 { Coins::None } else { decode_coins(from)? };
    let (reason, eligible) = (reason(first & REASON)?, first & ELIGIBLE != 0);
    Ok((customer, Facts { id, time_ms, reason, eligible, campaign, version, model, counts, coins }))
}

/// A number up to 65,536: one of two bytes, and none.
fn small(from: &mut Decoder<'_>, what: &'static str) -> Result<u32, DecodeError> {
    let number = from.varint_u32(what)?;
    if number <= 1 << 16 { Ok(number) } else { Err(DecodeError::bad(what, number)) }
}

fn decode_coins(from: &mut Decoder<'_>) -> Result<Coins<'static>, DecodeError> {
    let what = "coins";
    let head = from.count(2 * MOST_COINS + 1, what)?;
    let slot = |from: &mut Decoder<'_>| {
        let slot = from.varint_u32(what)?;
        u16::try_from(slot).map_err(|_| DecodeError::bad(what, slot))
    };
    if head & 1 == 0 {
        let mut of = Vec::with_capacity(head / 2);
        for _ in 0..head / 2 {
            let slot = slot(from)?;
            of.push((slot, u16::from_le_bytes([from.byte(what)?, from.byte(what)?])));
        }
        Ok(Coins::Pacing(of.into()))
    } else {
        let mut of = Vec::with_capacity(head / 2);
        for _ in 0..head / 2 {
            of.push((slot(from)?, from.u64(what)?));
        }
        Ok(Coins::Exploration(of.into()))
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests;
