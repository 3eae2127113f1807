//! Errors quote callers' text at a bounded length, and say that they cut it.

use serde_json::json;

use super::support::{CLOUD_EVENT, CSV, JSON, NDJSON, Server, upbeat};

/// More than any error may take.
const LONG: usize = 60_000;

#[test]
fn no_error_quotes_more_than_the_beginning_of_what_was_sent() {
    let server = Server::start();
    let long = |start: &str| start.to_owned() + &"x".repeat(LONG);
    let event = |field: &str, value: &str| {
        let mut event = json!({"type": "play", "event_id": 1, "customer_id": 48, "track_id": 3,
            "time": "2014-10-23T03:26:20", "mobile": false});
        event[field] = json!(value);
        event.to_string()
    };
    let row = |time: &str, mobile: &str| format!("1,48,453,{time},{mobile},72132\n");
    let query = "x".repeat(8000);
    let mut cases: Vec<(String, &str, String, &str)> = Vec::new();
    for time in
        [long(""), long("2014-10-23T03:26:20"), long("2014-13-23T03:26:20"), long("2014-10-23T03:26:20.1")]
    {
        cases.push(("/events".into(), JSON, event("time", &time), "cut"));
        cases.push(("/events".into(), NDJSON, event("time", &time), "cut"));
        cases.push(("/events?kind=plays".into(), CSV, row(&time, "0"), "cut"));
    }
    cases.push(("/events".into(), JSON, event("type", &long("")), "cut"));
    cases.push(("/events".into(), JSON, event("level", &long("")), "cut"));
    cases.push(("/events".into(), JSON, event(&long(""), "1"), "cut"));
    cases.push(("/events".into(), JSON, format!("[{}]", event(&long(""), "1")), "cut"));
    cases.push(("/events".into(), JSON, event("mobile", &long("")), "cut"));
    cases.push(("/events".into(), JSON, event("track_id", &long("")), "60000 characters"));
    cases.push(("/events?kind=plays".into(), CSV, row("2014-10-23 03:26:20", &long("")), "cut"));
    let customer = format!("CustID,SignDate,Level\n48,{},1\n48,06/04/2013,{}\n", long(""), long("7"));
    cases.push(("/events?kind=customers".into(), CSV, customer, "cut"));
    let track = format!("TrackId,Title,Artist,Length\n1,a,b,{}\n", long(""));
    cases.push(("/events?kind=tracks".into(), CSV, track, "cut"));
    let envelope =
        json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "upbeat.play", long(""): 1});
    cases.push(("/events".into(), CLOUD_EVENT, envelope.to_string(), ""));
    let in_envelope = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "upbeat.play", "subject": "48",
        "time": long(""), "data": {"event_id": 1, "track_id": 3, "mobile": false}});
    cases.push(("/events".into(), CLOUD_EVENT, in_envelope.to_string(), "cut"));
    cases.push((format!("/events?{query}=1"), JSON, event("type", "play"), "cut"));
    cases.push((format!("/events?kind={query}"), JSON, event("type", "play"), "cut"));
    cases.push((format!("/events?kind=customers&as_of={query}"), CSV, String::new(), "cut"));
    cases.push((format!("/events?kind=customers&columns={query}"), CSV, String::new(), ""));
    cases.push(("/decisions".into(), JSON, json!({ long(""): 1 }).to_string(), "cut"));
    cases.push(("/decisions".into(), JSON, json!({"customers": long("")}).to_string(), "cut"));
    cases.push(("/decisions".into(), JSON, json!({"customers": [long("")]}).to_string(), ""));
    for (path, content_type, body, said) in cases {
        let answer = server.post(&path, content_type, &body);
        let (text, what) = (answer.text(), format!("{:.60} {:.60}", path, body));
        assert!(text.len() < 4096, "{what}: {} bytes", text.len());
        assert!(text.contains(said), "{what}: {text}");
        assert!(answer.status < 500 && answer.status != 202, "{what}: {}", answer.status);
    }
    let content_type = "x".repeat(8000);
    let answer = server.post("/events", &format!("text/{content_type}"), "");
    assert!(answer.text().contains("(8005 bytes, cut)"), "{:.300}", answer.text());
    let answer = server.get(&format!("/should-show-ad/48?{query}=1"));
    assert_eq!(answer.status, 400);
    assert!(answer.text().len() < 4096 && answer.text().contains("cut"), "{:.300}", answer.text());
}

#[test]
fn configuration_error_quotes_a_bounded_part_of_a_value() {
    for (name, said) in
        [("UPBEAT_LOG_LEVEL", "upbeat=debug"), ("UPBEAT_MAX_FUTURE", ""), ("UPBEAT_TIME_ZONE", "")]
    {
        let mut command = upbeat();
        command.args(["serve", "--check-config"]).env(name, "x".repeat(LONG));
        let output = command.output().expect("the binary starts");
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(!output.status.success() && text.contains("bytes cut"), "{text:.300}");
        assert!(text.len() < 4096 && text.contains(said), "{text:.300}");
    }
}
