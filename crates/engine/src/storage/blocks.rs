//! What the blocks of a snapshot hold.
//!
//! The first byte of a block says what is in it; an entry follows another up to the block's end. Blocks hold whole customers, so
//! that threads read them in any order; a customer who is larger than a block is divided, and put together again.

use upbeat_core::campaign::Slot;
use upbeat_core::encoding::{DecodeError, Decoder, put_id, put_varint};
use upbeat_core::event::{DecisionId, Id};
use upbeat_core::profile::Profile;
use upbeat_journal::snapshot::MOST_BLOCK_BYTES;

use crate::campaigns::KeptCampaigns;
use crate::decision_ids::NextNumbers;
use crate::ledger::{AccountCopy, AccountState};
use crate::log::{
    Answered, Started, decode_answer, decode_campaigns, decode_started, decode_tombstone, encode_answer,
    encode_started, put_campaigns, put_tombstone,
};
use crate::{Customer, Tombstone};

/// The version of what is in the blocks.
pub(crate) const VERSION: u8 = 3;

/// The one before, of which there is one campaign, and customers have no day of their last toss.
const WITHOUT_CAMPAIGNS: u8 = 2;

/// The one before, which has no tombstones either.
const WITHOUT_TOMBSTONES: u8 = 1;

/// What is in a block.
pub(crate) mod kind {
    /// The first block: with what the process ran, numbers, the clock.
    pub(crate) const HEAD: u8 = 0;
    /// Customers.
    pub(crate) const CUSTOMERS: u8 = 1;
    /// A part of a customer.
    pub(crate) const PART: u8 = 2;
    /// Tracks.
    pub(crate) const TRACKS: u8 = 3;
    /// Answers kept for retries.
    pub(crate) const ANSWERS: u8 = 4;
    /// Tombstones.
    pub(crate) const TOMBSTONES: u8 = 5;
    /// The account of a campaign.
    pub(crate) const ACCOUNT: u8 = 6;
    /// Former versions of the campaigns.
    pub(crate) const VERSIONS: u8 = 7;
}

/// What the first block says.
#[derive(Debug)]
pub(crate) struct Head {
    /// The version of what is in the blocks that follow; one that is written is of [`VERSION`].
    pub version: u8,
    /// With what the process ran.
    pub started: Started,
    /// Above all numbers of decisions that were given or leased.
    pub numbers: NextNumbers,
    /// The clock of events, as it writes itself.
    pub clock: Vec<u8>,
    /// The campaigns; `None` of a version that ran one.
    pub campaigns: Option<KeptCampaigns>,
}

impl Head {
    pub fn encode(&self) -> Vec<u8> {
        let mut block = vec![kind::HEAD, self.version];
        for number in [self.numbers.unshown, self.numbers.shown] {
            block.extend_from_slice(&number.to_le_bytes());
        }
        put_varint(&mut block, self.clock.len() as u64);
        block.extend_from_slice(&self.clock);
        encode_started(&self.started, &mut block);
        if let Some(campaigns) = &self.campaigns {
            put_campaigns(&mut block, campaigns);
        }
        block
    }

    pub fn decode(block: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(block);
        let version = match (from.byte("a block")?, from.byte("a block")?) {
            (kind::HEAD, version @ WITHOUT_TOMBSTONES..=VERSION) => version,
            (kind::HEAD, version) => {
                let found = format_args!("version {version}: a newer program wrote it");
                return Err(DecodeError::bad("what the blocks hold", found));
            }
            (kind, _) => return Err(DecodeError::bad("the kind of the first block", kind)),
        };
        let mut number = || from.u64("numbers of decisions");
        let numbers = NextNumbers { unshown: number()?, shown: number()? };
        let count = from.count(block.len(), "a clock")?;
        let clock = from.bytes(count, "a clock")?.to_vec();
        let has_campaigns = version > WITHOUT_CAMPAIGNS;
        let started = decode_started(&mut from, !has_campaigns)?;
        let campaigns = if has_campaigns { Some(decode_campaigns(&mut from)?) } else { None };
        from.end()?;
        Ok(Self { version, started, numbers, clock, campaigns })
    }
}

/// Appends a customer.
pub(crate) fn put_customer(into: &mut Vec<u8>, id: &Id, customer: &Customer) {
    put_id(into, id.as_ref());
    put_varint(into, customer.last_event_s().into());
    put_varint(into, customer.explored_day().into());
    customer.profile.encode(into);
}

