//! What events say of shown ads, and what it changes.

use upbeat_core::event::{Event, Id};
use upbeat_core::feedback::{Campaigns, Consequence, Feedback, FeedbackKind, FeedbackKinds, Show};
use upbeat_core::profile::{EventConflict, Profile};

use crate::Engine;
use crate::campaigns::Current;
use crate::customer::Lost;
use crate::ledger::{Op, Shown};
use crate::log::Payload;

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

    /// Books what becomes of money together with the event that says so: `publish` changes the customer and publishes the records,
    /// with the account locked, and says whether it has. It is not called where the log has no room for what the account needs.
    pub(super) fn book(
        &self,
        op: Option<(u16, Op)>,
        wall_ms: i64,
        publish: impl FnOnce(Option<&Payload>) -> bool,
    ) -> bool {
        match op {
            None => publish(None),
            Some(op) => {
                let log = self.log.get().map(|log| &**log);
                self.accounts.make(log, op, self.now_ms(wall_ms), publish)
            }
        }
    }
}

/// What an event changes of the account of a campaign, and the campaign's number: by its consequence, or as the confirmation of a
/// decision whose record was lost.
pub(super) fn op_of(
    campaigns: &Current,
    consequence: Option<&Consequence>,
    lost: Option<&Lost>,
    event: &Event,
) -> Option<(u16, Op)> {
    let numbered = |campaign: &Id, op: Op| {
        let slot = campaigns.slots.ids().iter().position(|id| id == campaign)?;
        Some((u16::try_from(slot).ok()?, op))
    };
    if let Some(lost) = lost {
        let shown = Shown { time_ms: event.time.unix_ms, voided: false, lost: true };
        return numbered(&lost.campaign, Op::Confirm(shown));
    }
    let shown = |show: &Show| Shown { time_ms: show.time_ms, voided: show.is_voided, lost: false };
    match consequence? {
        Consequence::Confirmed(show) => numbered(&show.campaign, Op::Confirm(shown(show))),
        Consequence::Voided(show) => numbered(&show.campaign, Op::Void(shown(show))),
        Consequence::Clicked(show) => numbered(&show.campaign, Op::Click(shown(show))),
        Consequence::Upgraded(show) => numbered(&show.campaign, Op::Upgrade(shown(show))),
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

#[cfg(all(test, not(feature = "loom")))]
mod tests;
