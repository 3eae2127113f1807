#![doc = include_str!("../README.md")]

pub mod replay;
#[cfg(test)]
mod stub;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, RANGE};
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Longest answer body that is read, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 << 20;

/// A handle on one server; clones share its connections. To be used on a tokio runtime with timers and I/O.
#[derive(Debug, Clone)]
pub struct Client {
    connections: legacy::Client<HttpConnector, Full<Bytes>>,
    /// `http://host:port/prefix`, without a slash at the end.
    base: String,
    timeout: Duration,
    /// Longest answer body that is read, in bytes.
    most_answer_bytes: usize,
}

/// A whole answer, whatever its status.
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
    /// Why a request failed, as the server reports it: the `detail` (else `title`) of a problem document,
    /// else the first line of the body, else nothing; at most 300 characters.
    #[must_use]
    pub fn detail(&self) -> String {
        let problem: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        let reported = problem.as_ref().and_then(|problem| {
            let text = |key| problem.get(key).and_then(serde_json::Value::as_str);
            text("detail").or_else(|| text("title"))
        });
        let body = String::from_utf8_lossy(&self.body);
        let reported = reported.unwrap_or_else(|| body.lines().next().unwrap_or_default());
        reported.chars().take(300).collect()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is not one of an `http` server.
    #[error("cannot ask {url:?}: {reason}; give an address such as http://127.0.0.1:8080")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No server listens there.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// The request's URL.
        url: String,
        /// The system's message.
        reason: String,
    },
    /// The connection was lost, or what came over it was not HTTP.
    #[error("no answer from {url}: {reason}")]
    Broken {
        /// The request's URL.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The server took too long.
    #[error("no answer from {url} within {limit:?}")]
    Timeout {
        /// The request's URL.
        url: String,
        /// The client's time limit.
        limit: Duration,
    },
}

impl Client {
    /// A client for the server at `base` (`http://host:port`, perhaps with a path before all
    /// others), that waits at most `timeout` for any whole answer. Connects at the first request.
    ///
    /// # Errors
    /// [`ClientError::Url`]: `base` is not an `http` URL, or has a query.
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
            most_answer_bytes: MAX_ANSWER_BYTES,
        })
    }

    /// The same client, which reads answers of so many bytes in place of [`MAX_ANSWER_BYTES`].
    #[must_use]
    pub fn with_answers_of(self, most_answer_bytes: usize) -> Self {
        Self { most_answer_bytes, ..self }
    }

    /// `GET base + path`; `path` is empty or starts with `/`, and may have a query.
    ///
    /// # Errors
    /// There is no whole answer of at most [`MAX_ANSWER_BYTES`]; see [`ClientError`]. A status is not an error.
    pub async fn get(&self, path: &str) -> Result<Answer, ClientError> {
        self.send(Method::GET, path, None, Bytes::new()).await
    }

    /// `GET base + path` for the bytes from `first` to `last`, both included: status 206 where the server gives them, which may be
    /// fewer.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get_part(&self, path: &str, first: u64, last: u64) -> Result<Answer, ClientError> {
        let range = format!("bytes={first}-{last}");
        self.send(Method::GET, path, Some((RANGE, &range)), Bytes::new()).await
    }

    /// `DELETE base + path`.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn delete(&self, path: &str) -> Result<Answer, ClientError> {
        self.send(Method::DELETE, path, None, Bytes::new()).await
    }

    /// `POST base + path` with `body`, of media type `content_type`.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Result<Answer, ClientError> {
        self.send(Method::POST, path, Some((CONTENT_TYPE, content_type)), body.into()).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        header: Option<(HeaderName, &str)>,
        body: Bytes,
    ) -> Result<Answer, ClientError> {
        let url = format!("{}{path}", self.base);
        let mut request = Request::builder().method(method).uri(&url);
        if let Some((name, value)) = header {
            request = request.header(name, value);
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
        let body = Limited::new(body, self.most_answer_bytes).collect().await?;
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
            "the body is longer than is read".to_owned()
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
