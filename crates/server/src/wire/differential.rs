//! The wire compared with hyper: the same bytes, mutated and cut at any place, to both, with the same router behind each.
//!
//! What both answer must be the same, but for the rules in which the wire is stricter on purpose ([`is_stricter`]).

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;
use upbeat_core::event::Zone;

use super::connection::{Connection, Next, Socket, Turn};
use super::dispatch::{Dispatch, Reply, TaskGuard};
use super::fast::Answerer;
use super::{BODY_READ_BYTES, Input};
use crate::admin::keep_reading;
use crate::gate::{Listener, refuse_marked};
use crate::metrics::Format;
use crate::runtime::App;
use crate::tests::app;

/// Bytes in pieces, then the end.
struct Script {
    pieces: VecDeque<Vec<u8>>,
    taken: Vec<u8>,
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.pieces.front_mut() else { return Ok(0) };
        let length = piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        piece.drain(..length);
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        Ok(length)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.taken.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for Script {
    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn discard_unsent(&mut self) {}
}

struct Kept(Vec<Request>);

impl Dispatch for &mut Kept {
    fn dispatch(&mut self, request: Request) -> Option<TaskGuard> {
        self.0.push(request);
        None
    }
}

/// What the wire sends, until the connection is closed.
async fn by_wire(app: &App, router: &Router, pieces: &[&[u8]]) -> Vec<u8> {
    by_wire_with_fault(app, router, pieces).await.0
}

/// What the wire sends until it closes the connection, and whether it met bytes that are malformed.
async fn by_wire_with_fault(app: &App, router: &Router, pieces: &[&[u8]]) -> (Vec<u8>, bool) {
    let errors = || app.metrics.connection_errors.get_or_create(&Listener::Data.into()).get();
    let before = errors();
    let pieces = pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| piece.to_vec()).collect();
    let mut connection =
        Connection::new(Script { pieces, taken: Vec::new() }, super::Scope::Everything, Instant::now());
    connection.transport.readable = true;
    connection.transport.finished = true;
    let mut input: Input = Box::new([0; BODY_READ_BYTES]);
    let mut answerer = Answerer::new();
    let mut kept = Kept(Vec::new());
    for _ in 0..10_000 {
        let polled = Instant::now();
        let mut turn = Turn { app, input: &mut input, answerer: &mut answerer, dispatch: &mut kept, polled };
        match connection.turn(&mut turn) {
            Err(_) => return (connection.transport.stream.taken, errors() > before),
            Ok(Next::Turn) => {}
            Ok(Next::Event) => {
                let request = kept.0.pop().expect("it waits for the router alone");
                let Ok(response) = router.clone().oneshot(request).await;
                let reply = Reply::collect(response, app.response_memory()).await;
                let mut turn =
                    Turn { app, input: &mut input, answerer: &mut answerer, dispatch: &mut kept, polled };
                if connection.reply(reply, &mut turn).is_err() {
                    return (connection.transport.stream.taken, errors() > before);
                }
            }
        }
    }
    panic!("the connection goes on for ever");
}

/// What hyper sends, until the connection is closed.
async fn by_hyper(app: &App, router: &Router, pieces: &[&[u8]]) -> Vec<u8> {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let mut http = http1::Builder::new();
    http.max_header_size(app.config.limits.header_bytes).half_close(true).writev(false);
    // What hyper's connections had when they were the data listener's.
    let router = router.clone().layer(axum::middleware::from_fn(keep_reading));
    let service = TowerToHyperService::new(router);
    let served = async {
        // A client's fault ends it with an error; what was sent till then is what counts.
        let _ = http.serve_connection(TokioIo::new(server), service).await;
    };
    let exchanged = async {
        for piece in pieces {
            if client.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _ = client.shutdown().await;
        let mut taken = Vec::new();
        let _ = client.read_to_end(&mut taken).await;
        taken
    };
    tokio::join!(served, exchanged).1
}

/// Status and body of each answer; interim answers are left out.
fn answers(bytes: &[u8]) -> Vec<(u16, String)> {
    let mut rest = String::from_utf8_lossy(bytes).into_owned();
    let mut found = Vec::new();
    while let Some((head, behind)) = rest.split_once("\r\n\r\n") {
        let status = head.split(' ').nth(1).and_then(|digits| digits.parse().ok()).expect("a status");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |digits| digits.parse().expect("a length"));
        // The tests below send no HEAD.
        let (body, behind) = behind.split_at(length);
        if status != 100 {
            found.push((status, comparable(body)));
        }
        rest = behind.to_owned();
    }
    assert!(rest.is_empty(), "half an answer: {rest:?}");
    found
}

/// A body without its decision id, and without the reason that a body broke off.
fn comparable(body: &str) -> String {
    let body = match body.split_once("\"decision_id\":\"") {
        Some((before, after)) => format!("{before}{}", &after[16..]),
        None => body.to_owned(),
    };
    match body.split_once("the body broke off") {
        Some((before, _)) => before.to_owned(),
        None => body,
    }
}

