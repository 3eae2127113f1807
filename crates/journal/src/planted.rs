//! Faults that the tests plant, to see that they would be found. Outside of the tests there is none.

/// A guard that a test can take away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// The directory is synced after a segment is made.
    SyncNames,
    /// A group is synced before it is said to be durable.
    SyncGroup,
    /// A group must have the salt of its segment.
    Salt,
    /// After a failed sync nothing more is written.
    FailedSyncIsFinal,
    /// The group that found no space is kept.
    KeepGroupWhenFull,
    /// What was read is written again before anything is acknowledged.
    WriteLastGroupAgain,
    /// The torn end is cleared.
    ClearTornEnd,
    /// The watermark stays below positions that are taken and not published.
    Watermark,
    /// The watermark does not divide a unit.
    WholeUnits,
    /// A snapshot gets its name only when the log is durable past everything in it.
    SnapshotAfterLog,
}

#[cfg(test)]
thread_local! {
    static MISSING: std::cell::Cell<Option<Guard>> = const { std::cell::Cell::new(None) };
}

/// Whether a guard is in place.
#[cfg(test)]
pub(crate) fn stands(guard: Guard) -> bool {
    MISSING.get() != Some(guard)
}

/// Whether a guard is in place.
#[cfg(not(test))]
pub(crate) const fn stands(_guard: Guard) -> bool {
    true
}

/// Runs `test` without a guard.
#[cfg(test)]
pub(crate) fn without<R>(guard: Guard, test: impl FnOnce() -> R) -> R {
    MISSING.set(Some(guard));
    let result = test();
    MISSING.set(None);
    result
}
