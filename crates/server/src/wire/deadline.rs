//! How long a client may leave its answers waiting: the same on both listeners.

use std::time::{Duration, Instant};

use crate::metrics::CutCause;

/// A client that takes fewer bytes a second than this holds an answer for longer than it may. Backends and proxies take
/// thousands of times as many.
const SLOWEST_READ_BYTES_PER_S: usize = 8 << 10;

/// Since when a socket takes no more, or not all. It is kept only while answers wait for the socket, so that clients
/// which read cost no clock.
#[derive(Debug)]
pub(crate) struct WriteDeadline {
    since: Instant,
    /// When the socket last took a byte.
    progress: Instant,
    /// In how much time the slowest reader takes all bytes.
    longest: Duration,
}

impl WriteDeadline {
    /// From now on, for so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        let now = Instant::now();
        let longest = Duration::from_secs((bytes / SLOWEST_READ_BYTES_PER_S) as u64);
        Self { since: now, progress: now, longest }
    }

    /// The socket took some bytes.
    pub(crate) fn progressed(&mut self) {
        self.progress = Instant::now();
    }

    /// When the client is given up, and for what: it took nothing for `timeout`, or not all within the time of the
    /// slowest reader and `timeout`.
    pub(crate) fn due(&self, timeout: Duration) -> (Instant, CutCause) {
        let (stalled, slow) = (self.progress + timeout, self.since + self.longest + timeout);
        if stalled <= slow { (stalled, CutCause::Stalled) } else { (slow, CutCause::Slow) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_is_given_up_when_it_takes_nothing_and_when_it_takes_too_little() {
        let timeout = Duration::from_secs(30);
        let mut deadline = WriteDeadline::new(100 * SLOWEST_READ_BYTES_PER_S);
        let since = deadline.since;
        assert_eq!(deadline.due(timeout), (since + timeout, CutCause::Stalled));
        // A byte now and then puts off the first limit, and never the second.
        for seconds in [29, 58, 87, 100] {
            deadline.progress = since + Duration::from_secs(seconds);
            assert_eq!(deadline.due(timeout), (deadline.progress + timeout, CutCause::Stalled));
        }
        for seconds in [101, 115, 129] {
            deadline.progress = since + Duration::from_secs(seconds);
            assert_eq!(deadline.due(timeout), (since + Duration::from_secs(130), CutCause::Slow));
        }
    }
}