/// Whether the wire may differ: it refuses what hyper takes, or answers what hyper leaves without an answer. Each rule is
/// one of RFC 9112, or of the contract.
fn is_stricter(sent: &[u8], wire: &[(u16, String)], hyper: &[(u16, String)], is_malformed: bool) -> bool {
    let common = wire.iter().zip(hyper).take_while(|(one, other)| one == other).count();
    let (wire, hyper) = (&wire[common..], &hyper[common..]);
    let text = String::from_utf8_lossy(sent).to_lowercase();
    let has_encoding = text.contains("transfer-encoding");
    match wire {
        // Both lengths, or codings other than `chunked` once (sections 6.1 and 6.3): refused and closed.
        [(400 | 501, body)] if body.is_empty() && has_encoding => true,
        // Chunks that are not framed to the letter (section 7.1): hyper is lenient with blanks and in trailers.
        [(400, body)] if body.contains("malformed-body") && has_encoding => true,
        // A fragment in a target (section 3.2), which hyper drops.
        [(400, body)] if body.is_empty() && text.contains('#') => true,
        // An HTTP/2 preface, or another fault behind good requests: hyper closes without a word.
        [(400, body)] if body.is_empty() && hyper.is_empty() => true,
        // Limits of routes are the wire's to keep; hyper has a limit of its own on lengths, and takes it for one on heads.
        [(413, body), ..] if body.contains("body-too-large") => true,
        [_, ..] if matches!(hyper, [(431, _)]) => text.contains("content-length"),
        // An expectation that is none: hyper, as it was used here, did not read past its unwanted body.
        _ if hyper.is_empty() && text.contains("expect:") => true,
        // A body that was not asked for may come or not (RFC 9110, section 10.1.1): closed, and said so.
        // Likewise chunks of a body that nobody wants, malformed to the letter.
        [] if is_malformed => true,
        [] => text.contains("100-continue"),
        _ => false,
    }
}

fn pieces_of<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.push(bytes.len());
    cuts.sort_unstable();
    let mut start = 0;
    let pieces = cuts.iter().map(|cut| &bytes[std::mem::replace(&mut start, *cut)..*cut]);
    pieces.collect()
}

/// Requests that the parts of a connection are made of.
const REQUESTS: &[&str] = &[
    "GET /should-show-ad/48?dry_run=true HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /should-show-ad/a%20b HTTP/1.1\r\nHost: a\r\nX-Request-Id: r\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
    "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
    "DELETE /events HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    "POST /events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]",
    "POST /events HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n\
     2;a=b\r\n{}\r\n1\r\n\n\r\n0\r\nTrailer: x\r\n\r\n",
    "POST /events HTTP/1.1\r\nHost: a\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\nabc",
    "POST /events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n\
     Content-Length: 2\r\n\r\n[]",
    "POST /decisions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n\
     {\"customers\":[\"48\"]}",
    "\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
];

/// What mutations write into requests.
const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    "0",
    "1",
    "ffffffffffffffff",
    "18446744073709551615",
    "-1",
    "+2",
    ";",
    ":",
    ",",
    "Host: b\r\n",
    "Host: b c\r\n",
    "Sec-Fetch-Site: cross-site\r\n",
    "Sec-Fetch-Site: none\r\n",
    "Content-Encoding: gzip\r\n",
    "Content-Encoding: identity\r\n",
    "Content-Type: application/json\r\n",
    "Content-Length: 2\r\n",
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Expect: 100-continue\r\n",
    "HTTP/1.0",
    "HTTP/2.0",
    "\0",
    "\u{ff}",
    "é",
    "%00",
    "#",
];

