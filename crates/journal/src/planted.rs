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
    /// A failed sync is not tried again.
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
    /// Lanes count only if they are of the log's last process.
    LanesOfLastProcess,
    /// Lanes count only if the log is not older than they are.
    LanesOfThisLog,
    /// A snapshot gets its name only when the log is durable past everything in it.
    SnapshotAfterLog,
    /// A rewritten file is synced before it takes the place of the old one.
    SyncRewritten,
}

#[cfg(test)]
thread_local! {
    static MISSING: std::cell::Cell<Option<Guard>> = const { std::cell::Cell::new(None) };
}

#[cfg(test)]
type Other = Box<dyn FnMut()>;

#[cfg(test)]
thread_local! {
    static OTHER: std::cell::RefCell<Option<Other>> = const { std::cell::RefCell::new(None) };
}

/// What other threads do at a place where they may do anything: in tests what was given to [`set_other`].
#[cfg(test)]
pub(crate) fn meanwhile() {
    if let Some(other) = OTHER.with_borrow_mut(Option::take) {
        let mut other = other;
        other();
    }
}

/// What other threads do at a place where they may do anything.
#[cfg(not(test))]
pub(crate) const fn meanwhile() {}

/// Has something done once at the next such place.
#[cfg(test)]
pub(crate) fn set_other(other: Option<Other>) {
    OTHER.set(other);
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
