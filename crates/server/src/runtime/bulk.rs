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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn permit_is_held_until_the_work_ends_though_its_request_is_gone() {
        let pool = Arc::new(BulkPool::new(1));
        let (started, wait_for_start) = mpsc::channel();
        let (release, wait_for_release) = mpsc::channel::<()>();
        let request = {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move {
                let work = move || {
                    started.send(()).expect("the test waits");
                    wait_for_release.recv().expect("the test releases it");
                };
                pool.run(work).await
            })
        };
        wait_for_start.recv().expect("the work starts");
        request.abort();
        assert!(request.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(pool.permits.available_permits(), 0, "the work still runs");
        release.send(()).expect("the work waits");
        assert_eq!(pool.run(|| 7).await.ok(), Some(7), "the next piece of work gets the permit");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn permit_of_work_that_panics_is_free_again() {
        let pool = BulkPool::new(1);
        assert!(pool.run(|| panic!("a fault in the work")).await.is_err());
        assert_eq!(pool.permits.available_permits(), 1);
    }
}
