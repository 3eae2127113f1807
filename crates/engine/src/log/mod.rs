//! The log as the engine sees it: where changes are published under the lock of what they change.
//!
//! An engine has a log or none. With one, every change of a customer and of the catalogue takes a position and publishes a
//! record within the closure that makes it; room for the record is asked before, and where there is none the change is refused.
//! Duplicates publish nothing. A decision that shows nothing is published where there is room, and answered in any case.

mod campaigns;
mod decided;
mod entry;
mod lease;
mod parts;
mod payload;
mod refusal;
mod unit;
mod unshown;

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use upbeat_journal::{LaneWriter, Positions};

use crate::striped::{Padded, own_stripe};
use crate::{Engine, ModelId};

pub(crate) use campaigns::{decode_campaigns, decode_version, put_campaigns, put_version};
pub use decided::{Coins, Facts};
pub use entry::{Answered, Entry, Started};
pub(crate) use entry::{customer_of, subject};
pub(crate) use parts::{
    decode_answer, decode_started, decode_tombstone, decode_track, encode_answer, encode_started,
    encode_track, put_tombstone,
};
pub(crate) use payload::{MOST_GROWTH, Payload, kind};
pub use refusal::LogRefusal;
pub(crate) use refusal::LogRefusals;
pub(crate) use unit::OpenUnit;

/// What the log takes at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum LogState {
    /// There is no log: everything is taken, and nothing is kept.
    #[default]
    Off,
    /// Events and shows.
    Accepting,
    /// Shows and erasures only: the disk is full, and a reserve is left for them.
    Reserve,
    /// Nothing: the disk is full. It heals by itself.
    Full,
    /// Nothing, for good: what is on the disk is unknown.
    Failed,
}

impl LogState {
    const ALL: [Self; 5] = [Self::Off, Self::Accepting, Self::Reserve, Self::Full, Self::Failed];
}

/// What asks for room in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// An event, a track or an eviction.
    Change,
    /// An erasure: whoever asks for one must not wait for a larger disk, and it takes a few bytes and frees memory.
    Erasure,
    /// An ad that is shown.
    Show,
    /// What has begun and cannot be taken back: the rest of an atomic body.
    Rest,
    /// A decision that showed nothing. Half of a lane is left to what is refused where there is no room for it.
    Decision,
}

/// The log of an engine.
pub(crate) struct Log {
    state: AtomicU8,
    positions: Positions,
    /// The first is shared by the threads without a stripe of their own; the others are dealt to those with one.
    ///
    /// Locked after the lock of what a record changes, and only while it changes.
    lanes: Box<[Padded<Mutex<LaneWriter>>]>,
    leased: lease::Leased,
    /// What a show waits for becomes durable below this position.
    wanted: AtomicU64,
    refusals: LogRefusals,
    /// The kinds of records by their positions, but for the ends of units.
    #[cfg(test)]
    pub(crate) kinds: Mutex<std::collections::BTreeMap<u64, u16>>,
}

impl Log {
    /// # Panics
    /// There is no lane.
    pub(crate) fn new(lanes: Vec<LaneWriter>, positions: Positions) -> Self {
        assert!(!lanes.is_empty(), "a log has a lane");
        Self {
            state: AtomicU8::new(LogState::Accepting as u8),
            positions,
            lanes: lanes.into_iter().map(|lane| Padded(Mutex::new(lane))).collect(),
            leased: lease::Leased::default(),
            wanted: AtomicU64::new(0),
            refusals: LogRefusals::default(),
            #[cfg(test)]
            kinds: Mutex::default(),
        }
    }

    /// The position that is taken next.
    pub(crate) fn next_position(&self) -> u64 {
        self.positions.next()
    }

    /// Everything below is durable.
    pub(crate) fn durable(&self) -> u64 {
        self.positions.durable()
    }

    /// Whether all that was published is durable.
    pub(crate) fn is_durable(&self) -> bool {
        self.positions.durable() >= self.positions.next()
    }

    /// Shows wait for all that was published until now.
    pub(crate) fn want_durable(&self) {
        self.wanted.fetch_max(self.next_position(), Ordering::Relaxed);
    }

    pub(crate) fn state(&self) -> LogState {
        LogState::ALL[usize::from(self.state.load(Ordering::Relaxed))]
    }