#[derive(Debug, Clone)]
enum Mutation {
    Insert(usize, usize),
    Replace(usize, u8),
    Remove(usize, usize),
    Truncate(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        4 => (any::<usize>(), 0..WORDS.len()).prop_map(|(at, word)| Mutation::Insert(at, word)),
        3 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        2 => (any::<usize>(), 1usize..8).prop_map(|(at, length)| Mutation::Remove(at, length)),
        1 => any::<usize>().prop_map(Mutation::Truncate),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    let length = bytes.len();
    match *mutation {
        Mutation::Insert(at, word) => {
            drop(bytes.splice(at % (length + 1)..at % (length + 1), WORDS[word].bytes()))
        }
        Mutation::Replace(at, byte) if length > 0 => bytes[at % length] = byte,
        Mutation::Remove(at, count) if length > 0 => {
            let at = at % length;
            bytes.drain(at..(at + count).min(length));
        }
        Mutation::Truncate(at) => bytes.truncate(at % (length + 1)),
        Mutation::Replace(..) | Mutation::Remove(..) => {}
    }
}

/// Cases in a run of the tests; `UPBEAT_DIFFERENTIAL_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("UPBEAT_DIFFERENTIAL_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

#[test]
fn wire_answers_as_hyper_does_whatever_is_sent() {
    let app = app();
    let router = crate::api::router(&app);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let parts = (
        prop::collection::vec(0..REQUESTS.len(), 1..4),
        prop::collection::vec(mutation(), 0..4),
        prop::collection::vec(any::<usize>(), 0..5),
    );
    let config = Config { cases: cases(), failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&parts, |(requests, mutations, cuts)| {
        let mut bytes: Vec<u8> = requests.iter().flat_map(|index| REQUESTS[*index].bytes()).collect();
        mutations.iter().for_each(|mutation| mutate(&mut bytes, mutation));
        let pieces = pieces_of(&bytes, &cuts);
        let ((wire, is_malformed), hyper) = runtime.block_on(async {
            (by_wire_with_fault(&app, &router, &pieces).await, by_hyper(&app, &router, &pieces).await)
        });
        let (wire, hyper) = (answers(&wire), answers(&hyper));
        let sent = String::from_utf8_lossy(&bytes).into_owned();
        prop_assert!(
            wire == hyper || is_stricter(&bytes, &wire, &hyper, is_malformed),
            "{sent:?}\nwire:  {wire:?}\nhyper: {hyper:?}"
        );
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn answers_do_not_depend_on_how_the_bytes_are_cut() {
    let app: Arc<App> = app();
    let router = crate::api::router(&app);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let all: String = REQUESTS.concat();
    let whole = runtime.block_on(by_wire(&app, &router, &[all.as_bytes()]));
    assert_eq!(answers(&whole).len(), REQUESTS.len());
    for size in [1, 2, 3, 17, 64] {
        let pieces: Vec<&[u8]> = all.as_bytes().chunks(size).collect();
        let cut = runtime.block_on(by_wire(&app, &router, &pieces));
        assert_eq!(answers(&cut), answers(&whole), "pieces of {size}");
    }
}

#[test]
fn gate_cannot_be_passed_around_by_any_request() {
    let app = Arc::new(App::new(Default::default(), Zone::utc(), || 0).with_admit(refuse_marked));
    let router = crate::api::router(&app);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let event = "{\"type\":\"click\",\"event_id\":1,\"customer_id\":48,\"ad\":\"A\",\"time\":\"1970-01-01T00:00:00\"}";
    let json = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", event.len());
    for (line, headers, body) in [
        ("GET /should-show-ad/48 HTTP/1.1", "", ""),
        ("GET /should-show-ad/48?request_id=a%20b HTTP/1.1", "", ""),
        ("GET /should-show-ad/48 HTTP/1.1", "Connection: close\r\n", ""),
        ("GET /should-show-ad/48 HTTP/1.0", "", ""),
        ("POST /events HTTP/1.1", json.as_str(), event),
        ("POST /events HTTP/1.1", &format!("{json}Expect: 100-continue\r\n"), ""),
        ("POST /events HTTP/1.1", "Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("POST /events HTTP/1.1", "Content-Type: text/csv\r\nContent-Length: 99999999\r\n", ""),
        ("POST /decisions HTTP/1.1", "Content-Type: application/json\r\nContent-Length: 2\r\n", "{}"),
        ("GET /healthz HTTP/1.1", "", ""),
        ("GET /nowhere HTTP/1.1", "", ""),
        ("DELETE /events HTTP/1.1", "", ""),
    ] {
        let refused = format!("{line}\r\nHost: a\r\nX-Refuse: 1\r\n{headers}\r\n{body}");
        let sent = runtime.block_on(by_wire(&app, &router, &[refused.as_bytes()]));
        let sent = String::from_utf8(sent).expect("text");
        assert!(!sent.contains("100 Continue"), "{refused}: its body was asked for");
        assert!(sent.lines().next().is_some_and(|line| line.contains(" 503 ")), "{refused}: {sent}");
        assert!(sent.contains("refused at the gate"), "{refused}: {sent}");
        let admitted = refused.replace("X-Refuse", "X-Other");
        let sent = runtime.block_on(by_wire(&app, &router, &[admitted.as_bytes()]));
        let sent = String::from_utf8(sent).expect("text");
        assert!(!sent.contains("refused at the gate"), "{admitted}: {sent}");
    }
    let counted = |route: &str, status: u16| {
        let name = format!("upbeat_http_requests_total{{route=\"{route}\",status=\"{status}\"}} ");
        let text = app.metrics.render(Format::Classic).expect("text");
        text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0)
    };
    assert_eq!(counted("/should-show-ad/{customer}", 503), 4);
    assert_eq!(counted("/events", 503), 5, "the wrong method has its route");
    assert_eq!(app.engine.counters().decisions().map(|(_, count)| count).sum::<u64>(), 4, "those admitted");
    assert_eq!(app.engine.customer_count(), 1, "the event that was admitted");
}
