//! Limits: everything is bounded, and a refusal is reported to the client.

use std::time::Instant;

use serde_json::json;

use super::listeners::play;
use super::support::{CLOUD_EVENT, CSV, JSON, NDJSON, Server, TIMEOUT};
use super::wire::Wire;

/// One event of exactly `bytes` bytes, padded with blanks.
fn event_of(bytes: usize) -> String {
    let play = play("48", 1, 60);
    let blanks = " ".repeat(bytes - play.len());
    play.replacen('{', &format!("{{{blanks}"), 1)
}

fn head(content_type: &str, framing: &str) -> String {
    format!("POST /events HTTP/1.1\r\nhost: upbeat\r\ncontent-type: {content_type}\r\n{framing}\r\n\r\n")
}

#[test]
fn one_event_has_at_most_64_kib() {
    let server = Server::start();
    let (largest, too_large) = (event_of(64 << 10), event_of((64 << 10) + 1));
    let detail = server.post("/events", JSON, &too_large).problem(413, "body-too-large");
    assert!(detail.contains("65536"), "{detail}");
    server.post("/events", CLOUD_EVENT, &too_large).problem(413, "body-too-large");
    for (content_type, body) in [(JSON, format!("[{too_large}]")), (NDJSON, too_large.clone())] {
        let report = server.post("/events", content_type, body).ok();
        let detail = report["rejected"][0]["detail"].as_str().expect("a reason");
        assert!(detail.contains("65537") && detail.contains("65536"), "{detail}");
    }
    assert_eq!(server.profiles(), 0);
    assert_eq!(server.load("/events", JSON, &largest), (1, 0));
    assert_eq!(server.load("/events", NDJSON, format!("{largest}\n{largest}")), (0, 2));
}

#[test]
fn bulk_body_has_at_most_8_mib() {
    let server = Server::start();
    // Blank lines are no rows, so this large body holds no event.
    assert_eq!(server.load("/events", NDJSON, vec![b'\n'; 8 << 20]), (0, 0));

    let mut announced = server.wire();
    announced.send(head(NDJSON, &format!("content-length: {}", (8 << 20) + 1)));
    let answer = announced.answer();
    assert!(answer.problem(413, "body-too-large").contains("8388608"));
    assert_eq!(answer.header("connection"), "close");

    let mut chunked = server.wire();
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, "\n".repeat(1 << 20));
    chunked.send(head(NDJSON, "transfer-encoding: chunked")).send(chunk.repeat(8)).send("1\r\n\n\r\n");
    chunked.answer().problem(413, "body-too-large");
}

#[test]
fn client_that_sends_everything_before_reading_gets_its_answer() {
    let server = Server::start();
    let body = vec![b'\n'; 20 << 20];
    for _ in 0..3 {
        server.post("/events", NDJSON, &body).problem(413, "body-too-large");
        server.post("/events", "text/plain", &body).problem(415, "unsupported-media-type");
        server.post("/nowhere", NDJSON, &body).problem(404, "not-found");
        server.post("/decisions", JSON, &body).problem(413, "body-too-large");
        server.post("/healthz", JSON, &body).problem(405, "method-not-allowed");
    }
}

#[test]
fn headers_have_at_most_16_kib() {
    let server = Server::start();
    let with_header = |bytes: usize| {
        let mut wire = server.wire();
        wire.send(format!("GET /healthz HTTP/1.1\r\nhost: upbeat\r\nx-long: {}\r\n\r\n", "x".repeat(bytes)));
        wire.answer().status
    };
    assert_eq!(with_header(15 << 10), 200);
    assert_eq!(with_header(16 << 10), 431);
    let mut wire = server.wire();
    let many: String = (0..101).map(|number| format!("x-{number}: 1\r\n")).collect();
    wire.send(format!("GET /healthz HTTP/1.1\r\nhost: a\r\n{many}\r\n"));
    assert_eq!(wire.answer().status, 431);
    let mut wire = server.wire();
    wire.send(format!("GET /should-show-ad/{} HTTP/1.1\r\nhost: upbeat\r\n\r\n", "x".repeat(20 << 10)));
    assert_eq!(wire.answer().status, 431);
}

