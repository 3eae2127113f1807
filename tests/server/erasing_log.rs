//! What the log holds of customers who were erased goes within `erase_deadline`, and at once by `upbeat journal compact`: no file
//! of the data directory has the bytes of their ids.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::durability::{Kept, journal, kill};
use super::listeners::{later_than_now, likely, membership, play, play_at, seconds_from_now};
use super::support::*;

const TEXT: &str = "Erase-Me.By_Name:77";
/// Of eight bytes, none of which is 0, so that its bytes are no accident.
const NUMBER: u64 = 0xa1b2_c3d4_e5f6_0718;

/// Files so small that there are many, and no saving up.
const SMALL: [(&str, &str); 3] = [
    ("UPBEAT_ERASE_DEADLINE", "1s"),
    ("UPBEAT_JOURNAL_SEGMENT_BYTES", "64KiB"),
    ("UPBEAT_JOURNAL_SNAPSHOT_BYTES", "128KiB"),
];

/// The forms in which the ids may be written.
fn forms() -> Vec<(&'static str, Vec<u8>)> {
    let (mut varint, mut left) = (Vec::new(), NUMBER);
    while left >= 0x80 {
        varint.push(left as u8 | 0x80);
        left >>= 7;
    }
    varint.push(left as u8);
    vec![
        ("the text", TEXT.as_bytes().to_vec()),
        ("the digits", NUMBER.to_string().into_bytes()),
        ("the number, little-endian", NUMBER.to_le_bytes().to_vec()),
        ("the number, big-endian", NUMBER.to_be_bytes().to_vec()),
        ("the number in groups of seven bits", varint),
    ]
}

/// Where the ids' bytes are in the files of a directory.
fn found(directory: &str) -> BTreeSet<(&'static str, String)> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().map_while(Result::ok) {
        if entry.path().is_dir() {
            found.extend(self::found(&entry.path().display().to_string()));
            continue;
        }
        // Removed or renamed since, where it cannot be read.
        let Ok(bytes) = std::fs::read(entry.path()) else { continue };
        for (form, pattern) in forms() {
            if bytes.windows(pattern.len()).any(|window| window == pattern) {
                found.insert((form, entry.file_name().to_string_lossy().into_owned()));
            }
        }
    }
    found
}

/// Everything that the log can hold of a customer.
fn everything(server: &Server, customer: &str, first_event: u64) {
    server.load("/events", NDJSON, likely(customer));
    let shown = server.get(&format!("/should-show-ad/{customer}?request_id=request-{first_event}")).ok();
    assert_eq!(shown["show"], true, "{shown}");
    let time = seconds_from_now(-30);
    let event = |number: u64, kind: &str, key: &str, value: &Value| {
        json!({"type": kind, "event_id": first_event + number, "customer_id": customer, "time": time, key: value})
            .to_string()
    };
    let rows = [
        event(1, "click", "ad", &json!("ADV_REDUCED_1DAY")),
        event(2, "impression", "campaign", &json!("another")),
        event(3, "impression", "decision_id", &shown["decision_id"]),
        membership(customer, first_event + 4, "silver", 40),
        // Of the usual form, and not.
        play(customer, first_event + 5, 50),
        event(6, "play", "track_id", &json!("track-of-letters")).replace('}', ",\"mobile\":false}"),
    ];
    assert_eq!(server.load("/events", NDJSON, rows.join("\n")), (rows.len() as u64, 0));
}

const OTHERS: u64 = 30;

/// Events of others; each has fewer plays than the window holds.
fn others(server: &Server, round: u64) {
    let row = |row: u64| play(&format!("other-{}", row % OTHERS), 10_000 * round + row, 60) + "\n";
    server.load("/events", NDJSON, (0..2000).map(row).collect::<String>());
}

