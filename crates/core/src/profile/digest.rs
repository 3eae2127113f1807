//! The part of a customer's ad history that the rules of campaigns mostly ask for, in one place.
//!
//! The history itself is in several blocks of memory, and each impression and click names its campaign or ad by a text of its
//! own; a decision would wait for each of them in turn.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;

use super::{AD_HISTORY_LIMIT, Click, Impression};
use crate::event::Id;

/// How many impressions a digest has.
const IMPRESSIONS: usize = 4;
/// How many ads that were clicked a digest has.
const ADS: usize = 2;

/// Stands for the id of a campaign or of an ad within this process. Those of two ids are the same once in 2^64 pairs, and one
/// would have to be the label of the other to be of harm: a customer would hear an ad less often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark(u64);

impl Mark {
    /// The mark of an id.
    #[must_use]
    pub fn of(id: &Id) -> Self {
        Self(FixedState::default().hash_one(id))
    }
}

/// When something happened last, in Unix milliseconds, and of which campaign or ad.
#[derive(Debug, Clone, Copy)]
struct Last {
    of: Mark,
    time_ms: i64,
}

/// Earlier than any time.
const NEVER_MS: i64 = i64::MIN;

const NOTHING: Last = Last { of: Mark(0), time_ms: NEVER_MS };

/// The last impressions and clicks, in the first two lines of the block that has the ad history; a function of that.
///
/// What it cannot tell it says: then the history has to be asked.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Digest {
    /// Those that count, newest first.
    impressions: [Last; IMPRESSIONS],
    /// The newest impression that counts and is not among them, or from where on the history may have dropped some.
    more_impressions_ms: i64,
    /// When the customer's level last rose, where that is not told by the profile itself.
    upgraded_ms: i64,
    /// The last click on each ad, newest first.
    clicks: [Last; ADS],
    /// The newest click on an ad that is not among them.
    more_clicks_ms: i64,
}

impl Default for Digest {
    fn default() -> Self {
        Self::new(&[], &[], None)
    }
}

impl Digest {
    /// That of a history: all impressions and clicks that are kept, oldest first, and when the level last rose.
    pub(super) fn new(kept: &[Impression], clicks: &[Click], upgraded_ms: Option<i64>) -> Self {
        let mut newest = kept.iter().rev().filter(|impression| impression.counts());
        let impressions = std::array::from_fn(|_| {
            let last = newest.next();
            last.map_or(NOTHING, |last| Last { of: Mark::of(&last.campaign), time_ms: last.time.unix_ms })
        });
        let next_ms = newest.next().map_or(NEVER_MS, |next| next.time.unix_ms);
        let mut decided = kept.iter().rev().filter(|impression| impression.decision().is_some());
        let cut = if kept.len() < AD_HISTORY_LIMIT { None } else { decided.nth(AD_HISTORY_LIMIT - 1) };
        let more_impressions_ms = cut.map_or(next_ms, |cut| next_ms.max(cut.time.unix_ms));
        let upgraded_ms = upgraded_ms.unwrap_or(NEVER_MS);
        let mut digest = Self {
            impressions,
            more_impressions_ms,
            upgraded_ms,
            clicks: [NOTHING; ADS],
            more_clicks_ms: NEVER_MS,
        };
        digest.take_clicks(clicks);
        digest
    }

    fn take_clicks(&mut self, clicks: &[Click]) {
        let mut count = 0;
        for click in clicks.iter().rev() {
            let last = Last { of: Mark::of(&click.ad), time_ms: click.time.unix_ms };
            if self.clicks[..count].iter().any(|known| known.of == last.of) {
                continue;
            }
            if count == ADS {
                self.more_clicks_ms = last.time_ms;
                return;
            }
            self.clicks[count] = last;
            count += 1;
        }
    }

    /// Campaign and time (Unix milliseconds) of each impression later than `after_ms` that counts, newest first; `None` where
    /// the history has to be asked.
    #[inline]
    pub fn impressions_after(&self, after_ms: i64) -> Option<impl Iterator<Item = (Mark, i64)>> {
        let later = self.impressions.iter().take_while(move |last| last.time_ms > after_ms);
        (self.more_impressions_ms <= after_ms).then(|| later.map(|last| (last.of, last.time_ms)))
    }

    /// Whether an ad was clicked later than `after_ms` (Unix milliseconds); `None` where the history has to be asked.
    #[inline]
    #[must_use]
    pub fn clicked_after(&self, ad: Mark, after_ms: i64) -> Option<bool> {
        match self.clicks.iter().find(|last| last.of == ad && last.time_ms > after_ms) {
            Some(_) => Some(true),
            None => (self.more_clicks_ms <= after_ms).then_some(false),
        }
    }

    /// The newest time in it, in Unix milliseconds: after that time there is nothing of what it has or does not tell. The smallest
    /// number where there is nothing at all.
    pub(super) fn newest_ms(&self) -> i64 {
        let times = self.impressions.iter().chain(&self.clicks).map(|last| last.time_ms);
        let others = [self.more_impressions_ms, self.upgraded_ms, self.more_clicks_ms];
        times.chain(others).max().unwrap_or(NEVER_MS)
    }

    /// When the customer's level last rose, in Unix milliseconds.
    pub(super) fn upgraded_ms(&self) -> Option<i64> {
        (self.upgraded_ms != NEVER_MS).then_some(self.upgraded_ms)
    }
}
