use super::*;
use crate::event::{DecisionId, Event, EventKind, Id, Time};
use crate::profile::Bounds;

const NOW_MS: i64 = 1_000_000_000_000;

fn cached(value: f64, plays: usize) -> Option<CachedScore> {
    let value = (plays > 0).then_some(value);
    Some(CachedScore { value, plays })
}

fn member(level: Membership) -> Profile {
    let mut profile = Profile::default();
    let event = Event {
        customer: Id::Number(1),
        id: Id::Number(1),
        time: Time::from_unix_ms(0),
        kind: EventKind::Membership(level),
    };
    profile.apply(event, &Bounds { plays: 1, campaigns: &[] });
    profile
}

fn heard(ages_ms: &[i64]) -> Profile {
    let mut profile = Profile::default();
    for (index, age_ms) in ages_ms.iter().enumerate() {
        let time = Time::from_unix_ms(NOW_MS - age_ms);
        let (campaign, bounds) = (Single::default().id, Bounds { plays: 1, campaigns: &[] });
        profile.count_decided_impression(DecisionId(index as u64), campaign, time, &bounds);
    }
    profile
}

#[test]
fn policy_stops_at_the_first_check_that_refuses() {
    let campaign = Single::default();
    let silver_only = Single { audience: vec![Membership::Silver], ..campaign.clone() };
    let unknown = Profile::default();
    let day_ms = 24 * 3_600_000;
    let cases = [
        (member(Membership::Gold), &campaign, cached(9.0, 50), Reason::AlreadyGold),
        (member(Membership::Free), &silver_only, cached(9.0, 50), Reason::NotInAudience),
        (unknown.clone(), &silver_only, cached(9.0, 50), Reason::NotInAudience),
        (unknown.clone(), &campaign, None, Reason::NoModel),
        (unknown.clone(), &campaign, cached(9.0, 0), Reason::TooLittleHistory),
        (unknown.clone(), &campaign, cached(9.0, 9), Reason::TooLittleHistory),
        (unknown.clone(), &campaign, cached(9.0, 10), Reason::LikelyToClick),
        (member(Membership::Silver), &campaign, cached(9.0, 10), Reason::LikelyToClick),
        (unknown.clone(), &campaign, cached(0.0, 10), Reason::UnlikelyToClick),
        (unknown, &campaign, cached(-1.0, 10), Reason::UnlikelyToClick),
        (heard(&[day_ms - 1]), &campaign, cached(9.0, 10), Reason::Capped),
        (heard(&[day_ms]), &campaign, cached(9.0, 10), Reason::LikelyToClick),
    ];
    for (index, (profile, campaign, score, expected)) in cases.into_iter().enumerate() {
        let verdict = decide(&profile, campaign, score, NOW_MS);
        assert_eq!(verdict.reason, expected, "case {index}");
        let last = verdict.trace.checks().last().expect("at least one check");
        let refusing = match expected {
            Reason::AlreadyGold | Reason::NotInAudience => Check::Audience,
            Reason::NoModel => Check::Model,
            Reason::TooLittleHistory => Check::History,
            Reason::Capped => Check::Cap,
            _ => Check::Score,
        };
        assert_eq!(last, refusing, "case {index}: the trace ends with the check that gave the reason");
    }
}

#[test]
fn cap_of_three_allows_three_impressions() {
    let mut campaign = Single::default();
    campaign.cap.impressions = 3;
    for (impressions, expected) in [(2, Reason::LikelyToClick), (3, Reason::Capped)] {
        let profile = heard(&vec![1000; impressions]);
        assert_eq!(decide(&profile, &campaign, cached(1.0, 50), NOW_MS).reason, expected);
    }
}

#[test]
fn likely_and_exploring_alone_show_and_every_reason_has_its_own_name() {
    let shown: Vec<_> = Reason::ALL.into_iter().filter(|reason| reason.shows()).collect();
    assert_eq!(shown, [Reason::Exploring, Reason::LikelyToClick]);
    let names: std::collections::HashSet<_> = Reason::ALL.into_iter().map(Reason::name).collect();
    assert_eq!(names.len(), Reason::ALL.len());
}
