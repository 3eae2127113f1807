use proptest::prelude::*;

use super::*;
use crate::event::{ClickOf, DAY_MS};

fn bounds(plays: usize) -> Bounds<'static> {
    Bounds { plays, campaigns: &[Id::Number(0)] }
}

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
        profile.apply(event.clone(), &bounds(max_plays));
    }
    profile
}

/// Ads that are shown to everybody before any event comes, by decisions of these numbers.
const SHOWN: u64 = 12;

fn shown_profile_of(events: &[Event], max_plays: usize) -> Profile {
    let mut profile = Profile::default();
    for shown in 0..SHOWN {
        let (campaign, time) = (Id::Number(shown % 2), Time::from_unix_ms(shown as i64 * 180_000));
        profile.count_decided_impression(DecisionId(shown), campaign, time, &bounds(max_plays));
    }
    for event in events {
        profile.check(event).expect("fits");
        profile.apply(event.clone(), &bounds(max_plays));
    }
    profile
}

/// Events whose content is decided by their identity, as real ones are.
fn any_event() -> impl Strategy<Value = Event> {
    (0u64..40, 0i64..40, 0u8..8).prop_map(|(event_id, minute, kind)| {
        let base = play(event_id, minute, event_id * 7 % 11);
        let decision = DecisionId((event_id + 5 * minute as u64) % SHOWN);
        let kind = match kind {
            3 => EventKind::Click { of: ClickOf::Decision { decision, ad: None } },
            4 => EventKind::Void { decision },
            5 => EventKind::Impression(ImpressionOf::Decision(decision)),
            0 => EventKind::click(Id::Number(event_id % 3)),
            1 => EventKind::Impression(ImpressionOf::Campaign(Id::Number(event_id % 2))),
            2 => EventKind::Membership([Membership::Free, Membership::Gold][event_id as usize % 2]),
            _ => base.kind.clone(),
        };
        Event { kind, ..base }
    })
}

#[test]
fn dropped_play_stays_a_duplicate_when_the_window_grows() {
    let text = |minute| Event { id: Id::Text("a-text".into()), ..play(0, minute, 3) };
    // Plays of the usual form, and a list in which one has another.
    for newest in [play(600, 600, 1), text(600)] {
        for (events, forgotten) in [(100_u64, 0), (400, 141)] {
            let events: Vec<Event> =
                (1..=events).map(|id| play(id, id as i64, id % 9)).chain([newest.clone()]).collect();
            let mut profile = profile_of(&events, 4);
            let wide = bounds(1000);
            for (nth, event) in events.iter().enumerate() {
                let expected = if nth < forgotten { Applied::TooOld } else { Applied::Duplicate };
                assert_eq!(profile.apply(event.clone(), &wide), expected, "{event:?}");
            }
            let kept = profile.plays().len();
            assert_eq!(kept, 4, "nothing was taken twice");
            assert_eq!(profile.apply(play(700, 700, 1), &wide), Applied::Accepted);
            let late = if forgotten > 0 { Applied::TooOld } else { Applied::Accepted };
            assert_eq!(
                profile.apply(play(9999, 0, 1), &wide),
                late,
                "all that were dropped are known, or not"
            );
        }
    }
}

proptest! {
    #[test]
    fn profile_is_a_function_of_the_set_of_its_events(
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
        let (one, other) = (shown_profile_of(&events, max_plays), shown_profile_of(&shuffled, max_plays));
        prop_assert_eq!(&one, &other);
        // What is given as the events that a profile holds makes it again, so a dump loses nothing.
        let held: Vec<Event> = one.events(&Id::Number(48)).collect();
        prop_assert_eq!(shown_profile_of(&held, max_plays), one);
    }

    #[test]
    fn every_distinct_play_is_accepted_once_in_any_order(
        events in prop::collection::vec((0u64..60, 0i64..60), 0..200),
        max_plays in 1usize..30,
    ) {
        let mut profile = Profile::default();
        let sent = events.iter().chain(&events);
        let accepted = sent
            .filter(|(event_id, minute)| {
                profile.apply(play(*event_id, *minute, 1), &bounds(max_plays)) == Applied::Accepted
            })
            .count();
        let distinct: std::collections::HashSet<_> = events.iter().collect();
        prop_assert_eq!(accepted, distinct.len());
    }
}

