//! Parity: the fast path and the router give the same bytes for the same request.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::listeners::{likely, membership, play, unlikely};
use super::support::{JSON, NDJSON, Server, TIMEOUT};
use super::wire::for_the_router;

/// A connection whose answers are read as bytes.
struct Bytes(TcpStream);

impl Bytes {
    /// A fresh connection.
    fn new(server: &Server) -> Self {
        let stream = TcpStream::connect(&server.data).expect("a connection");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        Self(stream)
    }

    /// A connection that has carried requests for the router before: a health check, and a chunked body.
    fn reused(server: &Server) -> Self {
        let mut connection = Self::new(server);
        connection.ask(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n", true);
        let chunked = format!(
            "POST /events HTTP/1.1\r\nhost: a\r\ncontent-type: {NDJSON}\r\ntransfer-encoding: chunked\r\n\r\n\
             2\r\n\n\n\r\n0\r\n\r\n"
        );
        connection.ask(chunked.as_bytes(), true);
        connection
    }

    /// All bytes of the answer, with values that differ between runs replaced.
    fn ask(&mut self, request: &[u8], with_body: bool) -> String {
        self.0.write_all(request).expect("the server reads");
        let mut answer = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&answer);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                let length: usize = length.map_or(0, |digits| digits.parse().expect("a length"));
                if body.len() == length || !with_body {
                    return normalised(head, body);
                }
            }
            let mut more = [0; 4096];
            let count = self.0.read(&mut more).expect("an answer");
            assert!(count > 0, "closed within {text}");
            answer.extend_from_slice(&more[..count]);
        }
    }
}

/// An answer with its date and its generated ids replaced by names.
fn normalised(head: &str, body: &str) -> String {
    let is_generated = |id: &str| id.len() == 16 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    let head = head.split("\r\n").map(|line| match line.split_once(": ") {
        Some(("date", date)) => format!("date: {} characters", date.len()),
        Some(("x-request-id", id)) if is_generated(id) => "x-request-id: generated".to_owned(),
        _ => line.to_owned(),
    });
    let head = head.collect::<Vec<_>>().join("\r\n");
    let body = match body.split_once("\"decision_id\":\"") {
        Some((before, after)) => format!("{before}\"decision_id\":\"…{}", &after[16..]),
        None => body.to_owned(),
    };
    format!("{head}\r\n\r\n{body}")
}

/// A server with some profiles.
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
    let fast = Bytes::new(server).ask(request, with_body);
    let by_router = Bytes::new(server).ask(&for_the_router(request), with_body);
    assert_eq!(fast, by_router, "fast path and router: {}", String::from_utf8_lossy(request));
    let reused = Bytes::reused(server).ask(request, with_body);
    assert_eq!(fast, reused, "fresh and reused connection: {}", String::from_utf8_lossy(request));
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
fn refusals_of_the_gate_have_the_same_bytes() {
    let server = server();
    let body = play("51", 1, 60);
    let content = format!("content-type: {JSON}\r\ncontent-length: {}\r\n", body.len());
    for headers in [
        "",
        "host:\r\n",
        "host: a\r\nhost: a\r\n",
        "host: a b\r\n",
        "host: a\r\nHost: b\r\n",
        "host: a:80:80\r\n",
        "host: é\r\n",
        "host: a\r\nsec-fetch-site: cross-site\r\n",
        "host: a\r\nSec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n",
        "host: a\r\nsec-fetch-site: same-origin\r\n",
        "sec-fetch-site: cross-site\r\n",
    ] {
        for method in ["GET", "HEAD"] {
            let line = format!("{method} /should-show-ad/49?dry_run=true HTTP/1.1");
            assert_alike(&server, format!("{line}\r\n{headers}\r\n").as_bytes());
        }
        assert_alike(&server, format!("POST /events HTTP/1.1\r\n{headers}{content}\r\n{body}").as_bytes());
    }
}

