//! Accepting connections, bounding their number, and handing them to their owners. An event loop owns a connection of
//! the data listener for life; hyper owns those of the admin listener.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;

use super::admin_stream::{AdminStream, Exchange, Remains};
use super::app::App;
use super::descriptors::{self, Reserve, Shares, Taken};
use super::linger::linger;
use super::listen;
use super::loops::EventLoops;
use crate::gate::Listener;
use crate::wire::{IDLE_AT_STOP, Scope, TOO_MANY_CONNECTIONS, refusal};

/// The delay after a failed accept (for example for want of file descriptors).
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// A failure to accept is logged once in this time.
const BETWEEN_LOGS: Duration = Duration::from_secs(10);

/// At the end of a listener no connection may come for this long before it is closed: those that clients have begun are
/// completed meanwhile.
const QUIET_BEFORE_CLOSE: Duration = Duration::from_millis(10);

/// A listener is closed after this time in any case.
const MOST_BEFORE_CLOSE: Duration = Duration::from_secs(1);

/// When a server stops: `None` while it serves, then the end of the time that requests have to finish.
pub(super) type StopAt = watch::Receiver<Option<Instant>>;

/// The state that all connections of one listener share.
pub(super) struct Connections {
    listener: Listener,
    app: Arc<App>,
    permits: Arc<Semaphore>,
    /// For those over the limit, until they are answered.
    spare: Arc<Semaphore>,
    reserve: Reserve,
    /// When a failure to accept was last logged.
    logged: Option<Instant>,
    stop: StopAt,
    /// When the listener is closed at the latest, once the server stops.
    close_by: Option<Instant>,
    /// The socket outlives this process: connections that wait in its queue at the stop are the next one's.
    is_passed: bool,
}

impl Connections {
    /// Connections of a listener, at most as many at once as its share is, until `stop` is set. A socket that `is_passed` is
    /// shared with whoever has passed it, and is left as it is at the stop.
    pub(super) fn new(
        listener: Listener,
        is_passed: bool,
        app: &Arc<App>,
        reserve: Reserve,
        stop: StopAt,
    ) -> Self {
        let connections = app.config.limits.connections;
        let shares = Shares::of(connections);
        let most = match listener {
            Listener::Data => connections,
            Listener::Admin => shares.admin,
        };
        Self {
            listener,
            app: Arc::clone(app),
            permits: Arc::new(Semaphore::new(most)),
            spare: Arc::new(Semaphore::new(shares.spare)),
            reserve,
            logged: None,
            stop,
            close_by: None,
            is_passed,
        }
    }

    /// Accepts the next connection, with its permit; `None` when the server stops and the kernel has no more of them. To
    /// the client a connection is open as soon as the kernel has completed it, and its request may be under way. On a socket that
    /// was passed such a connection waits for the next process.
    async fn next(&mut self, listener: &TcpListener) -> Option<(TcpStream, Scope, Permit)> {
        let mut taken = None;
        loop {
            let accepted = match self.close_by {
                None => tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = self.stop.changed() => {
                        if self.is_passed {
                            return None;
                        }
                        self.begin_close(listener);
                        continue;
                    }
                },
                Some(close_by) if Instant::now() >= close_by => return None,
                Some(_) => tokio::time::timeout(QUIET_BEFORE_CLOSE, listener.accept()).await.ok()?,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    self.note_failure(&error);
                    // With the descriptor that this frees, the connection that waits can be accepted.
                    taken = self
                        .reserve
                        .take(self.listener)
                        .filter(|_| taken.is_none() && descriptors::are_used_up(&error));
                    if taken.is_none() {
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                    continue;
                }
            };
            if let Err(error) = stream.set_nodelay(true) {
                self.log_lost(&error);
                continue;
            }
            if let Some(admitted) = self.place(stream, self.reserve.account(taken.take())) {
                return Some(admitted);
            }
        }
    }

    /// Gives a connection its place; `None` where there is none, and it is refused.
    fn place(&self, stream: TcpStream, taken: Option<Taken>) -> Option<(TcpStream, Scope, Permit)> {
        let is_last = taken.is_some() && self.listener == Listener::Data;
        if !is_last && let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some((stream, Scope::Everything, self.open(permit, taken, true)));
        }
        match (self.listener, Arc::clone(&self.spare).try_acquire_owned()) {
            (Listener::Data, Ok(permit)) => Some((stream, Scope::Health, self.open(permit, taken, false))),
            (_, permit) => {
                self.refuse(stream, permit.ok());
                None
            }
        }
    }

    /// Counts a failure to accept, and logs it now and then.
    fn note_failure(&mut self, error: &io::Error) {
        self.app.metrics.count_accept_error(self.listener);
        let now = Instant::now();
        if self.logged.is_none_or(|logged| now - logged >= BETWEEN_LOGS) {
            self.logged = Some(now);
            tracing::warn!(%error, listener = self.listener.name(), "accept failed");
        }
    }

    fn begin_close(&mut self, listener: &TcpListener) {
        self.close_by = Some(Instant::now() + MOST_BEFORE_CLOSE);
        if let Err(error) = listen::begin_no_more(listener) {
            tracing::debug!(%error, listener = self.listener.name(), "new connections come until the listener is closed");
        }
    }

    fn open(&self, permit: OwnedSemaphorePermit, taken: Option<Taken>, counts: bool) -> Permit {
        let count = counts.then(|| self.app.metrics.open_connections(self.listener));
        if let Some(count) = &count {
            count.inc();
        }
        Permit { count, _permit: permit, _taken: taken, stop: self.stop.clone() }
    }

    /// Tells a client that it is one too many. Its request is read past: a plain close would reset the connection for it,
    /// and the client could lose the answer.
    fn refuse(&self, stream: TcpStream, spare: Option<OwnedSemaphorePermit>) {
        self.app.metrics.count_connection_refused(self.listener);
        match spare {
            Some(permit) => drop(tokio::spawn(async move {
                linger(stream, TOO_MANY_CONNECTIONS.as_bytes()).await;
                drop(permit);
            })),
            // Where many are being told, closing has to be answer enough.
            None => drop(stream.try_write(TOO_MANY_CONNECTIONS.as_bytes())),
        }
    }

    fn log_lost(&self, error: &dyn Error) {
        tracing::debug!(error = %error, listener = self.listener.name(), "a connection was lost before it began");
    }
}

