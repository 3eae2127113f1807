//! All accounts, by the numbers of their campaigns.

use std::sync::{MutexGuard, OnceLock};

use upbeat_core::campaign::Bill;
use upbeat_core::decision::Reason;

use super::account::{Account, Locked};
use super::{AccountState, Budgets, Change, Charge, NoMoney, Terms};
use crate::log::{Log, Payload};

/// The most campaigns that there may ever be in one directory.
pub(crate) const MOST_SLOTS: usize = 4096;

/// What a campaign's account is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

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
    fn get(&self, slot: u16) -> Option<&Account> {
        self.0.get(usize::from(slot))?.get().map(|account| &**account)
    }

    fn get_or_make(&self, slot: u16) -> Option<&Account> {
        self.0.get(usize::from(slot)).map(|place| &**place.get_or_init(Box::default))
    }

    /// All that there are, with their numbers.
    fn all(&self) -> impl Iterator<Item = (u16, &Account)> {
        (0..).zip(&self.0).filter_map(|(slot, place)| Some((slot, &**place.get()?)))
    }

    /// Sets a campaign's costs and budgets from now on; whether the log had room for that. What is set already is not
    /// published again. Budgets count at once; costs for shows later than all so far.
    #[must_use]
    pub fn configure(&self, log: Option<&Log>, slot: u16, setting: &Setting, now_ms: i64) -> bool {
        let Some(account) = self.get_or_make(slot) else { return false };
        let Setting { zone, cost, bill, reserve_ms, click_value, budgets } = setting.clone();
        let terms = Terms { from_ms: now_ms, zone, cost, bill, reserve_ms, click_value };
        let mut locked = account.lock();
        if let Some(change) = locked.state.configuration(terms, budgets)
            && locked.make(log, slot, &change).is_err()
        {
            return false;
        }
        let today = account.turn_to(&mut locked, now_ms);
        if let (Some(log), Some(today)) = (log, today) {
            locked.extend_lease(log, slot, today.day);
        }
        account.publish_hot(&locked, now_ms);
        true
    }

    /// What is left of a campaign's budgets for a show at this instant, in micro-units; [`i64::MAX`] where nothing is limited.
    /// Nearly always three loads.
    #[inline]
    pub fn available(&self, log: Option<&Log>, slot: u16, now_ms: i64) -> i64 {
        self.get(slot).map_or(i64::MAX, |account| account.available(log, slot, now_ms))
    }

    /// The share of shows that pacing lets pass, of 65,535.
    #[inline]
    pub fn pass(&self, slot: u16) -> u16 {
        self.get(slot).map_or(u16::MAX, Account::pass)
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
        self.get(slot).ok_or(NoMoney::Budget)?.reserve(log, slot, now_ms, publish)
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
        let mut locked = account.lock();
        if account.bring_up(&mut locked, log, slot, now_ms).is_err() {
            return false;
        }
        let change = account.change(&mut locked, op);
        let payload = change.as_ref().filter(|_| log.is_some()).map(|change| Payload::of_money(slot, change));
        if !publish(payload.as_ref()) {
            return false;
        }
        if let Some(change) = change {
            locked.state.apply(&change);
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
            if account.bring_up(&mut locked, log, slot, now_ms).is_err() {
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
        accounts.iter().for_each(|(_, account, locked)| account.publish_hot(locked, now_ms));
        true
    }

    /// Ends what is due, turns to the day of `now_ms`, and sees to leases. To be called each second.
    pub fn tick(&self, log: Option<&Log>, now_ms: i64) {
        for (slot, account) in self.all() {
            let mut guard = account.lock();
            let locked = &mut *guard;
            let _ = account.bring_up(locked, log, slot, now_ms);
            let (Some(log), Some(today)) = (log, account.turn_to(locked, now_ms)) else { continue };
            for change in locked.leases.tick(&locked.state, today.day, log.next_position(), log.durable()) {
                locked.close_lease(log, slot, &change);
            }
            locked.extend_lease(log, slot, today.day);
            if today.end_ms - now_ms < AHEAD_MS {
                locked.extend_lease(log, slot, today.day + 1);
            }
        }
    }

    /// Closes all leases, so that a loss of power from now on forfeits nothing. To be called when no more decisions come, before all is
    /// made durable.
    pub fn end_leases(&self, log: &Log) {
        for (slot, account) in self.all() {
            let mut locked = account.lock();
            for change in locked.leases.close_all(&locked.state) {
                locked.close_lease(log, slot, &change);
            }
        }
    }

    /// After all records were done again: whether all that the last process has published is `complete`. Else what it had leased and not
    /// shown is forfeited; whether the log had room for these records.
    #[must_use]
    pub fn take_over(&self, log: &Log, complete: bool) -> bool {
        for (slot, account) in self.all() {
            let mut guard = account.lock();
            let locked = &mut *guard;
            let losses = if complete { Vec::new() } else { locked.state.losses() };
            for change in losses {
                if locked.make(Some(log), slot, &change).is_err() {
                    return false;
                }
            }
            locked.leases.take_over(&locked.state);
        }
        true
    }

    /// Does the change at this position again.
    pub fn redo(&self, slot: u16, position: u64, change: &Change) {
        if let Some(account) = self.get_or_make(slot) {
            let mut locked = account.lock();
            if position >= locked.from {
                locked.state.apply(change);
            }
        }
    }

    /// Does the show at this position again.
    pub fn redo_show(&self, slot: u16, position: u64, charge: Charge, time_ms: i64) {
        self.redo(slot, position, &Change::Shown { charge, time_ms });
    }

    /// Counts again the decision at this position, which showed nothing.
    pub fn redo_not_shown(&self, slot: u16, position: u64, time_ms: i64, reason: Reason) {
        if let Some(account) = self.get_or_make(slot) {
            let mut locked = account.lock();
            if position >= locked.from
                && let Some(charge) = account.charge_at(&mut locked, time_ms)
            {
                locked.state.count_not_shown(charge.day, super::days::place_of(reason), 1);
            }
        }
    }

    /// The numbers of all accounts.
    pub fn slots(&self) -> Vec<u16> {
        self.all().map(|(slot, _)| slot).collect()
    }

    /// A copy of an account, and the position from which on records are not in it.
    pub fn copy(&self, slot: u16, log: Option<&Log>) -> Option<(AccountState, u64)> {
        let account = self.get(slot)?;
        let mut locked = account.lock();
        account.collect_not_shown(&mut locked);
        Some((locked.state.clone(), log.map_or(0, Log::next_position)))
    }

    /// Puts an account as a snapshot holds it.
    pub fn restore(&self, slot: u16, state: AccountState, from: u64) {
        if let Some(account) = self.get_or_make(slot) {
            let mut locked = account.lock();
            (locked.state, locked.from) = (state, from);
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
    fn close_lease(&mut self, log: &Log, slot: u16, change: &Change) {
        if let Change::Leased { day, .. } = change
            && self.make(Some(log), slot, change).is_ok()
        {
            self.leases.closed(*day);
        }
    }
}
