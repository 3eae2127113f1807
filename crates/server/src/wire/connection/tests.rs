mod bodies;
mod holding;
mod stopping;
mod time_limits;

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::Arc;

use axum::extract::Request;

use super::*;
use crate::metrics::Format;
use crate::tests::{DECISION, app};
use crate::wire::BODY_READ_BYTES;
use crate::wire::dispatch::{Reply, TaskGuard};

/// A socket that brings what it is given, piece by piece, and takes so many bytes.
#[derive(Default)]
struct Script {
    brings: VecDeque<Vec<u8>>,
    room: usize,
    taken: Vec<u8>,
    shut: bool,
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.brings.pop_front().ok_or(ErrorKind::WouldBlock)?;
        buffer[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(self.room);
        if length == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.room -= length;
        self.taken.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for Script {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shut = true;
        Ok(())
    }

    fn discard_unsent(&mut self) {}
}

/// Keeps requests for the router.
impl Dispatch for &mut Vec<Request> {
    fn dispatch(&mut self, request: Request) -> Option<TaskGuard> {
        self.push(request);
        None
    }
}

/// A connection, and what a turn of it needs.
struct Bench {
    app: Arc<App>,
    input: Input,
    answerer: Answerer,
    connection: Connection<Script>,
    routed: Vec<Request>,
}

impl Bench {
    fn new(pieces: &[&[u8]], room: usize) -> Self {
        Self::of(app(), pieces, room)
    }

    fn of(app: Arc<App>, pieces: &[&[u8]], room: usize) -> Self {
        let brings = pieces.iter().map(|piece| piece.to_vec()).collect();
        let socket = Script { brings, room, ..Script::default() };
        Self {
            app,
            input: Box::new([0; BODY_READ_BYTES]),
            answerer: Answerer::new(),
            connection: Connection::new(socket, Scope::Everything, Instant::now()),
            routed: Vec::new(),
        }
    }

