//! SIGHUP reads the model file again while requests are answered.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::listeners::likely;
use super::support::{NDJSON, Server, until};
use super::wire::Wire;

/// The model that ships, with another bias: likely listeners become unlikely ones.
fn averse_model() -> String {
    let text = include_str!("../../model/default.json");
    let averse = text.replace("\"bias\":-", "\"bias\":-1");
    assert_ne!(text, averse);
    averse
}

#[test]
fn sighup_swaps_the_model_and_a_bad_file_keeps_the_old_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("model.json");
    std::fs::write(&path, include_str!("../../model/default.json")).expect("a file");
    let server = Server::with(&["--model", path.to_str().expect("UTF-8")], &[]);
    server.load("/events", NDJSON, likely("48"));
    let decide = || server.get("/should-show-ad/48?dry_run=true").ok();
    let model = || decide()["model"].as_str().expect("an id").to_owned();
    assert_eq!(decide()["reason"], "likely_to_click");
    let first = model();

    std::fs::write(&path, "no model").expect("a file");
    server.signal("HUP");
    until("the bad file is reported", || server.stderr_text().contains("model not read again"));
    assert_eq!(model(), first);

    std::fs::write(&path, averse_model()).expect("a file");
    server.signal("HUP");
    until("the new model answers", || model() != first);
    assert_eq!(decide()["reason"], "unlikely_to_click", "the score is recomputed");
    assert_eq!(server.admin_get("/models").ok()[0]["id"].as_str(), Some(&*model()));
}

/// The model that ships, with weights of 0.
fn constant_model() -> String {
    let text = include_str!("../../model/default.json");
    let (before, rest) = text.split_once("\"weights\":[").expect("weights");
    let (weights, after) = rest.split_once(']').expect("an end");
    let zeros = vec!["0.0"; weights.split(',').count()].join(",");
    format!("{before}\"weights\":[{zeros}]{after}").replace("\"constant\":false", "\"constant\":true")
}

#[test]
fn log_says_at_start_and_at_reload_that_a_model_scores_all_listeners_alike() {
    const NOTE: &str = "the model scores all listeners alike and tells none from another";
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("model.json");
    let argument = path.to_str().expect("UTF-8");
    std::fs::write(&path, constant_model()).expect("a file");
    let server = Server::with(&["--model", argument], &[]);
    let id = server.admin_get("/models").ok()[0]["id"].as_str().expect("an id").to_owned();
    let warnings = || -> Vec<String> {
        server.stderr_text().lines().filter(|line| line.contains(NOTE)).map(str::to_owned).collect()
    };
    until("the start's warning", || warnings().len() == 1);
    assert!(warnings()[0].contains("WARN") && warnings()[0].contains(&id), "{:?}", warnings());

    // A model that tells listeners apart has no such line, whether at reload or at start.
    std::fs::write(&path, include_str!("../../model/default.json")).expect("a file");
    server.signal("HUP");
    until("the reload", || server.stderr_text().contains("model read again"));
    assert_eq!(warnings().len(), 1);
    let other = Server::with(&["--model", argument], &[]);
    other.load("/events", NDJSON, likely("48"));
    assert!(!other.stderr_text().contains(NOTE), "{}", other.stderr_text());

    std::fs::write(&path, constant_model()).expect("a file");
    server.signal("HUP");
    until("the reload's warning", || warnings().len() == 2);
    assert!(warnings()[1].contains("WARN") && warnings()[1].contains(&id), "{:?}", warnings());
}

