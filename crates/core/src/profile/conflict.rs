//! Contradictions between an event and what is known of its customer.

use crate::event::{DecisionId, Id, Membership, Time};

/// Why an event contradicts what a profile holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventConflict {
    /// An event names a decision that is not in this customer's ad history.
    #[error(
        "decision_id {0} is of no answer that said to show this customer an ad; send the decision_id of an answer with \
         \"show\":true, or name the campaign of an impression, or the ad of a click, instead"
    )]
    UnknownDecision(DecisionId),
    /// An event names a decision that showed an ad to another customer.
    #[error(
        "decision_id {0} was given for another customer; send the customer_id for which the answer was: nobody confirms, \
         voids or clicks for others"
    )]
    ForeignDecision(DecisionId),
    /// A void event that has voided a decision names another decision.
    #[error(
        "event {event_id} at {time} has already voided decision {earlier}; each ad that was not played is an event of its \
         own: void decision {decision} with another event_id"
    )]
    OtherVoided {
        /// The decision that the event names.
        decision: DecisionId,
        /// The decision that it has voided.
        earlier: DecisionId,
        /// The event's id.
        event_id: Id,
        /// The event's time.
        time: Time,
    },
    /// An impression event that has confirmed a decision names another decision.
    #[error(
        "event {event_id} at {time} has already confirmed decision {earlier}; each ad played is an event of its own: \
         confirm decision {decision} with another event_id"
    )]
    OtherDecision {
        /// The decision that the event names.
        decision: DecisionId,
        /// The decision that it has confirmed.
        earlier: DecisionId,
        /// The event's id.
        event_id: Id,
        /// The event's time.
        time: Time,
    },
    /// A membership change has the id and time of a known one, and another level.
    #[error(
        "this customer already became {} at {time}, reported under the same id and time; send the change with the later \
         time at which it came about (for a customer file: ?as_of=YYYY-MM-DDTHH:MM:SS, the time of its export)",
        level.name()
    )]
    Membership {
        /// The known level.
        level: Membership,
        /// When the known level began.
        time: Time,
    },
}
