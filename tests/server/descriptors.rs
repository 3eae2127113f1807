//! File descriptors: the limits fit them, and where there are none left, health and the admin listener still answer.

use std::process::Command;

use super::skipped::skipped;
use super::support::{Server, until};
use super::wire::Wire;

const DECISION: &str = "GET /should-show-ad/48 HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Connections that have each had a decision and are kept, opened until one is refused.
fn until_full(server: &Server) -> Vec<Wire> {
    let mut kept = Vec::new();
    loop {
        let mut wire = server.wire();
        let answer = wire.send(DECISION).answer();
        if answer.status != 200 {
            let detail = answer.problem(503, "overloaded");
            assert!(detail.contains("limits.connections") && detail.contains("open files"), "{detail}");
            assert_eq!((answer.header("retry-after"), answer.header("connection")), ("1", "close"));
            return kept;
        }
        kept.push(wire);
        assert!(kept.len() < 10_000, "nothing is refused");
    }
}

/// What a full server still does.
fn assert_watched_and_served(server: &Server, kept: &mut [Wire]) {
    for target in ["/healthz", "/readyz"] {
        let mut wire = server.wire();
        wire.send(format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n"));
        let answer = wire.answer();
        assert_eq!((answer.status, answer.header("connection")), (200, "close"), "{target}");
        assert_eq!(wire.rest(), "");
    }
    let mut admin = Wire::to(&server.admin);
    assert_eq!(admin.send("GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").answer().status, 200);
    for wire in kept {
        assert_eq!(wire.send(DECISION).answer().status, 200, "who is connected is served");
    }
}

#[test]
fn soft_limit_on_open_files_is_raised_to_what_the_limits_need() {
    let server = Server::with(&[], &[("UPBEAT_LIMITS_CONNECTIONS", "300")]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id())).expect("Linux");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    let soft: usize = line.split_whitespace().nth(3).expect("a soft limit").parse().expect("a number");
    assert!(soft >= 600, "300 connections on each listener do not fit {soft} files");
}

#[test]
fn connections_are_lowered_to_what_the_open_files_allow() {
    let mut server = Server::with_open_files(200, &[]);
    until("it is said", || server.stderr_text().contains("limits.connections is lowered"));
    let mut kept = until_full(&server);
    assert!(kept.len() >= 50, "{} connections of 200 files", kept.len());
    assert_watched_and_served(&server, &mut kept);
    assert_eq!(server.metric("upbeat_http_accept_errors_total{listener=\"data\"}"), 0.0);
    server.signal("TERM");
    drop(kept);
    server.ended();
}

#[test]
fn too_few_open_files_to_serve_are_refused_with_the_cure() {
    let upbeat = super::support::upbeat();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--in-memory"];
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 40 && exec \"$0\" \"$@\""]).arg(upbeat.get_program()).args(serve);
    let output = shell.output().expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("may open 40 files") && said.contains("ulimit -Hn"), "{said}");
}

#[test]
fn health_and_admin_listener_answer_when_no_descriptor_is_left() {
    let server = Server::start();
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.id())).expect("Linux").count();
    // From now on the limit is not what the server has fitted its own to.
    let limit = format!("--nofile={}", open + 8);
    let id = format!("--pid={}", server.id());
    if !Command::new("prlimit").args([id, limit]).status().is_ok_and(|status| status.success()) {
        skipped("prlimit is missing or may not change limits");
        return;
    }
    let mut kept = until_full(&server);
    assert!(!kept.is_empty(), "some descriptors were left");
    for _ in 0..5 {
        assert_watched_and_served(&server, &mut kept);
    }
    assert!(server.metric("upbeat_http_accept_errors_total{listener=\"data\"}") > 0.0);
    until("it is said", || server.stderr_text().contains("accept failed"));
    drop(kept);
    until("connections are accepted again", || server.wire().send(DECISION).answer().status == 200);
}

#[test]
fn connection_beyond_the_limit_that_does_not_ask_is_refused_all_the_same() {
    let server = Server::with(&[], &[("UPBEAT_LIMITS_CONNECTIONS", "1")]);
    let mut first = server.wire();
    assert_eq!(first.send(DECISION).answer().status, 200);
    let mut silent = server.wire();
    assert_eq!(silent.answer().status, 503);
    let mut slow = server.wire();
    assert_eq!(slow.send(&DECISION[..20]).answer().status, 503);
    assert_eq!(server.metric("upbeat_http_connections_refused_total{listener=\"data\"}"), 2.0);
    assert_eq!(server.metric("upbeat_http_connections{listener=\"data\"}"), 1.0);
}
