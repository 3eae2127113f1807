//! *Now* when history is replayed: the time of the newest event, which no single customer can push far ahead in one step.
//!
//! One row with a wrong date must not age everyone: windows would be empty, and the next sweep would forget every customer.
//! To refuse it would make profiles depend on the order of arrival, so the event is kept, and only the clock is careful:
//!
//! - A step of at most the window's days moves the clock at once.
//! - A jump further ahead waits until an event of another customer, within the window's days of it, confirms it.
//! - The first event starts the clock, but nothing has confirmed it. Until an event of another customer comes within the
//!   window's days of it, one that is more than these days older takes its place, and the first becomes a jump that waits.
//!   So a first row with a wrong date holds the clock only until somebody else is heard of.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use upbeat_core::encoding::{DecodeError, Decoder, put_varint};
use upbeat_core::event::{DAY_MS, Event, StableHash};
use upbeat_core::profile::Window;

use crate::Clock;

/// The most jumps that wait; the one that has waited longest makes room for another. Events of traffic that goes on
/// confirm each other within a few, so that what has waited for 64 others is a wrong date.
const MOST_WAITING: usize = 64;

/// An event as the clock sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// A keyed hash of the customer's id, so that the clock holds nothing about customers who were deleted.
    customer: u64,
    unix_ms: i64,
}

/// What the clock has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventClockStatus {
    /// The newest event that counts, in Unix milliseconds; `None` before the first.
    pub now_ms: Option<i64>,
    /// Events more than the window's days ahead that did not move the clock when they came.
    pub unconfirmed: u64,
    /// The time of the last of them, in Unix milliseconds; 0 if there was none.
    pub last_unconfirmed_ms: i64,
}

/// The clock of [`Clock::Event`]; with [`Clock::Wall`] no event moves it, and it only hands on what a directory holds of it.
pub(crate) struct EventClock {
    /// Whether it is *now*.
    used: bool,
    window_ms: i64,
    /// The key of the hashes of customers; kept with the log, so that it is the same when the clock is read back.
    key: AtomicU64,
    now_ms: AtomicI64,
    /// Whether two customers agree on the time; then most events need no more than this and `now_ms`.
    settled: AtomicBool,
    /// The earliest of `waiting`; `i64::MAX` if nothing waits.
    next_waiting_ms: AtomicI64,
    unconfirmed: AtomicU64,
    last_unconfirmed_ms: AtomicI64,
    doubts: Mutex<Doubts>,
}

/// What has to be confirmed.
#[derive(Debug, Default)]
struct Doubts {
    /// The earliest of the events that hold the clock until it is settled.
    first: Option<Sighting>,
    waiting: VecDeque<Sighting>,
}

impl EventClock {
    pub(crate) fn new(clock: Clock, window: Window) -> Self {
        Self {
            used: clock == Clock::Event,
            window_ms: i64::from(window.days) * DAY_MS,
            key: AtomicU64::new(foldhash::quality::RandomState::default().hash_one("key")),
            now_ms: AtomicI64::new(i64::MIN),
            settled: AtomicBool::new(false),
            next_waiting_ms: AtomicI64::new(i64::MAX),
            unconfirmed: AtomicU64::new(0),
            last_unconfirmed_ms: AtomicI64::new(0),
            doubts: Mutex::default(),
        }
    }

    /// The key of the hashes of customers.
    pub(crate) fn key(&self) -> u64 {
        self.key.load(Ordering::Relaxed)
    }

    /// Takes another key, before the first event or that of the events before.
    pub(crate) fn set_key(&self, key: u64) {
        self.key.store(key, Ordering::Relaxed);
    }

    /// *Now*, in Unix milliseconds; `None` before the first event, and always with [`Clock::Wall`], though the directory may
    /// hold what a former process with [`Clock::Event`] knew: that time stands still.
    pub(crate) fn now_ms(&self) -> Option<i64> {
        if !self.used {
            return None;
        }
        Some(self.now_ms.load(Ordering::Relaxed)).filter(|now_ms| *now_ms != i64::MIN)
    }

