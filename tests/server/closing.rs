//! How connections end, alike on both listeners and on both ways through the data listener: announced where the client
//! could go on, readable to the last answer, and counted as errors only where something failed.

use std::io::Write;
use std::net::TcpStream;

use super::support::{JSON, NDJSON, Server, until};
use super::wire::Wire;

fn errors(listener: &str) -> String {
    format!("upbeat_http_connection_errors_total{{listener=\"{listener}\"}}")
}

/// A request of each way to answer, with its listener's address.
fn ways(server: &Server) -> [(&str, &'static str); 3] {
    [
        (&server.data, "GET /should-show-ad/48?dry_run=true HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"),
        (&server.data, "GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"),
        (&server.admin, "GET /models HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"),
    ]
}

#[test]
fn close_of_an_idle_connection_is_no_error_on_any_way() {
    let server = Server::with(&[], &[("UPBEAT_LIMITS_IDLE_TIMEOUT", "2s")]);
    let mut wires = Vec::new();
    for (address, request) in ways(&server) {
        let mut used = Wire::to(address);
        assert_eq!(used.send(request).answer().status, 200);
        assert_eq!(used.send(request).answer().status, 200);
        // One is closed before its first request likewise.
        wires.extend([used, Wire::to(address)]);
    }
    for mut wire in wires {
        assert_eq!(wire.rest(), "", "closed without a word");
    }
    until("all are closed", || server.metric("upbeat_http_connections{listener=\"data\"}") == 0.0);
    for listener in ["data", "admin"] {
        assert_eq!(server.metric(&errors(listener)), 0.0, "{listener}");
    }
}

#[test]
fn head_that_does_not_arrive_is_an_error_on_every_way() {
    let server = Server::with(&[], &[("UPBEAT_LIMITS_HEADER_TIMEOUT", "300ms")]);
    for (address, request) in ways(&server) {
        let mut wire = Wire::to(address);
        wire.send(&request[..request.len() - 4]);
        assert_eq!(wire.rest(), "");
    }
    until("both on the data listener are counted", || server.metric(&errors("data")) == 2.0);
    until("the one on the admin listener is", || server.metric(&errors("admin")) == 1.0);
}

/// Resets a connection: it is closed while an answer has not been read.
fn reset(address: &str, whole: &str, half: &str) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.write_all(whole.as_bytes()).expect("it is sent");
    // The answer is there once it can be looked at.
    while stream.peek(&mut [0]).expect("an answer") == 0 {}
    stream.write_all(half.as_bytes()).expect("it is sent");
}

#[test]
fn head_time_counts_for_what_is_a_head_and_for_one_behind_a_whole_request() {
    let limits = [("UPBEAT_LIMITS_HEADER_TIMEOUT", "300ms"), ("UPBEAT_LIMITS_IDLE_TIMEOUT", "2s")];
    let server = Server::with(&[], &limits);
    let ways = ways(&server);
    let mut idle: Vec<Wire> = ways.iter().map(|(address, _)| Wire::to(address)).collect();
    for (wire, (_, request)) in idle.iter_mut().zip(&ways) {
        assert_eq!(wire.send(request).answer().status, 200);
        wire.send("\r\n");
    }
    for mut wire in idle {
        assert_eq!(wire.rest(), "");
    }
    until("all are closed", || server.metric("upbeat_http_connections{listener=\"data\"}") == 0.0);
    assert_eq!((server.metric(&errors("data")), server.metric(&errors("admin"))), (0.0, 0.0));

    for (address, request) in ways {
        let mut wire = Wire::to(address);
        wire.send(format!("{request}{}", &request[..request.len() - 4]));
        assert_eq!(wire.answer().status, 200);
        assert_eq!(wire.rest(), "");
    }
    until("both on the data listener are counted", || server.metric(&errors("data")) == 2.0);
    until("the one on the admin listener is", || server.metric(&errors("admin")) == 1.0);
}

#[test]
fn reset_is_an_error_with_a_head_under_way_and_none_between_requests_on_every_way() {
    let server = Server::start();
    for (address, request) in ways(&server) {
        for _ in 0..5 {
            reset(address, request, "");
        }
    }
    until("all are closed", || server.metric("upbeat_http_connections{listener=\"data\"}") == 0.0);
    until("all but the one that asks are", || {
        server.metric("upbeat_http_connections{listener=\"admin\"}") <= 1.0
    });
    assert_eq!((server.metric(&errors("data")), server.metric(&errors("admin"))), (0.0, 0.0));

    for (address, request) in ways(&server) {
        for _ in 0..5 {
            reset(address, request, &request[..request.len() - 4]);
        }
    }
    until("those on the data listener are counted", || server.metric(&errors("data")) == 10.0);
    until("those on the admin listener are", || server.metric(&errors("admin")) == 5.0);
}

