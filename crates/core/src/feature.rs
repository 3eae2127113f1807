//! The feature vector: six shares of the plays in the window.
//!
//! `upbeat features`, training rows and live scoring count with the same function; there is no
//! second implementation.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::mem::MaybeUninit;
use std::sync::LazyLock;

use crate::event::IdRef;
use crate::profile::{PlayRef, Profile, Window};

/// How many features a vector has.
pub const FEATURE_COUNT: usize = 6;

/// Names of the features, in the order of the vector.
pub const FEATURE_NAMES: [&str; FEATURE_COUNT] =
    ["morning", "afternoon", "evening", "night", "mobile", "unique_tracks"];

/// Name and version of this feature definition; a model file carries it and `serve` compares it.
pub const FEATURE_DEFINITION: &str = "upbeat.shares/1";

/// Six shares, each in `0.0..=1.0`, in the order of [`FEATURE_NAMES`].
pub type FeatureVector = [f64; FEATURE_COUNT];

/// The parts of one play that the features use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard<'a> {
    /// The hour of the day as written, `0..=23`.
    pub hour: u8,
    /// Whether it was heard on a phone.
    pub mobile: bool,
    /// Which track.
    pub track: IdRef<'a>,
}

impl<'a> From<PlayRef<'a>> for Heard<'a> {
    fn from(play: PlayRef<'a>) -> Self {
        Self { hour: play.time.hour(), mobile: play.mobile, track: play.track }
    }
}

/// What the features are shares of: how many plays there are, and how many of them count towards each feature.
///
/// A window holds at most 65,535 plays, so that a record of the store keeps all seven in 14 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// How many plays there are.
    pub plays: u16,
    /// How many of them count towards each feature, in the order of [`FEATURE_NAMES`].
    pub parts: [u16; FEATURE_COUNT],
}

impl Counts {
    /// The shares; `None` when there are no plays. They are those of [`vector`] to the bit.
    #[must_use]
    pub fn vector(&self) -> Option<FeatureVector> {
        let total = f64::from(self.plays);
        (self.plays > 0).then(|| self.parts.map(|count| f64::from(count) / total))
    }
}

/// Counts some plays, at most 65,535 of them. Up to 256 plays with decimal track ids allocate nothing.
#[must_use]
pub fn counts<'a>(plays: impl ExactSizeIterator<Item = Heard<'a>>) -> Counts {
    let saturated = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
    let plays_in_all = u16::try_from(plays.len()).unwrap_or(u16::MAX);
    Counts { plays: plays_in_all, parts: parts(plays).map(saturated) }
}

/// The counts of a window, and how long they stay valid if no play is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowCounts {
    /// The counts of the plays in the window.
    pub counts: Counts,
    /// Valid from this instant on (Unix milliseconds): before it, an older play was still in the window.
    pub from_ms: i64,
    /// Valid until just before this instant (Unix milliseconds), when the oldest play leaves the window.
    pub until_ms: i64,
}

/// Counts the plays in the window at `now_ms` (Unix milliseconds).
#[must_use]
pub fn counts_in(profile: &Profile, window: &Window, now_ms: i64) -> WindowCounts {
    let plays = profile.plays_in(window, now_ms);
    let start_ms = window.start_ms(now_ms);
    // The first instant at which a play of that time is no longer in the window.
    let leaves_ms = |play_ms: i64| play_ms.saturating_add(now_ms.saturating_sub(start_ms)).saturating_add(1);
    let aged_out = plays.newest_older_ms().filter(|play_ms| *play_ms < start_ms);
    WindowCounts {
        counts: counts(plays.iter().map(Heard::from)),
        from_ms: aged_out.map_or(i64::MIN, leaves_ms),
        until_ms: plays.first_ms().map_or(i64::MAX, leaves_ms),
    }
}

/// The feature vector of some plays; `None` when there are none. Up to 256 plays with decimal track ids allocate
/// nothing.
///
/// By the hour as written: `<5` night, `<12` morning, `<17` afternoon, `<22` evening, else night. Each share is a count
/// divided by the number of plays; for *unique* it is the count of distinct tracks.
#[must_use]
pub fn vector<'a>(plays: impl ExactSizeIterator<Item = Heard<'a>>) -> Option<FeatureVector> {
    let total = plays.len() as f64;
    (plays.len() > 0).then(|| parts(plays).map(|count| f64::from(count) / total))
}

/// How many plays count towards each feature.
fn parts<'a>(plays: impl ExactSizeIterator<Item = Heard<'a>>) -> [u32; FEATURE_COUNT] {
    let total = plays.len();
    if total == 0 {
        return [0; FEATURE_COUNT];
    }
    let (mut day_parts, mut mobile, mut unique) = (0, 0, 0);
    with_empty_slots(total, |slots| {
        let mut tracks = Tracks { slots, multiplier: *MULTIPLIER, others: HashSet::default() };
        plays.for_each(|play| {
            day_parts += ONE_BY_HOUR[usize::from(play.hour)];
            mobile += u32::from(play.mobile);
            unique += u32::from(tracks.insert(play.track));
        });
    });
    let day_part = |part: usize| (day_parts >> (COUNT_BITS * part as u32)) as u32;
    [day_part(0), day_part(1), day_part(2), day_part(3), mobile, unique]
}

/// Bits of each of the four counts that are packed into a `u128`.
const COUNT_BITS: u32 = u128::BITS / 4;

/// By hour of the day: a 1 in the count of its part. Adding four packed counts at once needs no branch on the hour,
/// which the processor would mispredict.
const ONE_BY_HOUR: [u128; 24] = {
    let mut ones = [0; 24];
    let mut hour = 0;
    while hour < 24 {
        ones[hour as usize] = 1 << (COUNT_BITS * day_part(hour) as u32);
        hour += 1;
    }
    ones
};

