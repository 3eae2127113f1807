//! Logs: lines that machines read, and nothing in them about anybody.

use serde_json::Value;

use super::support::{CSV, JSON, NDJSON, Server};

#[test]
fn json_logs_are_lines_of_json_and_hold_nothing_about_anybody() {
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

    let said = server.all_said();
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
fn at_the_usual_level_requests_are_not_logged_one_by_one() {
    let mut server = Server::with(&[], &[("UPBEAT_SHUTDOWN_DRAIN", "0s")]);
    for _ in 0..20 {
        server.decide("48");
    }
    server.get("/nowhere");
    server.signal("TERM");
    server.ended();
    let said = server.all_said();
    assert!(said.lines().count() < 10, "{said}");
    assert!(said.contains("serving") && said.contains("stopped"), "{said}");
}
