//! Lingering close: the rest of a refused request's body is read and discarded, so that its sender receives the answer.
//!
//! Closing a socket with unread bytes resets the connection, and a client that is still sending then gets a broken pipe
//! instead of the problem document. Nothing read here is kept, and both time and bytes are bounded.

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::runtime::linger::{MAX_BYTES, SILENCE_TIMEOUT, TOTAL_TIMEOUT};

/// Reads the rest of the request's body even if its handler does not. Where it will not be read, since the client was not
/// asked for it or it is too long, hyper closes the connection, and the answer says so.
pub(crate) async fn keep_reading(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // A client that sends `Expect: 100-continue` waits for the answer before it sends anything.
    let waits = request.headers().contains_key(header::EXPECT);
    let closes = waits || request.body().size_hint().lower() > MAX_BYTES as u64;
    let request =
        if waits { request } else { request.map(|body| Body::new(Lingering { body, ended: false })) };
    let mut response = next.run(request).await;
    if closes {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

struct Lingering {
    body: Body,
    ended: bool,
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.ended |= matches!(frame, Poll::Ready(None | Some(Err(_))));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if self.ended || self.body.is_end_stream() {
            return;
        }
        let body = std::mem::take(&mut self.body);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(timeout(TOTAL_TIMEOUT, discard(body)));
        }
    }
}

async fn discard(mut body: Body) {
    let mut bytes = 0;
    while let Ok(Some(Ok(frame))) = timeout(SILENCE_TIMEOUT, body.frame()).await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > MAX_BYTES {
            return;
        }
    }
}
