//! Which requests are answered at once: their heads, read off the bytes that arrived.

use std::mem::MaybeUninit;

use httparse::{Header, Status};

use crate::engine::{Ask, RequestId};
use crate::event::Id;

/// Heads with more headers than this are left to the router; clients send about ten.
const MAX_HEADERS: usize = 32;

/// Events up to this size are applied at once, in bytes; a play takes about 130.
pub(super) const MAX_BODY_BYTES: usize = 4096;

const DECISION_GET: &[u8] = b"GET /should-show-ad/";
const DECISION_HEAD: &[u8] = b"HEAD /should-show-ad/";
const EVENT_POST: &[u8] = b"POST /events ";

/// What stands at the beginning of the bytes that arrived.
#[derive(Debug)]
pub(super) enum Read<'a> {
    /// A request that is answered here.
    Request(Request<'a>),
    /// The beginning of one; it is worth looking again when there are so many bytes, if that is known already.
    Incomplete(Option<usize>),
    /// Anything else: the router answers it.
    Other,
}

/// A request that is answered here.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// What is asked.
    pub(super) what: What<'a>,
    /// The caller's `x-request-id`, unchecked.
    pub(super) request_id: Option<&'a [u8]>,
    /// Bytes of head and body.
    pub(super) length: usize,
}

/// What is asked.
#[derive(Debug)]
pub(super) enum What<'a> {
    /// A decision.
    Decision {
        /// For whom.
        customer: Id,
        /// As the query says; a `HEAD` is a dry run.
        ask: Ask,
        /// Whether only the head is wanted.
        is_head: bool,
    },
    /// One event in JSON.
    Event(&'a [u8]),
}

/// Reads the first request off `bytes`, whose head may take `max_head_bytes`.
pub(super) fn read(bytes: &[u8], max_head_bytes: usize) -> Read<'_> {
    let known = [DECISION_GET, EVENT_POST, DECISION_HEAD];
    let Some(start) = known.iter().find(|start| bytes.starts_with(start)) else {
        let begun = known.iter().any(|start| start.starts_with(bytes));
        return if begun { Read::Incomplete(None) } else { Read::Other };
    };
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut []);
    let head_length = match head.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(Status::Complete(length)) if length <= max_head_bytes => length,
        Ok(Status::Partial) if bytes.len() <= max_head_bytes => return Read::Incomplete(None),
        _ => return Read::Other,
    };
    let (Some(target), Some(1)) = (head.path, head.version) else {
        return Read::Other;
    };
    let is_post = *start == EVENT_POST;
    let Some(told) = Told::by(head.headers, is_post) else {
        return Read::Other;
    };
    let length = head_length + told.body_bytes;
    if bytes.len() < length {
        return Read::Incomplete(Some(length));
    }
    let what = if is_post {
        let body = &bytes[head_length..length];
        is_one_event(body).then_some(What::Event(body))
    } else {
        decision(target, *start == DECISION_HEAD)
    };
    what.map_or(Read::Other, |what| Read::Request(Request { what, request_id: told.request_id, length }))
}

/// What the headers say that matters here.
#[derive(Default)]
struct Told<'a> {
    request_id: Option<&'a [u8]>,
    body_bytes: usize,
}