/// Times that are one instant in several ways of writing it, tracks and phone flags, so that copies differ; of every
/// layout.
fn any_copy() -> impl Strategy<Value = Event> {
    let text = prop::sample::select(vec![
        "2014-10-23T03:26:20",
        "2014-10-23T03:26:20Z",
        "2014-10-23T05:26:20+02:00",
        "2014-10-22T23:26:20-04:00",
    ]);
    let track =
        prop_oneof![(0u64..3).prop_map(Id::Number), Just(Id::Number(1 << 40)), Just(Id::Text("a".into()))];
    (text, 0u64..3, track, any::<bool>(), 0u8..6).prop_map(|(text, event_id, track, mobile, kind)| {
        let time = Time::parse(text, &crate::event::Zone::utc()).expect("a time");
        let kind = match kind {
            0 => EventKind::click(track),
            1 => EventKind::Membership(Membership::Silver),
            2 => EventKind::Impression(ImpressionOf::Campaign(track)),
            _ => EventKind::Play { track, mobile },
        };
        Event { customer: Id::Number(48), id: Id::Number(event_id), time, kind }
    })
}

proptest! {
    #[test]
    fn smallest_of_several_copies_of_an_event_is_kept_in_any_order(
        copies in prop::collection::vec(any_copy(), 1..24),
        turn in any::<prop::sample::Index>(),
    ) {
        let mut turned = copies.clone();
        turned.rotate_left(turn.index(copies.len()));
        let reversed: Vec<Event> = copies.iter().rev().cloned().collect();
        // As text, since times are equal when their instants are.
        let shown = |events: &[Event]| {
            let profile = profile_of(events, 10);
            let plays: Vec<String> = profile.plays().iter().map(|play| format!("{play:?}")).collect();
            format!("{plays:?} {:?} {:?} {:?}", profile.clicks(), profile.membership(), profile.kept_impressions())
        };
        prop_assert_eq!(shown(&copies), shown(&turned));
        prop_assert_eq!(shown(&copies), shown(&reversed));
    }
}

/// Ids and times of every form, so that profiles of each layout occur and change into each other.
fn any_form_of_play() -> impl Strategy<Value = Event> {
    let id = || {
        prop_oneof![
            8 => (0u64..20).prop_map(Id::Number),
            1 => prop::sample::select(vec![(1 << 31) - 1, 1 << 31, u64::from(u32::MAX), 1 << 32, u64::MAX])
                .prop_map(Id::Number),
            1 => "[a-c]".prop_map(|text| Id::Text(text.into())),
        ]
    };
    let time = prop_oneof![
        8 => (0i64..40).prop_map(|second| Time::from_unix_ms(second * 1000)),
        1 => (-1500i64..1500).prop_map(Time::from_unix_ms),
        1 => prop::sample::select(vec!["1970-01-01T01:00:00+01:00", "1970-01-01T00:00:07.5Z", "2106-02-07T06:28:16"])
            .prop_map(|text| Time::parse(text, &crate::event::Zone::utc()).expect("a time")),
    ];
    (id(), time, id(), any::<bool>()).prop_map(|(event_id, time, track, mobile)| Event {
        customer: Id::Number(48),
        id: event_id,
        time,
        kind: EventKind::Play { track, mobile },
    })
}

/// What copies of one play are ordered by.
fn content(event: &Event) -> (&Id, bool, u8, String) {
    let EventKind::Play { track, mobile } = &event.kind else { panic!("{event:?}") };
    // The forms above write at most one offset an instant, so that their order is that of their texts.
    (track, *mobile, event.time.hour(), event.time.to_string())
}

