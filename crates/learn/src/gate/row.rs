//! One decision, as the gate reads it.

/// One decision of the log with what came of it, and what candidate and champion would have done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// When it was decided, in Unix milliseconds.
    pub decided_ms: i64,
    /// Whether estimates may use it: not where a deterministic rule refused the campaign.
    pub eligible: bool,
    /// Whether the time in which a click counts has passed.
    pub matured: bool,
    /// How probable it was that the ad is shown, or would have been but for a holdout, with every coin in it, 0 to 1.
    pub propensity: f64,
    /// Whether it was shown.
    pub shown: bool,
    /// Whether the coins fell for the ad, and the customer's holdout kept it back: it earned nothing, as all that such a
    /// customer is not shown.
    pub held_out: bool,
    /// Whether the show was given back since the ad was not played: it cost nothing and brought nothing.
    pub voided: bool,
    /// Whether it was clicked in time.
    pub clicked: bool,
    /// How probable a show would have been under the candidate, 0 to 1: 0 where it refuses, else the rate of pacing. Both models
    /// have the same rate at one instant, also where the row was explored: with 1 for the candidate there and the rate for the
    /// champion elsewhere, the candidate would be credited with shows that pacing would have left out.
    pub candidate_shows: f64,
    /// The same under the champion.
    pub champion_shows: f64,
    /// The candidate's probability of a click.
    pub probability: f64,
    /// What showing it costs, in micro-units.
    pub cost_micro: i64,
    /// What a click is worth, in micro-units.
    pub value_micro: i64,
}

impl Row {
    /// Whether it can be true: propensities and probabilities within 0 to 1, nothing shown that had no chance to be, nothing
    /// certain left out, nothing clicked or given back that was not shown,
    /// no money below 0.
    pub(super) fn is_sound(&self) -> bool {
        let shares = [self.propensity, self.candidate_shows, self.champion_shows, self.probability];
        shares.iter().all(|share| (0.0..=1.0).contains(share))
            && self.propensity != if self.is_chosen() { 0.0 } else { 1.0 }
            && !((self.clicked || self.voided) && !self.shown)
            && !(self.shown && self.held_out)
            && self.cost_micro >= 0
            && self.value_micro >= 0
    }

    /// Whether the coins fell for the ad. Propensities are of that: whom a holdout keeps from an ad is known for all their decisions.
    pub(super) fn is_chosen(&self) -> bool {
        self.shown || self.held_out
    }

    /// Whether the ad was played.
    pub(super) fn is_played(&self) -> bool {
        self.shown && !self.voided
    }

    /// How many times this row stands for itself under the candidate: its weight, 0 where the ad was not shown.
    pub(super) fn weight(&self) -> f64 {
        if self.shown { self.candidate_shows / self.propensity } else { 0.0 }
    }
}

/// What became of a row that the gate was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It counts for calibration: decided after the candidate's last training row and before it was fixed.
    HeldOut,
    /// It counts for everything.
    Counted,
    /// Estimates may not use it, or the candidate may have been fitted to it. Nothing changed.
    Left,
    /// Its label is not known yet. Nothing changed; it and all later rows come again when it has matured.
    Unmatured,
    /// It contradicts itself: the gate does not pass any more.
    Refused,
}
