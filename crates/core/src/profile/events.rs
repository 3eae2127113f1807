//! The events that a profile holds, as they would be sent again.

use super::{Impression, ImpressionSource, Profile};
use crate::event::{ClickOf, Event, EventKind, Id, ImpressionOf};

impl Profile {
    /// The newest time of any event that is kept, the confirmations and voids of impressions and all shown ads among them, in Unix
    /// milliseconds; `None` if nothing is kept.
    #[must_use]
    pub fn newest_ms(&self) -> Option<i64> {
        let impressions = self.kept_impressions().iter().map(Impression::newest_ms);
        let others = [
            self.plays().last_ms(),
            self.membership().map(|change| change.time.unix_ms),
            self.clicks().last().map(|click| click.time.unix_ms),
        ];
        impressions.chain(others.into_iter().flatten()).max()
    }

    /// Whether nothing but memberships is kept.
    #[must_use]
    pub fn is_membership_alone(&self) -> bool {
        self.plays().is_empty() && self.kept_impressions().is_empty() && self.clicks().is_empty()
    }

    /// The events of `customer` that are kept here, by kind, oldest first: plays, memberships, clicks, and impressions that an
    /// event reported, confirmed or voided. What decisions counted is in [`Profile::impressions`].
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
            let ad = click.ad.clone();
            let of = match click.decision {
                None => ClickOf::Ad(ad),
                Some(decision) => ClickOf::Decision { decision, ad: Some(ad) },
            };
            event(click.time, click.event_id.clone(), EventKind::Click { of })
        });
        let impressions = self.kept_impressions().iter().flat_map(move |impression| {
            let (reported, decided) = match &impression.source {
                ImpressionSource::Reported { event_id, .. } => {
                    let of = ImpressionOf::Campaign(impression.campaign.clone());
                    (Some(event(impression.time, event_id.clone(), EventKind::Impression(of))), None)
                }
                ImpressionSource::Decided { decision, confirmation, void } => {
                    (None, Some((*decision, confirmation.as_ref(), void.as_deref())))
                }
            };
            let said = decided.into_iter().flat_map(move |(decision, confirmation, void)| {
                let confirmed = EventKind::Impression(ImpressionOf::Decision(decision));
                let said = [(confirmation, confirmed), (void, EventKind::Void { decision })];
                said.into_iter()
                    .filter_map(move |(of, kind)| of.map(|of| event(of.time, of.event_id.clone(), kind)))
            });
            reported.into_iter().chain(said)
        });
        plays.chain(memberships).chain(clicks).chain(impressions)
    }
}
