use proptest::prelude::*;

use super::*;
use crate::event::{CUSTOMER_FILE_ID, ClickOf, Event, EventKind, ImpressionOf, Membership, Time, Zone};
use crate::profile::{Applied, Bounds};

const CAMPAIGNS: &[Id] = &[Id::Number(0), Id::Number(1)];

fn bounds(plays: usize) -> Bounds<'static> {
    Bounds { plays, campaigns: CAMPAIGNS }
}

/// A change of a profile: an event, or what a decision said.
#[derive(Debug, Clone)]
enum Change {
    Event(Event),
    Decided(u64, u64, i64),
}

fn apply(profile: &mut Profile, change: &Change, bounds: &Bounds<'_>) -> Option<Applied> {
    match change {
        Change::Event(event) => {
            profile.check(event).ok()?;
            Some(profile.apply(event.clone(), bounds))
        }
        Change::Decided(decision, campaign, second) => {
            let time = Time::from_unix_ms(second * 1000);
            profile.count_decided_impression(DecisionId(*decision), Id::Number(*campaign), time, bounds);
            None
        }
    }
}

/// Ids and times of all forms, the usual ones most often where `usual` says so.
fn any_change(usual: bool) -> impl Strategy<Value = Change> {
    let rare = if usual { 0 } else { 1 };
    let id = move || {
        prop_oneof![
            8 => (0u64..60).prop_map(Id::Number),
            rare => prop::sample::select(vec![(1 << 31) - 1, 1 << 31, 1 << 32, u64::MAX]).prop_map(Id::Number),
            rare => "[a-c]".prop_map(|text| Id::Text(text.into())),
        ]
    };
    let time = prop_oneof![
        8 => (0i64..400).prop_map(|second| Time::from_unix_ms(second * 1000)),
        rare => (-1500i64..1500).prop_map(Time::from_unix_ms),
        rare => prop::sample::select(vec!["1970-01-01T01:00:00+01:00", "1970-01-01T00:00:07.5Z", "2106-02-07T06:28:16"])
            .prop_map(|text| Time::parse(text, &Zone::utc()).expect("a time")),
    ];
    let level = prop::sample::select(vec![Membership::Free, Membership::Silver, Membership::Gold]);
    let campaign = || (0u64..3).prop_map(Id::Number);
    let kind = prop_oneof![
        6 => (id(), any::<bool>()).prop_map(|(track, mobile)| EventKind::Play { track, mobile }),
        2 => id().prop_map(EventKind::click),
        1 => (0u64..30, prop::option::of(id())).prop_map(|(id, ad)| EventKind::Click {
            of: ClickOf::Decision { decision: DecisionId(id), ad },
        }),
        1 => (0u64..30).prop_map(|id| EventKind::Void { decision: DecisionId(id) }),
        1 => level.prop_map(EventKind::Membership),
        1 => campaign().prop_map(|campaign| EventKind::Impression(ImpressionOf::Campaign(campaign))),
        1 => (0u64..30).prop_map(|id| EventKind::Impression(ImpressionOf::Decision(DecisionId(id)))),
    ];
    prop_oneof![
        8 => (id(), time, kind, 0u8..40).prop_map(|(event_id, time, kind, file)| Change::Event(Event {
            customer: Id::Number(48),
            id: if file == 0 { Id::Text(CUSTOMER_FILE_ID.into()) } else { event_id },
            time,
            kind,
        })),
        // A decision is made once: its id says of what and when.
        1 => (0u64..30).prop_map(|id| Change::Decided(id, id % 3, id as i64 * 7 % 400)),
    ]
}

fn encoded(profile: &Profile) -> Vec<u8> {
    let mut bytes = Vec::new();
    profile.encode(&mut bytes);
    bytes
}

