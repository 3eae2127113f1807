//! `upbeat backtest --tracks`: what it estimates of files is what a plain sum over the rows of `upbeat features` gives.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::text;

const CHAMPION: &str = "model/impression/gold-one-day.json";
const CHALLENGER: &str = "model/impression/charity-donation.json";
const COST: f64 = 20_000.0;
const VALUE: f64 = 500_000.0;

fn run(role: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_upbeat")).arg(role).args(arguments).output().expect("it runs")
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("a path")
}

/// Simulated files: plays, and ads that were heard.
fn simulated(folder: &Path) -> [PathBuf; 2] {
    let output =
        run("simulate", &["--customers", "1500", "--plays", "60000", "--seed", "5", "-o", shown(folder)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    ["tracks.csv", "impressions.csv"].map(|name| folder.join(name))
}

/// Whether each ad was clicked, and the probability of that by a model.
fn rows(files: &[PathBuf; 2], model: &str) -> Vec<(bool, f64)> {
    let flags = ["--label", "impression", "--window-plays", "256", "--window-days", "28", "--precise"];
    let [tracks, impressions] = files;
    let of = ["--tracks", shown(tracks), "--impressions", shown(impressions)];
    let output = run("features", &[&flags[..], &of].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let bytes = std::fs::read(model).expect("a model");
    let scorer = upbeat_svm::Scorer::new(&upbeat_core::model::read(&bytes).expect("a model"));
    let row = |line: &str| {
        let mut cells = line.split(' ');
        let is_clicked = cells.next() == Some("1");
        let share = |cell: &str| cell.split_once(':').expect("a cell").1.parse::<f64>().expect("a share");
        let vector: Vec<f64> = cells.map(share).collect();
        (is_clicked, scorer.probability(scorer.score(&vector)).expect("it is calibrated"))
    };
    text(&output.stdout).lines().map(row).collect()
}

#[test]
fn estimates_of_files_are_sums_over_the_ads_that_a_policy_would_have_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = simulated(folder.path());
    let [tracks, impressions] = &files;
    let of = ["--tracks", shown(tracks), "--impressions", shown(impressions)];
    let output =
        run("backtest", &[&of[..], &["--model", CHALLENGER, "--threshold", "0.2", "--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("it is assumed that each of the"), "{}", text(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let (champion, challenger) = (rows(&files, CHAMPION), rows(&files, CHALLENGER));
    let campaign = &answer["campaigns"][0];
    assert_eq!(
        (&campaign["campaign"], &campaign["shown"]),
        (&json!("ADV_REDUCED_1DAY"), &json!(champion.len()))
    );
    assert!(champion.len() > 500 && campaign["support"] == 1.0, "{campaign}");
    let pays = |(_, probability): &&(bool, f64)| probability * VALUE > COST;
    let all = |of: &[(bool, f64)]| of.to_vec();
    let expected = [
        ("logging", all(&champion)),
        ("show-all", all(&champion)),
        ("show-none", Vec::new()),
        ("champion", champion.iter().filter(pays).copied().collect()),
        ("challenger", challenger.iter().filter(pays).copied().collect()),
        ("threshold 0.2", champion.iter().filter(|(_, of)| *of > 0.2).copied().collect()),
    ];
    for (name, rows) in expected {
        let clicks = rows.iter().filter(|(is_clicked, _)| *is_clicked).count() as f64;
        let profit = clicks * VALUE - rows.len() as f64 * COST;
        for estimator in ["ips", "snips"] {
            let policies = answer["policies"].as_array().expect("a list");
            let of = policies
                .iter()
                .find(|of| of["name"] == name && of["estimator"] == estimator)
                .expect("a policy");
            let is_near = |key: &str, value: f64| {
                (of[key].as_f64().expect("a number") - value).abs() <= 1.0 + value.abs() * 1e-9
            };
            assert!(
                is_near("clicks", clicks) && is_near("profit", profit),
                "{of}, expected {clicks} and {profit}"
            );
            assert!(of["unsupported"] == 0.0 && of["low"].as_f64() <= of["high"].as_f64(), "{of}");
        }
    }
    // Other terms: what pays is another question.
    let dear = run("backtest", &[&of[..], &["--impression-cost", "0.2", "--json"]].concat());
    let dear: Value = serde_json::from_slice(&dear.stdout).expect("JSON");
    let of = dear["policies"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|of| of["name"] == "show-all")
        .expect("a policy");
    let clicks = champion.iter().filter(|(is_clicked, _)| *is_clicked).count() as f64;
    assert_eq!(of["profit"].as_f64(), Some((clicks * VALUE - champion.len() as f64 * 200_000.0).round()));
}

#[test]
fn files_of_which_nothing_can_be_estimated_are_refused_with_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path
    };
    let tracks = file("tracks.csv", "1,48,7,\"2026-01-02 03:04:05\",1,10234\n");
    let clicks = file("clicks.csv", "1,48,ADV_REDUCED_1DAY,\"2026-01-02 04:04:05\"\n");
    let other = file("other.csv", "1,48,ADV_LIKE,\"2026-01-02 04:04:05\",1\n");
    let early = file("early.csv", "1,48,ADV_REDUCED_1DAY,\"2026-01-01 04:04:05\",1\n");
    let bad = file("bad.csv", "1,48,ADV_REDUCED_1DAY,yesterday,1\n");
    for (flags, status, said) in [
        (vec!["--clicks", shown(&clicks)], 1, "each ad heard was clicked"),
        (vec!["--impressions", shown(&other)], 1, "nothing can be estimated"),
        (vec!["--impressions", shown(&early)], 1, "nothing can be estimated"),
        (vec!["--impressions", shown(&bad)], 1, "bad lines"),
        (vec![], 2, "--impressions"),
        (vec!["--impressions", shown(&other), "--from", "somewhere"], 2, "cannot be used with"),
        (vec!["--impressions", shown(&other), "--model", CHALLENGER, "--window-days", "7"], 1, "window"),
    ] {
        let output = run("backtest", &[&["--tracks", shown(&tracks)], &flags[..]].concat());
        assert_eq!(output.status.code(), Some(status), "{flags:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(said), "{flags:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{flags:?}");
    }
    assert_eq!(run("backtest", &["--impressions", shown(&other)]).status.code(), Some(2));
    assert_eq!(run("backtest", &[]).status.code(), Some(2));
}
