//! Decisions and small events are answered in front of the router, everything else by it: nobody can tell by the bytes.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::listeners::{likely, membership, play, unlikely};
use super::support::{JSON, NDJSON, PATIENCE, Server};

/// A connection whose answers are read as bytes.
struct Bytes(TcpStream);

impl Bytes {
    /// One that begins on the short way.
    fn new(server: &Server) -> Self {
        let stream = TcpStream::connect(&server.data).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        Self(stream)
    }

    /// One that the router has for the rest of its life, as its first question was for it.
    fn with_router(server: &Server) -> Self {
        let mut wire = Self::new(server);
        wire.ask(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n", true);
        wire
    }

    /// All bytes of the answer, but for the times and ids that differ each time.
    fn ask(&mut self, request: &[u8], with_body: bool) -> String {
        self.0.write_all(request).expect("the server reads");
        let mut answer = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&answer);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                let length: usize = length.map_or(0, |digits| digits.parse().expect("a length"));
                if body.len() == length || !with_body {
                    return without_what_differs(head, body);
                }
            }
            let mut more = [0; 4096];
            let count = self.0.read(&mut more).expect("an answer");
            assert!(count > 0, "closed within {text}");
            answer.extend_from_slice(&more[..count]);
        }
    }
}

fn without_what_differs(head: &str, body: &str) -> String {
    let is_made = |id: &str| id.len() == 16 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    let head = head.split("\r\n").map(|line| match line.split_once(": ") {
        Some(("date", date)) => format!("date: {} characters", date.len()),
        Some(("x-request-id", id)) if is_made(id) => "x-request-id: made".to_owned(),
        _ => line.to_owned(),
    });
    let head = head.collect::<Vec<_>>().join("\r\n");
    let body = match body.split_once("\"decision_id\":\"") {
        Some((before, after)) => format!("{before}\"decision_id\":\"…{}", &after[16..]),
        None => body.to_owned(),
    };
    format!("{head}\r\n\r\n{body}")
}

/// A server that knows some listeners.
fn server() -> Server {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48") + &unlikely("49") + &unlikely("a:b"));
    server.load("/events", JSON, membership("50", 1, "gold", 60));
    server.load("/events", JSON, play("51", 1, 60));
    server
}

#[track_caller]
fn assert_alike(server: &Server, request: &[u8]) {
    let with_body = !request.starts_with(b"HEAD");
    let short = Bytes::new(server).ask(request, with_body);
    let by_router = Bytes::with_router(server).ask(request, with_body);
    assert_eq!(short, by_router, "{}", String::from_utf8_lossy(request));
}

#[test]
fn every_kind_of_answer_has_the_same_bytes() {
    let server = server();
    for target in [
        "48?dry_run=true",
        "48?request_id=r",
        "48?request_id=r&dry_run=false",
        "48?dry_run=true&request_id=r",
        "48",
        "49",
        "a:b",
        "50",
        "51",
        "nobody",
        "0048",
        "18446744073709551616",
        "%34%38?dry_run=true",
        "49?",
        "49?request_id=a%20b",
        "49?request_id=a+b",
        "49?dry_run=maybe",
        "49?dry_run=true&dry_run=true",
        "49?what=1",
        "a%20b",
        "a/b",
        "",
    ] {
        for method in ["GET", "HEAD"] {
            let request = format!("{method} /should-show-ad/{target} HTTP/1.1\r\nhost: a\r\n\r\n");
            assert_alike(&server, request.as_bytes());
        }
    }
}

#[test]
fn a_question_that_says_it_has_no_body_has_the_same_bytes() {
    let server = server();
    for method in ["GET", "HEAD"] {
        for headers in ["Content-Length: 0\r\n", "content-length: 0\r\ncontent-type: application/json\r\n"] {
            let line = format!("{method} /should-show-ad/48?dry_run=true HTTP/1.1");
            assert_alike(&server, format!("{line}\r\n{headers}\r\n").as_bytes());
        }
    }
}

