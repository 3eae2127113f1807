//! One feature code: the server's features of a customer equal those that `upbeat features` writes.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::value::RawValue;

use super::support::{CSV, Server, real_history, upbeat};

const NAMES: [&str; 6] = ["morning", "afternoon", "evening", "night", "mobile", "unique_tracks"];

/// The command's rows for the window that the server keeps: six values by customer.
fn batch(tracks: &[u8], flags: &[&str]) -> BTreeMap<String, Vec<f64>> {
    let directory = tempfile::tempdir().expect("a directory");
    let (tracks_file, clicks_file) =
        (directory.path().join("tracks.csv"), directory.path().join("clicks.csv"));
    std::fs::write(&tracks_file, tracks).expect("a file");
    std::fs::write(&clicks_file, "").expect("a file");
    let mut command = upbeat();
    command.arg("features").arg("--tracks").arg(tracks_file).arg("--clicks").arg(clicks_file);
    command.args(["--precise", "--ids", "--window-plays", "256", "--window-days", "28"]);
    command.args(flags);
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = String::from_utf8(output.stdout).expect("text");
    rows.lines()
        .map(|row| {
            let (values, customer) = row.split_once(" # ").expect("an id");
            let pairs = values.split(' ').skip(1).map(|pair| pair.split_once(':').expect("a pair").1);
            (customer.to_owned(), pairs.map(|value| value.parse().expect("a number")).collect())
        })
        .collect()
}

/// The server's six values; `None` where there is no play in the window. Read digit by digit, as serde's own numbers
/// may be one bit off.
fn live(server: &Server, customer: &str) -> Option<Vec<f64>> {
    type Object = BTreeMap<String, Box<RawValue>>;
    let held = server.admin_get(&format!("/customers/{customer}"));
    assert_eq!(held.status, 200);
    let held: Object = serde_json::from_slice(&held.body).expect("an object");
    let features: Object = serde_json::from_str(held["features"].get()).expect("an object");
    assert_eq!(features.len(), NAMES.len());
    NAMES.iter().map(|name| features[*name].get().parse().ok()).collect()
}

/// Asserts that server and command agree on every customer of a file, to the last bit.
fn assert_agreement(tracks: &[u8], customers: &[String]) {
    assert_agreement_of(&Server::by_event_clock(), &batch(tracks, &[]), tracks, customers);
}

fn assert_agreement_of(
    server: &Server,
    batch: &BTreeMap<String, Vec<f64>>,
    tracks: &[u8],
    customers: &[String],
) {
    server.load("/events?kind=plays", CSV, tracks);
    assert!(!batch.is_empty());
    for customer in customers {
        let live = live(server, customer);
        assert_eq!(live.as_ref(), batch.get(customer), "customer {customer}");
    }
}

#[test]
fn live_features_equal_batch_features_of_windows_that_overflow() {
    let (mut tracks, mut customers) = (String::new(), Vec::new());
    // Plays a few hours apart: many of them, and some customers who stopped long ago.
    for customer in 0..40u32 {
        let id = if customer % 4 == 3 { format!("c:{customer}") } else { customer.to_string() };
        for play in 0..customer * 9 {
            let hours = play * (1 + customer % 5) + customer % 7;
            let (month, day, hour) = (1 + hours / 24 / 28 % 12, 1 + hours / 24 % 28, hours % 24);
            let (track, mobile) = (play * play % 53, u32::from(play % 3 < customer % 4));
            writeln!(
                tracks,
                "{play},{id},{track},\"2014-{month:02}-{day:02} {hour:02}:30:00\",{mobile},\"72132\""
            )
            .expect("memory");
        }
        if customer > 0 {
            customers.push(id);
        }
    }
    assert_agreement(tracks.as_bytes(), &customers);
}

/// Times with and without offsets in one file: the zone decides which plays are in the window, and which are repeats.
#[test]
fn same_rows_and_time_zone_give_the_same_vectors_live_and_in_batch() {
    let rows = "\
        1,48,1,2014-07-01 00:30:00,0,1\n\
        2,48,2,2014-07-02 12:00:00,1,1\n\
        3,49,1,2014-07-20 12:00:00,0,1\n\
        3,49,1,2014-07-20 10:00:00Z,0,1\n\
        4,49,2,2014-07-21T08:00:00+05:30,1,1\n\
        5,50,1,2014-03-30 02:30:00,1,1\n\
        6,50,2,2014-07-15 23:30:00.5,1,1\n\
        7,51,3,2014-07-28T23:00:00Z,0,1\n";
    let customers = ["48", "49", "50", "51"].map(str::to_owned);
    let mut vectors = Vec::new();
    for zone in ["UTC", "Europe/Berlin", "America/New_York"] {
        let batch = batch(rows.as_bytes(), &["--time-zone", zone]);
        let server = Server::with(&["--clock", "event"], &[("UPBEAT_TIME_ZONE", zone)]);
        assert_agreement_of(&server, &batch, rows.as_bytes(), &customers);
        vectors.push(batch);
    }
    assert_ne!(vectors[0], vectors[1], "the zone matters to these rows");
    assert_eq!(batch(rows.as_bytes(), &[]), vectors[0], "UTC is the default");
}

#[test]
fn live_features_equal_batch_features_of_the_real_history() {
    let Some(tracks) = real_history("tracks_live.csv") else { return };
    let text = std::str::from_utf8(&tracks).expect("text");
    let mut customers: Vec<_> =
        text.lines().map(|line| line.split(',').nth(1).expect("an id").to_owned()).collect();
    customers.sort();
    customers.dedup();
    assert_eq!(customers.len(), 1_843);
    assert_agreement(&tracks, &customers);
}
