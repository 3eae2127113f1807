//! Data directories of versions that ran one campaign are read by this one: `golden/N` holds one of version N, and what a server that
//! had written it told of its customers. For later ones see `golden_campaigns.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::durability::Kept;
use super::support::*;

/// The last version of the format that knew one campaign.
const LAST: u32 = 2;

/// From this version on a directory remembers who was erased.
const WITH_TOMBSTONES: u32 = 2;

/// *Now* is the newest event, so that the age of the directory does not matter. Files are as small as they may be.
pub(super) const ENVIRONMENT: [(&str, &str); 3] = [
    ("UPBEAT_CLOCK", "event"),
    ("UPBEAT_JOURNAL_SEGMENT_BYTES", "64KiB"),
    ("UPBEAT_JOURNAL_SNAPSHOT_BYTES", "64KiB"),
];

pub(super) fn golden(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/golden").join(version.to_string())
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("it is copied");
        }
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

pub(super) fn dumped(data: &Path) -> String {
    let output = upbeat().args(["journal", "dump", "--all"]).arg(data).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn directory_of_every_version_of_one_campaign_holds_what_it_held() {
    for version in 1..=LAST {
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
