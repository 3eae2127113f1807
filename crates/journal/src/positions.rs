//! The counters that all threads see, and the units whose records count together or not at all.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::lane::LaneWriter;
use crate::record::COMMIT;

/// The most units that are begun and not durable, or not known to be abandoned: their numbers must differ.
const MOST_UNITS: u64 = 1 << 15;

/// A cache line of its own, and the one that is fetched with it: what one thread writes does not slow who reads another.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicU64);

#[derive(Debug, Default)]
struct Shared {
    next: Line,
    durable: Line,
    /// Units that were begun.
    begun: Line,
    /// Units that the journal's thread need not think of any longer.
    passed: AtomicU64,
    /// A panic broke a unit off: part of it is applied, and the log must not go on as if it were whole or not there.
    broken: AtomicBool,
    /// Whether there is something in `abandoned`: the journal's thread looks at this alone in every step.
    any_abandoned: AtomicBool,
    /// The numbers of units that were dropped without a commit.
    abandoned: Mutex<Vec<u16>>,
}

/// The counters that all threads see. Clones are the same counters.
#[derive(Debug, Clone)]
pub struct Positions(Arc<Shared>);

impl Positions {
    /// Counters of a log whose next position is `next`, and in which nothing is durable yet.
    pub(crate) fn starting_at(next: u64) -> Self {
        let shared = Shared::default();
        shared.next.0.store(next, Ordering::Relaxed);
        Self(Arc::new(shared))
    }

    /// The position that will be taken next. Whoever waits until everything below is durable waits for all that it has seen.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.0.next.0.load(Ordering::Acquire)
    }

    /// Every record at a position below is durable, and so is every unit of which one has such a position.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.0.durable.0.load(Ordering::Acquire)
    }

    /// Begins a unit: records that are recovered together or not at all. Until its commit is durable, nothing at or above
    /// the position of its first record is said to be durable, records of others included.
    ///
    /// `None` while 32,768 units wait for the disk: a temporary refusal.
    #[must_use]
    pub fn begin_unit(&self) -> Option<Unit> {
        let shared = &self.0;
        let passed = shared.passed.load(Ordering::Acquire);
        let next = |begun: u64| (begun.saturating_sub(passed) < MOST_UNITS).then_some(begun + 1);
        let begun = shared.begun.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next).ok()?;
        // 1 to 65,535: 0 is a record by itself.
        let number = (begun % u64::from(u16::MAX)) as u16 + 1;
        Some(Unit { positions: self.clone(), number, committed: false })
    }

    pub(crate) fn take(&self) -> u64 {
        self.0.next.0.fetch_add(1, Ordering::AcqRel)
    }

    /// A position that is not above the one that this thread takes next.
    pub(crate) fn next_at_least(&self) -> u64 {
        self.0.next.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set_durable(&self, watermark: u64) {
        self.0.durable.0.store(watermark, Ordering::Release);
    }

    pub(crate) fn pass_units(&self, count: u64) {
        self.0.passed.fetch_add(count, Ordering::Release);
    }

    /// Whether a panic broke a unit off.
    pub(crate) fn broken(&self) -> bool {
        self.0.broken.load(Ordering::Acquire)
    }

    /// Takes up to `most` numbers of units that were dropped without a commit. Their records are published.
    pub(crate) fn abandoned(&self, most: usize) -> Vec<u16> {
        if !self.0.any_abandoned.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut numbers = self.0.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
        let some = most.min(numbers.len());
        let taken = numbers.drain(..some).collect();
        self.0.any_abandoned.store(!numbers.is_empty(), Ordering::Release);
        taken
    }
}

/// A unit that is being published. Dropped without [`Unit::commit`], it is abandoned: none of its records is recovered, so
/// nothing of it may be in what the records are recovered to. Dropped by a panic, it is broken off: the log fails.
#[derive(Debug)]
#[must_use = "a unit that is dropped is abandoned"]
pub struct Unit {
    positions: Positions,
    number: u16,
    committed: bool,
}

impl Unit {
    /// What its records are published with; never 0.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Gives the unit up although part of it is applied: the log fails, so that nothing is acknowledged that relies on what no
    /// record will hold.
    pub fn break_off(mut self) {
        // Neither closed nor abandoned: the watermark stays below its first record.
        self.committed = true;
        self.positions.0.broken.store(true, Ordering::Release);
    }

    /// Publishes the record that completes the unit, and returns its position. It needs the room of a record without
    /// payload, to be asked with that of the unit's last records, and is published after all others of the unit.
    ///
    /// # Panics
    /// There is no room.
    pub fn commit(mut self, lane: &mut LaneWriter) -> u64 {
        let position = lane.publish(COMMIT, self.number, 0, |_| {});
        self.committed = true;
        position
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let shared = &self.positions.0;
        if !self.committed && std::thread::panicking() {
            shared.broken.store(true, Ordering::Release);
        } else if !self.committed {
            let mut numbers = shared.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
            numbers.push(self.number);
            shared.any_abandoned.store(true, Ordering::Release);
        }
    }
}
