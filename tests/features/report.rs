//! `upbeat report features`: averages and errors are those of a plain computation over the same rows.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::skipped::skipped;
use super::{features, rows, text};

const MODEL: &str = "model/default.json";

fn run(role: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_upbeat")).arg(role).args(arguments).output().expect("it runs")
}

fn report(features: &Path, more: &[&str]) -> Output {
    run("report", &[&["features", features.to_str().expect("a path")], more].concat())
}

/// The report in JSON, which has to be there.
#[track_caller]
fn told(features: &Path, more: &[&str]) -> Value {
    let output = report(features, &[more, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Labels and values of rows.
fn read(rows: &str) -> Vec<(bool, Vec<f64>)> {
    let row = |line: &str| {
        let mut cells = line.split(' ');
        let is_positive = cells.next() == Some("1");
        let mut values = vec![0.0; 6];
        for cell in cells {
            let (index, value) = cell.split_once(':').expect("index and value");
            values[index.parse::<usize>().expect("an index") - 1] = value.parse().expect("a value");
        }
        (is_positive, values)
    };
    rows.lines().map(row).collect()
}

/// Compares a report with the rows, and with what `upbeat predict` says of them.
#[track_caller]
fn assert_is_of(told: &Value, path: &Path, model: &str) {
    let rows = read(&std::fs::read_to_string(path).expect("rows"));
    let predicted = run("predict", &[path.to_str().expect("a path"), "--model", model]);
    let says: Vec<bool> = text(&predicted.stdout).lines().map(|line| line.starts_with("1 ")).collect();
    assert_eq!(says.len(), rows.len());
    let positives = rows.iter().filter(|(is_positive, _)| *is_positive).count();
    assert_eq!((&told["rows"], &told["positives"]), (&rows.len().into(), &positives.into()));
    let names = ["morning", "afternoon", "evening", "night", "mobile", "unique_tracks"];
    for (index, name) in names.into_iter().enumerate() {
        let mean = |wanted: Option<bool>| {
            let of =
                rows.iter().filter(|(is_positive, _)| wanted.is_none_or(|wanted| wanted == *is_positive));
            let values: Vec<f64> = of.map(|(_, values)| values[index]).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let of = &told["features"][index];
        assert_eq!(of["feature"], name);
        for (key, wanted) in [("all", None), ("positive", Some(true)), ("negative", Some(false))] {
            match (of[key].as_f64(), mean(wanted)) {
                (Some(a), Some(b)) => assert!((a - b).abs() < 1e-9, "{name} {key}: {a} {b}"),
                (a, b) => assert_eq!(a, b, "{name} {key}"),
            }
        }
    }
    let count = |label: bool, said: bool| {
        rows.iter()
            .zip(&says)
            .filter(|((is_positive, _), says)| *is_positive == label && **says == said)
            .count() as u64
    };
    let confusion = &told["confusion"];
    assert_eq!(confusion["true_positive"], count(true, true));
    assert_eq!(confusion["false_positive"], count(false, true));
    assert_eq!(confusion["false_negative"], count(true, false));
    assert_eq!(confusion["true_negative"], count(false, false));
    let share = |count: u64| count as f64 / rows.len() as f64;
    let (error, no) = (share(count(false, true) + count(true, false)), share(positives as u64));
    for (key, expected) in [("error", error), ("always_no_error", no)] {
        assert!(told[key].as_f64().is_some_and(|of| (of - expected).abs() < 1e-12), "{key}: {told}");
    }
    assert_eq!(told["passes"], error <= 0.1 && error < no);
    assert_eq!(told["informative"], no >= 0.1);
}

#[test]
fn report_of_simulated_history_in_the_shapes_of_the_real_one_is_that_of_its_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().to_str().expect("a path");
    let simulated =
        run("simulate", &["--customers", "800", "--plays", "40000", "--seed", "17", "-o", directory]);
    assert_eq!(simulated.status.code(), Some(0), "{}", text(&simulated.stderr));
    let [tracks, clicks, path] =
        ["tracks.csv", "clicks.csv", "features.txt"].map(|name| folder.path().join(name));
    let flags = ["--tracks", tracks.to_str().expect("a path"), "--clicks", clicks.to_str().expect("a path")];
    let output =
        run("features", &[&flags[..], &["--precise", "-o", path.to_str().expect("a path")]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_is_of(&told(&path, &[]), &path, MODEL);
    let other = "model/impression/gold-one-day.json";
    let with_other = told(&path, &["--model", other]);
    assert_is_of(&with_other, &path, other);
    assert_ne!(with_other["model"], told(&path, &[])["model"]);
    // For people: the same, in words.
    let said = report(&path, &[]);
    let (said, sentence) = (text(&said.stdout), told(&path, &[])["sentence"].to_string());
    assert!(said.contains(sentence.trim_matches('"')) && said.contains("averages over customers"), "{said}");
}

#[test]
fn report_of_real_plays_with_clicks_is_that_of_its_rows() {
    let tracks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/tracks_live.csv");
    let Ok(tracks) = std::fs::read(&tracks) else {
        skipped(format_args!("{} is not there", tracks.display()));
        return;
    };
    // Every twentieth customer clicks.
    let clicks: String =
        (0..5000).step_by(20).map(|id| format!("{id},{id},ADV_REDUCED_1DAY,2014-10-23 03:26:20\n")).collect();
    let output = features(&["--precise"], &tracks, clicks.as_bytes());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("features.txt");
    std::fs::write(&path, rows(&output)).expect("a file");
    assert_is_of(&told(&path, &[]), &path, MODEL);
}

#[test]
fn verdict_says_whether_the_error_is_small_and_below_saying_no_to_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("features.txt");
    // Likely and unlikely by the shipped model: all on a phone and no track twice, or half of it.
    let (likely, unlikely) = ("1:.3 2:.2 3:.2 4:.3 5:1 6:.96", "1:.3 2:.2 3:.2 4:.3 5:.5 6:.96");
    let write = |right: usize, wrong: usize, no: usize| {
        let lines = [
            format!("1 {likely}\n").repeat(right),
            format!("1 {unlikely}\n").repeat(wrong),
            format!("0 {unlikely}\n").repeat(no),
        ];
        std::fs::write(&path, lines.concat()).expect("a file");
        told(&path, &[])
    };
    let says = |told: &Value, part: &str| {
        assert!(told["sentence"].as_str().is_some_and(|of| of.contains(part)), "{told}")
    };
    let good = write(30, 2, 68);
    assert_eq!((&good["passes"], &good["error"]), (&true.into(), &0.02.into()));
    says(&good, "2.00 % of the customers: at most the 10 % that it may be, and fewer than the 32.00 %");
    let wrong = write(5, 25, 70);
    assert_eq!(wrong["passes"], false);
    says(&wrong, "more than the 10 % that it may be, and fewer than the 30.00 %");
    let no_better = write(0, 5, 95);
    assert_eq!((&no_better["passes"], &no_better["informative"]), (&false.into(), &false.into()));
    says(&no_better, "not fewer than the 5.00 %");
    says(&no_better, "Under 10 % clicked");
}

#[test]
fn file_that_cannot_be_reported_on_is_told_with_the_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("features.txt");
    for (content, said) in [
        ("", "no rows"),
        ("1 1:.5\n0 1:.5 2:x\n", "line 2"),
        ("1 1:.5 7:.5\n", "line 1"),
        ("3 1:.5\n", "line 1"),
        ("customer,morning\n1,0.5\n", "line 1"),
    ] {
        std::fs::write(&path, content).expect("a file");
        let output = report(&path, &[]);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""), "{content}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains(said) && stderr.contains("features.txt"), "{content}: {stderr}");
    }
    assert_eq!(report(&folder.path().join("absent.txt"), &[]).status.code(), Some(1));
    assert_eq!(run("report", &["features", "-", "--model", "-"]).status.code(), Some(2));
}
