//! All accounts, by the numbers of their campaigns.

use std::sync::{MutexGuard, OnceLock};

use upbeat_core::campaign::{Plan, Planned};
use upbeat_core::decision::Reason;

use super::account::{Account, Locked, Place};
use super::setting::Setting;
use super::{Change, Charge, NoMoney};
use crate::campaigns::MOST_SLOTS;
use crate::log::{Log, Payload};

/// A show about which something is known that came later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    /// When it was decided, in Unix milliseconds.
    pub time_ms: i64,
    /// It has been voided.
    pub voided: bool,
    /// No record told of it: a loss of power has taken it.
    pub lost: bool,
}

/// What became of a show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// The first confirmation.
    Confirm(Shown),
    /// The first void, of a show that nobody has confirmed.
    Void(Shown),
    /// A click that belongs to it.
    Click(Shown),
    /// An upgrade that belongs to it.
    Upgrade(Shown),
}

/// All accounts. One is made when its campaign is set, and stays.
pub(crate) struct Accounts(Box<[OnceLock<Box<Account>>]>);

impl Default for Accounts {
    fn default() -> Self {
        Self(std::iter::repeat_with(OnceLock::new).take(MOST_SLOTS).collect())
    }
}

impl Accounts {
    pub(super) fn get(&self, slot: u16) -> Option<&Account> {
        self.0.get(usize::from(slot))?.get().map(|account| &**account)
    }

    pub(super) fn get_or_make(&self, slot: u16) -> Option<&Account> {
        self.0.get(usize::from(slot)).map(|place| &**place.get_or_init(Box::default))
    }

    /// All that there are, with their numbers.
    pub(super) fn all(&self) -> impl Iterator<Item = (u16, &Account)> {
        (0..).zip(&self.0).filter_map(|(slot, place)| Some((slot, &**place.get()?)))
    }

    pub(super) fn place<'a>(&'a self, log: Option<&'a Log>, slot: u16) -> Place<'a> {
        Place { log, slot, accounts: self }
    }

    /// Decisions of this process that named a campaign.
    pub(super) fn decisions(&self) -> u64 {
        self.all().map(|(_, account)| account.decisions()).sum()
    }

    /// Sets each campaign's costs and budgets, and its pace; whether the log had room for what is new. Budgets count at once, costs for
    /// shows that are later than all so far. `now_ms` is known but while a directory is opened.
    #[must_use]
    pub fn configure(&self, log: Option<&Log>, plan: &Plan, now_ms: Option<i64>) -> bool {
        let set = |campaign: &Planned| self.set(log, campaign.slot.0, Setting::of(campaign), now_ms);
        // All of them, whatever becomes of one.
        plan.campaigns.iter().filter(|campaign| !set(campaign)).count() == 0
    }

    /// Sets costs and budgets that had no room in the log before. Nearly always there are none.
    fn configure_again(&self, log: Option<&Log>, plan: &Plan, now_ms: i64) {
        for campaign in &plan.campaigns {
            let setting = Setting::of(campaign);
            let is_set = self.get(campaign.slot.0).is_some_and(|account| {
                let locked = account.lock();
                locked.state.configuration(setting.terms(), setting.budgets, Some(now_ms)).is_none()
            });
            if !is_set {
                let _ = self.set(log, campaign.slot.0, setting, Some(now_ms));
            }
        }
    }

    /// Sets an account.
    #[must_use]
    pub(crate) fn set(&self, log: Option<&Log>, slot: u16, setting: Setting, now_ms: Option<i64>) -> bool {
        let (Some(account), place) = (self.get_or_make(slot), self.place(log, slot)) else { return false };
        let mut locked = account.lock();
        if let Some(change) = locked.state.configuration(setting.terms(), setting.budgets, now_ms)
            && locked.make(place, &change).is_err()
        {
            return false;
        }
        locked.pace.set(setting.paced);
        account.outdate(&mut locked);
        if let Some(now_ms) = now_ms
            && let Some(today) = account.turn_to(&mut locked, now_ms)
        {
            locked.extend_lease(place, today.day);
            account.publish_hot(&locked, now_ms);
        }
        true
    }

    /// What is left of a campaign's budgets for a show at this instant, in micro-units; [`i64::MAX`] where nothing is limited.
    /// Nearly always three loads.
    #[inline]
    pub fn available(&self, log: Option<&Log>, slot: u16, now_ms: i64) -> i64 {
        self.get(slot).map_or(i64::MAX, |account| account.available(self.place(log, slot), now_ms))
    }

    /// The share of shows that pacing lets pass, of 65,535.
    #[inline]
    pub fn pass(&self, slot: u16) -> u16 {
        self.get(slot).map_or(u16::MAX, Account::pass)
    }

    /// Shows of this process.
    pub fn shows(&self, slot: u16) -> u64 {
        self.get(slot).map_or(0, |account| account.lock().pace.shows())
    }

    /// Holds the cost of a show that is decided at `now_ms`, the time in its record. `publish` is called with what it holds, while the
    /// account is locked: it publishes the record and tells whether it could.
    ///
    /// # Errors
    /// There is no money, or `publish` could not: nothing was changed.
    pub fn reserve(
        &self,
        log: Option<&Log>,
        slot: u16,
        now_ms: i64,
        publish: impl FnOnce(&Charge) -> bool,
    ) -> Result<Charge, NoMoney> {
        self.get(slot).ok_or(NoMoney::Budget)?.reserve(self.place(log, slot), now_ms, publish)
    }

