//! Leases: what shows of a day may cost in all, by a record that is durable.
//!
//! A show is answered before its record is durable, so a loss of power takes the records of the last ones. Their costs are in
//! no account then, and would be spent again. So shows cost no more than the log says that they may, durably; after a loss of
//! power what was leased and is in no record of a show is forfeited. A killed process whose lanes are there has lost nothing,
//! and goes on with its leases; one that ends in order closes them.

use crate::ledger::{AccountState, Change};

/// A lease holds at least so many shows.
const SHOWS: i64 = 64;

/// A lease begins at this part of the budget, and grows up to the other one where it is used up before it is extended.
const LEAST_PART: i64 = 1000;
const MOST_PART: i64 = 16;

/// The most days that have a lease at a time. There is more than one about midnight, and where a clock leaps.
const MOST_DAYS: usize = 8;

/// What is known of a day's lease that the account's state does not hold.
#[derive(Debug, Clone, Copy)]
struct Extension {
    day: i32,
    /// Up to which sum the lease is durable.
    durable: i64,
    /// The position of the last extension, and up to which sum it goes.
    pending: Option<(u64, i64)>,
    /// What the shows cost whose records are durable, at least,
    recorded: i64,
    /// and will have cost once the log is durable up to this position.
    next_recorded: Option<(u64, i64)>,
    /// Once the day is over: what has to be durable before the lease is closed.
    closes_at: Option<u64>,
}

impl Extension {
    /// Of a day of which all shows so far are durable.
    fn new(state: &AccountState, day: i32, durable: i64) -> Self {
        let recorded = state.days().sums(day).shown;
        Self { day, durable, pending: None, recorded, next_recorded: None, closes_at: None }
    }

    /// What shows cost whose records are durable, at least, where all so far cost `shown`.
    fn recorded(&mut self, shown: i64, next: u64, durable: u64) -> i64 {
        if let Some((_, recorded)) = self.next_recorded.take_if(|(position, _)| *position <= durable) {
            self.recorded = recorded;
        }
        self.next_recorded.get_or_insert((next, shown));
        self.recorded
    }
}

/// The leases of an account in a process.
#[derive(Debug, Default)]
pub(super) struct Leases {
    days: Vec<Extension>,
    /// A show had to wait since the last tick.
    ran_dry: bool,
    doublings: u32,
}

impl Leases {
    /// All that the state has leased is durable.
    pub fn take_over(&mut self, state: &AccountState) {
        let leases = state.leases().iter();
        self.days = leases.map(|(day, until)| Extension::new(state, *day, *until)).collect();
    }

    /// Whether shows of the day may cost so much in all, with what is `durable` in the log.
    pub fn covers(&mut self, day: i32, sum: i64, durable: u64) -> bool {
        let lease = self.days.iter_mut().find(|lease| lease.day == day);
        let covers = lease.is_some_and(|lease| {
            if let Some((_, until)) = lease.pending.take_if(|(position, _)| *position < durable) {
                lease.durable = until;
            }
            sum <= lease.durable
        });
        self.ran_dry |= !covers;
        covers
    }

    /// What extends the lease of a day if half of it is used, or there is none. The log goes on at `next` and is durable below
    /// `durable`. A lease is never longer than its size beyond what is recorded of the day: so much is forfeited at most.
    pub fn extension(&mut self, state: &AccountState, day: i32, next: u64, durable: u64) -> Option<Change> {
        let cost = state.terms_at(i64::MAX)?.cost;
        if !state.budgets().any() || cost == 0 {
            return None;
        }
        let known = self.days.iter().any(|lease| lease.day == day);
        if !known && self.days.len() == MOST_DAYS {
            return None;
        }
        let shown = state.days().sums(day).shown;
        let lease = self.days.iter_mut().find(|lease| lease.day == day);
        let recorded = lease.map_or(shown, |lease| lease.recorded(shown, next, durable));
        let rest = state.leased(day).saturating_sub(shown);
        let (size, available) = (self.size(state, cost), state.available(day));
        let until = recorded.checked_add(size)?.min(shown.checked_add(available)?);
        (rest < size / 2 && rest < available && until > state.leased(day))
            .then_some(Change::Leased { day, until })
    }

    /// An extension was published at this position.
    pub fn extended(&mut self, state: &AccountState, position: u64, day: i32, until: i64) {
        let pending = Some((position, until));
        match self.days.iter_mut().find(|lease| lease.day == day) {
            Some(lease) => (lease.pending, lease.closes_at) = (pending, None),
            None => self.days.push(Extension { pending, ..Extension::new(state, day, 0) }),
        }
    }

    /// To be called each second: the leases of days before `today` that can be closed, when the log goes on at `next` and is
    /// durable below `durable`. No show of such a day may be on its way.
    pub fn tick(&mut self, state: &AccountState, today: i32, next: u64, durable: u64) -> Vec<Change> {
        self.doublings = match self.ran_dry {
            true => (self.doublings + 1).min(16),
            false => self.doublings,
        };
        self.ran_dry = false;
        let mut closed = Vec::new();
        for lease in self.days.iter_mut().filter(|lease| lease.day < today) {
            let at = *lease.closes_at.get_or_insert(next);
            if at <= durable {
                closed.push(close(state, lease.day));
            }
        }
        closed
    }

    /// What closes all leases: no more shows come.
    pub fn close_all(&self, state: &AccountState) -> Vec<Change> {
        self.days.iter().map(|lease| close(state, lease.day)).collect()
    }

    /// The lease of this day is closed.
    pub fn closed(&mut self, day: i32) {
        self.days.retain(|lease| lease.day != day);
    }

    fn size(&self, state: &AccountState, cost: i64) -> i64 {
        let budgets = state.budgets();
        let budget = [budgets.daily, budgets.total].into_iter().flatten().min().unwrap_or(0);
        let least = cost.saturating_mul(SHOWS);
        let grown = (budget / LEAST_PART).max(least).saturating_mul(1 << self.doublings);
        grown.min((budget / MOST_PART).max(least))
    }
}

fn close(state: &AccountState, day: i32) -> Change {
    Change::Leased { day, until: state.days().sums(day).shown }
}

impl AccountState {
    /// What a loss of power has forfeited: for each lease what may have been shown without a record, as far as the budgets have it.
    pub(super) fn losses(&self) -> Vec<Change> {
        let mut rest = self.clone();
        let lost = self.leases().iter().map(|(day, until)| {
            let unknown = until.saturating_sub(rest.days().sums(*day).shown);
            let lost = Change::Lost { day: *day, amount: unknown.min(rest.available(*day)).max(0) };
            rest.apply(&lost);
            lost
        });
        lost.collect()
    }
}