    fn set_state(&self, state: LogState) {
        let kept = LogState::Failed as u8;
        // Nothing follows a failure.
        let _ = self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
            (now != kept && state != LogState::Off).then_some(state as u8)
        });
    }

    /// The most bytes of one record.
    pub(crate) fn most_payload(&self) -> usize {
        self.lanes[0].0.lock().unwrap_or_else(PoisonError::into_inner).most_payload()
    }

    /// Whether the state allows it; room is another question.
    pub(crate) fn takes(&self, by: Use) -> bool {
        match self.state() {
            LogState::Off | LogState::Accepting => true,
            LogState::Reserve => !matches!(by, Use::Change | Use::Decision),
            LogState::Full => by == Use::Rest,
            LogState::Failed => false,
        }
    }

    /// Room for so many records with so many bytes in all, in the calling thread's lane, which stays locked until it is used
    /// or dropped. `None` if there is none, or the state does not allow it.
    pub(crate) fn room(&self, by: Use, records: usize, bytes: usize) -> Option<Room<'_>> {
        if !self.takes(by) {
            self.count_refusal(by);
            return None;
        }
        let others = self.lanes.len() - 1;
        let lane = match own_stripe() {
            Some(stripe) if others > 0 => 1 + stripe % others,
            _ => 0,
        };
        let mut lane = self.lanes[lane].0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = if by == Use::Decision { lane.most_payload() / 2 } else { 0 };
        let fits = bytes <= lane.most_payload() && lane.has_room(records, bytes + left);
        if !fits {
            self.count_refusal(by);
            return None;
        }
        Some(Room { log: self, lane })
    }

    /// Counts that something is refused now. The rest of an atomic body is not: it waits; and a decision that shows nothing is
    /// answered all the same.
    #[cold]
    pub(crate) fn count_refusal(&self, by: Use) {
        if !matches!(by, Use::Rest | Use::Decision) {
            self.refusals.count(LogRefusal::of(self.state()));
        }
    }
}

/// Room in a lane that was asked for.
pub(crate) struct Room<'a> {
    log: &'a Log,
    lane: MutexGuard<'a, LaneWriter>,
}

impl Room<'_> {
    /// Publishes a record; the lock of what it changes must be held. `unit` is 0 for one by itself.
    #[inline]
    pub(crate) fn publish(&mut self, payload: &Payload, unit: u16) -> u64 {
        let bytes = payload.bytes();
        self.publish_bytes(payload.kind(), unit, bytes.len(), |into| into.copy_from_slice(bytes))
    }

    /// The same of a record of this kind and length that `write` writes where it stays.
    #[inline]
    pub(crate) fn publish_bytes(
        &mut self,
        kind: u16,
        unit: u16,
        length: usize,
        write: impl FnOnce(&mut [u8]),
    ) -> u64 {
        let position = self.lane.publish(kind, unit, length, write);
        #[cfg(test)]
        self.log.kinds.lock().unwrap_or_else(PoisonError::into_inner).insert(position, kind);
        position
    }
}

/// A panic between a change and its record leaves a change that is in no record: the log must not go on as if there were none.
impl Drop for Room<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.log.set_state(LogState::Failed);
        }
    }
}

impl Engine {
    /// Notes in the log which model decides from now on. Nothing is lost with it, so nothing waits for room.
    pub(crate) fn log_promotion(&self, model: ModelId) {
        let payload = Payload::of_promotion(model);
        if let Some(mut room) = self.log.get().and_then(|log| log.room(Use::Change, 1, payload.bytes().len()))
        {
            room.publish(&payload, 0);
        }
    }

    /// What must be durable before an answer tells of anything that the engine has done or seen up to now: the answer waits
    /// until [`Engine::durable`] is at least this. 0 without a log, and `u64::MAX` once the log has failed.
    #[must_use]
    pub fn barrier(&self) -> u64 {
        self.log.get().map_or(0, |log| match log.state() {
            LogState::Failed => u64::MAX,
            _ => log.positions.next(),
        })
    }

    /// Everything below is durable; 0 without a log.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.log.get().map_or(0, |log| log.positions.durable())
    }

    /// Whether shows are held back until what was published is durable: whoever writes the log does so at once.
    #[must_use]
    pub fn is_log_wanted(&self) -> bool {
        self.log.get().is_some_and(|log| log.durable() < log.wanted.load(Ordering::Relaxed))
    }

    /// What the log takes at the moment.
    #[must_use]
    pub fn log_state(&self) -> LogState {
        self.log.get().map_or(LogState::Off, |log| log.state())
    }

    /// Says how the disk is. Without a log nothing changes, and neither does it after [`LogState::Failed`], or to
    /// [`LogState::Off`].
    pub fn set_log_state(&self, state: LogState) {
        if let Some(log) = self.log.get() {
            log.set_state(state);
        }
    }
}
