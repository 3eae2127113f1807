//! The threads that answer decisions: one event loop each, so that a connection's work never moves between cores.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::app::App;
use super::fast::{End, EventLoop, Mailbox, Message};

/// Threads that answer connections until they are dropped; what is still open then is cut. `G` is what comes with a
/// connection and is given back at its end.
pub(super) struct Workers<G> {
    mailboxes: Vec<Mailbox<G>>,
    next: AtomicUsize,
}

impl<G: Send + 'static> Workers<G> {
    /// As many threads as the configuration says; 0 for one per core that this process may use. `finish` is told how
    /// each connection ended.
    ///
    /// # Errors
    /// The machine gives no more threads or file descriptors.
    pub(super) fn start(
        app: &Arc<App>,
        finish: impl Fn(End, G) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let count = match app.config.workers {
            0 => thread::available_parallelism()?.get(),
            count => count,
        };
        let start = |number| {
            let (event_loop, mailbox) = EventLoop::new(Arc::clone(app), finish.clone())?;
            thread::Builder::new().name(format!("decide-{number}")).spawn(move || {
                if let Err(error) = event_loop.run() {
                    tracing::error!(%error, "an event loop failed; its connections are cut");
                }
            })?;
            Ok(mailbox)
        };
        let mailboxes = (0..count).map(start).collect::<io::Result<_>>()?;
        Ok(Self { mailboxes, next: AtomicUsize::new(0) })
    }

    /// Gives a connection, which does not block, to the thread whose turn it is.
    ///
    /// # Errors
    /// The thread has ended.
    pub(super) fn admit(&self, stream: TcpStream, given: G) -> io::Result<()> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.mailboxes[turn % self.mailboxes.len()].send(Message::Admit(stream, given))
    }
}

impl<G> Workers<G> {
    /// Has them answer what was asked until now, and end their connections.
    pub(super) fn stop(&self) {
        self.tell_all(|| Message::Stop);
    }

    fn tell_all(&self, message: impl Fn() -> Message<G>) {
        for mailbox in &self.mailboxes {
            // A thread that has ended has nothing left to stop.
            let _ = mailbox.send(message());
        }
    }
}

impl<G> Drop for Workers<G> {
    fn drop(&mut self) {
        self.tell_all(|| Message::Cut);
    }
}
