use crate::event::{ClickOf, DecisionId, Event, EventKind, Id, ImpressionOf, Time};
use crate::profile::{Applied, Bounds, EventConflict, EventRef, Profile};

fn bounds(plays: usize) -> Bounds<'static> {
    Bounds { plays, campaigns: &[Id::Number(0)] }
}

fn event(event_id: u64, minute: i64, kind: EventKind) -> Event {
    let time = Time::from_unix_ms(minute * 60_000);
    Event { customer: Id::Number(48), id: Id::Number(event_id), time, kind }
}

#[test]
fn impression_event_confirms_the_impression_of_its_decision() {
    let mut profile = Profile::default();
    let (decision, campaign) = (DecisionId(7), Id::Number(1));
    let confirmation = event(1, 1, EventKind::Impression(ImpressionOf::Decision(decision)));
    assert!(profile.check(&confirmation).is_err());
    profile.count_decided_impression(decision, campaign.clone(), Time::from_unix_ms(5), &bounds(10));
    assert!(profile.check(&confirmation).is_ok());
    assert_eq!(profile.apply(confirmation.clone(), &bounds(10)), Applied::Accepted);
    assert_eq!(profile.apply(confirmation, &bounds(10)), Applied::Duplicate);
    assert_eq!(profile.impressions_after(&campaign, 4), 1);
    assert_eq!(profile.impressions_after(&campaign, 5), 0);
}

#[test]
fn click_that_names_a_decision_has_the_ad_that_was_looked_up_and_keeps_the_decision() {
    let (decision, ad) = (DecisionId(7), Id::Text("AD".into()));
    let of = ClickOf::Decision { decision, ad: Some(ad.clone()) };
    let by_decision = event(1, 1, EventKind::Click { of });
    let by_ad = event(1, 1, EventKind::click(ad.clone()));
    let mut profile = Profile::default();
    assert_eq!(profile.check(&by_decision), Err(EventConflict::UnknownDecision(decision)));
    profile.count_decided_impression(decision, Id::Number(0), Time::from_unix_ms(5), &bounds(10));
    assert_eq!(profile.check(&by_decision), Ok(()));
    for (event, expected) in [
        (&by_ad, Applied::Accepted),
        (&by_decision, Applied::Replaced),
        (&by_ad, Applied::Duplicate),
        (&by_decision, Applied::Duplicate),
    ] {
        assert_eq!(
            profile.apply(event.clone(), &bounds(10)),
            expected,
            "one event, and the copy that says more"
        );
    }
    let [click] = profile.clicks() else { panic!("{:?}", profile.clicks()) };
    assert_eq!((&click.ad, click.decision), (&ad, Some(decision)));
}

#[test]
fn void_takes_memory_once_and_its_time_is_the_newest_of_the_profile() {
    let mut profile = Profile::default();
    let void = event(1, 9, EventKind::Void { decision: DecisionId(7) });
    assert!(!profile.would_grow(&void, &bounds(10)), "nothing is known that it could give back");
    assert_eq!(profile.apply(void.clone(), &bounds(10)), Applied::TooOld);
    assert_eq!(profile, Profile::default());
    profile.count_decided_impression(DecisionId(7), Id::Number(0), Time::from_unix_ms(5), &bounds(10));
    assert!(profile.would_grow(&void, &bounds(10)));
    let before = profile.heap_bytes();
    assert_eq!(profile.apply(void.clone(), &bounds(10)), Applied::Accepted);
    assert_eq!(profile.heap_bytes(), before + size_of::<EventRef>());
    assert!(!profile.would_grow(&void, &bounds(10)));
    assert_eq!(profile.newest_ms(), Some(void.time.unix_ms));
    assert_eq!((profile.impressions().count(), profile.held_impressions().count()), (0, 1));
}
