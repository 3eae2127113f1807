//! A small HTTP/1.1 client for one server: keep-alive, plain `http`, a time limit on every request.
//!
//! The binary's own roles use it (`replay`, `demo`, `health`). It follows no redirects and keeps no
//! cookies.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Longest answer body that is read, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 << 20;

/// A handle on one server; clones share the connections.
#[derive(Debug, Clone)]
pub struct Client {
    connections: legacy::Client<HttpConnector, Full<Bytes>>,
    /// `http://host:port/prefix`, without a slash at the end.
    base: String,
    timeout: Duration,
}

/// What the server said.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status, `100..=999`.
    pub status: u16,
    /// Header lines.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// What a failed request was told: the `detail` (else `title`) of a problem document, else the
    /// first line of the body, else nothing; at most 300 characters.
    pub fn detail(&self) -> String {
        let problem: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        let told = problem.as_ref().and_then(|problem| {
            let text = |key| problem.get(key).and_then(serde_json::Value::as_str);
            text("detail").or_else(|| text("title"))
        });
        let body = String::from_utf8_lossy(&self.body);
        let told = told.unwrap_or_else(|| body.lines().next().unwrap_or_default());
        told.chars().take(300).collect()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address cannot be asked.
    #[error("cannot ask {url:?}: {reason}; give an address such as http://127.0.0.1:8080")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody listens there.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// The connection was lost, or what came over it was not HTTP.
    #[error("no answer from {url}: {reason}")]
    Broken {
        /// What was asked.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The server took too long.
    #[error("no answer from {url} within {limit:?}")]
    Timeout {
        /// What was asked.
        url: String,
        /// The client's time limit.
        limit: Duration,
    },
}

impl Client {
    /// A client for the server at `base` (`http://host:port`, perhaps with a path before all
    /// others), that waits at most `timeout` for any whole answer. Connects when first asked.
    pub fn new(base: &str, timeout: Duration) -> Result<Self, ClientError> {
        let refuse = |reason: &str| ClientError::Url { url: base.to_owned(), reason: reason.to_owned() };
        let uri: Uri = base.parse().map_err(|error| refuse(&format!("{error}")))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(refuse(
                    "https is not spoken here; ask the server directly, behind its TLS proxy",
                ));
            }
            _ => return Err(refuse("it does not start with http://")),
        }
        if uri.query().is_some() {
            return Err(refuse("it has a query"));
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Self {
            connections: legacy::Client::builder(TokioExecutor::new()).build(connector),
            base: base.trim_end_matches('/').to_owned(),
            timeout,
        })
    }

    /// `GET base + path`; `path` is empty or starts with `/`, and may have a query.
    pub async fn get(&self, path: &str) -> Result<Answer, ClientError> {
        self.ask(Method::GET, path, None, Bytes::new()).await
    }

    /// `POST base + path` with `body`, of media type `content_type`.
    pub async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Result<Answer, ClientError> {
        self.ask(Method::POST, path, Some(content_type), body.into()).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Bytes,
    ) -> Result<Answer, ClientError> {
        let url = format!("{}{path}", self.base);
        let mut request = Request::builder().method(method).uri(&url);
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| ClientError::Url { url: url.clone(), reason: error.to_string() })?;
        match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(answer) => answer.map_err(|failure| failure.at(url)),
            Err(_) => Err(ClientError::Timeout { url, limit: self.timeout }),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let response = self.connections.request(request).await?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?;
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.to_bytes() })
    }
}

/// A failed exchange, before it knows its address.
struct Failure {
    reason: String,
    unreachable: bool,
}

impl Failure {
    fn at(self, url: String) -> ClientError {
        let reason = self.reason;
        if self.unreachable {
            ClientError::Unreachable { url, reason }
        } else {
            ClientError::Broken { url, reason }
        }
    }
}

impl From<legacy::Error> for Failure {
    fn from(error: legacy::Error) -> Self {
        Self { reason: root_cause(&error), unreachable: error.is_connect() }
    }
}

impl From<Box<dyn Error + Send + Sync>> for Failure {
    fn from(error: Box<dyn Error + Send + Sync>) -> Self {
        let reason = if error.is::<LengthLimitError>() {
            format!("the body is longer than {MAX_ANSWER_BYTES} bytes")
        } else {
            root_cause(&*error)
        };
        Self { reason, unreachable: false }
    }
}

