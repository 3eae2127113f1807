//! Where a log goes on.

/// How a log goes on: what recovery found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Continuation {
    /// The number of the next segment.
    pub segment: u64,
    /// The number of the next group.
    pub group: u64,
    /// Above all positions ever seen.
    pub position: u64,
}

impl Continuation {
    /// The beginning of a log.
    pub const BEGINNING: Self = Self { segment: 1, group: 1, position: 1 };
}