#[test]
fn every_kind_of_event_has_the_same_bytes() {
    let server = server();
    let play_51 = play("51", 1, 60);
    for body in [
        play_51.clone(),
        format!("[{play_51},{play_51}]"),
        format!("[{play_51},7]"),
        "[]".to_owned(),
        "{}".to_owned(),
        String::new(),
        "{".to_owned(),
        "7".to_owned(),
        "\u{feff}[]".to_owned(),
        play_51.replace("play", "pause"),
        play_51.replace("51", "5 1"),
        play("51", 2, -9000),
    ] {
        for kind in [
            JSON,
            "Application/Json",
            "application/json; charset=utf-8",
            "Application/JSON\t;Charset=UTF-8 ",
            "application/json;charset=latin1",
            "text/html",
        ] {
            let request = format!(
                "POST /events HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            assert_alike(&server, request.as_bytes());
        }
    }
}

#[test]
fn an_event_that_comes_in_two_pieces_is_one() {
    let server = server();
    let body = play("51", 7, 60);
    let head = format!(
        "POST /events HTTP/1.1\r\nhost: a\r\ncontent-type: {JSON}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let whole = format!("{head}{body}");
    let mut wire = server.wire();
    for at in [1, head.len() / 2, head.len() - 1, head.len(), head.len() + 1, whole.len() - 1] {
        let (first, second) = whole.split_at(at);
        wire.send(first);
        std::thread::sleep(std::time::Duration::from_millis(5));
        wire.send(second);
        wire.answer().ok();
    }
    assert_eq!(server.held("51")["plays"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_body_that_is_cut_short_is_refused_in_the_same_words() {
    let server = server();
    for body in ["", "{", "[", "{\"type\":\"play\""] {
        let request = format!(
            "POST /events HTTP/1.1\r\nhost: a\r\ncontent-type: {JSON}\r\ncontent-length: 99\r\n\r\n{body}"
        );
        let [short, by_router] = [Bytes::new(&server), Bytes::with_router(&server)].map(|mut wire| {
            wire.0.write_all(request.as_bytes()).expect("the server reads");
            wire.0.shutdown(Shutdown::Write).expect("an open connection");
            wire.ask(b"", true)
        });
        assert!(short.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{short}");
        assert_eq!(short, by_router, "{body}");
    }
}

/// Headers as clients write them: the name in any case, blanks round the value.
fn header() -> impl Strategy<Value = Vec<u8>> {
    let values: &[(&str, &[&str])] = &[
        ("host", &["upbeat", "127.0.0.1:8080", ""]),
        ("user-agent", &["wrk", "Mozilla/5.0 (X11; Linux x86_64)"]),
        ("accept", &["*/*", "application/json, text/plain;q=0.5"]),
        ("cookie", &["a=b; c=d; e=\"f\"", "é"]),
        ("connection", &["keep-alive", "Keep-Alive"]),
        ("x-request-id", &["trace-1", "a b", "", "é", "0123456789abcdef0", "a.b_c:d-E"]),
        ("x-request-ids", &["one"]),
        ("traceparent", &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]),
    ];
    let values = values.iter().flat_map(|(name, values)| values.iter().map(move |value| (*name, *value)));
    let blanks = proptest::sample::select(vec!["", " ", "\t", "  \t "]);
    let parts = (proptest::sample::select(values.collect::<Vec<_>>()), any::<u32>(), blanks.clone(), blanks);
    parts.prop_map(|((name, value), capitals, before, after)| {
        let name = name.bytes().enumerate().map(|(at, letter)| {
            if (capitals >> (at % 32)) & 1 == 1 { letter.to_ascii_uppercase() } else { letter }
        });
        let name: String = name.map(char::from).collect();
        format!("{name}:{before}{value}{after}\r\n").into_bytes()
    })
}

#[test]
fn heads_of_any_make_have_the_same_bytes() {
    use proptest::sample::select;
    let server = server();
    let short = RefCell::new(Bytes::new(&server));
    let by_router = RefCell::new(Bytes::with_router(&server));
    let parts = (
        select(vec!["GET", "HEAD"]),
        select(vec!["48", "49", "50", "51", "nobody", "a:b"]),
        select(vec!["?dry_run=true", "?request_id=q&dry_run=true", "?dry_run=true&request_id=q.1"]),
        proptest::collection::vec(header(), 0..12),
    );
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&parts, |(method, customer, query, headers)| {
        let line = format!("{method} /should-show-ad/{customer}{query} HTTP/1.1\r\n");
        let request = [line.as_bytes(), &headers.concat(), b"\r\n"].concat();
        let with_body = method == "GET";
        prop_assert_eq!(
            short.borrow_mut().ask(&request, with_body),
            by_router.borrow_mut().ask(&request, with_body)
        );
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
