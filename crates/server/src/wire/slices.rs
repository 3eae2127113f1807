//! Slices of bulk work: the part of it that changes or reads profiles, in pieces of some microseconds, run by the event
//! loops between two rounds of their sockets.
//!
//! A thread of the bulk pool has a lower priority than the loops. Were it to lock a shard of the profile store itself,
//! the scheduler could take its core away inside the lock, and a decision for a customer of the same shard would wait
//! until the thread is given a core again. So only loops lock shards for bulk work: the bulk pool decodes, and hands what it
//! decoded to them. A loop runs one slice a round, so that bulk work delays a decision by one slice at most, and gets
//! a share of a busy loop that falls as the rounds grow. Work of many slices is handed over once, since the way to a loop and
//! back takes as long as some dozens of rows.

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

/// Runs the next slice of a piece of work; whether there is another one.
type Slice = Box<dyn FnMut() -> bool + Send>;

/// The queue between the bulk work and the event loops. Each piece of bulk work has one slice in it at a time, behind
/// those of the others, so its length is bounded by the number of requests.
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
        let Some(mut slice) = slice else { return };
        if slice() {
            let mut state = self.state();
            // After the last loop nobody would run it; dropping it tells who waits.
            if !state.ended {
                state.queue.push_back(slice);
                self.waiting.store(state.queue.len(), Ordering::Relaxed);
            }
        }
    }

    /// As [`Slices::begin`], and waits for the result on this thread, which must not be one of an async runtime.
    ///
    /// # Errors
    /// The loops have ended; some slices may have been done.
    ///
    /// # Panics
    /// A slice panicked.
    pub(crate) fn run_all<R: Send + 'static>(
        &self,
        slice: impl FnMut() -> Option<R> + Send + 'static,
    ) -> Result<R, LoopsEnded> {
        self.begin(slice)?.wait()
    }

    /// As [`Slices::run_all`], for tasks of an async runtime. No further slice is run once the task is gone.
    ///
    /// # Errors
    /// The loops have ended; some slices may have been done.
    ///
    /// # Panics
    /// A slice panicked.
    pub(crate) async fn run_all_async<R: Send + 'static>(
        &self,
        slice: impl FnMut() -> Option<R> + Send + 'static,
    ) -> Result<R, LoopsEnded> {
        match self.begin(slice)? {
            HandedOver::Done(result) => Ok(result),
            HandedOver::Queued(result) => finish(result.await),
        }
    }

    /// Has loops run work of several slices: each call of `slice` does one, and the last one gives the result. The caller waits
    /// for it with [`HandedOver::wait`], and can do something else before that. Where no loop was ever started, as in
    /// tests of the router, the work is done here.
    ///
    /// # Errors
    /// The loops have ended; the work will not be done.
    pub(crate) fn begin<R: Send + 'static>(
        &self,
        mut slice: impl FnMut() -> Option<R> + Send + 'static,
    ) -> Result<HandedOver<R>, LoopsEnded> {
        let (sender, result) = oneshot::channel();
        let mut sender = Some(sender);
        let waker = {
            let mut state = self.state();
            if state.ended {
                return Err(LoopsEnded);
            }
            if state.loops.is_empty() {
                drop(state);
                return Ok(HandedOver::Done(
                    std::iter::repeat_with(slice).flatten().next().expect("it ends"),
                ));
            }
            state.queue.push_back(Box::new(move || {
                if sender.as_ref().is_none_or(oneshot::Sender::is_closed) {
                    return false;
                }
                // A panic belongs to the request, not to the loop.
                let result = match catch_unwind(AssertUnwindSafe(&mut slice)) {
                    Ok(None) => return true,
                    Ok(Some(result)) => Ok(result),
                    Err(panic) => Err(panic),
                };
                // Who asked may have gone in the meantime: then nobody is told.
                let _ = sender.take().map(|sender| sender.send(result));
                false
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

/// Work that was handed over to the loops.
pub(crate) enum HandedOver<R> {
    /// It is done already.
    Done(R),
    /// Here its result comes.
    Queued(oneshot::Receiver<std::thread::Result<R>>),
}

impl<R> HandedOver<R> {
    /// Waits for its result on this thread, which must not be one of an async runtime.
    ///
    /// # Errors
    /// The loops have ended; the work was not done.
    ///
    /// # Panics
    /// The work panicked.
    pub(crate) fn wait(self) -> Result<R, LoopsEnded> {
        match self {
            Self::Done(result) => Ok(result),
            Self::Queued(result) => finish(result.blocking_recv()),
        }
    }
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
            std::thread::spawn(move || slices.run_all(|| Some(std::thread::current().id())))
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
        let run = |number| slices.run_all(move || Some(number));
        assert_eq!(run(7), Ok(7));
        let ((_first, one), (_second, other)) = (waker(), waker());
        slices.join(&one);
        slices.join(&other);
        slices.leave(&one);
        let waiting = slices.begin(|| Some(8)).expect("a loop is left");
        slices.leave(&other);
        let HandedOver::Queued(result) = waiting else { panic!("it ran outside of a loop") };
        assert_eq!(finish(result.blocking_recv()), Err(LoopsEnded));
        assert_eq!(run(9), Err(LoopsEnded));
    }

    #[test]
    fn slices_of_several_pieces_of_work_take_turns() {
        let slices = Slices::default();
        let (_poll, waker) = waker();
        slices.join(&waker);
        let (sender, done) = std::sync::mpsc::channel();
        let results: Vec<_> = ["a", "b"]
            .map(|name| {
                let (sender, mut left) = (sender.clone(), 3);
                let slice = move || {
                    left -= 1;
                    sender.send(name).expect("the test receives");
                    (left == 0).then_some(name)
                };
                slices.begin(slice).expect("a loop")
            })
            .into();
        while slices.is_waiting() {
            slices.run_next();
        }
        assert_eq!(done.try_iter().collect::<Vec<_>>(), ["a", "b", "a", "b", "a", "b"]);
        for (result, name) in results.into_iter().zip(["a", "b"]) {
            let HandedOver::Queued(result) = result else { panic!("it ran outside of a loop") };
            assert_eq!(finish(result.blocking_recv()), Ok(name));
        }
    }

    #[test]
    fn slices_for_a_task_that_has_gone_are_not_run() {
        let slices = Slices::default();
        let (_poll, waker) = waker();
        slices.join(&waker);
        let mut count = 0;
        let work = slices.begin(move || {
            count += 1;
            assert!(count < 2, "nobody waits for it");
            None::<()>
        });
        slices.run_next();
        drop(work);
        slices.run_next();
        assert!(!slices.is_waiting());
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
        let _waiting = slices.begin(|| Some(8)).expect("loops");
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
            std::thread::spawn(move || slices.run_all(|| -> Option<()> { panic!("a fault in a row") }))
        };
        while !slices.is_waiting() {
            std::thread::yield_now();
        }
        slices.run_next();
        assert!(asking.join().is_err());
    }
}