/// Reads what [`put_customer`] wrote, in blocks of this version.
pub(crate) fn customer(
    from: &mut Decoder<'_>,
    version: u8,
    campaigns: &[Id],
) -> Result<(Id, Customer), DecodeError> {
    let id = from.id("a customer")?;
    let last_event_s = from.varint_u32("the last event")?;
    if last_event_s == 0 {
        return Err(DecodeError::bad("the last event", last_event_s));
    }
    let explored_day = if version > WITHOUT_CAMPAIGNS { decode_day(from)? } else { 0 };
    Ok((id, Customer::restored(Profile::decode(from, campaigns)?, last_event_s, explored_day)))
}

fn decode_day(from: &mut Decoder<'_>) -> Result<u16, DecodeError> {
    let day = from.varint("the day of a toss")?;
    u16::try_from(day).map_err(|_| DecodeError::bad("the day of a toss", day))
}

/// A part of a customer who is larger than a block.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    /// Which customer of those that are divided.
    pub of: u64,
    /// Which part, from 0 on.
    pub number: u64,
    /// How many there are.
    pub parts: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

impl<'a> Part<'a> {
    pub fn encode(&self) -> Vec<u8> {
        let mut block = vec![kind::PART];
        for number in [self.of, self.number, self.parts] {
            put_varint(&mut block, number);
        }
        block.extend_from_slice(self.bytes);
        block
    }

    /// Reads what follows the block's kind.
    pub fn decode(from: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        let mut number = || from.varint("a part");
        let (of, number, parts) = (number()?, number()?, number()?);
        if number >= parts || parts > 1 << 20 {
            return Err(DecodeError::bad("a part", format_args!("number {number} of {parts}")));
        }
        let bytes = from.bytes(from.rest().len(), "a part")?;
        Ok(Self { of, number, parts, bytes })
    }
}

/// Appends a tombstone.
pub(crate) fn put_placed_tombstone(into: &mut Vec<u8>, tombstone: &Tombstone) {
    put_tombstone(into, tombstone);
    into.extend_from_slice(&tombstone.position.to_le_bytes());
}

/// Reads what [`put_placed_tombstone`] wrote.
pub(crate) fn placed_tombstone(from: &mut Decoder<'_>) -> Result<Tombstone, DecodeError> {
    let tombstone = decode_tombstone(from)?;
    Ok(Tombstone { position: from.u64("a tombstone")?, ..tombstone })
}

/// Appends the account of the campaign with this number.
pub(crate) fn put_account(into: &mut Vec<u8>, slot: u16, account: &AccountCopy) {
    put_varint(into, slot.into());
    into.extend_from_slice(&account.from.to_le_bytes());
    account.state.encode(into);
    put_varint(into, account.pace.len() as u64);
    into.extend_from_slice(&account.pace);
}

/// Reads what [`put_account`] wrote.
pub(crate) fn account(from: &mut Decoder<'_>) -> Result<(u16, AccountCopy), DecodeError> {
    let slot = from.varint("the number of a campaign")?;
    let slot = u16::try_from(slot).map_err(|_| DecodeError::bad("the number of a campaign", slot))?;
    let position = from.u64("an account")?;
    let state = AccountState::decode(from)?;
    let length = from.count(MOST_BLOCK_BYTES, "an account")?;
    let pace = from.bytes(length, "an account")?.to_vec();
    Ok((slot, AccountCopy { state, pace, from: position }))
}

/// An answer that showed an ad, to a request of a customer.
#[derive(Debug, PartialEq)]
pub(crate) struct ShownAnswer {
    /// The customer.
    pub customer: Id,
    /// The decision.
    pub decision: DecisionId,
    /// The campaign; `None` of a version that ran one.
    pub campaign: Option<Slot>,
    /// Whether it was a toss that showed the ad.
    pub is_exploring: bool,
    /// The rest.
    pub answer: Answered,
}

/// Appends an answer.
pub(crate) fn put_answer(into: &mut Vec<u8>, shown: &ShownAnswer) {
    put_id(into, shown.customer.as_ref());
    into.extend_from_slice(&shown.decision.0.to_le_bytes());
    let campaign = shown.campaign.map_or(0, |slot| u64::from(slot.0) + 1);
    put_varint(into, campaign << 1 | u64::from(shown.is_exploring));
    encode_answer(&shown.answer, into);
}

/// Reads what [`put_answer`] wrote, in blocks of this version.
pub(crate) fn answer(from: &mut Decoder<'_>, version: u8) -> Result<ShownAnswer, DecodeError> {
    let (customer, decision) = (from.id("a customer")?, DecisionId(from.u64("a decision")?));
    let of = if version > WITHOUT_CAMPAIGNS { from.varint_u32("a campaign")? } else { 0 };
    let campaign = u16::try_from(of >> 1).map_err(|_| DecodeError::bad("a campaign", of))?;
    let (campaign, is_exploring) = (campaign.checked_sub(1).map(Slot), of & 1 == 1);
    Ok(ShownAnswer { customer, decision, campaign, is_exploring, answer: decode_answer(from)? })
}
