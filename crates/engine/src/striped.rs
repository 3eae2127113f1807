//! Values of which threads have copies of their own, so that no two cores write to the same cache line at every request.
//!
//! A counter that all threads add to moves from core to core with every addition: with two threads each decision waits for
//! the line several times. Here a thread adds to its own stripe, and the stripes are summed up when somebody asks.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Stripes that the threads without one of their own share, in turn.
const SHARED: usize = 16;

/// Stripes that are given to threads which ask for one; with more such threads than this, some share.
const OWN: usize = 48;

/// A value on cache lines of its own. Processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

thread_local! {
    /// The thread's stripe; of no type that has to be dropped, so that it costs a load and works until the thread has ended.
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Gives the calling thread a stripe that threads of other work do not share; for those that answer decisions. To be called
/// first of all.
pub fn take_own_stripe() {
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    STRIPE.set(SHARED + TAKEN.fetch_add(1, Ordering::Relaxed) % OWN);
}

/// Gives the calling thread the own stripe of this number, or none.
#[cfg(test)]
pub(crate) fn use_stripe(stripe: Option<usize>) {
    STRIPE.set(stripe.map_or(0, |stripe| SHARED + stripe));
}

/// The number of the calling thread's own stripe, from 0 on; `None` if it has taken none.
pub(crate) fn own_stripe() -> Option<usize> {
    STRIPE.get().checked_sub(SHARED).filter(|stripe| *stripe < OWN)
}

#[cold]
fn take_shared_stripe() -> usize {
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    let stripe = TAKEN.fetch_add(1, Ordering::Relaxed) % SHARED;
    STRIPE.set(stripe);
    stripe
}

/// A value for each of several groups of threads. Threads may share a stripe, so `T` has to be atomic.
#[derive(Debug)]
pub struct Striped<T>(Box<[Padded<T>]>);

impl<T: Default> Default for Striped<T> {
    fn default() -> Self {
        Self(std::iter::repeat_with(Padded::default).take(SHARED + OWN).collect())
    }
}

impl<T> Striped<T> {
    /// The calling thread's value.
    #[inline]
    pub fn own(&self) -> &T {
        let stripe = match STRIPE.get() {
            usize::MAX => take_shared_stripe(),
            stripe => stripe,
        };
        &self.0[stripe].0
    }

    /// The values of all threads.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|padded| &padded.0)
    }

    /// The sum over all threads of a count that `of` finds in the value.
    pub fn sum(&self, of: impl Fn(&T) -> &AtomicU64) -> u64 {
        self.all().map(|value| of(value).load(Ordering::Relaxed)).sum()
    }
}

/// Numbers that are each given once, in blocks: a thread takes a block for its stripe and gives the numbers in it. So
/// they do not ascend over all threads, and some are never given.
pub struct Numbers {
    next_block: Padded<AtomicU64>,
    /// The number that is next in the stripe's block; a multiple of [`BLOCK`], which is never given, where there is no
    /// block or its end is reached.
    next: Striped<AtomicU64>,
}

/// Numbers of a block. All stripes together skip fewer than 2^18.
const BLOCK: u64 = 1 << 12;

impl Numbers {
    /// Numbers from `first` on.
    #[must_use]
    pub fn new(first: u64) -> Self {
        Self { next_block: Padded(AtomicU64::new(first.next_multiple_of(BLOCK))), next: Striped::default() }
    }

    /// Above all numbers that were given, and all that are in a stripe's block.
    pub(crate) fn highest(&self) -> u64 {
        self.next_block.0.load(Ordering::Relaxed)
    }

    /// Gives no number below `first` from now on.
    pub(crate) fn raise(&self, first: u64) {
        self.next_block.0.fetch_max(first.next_multiple_of(BLOCK), Ordering::Relaxed);
        for next in self.next.all() {
            next.store(0, Ordering::Relaxed);
        }
    }

    /// Gives numbers from `first` on. Nobody may be given one meanwhile.
    pub(crate) fn restart(&self, first: u64) {
        self.next_block.0.store(0, Ordering::Relaxed);
        self.raise(first);
    }

    /// A number that was never given before.
    pub fn take(&self) -> u64 {
        let next = self.next.own();
        let mut number = next.load(Ordering::Relaxed);
        loop {
            let (given, following) = match number % BLOCK {
                0 => {
                    let block = self.next_block.0.fetch_add(BLOCK, Ordering::Relaxed);
                    (block + 1, block + 2)
                }
                _ => (number, number + 1),
            };
            // Where another thread of the stripe came first, a block that was taken for it is left unused.
            match next.compare_exchange(number, following, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return given,
                Err(now) => number = now,
            }
        }
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn counts_of_all_threads_are_summed_up() {
        let counts: Striped<AtomicU64> = Striped::default();
        std::thread::scope(|scope| {
            for thread in 0..100 {
                let counts = &counts;
                scope.spawn(move || {
                    if thread % 2 == 0 {
                        take_own_stripe();
                    }
                    for _ in 0..100 {
                        counts.own().fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(counts.sum(|count| count), 10_000);
    }

    #[test]
    fn threads_that_take_a_stripe_share_no_cache_line_with_others() {
        let counts: Striped<AtomicU64> = Striped::default();
        let line_of = |takes_own: bool| {
            std::thread::scope(|scope| {
                let line = || {
                    if takes_own {
                        take_own_stripe();
                    }
                    std::ptr::from_ref(counts.own()).addr() / 128
                };
                scope.spawn(line).join().expect("no panic")
            })
        };
        let own: HashSet<_> = (0..8).map(|_| line_of(true)).collect();
        let shared: HashSet<_> = (0..100).map(|_| line_of(false)).collect();
        assert_eq!(own.len(), 8);
        assert!(own.is_disjoint(&shared) && shared.len() <= SHARED);
    }

    #[test]
    fn no_number_is_given_twice_however_many_threads_share_a_stripe() {
        const EACH: usize = 10_000;
        let numbers = Numbers::new(7);
        let taken: Vec<Vec<u64>> = std::thread::scope(|scope| {
            let take = || (0..EACH).map(|_| numbers.take()).collect();
            let threads: Vec<_> = (0..SHARED + 4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let distinct: HashSet<u64> = taken.iter().flatten().copied().collect();
        assert_eq!(distinct.len(), taken.len() * EACH);
        assert!(distinct.iter().all(|number| *number >= 7));
    }
}
