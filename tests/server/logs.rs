//! Logs: machine-readable lines without personal data.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use super::support::{CSV, JSON, NDJSON, Server, agent, ask, upbeat};
use super::wire::{Wire, for_the_router};

#[test]
fn json_logs_are_json_lines_without_personal_data() {
    let environment =
        [("UPBEAT_LOG_FORMAT", "json"), ("UPBEAT_LOG_LEVEL", "trace"), ("UPBEAT_SHUTDOWN_DRAIN", "0s")];
    let mut server = Server::with(&["--clock", "event"], &environment);
    let play = r#"{"type":"play","event_id":"evsecret","customer_id":"whosecret","track_id":"songsecret","time":"2014-10-23T03:26:20","mobile":false,"zip":"zipsecret"}"#;
    server.load("/events", JSON, play);
    server.post("/events", NDJSON, play.replace("false", "maybesecret")).ok();
    server.post("/events", JSON, play.replace("whosecret", "who secret")).problem(422, "invalid-event");
    server.post("/events", CSV, "evsecret,whosecret\n").ok();
    server.get("/should-show-ad/whosecret").ok();
    server.get("/should-show-ad/who%20secret").problem(400, "invalid-customer-id");
    server.get("/should-show-ad/whosecret?secret=1").problem(400, "invalid-query");
    server.get("/customers/whosecret").problem(404, "not-found");
    server.post("/decisions", JSON, r#"{"customers":["whosecret"]}"#).ok();
    server.held("whosecret");
    server.admin_get("/customers/whosecret/explain").ok();
    server.ask("GET", &server.data, "/should-show-ad/whosecret", &[("x-request-id", "trace-me")], b"").ok();
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));

    let said = server.whole_stderr();
    assert!(!said.contains("secret"), "{said}");
    let lines: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    for line in &lines {
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
    }
    let traced = lines.iter().find(|line| line["id"] == "trace-me").expect("a line for every request");
    assert_eq!(traced["route"], "/should-show-ad/{customer}");
    assert_eq!((&traced["method"], &traced["status"]), (&"GET".into(), &200.into()));
}

#[test]
fn default_log_level_does_not_log_each_request() {
    let mut server = Server::with(&[], &[("UPBEAT_SHUTDOWN_DRAIN", "0s")]);
    for _ in 0..20 {
        server.decide("48");
    }
    server.get("/nowhere");
    server.signal("TERM");
    server.ended();
    let said = server.whole_stderr();
    assert!(said.lines().count() < 10, "{said}");
    assert!(said.contains("serving") && said.contains("stopped"), "{said}");
}

#[test]
fn log_sample_covers_fast_path_and_router_alike() {
    let mut server = Server::with(&[], &[("UPBEAT_SHUTDOWN_DRAIN", "0s"), ("UPBEAT_LOG_SAMPLE", "10")]);
    let mut wire = server.wire();
    let request = b"GET /should-show-ad/48 HTTP/1.1\r\nhost: a\r\n\r\n";
    for number in 0..100 {
        let request = if number % 2 == 0 { request.to_vec() } else { for_the_router(request) };
        wire.send(request).answer().ok();
    }
    server.signal("TERM");
    server.ended();
    let said = server.whole_stderr();
    assert_eq!(said.lines().filter(|line| line.contains("route=")).count(), 10, "{said}");
}

#[test]
fn unread_log_blocks_no_decision_and_dropped_lines_are_counted() {
    let mut command = upbeat();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--in-memory"]);
    command.env("UPBEAT_LOG_LEVEL", "upbeat=debug").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
    let mut address = || {
        let line = lines.next().expect("an address").expect("text");
        line.split("http://").nth(1).expect("a URL").to_owned()
    };
    let (data, admin) = (address(), address());
    let mut wire = Wire::to(&data);
    for _ in 0..200 {
        wire.send("GET /should-show-ad/48 HTTP/1.1\r\nhost: a\r\n\r\n".repeat(100));
        (0..100).for_each(|_| drop(wire.answer()));
    }
    let metrics = ask(&agent(), "GET", &admin, "/metrics", &[], b"").text();
    let dropped = metrics.lines().find_map(|line| line.strip_prefix("upbeat_log_lines_dropped_total "));
    let dropped: f64 = dropped.expect("the metric").parse().expect("a number");
    child.kill().expect("it runs");
    child.wait().expect("it ran");
    assert!(dropped > 1000.0, "{dropped}");
}