    /// Counts a decision that named the campaign and showed nothing.
    #[inline]
    pub fn not_shown(&self, slot: u16, now_ms: i64, reason: Reason) {
        if let Some(account) = self.get(slot) {
            account.count_not_shown(now_ms, reason);
        }
    }

    /// Makes what became of a show, if `publish` has published the event and the record that it is given, while the account is
    /// locked; there is none where no money moves. Returns what `publish` did; `false` also where the log has no room.
    pub fn make(
        &self,
        log: Option<&Log>,
        (slot, op): (u16, Op),
        now_ms: i64,
        publish: impl FnOnce(Option<&Payload>) -> bool,
    ) -> bool {
        let Some(account) = self.get(slot) else { return publish(None) };
        let (mut locked, place) = (account.lock(), self.place(log, slot));
        if account.bring_up(&mut locked, place, now_ms).is_err() {
            return false;
        }
        let change = account.change(&mut locked, op);
        let payload = change.as_ref().filter(|_| log.is_some()).map(|change| Payload::of_money(slot, change));
        if !publish(payload.as_ref()) {
            return false;
        }
        if let Some(change) = change {
            locked.apply(place, &change);
            account.publish_hot(&locked, now_ms);
        }
        true
    }

    /// Makes what became of several shows at once: together with the commit of an atomic body, since no account may have changed by
    /// one that is not committed. `room` is asked for so many records of so many bytes at most; `publish` gets it with the
    /// records. Nothing was changed where there is no room.
    pub fn make_all<R>(
        &self,
        log: Option<&Log>,
        ops: &[(u16, Op)],
        now_ms: i64,
        room: impl FnOnce(usize, usize) -> Option<R>,
        publish: impl FnOnce(R, &[Payload]),
    ) -> bool {
        let mut slots: Vec<u16> = ops.iter().map(|(slot, _)| *slot).collect();
        slots.sort_unstable();
        slots.dedup();
        // Ascending, as by everybody who locks several.
        let mut accounts: Vec<(u16, &Account, MutexGuard<'_, Locked>)> = Vec::new();
        for slot in slots {
            let Some(account) = self.get(slot) else { continue };
            let mut locked = account.lock();
            if account.bring_up(&mut locked, self.place(log, slot), now_ms).is_err() {
                return false;
            }
            accounts.push((slot, account, locked));
        }
        let Some(room) = room(ops.len(), ops.len() * Payload::MOST_MONEY_BYTES) else { return false };
        let mut payloads = Vec::with_capacity(ops.len());
        for (slot, op) in ops {
            let Ok(place) = accounts.binary_search_by_key(slot, |(slot, ..)| *slot) else { continue };
            let (_, account, locked) = &mut accounts[place];
            if let Some(change) = account.change(locked, *op) {
                locked.state.apply(&change);
                payloads.push(Payload::of_money(*slot, &change));
            }
        }
        publish(room, &payloads);
        for (_, account, locked) in &mut accounts {
            locked.note(log);
            account.publish_hot(locked, now_ms);
        }
        true
    }

    /// Ends what is due, turns to the day of `now_ms`, and sees to leases and forecasts of the campaigns of `plan`, and of others that
    /// have accounts. To be called each second.
    pub fn tick(&self, log: Option<&Log>, plan: &Plan, now_ms: i64) {
        self.configure_again(log, plan, now_ms);
        for (slot, account) in self.all() {
            let (mut guard, place) = (account.lock(), self.place(log, slot));
            let locked = &mut *guard;
            let _ = account.bring_up(locked, place, now_ms);
            let Some(today) = account.turn_to(locked, now_ms) else { continue };
            if let Some(log) = log {
                let closed = locked.leases.tick(&locked.state, today.day, log.next_position(), log.durable());
                closed.iter().for_each(|change| locked.close_lease(place, change));
                locked.extend_lease(place, today.day);
                if today.end_ms - now_ms < AHEAD_MS {
                    locked.extend_lease(place, today.day + 1);
                }
            }
            let Some(expected) = locked.pace.expected(&locked.state, today) else { continue };
            drop(guard);
            let forecasts = expected.forecasts(now_ms);
            account.lock().pace.take(&expected, forecasts);
        }
    }

    /// Closes all leases, so that a loss of power from now on forfeits nothing. To be called when no more decisions come, before all is
    /// made durable.
    pub fn end_leases(&self, log: &Log) {
        for (slot, account) in self.all() {
            let mut locked = account.lock();
            for change in locked.leases.close_all(&locked.state) {
                locked.close_lease(self.place(Some(log), slot), &change);
            }
        }
    }
}

/// So long before a local day begins its lease is made, in milliseconds.
const AHEAD_MS: i64 = 60_000;

impl Account {
    /// What becomes of the account.
    fn change(&self, locked: &mut Locked, op: Op) -> Option<Change> {
        let (Op::Confirm(shown) | Op::Void(shown) | Op::Click(shown) | Op::Upgrade(shown)) = op;
        let charge = self.charge_at(locked, shown.time_ms)?;
        let state = &locked.state;
        match op {
            Op::Confirm(_) => state.confirmation(charge, shown.voided, shown.lost),
            Op::Void(_) if shown.lost => None,
            Op::Void(_) => state.void(charge),
            Op::Click(_) => {
                let value = state.terms_at(shown.time_ms)?.click_value;
                Some(Change::Clicked { day: charge.day, value })
            }
            Op::Upgrade(_) => Some(Change::Upgraded { day: charge.day }),
        }
    }
}

impl Locked {
    fn close_lease(&mut self, place: Place<'_>, change: &Change) {
        if let Change::Leased { day, .. } = change
            && self.make(place, change).is_ok()
        {
            self.leases.closed(*day);
        }
    }
}
