//! `upbeat journal compact` keeps the state, loses the history, and can be killed at any moment.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::durability::{Kept, damage, journal, kill};
use super::listeners::{likely, membership, play, seconds_from_now};
use super::support::*;

/// A server's customers, tracks and one shown ad, killed with the ad in its lanes; and what it held.
struct Killed {
    kept: Kept,
    held: Vec<Value>,
    shown: Value,
}

const CUSTOMERS: [&str; 4] = ["48", "bulk-7", "50", "shown"];
const ASKED: &str = "/should-show-ad/shown?request_id=mine";

impl Killed {
    fn new() -> Self {
        let kept = Kept::new();
        let environment =
            [("UPBEAT_JOURNAL_SEGMENT_BYTES", "64KiB"), ("UPBEAT_JOURNAL_SNAPSHOT_BYTES", "64KiB")];
        let server = kept.start_with(&environment);
        let bulk: String =
            (0..3000).map(|number| play(&format!("bulk-{}", number % 30), number, 60) + "\n").collect();
        server.load("/events", NDJSON, &bulk);
        server.load("/events", JSON, play("48", 1, 60));
        server.load("/events", JSON, membership("50", 1, "gold", 60));
        server.load("/events", NDJSON, likely("shown"));
        server.load("/events?kind=tracks", CSV, "TrackId,Title,Artist,Length\n7,Title,Artist,180\n");
        let shown = server.get(ASKED).ok();
        assert_eq!(shown["show"], true, "{shown}");
        let held = CUSTOMERS.map(|customer| without_now(server.held(customer))).into();
        kill(server);
        Self { kept, held, shown }
    }

    /// Starts a server on the directory and compares.
    fn compare(&self) {
        let server = self.kept.start();
        for (customer, before) in CUSTOMERS.iter().zip(&self.held) {
            assert_eq!(without_now(server.held(customer)), *before, "{customer}");
        }
        assert_eq!(server.admin_get("/tracks/7").ok()["title"], "Title");
        assert_eq!(server.get(ASKED).ok(), self.shown, "the retry gets its answer");
        assert_eq!(server.decide("shown")["reason"], "capped");
        assert_eq!(server.load("/events", JSON, play("48", 1, 60)), (0, 1), "a repeat is known as one");
        kill(server);
    }
}

fn without_now(mut held: Value) -> Value {
    held["now"] = Value::Null;
    held
}

/// The log's files and the snapshots.
fn files(directory: &str) -> (usize, usize) {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
    let count = |what: &str| names.iter().filter(|name| name.starts_with(what)).count();
    (count("segment-"), count("snapshot-"))
}

fn bytes(directory: &str) -> u64 {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let files = entries.map(|entry| entry.expect("an entry").metadata().expect("a file"));
    files.filter(std::fs::Metadata::is_file).map(|file| file.blocks() * 512).sum()
}

#[test]
fn compact_keeps_the_state_and_what_lanes_hold_and_loses_the_history() {
    let killed = Killed::new();
    let directory = killed.kept.directory();
    let (log, before) = (files(&directory).0, bytes(&directory));
    assert!(log > 2, "{log}");

    let asked = journal(&["compact", &directory]);
    assert_eq!(asked.status.code(), Some(1), "{asked:?}");
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    assert!(said.contains("backtests") && said.contains("--yes"), "{said}");
    assert_eq!(files(&directory).0, log, "nothing is done before --yes");

    let done = journal(&["compact", "--yes", &directory]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let after = bytes(&directory);
    assert!(said.contains(&format!("{after} now")), "{after}: {said}");
    assert_eq!(files(&directory), (1, 2), "before {before} bytes, {said}");
    let lanes = std::fs::read_dir(killed.kept.lanes.path()).expect("a folder").count();
    assert_eq!(lanes, 0, "the lanes are empty and gone");
    let checked = journal(&["check", &directory]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    // The older snapshot alone gives the state, too.
    let mut snapshots: Vec<_> = std::fs::read_dir(&directory)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.display().to_string().contains("snapshot-"))
        .collect();
    snapshots.sort();
    std::fs::remove_file(&snapshots[1]).expect("it is there");
    killed.compare();
}

#[test]
fn compact_leaves_now_to_the_wall_clock() {
    const TWO_DAYS_S: i64 = 2 * 86_400;
    let kept = Kept::new();
    let directory = kept.directory();
    let server = kept.start();
    server.load("/events", JSON, play("48", 1, TWO_DAYS_S));
    kill(server);
    let done = journal(&["compact", "--yes", &directory]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let server = kept.start();
    let held = server.held("48");
    let now = held["now"].as_str().expect("a time");
    // Both are times in UTC as ISO 8601 writes them.
    assert!(*now > *seconds_from_now(-60), "now stands still at the newest event: {held}");
}

#[test]
fn compact_that_is_killed_at_any_moment_leaves_a_sound_directory() {
    let killed = Killed::new();
    let directory = killed.kept.directory();
    let (mut killed_amid, mut delay) = (0, Duration::from_millis(20));
    for _ in 0..10 {
        let mut command = upbeat();
        command.args(["journal", "compact", "--yes", &directory]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it runs");
        std::thread::sleep(delay);
        if child.try_wait().expect("a child").is_some() {
            break;
        }
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        killed_amid += 1;
        delay += Duration::from_millis(45);
        let checked = journal(&["check", &directory]);
        assert_eq!(checked.status.code(), Some(0), "after {delay:?}: {checked:?}");
    }
    assert!(killed_amid > 0);
    let done = journal(&["compact", "--yes", &directory]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    killed.compare();
}

#[test]
fn compact_refuses_damage_a_running_server_and_lanes_that_are_elsewhere() {
    let kept = Kept::new();
    let directory = kept.directory();
    let refused = |what: &[&str]| {
        let output = journal(&["compact", "--yes", &directory]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        for what in what {
            assert!(said.contains(what), "{what}: {said}");
        }
    };
    let server = kept.start();
    for event in 0..20 {
        server.load("/events", JSON, play("48", event, 60));
    }
    refused(&["in use", &server.id().to_string()]);
    kill(server);

    let lanes =
        std::fs::read_dir(kept.lanes.path()).expect("a folder").next().expect("lanes").expect("lanes");
    let away = kept.lanes.path().join("away");
    std::fs::rename(lanes.path(), &away).expect("it is ours");
    refused(&[&lanes.path().display().to_string(), "start a server"]);
    std::fs::rename(&away, lanes.path()).expect("it is ours");

    let segment = Path::new(&directory).join("segment-000000000001");
    damage(&segment);
    let before = std::fs::read(&segment).expect("a segment");
    refused(&[
        "segment-000000000001, byte",
        &format!("upbeat journal check {directory}"),
        &format!("upbeat journal repair {directory}"),
    ]);
    assert_eq!(std::fs::read(&segment).expect("a segment"), before);
}

#[test]
fn start_with_other_lanes_than_those_of_the_killed_server_is_refused() {
    let kept = Kept::new();
    let server = kept.start();
    server.load("/events", NDJSON, likely("48"));
    assert_eq!(server.decide("48")["show"], true);
    kill(server);
    let other = tempfile::tempdir_in(kept.lanes.path()).expect("a folder");
    let said = kept.refused(&[("UPBEAT_LANES_DIR", &other.path().display().to_string())]);
    assert!(said.contains("lanes_dir") && said.contains(&*kept.lanes.path().display().to_string()), "{said}");
    assert_eq!(std::fs::read_dir(other.path()).expect("a folder").count(), 0, "no lanes are left there");
    let server = kept.start();
    assert_eq!(server.decide("48")["reason"], "capped");
}
