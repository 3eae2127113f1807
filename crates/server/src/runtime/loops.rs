//! The threads of the event loops, which own the data listener's connections. Each thread runs one loop, so that a
//! connection's work stays on one thread.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use super::app::App;
use crate::wire::{Command, EventLoop, Handle, RouterTasks};

/// Event loops that run until this is dropped, which closes all connections that are still open. `G` is a value
/// attached to each connection, and dropped at its end.
pub(super) struct EventLoops<G> {
    handles: Vec<Handle<G>>,
    next: AtomicUsize,
}

impl<G: Send + 'static> EventLoops<G> {
    /// Starts as many loops as the configuration's `workers`, for 0 one per core that this process may use. They pass
    /// requests that are not for the fast path to `router`.
    ///
    /// # Errors
    /// The system has no more threads or file descriptors.
    pub(super) fn start(app: &Arc<App>, router: &RouterTasks) -> io::Result<Self> {
        let count = match app.config.workers {
            0 => thread::available_parallelism()?.get(),
            count => count,
        };
        let start = |number| {
            let (event_loop, handle) = EventLoop::new(Arc::clone(app), router.clone())?;
            thread::Builder::new().name(format!("decide-{number}")).spawn(move || {
                if let Err(error) = event_loop.run() {
                    tracing::error!(%error, "an event loop failed; its connections are cut");
                }
            })?;
            Ok(handle)
        };
        let handles = (0..count).map(start).collect::<io::Result<_>>()?;
        Ok(Self { handles, next: AtomicUsize::new(0) })
    }

    /// Gives a connection, whose socket is non-blocking, to the next loop in turn.
    ///
    /// # Errors
    /// The loop has ended.
    pub(super) fn admit(&self, stream: TcpStream, attachment: G) -> io::Result<()> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.handles[turn % self.handles.len()].send(Command::Admit(stream, attachment))
    }
}

impl<G> EventLoops<G> {
    /// Stops the loops gracefully: they answer requests until the deadline, and close connections as they become idle.
    pub(super) fn stop(&self, deadline: Instant) {
        self.send_to_all(|| Command::Stop(deadline));
    }

    fn send_to_all(&self, command: impl Fn() -> Command<G>) {
        for handle in &self.handles {
            // A loop that has ended has nothing left to stop.
            let _ = handle.send(command());
        }
    }
}

impl<G> Drop for EventLoops<G> {
    fn drop(&mut self) {
        self.send_to_all(|| Command::Cut);
    }
}
