//! How a server stops: it says so first, finishes what it has accepted, and never hangs.

use std::net::{TcpListener, TcpStream};

use super::listeners::play;
use super::support::{JSON, Server, until, upbeat};
use super::wire::Wire;

/// Begins to post an event, so that the server is known to wait for the rest of its body.
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
fn a_server_that_is_told_to_stop_says_so_and_answers_on() {
    let mut server = Server::with(&[], &[("UPBEAT_SHUTDOWN_DRAIN", "10m")]);
    assert_eq!(server.get("/readyz").ok()["status"], "ready");
    server.signal("TERM");
    until("readyz says no", || server.get("/readyz").status != 200);
    let answer = server.get("/readyz");
    answer.problem(503, "not-ready");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(server.get("/healthz").status, 200, "it is alive all the same");
    server.load("/events", JSON, play("48", 1, 60));
    let mut new = server.wire();
    new.send("GET /should-show-ad/48 HTTP/1.1\r\nhost: upbeat\r\n\r\n");
    assert_eq!(new.answer().ok()["reason"], "too_little_history");

    // Who cannot wait says it twice.
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(128 + 15));
}

#[test]
fn an_accepted_request_finishes_before_the_end() {
    for signal in ["TERM", "INT"] {
        let environment = [("UPBEAT_SHUTDOWN_DRAIN", "0s"), ("UPBEAT_SHUTDOWN_DEADLINE", "10m")];
        let mut server = Server::with(&[], &environment);
        let (mut wire, rest) = half_sent(&server);
        let mut idle = server.wire();
        idle.send("GET /healthz HTTP/1.1\r\nhost: upbeat\r\n\r\n");
        assert_eq!(idle.answer().status, 200);

        server.signal(signal);
        until("nobody new is let in", || TcpStream::connect(&server.data).is_err());
        assert_eq!(idle.rest(), "", "a connection that waits for nothing is closed");
        wire.send(rest);
        assert_eq!(wire.answer().ok()["accepted"], 1);
        assert_eq!(wire.rest(), "");
        assert_eq!(server.ended().code(), Some(0), "after SIG{signal}");
    }
}

#[test]
fn a_request_that_never_finishes_is_cut_at_the_deadline() {
    let environment = [("UPBEAT_SHUTDOWN_DRAIN", "0s"), ("UPBEAT_SHUTDOWN_DEADLINE", "300ms")];
    let mut server = Server::with(&[], &environment);
    let (mut wire, _) = half_sent(&server);
    server.signal("TERM");
    assert_eq!(wire.rest(), "");
    assert_eq!(server.ended().code(), Some(1));
}

#[test]
fn a_server_with_nothing_to_do_stops_at_once() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::with(&[], &[("UPBEAT_SHUTDOWN_DRAIN", "0s")]);
        server.signal(signal);
        assert_eq!(server.ended().code(), Some(0));
    }
}

#[test]
fn a_port_in_use_is_told_with_a_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for (flag, other) in [("--listen", "--admin-listen"), ("--admin-listen", "--listen")] {
        let output =
            upbeat().args(["serve", flag, &address, other, "127.0.0.1:0"]).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("cannot listen on {address}")) && said.contains(flag), "{said}");
        assert!(output.stdout.is_empty(), "no address is told before both are good");
    }
}
