//! The data directory of a version that ran four campaigns: with money, ghosts, tosses, logged decisions and a `PUT` it is read by this
//! one, which tells and exports what its own server did. `golden/N` holds it, N being the version of the blocks of its snapshots.
//!
//! `cargo test --test server golden_campaigns -- --ignored` writes it anew. Whoever changes a format writes one of the new version
//! beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::campaigns::{Files, TOML, history, in_force};
use super::durability::{Kept, journal};
use super::export_decisions::exported;
use super::golden::{ENVIRONMENT, copy, dumped, golden};
use super::support::*;

/// The version of the format that this program writes.
const VERSION: u32 = 3;

/// The ending of a compressed segment.
const COMPRESSED: &str = "gz";

/// The most bytes of all files.
const MOST_BYTES: u64 = 100 << 10;

const CAMPAIGNS: [&str; 4] = ["by-impression", "by-show", "curious", "resting"];

/// The last one is deleted.
const CUSTOMERS: [&str; 7] = ["1", "2", "3", "4", "five", "6", "8"];

/// A budget of seven shows, one of five confirmed impressions a day half of whose listeners are held out, one that is shown by
/// exploration alone, and one that is paced.
const DOCUMENT: &str = r#"# The first version.
currency = "USD"

[[cap]]
impressions = 3
hours = 24

[[campaign]]
id = "by-show"
ad = "AD_SHOW"
priority = 2
caps = [{ impressions = 1, hours = 24 }]
impression_cost = 0.03
total_budget = 0.23
threshold = { score = -1e9 }
model = "one"

[[campaign]]
id = "by-impression"
ad = "AD_IMPRESSION"
priority = 1
caps = [{ impressions = 1, hours = 24 }]
cooldown_after_click = "72h"
impression_cost = 0.02
click_value = 0.50
daily_budget = 0.10
bill = "impression"
threshold = { score = -1e9 }
holdout = 0.5
model = "two"

[[campaign]]
id = "curious"
ad = "AD_CURIOUS"
threshold = { score = 1e6 }
exploration = 0.5
model = "three"

[[campaign]]
id = "resting"
ad = "AD_RESTING"
time_zone = "Asia/Seoul"
hours = ["22:00-02:00"]
threshold = "profit"
impression_cost = 0.001
click_value = 0.50
daily_budget = 1.00
pacing = "even"
model = "four"
"#;

/// Ten plays of a listener, and one who has begun to pay.
fn plays(customer: &str) -> String {
    let play = |number: usize| {
        json!({
            "type": "play", "event_id": number, "customer_id": customer, "track_id": number % 7,
            "time": format!("2026-11-0{}T{:02}:30:00Z", 1 + number / 6, 3 + 2 * number), "mobile": !number.is_multiple_of(3),
        })
    };
    (0..10).map(|number| play(number).to_string() + "\n").collect()
}

fn event(kind: &str, id: &str, customer: &str, time: &str, more: (&str, &Value)) -> String {
    let mut event = json!({"type": kind, "event_id": id, "customer_id": customer, "time": time});
    event[more.0] = more.1.clone();
    event.to_string() + "\n"
}

