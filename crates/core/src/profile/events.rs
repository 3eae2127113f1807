//! The events that a profile holds, as they would be sent again.

use super::{ImpressionSource, Profile};
use crate::event::{Event, EventKind, Id, ImpressionOf};

impl Profile {
    /// The events of `customer` that are kept here, by kind, oldest first: plays, memberships, clicks, and impressions that an
    /// event reported or confirmed. What decisions counted is in [`Profile::impressions`].
    pub fn events(&self, customer: &Id) -> impl Iterator<Item = Event> {
        let event = |time, id, kind| Event { customer: customer.clone(), id, time, kind };
        let plays = self.plays().iter().map(move |play| {
            let kind = EventKind::Play { track: play.track.to_id(), mobile: play.mobile };
            event(play.time, play.event_id.to_id(), kind)
        });
        let memberships = self
            .membership
            .changes(self.listed_memberships())
            .into_iter()
            .map(move |change| event(change.time, change.event_id, EventKind::Membership(change.level)));
        let clicks = self.clicks().iter().map(move |click| {
            event(click.time, click.event_id.clone(), EventKind::Click { ad: click.ad.clone() })
        });
        let impressions =
            self.kept_impressions().iter().filter_map(move |impression| match &impression.source {
                ImpressionSource::Reported { event_id, .. } => {
                    let of = ImpressionOf::Campaign(impression.campaign.clone());
                    Some(event(impression.time, event_id.clone(), EventKind::Impression(of)))
                }
                ImpressionSource::Decided { decision, confirmation } => {
                    let confirmation = confirmation.as_ref()?;
                    let of = ImpressionOf::Decision(*decision);
                    Some(event(confirmation.time, confirmation.event_id.clone(), EventKind::Impression(of)))
                }
            });
        plays.chain(memberships).chain(clicks).chain(impressions)
    }
}
