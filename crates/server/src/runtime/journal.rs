//! The journal's thread: it collects what the threads publish, makes it durable, and wakes who waits for that.
//!
//! Publishers make no system call, so the thread looks by itself: at once where an answer waits, early where a lane fills,
//! else each time that the longest time is over for which a record may be unknown to the disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use upbeat_engine::LogState;
use upbeat_journal::disk::Disk;
use upbeat_journal::{BLOCK, Step, StepError, Writer};

use super::durability::Durability;
use crate::metrics::JournalMetrics;

/// How long the thread sleeps at most while records come.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

/// For so long after the last record they are taken to come.
const BUSY_PERIOD: Duration = Duration::from_secs(1);

/// How long the thread sleeps where nothing is published: event loops wake it when something is. What else publishes (eviction, for
/// one) makes no promise of less.
const LONG_SLEEP: Duration = Duration::from_millis(50);

/// A lane that is so full is collected at once, in thousandths: a decision never waits for room.
const EARLY_FILL: u16 = 125;

/// Decisions that showed nothing are left in their lanes where nothing else is there: each group takes whole blocks of the disk, and
/// a single decision a hundredth of one. So many bytes of them are left for so long at most: more would make a group no smaller.
const ENOUGH_BYTES: usize = 32 << 10;
const LONGEST_HOLD_OF_ENOUGH: Duration = Duration::from_secs(1);

/// A lane with nothing but these is looked at no more often than others, up to so many thousandths.
const CALM_FILL: u16 = EARLY_FILL / 4;

/// After so long without a group the mark of the last one is written, which tells damage from a torn end.
const MARK_AFTER: Duration = Duration::from_millis(50);

/// How long a full disk is left alone before the group is tried again: the first time, and at most.
const FIRST_RETRY: Duration = Duration::from_millis(10);
const LONGEST_RETRY: Duration = Duration::from_secs(1);

/// What the journal's thread works with.
pub(super) struct Journal<D: Disk> {
    writer: Writer<D>,
    durability: Arc<Durability>,
    metrics: JournalMetrics,
    /// The longest time that a record is left in its lane.
    every: Duration,
    /// How long decisions that showed nothing are, where nothing else is there, before what fills whole blocks of the disk is
    /// written; what is left then stays for as long again at most.
    hold: Duration,
    /// Since when there are such, whether some were left when others were written, and above all that were there then.
    held_since: Option<Instant>,
    has_left: bool,
    held_below: u64,
    /// When the writer was last asked for a step, and when it last wrote a group.
    stepped: Instant,
    written: Instant,
    is_marked: bool,
    /// Nothing is published that is not durable, and nothing came for a while: whoever publishes has to wake the thread.
    is_idle: bool,
    /// What was durable when somebody was last woken.
    told: u64,
    has_told_failure: bool,
    /// While the disk is full: when the group is tried again, and how long that was put off.
    retry: Option<(Instant, Duration)>,
}

/// A running journal's thread.
pub(super) struct Running {
    thread: JoinHandle<bool>,
    stop: Arc<AtomicBool>,
}

impl<D: Disk> Journal<D> {
    /// A journal that leaves no record in its lane for longer than `every`, but for decisions that showed nothing: these for twice
    /// `hold`, and `every`.
    pub(super) fn new(
        writer: Writer<D>,
        durability: Arc<Durability>,
        metrics: JournalMetrics,
        (every, hold): (Duration, Duration),
    ) -> Self {
        let now = Instant::now();
        let told = durability.durable();
        durability.note_end(writer.end());
        Self {
            writer,
            durability,
            metrics,
            every,
            hold,
            held_since: None,
            has_left: false,
            held_below: 0,
            stepped: now,
            written: now,
            is_marked: true,
            is_idle: false,
            told,
            has_told_failure: false,
            retry: None,
        }
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no more threads.
    pub(super) fn start(mut self) -> io::Result<Running> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let run = move || {
            let _fails = FailsByPanic(Arc::clone(&self.durability));
            self.durability.serve();
            while !stopping.load(Ordering::Acquire) {
                self.durability.pulse.answer();
                let sleep = self.turn(Instant::now());
                if !sleep.is_zero() {
                    let durability = Arc::clone(&self.durability);
                    durability
                        .sleep(sleep, self.is_idle, || self.is_wanted() || stopping.load(Ordering::Acquire));
                }
            }
            let is_durable = self.end();
            self.durability.pulse.end();
            is_durable
        };
        let thread = thread::Builder::new().name("journal".into()).spawn(run)?;
        Ok(Running { thread, stop })
    }

