//! What was acknowledged is there after `kill -9`: the real binary, killed and started again on the same directory.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use super::listeners::{likely, membership, play, seconds_from_now};
use super::support::*;

/// A data directory, and a place for lanes that outlives the process.
pub(super) struct Kept {
    pub(super) data: tempfile::TempDir,
    pub(super) lanes: tempfile::TempDir,
}

impl Kept {
    pub(super) fn new() -> Self {
        let in_memory =
            if cfg!(target_os = "linux") { Path::new("/dev/shm").into() } else { std::env::temp_dir() };
        Self {
            data: tempfile::tempdir().expect("a folder"),
            lanes: tempfile::tempdir_in(in_memory).expect("a folder"),
        }
    }

    pub(super) fn directory(&self) -> String {
        self.data.path().join("data").display().to_string()
    }

    pub(super) fn start(&self) -> Server {
        self.start_with(&[])
    }

    pub(super) fn start_with(&self, environment: &[(&str, &str)]) -> Server {
        let lanes = self.lanes.path().display().to_string();
        // Small files, which a debug build reads quickly; what a test wants otherwise comes last.
        let ours = [
            ("UPBEAT_LANES_DIR", &*lanes),
            ("UPBEAT_SHUTDOWN_DRAIN", "0s"),
            ("UPBEAT_JOURNAL_SEGMENT_BYTES", "1MiB"),
            ("UPBEAT_DECISIONS_UNSHOWN_INTERVAL", "100ms"),
        ];
        let environment = [&ours, environment].concat();
        Server::with(&["--data-dir", &self.directory()], &environment)
    }

    /// Starts a server that has to fail; what it says.
    pub(super) fn refused(&self, environment: &[(&str, &str)]) -> String {
        let mut command = upbeat();
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.args(["--data-dir", &self.directory()]).env("UPBEAT_LANES_DIR", self.lanes.path());
        let output = command.envs(environment.iter().copied()).output().expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty(), "no address is printed: {output:?}");
        String::from_utf8(output.stderr).expect("text")
    }
}

/// `kill -9`.
pub(super) fn kill(server: Server) {
    drop(server);
}

#[test]
fn acknowledged_events_are_there_after_a_kill_and_their_repeats_are_duplicates() {
    let kept = Kept::new();
    let server = kept.start();
    let single = play("48", 1, 60);
    assert_eq!(server.load("/events", JSON, &single), (1, 0));
    // A body for the bulk pool, with fewer plays a customer than the window holds.
    let customer = |number: u64| format!("bulk-{}", number % 30);
    let bulk: String = (2..3000).map(|number| play(&customer(number), number, 60) + "\n").collect();
    assert_eq!(server.load("/events", NDJSON, &bulk), (2998, 0));
    assert_eq!(server.load("/events", JSON, membership("50", 1, "gold", 60)), (1, 0));
    server.load("/events?kind=tracks", CSV, "TrackId,Title,Artist,Length\n7,Title,Artist,180\n");
    let customers = ["48", "bulk-7", "50"];
    let before = customers.map(|customer| server.held(customer));
    kill(server);

    let server = kept.start();
    for (customer, before) in customers.iter().zip(before) {
        let mut after = server.held(customer);
        after["now"] = before["now"].clone();
        assert_eq!(after, before);
    }
    assert_eq!(server.admin_get("/tracks/7").ok()["title"], "Title");
    assert_eq!(server.load("/events", JSON, &single), (0, 1));
    assert_eq!(server.load("/events", NDJSON, &bulk), (0, 2998));
    assert_eq!(server.reason("50"), "already_gold");
}

#[test]
fn ad_that_was_shown_is_counted_after_a_kill() {
    let kept = Kept::new();
    let server = kept.start();
    server.load("/events", NDJSON, likely("48"));
    let asked = "/should-show-ad/48?request_id=mine";
    let shown = server.get(asked).ok();
    assert_eq!(shown["show"], true, "{shown}");
    // At once: the lanes have it, and the disk need not.
    kill(server);

    let server = kept.start();
    assert_eq!(server.get(asked).ok(), shown, "the retry gets its answer");
    assert_eq!(server.decide("48")["reason"], "capped");
    let held = server.held("48");
    let impressions = held["impressions"].as_array().expect("a list");
    assert_eq!(impressions.len(), 1, "{held}");
    assert_eq!(impressions[0]["decision_id"], shown["decision_id"]);
    let time = seconds_from_now(0);
    let confirmation = json!({"type": "impression", "event_id": 1, "customer_id": "48", "time": time,
        "decision_id": shown["decision_id"]});
    server.load("/events", JSON, confirmation.to_string());
}

