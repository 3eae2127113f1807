//! The state of an account: which changes it allows, and what they make of it.

use std::collections::BTreeMap;

use super::days::{Day, Days, Sums};
use super::terms::SECOND_MS;
use super::{Budgets, Change, Charge, Confirmed, Terms, Voided};
use upbeat_core::campaign::Bill;
use upbeat_core::event::DAY_MS;

/// The most instants at which reservations end, each with its own cost. More come only of a clock that leaps again and again. With
/// all that an account may hold it fits into a block of a snapshot.
const MOST_HELD: usize = 1 << 14;

/// The most former terms that are kept; the oldest are then taken for those before them, too.
const MOST_TERMS: usize = 1024;

/// Why a show cannot be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoMoney {
    /// Less than its cost is left of a budget.
    Budget,
    /// The log does not hold yet that so much may be spent: the record is on its way to the disk.
    Lease,
    /// The log has no room for the show.
    Log,
}

/// Shows that hold the same charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Held {
    /// Whose costs are held.
    pub shows: u64,
    /// Which of them are not confirmed.
    pub open: u64,
}

/// What an account is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccountState {
    pub(super) budgets: Budgets,
    /// Ascending by their beginning.
    pub(super) terms: Vec<Terms>,
    pub(super) held: BTreeMap<Charge, Held>,
    pub(super) days: Days,
    /// Up to which sum shows of a day may cost, by day, ascending. Few days have one at a time.
    pub(super) leases: Vec<(i32, i64)>,
    /// What counts towards the total budget.
    pub(super) flight: i64,
    /// The time of the newest show, in Unix milliseconds.
    pub(super) newest_ms: i64,
}

impl Default for AccountState {
    fn default() -> Self {
        Self {
            budgets: Budgets::default(),
            terms: Vec::new(),
            held: BTreeMap::new(),
            days: Days::default(),
            leases: Vec::new(),
            flight: 0,
            newest_ms: i64::MIN,
        }
    }
}

impl AccountState {
    /// The budgets.
    pub fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// The days.
    pub fn days(&self) -> &Days {
        &self.days
    }

    /// What counts towards the total budget, in micro-units.
    pub fn committed_of_flight(&self) -> i64 {
        self.flight
    }

    /// The costs of a show at this instant; `None` before any were set.
    pub fn terms_at(&self, now_ms: i64) -> Option<&Terms> {
        let later = self.terms.partition_point(|terms| terms.from_ms <= now_ms);
        self.terms.get(later.saturating_sub(1))
    }

    /// Whether no terms come before these.
    pub fn is_first(&self, terms: &Terms) -> bool {
        self.terms.first().is_some_and(|first| first.from_ms == terms.from_ms)
    }

    /// From when on shows have other costs than at this instant, in Unix milliseconds; [`i64::MAX`] if never.
    pub fn next_terms_ms(&self, now_ms: i64) -> i64 {
        // Before the first of them its terms hold, too.
        let later = self.terms.partition_point(|terms| terms.from_ms <= now_ms).max(1);
        self.terms.get(later).map_or(i64::MAX, |terms| terms.from_ms)
    }

    /// Up to which sum shows of a day may cost, for each day that has a lease, ascending.
    pub fn leases(&self) -> &[(i32, i64)] {
        &self.leases
    }

    /// Up to which sum shows of this day may cost by its lease; 0 without one.
    pub fn leased(&self, day: i32) -> i64 {
        let lease = self.leases.iter().find(|(leased, _)| *leased == day);
        lease.map_or(0, |(_, until)| *until)
    }

    /// What is left for shows on this local day, in micro-units; [`i64::MAX`] where nothing is limited, and 0 where more is
    /// committed than a budget that was lowered.
    pub fn available(&self, day: i32) -> i64 {
        let of_day = self.budgets.daily.map(|daily| match self.days.is_summed_up(day) {
            // What was spent on this day is not known by itself.
            true => 0,
            false => daily - self.days.sums(day).committed(),
        });
        let in_flight = self.is_in_flight(day);
        let of_flight = self.budgets.total.filter(|_| in_flight).map(|total| total - self.flight);
        [of_day, of_flight].into_iter().flatten().min().unwrap_or(i64::MAX).max(0)
    }

