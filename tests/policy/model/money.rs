//! What campaigns have spent: a list of shows with what became of each, added up anew for each question.

use jiff::civil::Date;

use crate::world::{Ms, SECOND};

/// A show and what it may cost.
#[derive(Debug, Clone)]
pub struct Cost {
    pub campaign: String,
    /// The local date of its decision.
    pub day: Date,
    pub amount: i64,
    pub bills_impressions: bool,
    /// From then on it has not been confirmed in time.
    pub expires: Ms,
    /// An impression event confirmed it while it held its cost, or its cost was still to be had.
    pub is_paid: bool,
    /// It was confirmed, and its cost was not to be had any more.
    pub is_overrun: bool,
    pub is_confirmed: bool,
    pub is_voided: bool,
    /// A void gave its cost back, or it had been released when it was confirmed or voided.
    pub is_returned: bool,
}

impl Cost {
    /// What it takes from the budgets.
    pub fn taken(&self, now: Ms) -> i64 {
        let holds = match (self.is_voided, self.is_confirmed) {
            // A confirmation after a void takes again, or not.
            (_, true) => self.is_paid,
            (true, false) => false,
            (false, false) => !self.bills_impressions || now < self.expires,
        };
        if holds { self.amount } else { 0 }
    }

    /// Whether nobody confirmed or voided it in time, where only what is confirmed costs.
    fn is_released(&self, now: Ms) -> bool {
        self.bills_impressions && !self.is_confirmed && !self.is_voided && now >= self.expires
    }

    fn reserved(&self, now: Ms) -> i64 {
        // Where shows cost, a confirmation changes nothing of money.
        let is_open = !self.is_voided && (!self.is_confirmed || !self.bills_impressions);
        if is_open && now < self.expires { self.amount } else { 0 }
    }
}

/// When a show no longer holds its cost: whole seconds, and of a long reservation whole 2,048ths of it, rounded up.
pub fn expires(now: Ms, reserve_s: i64) -> Ms {
    let step = ((reserve_s + 2047) / 2048).max(1) * SECOND;
    let exact = now + reserve_s * SECOND;
    (exact + step - 1).div_euclid(step) * step
}

/// The limits of a campaign at an instant.
#[derive(Debug, Clone, Copy)]
pub struct Budgets {
    pub daily: Option<i64>,
    pub total: Option<i64>,
    /// The first local day of the flight, if there is one: the total is of the days from then on.
    pub from: Option<Date>,
}

/// What a report says, all of it in micro-units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    pub reserved: i64,
    pub spent: i64,
    pub returned: i64,
    pub overrun: i64,
}

#[derive(Debug, Clone, Default)]
pub struct Money {
    /// By the number of the step that decided it, ascending.
    pub costs: Vec<(usize, Cost)>,
}

impl Money {
    /// What is left for one more show on a day; `i64::MAX` without a limit.
    pub fn left(&self, campaign: &str, day: Date, budgets: Budgets, now: Ms) -> i64 {
        let of = |is_of: &dyn Fn(Date) -> bool| -> i64 {
            let costs = self.costs.iter().map(|(_, cost)| cost);
            let own = costs.filter(|cost| cost.campaign == campaign && is_of(cost.day));
            own.map(|cost| cost.taken(now)).sum()
        };
        let is_of_flight = |of: Date| budgets.from.is_none_or(|from| of >= from);
        let left = |limit: Option<i64>, taken: i64| limit.map_or(i64::MAX, |limit| (limit - taken).max(0));
        left(budgets.daily, of(&|of| of == day)).min(left(budgets.total, of(&is_of_flight)))
    }

    fn find(&mut self, step: usize) -> &mut Cost {
        let found = self.costs.iter_mut().find(|(number, _)| *number == step);
        &mut found.expect("a show").1
    }

    /// An impression event confirms a show.
    pub fn confirm(&mut self, step: usize, budgets: Budgets, now: Ms) {
        let cost = self.find(step).clone();
        if cost.is_confirmed {
            return;
        }
        // It still holds its cost, or there is as much left of its own day.
        let pays = cost.taken(now) > 0
            || cost.amount == 0
            || self.left(&cost.campaign, cost.day, budgets, now) >= cost.amount;
        let cost = self.find(step);
        cost.is_returned |= cost.is_released(now);
        cost.is_confirmed = true;
        cost.is_paid = pays;
        cost.is_overrun = !pays;
    }

    /// Somebody says that the ad was not played.
    pub fn void(&mut self, step: usize, now: Ms) {
        let cost = self.find(step);
        if cost.is_confirmed || cost.is_voided {
            return;
        }
        cost.is_returned = cost.taken(now) > 0 || cost.is_released(now);
        cost.is_voided = true;
    }

    /// What the report of a campaign must say of all days.
    pub fn sums(&self, campaign: &str, now: Ms) -> Sums {
        let mut sums = Sums::default();
        for (_, cost) in self.costs.iter().filter(|(_, cost)| cost.campaign == campaign) {
            sums.reserved += cost.reserved(now);
            sums.spent += cost.taken(now) - cost.reserved(now);
            sums.returned += if cost.is_returned || cost.is_released(now) { cost.amount } else { 0 };
            sums.overrun += if cost.is_overrun { cost.amount } else { 0 };
        }
        sums
    }
}
