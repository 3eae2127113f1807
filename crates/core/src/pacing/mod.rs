//! Pacing: at which rate shows pass, so that a budget lasts as long as it is meant to.
//!
//! After Agarwal, Ghosh, Wei, You: Budget Pacing for Targeted Online Advertisements at LinkedIn (KDD 2014), sections 3
//! and 4: a pass-through rate is steered slice by slice, by at most a tenth once shows tell of the demand, so that
//! spending follows the forecast of traffic. Pacing never bounds what is spent: the budget itself does, beneath it.

mod curve;
mod forecast;

pub use curve::{Curve, DAY_SLOTS, SLOT_MS};
pub use forecast::Forecast;

use crate::campaign::Rate;

/// The length of a time slice, after which the rate is adjusted, in milliseconds.
pub const SLICE_MS: i64 = 60_000;

/// The most by which a slice changes the rate: up to this many times, or one of this many times.
const STEP: f64 = 1.1;

/// So many slices before its end a budget is planned to be spent; what is left then passes at once.
const CATCH_UP_SLICES: i64 = 10;

/// The rate of a campaign of which nothing is known yet: a small budget must not be gone in the first minute. It is doubled
/// each slice until something was shown.
const FIRST_RATE: f64 = 0.001;
const FIRST_STEP: f64 = 2.0;

/// The estimate of demand is made of so many shows, and of so many slices: shows are few where the rate is low, and one slice
/// alone would tell nothing.
const ESTIMATE_SHOWS: f64 = 20.0;
const ESTIMATE_SLICES: std::ops::RangeInclusive<f64> = 20.0..=90.0;

/// The lowest rate that is aimed at: one that is 0 would never learn that traffic has come down.
const LOWEST_RATE: f64 = 1e-7;

/// Below so many 65,535ths the rates of slices alternate, since the nearest would be too far off.
const ALTERNATES_BELOW: f64 = 100.0;

/// One budget, and the time for which it is meant.
#[derive(Debug, Clone, Copy)]
pub struct Limit<'a> {
    /// The budget in micro-units.
    pub budget_micro: i64,
    /// What is spent or reserved of it, in micro-units.
    pub committed_micro: i64,
    /// The traffic that is expected in its time.
    pub forecast: &'a Forecast,
}

/// What a budget asks for in the next slice.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wanted {
    /// To spend so many micro-units.
    Micro(f64),
    /// To spend what can be spent, as the end is near.
    All,
}

impl Limit<'_> {
    /// What is wanted in the slice from `now_ms` on: of what is left, the share of the slice's traffic in the traffic that is
    /// still to come. `None` where nothing is left, and before the time begins: the budget itself refuses.
    fn wanted(&self, now_ms: i64) -> Option<Wanted> {
        let left_micro = self.budget_micro.saturating_sub(self.committed_micro);
        if left_micro <= 0 {
            return None;
        }
        let plan_end_ms = self.forecast.end_ms() - CATCH_UP_SLICES * SLICE_MS;
        if now_ms >= plan_end_ms {
            return Some(Wanted::All);
        }
        let [now, next, end] =
            [now_ms, now_ms + SLICE_MS, plan_end_ms].map(|at_ms| self.forecast.share_before(at_ms));
        let to_come = end - now;
        if to_come <= 0.0 {
            return Some(Wanted::All);
        }
        Some(Wanted::Micro(left_micro as f64 * ((next.min(end) - now) / to_come)))
    }
}

/// The rate of one campaign.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pacer {
    /// The rate that is aimed at.
    rate: f64,
    /// The rate in force, and by how many 65,535ths the slices before were too low.
    in_force: Rate,
    owed: f64,
    /// The shows of the last slices, and the sum of the rates at which they passed; older slices count for less.
    shows: f64,
    passed: f64,
}

impl Default for Pacer {
    fn default() -> Self {
        Self { rate: FIRST_RATE, in_force: Rate::of(FIRST_RATE), owed: 0.0, shows: 0.0, passed: 0.0 }
    }
}

impl Pacer {
    /// A pacer that goes on with a rate.
    #[must_use]
    pub fn resumed(rate: Rate) -> Self {
        Self { rate: rate.value().max(LOWEST_RATE), in_force: rate, ..Self::default() }
    }

    /// The rate in force.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.in_force
    }

    /// Adjusts the rate at the end of a slice of [`SLICE_MS`], and gives that of the next. `shows` passed in
    /// the slice, whatever became of them since, and one costs `cost_micro`; `limits` are all budgets that hold, and the one that asks for least
    /// decides.
    pub fn adjust(&mut self, now_ms: i64, shows: u32, cost_micro: i64, limits: &[Limit<'_>]) -> Rate {
        let wanted = limits.iter().filter_map(|limit| limit.wanted(now_ms));
        let least = wanted.min_by(|one, other| match (one, other) {
            (Wanted::All, Wanted::All) => std::cmp::Ordering::Equal,
            (Wanted::All, _) => std::cmp::Ordering::Greater,
            (_, Wanted::All) => std::cmp::Ordering::Less,
            (Wanted::Micro(one), Wanted::Micro(other)) => one.total_cmp(other),
        });
        self.rate = match least {
            // Every budget is used up: the rate is as good as any for the next day.
            None => self.rate,
            Some(Wanted::All) => 1.0,
            // Nothing is expected, as in the hours in which it does not run.
            Some(Wanted::Micro(wanted)) if wanted <= 0.0 && shows == 0 => self.rate,
            Some(Wanted::Micro(wanted)) => self.steered(wanted, shows, cost_micro),
        };
        self.rate = self.rate.clamp(LOWEST_RATE, 1.0);
        self.in_force = self.in_65_535ths();
        self.in_force
    }

    /// The rate of the next slice, such that those of many are the rate that is aimed at on average: a budget of a few shows
    /// among millions of requests needs less than the lowest rate.
    fn in_65_535ths(&mut self) -> Rate {
        let exact = self.rate * f64::from(u16::MAX);
        if exact >= ALTERNATES_BELOW {
            self.owed = 0.0;
            return Rate::of(self.rate);
        }
        let due = exact + self.owed;
        self.owed = due.fract();
        Rate(due as u16)
    }

    /// The rate at which the next slice is estimated to spend what is wanted, a tenth away from the present one at most.
    fn steered(&mut self, wanted_micro: f64, shows: u32, cost_micro: i64) -> f64 {
        let is_first = self.shows <= 0.0;
        let (least, most) = (*ESTIMATE_SLICES.start(), *ESTIMATE_SLICES.end());
        let per_slice = if self.passed > 0.0 { self.rate * self.shows / self.passed } else { 0.0 };
        let kept = 1.0 - 1.0 / (ESTIMATE_SHOWS / per_slice).clamp(least, most);
        self.shows = self.shows * kept + f64::from(shows);
        self.passed = self.passed * kept + self.in_force.value();
        // What a slice costs if everything passes. One show more is counted than there were: for a Poisson count n, as that of few
        // shows is, 1 / (n + 1) is on average nearly 1 / mean, where 1 / n is more.
        let demand_micro = (self.shows + 1.0) / self.passed * cost_micro as f64;
        if self.shows <= 0.0 || !demand_micro.is_finite() || demand_micro <= 0.0 {
            return self.rate * if is_first { FIRST_STEP } else { STEP };
        }
        let rate = wanted_micro / demand_micro;
        // The first shows tell how far off a rate is that was set without knowing of any.
        if is_first && rate < self.rate { rate } else { rate.clamp(self.rate / STEP, self.rate * STEP) }
    }
}

#[cfg(test)]
mod tests;
