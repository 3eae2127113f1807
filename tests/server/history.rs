//! What a profile's bounds leave: ad history and caps, late events, and copies of one event that differ.

use serde_json::{Value, json};

use super::listeners::likely;
use super::support::{JSON, NDJSON, Server, until};

fn impression(event_id: usize, time: &str, of: (&str, &str)) -> String {
    let mut event = json!({"type": "impression", "event_id": event_id, "customer_id": "48", "time": time});
    event[of.0] = json!(of.1);
    event.to_string() + "\n"
}

fn seconds_ago(seconds: i64) -> String {
    let then = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
    then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn counts(report: &Value) -> [u64; 3] {
    ["accepted", "duplicates", "too_old"].map(|name| report[name].as_u64().unwrap_or(0))
}

/// How many impressions of our campaign count for customer 48.
fn counted(server: &Server) -> usize {
    let held = server.admin_get("/customers/48").ok();
    let ours = |impression: &&Value| impression["campaign"] == "gold-one-day";
    held["impressions"].as_array().expect("impressions").iter().filter(ours).count()
}

#[test]
fn cap_survives_impressions_of_other_campaigns() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48"));
    assert_eq!(server.decide("48")["reason"], "likely_to_click");
    let one = |n: usize| impression(n, &seconds_ago(0), ("campaign", "x"));
    let many = |n: usize| impression(n, &seconds_ago(0), ("campaign", &format!("campaign-{n}")));
    let others: String = (0..300).map(|n| if n % 2 == 0 { one(n) } else { many(n) }).collect();
    assert_eq!(server.load("/events", NDJSON, others), (300, 0));
    assert_eq!(server.reason("48"), "capped");
    let held = server.admin_get("/customers/48").ok();
    assert_eq!(held["impressions"].as_array().map(Vec::len), Some(65), "ours, and 64 of all others");
}

#[test]
fn cap_of_a_year_counts_an_impression_of_last_winter() {
    let server = Server::with(
        &[],
        &[("UPBEAT_CAMPAIGN_CAP_HOURS", "8760"), ("UPBEAT_CAMPAIGN_CAP_IMPRESSIONS", "64")],
    );
    server.load("/events", NDJSON, likely("48"));
    let day_s = 24 * 3600;
    let ours: String = (0..63)
        .map(|n| impression(n, &seconds_ago(300 * day_s - n as i64), ("campaign", "gold-one-day")))
        .collect();
    let others: String = (100..300).map(|n| impression(n, &seconds_ago(60), ("campaign", "x"))).collect();
    server.load("/events", NDJSON, ours + &others);
    assert_eq!(server.decide("48")["reason"], "likely_to_click", "63 of 64");
    assert_eq!(server.reason("48"), "capped");
}

#[test]
fn confirmation_and_report_of_one_event_are_one_impression() {
    for confirmation_first in [true, false] {
        let server = Server::start();
        server.load("/events", NDJSON, likely("48"));
        let decision = server.decide("48")["decision_id"].as_str().expect("an id").to_owned();
        let time = seconds_ago(0);
        let both = [
            impression(7, &time, ("decision_id", &decision)),
            impression(7, &time, ("campaign", "gold-one-day")),
        ];
        let (first, second) = if confirmation_first { (&both[0], &both[1]) } else { (&both[1], &both[0]) };
        assert_eq!(counts(&server.post("/events", JSON, first).ok()), [1, 0, 0]);
        assert_eq!(counts(&server.post("/events", JSON, second).ok()), [0, 1, 0]);
        assert_eq!(counted(&server), 1, "confirmation first: {confirmation_first}");
        let held = server.admin_get("/customers/48").ok();
        assert_eq!(held["impressions"][0]["confirmed"], true);
        assert_eq!(held["impressions"][0]["decision_id"], json!(decision));
    }
}

#[test]
fn event_confirms_one_decision() {
    let server = Server::with(&[], &[("UPBEAT_CAMPAIGN_CAP_IMPRESSIONS", "2")]);
    server.load("/events", NDJSON, likely("48"));
    let decide = || server.decide("48")["decision_id"].as_str().expect("an id").to_owned();
    let (one, other) = (decide(), decide());
    let time = seconds_ago(0);
    assert_eq!(
        counts(&server.post("/events", JSON, impression(7, &time, ("decision_id", &other))).ok()),
        [1, 0, 0]
    );
    let refused = server.post("/events", JSON, impression(7, &time, ("decision_id", &one)));
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains(&format!("already confirmed decision {other}")), "{}", refused.text());
    let body = impression(9, &time, ("decision_id", &one)) + &impression(9, &time, ("decision_id", &other));
    let report = server.post("/events?atomic=true", NDJSON, body);
    assert_eq!(report.status, 409, "{}", report.text());
    let held = server.admin_get("/customers/48").ok();
    let confirmed: Vec<_> = (0..2).map(|n| held["impressions"][n]["confirmed"].clone()).collect();
    assert_eq!(confirmed, [json!(false), json!(true)], "nothing of the atomic body was applied");
}

