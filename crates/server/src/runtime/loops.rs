//! The threads of the event loops, which own the data listener's connections. Each thread runs one loop, so that a
//! connection's work stays on one thread.

use std::io;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use tokio::sync::{Notify, oneshot};

use super::app::App;
use crate::wire::{Command, EventLoop, Handle, RouterTasks, Scope};

/// Event loops that run until this is dropped, which closes all connections that are still open. `G` is a value
/// attached to each connection, and dropped at its end.
///
/// A loop that fails is counted, logged, and makes `/readyz` answer 503. Its connections are lost; those that it would have
/// been given go to the others. Where none is left, [`EventLoops::all_failed`] resolves.
pub(super) struct EventLoops<G> {
    shared: Arc<Shared<G>>,
}

/// What the threads of the loops share.
struct Shared<G> {
    app: Arc<App>,
    members: Vec<Member<G>>,
    next: AtomicUsize,
    all_failed: Notify,
}

/// A loop, as the others know it.
struct Member<G> {
    handle: Handle<G>,
    has_failed: AtomicBool,
}

impl<G: Send + 'static> EventLoops<G> {
    /// Starts as many loops as the configuration's `workers`, for 0 one per core that this process may use. They pass
    /// requests that are not for the fast path to `router`.
    ///
    /// # Errors
    /// The system has no more threads or file descriptors.
    pub(super) fn start(app: &Arc<App>, router: &RouterTasks) -> io::Result<Self> {
        let loops = (0..app.config.event_loops()?).map(|_| EventLoop::new(Arc::clone(app), router.clone()));
        let (loops, handles): (Vec<_>, Vec<_>) = loops.collect::<io::Result<Vec<_>>>()?.into_iter().unzip();
        let member = |handle| Member { handle, has_failed: AtomicBool::new(false) };
        let shared = Arc::new(Shared {
            app: Arc::clone(app),
            members: handles.into_iter().map(member).collect(),
            next: AtomicUsize::new(0),
            all_failed: Notify::new(),
        });
        // Dropped, it ends the loops that were started.
        let started = Self { shared };
        for (number, event_loop) in loops.into_iter().enumerate() {
            let shared = Arc::clone(&started.shared);
            let run = move || {
                upbeat_engine::take_own_stripe();
                shared.run(number, event_loop);
            };
            thread::Builder::new().name(format!("decide-{number}")).spawn(run)?;
        }
        Ok(started)
    }

    /// Gives a connection, whose socket is non-blocking, to the next loop in turn.
    ///
    /// # Errors
    /// No loop is left.
    pub(super) fn admit(&self, stream: TcpStream, scope: Scope, attachment: G) -> io::Result<()> {
        self.shared.admit(stream, scope, attachment)
    }

    /// Resolves when no loop is left.
    pub(super) async fn all_failed(&self) {
        self.shared.all_failed.notified().await;
    }
}

impl<G> EventLoops<G> {
    /// Stops the loops gracefully: they answer requests until the deadline, and close connections as they become idle.
    pub(super) fn stop(&self, deadline: Instant) {
        self.send_to_all(|| Command::Stop(deadline));
    }

    /// Asks every loop for a sign of life. One that has ended or failed gives none, and drops the question.
    pub(super) fn ask_all(&self) -> Vec<oneshot::Receiver<()>> {
        let ask = |member: &Member<G>| {
            let (sender, answer) = oneshot::channel();
            let _ = member.handle.send(Command::Answer(sender));
            answer
        };
        self.shared.members.iter().map(ask).collect()
    }

    fn send_to_all(&self, command: impl Fn() -> Command<G>) {
        for member in &self.shared.members {
            // A loop that has ended has nothing left to stop.
            let _ = member.handle.send(command());
        }
    }
}

impl<G> Drop for EventLoops<G> {
    fn drop(&mut self) {
        self.send_to_all(|| Command::Cut);
    }
}

impl<G: Send + 'static> Shared<G> {
    /// The life of a loop's thread.
    fn run(&self, number: usize, mut event_loop: EventLoop<G>) {
        let failure = match catch_unwind(AssertUnwindSafe(|| event_loop.run())) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it panicked".to_owned(),
        };
        self.members[number].has_failed.store(true, Ordering::SeqCst);
        self.app.note_failed_loop();
        let connections = event_loop.connections();
        tracing::error!(
            failure,
            connections,
            "an event loop failed and its connections are cut: not ready any more; start the server again"
        );
        let commands = event_loop.take_commands();
        drop(event_loop);
        if self.members.iter().all(|member| member.has_failed.load(Ordering::SeqCst)) {
            self.all_failed.notify_one();
        }
        // Connections that were on their way to it when it failed are given to the others.
        for command in commands {
            match command {
                Command::Admit(stream, scope, attachment) => {
                    // Without any loop it is closed.
                    let _ = self.admit(stream, scope, attachment);
                }
                Command::Stop(_) | Command::Cut => return,
                _ => {}
            }
        }
    }

    fn admit(&self, stream: TcpStream, scope: Scope, attachment: G) -> io::Result<()> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.members.len();
        let living = (0..count)
            .map(|offset| &self.members[turn.wrapping_add(offset) % count])
            .find(|member| !member.has_failed.load(Ordering::Relaxed))
            .ok_or_else(|| io::Error::other("no event loop is left"))?;
        living.handle.send(Command::Admit(stream, scope, attachment))
    }
}

#[cfg(test)]
mod tests;
