//! Heads of answers, byte for byte as hyper writes those of the router.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use axum::http::{StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt;
use jiff::fmt::rfc2822::DateTimePrinter;

/// What ends the head of an answer.
pub(super) struct Ending<'a> {
    /// The time of day, for the `date` header.
    pub(super) date: &'a str,
    /// Bytes of the body, even if it is not sent.
    pub(super) body_length: usize,
}

impl Ending<'_> {
    /// Appends it.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"content-length: ");
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut *out, &self.body_length);
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
    out.extend_from_slice(b"x-request-id: ");
    out.extend_from_slice(request_id);
    out.extend_from_slice(b"\r\n");
}

/// Appends any answer that is complete already, as those of problems are; to a `HEAD` without its body.
pub(super) fn write_response(
    out: &mut Vec<u8>,
    response: Response,
    request_id: &[u8],
    date: &str,
    with_body: bool,
) {
    let (head, body) = response.into_parts();
    let collected = pin!(body.collect()).poll(&mut Context::from_waker(Waker::noop()));
    let body = match collected {
        Poll::Ready(Ok(body)) => body.to_bytes(),
        Poll::Ready(Err(_)) | Poll::Pending => Default::default(),
    };
    write_status(out, head.status);
    for (name, value) in head.headers.iter().filter(|(name, _)| **name != header::CONTENT_LENGTH) {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    write_request_id(out, request_id);
    Ending { date, body_length: body.len() }.write(out);
    if with_body {
        out.extend_from_slice(&body);
    }
}

fn write_status(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The `date` header's text, made anew once a second.
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
    use crate::http::problem::{Kind, Problem};

    #[test]
    fn a_problem_is_written_with_its_headers() {
        let mut out = Vec::new();
        let problem = Problem::new(Kind::StoreFull, "no room").into_response();
        write_response(&mut out, problem, b"r", "now", true);
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
    fn the_date_is_29_characters_and_moves_on() {
        let now = Instant::now();
        let mut date = Date::new(now);
        assert_eq!(date.at(now).len(), "Sun, 06 Nov 1994 08:49:37 GMT".len());
        assert!(date.until > now && date.until <= now + Duration::from_secs(1));
        let later = date.until;
        date.at(later);
        assert!(date.until > later);
    }
}
