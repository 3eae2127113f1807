//! Answers in bytes: those of the fast path and the router's replies, in one form.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt;
use jiff::fmt::rfc2822::DateTimePrinter;

use super::dispatch::{Reply, ReplyForm};

/// What ends the head of an answer.
pub(super) struct Ending<'a> {
    /// The time of day, for the `date` header.
    pub(super) date: &'a str,
    /// Bytes of the body, even if it is not sent.
    pub(super) body_length: usize,
    /// Whether the connection is closed behind the answer, which is announced.
    pub(super) closes: bool,
}

impl Ending<'_> {
    /// Appends it.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"content-length: ");
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut *out, &self.body_length);
        if self.closes {
            out.extend_from_slice(b"\r\nconnection: close");
        }
        out.extend_from_slice(b"\r\ndate: ");
        out.extend_from_slice(self.date.as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
    }
}

/// Appends the head of an answer in JSON that is good, but for its ending.
pub(super) fn begin_json_head(out: &mut Vec<u8>, request_id: &[u8]) {
    out.extend_from_slice(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\n",
    );
    write_request_id(out, request_id);
}

fn write_request_id(out: &mut Vec<u8>, request_id: &[u8]) {
    write_field(out, b"x-request-id", request_id);
}

/// Appends an answer of the fast path that is no decision and no report, as problems are; to a `HEAD` without its body.
/// Beside the date stands whether the connection is closed behind it.
pub(super) fn write_response(
    out: &mut Vec<u8>,
    response: Response,
    request_id: &[u8],
    (date, closes): (&str, bool),
    with_body: bool,
) {
    let (mut head, body) = response.into_parts();
    let collected = pin!(body.collect()).poll(&mut Context::from_waker(Waker::noop()));
    let body = match collected {
        Poll::Ready(Ok(body)) => body.to_bytes(),
        Poll::Ready(Err(_)) | Poll::Pending => Default::default(),
    };
    head.headers.remove(header::CONTENT_LENGTH);
    write_status(out, head.status, false);
    write_fields(out, &head.headers);
    write_request_id(out, request_id);
    Ending { date, body_length: body.len(), closes }.write(out);
    if with_body {
        out.extend_from_slice(&body);
    }
}

/// Bodies up to this size are written with their heads, in bytes.
pub(super) const SMALL_BODY_BYTES: usize = 16 << 10;

/// Appends the router's reply; gives back its body where that is to go behind, as it is.
pub(super) fn write_reply(out: &mut Vec<u8>, reply: Reply, form: ReplyForm, date: &str) -> Bytes {
    write_status(out, reply.status, form.is_http_10);
    write_fields(out, &reply.headers);
    let has_length = !matches!(reply.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if has_length {
        let length = reply.announced_length.filter(|_| form.is_head).unwrap_or(reply.body.len() as u64);
        write_field(out, b"content-length", length.to_string().as_bytes());
    }
    if form.closes {
        if !reply.wants_close() && !form.is_http_10 {
            write_field(out, b"connection", b"close");
        }
    } else if form.is_http_10 {
        write_field(out, b"connection", b"keep-alive");
    }
    write_field(out, b"date", date.as_bytes());
    out.extend_from_slice(b"\r\n");
    if form.is_head || !has_length {
        return Bytes::new();
    }
    if reply.body.len() > SMALL_BODY_BYTES {
        return reply.body;
    }
    out.extend_from_slice(&reply.body);
    Bytes::new()
}

/// Appends the answer to bytes that are no request, behind which the connection is closed.
pub(super) fn write_refusal(out: &mut Vec<u8>, status: StatusCode, date: &str) {
    write_status(out, status, false);
    out.extend_from_slice(b"connection: close\r\ncontent-length: 0\r\n");
    write_field(out, b"date", date.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Asks for the body of a request whose client waits to be asked.
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

fn write_status(out: &mut Vec<u8>, status: StatusCode, is_http_10: bool) {
    out.extend_from_slice(if is_http_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_fields(out: &mut Vec<u8>, fields: &HeaderMap) {
    for (name, value) in fields {
        write_field(out, name.as_str().as_bytes(), value.as_bytes());
    }
}

fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The `date` header's text, written again once a second.
pub(super) struct Date {
    text: String,
    until: Instant,
}

impl Date {
    /// As of `now`.
    pub(super) fn new(now: Instant) -> Self {
        let mut date = Self { text: String::new(), until: now };
        date.at(now);
        date
    }

    /// The text at `now`.
    pub(super) fn at(&mut self, now: Instant) -> &str {
        if now >= self.until {
            let wall = jiff::Timestamp::now();
            self.text.clear();
            // A year outside of 0 to 9999 is all that cannot be written.
            let _ = DateTimePrinter::new().print_timestamp_rfc9110(&wall, &mut self.text);
            let into_second_ns = wall.subsec_nanosecond().rem_euclid(1_000_000_000).unsigned_abs();
            self.until = now + Duration::from_secs(1) - Duration::from_nanos(into_second_ns.into());
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;
    use crate::api::{Kind, Problem};

    #[test]
    fn problem_is_written_with_its_headers() {
        let mut out = Vec::new();
        let problem = Problem::new(Kind::StoreFull, "no room").into_response();
        write_response(&mut out, problem, b"r", ("now", false), true);
        let text = String::from_utf8(out).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let expected = format!(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\n\
             retry-after: 1\r\nx-request-id: r\r\ncontent-length: {}\r\ndate: now",
            body.len()
        );
        assert_eq!(head, expected);
        assert!(body.contains("no room"));
    }

    #[test]
    fn date_has_29_characters_and_moves_on() {
        let now = Instant::now();
        let mut date = Date::new(now);
        assert_eq!(date.at(now).len(), "Sun, 06 Nov 1994 08:49:37 GMT".len());
        assert!(date.until > now && date.until <= now + Duration::from_secs(1));
        let later = date.until;
        date.at(later);
        assert!(date.until > later);
    }
}
