//! Hostile and broken clients: their cost is bounded and counted, and other clients are not affected.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::support::{JSON, Server, TIMEOUT, until};
use super::wire::Wire;

const ERRORS: &str = "upbeat_http_connection_errors_total{listener=\"data\"}";
const OPEN: &str = "upbeat_http_connections{listener=\"data\"}";

/// The bound on growth of resident memory, in bytes: many times the expected growth.
const GROWTH: f64 = 48e6;

fn request(customer: usize) -> String {
    format!("GET /should-show-ad/{customer} HTTP/1.1\r\nhost: upbeat\r\n\r\n")
}

/// The value of one counter; 0 while the metric does not exist.
fn counted(server: &Server, name: &str) -> f64 {
    let text = server.admin_get("/metrics").text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().expect("a number"))
}

#[test]
fn slow_and_idle_clients_are_closed_in_time_and_slow_ones_counted() {
    let limits = [("UPBEAT_LIMITS_HEADER_TIMEOUT", "2s"), ("UPBEAT_LIMITS_IDLE_TIMEOUT", "2s")];
    let server = Server::with(&[], &limits);
    let mut slow: Vec<Wire> = (0..200).map(|_| server.wire()).collect();
    let idle: Vec<Wire> = (0..100).map(|_| server.wire()).collect();
    for letter in request(48).bytes().take(5) {
        for wire in &mut slow {
            wire.send([letter]);
        }
        assert_eq!(server.get("/should-show-ad/48").status, 200, "other clients are answered");
    }
    for mut wire in slow.into_iter().chain(idle) {
        assert_eq!(wire.rest(), "");
    }
    until("all are counted", || counted(&server, ERRORS) == 200.0);
    until("all connections are closed", || server.metric(OPEN) <= 1.0);
}

#[test]
fn head_sent_byte_by_byte_is_answered() {
    let server = Server::start();
    let mut wire = server.wire();
    for letter in request(48).repeat(2).bytes() {
        wire.send([letter]);
    }
    assert_eq!((wire.answer().status, wire.answer().status), (200, 200));
}

#[test]
fn pipeline_of_ten_thousand_requests_is_answered_in_order() {
    let server = Server::start();
    let mut writer = TcpStream::connect(&server.data).expect("a connection");
    let mut wire = Wire::over(writer.try_clone().expect("a second handle"));
    let sending = std::thread::spawn(move || {
        let all: String = (0..10_000).map(request).collect();
        writer.write_all(all.as_bytes()).expect("the server reads");
    });
    for customer in 0..10_000 {
        assert_eq!(wire.answer().ok()["customer"], customer.to_string());
    }
    sending.join().expect("sent");
}

#[test]
fn non_reading_client_is_not_read_from() {
    let server = Server::start();
    server.get("/should-show-ad/48");
    let before = server.metric("upbeat_resident_bytes");
    let many = request(48).repeat(1000);
    // All at once: each waits half a second until it may take it that nothing more is read.
    let non_reading: Vec<TcpStream> = std::thread::scope(|scope| {
        let fill = || {
            let mut stream = TcpStream::connect(&server.data).expect("a connection");
            stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a timeout");
            // The kernel's buffers of both sides hold some megabytes; then the server stops reading.
            let taken = (0..2000).take_while(|_| stream.write_all(many.as_bytes()).is_ok()).count();
            assert!(taken < 2000, "{} bytes were taken and never answered", taken * many.len());
            stream
        };
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(fill)).collect();
        clients.into_iter().map(|client| client.join().expect("no panic")).collect()
    });
    assert_eq!(server.get("/should-show-ad/48").status, 200, "other clients are answered");
    let grown = server.metric("upbeat_resident_bytes") - before;
    assert!(grown < GROWTH, "{grown} bytes more");
    drop(non_reading);
    until("all connections are closed", || server.metric(OPEN) <= 1.0);
}

#[test]
fn half_closed_clients_get_their_answers() {
    let server = Server::start();
    let mut wire = server.wire();
    wire.send(request(1) + &request(2)).finish();
    assert_eq!((wire.answer().status, wire.answer().status), (200, 200));
    assert_eq!(wire.rest(), "");
    let mut half = server.wire();
    half.send(request(1) + "GET /should-sh").finish();
    assert_eq!(half.answer().status, 200);
    assert_eq!(half.rest(), "");
    until("half a head is counted", || counted(&server, ERRORS) == 1.0);
}

#[test]
fn endless_body_is_refused_by_size_or_by_time() {
    let server = Server::with(&[], &[("UPBEAT_LIMITS_BODY_TIMEOUT", "600ms")]);
    let head = format!("POST /events HTTP/1.1\r\nhost: upbeat\r\ncontent-type: {JSON}\r\n");
    let mut endless = server.wire();
    endless.send(format!("{head}transfer-encoding: chunked\r\n\r\n"));
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, " ".repeat(1 << 20));
    for _ in 0..9 {
        endless.send(&chunk);
    }
    endless.answer().problem(413, "body-too-large");

    let mut trickle = server.wire();
    trickle.send(format!("{head}content-length: 1000\r\n\r\n"));
    let deadline = Instant::now() + TIMEOUT;
    let answer = loop {
        assert!(Instant::now() < deadline);
        trickle.send(" ");
        if let Some(answer) = trickle.answer_within(Duration::from_millis(50)) {
            break answer;
        }
    };
    answer.problem(408, "request-timeout");
    assert_eq!(server.get("/should-show-ad/48").status, 200);
}

#[test]
fn oversized_heads_are_counted_and_non_text_heads_are_refused() {
    let server = Server::start();
    let long = format!("GET /should-show-ad/48 HTTP/1.1\r\nx-long: {}\r\n\r\n", "x".repeat(1 << 20));
    let mut wire = server.wire();
    // The server answers and closes before it has read all of this.
    wire.try_send(&long);
    assert!(wire.rest().is_empty() || counted(&server, ERRORS) >= 1.0);
    until("the head is counted", || counted(&server, ERRORS) == 1.0);

    let mut wire = server.wire();
    wire.send(b"GET /should-show-ad/\xff\xfe HTTP/1.1\r\nhost: upbeat\r\n\r\n");
    assert_eq!(wire.answer().status, 400);
    assert_eq!(wire.rest(), "");
    assert_eq!(server.get("/should-show-ad/48").status, 200);
}

#[test]
fn answers_of_a_closed_connection_do_not_reach_the_next() {
    let server = Server::start();
    for round in 0..20 {
        // More answers than one write takes; the second write meets a socket that the first had reset.
        let mut gone = server.wire();
        gone.send(request(round).repeat(100));
        drop(gone);
        // One connection for each worker.
        let mut next = [server.wire(), server.wire()];
        for wire in &mut next {
            wire.send("GET /should-show-ad/mine?dry_run=true HTTP/1.1\r\nhost: upbeat\r\n\r\n");
            assert_eq!(wire.answer().ok()["customer"], "mine");
        }
    }
}
