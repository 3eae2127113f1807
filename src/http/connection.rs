//! From sockets to requests: accepting, bounding, and hyper's HTTP/1.1 round the router.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::app::App;
use super::metrics::ListenerLabels;
use super::problem::PROBLEM_JSON;

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

/// Accepts connections until `stop` closes.
pub(super) async fn accept(
    listener: TcpListener,
    name: &'static str,
    router: Router,
    app: Arc<App>,
    graceful: Arc<GracefulShutdown>,
    mut stop: watch::Receiver<()>,
) {
    let slots = Arc::new(Semaphore::new(app.config.limits.connections));
    let http = http(&app);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, listener = name, "accept failed");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            refuse(&app, name, &stream);
            continue;
        };
        serve(&http, stream, name, &router, &app, &graceful, slot);
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

fn refuse(app: &App, name: &'static str, stream: &TcpStream) {
    app.metrics.connections_refused.get_or_create(&ListenerLabels { listener: name }).inc();
    // A fresh socket has room for this; if not, closing says enough.
    let _ = stream.try_write(TOO_MANY_CONNECTIONS.as_bytes());
}

fn serve(
    http: &http1::Builder,
    stream: TcpStream,
    name: &'static str,
    router: &Router,
    app: &Arc<App>,
    graceful: &GracefulShutdown,
    slot: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, listener = name, "set_nodelay failed");
    }
    let service = TowerToHyperService::new(router.clone());
    let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let labels = ListenerLabels { listener: name };
        let open = app.metrics.connections.get_or_create_owned(&labels);
        open.inc();
        if let Err(error) = connection.await {
            tracing::debug!(%error, listener = name, "connection ended");
            app.metrics.connection_errors.get_or_create(&labels).inc();
        }
        open.dec();
        drop(slot);
    });
}
