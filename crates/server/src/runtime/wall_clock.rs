//! Whether the wall clock may be believed where something is deleted for its age.
//!
//! A wall clock that leaps a year ahead makes every customer idle and all history old, and what is deleted then is gone though the
//! clock be set right a minute later. So a monotonic clock is read beside it. After a leap of more than an hour against that, ahead or
//! back, or where a start finds another time than the data directory lets expect, nothing is deleted for its age until the clock is
//! back, or events of several customers are dated near the new time, or a day has passed. Everything else goes on by the wall clock.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use upbeat_core::event::{DAY_MS, HOUR_MS};

/// Smaller steps are those of a clock that is set right now and then.
const LEAP_MS: i64 = HOUR_MS;

/// So long a clock is in doubt that neither goes back nor is confirmed.
const DOUBT_MS: i64 = DAY_MS;

/// So many customers confirm the new time.
const CONFIRMING: usize = 3;

/// What the file is called in the data directory that says what time was expected while the clock is in doubt: a start within that
/// time must not take what was written under the new time for a confirmation.
const FILE: &str = "clock";

/// An instant by both clocks, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instant {
    /// Since 1970.
    pub(super) wall_ms: i64,
    /// Since some fixed instant, the time in which the machine slept included.
    pub(super) monotonic_ms: i64,
}

impl Instant {
    fn offset_ms(self) -> i64 {
        self.wall_ms - self.monotonic_ms
    }
}

/// What has become of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is in doubt from now on: it is so far from what was expected, in milliseconds.
    Doubted {
        /// Above 0 where it is ahead.
        ahead_ms: i64,
    },
    /// It is believed again.
    Believed(Because),
}

/// Why a clock is believed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Because {
    /// It is where it was expected.
    Back,
    /// Customers' events are dated near the new time.
    Confirmed,
    /// A day has passed.
    Time,
}

/// Since when and why a clock is in doubt.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    /// The wall clock less the monotonic one as of now: another leap begins the day again.
    offset_ms: i64,
    since_monotonic_ms: i64,
    /// The time that the clock leapt to.
    leapt_to_ms: i64,
    /// Whether that is later than what was expected.
    is_ahead: bool,
    /// It is back where the wall clock less the monotonic one is within these.
    back: (i64, i64),
    /// Customers with events near the new time, when they were counted first.
    counted: Option<usize>,
}

#[derive(Debug)]
struct State {
    /// The wall clock less the monotonic one as it was believed last.
    offset_ms: i64,
    doubt: Option<Doubt>,
    file: Option<PathBuf>,
}

/// The doubt in the wall clock.
#[derive(Debug)]
pub(super) struct ClockGuard(Mutex<State>);

impl ClockGuard {
    /// The clocks are believed as they are now.
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(State { offset_ms: now.offset_ms(), doubt: None, file: None }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is to be deleted for its age.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.state().doubt.is_some()
    }

    /// Events dated from here on, in Unix milliseconds, are near the new time; `None` without a doubt. None is near that of a clock
    /// that went back, since all are dated later.
    pub(super) fn near_ms(&self) -> Option<i64> {
        let doubt = self.state().doubt?;
        Some(if doubt.is_ahead { doubt.leapt_to_ms - LEAP_MS } else { i64::MAX })
    }

    /// Looks at the clocks.
    pub(super) fn look(&self, now: Instant) -> Option<Change> {
        let mut state = self.state();
        let offset_ms = now.offset_ms();
        let Some(doubt) = &mut state.doubt else {
            let ahead_ms = offset_ms - state.offset_ms;
            if ahead_ms.abs() <= LEAP_MS {
                state.offset_ms = offset_ms;
                return None;
            }
            let expected = offset_ms - ahead_ms;
            return Some(state.doubt(now, ahead_ms, (expected - LEAP_MS, expected + LEAP_MS)));
        };
        if (doubt.back.0..=doubt.back.1).contains(&offset_ms) {
            return Some(state.believe(now, Because::Back));
        }
        if (offset_ms - doubt.offset_ms).abs() > LEAP_MS {
            (doubt.since_monotonic_ms, doubt.leapt_to_ms) = (now.monotonic_ms, now.wall_ms);
            doubt.is_ahead = offset_ms > doubt.back.1;
            doubt.counted = None;
        }
        doubt.offset_ms = offset_ms;
        if now.monotonic_ms - doubt.since_monotonic_ms >= DOUBT_MS {
            return Some(state.believe(now, Because::Time));
        }
        None
    }

    /// Looks at the clocks at a start. `newest_ms` is the newest time that the data directory knows, and `longest_ms` how long a server
    /// may have been stopped without a doubt; the directory lies at `directory`.
    pub(super) fn look_at_start(
        &self,
        now: Instant,
        newest_ms: Option<i64>,
        longest_ms: i64,
        directory: Option<PathBuf>,
    ) -> Option<Change> {
        let mut state = self.state();
        state.file = directory.map(|directory| directory.join(FILE));
        // Written while the clock was in doubt: it was this time at least, and what is newer was written under the other.
        let expected =
            state.file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok());
        let newest_ms = expected.or(newest_ms)?;
        let (least, most) = (newest_ms - LEAP_MS, newest_ms.saturating_add(longest_ms));
        if (least..=most).contains(&now.wall_ms) {
            state.forget();
            return None;
        }
        let ahead_ms = now.wall_ms - newest_ms;
        let back = (least - now.monotonic_ms, most - now.monotonic_ms);
        Some(state.doubt(now, ahead_ms, back))
    }

    /// Takes note of how many customers have events near the new time.
    pub(super) fn count(&self, now: Instant, customers: usize) -> Option<Change> {
        let mut state = self.state();
        let doubt = state.doubt.as_mut()?;
        let first = *doubt.counted.get_or_insert(customers);
        let is_confirmed = customers >= first.saturating_add(CONFIRMING);
        is_confirmed.then(|| state.believe(now, Because::Confirmed))
    }
}

impl State {
    fn doubt(&mut self, now: Instant, ahead_ms: i64, back: (i64, i64)) -> Change {
        let offset_ms = now.offset_ms();
        let since_monotonic_ms = now.monotonic_ms;
        self.doubt = Some(Doubt {
            offset_ms,
            since_monotonic_ms,
            leapt_to_ms: now.wall_ms,
            is_ahead: ahead_ms > 0,
            back,
            counted: None,
        });
        if let Some(file) = &self.file {
            // Without it a start under the new time might believe it. It says the time that was expected.
            let _ = std::fs::write(file, format!("{}\n", now.wall_ms - ahead_ms));
        }
        Change::Doubted { ahead_ms }
    }

    fn believe(&mut self, now: Instant, because: Because) -> Change {
        (self.doubt, self.offset_ms) = (None, now.offset_ms());
        self.forget();
        Change::Believed(because)
    }

    fn forget(&self) {
        if let Some(file) = &self.file {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// A clock that nobody sets, in milliseconds; on Linux it goes on while the machine sleeps.
pub(super) fn monotonic_ms() -> i64 {
    #[cfg(target_os = "linux")]
    const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a value of the type that the call fills in.
    unsafe { libc::clock_gettime(CLOCK, &raw mut time) };
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

#[cfg(test)]
mod tests;
