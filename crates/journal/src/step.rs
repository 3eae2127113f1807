//! What came of a step of the journal's thread.

use std::io;

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There was nothing to write.
    Idle,
    /// A group is durable.
    Written {
        /// Bytes of its records.
        bytes: usize,
        /// The number of its records.
        records: usize,
        /// Whether all of them are of the kind that is packed ([`Writer::pack`](crate::Writer::pack)), and so nothing that anybody
        /// was promised.
        is_small: bool,
    },
}

/// Why a step did not make its group durable.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// There is no space. The group is kept, and the next step tries it first.
    #[error("the disk is full")]
    Full,
    /// The log has failed for good: what is durable beyond the last good group is unknown.
    #[error("the log failed: {0}")]
    Failed(io::Error),
    /// The log failed at an earlier step.
    #[error("the log has failed before")]
    HasFailed,
}