fn decoded(bytes: &[u8]) -> Result<Profile, DecodeError> {
    let mut decoder = Decoder::new(bytes);
    let profile = Profile::decode(&mut decoder, CAMPAIGNS)?;
    decoder.end()?;
    Ok(profile)
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    any::<bool>().prop_flat_map(|usual| prop::collection::vec(any_change(usual), 0..150))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Later events get the same answers and leave the same bytes, so nothing that they depend on is missing.
    #[test]
    fn decoded_profile_answers_later_events_as_the_one_that_was_encoded(
        earlier in changes(),
        later in changes(),
        max_plays in 1usize..30,
    ) {
        let mut profile = Profile::default();
        for change in &earlier {
            apply(&mut profile, change, &bounds(max_plays));
        }
        let bytes = encoded(&profile);
        let mut copy = decoded(&bytes).expect("it was encoded");
        prop_assert_eq!(&copy, &profile);
        prop_assert_eq!(encoded(&copy), bytes);
        for change in &later {
            let answers = (apply(&mut profile, change, &bounds(max_plays)), apply(&mut copy, change, &bounds(max_plays)));
            prop_assert_eq!(answers.0, answers.1, "{:?}", change);
        }
        prop_assert_eq!(encoded(&copy), encoded(&profile));
    }

    /// A copy that was taken amid some changes, with the changes from before it repeated over it, is the profile after them.
    #[test]
    fn repeating_changes_that_a_profile_holds_already_leaves_it_the_same(
        changes in changes(),
        max_plays in 1usize..30,
        from in any::<prop::sample::Index>(),
        copied in any::<prop::sample::Index>(),
    ) {
        let mut profile = Profile::default();
        // Changes that are logged: those that were neither refused nor without effect.
        let mut logged = Vec::new();
        let mut copies = vec![profile.clone()];
        for change in &changes {
            let before = encoded(&profile);
            apply(&mut profile, change, &bounds(max_plays));
            if encoded(&profile) != before {
                logged.push(change);
                copies.push(profile.clone());
            }
        }
        let copied = copied.index(copies.len());
        let from = from.index(copied + 1);
        let mut copy = copies.swap_remove(copied);
        for change in &logged[from..] {
            if let Change::Event(event) = change {
                copy.apply(event.clone(), &bounds(max_plays));
            } else {
                apply(&mut copy, change, &bounds(max_plays));
            }
        }
        prop_assert_eq!(encoded(&copy), encoded(&profile), "from {} over {}", from, copied);
    }

    /// The same with more dropped plays than there are fingerprints.
    #[test]
    fn repeating_plays_that_a_full_profile_has_forgotten_leaves_it_the_same(
        plays in prop::collection::vec((0i64..3000, 0u64..4), 300..700),
        from in any::<prop::sample::Index>(),
        copied in any::<prop::sample::Index>(),
    ) {
        let mut profile = Profile::default();
        let (copied, mut copy, mut logged) = (copied.index(plays.len()), None, Vec::new());
        for (index, (second, event_id)) in plays.iter().enumerate() {
            let kind = EventKind::Play { track: Id::Number(1), mobile: false };
            let time = Time::from_unix_ms((second + 2 * index as i64) * 1000);
            let event = Event { customer: Id::Number(48), id: Id::Number(*event_id), time, kind };
            if matches!(profile.apply(event.clone(), &bounds(5)), Applied::Accepted | Applied::Replaced) {
                logged.push(event);
            }
            if index == copied {
                copy = Some((logged.len(), profile.clone()));
            }
        }
        let (held, mut copy) = copy.expect("it is below the number of plays");
        for event in &logged[from.index(held + 1)..] {
            copy.apply(event.clone(), &bounds(5));
        }
        prop_assert_eq!(encoded(&copy), encoded(&profile));
    }

    /// As over several restarts: what was decoded is changed, encoded and decoded again.
    #[test]
    fn nothing_is_lost_over_several_rounds(
        rounds in prop::collection::vec(prop::collection::vec(any_change(false), 0..30), 2..6),
        max_plays in 1usize..6,
    ) {
        let (mut profile, mut copy) = (Profile::default(), Profile::default());
        for changes in &rounds {
            for change in changes {
                apply(&mut profile, change, &bounds(max_plays));
                apply(&mut copy, change, &bounds(max_plays));
            }
            prop_assert_eq!(encoded(&copy), encoded(&profile));
            copy = decoded(&encoded(&copy)).expect("it was encoded");
        }
    }

    #[test]
    fn damaged_profile_is_refused_or_read_and_never_panics(
        changes in prop::collection::vec(any_change(false), 0..30),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut profile = Profile::default();
        for change in &changes {
            apply(&mut profile, change, &bounds(10));
        }
        let mut bytes = encoded(&profile);
        for length in 0..bytes.len() {
            prop_assert!(decoded(&bytes[..length]).is_err());
        }
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(mut profile) = decoded(&bytes) {
            let _ = encoded(&profile);
            for change in &changes {
                apply(&mut profile, change, &bounds(10));
            }
        }
    }
}

#[test]
fn forty_plays_of_the_usual_form_take_less_than_ten_bytes_each() {
    let mut profile = Profile::default();
    // A day and a half between plays, a million events of others, ten thousand tracks.
    for n in 0..40_u64 {
        let event = Event {
            customer: Id::Number(48),
            id: Id::Number(n * 1_000_000),
            time: Time::from_unix_ms(1_400_000_000_000 + n as i64 * 60_480_000),
            kind: EventKind::Play { track: Id::Number(n * 250), mobile: n % 2 == 0 },
        };
        profile.apply(event, &bounds(256));
    }
    assert!(encoded(&profile).len() < 400, "{} bytes", encoded(&profile).len());
}

/// Bytes that versions without voids wrote, and those that there are of them since: the same.
#[test]
fn ad_history_of_earlier_versions_reads_and_is_written_as_before() {
    let mut profile = Profile::default();
    let event = |id: u64, kind| Event {
        customer: Id::Number(48),
        id: Id::Number(id),
        time: Time::from_unix_ms(id as i64 * 1000),
        kind,
    };
    for decision in [1, 2] {
        let time = Time::from_unix_ms(decision as i64 * 1000);
        profile.count_decided_impression(DecisionId(decision), Id::Number(1), time, &bounds(5));
    }
    let confirmation = EventKind::Impression(ImpressionOf::Decision(DecisionId(1)));
    let report = EventKind::Impression(ImpressionOf::Campaign(Id::Number(1)));
    for event in [event(5, confirmation), event(6, report), event(7, EventKind::click(Id::Text("AD".into())))]
    {
        assert_eq!(profile.apply(event, &bounds(5)), Applied::Accepted);
    }
    let of_before: &[&[u8]] = &[
        &[48, 3],
        &[0, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 5],
        &[0, 2, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0],
        &[0, 6, 0, 1, 2, 0, 6],
        &[1, 0, 7, 0, 7, 2, b'A', b'D'],
    ];
    assert_eq!(encoded(&profile), of_before.concat());
    assert_eq!(decoded(&of_before.concat()), Ok(profile));
}
