//! Leases: what shows of a day may cost in all, by a record that is durable.
//!
//! A show is answered before its record is durable, so a loss of power takes the records of the last ones. Their costs are in
//! no account then, and would be spent again. So shows cost no more than the log says that they may, durably; after a loss of
//! power what was leased and is in no record of a show is forfeited. A killed process whose lanes are there has lost nothing,
//! and goes on with its leases; one that ends in order closes them.

use std::collections::VecDeque;

use crate::ledger::{AccountState, Change};
use crate::log::Log;

/// A lease begins with so many shows, or with this part of the budget if that is more, and grows where it is used up before it is
/// extended. Fewer shows would have a small budget wait for the disk while ads are asked for: it could be left unspent.
const SHOWS: i64 = 64;
const LEAST_PART: i64 = 1000;

/// No lease grows beyond this part of the budget.
const MOST_PART: i64 = 16;

/// The most days that have a lease at a time. There is more than one about midnight, and where a clock leaps.
const MOST_DAYS: usize = 8;

/// The most sums of a day that wait for the disk.
const MOST_WAITING: usize = 8;

/// What is known of a day at some position of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Known {
    /// What the shows so far cost,
    shown: i64,
    /// and what they may cost in all by the budgets.
    most: i64,
}

impl Known {
    fn of(state: &AccountState, day: i32) -> Self {
        let shown = state.days().sums(day).shown;
        Self { shown, most: shown.saturating_add(state.available(day)) }
    }
}

/// What is known of a day's lease that the account's state does not hold.
#[derive(Debug, Clone)]
struct Extension {
    day: i32,
    /// Up to which sum the lease is durable.
    leased: i64,
    /// The position of the last extension, and up to which sum it goes.
    pending: Option<(u64, i64)>,
    /// What the durable records say of the day, at least,
    durable: Known,
    /// and what they will say once the log is durable up to these positions, which ascend.
    waiting: VecDeque<(u64, Known)>,
    /// Once the day is over: what has to be durable before the lease is closed.
    closes_at: Option<u64>,
}

impl Extension {
    fn new(day: i32, leased: i64, durable: Known) -> Self {
        Self { day, leased, pending: None, durable, waiting: VecDeque::new(), closes_at: None }
    }

    /// Takes what is durable by now.
    fn look(&mut self, durable: u64) {
        if let Some((_, until)) = self.pending.take_if(|(position, _)| *position < durable) {
            self.leased = until;
        }
        while let Some((_, known)) = self.waiting.front().filter(|(position, _)| *position <= durable) {
            self.durable = *known;
            self.waiting.pop_front();
        }
    }

    /// Notes what is known at `next`, the end of the log.
    fn note(&mut self, known: Known, next: u64) {
        let last = self.waiting.back().map_or(self.durable, |(_, last)| *last);
        if last == known {
            return;
        }
        if self.waiting.len() == MOST_WAITING {
            self.waiting.pop_back();
        }
        self.waiting.push_back((next, known));
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
    /// All that the state has is durable.
    pub fn take_over(&mut self, state: &AccountState) {
        let leases = state.leases().iter();
        self.days = leases.map(|(day, until)| Extension::new(*day, *until, Known::of(state, *day))).collect();
    }

    /// Whether a show of the day may cost so much, with what is durable in the log: that shows may cost so much, and that there is so
    /// much money. What a void has given back may be spent once the void cannot be lost any more.
    pub fn covers(&mut self, state: &AccountState, day: i32, cost: i64, log: &Log) -> bool {
        let sum = state.days().sums(day).shown.saturating_add(cost);
        let lease = self.days.iter_mut().find(|lease| lease.day == day);
        let covers = lease.is_some_and(|lease| {
            lease.look(log.durable());
            sum <= lease.leased.min(lease.durable.most)
        });
        self.ran_dry |= !covers;
        covers
    }

    /// Notes what the account has come to; to be called after each change, with the account locked.
    pub fn note(&mut self, state: &AccountState, log: &Log) {
        if self.days.is_empty() {
            return;
        }
        let (next, durable) = (log.next_position(), log.durable());
        for lease in &mut self.days {
            lease.look(durable);
            lease.note(Known::of(state, lease.day), next);
        }
    }

    /// What extends the lease of a day if half of it is used, or there is none. A lease is never longer than its size beyond what is
    /// durable of the day's shows: so much is forfeited at most. It may go beyond the budget, so that what a void gives back need
    /// not be leased first.
    pub fn extension(&mut self, state: &AccountState, day: i32, log: &Log) -> Option<Change> {
        let cost = state.terms_at(i64::MAX)?.cost;
        if !state.budgets().any() || cost == 0 {
            return None;
        }
        let now = Known::of(state, day);
        if !self.days.iter().any(|lease| lease.day == day) {
            if self.days.len() == MOST_DAYS {
                return None;
            }
            // Shows from before there was a budget may not be durable yet.
            self.days.push(Extension::new(day, 0, Known::default()));
        }
        let size = self.size(state, cost);
        let lease = self.days.iter_mut().find(|lease| lease.day == day)?;
        lease.look(log.durable());
        lease.note(now, log.next_position());
        let until = lease.durable.shown.checked_add(size)?;
        let rest = state.leased(day).saturating_sub(now.shown);
        (rest <= size / 2 && until > state.leased(day).max(now.shown))
            .then_some(Change::Leased { day, until })
    }

    /// An extension was published at this position.
    pub fn extended(&mut self, position: u64, day: i32, until: i64) {
        if let Some(lease) = self.days.iter_mut().find(|lease| lease.day == day) {
            (lease.pending, lease.closes_at) = (Some((position, until)), None);
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
        let first = (budget / LEAST_PART).max(cost.saturating_mul(SHOWS));
        let most = (budget / MOST_PART).max(first);
        first.saturating_mul(1 << self.doublings).min(most)
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
