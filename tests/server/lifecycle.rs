//! Shutdown: the server reports that it is draining, finishes accepted requests, and never hangs.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::listeners::play;
use super::skipped::skipped;
use super::support::{JSON, Server, until, upbeat};
use super::wire::Wire;

/// Sends a head and half of a body, so that the server is known to wait for the other half.
fn half_sent(server: &Server) -> (Wire, String) {
    let body = play("48", 1, 60);
    let mut wire = server.wire();
    wire.send(format!(
        "POST /events HTTP/1.1\r\nhost: upbeat\r\ncontent-type: {JSON}\r\ncontent-length: {}\r\n\
         expect: 100-continue\r\n\r\n",
        body.len()
    ));
    assert_eq!(wire.answer().status, 100, "the server asks for the body");
    let (first, rest) = body.split_at(20);
    wire.send(first);
    (wire, rest.to_owned())
}

#[test]
fn draining_server_reports_not_ready_and_keeps_answering() {
    let mut server = Server::with(&[], &[("UPBEAT_SHUTDOWN_DRAIN", "10m")]);
    assert_eq!(server.get("/readyz").ok()["status"], "ready");
    server.signal("TERM");
    until("readyz is not 200", || server.get("/readyz").status != 200);
    let answer = server.get("/readyz");
    answer.problem(503, "not-ready");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(server.get("/healthz").status, 200, "it is still alive");
    server.load("/events", JSON, play("48", 1, 60));
    let mut new = server.wire();
    new.send("GET /should-show-ad/48 HTTP/1.1\r\nhost: upbeat\r\n\r\n");
    assert_eq!(new.answer().ok()["reason"], "too_little_history");

    // A second signal ends the process at once.
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(128 + 15));
}

#[test]
fn accepted_request_finishes_before_the_server_exits() {
    for signal in ["TERM", "INT"] {
        let environment = [("UPBEAT_SHUTDOWN_DRAIN", "0s"), ("UPBEAT_SHUTDOWN_DEADLINE", "10m")];
        let mut server = Server::with(&[], &environment);
        let (mut wire, rest) = half_sent(&server);
        let mut idle = server.wire();
        idle.send("GET /healthz HTTP/1.1\r\nhost: upbeat\r\n\r\n");
        assert_eq!(idle.answer().status, 200);

        server.signal(signal);
        until("no new connection is accepted", || TcpStream::connect(&server.data).is_err());
        assert_eq!(idle.rest(), "", "an idle connection is closed");
        wire.send(rest);
        assert_eq!(wire.answer().ok()["accepted"], 1);
        assert_eq!(wire.rest(), "");
        assert_eq!(server.ended().code(), Some(0), "after SIG{signal}");
    }
}

