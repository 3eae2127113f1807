//! Events: what players and customer systems report. A play, a click, an impression, an ad that was not played, or a
//! membership change of one customer.
//!
//! Plain values and their parsing from text; wire formats are in the crate `upbeat-ingest`.

mod calendar;
mod id;
mod packed_time;
mod stable;
mod time;
mod zone;

pub use id::{Id, IdError, IdRef, MAX_ID_LENGTH, leading_decimal};
pub use packed_time::PackedTime;
pub use stable::StableHash;
pub use time::{DAY_MS, HOUR_MS, LastDate, MINUTE_MS, Time, TimeError};
pub use zone::Zone;

use crate::catalogue::Track;

/// The event id of every membership that comes from a customer file.
pub const CUSTOMER_FILE_ID: &str = "customer-file";

/// A customer's level of membership, ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Membership {
    /// Pays nothing.
    Free,
    /// Pays a reduced price.
    Silver,
    /// Pays in full: has what the offer sells.
    Gold,
}

impl Membership {
    /// The level in events and answers: `free`, `silver` or `gold`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Silver => "silver",
            Self::Gold => "gold",
        }
    }
}

/// A decision's id, written as 16 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecisionId(pub u64);

/// Set in the ids of decisions that show nothing.
const UNSHOWN: u64 = 1 << 63;

impl DecisionId {
    /// Whether the decision showed an ad, by its id: nothing confirms, voids or clicks another.
    #[must_use]
    pub fn is_shown(self) -> bool {
        self.0 & UNSHOWN == 0
    }

    /// Reads 16 lower-case hexadecimal digits; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !digits {
            return None;
        }
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

impl std::fmt::Display for DecisionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = hex_digits(self.0);
        f.write_str(str::from_utf8(&digits).unwrap_or_default())
    }
}

/// A number as 16 lower-case hexadecimal digits. Every decision writes one, and `format!` takes ten times as long.
#[must_use]
pub fn hex_digits(number: u64) -> [u8; 16] {
    std::array::from_fn(|at| b"0123456789abcdef"[(number >> (60 - 4 * at)) as usize & 15])
}

/// The ad that was played, named by its campaign or by the decision that asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImpressionOf {
    /// The campaign's id; counts as an impression of its own.
    Campaign(Id),
    /// A decision that said `show`; confirms the impression that the decision already counted.
    Decision(DecisionId),
}

/// The ad that was clicked, by its name or by the decision that showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClickOf {
    /// The ad, as in `ADV_REDUCED_1DAY`.
    Ad(Id),
    /// A decision that said `show`.
    Decision {
        /// The decision.
        decision: DecisionId,
        /// The ad of its campaign, once whoever knows the campaigns has looked it up; `None` as it is sent.
        ad: Option<Id>,
    },
}

/// What happened: the part of an [`Event`] that differs between the five kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A track started.
    Play {
        /// Which track.
        track: Id,
        /// Whether it was heard on a phone.
        mobile: bool,
    },
    /// An ad was clicked.
    Click {
        /// Which ad.
        of: ClickOf,
    },
    /// An ad was played.
    Impression(ImpressionOf),
    /// An ad that a decision showed was not played.
    Void {
        /// The decision.
        decision: DecisionId,
    },
    /// A membership began or changed to this level.
    Membership(Membership),
}

impl EventKind {
    /// The event's `type` in JSON and its metric label.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Play { .. } => "play",
            Self::Click { .. } => "click",
            Self::Impression(_) => "impression",
            Self::Void { .. } => "void",
            Self::Membership(_) => "membership",
        }
    }

    /// A click on an ad that the event names.
    #[must_use]
    pub fn click(ad: Id) -> Self {
        Self::Click { of: ClickOf::Ad(ad) }
    }

    /// The decision that the event names, if it names one.
    #[must_use]
    pub fn decision(&self) -> Option<DecisionId> {
        match self {
            Self::Click { of: ClickOf::Decision { decision, .. } }
            | Self::Impression(ImpressionOf::Decision(decision))
            | Self::Void { decision } => Some(*decision),
            _ => None,
        }
    }
}

/// The content of one row of a body or a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// An event.
    Event(Event),
    /// An entry of the track catalogue.
    Track(Id, Track),
}

/// One event. Two events of one kind are the same event when customer, id and time agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The customer.
    pub customer: Id,
    /// The sender's id of the event.
    pub id: Id,
    /// When it happened.
    pub time: Time,
    /// What happened.
    pub kind: EventKind,
}
