//! The records of the log as values, and their bytes.
//!
//! A kind is a number that keeps its meaning for ever; what is written otherwise gets another. Ids that are numbers take
//! eight bytes or fewer. Reading is strict: a record that was not written here is an error that says what is wrong with it.

use upbeat_core::campaign::Single;
use upbeat_core::catalogue::Track;
use upbeat_core::decision::Score;
use upbeat_core::encoding::{DecodeError, Decoder};
use upbeat_core::event::{DecisionId, Event, Id, IdRef};
use upbeat_core::profile::{MembershipChange, Window};

use super::campaigns::decode_campaigns;
use super::decided::{self, Facts};
use super::parts::{
    TOMBSTONE_BYTES, decode_answer, decode_event, decode_model, decode_ms, decode_started, decode_tombstone,
    decode_track, decode_usual_play,
};
use super::payload::{Payload, kind};
use crate::campaigns::KeptCampaigns;
use crate::decision_ids::IdKey;
use crate::ledger::{Change, Charge};
use crate::{ModelId, RequestId, Tombstone};

/// What a process logs first: with what it runs, and so with what its records are to be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// The window.
    pub window: Window,
    /// The campaign, of a version that ran one: since then versions of the campaigns have a record of their own.
    pub campaign: Option<Single>,
    /// The key of the event clock's hashes of customers.
    pub(crate) clock_key: u64,
    /// The key of decisions' ids.
    pub(crate) id_key: IdKey,
}

/// An answer to a request with an id.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// The request.
    pub request: RequestId,
    /// When it was answered by the wall clock, in Unix milliseconds.
    pub made_ms: i64,
    /// The score.
    pub score: Option<Score>,
    /// The model.
    pub model: Option<ModelId>,
}

/// A record: what became of something, with the instants that were used.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// An event was applied.
    Event {
        /// The event.
        event: Event,
        /// The time that counts as that of the customer's last event if it is later than what is known, in whole seconds since
        /// 1970. Where the event took the place of another copy of it, that is what was known.
        last_event_s: u32,
    },
    /// An ad was shown, and counts as an impression.
    Shown {
        /// The customer.
        customer: Id,
        /// The decision.
        decision: DecisionId,
        /// The campaign.
        campaign: Id,
        /// When, by the engine's clock, in Unix milliseconds.
        time_ms: i64,
        /// The answer, if it is kept for retries.
        answer: Option<Answered>,
    },
    /// An ad was shown by a plan, and counts as an impression.
    ShownInPlan {
        /// The customer.
        customer: Id,
        /// What the decision came to.
        facts: Box<Facts<'static>>,
        /// What it holds of the campaign's account.
        charge: Charge,
        /// The answer, if it is kept for retries.
        answer: Option<Answered>,
    },
    /// A customer was erased, by a version without tombstones.
    Erased {
        /// The customer.
        customer: Id,
    },
    /// A customer was erased.
    Erasure {
        /// The customer.
        customer: Id,
        /// Up to which time. Its position is the record's, and 0 here.
        tombstone: Tombstone,
    },
    /// Somebody was erased whose id is not known, or not any more.
    Tombstone(Tombstone),
    /// A customer was evicted.
    Evicted {
        /// The customer.
        customer: Id,
        /// The membership that is left, if one is.
        kept: Option<MembershipChange>,
    },
    /// The time of a customer's last event was corrected.
    LastEvent {
        /// The customer.
        customer: Id,
        /// In whole seconds since 1970.
        last_event_s: u32,
    },
    /// A track was added or replaced.
    Track {
        /// Its id.
        id: Id,
        /// The track.
        track: Track,
    },
    /// A process began; its records follow.
    Started(Box<Started>),
    /// A version of the campaigns runs from here on.
    Campaigns(Box<KeptCampaigns>),
    /// A customer was tossed on this local day.
    Tossed {
        /// The customer.
        customer: Id,
        /// The local day, in days since 1970.
        day: u16,
    },
    /// A model was promoted.
    Promoted {
        /// The model.
        model: ModelId,
    },
    /// A decision that showed nothing.
    Decided {
        /// The customer.
        customer: Id,
        /// What it came to.
        facts: Box<Facts<'static>>,
        /// Whether it changed what is known of the customer: an ad that was held back, or the toss of the day.
        has_state: bool,
    },
    /// Numbers of decisions below these may be given.
    Leased {
        /// One above the highest of those that show nothing.
        until: u64,
        /// One above the highest of those that show an ad.
        shown_until: u64,
    },
    /// The account of a campaign was changed.
    Money {
        /// The campaign's number.
        slot: u16,
        /// The change.
        change: Change,
    },
}

