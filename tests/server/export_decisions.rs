//! `upbeat export decisions|training|impressions`: what was answered over HTTP, each decision once, also after a restart and a kill.

use std::collections::BTreeMap;
use std::process::Output;

use serde_json::{Value, json};

use super::durability::{Kept, kill};
use super::listeners::{likely, membership, plays, unlikely};
use super::support::*;

/// Rows of CSV (RFC 4180) by the names of the columns.
pub(super) fn table(text: &str) -> Vec<BTreeMap<String, String>> {
    let (mut rows, mut row, mut cell, mut is_quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if is_quoted && characters.peek() == Some(&'"') => cell.extend(characters.next()),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !is_quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    let mut rows = rows.into_iter();
    let names: Vec<String> = rows.next().expect("a header line");
    rows.map(|row| names.iter().cloned().zip(row).collect()).collect()
}

fn export(arguments: &[&str]) -> Output {
    upbeat().arg("export").args(arguments).output().expect("it runs")
}

/// The rows of an export that has to succeed.
#[track_caller]
pub(super) fn exported(what: &str, arguments: &[&str]) -> Vec<BTreeMap<String, String>> {
    let output = export(&[&[what], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{what} {arguments:?}: {output:?}");
    table(&String::from_utf8(output.stdout).expect("text"))
}

pub(super) fn all_durable(server: &Server) {
    until("everything is on the disk", || server.metric("upbeat_journal_lag_records") == 0.0);
}

/// The answers so far, by their ids.
type Answers = BTreeMap<String, Value>;

/// Asks for decisions of all kinds; those of known customers are to be exported.
fn ask(server: &Server, answers: &mut Answers) {
    for customer in ["48", "49", "gold", "few"] {
        let answer = server.decide(customer);
        answers.insert(answer["decision_id"].as_str().expect("an id").to_owned(), answer);
        server.get(&format!("/should-show-ad/{customer}?dry_run=true")).ok();
    }
    let body = json!({"customers": ["49", "nobody"]}).to_string();
    let batch = server.post("/decisions", JSON, body).ok();
    let of_known = batch["decisions"][0].clone();
    answers.insert(of_known["decision_id"].as_str().expect("an id").to_owned(), of_known);
    server.decide("nobody");
}

#[track_caller]
fn assert_same(rows: &[BTreeMap<String, String>], answers: &Answers) {
    let ids: Vec<&String> = rows.iter().map(|row| &row["decision_id"]).collect();
    let mut sorted = ids.clone();
    sorted.sort();
    assert_eq!(sorted, answers.keys().collect::<Vec<_>>(), "each decision is there once");
    for row in rows {
        let answer = &answers[&row["decision_id"]];
        let text = |name: &str| answer[name].as_str().unwrap_or_default();
        assert_eq!(row["customer"], text("customer"));
        assert_eq!(row["reason"], text("reason"));
        assert_eq!(row["campaign"], text("campaign"));
        let shown = answer["show"] == true;
        assert_eq!(row["action"], if shown { text("campaign") } else { "none" }, "{row:?}");
        assert_eq!(row["model"], text("model"));
        for name in ["score", "probability"] {
            let exported: Option<f64> = row[name].parse().ok();
            // serde_json reads a number to the nearest two, not to the bit.
            let is_same = match (exported, answer[name].as_f64()) {
                (Some(a), Some(b)) => (a - b).abs() <= 2.0 * f64::EPSILON * b.abs(),
                (a, b) => a == b,
            };
            assert!(is_same, "{name}: {row:?}, {answer}");
        }
        let propensities: Value = serde_json::from_str(&row["propensities"]).expect("JSON");
        let of = propensities.as_object().expect("an object").values().filter_map(Value::as_f64);
        assert!((of.sum::<f64>() - 1.0).abs() < 1e-12, "{propensities}");
        assert!(propensities[&row["action"]].as_f64().is_some_and(|of| of > 0.0), "{row:?}");
        let count = |name: &str| row[name].parse::<u32>().expect("a count");
        let parts = count("morning") + count("afternoon") + count("evening") + count("night");
        assert_eq!(parts, count("plays"), "{row:?}");
    }
}

#[test]
fn every_answered_decision_of_a_known_customer_is_exported_once_with_what_it_said_also_after_kills() {
    let kept = Kept::new();
    let directory = kept.directory();
    let mut answers = Answers::new();
    let mut server = kept.start();
    server.load("/events", NDJSON, likely("48"));
    server.load("/events", NDJSON, unlikely("49"));
    server.load("/events", NDJSON, plays("gold", 6));
    server.load("/events", JSON, membership("gold", 1, "gold", 60));
    server.load("/events", NDJSON, likely("few").lines().next().expect("a play"));
    for _ in 0..3 {
        ask(&server, &mut answers);
        kill(server);
        server = kept.start();
        ask(&server, &mut answers);
    }
    all_durable(&server);
    let rows = exported("decisions", &["--from", &directory]);
    assert_same(&rows, &answers);
    let reasons: std::collections::BTreeSet<&str> = rows.iter().map(|row| &*row["reason"]).collect();
    for reason in ["likely_to_click", "capped", "unlikely_to_click", "already_gold", "too_little_history"] {
        assert!(reasons.contains(reason), "{reasons:?}");
    }
    // Of one customer, and of a time.
    let of_one = exported("decisions", &["--from", &directory, "--customer", "49"]);
    assert!(of_one.len() == 12 && of_one.iter().all(|row| row["customer"] == "49"));
    assert!(exported("decisions", &["--from", &directory, "--until", "2020-01-01T00:00:00Z"]).is_empty());
    // Stopped in order, nothing is another.
    drop(server);
    let server = kept.start();
    all_durable(&server);
    assert_same(&exported("decisions", &["--from", &directory]), &answers);
    let url = format!("http://{}", server.admin);
    assert_same(&exported("decisions", &["--from", &url]), &answers);
    // Who is deleted is gone from what is exported at once.
    assert_eq!(server.ask("DELETE", &server.admin, "/customers/49", &[], b"").status, 204);
    all_durable(&server);
    answers.retain(|_, answer| answer["customer"] != "49");
    assert_same(&exported("decisions", &["--from", &directory]), &answers);
}

#[test]
fn shown_ads_become_impressions_with_their_clicks_and_without_those_that_were_not_played() {
    let kept = Kept::new();
    let directory = kept.directory();
    let server = kept.start();
    let mut shown = BTreeMap::new();
    for customer in ["clicks", "clicks-by-ad", "voids", "voids-and-hears", "hears"] {
        server.load("/events", NDJSON, likely(customer));
        let answer = server.decide(customer);
        assert_eq!(answer["show"], true);
        shown.insert(customer, answer["decision_id"].as_str().expect("an id").to_owned());
    }
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.999Z").to_string();
    let event = |kind: &str, customer: &str, key: &str, value: &str| {
        let id = format!("{kind}-{customer}");
        json!({"type": kind, "event_id": id, "customer_id": customer, "time": now, key: value}).to_string()
    };
    let rows = [
        event("click", "clicks", "decision_id", &shown["clicks"]),
        event("click", "clicks-by-ad", "ad", "ADV_REDUCED_1DAY"),
        event("void", "voids", "decision_id", &shown["voids"]),
        event("void", "voids-and-hears", "decision_id", &shown["voids-and-hears"]),
        event("impression", "voids-and-hears", "decision_id", &shown["voids-and-hears"]),
    ];
    server.load("/events", NDJSON, rows.join("\n"));
    all_durable(&server);
    let impressions = exported("impressions", &["--from", &directory]);
    let clicked: BTreeMap<&str, &str> =
        impressions.iter().map(|row| (&*row["customer_id"], &*row["clicked"])).collect();
    let expected = [("clicks", "1"), ("clicks-by-ad", "1"), ("hears", "0"), ("voids-and-hears", "0")];
    assert_eq!(clicked, BTreeMap::from(expected));
    assert!(impressions.iter().all(|row| row["ad"] == "ADV_REDUCED_1DAY"));
    let decisions = exported("decisions", &["--from", &directory]);
    let of = |customer: &str, name: &str| {
        decisions.iter().find(|row| row["customer"] == customer).expect("it is there")[name].clone()
    };
    assert_eq!((&*of("voids", "voided"), &*of("voids", "confirmed")), ("true", "false"));
    assert_eq!((&*of("voids-and-hears", "voided"), &*of("voids-and-hears", "confirmed")), ("false", "true"));
    // A click may come yet: none of them is a row to learn from.
    assert!(exported("training", &["--from", &directory]).is_empty());
}

#[test]
fn export_of_decisions_says_what_it_cannot_read_or_write() {
    let refused = |arguments: &[&str]| {
        let output = export(&[&["decisions"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    let kept = Kept::new();
    let _server = kept.start();
    let directory = kept.directory();
    assert!(refused(&["--from", &directory, "-o", "x.xlsx"]).contains("F.parquet or F.csv"));
    if cfg!(not(feature = "parquet")) {
        let said = refused(&["--from", &directory, "-o", "x.parquet"]);
        assert!(said.contains("cargo build --release --features parquet"), "{said}");
    }
    let times = ["--since", "2026-01-02T00:00:00Z", "--until", "2026-01-01T00:00:00Z"];
    assert!(refused(&[&["--from", &directory][..], &times].concat()).contains("--since"));
}

/// Files for the readers of tests/peers/parquet, which compare each with its CSV file, where `UPBEAT_PARQUET_DIR` names a place.
#[cfg(feature = "parquet")]
#[test]
fn parquet_files_are_written_of_every_export() {
    let kept = Kept::new();
    let directory = kept.directory();
    let server = kept.start();
    let mut answers = Answers::new();
    for (customer, of) in [("48", likely("48")), ("49", unlikely("49")), ("gold", plays("gold", 6))] {
        server.load("/events", NDJSON, of);
        server.load("/events", JSON, membership(customer, 77, "free", 60));
    }
    server.load("/events", NDJSON, likely("few").lines().next().expect("a play"));
    server.load("/events", NDJSON, likely("-1-1"));
    for _ in 0..20 {
        ask(&server, &mut answers);
    }
    server.decide("-1-1");
    all_durable(&server);
    let own = tempfile::tempdir().expect("a folder");
    let folder = std::env::var_os("UPBEAT_PARQUET_DIR").map_or(own.path().to_owned(), Into::into);
    for what in ["decisions", "training", "impressions", "events"] {
        for ending in ["csv", "parquet"] {
            let path = folder.join(format!("{what}.{ending}")).display().to_string();
            let output = export(&[what, "--from", &directory, "-o", &path]);
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            let bytes = std::fs::read(&path).expect("a file");
            let is_parquet = bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1");
            assert_eq!(is_parquet, ending == "parquet");
        }
    }
    let text = std::fs::read_to_string(folder.join("decisions.csv")).expect("a file");
    assert!(text.contains(",'-1-1,"), "{text}");
}
