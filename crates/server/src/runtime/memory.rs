//! The memory of answers that their clients have not taken: one budget for all connections of both listeners.

use std::sync::Arc;

use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;

/// Counts the bytes of answers that are held, and bounds them.
#[derive(Debug)]
pub(crate) struct ResponseMemory {
    /// The metric is the count itself, so that both always agree.
    held: Gauge,
    limit: i64,
}

/// A share of the budget, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct ResponsePermit {
    memory: Arc<ResponseMemory>,
    bytes: i64,
}

impl ResponseMemory {
    /// A budget of `limit` bytes; `held` shows how many are taken.
    pub(super) fn new(limit: usize, held: Gauge) -> Self {
        Self { held, limit: i64::try_from(limit).unwrap_or(i64::MAX) }
    }

    /// A share of so many bytes; `None` where less is left. An answer that is larger than the whole budget is let
    /// through while no other is held: it would never be otherwise.
    pub(crate) fn try_take(self: &Arc<Self>, bytes: usize) -> Option<ResponsePermit> {
        self.try_take_within(bytes, self.limit)
    }

    /// The same for the admin listener: it has a little room of its own, so that metrics can be read while clients of
    /// the data listener fill the budget.
    pub(crate) fn try_take_for_admin(self: &Arc<Self>, bytes: usize) -> Option<ResponsePermit> {
        /// Some hundred answers to `GET /metrics`.
        const RESERVE_BYTES: i64 = 4 << 20;
        self.try_take_within(bytes, self.limit.saturating_add(RESERVE_BYTES))
    }

    fn try_take_within(self: &Arc<Self>, bytes: usize, limit: i64) -> Option<ResponsePermit> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX).min(self.limit);
        let taken = ResponsePermit { memory: Arc::clone(self), bytes };
        // A share that is not given out is dropped here, and gives its bytes back.
        (self.held.inc_by(bytes).saturating_add(bytes) <= limit).then_some(taken)
    }

    /// A share for an answer that exists already. What is worked on at once bounds by how much this can exceed the
    /// budget, since work begins only once there is room for its answer.
    pub(crate) fn take_for_existing(self: &Arc<Self>, bytes: usize) -> ResponsePermit {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.held.inc_by(bytes);
        ResponsePermit { memory: Arc::clone(self), bytes }
    }
}

impl ResponsePermit {
    /// The same bytes, which hold this share until the last handle on them is dropped.
    pub(crate) fn hold(self, bytes: Bytes) -> Bytes {
        struct Held {
            bytes: Bytes,
            _permit: ResponsePermit,
        }
        impl AsRef<[u8]> for Held {
            fn as_ref(&self) -> &[u8] {
                &self.bytes
            }
        }
        Bytes::from_owner(Held { bytes, _permit: self })
    }
}

impl Drop for ResponsePermit {
    fn drop(&mut self) {
        self.memory.held.dec_by(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_hold_their_share_until_their_last_byte_is_dropped() {
        let held = Gauge::default();
        let memory = Arc::new(ResponseMemory::new(100, held.clone()));
        let permit = memory.try_take(60).expect("room");
        assert!(memory.try_take(41).is_none());
        assert_eq!(held.get(), 60, "what was refused is not counted");
        let bytes = permit.hold(Bytes::from_static(b"answer"));
        let part = bytes.slice(2..4);
        drop(bytes);
        assert_eq!((&part[..], held.get()), (&b"sw"[..], 60));
        drop(part);
        assert_eq!(held.get(), 0);
    }

    #[test]
    fn answer_larger_than_the_budget_passes_alone() {
        let memory = Arc::new(ResponseMemory::new(100, Gauge::default()));
        let large = memory.try_take(1000).expect("nothing else is held");
        assert!(memory.try_take(1).is_none());
        assert!(memory.try_take_for_admin(50).is_some(), "metrics can still be read");
        drop(large);
        assert!(memory.try_take(1).is_some());
    }
}
