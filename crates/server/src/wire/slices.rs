//! Slices of bulk work: the part of it that changes or reads profiles, in pieces of some microseconds, run by the event
//! loops between two rounds of their sockets.
//!
//! A thread of the bulk pool has a lower priority than the loops. Were it to lock a shard of the profile store itself,
//! the scheduler could take its core away inside the lock, and a decision for a customer of the same shard would wait
//! until the thread is given a core again. So only loops lock shards for bulk work: the bulk pool decodes, and hands what it
//! decoded to them. A loop runs one slice a round, so that bulk work delays a decision by one slice at most, and gets
//! a share of a busy loop that falls as the rounds grow.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::Waker;
use tokio::sync::oneshot;

/// The event loops have ended, so nobody would run a slice: the server is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server is stopping")]
pub(crate) struct LoopsEnded;

type Slice = Box<dyn FnOnce() + Send>;

/// The queue between the bulk work and the event loops. Each piece of bulk work has one slice in it at a time, so its
/// length is bounded by the number of requests.
#[derive(Default)]
pub(crate) struct Slices {
    state: Mutex<State>,
    /// The queue's length, read by each loop in each round.
    waiting: AtomicUsize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Slice>,
    /// The loops that run, each by its waker.
    loops: Vec<Arc<Waker>>,
    next: usize,
    /// Whether there have been loops, and none is left.
    ended: bool,
}

impl Slices {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that panics runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A loop runs slices from now on, until it leaves.
    pub(crate) fn join(&self, waker: &Arc<Waker>) {
        let mut state = self.state();
        state.loops.push(Arc::clone(waker));
        state.ended = false;
    }

    /// A loop has ended. With the last one the queue is dropped, and who waits for a slice of it is told.
    pub(crate) fn leave(&self, waker: &Arc<Waker>) {
        let dropped = {
            let mut state = self.state();
            state.loops.retain(|held| !Arc::ptr_eq(held, waker));
            if let Some(other) = state.loops.first().filter(|_| !state.queue.is_empty()).cloned() {
                // What waits may have woken the loop that has ended, and no other.
                drop(state);
                let _ = other.wake();
                return;
            }
            if !state.loops.is_empty() {
                return;
            }
            state.ended = true;
            self.waiting.store(0, Ordering::Relaxed);
            std::mem::take(&mut state.queue)
        };
        drop(dropped);
    }

    /// Whether a slice waits.
    #[inline]
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Runs the slice that has waited longest, if there is one; for the loops.
    pub(crate) fn run_next(&self) {
        let slice = {
            let mut state = self.state();
            let slice = state.queue.pop_front();
            self.waiting.store(state.queue.len(), Ordering::Relaxed);
            slice
        };
        if let Some(slice) = slice {
            slice();
        }
    }

    /// Has a loop run `work`, and waits for its result on this thread, which must not be one of an async runtime. Where
    /// no loop was ever started, as in tests of the router, it runs here.
    ///
    /// # Errors
    /// The loops have ended; the work was not done.
    ///
    /// # Panics
    /// The work panicked.
    pub(crate) fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, LoopsEnded> {
        match self.hand_over(work)? {
            HandedOver::Done(result) => Ok(result),
            HandedOver::Queued(result) => finish(result.blocking_recv()),
        }
    }

    /// As [`Slices::run`], for tasks of an async runtime.
    ///
    /// # Errors
    /// The loops have ended; the work was not done.
    ///
    /// # Panics
    /// The work panicked.
    pub(crate) async fn run_async<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, LoopsEnded> {
        match self.hand_over(work)? {
            HandedOver::Done(result) => Ok(result),
            HandedOver::Queued(result) => finish(result.await),
        }
    }

    fn hand_over<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<HandedOver<R>, LoopsEnded> {
        let (sender, result) = oneshot::channel();
        let waker = {
            let mut state = self.state();
            if state.ended {
                return Err(LoopsEnded);
            }
            if state.loops.is_empty() {
                drop(state);
                return Ok(HandedOver::Done(work()));
            }
            state.queue.push_back(Box::new(move || {
                // A panic belongs to the request, not to the loop. Who asked may have gone: then nobody is told.
                let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
            }));
            self.waiting.store(state.queue.len(), Ordering::Relaxed);
            state.next = (state.next + 1) % state.loops.len();
            Arc::clone(&state.loops[state.next])
        };
        // A loop that cannot be woken sees the slice in its next round, as each of the others does.
        let _ = waker.wake();
        Ok(HandedOver::Queued(result))
    }
}

enum HandedOver<R> {
    Done(R),
    Queued(oneshot::Receiver<std::thread::Result<R>>),
}

fn finish<R>(received: Result<std::thread::Result<R>, oneshot::error::RecvError>) -> Result<R, LoopsEnded> {
    received.map_err(|_| LoopsEnded)?.map_err(|panic| resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use mio::{Poll, Token};

    use super::*;

    fn waker() -> (Poll, Arc<Waker>) {
        let poll = Poll::new().expect("a poller");
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).expect("a waker"));
        (poll, waker)
    }

    #[test]
    fn slice_runs_on_the_loop_that_takes_it() {
        let slices = Arc::new(Slices::default());
        let (_poll, waker) = waker();
        slices.join(&waker);
        let asking = {
            let slices = Arc::clone(&slices);
            std::thread::spawn(move || slices.run(|| std::thread::current().id()))
        };
        while !slices.is_waiting() {
            std::thread::yield_now();
        }
        slices.run_next();
        assert!(!slices.is_waiting());
        assert_eq!(asking.join().expect("no panic"), Ok(std::thread::current().id()));
    }

    #[test]
    fn slice_without_a_loop_runs_at_once_and_after_the_last_loop_not_at_all() {
        let slices = Slices::default();
        assert_eq!(slices.run(|| 7), Ok(7));
        let ((_first, one), (_second, other)) = (waker(), waker());
        slices.join(&one);
        slices.join(&other);
        slices.leave(&one);
        let waiting = slices.hand_over(|| 8).expect("a loop is left");
        slices.leave(&other);
        let HandedOver::Queued(result) = waiting else { panic!("it ran outside of a loop") };
        assert_eq!(finish(result.blocking_recv()), Err(LoopsEnded));
        assert_eq!(slices.run(|| 9), Err(LoopsEnded));
    }

    #[test]
    fn loop_that_leaves_wakes_another_for_what_waits() {
        let slices = Slices::default();
        let ((mut first_poll, one), (mut second_poll, other)) = (waker(), waker());
        slices.join(&one);
        slices.join(&other);
        let mut events = mio::Events::with_capacity(1);
        let mut is_woken = |poll: &mut Poll| {
            poll.poll(&mut events, Some(std::time::Duration::ZERO)).expect("a poller");
            !events.is_empty()
        };
        let _waiting = slices.hand_over(|| 8).expect("loops");
        let (woken, sleeping) = match is_woken(&mut first_poll) {
            true => (&one, &mut second_poll),
            false => (&other, &mut first_poll),
        };
        assert!(!is_woken(sleeping), "one of them is enough");
        slices.leave(woken);
        assert!(is_woken(sleeping));
    }

    #[test]
    fn panic_of_a_slice_reaches_its_request_and_not_the_loop() {
        let slices = Arc::new(Slices::default());
        let (_poll, waker) = waker();
        slices.join(&waker);
        let asking = {
            let slices = Arc::clone(&slices);
            std::thread::spawn(move || slices.run(|| panic!("a fault in a row")))
        };
        while !slices.is_waiting() {
            std::thread::yield_now();
        }
        slices.run_next();
        assert!(asking.join().is_err());
    }
}
