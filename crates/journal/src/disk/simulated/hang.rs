//! Calls that never return.
//!
//! A thread that makes one is stuck for as long as its process lives. Here the call unwinds with [`Hang`], which whoever plays
//! the threads catches where the thread would be stuck, and takes for "this thread never runs again". What its values do when
//! they are dropped meanwhile reaches no disk: calls fail until [`SimulatedDisk::catch_hang`] has caught it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::{Call, SimulatedDisk};

/// What a call unwinds with that never returns.
#[derive(Debug, Clone, Copy)]
pub struct Hang;

impl SimulatedDisk {
    /// Makes a call of this kind never return, after `calls` more that do.
    pub fn hang_after(&self, call: Call, calls: u64) {
        self.state().hang = Some((call, calls));
    }

    /// Does what a thread does; `None` if that got stuck in a call. Then nothing that it had may be used any longer, as
    /// nobody else could.
    ///
    /// # Panics
    /// As `work` does.
    pub fn catch_hang<R>(&self, work: impl FnOnce() -> R) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(result) => Some(result),
            Err(panic) if panic.is::<Hang>() => {
                self.state().is_unwinding = false;
                None
            }
            Err(panic) => resume_unwind(panic),
        }
    }
}
