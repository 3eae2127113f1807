//! A server of its own for each test.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, server};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A request that a [`Stub`] received: method, path with query, body.
pub(crate) type Received = (String, String, String);

/// A server on a free port that answers the n-th request with `answer(n, request)`.
pub(crate) struct Stub {
    pub(crate) url: String,
    pub(crate) received: Arc<Mutex<Vec<Received>>>,
    pub(crate) connections: Arc<AtomicUsize>,
}

pub(crate) async fn stub(
    answer: impl Fn(usize, &Received) -> Response<String> + Send + Sync + 'static,
) -> Stub {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stub = Stub {
        url: format!("http://{}", listener.local_addr().unwrap()),
        received: Arc::default(),
        connections: Arc::default(),
    };
    let (received, connections) = (stub.received.clone(), stub.connections.clone());
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::SeqCst);
            let (received, answer) = (received.clone(), answer.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let (received, answer) = (received.clone(), answer.clone());
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    let request = (
                        parts.method.to_string(),
                        parts.uri.to_string(),
                        String::from_utf8(body.to_vec()).unwrap(),
                    );
                    let mut received = received.lock().unwrap();
                    let response = answer(received.len(), &request);
                    received.push(request);
                    // An error of the service ends the connection.
                    if response.extensions().get::<Lost>().is_some() {
                        return Err(io::Error::other("lost"));
                    }
                    Ok(response)
                }
            });
            tokio::spawn(server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    stub
}

/// Runs a future to its end on one thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// An answer with this status and body.
pub(crate) fn respond(status: u16, body: &str) -> Response<String> {
    let response = Response::builder().status(status);
    response.body(body.to_owned()).unwrap()
}

/// Marks an answer that never leaves the server.
#[derive(Clone)]
struct Lost;

/// No answer: the connection ends after the request was received.
pub(crate) fn lose() -> Response<String> {
    let mut response = respond(200, "");
    response.extensions_mut().insert(Lost);
    response
}
