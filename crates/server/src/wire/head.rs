//! Heads of requests: which are answered at once, and what the router is given of the others.

use std::mem::MaybeUninit;

use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version};
use httparse::{Error, Header, Status};
use upbeat_core::event::Id;
use upbeat_engine::{Ask, RequestId};

use super::body::Framing;
use super::chunked::Chunked;
use crate::gate::{HostLines, is_cross_site, is_request_id};

/// Heads with more header fields than this are not for the fast path; clients send about ten.
const MAX_FAST_HEADERS: usize = 32;

/// Most header fields of any request.
const MAX_HEADERS: usize = 100;

/// The longest request target, in bytes.
const MAX_TARGET_BYTES: usize = 65_534;

/// Events up to this size are applied at once, in bytes; a play takes about 130.
pub(super) const MAX_FAST_BODY_BYTES: usize = 4096;

const DECISION_GET: &[u8] = b"GET /should-show-ad/";
const DECISION_HEAD: &[u8] = b"HEAD /should-show-ad/";
const EVENT_POST: &[u8] = b"POST /events ";

/// What stands at the beginning of the bytes that arrived.
#[derive(Debug)]
pub(super) enum FastHead<'a, 'h> {
    /// A request for the fast path.
    Request(FastRequest<'a, 'h>),
    /// The beginning of one; it is worth parsing again when there are so many bytes, if that is known already.
    Incomplete(Option<usize>),
    /// Anything else.
    Other,
}

/// A request for the fast path.
#[derive(Debug)]
pub(super) struct FastRequest<'a, 'h> {
    /// What is asked.
    pub(super) action: Action<'a>,
    /// The caller's `x-request-id`, unchecked.
    pub(super) request_id: Option<&'a [u8]>,
    /// Method, target and header fields as sent.
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    /// What the gate asks of the header fields.
    pub(super) host: HostLines<'a>,
    pub(super) is_cross_site: bool,
    pub(super) headers: &'h [Header<'a>],
    /// Bytes of head and body.
    pub(super) length: usize,
}

/// What a request for the fast path asks for.
#[derive(Debug)]
pub(super) enum Action<'a> {
    /// A decision.
    Decision {
        /// For whom.
        customer: Id,
        /// As the query says; a `HEAD` is a dry run.
        ask: Ask,
        /// Whether only the head is wanted.
        is_head: bool,
    },
    /// To apply one event in JSON.
    Event(&'a [u8]),
}

/// Room for the header fields of a request for the fast path.
pub(super) type FastHeaders<'a> = [MaybeUninit<Header<'a>>; MAX_FAST_HEADERS];

/// Room that is not written yet.
pub(super) fn fast_headers<'a>() -> FastHeaders<'a> {
    [const { MaybeUninit::uninit() }; MAX_FAST_HEADERS]
}

/// Reads the first request off `bytes`, whose head may take `max_head_bytes`, if it is one for the fast path.
pub(super) fn read_fast<'a, 'h>(
    bytes: &'a [u8],
    max_head_bytes: usize,
    headers: &'h mut FastHeaders<'a>,
) -> FastHead<'a, 'h> {
    let known = [DECISION_GET, EVENT_POST, DECISION_HEAD];
    let Some(start) = known.iter().find(|start| bytes.starts_with(start)) else {
        let begun = known.iter().any(|start| start.starts_with(bytes));
        return if begun { FastHead::Incomplete(None) } else { FastHead::Other };
    };
    let mut head = httparse::Request::new(&mut []);
    let head_length = match head.parse_with_uninit_headers(bytes, headers) {
        Ok(Status::Complete(length)) if length <= max_head_bytes => length,
        Ok(Status::Partial) if bytes.len() <= max_head_bytes => return FastHead::Incomplete(None),
        _ => return FastHead::Other,
    };
    let httparse::Request { method: Some(method), path: Some(target), version: Some(1), headers } = head
    else {
        return FastHead::Other;
    };
    let is_post = *start == EVENT_POST;
    let Some(facts) = FastFacts::of(headers, is_post) else {
        return FastHead::Other;
    };
    let length = head_length + facts.body_bytes;
    if bytes.len() < length {
        return FastHead::Incomplete(Some(length));
    }
    let action = if is_post {
        let body = &bytes[head_length..length];
        is_one_event(body).then_some(Action::Event(body))
    } else {
        decision(target, *start == DECISION_HEAD)
    };
    action.map_or(FastHead::Other, |action| {
        FastHead::Request(FastRequest {
            action,
            request_id: facts.request_id,
            method,
            target,
            host: facts.host,
            is_cross_site: facts.is_cross_site,
            headers,
            length,
        })
    })
}

