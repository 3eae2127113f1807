//! Which show a click belongs to.
//!
//! A click that names a decision belongs to its show. One that names an ad belongs to the newest show of a campaign with this
//! ad that no other click belongs to, at most the period of attribution before it. Which of them belong to one is worked out of
//! all clicks in the order of their times, so that it does not depend on the order in which they came; an event counts as the
//! click of a show if with it one more show has a click.

use super::{Campaigns, Consequence, Feedback, FeedbackKind, FeedbackKinds, Show, is_before};
use crate::event::{DecisionId, Event, Id};
use crate::profile::{Click, Impression, Profile};

pub(super) struct Clicks<'a, C> {
    pub profile: &'a Profile,
    pub campaigns: &'a C,
    pub attribution_ms: i64,
}

impl<C: Campaigns> Clicks<'_, C> {
    pub(super) fn of_decision(&self, event: &Event, decision: DecisionId, ad: Option<&Id>) -> Feedback {
        let Some(impression) = self.profile.impression_of(decision) else {
            return Feedback { kinds: FeedbackKind::Expired.into(), consequence: None };
        };
        let mut kinds = FeedbackKinds::default();
        if self.profile.clicks().iter().any(|click| click.decision == Some(decision)) {
            kinds.insert(FeedbackKind::Repeated);
        }
        if is_before(event.time, impression.time) {
            kinds.insert(FeedbackKind::Early);
        }
        if self.is_late(impression, event) {
            kinds.insert(FeedbackKind::Late);
        }
        let ad = ad.unwrap_or(&impression.campaign).clone();
        let mut feedback = self.with(event, ad, Some(decision), kinds);
        // A click that named the ad has it.
        if feedback.consequence.is_none() && !kinds.contains(FeedbackKind::Late) {
            feedback.kinds.insert(FeedbackKind::Repeated);
        }
        feedback
    }

    pub(super) fn of_ad(&self, event: &Event, ad: &Id) -> Feedback {
        let feedback = self.with(event, ad.clone(), None, FeedbackKinds::default());
        if feedback.consequence.is_some() {
            return feedback;
        }
        // The show that it would belong to, if it were not too old or clicked.
        let before = |of: &&Impression| self.is_of(of, ad) && !is_before(event.time, of.time);
        let kinds = self.profile.impressions().rev().find(before).map(|newest| {
            if self.is_late(newest, event) { FeedbackKind::Late } else { FeedbackKind::Repeated }
        });
        Feedback { kinds: kinds.map(FeedbackKinds::from).unwrap_or_default(), consequence: None }
    }

    fn with(&self, event: &Event, ad: Id, decision: Option<DecisionId>, kinds: FeedbackKinds) -> Feedback {
        let click = Click { time: event.time, event_id: event.id.clone(), ad, decision };
        let (before, after) = (self.clicked(None), self.clicked(Some(&click)));
        let more = after.iter().find(|shown| !before.contains(shown)).filter(|_| after.len() > before.len());
        let show = more.and_then(|shown| Option::<Show>::from(self.profile.impression_of(*shown)?));
        Feedback { kinds, consequence: show.map(Consequence::Clicked) }
    }

    /// The shows that a click belongs to, with one more click or without.
    fn clicked(&self, more: Option<&Click>) -> Vec<DecisionId> {
        let mut clicks: Vec<&Click> = self.profile.clicks().iter().chain(more).collect();
        clicks.sort_by_key(|click| (click.time, &click.event_id));
        let mut clicked: Vec<DecisionId> = Vec::new();
        for decision in clicks.iter().filter_map(|click| Some((click.decision?, click.time))) {
            let (decision, time) = decision;
            let is_new = !clicked.contains(&decision);
            let impression = self.profile.impression_of(decision).filter(|_| is_new);
            if impression.is_some_and(|of| time.unix_ms <= self.end_ms(of)) {
                clicked.push(decision);
            }
        }
        for click in clicks.iter().filter(|click| click.decision.is_none()) {
            let belongs = |of: &&Impression| {
                self.is_of(of, &click.ad)
                    && !is_before(click.time, of.time)
                    && click.time.unix_ms <= self.end_ms(of)
                    && of.decision().is_some_and(|decision| !clicked.contains(&decision))
            };
            let newest = self.profile.impressions().rev().find(belongs);
            clicked.extend(newest.and_then(Impression::decision));
        }
        clicked
    }

    fn is_of(&self, impression: &Impression, ad: &Id) -> bool {
        impression.was_shown() && self.campaigns.ad(&impression.campaign) == Some(ad)
    }

    fn is_late(&self, impression: &Impression, event: &Event) -> bool {
        event.time.unix_ms > self.end_ms(impression)
    }

    /// Until when a click belongs to a show, in Unix milliseconds.
    fn end_ms(&self, impression: &Impression) -> i64 {
        impression.time.unix_ms.saturating_add(self.attribution_ms)
    }
}