/// What a server says of everything that it holds.
fn told(server: &Server) -> Value {
    // Each answer has an id of its own, and a coin of exploration that falls anew.
    let answer = |path: String| {
        let mut answer = server.get(&path).ok();
        answer.as_object_mut().expect("an object").remove("decision_id");
        if answer["reason"] == "exploring" {
            (answer["reason"], answer["show"]) = (json!("unlikely_to_click"), json!(false));
        }
        answer
    };
    let of = |customer: &&str| {
        let profile = server.admin_get(&format!("/customers/{customer}"));
        let profile = if profile.status == 404 { Value::Null } else { profile.ok() };
        let previews =
            CAMPAIGNS.map(|campaign| answer(format!("/should-show-ad/{customer}?preview={campaign}")));
        let decision = answer(format!("/should-show-ad/{customer}?dry_run=true"));
        ((*customer).to_owned(), json!({"profile": profile, "decision": decision, "previews": previews}))
    };
    let customers: BTreeMap<String, Value> = CUSTOMERS.iter().map(of).collect();
    let report = |campaign: &str| server.admin_get(&format!("/campaigns/{campaign}/report")).ok();
    let reports: BTreeMap<&str, Value> =
        CAMPAIGNS.iter().map(|campaign| (*campaign, report(campaign))).collect();
    let day = server.admin_get("/campaigns/by-impression/report?from=2026-11-02&to=2026-11-03").ok();
    json!({
        "customers": customers, "reports": reports, "report of a day": day, "track": server.admin_get("/tracks/7").ok(),
        "campaigns": in_force(server), "history": history(server),
    })
}

fn decisions(data: &Path) -> Vec<BTreeMap<String, String>> {
    exported("decisions", &["--from", &data.display().to_string(), "-o", "/dev/stdout"])
}

fn text(name: &str) -> String {
    fs::read_to_string(golden(VERSION).join(name)).expect("a text")
}

/// A copy of the directory. What is between the groups of its log are zeros, so that its segments are kept compressed.
fn whole(kept: &Kept) -> PathBuf {
    let (golden, data) = (golden(VERSION).join("data"), PathBuf::from(kept.directory()));
    copy(&golden, &data);
    copy(&golden.join("models"), &data.join("models"));
    for entry in fs::read_dir(&data).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == COMPRESSED) {
            let mut segment = GzDecoder::new(fs::File::open(&path).expect("a segment"));
            let mut file = fs::File::create(path.with_extension("")).expect("a file");
            std::io::copy(&mut segment, &mut file).expect("a segment");
            fs::remove_file(&path).expect("it is there");
        }
    }
    data
}

#[test]
fn directory_of_four_campaigns_gives_the_same_answers_reports_and_exports() {
    let kept = Kept::new();
    let data = whole(&kept);
    assert_eq!(dumped(&data), text("dump.ndjson"));
    let before: Vec<BTreeMap<String, String>> = serde_json::from_str(&text("decisions.json")).expect("JSON");
    let now = decisions(&data);
    assert_eq!(now.len(), before.len());
    for (now, before) in now.iter().zip(&before) {
        // Columns may be added.
        for (column, value) in before {
            assert_eq!(now.get(column), Some(value), "{column} of {before:?}");
        }
    }
    let expected: Value = serde_json::from_str(&text("told.json")).expect("JSON");
    for _ in 0..2 {
        let mut server = kept.start_with(&ENVIRONMENT);
        let now = told(&server);
        for key in expected.as_object().expect("an object").keys() {
            assert_eq!(now[key], expected[key], "{key}");
        }
        let events = text("events.ndjson");
        let rows = events.lines().count() as u64;
        assert_eq!(server.load("/events", NDJSON, events), (0, rows), "all of them are repeats");
        let erased = server.post("/events", NDJSON, plays("8")).ok();
        assert_eq!(erased, json!({"accepted": 0, "duplicates": 0, "erased": 10, "rejected": []}));
        server.signal("TERM");
        assert_eq!(server.ended().code(), Some(0));
    }
}