/// What the header fields say that matters to the fast path.
#[derive(Default)]
struct FastFacts<'a> {
    request_id: Option<&'a [u8]>,
    host: HostLines<'a>,
    is_cross_site: bool,
    body_bytes: usize,
}

impl<'a> FastFacts<'a> {
    /// `None` when a field asks for something that the fast path does not do. An offer to upgrade is ignored (RFC 9110,
    /// section 7.8).
    fn of(headers: &[Header<'a>], is_post: bool) -> Option<Self> {
        let mut facts = Self::default();
        let (mut length, mut is_json) = (None, false);
        for Header { name, value } in headers {
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            // Few names have the length of one that matters, so that most are passed over at once.
            match name.len() {
                4 if is("host") => facts.host.add(value),
                6 if is("expect") => return None,
                10 if is("connection") && has_token(value, "close") => return None,
                12 if is("x-request-id") => facts.request_id = facts.request_id.or(Some(value)),
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
                    length = Some(fast_body_length(value)?);
                }
                14 if is("sec-fetch-site") => facts.is_cross_site |= is_cross_site(value),
                16 if is("content-encoding") => return None,
                17 if is("transfer-encoding") => return None,
                _ => {}
            }
        }
        if is_post {
            facts.body_bytes = length.filter(|_| is_json)?;
        }
        Some(facts)
    }
}

/// Whether a list of tokens such as `Connection` has this one, which is given in lower case.
fn has_token(value: &[u8], token: &str) -> bool {
    // Nearly every client sends this.
    if value == b"keep-alive" {
        return token == "keep-alive";
    }
    value.split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Whether a content type is JSON, with UTF-8 or nothing said about its letters.
fn is_plain_json(value: &[u8]) -> bool {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let (essence, charset) = value.split_at(end);
    essence.trim_ascii_end().eq_ignore_ascii_case(b"application/json")
        && (charset.is_empty() || charset[1..].trim_ascii().eq_ignore_ascii_case(b"charset=utf-8"))
}

/// Whether a body is not a list. What is reported of a list may be many times as long as the list, and all of it would
/// be held for a client that does not read.
fn is_one_event(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"{")
}

/// The length of a body that the fast path reads.
fn fast_body_length(value: &[u8]) -> Option<usize> {
    let length = usize::try_from(content_length(value)?).ok()?;
    (value.len() <= 4 && length <= MAX_FAST_BODY_BYTES).then_some(length)
}

/// Reads `/should-show-ad/{customer}` with a query of plain words.
fn decision<'a>(target: &str, is_head: bool) -> Option<Action<'a>> {
    let rest = target.strip_prefix("/should-show-ad/")?;
    // An id and a query are short: looking at each byte takes less than the search for a letter that strings have.
    let (id, query) = split_at_byte(rest, b'?').map_or((rest, None), |(id, query)| (id, Some(query)));
    let customer = Id::parse(id).ok()?;
    let mut ask = query.map_or_else(|| Some(Ask::default()), ask)?;
    ask.dry_run |= is_head;
    Some(Action::Decision { customer, ask, is_head })
}

/// Each of `dry_run` and `request_id` at most once, and nothing that would have to be decoded.
fn ask(query: &str) -> Option<Ask> {
    let (mut dry_run, mut request_id) = (None, None);
    let mut rest = Some(query);
    while let Some(query) = rest {
        let (pair, more) =
            split_at_byte(query, b'&').map_or((query, None), |(pair, more)| (pair, Some(more)));
        rest = more;
        match split_at_byte(pair, b'=')? {
            ("dry_run", value) if dry_run.is_none() => dry_run = Some(value.parse().ok()?),
            ("request_id", value) if request_id.is_none() && is_request_id(value.as_bytes()) => {
                request_id = Some(RequestId::parse(value).ok()?);
            }
            _ => return None,
        }
    }
    Some(Ask { dry_run: dry_run.unwrap_or(false), preview: None, request_id })
}

