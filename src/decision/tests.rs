use super::*;
use crate::event::{DecisionId, Event, EventKind, Id, Time};

const NOW_MS: i64 = 1_000_000_000_000;

fn fresh(value: f64, plays: usize) -> Option<FreshScore> {
    let value = (plays > 0).then_some(value);
    Some(FreshScore { value, plays, from_ms: NOW_MS, until_ms: NOW_MS + 1 })
}

fn member(level: Membership) -> Profile {
    let mut profile = Profile::default();
    let event = Event {
        customer: Id::Number(1),
        id: Id::Number(1),
        time: Time::from_unix_ms(0),
        kind: EventKind::Membership(level),
    };
    profile.apply(event, 1);
    profile
}

fn heard(ages_ms: &[i64]) -> Profile {
    let mut profile = Profile::default();
    for (index, age_ms) in ages_ms.iter().enumerate() {
        let time = Time::from_unix_ms(NOW_MS - age_ms);
        profile.count_decided_impression(DecisionId(index as u64), Campaign::default().id, time);
    }
    profile
}

#[test]
fn the_policy_asks_in_order_and_gives_the_first_reason_against() {
    let campaign = Campaign::default();
    let silver_only = Campaign { audience: vec![Membership::Silver], ..campaign.clone() };
    let nobody = Profile::default();
    let day_ms = 24 * 3_600_000;
    let cases = [
        (None, &campaign, fresh(9.0, 50), Reason::UnknownCustomer),
        (Some(member(Membership::Gold)), &campaign, fresh(9.0, 50), Reason::AlreadyGold),
        (Some(member(Membership::Free)), &silver_only, fresh(9.0, 50), Reason::NotInAudience),
        (Some(nobody.clone()), &silver_only, fresh(9.0, 50), Reason::NotInAudience),
        (Some(nobody.clone()), &campaign, None, Reason::NoModel),
        (Some(nobody.clone()), &campaign, fresh(9.0, 0), Reason::TooLittleHistory),
        (Some(nobody.clone()), &campaign, fresh(9.0, 9), Reason::TooLittleHistory),
        (Some(nobody.clone()), &campaign, fresh(9.0, 10), Reason::LikelyToClick),
        (Some(member(Membership::Silver)), &campaign, fresh(9.0, 10), Reason::LikelyToClick),
        (Some(nobody.clone()), &campaign, fresh(0.0, 10), Reason::UnlikelyToClick),
        (Some(nobody), &campaign, fresh(-1.0, 10), Reason::UnlikelyToClick),
        (Some(heard(&[day_ms - 1])), &campaign, fresh(9.0, 10), Reason::Capped),
        (Some(heard(&[day_ms])), &campaign, fresh(9.0, 10), Reason::LikelyToClick),
    ];
    for (index, (profile, campaign, fresh, expected)) in cases.into_iter().enumerate() {
        let verdict = decide(profile.as_ref(), campaign, fresh, NOW_MS);
        assert_eq!(verdict.reason, expected, "case {index}");
    }
}

#[test]
fn a_cap_of_three_lets_three_through() {
    let mut campaign = Campaign::default();
    campaign.cap.impressions = 3;
    for (impressions, expected) in [(2, Reason::LikelyToClick), (3, Reason::Capped)] {
        let profile = heard(&vec![1000; impressions]);
        assert_eq!(decide(Some(&profile), &campaign, fresh(1.0, 50), NOW_MS).reason, expected);
    }
}

#[test]
fn only_likely_to_click_shows_and_every_reason_has_its_own_name() {
    let shown: Vec<_> = Reason::ALL.into_iter().filter(|reason| reason.shows()).collect();
    assert_eq!(shown, [Reason::LikelyToClick]);
    let names: std::collections::HashSet<_> = Reason::ALL.into_iter().map(Reason::name).collect();
    assert_eq!(names.len(), Reason::ALL.len());
}
