//! Data directories of every released version are read by this one: `golden/N` holds one of version N, and what a server that
//! had written it told of its customers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::durability::Kept;
use super::listeners::{likely, membership, play};
use super::support::*;

/// The version of the format that this program writes.
const VERSION: u32 = 2;

/// From this version on a directory remembers who was erased.
const WITH_TOMBSTONES: u32 = 2;

/// *Now* is the newest event, so that the age of the directory does not matter. Files are as small as they may be.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("UPBEAT_CLOCK", "event"),
    ("UPBEAT_JOURNAL_SEGMENT_BYTES", "64KiB"),
    ("UPBEAT_JOURNAL_SNAPSHOT_BYTES", "64KiB"),
];

fn golden(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/golden").join(version.to_string())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("it is copied");
    }
}

/// What a server says of everything that it holds.
fn told(server: &Server) -> Value {
    let customers = ["48", "49", "50", "51", "52"];
    let of = |customer: &&str| {
        let profile = server.admin_get(&format!("/customers/{customer}"));
        let mut decision = server.get(&format!("/should-show-ad/{customer}?dry_run=true")).ok();
        // Each answer has an id of its own, and the model is the binary's.
        for own in ["decision_id", "model", "score", "probability"] {
            decision.as_object_mut().expect("an object").remove(own);
        }
        let profile = if profile.status == 404 { Value::Null } else { profile.ok() };
        ((*customer).to_owned(), json!({"profile": profile, "decision": decision}))
    };
    let customers: BTreeMap<String, Value> = customers.iter().map(of).collect();
    json!({"customers": customers, "track": server.admin_get("/tracks/7").ok()})
}

fn dumped(data: &Path) -> String {
    let output = upbeat().args(["journal", "dump", "--all"]).arg(data).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn directory_of_every_released_version_holds_what_it_held() {
    for version in 1..=VERSION {
        let kept = Kept::new();
        let data = PathBuf::from(kept.directory());
        copy(&golden(version).join("data"), &data);
        let text = |name: &str| fs::read_to_string(golden(version).join(name)).expect("a text");
        assert_eq!(dumped(&data), text("dump.ndjson"), "version {version}");
        let server = kept.start_with(&ENVIRONMENT);
        let expected: Value = serde_json::from_str(&text("told.json")).expect("JSON");
        assert_eq!(told(&server), expected, "version {version}");
        let events = text("events.ndjson");
        let rows = events.lines().count() as u64;
        assert_eq!(server.load("/events", NDJSON, events), (0, rows), "all of them are repeats");
        if version >= WITH_TOMBSTONES {
            let report = server.post("/events", NDJSON, text("erased.ndjson")).ok();
            assert_eq!(report, json!({"accepted": 0, "duplicates": 0, "erased": 2, "rejected": []}));
        }
    }
}

#[test]
#[ignore = "writes tests/server/golden anew: for a new version of the format alone"]
fn write_a_directory_of_this_version() {
    let kept = Kept::new();
    let data = PathBuf::from(kept.directory());
    let stop = |mut server: Server| {
        server.signal("TERM");
        assert_eq!(server.ended().code(), Some(0));
    };
    let server = kept.start_with(&ENVIRONMENT);
    let first = format!("{}{}\n{}\n", likely("48"), membership("50", 1, "gold", 60), play("51", 1, 60));
    server.load("/events", NDJSON, &first);
    // One who is erased before the snapshots, and one after.
    let erased = [play("49", 1, 60), play("53", 1, 60)];
    server.load("/events", JSON, &erased[0]);
    server.load("/events?kind=tracks", CSV, "TrackId,Title,Artist,Length\n7,Title,Artist,180\n");
    assert_eq!(server.get("/should-show-ad/48?request_id=mine").ok()["show"], true);
    assert_eq!(server.ask("DELETE", &server.admin, "/customers/49", &[], b"").status, 204);
    let snapshots = || server.metric("upbeat_journal_snapshots_total");
    for number in 1..=2 {
        let many = |at: u64| membership(&format!("{at:064}"), number, "free", 70) + "\n";
        server.load("/events", NDJSON, (0..600).map(many).collect::<String>());
        until("a snapshot is written", || snapshots() >= number as f64);
    }
    stop(server);
    let server = kept.start_with(&ENVIRONMENT);
    let second = format!("{}{}\n{}\n", likely("52"), play("51", 2, 50), membership("51", 3, "silver", 40));
    server.load("/events?atomic=true", NDJSON, &second);
    assert_eq!(server.decide("52")["show"], true);
    server.load("/events", JSON, &erased[1]);
    assert_eq!(server.ask("DELETE", &server.admin, "/customers/53", &[], b"").status, 204);
    let told = told(&server);
    stop(server);
    let golden = golden(VERSION);
    let _ = fs::remove_dir_all(&golden);
    copy(&data, &golden.join("data"));
    for left in ["lock", "spare"] {
        let _ = fs::remove_file(golden.join("data").join(left));
    }
    let write = |name: &str, text: String| fs::write(golden.join(name), text).expect("it is written");
    write("dump.ndjson", dumped(&golden.join("data")));
    write("told.json", serde_json::to_string_pretty(&told).expect("JSON") + "\n");
    write("events.ndjson", first + &second);
    write("erased.ndjson", erased.join("\n") + "\n");
}