#[test]
fn deleted_customer_stays_deleted_after_a_kill() {
    let kept = Kept::new();
    let server = kept.start();
    server.load("/events", JSON, play("48", 1, 60));
    server.load("/events", JSON, play("49", 1, 60));
    let delete = |server: &Server| server.ask("DELETE", &server.admin, "/customers/48", &[], b"").status;
    assert_eq!((delete(&server), delete(&server)), (204, 404));
    kill(server);
    let server = kept.start();
    server.admin_get("/customers/48").problem(404, "customer-not-found");
    assert_eq!(server.held("49")["plays"].as_array().expect("a list").len(), 1);
}

#[test]
fn stop_keeps_everything_and_leaves_nothing_in_memory() {
    let kept = Kept::new();
    let mut server = kept.start();
    server.load("/events", NDJSON, likely("48"));
    assert_eq!(server.decide("48")["show"], true);
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0), "{}", server.whole_stderr());
    assert_eq!(
        std::fs::read_dir(kept.lanes.path()).expect("a folder").count(),
        0,
        "the lanes are empty and gone"
    );
    let server = kept.start();
    assert_eq!(server.decide("48")["reason"], "capped");
}

#[test]
fn second_server_on_a_directory_is_refused_and_names_the_first() {
    let kept = Kept::new();
    let server = kept.start();
    let files = |()| {
        let entries = std::fs::read_dir(kept.directory()).expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text"));
        // The first server makes a file of the log ahead meanwhile.
        names.filter(|name| !name.starts_with("spare")).collect::<BTreeSet<_>>()
    };
    let before = files(());
    let said = kept.refused(&[]);
    assert!(said.contains(&format!("process {}", server.id())) && said.contains(&kept.directory()), "{said}");
    assert_eq!(files(()), before);
    server.load("/events", JSON, play("48", 1, 60));
}

#[test]
fn directory_and_files_are_for_this_user_alone() {
    let kept = Kept::new();
    let server = kept.start();
    server.load("/events", JSON, play("48", 1, 60));
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let directory = kept.directory();
    assert_eq!(mode(Path::new(&directory)), 0o700);
    for entry in std::fs::read_dir(&directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let ours = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), ours, "{}", path.display());
    }
}

/// Flips a bit of a record in the middle of a file of the log; what the file holds then.
pub(super) fn damage(segment: &Path) -> Vec<u8> {
    const BLOCK: usize = 4096;
    let mut bytes = std::fs::read(segment).expect("a segment");
    // Groups that hold something: their length is not 0.
    let is_filled = |at: &usize| bytes[*at..].starts_with(b"UBG1") && bytes[at + 40..at + 44] != [0; 4];
    let filled: Vec<usize> = (BLOCK..bytes.len()).step_by(BLOCK).filter(is_filled).collect();
    bytes[filled[filled.len() / 2] + 70] ^= 1;
    std::fs::write(segment, &bytes).expect("it is ours");
    bytes
}

#[test]
fn damage_is_refused_with_the_file_and_nothing_is_changed() {
    let kept = Kept::new();
    let server = kept.start();
    for event in 0..20 {
        server.load("/events", JSON, play("48", event, 60));
    }
    kill(server);
    let segments = || {
        let entries = std::fs::read_dir(kept.directory()).expect("a directory");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let mut paths: Vec<_> =
            paths.filter(|path| path.display().to_string().contains("segment-")).collect();
        paths.sort();
        paths
    };
    let first = segments().remove(0);
    let bytes = damage(&first);
    let said = kept.refused(&[]);
    let name = first.file_name().expect("a name").to_str().expect("text");
    assert!(said.contains(name) && said.contains("byte"), "{said}");
    let directory = kept.directory();
    for command in ["check", "repair"] {
        let line = format!("  upbeat journal {command} {directory}");
        assert!(said.lines().any(|said| said == line), "a line to be copied: {said}");
    }
    let checked = journal(&["check", &kept.directory()]);
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    assert!(String::from_utf8_lossy(&checked.stderr).contains(name), "{checked:?}");
    assert_eq!(std::fs::read(&first).expect("a segment"), bytes);
}