    /// Does what is due at `now`; how long nothing is unless somebody comes.
    fn turn(&mut self, now: Instant) -> Duration {
        self.is_idle = false;
        if self.durability.log_state() == LogState::Failed {
            if !std::mem::replace(&mut self.has_told_failure, true) {
                // It may have failed by a change that could not be recorded: who waits then is told, too.
                self.durability.progressed();
            }
            return BUSY_PERIOD;
        }
        if let Some((at, _)) = self.retry
            && now < at
        {
            return at - now;
        }
        let mut due = self.stepped + self.every;
        if self.retry.is_some() || self.is_wanted() {
            self.step(now, Writer::step);
            // More may have come meanwhile.
            return Duration::ZERO;
        }
        if now >= due {
            match self.held_until(now) {
                Some(until) if now < until => {
                    // Nothing waits that should not.
                    self.metrics.note_durable(now);
                    due = (now + self.every).min(until);
                    self.stepped = due.checked_sub(self.every).unwrap_or(now);
                }
                Some(_) => {
                    self.step_in_blocks(now);
                    return Duration::ZERO;
                }
                None => {
                    self.step(now, Writer::step);
                    return Duration::ZERO;
                }
            }
        }
        if !self.is_marked && now >= self.written + MARK_AFTER {
            self.is_marked = true;
            let marked = self.writer.mark();
            self.metrics.count_mark();
            self.note(marked.map(|()| Step::Idle), now);
        }
        let calm_fill = if self.held_since.is_some() { CALM_FILL } else { 0 };
        let is_busy = now < self.written + BUSY_PERIOD || self.writer.fullest_lane() > calm_fill;
        if is_busy {
            return SHORTEST_SLEEP.min(due - now);
        }
        self.is_idle = self.is_marked && !self.durability.is_behind();
        if self.is_idle { LONG_SLEEP.max(due - now) } else { due - now }
    }

    /// Until when what is published is left where it is; `None` if that is not only decisions that showed nothing.
    fn held_until(&mut self, now: Instant) -> Option<Instant> {
        let bytes = self.writer.held_bytes().filter(|_| !self.hold.is_zero())?;
        let since = *self.held_since.get_or_insert(now);
        let hold = match bytes {
            // They fill no block yet.
            ..BLOCK if !self.has_left => 2 * self.hold,
            ..ENOUGH_BYTES => self.hold,
            _ => self.hold.min(LONGEST_HOLD_OF_ENOUGH),
        };
        Some(since + hold)
    }

    /// Has decisions that showed nothing written as far as they fill blocks of the disk. The others begin to wait again, once.
    fn step_in_blocks(&mut self, now: Instant) {
        let next = self.durability.next();
        let all_below = std::mem::replace(&mut self.held_below, next);
        self.step(now, |writer| writer.step_in_blocks(all_below));
        self.has_left = self.writer.held_bytes().is_some();
        self.held_since = self.has_left.then_some(now);
    }

    /// Whether somebody waits for what is not durable, a lane fills, or a group had no room for all that was due.
    fn is_wanted(&self) -> bool {
        let is_wanted = || {
            self.durability.is_awaited()
                || self.durability.is_all_wanted()
                || self.writer.is_behind()
                || self.writer.fullest_lane() >= EARLY_FILL
        };
        self.retry.is_none() && is_wanted()
    }

