use proptest::prelude::*;

use super::*;

fn play(event_id: u64, minute: i64, track: u64) -> Event {
    Event {
        customer: Id::Number(48),
        id: Id::Number(event_id),
        time: Time::from_unix_ms(minute * 60_000),
        kind: EventKind::Play { track: Id::Number(track), mobile: track.is_multiple_of(2) },
    }
}

fn membership(event_id: u64, minute: i64, level: Membership) -> Event {
    Event { kind: EventKind::Membership(level), ..play(event_id, minute, 0) }
}

fn profile_of(events: &[Event], max_plays: usize) -> Profile {
    let mut profile = Profile::default();
    for event in events {
        profile.check(event).expect("fits");
        profile.apply(event.clone(), max_plays);
    }
    profile
}

/// Events whose content is decided by their identity, as real ones are.
fn any_event() -> impl Strategy<Value = Event> {
    (0u64..40, 0i64..40, 0u8..4).prop_map(|(event_id, minute, kind)| {
        let base = play(event_id, minute, event_id * 7 % 11);
        let kind = match kind {
            0 => EventKind::Click { ad: Id::Number(event_id % 3) },
            1 => EventKind::Impression(ImpressionOf::Campaign(Id::Number(event_id % 2))),
            2 => EventKind::Membership([Membership::Free, Membership::Gold][event_id as usize % 2]),
            _ => base.kind.clone(),
        };
        Event { kind, ..base }
    })
}

proptest! {
    #[test]
    fn a_profile_is_a_function_of_the_set_of_its_events(
        events in prop::collection::vec(any_event(), 0..120),
        repeats in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        order in any::<u64>(),
        max_plays in 1usize..30,
    ) {
        let mut shuffled = events.clone();
        if !events.is_empty() {
            shuffled.extend(repeats.iter().map(|index| index.get(&events).clone()));
        }
        shuffled.sort_by_key(|event| {
            let key = format!("{order}{event:?}");
            key.bytes().fold(order, |hash, byte| hash.rotate_left(7).wrapping_mul(31) ^ u64::from(byte))
        });
        prop_assert_eq!(profile_of(&events, max_plays), profile_of(&shuffled, max_plays));
    }

    #[test]
    fn every_distinct_play_is_accepted_once_in_any_order(
        events in prop::collection::vec((0u64..60, 0i64..60), 0..200),
        max_plays in 1usize..30,
    ) {
        let mut profile = Profile::default();
        let told = events.iter().chain(&events);
        let accepted = told
            .filter(|(event_id, minute)| {
                profile.apply(play(*event_id, *minute, 1), max_plays) == Applied::Accepted
            })
            .count();
        let distinct: std::collections::HashSet<_> = events.iter().collect();
        prop_assert_eq!(accepted, distinct.len());
    }
}

#[test]
fn the_window_keeps_the_most_recent_by_time_then_event_id() {
    let events: Vec<Event> = [(5, 10), (3, 10), (9, 1), (1, 30)]
        .iter()
        .map(|(event_id, minute)| play(*event_id, *minute, 1))
        .collect();
    let kept = |max_plays| -> Vec<String> {
        let profile = profile_of(&events, max_plays);
        profile.plays().iter().map(|play| play.event_id.to_string()).collect()
    };
    assert_eq!(kept(10), ["9", "3", "5", "1"]);
    assert_eq!(kept(2), ["5", "1"]);
}

#[test]
fn the_window_ends_after_exactly_its_days() {
    let window = Window { plays: 10, days: 1 };
    let profile = profile_of(&[play(1, 0, 1), play(2, 1, 1)], 10);
    assert_eq!(profile.plays_in(&window, DAY_MS).len(), 2);
    assert_eq!(profile.plays_in(&window, DAY_MS + 1).len(), 1);
    assert_eq!(profile.plays_in(&window, DAY_MS + 60_001).len(), 0);
    assert_eq!(profile.plays().len(), 2);
}

#[test]
fn the_latest_membership_counts_whatever_the_order() {
    let events = [membership(2, 20, Membership::Gold), membership(1, 10, Membership::Free)];
    let profile = profile_of(&events, 10);
    assert_eq!(profile.membership().map(|change| change.level), Some(Membership::Gold));
}

#[test]
fn another_level_under_the_same_id_and_time_is_a_misfit() {
    let profile = profile_of(&[membership(1, 10, Membership::Free)], 10);
    assert!(profile.check(&membership(1, 10, Membership::Free)).is_ok());
    let misfit = profile.check(&membership(1, 10, Membership::Gold)).expect_err("conflict");
    assert!(misfit.to_string().contains("already became free"), "{misfit}");
}

#[test]
fn an_impression_event_confirms_what_a_decision_counted() {
    let mut profile = Profile::default();
    let (decision, campaign) = (DecisionId(7), Id::Number(1));
    let confirmation =
        Event { kind: EventKind::Impression(ImpressionOf::Decision(decision)), ..play(1, 1, 1) };
    assert!(profile.check(&confirmation).is_err());
    profile.count_decided_impression(decision, campaign.clone(), Time::from_unix_ms(5));
    assert!(profile.check(&confirmation).is_ok());
    assert_eq!(profile.apply(confirmation.clone(), 10), Applied::Accepted);
    assert_eq!(profile.apply(confirmation, 10), Applied::Duplicate);
    assert_eq!(profile.impressions_after(&campaign, 4), 1);
    assert_eq!(profile.impressions_after(&campaign, 5), 0);
}
