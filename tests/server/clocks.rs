//! A wall clock that leaps while the server runs or between two runs: nothing is lost by it, caps hold, and a sentence says so.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::durability::Kept;
use super::listeners::{likely, play, play_at, seconds_from_now};
use super::skipped::skipped;
use super::support::*;

const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;
const YEAR_S: i64 = 365 * DAY_S;

/// The library that shifts a program's clock, compiled once; `None` where there is no C compiler.
fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let compiled = || {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/shift_clock.c");
        let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libshift_clock.so");
        // Another run of the tests may use the file meanwhile, so that it is replaced whole.
        let new = output.with_extension(format!("{}", std::process::id()));
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]).arg(&new).arg(source);
        let done = compiler.status().ok()?;
        assert!(done.success(), "the library does not compile");
        std::fs::rename(&new, &output).expect("it is replaced");
        Some(output)
    };
    LIBRARY.get_or_init(compiled).as_deref()
}

/// A directory, and a clock that the test sets.
struct Machine {
    kept: Kept,
    library: &'static Path,
    shift: tempfile::NamedTempFile,
}

impl Machine {
    fn new() -> Option<Self> {
        if !cfg!(target_os = "linux") {
            return None;
        }
        let library = library()?;
        let shift = tempfile::NamedTempFile::new().expect("a file");
        let machine = Self { kept: Kept::new(), library, shift };
        machine.set_ahead(0);
        Some(machine)
    }

    /// The wall clock of what runs here is so many seconds ahead from now on.
    fn set_ahead(&self, seconds: i64) {
        self.shift.as_file().write_all_at(&seconds.to_ne_bytes(), 0).expect("it is written");
    }

    fn start(&self, more: &[(&str, &str)]) -> Server {
        let (lanes, shift) =
            (self.kept.lanes.path().display().to_string(), self.shift.path().display().to_string());
        let library = self.library.display().to_string();
        let environment = [
            ("LD_PRELOAD", &*library),
            ("CLOCK_SHIFT", &shift),
            ("UPBEAT_LANES_DIR", &lanes),
            ("UPBEAT_SHUTDOWN_DRAIN", "0s"),
            ("UPBEAT_JOURNAL_SEGMENT_BYTES", "64KiB"),
            ("UPBEAT_LIMITS_EVICT_EVERY", "100ms"),
        ];
        Server::with(&["--data-dir", &self.kept.directory()], &[&environment, more].concat())
    }
}

/// Waits until all customers could have been evicted, several times over.
fn after_sweeps() {
    std::thread::sleep(std::time::Duration::from_millis(800));
}

fn is_suspect(server: &Server) -> bool {
    server.metric("upbeat_clock_suspect") == 1.0
}

fn suspected(server: &Server) {
    until("the leap is seen", || is_suspect(server));
    assert_eq!(server.get("/readyz?verbose").ok()["clock"], "in doubt");
    after_sweeps();
    assert!(is_suspect(server));
}

fn believed(server: &Server) {
    until("the clock is believed", || !is_suspect(server));
    assert_eq!(server.get("/readyz?verbose").ok()["clock"], "believed");
}

/// All that is held of some customers, but for what depends on now.
fn held(server: &Server) -> Vec<Value> {
    let of = |customer: &&str| {
        let mut held = server.held(customer);
        let plays = [&held["older_plays"], &held["plays"]]
            .map(|plays| plays.as_array().expect("plays").clone())
            .concat();
        for key in ["plays", "older_plays", "features", "now"] {
            held[key] = Value::Null;
        }
        held["plays"] = json!(plays);
        held
    };
    ["48", "idle"].iter().map(of).collect()
}

#[test]
fn leaps_of_a_running_server_lose_nothing_and_break_no_cap() {
    let Some(machine) = Machine::new() else {
        return skipped("there is no C compiler here, or no library can be preloaded");
    };
    let server = machine.start(&[]);
    server.load("/events", NDJSON, likely("48"));
    server.load("/events", JSON, play("idle", 1, 20 * DAY_S));
    assert_eq!(server.decide("48")["show"], true);
    assert_eq!(server.decide("48")["reason"], "capped");
    let before = held(&server);
    for (ahead, name) in
        [(HOUR_S + 600, "an hour"), (YEAR_S, "a year"), (-DAY_S, "a day back"), (-YEAR_S, "a year back")]
    {
        machine.set_ahead(ahead);
        suspected(&server);
        assert_eq!(held(&server), before, "{name}");
        // A year later the window is empty; before and after the ad within its hours it counts.
        if ahead != YEAR_S {
            assert_eq!(server.decide("48")["show"], false, "{name}");
        }
        // What is dated as before is taken, what is dated too far ahead of the clock is not.
        let event = play("late", 1000 + ahead.unsigned_abs(), 0);
        let answer = server.post("/events", JSON, &event);
        if ahead > 0 {
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        } else {
            answer.problem(409, "event-conflict");
        }
        machine.set_ahead(0);
        believed(&server);
        assert_eq!(server.decide("48")["reason"], "capped", "{name}, and back");
    }
    after_sweeps();
    assert_eq!(held(&server), before);
    assert_eq!(server.metric("upbeat_customers_evicted_total"), 0.0);
    let said = server.stderr_text();
    for sentence in [
        "the wall clock is ahead of what was expected",
        "behind what was expected",
        "believed again: it is back",
    ] {
        assert!(said.contains(sentence), "{sentence} in {said}");
    }
}

