//! The wire's rules of framing in front of hyper: of what arrives, only heads that the wire itself would take go on, whole,
//! each with its body.
//!
//! Hyper takes what the data listener refuses (a fragment in the target, transfer codings other than `chunked`), answers
//! some of it with another status (431 to a length of 2^64 − 1), and drops what it does not look at, so that nobody behind
//! it could tell.

use axum::http::StatusCode;

use super::body::Framing;
use super::head::{AnyHead, read_any};

/// Hyper keeps two lengths for itself, and takes a head that announces one of them for too large.
const LONGEST_BODY: u64 = u64::MAX - 2;

/// Follows the requests of one connection.
#[derive(Debug)]
pub(crate) struct CheckedRequests {
    max_head_bytes: usize,
    /// The beginning of a head.
    held: Vec<u8>,
    /// What of the last request's body has not arrived.
    body: Option<Framing>,
    /// Whether the client wants the connection closed behind that request.
    closes: bool,
}

/// Nothing more of a connection goes on: the status to close with, if anything is to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) Option<StatusCode>);

impl CheckedRequests {
    /// For a connection whose heads may take `max_head_bytes`.
    pub(crate) fn new(max_head_bytes: usize) -> Self {
        Self { max_head_bytes, held: Vec::new(), body: None, closes: false }
    }

    /// Takes what arrived, and appends to `passed` what goes on.
    ///
    /// # Errors
    /// What follows is no request, or one to be refused. A body whose chunks are malformed is cut off without a word,
    /// since its request is being answered, and so is whatever comes behind a request that closes the connection.
    pub(crate) fn take(&mut self, mut arrived: &[u8], passed: &mut Vec<u8>) -> Result<(), Refused> {
        while !arrived.is_empty() {
            if let Some(body) = &mut self.body {
                let (length, is_whole) = body.read(arrived, |_| ()).map_err(|_| Refused(None))?;
                passed.extend_from_slice(&arrived[..length]);
                arrived = &arrived[length..];
                if is_whole {
                    self.body = None;
                }
                continue;
            }
            if self.closes {
                return Err(Refused(None));
            }
            // A client that sends byte by byte does not have all before them parsed each time.
            let is_worth_parsing = memchr::memchr(b'\n', arrived).is_some();
            self.held.extend_from_slice(arrived);
            if !is_worth_parsing && self.held.len() <= self.max_head_bytes {
                return Ok(());
            }
            let held = std::mem::take(&mut self.held);
            match read_any(&held, self.max_head_bytes) {
                AnyHead::Incomplete => {
                    self.held = held;
                    return Ok(());
                }
                AnyHead::Refused(status) => return Err(Refused(Some(status))),
                AnyHead::Request(head) => {
                    if head.framing.announced().is_some_and(|length| length > LONGEST_BODY) {
                        return Err(Refused(Some(StatusCode::PAYLOAD_TOO_LARGE)));
                    }
                    passed.extend_from_slice(&held[..head.length]);
                    self.closes = head.wants_close;
                    self.body = Some(head.framing).filter(|framing| !framing.is_empty());
                    // Whatever was held before is part of this head.
                    let behind = held.len() - head.length;
                    arrived = &arrived[arrived.len() - behind..];
                }
            }
        }
        Ok(())
    }

    /// Whether a head has begun to arrive and is not whole. The empty lines that may stand before it are none of it.
    pub(crate) fn is_in_head(&self) -> bool {
        self.held.iter().any(|byte| !matches!(byte, b'\r' | b'\n'))
    }

    /// Whether nothing of a request has arrived that is not whole.
    pub(crate) fn is_between_requests(&self) -> bool {
        self.body.is_none() && !self.is_in_head()
    }

    /// What was held back when the client sends no more: half a head, which is for the server to make of what it will.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

/// The answer to what is refused, behind which the connection is closed.
pub(crate) fn refusal(status: StatusCode) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or_default();
    let status = status.as_str();
    format!("HTTP/1.1 {status} {reason}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What goes on of bytes that arrive in pieces of a size, and how it ended.
    fn checked(text: &str, size: usize) -> (String, Result<(), Refused>) {
        let (mut requests, mut passed) = (CheckedRequests::new(1024), Vec::new());
        let mut ended = Ok(());
        for piece in text.as_bytes().chunks(size) {
            if ended.is_ok() {
                ended = requests.take(piece, &mut passed);
            }
        }
        (String::from_utf8(passed).expect("text"), ended)
    }

    const GOOD: &str = "GET /models HTTP/1.1\r\nhost: a\r\n\r\n\
                        GET /models HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello\
                        GET /models HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n0\r\n\r\n";

    #[test]
    fn good_requests_pass_whole_however_they_arrive_and_half_a_head_is_held() {
        for size in [1, 2, 7, 40, 1000] {
            assert_eq!(checked(GOOD, size), (GOOD.to_owned(), Ok(())), "pieces of {size}");
            assert_eq!(checked(&format!("{GOOD}GET / HTTP/1.1\r\nho"), size), (GOOD.to_owned(), Ok(())));
        }
        let mut requests = CheckedRequests::new(1024);
        requests.take(b"GET /", &mut Vec::new()).expect("the beginning of a head");
        assert_eq!(requests.rest(), b"GET /");
    }

    #[test]
    fn refused_head_and_what_follows_do_not_pass() {
        let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(1024));
        for (bad, status) in [
            ("GET /#a HTTP/1.1\r\nhost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n", 501),
            ("GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 18446744073709551615\r\n\r\n", 413),
            ("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 18446744073709551616\r\n\r\n", 400),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
            (&long, 431),
        ] {
            for size in [1, 16, 4096] {
                let (passed, ended) = checked(&format!("{GOOD}{bad}{GOOD}"), size);
                assert_eq!(passed, GOOD, "{bad}");
                let status = StatusCode::from_u16(status).expect("a status");
                assert_eq!(ended, Err(Refused(Some(status))), "{bad}");
            }
        }
    }

    #[test]
    fn nothing_passes_behind_a_request_that_closes_the_connection() {
        for last in [
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi",
            "GET / HTTP/1.0\r\n\r\n",
        ] {
            for behind in [GOOD, "HELLO\r\n\r\n"] {
                for size in [1, 16, 4096] {
                    let (passed, ended) = checked(&format!("{GOOD}{last}{behind}"), size);
                    assert_eq!((passed, ended), (format!("{GOOD}{last}"), Err(Refused(None))), "{last}");
                }
            }
        }
    }

    #[test]
    fn head_is_under_way_from_its_first_byte_to_its_last() {
        let mut requests = CheckedRequests::new(1024);
        for (piece, is_in_head, is_between_requests) in [
            ("\r\n", false, true),
            ("GET / HTTP/1.1\r\n", true, false),
            ("host: a\r\ncontent-length: 2\r\n\r\nh", false, false),
            ("i\r\nG", true, false),
            ("ET / HTTP/1.1\r\nhost: a\r\n\r\n", false, true),
        ] {
            requests.take(piece.as_bytes(), &mut Vec::new()).expect("a request");
            assert_eq!(requests.is_in_head(), is_in_head, "{piece}");
            assert_eq!(requests.is_between_requests(), is_between_requests, "{piece}");
        }
    }

    #[test]
    fn malformed_chunks_end_a_connection_without_a_word() {
        let head = "GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        let (passed, ended) = checked(&format!("{head}zz\r\n{GOOD}"), 4096);
        assert_eq!((passed.as_str(), ended), (head, Err(Refused(None))));
    }
}