impl<'a> Told<'a> {
    /// `None` when a header asks for something that is not done here.
    fn by(headers: &[Header<'a>], is_post: bool) -> Option<Self> {
        let mut told = Self::default();
        let (mut length, mut is_json) = (None, false);
        for Header { name, value } in headers {
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            // Few names have the length of one that matters, so that most are passed over at once.
            match name.len() {
                6 if is("expect") => return None,
                7 if is("upgrade") => return None,
                10 if is("connection") && !value.eq_ignore_ascii_case(b"keep-alive") => return None,
                12 if is("x-request-id") => told.request_id = told.request_id.or(Some(value)),
                12 if is("content-type") && is_post => {
                    if is_json || !is_plain_json(value) {
                        return None;
                    }
                    is_json = true;
                }
                14 if is("content-length") => {
                    if length.is_some() || (!is_post && *value != b"0") {
                        return None;
                    }
                    length = Some(body_length(value)?);
                }
                16 if is("content-encoding") => return None,
                17 if is("transfer-encoding") => return None,
                _ => {}
            }
        }
        if is_post {
            told.body_bytes = length.filter(|_| is_json)?;
        }
        Some(told)
    }
}

/// Whether a content type is JSON, with UTF-8 or nothing said about its letters.
fn is_plain_json(value: &[u8]) -> bool {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let (essence, charset) = value.split_at(end);
    essence.trim_ascii_end().eq_ignore_ascii_case(b"application/json")
        && (charset.is_empty() || charset[1..].trim_ascii().eq_ignore_ascii_case(b"charset=utf-8"))
}

/// Whether a body is not a list. What is told of a list may be many times as long as the list, and all of it would be
/// held for a client that does not read.
fn is_one_event(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"{")
}

/// The length of a body that is read here.
fn body_length(value: &[u8]) -> Option<usize> {
    if value.is_empty() || value.len() > 4 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length = value.iter().fold(0, |length, digit| 10 * length + usize::from(digit - b'0'));
    (length <= MAX_BODY_BYTES).then_some(length)
}

/// Reads `/should-show-ad/{customer}` with a query of plain words.
fn decision<'a>(target: &str, is_head: bool) -> Option<What<'a>> {
    let rest = target.strip_prefix("/should-show-ad/")?;
    let (id, query) = rest.split_once('?').map_or((rest, None), |(id, query)| (id, Some(query)));
    let customer = Id::parse(id).ok()?;
    let mut ask = query.map_or_else(|| Some(Ask::default()), ask)?;
    ask.dry_run |= is_head;
    Some(What::Decision { customer, ask, is_head })
}

