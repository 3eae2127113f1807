//! Numbers of decisions, leased in the log ahead of their use: none repeats after a restart, also when the clock was set back.
//!
//! A process begins above all numbers that the log has seen or leased, and leases a range so long that it is renewed when half
//! of it is left. The record of the renewal is durable long before a number of it is given.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Log, Payload, Use};
use crate::Engine;
use crate::decision_ids::NextNumbers;

/// Numbers of one lease of decisions that show nothing: more than an hour of a million a second.
const UNSHOWN: u64 = 1 << 32;

/// Numbers of one lease of decisions that show an ad: more than a minute of a million a second. A process that begins takes one,
/// and few of its bits are to spare (see `decision_ids.rs`).
const SHOWN: u64 = 1 << 26;

/// What is leased: numbers below these may be given.
#[derive(Debug, Default)]
pub(super) struct Leased {
    unshown: AtomicU64,
    shown: AtomicU64,
}

impl Log {
    /// Above all numbers that are leased.
    pub(crate) fn leased_until(&self) -> NextNumbers {
        let Leased { unshown, shown } = &self.leased;
        NextNumbers { unshown: unshown.load(Ordering::Relaxed), shown: shown.load(Ordering::Relaxed) }
    }

    /// Whether the number of a decision that shows an ad is leased, after a renewal if that is due; without room for that it may
    /// still be.
    pub(crate) fn covers(&self, number: u64) -> bool {
        if self.leased.shown.load(Ordering::Relaxed).saturating_sub(number) < SHOWN / 2 {
            self.renew(NextNumbers { unshown: 0, shown: number });
        }
        number < self.leased.shown.load(Ordering::Relaxed)
    }

    /// Renews what half of is used by numbers below these.
    pub(crate) fn renew_used(&self, next: NextNumbers) {
        let until = self.leased_until();
        if until.unshown.saturating_sub(next.unshown) < UNSHOWN / 2
            || until.shown.saturating_sub(next.shown) < SHOWN / 2
        {
            self.renew(next);
        }
    }

    #[cold]
    fn renew(&self, next: NextNumbers) {
        let until = NextNumbers {
            unshown: next.unshown.saturating_add(UNSHOWN),
            shown: next.shown.saturating_add(SHOWN),
        };
        let until = until.max(self.leased_until());
        let payload = Payload::of_lease(until.unshown, until.shown);
        if let Some(mut room) = self.room(Use::Show, 1, payload.bytes().len()) {
            room.publish(&payload, 0);
            // Leases of two threads overlap; the longer one counts, here and when the log is read.
            self.leased.unshown.fetch_max(until.unshown, Ordering::Relaxed);
            self.leased.shown.fetch_max(until.shown, Ordering::Relaxed);
        }
    }
}

impl Engine {
    /// Renews the lease of decisions' numbers in the log where half of it is used; nearly always there is nothing to do. To be
    /// called every few seconds: decisions that show nothing do not look at it.
    pub fn renew_lease(&self) {
        if let Some(log) = self.log.get() {
            log.renew_used(self.decision_ids.next());
        }
    }
}
