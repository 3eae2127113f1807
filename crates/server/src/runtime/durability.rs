//! Answers and the log: which of them wait until what they say is durable, and who is woken then.
//!
//! Whoever has handled a request that may need durability asks for its *barrier*: the position that the log would give
//! next. Everything that the request changed, and the first copies of everything that it repeated, lies below. The answer
//! is sent once the log is durable up to the barrier.

mod all;
mod end;
mod log;
mod state;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use mio::Waker;
use tokio::sync::Notify;
use upbeat_engine::LogState;
use upbeat_journal::LogEnd;

pub(crate) use log::Log;
pub(crate) use state::state_name;

use super::ahead::Ahead;
use super::pulse::Pulse;
use crate::config;

/// A position of the log up to which everything has to be durable before an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Barrier(pub(crate) u64);

/// What is known of that which an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is durable.
    Durable,
    /// It will be, or not.
    Pending,
    /// Nobody can say in time: the log is full, has failed, or takes too long.
    Unknown,
}

/// Bulk work pauses while more records than this wait for the disk. They take some megabytes of the lanes, which leaves as
/// much to everybody else.
const MOST_AHEAD: u64 = 1 << 15;

/// The next position of a log that has failed: above all others.
const FAILED: u64 = u64::MAX;

/// Nobody waits for a position.
const NOTHING: u64 = u64::MAX;

/// An event loop whose connections may wait.
pub(crate) struct Waiter {
    /// The lowest barrier that its connections wait for. The journal's thread reads it after each group, and wakes the loop
    /// only if that was reached.
    awaited: AtomicU64,
    waker: Arc<Waker>,
}

impl Waiter {
    /// Wakes the loop, once, if the log has got as far as it waits for.
    fn wake_at(&self, durable: u64) {
        let awaited = self.awaited.load(Ordering::Relaxed);
        if awaited == NOTHING || awaited > durable {
            return;
        }
        // The loop may wait for something else by now, and will have looked for itself.
        let taken = self.awaited.compare_exchange(awaited, NOTHING, Ordering::AcqRel, Ordering::Relaxed);
        if taken.is_ok() {
            // A loop that cannot be woken finds out at its next timer.
            let _ = self.waker.wake();
        }
    }
}

/// Whether answers wait until what they say is durable.
#[derive(Debug)]
pub(crate) enum Waits {
    /// They do.
    Always,
    /// Where the disk is behind.
    Behind(Ahead),
    /// They do not.
    Never,
}

impl Waits {
    /// As configured.
    pub(crate) fn new(config: &config::Config) -> Self {
        match config.durability {
            config::Durability::Ack => Self::Always,
            // What is not durable was acknowledged within twice the time.
            config::Durability::Interval => {
                Self::Behind(Ahead::new(config.journal.interval.get() / 2, Instant::now()))
            }
            config::Durability::Off => Self::Never,
        }
    }
}

/// The meeting point of those who wait for the log and the thread that writes it.
pub(crate) struct Durability {
    log: Arc<dyn Log>,
    waits: Waits,
    loops: Mutex<Vec<Arc<Waiter>>>,
    /// Tells tasks of the runtime of the log's progress.
    tasks: Notify,
    /// How many of them wait.
    waiting_tasks: AtomicUsize,
    /// Somebody looks for all that was published to be durable, without waiting here.
    all_wanted: AtomicBool,
    /// The journal's thread, once it runs.
    journal: OnceLock<Thread>,
    /// It sleeps, or is about to.
    sleeps: AtomicBool,
    /// And for so long that it has to be woken where something is published.
    sleeps_long: AtomicBool,
    /// Where the journal's thread answers in each of its rounds.
    pub(super) pulse: Pulse,
    /// Where the log ended when the journal's thread last wrote.
    end: Mutex<Option<LogEnd>>,
}

impl Durability {
    /// Of this log; whether answers wait for it.
    pub(crate) fn new(log: Arc<dyn Log>, waits: Waits) -> Self {
        Self {
            log,
            waits,
            loops: Mutex::default(),
            tasks: Notify::new(),
            waiting_tasks: AtomicUsize::new(0),
            all_wanted: AtomicBool::new(false),
            journal: OnceLock::new(),
            sleeps: AtomicBool::new(false),
            sleeps_long: AtomicBool::new(false),
            pulse: Pulse::default(),
            end: Mutex::default(),
        }
    }

