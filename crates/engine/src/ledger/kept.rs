//! Accounts as they are kept: what snapshots hold, and what recovery does again.

use upbeat_core::decision::Reason;
use upbeat_core::encoding::{DecodeError, Decoder};

use super::account::Locked;
use super::days::place_of;
use super::pacing::Pace;
use super::{AccountState, Accounts, Change, Charge};
use crate::log::Log;

/// A copy of an account.
pub(crate) struct AccountCopy {
    /// Its state.
    pub state: AccountState,
    /// What it has learned of the traffic, as bytes.
    pub pace: Vec<u8>,
    /// Records from this position on are not in it.
    pub from: u64,
}

impl Accounts {
    /// Forgets all: a directory is opened, whose records have what there is.
    pub fn reset(&self) {
        for (_, account) in self.all() {
            let mut locked = account.lock();
            *locked = Locked::default();
            account.outdate(&mut locked);
        }
    }

    /// After all records were done again: whether all that the last process has published is `complete`. Else what it had leased and not
    /// shown is forfeited. Returns that sum, in micro-units; `None` if the log had no room for these records.
    pub fn take_over(&self, log: &Log, complete: bool) -> Option<i64> {
        let mut forfeited = 0_i64;
        for (slot, account) in self.all() {
            let mut guard = account.lock();
            let locked = &mut *guard;
            let losses = if complete { Vec::new() } else { locked.state.losses() };
            for change in losses {
                locked.make(self.place(Some(log), slot), &change).ok()?;
                if let Change::Lost { amount, .. } = change {
                    forfeited = forfeited.saturating_add(amount);
                }
            }
            locked.leases.take_over(&locked.state);
        }
        Some(forfeited)
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
            // Most records of a log are such, and follow each other in time: their day is looked up once.
            if position >= locked.from
                && let Some(today) = account.turn_to(&mut locked, time_ms)
            {
                locked.state.count_not_shown(today.day, place_of(reason), 1);
            }
        }
    }

    /// The numbers of all accounts.
    pub fn slots(&self) -> Vec<u16> {
        self.all().map(|(slot, _)| slot).collect()
    }

    /// A copy of an account as it is now; `None` if there is none.
    pub fn copy(&self, slot: u16, log: Option<&Log>) -> Option<AccountCopy> {
        let account = self.get(slot)?;
        let mut locked = account.lock();
        account.collect_not_shown(&mut locked);
        let mut pace = Vec::new();
        locked.pace.encode(&mut pace);
        Some(AccountCopy { state: locked.state.clone(), pace, from: log.map_or(0, Log::next_position) })
    }

    /// Puts an account as a snapshot holds it.
    ///
    /// # Errors
    /// What it has learned of the traffic is not readable.
    pub fn restore(&self, slot: u16, copy: AccountCopy) -> Result<(), DecodeError> {
        let mut from = Decoder::new(&copy.pace);
        let pace = Pace::decode(&mut from)?;
        from.end()?;
        if let Some(account) = self.get_or_make(slot) {
            let mut locked = account.lock();
            (locked.state, locked.pace, locked.from) = (copy.state, pace, copy.from);
        }
        Ok(())
    }
}