    /// Whether a show with this charge can be paid.
    ///
    /// # Errors
    /// [`NoMoney::Budget`], also where a sum would leave the range of a number.
    pub fn check(&self, charge: &Charge) -> Result<(), NoMoney> {
        let has_room = self.held.len() < MOST_HELD || self.held.contains_key(charge);
        let sums = self.days.sums(charge.day);
        // The others are parts of what was shown, or of this.
        let in_range = sums.shown.checked_add(sums.late).and_then(|sum| sum.checked_add(charge.cost));
        let in_range = in_range.is_some() && self.flight.checked_add(charge.cost).is_some();
        let is_left = charge.cost == 0 || charge.cost <= self.available(charge.day);
        if has_room && in_range && is_left { Ok(()) } else { Err(NoMoney::Budget) }
    }

    /// What ends the reservations that are due; `None` if none is.
    pub fn expiry(&self, now_ms: i64) -> Option<Change> {
        let through_s = now_ms.div_euclid(SECOND_MS);
        (self.next_expiry_s() <= through_s).then_some(Change::Expired { through_s })
    }

    /// When the next reservation ends, in whole seconds since 1970; [`i64::MAX`] if none does.
    pub fn next_expiry_s(&self) -> i64 {
        self.held.first_key_value().map_or(i64::MAX, |(charge, _)| charge.expires_s)
    }

    /// What the first confirmation of a show changes, which may have been voided; `None` if nothing. A show is lost if no
    /// record told of it before.
    pub fn confirmation(&self, charge: Charge, voided: bool, lost: bool) -> Option<Change> {
        let is_held = !voided && !lost && self.held.get(&charge).is_some_and(|held| held.open > 0);
        if is_held {
            return Some(Change::Confirmed(charge, Confirmed::Held));
        }
        // It was spent and counted when its reservation ended.
        if charge.bill == Bill::Show && !voided && !lost {
            return None;
        }
        let sums = self.days.sums(charge.day);
        let whence = match self.check(&charge) {
            _ if lost && !voided && charge.cost <= sums.lost => Confirmed::Found,
            Ok(()) => Confirmed::Late,
            Err(_) => Confirmed::Overrun,
        };
        Some(Change::Confirmed(charge, whence))
    }

    /// What the first void changes of a show that nobody confirmed; `None` if nothing.
    pub fn void(&self, charge: Charge) -> Option<Change> {
        if self.held.get(&charge).is_some_and(|held| held.open > 0) {
            return Some(Change::Voided(charge, Voided::Held));
        }
        let sums = self.days.sums(charge.day);
        let is_spent = charge.bill == Bill::Show && sums.spent >= charge.cost && sums.impressions > 0;
        is_spent.then_some(Change::Voided(charge, Voided::Spent))
    }

    /// What sets these budgets, and these costs for shows from their beginning on that are later than all so far; `None` if they are
    /// set already. A clock that was a day ahead or more and was set back does not put that off: then they are for shows from
    /// `now_ms` on.
    pub fn configuration(&self, mut terms: Terms, budgets: Budgets, now_ms: Option<i64>) -> Option<Change> {
        let was_ahead = |of_ms: i64| now_ms.filter(|now_ms| of_ms > now_ms.saturating_add(DAY_MS));
        let last = self.terms.last();
        let is_known = last.is_some_and(|last| last.same_costs(&terms) && was_ahead(last.from_ms).is_none());
        if is_known && self.budgets == budgets {
            return None;
        }
        if let Some(last) = last {
            let after = last.from_ms.max(self.newest_ms.saturating_add(1));
            terms.from_ms = match was_ahead(after) {
                _ if is_known => last.from_ms,
                Some(now_ms) => now_ms,
                None => terms.from_ms.max(after),
            };
        }
        Some(Change::Configured(Box::new(terms), budgets))
    }

