//! Whether a stop writes a last snapshot: where the next start reads much less by it, and where it fits the time that is left.

use std::time::Duration;

/// A log that is shorter is read faster than a snapshot is opened.
const WORTH_BYTES: u64 = 1 << 20;

/// About the rate at which a start reads the log, in bytes a second: four million records a second of some 60 bytes, measured
/// on two busy cores.
const READ_RATE: u64 = 256 << 20;

/// The rate at which a snapshot is taken to be written and read back before one tells the disk's, in bytes a second: half of what
/// a disk of a virtual machine gave.
const WRITE_RATE: u64 = 64 << 20;

/// A snapshot is written, and read back.
const PASSES: u64 = 2;

/// How fast the disk is says only what was written for so long at least.
const JUDGED_AFTER: Duration = Duration::from_millis(200);

/// A last snapshot that could be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Last {
    /// Bytes of the log that the next start reads without it.
    pub(super) log_bytes: u64,
    /// About how large it would be, in bytes.
    pub(super) bytes: u64,
    /// Bytes a second at which the one before was written and read back, if there was one.
    pub(super) rate: Option<u64>,
    /// The time that there is.
    pub(super) time: Duration,
    /// Whether somebody waits for the next process: then it has to save more time than it takes.
    pub(super) is_awaited: bool,
}

impl Last {
    /// Why it is not to be begun; `None` where it is.
    pub(super) fn reason_against(&self) -> Option<&'static str> {
        if self.log_bytes < WORTH_BYTES {
            return Some("the next start has little of the log to read");
        }
        if self.time.is_zero() {
            return Some("the deadline of the stop is over");
        }
        let takes = self.rate.map(|rate| time_for(PASSES * self.bytes, rate));
        if takes.is_some_and(|takes| takes > self.time) {
            return Some(
                "at the rate of the one before it would take longer than is left of shutdown.deadline",
            );
        }
        let takes = takes.unwrap_or_else(|| time_for(PASSES * self.bytes, WRITE_RATE));
        if self.is_awaited && takes > time_for(self.log_bytes, READ_RATE) {
            return Some("connections wait for the next process, and it reads the log in less time");
        }
        None
    }

    /// Whether it may still fit where so many bytes were written after `elapsed`.
    pub(super) fn may_fit(&self, bytes: u64, elapsed: Duration) -> bool {
        if elapsed < JUDGED_AFTER || bytes >= self.bytes {
            return elapsed < self.time;
        }
        elapsed.as_secs_f64() * self.bytes as f64 <= self.time.as_secs_f64() * bytes as f64
    }
}

/// The time that so many bytes take at so many a second.
fn time_for(bytes: u64, rate: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// 100 MiB of log, a snapshot of 50 MiB, and a disk that writes and reads it in a second.
    fn good() -> Last {
        let time = Duration::from_secs(10);
        Last { log_bytes: 100 * MIB, bytes: 50 * MIB, rate: Some(100 * MIB), time, is_awaited: false }
    }

    #[test]
    fn last_snapshot_is_begun_where_it_saves_something_and_fits_the_time() {
        assert_eq!(good().reason_against(), None);
        assert!(Last { log_bytes: MIB - 1, ..good() }.reason_against().is_some());
        assert!(Last { time: Duration::ZERO, ..good() }.reason_against().is_some());
        assert!(Last { time: Duration::from_millis(900), ..good() }.reason_against().is_some());
        assert!(Last { time: Duration::from_millis(1100), ..good() }.reason_against().is_none());
        assert!(Last { bytes: 600 * MIB, ..good() }.reason_against().is_some());
        assert!(Last { bytes: 600 * MIB, rate: None, ..good() }.reason_against().is_none(), "it is tried");
    }

    #[test]
    fn where_connections_wait_it_takes_less_time_than_reading_the_log() {
        // The log is read in 0.39 s.
        let awaited = Last { is_awaited: true, ..good() };
        assert!(awaited.reason_against().is_some());
        assert!(Last { bytes: 20 * MIB, ..awaited }.reason_against().is_some());
        assert_eq!(Last { bytes: 19 * MIB, ..awaited }.reason_against(), None);
        assert!(Last { rate: None, bytes: 12 * MIB, ..awaited }.reason_against().is_none());
        assert!(Last { rate: None, bytes: 13 * MIB, ..awaited }.reason_against().is_some());
    }

    #[test]
    fn one_that_is_too_slow_is_given_up_before_the_deadline() {
        let (ms, last) = (Duration::from_millis, good());
        assert!(last.may_fit(0, ms(100)), "too early to say");
        assert!(!last.may_fit(0, ms(300)));
        assert!(last.may_fit(5 * MIB, ms(1000)));
        assert!(!last.may_fit(4 * MIB, ms(1000)));
        assert!(last.may_fit(80 * MIB, ms(9900)), "it is read back");
        assert!(!last.may_fit(80 * MIB, ms(10_000)));
    }
}
