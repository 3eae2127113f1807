//! `GET /interests`: who played one track three times within half an hour, by the set of their plays.

use serde_json::{Value, json};

use super::durability::{Kept, kill};
use super::export_decisions::all_durable;
use super::listeners::seconds_from_now;
use super::support::*;

/// A play so many minutes ago.
fn play(customer: &str, event_id: u64, track: u64, minutes_ago: i64) -> String {
    let time = seconds_from_now(-60 * minutes_ago);
    json!({"type": "play", "event_id": event_id, "customer_id": customer, "track_id": track, "time": time, "mobile": true}).to_string()
        + "\n"
}

fn told(server: &Server, query: &str) -> Value {
    server.admin_get(&format!("/interests{query}")).ok()
}

/// An interest with its first and last play so many minutes ago.
fn interest(customer: &str, track: u64, count: u64, from: i64, to: i64) -> Value {
    let at = |minutes_ago: i64| seconds_from_now(-60 * minutes_ago);
    json!({"customer": customer, "track": track, "count": count, "from": at(from), "to": at(to)})
}

/// Three listeners: one of three plays, one of five in a row with others between, and one of too few at once. By event id.
fn history() -> Vec<String> {
    let mut all = Vec::new();
    for (event_id, minutes_ago) in (1..).zip([130, 115, 100]) {
        all.push(play("three", event_id, 7, minutes_ago));
    }
    for (event_id, minutes_ago) in (1..).zip([80, 65, 50, 35, 20]) {
        all.push(play("five", event_id, 7, minutes_ago));
        all.push(play("five", event_id + 100, event_id, minutes_ago - 3));
    }
    for (event_id, minutes_ago) in (1..).zip([75, 55, 35, 15]) {
        all.push(play("calm", event_id, 7, minutes_ago));
    }
    all
}

fn expected() -> Value {
    json!([interest("five", 7, 5, 80, 20), interest("three", 7, 3, 130, 100)])
}

#[test]
fn interests_are_those_of_the_set_of_plays_in_any_order_singly_or_in_bodies_and_repeats_count_once() {
    let history = history();
    let backwards: Vec<String> = history.iter().rev().cloned().collect();
    let mixed: Vec<String> = (0..history.len()).map(|at| history[at * 5 % history.len()].clone()).collect();
    assert_eq!(history.len() % 5, 2, "five steps at a time visit each once");
    for order in [&history, &backwards, &mixed] {
        let server = Server::start();
        for event in order {
            assert_eq!(server.load("/events", JSON, event), (1, 0));
            assert_eq!(server.load("/events", JSON, event), (0, 1));
        }
        assert_eq!(told(&server, ""), expected());
        assert_eq!(server.metric("upbeat_interests_total"), 2.0);
    }
    for path in ["/events", "/events?atomic=true"] {
        let server = Server::start();
        server.load(path, NDJSON, mixed.concat());
        server.load(path, NDJSON, mixed.concat());
        assert_eq!(told(&server, ""), expected(), "{path}");
    }
}

#[test]
fn answer_is_bounded_by_limit_and_since_and_wrong_queries_are_told() {
    let server = Server::start();
    let of = |customer: u64| {
        let plays = (1..=3_u64)
            .map(|event| play(&customer.to_string(), event, 5, 200 + customer as i64 - event as i64));
        plays.collect::<String>()
    };
    server.load("/events", NDJSON, (0..150).map(of).collect::<String>());
    let customers = |query: &str| {
        let told = told(&server, query);
        let list = told
            .as_array()
            .expect("a list")
            .iter()
            .map(|of| of["customer"].as_str().expect("an id").to_owned());
        list.collect::<Vec<_>>()
    };
    let newest = |count: u64| (0..count).map(|customer| customer.to_string()).collect::<Vec<_>>();
    assert_eq!(customers(""), newest(100));
    assert_eq!(customers("?limit=3"), newest(3));
    assert_eq!(customers("?limit=1000"), newest(150));
    let since = seconds_from_now(-60 * 206).replace('+', "%2B");
    assert_eq!(customers(&format!("?since={since}")), newest(10));
    for wrong in ["?limit=0", "?limit=1001", "?limit=some", "?since=yesterday", "?sice=1"] {
        server.admin_get(&format!("/interests{wrong}")).problem(400, "invalid-query");
    }
}

#[test]
fn erased_customer_is_in_no_interest_and_one_who_returns_begins_with_none() {
    let kept = Kept::new();
    let server = kept.start();
    server.load("/events", NDJSON, history().concat());
    assert_eq!(told(&server, ""), expected());
    assert_eq!(server.ask("DELETE", &server.admin, "/customers/five", &[], b"").status, 204);
    assert_eq!(told(&server, ""), json!([interest("three", 7, 3, 130, 100)]));
    // Two plays more would be enough with what is erased.
    server.load("/events", NDJSON, play("five", 900, 7, -1) + &play("five", 901, 7, -2));
    assert_eq!(told(&server, ""), json!([interest("three", 7, 3, 130, 100)]));
    all_durable(&server);
    kill(server);
    let server = kept.start();
    until("the interest is found again", || told(&server, "") != json!([]));
    assert_eq!(told(&server, ""), json!([interest("three", 7, 3, 130, 100)]));
}

#[test]
fn interests_are_found_again_after_a_kill_and_after_a_stop_with_a_snapshot() {
    let kept = Kept::new();
    let mut server = kept.start();
    server.load("/events", NDJSON, history().concat());
    all_durable(&server);
    kill(server);
    server = kept.start();
    until("the interests are found again", || told(&server, "") == expected());
    assert_eq!(server.metric("upbeat_interests_total"), 0.0, "they were found before");
    server.signal("TERM");
    server.ended();
    server = kept.start();
    until("the interests are found again", || told(&server, "") == expected());
    // And go on.
    server.load("/events", JSON, play("five", 50, 7, 5));
    assert_eq!(told(&server, "?limit=1"), json!([interest("five", 7, 6, 80, 5)]));
}
