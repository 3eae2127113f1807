//! What events say of shown ads, and what it changes.

use upbeat_core::event::{Event, Id};
use upbeat_core::feedback::{Campaigns, Feedback, FeedbackKind, FeedbackKinds};
use upbeat_core::profile::{EventConflict, Profile};

use crate::Engine;
use crate::campaigns::Current;

/// How long a show of a campaign that no longer runs is reserved, in milliseconds.
const USUAL_RESERVE_MS: i64 = 30 * 60_000;

impl Campaigns for Current {
    fn ad(&self, campaign: &Id) -> Option<&Id> {
        self.plan.campaigns.iter().find(|planned| planned.id == *campaign).map(|planned| &planned.ad)
    }

    fn reserve_ms(&self, campaign: &Id) -> i64 {
        let planned = self.plan.campaigns.iter().find(|planned| planned.id == *campaign);
        planned.map_or(USUAL_RESERVE_MS, |planned| planned.reserve_ms)
    }
}

impl Engine {
    /// What an event says of the shows in a profile that it is about to change, with the shard locked.
    pub(super) fn feedback(
        &self,
        campaigns: &Current,
        profile: &Profile,
        event: &Event,
        wall_ms: i64,
    ) -> Feedback {
        Feedback::of(profile, event, campaigns, &self.settings.feedback, self.now_ms(wall_ms))
    }
}

/// What is odd about an event that was refused.
pub(super) fn kinds_of(conflict: &EventConflict) -> FeedbackKinds {
    match conflict {
        EventConflict::UnknownDecision(_) => FeedbackKind::Unknown.into(),
        EventConflict::ForeignDecision(_) => FeedbackKind::Foreign.into(),
        EventConflict::OtherDecision { .. }
        | EventConflict::OtherVoided { .. }
        | EventConflict::Membership { .. } => FeedbackKinds::default(),
    }
}
