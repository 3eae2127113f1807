//! What those who wait for the log, and the thread that writes it, ask of it.

use upbeat_engine::{Engine, LogState};

/// What is asked of the log.
pub(crate) trait Log: Send + Sync {
    /// The position that is taken next; 0 where there is no log, and [`FAILED`] where it has failed.
    fn next(&self) -> u64;

    /// Every record at a position below is durable.
    fn durable(&self) -> u64;

    /// Whether it takes records.
    fn state(&self) -> LogState;

    /// Has it take records or not from now on.
    fn set_state(&self, state: LogState);

    /// Whether it has hardly any room.
    fn is_backed_up(&self) -> bool;

    /// Whether ads are held back until what was published is durable.
    fn is_wanted(&self) -> bool {
        false
    }
}

impl Log for Engine {
    fn next(&self) -> u64 {
        self.barrier()
    }

    fn durable(&self) -> u64 {
        Self::durable(self)
    }

    fn state(&self) -> LogState {
        self.log_state()
    }

    fn set_state(&self, state: LogState) {
        self.set_log_state(state);
    }

    fn is_backed_up(&self) -> bool {
        self.is_log_backed_up()
    }

    fn is_wanted(&self) -> bool {
        self.is_log_wanted()
    }
}
