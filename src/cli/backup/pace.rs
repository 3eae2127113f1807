//! Reading no faster than asked.

use std::time::{Duration, Instant};

/// Waits so that no more than so many bytes are read in a second.
pub(super) struct Pace {
    bytes_per_s: u64,
    /// The bytes so far are due then.
    due: Instant,
}

impl Pace {
    pub(super) fn new(bytes_per_s: u64) -> Self {
        Self { bytes_per_s: bytes_per_s.max(1), due: Instant::now() }
    }

    /// Notes that so many bytes were read, and waits until more are due. A pause that something else made is not caught up with.
    pub(super) fn wait(&mut self, bytes: u64) {
        let now = Instant::now();
        self.due =
            self.due.max(now) + Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / self.bytes_per_s);
        // A short sleep costs more than it is worth.
        if self.due > now + Duration::from_millis(2) {
            std::thread::sleep(self.due - now);
        }
    }
}
