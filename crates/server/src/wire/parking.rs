//! The connections of an event loop whose answers wait for the log.

use std::collections::VecDeque;
use std::sync::Arc;

use super::command::ConnectionKey;
use crate::runtime::{Barrier, Durability, Fate, Waiter};

/// Connections that wait, by ascending barrier. Barriers ascend as requests are handled, so that whoever comes goes to
/// the end as a rule, and the log's progress ends the wait of those at the front.
pub(super) struct Parking {
    waiter: Arc<Waiter>,
    parked: VecDeque<(Barrier, ConnectionKey)>,
}

impl Parking {
    /// Nobody waits yet; `waiter` is the loop's.
    pub(super) fn new(waiter: Arc<Waiter>) -> Self {
        Self { waiter, parked: VecDeque::new() }
    }

    /// A connection waits from now on.
    pub(super) fn park(&mut self, barrier: Barrier, key: ConnectionKey) {
        // A reply of the router may have been on its way while the loop handled later requests.
        let before = self.parked.iter().rev().take_while(|(later, _)| *later > barrier).count();
        self.parked.insert(self.parked.len() - before, (barrier, key));
    }

    /// Takes the next connection whose wait is over.
    pub(super) fn take_known(&mut self, durability: &Durability) -> Option<ConnectionKey> {
        let (barrier, _) = self.parked.front()?;
        let is_known = durability.fate(*barrier) != Fate::Pending;
        is_known.then(|| self.parked.pop_front()).flatten().map(|(_, key)| key)
    }

    /// Has the loop woken when the wait of the first is over; `false` if that is so already.
    pub(super) fn wait(&self, durability: &Durability) -> bool {
        self.parked.front().is_none_or(|(barrier, _)| durability.wake_at(&self.waiter, *barrier))
    }

    /// The loop's waiter.
    pub(super) fn waiter(&self) -> &Arc<Waiter> {
        &self.waiter
    }
}

#[cfg(test)]
mod tests {
    use mio::{Poll, Token, Waker};
    use upbeat_engine::LogState;

    use super::*;
    use crate::runtime::{Log, Waits};
    use crate::tests::FakeLog;

    #[test]
    fn connections_leave_by_their_barriers_whoever_came_first() {
        let poll = Poll::new().expect("a poller");
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).expect("a waker"));
        let log = FakeLog::new(9, 0);
        let durability = Durability::new(log.clone(), Waits::Always);
        let mut parking = Parking::new(durability.join(&waker));
        for (barrier, slot) in [(3, 0), (7, 1), (5, 2), (7, 3), (2, 4)] {
            parking.park(Barrier(barrier), ConnectionKey { slot, generation: 1 });
        }
        let mut left = |durable| {
            log.set_durable(durable);
            let known = std::iter::from_fn(|| parking.take_known(&durability));
            known.map(|key| key.slot).collect::<Vec<_>>()
        };
        assert!(left(1).is_empty());
        assert_eq!(left(5), [4, 0, 2]);
        log.set_state(LogState::Full);
        assert_eq!(left(5), [1, 3], "nobody will be able to say");
    }
}
