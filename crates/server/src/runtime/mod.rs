//! The composition root of the server: what is started, in which order, and how it is stopped. Handlers do none of
//! this.

mod accept;
mod admin_stream;
mod ahead;
mod app;
mod backups;
mod bulk;
mod campaigns;
mod cgroup;
mod compact;
mod data_dir;
mod descriptors;
mod durability;
mod erasing;
pub mod heap;
mod history;
mod inherited;
mod jobs;
mod journal;
mod lanes;
pub(crate) mod learning;
pub(crate) mod linger;
mod listen;
mod look;
mod loops;
mod memory;
mod model;
mod ordinary_file;
mod passed;
mod pulse;
mod recovery;
mod restore;
mod retention;
mod retry;
mod shipped;
mod snapshots;
mod spare;
mod storage;
mod supervisor;
mod timed_disk;
mod wall_clock;
mod watchdog;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use app::{App, WallClock, machine_clock};
pub(crate) use campaigns::tag;
pub use campaigns::{CampaignsError, KeepError, SourceError, is_model_copy, load_campaigns};
pub use cgroup::{MemoryLimit, memory_limit};
pub(crate) use descriptors::are_used_up;
pub use descriptors::{make_room, raise_limit};
pub use inherited::Inherited;
pub use listen::{capped_backlog, listen, listen_on};
pub use look::{LOOKS, look};
pub use model::{LoadError, load_model};
pub use passed::{Passed, PassedError};
pub use restore::{Restoration, RestoreError, Restored};
pub use shipped::{SHIPPED_CAMPAIGNS, default_model, model_in_binary, shipped_model};
pub use supervisor::Supervisor;

use accept::{Connections, Permit};
pub(crate) use backups::{Part, ReadPart, utc};
pub use compact::{CompactError, Compacted, Compaction};
pub use data_dir::DataDirError;
use descriptors::Reserve;
#[cfg(test)]
pub(crate) use durability::Log;
pub use lanes::{LanesError, move_lanes};
pub use learning::{RegistryError, end_with_parent};
#[cfg(test)]
pub(crate) use recovery::Progress;
use storage::Closing;
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
    pub data: Listening,
    /// The admin listener: metrics, profiles, models.
    pub admin: Listening,
}

/// A socket to serve on.
pub struct Listening {
    /// The socket.
    pub socket: TcpListener,
    /// Whether the socket was passed to this process and stays open after its end. Then connections wait in its queue while
    /// nobody can answer them: until what was kept is read, and from the end of a stop's drain on.
    pub is_passed: bool,
}

impl From<TcpListener> for Listening {
    /// A socket of this process's own.
    fn from(socket: TcpListener) -> Self {
        Self { socket, is_passed: false }
    }
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
    accepting: Vec<JoinHandle<()>>,
    /// The data listener while its connections wait for what was kept to be read.
    waiting: Option<(TcpListener, Connections)>,
    /// Whether connections of the data listener wait for the next process.
    is_passed: bool,
    stop: watch::Sender<Option<Instant>>,
    jobs: Jobs,
    opened: Option<Opened>,
}

impl Server {
    /// Starts a server and reads what is kept, if something is: until that is done, both listeners answer whether the server
    /// lives and how far it is, and nothing else. On a data listener that was passed connections wait instead.
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
        server.accept_waiting();
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
        server.accept_waiting();
        Ok(server)
    }

    /// Starts what answers, and nothing that changes anything by itself.
    fn listen(listeners: Listeners, app: Arc<App>) -> io::Result<Self> {
        let router = RouterTasks::new(&app, api::router(&app), Handle::current());
        let loops = Arc::new(EventLoops::start(&app, &router)?);
        let Listeners { data, admin } = listeners;
        for listening in [&data, &admin] {
            if let Err(error) = listen::bound_unsent_bytes(&listening.socket) {
                tracing::debug!(%error, "the kernel bounds what it holds for clients that do not read by itself");
            }
        }
        let (stop, stopping) = watch::channel(None);
        let reserve = Reserve::new();
        let connections = |listener, is_passed| {
            Connections::new(listener, is_passed, &app, reserve.clone(), stopping.clone())
        };
        let of_data = connections(Listener::Data, data.is_passed);
        let of_admin = connections(Listener::Admin, admin.is_passed);
        let router = admin::router(&app);
        let mut accepting = vec![tokio::spawn(accept::into_hyper(admin.socket, of_admin, router))];
        let mut waiting = Some((data.socket, of_data));
        if !data.is_passed
            && let Some((socket, of_data)) = waiting.take()
        {
            accepting.push(tokio::spawn(accept::into_loops(socket, of_data, Arc::clone(&loops))));
        }
        let (is_passed, jobs) = (data.is_passed, Jobs::default());
        Ok(Self { app, loops, accepting, waiting, is_passed, stop, jobs, opened: None })
    }

    /// From now on connections of a data listener that was passed are accepted.
    fn accept_waiting(&mut self) {
        if let Some((socket, connections)) = self.waiting.take() {
            let accept = accept::into_loops(socket, connections, Arc::clone(&self.loops));
            self.accepting.push(tokio::spawn(accept));
        }
    }

    /// From now on SIGHUP reads the file of campaigns and the models again. Where one is not good, everything stays as it is.
    ///
    /// # Errors
    /// The signal handler cannot be installed.
    pub fn reload_on_hangup(&mut self) -> io::Result<()> {
        self.jobs.reload_on_hangup(&self.app)
    }

    /// Serves until `shutdown` resolves, then drains: `/readyz` answers 503, and every answer announces that its connection
    /// is closed. After that time connections that the kernel has completed are accepted and the listeners closed; idle
    /// connections are closed, accepted requests finish, and what is still open after the configured deadline is closed. What
    /// was accepted is made durable, and a last snapshot written if there is time for it.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Stopped {
        let Self { app, loops, accepting, waiting: _, is_passed, stop, jobs, opened } = self;
        let _watchdog = watchdog::start(&app, &loops);
        app.supervisor().ready();
        tokio::select! {
            () = shutdown => {}
            () = loops.all_failed() => {
                tracing::error!("no event loop is left");
                app.supervisor().stopping();
                jobs.stop();
                end(opened, &app, Instant::now(), Closing::Cut).await;
                return Stopped::Failed;
            }
        }
        jobs.stop();
        app.supervisor().stopping();
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
        let closing = match (all_answered, is_passed) {
            (false, _) => Closing::Cut,
            (true, true) => Closing::Awaited,
            (true, false) => Closing::Unhurried,
        };
        let is_kept = end(opened, &app, deadline, closing).await;
        if all_answered && is_kept { Stopped::Clean } else { Stopped::Cut }
    }
}

/// Ends what is kept, if something is; whether everything in it is durable.
async fn end(opened: Option<Opened>, app: &App, deadline: Instant, closing: Closing) -> bool {
    app.backups().drop_all(app);
    let Some(opened) = opened else { return true };
    app.supervisor().status("stopping: what was accepted is made durable");
    app.engine.end_leases();
    let is_kept = opened.end(deadline, LEAST_TIME_TO_KEEP, closing).await;
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

#[cfg(test)]
mod tests;
