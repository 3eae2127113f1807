//! Show or not, with a reason, for one customer at one instant: plain values in, a verdict out.

use crate::campaign::Campaign;
use crate::event::Membership;
use crate::feature::{self, Heard};
use crate::profile::{Profile, Window};
use crate::svm::Scorer;

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
    /// No event of this customer was ever told.
    UnknownCustomer,
    /// Fewer plays in the window than the campaign asks for.
    TooLittleHistory,
    /// No model is loaded.
    NoModel,
    /// The customer has heard the ad as often as the cap allows.
    Capped,
}

impl Reason {
    /// Every reason, in the order in which the policy asks.
    pub const ALL: [Self; 8] = [
        Self::UnknownCustomer,
        Self::AlreadyGold,
        Self::NotInAudience,
        Self::NoModel,
        Self::TooLittleHistory,
        Self::Capped,
        Self::UnlikelyToClick,
        Self::LikelyToClick,
    ];

    /// The word in answers and metric labels.
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
        }
    }

    /// Only one reason shows the ad.
    #[must_use]
    pub fn shows(self) -> bool {
        self == Self::LikelyToClick
    }
}

/// What a model says of a customer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The SVM's decision value; above zero leans towards a click.
    pub value: f64,
    /// After calibration, in `0.0..=1.0`; `None` if the model carries none.
    pub probability: Option<f64>,
}

/// A score and the instants, in Unix milliseconds, between which it stays what it is if no play comes in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FreshScore {
    /// The score; `None` when the window is empty.
    pub score: Option<Score>,
    /// How many plays were in the window.
    pub plays: usize,
    /// Not before this: an older play would still have been in the window.
    pub from_ms: i64,
    /// Not from this on: the oldest play leaves the window.
    pub until_ms: i64,
}

/// Scores the plays in the window at `now_ms` (Unix milliseconds).
#[must_use]
pub fn score(profile: &Profile, scorer: &Scorer, window: &Window, now_ms: i64) -> FreshScore {
    let plays = profile.plays_in(window, now_ms);
    let score = feature::vector(plays.iter().map(Heard::from)).map(|vector| {
        let value = scorer.score(&vector);
        Score { value, probability: scorer.probability(value) }
    });
    let start_ms = window.start_ms(now_ms);
    // The instant at which a play of that time has just left the window.
    let leaves_ms = |play_ms: i64| play_ms.saturating_add(now_ms.saturating_sub(start_ms)).saturating_add(1);
    let aged_out = plays.newest_older_ms().filter(|play_ms| *play_ms < start_ms);
    FreshScore {
        score,
        plays: plays.len(),
        from_ms: aged_out.map_or(i64::MIN, leaves_ms),
        until_ms: plays.first_ms().map_or(i64::MAX, leaves_ms),
    }
}

/// Why the answer is what it is, and the score if one was needed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The reason; [`Reason::shows`] tells whether to show.
    pub reason: Reason,
    /// The score, where the policy came as far as asking for it.
    pub score: Option<Score>,
}

/// The policy: audience, history, cap, then score against threshold, in the order of [`Reason::ALL`].
///
/// `fresh` is what the model says at `now_ms` (Unix milliseconds); `None` when no model is loaded.
#[must_use]
pub fn decide(
    profile: Option<&Profile>,
    campaign: &Campaign,
    fresh: Option<FreshScore>,
    now_ms: i64,
) -> Verdict {
    let refuse = |reason| Verdict { reason, score: None };
    let Some(profile) = profile else {
        return refuse(Reason::UnknownCustomer);
    };
    let level = profile.level().unwrap_or(Membership::Free);
    if !campaign.audience.contains(&level) {
        return refuse(match level {
            Membership::Gold => Reason::AlreadyGold,
            Membership::Free | Membership::Silver => Reason::NotInAudience,
        });
    }
    let Some(FreshScore { score, plays, .. }) = fresh else {
        return refuse(Reason::NoModel);
    };
    let Some(known) = score.filter(|_| plays >= campaign.min_plays as usize) else {
        return Verdict { reason: Reason::TooLittleHistory, score };
    };
    let heard = profile.impressions_after(&campaign.id, campaign.cap.start_ms(now_ms));
    let reason = if heard >= campaign.cap.impressions as usize {
        Reason::Capped
    } else if known.value > campaign.threshold {
        Reason::LikelyToClick
    } else {
        Reason::UnlikelyToClick
    };
    Verdict { reason, score }
}

#[cfg(test)]
mod tests;
