//! The real files: answers and profiles hold what the files hold.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::listeners;
use super::support::{CSV, JSON, NDJSON, Server, real_history};

/// The rows of `tracks_live.csv` as (event id, customer, track, time, mobile); none of its fields holds a comma.
fn plays_of(file: &[u8]) -> Vec<[String; 5]> {
    let text = std::str::from_utf8(file).expect("text");
    let row = |line: &str| {
        let mut fields = line.split(',').map(|field| field.trim_matches('"').to_owned());
        std::array::from_fn(|_| fields.next().expect("five fields and a zip"))
    };
    text.lines().map(row).collect()
}

/// What `GET /customers/{customer}` must list for one customer: distinct plays by time, then event id.
fn expected_plays(rows: &[[String; 5]], customer: &str) -> Value {
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let own: BTreeSet<_> = rows
        .iter()
        .filter(|row| row[1] == customer)
        .map(|row| (row[3].replace(' ', "T"), number(&row[0]), number(&row[2]), row[4] == "1"))
        .collect();
    let plays = own.into_iter().map(|(time, event_id, track_id, mobile)| {
        json!({"event_id": event_id, "track_id": track_id, "time": time, "mobile": mobile})
    });
    Value::Array(plays.collect())
}

#[test]
fn file_sent_twice_counts_once() {
    let Some(tracks) = real_history("tracks_live.csv") else { return };
    let server = Server::start();
    assert_eq!(server.load("/events", CSV, &tracks), (2_682, 792));
    assert_eq!(server.load("/events?kind=plays", CSV, &tracks), (0, 3_474));
    assert_eq!(server.profiles(), 1_843);
    assert_eq!(server.metric("upbeat_plays"), 2_682.0);
}

#[test]
fn profile_lists_the_plays_of_the_file() {
    let Some(tracks) = real_history("tracks_live.csv") else { return };
    let rows = plays_of(&tracks);
    let server = Server::with(&["--clock", "event"], &[("UPBEAT_WINDOW_DAYS", "28")]);
    server.load("/events", CSV, &tracks);
    for customer in ["48", "1081", "532"] {
        let held = server.held(customer);
        let mut plays = held["older_plays"].as_array().expect("a list").clone();
        plays.extend(held["plays"].as_array().expect("a list").iter().cloned());
        assert_eq!(Value::Array(plays), expected_plays(&rows, customer));
        assert_eq!(held["customer"], customer);
        assert_eq!(held["membership"], Value::Null);
    }
    let newest = rows.iter().map(|row| row[3].replace(' ', "T")).max().expect("a play");
    assert_eq!(server.held("48")["now"], newest);
}

#[test]
fn gold_customers_are_never_shown_the_offer() {
    let Some(customers) = real_history("cust.csv") else { return };
    let server = Server::start();
    assert_eq!(server.load("/events?kind=customers", CSV, &customers), (5_000, 0));
    assert_eq!(server.load("/events?kind=customers", CSV, &customers), (0, 5_000));

    // All customers now listen as likely clickers do.
    let everybody: Vec<String> = (0..5_000).map(|id| id.to_string()).collect();
    for part in everybody.chunks(1_000) {
        let body: String = part.iter().map(|customer| listeners::likely(customer)).collect();
        assert_eq!(server.load("/events", NDJSON, body), (24_000, 0));
    }
    let body = json!({"customers": everybody}).to_string();
    let decisions = server.post("/decisions", JSON, body).ok();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for decision in decisions["decisions"].as_array().expect("a list") {
        let reason = decision["reason"].as_str().expect("a reason");
        assert_eq!(decision["show"], reason == "likely_to_click", "{decision}");
        *reasons.entry(reason).or_default() += 1;
    }
    assert_eq!(reasons, BTreeMap::from([("already_gold", 531), ("likely_to_click", 4_469)]));
}

#[test]
fn names_and_addresses_of_a_customer_file_are_not_kept() {
    let Some(customers) = real_history("cust.csv") else { return };
    let server = Server::start();
    server.load("/events?kind=customers", CSV, &customers);
    let held = server.held("0");
    assert_eq!(held["membership"], json!({"level": "silver", "since": "2013-06-04T00:00:00"}));
    let text = held.to_string();
    assert!(!text.contains("Koval") && !text.contains("Easy Cider"), "{text}");
}

#[test]
fn catalogue_with_unquoted_texts_is_read_whole() {
    let Some(music) = real_history("music.csv") else { return };
    let server = Server::start();
    assert_eq!(server.load("/events?kind=tracks", CSV, &music), (1_750, 0));
    assert_eq!(server.load("/events?kind=tracks", CSV, &music), (0, 1_750));
    assert_eq!(server.metric("upbeat_tracks"), 1_750.0);
    let text = String::from_utf8(music).expect("text");
    for line in text.lines().skip(1) {
        // Titles that begin with a quote must have come through with the rest of their line.
        if !line.contains('"') {
            continue;
        }
        let fields: Vec<_> = line.split(',').collect();
        let track = server.admin_get(&format!("/tracks/{}", fields[0])).ok();
        assert_eq!(track["length_s"].to_string(), fields[3], "{line}");
        assert!(track["title"].as_str().is_some_and(|title| line.contains(title)), "{line}: {track}");
    }
}