#[test]
fn late_play_sent_again_and_again_is_accepted_at_most_once() {
    let server = Server::by_event_clock();
    let play = |event_id: usize, minute: usize| {
        let time = format!("2014-10-{:02}T{:02}:{:02}:00", 2 + minute / 1440, minute / 60 % 24, minute % 60);
        json!({"type": "play", "event_id": event_id, "customer_id": 48, "track_id": 1, "time": time, "mobile": false})
            .to_string()
    };
    let history: String = (0..600).map(|n| play(n, n + 10) + "\n").collect();
    assert_eq!(server.load("/events", NDJSON, &history), (600, 0));
    let late = play(9000, 0);
    let outcomes: Vec<_> = (0..3).map(|_| counts(&server.post("/events", JSON, &late).ok())).collect();
    assert_eq!(outcomes, [[0, 0, 1]; 3]);
    let again = server.post("/events", NDJSON, &history).ok();
    assert_eq!(counts(&again), [0, 512, 88]);
    assert_eq!(server.metric("upbeat_events_total{kind=\"play\",outcome=\"accepted\"}"), 600.0);
    assert_eq!(server.metric("upbeat_events_total{kind=\"play\",outcome=\"too_old\"}"), 91.0);
    assert_eq!(
        server.post("/events", JSON, play(700, 700)).text(),
        r#"{"accepted":1,"duplicates":0,"rejected":[]}"#
    );
}

#[test]
fn copies_of_one_play_that_differ_give_one_profile_in_any_order() {
    let copy = |track: u64, mobile: bool, time: &str| {
        json!({"type": "play", "event_id": 1, "customer_id": 48, "track_id": track, "time": time, "mobile": mobile})
            .to_string()
    };
    let copies = [
        copy(3, true, "2014-10-23T03:26:20Z"),
        copy(3, false, "2014-10-23T13:26:20+10:00"),
        copy(3, false, "2014-10-23T03:26:20"),
        copy(7, false, "2014-10-23T03:26:20"),
    ];
    for turn in 0..copies.len() {
        let server = Server::by_event_clock();
        let mut turned = copies.clone();
        turned.rotate_left(turn);
        for (number, copy) in turned.iter().enumerate() {
            let expected = if number == 0 { [1, 0, 0] } else { [0, 1, 0] };
            assert_eq!(counts(&server.post("/events", JSON, copy).ok()), expected);
            // A score that was computed before must not outlive the copy that it was computed from.
            server.reason("48");
        }
        let held = server.admin_get("/customers/48").ok();
        let smallest =
            json!([{"event_id": 1, "track_id": 3, "time": "2014-10-23T03:26:20", "mobile": false}]);
        assert_eq!(held["plays"], smallest, "turned by {turn}");
        assert_eq!(held["features"]["night"], 1.0, "turned by {turn}");
    }
}

#[test]
fn one_date_far_ahead_neither_moves_the_event_clock_nor_evicts_anybody() {
    let server = Server::with(&["--clock", "event"], &[("UPBEAT_LIMITS_EVICT_EVERY", "100ms")]);
    let play = |customer: u64, event_id: u64, day: &str| {
        json!({"type": "play", "event_id": event_id, "customer_id": customer, "track_id": event_id, "mobile": true,
            "time": format!("{day}T{:02}:30:00", event_id % 24)})
        .to_string()
            + "\n"
    };
    let customers: String =
        (1..=5).flat_map(|customer| (0..20).map(move |id| play(customer, id, "2014-10-23"))).collect();
    server.load("/events", NDJSON, customers);
    assert_eq!(server.load("/events", JSON, play(1, 99, "2019-01-01")), (1, 0), "it is kept");
    assert_eq!(server.metric("upbeat_event_clock_unconfirmed_total"), 1.0);
    assert_eq!(server.admin_get("/customers/1").ok()["now"], "2014-10-23T19:30:00");
    assert_eq!(server.admin_get("/customers/1").ok()["plays"].as_array().map(Vec::len), Some(21));
    until("the log says so", || server.stderr_text().contains("stays at 2014-10-23T19:30:00"));
    // Several sweeps lie behind that line, which is written once a second.
    assert_eq!(server.profiles(), 5);
    assert_eq!(server.metric("upbeat_customers_evicted_total"), 0.0);
    assert_eq!(server.reason("2"), "likely_to_click");

    server.load("/events", JSON, play(6, 1, "2019-01-20"));
    assert_eq!(
        server.admin_get("/customers/6").ok()["now"],
        "2019-01-20T01:30:00",
        "another customer confirms"
    );
    until("those of 2014 are evicted", || server.metric("upbeat_customers_evicted_total") >= 4.0);
    let said = server.stderr_text();
    assert!(
        said.contains("more than 28 days ahead of the others, the last of them 2019-01-01T03:30:00"),
        "{said}"
    );
}