/// What stands before and behind the first of an ASCII byte.
fn split_at_byte(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|other| other == byte)?;
    Some((&text[..at], &text[at + 1..]))
}

/// What stands at the beginning of the bytes that arrived, as the router is to have it.
#[derive(Debug)]
pub(super) enum AnyHead {
    /// A request.
    Request(Box<RoutedHead>),
    /// The beginning of one.
    Incomplete,
    /// No HTTP/1.1, or more than is allowed: the status to close with.
    Refused(StatusCode),
}

/// The head of a request for the router.
#[derive(Debug)]
pub(super) struct RoutedHead {
    /// Method, target, version and header fields.
    pub(super) request: Request<()>,
    /// Bytes of the head.
    pub(super) length: usize,
    /// Where the body ends.
    pub(super) framing: Framing,
    /// Whether the client sends the body only when it is asked to.
    pub(super) expects_continue: bool,
    /// Whether the client wants the connection closed behind the answer.
    pub(super) wants_close: bool,
}

/// Reads the first request off `bytes`, whose head may take `max_head_bytes`.
pub(super) fn read_any(bytes: &[u8], max_head_bytes: usize) -> AnyHead {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut []);
    match head.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(Status::Complete(length)) if length <= max_head_bytes => match routed(&head, length) {
            Ok(head) => AnyHead::Request(Box::new(head)),
            Err(status) => AnyHead::Refused(status),
        },
        Ok(Status::Partial) if bytes.len() <= max_head_bytes => AnyHead::Incomplete,
        Ok(_) | Err(Error::TooManyHeaders) => AnyHead::Refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        Err(_) => AnyHead::Refused(StatusCode::BAD_REQUEST),
    }
}

fn routed(head: &httparse::Request<'_, '_>, length: usize) -> Result<RoutedHead, StatusCode> {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    let (Some(method), Some(target), Some(version)) = (head.method, head.path, head.version) else {
        return Err(BAD);
    };
    if target.len() > MAX_TARGET_BYTES {
        return Err(StatusCode::URI_TOO_LONG);
    }
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| BAD)?;
    // A fragment is no part of a target (RFC 9112, section 3.2); `Uri` would drop it untold.
    if target.contains('#') {
        return Err(BAD);
    }
    *request.uri_mut() = Uri::try_from(target).map_err(|_| BAD)?;
    *request.version_mut() = if version == 1 { Version::HTTP_11 } else { Version::HTTP_10 };
    let mut framing = FramingFacts::default();
    let (mut close, mut keep_alive, mut expects_continue) = (false, false, false);
    request.headers_mut().reserve(head.headers.len());
    for Header { name, value } in &*head.headers {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("content-length") {
            framing.add_length(value)?;
        } else if is("transfer-encoding") {
            framing.add_encoding(value)?;
        } else if is("connection") {
            close |= has_token(value, "close");
            keep_alive |= has_token(value, "keep-alive");
        } else if is("expect") {
            expects_continue = version == 1 && value.eq_ignore_ascii_case(b"100-continue");
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| BAD)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| BAD)?;
        request.headers_mut().append(name, value);
    }
    let framing = framing.resolve(version)?;
    let wants_close = close || (version == 0 && !keep_alive);
    Ok(RoutedHead {
        request,
        length,
        expects_continue: expects_continue && !framing.is_empty(),
        framing,
        wants_close,
    })
}

/// What the header fields say of the body's length (RFC 9112, section 6).
#[derive(Default)]
struct FramingFacts {
    length: Option<u64>,
    is_chunked: bool,
}

impl FramingFacts {
    /// The same length twice is one length (section 6.3).
    fn add_length(&mut self, value: &[u8]) -> Result<(), StatusCode> {
        let length = content_length(value).ok_or(StatusCode::BAD_REQUEST)?;
        match self.length.replace(length) {
            Some(earlier) if earlier != length => Err(StatusCode::BAD_REQUEST),
            _ => Ok(()),
        }
    }

