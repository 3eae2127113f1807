//! The accounts of an engine, for whoever runs it.

use upbeat_core::campaign::Slot;
use upbeat_core::event::Id;

use super::Report;
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
        self.accounts.tick(self.log(), &self.running().plan, self.now_ms(wall_ms));
    }

    /// What became of a campaign's money on the local days from `from_day` on and before `to_day`, in days since 1970; `None` for a
    /// campaign that never ran here.
    #[must_use]
    pub fn report(&self, campaign: &Id, from_day: i32, to_day: i32) -> Option<Report> {
        let slot = self.running().slots.ids().iter().position(|id| id == campaign)?;
        let account = self.accounts.copy(u16::try_from(slot).ok()?, self.log())?;
        Some(account.state.report(from_day, to_day))
    }

    /// The share of shows that pacing lets pass of a campaign, `0.0..=1.0`, by its number.
    #[must_use]
    pub fn pacing_rate(&self, campaign: Slot) -> f64 {
        f64::from(self.accounts.pass(campaign.0)) / f64::from(u16::MAX)
    }

    /// How many decisions of this process showed a campaign, by its number.
    #[must_use]
    pub fn campaign_shows(&self, campaign: Slot) -> u64 {
        self.accounts.shows(campaign.0)
    }

    /// Gives back what the budgets' leases hold, so that no later loss of power forfeits it. To be called when no more
    /// decisions come, before everything is made durable for the last time.
    pub fn end_leases(&self) {
        if let Some(log) = self.log() {
            self.accounts.end_leases(log);
        }
    }
}
