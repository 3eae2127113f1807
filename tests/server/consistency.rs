//! `upbeat check-consistency`: the counts of every logged decision are those of the events before it, and where they are not it is told.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use upbeat_engine::Entry;
use upbeat_journal::disk::RealDisk;
use upbeat_journal::{Memory, Opened, Options, Record, Start, Step};

use super::campaigns::Files;
use super::durability::{Kept, kill};
use super::export_decisions::all_durable;
use super::listeners::{likely, play, play_at, seconds_from_now};
use super::support::*;

fn check(from: &str, more: &[&str]) -> Output {
    upbeat().args(["check-consistency", "--from", from]).args(more).output().expect("it runs")
}

/// What is told in JSON, by a check that ends with this status.
#[track_caller]
fn told(from: &str, status: i32) -> Value {
    let output = check(from, &["--json"]);
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Whoever posts and asks at once, on the same customers.
const CUSTOMERS: u64 = 40;

/// Posts plays, late and repeated ones among them, one by one and in bodies of every kind, and asks for decisions meanwhile; how many
/// decisions were answered about known customers.
fn bustle(server: &Server, round: u64) -> u64 {
    let decided = AtomicU64::new(0);
    let customer = |number: u64| format!("busy-{}", number % CUSTOMERS);
    std::thread::scope(|scope| {
        for poster in 0..2_u64 {
            scope.spawn(move || {
                for number in 0..150_u64 {
                    let id = (round * 2 + poster) * 10_000 + number;
                    // Newer ones, older ones, and some that leave the window within the test.
                    let seconds_ago =
                        [30, 3000, 28 * 86_400 - 2, 700_000][(number % 4) as usize] + number as i64;
                    let one = play(&customer(number * 7), id, seconds_ago);
                    server.load("/events", JSON, &one);
                    if number % 10 == 0 {
                        let repeated = server.load("/events", JSON, &one);
                        assert_eq!(repeated, (0, 1));
                        let body: String = (0..200)
                            .map(|row| play(&customer(row), id * 1000 + row, seconds_ago) + "\n")
                            .collect();
                        server.load("/events", NDJSON, &body);
                        let atomic: Vec<Value> = (0..20)
                            .map(|row| play(&customer(row), id * 1000 + 500 + row, seconds_ago))
                            .map(|text| serde_json::from_str(&text).expect("JSON"))
                            .collect();
                        server.load("/events?atomic=true", JSON, json!(atomic).to_string());
                    }
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                for number in 0..400_u64 {
                    let answer = server.decide(&customer(number * 3));
                    decided.fetch_add(u64::from(answer["reason"] != "unknown_customer"), Ordering::Relaxed);
                }
            });
        }
    });
    decided.into_inner()
}

#[test]
fn counts_of_all_decisions_agree_with_the_events_before_them_among_posts_late_events_kills_and_erasures() {
    let kept = Kept::new();
    let directory = kept.directory();
    let mut server = kept.start();
    let mut decided = 0;
    for round in 0..2 {
        decided += bustle(&server, round);
        if round == 0 {
            kill(server);
            server = kept.start();
        }
    }
    all_durable(&server);
    let all = told(&directory, 0);
    assert_eq!((&all["share"], &all["disagreements"]), (&json!(1.0), &json!([])), "{all}");
    assert_eq!(
        (&all["checked"], &all["agreed"]),
        (&json!(decided), &json!(decided)),
        "each decision is checked"
    );
    // Of a server that runs, and one whose customers were erased in part.
    let url = format!("http://{}", server.admin);
    assert_eq!(told(&url, 0)["checked"], decided);
    for number in 0..CUSTOMERS / 2 {
        let path = format!("/customers/busy-{number}");
        assert_eq!(server.ask("DELETE", &server.admin, &path, &[], b"").status, 204);
    }
    server.load("/events", JSON, play_at("busy-1", 1, &seconds_from_now(60)));
    let after = server.decide("busy-1");
    assert_eq!(after["reason"], "too_little_history");
    all_durable(&server);
    let part = told(&directory, 0);
    let [checked, erased] =
        [&part["checked"], &part["not_checkable"]["erased"]].map(|of| of.as_u64().expect("a count"));
    assert!(checked > 0 && checked < decided && erased + checked <= decided + 1, "{part}");
}

#[test]
fn log_that_has_lost_events_is_checked_from_its_newest_snapshot_on_and_the_rest_is_told() {
    let config = "workers = 1\ndecisions = { unshown_interval = \"100ms\" }\n\
                  journal = { segment_bytes = \"64KiB\", snapshot_bytes = \"64KiB\" }\n\
                  [retention]\nevents = { days = 36500, bytes = \"64KiB\" }\ndecisions = { days = 36500, bytes = \"1GiB\" }\n";
    let files = Files::new(&[("upbeat.toml", config)]);
    let kept = Kept::new();
    let server = files.start(&kept);
    server.load("/events", NDJSON, likely("old"));
    let ask = || server.decide("old");
    for _ in 0..20 {
        ask();
    }
    let directory = kept.directory();
    let is_gone = || {
        all_durable(&server);
        let output = check(&directory, &["--json"]);
        let all: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        all["not_checkable"]["events_gone"].as_u64().is_some_and(|gone| gone >= 20)
    };
    let mut round = 0;
    until("the first events are gone", || {
        round += 1;
        let rows = (0..2000).map(|row| play(&format!("other-{}", row % 60), round * 2000 + row, 60) + "\n");
        server.load("/events", NDJSON, rows.collect::<String>());
        is_gone()
    });
    // The counts of these are in the snapshot alone, and in what came since; one may be under way.
    server.load("/events", JSON, play("old", 900, 50));
    let mut all = Value::Null;
    until("decisions after the newest snapshot are checked", || {
        ask();
        all_durable(&server);
        // The next reading may find a newer snapshot, and no decision after it.
        let output = check(&directory, &["--json"]);
        all = serde_json::from_slice(&output.stdout).unwrap_or_default();
        output.status.success()
    });
    assert_eq!(all["share"], json!(1.0), "{all}");
}

#[test]
fn check_of_nothing_is_no_success() {
    let kept = Kept::new();
    let server = kept.start();
    server.load("/events", NDJSON, likely("48"));
    all_durable(&server);
    let output = check(&kept.directory(), &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("no decision"), "{text}");
    assert_eq!(told(&kept.directory(), 1)["share"], Value::Null);
}

/// Writes the log of a directory again into another one, each record as `change` makes it.
fn write_again(from: &Path, to: &Path, change: impl Fn(Entry) -> Entry) {
    std::fs::create_dir_all(to).expect("a folder");
    let options = Options { segment_bytes: 1 << 20, group_bytes: 64 << 10, sync: false };
    let mut number = 0_u64;
    let random = Box::new(move || {
        number += 1;
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    });
    let lanes = vec![Memory::anonymous(4096 + (1 << 20))];
    let mut nobody = |_: Record<'_>| Ok(());
    let disk = Arc::new(RealDisk::new(to));
    let opened = upbeat_journal::open(disk, options, Start::BEGINNING, lanes, random, &mut nobody);
    let Opened { mut writer, mut lanes, .. } = opened.expect("a new log");
    let mut write = |record: Record<'_>| {
        let entry = Entry::decode(record.kind, record.payload).map_err(|error| error.to_string())?;
        let (kind, bytes) = change(entry).encode();
        assert!(lanes[0].has_room(1, bytes.len()), "the logs of these tests are small");
        lanes[0].publish(kind, 0, bytes.len(), |into| into.copy_from_slice(&bytes));
        Ok(())
    };
    upbeat_journal::read(&Arc::new(RealDisk::new(from)), Start::BEGINNING, &mut write)
        .expect("the log is sound");
    while writer.step().expect("space") != Step::Idle {}
}

#[test]
fn planted_leak_is_caught_and_the_decision_that_knows_what_came_after_it_is_named() {
    let kept = Kept::new();
    let server = kept.start();
    server.load("/events", NDJSON, likely("honest"));
    server.load("/events", NDJSON, likely("leaks"));
    server.decide("honest");
    let leaking = server.decide("leaks");
    // What it could not know.
    server.load("/events", JSON, play("leaks", 77, 60));
    server.decide("leaks");
    all_durable(&server);
    drop(server);
    let from = kept.data.path().join("data");
    let folder = tempfile::tempdir().expect("a folder");
    let (honest, planted) = (folder.path().join("honest"), folder.path().join("planted"));
    write_again(&from, &honest, |entry| entry);
    let all = told(&honest.display().to_string(), 0);
    assert_eq!((&all["checked"], &all["share"]), (&json!(3), &json!(1.0)), "{all}");
    let id = leaking["decision_id"].as_str().expect("an id").to_owned();
    write_again(&from, &planted, |mut entry| {
        if let Entry::Decided { facts, .. } | Entry::ShownInPlan { facts, .. } = &mut entry
            && facts.id.to_string() == id
            && let Some(counts) = &mut facts.counts
        {
            // One more play on a phone, in the evening.
            counts.plays += 1;
            counts.parts[2] += 1;
            counts.parts[4] += 1;
        }
        entry
    });
    let planted = planted.display().to_string();
    let all = told(&planted, 1);
    assert_eq!((&all["checked"], &all["agreed"]), (&json!(3), &json!(2)), "{all}");
    let named = all["disagreements"].as_array().expect("a list");
    assert_eq!(
        (named.len(), &named[0]["decision_id"], &named[0]["customer"]),
        (1, &json!(id), &json!("leaks"))
    );
    assert_eq!((&named[0]["logged"]["plays"], &named[0]["computed"]["plays"]), (&json!(25), &json!(24)));
    let output = check(&planted, &[]);
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(said.iter().all(|text| text.contains(&id)), "{said:?}");
}
