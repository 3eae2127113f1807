//! `upbeat backup` while the server serves, and what it holds meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::durability::{Kept, journal, kill};
use super::listeners::{likely, membership, play};
use super::support::*;

/// Small files of the log, and snapshots often, so that a little load makes several of each.
pub(super) const SMALL: [(&str, &str); 2] =
    [("UPBEAT_JOURNAL_SEGMENT_BYTES", "64KiB"), ("UPBEAT_JOURNAL_SNAPSHOT_BYTES", "64KiB")];

pub(super) const CUSTOMERS: [&str; 5] = ["48", "bulk-7", "50", "shown", "likely"];

/// A server with some customers, a shown ad, several files of the log and two snapshots.
pub(super) fn loaded(kept: &Kept, environment: &[(&str, &str)]) -> Server {
    let server = kept.start_with(&[&SMALL, environment].concat());
    let mut number = 0;
    until("there are two snapshots", || {
        let rows = number..number + 500;
        number = rows.end;
        let of = |number: u64| play(&format!("bulk-{}", number % 30), number, 60) + "\n";
        server.load("/events", NDJSON, rows.map(of).collect::<String>());
        count(Path::new(&kept.directory()), "snapshot-") == 2
    });
    server.load("/events", JSON, play("48", 1, 60));
    server.load("/events", JSON, membership("50", 1, "gold", 60));
    server.load("/events", NDJSON, likely("shown") + &likely("likely"));
    server.load("/events?kind=tracks", CSV, "TrackId,Title,Artist,Length\n7,Title,Artist,180\n");
    assert_eq!(server.decide("shown")["show"], true);
    server
}

/// Files in a directory whose names begin so.
pub(super) fn count(directory: &Path, what: &str) -> usize {
    names(directory).iter().filter(|name| name.starts_with(what) && !name.ends_with(".tmp")).count()
}

pub(super) fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
}

/// What a server holds of the customers, and would decide for them.
pub(super) fn state(server: &Server) -> Vec<(Value, Value)> {
    let of = |customer: &str| {
        let mut held = server.held(customer);
        held["now"] = Value::Null;
        let mut decision = server.get(&format!("/should-show-ad/{customer}?dry_run=true")).ok();
        decision["decision_id"] = Value::Null;
        (held, decision)
    };
    CUSTOMERS.map(of).into()
}

/// Without the whole of both where they differ.
#[track_caller]
pub(super) fn assert_same(server: &Server, before: &[(Value, Value)]) {
    for ((held, decision), (held_before, decision_before)) in state(server).iter().zip(before) {
        assert_eq!(decision, decision_before);
        assert!(held == held_before, "what is held of {} is not what it was", held["customer"]);
    }
}

fn run(command: &[&str]) -> Output {
    upbeat().args(command).output().expect("it runs")
}

pub(super) fn backup(server: &Server, to: &Path, more: &[&str]) -> Output {
    let (from, to) = (format!("http://{}", server.admin), to.display().to_string());
    run(&[&["backup", "--from", &from, "-o", &to], more].concat())
}

pub(super) fn restore(from: &Path, to: &Path) -> Output {
    let (from, to) = (from.display().to_string(), to.display().to_string());
    run(&["restore", &from, "--data-dir", &to])
}

pub(super) fn restore_with(from: &Path, to: &Path, more: &[&str]) -> Output {
    let (from, to) = (from.display().to_string(), to.display().to_string());
    run(&[&["restore", &from, "--data-dir", &to], more].concat())
}

pub(super) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[track_caller]
pub(super) fn assert_done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", said(output));
}

#[track_caller]
pub(super) fn assert_refused(output: &Output, what: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for what in what {
        assert!(said.contains(what), "{what:?} in {said}");
    }
}

/// A place for what a backup is restored to, and a server on it.
pub(super) struct Elsewhere(pub(super) Kept);

impl Elsewhere {
    pub(super) fn new() -> Self {
        Self(Kept::new())
    }

    pub(super) fn directory(&self) -> PathBuf {
        PathBuf::from(self.0.directory())
    }
}