    fn drive<R>(
        &mut self,
        work: impl FnOnce(&mut Connection<Script>, &mut Turn<'_, &mut Vec<Request>>) -> R,
    ) -> R {
        let Self { app, input, answerer, connection, routed } = self;
        work(connection, &mut Turn { app, input, answerer, dispatch: routed, polled: Instant::now() })
    }

    /// Turns, for as long as the socket has bytes and they are read.
    fn turn(&mut self) -> Result<Next, CloseReason> {
        loop {
            let before = self.connection.transport.stream.brings.len();
            self.connection.transport.notice(before > 0, Instant::now());
            let next = self.drive(|connection, turn| connection.turn(turn))?;
            if next == Next::Event && self.connection.transport.stream.brings.len() == before {
                return Ok(next);
            }
        }
    }

    fn brings(&mut self, piece: &[u8]) -> &mut Self {
        self.connection.transport.stream.brings.push_back(piece.to_vec());
        self
    }

    fn reply(&mut self) -> Result<Next, CloseReason> {
        let reply = Reply::text("routed");
        self.drive(|connection, turn| connection.reply(Some(reply), turn))?;
        self.turn()
    }

    fn sent(&self) -> String {
        String::from_utf8_lossy(&self.connection.transport.stream.taken).into_owned()
    }

    fn answers(&self) -> usize {
        self.sent().matches("HTTP/1.1 200 OK").count()
    }
}

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";

fn post(headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST /events HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-ndjson\r\n{headers}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[test]
fn end_is_read_for_only_once_the_poller_has_reported_it() {
    let mut bench = Bench::new(&[DECISION], usize::MAX);
    assert!(matches!(bench.turn(), Ok(Next::Event)));
    assert_eq!(bench.answers(), 1);
    assert!(!bench.connection.transport.readable, "a short read has emptied the socket");

    bench.brings(DECISION).brings(b"");
    bench.connection.transport.finished = true;
    assert!(matches!(bench.turn(), Err(CloseReason::Done)));
    assert_eq!(bench.answers(), 2);
}

#[test]
fn half_a_request_at_the_end_is_an_error() {
    let mut bench = Bench::new(&[&DECISION[..20], b""], usize::MAX);
    bench.connection.transport.finished = true;
    assert!(matches!(bench.turn(), Err(CloseReason::Failed(_))));
}

#[test]
fn full_socket_is_waited_for_and_nothing_more_is_read() {
    let mut bench = Bench::new(&[DECISION, DECISION], 100);
    assert!(matches!(bench.turn(), Ok(Next::Event)));
    assert_eq!(bench.connection.transport.stream.brings.len(), 1);
    assert!(!bench.connection.is_between_requests(), "an answer waits to be sent");
    bench.connection.transport.stream.room = usize::MAX;
    assert!(matches!(bench.turn(), Ok(Next::Event)));
    assert_eq!(bench.answers(), 2);
    assert!(bench.connection.is_between_requests());
}

#[test]
fn busy_client_lets_others_have_their_turn() {
    let pieces: Vec<&[u8]> = vec![DECISION; 3 * ROUNDS_PER_TURN as usize];
    let mut bench = Bench::new(&pieces, usize::MAX);
    bench.connection.transport.finished = true;
    bench.connection.transport.readable = true;
    let next = bench.drive(|connection, turn| connection.turn(turn));
    assert!(matches!(next, Ok(Next::Turn)));
    assert_eq!(bench.answers(), ROUNDS_PER_TURN as usize);
}

#[test]
fn nothing_is_read_or_answered_while_the_router_works() {
    let mut bench = Bench::new(&[&[DECISION, HEALTH, DECISION].concat(), DECISION], usize::MAX);
    assert!(matches!(bench.turn(), Ok(Next::Event)));
    assert_eq!((bench.answers(), bench.routed.len()), (1, 1));
    assert!(matches!(bench.turn(), Ok(Next::Event)));
    assert_eq!(bench.connection.transport.stream.brings.len(), 1, "one read at most is held");
    assert!(!bench.connection.is_between_requests(), "a reply is due");

    assert!(matches!(bench.reply(), Ok(Next::Event)));
    assert_eq!(bench.answers(), 4, "the reply, and then what came behind its request");
    let sent = bench.sent();
    let order: Vec<_> = sent.match_indices("\"customer\"").map(|(at, _)| at).collect();
    let reply = sent.find("routed").expect("the reply");
    assert!(order[0] < reply && reply < order[1], "{sent}");
}

#[test]
fn half_closed_client_has_its_bytes_read_past_before_the_close() {
    let mut bench = Bench::new(&[&post("content-length: 99999999", "hello"), b"more", b""], usize::MAX);
    bench.connection.transport.finished = true;
    bench.turn().expect("an open connection");
    assert!(matches!(bench.reply(), Err(CloseReason::Done)));
    assert!(
        bench.connection.transport.stream.brings.is_empty(),
        "nothing is left to reset the connection for"
    );
}

#[test]
fn large_reply_is_sent_in_turns() {
    let mut bench = Bench::new(&[HEALTH], usize::MAX);
    bench.turn().expect("an open connection");
    let reply = Reply::text(Box::leak("x".repeat(1 << 20).into_boxed_str()));
    bench.drive(|connection, turn| connection.reply(Some(reply), turn)).expect("an open connection");
    let next = bench.drive(|connection, turn| connection.turn(turn));
    assert!(matches!(next, Ok(Next::Turn)), "others have theirs");
    assert!(bench.sent().len() < 1 << 19, "{}", bench.sent().len());
    bench.turn().expect("an open connection");
    assert!(bench.sent().len() > 1 << 20);
}

#[test]
fn empty_lines_before_a_request_keep_the_fast_path_and_an_idle_connection_idle() {
    let mut bench = Bench::new(&[&[b"\r\n\r\n", DECISION, b"\r\n"].concat()], usize::MAX);
    bench.turn().expect("an open connection");
    assert_eq!((bench.answers(), bench.routed.len()), (1, 0));
    assert!(bench.connection.is_between_requests());
}

#[test]
fn bytes_that_are_no_request_are_refused_and_counted() {
    let mut bench = Bench::new(&[DECISION, b"HELLO\r\n\r\n"], usize::MAX);
    bench.turn().expect("it lingers");
    assert!(bench.sent().contains("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n"));
    let metrics = bench.app.metrics.render(Format::Classic).expect("text");
    assert!(metrics.contains("upbeat_http_connection_errors_total{listener=\"data\"} 1"), "{metrics}");
    bench.brings(b"");
    assert!(matches!(bench.turn(), Err(CloseReason::Done)));
}

#[test]
fn host_is_checked_whatever_was_admitted_before() {
    let mut bench = Bench::new(&[], usize::MAX);
    for (host, status) in [
        ("host: a\r\n", "200 OK"),
        ("host: a\r\n", "200 OK"),
        ("host: a b\r\n", "400 Bad Request"),
        ("host: a\r\nhost: a\r\n", "400 Bad Request"),
        ("", "400 Bad Request"),
        ("host: b\r\n", "200 OK"),
        ("host: a\r\n", "200 OK"),
    ] {
        let before = bench.sent().len();
        bench.brings(format!("GET /should-show-ad/48 HTTP/1.1\r\n{host}\r\n").leak().as_bytes());
        bench.turn().expect("an open connection");
        let answer = &bench.sent()[before..];
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{host:?}: {answer}");
    }
}

#[test]
fn http_10_client_is_answered_in_its_own_version() {
    for (request, status, connection) in [
        ("GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n", None),
        (
            "GET /healthz HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
            "HTTP/1.0 200 OK\r\n",
            Some("connection: keep-alive"),
        ),
        (
            "GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\n",
            Some("connection: close"),
        ),
    ] {
        let mut bench = Bench::new(&[request.as_bytes()], usize::MAX);
        bench.turn().expect("an open connection");
        let kept = bench.reply().is_ok();
        let sent = bench.sent();
        assert!(sent.starts_with(status), "{sent}");
        let line = sent.lines().find(|line| line.starts_with("connection:"));
        assert_eq!((line, kept), (connection, connection == Some("connection: keep-alive")), "{sent}");
    }
}
