//! The bulk pool: long work on a bounded number of threads of lower priority, so that no decision waits for it.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::api::{Kind, Problem};

/// Bounds how many pieces of bulk work run at once; others wait.
pub(super) struct BulkPool {
    permits: Arc<Semaphore>,
}

impl BulkPool {
    /// At most `limit` pieces of work at once.
    pub(super) fn new(limit: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(limit)) }
    }

    /// Runs `work` on a blocking thread of the runtime, once a permit is free.
    ///
    /// # Errors
    /// The work panicked.
    pub(super) async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Problem> {
        let failed = |detail: String| Problem::new(Kind::Internal, detail);
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|error| failed(error.to_string()))?;
        let at_lower_priority = move || {
            lower_priority();
            let done = work();
            // The permit is the work's: a request that nobody waits for any more does not free it earlier.
            drop(permit);
            done
        };
        tokio::task::spawn_blocking(at_lower_priority).await.map_err(|error| failed(error.to_string()))
    }
}

/// Gives the calling thread a lower priority than those that answer decisions: it gets a tenth of a core that they keep
/// busy, and all of a core that they leave idle. At equal priority a decision would wait for a whole time slice of the
/// scheduler, three milliseconds here.
#[cfg(target_os = "linux")]
fn lower_priority() {
    /// Has about a tenth of the default's weight (Linux, kernel/sched/core.c, `sched_prio_to_weight`).
    const NICE: i32 = 10;
    // SAFETY: this changes only a number in the kernel; 0 names the calling thread. Lowering its priority is always
    // allowed.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}

/// On other systems all threads have the same priority.
#[cfg(not(target_os = "linux"))]
fn lower_priority() {}