#[test]
fn requests_with_an_empty_body_have_the_same_bytes() {
    let server = server();
    for method in ["GET", "HEAD"] {
        for headers in ["Content-Length: 0\r\n", "content-length: 0\r\ncontent-type: application/json\r\n"] {
            let line = format!("{method} /should-show-ad/48?dry_run=true HTTP/1.1");
            assert_alike(&server, format!("{line}\r\nhost: a\r\n{headers}\r\n").as_bytes());
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
fn event_split_over_two_reads_is_one_event() {
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
fn truncated_body_is_refused_with_the_same_bytes() {
    let server = server();
    for body in ["", "{", "[", "{\"type\":\"play\""] {
        let request = format!(
            "POST /events HTTP/1.1\r\nhost: a\r\ncontent-type: {JSON}\r\ncontent-length: 99\r\n\r\n{body}"
        );
        let answers = [
            (Bytes::new(&server), request.clone().into_bytes()),
            (Bytes::new(&server), for_the_router(request.as_bytes())),
            (Bytes::reused(&server), request.clone().into_bytes()),
        ];
        let [fast, by_router, reused] = answers.map(|(mut connection, request)| {
            connection.0.write_all(&request).expect("the server reads");
            connection.0.shutdown(Shutdown::Write).expect("an open connection");
            connection.ask(b"", true)
        });
        assert!(fast.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{fast}");
        assert_eq!(fast, by_router, "{body}");
        assert_eq!(fast, reused, "{body}");
    }
}

/// Headers as clients write them: names in any case, blanks around the value, offers to upgrade.
fn header() -> impl Strategy<Value = Vec<u8>> {
    let values: &[(&str, &[&str])] = &[
        ("host", &["upbeat", "127.0.0.1:8080", "", "a b", "[::1]:80", "é", "a%41", "a:b"]),
        ("sec-fetch-site", &["none", "same-origin", "cross-site", "Cross-Site"]),
        ("user-agent", &["wrk", "Mozilla/5.0 (X11; Linux x86_64)"]),
        ("accept", &["*/*", "application/json, text/plain;q=0.5"]),
        ("cookie", &["a=b; c=d; e=\"f\"", "é"]),
        ("connection", &["keep-alive", "Keep-Alive", "Upgrade, HTTP2-Settings", "keep-alive, upgrade"]),
        ("upgrade", &["h2c", "websocket"]),
        ("http2-settings", &["AAMAAABkAAQCAAAAAAIAAAAA"]),
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
fn any_request_head_has_the_same_bytes() {
    use proptest::sample::select;
    let server = server();
    let fast = RefCell::new(Bytes::new(&server));
    let by_router = RefCell::new(Bytes::new(&server));
    let parts = (
        select(vec!["GET", "HEAD", "POST"]),
        select(vec!["48", "49", "50", "51", "nobody", "a:b"]),
        select(vec!["?dry_run=true", "?request_id=q&dry_run=true", "?dry_run=true&request_id=q.1"]),
        proptest::collection::vec(header(), 0..12),
    );
    // A repeat, so that its report does not change from one request to the next.
    let event = play("51", 1, 60);
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&parts, |(method, customer, query, headers)| {
        let (line, content, body) = if method == "POST" {
            let content = format!("content-type: {JSON}\r\ncontent-length: {}\r\n", event.len());
            ("POST /events HTTP/1.1\r\n".to_owned(), content, event.as_str())
        } else {
            (format!("{method} /should-show-ad/{customer}{query} HTTP/1.1\r\n"), String::new(), "")
        };
        // Most requests have one good Host; some have none, or several.
        let host = if headers.len() % 4 == 0 { "" } else { "Host: upbeat\r\n" };
        let headers = [host.as_bytes(), &headers.concat()].concat();
        let request = [line.as_bytes(), &headers, content.as_bytes(), b"\r\n", body.as_bytes()].concat();
        let with_body = method != "HEAD";
        prop_assert_eq!(
            fast.borrow_mut().ask(&request, with_body),
            by_router.borrow_mut().ask(&for_the_router(&request), with_body)
        );
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// Samples that requests count, after a few requests of each outcome.
fn counted(prepare: impl Fn(&[u8]) -> Vec<u8>) -> Vec<String> {
    let server = server();
    let mut connection = Bytes::new(&server);
    let repeated = "49?request_id=q";
    for target in ["48", "48", "48?dry_run=true", repeated, repeated, "nobody", "a%20b", "49?kind=1"] {
        let request = format!("GET /should-show-ad/{target} HTTP/1.1\r\nhost: a\r\n\r\n");
        connection.ask(&prepare(request.as_bytes()), true);
    }
    for headers in ["", "host: a\r\nhost: b\r\n", "host: a\r\nsec-fetch-site: cross-site\r\n"] {
        let request = format!("GET /should-show-ad/48 HTTP/1.1\r\n{headers}\r\n");
        connection.ask(&prepare(request.as_bytes()), true);
    }
    for body in
        [play("51", 9, 60), play("51", 9, 60), play("5 1", 1, 60), play("51", 2, -9000), "7".to_owned()]
    {
        let head = format!("POST /events HTTP/1.1\r\nhost: a\r\ncontent-type: {JSON}\r\n");
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        connection.ask(&prepare(request.as_bytes()), true);
    }
    let families = [
        "upbeat_decisions_total",
        "upbeat_dry_run_decisions_total",
        "upbeat_repeated_requests_total",
        "upbeat_decision_seconds_count",
        "upbeat_events_total",
        "upbeat_problems_total",
        "upbeat_http_requests_total",
        "upbeat_request_body_bytes_total",
        "upbeat_impression_cost",
        "upbeat_plays",
    ];
    let metrics = server.admin_get("/metrics").text();
    let of_requests = metrics.lines().filter(|line| families.iter().any(|family| line.starts_with(family)));
    let mut samples: Vec<_> = of_requests.map(str::to_owned).collect();
    samples.sort();
    assert!(samples.len() > 20, "{samples:?}");
    samples
}

#[test]
fn fast_path_and_router_count_the_same_metrics() {
    assert_eq!(counted(<[u8]>::to_vec), counted(for_the_router));
}