impl Entry {
    /// The name of decisions that showed nothing.
    pub(crate) const DECIDED: &'static str = "decided";

    /// Reads a record.
    ///
    /// # Errors
    /// The kind is unknown, or the bytes are none that are written for it.
    pub fn decode(kind: u16, payload: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(payload);
        let entry = match kind {
            kind::USUAL_PLAY => decode_usual_play(&mut from)?,
            kind::EVENT => decode_event(&mut from)?,
            kind::SHOWN | kind::ANSWERED => {
                let (customer, decision) = (from.id("a customer")?, DecisionId(from.u64("a decision")?));
                let (campaign, time_ms) =
                    (from.id("a campaign")?, decode_ms(&mut from, "when an ad was shown")?);
                let answer = match kind {
                    kind::SHOWN => None,
                    _ => Some(decode_answer(&mut from)?),
                };
                Self::Shown { customer, decision, campaign, time_ms, answer }
            }
            kind::SHOWN_IN_PLAN => {
                let has_answer = match from.byte("an ad that was shown")? {
                    flag @ (0 | 1) => flag == 1,
                    flag => return Err(DecodeError::bad("an ad that was shown", flag)),
                };
                let (customer, facts) = decided::decode(&mut from)?;
                let charge = Charge::read(facts.time_ms, &mut from)?;
                let answer = if has_answer { Some(decode_answer(&mut from)?) } else { None };
                Self::ShownInPlan { customer, facts: Box::new(facts), charge, answer }
            }
            kind::ERASED => Self::Erased { customer: from.id("a customer")? },
            kind::ERASURE => {
                let tombstone = decode_tombstone(&mut from)?;
                Self::Erasure { customer: from.id("a customer")?, tombstone }
            }
            kind::TOMBSTONE => Self::Tombstone(decode_tombstone(&mut from)?),
            kind::EVICTED => {
                let customer = from.id("a customer")?;
                let kept = match from.rest() {
                    [] => None,
                    _ => Some(MembershipChange {
                        time: from.time("a membership's time")?,
                        event_id: from.id("a membership's event id")?,
                        level: from.level("a membership's level")?,
                    }),
                };
                Self::Evicted { customer, kept }
            }
            kind::LAST_EVENT => Self::LastEvent {
                customer: from.id("a customer")?,
                last_event_s: from.varint_u32("the last event")?,
            },
            kind::TRACK => Self::Track { id: from.id("a track")?, track: decode_track(&mut from)? },
            kind::STARTED | kind::BEGUN => {
                Self::Started(Box::new(decode_started(&mut from, kind == kind::STARTED)?))
            }
            kind::CAMPAIGNS => Self::Campaigns(Box::new(decode_campaigns(&mut from)?)),
            kind::TOSSED => {
                let (customer, day) = (from.id("a customer")?, from.varint_u32("the day of a toss")?);
                let day = u16::try_from(day).map_err(|_| DecodeError::bad("the day of a toss", day))?;
                Self::Tossed { customer, day }
            }
            kind::PROMOTED => {
                let model = str::from_utf8(from.bytes(payload.len(), "a model's id")?)
                    .map_err(|error| DecodeError::bad("a model's id", error))?;
                Self::Promoted { model: decode_model(model)? }
            }
            kind::LEASED => Self::Leased { until: from.u64("a lease")?, shown_until: from.u64("a lease")? },
            kind::MONEY | kind::BUDGET_LEASE => {
                let slot = from.varint("the number of a campaign")?;
                let slot =
                    u16::try_from(slot).map_err(|_| DecodeError::bad("the number of a campaign", slot))?;
                let change = Change::read(&mut from)?;
                let is_lease = matches!(change, Change::Leased { .. });
                if is_lease != (kind == kind::BUDGET_LEASE) {
                    return Err(DecodeError::bad("a change of an account", "in a record of another kind"));
                }
                Self::Money { slot, change }
            }
            kind::DECIDED | kind::DECIDED_STATE => {
                let (customer, facts) = decided::decode(&mut from)?;
                Self::Decided { customer, facts: Box::new(facts), has_state: kind == kind::DECIDED_STATE }
            }
            kind => {
                return Err(DecodeError::bad(
                    "the kind of a record",
                    format_args!("{kind}: a newer program wrote it"),
                ));
            }
        };
        from.end()?;
        Ok(entry)
    }

