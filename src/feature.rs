//! The feature vector: six shares of the plays in the window.
//!
//! Batch `features`, training rows and live scoring all end in [`vector`]; there is no second copy.

use std::collections::HashSet;

use crate::event::Id;
use crate::profile::Play;

/// How many features a vector has.
pub const FEATURE_COUNT: usize = 6;

/// Names of the features, in the order of the vector.
pub const FEATURE_NAMES: [&str; FEATURE_COUNT] =
    ["morning", "afternoon", "evening", "night", "mobile", "unique_tracks"];

/// Name and version of this feature definition; a model file carries it and `serve` compares it.
pub const FEATURE_DEFINITION: &str = "upbeat.shares/1";

/// Six shares, each in `0.0..=1.0`, in the order of [`FEATURE_NAMES`].
pub type FeatureVector = [f64; FEATURE_COUNT];

/// The shares of some plays; `None` when there are none.
///
/// By the hour as written: `<5` night, `<12` morning, `<17` afternoon, `<22` evening, else night. Each is a count
/// divided by the number of plays; *unique* counts distinct tracks.
#[must_use]
pub fn vector(plays: &[Play]) -> Option<FeatureVector> {
    if plays.is_empty() {
        return None;
    }
    let mut counts = [0u32; FEATURE_COUNT];
    let mut tracks: HashSet<&Id, foldhash::fast::FixedState> =
        HashSet::with_capacity_and_hasher(plays.len(), foldhash::fast::FixedState::default());
    for play in plays {
        counts[day_part(play.time.hour())] += 1;
        counts[4] += u32::from(play.mobile);
        counts[5] += u32::from(tracks.insert(&play.track));
    }
    let total = plays.len() as f64;
    Some(counts.map(|count| f64::from(count) / total))
}

/// Which of the first four features an hour `0..=23` counts towards.
fn day_part(hour: u8) -> usize {
    match hour {
        5..=11 => 0,
        12..=16 => 1,
        17..=21 => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{HOUR_MS, Time};

    fn play(hour: i64, track: u64, mobile: bool) -> Play {
        Play {
            time: Time::from_unix_ms(hour * HOUR_MS),
            event_id: Id::Number(0),
            track: Id::Number(track),
            mobile,
        }
    }

    #[test]
    fn every_hour_of_the_day_counts_towards_its_part() {
        for hour in 0..24 {
            let expected = match hour {
                h if h < 5 => 3,
                h if h < 12 => 0,
                h if h < 17 => 1,
                h if h < 22 => 2,
                _ => 3,
            };
            let vector = vector(&[play(hour, 1, false)]).expect("one play");
            let parts: Vec<f64> = (0..4).map(|part| f64::from(u8::from(part == expected))).collect();
            assert_eq!(vector[..4], parts[..], "hour {hour}");
        }
    }

    #[test]
    fn shares_are_counts_by_the_number_of_plays() {
        let plays = [play(8, 1, true), play(13, 2, true), play(20, 1, false), play(23, 3, true)];
        assert_eq!(vector(&plays), Some([0.25, 0.25, 0.25, 0.25, 0.75, 0.75]));
        assert_eq!(vector(&[]), None);
    }
}
