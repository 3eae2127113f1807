//! Events: repeats, late and future ones, atomic bodies, memberships, impressions.

use serde_json::{Value, json};

use super::listeners::{likely, membership, play, play_at, seconds_from_now};
use super::support::{CSV, JSON, NDJSON, Server};

fn impression(customer: &str, event_id: u64, what: &str) -> String {
    let time = seconds_from_now(-1);
    format!(
        "{{\"type\":\"impression\",\"event_id\":{event_id},\"customer_id\":\"{customer}\",\"time\":\"{time}\",{what}}}"
    )
}

#[test]
fn events_with_equal_customer_id_and_time_are_duplicates() {
    let server = Server::start();
    let first = play("48", 1, 60);
    assert_eq!(server.load("/events", JSON, &first), (1, 0));
    assert_eq!(server.load("/events", NDJSON, format!("{first}\n{first}")), (0, 2));
    assert_eq!(server.load("/events", JSON, first.replace("\"48\"", "\"49\"")), (1, 0), "another customer");
    assert_eq!(server.load("/events", JSON, first.replace("_id\":1,", "_id\":2,")), (1, 0), "another id");
    assert_eq!(server.load("/events", JSON, play("48", 1, 90)), (1, 0), "another time");
}

#[test]
fn late_events_are_placed_by_their_time() {
    let server = Server::start();
    for (event_id, seconds_ago) in [(3, 100), (1, 300), (4, 50), (2, 200)] {
        server.load("/events", JSON, play("48", event_id, seconds_ago));
    }
    let held = server.held("48");
    let order: Vec<_> =
        held["plays"].as_array().expect("a list").iter().map(|p| p["event_id"].clone()).collect();
    assert_eq!(order, [1, 2, 3, 4]);
}

#[test]
fn window_keeps_the_most_recent_plays_in_any_order_of_arrival() {
    let server = Server::with(&["--model", "none"], &[("UPBEAT_WINDOW_PLAYS", "3")]);
    for (event_id, seconds_ago) in [(5, 10), (1, 500), (4, 20), (2, 400), (3, 30)] {
        server.load("/events", JSON, play("48", event_id, seconds_ago));
    }
    // Plays that left the window are still recognised as repeats.
    assert_eq!(server.load("/events", JSON, play("48", 1, 500)), (0, 1));
    assert_eq!(server.load("/events", JSON, play("48", 9, 9)), (1, 0));
    let held = server.held("48");
    let order: Vec<_> =
        held["plays"].as_array().expect("a list").iter().map(|p| p["event_id"].clone()).collect();
    assert_eq!(order, [4, 5, 9]);
    assert_eq!(server.metric("upbeat_plays"), 3.0);
}

#[test]
fn future_events_are_refused_in_both_clock_modes() {
    for clock in ["wall", "event"] {
        let server = Server::with(&["--clock", clock], &[]);
        server.load("/events", JSON, play("48", 1, -200));
        let answer = server.post("/events", JSON, play("48", 2, -900));
        assert!(answer.problem(409, "event-conflict").contains("ahead"));
        let report =
            server.post("/events", NDJSON, format!("{}\n{}", play("48", 3, -900), play("48", 4, 9))).ok();
        assert_eq!((&report["accepted"], &report["rejected"][0]["index"]), (&json!(1), &json!(0)));
        let far = play_at("48", 5, "9999-12-31T23:59:59Z");
        server.post("/events", JSON, far).problem(409, "event-conflict");
        assert_eq!(server.metric("upbeat_plays"), 2.0, "by the {clock} clock");
    }
}

#[test]
fn max_future_is_configurable() {
    let server = Server::with(&[], &[("UPBEAT_MAX_FUTURE", "1h")]);
    server.load("/events", JSON, play("48", 1, -900));
    server.post("/events", JSON, play("48", 2, -4000)).problem(409, "event-conflict");
}

#[test]
fn offsets_order_events_and_hours_stay_as_written() {
    let server = Server::by_event_clock();
    let body = [
        play_at("48", 1, "2014-10-23T23:30:00+02:00"),
        play_at("48", 2, "2014-10-23T20:00:00"),
        play_at("48", 3, "2014-10-23T22:00:00Z"),
        play_at("48", 4, "2014-10-23T16:59:59.250-05:00"),
    ];
    server.load("/events", NDJSON, body.join("\n"));
    let held = server.held("48");
    let order: Vec<_> = held["plays"].as_array().expect("a list").iter().map(|p| p["time"].clone()).collect();
    let expected = [
        "2014-10-23T20:00:00",
        "2014-10-23T23:30:00+02:00",
        "2014-10-23T16:59:59.250-05:00",
        "2014-10-23T22:00:00Z",
    ];
    assert_eq!(order, expected);
    let features = &held["features"];
    let shares = [&features["afternoon"], &features["evening"], &features["night"]];
    assert_eq!(shares, [&json!(0.25), &json!(0.25), &json!(0.5)]);
}

#[test]
fn times_without_offset_are_ordered_in_the_servers_zone() {
    let server = Server::with(&["--clock", "event"], &[("UPBEAT_TIME_ZONE", "Europe/Berlin")]);
    let rows = "1,48,1,2014-07-01 12:00:00,0,1\n";
    server.load("/events", CSV, rows);
    let utc = r#"{"type":"play","event_id":1,"customer_id":48,"track_id":1,"time":"2014-07-01T10:00:00Z","mobile":false}"#;
    assert_eq!(server.load("/events", JSON, utc), (0, 1), "noon in Berlin's summer is ten o'clock UTC");
}