    /// The barrier of what was done until now; `None` if nothing has to be waited for.
    pub(crate) fn barrier(&self) -> Option<Barrier> {
        let next = self.log.next();
        if next <= self.log.durable() {
            return None;
        }
        let look = || (self.log.next(), self.log.durable(), Instant::now());
        let waits = match &self.waits {
            Waits::Always => true,
            // Where the log has failed nobody is promised anything.
            _ if next == FAILED => true,
            Waits::Behind(ahead) => !ahead.may_run(look),
            Waits::Never => false,
        };
        waits.then_some(Barrier(next))
    }

    /// What is known of everything below a barrier.
    pub(crate) fn fate(&self, Barrier(position): Barrier) -> Fate {
        if self.log.durable() >= position {
            Fate::Durable
        } else {
            match self.log.state() {
                LogState::Off | LogState::Accepting | LogState::Reserve => Fate::Pending,
                LogState::Full | LogState::Failed => Fate::Unknown,
            }
        }
    }

    /// An event loop is told of the log's progress from now on, until it leaves.
    pub(crate) fn join(&self, waker: &Arc<Waker>) -> Arc<Waiter> {
        let waiter = Arc::new(Waiter { awaited: AtomicU64::new(NOTHING), waker: Arc::clone(waker) });
        self.loops().push(Arc::clone(&waiter));
        waiter
    }

    /// An event loop has ended.
    pub(crate) fn leave(&self, waiter: &Arc<Waiter>) {
        self.loops().retain(|held| !Arc::ptr_eq(held, waiter));
    }

    /// Has an event loop woken when everything below the barrier is durable, or nobody will be able to say whether it is;
    /// `false` if that is so already.
    pub(crate) fn wake_at(&self, waiter: &Waiter, barrier: Barrier) -> bool {
        waiter.awaited.store(barrier.0, Ordering::Relaxed);
        // Either the journal's thread sees this position, or the load below sees what that thread has made durable.
        fence(Ordering::SeqCst);
        let pending = self.fate(barrier) == Fate::Pending;
        if pending {
            self.nudge();
        } else {
            // Nobody will be woken for it, and the journal's thread would look for work for as long as it stood there.
            waiter.awaited.store(NOTHING, Ordering::Relaxed);
        }
        pending
    }

    /// Waits on an async runtime until the fate of everything below a barrier is known, for at most `timeout`.
    pub(crate) async fn fate_within(&self, barrier: Barrier, timeout: Duration) -> Fate {
        let known = || Some(self.fate(barrier)).filter(|fate| *fate != Fate::Pending);
        self.progress_until(known, timeout).await.unwrap_or(Fate::Unknown)
    }

    /// Waits on an async runtime until so few records wait for the disk that bulk work leaves room for others, for at most
    /// `timeout`: rows that find no room after all are refused.
    pub(crate) async fn room_for_bulk(&self, timeout: Duration) {
        let caught_up =
            || (self.log.state() != LogState::Accepting || self.lag() <= MOST_AHEAD).then_some(());
        if caught_up().is_none() {
            let _ = self.progress_until(caught_up, timeout).await;
        }
    }

    /// Has the log go on until `look`, which is asked after each progress, finds something; `None` where that takes longer than
    /// `timeout`.
    async fn progress_until<T>(&self, look: impl Fn() -> Option<T>, timeout: Duration) -> Option<T> {
        self.waiting_tasks.fetch_add(1, Ordering::Relaxed);
        let _leaves = Leaves(&self.waiting_tasks);
        let found = async {
            loop {
                let progress = self.tasks.notified();
                tokio::pin!(progress);
                // From here on no progress is missed.
                progress.as_mut().enable();
                if let Some(found) = look() {
                    return found;
                }
                self.nudge();
                progress.await;
            }
        };
        tokio::time::timeout(timeout, found).await.ok()
    }

    /// Wakes the journal's thread if it sleeps: somebody waits for it.
    fn nudge(&self) {
        self.wake_from(&self.sleeps);
    }

