//! The decision for one customer at one instant: show or not, with a reason. Plain values in, a verdict out.

use crate::campaign::Campaign;
use crate::event::Membership;
use crate::feature::{self, Heard};
use crate::profile::{Profile, Window};
use upbeat_svm::Scorer;

/// Why a decision came out as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The score is above the campaign's threshold: show.
    LikelyToClick,
    /// The score is at or below the threshold.
    UnlikelyToClick,
    /// The customer has Gold, which is what the offer sells.
    AlreadyGold,
    /// The campaign is not for the customer's membership.
    NotInAudience,
    /// Nothing is known of this customer.
    UnknownCustomer,
    /// Fewer plays in the window than the campaign asks for.
    TooLittleHistory,
    /// No model is loaded.
    NoModel,
    /// The customer was shown the ad as often as the cap allows.
    Capped,
    /// The score is above the threshold, and the impression could not be recorded in the log: one that cannot be kept must not
    /// be spent. [`decide`] does not give it; whoever keeps the log does, in place of *show*.
    LogUnavailable,
}

impl Reason {
    /// Every reason, in the order of the policy's checks.
    pub const ALL: [Self; 9] = [
        Self::UnknownCustomer,
        Self::AlreadyGold,
        Self::NotInAudience,
        Self::NoModel,
        Self::TooLittleHistory,
        Self::Capped,
        Self::UnlikelyToClick,
        Self::LogUnavailable,
        Self::LikelyToClick,
    ];

    /// The reason in answers and metric labels, as in `likely_to_click`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LikelyToClick => "likely_to_click",
            Self::UnlikelyToClick => "unlikely_to_click",
            Self::AlreadyGold => "already_gold",
            Self::NotInAudience => "not_in_audience",
            Self::UnknownCustomer => "unknown_customer",
            Self::TooLittleHistory => "too_little_history",
            Self::NoModel => "no_model",
            Self::Capped => "capped",
            Self::LogUnavailable => "log_unavailable",
        }
    }

    /// Whether the ad is shown: for [`Reason::LikelyToClick`] only.
    #[must_use]
    pub fn shows(self) -> bool {
        self == Self::LikelyToClick
    }
}

/// A model's score of one customer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The SVM's decision value; above zero leans towards a click.
    pub value: f64,
    /// After calibration, in `0.0..=1.0`; `None` if the model carries none.
    pub probability: Option<f64>,
}

/// A score, and how long it stays valid if no play is added.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CachedScore {
    /// The SVM's decision value; `None` when the window is empty.
    pub value: Option<f64>,
    /// How many plays were in the window.
    pub plays: usize,
    /// Valid from this instant on (Unix milliseconds): before it, an older play was still in the window.
    pub from_ms: i64,
    /// Valid until just before this instant (Unix milliseconds), when the oldest play leaves the window.
    pub until_ms: i64,
}

/// Scores the plays in the window at `now_ms` (Unix milliseconds).
#[must_use]
pub fn score(profile: &Profile, scorer: &Scorer, window: &Window, now_ms: i64) -> CachedScore {
    let plays = profile.plays_in(window, now_ms);
    let value = feature::vector(plays.iter().map(Heard::from)).map(|vector| scorer.score(&vector));
    let start_ms = window.start_ms(now_ms);
    // The first instant at which a play of that time is no longer in the window.
    let leaves_ms = |play_ms: i64| play_ms.saturating_add(now_ms.saturating_sub(start_ms)).saturating_add(1);
    let aged_out = plays.newest_older_ms().filter(|play_ms| *play_ms < start_ms);
    CachedScore {
        value,
        plays: plays.len(),
        from_ms: aged_out.map_or(i64::MIN, leaves_ms),
        until_ms: plays.first_ms().map_or(i64::MAX, leaves_ms),
    }
}

/// One check of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Check {
    /// The membership is in the campaign's audience.
    Audience,
    /// A model is loaded.
    Model,
    /// There are at least [`Campaign::min_plays`] plays in the window.
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
/// `score` is the model's score at `now_ms` (Unix milliseconds), as [`score`] computes it; `None` when no model is
/// loaded.
#[must_use]
pub fn decide(profile: &Profile, campaign: &Campaign, score: Option<CachedScore>, now_ms: i64) -> Verdict {
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

fn not_in_audience(level: Option<Membership>, campaign: &Campaign) -> Option<Reason> {
    let level = level.unwrap_or(Membership::Free);
    let reason = match level {
        Membership::Gold => Reason::AlreadyGold,
        Membership::Free | Membership::Silver => Reason::NotInAudience,
    };
    (!campaign.audience.contains(&level)).then_some(reason)
}

#[cfg(test)]
mod tests;
