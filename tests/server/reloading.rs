//! SIGHUP reads the model file again while requests are answered.

use super::listeners::likely;
use super::support::{NDJSON, Server, until};

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
    assert_eq!(server.admin_get("/models").ok()["models"][0]["id"].as_str(), Some(&*model()));
}
