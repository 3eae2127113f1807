//! Why something was refused on account of the log, counted by cause.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Log, LogState};
use crate::Engine;

/// Why something was refused on account of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRefusal {
    /// The lane of the thread had no room: the disk is slower than what comes.
    FullLane,
    /// The disk is full.
    FullDisk,
    /// The disk has no space for the next file, and what is left is for impressions.
    Reserve,
    /// The log has failed.
    Failed,
    /// What was kept is still being read.
    Recovering,
    /// A request was refused by its head, because lanes are nearly full.
    Backlog,
}

impl LogRefusal {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::FullLane, Self::FullDisk, Self::Reserve, Self::Failed, Self::Recovering, Self::Backlog];

    /// The name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FullLane => "full_lane",
            Self::FullDisk => "full_disk",
            Self::Reserve => "reserve",
            Self::Failed => "failed",
            Self::Recovering => "recovering",
            Self::Backlog => "backlog",
        }
    }

    /// What has a log in this state refuse.
    #[must_use]
    pub fn of(state: LogState) -> Self {
        match state {
            LogState::Off | LogState::Accepting => Self::FullLane,
            LogState::Reserve => Self::Reserve,
            LogState::Full => Self::FullDisk,
            LogState::Failed => Self::Failed,
        }
    }
}

/// How often each was the cause. Nothing that is answered well counts here.
#[derive(Debug, Default)]
pub(crate) struct LogRefusals([AtomicU64; LogRefusal::ALL.len()]);

impl LogRefusals {
    #[cold]
    pub(crate) fn count(&self, cause: LogRefusal) {
        self.0[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self, cause: LogRefusal) -> u64 {
        self.0[cause as usize].load(Ordering::Relaxed)
    }
}

/// A lane is nearly full from here on, in thousandths.
const NEARLY_FULL: u16 = 875;

impl Log {
    /// Whether a lane is nearly full.
    fn is_backed_up(&self) -> bool {
        // One that is locked is being written to, and will be looked at by the next request.
        let is_full = |lane: &super::Padded<std::sync::Mutex<upbeat_journal::LaneWriter>>| {
            lane.0.try_lock().is_ok_and(|lane| lane.fill() >= NEARLY_FULL)
        };
        self.lanes.iter().any(is_full)
    }
}

impl Engine {
    /// Counts a request that was refused by its head on account of the log.
    pub fn count_log_refusal(&self, cause: LogRefusal) {
        self.log_refusals.count(cause);
    }

    /// How often something was refused on account of the log, by cause: requests by their heads, and events, tracks, deletions and
    /// ads one by one.
    pub fn log_refusals(&self) -> impl Iterator<Item = (LogRefusal, u64)> {
        LogRefusal::ALL.into_iter().map(|cause| {
            let by_log = self.log.get().map_or(0, |log| log.refusals.get(cause));
            (cause, by_log + self.log_refusals.get(cause))
        })
    }

    /// Whether a lane of the log is nearly full, so that whoever can wait should not be let in.
    #[must_use]
    pub fn is_log_backed_up(&self) -> bool {
        self.log.get().is_some_and(|log| log.is_backed_up())
    }
}
