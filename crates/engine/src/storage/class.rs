//! What a record of the log is about, for whoever keeps some kinds of them longer than others.

use crate::log::kind;

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordClass {
    /// What happened to customers and tracks.
    Event,
    /// A decision, whatever it came to, and what became of its cost.
    Decision,
    /// What explains the others, and takes little: beginnings, models, leases, tombstones, the ends of units.
    Other,
}

/// The class of records of this kind.
#[must_use]
pub const fn record_class(kind: u16) -> RecordClass {
    match kind {
        kind::USUAL_PLAY | kind::EVENT | kind::ERASED | kind::EVICTED | kind::LAST_EVENT | kind::TRACK => {
            RecordClass::Event
        }
        kind::SHOWN
        | kind::ANSWERED
        | kind::SHOWN_IN_PLAN
        | kind::TOSSED
        | kind::MONEY
        | kind::DECIDED
        | kind::DECIDED_STATE => RecordClass::Decision,
        _ => RecordClass::Other,
    }
}