proptest! {
    /// Compared with an ordered map, which states what a profile should hold.
    #[test]
    fn most_recent_plays_are_kept_in_any_form(
        events in prop::collection::vec(any_form_of_play(), 0..80),
        max_plays in 1usize..40,
    ) {
        let mut profile = Profile::default();
        let mut expected = std::collections::BTreeMap::new();
        for event in &events {
            let key = (event.time, event.id.clone());
            let seen_before = expected.contains_key(&key);
            let grows = profile.would_grow(event, &bounds(max_plays));
            let bytes = profile.heap_bytes();
            let applied = profile.apply(event.clone(), &bounds(max_plays));
            // Where one play replaces another, its ids may be longer by a few bytes.
            prop_assert!(grows || profile.heap_bytes() <= bytes + 2 * 64);
            if seen_before {
                prop_assert!(matches!(applied, Applied::Duplicate | Applied::Replaced));
            }
            let kept = expected.entry(key).or_insert_with(|| event.clone());
            if content(event) < content(kept) {
                *kept = event.clone();
            }
            while expected.len() > max_plays {
                expected.pop_first();
            }
        }
        let kept: Vec<String> = profile.plays().iter().map(|play| format!("{play:?}")).collect();
        let expected = expected.values().map(|event| {
            let EventKind::Play { track, mobile } = &event.kind else { panic!("{event:?}") };
            let (event_id, track) = (event.id.as_ref(), track.as_ref());
            format!("{:?}", PlayRef { time: event.time, event_id, track, mobile: *mobile })
        });
        prop_assert_eq!(kept, expected.collect::<Vec<_>>());
    }

    #[test]
    fn window_equals_a_filter_by_age_and_count(
        events in prop::collection::vec(any_form_of_play(), 0..40),
        plays in 1u32..30,
        now_ms in -2000i64..60_000,
    ) {
        let profile = profile_of(&events, 30);
        let window = Window { plays, days: 1 };
        let now_ms = now_ms + DAY_MS;
        let young = profile.plays().iter().filter(|play| play.time.unix_ms >= window.start_ms(now_ms)).count();
        let counted = profile.plays_in(&window, now_ms);
        prop_assert_eq!(counted.len(), young.min(plays as usize));
        prop_assert_eq!(counted.older() + counted.len(), profile.plays().len());
        prop_assert!(counted.iter().eq(profile.plays().iter().skip(counted.older())));
        prop_assert_eq!(counted.first_ms(), counted.iter().next().map(|play| play.time.unix_ms));
    }
}

#[test]
fn plays_of_the_usual_form_take_twelve_bytes_and_others_four_more_per_column() {
    let bytes_per_play = |first_event_id: u64, fine_ms: i64| {
        let mut profile = Profile::default();
        for n in 0..256 {
            let event = play(first_event_id + n, n as i64, n);
            let time = Time::from_unix_ms(event.time.unix_ms + fine_ms);
            profile.apply(Event { time, ..event }, &bounds(256));
        }
        profile.heap_bytes() / 256
    };
    assert_eq!(bytes_per_play(0, 0), 12);
    assert_eq!(bytes_per_play(1 << 40, 0), 16);
    assert_eq!(bytes_per_play(0, 1), 16);
    assert_eq!(bytes_per_play(1 << 40, 1), 20);
}

#[test]
fn memberships_from_a_customer_file_take_no_memory_and_a_second_one_is_listed() {
    let from_file = Event { id: Id::Text("customer-file".into()), ..membership(0, 5, Membership::Silver) };
    let mut profile = profile_of(std::slice::from_ref(&from_file), 10);
    assert_eq!(profile.heap_bytes(), 0);
    assert_eq!(profile.membership().map(|change| change.event_id), Some(from_file.id.clone()));
    assert_eq!(profile.apply(from_file, &bounds(10)), Applied::Duplicate);
    assert_eq!(profile.apply(membership(1, 9, Membership::Gold), &bounds(10)), Applied::Accepted);
    assert_eq!(profile.level(), Some(Membership::Gold));
    assert_eq!(profile.apply(membership(2, 1, Membership::Free), &bounds(10)), Applied::Accepted);
    assert_eq!(profile.level(), Some(Membership::Gold));
}

