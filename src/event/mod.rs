//! Events: what the outside tells Upbeat. A play, a click, an impression or a membership change of one customer.
//!
//! Plain values and their parsing from text; wire formats live in `ingest`.

mod calendar;
mod id;
mod time;

pub use id::{Id, IdError, IdRef, MAX_ID_LENGTH, leading_decimal};
pub use time::{DAY_MS, HOUR_MS, LastDate, MINUTE_MS, PackedTime, Time, TimeError, Zone};

/// The event id of a membership that a customer file tells.
pub const CUSTOMER_FILE_ID: &str = "customer-file";

/// What a customer pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Membership {
    /// Hears music for nothing.
    Free,
    /// Pays a little.
    Silver,
    /// Pays in full: the offer has nothing to offer them.
    Gold,
}

impl Membership {
    /// The word used in events and answers: `free`, `silver` or `gold`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Silver => "silver",
            Self::Gold => "gold",
        }
    }
}

/// How a decision is named from outside: 16 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecisionId(pub u64);

impl DecisionId {
    /// Reads 16 lower-case hexadecimal digits; anything else is `None`.
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

/// 16 lower-case hexadecimal digits; `format!` takes ten times as long, at each decision.
#[must_use]
pub fn hex_digits(number: u64) -> [u8; 16] {
    std::array::from_fn(|at| b"0123456789abcdef"[(number >> (60 - 4 * at)) as usize & 15])
}

/// Which ad was played: named by its campaign, or by the decision that asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImpressionOf {
    /// The campaign's id; counts as an impression of its own.
    Campaign(Id),
    /// A decision that said `show`; confirms the impression that the decision already counted.
    Decision(DecisionId),
}

/// What happened, beside who, when and under which id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// One track started.
    Play {
        /// Which track.
        track: Id,
        /// Whether it was heard on a phone.
        mobile: bool,
    },
    /// An ad clicked.
    Click {
        /// Which ad, as in `ADV_REDUCED_1DAY`.
        ad: Id,
    },
    /// An ad played.
    Impression(ImpressionOf),
    /// A membership begun or changed.
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
            Self::Membership(_) => "membership",
        }
    }
}

/// One event. It is the same event as another of its kind when customer, id and time agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Who it is about.
    pub customer: Id,
    /// The sender's id for it.
    pub id: Id,
    /// When it happened.
    pub time: Time,
    /// What happened.
    pub kind: EventKind,
}