    /// Wakes the journal's thread if this says that it sleeps. Either this sees that the thread is about to sleep, or that thread
    /// sees what was done before.
    fn wake_from(&self, sleep: &AtomicBool) {
        fence(Ordering::SeqCst);
        if sleep.load(Ordering::Relaxed)
            && sleep.swap(false, Ordering::AcqRel)
            && let Some(thread) = self.journal.get()
        {
            thread.unpark();
        }
    }

    /// Wakes the journal's thread if it sleeps for long and something was published since. For event loops at the end of their
    /// rounds: who publishes makes no system call, and a loop makes one after a second without records.
    pub(crate) fn wake_from_long_sleep(&self) {
        if self.is_behind() {
            self.wake_from(&self.sleeps_long);
        }
    }

    fn loops(&self) -> MutexGuard<'_, Vec<Arc<Waiter>>> {
        // Nothing that panics runs under this lock.
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a task that waits no longer, or is gone.
struct Leaves<'a>(&'a AtomicUsize);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The log itself.
impl Durability {
    /// The position that is taken next; 0 where there is no log.
    pub(crate) fn next(&self) -> u64 {
        self.log.next()
    }

    /// Every record at a position below is durable.
    pub(crate) fn durable(&self) -> u64 {
        self.log.durable()
    }

    /// Whether the log has hardly any room.
    pub(crate) fn is_backed_up(&self) -> bool {
        self.log.is_backed_up()
    }

    /// How many records are published and not durable yet.
    pub(crate) fn lag(&self) -> u64 {
        self.log.next().saturating_sub(self.log.durable())
    }

    /// Whether something is published that is not durable yet.
    pub(crate) fn is_behind(&self) -> bool {
        self.lag() > 0
    }

    /// Whether the log takes records.
    pub(crate) fn log_state(&self) -> LogState {
        self.log.state()
    }

    /// Has the log take records or not from now on.
    pub(crate) fn set_log_state(&self, state: LogState) {
        self.log.set_state(state);
    }
}

/// For the journal's thread.
impl Durability {
    /// The calling thread writes the log from now on.
    pub(crate) fn serve(&self) {
        let _ = self.journal.set(std::thread::current());
    }

    /// Resolves when the thread has begun and ended a round from now on; at once where there is none.
    pub(super) async fn journal_goes_on(&self) {
        if let Some(thread) = self.journal.get() {
            self.pulse.ask(|| thread.unpark()).await;
        }
    }

    /// Whether somebody waits for what is not durable.
    pub(crate) fn is_awaited(&self) -> bool {
        let waits = |waiter: &Arc<Waiter>| waiter.awaited.load(Ordering::Relaxed) != NOTHING;
        self.waiting_tasks.load(Ordering::Relaxed) > 0
            || self.log.is_wanted()
            || self.loops().iter().any(waits)
    }

    /// Wakes everybody who waits for what is durable by now; and where the log takes no more records, all who wait.
    pub(crate) fn progressed(&self) {
        fence(Ordering::SeqCst);
        let reached = match self.log.state() {
            LogState::Off | LogState::Accepting | LogState::Reserve => self.log.durable(),
            LogState::Full | LogState::Failed => NOTHING - 1,
        };
        self.loops().iter().for_each(|waiter| waiter.wake_at(reached));
        self.tasks.notify_waiters();
    }

