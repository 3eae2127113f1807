//! The records of an atomic body: recovered together or not at all.

use std::sync::Arc;

use upbeat_journal::Unit;

use super::{Log, LogState, Room, Use};
use crate::ledger::{Accounts, Op};

/// The unit of an atomic body whose rows are being applied.
///
/// Once a row is applied it has to be committed: a body that is given up half-way leaves changes that are in no record, and
/// the log fails, so that nothing is acknowledged that would be lost behind them.
pub(crate) struct OpenUnit {
    log: Arc<Log>,
    unit: Option<Unit>,
    /// Whether a record of it is published.
    published: bool,
}

impl OpenUnit {
    /// Begins a unit; `None` while too many wait for the disk.
    pub(crate) fn begin(log: &Arc<Log>) -> Option<Self> {
        let unit = log.positions.begin_unit()?;
        Some(Self { log: Arc::clone(log), unit: Some(unit), published: false })
    }

    /// The number of its records; 0 once it is committed.
    fn number(&self) -> u16 {
        self.unit.as_ref().map_or(0, Unit::number)
    }

    /// Room for so many more records, with so many bytes in all, and later for the commit; `None` if there is none at the moment.
    pub(crate) fn room(&mut self, records: usize, bytes: usize) -> Option<(Room<'_>, u16)> {
        let number = self.number();
        let room = self.log.room(Use::Rest, records + 1, bytes)?;
        self.published = true;
        Some((room, number))
    }

    /// Whether the log has failed: the unit will never be committed.
    pub(crate) fn has_failed(&self) -> bool {
        self.log.state() == LogState::Failed
    }

    /// Publishes what becomes of the money of several shows, and the commit with it; whether there was room for that. The accounts are
    /// locked meanwhile, and change together.
    pub(crate) fn commit_with(&mut self, accounts: &Accounts, ops: &[(u16, Op)], now_ms: i64) -> bool {
        let number = self.number();
        let Self { log, unit, published } = self;
        let room = |records: usize, bytes: usize| log.room(Use::Rest, records + 1, bytes);
        let committed = accounts.make_all(Some(log), ops, now_ms, room, |mut room, payloads| {
            for payload in payloads {
                room.publish(payload, number);
            }
            if let Some(unit) = unit.take() {
                unit.commit(&mut room.lane);
            }
        });
        *published &= !committed;
        committed
    }

    /// Publishes the commit; whether there was room for it. A unit without records needs none.
    pub(crate) fn commit(&mut self) -> bool {
        if self.published {
            let Some(mut room) = self.log.room(Use::Rest, 1, 0) else { return false };
            if let Some(unit) = self.unit.take() {
                unit.commit(&mut room.lane);
            }
        }
        self.unit = None;
        self.published = false;
        true
    }
}

impl Drop for OpenUnit {
    fn drop(&mut self) {
        if self.published {
            self.log.set_state(LogState::Failed);
            // An abandoned unit would let the watermark pass, and with it repeats of rows that no record holds.
            if let Some(unit) = self.unit.take() {
                unit.break_off();
            }
        }
    }
}
