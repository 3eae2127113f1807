//! What a decision may come to, and what the engine says of it.

use std::collections::BTreeMap;

use crate::world::Ms;

/// One thing that a decision may come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// `None` where pacing has a rate, which the engine alone knows: the probability is as it logs it.
    pub probability: Option<f64>,
    pub reason: &'static str,
    /// Which campaign the answer names.
    pub campaign: Option<String>,
    /// Whether a show is due, before holdouts are looked at.
    pub shows: bool,
}

impl Outcome {
    /// Whether an answer is this, or would be but for a holdout.
    pub fn is_of(&self, answer: &Answer) -> bool {
        let is_held_out = self.shows && answer.reason == "held_out";
        self.campaign == answer.campaign && (is_held_out || self.reason == answer.reason)
    }
}

/// What a decision must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// Before holdouts; the probabilities add up to 1.
    pub outcomes: Vec<Outcome>,
    /// Whether estimates may use it; `None` of an unknown customer, which is not logged.
    pub eligible: Option<bool>,
    /// Whether it is the toss of the day.
    pub tossed: bool,
}

/// What the engine answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub reason: String,
    pub campaign: Option<String>,
    pub score: Option<f64>,
}

/// What the engine's log has of a decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    pub reason: String,
    pub campaign: Option<String>,
    pub time: Ms,
    pub eligible: bool,
    /// The probability of each campaign's show, and of none.
    pub propensities: BTreeMap<Option<String>, f64>,
}
