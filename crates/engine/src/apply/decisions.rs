//! The decisions that events name: which of them were given, and for whom.

use upbeat_core::event::{ClickOf, DecisionId, Event, EventKind, Id, ImpressionOf};
use upbeat_core::profile::{EventConflict, Profile};

use crate::Engine;
use crate::customer::Lost;

impl Engine {
    /// Checks whether an event contradicts what is known. An event may name a decision that is not known here and whose id was
    /// given for this customer all the same: a loss of power has taken its record, or it was dropped since. A confirmation counts
    /// then, a click is kept, and a void has nothing to give back.
    pub(super) fn check_profile(
        &self,
        profile: &Profile,
        event: &Event,
    ) -> Result<Option<Lost>, EventConflict> {
        match profile.check(event) {
            Err(EventConflict::UnknownDecision(decision)) => {
                match self.campaign_of(decision, &event.customer) {
                    Some(campaign) => {
                        let confirms = matches!(event.kind, EventKind::Impression(ImpressionOf::Decision(_)));
                        Ok(confirms.then_some(Lost { decision, campaign }))
                    }
                    None if self.decision_ids.was_given(decision) => {
                        Err(EventConflict::ForeignDecision(decision))
                    }
                    None => Err(EventConflict::UnknownDecision(decision)),
                }
            }
            checked => checked.map(|()| None),
        }
    }

    /// Looks up the ad of a click that names a decision: that of the decision's campaign. A campaign that does not run any more has
    /// none, and its id stands for it.
    pub(super) fn look_up_ad(&self, event: &mut Event) {
        if let EventKind::Click { of: ClickOf::Decision { decision, ad: ad @ None } } = &mut event.kind {
            let campaign = self.campaign_of(*decision, &event.customer);
            *ad = campaign.map(|campaign| self.ad_of(campaign));
        }
    }

    /// The campaign whose ad a decision has shown to this customer, by the id alone; `None` if there was no such decision.
    fn campaign_of(&self, decision: DecisionId, customer: &Id) -> Option<Id> {
        let slots = &self.campaigns.load().slots;
        let slot = self.decision_ids.campaign_of(slots, decision, customer)?;
        slots.id(slot).cloned()
    }

    /// The ad of a campaign.
    fn ad_of(&self, campaign: Id) -> Id {
        let running = &self.campaigns.load().document.campaign;
        running.iter().find(|running| running.id == campaign).map_or(campaign, |running| running.ad.clone())
    }
}

/// Whether an event voids a decision that is not known any more. It must not make its customer known.
pub(super) fn has_nothing_to_void(profile: &Profile, event: &Event) -> bool {
    matches!(event.kind, EventKind::Void { decision } if profile.impression_of(decision).is_none())
}
