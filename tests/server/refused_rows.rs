//! Refused rows: each has the type of its problem, rows without room are no success, and the operator hears of both.

use serde_json::{Value, json};

use super::listeners::play;
use super::support::{Answer, CLOUD_EVENT, CLOUD_EVENTS, CSV, JSON, NDJSON, Server};

/// A play of an hour ago as a CloudEvent.
fn cloud_event(customer: &str, event_id: u64) -> Value {
    let data: Value = serde_json::from_str(&play(customer, event_id, 3600)).expect("JSON");
    json!({"specversion": "1.0", "id": "e", "source": "/player", "type": "play", "data": data})
}

/// The same plays in every format of a list: (content type, body).
fn lists(plays: &[(&str, u64)]) -> [(&'static str, String); 4] {
    let events: Vec<String> = plays.iter().map(|(customer, id)| play(customer, *id, 3600)).collect();
    let rows = plays.iter().map(|(customer, id)| format!("{id},{customer},{id},2014-10-23 03:26:20,1,1\n"));
    let cloud: Vec<Value> = plays.iter().map(|(customer, id)| cloud_event(customer, *id)).collect();
    [
        (JSON, format!("[{}]", events.join(","))),
        (NDJSON, events.join("\n")),
        (CSV, rows.collect()),
        (CLOUD_EVENTS, Value::from(cloud).to_string()),
    ]
}

fn types(answer: &Answer) -> Vec<(u64, String)> {
    let rejected = answer.json()["rejected"].as_array().expect("a list").clone();
    let row = |row: &Value| {
        assert!(row["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{row}");
        (row["index"].as_u64().expect("an index"), row["type"].as_str().expect("a type").to_owned())
    };
    rejected.iter().map(row).collect()
}

fn of(index: u64, slug: &str) -> (u64, String) {
    (index, format!("/problems/{slug}"))
}

#[test]
fn refused_row_carries_the_type_of_its_problem_in_every_format() {
    let server = Server::start();
    let (good, far) = (play("48", 1, 60), play("48", 2, -9000));
    let unknown = json!({"type": "impression", "event_id": 3, "customer_id": 48, "decision_id": "0123456789abcdef",
        "time": "2014-10-23T03:26:20"});
    let expected = [of(1, "too-far-ahead"), of(2, "event-conflict"), of(3, "invalid-event")];
    for (content_type, body) in [
        (JSON, format!("[{good},{far},{unknown},{{}}]")),
        (NDJSON, format!("{good}\n{far}\n{unknown}\nnonsense\n")),
    ] {
        let answer = server.post("/events", content_type, &body);
        assert_eq!((answer.status, types(&answer)), (200, expected.to_vec()), "{content_type}");
        let answer = server.post("/events?atomic=true", content_type, &body);
        answer.problem(422, "atomic-rejected");
        assert_eq!(types(&answer), expected, "{content_type}");
    }
    let csv = "1,48,1,2014-10-23 03:26:20,1,1\n1,48,1,2994-10-23 03:26:20,1,1\n1,48\n";
    let answer = server.post("/events", CSV, csv);
    assert_eq!(types(&answer), [of(1, "too-far-ahead"), of(2, "invalid-event")]);
    let mut late = cloud_event("48", 4);
    late["data"]["time"] = json!("2994-10-23T03:26:20");
    let answer = server.post("/events", CLOUD_EVENTS, json!([late, 7]).to_string());
    assert_eq!(types(&answer), [of(0, "too-far-ahead"), of(1, "invalid-event")]);

    // A single event has the same report, under the status of its problem.
    for (content_type, body, status, kind, row) in [
        (JSON, far.clone(), 409, "event-conflict", "too-far-ahead"),
        (JSON, unknown.to_string(), 409, "event-conflict", "event-conflict"),
        (JSON, "{}".to_owned(), 422, "invalid-event", "invalid-event"),
        (CLOUD_EVENT, late.to_string(), 409, "event-conflict", "too-far-ahead"),
    ] {
        let answer = server.post("/events", content_type, &body);
        answer.problem(status, kind);
        assert_eq!(types(&answer), [of(0, row)], "{body}");
    }
}

#[test]
fn list_with_a_row_without_room_is_no_success_in_any_format() {
    let plays = [("48", 1), ("49", 2), ("48", 3), ("50", 4)];
    for (number, (content_type, body)) in lists(&plays).into_iter().enumerate() {
        let limits = [("UPBEAT_LIMITS_CUSTOMERS", "1"), ("UPBEAT_LIMITS_EXPECTED_CUSTOMERS", "1")];
        let server = Server::with(&[], &limits);
        // The first time and the second, rows with room are applied and known.
        for (accepted, duplicates) in [(2, 0), (0, 2)] {
            let answer = server.post("/events", content_type, &body);
            let detail = answer.problem(503, "store-full");
            assert!(detail.contains("2 rows") && detail.contains("again"), "{detail}");
            assert_eq!(answer.header("retry-after"), "1");
            let report = answer.json();
            assert_eq!((&report["accepted"], &report["duplicates"]), (&json!(accepted), &json!(duplicates)));
            assert_eq!(types(&answer), [of(1, "store-full"), of(3, "store-full")], "{content_type}");
        }
        // With room, the same body is a success. Customers are deleted until there is some.
        assert_eq!(server.ask("DELETE", &server.admin, "/customers/48", &[], b"").status, 204);
        let one = lists(&[("49", 2)])[number].1.clone();
        assert_eq!(server.load("/events", content_type, one), (1, 0), "{content_type}");
    }
}

#[test]
fn rows_without_memory_and_tracks_without_room_are_no_success() {
    let server = Server::with(&[], &[("UPBEAT_LIMITS_PROFILE_BYTES", "2000"), ("UPBEAT_LIMITS_TRACKS", "1")]);
    let customers: Vec<String> = (100..200).map(|customer| play(&customer.to_string(), 1, 60)).collect();
    let answer = server.post("/events", NDJSON, customers.join("\n"));
    answer.problem(503, "store-full");
    let refused = types(&answer);
    assert!(refused.iter().all(|(_, kind)| kind == "/problems/memory-full"), "{refused:?}");
    let accepted = answer.json()["accepted"].as_u64().expect("a count");
    assert!(accepted > 0 && accepted as usize + refused.len() == 100, "{accepted}");

    let tracks = "TrackId,Title,Artist,Length\n1,a,b,10\n2,c,d,20\nnot a track\n";
    let answer = server.post("/events?kind=tracks", CSV, tracks);
    answer.problem(503, "store-full");
    assert_eq!(types(&answer), [of(1, "catalogue-full"), of(2, "invalid-event")]);
    assert_eq!(answer.header("retry-after"), "1");
}

#[test]
fn operator_hears_of_refused_rows_by_metric_and_warning() {
    let limits = [
        ("UPBEAT_LIMITS_CUSTOMERS", "1"),
        ("UPBEAT_LIMITS_EXPECTED_CUSTOMERS", "1"),
        ("UPBEAT_SHUTDOWN_DRAIN", "0s"),
    ];
    let mut server = Server::with(&[], &limits);
    let count =
        |server: &Server, slug: &str| server.metric(&format!("upbeat_rows_refused_total{{type=\"{slug}\"}}"));
    for slug in
        ["invalid-event", "too-far-ahead", "event-conflict", "store-full", "memory-full", "catalogue-full"]
    {
        assert_eq!(count(&server, slug), 0.0, "{slug} is there from the start");
    }
    let rows = [play("48", 1, 60), "a secret".to_owned(), play("secret", 1, 60), play("48", 2, -9000)];
    for _ in 0..3 {
        server.post("/events", NDJSON, rows.join("\n")).problem(503, "store-full");
    }
    server.post("/events", JSON, play("50", 1, 60)).problem(503, "store-full");
    server.post("/events?atomic=true", NDJSON, &rows[3]).problem(409, "event-conflict");
    assert_eq!(count(&server, "invalid-event"), 3.0);
    assert_eq!(count(&server, "store-full"), 4.0);
    assert_eq!(count(&server, "too-far-ahead"), 4.0);

    server.signal("TERM");
    server.ended();
    let said = server.whole_stderr();
    assert!(said.contains("row 1: invalid-event, row 2: store-full, row 3: too-far-ahead"), "{said}");
    assert!(said.matches("rows of events were refused").count() < 5, "a warning has a period: {said}");
    assert!(!said.contains("secret"), "{said}");
}
