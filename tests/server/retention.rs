//! What the disk holds is bounded by what the configuration says: history goes by age and size, events and decisions each by
//! their own.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::durability::{Kept, journal, kill};
use super::listeners::play;
use super::support::*;

const KIB: u64 = 1 << 10;
const SEGMENT_BYTES: u64 = 64 * KIB;
const SNAPSHOT_BYTES: u64 = 64 * KIB;
const EVENTS_BYTES: u64 = 512 * KIB;
const DECISIONS_BYTES: u64 = 192 * KIB;

/// Bounds so small that seconds of load pass them many times.
const SMALL: [(&str, &str); 7] = [
    ("UPBEAT_JOURNAL_SEGMENT_BYTES", "64KiB"),
    ("UPBEAT_JOURNAL_SNAPSHOT_BYTES", "64KiB"),
    ("UPBEAT_RETENTION_EVENTS_BYTES", "512KiB"),
    ("UPBEAT_RETENTION_DECISIONS_BYTES", "192KiB"),
    ("UPBEAT_CAMPAIGN_MIN_PLAYS", "1"),
    ("UPBEAT_CAMPAIGN_THRESHOLD", "-1000000000"),
    ("UPBEAT_CAMPAIGN_CAP_IMPRESSIONS", "64"),
];

const CUSTOMERS: u64 = 60;

/// Bytes on the disk of files whose names begin so.
fn bytes(directory: &Path, prefix: &str) -> u64 {
    let entries = std::fs::read_dir(directory).expect("a directory").map_while(Result::ok);
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    // One that is removed or renamed meanwhile takes nothing.
    ours.filter_map(|entry| entry.metadata().ok()).map(|of| of.blocks() * 512).sum()
}

fn largest_snapshot(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).expect("a directory").map_while(Result::ok);
    let snapshots = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("snapshot-"));
    snapshots.filter_map(|entry| entry.metadata().ok()).map(|of| of.blocks() * 512).max().unwrap_or(0)
}

/// What the guide says that the disk holds at most, but for what is logged while a snapshot is written.
fn stated(snapshot: u64) -> u64 {
    let history = EVENTS_BYTES + DECISIONS_BYTES;
    let needed = 2 * SNAPSHOT_BYTES + 64 * SEGMENT_BYTES;
    history + needed + 3 * snapshot + 3 * SEGMENT_BYTES
}

/// A round of load: plays, and ads that are shown to all of them if `shows`.
fn round(server: &Server, number: u64, shows: bool) {
    let row = |row: u64| play(&format!("{}", row % CUSTOMERS), 100_000 * number + row, 60) + "\n";
    server.load("/events", NDJSON, (0..3000).map(row).collect::<String>());
    if shows {
        let customers: Vec<_> = (0..CUSTOMERS).map(|customer| customer.to_string()).collect();
        let answer = server.post("/decisions", JSON, json!({"customers": customers}).to_string()).ok();
        let decisions = answer["decisions"].as_array().expect("decisions").clone();
        assert!(decisions.iter().all(|decision| decision["show"] == true), "{}", decisions[0]);
    }
}