/// Slots on the stack: enough for the default window at half load.
const STACK_SLOTS: usize = 512;

/// Calls `work` with at least twice as many zeroed slots as there are plays, a power of two: on the stack if they fit.
fn with_empty_slots(plays: usize, work: impl FnOnce(&mut [u64])) {
    let count = (2 * plays).next_power_of_two();
    if count > STACK_SLOTS {
        return work(&mut vec![0; count]);
    }
    // Only the slots in use are cleared: for forty plays a quarter of them.
    let mut stack = [const { MaybeUninit::<u64>::uninit() }; STACK_SLOTS];
    let slots = &mut stack[..count];
    slots.fill(MaybeUninit::new(0));
    // SAFETY: every slot of this slice was written in the previous line, and `MaybeUninit<u64>` has the layout of
    // `u64`.
    work(unsafe { &mut *(std::ptr::from_mut(slots) as *mut [u64]) });
}

/// A random odd multiplier per process, so that no client can choose tracks that all hash to one slot. The counts do
/// not depend on it.
static MULTIPLIER: LazyLock<u64> =
    LazyLock::new(|| foldhash::quality::RandomState::default().hash_one(FEATURE_DEFINITION) | 1);

/// A set of tracks: decimal ids in an open-addressed table that is at most half full, other ids in a `HashSet`.
struct Tracks<'a, 's> {
    /// A track's number plus 1; 0 in an empty slot.
    slots: &'s mut [u64],
    /// Odd, and unpredictable for clients.
    multiplier: u64,
    others: HashSet<IdRef<'a>, foldhash::fast::FixedState>,
}

impl<'a> Tracks<'a, '_> {
    /// Adds a track; returns whether it is new.
    fn insert(&mut self, track: IdRef<'a>) -> bool {
        let key = match track {
            IdRef::Number(number) if number < u64::MAX => number + 1,
            other => return self.others.insert(other),
        };
        let last = self.slots.len() - 1;
        // Multiplicative hashing (Knuth, The Art of Computer Programming 3, section 6.4): the upper bits are well
        // mixed.
        let mut at = (key.wrapping_mul(self.multiplier) >> 32) as usize & last;
        loop {
            match self.slots[at] {
                0 => {
                    self.slots[at] = key;
                    return true;
                }
                held if held == key => return false,
                _ => at = (at + 1) & last,
            }
        }
    }
}

/// Which of the first four features an hour `0..=23` counts towards.
const fn day_part(hour: u8) -> usize {
    match hour {
        5..=11 => 0,
        12..=16 => 1,
        17..=21 => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn play(hour: u8, track: u64, mobile: bool) -> Heard<'static> {
        Heard { hour, mobile, track: IdRef::Number(track) }
    }

    fn vector_of(plays: &[Heard<'_>]) -> Option<FeatureVector> {
        vector(plays.iter().copied())
    }

    #[test]
    fn every_hour_counts_towards_its_part_of_the_day() {
        for hour in 0..24 {
            let expected = match hour {
                h if h < 5 => 3,
                h if h < 12 => 0,
                h if h < 17 => 1,
                h if h < 22 => 2,
                _ => 3,
            };
            let vector = vector_of(&[play(hour, 1, false)]).expect("one play");
            let parts: Vec<f64> = (0..4).map(|part| f64::from(u8::from(part == expected))).collect();
            assert_eq!(vector[..4], parts[..], "hour {hour}");
        }
    }

    #[test]
    fn shares_are_counts_divided_by_the_number_of_plays() {
        let plays = [play(8, 1, true), play(13, 2, true), play(20, 1, false), play(23, 3, true)];
        assert_eq!(vector_of(&plays), Some([0.25, 0.25, 0.25, 0.25, 0.75, 0.75]));
        assert_eq!(vector_of(&[]), None);
    }

    #[test]
    fn shares_of_counts_are_those_of_the_plays_to_the_bit() {
        for total in [0_u64, 1, 3, 7, 256, 1000] {
            let heard = |number: u64| play((number * 7 % 24) as u8, number % 5, number.is_multiple_of(3));
            let plays: Vec<_> = (0..total).map(heard).collect();
            let counts = counts(plays.iter().copied());
            assert_eq!(u64::from(counts.plays), total);
            assert_eq!(
                counts.vector().map(|v| v.map(f64::to_bits)),
                vector_of(&plays).map(|v| v.map(f64::to_bits))
            );
        }
        // More than a window holds: no share is above 1.
        let many = counts((0..70_000_u32).map(|number| play(8, u64::from(number % 3), true)));
        assert_eq!((many.plays, many.parts), (u16::MAX, [u16::MAX, 0, 0, 0, u16::MAX, 3]));
    }

    proptest! {
        /// Few and many tracks, so that both sets are used and slots collide.
        #[test]
        fn unique_counts_distinct_tracks_with_ids_of_any_form(
            tracks in prop::collection::vec(
                prop_oneof![
                    (0u64..30).prop_map(Ok),
                    any::<u64>().prop_map(Ok),
                    Just(Ok(u64::MAX)),
                    "[a-c]{1,2}".prop_map(Err),
                ],
                1..700,
            ),
        ) {
            let distinct = tracks.iter().collect::<HashSet<_>>().len();
            let plays = tracks.iter().map(|track| Heard {
                hour: 0,
                mobile: false,
                track: match track {
                    Ok(number) => IdRef::Number(*number),
                    Err(text) => IdRef::Text(text),
                },
            });
            let vector = vector(plays).expect("plays");
            prop_assert_eq!(vector[5], distinct as f64 / tracks.len() as f64);
        }
    }
}