#[test]
fn log_says_at_start_and_at_reload_that_the_solver_of_a_model_did_not_converge() {
    let shipped = include_str!("../../model/default.json");
    let unconverged = shipped.replace("\"converged\":true", "\"converged\":false");
    assert_ne!(unconverged, shipped);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("model.json");
    std::fs::write(&path, &unconverged).expect("a file");
    let server = Server::with(&["--model", path.to_str().expect("UTF-8")], &[]);
    let warnings = || server.stderr_text().matches("before it converged").count();
    until("the start's warning", || warnings() == 1);
    assert_eq!(server.admin_get("/models").ok()[0]["converged"], false);
    std::fs::write(&path, shipped).expect("a file");
    server.signal("HUP");
    until("the reload", || server.stderr_text().contains("model read again"));
    assert_eq!(server.admin_get("/models").ok()[0]["converged"], true);
    assert_eq!(warnings(), 1);
    std::fs::write(&path, &unconverged).expect("a file");
    server.signal("HUP");
    until("the reload's warning", || warnings() == 2);
}

/// The model that ships, with a seventh feature in every place.
fn wider_model() -> String {
    let mut text = include_str!("../../model/default.json").to_owned();
    for (before, after) in [
        ("\"unique_tracks\"],\"count\":6", "\"unique_tracks\",\"seventh\"],\"count\":7"),
        ("\"mean\":[", "\"mean\":[0.5,"),
        ("\"scale\":[", "\"scale\":[0.5,"),
        ("\"weights\":[", "\"weights\":[0.5,"),
    ] {
        assert_eq!(text.matches(before).count(), 1, "{before}");
        text = text.replace(before, after);
    }
    text
}

#[test]
fn bad_models_under_load_cost_no_answer_and_leave_the_model_in_force() {
    const ROUNDS: usize = 10;
    let shipped = include_str!("../../model/default.json");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("model.json");
    std::fs::write(&path, shipped).expect("a file");
    let server = Server::with(&["--model", path.to_str().expect("UTF-8")], &[]);
    server.load("/events", NDJSON, likely("48"));
    // The answer of each model: its id, and what it says of the customer.
    let ask = |wire: &mut Wire| {
        wire.send("GET /should-show-ad/48?dry_run=true HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let answer = wire.answer().ok();
        let text = |key: &str| answer[key].as_str().expect("text").to_owned();
        (text("model"), text("reason"))
    };
    let mut main = server.wire();
    let likely = ask(&mut main);
    assert_eq!(likely.1, "likely_to_click");
    let bad = [
        shipped[..shipped.len() / 2].to_owned(),
        shipped.replace("\"bias\":-", "\"bias\":NaN,\"was\":-"),
        shipped.replace("\"weights\":[-0.", "\"weights\":[-1e999"),
        wider_model(),
    ];
    assert!(bad.iter().all(|model| model != shipped));

    let is_over = AtomicBool::new(false);
    let answers = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut wire = server.wire();
                while !is_over.load(Ordering::Relaxed) {
                    *answers.lock().expect("no panic").entry(ask(&mut wire)).or_insert(0) += 1;
                }
            });
        }
        let end = EndOnDrop(&is_over);
        let reload = |model: &str, said: &str| {
            let count = || server.stderr_text().matches(said).count();
            let before = count();
            std::fs::write(&path, model).expect("a file");
            server.signal("HUP");
            until("the reload is reported", || count() > before);
        };
        let mut in_force = likely.clone();
        for round in 0..ROUNDS {
            for model in &bad {
                reload(model, "model not read again");
                assert_eq!(ask(&mut main), in_force, "round {round}");
            }
            let averse = averse_model();
            reload(if round % 2 == 0 { &averse } else { shipped }, "model read again");
            let now = ask(&mut main);
            assert_ne!(now.0, in_force.0, "round {round}");
            in_force = now;
        }
        drop(end);
    });
    let answers = answers.into_inner().expect("no panic");
    // Each answer has the id of the model that made it, so there are two kinds and not four.
    let kinds: Vec<_> = answers.keys().map(|(model, reason)| (*model == likely.0, reason.as_str())).collect();
    assert_eq!(kinds.len(), 2, "{answers:?}");
    assert!(kinds.contains(&(true, "likely_to_click")) && kinds.contains(&(false, "unlikely_to_click")));
}

/// Ends the load, also where an assertion fails before: the threads would be waited for.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