    pub(crate) fn status(&self) -> EventClockStatus {
        if !self.used {
            return EventClockStatus { now_ms: None, unconfirmed: 0, last_unconfirmed_ms: 0 };
        }
        EventClockStatus {
            now_ms: self.now_ms(),
            unconfirmed: self.unconfirmed.load(Ordering::Relaxed),
            last_unconfirmed_ms: self.last_unconfirmed_ms.load(Ordering::Relaxed),
        }
    }

    /// What [`EventClock::advance`] needs of an event; `None` if events do not move the clock.
    pub(crate) fn sighting(&self, event: &Event) -> Option<Sighting> {
        self.used.then(|| Sighting {
            customer: StableHash::with_key(self.key.load(Ordering::Relaxed))
                .id(event.customer.as_ref())
                .finish(),
            unix_ms: event.time.unix_ms,
        })
    }

    /// Appends what the clock knows.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        let doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        into.extend_from_slice(&self.key().to_le_bytes());
        into.push(self.settled.load(Ordering::Relaxed).into());
        for ms in [&self.now_ms, &self.last_unconfirmed_ms] {
            into.extend_from_slice(&ms.load(Ordering::Relaxed).to_le_bytes());
        }
        into.extend_from_slice(&self.unconfirmed.load(Ordering::Relaxed).to_le_bytes());
        into.push(doubts.first.is_some().into());
        put_varint(into, doubts.waiting.len() as u64);
        for Sighting { customer, unix_ms } in doubts.first.iter().chain(&doubts.waiting) {
            into.extend_from_slice(&customer.to_le_bytes());
            into.extend_from_slice(&unix_ms.to_le_bytes());
        }
    }

    /// Takes what [`EventClock::encode`] wrote.
    ///
    /// # Errors
    /// The bytes are none that it writes.
    pub(crate) fn restore(&self, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        let what = "the clock of events";
        self.set_key(from.u64(what)?);
        self.settled.store(from.flag(what)?, Ordering::Relaxed);
        for ms in [&self.now_ms, &self.last_unconfirmed_ms] {
            ms.store(from.u64(what)? as i64, Ordering::Relaxed);
        }
        self.unconfirmed.store(from.u64(what)?, Ordering::Relaxed);
        let (has_first, count) = (from.flag(what)?, from.count(MOST_WAITING, what)?);
        let mut sighting = || Ok(Sighting { customer: from.u64(what)?, unix_ms: from.u64(what)? as i64 });
        let first = if has_first { Some(sighting()?) } else { None };
        let waiting = (0..count).map(|_| sighting()).collect::<Result<VecDeque<_>, DecodeError>>()?;
        let next = waiting.iter().map(|waiting| waiting.unix_ms).min();
        self.next_waiting_ms.store(next.unwrap_or(i64::MAX), Ordering::Relaxed);
        *self.doubts.lock().unwrap_or_else(PoisonError::into_inner) = Doubts { first, waiting };
        Ok(())
    }

    /// Moves the clock for an event that was applied.
    pub(crate) fn advance(&self, event: Sighting) {
        let now_ms = self.now_ms.load(Ordering::Relaxed);
        if self.settled.load(Ordering::Relaxed) {
            if event.unix_ms <= now_ms {
                return;
            }
            let waiting_is_near =
                event.unix_ms >= self.reach_back(self.next_waiting_ms.load(Ordering::Relaxed));
            if event.unix_ms <= self.reach(now_ms) && !waiting_is_near {
                self.now_ms.fetch_max(event.unix_ms, Ordering::Relaxed);
                return;
            }
        }
        let mut doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        self.advance_in_doubt(&mut doubts, event);
        let next = doubts.waiting.iter().map(|waiting| waiting.unix_ms).min();
        self.next_waiting_ms.store(next.unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    fn advance_in_doubt(&self, doubts: &mut Doubts, event: Sighting) {
        let Some(now_ms) = self.now_ms() else {
            doubts.first = Some(event);
            self.now_ms.store(event.unix_ms, Ordering::Relaxed);
            return;
        };
        if event.unix_ms > self.reach(now_ms) {
            self.wait_or_jump(doubts, event);
            return;
        }
        if let Some(first) = doubts.first {
            let is_other = event.customer != first.customer;
            let is_near = event.unix_ms >= self.reach_back(first.unix_ms);
            match (is_other, is_near) {
                (true, true) => self.mark_settled(doubts),
                (true, false) => {
                    self.push(doubts, Sighting { unix_ms: now_ms, ..first });
                    doubts.first = Some(event);
                    self.now_ms.store(event.unix_ms, Ordering::Relaxed);
                    return;
                }
                (false, true) => {
                    doubts.first = Some(Sighting { unix_ms: first.unix_ms.min(event.unix_ms), ..first });
                }
                (false, false) => {}
            }
        }
        self.now_ms.fetch_max(event.unix_ms, Ordering::Relaxed);
        self.take_near(doubts);
    }

    /// Jumps to an event far ahead if another customer's confirms it; otherwise the event waits.
    fn wait_or_jump(&self, doubts: &mut Doubts, event: Sighting) {
        let confirms = |waiting: &&Sighting| {
            waiting.customer != event.customer
                && waiting.unix_ms.saturating_sub(event.unix_ms).saturating_abs() <= self.window_ms
        };
        let confirmed_ms = doubts.waiting.iter().filter(confirms).map(|waiting| waiting.unix_ms).max();
        match confirmed_ms {
            Some(confirmed_ms) => {
                self.now_ms.fetch_max(event.unix_ms.max(confirmed_ms), Ordering::Relaxed);
                self.mark_settled(doubts);
                self.take_near(doubts);
            }
            None => {
                self.unconfirmed.fetch_add(1, Ordering::Relaxed);
                self.last_unconfirmed_ms.store(event.unix_ms, Ordering::Relaxed);
                self.push(doubts, event);
            }
        }
    }

    /// Adds a jump that waits, unless one of the same customer stands for it.
    fn push(&self, doubts: &mut Doubts, event: Sighting) {
        let is_near = |waiting: &Sighting| {
            waiting.customer == event.customer
                && waiting.unix_ms.saturating_sub(event.unix_ms).saturating_abs() <= DAY_MS
        };
        if doubts.waiting.iter().any(is_near) {
            return;
        }
        if doubts.waiting.len() == MOST_WAITING {
            doubts.waiting.pop_front();
        }
        doubts.waiting.push_back(event);
    }

    fn mark_settled(&self, doubts: &mut Doubts) {
        doubts.first = None;
        self.settled.store(true, Ordering::Relaxed);
    }

    /// Takes the steps to events that wait and are no longer far ahead.
    fn take_near(&self, doubts: &mut Doubts) {
        loop {
            let now_ms = self.now_ms.load(Ordering::Relaxed);
            let near =
                doubts.waiting.iter().map(|waiting| waiting.unix_ms).find(|ms| *ms <= self.reach(now_ms));
            let Some(near_ms) = near else { return };
            self.now_ms.fetch_max(near_ms, Ordering::Relaxed);
            doubts.waiting.retain(|waiting| waiting.unix_ms != near_ms);
        }
    }

    /// The latest time to which the clock may step from `from_ms`.
    fn reach(&self, from_ms: i64) -> i64 {
        from_ms.saturating_add(self.window_ms)
    }

    /// The earliest time from which the clock may step to `to_ms`.
    fn reach_back(&self, to_ms: i64) -> i64 {
        to_ms.saturating_sub(self.window_ms)
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests;
