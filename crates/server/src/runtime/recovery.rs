//! How far the start is: both listeners are open while the log is read, and answer nothing but whether the server lives.

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether what was kept is read, and how far.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    /// Read by each loop in each round.
    is_under_way: AtomicBool,
    progress: Mutex<Progress>,
}

/// How far reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// What is read: the snapshot, the log.
    pub(crate) phase: &'static str,
    /// Bytes read of it.
    pub(crate) bytes: u64,
    /// Bytes of it in all; 0 while that is not known.
    pub(crate) of_bytes: u64,
    /// Customers or records so far.
    pub(crate) records: u64,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, bytes, of_bytes, records } = self;
        if phase.is_empty() {
            return f.write_str("nothing is read yet");
        }
        let percent = bytes.saturating_mul(100).checked_div(*of_bytes).unwrap_or(0).min(100);
        write!(f, "{percent} % of the {phase} is read, {records} records")
    }
}

impl Recovery {
    /// From now on it is under way.
    pub(crate) fn begin(&self) {
        self.is_under_way.store(true, Ordering::Release);
    }

    /// What was kept is read.
    pub(crate) fn end(&self) {
        self.is_under_way.store(false, Ordering::Release);
    }

    /// Whether requests have to wait for it.
    #[inline]
    pub(crate) fn is_under_way(&self) -> bool {
        self.is_under_way.load(Ordering::Acquire)
    }

    /// Notes how far it is.
    pub(crate) fn note(&self, progress: Progress) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> Progress {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_percent_also_where_the_whole_is_not_known() {
        let of = |bytes, of_bytes| Progress { phase: "log", bytes, of_bytes, records: 7 }.to_string();
        assert_eq!(of(30, 120), "25 % of the log is read, 7 records");
        assert_eq!(of(130, 120), "100 % of the log is read, 7 records");
        assert_eq!(of(130, 0), "0 % of the log is read, 7 records");
        assert_eq!(Progress::default().to_string(), "nothing is read yet");
    }
}
