//! Shares are rounded to two digits exactly as C does, for every share that a window of 256 plays can have.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::reference::two_digits_in_c;
use super::{features, rows};

/// The hours at which the parts of the day begin: morning, afternoon, evening, night.
const PARTS: [usize; 4] = [5, 12, 17, 22];

/// Plays of customers whose shares run through all counts, and the counts by customer.
fn file(most: usize) -> (String, Vec<[usize; 6]>) {
    let (mut tracks, mut counts) = (String::new(), Vec::new());
    // Shares of fewer plays are also shares of a multiple of them: c/n = kc/kn, and that is the same double.
    for plays in most / 2 + 1..=most {
        for step in 0..=plays / 4 {
            let customer = counts.len();
            // A quarter of all counts each: of the morning, of the evening, of phones, of distinct tracks.
            let (morning, evening) = (step, (plays / 4 + step).min(plays - step));
            let (mobile, unique) = (plays / 2 + step, (3 * plays / 4 + step).min(plays));
            let parts = [morning, 0, evening, plays - morning - evening];
            let hours = parts.iter().zip(PARTS).flat_map(|(count, hour)| std::iter::repeat_n(hour, *count));
            for (play, hour) in hours.enumerate() {
                let (track, phone) = (play.min(unique - 1), u8::from(play < mobile));
                let (minute, second) = (play / 60, play % 60);
                writeln!(
                    tracks,
                    "{play},{customer},{track},2014-10-23 {hour:02}:{minute:02}:{second:02},{phone},"
                )
                .expect("memory");
            }
            counts.push([morning, 0, evening, parts[3], mobile.min(plays), unique]);
        }
    }
    (tracks, counts)
}

#[test]
fn shares_of_up_to_256_plays_are_rounded_as_in_c() {
    let most = 256;
    let (tracks, counts) = file(most);
    let output = features(&[], tracks.as_bytes(), b"");
    let mut covered = BTreeSet::new();
    for (row, counts) in rows(&output).lines().zip(&counts) {
        let plays: usize = counts[..4].iter().sum();
        let values = row.split(' ').skip(1).map(|pair| pair.split_once(':').expect("a pair").1);
        for (value, count) in values.zip(counts) {
            let share = *count as f64 / plays as f64;
            assert_eq!(value, two_digits_in_c(share), "{count}/{plays}");
            covered.insert(share.to_bits());
        }
    }
    for plays in 1..=most {
        for count in 0..=plays {
            let share = count as f64 / plays as f64;
            assert!(covered.contains(&share.to_bits()), "{count}/{plays} was not tried");
        }
    }
}
