//! What a refused request still sends is read and thrown away, so that its sender hears the answer.
//!
//! Closing a socket with unread bytes resets the connection, and a client that is still sending then sees a broken
//! pipe in place of the problem document. Nothing read here is kept, and both time and bytes are bounded.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// A sender silent for so long is not waited for.
const LONGEST_SILENCE: Duration = Duration::from_secs(1);
/// So long at most, however busy the sender.
const LONGEST: Duration = Duration::from_secs(10);
/// So many bytes at most.
const MOST_BYTES: usize = 64 << 20;

/// Has the rest of the request's body read even if its handler does not.
pub fn keep_reading(request: Request) -> Request {
    // Who asks first (Expect: 100-continue) waits for the answer before sending anything.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return request;
    }
    request.map(|body| Body::new(Lingering { body, ended: false }))
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
            runtime.spawn(timeout(LONGEST, discard(body)));
        }
    }
}

async fn discard(mut body: Body) {
    let mut bytes = 0;
    while let Ok(Some(Ok(frame))) = timeout(LONGEST_SILENCE, body.frame()).await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > MOST_BYTES {
            return;
        }
    }
}
