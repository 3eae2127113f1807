//! Customers whose profiles an atomic body has checked and is about to change.
//!
//! What a body was checked against must still hold when its last row is applied, and yet no decision may wait for it. So
//! a body does not keep locks: it *claims* its customers. Whoever wants to make a change to a claimed customer that could
//! contradict the check is refused, or leaves the customer alone, until the claim ends; decisions, plays and all other
//! changes go on. A change asks for the claim under the lock of the customer's shard, and a body checks its rows under
//! the same lock after it has claimed: so either the change is made first, and the check sees it, or the change sees the
//! claim.

use std::collections::HashSet;
use std::sync::PoisonError;

use upbeat_core::event::Id;

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard};

/// The claims of the one atomic body that is being applied, if there is one.
pub(crate) struct Claims {
    /// Whether there is a body: every change asks, and for nearly all of them this is the whole answer.
    ///
    /// Relaxed suffices: the lock of a shard orders a claim before what comes after the check.
    active: AtomicBool,
    customers: Mutex<Option<HashSet<Id>>>,
    released: Condvar,
}

impl Default for Claims {
    fn default() -> Self {
        Self { active: AtomicBool::new(false), customers: Mutex::new(None), released: Condvar::new() }
    }
}

impl Claims {
    fn customers(&self) -> MutexGuard<'_, Option<HashSet<Id>>> {
        // Nothing that panics runs under this lock.
        self.customers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an atomic body has claimed this customer. The customer's shard must be locked, so that the answer holds
    /// until the caller's change is made.
    pub(crate) fn holds(&self, customer: &Id) -> bool {
        self.active.load(Ordering::Relaxed)
            && self.customers().as_ref().is_some_and(|claimed| claimed.contains(customer))
    }

    /// Claims customers until the claim is dropped; waits for the claim of another body to end. No shard may be locked.
    pub(crate) fn claim(claims: &Arc<Self>, customers: HashSet<Id>) -> Claim {
        let mut claimed = claims.customers();
        while claimed.is_some() {
            claimed = claims.released.wait(claimed).unwrap_or_else(PoisonError::into_inner);
        }
        *claimed = Some(customers);
        claims.active.store(true, Ordering::Relaxed);
        drop(claimed);
        Claim(Arc::clone(claims))
    }
}

/// The claim of an atomic body on its customers.
pub(crate) struct Claim(Arc<Claims>);

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claimed = self.0.customers();
        self.0.active.store(false, Ordering::Relaxed);
        let customers = claimed.take();
        drop(claimed);
        self.0.released.notify_one();
        // The set of a large body takes milliseconds to free.
        drop(customers);
    }
}
