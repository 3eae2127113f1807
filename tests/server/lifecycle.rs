//! Shutdown: the server reports that it is draining, finishes accepted requests, and never hangs.

use std::net::{TcpListener, TcpStream};

use super::listeners::play;
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
        let output =
            upbeat().args(["serve", flag, &address, other, "127.0.0.1:0"]).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("cannot listen on {address}")) && said.contains(flag), "{said}");
        assert!(output.stdout.is_empty(), "no address is printed before both listeners are bound");
    }
}
