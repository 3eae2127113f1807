//! One ad played, as decided here or as reported, and what events said of it since.

use crate::event::{DecisionId, Id, Time};

/// One ad played, as decided here or as reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impression {
    /// When the ad was played, or decided.
    pub time: Time,
    /// The campaign whose ad was played.
    pub campaign: Id,
    /// Whence it is known.
    pub source: ImpressionSource,
}

/// Whence an impression is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImpressionSource {
    /// A decision said *show*.
    Decided {
        /// The decision.
        decision: DecisionId,
        /// The event that confirmed it, the first by (time, event id) if there were several; `None` before that.
        confirmation: Option<EventRef>,
        /// The event that said that the ad was not played, the first by (time, event id) if there were several. Few have one.
        void: Option<Box<EventRef>>,
    },
    /// An impression event named the campaign.
    Reported {
        /// The event's id.
        event_id: Id,
        /// Whether the same event has also confirmed a decision of the campaign, which then counts in its place.
        confirms: bool,
    },
}

impl ImpressionSource {
    /// A decision of which no event said anything yet.
    pub(super) fn decided(decision: DecisionId) -> Self {
        Self::Decided { decision, confirmation: None, void: None }
    }
}

/// The event that confirmed a decided impression, or said that it was not played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRef {
    /// When it was, by the event.
    pub time: Time,
    /// The event's id.
    pub event_id: Id,
}

impl EventRef {
    pub(super) fn key(&self) -> (Time, &Id) {
        (self.time, &self.event_id)
    }
}

/// The order of impressions; those of one instant are ordered by their source.
pub(super) type Key<'a> = (Time, SourceKey<'a>, &'a Id);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SourceKey<'a> {
    Decided(DecisionId),
    Reported(&'a Id),
}

impl Impression {
    pub(super) fn key(&self) -> Key<'_> {
        let source = match &self.source {
            ImpressionSource::Decided { decision, .. } => SourceKey::Decided(*decision),
            ImpressionSource::Reported { event_id, .. } => SourceKey::Reported(event_id),
        };
        (self.time, source, &self.campaign)
    }

    /// The decision that said *show*, if one did.
    #[must_use]
    pub fn decision(&self) -> Option<DecisionId> {
        match &self.source {
            ImpressionSource::Decided { decision, .. } => Some(*decision),
            ImpressionSource::Reported { .. } => None,
        }
    }

    /// Whether an impression event says that the ad was played.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.confirmation().is_some() || self.decision().is_none()
    }

    /// Whether an event said that the ad was not played, and none that it was: the later word does not matter, for a player
    /// that gave up may be contradicted by one that went on, and never the other way round.
    #[must_use]
    pub fn is_voided(&self) -> bool {
        self.void().is_some() && self.confirmation().is_none()
    }

    /// Whether the ad was decided and, as far as is known, given to the customer: neither a place that was taken without
    /// showing anything, nor one that was given back.
    #[must_use]
    pub fn was_shown(&self) -> bool {
        self.decision().is_some_and(DecisionId::is_shown) && !self.is_voided()
    }

    /// When it was, or when the events that confirm it or give it back say that it was: the latest of these, in Unix
    /// milliseconds.
    pub(super) fn newest_ms(&self) -> i64 {
        let said = [self.confirmation(), self.void()].into_iter().flatten();
        said.map(|event| event.time.unix_ms).fold(self.time.unix_ms, i64::max)
    }

    /// The event that confirmed it.
    #[must_use]
    pub fn confirmation(&self) -> Option<&EventRef> {
        match &self.source {
            ImpressionSource::Decided { confirmation, .. } => confirmation.as_ref(),
            ImpressionSource::Reported { .. } => None,
        }
    }

    /// The event that said that it was not played.
    #[must_use]
    pub fn void(&self) -> Option<&EventRef> {
        match &self.source {
            ImpressionSource::Decided { void, .. } => void.as_deref(),
            ImpressionSource::Reported { .. } => None,
        }
    }

    /// Whether it counts: all do but those that were given back, and a report that is the same event as a confirmation.
    pub(super) fn counts(&self) -> bool {
        !self.is_voided() && !matches!(self.source, ImpressionSource::Reported { confirms: true, .. })
    }

    /// Whether this is the report of this event.
    pub(super) fn is_report_of(&self, event: (Time, &Id)) -> bool {
        match &self.source {
            ImpressionSource::Decided { .. } => false,
            ImpressionSource::Reported { event_id, .. } => (self.time, event_id) == event,
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let said = match &self.source {
            ImpressionSource::Decided { confirmation, void, .. } => {
                let boxed =
                    void.as_ref().map_or(0, |void| size_of::<EventRef>() + void.event_id.heap_bytes());
                boxed + confirmation.as_ref().map_or(0, |said| said.event_id.heap_bytes())
            }
            ImpressionSource::Reported { event_id, .. } => event_id.heap_bytes(),
        };
        self.campaign.heap_bytes() + said
    }
}