#[test]
fn readiness_tells_what_is_kept_and_what_a_crash_may_take() {
    let kept = Kept::new();
    let server = kept.start();
    let log = server.get("/readyz?verbose").ok()["log"].clone();
    assert_eq!((&log["state"], &log["durability"]), (&json!("accepting"), &json!("ack")));
    assert_eq!(log["data_dir"], kept.directory());
    assert!(
        log["lanes"].as_str().expect("a path").starts_with(&kept.lanes.path().display().to_string()),
        "{log}"
    );
    assert_eq!(log["impressions_lost_by_a_kill"], "none");
    assert_eq!(log["impressions_lost_by_power"], "those of the last 50ms");
    assert_eq!((&log["snapshots"], &log["erasures_pending"]), (&json!(0), &json!(0)));
    server.load("/events", JSON, play("48", 1, 60));
    assert_eq!(server.ask("DELETE", &server.admin, "/customers/48", &[], b"").status, 204);
    let log = server.get("/readyz?verbose").ok()["log"].clone();
    assert_eq!((&log["erasures_pending"], &log["erasures_overdue"]), (&json!(1), &json!(false)), "{log}");
    assert_eq!(server.get("/readyz").ok(), json!({"status": "ready"}));
    server.get("/readyz?verbose=yes").problem(400, "invalid-query");
    let server = Server::start();
    assert_eq!(server.get("/readyz?verbose").ok()["log"]["state"], "off");
}

#[test]
fn weaker_modes_survive_a_kill_too_and_say_at_the_start_what_power_takes() {
    for mode in ["interval", "off"] {
        let kept = Kept::new();
        let server = kept.start_with(&[("UPBEAT_DURABILITY", mode)]);
        server.load("/events", JSON, play("48", 1, 60));
        until("it is said", || server.stderr_text().contains("a loss of power takes"));
        kill(server);
        let server = kept.start();
        assert_eq!(server.load("/events", JSON, play("48", 1, 60)), (0, 1), "{mode}");
    }
}

#[test]
fn metrics_tell_of_the_log() {
    let kept = Kept::new();
    let server = kept.start();
    server.load("/events", JSON, play("48", 1, 60));
    assert!(server.metric("upbeat_journal_records_total") >= 1.0);
    assert!(server.metric("upbeat_journal_groups_total") >= 1.0);
    assert!(server.metric("upbeat_journal_sync_seconds_count") >= 1.0);
    until("the log has caught up", || server.metric("upbeat_journal_lag_records") == 0.0);
    assert_eq!(server.metric("upbeat_journal_lag_seconds"), 0.0);
}

