//! Decisions that show nothing are logged, too, where there is room; they never wait.

use upbeat_core::event::Id;

use super::decided::Usual;
use super::{Coins, Facts, Payload, Use, kind};
use crate::Engine;

impl Engine {
    /// Logs a decision that showed nothing; without room for it in the log it is counted as not logged. The customer's shard must be
    /// locked: a deletion of the customer comes before the record or after it, and takes it along then.
    #[inline]
    pub(crate) fn log_decision(&self, customer: &Id, facts: &Facts<'_>) {
        let Some(log) = self.log.get() else { return };
        if facts.coins == Coins::None
            && let Some(usual) = Usual::of(customer, facts)
        {
            let length = usual.length();
            match log.room(Use::Decision, 1, length) {
                Some(mut room) => _ = room.publish_bytes(kind::DECIDED, 0, length, |into| usual.write(into)),
                None => self.counters.count_unlogged(),
            }
            return;
        }
        let payload = Payload::of_decision(customer, facts);
        match log.room(Use::Decision, 1, payload.bytes().len()) {
            Some(mut room) => _ = room.publish(&payload, 0),
            None => self.counters.count_unlogged(),
        }
    }
}
