//! The demo's figures: decisions, clicks, money, latency.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use upbeat_core::campaign::Single;

/// How many of the latest latencies the quantiles are of.
const LATENCIES_KEPT: usize = 1_000_000;

/// Counts of all players together.
pub(super) struct Tally {
    started: Instant,
    impression_cost: f64,
    click_value: f64,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    decisions: u64,
    shown: u64,
    clicks: u64,
    /// Expected clicks had the ad been played at every decision, by the simulation's probabilities.
    clicks_if_always_shown: f64,
    failures: u64,
    last_failure: Option<String>,
    latencies_us: VecDeque<u32>,
    /// Of `latencies_us`, those since the last line.
    since_line: usize,
}

impl Tally {
    /// Names the columns of [`Tally::line`].
    pub(super) const HEADER: &str =
        "   time  decisions    shown   clicks      spent      saved        p50        p99";

    pub(super) fn new(campaign: &Single) -> Self {
        Self {
            started: Instant::now(),
            impression_cost: campaign.impression_cost,
            click_value: campaign.click_value,
            counts: Mutex::default(),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One answer: whether to show, how likely a click on the ad is, and how long the answer took.
    pub(super) fn count_decision(&self, shown: bool, likelihood: f64, took: Duration) {
        let mut counts = self.counts();
        counts.decisions += 1;
        counts.shown += u64::from(shown);
        counts.clicks_if_always_shown += likelihood;
        if counts.latencies_us.len() == LATENCIES_KEPT {
            counts.latencies_us.pop_front();
        }
        counts.latencies_us.push_back(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        counts.since_line = (counts.since_line + 1).min(LATENCIES_KEPT);
    }

    pub(super) fn count_click(&self) {
        self.counts().clicks += 1;
    }

    pub(super) fn count_failure(&self, reason: String) {
        let mut counts = self.counts();
        counts.failures += 1;
        counts.last_failure = Some(reason);
    }

    pub(super) fn failures(&self) -> u64 {
        self.counts().failures
    }

    /// Totals so far, and the latencies since the last line.
    pub(super) fn line(&self) -> String {
        let mut counts = self.counts();
        let skip = counts.latencies_us.len() - counts.since_line;
        let (p50, p99) = quantiles(counts.latencies_us.iter().skip(skip));
        counts.since_line = 0;
        let (spent, saved) = self.money(&counts);
        format!(
            "{:>6.0}s {:>10} {:>8} {:>8} {spent:>10.2} {saved:>10.2} {p50:>7} µs {p99:>7} µs",
            self.started.elapsed().as_secs_f64(),
            counts.decisions,
            counts.shown,
            counts.clicks,
        )
    }

    fn money(&self, counts: &Counts) -> (f64, f64) {
        let not_shown = counts.decisions - counts.shown;
        (counts.shown as f64 * self.impression_cost, not_shown as f64 * self.impression_cost)
    }

    /// The summary for the end.
    pub(super) fn summary(&self) -> String {
        let counts = self.counts();
        let (spent, saved) = self.money(&counts);
        let (p50, p99) = quantiles(counts.latencies_us.iter());
        let share = |part: f64, whole: u64| if whole == 0 { 0.0 } else { 100.0 * part / whole as f64 };
        let value = counts.clicks as f64 * self.click_value;
        let mut text = format!(
            "{} decisions in {:.0} s, {} shown, {} clicked ({:.1} % of those shown; had it been played every time, \
             {:.1} % would have)\nspent {spent:.2}, saved {saved:.2}, clicks worth {value:.2}; latency p50 {p50} µs, \
             p99 {p99} µs; {} failed requests",
            counts.decisions,
            self.started.elapsed().as_secs_f64(),
            counts.shown,
            counts.clicks,
            share(counts.clicks as f64, counts.shown),
            share(counts.clicks_if_always_shown, counts.decisions),
            counts.failures,
        );
        if let Some(reason) = &counts.last_failure {
            text.push_str(&format!("; the last: {reason}"));
        }
        text
    }
}

/// The 50th and 99th percentile, nearest rank; 0 where there is nothing.
fn quantiles<'a>(latencies_us: impl Iterator<Item = &'a u32>) -> (u32, u32) {
    let mut sorted: Vec<u32> = latencies_us.copied().collect();
    sorted.sort_unstable();
    let rank = |share: f64| {
        let index = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(index.saturating_sub(1)).copied().unwrap_or(0)
    };
    (rank(0.5), rank(0.99))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let latencies: Vec<u32> = (1..=100).rev().collect();
        assert_eq!(quantiles(latencies.iter()), (50, 99));
        assert_eq!(quantiles([7].iter()), (7, 7));
        assert_eq!(quantiles([].iter()), (0, 0));
    }

    #[test]
    fn money_is_spent_on_shown_and_saved_on_other_decisions() {
        let tally = Tally::new(&Single { impression_cost: 0.5, click_value: 2.0, ..Single::default() });
        for shown in [true, false, false] {
            tally.count_decision(shown, 0.25, Duration::from_micros(80));
        }
        tally.count_click();
        let summary = tally.summary();
        assert!(summary.contains("spent 0.50, saved 1.00, clicks worth 2.00"), "{summary}");
        assert!(
            summary.contains("100.0 % of those shown; had it been played every time, 25.0 %"),
            "{summary}"
        );
    }
}