#[test]
fn slow_headers_close_the_connection() {
    let limits = [("UPBEAT_LIMITS_HEADER_TIMEOUT", "300ms"), ("UPBEAT_LIMITS_IDLE_TIMEOUT", "300ms")];
    let server = Server::with(&[], &limits);
    let mut slow = server.wire();
    slow.send("GET /healthz HTT");
    assert_eq!(slow.rest(), "");
    let mut idle = server.wire();
    idle.send("GET /healthz HTTP/1.1\r\nhost: upbeat\r\n\r\n");
    assert_eq!(idle.answer().status, 200);
    assert_eq!(idle.rest(), "", "an idle connection is closed after a time of its own");
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn slow_body_is_answered_with_a_timeout() {
    let server = Server::with(&[], &[("UPBEAT_LIMITS_BODY_TIMEOUT", "300ms")]);
    for path in ["/events", "/decisions"] {
        let mut slow = server.wire();
        slow.send(head(JSON, "content-length: 100").replace("/events", path)).send("{\"customers\"");
        let answer = slow.answer();
        assert!(answer.problem(408, "request-timeout").contains("300ms"));
        assert_eq!(answer.header("connection"), "close");
        assert_eq!(slow.rest(), "");
    }
    assert_eq!(server.load("/events", JSON, play("48", 1, 60)), (1, 0));
}

#[test]
fn incomplete_body_is_not_applied() {
    let server = Server::start();
    let line = play("48", 1, 60) + "\n";
    for framing in [format!("content-length: {}", line.len() + 10), "transfer-encoding: chunked".to_owned()] {
        let mut wire = server.wire();
        let chunk_size =
            if framing.contains("chunked") { format!("{:x}\r\n", line.len() + 10) } else { String::new() };
        wire.send(head(NDJSON, &framing)).send(chunk_size).send(&line).finish();
        let said = wire.rest();
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{said}");
    }
    assert_eq!(server.profiles(), 0);
}

#[test]
fn connection_beyond_the_limit_is_refused_with_a_problem() {
    let server = Server::with(&[], &[("UPBEAT_LIMITS_CONNECTIONS", "2")]);
    let open = |wire: &mut Wire| wire.send("GET /healthz HTTP/1.1\r\nhost: upbeat\r\n\r\n").answer().status;
    let (mut first, mut second) = (server.wire(), server.wire());
    assert_eq!((open(&mut first), open(&mut second)), (200, 200));
    let mut third = server.wire();
    let answer = third.answer();
    assert!(answer.problem(503, "overloaded").contains("limits.connections"));
    assert_eq!((answer.header("retry-after"), answer.header("connection")), ("1", "close"));
    assert_eq!(third.rest(), "", "no bytes follow the announced length");
    assert_eq!(server.metric("upbeat_http_connections_refused_total{listener=\"data\"}"), 1.0);
    assert_eq!((open(&mut first), open(&mut second)), (200, 200));

    // The admin listener counts its own connections; and a closed one frees its slot.
    assert_eq!(server.metric("upbeat_http_connections{listener=\"data\"}"), 2.0);
    drop(first);
    let deadline = Instant::now() + TIMEOUT;
    while server.metric("upbeat_http_connections{listener=\"data\"}") > 1.0 && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!(open(&mut server.wire()), 200);
}

#[test]
fn bodies_share_bounded_memory_and_excess_requests_are_shed() {
    let limits = [
        ("UPBEAT_LIMITS_EVENT_BYTES", "1024"),
        ("UPBEAT_LIMITS_BULK_BYTES", "2048"),
        ("UPBEAT_LIMITS_BODY_MEMORY_BYTES", "2048"),
    ];
    let server = Server::with(&[], &limits);
    // Once the first half has arrived, a body larger than the other half exceeds the budget. Should that body arrive
    // first, the holder is shed instead, and both are sent again.
    let (half, body) = ("\n".repeat(1024), "\n".repeat(1500));
    let deadline = Instant::now() + TIMEOUT;
    let (mut holder, answer) = loop {
        assert!(Instant::now() < deadline, "nothing was shed");
        let mut holder = server.wire();
        holder.send(head(NDJSON, "content-length: 2048")).send(&half);
        let answer = server.post("/events", NDJSON, &body);
        if answer.status != 200 {
            break (holder, answer);
        }
        holder.send(&half).answer();
    };
    answer.problem(503, "overloaded");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(server.get("/should-show-ad/48").status, 200, "decisions need no body");
    holder.send(&half);
    assert_eq!(holder.answer().status, 200);
    assert_eq!(server.load("/events", NDJSON, body), (0, 0), "the memory was given back");
}

#[test]
fn full_store_refuses_new_customers_and_serves_known_ones() {
    let limits = [("UPBEAT_LIMITS_CUSTOMERS", "1"), ("UPBEAT_LIMITS_EXPECTED_CUSTOMERS", "1")];
    let server = Server::with(&[], &limits);
    server.load("/events", JSON, play("48", 1, 60));
    let answer = server.post("/events", JSON, play("49", 1, 60));
    assert!(answer.problem(503, "store-full").contains("limits.customers"));
    assert_eq!(answer.header("retry-after"), "1");
    let both = format!("{}\n{}", play("49", 1, 60), play("48", 2, 60));
    let answer = server.post("/events", NDJSON, &both);
    answer.problem(503, "store-full");
    let report = answer.json();
    assert_eq!((&report["accepted"], &report["rejected"][0]["index"]), (&json!(1), &json!(0)));
    server.post("/events?atomic=true", NDJSON, &both).problem(503, "store-full");
    assert_eq!(
        (server.reason("48").as_str(), server.reason("49").as_str()),
        ("too_little_history", "unknown_customer")
    );

    assert_eq!(server.ask("DELETE", &server.admin, "/customers/48", &[], b"").status, 204);
    let both = format!("{}\n{}", play("50", 1, 60), play("51", 1, 60));
    server.post("/events?atomic=true", NDJSON, &both).problem(503, "store-full");
    assert_eq!(server.profiles(), 0, "there is room for one of the two, and none was applied");
    server.load("/events?atomic=true", JSON, play("49", 1, 60));
}

#[test]
fn full_catalogue_refuses_new_tracks() {
    let server = Server::with(&[], &[("UPBEAT_LIMITS_TRACKS", "1")]);
    let body = "TrackId,Title,Artist,Length\n1,a,b,10\n2,c,d,20\n";
    server.post("/events?kind=tracks&atomic=true", CSV, body).problem(503, "store-full");
    assert_eq!(server.metric("upbeat_tracks"), 0.0);
    let answer = server.post("/events?kind=tracks", CSV, body);
    answer.problem(503, "store-full");
    let report = answer.json();
    assert_eq!((&report["accepted"], &report["rejected"][0]["index"]), (&json!(1), &json!(1)));
}

#[test]
fn batch_of_decisions_has_a_configurable_limit() {
    let server = Server::with(&[], &[("UPBEAT_LIMITS_DECISIONS", "2")]);
    assert_eq!(server.post("/decisions", JSON, r#"{"customers":[1,2]}"#).status, 200);
    server.post("/decisions", JSON, r#"{"customers":[1,2,3]}"#).problem(422, "invalid-body");
    let long = format!("{{\"customers\":[{}1]}}", " ".repeat(2000));
    server.post("/decisions", JSON, long).problem(413, "body-too-large");
}

#[test]
fn first_ten_thousand_refused_rows_are_listed_and_the_rest_counted() {
    let server = Server::start();
    let report = server.post("/events", NDJSON, "7\n".repeat(10_003)).ok();
    assert_eq!(report["rejected"].as_array().map(Vec::len), Some(10_000));
    assert_eq!((&report["accepted"], &report["rejected_omitted"]), (&json!(0), &json!(3)));
}

/// Name and nice value of each thread (proc(5), fields 2 and 19 of `stat`).
#[cfg(target_os = "linux")]
fn threads(server: &Server) -> Vec<(String, i32)> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.id())).expect("our own child");
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let of = |stat: String| {
        let (start, rest) = stat.rsplit_once(") ").expect("a name in brackets");
        let name = start.split_once('(').expect("a name in brackets").1.to_owned();
        // The field after the name is the third.
        (name, rest.split(' ').nth(19 - 3).expect("a nice value").parse().expect("a number"))
    };
    stats.map(of).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn bulk_bodies_run_at_lower_priority_than_decisions() {
    let server = Server::start();
    // 0, unless this suite itself runs at a lower priority.
    let usual = threads(&server)[0].1;
    let plays: String = (0..1000).map(|number| play("48", number, 60) + "\n").collect();
    server.load("/events", NDJSON, plays);
    let threads = threads(&server);
    assert!(threads.iter().any(|(_, nice)| *nice == usual.max(10)), "{threads:?}");
    assert!(threads.iter().all(|(name, nice)| !name.starts_with("decide-") || *nice == usual), "{threads:?}");
}
