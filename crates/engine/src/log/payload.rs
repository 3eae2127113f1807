//! The bytes of a record that is about to be published, made of what is changed without a copy of it.

use upbeat_core::catalogue::Track;
use upbeat_core::encoding::{put_id, put_level, put_time, put_varint, zigzag};
use upbeat_core::event::{DecisionId, Event, Id};
use upbeat_core::profile::MembershipChange;

use super::campaigns::put_campaigns;
use super::decided::{self, Facts};
use super::entry::{Answered, Entry, Started};
use super::parts::{
    TOMBSTONE_BYTES, encode_answer, encode_started, encode_track, event_bytes, put_tombstone, usual_play,
};
use crate::campaigns::KeptCampaigns;
use crate::ledger::{Change, Charge};
use crate::{ModelId, Tombstone};

/// The numbers of the kinds of records.
pub(crate) mod kind {
    /// A play of the usual form, in 32 bytes.
    pub(crate) const USUAL_PLAY: u16 = 1;
    /// Any event.
    pub(crate) const EVENT: u16 = 2;
    /// An ad that was shown.
    pub(crate) const SHOWN: u16 = 3;
    /// The same, with an answer that is kept for retries.
    pub(crate) const ANSWERED: u16 = 4;
    /// A customer was erased.
    pub(crate) const ERASED: u16 = 5;
    /// A customer was evicted.
    pub(crate) const EVICTED: u16 = 6;
    /// The time of a customer's last event was corrected.
    pub(crate) const LAST_EVENT: u16 = 7;
    /// A track of the catalogue.
    pub(crate) const TRACK: u16 = 8;
    /// A process of a version that ran one campaign began.
    pub(crate) const STARTED: u16 = 9;
    /// A model was promoted.
    pub(crate) const PROMOTED: u16 = 10;
    /// Numbers of decisions were leased.
    pub(crate) const LEASED: u16 = 11;
    /// A customer was erased, and up to which time; the customer's id is behind the tombstone.
    pub(crate) const ERASURE: u16 = 12;
    /// The same, without the id.
    pub(crate) const TOMBSTONE: u16 = 13;
    /// A decision that showed nothing. The log packs them.
    pub(crate) const DECIDED: u16 = 14;
    /// A change of a campaign's account.
    pub(crate) const MONEY: u16 = 17;
    /// A lease of a campaign's account.
    pub(crate) const BUDGET_LEASE: u16 = 19;
    /// An ad that was shown by a plan, with what the decision came to.
    pub(crate) const SHOWN_IN_PLAN: u16 = 16;
    /// A version of the campaigns.
    pub(crate) const CAMPAIGNS: u16 = 18;
    /// A decision that showed nothing and changed what is known of the customer: an ad that was held back, or the toss of the day.
    pub(crate) const DECIDED_STATE: u16 = 20;
    /// A process began.
    pub(crate) const BEGUN: u16 = 21;
    /// The day of a customer's last toss, as a snapshot has it.
    pub(crate) const TOSSED: u16 = 22;
}

/// By how many bytes the record of an event grows at most where it has another time of the last event.
pub(crate) const MOST_GROWTH: usize = 4;

/// The bytes of a record that is about to be published.
pub(crate) enum Payload {
    /// Without memory of its own, since nearly all are of this kind.
    UsualPlay([u8; 32]),
    /// Of this kind.
    Other(u16, Vec<u8>),
}

impl Payload {
    pub(crate) fn kind(&self) -> u16 {
        match self {
            Self::UsualPlay(_) => kind::USUAL_PLAY,
            Self::Other(kind, _) => *kind,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::UsualPlay(bytes) => bytes,
            Self::Other(_, bytes) => bytes,
        }
    }

    /// The record of an event.
    #[inline]
    pub(crate) fn of_event(event: &Event, last_event_s: u32) -> Self {
        usual_play(event, last_event_s)
            .map_or_else(|| Self::Other(kind::EVENT, event_bytes(event, last_event_s)), Self::UsualPlay)
    }

    /// This record of an event where the event took the place of another copy of it: it is not accepted once more, so the time of
    /// the customer's last event stays that which is known. Takes at most [`MOST_GROWTH`] more bytes.
    #[cold]
    pub(crate) fn of_replacement(&self, last_event_s: u32) -> Self {
        match Entry::decode(self.kind(), self.bytes()) {
            Ok(Entry::Event { event, .. }) => Self::of_event(&event, last_event_s),
            other => unreachable!("the record of an event was just written: {other:?}"),
        }
    }

    /// The record of an ad that was shown.
    pub(crate) fn of_show(
        customer: &Id,
        decision: DecisionId,
        campaign: &Id,
        time_ms: i64,
        answer: Option<&Answered>,
    ) -> Self {
        let mut into = Vec::with_capacity(128);
        put_id(&mut into, customer.as_ref());
        into.extend_from_slice(&decision.0.to_le_bytes());
        put_id(&mut into, campaign.as_ref());
        put_varint(&mut into, zigzag(time_ms));
        let Some(answer) = answer else { return Self::Other(kind::SHOWN, into) };
        encode_answer(answer, &mut into);
        Self::Other(kind::ANSWERED, into)
    }

