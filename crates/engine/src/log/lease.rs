//! Numbers of decisions, leased in the log ahead of their use: none repeats after a restart, also when the clock was set back.
//!
//! A process begins above all numbers that the log has seen or leased, and leases a range so long that it is renewed when half
//! of it is left. The record of the renewal is durable long before a number of it is given.

use std::sync::atomic::Ordering;

use super::{Log, Payload, Use};
use crate::Engine;

/// Numbers of one lease: more than an hour of a million decisions a second.
const LEASE: u64 = 1 << 32;

impl Log {
    /// Above all numbers that are leased.
    pub(crate) fn leased_until(&self) -> u64 {
        self.leased_until.load(Ordering::Relaxed)
    }

    /// Whether the number is leased, after a renewal if that is due; without room for that it may still be.
    pub(crate) fn covers(&self, number: u64) -> bool {
        let until = self.leased_until.load(Ordering::Relaxed);
        if until.saturating_sub(number) < LEASE / 2 {
            self.renew(number);
        }
        number < self.leased_until.load(Ordering::Relaxed)
    }

    #[cold]
    fn renew(&self, number: u64) {
        let until = number.saturating_add(LEASE);
        if let Some(mut room) = self.room(Use::Show, 1, size_of::<u64>()) {
            room.publish(&Payload::of_lease(until), 0);
            // Leases of two threads overlap; the longer one counts, here and when the log is read.
            self.leased_until.fetch_max(until, Ordering::Relaxed);
        }
    }
}

impl Engine {
    /// Renews the lease of decisions' numbers in the log where half of it is used; nearly always there is nothing to do. To be
    /// called every few seconds: decisions that show nothing do not look at it.
    pub fn renew_lease(&self) {
        if let Some(log) = self.log.get() {
            log.covers(self.decision_numbers.highest());
        }
    }
}