/// The innermost message: the outer ones only say that something failed.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::convert::Infallible;
    use std::future::Future;
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use hyper::body::Incoming;
    use hyper::service::service_fn;
    use hyper::{Response, server};
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;

    use super::*;

    /// A request that a [`stub`] saw: method, path with query, body.
    pub(crate) type Seen = (String, String, String);

    /// A server on a free port that answers the n-th request with `answer(n, request)`.
    pub(crate) struct Stub {
        pub(crate) url: String,
        pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
        pub(crate) connections: Arc<AtomicUsize>,
    }

    pub(crate) async fn stub(
        answer: impl Fn(usize, &Seen) -> Response<String> + Send + Sync + 'static,
    ) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stub = Stub {
            url: format!("http://{}", listener.local_addr().unwrap()),
            seen: Arc::default(),
            connections: Arc::default(),
        };
        let (seen, connections) = (stub.seen.clone(), stub.connections.clone());
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (seen, answer) = (seen.clone(), answer.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (seen, answer) = (seen.clone(), answer.clone());
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let request = (
                            parts.method.to_string(),
                            parts.uri.to_string(),
                            String::from_utf8(body.to_vec()).unwrap(),
                        );
                        let mut seen = seen.lock().unwrap();
                        let response = answer(seen.len(), &request);
                        seen.push(request);
                        Ok::<_, Infallible>(response)
                    }
                });
                tokio::spawn(
                    server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        stub
    }

    /// Runs `story` to its end on one thread.
    pub(crate) fn block_on<T>(story: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story)
    }

    /// An answer with this status and body.
    pub(crate) fn respond(status: u16, body: &str) -> Response<String> {
        let response = Response::builder().status(status);
        response.body(body.to_owned()).unwrap()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn requests_share_a_connection_and_carry_path_and_body() {
        block_on(async {
            let stub = stub(|nth, _| respond(200, &nth.to_string())).await;
            let client = Client::new(&format!("{}/", stub.url), SECOND).unwrap();
            let first = client.get("/a?b=c").await.unwrap();
            assert_eq!((first.status, &first.body[..]), (200, &b"0"[..]));
            let second = client.post("/d", "text/csv", "1,2\n").await.unwrap();
            assert_eq!(&second.body[..], b"1");
            let seen = stub.seen.lock().unwrap().clone();
            let text = |seen: &Seen| format!("{} {} {}", seen.0, seen.1, seen.2);
            assert_eq!(text(&seen[0]), "GET /a?b=c ");
            assert_eq!(text(&seen[1]), "POST /d 1,2\n");
            assert_eq!(stub.connections.load(Ordering::SeqCst), 1);
        });
    }

    #[test]
    fn an_address_that_cannot_be_asked_is_refused_with_a_reason() {
        for (url, reason) in [
            ("https://127.0.0.1:8080", "https is not spoken here"),
            ("127.0.0.1:8080", "does not start with http://"),
            ("localhost:8080", "does not start with http://"),
            ("ftp://a", "does not start with http://"),
            ("http://a b", "invalid uri"),
            ("", "cannot ask \"\""),
            ("http://a?x=y", "query"),
        ] {
            let error = Client::new(url, SECOND).unwrap_err().to_string();
            assert!(error.contains(reason), "{url}: {error}");
        }
    }

    #[test]
    fn nobody_there_is_told_apart_from_a_broken_answer_and_a_slow_one() {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address: SocketAddr = listener.local_addr().unwrap();
            let client = Client::new(&format!("http://{address}"), SECOND / 10).unwrap();
            let slow = client.get("/").await.unwrap_err();
            assert!(matches!(slow, ClientError::Timeout { .. }), "{slow}");

            let broken = tokio::spawn(async move { client.get("/").await.unwrap_err() });
            // The first connection is that of the slow request.
            for _ in 0..2 {
                drop(listener.accept().await.unwrap());
            }
            let broken = broken.await.unwrap();
            assert!(matches!(broken, ClientError::Broken { .. }), "{broken}");

            drop(listener);
            let client = Client::new(&format!("http://{address}"), SECOND).unwrap();
            let nobody = client.get("/").await.unwrap_err();
            assert!(matches!(nobody, ClientError::Unreachable { .. }), "{nobody}");
            assert!(nobody.to_string().contains("refused"), "{nobody}");
        });
    }

    #[test]
    fn a_problem_documents_detail_is_what_was_told() {
        let told = |body: &'static str| {
            Answer { status: 400, headers: HeaderMap::new(), body: Bytes::from_static(body.as_bytes()) }
                .detail()
        };
        assert_eq!(told(r#"{"title":"Bad","detail":"id is empty"}"#), "id is empty");
        assert_eq!(told(r#"{"title":"Bad"}"#), "Bad");
        assert_eq!(told("<html>\nmore"), "<html>");
        assert_eq!(told(""), "");
    }
}