#[test]
fn event_of_a_long_history_is_accepted_at_most_once() {
    let mut profile = Profile::default();
    let mut send_all = || {
        let mut counts = [0; 3];
        for event_id in 0..1000 {
            counts[match profile.apply(play(event_id, event_id as i64, 1), &bounds(256)) {
                Applied::Accepted => 0,
                Applied::Duplicate | Applied::Replaced => 1,
                Applied::TooOld => 2,
                Applied::Erased => panic!("no profile says so"),
            }] += 1;
        }
        counts
    };
    assert_eq!(send_all(), [1000, 0, 0]);
    // 256 are kept, and the last 256 that were dropped are recognised; of the others nobody can tell.
    assert_eq!(send_all(), [0, 512, 488]);
    assert_eq!(send_all(), [0, 512, 488]);
}

#[test]
fn late_play_of_a_full_profile_is_accepted_while_all_that_left_are_known() {
    let mut profile = profile_of(&(0..300).map(|n| play(n, n as i64, 1)).collect::<Vec<_>>(), 256);
    let late = |event_id| play(event_id, -5, 1);
    for event_id in 0..212 {
        assert_eq!(profile.apply(late(event_id), &bounds(256)), Applied::Accepted, "{event_id}");
        assert_eq!(profile.apply(late(event_id), &bounds(256)), Applied::Duplicate, "{event_id}");
    }
    for _ in 0..3 {
        assert_eq!(
            profile.apply(late(212), &bounds(256)),
            Applied::TooOld,
            "44 and 212 fill the fingerprints"
        );
    }
}

#[test]
fn first_membership_needs_no_memory_and_a_second_one_does() {
    let mut profile = Profile::default();
    assert!(!profile.would_grow(&membership(1, 10, Membership::Gold), &bounds(10)));
    profile.apply(membership(1, 10, Membership::Gold), &bounds(10));
    assert!(!profile.would_grow(&membership(1, 10, Membership::Gold), &bounds(10)));
    assert!(profile.would_grow(&membership(2, 20, Membership::Free), &bounds(10)));
}

#[test]
fn window_keeps_the_most_recent_by_time_then_event_id() {
    let events: Vec<Event> = [(5, 10), (3, 10), (9, 1), (1, 30)]
        .iter()
        .map(|(event_id, minute)| play(*event_id, *minute, 1))
        .collect();
    let kept = |max_plays| -> Vec<String> {
        let profile = profile_of(&events, max_plays);
        profile.plays().iter().map(|play| play.event_id.to_id().to_string()).collect()
    };
    assert_eq!(kept(10), ["9", "3", "5", "1"]);
    assert_eq!(kept(2), ["5", "1"]);
}

#[test]
fn window_ends_after_exactly_its_days() {
    let window = Window { plays: 10, days: 1 };
    let profile = profile_of(&[play(1, 0, 1), play(2, 1, 1)], 10);
    assert_eq!(profile.plays_in(&window, DAY_MS).len(), 2);
    assert_eq!(profile.plays_in(&window, DAY_MS + 1).len(), 1);
    assert_eq!(profile.plays_in(&window, DAY_MS + 60_001).len(), 0);
    assert_eq!(profile.plays().len(), 2);
}

#[test]
fn latest_membership_counts_in_any_order_of_arrival() {
    let events = [membership(2, 20, Membership::Gold), membership(1, 10, Membership::Free)];
    let profile = profile_of(&events, 10);
    assert_eq!(profile.membership().map(|change| change.level), Some(Membership::Gold));
}

#[test]
fn other_level_with_the_same_id_and_time_is_a_conflict() {
    let profile = profile_of(&[membership(1, 10, Membership::Free)], 10);
    assert!(profile.check(&membership(1, 10, Membership::Free)).is_ok());
    let conflict = profile.check(&membership(1, 10, Membership::Gold)).expect_err("a conflict");
    assert!(conflict.to_string().contains("already became free"), "{conflict}");
}
