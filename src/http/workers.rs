//! The threads that answer decisions: one event loop each, so that a connection's work never moves between cores.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// So many tasks run before a loop asks the kernel anew what has arrived. A busy loop asks seldom, as one call then
/// tells of many sockets; sockets that are ready wait at most for so many answers.
const TASKS_PER_POLL: u32 = 256;

/// Threads that run connections until they are dropped; what is still open then is cut.
pub(super) struct Workers {
    workers: Vec<Worker>,
    next: AtomicUsize,
}

struct Worker {
    handle: Handle,
    /// Its end of life is the thread's.
    _alive: oneshot::Sender<()>,
}

impl Workers {
    /// So many threads; 0 for one per core that this process may use.
    ///
    /// # Errors
    /// The machine gives no more threads or file descriptors.
    pub(super) fn start(count: usize) -> io::Result<Self> {
        let count = if count == 0 { thread::available_parallelism()?.get() } else { count };
        let workers = (0..count).map(Worker::start).collect::<io::Result<_>>()?;
        Ok(Self { workers, next: AtomicUsize::new(0) })
    }

    /// The one whose turn it is to take a connection.
    pub(super) fn next(&self) -> &Handle {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        &self.workers[turn % self.workers.len()].handle
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().event_interval(TASKS_PER_POLL).build()?;
        let handle = runtime.handle().clone();
        let (alive, gone) = oneshot::channel();
        thread::Builder::new().name(format!("decide-{number}")).spawn(move || {
            // Nothing is ever sent: this ends when the other half is dropped.
            let _ = runtime.block_on(gone);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, _alive: alive })
    }
}