/// A decision, a request for the router, and one for the admin listener, each with its `connection` header.
fn announcements(server: &Server) -> Vec<String> {
    let ask = |mut wire: Wire, target: &str| {
        wire.send(format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n"));
        let answer = wire.answer();
        let connection = answer.header("connection").to_owned();
        if connection == "close" {
            assert_eq!(wire.rest(), "", "the connection of {target} is closed as announced");
        }
        connection
    };
    vec![
        ask(server.wire(), "/should-show-ad/48"),
        ask(server.wire(), "/should-show-ad/48?dry_run=maybe"),
        ask(server.wire(), "/healthz"),
        ask(server.wire(), "/nowhere"),
        ask(Wire::to(&server.admin), "/models"),
        ask(Wire::to(&server.admin), "/nowhere"),
    ]
}

#[test]
fn every_answer_of_a_draining_server_announces_the_close() {
    let server = Server::with(&[], &[("UPBEAT_SHUTDOWN_DRAIN", "10m")]);
    assert_eq!(announcements(&server), [""; 6]);
    let mut kept = server.wire();
    let mut kept_admin = Wire::to(&server.admin);
    for wire in [&mut kept, &mut kept_admin] {
        wire.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").answer();
    }
    server.signal("TERM");
    until("readyz is not 200", || server.get("/readyz").status != 200);
    assert_eq!(announcements(&server), ["close"; 6]);
    // What was opened before hears it with its next answer.
    for wire in [&mut kept, &mut kept_admin] {
        wire.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
        assert_eq!(wire.answer().header("connection"), "close");
        assert_eq!(wire.rest(), "");
    }
}

#[test]
fn connection_that_has_not_asked_is_served_after_the_listener_is_closed() {
    let environment = [("UPBEAT_SHUTDOWN_DRAIN", "0s"), ("UPBEAT_SHUTDOWN_DEADLINE", "10m")];
    let mut server = Server::with(&[], &environment);
    let (mut data, mut admin) = (server.wire(), Wire::to(&server.admin));
    server.signal("TERM");
    for address in [&server.data, &server.admin] {
        until("no new connection is accepted", || TcpStream::connect(address).is_err());
    }
    for (wire, target) in [(&mut data, "/should-show-ad/48"), (&mut admin, "/models")] {
        wire.send(format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n"));
        let answer = wire.answer();
        assert_eq!((answer.status, answer.header("connection")), (200, "close"));
        assert_eq!(wire.rest(), "");
    }
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn connection_that_never_asks_does_not_make_the_stop_unclean() {
    let environment = [("UPBEAT_SHUTDOWN_DRAIN", "0s"), ("UPBEAT_SHUTDOWN_DEADLINE", "300ms")];
    let mut server = Server::with(&[], &environment);
    let (mut data, mut admin) = (server.wire(), Wire::to(&server.admin));
    server.signal("TERM");
    assert_eq!((data.rest(), admin.rest()), (String::new(), String::new()));
    assert_eq!(server.ended().code(), Some(0), "no request was cut");
}

#[test]
fn half_a_head_does_not_hold_a_stop_beyond_its_deadline() {
    let environment = [("UPBEAT_SHUTDOWN_DRAIN", "0s"), ("UPBEAT_SHUTDOWN_DEADLINE", "300ms")];
    let mut server = Server::with(&[], &environment);
    let mut wire = server.wire();
    // The answer shows that the server has read the half that follows it, too.
    let whole = "GET /should-show-ad/48 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    wire.send(format!("{whole}{}", &whole[..30])).answer();
    server.signal("TERM");
    assert_eq!(wire.rest(), "");
    assert_eq!(server.ended().code(), Some(1), "a request was cut");
}

#[test]
fn connections_that_the_kernel_has_queued_are_served_before_the_stop() {
    // 97 connections come in while the process stands still: nobody has accepted them when it hears of the stop.
    let mut server = Server::with(&[], &[("UPBEAT_SHUTDOWN_DRAIN", "0s")]);
    server.signal("STOP");
    let mut queued: Vec<Wire> =
        (0..97).map(|number| Wire::to(if number % 2 == 0 { &server.data } else { &server.admin })).collect();
    for wire in queued.iter_mut().skip(40) {
        wire.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    }
    server.signal("TERM");
    server.signal("CONT");
    for wire in queued.iter_mut().take(40) {
        wire.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    }
    for (number, wire) in queued.iter_mut().enumerate() {
        assert_eq!(wire.answer().status, 200, "connection {number}");
    }
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn unfinished_request_is_cut_at_the_deadline() {
    let environment = [("UPBEAT_SHUTDOWN_DRAIN", "0s"), ("UPBEAT_SHUTDOWN_DEADLINE", "300ms")];
    let mut server = Server::with(&[], &environment);
    let (mut wire, _) = half_sent(&server);
    server.signal("TERM");
    assert_eq!(wire.rest(), "");
    assert_eq!(server.ended().code(), Some(1));
}

#[test]
fn idle_server_stops_at_once() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::with(&[], &[("UPBEAT_SHUTDOWN_DRAIN", "0s")]);
        server.signal(signal);
        assert_eq!(server.ended().code(), Some(0));
    }
}

#[test]
fn port_in_use_is_reported_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for (flag, other) in [("--listen", "--admin-listen"), ("--admin-listen", "--listen")] {
        let flags = ["serve", "--in-memory", flag, &address, other, "127.0.0.1:0"];
        let output = upbeat().args(flags).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("cannot listen on {address}")) && said.contains(flag), "{said}");
        assert!(output.stdout.is_empty(), "no address is printed before both listeners are bound");
    }
}

#[test]
fn burst_of_connects_waits_in_the_backlog() {
    const BURST: usize = 300;
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
    if most.is_ok_and(|most| most.trim().parse().is_ok_and(|most: usize| most < BURST)) {
        skipped(format_args!("the kernel's net.core.somaxconn is below {BURST}"));
        return;
    }
    let server = Server::start();
    // While the process stands still, only the kernel can complete connections.
    server.signal("STOP");
    for address in [&server.data, &server.admin] {
        let address = address.parse().expect("an address");
        let burst: Vec<TcpStream> = (0..BURST)
            .map(|number| match TcpStream::connect_timeout(&address, Duration::from_secs(10)) {
                Ok(stream) => stream,
                Err(error) => panic!("connection {number} of {BURST}: {error}"),
            })
            .collect();
        drop(burst);
    }
    server.signal("CONT");
    assert_eq!(server.get("/healthz").status, 200);
}
