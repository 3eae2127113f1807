//! Ads that a customer clicked.

use super::RecentEntry;
use crate::event::{DecisionId, Id, Time};

/// One ad clicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    /// When the ad was clicked.
    pub time: Time,
    /// The event's id.
    pub event_id: Id,
    /// Which ad; that of the decision's campaign where the event named a decision.
    pub ad: Id,
    /// The decision that the event named, if it named one.
    pub decision: Option<DecisionId>,
}

impl RecentEntry for Click {
    fn key(&self) -> (Time, &Id) {
        (self.time, &self.event_id)
    }

    fn precedes(&self, other: &Self) -> bool {
        // A copy that names its decision says more.
        let decisions = other.decision.is_some().cmp(&self.decision.is_some());
        let decisions = decisions.then_with(|| self.decision.cmp(&other.decision));
        let named = decisions.then_with(|| self.ad.cmp(&other.ad));
        named.then_with(|| self.time.cmp_as_written(&other.time)).is_lt()
    }

    fn heap_bytes(&self) -> usize {
        self.event_id.heap_bytes() + self.ad.heap_bytes()
    }
}