    /// What it is called where records are listed: for events the type that `POST /events` has for them.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Event { event, .. } => event.kind.name(),
            Self::Shown { .. } | Self::ShownInPlan { .. } => "shown",
            Self::Erased { .. } | Self::Erasure { .. } => "erased",
            Self::Tombstone(_) => "tombstone",
            Self::Evicted { .. } => "evicted",
            Self::LastEvent { .. } => "last_event_corrected",
            Self::Track { .. } => "track",
            Self::Started(_) => "started",
            Self::Campaigns(_) => "campaigns",
            Self::Tossed { .. } => "tossed",
            Self::Promoted { .. } => "promoted",
            Self::Leased { .. } => "leased",
            Self::Money { change: Change::Leased { .. }, .. } => "budget_leased",
            Self::Money { .. } => "money",
            Self::Decided { .. } => Self::DECIDED,
        }
    }

    /// The kind and the bytes of the record.
    #[must_use]
    pub fn encode(&self) -> (u16, Vec<u8>) {
        let payload = match self {
            Self::Event { event, last_event_s } => Payload::of_event(event, *last_event_s),
            Self::Shown { customer, decision, campaign, time_ms, answer } => {
                Payload::of_show(customer, *decision, campaign, *time_ms, answer.as_ref())
            }
            Self::ShownInPlan { customer, facts, charge, answer } => {
                Payload::of_show_in_plan(customer, facts, charge, answer.as_ref())
            }
            Self::Erased { customer } => Payload::of_former_erasure(customer),
            Self::Erasure { customer, tombstone } => Payload::of_erasure(customer, tombstone),
            Self::Tombstone(tombstone) => Payload::of_tombstone(tombstone),
            Self::Evicted { customer, kept } => Payload::of_eviction(customer, kept.as_ref()),
            Self::LastEvent { customer, last_event_s } => Payload::of_last_event(customer, *last_event_s),
            Self::Track { id, track } => Payload::of_track(id, track),
            Self::Started(started) => Payload::of_start(started),
            Self::Campaigns(kept) => Payload::of_campaigns(kept),
            Self::Tossed { customer, day } => Payload::of_toss(customer, *day),
            Self::Promoted { model } => Payload::of_promotion(*model),
            Self::Leased { until, shown_until } => Payload::of_lease(*until, *shown_until),
            Self::Money { slot, change } => Payload::of_money(*slot, change),
            Self::Decided { customer, facts, has_state: false } => Payload::of_decision(customer, facts),
            Self::Decided { customer, facts, has_state: true } => {
                Payload::of_decision_with_state(customer, facts)
            }
        };
        (payload.kind(), payload.bytes().to_vec())
    }
}

/// The customer of a record, or the track: records of one have to be applied in their order. `None` if it is of neither, or
/// is not applied to anything.
pub(crate) fn subject(kind: u16, payload: &[u8]) -> Result<Option<IdRef<'_>>, DecodeError> {
    let mut from = Decoder::new(payload);
    match kind {
        kind::USUAL_PLAY => Ok(Some(IdRef::Number(from.u64("a customer")?))),
        kind::EVENT..=kind::TRACK | kind::TOSSED => from.id_ref("a customer").map(Some),
        kind::ERASURE => {
            from.bytes(TOMBSTONE_BYTES, "a tombstone")?;
            from.id_ref("a customer").map(Some)
        }
        kind::SHOWN_IN_PLAN => {
            from.byte("an ad that was shown")?;
            decided::customer_of(&mut from).map(Some)
        }
        kind::DECIDED_STATE => decided::customer_of(&mut from).map(Some),
        _ => Ok(None),
    }
}

/// The customer of a record; `None` if it is of none, also where it is of a track.
pub(crate) fn customer_of(kind: u16, payload: &[u8]) -> Result<Option<IdRef<'_>>, DecodeError> {
    match kind {
        kind::TRACK => Ok(None),
        kind::DECIDED => decided::customer_of(&mut Decoder::new(payload)).map(Some),
        _ => subject(kind, payload),
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests;
