//! Interests: a customer who plays one track three times within half an hour.
//!
//! A *run* is made of all plays of a track of which each is one of three that follow each other, among the plays of that track, within half
//! an hour, where such threes share a play. So it is a function of the set of plays: late and repeated events make no other.

use super::{PlayRef, Profile, RecentPlays};
use crate::event::{IdRef, Time};

/// So many plays of a track are an interest.
const PLAYS: usize = 3;

/// Within so many milliseconds, the last instant included.
const WITHIN_MS: i64 = 30 * 60_000;

/// Plays of one track that are an interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// How many there are, at least 3.
    pub count: usize,
    /// When the first started.
    pub from: Time,
    /// When the last started.
    pub to: Time,
}

impl Profile {
    /// Whether a play of this track at this time, which is not kept yet, would be one of three within half an hour. It looks at the
    /// plays of half an hour before and after.
    #[must_use]
    pub fn would_interest(&self, track: IdRef<'_>, time_ms: i64) -> bool {
        let plays = self.plays();
        if plays.len() < PLAYS - 1 {
            return false;
        }
        // Every play that is applied comes here: in columns it takes some nanoseconds.
        if let Some((seconds, tracks)) = plays.seconds_and_tracks() {
            let IdRef::Number(number) = track else { return false };
            let ms = |index: usize| i64::from(seconds[index]) * 1000;
            let same = |index: usize| u64::from(tracks[index] >> 1) == number;
            return is_third(seconds.len(), time_ms, ms, same);
        }
        is_third(plays.len(), time_ms, |index| plays.unix_ms(index), |index| plays.track(index) == track)
    }

    /// The newest run of this track, if there is one.
    #[must_use]
    pub fn newest_run(&self, track: IdRef<'_>) -> Option<Run> {
        runs(&times(self.plays(), track)).pop()
    }

    /// The run of this track with the play at this time in it, and whether it would be none without the play.
    #[must_use]
    pub fn run_with(&self, track: IdRef<'_>, time_ms: i64) -> Option<(Run, bool)> {
        let mut times = times(self.plays(), track);
        let holds = |run: &Run| (run.from.unix_ms..=run.to.unix_ms).contains(&time_ms);
        let run = runs(&times).into_iter().find(holds)?;
        let place = times.iter().position(|time| time.unix_ms == time_ms)?;
        times.remove(place);
        let is_new = !runs(&times).iter().any(|other| other.from <= run.to && other.to >= run.from);
        Some((run, is_new))
    }

    /// The tracks of which there is a run, each with the time of a play in its newest, in Unix milliseconds.
    pub fn interests(&self) -> Vec<(IdRef<'_>, i64)> {
        let plays: Vec<PlayRef<'_>> = self.plays().iter().collect();
        let mut found: Vec<(IdRef<'_>, i64)> = Vec::new();
        for (index, play) in plays.iter().enumerate() {
            let time_ms = play.time.unix_ms;
            let near = plays[..index].iter().rev().take_while(|of| of.time.unix_ms >= time_ms - WITHIN_MS);
            if near.filter(|of| of.track == play.track).nth(PLAYS - 2).is_some() {
                found.retain(|(track, _)| *track != play.track);
                found.push((play.track, time_ms));
            }
        }
        found
    }
}

/// Whether a play at this time would be one of three within half an hour, among so many plays that ascend, of which these are of its
/// track.
#[inline]
fn is_third(plays: usize, time_ms: i64, ms: impl Fn(usize) -> i64, same: impl Fn(usize) -> bool) -> bool {
    let (first_ms, last_ms) = (time_ms.saturating_sub(WITHIN_MS), time_ms.saturating_add(WITHIN_MS));
    // Mostly it is the newest.
    let after = if ms(plays - 1) <= time_ms { plays } else { first_after(plays, time_ms, &ms) };
    let earlier = (0..after).rev().map(|index| (ms(index), index)).take_while(|(ms, _)| *ms >= first_ms);
    let mut earlier = earlier.filter(|(_, index)| same(*index)).map(|(ms, _)| ms);
    let later = (after..plays).map(|index| (ms(index), index)).take_while(|(ms, _)| *ms <= last_ms);
    let mut later = later.filter(|(_, index)| same(*index)).map(|(ms, _)| ms);
    match (earlier.next(), later.next()) {
        (None, None) => false,
        (Some(_), None) => earlier.next().is_some(),
        (None, Some(_)) => later.next().is_some(),
        (Some(before), Some(after)) => {
            after - before <= WITHIN_MS || earlier.next().is_some() || later.next().is_some()
        }
    }
}

/// The index of the first of so many plays that ascend which started later.
fn first_after(plays: usize, time_ms: i64, ms: &impl Fn(usize) -> i64) -> usize {
    let (mut low, mut high) = (0, plays);
    while low < high {
        let middle = low.midpoint(high);
        if ms(middle) <= time_ms { low = middle + 1 } else { high = middle }
    }
    low
}

/// When the plays of a track started, ascending.
fn times(plays: RecentPlays<'_>, track: IdRef<'_>) -> Vec<Time> {
    plays.iter().filter(|play| play.track == track).map(|play| play.time).collect()
}

/// The runs of plays that ascend, in their order.
fn runs(times: &[Time]) -> Vec<Run> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for first in 0..(times.len() + 1).saturating_sub(PLAYS) {
        let last = first + PLAYS - 1;
        if times[last].unix_ms - times[first].unix_ms > WITHIN_MS {
            continue;
        }
        match runs.last_mut().filter(|(_, to)| *to >= first) {
            Some((_, to)) => *to = last,
            None => runs.push((first, last)),
        }
    }
    let run =
        |(first, last): (usize, usize)| Run { count: last + 1 - first, from: times[first], to: times[last] };
    runs.into_iter().map(run).collect()
}

#[cfg(test)]
mod tests;
