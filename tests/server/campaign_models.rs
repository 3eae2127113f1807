//! The models of campaigns: files that change under their names make versions, and what decided once is kept whatever becomes of them.

use std::path::Path;

use serde_json::{Value, json};

use super::backups::{Elsewhere, assert_done, backup, restore};
use super::campaigns::{Files, history, in_force, open, put, put_with};
use super::durability::{Kept, kill};
use super::export_decisions::exported;
use super::listeners::{likely, unlikely};
use super::support::*;

/// A model of impressions that ships.
pub(super) fn shipped(name: &str) -> String {
    let path = format!("{}/model/impression/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("a model")
}

/// Four campaigns with a model file each. The first has the name of a model that ships, and is another; the last shows to nobody.
fn four() -> Files {
    let of = |id: &str, model: &str| open(id).replace("\"gold-one-day\"", &format!("\"{model}\""));
    let campaigns = of("a", "gold-one-day") + &of("b", "two") + &of("c", "three") + &of("d", "four");
    let campaigns =
        campaigns.replace("AD_d\"\nthreshold = { score = -1e9 }", "AD_d\"\nthreshold = { score = 1e9 }");
    Files::new(&[
        ("upbeat.toml", ""),
        ("campaigns.toml", &campaigns),
        ("models/gold-one-day.json", &shipped("facebook-like")),
        ("models/two.json", &shipped("gold-one-day")),
        ("models/three.json", &shipped("charity-donation")),
        ("models/four.json", &shipped("free-referral")),
    ])
}

/// What each campaign would answer of each customer by itself: its model, score and probability.
fn previews(server: &Server) -> Vec<Value> {
    let mut told = Vec::new();
    for customer in ["48", "49"] {
        for campaign in ["a", "b", "c", "d"] {
            let answer = server.get(&format!("/should-show-ad/{customer}?preview={campaign}")).ok();
            assert!(answer["score"].is_number() && answer["model"].is_string(), "{answer}");
            told.push(json!([
                campaign,
                answer["model"],
                answer["score"],
                answer["probability"],
                answer["reason"]
            ]));
        }
    }
    told
}

fn model_of(server: &Server, campaign: &str) -> String {
    let answer = server.get(&format!("/should-show-ad/48?preview={campaign}")).ok();
    answer["model"].as_str().expect("an id").to_owned()
}

pub(super) fn is_kept(kept: &Kept, model: &str) -> bool {
    Path::new(&kept.directory()).join(format!("models/{model}.json")).is_file()
}

#[test]
fn model_file_that_changed_is_a_version_and_earlier_decisions_keep_naming_the_old_model() {
    let (files, kept) = (four(), Kept::new());
    let mut server = files.start(&kept);
    server.load("/events", NDJSON, likely("48") + &unlikely("49"));
    let (versions, tag) = (history(&server).len(), server.admin_get("/campaigns").header("etag").to_owned());
    let text = in_force(&server);
    let old = model_of(&server, "d");
    // A decision that shows nothing, by the model of `d`, as the others rest.
    let resting: String = "paused = true\nid = ".into();
    let toml = text.replacen("id = ", &resting, 3);
    assert_eq!(put(&server, &toml).0, versions as u64 + 1);
    let before = server.decide("48");
    assert_eq!((&before["reason"], &before["model"]), (&json!("unlikely_to_click"), &json!(old)));

    files.write("models/four.json", &shipped("gold-one-day"));
    server.signal("HUP");
    until("the new model scores", || model_of(&server, "d") != old);
    let new = model_of(&server, "d");
    let told = history(&server);
    let last = told.last().expect("a version");
    assert_eq!(told.len(), versions + 2);
    assert_eq!(last["changed"], json!([format!("model four: {old} → {new}")]));
    assert_eq!((&last["who"], &last["version"]), (&json!("file"), &json!(versions + 2)));
    assert_eq!(in_force(&server), toml, "the file of campaigns has not changed, and undoes nothing");
    assert_ne!(server.admin_get("/campaigns").header("etag"), tag);
    assert_eq!(server.metric("upbeat_campaigns_version"), versions as f64 + 2.0);
    let after = server.decide("49");
    assert_eq!(after["model"], json!(new));
    assert!(is_kept(&kept, &old) && is_kept(&kept, &new));

    // Read again, it has not changed.
    let reloads = || server.stderr_text().matches("model read again").count();
    until("the change is logged", || {
        server.stderr_text().lines().any(|line| line.contains(&format!("model four: {old} → {new}")))
    });
    until("the reload is over", || reloads() == 1);
    server.signal("HUP");
    until("the next one is over", || reloads() == 2);
    assert_eq!(history(&server), told);
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    drop(server);

    let rows = exported("decisions", &["--from", &kept.directory(), "-o", "/dev/stdout"]);
    for answer in [before, after] {
        let row = rows.iter().find(|row| json!(row["decision_id"]) == answer["decision_id"]);
        let row = row.expect("it is there");
        assert_eq!(json!(row["model"]), answer["model"]);
        let score: f64 = row["score"].parse().expect("a number");
        assert_eq!(Some(score), answer["score"].as_f64(), "by the model that decided");
    }

    // A file that changes while nobody serves is a version of the next start, and of that one alone.
    files.write("models/four.json", &shipped("free-referral"));
    for _ in 0..2 {
        let server = files.start(&kept);
        let last = history(&server).pop().expect("a version");
        assert_eq!(last["version"], versions + 3);
        assert_eq!(last["changed"], json!([format!("model four: {new} → {old}")]));
        assert_eq!(model_of(&server, "d"), old);
        kill(server);
    }
}

#[test]
fn model_file_that_is_broken_changes_no_campaign_and_no_model() {
    let (files, kept) = (four(), Kept::new());
    let server = files.start(&kept);
    server.load("/events", NDJSON, likely("48") + &unlikely("49"));
    let (before, told, text) = (previews(&server), history(&server), in_force(&server));
    let path = |name: &str| files.path(name).display().to_string();
    let mut refused = 0.0;
    // One of them is good and another, and so are the campaigns.
    files.write("models/two.json", &shipped("free-referral"));
    files.write("campaigns.toml", &format!("{text}# And a note.\n"));
    let customer = include_str!("golden/models/linear-3.json");
    let cases = [
        (
            shipped("free-referral").replace("\"version\":3", "\"version\":9"),
            path("models/four.json"),
            "version",
        ),
        ("no model".to_owned(), path("models/four.json"), "JSON"),
        (String::new(), path("models/four.json"), ""),
        (customer.to_owned(), path("campaigns.toml"), "campaign[3].model"),
    ];
    for (model, whence, said) in cases {
        files.write("models/four.json", &model);
        server.signal("HUP");
        refused += 1.0;
        until("the refusal is counted", || server.metric("upbeat_campaigns_refused_total") == refused);
        // The log is read by a thread of the test.
        until("the refusal is logged with its place", || {
            let log = server.stderr_text();
            let last = log.lines().rfind(|line| line.contains("not read again"));
            last.is_some_and(|last| last.contains(&whence) && last.contains(said) && last.contains("ERROR"))
        });
        assert_eq!((previews(&server), history(&server)), (before.clone(), told.clone()));
        assert_eq!(in_force(&server), text);
        // Over HTTP the same, with the line that names the model.
        let put = put_with(&server, &format!("{text}# Put.\n"), &[]);
        let detail = put.problem(422, "invalid-campaigns");
        assert!(detail.contains(said), "{said} in {detail}");
        assert_eq!((&put.json()["path"], &put.json()["line"]), (&json!("campaign[3].model"), &json!(20)));
        assert_eq!((previews(&server), history(&server)), (before.clone(), told.clone()));
    }
    kill(server);

    // What was refused is not what a name means once its file is gone.
    files.write("campaigns.toml", &text);
    std::fs::remove_dir_all(files.path("models")).expect("a folder");
    let server = files.start(&kept);
    assert_eq!((previews(&server), history(&server)), (before, told));
}

#[test]
fn models_are_back_without_their_files_after_a_restart_and_after_a_restore() {
    let (files, kept, elsewhere) = (four(), Kept::new(), Elsewhere::new());
    let server = files.start(&kept);
    server.load("/events", NDJSON, likely("48") + &unlikely("49"));
    let (before, told) = (previews(&server), history(&server));
    let ids: std::collections::BTreeSet<_> = before.iter().map(|of| of[1].to_string()).collect();
    assert_eq!(ids.len(), 4, "four models: {before:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy");
    assert_done(&backup(&server, &copy, &[]));
    kill(server);

    std::fs::remove_dir_all(files.path("models")).expect("a folder");
    let server = files.start(&kept);
    assert_eq!(previews(&server), before);
    assert_eq!(history(&server), told, "the same models are no version");
    until("it is said", || server.stderr_text().contains("the file of a model is gone"));
    kill(server);

    // Where neither the campaigns' file nor those of the models ever were.
    assert_done(&restore(&copy, &elsewhere.directory()));
    for _ in 0..2 {
        let server = elsewhere.0.start();
        assert_eq!(previews(&server), before);
        assert_eq!(in_force(&server), std::fs::read_to_string(files.path("campaigns.toml")).expect("a text"));
        assert_eq!(history(&server), told);
        kill(server);
    }
}
