//! What event loops are told from other threads, and the way to them.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

use mio::Waker;
use tokio::sync::oneshot;

use super::Scope;
use super::dispatch::Reply;

/// What a loop is told to do from outside. `G` is what comes with a connection and is dropped at its end.
pub(crate) enum Command<G> {
    /// A connection for it, which does not block.
    Admit(std::net::TcpStream, Scope, G),
    /// The router's reply to a request of a connection; `None` where there will be none.
    Reply(ConnectionKey, Option<Reply>),
    /// Answer what was asked and what is asked until then, close what is idle, and end when no connection is left, or at
    /// this instant those without a request.
    Stop(Instant),
    /// End now; what is open is cut.
    Cut,
    /// Answer this, as a sign of life.
    Answer(oneshot::Sender<()>),
    /// Do this.
    #[cfg(test)]
    Test(Box<dyn FnOnce() + Send>),
}

/// Names a connection of a loop, also when its place was given to another since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionKey {
    pub(super) slot: usize,
    pub(super) generation: u64,
}

/// The way to a loop from other threads.
pub(crate) struct Handle<G> {
    /// Bounded by `limits.connections`: a connection holds one of its permits, and has one request with the router.
    commands: Sender<Command<G>>,
    waker: Arc<Waker>,
}

impl<G> Clone for Handle<G> {
    fn clone(&self) -> Self {
        Self { commands: self.commands.clone(), waker: Arc::clone(&self.waker) }
    }
}

impl<G> Handle<G> {
    /// The way to the loop that receives the commands and is woken by `waker`.
    pub(super) fn new(commands: Sender<Command<G>>, waker: Arc<Waker>) -> Self {
        Self { commands, waker }
    }

    /// What wakes the loop.
    pub(super) fn waker(&self) -> &Arc<Waker> {
        &self.waker
    }

    /// Gives the loop a command.
    ///
    /// # Errors
    /// The loop has ended, or cannot be woken.
    pub(crate) fn send(&self, command: Command<G>) -> io::Result<()> {
        self.commands.send(command).map_err(|_| io::Error::other("its event loop has ended"))?;
        self.waker.wake()
    }
}