/// Held by a connection while it is open; the connection counts as open until this is dropped.
pub(super) struct Permit {
    /// `None` for those beyond the limit.
    count: Option<Gauge>,
    _permit: OwnedSemaphorePermit,
    _taken: Option<Taken>,
    stop: StopAt,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(count) = &self.count {
            count.dec();
        }
    }
}

/// Accepts connections until the server stops, and gives them to the event loops in turn.
pub(super) async fn into_loops(
    listener: TcpListener,
    mut connections: Connections,
    loops: Arc<EventLoops<Permit>>,
) {
    while let Some((stream, scope, permit)) = connections.next(&listener).await {
        // Deregisters the socket from this runtime's poller; the event loop registers it with its own.
        let admitted = stream.into_std().and_then(|stream| loops.admit(stream, scope, permit));
        if let Err(error) = admitted {
            connections.log_lost(&error);
        }
    }
}

/// Accepts connections until the server stops, and spawns a task for each, in which hyper serves it with `router`.
pub(super) async fn into_hyper(listener: TcpListener, mut connections: Connections, router: Router) {
    let limits = &connections.app.config.limits;
    let mut http = http1::Builder::new();
    // The stream has the time limits. Not `pipeline_flush`: with it hyper does not send its own 431 and 400.
    http.header_read_timeout(None).max_header_size(limits.header_bytes).half_close(true);
    while let Some((stream, _, permit)) = connections.next(&listener).await {
        let (app, listener) = (Arc::clone(&connections.app), connections.listener);
        tokio::spawn(serve_by_hyper(http.clone(), stream, router.clone(), permit, app, listener));
    }
}

/// Serves a connection until it ends, counts how it ended, and has its client receive the last answer.
async fn serve_by_hyper(
    http: http1::Builder,
    stream: TcpStream,
    router: Router,
    mut permit: Permit,
    app: Arc<App>,
    listener: Listener,
) {
    let exchange = Arc::new(Exchange::default());
    let service = {
        let exchange = Arc::clone(&exchange);
        service_fn(move |request: Request<Incoming>| {
            let (router, exchange) = (router.clone(), Arc::clone(&exchange));
            async move {
                exchange.begin();
                let response = router.oneshot(request.map(Body::new)).await;
                exchange.end();
                response
            }
        })
    };
    let stream = AdminStream::new(stream, &app.config.limits, Arc::clone(&exchange));
    let mut stopped = false;
    let ended = {
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            // Polls the connection first, so that a request which has arrived is begun before the graceful shutdown.
            biased;
            ended = connection.as_mut() => Some(ended),
            () = until_idle_at_stop(&mut permit.stop, &exchange) => None,
        };
        match ended {
            Some(ended) => ended,
            None => {
                stopped = true;
                // From here on hyper closes an idle connection at once.
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    let Remains { stream, has_answered, cut, refused, lost_head } = exchange.take_remains();
    match (&ended, cut) {
        (_, Some(cause)) => app.metrics.count_connection_cut(listener, cause),
        (Ok(()), None) if refused.is_some() => {
            app.metrics.count_connection_error(listener, &io::Error::from(ErrorKind::InvalidData));
        }
        (Ok(()), None) => {
            if let Some(cause) = lost_head {
                app.metrics.count_connection_error(listener, &io::Error::from(cause));
            }
        }
        (Err(error), None) => app.metrics.count_connection_error(listener, error),
    }
    // What hyper may not read is answered here. Hyper itself closes without a word where bytes are no request.
    let unanswered = matches!(&ended, Err(error) if error.is_parse()) && !has_answered;
    let refused = refused.or(unanswered.then_some(StatusCode::BAD_REQUEST)).map(refusal);
    if let Some(stream) = stream.filter(|_| !stopped) {
        tokio::select! {
            () = linger(stream, refused.as_deref().unwrap_or_default()) => {}
            () = until_deadline(&mut permit.stop) => {}
        }
    }
}

/// Resolves when the server stops and the connection was silent for [`IDLE_AT_STOP`]. Before that its requests are answered
/// with an announcement of the close. A connection that has not asked yet is not idle before the stop's deadline.
async fn until_idle_at_stop(stop: &mut StopAt, exchange: &Exchange) {
    // It fails where the server is gone already.
    let deadline = stop.wait_for(Option::is_some).await.ok().and_then(|at| *at);
    let Some(deadline) = deadline else { return };
    loop {
        let now = Instant::now();
        // Before the first read it is not known when the connection will be idle.
        let idle_at = exchange.last_read().map_or(now + IDLE_AT_STOP, |last| last + IDLE_AT_STOP);
        if now >= deadline || now >= idle_at {
            return;
        }
        tokio::time::sleep_until(idle_at.min(deadline).into()).await;
    }
}

/// Resolves at the deadline of a stop.
async fn until_deadline(stop: &mut StopAt) {
    if let Some(deadline) = stop.wait_for(Option::is_some).await.ok().and_then(|at| *at) {
        tokio::time::sleep_until(deadline.into()).await;
    }
}