#[test]
fn atomic_body_of_good_rows_is_applied() {
    let server = Server::start();
    let body = format!("[{},{},{}]", play("48", 1, 60), play("49", 1, 60), play("48", 1, 60));
    assert_eq!(server.load("/events?atomic=true", JSON, &body), (2, 1));
    assert_eq!(server.load("/events?atomic=true", JSON, &body), (0, 3));
}

#[test]
fn atomic_body_with_one_bad_row_changes_nothing() {
    let server = Server::start();
    let conflict = [membership("7", 1, "free", 60), membership("7", 1, "gold", 60)].join("\n");
    let impression_of_nothing = impression("48", 9, "\"decision_id\":\"0123456789abcdef\"");
    let (content, state) = ((422, "atomic-rejected"), (409, "event-conflict"));
    for (bad, (status, kind)) in [
        ("{}", content),
        ("nonsense", content),
        (&play("48", 2, -9000), state),
        (&conflict, state),
        (&impression_of_nothing, state),
    ] {
        let body = format!("{}\n{bad}\n{}", play("48", 1, 60), play("49", 1, 60));
        let answer = server.post("/events?atomic=true", NDJSON, body);
        answer.problem(status, kind);
        let problem = answer.json();
        let rows = problem["rejected"].as_array().expect("a list");
        let index = if bad == conflict { 2 } else { 1 };
        assert!(rows.len() == 1 && rows[0]["index"] == index, "{bad}: {problem}");
        assert_eq!((&problem["accepted"], &problem["duplicates"]), (&json!(0), &json!(0)));
        assert_eq!((server.profiles(), server.metric("upbeat_plays")), (0, 0.0), "{bad}");
    }
}

#[test]
fn changed_level_under_an_unchanged_date_is_refused_with_the_fix() {
    let server = Server::start();
    let file = |level: u8| format!("CustID,SignDate,Level\n48,06/04/2013,{level}\n");
    server.load("/events?kind=customers", CSV, file(1));
    let report = server.post("/events?kind=customers", CSV, file(2)).ok();
    let detail = report["rejected"][0]["detail"].as_str().expect("a reason");
    assert!(detail.contains("silver") && detail.contains("as_of"), "{detail}");
    assert_eq!(server.held("48")["membership"]["level"], "silver");

    // The fix that the message names: the time at which the later file was exported.
    let export = "/events?kind=customers&as_of=2014-01-01T00:00:00";
    assert_eq!(server.load(export, CSV, file(2)), (1, 0));
    assert_eq!(server.load(export, CSV, file(2)), (0, 1));
    assert_eq!(server.held("48")["membership"], json!({"level": "gold", "since": "2014-01-01T00:00:00"}));
    assert_eq!(server.load("/events?kind=customers", CSV, file(1)), (0, 1), "the first file is still known");
    assert_eq!(server.held("48")["membership"]["level"], "gold", "and older than the second");
}

#[test]
fn impression_event_confirms_its_decision_and_does_not_count_again() {
    let server = Server::with(&[], &[("UPBEAT_CAMPAIGN_CAP_IMPRESSIONS", "2")]);
    server.load("/events", NDJSON, likely("48"));
    let decision = server.decide("48");
    let id = decision["decision_id"].as_str().expect("an id");
    let impressions = || server.held("48")["impressions"].clone();
    assert_eq!(
        (&impressions()[0]["decision_id"], &impressions()[0]["confirmed"]),
        (&json!(id), &json!(false))
    );

    let confirmation = impression("48", 1, &format!("\"decision_id\":\"{id}\""));
    assert_eq!(server.load("/events", JSON, &confirmation), (1, 0));
    assert_eq!(server.load("/events", JSON, &confirmation), (0, 1));
    assert_eq!(impressions().as_array().map(Vec::len), Some(1));
    assert_eq!(impressions()[0]["confirmed"], true);
    assert_eq!(server.decide("48")["show"], true, "one of two was used");
    assert_eq!(server.decide("48")["reason"], "capped");
}

#[test]
fn impression_by_campaign_counts_towards_its_cap() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48"));
    server.load("/events", JSON, impression("48", 1, "\"campaign\":\"another\""));
    assert_eq!(server.reason("48"), "likely_to_click");
    server.load("/events", JSON, impression("48", 2, "\"campaign\":\"gold-one-day\""));
    assert_eq!(server.reason("48"), "capped");
    let held = server.held("48");
    let confirmed: Vec<_> =
        held["impressions"].as_array().expect("a list").iter().map(|i| &i["confirmed"]).collect();
    assert_eq!(confirmed, [true, true]);
}

#[test]
fn impression_of_an_unknown_decision_is_refused() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48"));
    let decision = server.decide("48");
    let id = decision["decision_id"].as_str().expect("an id");
    for (customer, what, said) in [
        ("49", format!("\"decision_id\":\"{id}\""), "decision_id"),
        ("48", "\"decision_id\":\"0000000000000000\"".to_owned(), "decision_id"),
        ("48", "\"decision_id\":\"xyz\"".to_owned(), "hexadecimal"),
        ("48", format!("\"decision_id\":\"{id}\",\"campaign\":\"gold-one-day\""), "not both"),
        ("48", "\"campaign\":\"a b\"".to_owned(), "' '"),
    ] {
        let answer = server.post("/events", JSON, impression(customer, 1, &what));
        let unknown = said == "decision_id";
        let (status, kind) = if unknown { (409, "event-conflict") } else { (422, "invalid-event") };
        let detail = answer.problem(status, kind);
        assert!(detail.contains(said), "{what}: {detail}");
    }
    let held = server.held("48");
    assert_eq!(held["impressions"][0]["confirmed"], Value::Bool(false));
    assert_eq!(server.profiles(), 1, "a refused event makes no profile");
}