/// Each of `dry_run` and `request_id` at most once, and nothing that would have to be decoded.
fn ask(query: &str) -> Option<Ask> {
    let (mut dry_run, mut request_id) = (None, None);
    for pair in query.split('&') {
        match pair.split_once('=')? {
            ("dry_run", value) if dry_run.is_none() => dry_run = Some(value.parse().ok()?),
            ("request_id", value) if request_id.is_none() && super::is_plain_id(value.as_bytes()) => {
                request_id = Some(RequestId::parse(value).ok()?);
            }
            _ => return None,
        }
    }
    Some(Ask { dry_run: dry_run.unwrap_or(false), request_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Read<'_> {
        read(text.as_bytes(), 1024)
    }

    fn is_other(text: &str) -> bool {
        matches!(read_text(text), Read::Other)
    }

    #[test]
    fn the_question_is_read_with_what_follows_left_alone() {
        let text = "GET /should-show-ad/48?dry_run=true&request_id=r.1 HTTP/1.1\r\nHost: a\r\nX-REQUEST-ID: x y\r\n\r\n";
        let more = format!("{text}GET /");
        let Read::Request(Request { what, request_id, length }) = read_text(&more) else {
            panic!("not a request")
        };
        assert_eq!((request_id, length), (Some(&b"x y"[..]), text.len()));
        let What::Decision { customer, ask, is_head } = what else { panic!("not a decision") };
        assert_eq!((customer, is_head, ask.dry_run), (Id::Number(48), false, true));
        assert_eq!(ask.request_id, RequestId::parse("r.1").ok());
    }

    #[test]
    fn a_request_that_is_not_all_there_is_waited_for() {
        let get = "GET /should-show-ad/48 HTTP/1.1\r\nhost: a\r\n\r\n";
        let post = "POST /events HTTP/1.1\r\ncontent-type: Application/JSON\r\nContent-Length: 2\r\n\r\n{}";
        let head = "HEAD /should-show-ad/48 HTTP/1.1\r\nConnection: Keep-Alive\r\n\r\n";
        for whole in [get, post, head] {
            for length in 1..whole.len() {
                let Read::Incomplete(needed) = read_text(&whole[..length]) else {
                    panic!("{:?}", &whole[..length])
                };
                let head_is_there = whole[..length].contains("\r\n\r\n");
                assert_eq!(needed, head_is_there.then_some(whole.len()));
            }
            assert!(matches!(read_text(whole), Read::Request(request) if request.length == whole.len()));
        }
    }

    #[test]
    fn what_many_clients_add_is_understood() {
        let get = "GET /should-show-ad/48 HTTP/1.1\r\nContent-Length: 0\r\n\r\n";
        assert!(matches!(read_text(get), Read::Request(_)));
        for kind in [
            "application/json",
            "application/json;charset=utf-8",
            "application/json; charset=utf-8",
            "Application/JSON \t; Charset=UTF-8",
        ] {
            let post =
                format!("POST /events HTTP/1.1\r\ncontent-type: {kind}\r\ncontent-length: 2\r\n\r\n{{}}");
            assert!(matches!(read_text(&post), Read::Request(_)), "{kind}");
        }
    }

    #[test]
    fn what_is_odd_is_left_to_the_router() {
        let decision = |target: &str, headers: &str| format!("GET {target} HTTP/1.1\r\n{headers}\r\n");
        for target in [
            "/should-show-ad/",
            "/should-show-ad/a%20b",
            "/should-show-ad/a/b",
            "/should-show-ad/a#b",
            "/should-show-ad/48?",
            "/should-show-ad/48?dry_run",
            "/should-show-ad/48?dry_run=yes",
            "/should-show-ad/48?dry_run=true&dry_run=true",
            "/should-show-ad/48?request_id=",
            "/should-show-ad/48?request_id=a%20b",
            "/should-show-ad/48?request_id=a+b",
            "/should-show-ad/48?request_id=a#b",
            "/should-show-ad/48?other=1",
            "/should-show-ad/é",
            "/events",
        ] {
            assert!(is_other(&decision(target, "host: a\r\n")), "{target}");
        }
        for header in [
            "connection: close",
            "connection: keep-alive, upgrade",
            "content-length: 1",
            "content-length: 00",
            "content-length: 0\r\ncontent-length: 0",
            "transfer-encoding: chunked",
            "expect: 100-continue",
            "upgrade: h2c",
            "no colon",
        ] {
            assert!(is_other(&decision("/should-show-ad/48", &format!("{header}\r\n"))), "{header}");
        }
        let many: String = (0..=MAX_HEADERS).map(|number| format!("x-{number}: 1\r\n")).collect();
        assert!(is_other(&decision("/should-show-ad/48", &many)));
        let long = format!("x: {}\r\n", "x".repeat(1024));
        assert!(is_other(&decision("/should-show-ad/48", &long)));
        assert!(
            is_other("GET /should-show-ad/48 HTTP/1.0\r\n\r\n") && is_other("HELLO") && is_other("\r\nGET /")
        );
        for body in ["[]", " \n[", "", "7", "\u{feff}{}"] {
            let length = body.len();
            let head = format!("content-type: application/json\r\ncontent-length: {length}");
            assert!(is_other(&format!("POST /events HTTP/1.1\r\n{head}\r\n\r\n{body}")), "{body}");
        }
        for headers in [
            "content-length: 2",
            "content-type: application/json",
            "content-type: application/json\r\ncontent-length: 4097",
            "content-type: application/json\r\ncontent-length: +2",
            "content-type: application/json\r\ncontent-length: 2\r\ncontent-length: 2",
            "content-type: application/json\r\ncontent-length: 2\r\ncontent-encoding: gzip",
            "content-type: text/csv\r\ncontent-length: 2",
            "content-type: application/json;\r\ncontent-length: 2",
            "content-type: application/json; charset=latin1\r\ncontent-length: 2",
            "content-type: application/json; charset=utf-8; charset=utf-8\r\ncontent-length: 2",
        ] {
            assert!(is_other(&format!("POST /events HTTP/1.1\r\n{headers}\r\n\r\n{{}}")), "{headers}");
        }
    }
}
