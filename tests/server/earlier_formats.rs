//! Models and configurations of every released version are read by this one, and mean what they meant: `golden/models` and
//! `golden/settings`. A newer one is refused with a sentence and stays as it was. For data directories see `golden.rs` and
//! `directories.rs`.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use upbeat_server::config::Config;

use super::listeners::likely;
use super::support::*;

fn golden(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/golden").join(kind)
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a command and returns what it says, if it ends with `status`.
#[track_caller]
fn run(arguments: &[&str], status: i32) -> Output {
    let output = upbeat().args(arguments).output().expect("it runs");
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {output:?}");
    output
}

/// Labels and scores as they were when the model was kept.
fn assert_scores_as_before(model: &Path, name: &str) {
    let rows = golden("models").join("rows.txt");
    let arguments = ["predict", &rows.display().to_string(), "--model", &model.display().to_string()];
    let predicted = String::from_utf8(run(&arguments, 0).stdout).expect("text");
    let before = text(&golden("models").join(format!("{name}.predictions")));
    assert_eq!(predicted.lines().count(), before.lines().count(), "{name}");
    for (now, before) in predicted.lines().zip(before.lines()) {
        let [now, before] = [now, before].map(|line| line.split_once(' ').expect("a label and a score"));
        assert_eq!(now.0, before.0, "{name}");
        let [now, before] = [now.1, before.1].map(|score| score.parse::<f64>().expect("a number"));
        assert!((now - before).abs() <= 1e-9 * before.abs().max(1.0), "{name}: {now} was {before}");
    }
}

#[test]
fn models_of_every_released_version_score_as_they_did_and_serve() {
    for name in ["linear-3.json", "rbf-3.json"] {
        let model = golden("models").join(name);
        let path = model.display().to_string();
        run(&["model", "check", &path], 0);
        assert_scores_as_before(&model, name);
        let server = Server::with(&["--model", &path], &[]);
        server.load("/events", NDJSON, likely("48"));
        let answer = server.get("/should-show-ad/48?dry_run=true").ok();
        assert!(answer["score"].is_number() && answer["probability"].is_number(), "{name}: {answer}");
    }
}

#[test]
fn models_of_other_programs_are_imported_as_they_were() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["linear.libsvm", "rbf.libsvm", "linear.liblinear"] {
        let (theirs, ours) = (golden("models").join(name), folder.path().join(format!("{name}.json")));
        run(&["model", "import", &theirs.display().to_string(), "-o", &ours.display().to_string()], 0);
        assert_scores_as_before(&ours, name);
    }
}

#[test]
fn model_of_a_newer_version_is_refused_with_both_versions_and_stays_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("newer.json");
    let newer = text(&golden("models").join("linear-3.json")).replace("\"version\":3", "\"version\":4");
    std::fs::write(&path, &newer).expect("a file");
    let name = path.display().to_string();
    let server = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--in-memory"];
    let serve = [&server[..], &["--model", &name]].concat();
    let check = ["serve", "--check-config", "--model", &name];
    for (arguments, status) in [(&["model", "check", &name][..], 1), (&serve, 1), (&check, 2)] {
        let said = String::from_utf8(run(arguments, status).stderr).expect("text");
        assert!(said.contains(&name) && said.contains("is 4") && said.contains("1 to 3"), "{said}");
    }
    assert_eq!(text(&path), newer);
}

/// Each key of `golden`, with its value in `config`.
fn assert_means(golden: &toml::Table, config: &Value, path: &str) {
    for (key, value) in golden {
        let (path, now) = (format!("{path}{key}"), &config[key]);
        match value {
            toml::Value::Table(table) => assert_means(table, now, &format!("{path}.")),
            value => {
                let value = serde_json::to_value(value).expect("JSON");
                // Numbers of bytes may be written as numbers, and are told as texts.
                let same = &value == now || is_same_number(&value, now);
                assert!(same, "{path} was {value} and is {now}");
            }
        }
    }
}

fn is_same_number(before: &Value, now: &Value) -> bool {
    before.as_f64().is_some_and(|before| now.as_f64() == Some(before))
}

#[test]
fn configuration_of_every_released_version_means_what_it_meant() {
    let path = golden("settings").join("1.toml");
    run(&["serve", "--check-config", "--config", &path.display().to_string()], 0);
    let config = Config::load(Some(&text(&path)), std::iter::empty()).expect("a configuration");
    let told = serde_json::to_value(&config).expect("JSON");
    let golden: toml::Table = toml::from_str(&text(&path)).expect("TOML");
    assert_means(&golden, &told, "");
    let default = serde_json::to_value(Config::default()).expect("JSON");
    let unchanged: Vec<_> = golden.keys().filter(|key| default[*key] == told[*key]).collect();
    assert_eq!(unchanged, Vec::<&String>::new(), "a value that is the default shows nothing");
}

#[test]
fn configuration_of_a_newer_version_is_refused_with_its_key_and_stays_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("upbeat.toml");
    let newer =
        text(&golden("settings").join("1.toml")).replace("[campaign.cap]", "[campaign.cap]\nphases = 3");
    std::fs::write(&path, &newer).expect("a file");
    let name = path.display().to_string();
    for check in [&["--check-config"][..], &[]] {
        let said = run(&[&["serve", "--config", &name], check].concat(), 2).stderr;
        let said = String::from_utf8(said).expect("text");
        assert!(said.contains(&name) && said.contains("phases"), "{said}");
    }
    assert_eq!(text(&path), newer);
}
