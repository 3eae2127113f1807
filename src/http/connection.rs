//! From sockets to requests: accepting, bounding, handing out to the workers, and hyper's HTTP/1.1 round the router.

use std::error::Error;
use std::io;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::app::App;
use super::fast::End;
use super::metrics::ListenerLabels;
use super::problem::PROBLEM_JSON;
use super::rewound::Rewound;
use super::workers::Workers;

/// After accept has failed (no file descriptors, say), it is tried again so much later.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Said to a connection over the limit, before it is closed.
static TOO_MANY_CONNECTIONS: LazyLock<String> = LazyLock::new(|| {
    let body = "{\"type\":\"/problems/overloaded\",\"title\":\"The server is busy\",\"status\":503,\"detail\":\
                \"as many connections as limits.connections allows are open; keep connections alive and share them\"}";
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {}\r\n\
         retry-after: 1\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
});

/// What all connections of a listener share.
pub(super) struct Plane {
    name: &'static str,
    app: Arc<App>,
    router: Router,
    http: http1::Builder,
}

impl Plane {
    pub(super) fn new(name: &'static str, app: &Arc<App>, router: Router) -> Arc<Self> {
        Arc::new(Self { name, app: Arc::clone(app), router, http: http(app) })
    }

    /// Goes on where a worker has left a connection: with the router, on `runtime`, or not at all.
    pub(super) fn go_on(self: &Arc<Self>, runtime: &Handle, end: End, admission: Admission) {
        match end {
            End::Closed => {}
            End::Broken(error) => self.count_error(&error),
            End::HandOver(stream, unread) => {
                let _inside = runtime.enter();
                match TcpStream::from_std(stream) {
                    Ok(stream) => self.spawn(runtime, stream, unread, admission),
                    Err(error) => self.count_error(&error),
                }
            }
        }
    }

    /// Has a task serve a connection by the router.
    fn spawn(self: &Arc<Self>, runtime: &Handle, stream: TcpStream, unread: Vec<u8>, admission: Admission) {
        let plane = Arc::clone(self);
        runtime.spawn(async move {
            let Admission { _open, stop } = admission;
            if let Err(error) = by_router(stream, unread, &plane, stop).await {
                plane.count_error(&*error);
            }
        });
    }

    fn count_error(&self, error: &(dyn Error + 'static)) {
        tracing::debug!(error, listener = self.name, "connection ended");
        self.app.metrics.connection_errors.get_or_create(&self.labels()).inc();
    }

    fn labels(&self) -> ListenerLabels {
        ListenerLabels { listener: self.name }
    }
}

/// Accepts connections until `stop` is set, and gives the workers one each in turn; without workers they are served
/// where they are accepted.
pub(super) async fn accept(
    listener: TcpListener,
    plane: Arc<Plane>,
    workers: Option<Arc<Workers<Admission>>>,
    stop: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(plane.app.config.limits.connections));
    let mut stopping = stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.changed() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, listener = plane.name, "accept failed");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            refuse(&plane, &stream);
            continue;
        };
        let admission = Admission { _open: Open::new(&plane, slot), stop: stop.clone() };
        if let Err(error) = hand_out(stream, &plane, admission, workers.as_deref()) {
            tracing::debug!(%error, listener = plane.name, "a connection was lost before it began");
        }
    }
}

fn http(app: &App) -> http1::Builder {
    let limits = &app.config.limits;
    let mut http = http1::Builder::new();
    // At most 100 headers is hyper's own default; asking for it by name would move the table of headers to the heap,
    // at each request.
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout.get())
        .max_header_size(limits.header_bytes)
        .half_close(true)
        // One write an answer. Not pipeline_flush: with it hyper keeps its 431 and 400 to itself.
        .writev(false);
    http
}

fn refuse(plane: &Plane, stream: &TcpStream) {
    plane.app.metrics.connections_refused.get_or_create(&plane.labels()).inc();
    // A fresh socket has room for this; if not, closing says enough.
    let _ = stream.try_write(TOO_MANY_CONNECTIONS.as_bytes());
}

fn hand_out(
    stream: TcpStream,
    plane: &Arc<Plane>,
    admission: Admission,
    workers: Option<&Workers<Admission>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match workers {
        // From this runtime's poller to the worker's.
        Some(workers) => workers.admit(stream.into_std()?, admission)?,
        None => plane.spawn(&Handle::current(), stream, Vec::new(), admission),
    }
    Ok(())
}

/// What a connection holds for as long as it is open.
pub(super) struct Admission {
    _open: Open,
    stop: watch::Receiver<bool>,
}

/// Counts a connection for as long as it is open, also when its task is cut.
struct Open {
    count: Gauge,
    _slot: OwnedSemaphorePermit,
}

impl Open {
    fn new(plane: &Plane, slot: OwnedSemaphorePermit) -> Self {
        let count = plane.app.metrics.connections.get_or_create_owned(&plane.labels());
        count.inc();
        Self { count, _slot: slot }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.count.dec();
    }
}

/// Hyper and the router for the rest of a connection's life, beginning with the bytes that were read already.
async fn by_router(
    stream: TcpStream,
    unread: Vec<u8>,
    plane: &Plane,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let service = TowerToHyperService::new(plane.router.clone());
    let connection = plane.http.serve_connection(TokioIo::new(Rewound::new(unread, stream)), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // First, so that a request which has arrived is begun before hyper hears of the end.
        biased;
        ended = connection.as_mut() => return Ok(ended?),
        _ = stop.changed() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}
