//! A small music service with one campaign, for the gate: what is assumed of it, and nothing else, is written here.
//!
//! - A show costs 0.02 and a click is worth 0.50: shows pay above a probability of 0.04.
//! - A customer asks 2.2 times a day in the mean, at random, as in the [simulator](../../../../../docs/simulator.md); a
//!   decision is one such question, whatever is answered.
//! - One ad a customer and day: after a show the cap refuses the others. 5 % of customers are held out. Such decisions are
//!   counted, and are not eligible.
//! - Whom the champion thinks likely is shown the ad with the pacing rate, 0.7; the coin falls anew at each decision.
//! - Whom it thinks unlikely gets one toss a customer and day, of 2 %; the other decisions of that day are not eligible.
//! - Every label has matured when the row is read; the clock counts decisions, one a millisecond.

use std::ops::Range;

use upbeat_simulate::Rng;

use crate::gate::{Challenge, Row};

pub(super) const COST_MICRO: i64 = 20_000;
pub(super) const VALUE_MICRO: i64 = 500_000;
pub(super) const BREAK_EVEN: f64 = COST_MICRO as f64 / VALUE_MICRO as f64;
pub(super) const PACE: f64 = 0.7;
pub(super) const EXPLORATION: f64 = 0.02;
const HELD_OUT: f64 = 0.05;
const DECISIONS_A_DAY: f64 = 2.2;
pub(super) const CUSTOMERS: u32 = 8_000;

/// An ad that was shown, at one of two decisions that could, and not clicked; neither model is asked.
pub(super) const SHOWN: Row = Row {
    decided_ms: 0,
    eligible: true,
    matured: true,
    propensity: 0.5,
    shown: true,
    held_out: false,
    voided: false,
    clicked: false,
    candidate_shows: 0.0,
    champion_shows: 0.0,
    probability: 0.0,
    cost_micro: COST_MICRO,
    value_micro: VALUE_MICRO,
};

/// A customer at one decision.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking {
    pub customer: u32,
    /// How probable a click is.
    pub truth: f64,
    /// What the models see.
    pub features: [f64; 2],
}

/// Who asks, and how likely they are to click.
pub(super) trait Listeners {
    fn asking(&self, rng: &mut Rng) -> Asking;
}

/// The service between two decisions.
pub(super) struct World {
    pub rng: Rng,
    /// Decisions so far; the clock.
    pub decisions: i64,
    /// The day of each customer's newest show, and of their newest toss.
    shown: Vec<i64>,
    tossed: Vec<i64>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let never = vec![-1; CUSTOMERS as usize];
        Self { rng: Rng::new(seed), decisions: 0, shown: never.clone(), tossed: never }
    }

    /// The next decision: who asks, and the row of it, or none where it is not eligible. Each model says how probable a click
    /// is; where that is above the break-even, it would show.
    pub fn decide(
        &mut self,
        listeners: &impl Listeners,
        champion: impl Fn(&Asking) -> f64,
        candidate: impl Fn(&Asking) -> f64,
    ) -> Option<(Asking, Row)> {
        self.decisions += 1;
        let day = (self.decisions as f64 / (DECISIONS_A_DAY * f64::from(CUSTOMERS))) as i64;
        let asking = listeners.asking(&mut self.rng);
        let customer = asking.customer as usize;
        if f64::from(asking.customer) < HELD_OUT * f64::from(CUSTOMERS) || self.shown[customer] == day {
            return None;
        }
        let is_likely = champion(&asking) > BREAK_EVEN;
        if !is_likely && std::mem::replace(&mut self.tossed[customer], day) == day {
            return None;
        }
        let propensity = if is_likely { PACE } else { EXPLORATION };
        let shown = self.rng.chance(propensity);
        if shown {
            self.shown[customer] = day;
        }
        let probability = candidate(&asking);
        let row = Row {
            decided_ms: self.decisions,
            propensity,
            shown,
            clicked: shown && self.rng.chance(asking.truth),
            candidate_shows: if probability > BREAK_EVEN { PACE } else { 0.0 },
            champion_shows: if is_likely { PACE } else { 0.0 },
            probability,
            ..SHOWN
        };
        Some((asking, row))
    }

    /// A challenge that begins now, of a candidate that was trained up to some decision.
    pub fn challenge(&self, number: u32, trained_until_ms: i64) -> Challenge {
        Challenge {
            number,
            trained_until_ms,
            fixed_ms: self.decisions,
            cost_micro: COST_MICRO,
            value_micro: VALUE_MICRO,
        }
    }
}

/// `UPBEAT_SEEDS`, as `0..1000`, or these.
pub(super) fn seeds(or: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var("UPBEAT_SEEDS") else { return or };
    let ends = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    ends.unwrap_or_else(|| panic!("UPBEAT_SEEDS is {text:?}; it must be as in 0..1000"))
}