#[test]
fn leap_between_two_runs_loses_nothing_and_a_restart_within_it_neither() {
    let Some(machine) = Machine::new() else {
        return skipped("there is no C compiler here, or no library can be preloaded");
    };
    let mut server = machine.start(&[]);
    server.load("/events", NDJSON, likely("48"));
    server.load("/events", JSON, play("idle", 1, 20 * DAY_S));
    assert_eq!(server.decide("48")["show"], true);
    let before = held(&server);
    server.signal("TERM");
    server.ended();
    machine.set_ahead(YEAR_S);
    for round in 0..2 {
        let server = machine.start(&[]);
        suspected(&server);
        assert!(server.stderr_text().contains("the wall clock is ahead of what was expected"));
        assert_eq!(held(&server), before, "start {round}");
        // Accepted under the new time, which the next start must not take for a proof of it.
        server.load("/events", JSON, play("other", round, 0));
    }
    machine.set_ahead(-DAY_S);
    let server = machine.start(&[]);
    suspected(&server);
    assert_eq!(server.decide("48")["reason"], "capped", "the ad lies ahead, and counts");
    drop(server);
    machine.set_ahead(0);
    let server = machine.start(&[]);
    believed(&server);
    after_sweeps();
    assert_eq!((held(&server), server.metric("upbeat_customers_evicted_total")), (before, 0.0));
    assert_eq!(server.decide("48")["reason"], "capped");
}

#[test]
fn new_time_that_customers_confirm_is_believed_and_the_idle_go() {
    let Some(machine) = Machine::new() else {
        return skipped("there is no C compiler here, or no library can be preloaded");
    };
    let server = machine.start(&[]);
    server.load("/events", JSON, play("idle", 1, 60));
    machine.set_ahead(YEAR_S);
    suspected(&server);
    let now = seconds_from_now(YEAR_S);
    server.load("/events", JSON, play_at("one", 1, &now));
    server.load("/events", JSON, play_at("one", 2, &now));
    after_sweeps();
    assert!(is_suspect(&server), "one customer's clock may be wrong, too");
    for customer in ["two", "three", "four"] {
        server.load("/events", JSON, play_at(customer, 1, &now));
    }
    believed(&server);
    assert!(server.stderr_text().contains("events of several customers are dated near its time"));
    until("who is idle by the new time is evicted", || {
        server.metric("upbeat_customers_evicted_total") == 1.0
    });
    assert_eq!(server.profiles(), 4);
}

#[test]
fn history_is_not_removed_for_an_age_by_a_clock_that_leapt() {
    let Some(machine) = Machine::new() else {
        return skipped("there is no C compiler here, or no library can be preloaded");
    };
    let environment = [("UPBEAT_JOURNAL_SNAPSHOT_BYTES", "192KiB"), ("UPBEAT_RETENTION_EVENTS_DAYS", "1")];
    let server = machine.start(&environment);
    let snapshots = || server.metric("upbeat_journal_snapshots_total");
    let mut load = |round: u64| {
        let rows = (0..4500).map(|row| play(&format!("{}", row % 30), 10_000 * round + row, 60) + "\n");
        server.load("/events", NDJSON, rows.collect::<String>());
        until("a snapshot is written", || snapshots() >= (round + 1) as f64);
    };
    (0..3).for_each(&mut load);
    let segments = || {
        let entries = Path::new(&machine.kept.directory()).read_dir().expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text"));
        names.filter(|name| name.starts_with("segment-")).min().expect("a segment")
    };
    let oldest = segments();
    machine.set_ahead(YEAR_S);
    (3..5).for_each(&mut load);
    assert!(is_suspect(&server));
    assert_eq!(segments(), oldest, "all history is there");
}
