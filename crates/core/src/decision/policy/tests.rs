//! What the policy decides, by tables and by properties.

mod coins;
mod digested;
mod explained;
mod former;
mod rules;
mod voided;

use super::*;
use crate::campaign::tests::plans::{of, of_score, slots};
use crate::campaign::{Campaign, Document, Label, Served};
use crate::event::{CUSTOMER_FILE_ID, ClickOf, DecisionId, Event, EventKind, Membership, Time};
use crate::feature::FEATURE_COUNT;
use crate::profile::Bounds;

const NOW_MS: i64 = 1_790_000_000_000;
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

fn id(text: &str) -> Id {
    text.parse().expect("an id")
}

/// A campaign for everybody who has a play.
fn campaign(name: &str) -> Campaign {
    Campaign { min_plays: 1, ..Campaign::new(id(name), id("AD")) }
}

/// Models of the label impression: `default` scores 1, `low` -1, and `high` 2; their probabilities are 0.73, 0.27, 0.88.
fn models() -> Vec<Served> {
    [("default", 1.0), ("low", -1.0), ("high", 2.0)]
        .map(|(name, score)| of_score(name, Label::Impression, true, 0.0, score))
        .into()
}

fn plan_of(document: &Document) -> Plan {
    document.check().expect("a good document");
    Plan::new(document, &slots(document), &models()).expect("a plan")
}

fn plan(campaigns: Vec<Campaign>) -> Plan {
    plan_of(&of(campaigns))
}

fn counts(plays: u16) -> Counts {
    Counts { plays, parts: [plays, 0, 0, 0, 0, 1].map(|count: u16| count.min(plays)) as [u16; FEATURE_COUNT] }
}

/// Coins that must not be asked for.
struct NoCoins;

impl Coins for NoCoins {
    fn toss(&self) -> u64 {
        panic!("nothing explores")
    }
    fn pass(&self, _: Slot) -> u64 {
        panic!("every rate is certain")
    }
    fn holdout(&self, _: Salt<'_>) -> u64 {
        panic!("nobody is held out")
    }
}

/// Coins of which all have the same hash.
struct Same(u64);

impl Coins for Same {
    fn toss(&self) -> u64 {
        self.0
    }
    fn pass(&self, _: Slot) -> u64 {
        self.0
    }
    fn holdout(&self, _: Salt<'_>) -> u64 {
        self.0
    }
}

fn bounds(campaigns: &[Id]) -> Bounds<'_> {
    Bounds { plays: 256, campaigns }
}

fn apply(profile: &mut Profile, event_id: Id, age_ms: i64, kind: EventKind) {
    let time = Time::from_unix_ms(NOW_MS - age_ms);
    profile.apply(Event { customer: Id::Number(1), id: event_id, time, kind }, &bounds(&[]));
}

fn member(levels: &[(i64, Membership)]) -> Profile {
    let mut profile = Profile::default();
    for (index, (age_ms, level)) in levels.iter().enumerate() {
        apply(&mut profile, Id::Number(index as u64), *age_ms, EventKind::Membership(*level));
    }
    profile
}

fn signed_up(age_ms: i64) -> Profile {
    let mut profile = Profile::default();
    apply(&mut profile, id(CUSTOMER_FILE_ID), age_ms, EventKind::Membership(Membership::Free));
    profile
}

fn clicked(ad: &str, age_ms: i64) -> Profile {
    let mut profile = Profile::default();
    apply(&mut profile, Id::Number(1), age_ms, EventKind::Click { of: ClickOf::Ad(id(ad)) });
    profile
}

/// A customer to whom ads of campaigns were shown so long ago.
fn shown(ads: &[(&str, i64)]) -> Profile {
    let mut profile = Profile::default();
    for (index, (campaign, age_ms)) in ads.iter().enumerate() {
        let time = Time::from_unix_ms(NOW_MS - age_ms);
        profile.count_decided_impression(DecisionId(index as u64), id(campaign), time, &bounds(&[]));
    }
    profile
}

fn decide_with<C: Coins>(plan: &Plan, profile: &Profile, live: &[Live], coins: &C) -> Verdict {
    decide(&Inputs {
        plan,
        profile: Some(profile),
        history_ms: i64::MAX,
        counts: counts(10),
        now_ms: NOW_MS,
        live,
        explored_today: false,
        coins,
    })
}

/// Decides where every campaign is open, has money and is not paced, and no coin is needed.
fn decided(plan: &Plan, profile: &Profile) -> Verdict {
    decide_with(plan, profile, &vec![Live::UNBOUNDED; plan.campaigns.len()], &NoCoins)
}

fn named(plan: &Plan, verdict: &Verdict) -> String {
    verdict.campaign.map_or_else(String::new, |index| plan.campaigns[index].id.to_string())
}
