//! Customers whose profiles an atomic body has checked and is about to change.
//!
//! What a body was checked against must still hold when its last row is applied, and yet no decision may wait for it. So
//! a body does not keep locks: it *claims* its customers. Whoever wants to make a change to a claimed customer that could
//! contradict the check is refused, or leaves the customer alone, until the claim ends; decisions, plays and all other
//! changes go on. To remove a customer contradicts every body that names them; a membership, a confirmation or a void
//! only a body that has one of theirs. A change asks for the claim under the lock of the customer's shard, and a body checks its rows under
//! the same lock after it has claimed: so either the change is made first, and the check sees it, or the change sees the
//! claim.

use std::collections::HashMap;
use std::sync::PoisonError;

use upbeat_core::event::Id;

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard};

/// The customers of a body, each with whether it has a membership, a confirmation or a void of theirs.
pub(crate) type ClaimedCustomers = HashMap<Id, bool>;

/// The claims of the one atomic body that is being applied, if there is one.
pub(crate) struct Claims {
    /// Whether there is a body: every change asks, and for nearly all of them this is the whole answer.
    ///
    /// Relaxed suffices: the lock of a shard orders a claim before what comes after the check.
    active: AtomicBool,
    customers: Mutex<Option<ClaimedCustomers>>,
    released: Condvar,
}

impl Default for Claims {
    fn default() -> Self {
        Self { active: AtomicBool::new(false), customers: Mutex::new(None), released: Condvar::new() }
    }
}

impl Claims {
    fn customers(&self) -> MutexGuard<'_, Option<ClaimedCustomers>> {
        // Nothing that panics runs under this lock.
        self.customers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an atomic body has claimed this customer, who may not be removed then. The customer's shard must be locked,
    /// so that the answer holds until the caller's change is made.
    pub(crate) fn holds(&self, customer: &Id) -> bool {
        self.claim_of(customer).is_some()
    }

    /// Whether another membership, confirmation or void of this customer could contradict an atomic body. The customer's shard
    /// must be locked, as for [`Claims::holds`].
    pub(crate) fn can_be_contradicted(&self, customer: &Id) -> bool {
        self.claim_of(customer) == Some(true)
    }

    fn claim_of(&self, customer: &Id) -> Option<bool> {
        if !self.active.load(Ordering::Relaxed) {
            return None;
        }
        self.customers().as_ref()?.get(customer).copied()
    }

    /// Claims customers until the claim is released or dropped; waits for the claim of another body to end. No shard may be locked.
    pub(crate) fn claim(claims: &Arc<Self>, customers: ClaimedCustomers) -> Claim {
        let mut claimed = claims.customers();
        while claimed.is_some() {
            claimed = claims.released.wait(claimed).unwrap_or_else(PoisonError::into_inner);
        }
        *claimed = Some(customers);
        claims.active.store(true, Ordering::Relaxed);
        drop(claimed);
        Claim(Some(Arc::clone(claims)))
    }
}

/// The claim of an atomic body on its customers.
///
/// It holds the claims until it is released, once: by then they may be another body's.
pub(crate) struct Claim(Option<Arc<Claims>>);

impl Claim {
    /// Ends the claim. The customers come back because those of a large body take milliseconds to free.
    pub(crate) fn release(&mut self) -> ClaimedCustomers {
        let Some(claims) = self.0.take() else {
            return ClaimedCustomers::new();
        };
        let mut claimed = claims.customers();
        claims.active.store(false, Ordering::Relaxed);
        let customers = claimed.take();
        drop(claimed);
        claims.released.notify_one();
        customers.unwrap_or_default()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        drop(self.release());
    }
}
