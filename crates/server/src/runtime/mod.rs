//! The composition root of the server: what is started, in which order, and how it is stopped. Handlers do none of
//! this.

mod accept;
mod admin_stream;
mod ahead;
mod app;
mod bulk;
mod compact;
mod data_dir;
mod descriptors;
mod durability;
pub mod heap;
mod jobs;
mod journal;
mod lanes;
pub(crate) mod linger;
mod listen;
mod look;
mod loops;
mod memory;
mod model;
mod recovery;
mod snapshots;
mod spare;
mod storage;
mod timed_disk;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use app::{App, WallClock, machine_clock};
pub use descriptors::{make_room, raise_limit};
pub use listen::{capped_backlog, listen};
pub use look::{LOOKS, look};
pub use model::{LoadError, load_model};

use accept::{Connections, Permit};
pub use compact::{CompactError, Compacted, Compaction};
pub use data_dir::DataDirError;
use descriptors::Reserve;
#[cfg(test)]
pub(crate) use durability::Log;
pub use lanes::{LanesError, move_lanes};
#[cfg(test)]
pub(crate) use recovery::Progress;
pub use storage::{Opened, Storage, StorageError, random};

#[cfg(test)]
pub(crate) use durability::Waits;
pub(crate) use durability::{Barrier, Durability, Fate, Waiter, state_name};
use jobs::Jobs;
use loops::EventLoops;
pub(crate) use memory::ResponseMemory;

use crate::gate::Listener;
use crate::wire::RouterTasks;
use crate::{admin, api};

/// The sockets to serve on.
pub struct Listeners {
    /// The data listener: decisions, events, health.
    pub data: TcpListener,
    /// The admin listener: metrics, profiles, models.
    pub admin: TcpListener,
}

/// At the deadline of a stop, connections without a request are closed by their owners, for which they have this long.
const AFTER_DEADLINE: Duration = Duration::from_millis(100);

/// At the end the log gets this long at least to make durable what nobody waited for.
const LEAST_TIME_TO_KEEP: Duration = Duration::from_secs(5);

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every accepted request was answered.
    Clean,
    /// The deadline passed with requests still open; their connections were closed.
    Cut,
    /// Every event loop has failed, so that nothing could be answered.
    Failed,
}

/// A running server, which accepts connections.
///
/// Every connection of the data listener belongs to one event loop; there are as many as the configuration's `workers`.
/// Everything else runs on the runtime on which the server was started.
pub struct Server {
    app: Arc<App>,
    loops: Arc<EventLoops<Permit>>,
    accepting: [JoinHandle<()>; 2],
    stop: watch::Sender<Option<Instant>>,
    jobs: Jobs,
    opened: Option<Opened>,
}

impl Server {
    /// Starts a server and reads what is kept, if something is: until that is done, both listeners answer whether the server
    /// lives and how far it is, and nothing else.
    ///
    /// # Errors
    /// The threads cannot be started, or what is kept cannot be read.
    pub async fn open(
        listeners: Listeners,
        app: Arc<App>,
        storage: Option<Storage>,
    ) -> Result<Self, StorageError> {
        let Some(storage) = storage else {
            return Self::start(listeners, app).map_err(StorageError::Thread);
        };
        app.recovery().begin();
        let mut server = Self::listen(listeners, app).map_err(StorageError::Thread)?;
        server.keep(storage.open(&server.app).await?);
        server.jobs.start(&server.app);
        server.app.recovery().end();
        Ok(server)
    }

    /// At its end the server makes everything durable that was published there.
    pub fn keep(&mut self, opened: Opened) {
        self.opened = Some(opened);
    }

    /// Starts the event loops, the background jobs and both listeners, on the current tokio runtime; nothing is kept.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn start(listeners: Listeners, app: Arc<App>) -> io::Result<Self> {
        let mut server = Self::listen(listeners, app)?;
        server.jobs.start(&server.app);
        Ok(server)
    }

    /// Starts what answers, and nothing that changes anything by itself.
    fn listen(listeners: Listeners, app: Arc<App>) -> io::Result<Self> {
        let router = RouterTasks::new(&app, api::router(&app), Handle::current());
        let loops = Arc::new(EventLoops::start(&app, &router)?);
        for listener in [&listeners.data, &listeners.admin] {
            if let Err(error) = listen::bound_unsent_bytes(listener) {
                tracing::debug!(%error, "the kernel bounds what it holds for clients that do not read by itself");
            }
        }
        let (stop, stopping) = watch::channel(None);
        let reserve = Reserve::new();
        let data = Connections::new(Listener::Data, &app, reserve.clone(), stopping.clone());
        let admin = Connections::new(Listener::Admin, &app, reserve, stopping);
        let accepting = [
            tokio::spawn(accept::into_loops(listeners.data, data, Arc::clone(&loops))),
            tokio::spawn(accept::into_hyper(listeners.admin, admin, admin::router(&app))),
        ];
        Ok(Self { app, loops, accepting, stop, jobs: Jobs::default(), opened: None })
    }

    /// From now on SIGHUP reloads the model file. A file that cannot be served leaves the present model in place.
    ///
    /// # Errors
    /// The signal handler cannot be installed.
    pub fn reload_model_on_hangup(&mut self) -> io::Result<()> {
        self.jobs.reload_model_on_hangup(&self.app)
    }

    /// Serves until `shutdown` resolves, then drains: `/readyz` answers 503, and every answer announces that its connection
    /// is closed. After that time connections that the kernel has completed are accepted and the listeners closed; idle
    /// connections are closed, accepted requests finish, and what is still open after the configured deadline is closed.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Stopped {
        let Self { app, loops, accepting, stop, jobs, opened } = self;
        tokio::select! {
            () = shutdown => {}
            () = loops.all_failed() => {
                tracing::error!("no event loop is left");
                jobs.stop();
                end(opened, &app).await;
                return Stopped::Failed;
            }
        }
        jobs.stop();
        app.start_draining();
        tracing::info!(drain = %app.config.shutdown.drain, "stopping: no longer ready");
        tokio::time::sleep(app.config.shutdown.drain.get()).await;
        let deadline = Instant::now() + app.config.shutdown.deadline.get();
        // Every connection holds a receiver, and drops it when the connection ends.
        stop.send_replace(Some(deadline));
        for task in accepting {
            if let Err(error) = task.await {
                tracing::error!(%error, "an accept loop failed");
            }
        }
        // The accept loops have ended, so no connection is admitted after this command.
        loops.stop(deadline);
        let left = deadline.saturating_duration_since(Instant::now()) + AFTER_DEADLINE;
        let all_answered = tokio::time::timeout(left, stop.closed()).await.is_ok();
        // Closes the connections that are still open.
        drop(loops);
        let is_kept = end(opened, &app).await;
        if all_answered && is_kept { Stopped::Clean } else { Stopped::Cut }
    }
}

/// Ends what is kept, if something is; whether everything in it is durable.
async fn end(opened: Option<Opened>, app: &App) -> bool {
    let Some(opened) = opened else { return true };
    let is_kept = opened.end(app.config.shutdown.deadline.get().max(LEAST_TIME_TO_KEEP)).await;
    if !is_kept {
        tracing::error!("the end came before everything was durable; what was acknowledged is");
    }
    is_kept
}

/// Starts a [`Server`] and serves until `shutdown` resolves.
///
/// # Errors
/// The threads cannot be started.
pub async fn run(
    listeners: Listeners,
    app: Arc<App>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<Stopped> {
    Ok(Server::start(listeners, app)?.run_until(shutdown).await)
}