#[test]
#[ignore = "writes tests/server/golden/3 anew: for a new version of the format alone"]
fn write_a_directory_of_this_version() {
    let kept = Kept::new();
    let shipped = |name: &str| {
        let path = format!("{}/model/impression/{name}.json", env!("CARGO_MANIFEST_DIR"));
        fs::read_to_string(path).expect("a model")
    };
    let files = Files::new(&[
        ("upbeat.toml", ""),
        ("models/one.json", &shipped("gold-one-day")),
        ("models/two.json", &shipped("charity-donation")),
        ("models/three.json", &shipped("facebook-like")),
        ("models/four.json", &shipped("free-referral")),
    ]);
    let start = || {
        let lanes = kept.lanes.path().display().to_string();
        let environment = [
            &ENVIRONMENT[..],
            &[
                ("UPBEAT_LANES_DIR", &*lanes),
                ("UPBEAT_SHUTDOWN_DRAIN", "0s"),
                ("UPBEAT_DECISIONS_SYNC_INTERVAL", "1s"),
            ],
        ]
        .concat();
        Server::with(&["--config", &files.config(), "--data-dir", &kept.directory()], &environment)
    };
    let stop = |mut server: Server| {
        server.signal("TERM");
        assert_eq!(server.ended().code(), Some(0));
    };
    let put = |server: &Server, toml: &str| {
        let headers = [("content-type", TOML), ("x-upbeat-user", "ada")];
        server.ask("PUT", &server.admin, "/campaigns", &headers, toml.as_bytes()).ok();
    };
    let server = start();
    put(&server, DOCUMENT);
    let mut events = String::new();
    let mut load = |server: &Server, path: &str, rows: String| {
        let count = rows.lines().count() as u64;
        assert_eq!(server.load(path, NDJSON, rows.clone()), (count, 0), "{rows}");
        events += &rows;
    };
    load(&server, "/events", CUSTOMERS[..6].iter().map(|customer| plays(customer)).collect());
    server.load("/events", NDJSON, plays("8"));
    server.load("/events?kind=tracks", CSV, "TrackId,Title,Artist,Length\n7,Title,Artist,180\n");
    let report =
        |server: &Server, campaign: &str| server.admin_get(&format!("/campaigns/{campaign}/report")).ok();
    let mut answers = Vec::new();
    // Together, so that few groups of the log are written.
    let mut round = |server: &Server, customers: &[&str]| {
        until("leases are on the disk", || server.metric("upbeat_journal_lag_records") == 0.0);
        let decided = server.post("/decisions", JSON, json!({ "customers": customers }).to_string()).ok();
        answers.extend(decided["decisions"].as_array().expect("a list").clone());
        answers.clone()
    };
    // Leases of budgets come from the disk.
    until("the budget is spent", || {
        round(&server, &CUSTOMERS);
        report(&server, "by-show")["reserved"] == 210_000
            && report(&server, "by-impression")["reserved"].as_i64() > Some(30_000)
    });
    let answers = round(&server, &CUSTOMERS);
    let shown = |campaign: &str| -> Vec<Value> {
        answers
            .iter()
            .filter(|answer| answer["campaign"] == campaign && answer["show"] == true)
            .cloned()
            .collect()
    };
    let (by_show, by_impression) = (shown("by-show"), shown("by-impression"));
    let of = |kind: &str, id: &str, answer: &Value, time: &str| {
        event(
            kind,
            id,
            answer["customer"].as_str().expect("an id"),
            time,
            ("decision_id", &answer["decision_id"]),
        )
    };
    let soon = "2026-11-02T21:40:00Z";
    load(
        &server,
        "/events",
        of("void", "v", &by_show[0], soon) + &of("impression", "i", &by_impression[0], soon),
    );
    load(
        &server,
        "/events?atomic=true",
        of("click", "c", &by_impression[0], soon) + &of("click", "d", &by_show[1], soon),
    );
    let bought = by_show[2]["customer"].as_str().expect("an id");
    load(&server, "/events", event("membership", "m", bought, soon, ("level", &json!("silver"))));
    assert_eq!(server.ask("DELETE", &server.admin, "/customers/8", &[], b"").status, 204);
    stop(server);
    let compacted = journal(&["compact", &kept.directory(), "--yes"]);
    assert!(compacted.status.success(), "{compacted:?}");

    let server = start();
    // What nobody confirmed is released or spent by now, and a confirmation comes late.
    // An event is applied before it moves the clock.
    let late = "2026-11-02T22:40:00Z";
    load(&server, "/events", event("membership", "n", "6", late, ("level", &json!("free"))));
    load(&server, "/events", of("impression", "l", &by_impression[1], late));
    let second = DOCUMENT.replace("# The first", "# The second").replace("0.23", "0.40");
    put(&server, &second.replace("AD_RESTING\"\n", "AD_RESTING\"\npaused = true\n"));
    until("the budget is spent", || {
        round(&server, &CUSTOMERS[..6]);
        report(&server, "by-show")["reserved"].as_i64() > Some(0)
    });
    let answers = round(&server, &CUSTOMERS[..6]);
    server.get("/should-show-ad/2?request_id=mine").ok();
    // The tick of a second ends what is reserved no longer.
    until("the shows before are heard", || report(&server, "curious")["impressions"].as_i64() > Some(0));
    let told = told(&server);
    stop(server);
    let reasons: BTreeSet<&str> = answers.iter().filter_map(|answer| answer["reason"].as_str()).collect();
    for reason in ["likely_to_click", "exploring", "held_out", "capped"] {
        assert!(reasons.contains(reason), "{reason} in {reasons:?}");
    }
    let (show, impression) = (&told["reports"]["by-show"], &told["reports"]["by-impression"]);
    for (report, key) in [
        (show, "reserved"),
        (show, "spent"),
        (show, "returned"),
        (show, "clicks"),
        (impression, "late"),
        (impression, "returned"),
        (impression, "spent"),
        (impression, "value"),
    ] {
        assert!(report[key].as_i64() > Some(0), "{key} of {report}");
    }
    let upgrades = |campaign: &str| told["reports"][campaign]["upgrades"].as_i64();
    assert!(CAMPAIGNS.iter().any(|campaign| upgrades(campaign) > Some(0)), "{told}");

    let golden = golden(VERSION);
    let _ = fs::remove_dir_all(&golden);
    let names =
        fs::read_dir(kept.directory()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let newest = names.filter(|name| name.starts_with("snapshot-")).max();
    for directory in ["data", "data/models"] {
        fs::create_dir_all(golden.join(directory)).expect("a folder");
        for entry in fs::read_dir(kept.data.path().join(directory)).expect("a folder") {
            let from = entry.expect("an entry").path();
            let name = from.file_name().expect("a name").to_string_lossy().into_owned();
            let is_old =
                newest.as_ref().is_some_and(|newest| name.starts_with("snapshot-") && name != *newest);
            if from.is_file() && !is_old && !["lock", "spare"].contains(&&*name) {
                let to = golden.join(directory).join(&name);
                if name.starts_with("segment-") {
                    let to = fs::File::create(to.with_extension(COMPRESSED)).expect("a file");
                    let mut segment = GzEncoder::new(to, Compression::best());
                    segment.write_all(&fs::read(&from).expect("a file")).expect("it is written");
                    segment.finish().expect("it is written");
                } else {
                    fs::copy(&from, to).expect("it is copied");
                }
            }
        }
    }
    let write = |name: &str, text: String| fs::write(golden.join(name), text).expect("it is written");
    let opened = Kept::new();
    let data = whole(&opened);
    write("dump.ndjson", dumped(&data));
    write("decisions.json", serde_json::to_string(&decisions(&data)).expect("JSON") + "\n");
    write("told.json", serde_json::to_string(&told).expect("JSON") + "\n");
    write("events.ndjson", events);
    let bytes = |directory: &str| -> u64 {
        let entries = fs::read_dir(golden.join(directory)).expect("a folder");
        entries
            .map(|entry| entry.expect("an entry").metadata().expect("a file"))
            .filter(|of| of.is_file())
            .map(|of| of.len())
            .sum()
    };
    let all = bytes("") + bytes("data") + bytes("data/models");
    assert!(all <= MOST_BYTES, "{all} bytes");
}
