//! Who gives way to whom where threads share a core.

/// From now on the calling thread gives way to those that answer decisions: it gets a tenth of a core that they keep
/// busy, and all of one that they do not. With equal rights a decision would wait for a whole slice of the scheduler's,
/// three milliseconds here, each time.
#[cfg(target_os = "linux")]
pub(super) fn give_way() {
    /// Weighs a tenth of what the default does (Linux, kernel/sched/core.c, `sched_prio_to_weight`).
    const NICE: i32 = 10;
    // SAFETY: this changes a number of the kernel's; 0 names the calling thread. It is always allowed to become nicer.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}

/// Elsewhere all threads are alike.
#[cfg(not(target_os = "linux"))]
pub(super) fn give_way() {}
