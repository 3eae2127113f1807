//! What events say of ads that were shown: which show they are of, and what is odd about them. Plain values in, a finding out.

mod clicks;
mod kinds;
#[cfg(test)]
mod tests;

pub use kinds::{FeedbackCounts, FeedbackKind, FeedbackKinds};

use crate::event::{
    CUSTOMER_FILE_ID, ClickOf, DecisionId, Event, EventKind, Id, ImpressionOf, Membership, Time,
};
use crate::profile::{Impression, Profile};

/// How long what is shown waits for what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedbackPeriods {
    /// A click belongs to a show at most so long before, in milliseconds.
    pub attribution_ms: i64,
    /// A rise of the membership belongs to a show at most so long before, in milliseconds.
    pub conversion_ms: i64,
}

impl Default for FeedbackPeriods {
    /// Half an hour, and seven days.
    fn default() -> Self {
        Self { attribution_ms: 30 * 60_000, conversion_ms: 7 * 86_400_000 }
    }
}

/// What is to be known of campaigns.
pub trait Campaigns {
    /// The ad of a campaign; `None` where nobody knows it any more.
    fn ad(&self, campaign: &Id) -> Option<&Id>;

    /// How long a show of the campaign is reserved, in milliseconds.
    fn reserve_ms(&self, campaign: &Id) -> i64;
}

/// A show that an event is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Show {
    /// The decision.
    pub decision: DecisionId,
    /// Its campaign.
    pub campaign: Id,
    /// When it was decided, in Unix milliseconds.
    pub time_ms: i64,
    /// Whether an event has said that it was not played.
    pub is_voided: bool,
}

impl From<&Impression> for Option<Show> {
    fn from(of: &Impression) -> Self {
        let decision = of.decision()?;
        let (campaign, time_ms, is_voided) = (of.campaign.clone(), of.time.unix_ms, of.void().is_some());
        Some(Show { decision, campaign, time_ms, is_voided })
    }
}

/// What becomes of a show by an event, the first of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consequence {
    /// It was played.
    Confirmed(Show),
    /// It was not played, and nobody has said that it was.
    Voided(Show),
    /// A click belongs to it.
    Clicked(Show),
    /// A rise of the membership belongs to it.
    Upgraded(Show),
}

/// What an event says of shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Feedback {
    /// What is odd about it.
    pub kinds: FeedbackKinds,
    /// What becomes of a show, if the event changes anything.
    pub consequence: Option<Consequence>,
}

/// Whether an event of this kind says of an ad what became of it, so that answers count what is odd about it.
#[must_use]
pub fn is_feedback(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Click { .. } | EventKind::Impression(_) | EventKind::Void { .. })
}

impl Feedback {
    /// What an event says of the shows in a profile to which it is not applied yet, and that [`Profile::check`] has accepted, or
    /// that names a decision which was given and is no longer kept. `now_ms` is when it came (Unix milliseconds).
    ///
    /// A repeat of an event that the profile holds says nothing.
    #[must_use]
    pub fn of(
        profile: &Profile,
        event: &Event,
        campaigns: &impl Campaigns,
        periods: &FeedbackPeriods,
        now_ms: i64,
    ) -> Self {
        match &event.kind {
            EventKind::Impression(ImpressionOf::Decision(decision)) => {
                Self::of_end(profile, event, *decision, campaigns, now_ms, Impression::confirmation)
            }
            EventKind::Void { decision } => {
                Self::of_end(profile, event, *decision, campaigns, now_ms, Impression::void)
            }
            EventKind::Click { of } => Self::of_click(profile, event, of, campaigns, periods),
            EventKind::Membership(level) => Self::of_membership(profile, event, *level, periods),
            EventKind::Play { .. } | EventKind::Impression(ImpressionOf::Campaign(_)) => Self::default(),
        }
    }

    /// Of a confirmation or a void; `said` is the event that said the same before.
    fn of_end(
        profile: &Profile,
        event: &Event,
        decision: DecisionId,
        campaigns: &impl Campaigns,
        now_ms: i64,
        said: impl Fn(&Impression) -> Option<&crate::profile::EventRef>,
    ) -> Self {
        let Some(impression) = profile.impression_of(decision) else {
            return Self { kinds: FeedbackKind::Expired.into(), consequence: None };
        };
        let earlier = said(impression);
        if earlier.is_some_and(|of| (of.time, &of.event_id) == (event.time, &event.id)) {
            return Self::default();
        }
        let voids = matches!(event.kind, EventKind::Void { .. });
        let mut kinds = FeedbackKinds::default();
        // A void of what was played says no more than another void.
        if earlier.is_some() || voids && impression.confirmation().is_some() {
            kinds.insert(FeedbackKind::Repeated);
        }
        if is_before(event.time, impression.time) {
            kinds.insert(FeedbackKind::Early);
        }
        let end_ms = impression.time.unix_ms.saturating_add(campaigns.reserve_ms(&impression.campaign));
        if now_ms.max(event.time.unix_ms) > end_ms {
            kinds.insert(FeedbackKind::Late);
        }
        let first = !kinds.contains(FeedbackKind::Repeated);
        let consequence = Option::<Show>::from(impression).filter(|_| first);
        let consequence = consequence.map(if voids { Consequence::Voided } else { Consequence::Confirmed });
        Self { kinds, consequence }
    }

    fn of_click(
        profile: &Profile,
        event: &Event,
        of: &ClickOf,
        campaigns: &impl Campaigns,
        periods: &FeedbackPeriods,
    ) -> Self {
        if profile.clicks().iter().any(|click| (click.time, &click.event_id) == (event.time, &event.id)) {
            return Self::default();
        }
        let clicks = clicks::Clicks { profile, campaigns, attribution_ms: periods.attribution_ms };
        match of {
            ClickOf::Ad(ad) => clicks.of_ad(event, ad),
            ClickOf::Decision { decision, ad } => clicks.of_decision(event, *decision, ad.as_ref()),
        }
    }

    /// A rise of the membership is an upgrade of the newest campaign that was shown within the period before it. What a customer
    /// file says first of a customer is no rise: it is how the customer came.
    fn of_membership(profile: &Profile, event: &Event, level: Membership, periods: &FeedbackPeriods) -> Self {
        if level == Membership::Free || profile.impressions().next().is_none() {
            return Self::default();
        }
        let before = profile.level_before(event.time, &event.id);
        let is_file = matches!(&event.id, Id::Text(id) if **id == *CUSTOMER_FILE_ID);
        let is_known = profile.has_membership(event.time, &event.id);
        if is_known || before.is_none() && is_file || level <= before.unwrap_or(Membership::Free) {
            return Self::default();
        }
        let end_ms = event.time.unix_ms;
        let within = |of: &&Impression| {
            of.was_shown()
                && !is_before(event.time, of.time)
                && of.time.unix_ms >= end_ms.saturating_sub(periods.conversion_ms)
        };
        let newest = profile.impressions().rev().find(within);
        let consequence = newest.and_then(Option::<Show>::from).map(Consequence::Upgraded);
        Self { kinds: FeedbackKinds::default(), consequence }
    }
}

/// Whether an event is before a decision, in whole seconds: senders often leave out what is finer.
fn is_before(event: Time, decision: Time) -> bool {
    event.unix_ms < decision.unix_ms.div_euclid(1000) * 1000
}