#[test]
fn nothing_is_answered_or_counted_behind_a_request_that_closes_the_connection() {
    let server = Server::start();
    for (address, request) in ways(&server) {
        for behind in ["HELLO\r\n\r\n", request] {
            let last = request.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
            let mut wire = Wire::to(address);
            let answer = wire.send(format!("{last}{behind}")).answer();
            assert_eq!((answer.status, answer.header("connection")), (200, "close"));
            assert_eq!(wire.rest(), "");
        }
    }
    until("all are closed", || server.metric("upbeat_http_connections{listener=\"data\"}") == 0.0);
    assert_eq!((server.metric(&errors("data")), server.metric(&errors("admin"))), (0.0, 0.0));
}

#[test]
fn half_a_body_with_a_reset_is_an_error_of_the_connection_on_every_way() {
    let server = Server::start();
    let whole = "GET /should-show-ad/48?dry_run=true HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    let mut counted = 0.0;
    for (path, content_type) in [("/events", JSON), ("/events", NDJSON), ("/decisions", JSON)] {
        let half = format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {content_type}\r\ncontent-length: 100\r\n\r\n{{"
        );
        for _ in 0..5 {
            reset(&server.data, whole, &half);
            counted += 1.0;
        }
        until("each is counted once", || server.metric(&errors("data")) == counted);
    }
    for route in ["/events", "/decisions"] {
        let refused = format!("upbeat_http_requests_total{{route=\"{route}\",status=\"400\"}}");
        assert_eq!(server.metric(&refused), 0.0, "nobody was answered");
    }
}

#[test]
fn half_a_body_that_nobody_wants_is_counted_by_its_answer_on_every_way() {
    let server = Server::start();
    for address in [&server.data, &server.admin] {
        for closes in [true, false] {
            let mut wire = Wire::to(address);
            wire.send("POST /nowhere HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n{");
            if !closes {
                assert_eq!(wire.answer().status, 404);
                wire.finish();
                assert_eq!(wire.rest(), "");
            }
        }
    }
    let answered = "upbeat_http_requests_total{route=\"other\",status=\"404\"}";
    until("each is counted", || server.metric(answered) == 4.0);
    until("all are closed", || server.metric("upbeat_http_connections{listener=\"data\"}") == 0.0);
    assert_eq!((server.metric(&errors("data")), server.metric(&errors("admin"))), (0.0, 0.0));
}

#[test]
fn http_2_preface_is_answered_400_on_both_listeners() {
    let server = Server::start();
    for address in [&server.data, &server.admin] {
        let mut wire = Wire::to(address);
        // As a client with prior knowledge of HTTP/2 begins: the preface, and its settings.
        wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
        let answer = wire.answer();
        assert_eq!((answer.status, answer.header("connection")), (400, "close"));
        assert_eq!(wire.rest(), "");
    }
    until("both are counted", || {
        server.metric(&errors("data")) == 1.0 && server.metric(&errors("admin")) == 1.0
    });
}

#[test]
fn early_refusal_announces_the_close_on_both_listeners() {
    let server = Server::start();
    for (address, line, headers, status) in [
        (&server.data, "POST /events", "content-type: text/html\r\ncontent-length: 3", 415),
        (&server.data, "POST /events", "content-type: text/csv\r\ncontent-length: 99999999", 413),
        (&server.data, "POST /decisions", "content-type: text/csv\r\ntransfer-encoding: chunked", 415),
        (&server.data, "POST /nowhere", "content-length: 3", 404),
        (&server.admin, "POST /metrics", "content-length: 3", 405),
        (&server.admin, "POST /nowhere", "transfer-encoding: chunked", 404),
    ] {
        let mut wire = Wire::to(address);
        wire.send(format!("{line} HTTP/1.1\r\nhost: 127.0.0.1\r\nexpect: 100-continue\r\n{headers}\r\n\r\n"));
        let answer = wire.answer();
        assert_eq!((answer.status, answer.header("connection")), (status, "close"), "{line}");
        assert_eq!(wire.rest(), "", "{line}");
    }
}

#[test]
fn refusal_of_a_connection_too_many_is_read_though_its_request_is_sent() {
    let server = Server::with(&[], &[("UPBEAT_LIMITS_CONNECTIONS", "1")]);
    let health = "GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    let mut only = server.wire();
    assert_eq!(only.send(health).answer().status, 200);
    let decision = health.replace("healthz", "should-show-ad/48");
    let request = format!("{decision}{}", "x".repeat(1 << 18));
    for _ in 0..50 {
        let mut other = server.wire();
        other.try_send(&request);
        let answer = other.answer();
        answer.problem(503, "overloaded");
        assert_eq!(answer.header("connection"), "close");
        other.finish().ends_in_order();
    }
    assert_eq!(only.send(health).answer().status, 200);
}

#[test]
fn answer_before_malformed_chunks_is_never_lost() {
    let server = Server::start();
    for address in [&server.data, &server.admin] {
        for _ in 0..100 {
            let mut wire = Wire::to(address);
            let head =
                "GET /nowhere HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n";
            wire.send(format!("{head}transfer-encoding: chunked\r\n\r\n5\r\nhel"));
            // What follows arrives while the answer is on its way.
            wire.try_send("lo, no chunk\r\n");
            wire.try_send("x".repeat(1000));
            let answer = wire.answer();
            assert!(matches!(answer.status, 400 | 404), "{}", answer.status);
            wire.finish().ends_in_order();
        }
    }
}