    /// No coding but `chunked` is understood (section 6.1), and that once.
    fn add_encoding(&mut self, value: &[u8]) -> Result<(), StatusCode> {
        for coding in value.split(|byte| *byte == b',') {
            let is_chunked = coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
            match (is_chunked, std::mem::replace(&mut self.is_chunked, true)) {
                (true, false) => {}
                (true, true) => return Err(StatusCode::BAD_REQUEST),
                (false, _) => return Err(StatusCode::NOT_IMPLEMENTED),
            }
        }
        Ok(())
    }

    /// Both at once are how requests are smuggled past others, and chunks came with HTTP/1.1 (section 6.1).
    fn resolve(self, version: u8) -> Result<Framing, StatusCode> {
        match self {
            Self { is_chunked: false, length } => Ok(Framing::Length(length.unwrap_or(0))),
            Self { is_chunked: true, length: None } if version == 1 => Ok(Framing::Chunked(Chunked::new())),
            Self { is_chunked: true, .. } => Err(StatusCode::BAD_REQUEST),
        }
    }
}

/// Digits and nothing else (RFC 9110, section 8.6).
fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    value.iter().try_fold(0u64, |length, digit| length.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the fast path makes of a text.
    fn fast<R>(text: &str, check: impl FnOnce(FastHead<'_, '_>) -> R) -> R {
        check(read_fast(text.as_bytes(), 1024, &mut fast_headers()))
    }

    fn is_other(text: &str) -> bool {
        fast(text, |head| matches!(head, FastHead::Other))
    }

    fn is_fast(text: &str) -> bool {
        fast(text, |head| matches!(head, FastHead::Request(request) if request.length == text.len()))
    }

    #[test]
    fn fast_request_is_read_and_what_follows_is_untouched() {
        let text = "GET /should-show-ad/48?dry_run=true&request_id=r.1 HTTP/1.1\r\nHost: a\r\nX-REQUEST-ID: x y\r\n\r\n";
        fast(&format!("{text}GET /"), |head| {
            let FastHead::Request(request) = head else { panic!("not a request") };
            assert_eq!((request.request_id, request.length), (Some(&b"x y"[..]), text.len()));
            let Action::Decision { customer, ask, is_head } = request.action else {
                panic!("not a decision")
            };
            assert_eq!((customer, is_head, ask.dry_run), (Id::Number(48), false, true));
            assert_eq!(ask.request_id, RequestId::parse("r.1").ok());
        });
    }

    #[test]
    fn incomplete_request_is_waited_for() {
        let get = "GET /should-show-ad/48 HTTP/1.1\r\nhost: a\r\n\r\n";
        let post = "POST /events HTTP/1.1\r\ncontent-type: Application/JSON\r\nContent-Length: 2\r\n\r\n{}";
        let head = "HEAD /should-show-ad/48 HTTP/1.1\r\nConnection: Keep-Alive\r\n\r\n";
        for whole in [get, post, head] {
            for length in 1..whole.len() {
                let head_is_there = whole[..length].contains("\r\n\r\n");
                fast(&whole[..length], |head| {
                    let FastHead::Incomplete(needed) = head else { panic!("{:?}", &whole[..length]) };
                    assert_eq!(needed, head_is_there.then_some(whole.len()));
                });
                if !head_is_there {
                    assert!(matches!(read_any(&whole.as_bytes()[..length], 1024), AnyHead::Incomplete));
                }
            }
            assert!(is_fast(whole));
        }
    }

    #[test]
    fn headers_that_many_clients_add_keep_the_fast_path() {
        for header in [
            "Content-Length: 0",
            "Connection: keep-alive, Upgrade",
            "Upgrade: h2c",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA",
        ] {
            assert!(is_fast(&format!("GET /should-show-ad/48 HTTP/1.1\r\n{header}\r\n\r\n")), "{header}");
        }
        for kind in [
            "application/json",
            "application/json;charset=utf-8",
            "application/json; charset=utf-8",
            "Application/JSON \t; Charset=UTF-8",
        ] {
            let post =
                format!("POST /events HTTP/1.1\r\ncontent-type: {kind}\r\ncontent-length: 2\r\n\r\n{{}}");
            assert!(is_fast(&post), "{kind}");
        }
    }

    #[test]
    fn unusual_requests_go_to_the_router() {
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
            "connection: keep-alive, Close",
            "content-length: 1",
            "content-length: 0\r\ncontent-length: 0",
            "transfer-encoding: chunked",
            "expect: 100-continue",
            "no colon",
        ] {
            assert!(is_other(&decision("/should-show-ad/48", &format!("{header}\r\n"))), "{header}");
        }
        let many: String = (0..=MAX_FAST_HEADERS).map(|number| format!("x-{number}: 1\r\n")).collect();
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

    fn any(headers: &str) -> Result<RoutedHead, StatusCode> {
        let text = format!("POST /events HTTP/1.1\r\n{headers}\r\n\r\n");
        match read_any(text.as_bytes(), 1024) {
            AnyHead::Request(head) => {
                assert_eq!(head.length, text.len());
                Ok(*head)
            }
            AnyHead::Refused(status) => Err(status),
            AnyHead::Incomplete => panic!("{text:?} is a head"),
        }
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        let framing = |headers: &str| {
            any(headers).map(|head| head.framing.announced()).map_err(|status| status.as_u16())
        };
        for (headers, expected) in [
            ("a: b", Ok(Some(0))),
            ("Content-Length: 12", Ok(Some(12))),
            ("Content-Length: 012", Ok(Some(12))),
            ("Content-Length: 12\r\ncontent-length: 12", Ok(Some(12))),
            ("Content-Length: 18446744073709551615", Ok(Some(u64::MAX))),
            ("Transfer-Encoding: Chunked", Ok(None)),
            ("Content-Length: 12\r\nContent-Length: 13", Err(400)),
            ("Content-Length: 12, 12", Err(400)),
            ("Content-Length: +12", Err(400)),
            ("Content-Length: -12", Err(400)),
            ("Content-Length:", Err(400)),
            ("Content-Length: 0x12", Err(400)),
            ("Content-Length: 18446744073709551616", Err(400)),
            ("Content-Length: 2\r\nTransfer-Encoding: chunked", Err(400)),
            ("Transfer-Encoding: chunked\r\nContent-Length: 2", Err(400)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Err(400)),
            ("Transfer-Encoding: chunked, chunked", Err(400)),
            ("Transfer-Encoding: gzip, chunked", Err(501)),
            ("Transfer-Encoding: chunked, gzip", Err(501)),
            ("Transfer-Encoding: gzip", Err(501)),
            ("Transfer-Encoding: identity", Err(501)),
            ("Transfer-Encoding: chunked;q=1", Err(501)),
            ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", Err(501)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip", Err(501)),
            ("Transfer-Encoding:", Err(501)),
        ] {
            assert_eq!(framing(headers), expected, "{headers}");
        }
        let old = b"POST /events HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(matches!(read_any(old, 1024), AnyHead::Refused(StatusCode::BAD_REQUEST)));
    }

    #[test]
    fn connection_is_kept_unless_its_version_or_a_token_says_otherwise() {
        let wants_close = |version: &str, headers: &str| {
            let text = format!("GET / HTTP/{version}\r\n{headers}\r\n");
            let AnyHead::Request(head) = read_any(text.as_bytes(), 1024) else { panic!("{text}") };
            head.wants_close
        };
        assert!(!wants_close("1.1", "") && wants_close("1.0", ""));
        assert!(!wants_close("1.0", "Connection: Keep-Alive\r\n"));
        assert!(wants_close("1.1", "Connection: foo, CLOSE\r\n"));
        assert!(wants_close("1.1", "Connection: close\r\nConnection: keep-alive\r\n"));
        assert!(!wants_close("1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    }

    #[test]
    fn body_is_asked_for_only_where_there_is_one_and_the_client_waits() {
        for (headers, expected) in [
            ("Expect: 100-continue\r\nContent-Length: 2", true),
            ("Expect: 100-Continue\r\nTransfer-Encoding: chunked", true),
            ("Expect: 100-continue", false),
            ("Expect: something\r\nContent-Length: 2", false),
        ] {
            assert_eq!(any(headers).expect("a head").expects_continue, expected, "{headers}");
        }
    }
}
