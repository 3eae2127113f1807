//! `upbeat export events`, from a data directory and from the admin listener.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use super::durability::{Kept, kill};
use super::listeners::{likely, play, play_at};
use super::support::*;

fn export(arguments: &[&str]) -> Output {
    upbeat().args(["export", "events"]).args(arguments).output().expect("it runs")
}

/// The lines of an export that has to succeed.
#[track_caller]
fn exported(arguments: &[&str]) -> String {
    let output = export(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// What an export that has to fail says.
#[track_caller]
fn refused(arguments: &[&str], status: i32) -> String {
    let output = export(arguments);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

/// The ids of the events of an export, in its order.
fn ids(lines: &str) -> Vec<Value> {
    let id = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["event_id"].clone();
    lines.lines().map(id).collect()
}

fn admin(server: &Server) -> String {
    format!("http://{}", server.admin)
}

fn all_durable(server: &Server) {
    until("everything is on the disk", || server.metric("upbeat_journal_lag_records") == 0.0);
}

#[test]
fn events_of_one_customer_are_the_same_from_directory_and_listener_and_are_taken_again() {
    let kept = Kept::new();
    let directory = kept.directory();
    let server = kept.start();
    server.load("/events", NDJSON, likely("48"));
    server.load("/events", NDJSON, likely("49"));
    let click = json!({"type": "click", "event_id": "c", "customer_id": "48", "time": "2026-01-05T10:00:00+02:00", "ad": "ADV_SHARE"});
    server.load("/events", JSON, click.to_string());
    assert_eq!(server.decide("48")["show"], true);
    all_durable(&server);
    let of_listener = exported(&["--customer", "48", "--from", &admin(&server)]);
    let of_directory = exported(&["--customer", "48", "--from", &directory]);
    assert_eq!(of_listener, of_directory);
    let plays = server.held("48")["plays"].clone();
    let count = plays.as_array().expect("plays").len() as u64;
    let everybody = exported(&["--from", &directory]);
    assert_eq!(everybody.lines().count() as u64, 2 * count + 1);
    kill(server);
    assert_eq!(exported(&["--customer", "48", "--from", &directory]), of_directory);

    let folder = tempfile::tempdir().expect("a folder");
    let out = |name: &str| folder.path().join(name).display().to_string();
    for name in ["48.ndjson", "48.csv"] {
        assert_eq!(exported(&["--customer", "48", "--from", &directory, "-o", &out(name)]), "");
    }
    let lines = std::fs::read_to_string(out("48.ndjson")).expect("a file");
    assert_eq!(lines, of_directory);
    let table = std::fs::read_to_string(out("48.csv")).expect("a file");
    assert!(table.starts_with("type,event_id,customer_id,time,track_id,mobile,ad,"), "{table}");
    assert!(
        table.lines().any(|line| line == "click,c,48,2026-01-05T10:00:00+02:00,,,ADV_SHARE,,,"),
        "{table}"
    );
    assert_eq!(table.lines().count(), lines.lines().count() + 1);
    let other = Server::start();
    assert_eq!(other.load("/events", NDJSON, lines), (count + 1, 0));
    assert_eq!(other.held("48")["plays"], plays);
}

#[test]
fn times_bound_what_is_exported_from_both() {
    let kept = Kept::new();
    let directory = kept.directory();
    let server = kept.start();
    for (id, time) in
        [(1, "2026-01-01T00:00:00Z"), (2, "2026-01-02T00:00:00+01:00"), (3, "2026-01-03T00:00:00")]
    {
        server.load("/events", JSON, play_at("48", id, time));
    }
    all_durable(&server);
    for from in [directory, admin(&server)] {
        let of = |range: &[&str]| ids(&exported(&[&["--customer", "48", "--from", &from], range].concat()));
        assert_eq!(of(&["--since", "2026-01-01T23:00:00Z"]), [2, 3]);
        assert_eq!(of(&["--until", "2026-01-02T00:00:00+01:00"]), [1]);
        assert_eq!(of(&["--since", "2026-01-01T00:00:01+00:00", "--until", "2026-01-03T00:00:00Z"]), [2]);
        assert_eq!(of(&["--since", "2027-01-01T00:00:00Z"]), [0; 0], "the customer is there all the same");
    }
}

#[test]
fn deleted_customer_leaves_nothing_to_export_but_what_came_after() {
    let kept = Kept::new();
    let directory = kept.directory();
    let server = kept.start();
    server.load("/events", NDJSON, likely("48"));
    server.load("/events", NDJSON, likely("49"));
    assert_eq!(server.ask("DELETE", &server.admin, "/customers/48", &[], b"").status, 204);
    all_durable(&server);
    let folder = tempfile::tempdir().expect("a folder");
    let (new, old) = (folder.path().join("new.ndjson"), folder.path().join("old.csv"));
    std::fs::write(&old, "mine").expect("a file");
    for from in [&*directory, &admin(&server)] {
        for (customer, out) in [("48", &new), ("nobody", &old)] {
            let out = out.display().to_string();
            let said = refused(&["--customer", customer, "--from", from, "-o", &out], 1);
            assert!(said.contains(&format!("nothing is known of customer {customer}")), "{said}");
        }
    }
    assert_eq!(folder.path().read_dir().expect("a folder").count(), 1, "no file is made");
    assert_eq!(std::fs::read_to_string(&old).expect("a file"), "mine");
    let answer = server.admin_get("/customers/48/events");
    answer.problem(404, "customer-not-found");
    server.load("/events", JSON, play("48", 777, 0));
    all_durable(&server);
    for from in [directory, admin(&server)] {
        assert_eq!(ids(&exported(&["--customer", "48", "--from", &from])), [777]);
    }
}

#[test]
fn more_events_than_an_answer_has_come_in_several_and_the_profile_has_what_the_log_has_no_longer() {
    let kept = Kept::new();
    let directory = kept.directory();
    let environment = [
        ("UPBEAT_JOURNAL_SEGMENT_BYTES", "64KiB"),
        ("UPBEAT_JOURNAL_SNAPSHOT_BYTES", "192KiB"),
        ("UPBEAT_RETENTION_EVENTS_BYTES", "1B"),
    ];
    let server = kept.start_with(&environment);
    server.load("/events", JSON, play("49", 5, 50));
    server.load("/events", JSON, play("49", 4, 60));
    for round in 0..3_u64 {
        let rows = 4_500 * round..4_500 * (round + 1);
        server.load("/events", NDJSON, rows.map(|row| play("48", row, 90) + "\n").collect::<String>());
        let snapshots = (round + 1) as f64;
        until("a snapshot is written", || server.metric("upbeat_journal_snapshots_total") >= snapshots);
    }
    server.load("/events", JSON, play("49", 6, 40));
    all_durable(&server);
    // Where the file holds decisions, it loses its events alone.
    let plays = stats(&directory)["records"]["play"]["records"].as_u64().expect("a count");
    assert!(plays < 3 * 4_500, "the first events of the log are gone: {plays} are there");
    for from in [&*directory, &admin(&server)] {
        assert_eq!(ids(&exported(&["--customer", "49", "--from", from])), [4, 5, 6]);
        let events = ids(&exported(&["--customer", "48", "--from", from]));
        let different: BTreeSet<u64> = events.iter().map(|id| id.as_u64().expect("a number")).collect();
        assert_eq!(different.len(), events.len(), "each comes once");
        assert!(different.len() > 4_000 && different.contains(&13_499), "{} events", different.len());
    }
    let first = server.admin_get("/customers/48/events").ok();
    assert!(first["events"].as_array().expect("events").len() <= 4_256 && first["next"].is_u64());
}

fn stats(directory: &str) -> Value {
    let output = super::durability::journal(&["stats", "--json", directory]);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn server_that_keeps_nothing_exports_what_the_profile_has() {
    let server = Server::start();
    server.load("/events", JSON, play("48", 2, 10));
    server.load("/events", JSON, play("48", 1, 20));
    assert_eq!(ids(&exported(&["--customer", "48", "--from", &admin(&server)])), [1, 2]);
}

#[test]
fn export_that_cannot_be_says_why_and_makes_no_file() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.ndjson").display().to_string();
    let sheet = folder.path().join("out.xlsx").display().to_string();
    let (data, listener) = (format!("http://{}", server.data), admin(&server));
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).expect("a folder");
    let empty = empty.display().to_string();
    let of = |from: &str, more: &[&str]| -> Vec<String> {
        [&["--customer", "48", "--from", from], more].concat().iter().map(ToString::to_string).collect()
    };
    for (arguments, status, said) in [
        (of(&data, &["-o", &out]), 1, "name the admin listener"),
        (of("http://127.0.0.1:1", &["-o", &out]), 1, "cannot reach"),
        (of("https://127.0.0.1:1", &["-o", &out]), 1, "https is not spoken here"),
        (of("/no/such/directory", &["-o", &out]), 1, "/no/such/directory"),
        (of(&empty, &["-o", &out]), 1, "no file of Upbeat's"),
        (of(&listener, &["-o", &sheet]), 2, "no such form is written here"),
        (of(&listener, &["--since", "2026-01-02T00:00:00Z", "--until", "2026-01-01T00:00:00Z"]), 2, "before"),
        (of(&listener, &["--since", "yesterday"]), 2, "yesterday"),
        (vec!["--from".to_owned(), listener.clone()], 2, "--customer"),
        (vec!["--from".to_owned(), listener.clone(), "--customer".to_owned(), "a b".to_owned()], 2, "' '"),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let message = refused(&arguments, status);
        assert!(message.contains(said), "{said} in {message}");
    }
    assert!(!Path::new(&out).exists() && !Path::new(&sheet).exists());
}