#[test]
fn restored_customers_and_decisions_are_those_of_the_original_as_of_the_copy() {
    let kept = Kept::new();
    let server = loaded(&kept, &[]);
    let before = state(&server);
    let folder = tempfile::tempdir().expect("a folder");
    for more in [&[][..], &["--no-history"]] {
        let copy = folder.path().join(format!("copy{}", more.len()));
        let done = backup(&server, &copy, more);
        assert_done(&done);
        assert!(said(&done).contains("whole and checked"), "{}", said(&done));
        assert_eq!(count(&copy, "snapshot-"), 1, "{:?}", names(&copy));
        assert_done(&journal(&["check", &copy.display().to_string()]));
    }
    let (whole, short) =
        (count(&folder.path().join("copy0"), "segment-"), count(&folder.path().join("copy1"), "segment-"));
    assert!(short < whole, "{short} files without history, {whole} with it");
    assert_eq!(server.metric("upbeat_backups_total{outcome=\"finished\"}"), 2.0);
    assert!(server.metric("upbeat_backup_last_success_timestamp_seconds") > 1e9);
    assert_eq!(server.metric("upbeat_backup_pinned_bytes"), 0.0);
    assert_eq!(count(Path::new(&kept.directory()), "backup-"), 0, "nothing is held any more");
    // What comes later is not in the copy.
    server.load("/events", NDJSON, likely("later") + &play("48", 2, 30));
    kill(server);

    for copy in ["copy0", "copy1"] {
        let elsewhere = Elsewhere::new();
        let done = restore(&folder.path().join(copy), &elsewhere.directory());
        assert_done(&done);
        // Those of the load, thirty of them in bulk.
        assert!(said(&done).contains("restored: 34 customers"), "{}", said(&done));
        let server = elsewhere.0.start();
        assert_same(&server, &before);
        assert_eq!(server.admin_get("/tracks/7").ok()["title"], "Title");
        assert_eq!(server.load("/events", JSON, play("48", 1, 60)), (0, 1), "a repeat is known as one");
        assert_eq!(server.decide("shown")["reason"], "capped");
        server.admin_get("/customers/later").problem(404, "customer-not-found");
        kill(server);
    }
}

/// What clients of a server under load were answered.
#[derive(Default)]
struct Ledger {
    /// Events of one customer each, with these numbers, were accepted.
    events: Mutex<BTreeSet<u64>>,
    /// Ads were shown to these.
    shown: Mutex<BTreeSet<u64>>,
    next: AtomicU64,
    stop: AtomicBool,
}

impl Ledger {
    fn post(&self, server: &Server) {
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let rows: String = (0..5).map(|row| play(&format!("whole-{number}"), row, 60) + "\n").collect();
            assert_eq!(server.load("/events?atomic=true", NDJSON, rows), (5, 0));
            self.events.lock().expect("no panic").insert(number);
        }
    }

    fn decide(&self, server: &Server) {
        for number in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            server.load("/events", NDJSON, likely(&format!("ear-{number}")));
            if server.decide(&format!("ear-{number}"))["show"] == true {
                self.shown.lock().expect("no panic").insert(number);
            }
        }
    }
}

#[test]
fn copy_taken_under_load_holds_all_that_was_answered_before_and_nothing_torn() {
    let kept = Kept::new();
    let server = loaded(&kept, &[("UPBEAT_DURABILITY", "interval")]);
    let ledger = Ledger::default();
    let folder = tempfile::tempdir().expect("a folder");
    let mut copies = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| ledger.post(&server));
        scope.spawn(|| ledger.post(&server));
        scope.spawn(|| ledger.decide(&server));
        for number in 0..3 {
            let more = || ledger.events.lock().expect("no panic").len() >= 40 * (number + 1);
            until("there is more", || more() && ledger.shown.lock().expect("no panic").len() > 5 * number);
            let events = ledger.events.lock().expect("no panic").clone();
            let shown = ledger.shown.lock().expect("no panic").clone();
            let copy = folder.path().join(number.to_string());
            let done = backup(&server, &copy, &[]);
            copies.push((copy, events, shown, done));
        }
        ledger.stop.store(true, Ordering::Relaxed);
    });
    let last = ledger.next.load(Ordering::Relaxed);
    kill(server);
    for (copy, events, shown, done) in copies {
        assert_done(&done);
        let elsewhere = Elsewhere::new();
        assert_done(&restore(&copy, &elsewhere.directory()));
        let server = elsewhere.0.start();
        for number in 0..last {
            let answer = server.admin_get(&format!("/customers/whole-{number}"));
            let plays =
                if answer.status == 404 { 0 } else { answer.ok()["plays"].as_array().expect("a list").len() };
            assert!(plays == 5 || plays == 0, "{plays} of the five rows of body {number}");
            assert!(
                plays == 5 || !events.contains(&number),
                "body {number} was acknowledged, and is not in the copy"
            );
        }
        for number in shown {
            let decision = server.decide(&format!("ear-{number}"));
            assert_eq!(decision["reason"], "capped", "ear-{number} was shown the ad before: {decision}");
        }
        kill(server);
    }
}

