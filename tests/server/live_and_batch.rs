//! One feature code: the server's features of a customer equal those that `upbeat features` writes.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::value::RawValue;

use super::support::{CSV, Server, real_history, upbeat};

const NAMES: [&str; 6] = ["morning", "afternoon", "evening", "night", "mobile", "unique_tracks"];

/// The command's rows for the window that the server keeps: six values by customer.
fn batch(tracks: &[u8]) -> BTreeMap<String, Vec<f64>> {
    let directory = tempfile::tempdir().expect("a directory");
    let (tracks_file, clicks_file) =
        (directory.path().join("tracks.csv"), directory.path().join("clicks.csv"));
    std::fs::write(&tracks_file, tracks).expect("a file");
    std::fs::write(&clicks_file, "").expect("a file");
    let mut command = upbeat();
    command.arg("features").arg("--tracks").arg(tracks_file).arg("--clicks").arg(clicks_file);
    command.args(["--precise", "--ids", "--window-plays", "256", "--window-days", "28"]);
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
    let server = Server::by_event_clock();
    server.load("/events?kind=plays", CSV, tracks);
    let batch = batch(tracks);
    assert!(!batch.is_empty());
    for customer in customers {
        let live = live(&server, customer);
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
