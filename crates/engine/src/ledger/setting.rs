//! What a campaign says of money.

use upbeat_core::campaign::schedule::local_day;
use upbeat_core::campaign::{Bill, Money, Planned};

use super::pacing::Paced;
use super::{Budgets, Terms};

/// What a campaign's account is set to.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// The time zone of local days, by its IANA name.
    pub zone: Box<str>,
    /// What a show costs, in micro-units.
    pub cost: i64,
    /// Which shows cost.
    pub bill: Bill,
    /// How long a show holds its cost, in milliseconds.
    pub reserve_ms: i64,
    /// What a click is worth, in micro-units.
    pub click_value: i64,
    /// The budgets.
    pub budgets: Budgets,
    /// How they are spread.
    pub paced: Paced,
}

impl Setting {
    /// What shows cost, from their first on.
    pub fn terms(&self) -> Terms {
        let Self { zone, cost, bill, reserve_ms, click_value, .. } = self;
        let (cost, bill, reserve_ms, click_value) = (*cost, *bill, *reserve_ms, *click_value);
        Terms { from_ms: i64::MIN, zone: zone.clone(), cost, bill, reserve_ms, click_value }
    }

    /// What a campaign says.
    pub fn of(campaign: &Planned) -> Self {
        let zone = &campaign.zone;
        let first = campaign.schedule.start_ms().map(|start_ms| local_day(zone, start_ms).day);
        Self {
            zone: zone.name().into(),
            cost: campaign.cost_micro,
            bill: campaign.bill,
            reserve_ms: campaign.reserve_ms,
            click_value: campaign.value_micro,
            budgets: Budgets {
                daily: campaign.daily_budget.map(Money::micro),
                total: campaign.total_budget.map(Money::micro),
                from_day: first,
            },
            paced: Paced { mode: campaign.pacing, schedule: campaign.schedule.clone(), zone: zone.clone() },
        }
    }
}