/// The events of others that a dump has.
fn dumped(directory: &str) -> BTreeSet<(String, u64)> {
    let output = journal(&["dump", directory]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let lines = String::from_utf8(output.stdout).expect("text");
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let ours = events.filter_map(|event| {
        let customer = event["customer_id"].as_str().filter(|customer| customer.starts_with("other-"))?;
        Some((customer.to_owned(), event["event_id"].as_u64()?))
    });
    ours.collect()
}

fn expected(rounds: u64) -> BTreeSet<(String, u64)> {
    let all = (0..rounds).flat_map(|round| (0..2000).map(move |row| (round, row)));
    all.map(|(round, row)| (format!("other-{}", row % OTHERS), 10_000 * round + row)).collect()
}

/// A directory with history in which the two customers are everywhere.
fn filled(environment: &[(&str, &str)]) -> (Kept, Server) {
    let kept = Kept::new();
    let server = kept.start_with(environment);
    let number = NUMBER.to_string();
    others(&server, 0);
    everything(&server, TEXT, 1000);
    others(&server, 1);
    everything(&server, &number, 2000);
    others(&server, 2);
    // In the file that is open, too.
    for (customer, event) in [(TEXT, 3000), (&*number, 3001)] {
        server.load("/events", JSON, play(customer, event, 20));
    }
    (kept, server)
}

fn erase(server: &Server) {
    for customer in [TEXT, &*NUMBER.to_string()] {
        let answer = server.ask("DELETE", &server.admin, &format!("/customers/{customer}"), &[], b"");
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
}

/// Nothing is left of the two, and everything of the others, on the disk and in the server.
fn check(server: &Server, directory: &str, rounds: u64) {
    assert_eq!(found(directory), BTreeSet::new());
    for customer in [TEXT, &*NUMBER.to_string()] {
        server.admin_get(&format!("/customers/{customer}")).problem(404, "customer-not-found");
    }
    assert_eq!(server.profiles(), OTHERS);
    assert_eq!(dumped(directory), expected(rounds));
    let checked = journal(&["check", directory]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
}

fn until_erased(server: &Server) {
    until("the log holds nothing of them", || server.metric("upbeat_erase_pending") == 0.0);
    until("nothing is overdue", || server.metric("upbeat_erase_overdue") == 0.0);
    assert_eq!(server.metric("upbeat_erase_oldest_timestamp_seconds"), 0.0);
    assert_eq!(server.metric("upbeat_journal_history_failed_total"), 0.0);
}

#[test]
fn ids_of_erased_customers_are_in_no_file_after_the_deadline_and_stay_so() {
    let (kept, server) = filled(&SMALL);
    let directory = kept.directory();
    let before = found(&directory);
    for form in ["the text", "the number, little-endian", "the number in groups of seven bits"] {
        let files = before.iter().filter(|(of, _)| *of == form).count();
        assert!(files > 0, "{form}: {before:?}");
    }
    // The files of a backup that is under way are in the directory, too.
    let backup = server.ask("POST", &server.admin, "/backups?history=true", &[], b"");
    assert_eq!(backup.status, 201, "{}", backup.text());
    erase(&server);
    until_erased(&server);
    check(&server, &directory, 3);
    let path = format!("/backups/{}", backup.json()["id"].as_str().expect("an id"));
    server.admin_get(&path).problem(404, "backup-not-found");

    // A stop, a start, a kill, a start, and load that becomes history.
    let mut server = server;
    server.signal("TERM");
    assert!(server.ended().success());
    assert_eq!(found(&directory), BTreeSet::new());
    let server = kept.start_with(&SMALL);
    others(&server, 3);
    until_erased(&server);
    check(&server, &directory, 4);
    kill(server);
    let server = kept.start_with(&SMALL);
    until_erased(&server);
    check(&server, &directory, 4);

    // Old input changes nothing; who comes back begins anew, and is in the log again.
    let report = server.post("/events", NDJSON, likely(TEXT)).ok();
    assert_eq!((&report["accepted"], &report["erased"]), (&json!(0), &json!(24)), "{report}");
    assert_eq!(found(&directory), BTreeSet::new());
    // They were shown an ad before they were deleted, and that was when it was.
    assert_eq!(server.load("/events", JSON, play_at(TEXT, 9000, &later_than_now())), (1, 0));
    assert_eq!(server.held(TEXT)["plays"].as_array().map(Vec::len), Some(1));
    assert!(!found(&directory).is_empty());
    kill(server);
    let server = kept.start_with(&SMALL);
    assert_eq!(server.held(TEXT)["plays"].as_array().map(Vec::len), Some(1));
}

#[test]
fn erasure_that_a_kill_interrupts_is_completed_by_the_next_start() {
    let (kept, server) = filled(&SMALL);
    erase(&server);
    kill(server);
    let server = kept.start_with(&SMALL);
    until_erased(&server);
    check(&server, &kept.directory(), 3);
}

#[test]
fn erasures_wait_for_half_of_the_deadline_and_compact_does_not() {
    let day = [("UPBEAT_ERASE_DEADLINE", "24h"), SMALL[1], SMALL[2]];
    let (kept, server) = filled(&day);
    let directory = kept.directory();
    erase(&server);
    until("the erasures are pending", || server.metric("upbeat_erase_pending") == 2.0);
    assert!(server.metric("upbeat_erase_oldest_timestamp_seconds") > 1.7e9);
    assert!(!found(&directory).is_empty());
    kill(server);

    let done = journal(&["compact", "--yes", &directory]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(found(&directory), BTreeSet::new());
    assert_eq!(std::fs::read_dir(kept.lanes.path()).expect("a folder").count(), 0, "lanes are gone");
    let segments = std::fs::read_dir(Path::new(&directory)).expect("a directory").map_while(Result::ok);
    let segments = segments.filter(|of| of.file_name().to_string_lossy().starts_with("segment-")).count();
    assert_eq!(segments, 1, "there is no history");
    let server = kept.start_with(&SMALL);
    until_erased(&server);
    check(&server, &directory, 3);
    let report = server.post("/events", NDJSON, likely(&NUMBER.to_string())).ok();
    assert_eq!((&report["accepted"], &report["erased"]), (&json!(0), &json!(24)), "{report}");
}

#[test]
fn deadline_that_cannot_be_kept_is_refused_with_a_sentence() {
    for (deadline, interval, said) in [
        ("100ms", "50ms", "erase_deadline is 100ms; it must be from 1s to"),
        ("2s", "10s", "erase_deadline is 2s; it must not be shorter than decisions.sync_interval (10s)"),
    ] {
        let kept = Kept::new();
        let mut command = upbeat();
        command.args(["serve", "--data-dir", &kept.directory()]);
        command.env("UPBEAT_ERASE_DEADLINE", deadline).env("UPBEAT_DECISIONS_SYNC_INTERVAL", interval);
        let output = command.output().expect("it runs");
        assert!(!output.status.success(), "{output:?}");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains(said), "{stderr}");
        assert!(!Path::new(&kept.directory()).exists(), "nothing is made");
    }
}
