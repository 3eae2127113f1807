//! What is told of a campaign's money.

use std::collections::BTreeMap;

use upbeat_core::decision::Reason;

use super::AccountState;
use super::days::{Day, place_of};

/// What became of a campaign's money over some local days, in integer micro-units of its currency.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Report {
    /// What may be spent in all on these days as the campaign is set now: the daily budgets, or the total budget if that is less.
    /// `None` if nothing limits it.
    pub budget: Option<i64>,
    /// Held for shows whose reservations have not ended.
    pub reserved: i64,
    /// Spent for good, what is `late` included.
    pub spent: i64,
    /// Given back: shows that were voided, and those that nobody confirmed where only confirmed ones cost.
    pub returned: i64,
    /// Of what is spent, what confirmations took when it was no longer held.
    pub late: i64,
    /// What confirmations would have taken for which nothing was left: nobody is billed for it.
    pub overrun: i64,
    /// Forfeited by losses of power. It counts towards the budgets, and as cost.
    pub lost: i64,
    /// Shows that were confirmed, or whose reservations ended where each show costs.
    pub impressions: u64,
    /// Clicks that belong to shows.
    pub clicks: u64,
    /// Upgrades that belong to shows.
    pub upgrades: u64,
    /// What the clicks were worth.
    pub value: i64,
    /// `value` without what is spent and lost.
    pub profit: i64,
    /// Decisions that named the campaign and showed nothing, by reason; those that there were.
    pub not_shown: BTreeMap<&'static str, u64>,
}

impl AccountState {
    /// The report of the local days from `from_day` on and before `to_day`, each in days since 1970. Of more than 400 days on which
    /// anything happened the oldest are summed up: that sum is in the report if the newest day of it is.
    #[must_use]
    pub fn report(&self, from_day: i32, to_day: i32) -> Report {
        let days = || self.days.iter().filter(|day| (from_day..to_day).contains(&day.day));
        let mut sum = Day::new(from_day);
        for day in days() {
            sum.sums.add(&day.sums);
            sum.not_shown.iter_mut().zip(day.not_shown).for_each(|(sum, count)| *sum += count);
        }
        let number_of_days = i64::from(to_day).saturating_sub(from_day.into()).max(0);
        let daily = self.budgets.daily.map(|daily| daily.saturating_mul(number_of_days));
        let sums = sum.sums;
        let counted = |reason: &Reason| {
            let count = sum.not_shown[place_of(*reason)];
            (count > 0).then_some((reason.name(), count))
        };
        Report {
            budget: [daily, self.budgets.total].into_iter().flatten().min(),
            reserved: sums.reserved,
            spent: sums.spent,
            returned: sums.returned,
            late: sums.late,
            overrun: sums.overrun,
            lost: sums.lost,
            impressions: sums.impressions,
            clicks: sums.clicks,
            upgrades: sums.upgrades,
            value: sums.value,
            profit: sums.value.saturating_sub(sums.spent).saturating_sub(sums.lost),
            not_shown: Reason::ALL.iter().filter_map(counted).collect(),
        }
    }
}