#[test]
fn start_from_a_snapshot_reads_less_of_the_log_and_loses_nothing() {
    let kept = Kept::new();
    let environment = [("UPBEAT_JOURNAL_SNAPSHOT_BYTES", "64KiB")];
    let server = kept.start_with(&environment);
    let customer = |number: u64| format!("{}", number % 30);
    let bulk: String = (0..3000).map(|number| play(&customer(number), number, 60) + "\n").collect();
    assert_eq!(server.load("/events", NDJSON, &bulk), (3000, 0));
    until("a snapshot is written", || server.metric("upbeat_journal_snapshots_total") >= 1.0);
    assert_eq!(server.load("/events", JSON, play("7", 5000, 60)), (1, 0));
    let mut before = server.held("7");
    kill(server);

    let server = kept.start_with(&environment);
    let after = server.held("7");
    before["now"] = after["now"].clone();
    assert_eq!(after, before);
    let read = server.get("/readyz?verbose").ok()["log"]["recovered_records"].as_u64().expect("a count");
    assert!((1..3000).contains(&read), "{read}");
    assert_eq!(server.load("/events", NDJSON, &bulk), (0, 3000));
    let checked = journal(&["check", &kept.directory()]);
    assert_eq!(checked.status.code(), Some(0), "a server uses it: {checked:?}");
    kill(server);
    let checked = journal(&["check", &kept.directory()]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    assert!(String::from_utf8_lossy(&checked.stdout).contains("snapshot"), "{checked:?}");
}

#[test]
fn damage_is_repaired_only_when_asked_to_and_the_damaged_directory_is_kept() {
    let kept = Kept::new();
    let server = kept.start();
    for event in 0..20 {
        server.load("/events", JSON, play(&format!("{event}"), event, 60));
    }
    server.load("/events", NDJSON, likely("shown"));
    assert_eq!(server.decide("shown")["show"], true);
    let directory = kept.directory();
    // At once: the ad may be in the lanes alone.
    kill(server);
    let first = Path::new(&directory).join("segment-000000000001");
    let bytes = damage(&first);
    let asked = journal(&["repair", &directory]);
    assert_eq!(asked.status.code(), Some(1), "{asked:?}");
    assert!(String::from_utf8_lossy(&asked.stdout).contains("what is lost"), "{asked:?}");
    assert_eq!(std::fs::read(&first).expect("a segment"), bytes, "nothing is done before --yes");
    let done = journal(&["repair", "--yes", &directory]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(std::fs::read(format!("{directory}.damaged/segment-000000000001")).expect("a copy"), bytes);
    let server = kept.start();
    let there =
        (0..20).filter(|event| server.admin_get(&format!("/customers/{event}")).status == 200).count();
    assert_eq!(there, 19, "all but the event of the damaged group");
    assert_eq!(server.decide("shown")["reason"], "capped", "what lanes held is there, too");
}

/// `upbeat journal` with these arguments.
pub(super) fn journal(arguments: &[&str]) -> std::process::Output {
    upbeat().arg("journal").args(arguments).output().expect("it runs")
}

#[test]
fn dump_is_taken_again_by_another_server_and_gives_the_same_customers() {
    let kept = Kept::new();
    let directory = kept.directory();
    let server = kept.start();
    server.load("/events", NDJSON, likely("48"));
    server.load("/events", JSON, membership("49", 1, "silver", 60));
    let (time, id) = (seconds_from_now(-30), "event-1");
    for event in [
        json!({"type": "click", "event_id": id, "customer_id": "48", "time": time, "ad": "ADV_REDUCED_1DAY"}),
        json!({"type": "impression", "event_id": 7, "customer_id": "a:b", "time": time, "campaign": "gold-one-day"}),
    ] {
        server.load("/events", JSON, event.to_string());
    }
    assert_eq!(server.decide("48")["show"], true);
    let held = |server: &Server, customer: &str| {
        let mut held = server.held(customer);
        held["now"] = json!(null);
        held
    };
    let before = ["49", "a:b"].map(|customer| held(&server, customer));
    let plays = server.held("48")["plays"].clone();
    // What is in the lanes alone is not in the files yet.
    until("everything is on the disk", || server.metric("upbeat_journal_lag_records") == 0.0);
    let live = journal(&["dump", &directory]);
    assert_eq!(live.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&live.stderr).contains(&server.id().to_string()), "{live:?}");
    kill(server);

    let sound = journal(&["check", &directory]);
    assert_eq!(sound.status.code(), Some(0), "{sound:?}");
    assert!(String::from_utf8_lossy(&sound.stdout).contains("sound groups"), "{sound:?}");
    let dumped = journal(&["dump", &directory]);
    assert_eq!(dumped.status.code(), Some(0), "{dumped:?}");
    assert_eq!(dumped.stdout, live.stdout);
    let server = Server::start();
    assert_eq!(server.load("/events", NDJSON, &dumped.stdout), (27, 0));
    assert_eq!(["49", "a:b"].map(|customer| held(&server, customer)), before);
    assert_eq!(server.held("48")["plays"], plays);
    let all = String::from_utf8(journal(&["dump", "--all", &directory]).stdout).expect("text");
    for kind in ["started", "shown", "promoted", "leased"] {
        assert!(all.contains(&format!("\"type\":\"{kind}\"")), "{kind} in {all}");
    }
}

#[test]
fn readme_shows_what_a_kill_leaves() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).expect("a README");
    let story = readme.split("What it acknowledges it keeps.").nth(1).expect("the first screen");
    let story = story.split("```").nth(1).expect("its commands");
    let steps: Vec<_> = story.lines().filter_map(|line| line.trim().strip_prefix("$ ")).collect();
    let kinds: Vec<_> = ["upbeat serve", "/events", "kill -9", "upbeat serve", "/should-show-ad/7"].into();
    assert!(steps.iter().zip(&kinds).all(|(step, kind)| step.contains(kind)), "{steps:?}");
    assert_eq!(steps.len(), kinds.len());
    let event = story.split("-d '").nth(1).and_then(|rest| rest.split('\'').next()).expect("an event");
    let shown: Vec<_> = story.lines().filter(|line| line.starts_with('{')).collect();

    let kept = Kept::new();
    let server = kept.start();
    assert_eq!(server.post("/events", JSON, event).text(), shown[0]);
    kill(server);
    let server = kept.start();
    let answer = server.get("/should-show-ad/7?dry_run=true").text();
    // Each answer has an id of its own.
    let but_id = |answer: &str| answer.split(",\"decision_id\"").next().expect("a beginning").to_owned();
    assert_eq!(but_id(&answer), but_id(shown[1]));
}