    /// Has a group written if there is something to write, and tells who waits.
    fn step(&mut self, now: Instant, step: impl FnOnce(&mut Writer<D>) -> Result<Step, StepError>) {
        (self.stepped, self.held_since, self.has_left) = (now, None, false);
        self.durability.note_all_taken();
        let step = step(&mut self.writer);
        self.note(step, now);
        let durable = self.durability.durable();
        if durable != self.told {
            self.told = durable;
            self.metrics.note_durable(now);
            self.durability.progressed();
        }
    }

    /// Notes what became of a step, and what that makes of the log.
    fn note(&mut self, step: Result<Step, StepError>, now: Instant) {
        let failure = match step {
            Ok(step) => {
                if let Step::Written { bytes, records, is_small } = step {
                    // A group says that those before it are durable. One of decisions that showed nothing was promised to nobody,
                    // and takes no block more for its own mark.
                    (self.written, self.is_marked) = (now, is_small);
                    self.metrics.count_group(bytes, records);
                }
                self.durability.note_end(self.writer.end());
                let was_full = self.retry.take().is_some();
                self.note_space(was_full);
                return;
            }
            Err(failure) => failure,
        };
        match failure {
            StepError::Full => {
                if self.retry.is_none() {
                    tracing::error!(
                        "the disk is full: events are refused until it has space; nothing that was acknowledged is lost"
                    );
                    self.set_state(LogState::Full);
                }
                let pause = self.retry.map_or(FIRST_RETRY, |(_, pause)| (2 * pause).min(LONGEST_RETRY));
                self.retry = Some((now + pause, pause));
            }
            StepError::Failed(_) | StepError::HasFailed => {
                tracing::error!(
                    "{failure}: nothing more is acknowledged, and no ad is shown; what was acknowledged before is kept. \
                     Look at the disk, then start the server again"
                );
                self.set_state(LogState::Failed);
            }
        }
    }

    /// Has events refused while the disk has no space for the next file of the log: what is left of the present one is for
    /// impressions.
    fn note_space(&self, was_full: bool) {
        let (is_short, state) = (self.writer.is_short_of_space(), self.durability.log_state());
        match (is_short, state) {
            (true, LogState::Accepting | LogState::Full) => {
                tracing::error!(
                    "the disk has no space for the next file of the log: events are refused until it has"
                );
                self.set_state(LogState::Reserve);
            }
            (false, LogState::Reserve | LogState::Full) => {
                tracing::info!(was_full, "the disk has space again: events are taken");
                self.set_state(LogState::Accepting);
            }
            _ => {}
        }
    }

    /// Tells everybody what can be expected of the log.
    fn set_state(&self, state: LogState) {
        self.durability.set_log_state(state);
        self.durability.progressed();
    }

    /// Makes everything that was published durable; whether it is.
    fn end(&mut self) -> bool {
        loop {
            let now = Instant::now();
            let next = self.durability.next();
            self.step(now, Writer::step);
            if self.durability.durable() >= next {
                // Told from a torn end at the next start, which this need not succeed for.
                let _ = self.writer.mark();
                return true;
            }
            if matches!(self.durability.log_state(), LogState::Full | LogState::Failed) {
                return false;
            }
        }
    }
}

/// Makes a panic of the thread a failure of the log: nobody else would tell those who wait.
struct FailsByPanic(Arc<Durability>);

impl Drop for FailsByPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!(
                "the journal's thread panicked: nothing more is acknowledged, and no ad is shown"
            );
            self.0.set_log_state(LogState::Failed);
            self.0.progressed();
        }
    }
}

impl Running {
    /// Ends the thread once everything that was published is durable; whether it is. To be called when nothing is published any
    /// more.
    pub(super) fn stop(self) -> bool {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread.join().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests;