    /// The record of an ad that was shown by a plan.
    pub(crate) fn of_show_in_plan(
        customer: &Id,
        facts: &Facts<'_>,
        charge: &Charge,
        answer: Option<&Answered>,
    ) -> Self {
        let mut into = Vec::with_capacity(160);
        into.push(answer.is_some().into());
        decided::put(customer, facts, &mut into);
        charge.put(facts.time_ms, &mut into);
        if let Some(answer) = answer {
            encode_answer(answer, &mut into);
        }
        Self::Other(kind::SHOWN_IN_PLAN, into)
    }

    /// The record of a decision that showed nothing. [`Engine::log_decision`](crate::Engine::log_decision) writes nearly all of
    /// them without this.
    pub(crate) fn of_decision(customer: &Id, facts: &Facts<'_>) -> Self {
        Self::Other(kind::DECIDED, decided::encode(customer, facts))
    }

    /// The record of a decision that showed nothing and changed what is known of the customer.
    pub(crate) fn of_decision_with_state(customer: &Id, facts: &Facts<'_>) -> Self {
        Self::Other(kind::DECIDED_STATE, decided::encode(customer, facts))
    }

    /// The record of a customer who was erased, as it was written before there were tombstones.
    pub(crate) fn of_former_erasure(customer: &Id) -> Self {
        Self::of_customer(kind::ERASED, customer)
    }

    /// The record of a customer who was erased.
    pub(crate) fn of_erasure(customer: &Id, tombstone: &Tombstone) -> Self {
        let mut into = Vec::with_capacity(TOMBSTONE_BYTES + 66);
        put_tombstone(&mut into, tombstone);
        put_id(&mut into, customer.as_ref());
        Self::Other(kind::ERASURE, into)
    }

    /// The record of a tombstone.
    pub(crate) fn of_tombstone(tombstone: &Tombstone) -> Self {
        let mut into = Vec::with_capacity(TOMBSTONE_BYTES);
        put_tombstone(&mut into, tombstone);
        Self::Other(kind::TOMBSTONE, into)
    }

    /// The record of a customer who was evicted.
    pub(crate) fn of_eviction(customer: &Id, kept: Option<&MembershipChange>) -> Self {
        let mut payload = Self::of_customer(kind::EVICTED, customer);
        if let (Self::Other(_, into), Some(kept)) = (&mut payload, kept) {
            put_time(into, kept.time);
            put_id(into, kept.event_id.as_ref());
            put_level(into, kept.level);
        }
        payload
    }

    /// The record of a corrected time.
    pub(crate) fn of_last_event(customer: &Id, last_event_s: u32) -> Self {
        let mut payload = Self::of_customer(kind::LAST_EVENT, customer);
        if let Self::Other(_, into) = &mut payload {
            put_varint(into, last_event_s.into());
        }
        payload
    }

    /// The record of a track.
    pub(crate) fn of_track(id: &Id, track: &Track) -> Self {
        let mut payload = Self::of_customer(kind::TRACK, id);
        if let Self::Other(_, into) = &mut payload {
            encode_track(track, into);
        }
        payload
    }

    /// The record of a promoted model.
    pub(crate) fn of_promotion(model: ModelId) -> Self {
        Self::Other(kind::PROMOTED, model.as_bytes().to_vec())
    }

    /// The record of a lease.
    pub(crate) fn of_lease(until: u64, shown_until: u64) -> Self {
        Self::Other(kind::LEASED, [until, shown_until].map(u64::to_le_bytes).concat())
    }

    /// The record of a beginning.
    pub(crate) fn of_start(started: &Started) -> Self {
        let mut into = Vec::new();
        encode_started(started, &mut into);
        Self::Other(if started.campaign.is_some() { kind::STARTED } else { kind::BEGUN }, into)
    }

    /// The record of a version of the campaigns.
    pub(crate) fn of_campaigns(kept: &KeptCampaigns) -> Self {
        let mut into = Vec::new();
        put_campaigns(&mut into, kept);
        Self::Other(kind::CAMPAIGNS, into)
    }

    /// The record of a former toss.
    pub(crate) fn of_toss(customer: &Id, day: u16) -> Self {
        let mut payload = Self::of_customer(kind::TOSSED, customer);
        if let Self::Other(_, into) = &mut payload {
            put_varint(into, day.into());
        }
        payload
    }

    /// The most bytes of a record of what became of a show.
    pub(crate) const MOST_MONEY_BYTES: usize = 40;

    /// The record of a change of the account of the campaign with this number. That of a show has a record of its own.
    pub(crate) fn of_money(slot: u16, change: &Change) -> Self {
        let kind = if matches!(change, Change::Leased { .. }) { kind::BUDGET_LEASE } else { kind::MONEY };
        let mut into = Vec::with_capacity(Self::MOST_MONEY_BYTES);
        put_varint(&mut into, slot.into());
        change.put(&mut into);
        Self::Other(kind, into)
    }

    fn of_customer(kind: u16, customer: &Id) -> Self {
        let mut into = Vec::with_capacity(64);
        put_id(&mut into, customer.as_ref());
        Self::Other(kind, into)
    }
}
