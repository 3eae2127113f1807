//! The accounts of an engine, for whoever runs it.

use crate::Engine;
use crate::log::Log;

impl Engine {
    /// The log, if there is one.
    pub(crate) fn log(&self) -> Option<&Log> {
        self.log.get().map(|log| &**log)
    }

    /// What time brings: reservations end, local days begin, and the log is asked for leases ahead of their use, of budgets and
    /// of decisions' numbers. To be called each second, and once before the first decision; `wall_ms` in Unix milliseconds.
    pub fn tick(&self, wall_ms: i64) {
        self.renew_lease();
        self.accounts.tick(self.log(), self.now_ms(wall_ms));
    }

    /// Gives back what the budgets' leases hold, so that no later loss of power forfeits it. To be called when no more
    /// decisions come, before everything is made durable for the last time.
    pub fn end_leases(&self) {
        if let Some(log) = self.log() {
            self.accounts.end_leases(log);
        }
    }
}
