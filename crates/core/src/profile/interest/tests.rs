//! Runs of plays, against a plain reading of what they are.

use proptest::prelude::*;

use super::*;
use crate::event::{Event, EventKind, Id};
use crate::profile::Bounds;

const MINUTE_MS: i64 = 60_000;

fn apply(profile: &mut Profile, track: u64, event_id: u64, time_ms: i64) {
    let kind = EventKind::Play { track: Id::Number(track), mobile: true };
    let event =
        Event { customer: Id::Number(1), id: Id::Number(event_id), time: Time::from_unix_ms(time_ms), kind };
    profile.apply(event, &Bounds { plays: 100, campaigns: &[] });
}

/// Plays of tracks at these minutes.
fn profile(plays: &[(u64, i64)]) -> Profile {
    let mut profile = Profile::default();
    for (event_id, (track, minute)) in (1..).zip(plays) {
        apply(&mut profile, *track, event_id, minute * MINUTE_MS);
    }
    profile
}

/// Count, and the minutes of the first and the last play of the newest run.
fn newest(profile: &Profile, track: u64) -> Option<(usize, i64, i64)> {
    let run = profile.newest_run(IdRef::Number(track))?;
    Some((run.count, run.from.unix_ms / MINUTE_MS, run.to.unix_ms / MINUTE_MS))
}

#[test]
fn three_plays_of_a_track_within_half_an_hour_are_an_interest_and_what_touches_them_belongs_to_it() {
    assert_eq!(newest(&profile(&[(1, 0), (1, 10), (1, 30)]), 1), Some((3, 0, 30)));
    assert_eq!(newest(&profile(&[(1, 0), (1, 10), (1, 31)]), 1), None);
    assert_eq!(newest(&profile(&[(1, 0), (2, 5), (1, 10), (2, 12), (1, 20)]), 1), Some((3, 0, 20)));
    // Every twenty minutes: of no three within half an hour.
    assert_eq!(newest(&profile(&[(1, 0), (1, 20), (1, 40), (1, 60), (1, 80)]), 1), None);
    // Every fifteen minutes: one run, however long.
    assert_eq!(newest(&profile(&[(1, 0), (1, 15), (1, 30), (1, 45), (1, 60)]), 1), Some((5, 0, 60)));
    // Two runs that share no play; and a third that joins them.
    let apart = [(1, 0), (1, 5), (1, 10), (1, 36), (1, 50), (1, 55)];
    assert_eq!(newest(&profile(&apart), 1), Some((3, 36, 55)));
    assert_eq!(newest(&profile(&[&apart[..], &[(1, 30)]].concat()), 1), Some((7, 0, 55)));
}

#[test]
fn run_is_new_with_the_play_that_makes_it_one_and_not_with_those_that_lengthen_or_join() {
    let plays = profile(&[(1, 0), (1, 10), (1, 20)]);
    let with = |plays: &Profile, minute: i64| {
        plays.run_with(IdRef::Number(1), minute * MINUTE_MS).map(|(_, new)| new)
    };
    assert_eq!(with(&plays, 10), Some(true));
    let longer = profile(&[(1, 0), (1, 10), (1, 20), (1, 25)]);
    assert_eq!(with(&longer, 25), Some(false));
    let joined = profile(&[(1, 0), (1, 5), (1, 10), (1, 36), (1, 50), (1, 55), (1, 30)]);
    assert_eq!(with(&joined, 30), Some(false));
}

/// Whether a play of these minutes is one of three within half an hour, read plainly.
fn is_interest(minutes: &[i64], minute: i64) -> bool {
    let mut sorted = minutes.to_vec();
    sorted.sort_unstable();
    sorted.windows(3).any(|three| three[2] - three[0] <= 30 && three.contains(&minute))
}

proptest! {
    /// Whatever the order, the last play of a run is told before it is applied, and the runs are the same.
    #[test]
    fn runs_are_those_of_the_set_of_plays_in_any_order(
        plays in prop::collection::vec((1_u64..4, 0_i64..200), 0..40).prop_shuffle(),
    ) {
        let mut ordered = plays.clone();
        ordered.sort_by_key(|(_, minute)| *minute);
        let mut held: Vec<(u64, i64)> = Vec::new();
        let mut growing = Profile::default();
        for (event_id, (track, minute)) in (1..).zip(&plays) {
            held.push((*track, *minute));
            let of_track: Vec<i64> = held.iter().filter(|(of, _)| of == track).map(|(_, minute)| *minute).collect();
            let expected = is_interest(&of_track, *minute);
            prop_assert_eq!(growing.would_interest(IdRef::Number(*track), minute * MINUTE_MS), expected);
            apply(&mut growing, *track, event_id, minute * MINUTE_MS);
            prop_assert_eq!(growing.run_with(IdRef::Number(*track), minute * MINUTE_MS).is_some(), expected);
        }
        let all = profile(&ordered);
        let mut found = all.interests();
        found.sort_by_key(|(track, _)| *track);
        let expected: Vec<_> = (1..4_u64)
            .map(IdRef::Number)
            .filter_map(|track| growing.newest_run(track).map(|run| (track, run.to.unix_ms)))
            .collect();
        prop_assert_eq!(found, expected);
        for track in 1..4 {
            prop_assert_eq!(newest(&growing, track), newest(&all, track));
        }
    }
}
