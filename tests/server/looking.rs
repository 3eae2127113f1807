//! `upbeat journal check`, `dump` and `stats` beside a server that uses the directory: no false alarm, and no damage unseen.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::durability::{Kept, damage, journal, kill};
use super::listeners::{likely, play};
use super::support::*;

/// The shortest and the longest time of looking beside a server under load.
const LOOKING: std::ops::Range<Duration> = Duration::from_secs(4)..Duration::from_secs(40);

/// Snapshots, and the files of the log that they make history, come and go in less than a second.
const BUSY: [(&str, &str); 4] = [
    ("UPBEAT_JOURNAL_SEGMENT_BYTES", "64KiB"),
    ("UPBEAT_JOURNAL_SNAPSHOT_BYTES", "192KiB"),
    ("UPBEAT_RETENTION_EVENTS_BYTES", "256KiB"),
    ("UPBEAT_LOG_LEVEL", "warn"),
];

/// The output of a look that has to find nothing wrong.
fn sound(arguments: &[&str]) -> String {
    let output = journal(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn stats(directory: &str) -> Value {
    serde_json::from_str(&sound(&["stats", "--json", directory])).expect("JSON")
}

fn oldest_segment(directory: &str) -> PathBuf {
    let entries = Path::new(directory).read_dir().expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().starts_with("segment-");
    paths.filter(name).min().expect("a segment")
}

#[test]
fn looks_beside_a_busy_server_give_no_false_alarm_and_find_what_is_damaged() {
    let kept = Kept::new();
    let directory = kept.directory();
    let server = kept.start_with(&BUSY);
    server.load("/events", NDJSON, likely("shown"));
    let (ended, last) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Acquire) {
                let first = last.load(Ordering::Acquire);
                let rows = first..first + 400;
                let rows = rows.map(|row| play(&format!("{}", row % 97), row, 60) + "\n");
                server.load("/events", NDJSON, rows.collect::<String>());
                server.decide("shown");
                last.store(first + 400, Ordering::Release);
            }
        });
        // Whatever fails below, the load ends.
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let began = Instant::now();
            let enough = || server.metric("upbeat_journal_snapshots_total") >= 6.0;
            let mut last_end = 0;
            while began.elapsed() < LOOKING.start || (began.elapsed() < LOOKING.end && !enough()) {
                let checked = sound(&["check", &directory]);
                assert!(checked.contains(&format!("process {} uses it", server.id())), "{checked}");
                let acknowledged = last.load(Ordering::Acquire).saturating_sub(400);
                let dumped = sound(&["dump", &directory]);
                let is_there = |line: &str| line.contains(&format!("\"event_id\":{acknowledged},"));
                assert!(dumped.lines().any(is_there), "{acknowledged} was acknowledged before");
                assert!(dumped.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
                let stats = stats(&directory);
                assert_eq!(stats["used_by_process"], server.id(), "{stats}");
                let end = stats["positions"]["below"].as_u64().expect("a position");
                assert!(end >= last_end, "{end} after {last_end}");
                last_end = end;
            }
            assert!(enough(), "files came and went meanwhile");
        }));
        ended.store(true, Ordering::Release);
        looked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    // The server stays, and writes neither snapshots nor history away: what is damaged now stays damaged.
    let snapshots = || server.metric("upbeat_journal_snapshots_total");
    let mut before = -1.0;
    until("no snapshot is under way", || {
        let now = snapshots();
        std::thread::sleep(Duration::from_millis(300));
        std::mem::replace(&mut before, now) == now
    });
    let segment = oldest_segment(&directory);
    damage(&segment);
    let name = segment.file_name().expect("a name").to_string_lossy().into_owned();
    for what in ["check", "stats"] {
        let found = journal(&[what, &directory]);
        let said = String::from_utf8_lossy(&found.stderr);
        assert_eq!(found.status.code(), Some(1), "{what}: {said}");
        assert!(said.contains(&name) && said.contains("damaged"), "{what}: {said}");
    }
    for what in ["repair", "compact"] {
        let refused = journal(&[what, &directory]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{what}: {said}");
        assert!(said.contains(&format!("in use by process {}", server.id())), "{what}: {said}");
    }
}

#[test]
fn stats_count_what_was_sent_and_name_what_the_last_server_ran_with() {
    let kept = Kept::new();
    let directory = kept.directory();
    let server = kept.start();
    let rows: String =
        (0..50).map(|row| play(&format!("{}", row % 7), row, 100 - row as i64) + "\n").collect();
    server.load("/events", NDJSON, &rows);
    server.load("/events", NDJSON, likely("shown"));
    assert_eq!(server.decide("shown")["show"], true);
    assert_eq!(server.ask("DELETE", &server.admin, "/customers/3", &[], b"").status, 204);
    until("everything is on the disk", || server.metric("upbeat_journal_lag_records") == 0.0);
    kill(server);
    let found = stats(&directory);
    assert_eq!(found["used_by_process"], Value::Null);
    let likely = likely("shown").lines().count() as u64;
    assert_eq!(found["records"]["play"]["records"], 50 + likely, "{found}");
    for (kind, records) in [("shown", 1), ("erased", 1), ("started", 1)] {
        assert_eq!(found["records"][kind]["records"], records, "{kind} in {found}");
        assert!(found["records"][kind]["bytes"].as_u64() >= Some(32), "{kind} in {found}");
    }
    assert_eq!((&found["started"]["window"]["plays"], &found["snapshot"]), (&Value::from(256), &Value::Null));
    assert_eq!(found["campaigns"]["ids"], serde_json::json!(["gold-one-day"]));
    assert!(found["files"]["needed"]["bytes"].as_u64() > Some(0), "{found}");
    let times =
        [&found["events"]["first"], &found["events"]["last"]].map(|time| time.as_str().expect("a time"));
    assert!(times[0] < times[1], "{times:?}");
    let page = sound(&["stats", &directory]);
    for line in ["log, needed", "play ", "window of 256 plays", "version 1; gold-one-day", times[1]] {
        assert!(page.contains(line), "{line} in {page}");
    }
}