fn stats(directory: &str) -> Value {
    let output = journal(&["stats", "--json", directory]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn disk_holds_no_more_than_the_configuration_says_past_both_bounds() {
    const ROUNDS: u64 = 100;
    let kept = Kept::new();
    let directory = kept.directory();
    let server = kept.start_with(&SMALL);
    let path = Path::new(&directory);
    let (mut snapshot, mut most, mut logged) = (0, 0, 0.0_f64);
    let stop = AtomicBool::new(false);
    // What is logged before the load waits, below, until the disk holds no more than is stated: however slow this machine is, no
    // more is logged while a snapshot is written and history is read.
    let slack = 24 * SEGMENT_BYTES;
    let wait = || {
        until("the disk holds what is stated", || bytes(path, "") <= stated(largest_snapshot(path)));
    };
    std::thread::scope(|scope| {
        let sampling = scope.spawn(|| {
            let (mut snapshot, mut most) = (0, 0);
            while !stop.load(Ordering::Relaxed) {
                snapshot = snapshot.max(largest_snapshot(path));
                let held = bytes(path, "");
                most = most.max(held);
                assert!(held <= stated(snapshot) + slack, "{held} bytes, {} allowed", stated(snapshot));
                std::thread::sleep(Duration::from_millis(5));
            }
            (snapshot, most)
        });
        for number in 0..ROUNDS {
            round(&server, number, number % 2 == 0);
            wait();
            if sampling.is_finished() {
                break;
            }
        }
        // Events one by one: each takes a block of the log's files, many times what its record does.
        for row in 0..1500 {
            server.load("/events", JSON, play(&format!("{}", row % CUSTOMERS), 99_000_000 + row, 60));
            if row % 100 == 0 {
                wait();
            }
            if sampling.is_finished() {
                break;
            }
        }
        logged = server.metric("upbeat_journal_bytes_total");
        stop.store(true, Ordering::Relaxed);
        (snapshot, most) = sampling.join().expect("the disk is within its bound");
    });
    let stated = stated(snapshot);
    assert!(logged > 2.0 * stated as f64, "{logged} bytes were logged, {stated} are allowed");
    // At rest history alone is within its own bounds.
    let history = || server.metric("upbeat_journal_history_bytes");
    until("history is within its bounds", || history() <= (EVENTS_BYTES + DECISIONS_BYTES) as f64);
    until("and stays so", || server.metric("upbeat_journal_history_bytes") > 0.0);
    assert_eq!(server.metric("upbeat_journal_history_failed_total"), 0.0);
    eprintln!("retention: {logged} bytes logged, {most} held at most, {stated} allowed");

    let checked = journal(&["check", &directory]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    kill(server);
    let server = kept.start_with(&SMALL);
    assert_eq!(server.profiles(), CUSTOMERS);
}

#[test]
fn history_goes_by_its_age_where_nothing_comes_and_at_the_start() {
    let kept = Kept::new();
    let directory = kept.directory();
    let mut environment = SMALL.to_vec();
    environment.extend([
        ("UPBEAT_RETENTION_EVENTS_BYTES", "1GiB"),
        ("UPBEAT_RETENTION_DECISIONS_BYTES", "1GiB"),
        ("UPBEAT_RETENTION_EVENTS_DAYS", "2"),
        ("UPBEAT_RETENTION_DECISIONS_DAYS", "4"),
    ]);
    let server = kept.start_with(&environment);
    (0..6).for_each(|number| round(&server, number, true));
    let history = |server: &Server| server.metric("upbeat_journal_history_bytes");
    until("there is history", || history(&server) > 0.0);
    // A decision does not wait for the disk: those of the last round may not be in a file yet.
    until("everything is on the disk", || server.metric("upbeat_journal_lag_records") == 0.0);
    let of = |name: &str| stats(&directory)["records"][name]["records"].as_u64().unwrap_or(0);
    let (events, shown) = (of("play"), of("shown"));
    assert_eq!((events, shown), (18_000, 6 * CUSTOMERS));
    let age = |days: u64| {
        let then = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
        for entry in std::fs::read_dir(&directory).expect("a directory").map_while(Result::ok) {
            if entry.file_name().to_string_lossy().starts_with("segment-") {
                let file = std::fs::File::options().write(true).open(entry.path()).expect("a file");
                file.set_modified(then).expect("it is ours");
            }
        }
    };

    // The server is at rest.
    age(3);
    until("events are past their age", || of("play") < events);
    // What the first file holds of positions below its floor is not told: some of one round.
    assert!(of("shown") + CUSTOMERS >= shown, "decisions are not: {} of {shown}", of("shown"));
    kill(server);

    age(5);
    let server = kept.start_with(&environment);
    until("decisions are past their age, too", || of("shown") + CUSTOMERS < shown);
    until("there is no history", || history(&server) == 0.0);
    let checked = journal(&["check", &directory]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    assert_eq!(server.profiles(), CUSTOMERS, "what customers are stays");
}

#[test]
fn retention_of_nothing_is_refused() {
    for (key, value) in [("DAYS", "0"), ("BYTES", "0B")] {
        for of in ["EVENTS", "DECISIONS"] {
            let kept = Kept::new();
            let name = format!("UPBEAT_RETENTION_{of}_{key}");
            let mut command = upbeat();
            command.args(["serve", "--data-dir", &kept.directory()]).env(&name, value);
            let output = command.output().expect("it runs");
            assert!(!output.status.success(), "{output:?}");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains(&name) && said.contains("it must be from 1"), "{said}");
            assert!(!Path::new(&kept.directory()).exists(), "nothing is made");
        }
    }
}
