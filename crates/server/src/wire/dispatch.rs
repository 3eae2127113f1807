//! From the wire to the router and back.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{self, HeaderMap};
use axum::http::{Method, StatusCode, Version};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tower::ServiceExt;

use super::body::{Arrived, Collected, Fault};
use super::head::RoutedHead;
use super::reply::SMALL_BODY_BYTES;
use crate::api::Problem;
use crate::api::observe::{self, DecisionSince};
use crate::gate::{Admission, HeadFacts, Listener, Principal};
use crate::runtime::{App, Barrier, ResponseMemory};

/// Where requests for the router go. The reply comes back to [`super::connection::Connection::reply`].
pub(super) trait Dispatch {
    /// Has a request answered; the task is cut when what this gives is dropped.
    fn dispatch(&mut self, request: Request) -> Option<TaskGuard>;
}

/// Cuts the router's task when it is dropped: nobody waits for it any more.
#[derive(Debug)]
pub(super) struct TaskGuard(AbortHandle);

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks the gate about the head of a request for the router.
pub(super) fn admit(app: &App, head: &RoutedHead) -> Result<Principal, Problem> {
    observe::admit(app, &HeadFacts::of(Listener::Data, &head.request))
}

/// The request as the router has it; its body, or why there is none, goes beside it.
pub(super) fn request(
    head: RoutedHead,
    admitted: Result<Principal, Problem>,
    body: Option<Result<Collected, Fault>>,
    since: Instant,
) -> Request {
    let (mut parts, ()) = head.request.into_parts();
    parts.extensions.insert(Admission { admitted, since });
    if let Some(body) = body {
        parts.extensions.insert(Arrived::new(body));
    }
    Request::from_parts(parts, Body::empty())
}

/// What of a request matters to how its reply is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReplyForm {
    /// Whether the request was HTTP/1.0.
    pub(super) is_http_10: bool,
    /// Whether the request was a `HEAD`.
    pub(super) is_head: bool,
    /// Whether the connection is closed behind the reply.
    pub(super) closes: bool,
}

impl ReplyForm {
    /// The form that a head asks for.
    pub(super) fn of(head: &RoutedHead) -> Self {
        Self {
            is_http_10: head.request.version() == Version::HTTP_10,
            is_head: head.request.method() == Method::HEAD,
            closes: head.wants_close,
        }
    }
}

/// A reply with its body.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The status.
    pub(super) status: StatusCode,
    /// The header fields, but for those that the wire writes.
    pub(super) headers: HeaderMap,
    /// The body.
    pub(super) body: Bytes,
    /// The length that the header fields announce, which a reply to `HEAD` has without a body.
    pub(super) announced_length: Option<u64>,
    /// Of a decision: since when it was waited for.
    pub(super) decision_since: Option<Instant>,
    /// What it waits for, if it says of events that they are kept.
    pub(super) barrier: Option<Barrier>,
}

impl Reply {
    /// Collects what the router answered; handlers bound what they answer. `None` where the body fails, which a body in
    /// memory never does. Until its last byte is sent a large body holds its share of `memory`; small ones are counted
    /// where the socket does not take them.
    pub(super) async fn collect(response: Response, memory: &Arc<ResponseMemory>) -> Option<Self> {
        let (mut parts, body) = response.into_parts();
        let mut body = body.collect().await.ok()?.to_bytes();
        if body.len() > SMALL_BODY_BYTES {
            body = memory.take_for_existing(body.len()).hold(body);
        }
        let decision_since = parts.extensions.get::<DecisionSince>().map(|since| since.0);
        let barrier = parts.extensions.get::<Barrier>().copied();
        let announced = parts.headers.remove(header::CONTENT_LENGTH);
        let announced_length = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        let (status, headers) = (parts.status, parts.headers);
        Some(Self { status, headers, body, announced_length, decision_since, barrier })
    }

    /// A good one with a text, for tests.
    #[cfg(test)]
    pub(super) fn text(body: &'static str) -> Self {
        let body = Bytes::from_static(body.as_bytes());
        let (status, headers) = (StatusCode::OK, HeaderMap::new());
        Self { status, headers, body, announced_length: None, decision_since: None, barrier: None }
    }

    /// Whether the handler wants the connection closed.
    pub(super) fn wants_close(&self) -> bool {
        self.headers.get(header::CONNECTION).is_some_and(|value| value == "close")
    }
}

/// Runs requests through the router on a runtime, each a task.
#[derive(Clone)]
pub(crate) struct RouterTasks {
    router: Router,
    runtime: Handle,
    memory: Arc<ResponseMemory>,
}

impl RouterTasks {
    /// Tasks on `runtime`, whose large replies come out of the app's memory for answers.
    pub(crate) fn new(app: &App, router: Router, runtime: Handle) -> Self {
        Self { router, runtime, memory: Arc::clone(app.response_memory()) }
    }

    /// Has a task answer a request and give the reply to `finish`: `None` where the task was cut or failed.
    pub(super) fn spawn(
        &self,
        request: Request,
        finish: impl FnOnce(Option<Reply>) + Send + 'static,
    ) -> TaskGuard {
        let (router, memory) = (self.router.clone(), Arc::clone(&self.memory));
        let finish = FinishOnDrop(Some(finish));
        let task = self.runtime.spawn(async move {
            // A router does not fail.
            let Ok(response) = router.oneshot(request).await;
            finish.finish(Reply::collect(response, &memory).await);
        });
        TaskGuard(task.abort_handle())
    }
}

/// Reports a task that is dropped before its end, too: the connection waits for nothing else.
struct FinishOnDrop<F: FnOnce(Option<Reply>)>(Option<F>);

impl<F: FnOnce(Option<Reply>)> FinishOnDrop<F> {
    fn finish(mut self, reply: Option<Reply>) {
        if let Some(finish) = self.0.take() {
            finish(reply);
        }
    }
}

impl<F: FnOnce(Option<Reply>)> Drop for FinishOnDrop<F> {
    fn drop(&mut self) {
        if let Some(finish) = self.0.take() {
            finish(None);
        }
    }
}