    /// Applies what was worked out before, or is read from the log. Of a log that a loss of power has cut, records may be
    /// missing before the last ones: what a change was worked out from may not be here then, and it stands for both.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Shown { charge, time_ms } => {
                self.newest_ms = self.newest_ms.max(*time_ms);
                self.show(charge);
            }
            Change::Expired { through_s } => self.expire(*through_s),
            Change::Confirmed(charge, Confirmed::Held) => {
                self.take_held(charge, charge.bill == Bill::Impression);
                self.on_day(charge.day, |sums| {
                    sums.impressions += 1;
                    if charge.bill == Bill::Impression {
                        sums.reserved -= charge.cost;
                        sums.spent += charge.cost;
                    }
                });
            }
            Change::Confirmed(charge, whence) => self.on_day(charge.day, |sums| {
                sums.impressions += 1;
                match whence {
                    Confirmed::Overrun => sums.overrun = sums.overrun.saturating_add(charge.cost),
                    Confirmed::Found if sums.lost < charge.cost => {}
                    _ => {
                        if *whence == Confirmed::Found {
                            sums.lost -= charge.cost;
                        }
                        sums.spent += charge.cost;
                        sums.late += charge.cost;
                    }
                }
            }),
            Change::Voided(charge, Voided::Held) => {
                self.take_held(charge, true);
                self.on_day(charge.day, |sums| {
                    sums.reserved -= charge.cost;
                    sums.returned += charge.cost;
                });
            }
            Change::Voided(charge, Voided::Spent) => self.on_day(charge.day, |sums| {
                if sums.spent >= charge.cost {
                    sums.spent -= charge.cost;
                    sums.returned += charge.cost;
                    sums.impressions = sums.impressions.saturating_sub(1);
                }
            }),
            Change::Clicked { day, value } => self.on_day(*day, |sums| {
                sums.clicks += 1;
                sums.value = sums.value.saturating_add(*value);
            }),
            Change::Upgraded { day } => self.on_day(*day, |sums| sums.upgrades += 1),
            Change::Configured(terms, budgets) => self.configure(terms, *budgets),
            Change::Leased { day, until } => self.lease(*day, *until),
            Change::Lost { day, amount } => {
                self.leases.retain(|(leased, _)| leased != day);
                self.on_day(*day, |sums| sums.lost = sums.lost.saturating_add(*amount));
            }
        }
    }

    /// Counts decisions that named the campaign and showed nothing.
    pub fn count_not_shown(&mut self, day: i32, place: usize, count: u64) {
        self.days.day_mut(day).not_shown[place] += count;
    }

    fn show(&mut self, charge: &Charge) {
        let held = self.held.entry(*charge).or_default();
        held.shows += 1;
        held.open += 1;
        self.on_day(charge.day, |sums| {
            sums.shown += charge.cost;
            sums.reserved += charge.cost;
        });
    }

    /// Takes a show out of what is open, and out of what is held if its cost is.
    fn take_held(&mut self, charge: &Charge, with_cost: bool) {
        if self.held.get(charge).is_none_or(|held| held.open == 0) {
            self.show(charge);
        }
        if let Some(held) = self.held.get_mut(charge) {
            held.open -= 1;
            held.shows -= u64::from(with_cost);
            if held.shows == 0 {
                self.held.remove(charge);
            }
        }
    }

    fn expire(&mut self, through_s: i64) {
        while let Some(first) = self.held.first_entry().filter(|first| first.key().expires_s <= through_s) {
            let (charge, held) = first.remove_entry();
            let amount = charge.cost * held.shows as i64;
            self.on_day(charge.day, |sums| {
                sums.reserved -= amount;
                match charge.bill {
                    Bill::Show => {
                        sums.spent += amount;
                        sums.impressions += held.open;
                    }
                    Bill::Impression => sums.returned += amount,
                }
            });
        }
    }

    fn configure(&mut self, terms: &Terms, budgets: Budgets) {
        self.terms.retain(|known| known.from_ms < terms.from_ms);
        self.terms.push(terms.clone());
        if self.terms.len() > MOST_TERMS {
            self.terms.remove(0);
        }
        self.budgets = budgets;
        self.flight = self.sum_of_flight();
    }

    fn lease(&mut self, day: i32, until: i64) {
        match self.leases.binary_search_by_key(&day, |(day, _)| *day) {
            Ok(place) => self.leases[place].1 = until,
            Err(place) => self.leases.insert(place, (day, until)),
        }
        // A lease up to what was shown is none: so it is closed.
        let days = &self.days;
        self.leases.retain(|(other, until)| *other != day || *until > days.sums(day).shown);
    }

    fn on_day(&mut self, day: i32, change: impl FnOnce(&mut Sums)) {
        let in_flight = self.is_in_flight(day);
        let sums = &mut self.days.day_mut(day).sums;
        let before = sums.committed();
        change(sums);
        if in_flight {
            self.flight += sums.committed() - before;
        }
    }

    fn is_in_flight(&self, day: i32) -> bool {
        self.budgets.from_day.is_none_or(|from| from <= day)
    }

    fn sum_of_flight(&self) -> i64 {
        let days = self.days.iter().filter(|day: &&Day| self.is_in_flight(day.day));
        days.map(|day| day.sums.committed()).fold(0, i64::saturating_add)
    }
}