/// A backup that is slow enough to be interrupted, until `end` is called on it.
fn slow_backup(server: &Server, to: &Path) -> std::process::Child {
    let (from, to) = (format!("http://{}", server.admin), to.display().to_string());
    let mut command = upbeat();
    command.args(["backup", "--from", &from, "-o", &to, "--rate", "300KiB"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs")
}

#[test]
fn backup_that_was_killed_goes_on_and_trusts_nothing_that_it_finds() {
    let kept = Kept::new();
    let server = loaded(&kept, &[]);
    let before = state(&server);
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy");
    for files in 1..4 {
        let mut child = slow_backup(&server, &copy);
        until("some files are whole", || {
            copy.exists() && names(&copy).iter().filter(|name| !name.contains('.')).count() >= files
        });
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        assert_refused(&restore(&copy, &folder.path().join("data")), &["not whole", "upbeat backup"]);
    }
    // What a loss of power may leave: a file that has its size and not its bytes, and one that is cut.
    let mut whole: Vec<PathBuf> =
        names(&copy).iter().filter(|name| !name.contains('.')).map(|name| copy.join(name)).collect();
    let damaged = whole.pop().expect("a file");
    fs::write(&damaged, vec![0; fs::metadata(&damaged).expect("a file").len() as usize]).expect("written");
    let cut = whole.pop().expect("another");
    fs::OpenOptions::new().write(true).open(&cut).and_then(|file| file.set_len(5000)).expect("cut");
    assert_eq!(server.metric("upbeat_backups_total{outcome=\"refused\"}"), 0.0);
    assert_eq!(count(Path::new(&kept.directory()), "backup-"), 1, "all runs are of one backup");
    assert_done(&backup(&server, &copy, &[]));
    assert_eq!(server.metric("upbeat_backups_total{outcome=\"finished\"}"), 1.0);
    kill(server);
    let elsewhere = Elsewhere::new();
    assert_done(&restore(&copy, &elsewhere.directory()));
    assert_same(&elsewhere.0.start(), &before);
}

#[test]
fn backup_goes_on_after_the_server_was_killed_and_is_of_the_later_moment() {
    let kept = Kept::new();
    let server = loaded(&kept, &[]);
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy");
    let child = slow_backup(&server, &copy);
    until("some files are whole", || {
        copy.exists() && names(&copy).iter().filter(|name| !name.contains('.')).count() >= 3
    });
    kill(server);
    let output = child.wait_with_output().expect("it ends");
    assert_refused(&output, &["not whole", "the same command goes on"]);
    let server = kept.start_with(&SMALL);
    assert_eq!(count(Path::new(&kept.directory()), "backup-"), 0, "nobody reads what was held before");
    server.load("/events", NDJSON, likely("later"));
    // Another server's is none of it.
    let other = Kept::new();
    let other = loaded(&other, &[]);
    assert_refused(&backup(&other, &copy, &[]), &["another server"]);
    assert_eq!(other.metric("upbeat_backup_pinned_bytes"), 0.0);
    let whole: Vec<String> = names(&copy).into_iter().filter(|name| !name.contains('.')).collect();
    let child = slow_backup(&server, &copy);
    let output = child.wait_with_output().expect("it ends");
    assert_done(&output);
    // A snapshot since then has taken the place of some.
    let still = names(&copy).into_iter().filter(|name| whole.contains(name)).count();
    let asked =
        server.metric("upbeat_http_requests_total{route=\"/backups/{backup}/{file}\",status=\"200\"}");
    assert!(still > 0 && asked >= still as f64, "{still} files were there already, {asked} were compared");
    let before = state(&server);
    kill(server);
    let elsewhere = Elsewhere::new();
    assert_done(&restore(&copy, &elsewhere.directory()));
    let server = elsewhere.0.start();
    assert_same(&server, &before);
    assert_eq!(server.held("later")["plays"].as_array().expect("a list").len(), 24);
}

#[test]
fn stream_unpacks_to_a_backup_and_one_that_was_cut_does_not() {
    let kept = Kept::new();
    let server = loaded(&kept, &[]);
    let before = state(&server);
    let output = backup(&server, Path::new("-"), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy");
    tar::Archive::new(&*output.stdout).unpack(&copy).expect("a tar stream");
    let elsewhere = Elsewhere::new();
    assert_done(&restore(&copy, &elsewhere.directory()));
    assert_same(&elsewhere.0.start(), &before);

    let cut = folder.path().join("cut");
    let _ = tar::Archive::new(&output.stdout[..output.stdout.len() - 4096]).unpack(&cut);
    assert!(count(&cut, "segment-") > 1);
    assert_refused(&restore(&cut, &folder.path().join("data")), &["backup.json", "cut short"]);

    let mut child = upbeat()
        .args(["backup", "--from", &format!("http://{}", server.admin), "-o", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_refused(&output, &["not whole"]);
}

fn begin(server: &Server) -> Value {
    let answer = server.ask("POST", &server.admin, "/backups", &[], b"");
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

fn path_of(begun: &Value) -> String {
    format!("/backups/{}", begun["id"].as_str().expect("an id"))
}

fn part(server: &Server, path: &str, range: &str) -> Answer {
    server.ask("GET", &server.admin, path, &[("range", range)], b"")
}

#[test]
fn no_more_than_two_backups_are_held_and_one_that_nobody_reads_expires() {
    let kept = Kept::new();
    let server = loaded(&kept, &[("UPBEAT_BACKUP_EXPIRE", "2s")]);
    let held = || count(Path::new(&kept.directory()), "backup-");
    let (first, second) = (begin(&server), begin(&server));
    let third = server.ask("POST", &server.admin, "/backups", &[], b"");
    assert!(third.problem(409, "too-many-backups").contains("backup.expire"));
    assert_eq!(held(), 2);
    assert!(server.metric("upbeat_backup_pinned_bytes") > 100_000.0);
    let end = |begun: &Value| server.ask("DELETE", &server.admin, &path_of(begun), &[], b"").status;
    assert_eq!((end(&second), end(&second)), (204, 404));
    assert_eq!(server.metric("upbeat_backups_total{outcome=\"given_up\"}"), 1.0);
    assert_eq!(held(), 1);

    let file = format!("{}/{}", path_of(&first), first["files"][0]["name"].as_str().expect("a name"));
    // For as long as somebody reads, it stays.
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        assert_eq!(part(&server, &file, "bytes=0-9").status, 206);
        std::thread::sleep(Duration::from_millis(100));
    }
    until("it has expired", || server.metric("upbeat_backups_total{outcome=\"expired\"}") == 1.0);
    part(&server, &file, "bytes=0-9").problem(404, "backup-not-found");
    server.admin_get(&path_of(&first)).problem(404, "backup-not-found");
    until("its files are gone", || held() == 0);
    assert_eq!(server.metric("upbeat_backup_pinned_bytes"), 0.0);
    assert_done(&backup(&server, &tempfile::tempdir().expect("a folder").path().join("copy"), &[]));
}

#[test]
fn held_files_outlive_the_history_that_they_are_of_and_a_kill_leaves_none() {
    let kept = Kept::new();
    let server =
        loaded(&kept, &[("UPBEAT_RETENTION_EVENTS_BYTES", "1B"), ("UPBEAT_RETENTION_DECISIONS_BYTES", "1B")]);
    let begun = begin(&server);
    let log = |file: &&Value| file["name"].as_str().expect("a name").starts_with("segment-");
    let oldest =
        begun["files"].as_array().expect("a list").iter().find(log).expect("a file of the log")["name"]
            .clone();
    let oldest = oldest.as_str().expect("a name").to_owned();
    let file = format!("{}/{oldest}", path_of(&begun));
    let before = part(&server, &file, "bytes=0-");
    assert_eq!((before.status, before.body.len()), (206, 64 << 10));
    assert_eq!(before.header("content-range"), "bytes 0-65535/65536");
    let mut number = 10_000;
    until("the file is history and gone", || {
        let rows: String =
            (0..500).map(|row| play(&format!("bulk-{}", row % 30), number + row, 50) + "\n").collect();
        server.load("/events", NDJSON, rows);
        number += 500;
        !Path::new(&kept.directory()).join(&oldest).exists()
    });
    assert_eq!(part(&server, &file, "bytes=0-").body, before.body);
    let (half, rest) = (part(&server, &file, "bytes=0-29999"), part(&server, &file, "bytes=30000-70000"));
    assert_eq!([half.body, rest.body].concat(), before.body);
    let digest = part(&server, &(file.clone() + "?digest=true"), "bytes=0-9").ok();
    assert_eq!((&digest["last"], digest["sha256"].as_str().map(str::len)), (&9.into(), Some(64)));
    part(&server, &file, "bytes=65536-").problem(416, "invalid-range");
    server.admin_get(&file).problem(416, "invalid-range");
    part(&server, &format!("{}/lock", path_of(&begun)), "bytes=0-").problem(404, "backup-not-found");
    part(&server, &format!("{}/..%2Flock", path_of(&begun)), "bytes=0-").problem(404, "backup-not-found");
    kill(server);

    assert_eq!(count(Path::new(&kept.directory()), "backup-"), 1, "it could not remove it");
    assert_done(&journal(&["check", &kept.directory()]));
    let server = kept.start();
    assert_eq!(count(Path::new(&kept.directory()), "backup-"), 0);
    server.admin_get(&path_of(&begun)).problem(404, "backup-not-found");
    begin(&server);
    server.signal("TERM");
    let mut server = server;
    assert!(server.ended().success());
    assert_eq!(count(Path::new(&kept.directory()), "backup-"), 0, "a stop leaves none");
}