    /// Sleeps for at most `time` unless `has_work`, which is asked once everybody who comes with work wakes this thread. Where
    /// `until_published`, a record is such work.
    pub(crate) fn sleep(&self, time: Duration, until_published: bool, has_work: impl FnOnce() -> bool) {
        self.sleeps.store(true, Ordering::Relaxed);
        self.sleeps_long.store(until_published, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let has_work = has_work() || (until_published && self.is_behind());
        if !has_work {
            std::thread::park_timeout(time);
        }
        self.sleeps.store(false, Ordering::Relaxed);
        self.sleeps_long.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll};

    use mio::Token;

    use super::*;
    use crate::tests::FakeLog;

    #[test]
    fn barrier_is_of_everything_that_is_not_durable_and_only_where_answers_wait() {
        let log = FakeLog::new(5, 5);
        let durability = Durability::new(log.clone(), Waits::Always);
        assert_eq!(durability.barrier(), None);
        log.set_next(6);
        assert_eq!(durability.barrier(), Some(Barrier(6)));
        assert_eq!(durability.fate(Barrier(6)), Fate::Pending);
        log.set_state(LogState::Full);
        assert_eq!(durability.fate(Barrier(6)), Fate::Unknown);
        log.set_durable(6);
        assert_eq!(durability.fate(Barrier(6)), Fate::Durable, "what is durable stays so");
        log.set_next(7);
        let never = Durability::new(log.clone(), Waits::Never);
        assert_eq!(never.barrier(), None);
        log.set_next(FAILED);
        assert_eq!(never.barrier(), Some(Barrier(FAILED)), "a log that has failed promises nothing");
    }

    #[test]
    fn loop_is_woken_once_when_its_barrier_is_reached_and_when_the_log_takes_no_more() {
        let mut poll = mio::Poll::new().expect("a poller");
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).expect("a waker"));
        let mut events = mio::Events::with_capacity(1);
        let mut is_woken = || {
            poll.poll(&mut events, Some(Duration::ZERO)).expect("a poller");
            !events.is_empty()
        };
        let log = FakeLog::new(9, 3);
        let durability = Durability::new(log.clone(), Waits::Always);
        let waiter = durability.join(&waker);
        durability.progressed();
        assert!(!is_woken(), "it waits for nothing");
        assert!(durability.wake_at(&waiter, Barrier(5)));
        log.set_durable(4);
        durability.progressed();
        assert!(!is_woken());
        log.set_durable(5);
        durability.progressed();
        durability.progressed();
        assert!(is_woken());
        assert!(!is_woken());
        assert!(!durability.wake_at(&waiter, Barrier(5)), "there is nothing to wait for");
        assert!(!durability.is_awaited(), "the journal's thread may sleep");
        assert!(durability.wake_at(&waiter, Barrier(8)));
        log.set_state(LogState::Full);
        durability.progressed();
        assert!(is_woken(), "nobody will be able to say");
        durability.leave(&waiter);
        assert!(durability.loops().is_empty());
    }

    #[test]
    fn task_is_told_of_progress_that_comes_while_it_begins_to_wait() {
        let log = FakeLog::new(9, 3);
        let durability = Durability::new(log.clone(), Waits::Always);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            let mut waiting = pin!(durability.fate_within(Barrier(9), Duration::from_secs(5)));
            let mut context = Context::from_waker(std::task::Waker::noop());
            assert_eq!(waiting.as_mut().poll(&mut context), Poll::Pending);
            log.set_durable(9);
            durability.progressed();
            assert_eq!(waiting.as_mut().poll(&mut context), Poll::Ready(Fate::Durable));
            assert_eq!(durability.fate_within(Barrier(10), Duration::from_millis(1)).await, Fate::Unknown);
        });
    }

    #[test]
    fn bulk_work_pauses_while_too_much_waits_for_the_disk() {
        let log = FakeLog::new(2 * MOST_AHEAD, 3);
        let durability = Durability::new(log.clone(), Waits::Never);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            let mut pausing = pin!(durability.room_for_bulk(Duration::from_secs(60)));
            let mut context = Context::from_waker(std::task::Waker::noop());
            assert_eq!(pausing.as_mut().poll(&mut context), Poll::Pending);
            assert!(durability.is_awaited(), "the journal's thread goes on at once");
            log.set_durable(MOST_AHEAD);
            durability.progressed();
            assert_eq!(pausing.as_mut().poll(&mut context), Poll::Ready(()));
            log.set_durable(3);
            log.set_state(LogState::Full);
            durability.room_for_bulk(Duration::from_secs(60)).await;
        });
    }

    #[test]
    fn journal_that_sleeps_is_woken_by_whoever_waits() {
        let log = FakeLog::new(9, 3);
        let durability = Arc::new(Durability::new(log.clone(), Waits::Always));
        let poll = mio::Poll::new().expect("a poller");
        let waiter = durability.join(&Arc::new(Waker::new(poll.registry(), Token(0)).expect("a waker")));
        let journal = {
            let durability = Arc::clone(&durability);
            std::thread::spawn(move || {
                durability.serve();
                // An hour: only a wake-up ends this.
                durability.sleep(Duration::from_secs(3600), false, || false);
            })
        };
        while !journal.is_finished() {
            assert!(durability.wake_at(&waiter, Barrier(9)));
            std::thread::yield_now();
        }
        journal.join().expect("no panic");
    }
}
