//! Clients that mean no good, or do not know better: bounded, counted, and nobody else notices.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::support::{JSON, PATIENCE, Server, until};
use super::wire::Wire;

const ERRORS: &str = "upbeat_http_connection_errors_total{listener=\"data\"}";
const OPEN: &str = "upbeat_http_connections{listener=\"data\"}";

/// A limit for memory that grows by what clients do, in bytes; many times what is expected.
const GROWTH: f64 = 48e6;

fn question(customer: usize) -> String {
    format!("GET /should-show-ad/{customer} HTTP/1.1\r\nhost: upbeat\r\n\r\n")
}

/// One counter, or 0 while nothing was counted.
fn counted(server: &Server, name: &str) -> f64 {
    let text = server.admin_get("/metrics").text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().expect("a number"))
}

#[test]
fn slow_and_silent_clients_are_closed_in_time_and_the_slow_ones_counted() {
    let server = Server::with(&[], &[("UPBEAT_LIMITS_HEADER_TIMEOUT", "2s")]);
    let mut slow: Vec<Wire> = (0..200).map(|_| server.wire()).collect();
    let silent: Vec<Wire> = (0..100).map(|_| server.wire()).collect();
    for letter in question(48).bytes().take(5) {
        for wire in &mut slow {
            wire.send([letter]);
        }
        assert_eq!(server.get("/should-show-ad/48").status, 200, "the others are answered");
    }
    for mut wire in slow.into_iter().chain(silent) {
        assert_eq!(wire.rest(), "");
    }
    until("all are counted", || counted(&server, ERRORS) == 200.0);
    until("all are gone", || server.metric(OPEN) <= 1.0);
}

#[test]
fn a_head_that_comes_byte_by_byte_is_answered_all_the_same() {
    let server = Server::start();
    let mut wire = server.wire();
    for letter in question(48).repeat(2).bytes() {
        wire.send([letter]);
    }
    assert_eq!((wire.answer().status, wire.answer().status), (200, 200));
}

#[test]
fn a_pipeline_of_ten_thousand_questions_is_answered_in_order() {
    let server = Server::start();
    let mut writer = TcpStream::connect(&server.data).expect("a connection");
    let mut wire = Wire::over(writer.try_clone().expect("a second handle"));
    let sending = std::thread::spawn(move || {
        let all: String = (0..10_000).map(question).collect();
        writer.write_all(all.as_bytes()).expect("the server reads");
    });
    for customer in 0..10_000 {
        assert_eq!(wire.answer().ok()["customer"], customer.to_string());
    }
    sending.join().expect("sent");
}

#[test]
fn who_asks_and_does_not_listen_is_not_listened_to() {
    let server = Server::start();
    server.get("/should-show-ad/48");
    let before = server.metric("upbeat_resident_bytes");
    let many = question(48).repeat(1000);
    let deaf: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(&server.data).expect("a connection");
            stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a time-out");
            // The kernel's buffers on both sides hold some megabytes; then the server reads no more.
            let taken = (0..2000).take_while(|_| stream.write_all(many.as_bytes()).is_ok()).count();
            assert!(taken < 2000, "{} bytes were taken and never answered", taken * many.len());
            stream
        })
        .collect();
    assert_eq!(server.get("/should-show-ad/48").status, 200, "the others are answered");
    let grown = server.metric("upbeat_resident_bytes") - before;
    assert!(grown < GROWTH, "{grown} bytes more");
    drop(deaf);
    until("all are gone", || server.metric(OPEN) <= 1.0);
}

#[test]
fn half_closed_clients_hear_their_answers() {
    let server = Server::start();
    let mut wire = server.wire();
    wire.send(question(1) + &question(2)).finish();
    assert_eq!((wire.answer().status, wire.answer().status), (200, 200));
    assert_eq!(wire.rest(), "");
    let mut half = server.wire();
    half.send(question(1) + "GET /should-sh").finish();
    assert_eq!(half.answer().status, 200);
    assert_eq!(half.rest(), "");
    until("half a head is counted", || counted(&server, ERRORS) == 1.0);
}

#[test]
fn a_body_that_never_ends_is_refused_by_size_or_by_time() {
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
    let deadline = Instant::now() + PATIENCE;
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
fn heads_of_a_mebibyte_and_bytes_that_are_no_text_are_told_and_counted() {
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
fn who_leaves_without_reading_leaves_no_answers_to_the_next() {
    let server = Server::start();
    for round in 0..20 {
        // More answers than one write takes; the second meets a socket that the first has had reset.
        let mut gone = server.wire();
        gone.send(question(round).repeat(100));
        drop(gone);
        // One connection for each worker.
        let mut next = [server.wire(), server.wire()];
        for wire in &mut next {
            wire.send("GET /should-show-ad/mine?dry_run=true HTTP/1.1\r\nhost: upbeat\r\n\r\n");
            assert_eq!(wire.answer().ok()["customer"], "mine");
        }
    }
}
