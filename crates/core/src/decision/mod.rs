//! The decision for one customer at one instant: show or not, with a reason. Plain values in, a verdict out.

pub mod policy;
mod reason;

pub use reason::Reason;

use crate::campaign::Single;
use crate::event::Membership;
use crate::feature::Counts;
use crate::profile::Profile;
use upbeat_svm::Scorer;

/// A model's score of one customer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The SVM's decision value; above zero leans towards a click.
    pub value: f64,
    /// After calibration, in `0.0..=1.0`; `None` if the model carries none.
    pub probability: Option<f64>,
}

/// A score, and of how many plays it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CachedScore {
    /// The SVM's decision value; `None` when the window is empty.
    pub value: Option<f64>,
    /// How many plays were in the window.
    pub plays: usize,
}

impl CachedScore {
    /// The score of what was counted.
    #[must_use]
    pub fn of(counts: &Counts, scorer: &Scorer) -> Self {
        let value = counts.vector().map(|vector| scorer.score(&vector));
        Self { value, plays: usize::from(counts.plays) }
    }
}

/// One check of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Check {
    /// The membership is in the campaign's audience.
    Audience,
    /// A model is loaded.
    Model,
    /// There are at least [`Single::min_plays`] plays in the window.
    History,
    /// The ad was shown less often than the cap allows.
    Cap,
    /// The score is above the threshold.
    Score,
}

impl Check {
    /// Every check, in the order in which [`decide`] makes them; it stops at the first that refuses.
    pub const ALL: [Self; 5] = [Self::Audience, Self::Model, Self::History, Self::Cap, Self::Score];
}

/// The checks that led to a reason, and what each of them found.
///
/// Empty for a customer of whom nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Trace {
    /// How many of [`Check::ALL`] were made; the last of them gave the reason.
    made: u8,
    /// The latest membership; `None` if none was ever reported, which counts as free.
    pub level: Option<Membership>,
    /// Plays in the window; 0 if the policy did not come to [`Check::History`].
    pub plays: usize,
    /// Impressions of the campaign in the cap's period; 0 if the policy did not come to [`Check::Cap`].
    pub impressions: usize,
    /// The SVM's decision value; `None` if the policy did not come to [`Check::History`], or the window is empty.
    pub value: Option<f64>,
}

impl Trace {
    /// The checks that were made, in order.
    pub fn checks(&self) -> impl Iterator<Item = Check> + use<> {
        Check::ALL.into_iter().take(self.made.into())
    }
}

/// The result of the policy: a reason, and the checks that led to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The reason; [`Reason::shows`] says whether to show the ad.
    pub reason: Reason,
    /// The checks and their findings.
    pub trace: Trace,
}

impl Verdict {
    /// The verdict on a customer of whom nothing is known.
    pub const UNKNOWN: Self = Self {
        reason: Reason::UnknownCustomer,
        trace: Trace { made: 0, level: None, plays: 0, impressions: 0, value: None },
    };
}

/// The policy: goes through [`Check::ALL`] and stops at the first check that refuses.
///
/// `score` is the model's score at `now_ms` (Unix milliseconds), as [`CachedScore::of`] computes it; `None` when no
/// model is loaded.
#[must_use]
pub fn decide(profile: &Profile, campaign: &Single, score: Option<CachedScore>, now_ms: i64) -> Verdict {
    let mut trace = Trace { level: profile.level(), ..Trace::default() };
    for check in Check::ALL {
        trace.made += 1;
        let refused = match check {
            Check::Audience => not_in_audience(trace.level, campaign),
            Check::Model => score.is_none().then_some(Reason::NoModel),
            Check::History => {
                (trace.value, trace.plays) = score.map_or((None, 0), |score| (score.value, score.plays));
                let enough = trace.value.is_some() && trace.plays >= campaign.min_plays as usize;
                (!enough).then_some(Reason::TooLittleHistory)
            }
            Check::Cap => {
                trace.impressions = profile.impressions_after(&campaign.id, campaign.cap.start_ms(now_ms));
                (trace.impressions >= campaign.cap.impressions as usize).then_some(Reason::Capped)
            }
            Check::Score => {
                let above = trace.value.is_some_and(|value| value > campaign.threshold);
                (!above).then_some(Reason::UnlikelyToClick)
            }
        };
        if let Some(reason) = refused {
            return Verdict { reason, trace };
        }
    }
    Verdict { reason: Reason::LikelyToClick, trace }
}

fn not_in_audience(level: Option<Membership>, campaign: &Single) -> Option<Reason> {
    let level = level.unwrap_or(Membership::Free);
    let reason = match level {
        Membership::Gold => Reason::AlreadyGold,
        Membership::Free | Membership::Silver => Reason::NotInAudience,
    };
    (!campaign.audience.contains(&level)).then_some(reason)
}

#[cfg(test)]
mod tests;
