//! Parallel work whose results are taken in the order of its pieces.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Results that may wait for an earlier one, per thread; beyond that a thread waits.
const WAITING_PER_THREAD: usize = 4;

/// Takes pieces from `next` until there are none, works on them on `threads` threads (at least one), and passes the
/// results to `take` in the order of the pieces, whatever the number of threads. Each thread has a state of its own,
/// which `next` and `work` are given. `next` and `take` are each called by one thread at a time. Ends early when `take`
/// breaks. At most four results per thread wait for an earlier one.
///
/// # Panics
/// When one of the functions does.
pub fn in_order<S, P, R: Send>(
    threads: usize,
    state: impl Fn() -> S + Sync,
    next: impl FnMut(&mut S) -> Option<P> + Send,
    work: impl Fn(&mut S, P) -> R + Sync,
    take: impl FnMut(R) -> ControlFlow<()> + Send,
) {
    let threads = threads.max(1);
    let source = Mutex::new((0, next));
    let queue = Queue {
        order: Mutex::new(Order::new(take)),
        changed: Condvar::new(),
        limit: threads * WAITING_PER_THREAD,
    };
    let run = || {
        let _stop_at_panic = StopAtPanic(&queue);
        let mut state = state();
        loop {
            let (index, piece) = {
                let mut source = lock(&source);
                if queue.is_stopped() {
                    return;
                }
                let Some(piece) = (source.1)(&mut state) else { return };
                source.0 += 1;
                (source.0 - 1, piece)
            };
            let result = work(&mut state, piece);
            queue.deliver(index, result);
        }
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        run();
        for other in others {
            other.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
}

struct Queue<R, T> {
    order: Mutex<Order<R, T>>,
    /// Notified when a result was taken, and when the work stops.
    changed: Condvar,
    limit: usize,
}

struct Order<R, T> {
    /// Number of the piece whose result is taken next.
    next: u64,
    /// Results of later pieces.
    waiting: BTreeMap<u64, R>,
    take: T,
    stopped: bool,
}

impl<R, T: FnMut(R) -> ControlFlow<()>> Order<R, T> {
    fn new(take: T) -> Self {
        Self { next: 0, waiting: BTreeMap::new(), take, stopped: false }
    }
}

impl<R, T: FnMut(R) -> ControlFlow<()>> Queue<R, T> {
    fn deliver(&self, index: u64, result: R) {
        let mut order = lock(&self.order);
        // The thread with the next result never waits, so the work always progresses.
        while index != order.next && order.waiting.len() >= self.limit && !order.stopped {
            order = self.changed.wait(order).unwrap_or_else(PoisonError::into_inner);
        }
        if order.stopped {
            return;
        }
        order.waiting.insert(index, result);
        let mut due = order.next;
        while let Some(result) = order.waiting.remove(&due) {
            due += 1;
            order.next = due;
            if (order.take)(result).is_break() {
                order.stopped = true;
                break;
            }
        }
        drop(order);
        self.changed.notify_all();
    }
}

impl<R, T> Queue<R, T> {
    fn is_stopped(&self) -> bool {
        lock(&self.order).stopped
    }
}

/// Wakes the threads that would otherwise wait for ever for the result of a thread that panics.
struct StopAtPanic<'a, R, T>(&'a Queue<R, T>);

impl<R, T> Drop for StopAtPanic<'_, R, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            lock(&self.0.order).stopped = true;
            self.0.changed.notify_all();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squares(count: u64, threads: usize, most: usize) -> Vec<u64> {
        let mut pieces = 0..count;
        let mut taken = Vec::new();
        in_order(
            threads,
            || (),
            |()| pieces.next(),
            |(), piece| {
                // The first pieces take longest, so that later ones have to wait for them.
                std::thread::sleep(std::time::Duration::from_micros(200 / (piece + 1)));
                piece * piece
            },
            |square| {
                taken.push(square);
                if taken.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            },
        );
        taken
    }

    #[test]
    fn results_are_taken_in_order_whatever_the_threads() {
        for threads in 0..5 {
            for count in [0, 1, 2, 7, 300] {
                let wanted: Vec<_> = (0..count).map(|piece| piece * piece).collect();
                assert_eq!(squares(count, threads, usize::MAX), wanted);
                assert_eq!(squares(count, threads, 5), wanted[..wanted.len().min(5)]);
            }
        }
    }

    #[test]
    fn panic_in_one_thread_ends_all() {
        for threads in 1..4 {
            let mut pieces = 0..1000;
            let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                in_order(
                    threads,
                    || (),
                    |()| pieces.next(),
                    |(), piece| assert_ne!(piece, 3, "the fourth piece"),
                    |()| ControlFlow::Continue(()),
                );
            }));
            assert!(run.is_err(), "{threads}");
        }
    }
}
