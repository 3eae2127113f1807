//! Models over HTTP: which are known, which decides, and that a promotion holds whatever becomes of the process and the document.

use std::path::Path;

use serde_json::{Value, json};

use super::backups::{Elsewhere, assert_done, backup, restore};
use super::campaigns::{Files, history, open, put, put_with};
use super::durability::{Kept, kill};
use super::listeners::likely;
use super::support::*;

/// A model that ships, and its id.
pub(super) fn shipped(name: &str) -> (String, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("model");
    let text = std::fs::read_to_string(root.join(format!("impression/{name}.json"))).expect("a model");
    let model = upbeat_svm::Model::read(text.as_bytes()).expect("a model");
    (model.id().to_owned(), text)
}

pub(super) fn upload(server: &Server, id: &str, text: &str) -> Answer {
    let headers = [("content-type", JSON)];
    server.ask("PUT", &server.admin, &format!("/models/{id}"), &headers, text.as_bytes())
}

pub(super) fn promote(server: &Server, id: &str, campaign: &str) -> Answer {
    let path = format!("/models/{id}/promote?campaign={campaign}");
    server.ask("POST", &server.admin, &path, &[("x-upbeat-user", "ada")], b"")
}

pub(super) fn models(server: &Server) -> Vec<Value> {
    server.admin_get("/models").ok().as_array().expect("an array").clone()
}

/// The models of a campaign with this role.
pub(super) fn of_role(server: &Server, campaign: &str, role: &str) -> Vec<String> {
    let is = |model: &&Value| model["campaign"] == campaign && model["role"] == role;
    let models = models(server);
    models.iter().filter(is).map(|model| model["id"].as_str().expect("an id").to_owned()).collect()
}

/// The model by which the next decision is made, which counts nothing; `GET /models` must agree.
#[track_caller]
pub(super) fn decides(server: &Server, campaign: &str) -> String {
    let decision = server.get(&format!("/should-show-ad/48?preview={campaign}")).ok();
    let id = decision["model"].as_str().expect("an id").to_owned();
    assert_eq!(of_role(server, campaign, "champion"), std::slice::from_ref(&id), "{decision}");
    id
}

/// Two campaigns that name the same model.
pub(super) fn two() -> String {
    let of = |id: &str| open(id).replace("threshold = { score = -1e9 }", "threshold = { probability = 0.0 }");
    of("one") + &of("two")
}

/// A server of [`two`] campaigns, which knows a listener who is likely to click.
pub(super) fn serving_two(kept: &Kept) -> Server {
    let server = kept.start();
    server.load("/events", NDJSON, likely("48"));
    put(&server, &two());
    server
}

#[test]
fn promoted_model_decides_at_once_for_its_campaign_alone_and_a_former_one_comes_back() {
    let kept = Kept::new();
    let server = serving_two(&kept);
    let (first, _) = shipped("gold-one-day");
    let (other, text) = shipped("facebook-like");
    assert_eq!(decides(&server, "one"), first);
    promote(&server, &other, "one").problem(404, "model-not-found");
    assert_eq!(upload(&server, &other, &text).status, 201);
    let again = upload(&server, &other, &text);
    assert_eq!((again.status, &again.json()["role"]), (200, &json!("uploaded")), "it is known");
    let uploaded = models(&server).into_iter().find(|model| model["id"] == *other).expect("it is known");
    assert_eq!((&uploaded["campaign"], &uploaded["label"]), (&Value::Null, &json!("impression")));

    let version = promote(&server, &other, "one").ok();
    assert_eq!(version["changed"], json!([format!("one: model {first} → {other}")]));
    assert_eq!(version["who"], "ada");
    assert_eq!(history(&server).last(), Some(&version));
    assert_eq!((decides(&server, "one"), decides(&server, "two")), (other.clone(), first.clone()));
    assert_eq!(of_role(&server, "one", "former"), std::slice::from_ref(&first));
    assert_eq!(upload(&server, &other, &text).ok()["role"], "champion", "it is known by more now");
    // What decides already changes nothing.
    assert_eq!(promote(&server, &other, "one").ok(), version);
    let champion = models(&server).into_iter().find(|model| model["id"] == *other).expect("it decides");
    assert_eq!((&champion["promoted"], &champion["source"]), (&json!(true), &json!("uploaded")));
    assert_eq!(champion["learning"]["promotions"].as_array().expect("a list").len(), 1);

    // Rolling back is promoting an earlier id.
    let version = promote(&server, &first, "one").ok();
    assert_eq!(version["changed"], json!([format!("one: model {other} → {first}")]));
    assert_eq!(decides(&server, "one"), first);
    assert_eq!(of_role(&server, "one", "former"), [other]);
    assert_eq!(server.metric("upbeat_learning_promotions_total"), 2.0);
}

#[test]
fn promoted_model_stays_over_restarts_kills_reloads_and_documents_that_give_the_same_name() {
    let files = Files::new(&[("upbeat.toml", ""), ("campaigns.toml", &two())]);
    let kept = Kept::new();
    let mut server = files.start(&kept);
    server.load("/events", NDJSON, likely("48"));
    let (other, text) = shipped("facebook-like");
    let (first, _) = shipped("gold-one-day");
    upload(&server, &other, &text);
    promote(&server, &other, "one").ok();
    let versions = history(&server);

    server.signal("TERM");
    server.ended();
    let server = files.start(&kept);
    assert_eq!((decides(&server, "one"), decides(&server, "two")), (other.clone(), first.clone()));
    kill(server);
    let server = files.start(&kept);
    assert_eq!(decides(&server, "one"), other);
    assert_eq!(history(&server), versions, "no start has changed anything");

    server.signal("HUP");
    until("the reload", || server.stderr_text().contains("model read again"));
    assert_eq!(decides(&server, "one"), other);
    files.write("campaigns.toml", &(two() + "paused = true\n"));
    server.signal("HUP");
    until("the file is taken", || history(&server).len() > versions.len());
    assert_eq!(history(&server).last().expect("a version")["changed"], json!(["two: paused false → true"]));
    put(&server, &(two() + "min_plays = 1\n"));
    assert_eq!(decides(&server, "one"), other);

    // Another name is another model, and what was promoted does not come back with the former name.
    let (named, _) = shipped("charity-donation");
    put(&server, &two().replacen("\"gold-one-day\"", "\"charity-donation\"", 1));
    assert_eq!(decides(&server, "one"), named);
    let changed = history(&server).last().expect("a version")["changed"].to_string();
    assert!(changed.contains(&format!("one: model {other} → {named}")), "{changed}");
    put(&server, &two());
    assert_eq!(decides(&server, "one"), first);
    kill(server);
    let server = files.start(&kept);
    assert_eq!(decides(&server, "one"), first, "nor with a start");
}

#[test]
fn kill_at_any_moment_of_promotions_leaves_the_old_model_or_the_new_one_and_all_say_the_same() {
    let kept = Kept::new();
    let server = serving_two(&kept);
    let (one, text) = shipped("facebook-like");
    upload(&server, &one, &text);
    let (first, _) = shipped("gold-one-day");
    let mut server = Some(server);
    // Each round is killed a little later within a promotion.
    for round in 0..6 {
        let running = server.take().expect("it runs");
        let before = decides(&running, "one");
        let next = if before == first { &one } else { &first };
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| {
                let agent = agent();
                let path = format!("http://{}/models/{next}/promote?campaign=one", running.admin);
                let _ = agent.post(&path).send(&[][..]);
            });
            std::thread::sleep(std::time::Duration::from_micros(round * 700));
            running.signal("KILL");
            asked.join().expect("a thread");
        });
        kill(running);
        let restarted = kept.start();
        let after = decides(&restarted, "one");
        assert!(after == before || after == *next, "{after} is neither");
        let version = history(&restarted)
            .into_iter()
            .rfind(|version| version["changed"].to_string().contains(": model"));
        if let Some(version) = version {
            let changed = version["changed"].to_string();
            assert!(changed.contains(&format!("→ {after}")), "{changed}, and {after} decides");
        }
        server = Some(restarted);
    }
}

/// As a kill leaves them that comes between what a promotion means and the version that follows from it.
#[test]
fn start_makes_the_version_that_a_kill_has_prevented() {
    let kept = Kept::new();
    let server = serving_two(&kept);
    let (other, text) = shipped("facebook-like");
    let (first, _) = shipped("gold-one-day");
    upload(&server, &other, &text);
    let registry = kept.data.path().join("data/models/registry.json");
    let before = std::fs::read(&registry).expect("a registry");
    promote(&server, &other, "one").ok();
    let after = std::fs::read(&registry).expect("a registry");
    kill(server);
    // The registry of before, the version of after: what was recorded first counts.
    std::fs::write(&registry, &before).expect("a registry");
    let server = kept.start();
    assert_eq!(decides(&server, "one"), first);
    let last = history(&server).pop().expect("a version");
    assert_eq!(last["changed"], json!([format!("one: model {other} → {first}")]));
    kill(server);
    // The registry of after, the version of before.
    std::fs::write(&registry, &after).expect("a registry");
    let server = kept.start();
    assert_eq!(decides(&server, "one"), other);
    let last = history(&server).pop().expect("a version");
    assert_eq!(
        (&last["who"], &last["changed"]),
        (&json!("ada"), &json!([format!("one: model {first} → {other}")]))
    );
}

#[test]
fn model_that_is_none_or_another_or_of_another_window_is_refused_with_a_sentence() {
    let server = Server::start();
    let (id, text) = shipped("facebook-like");
    let detail = upload(&server, "198bfeb855bd", &text).problem(409, "other-model");
    assert!(detail.contains(&format!("/models/{id}")), "{detail}");
    let narrow = text.replace("\"plays\":256", "\"plays\":100");
    assert_ne!(narrow, text);
    let detail = upload(&server, &id, &narrow).problem(422, "invalid-model");
    assert!(detail.contains("window.plays = 100") && detail.contains("--window-plays 256"), "{detail}");
    upload(&server, &id, "{}").problem(422, "invalid-model");
    upload(&server, "..%2Fnames", &text).problem(404, "model-not-found");
    let path = format!("/models/{id}");
    server
        .ask("PUT", &server.admin, &path, &[("content-type", CSV)], b"")
        .problem(415, "unsupported-media-type");
    let gzip = [("content-type", JSON), ("content-encoding", "gzip")];
    server.ask("PUT", &server.admin, &path, &gzip, b"").problem(415, "unsupported-encoding");
    assert_eq!(models(&server).len(), 1, "nothing was taken");
}

#[test]
fn promotion_that_the_campaign_cannot_use_is_refused_and_the_old_model_decides() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48"));
    let profit = two().replace("threshold = { probability = 0.0 }", "threshold = \"profit\"");
    put(&server, &profit);
    let before = decides(&server, "one");
    let customer = include_str!("golden/models/linear-3.json");
    let id = upbeat_svm::Model::read(customer.as_bytes()).expect("a model").id().to_owned();
    assert_eq!(upload(&server, &id, customer).status, 201);
    let detail = promote(&server, &id, "one").problem(422, "invalid-model");
    assert!(detail.contains("label customer"), "{detail}");
    assert_eq!(decides(&server, "one"), before);
    promote(&server, &id, "three").problem(404, "campaign-not-found");
    let detail = server.ask("POST", &server.admin, &format!("/models/{id}/promote"), &[], b"");
    assert!(detail.problem(400, "invalid-query").contains("?campaign="));
    for path in [&format!("/models/{id}/promote?campaign=one"), "/retrain?campaign=one"] {
        for name in ["gate", "file", "schedule", "recovery"] {
            let asked = server.ask("POST", &server.admin, path, &[("x-upbeat-user", name)], b"");
            let detail = asked.problem(400, "invalid-header");
            assert!(detail.contains("stands for"), "{name}: {detail}");
        }
    }
    assert_eq!(history(&server).len(), 2, "no version was made");
}

#[test]
fn promotions_at_once_are_made_one_after_the_other() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48"));
    put(&server, &two());
    let all: Vec<_> = ["gold-one-day", "facebook-like", "charity-donation"].map(shipped).into();
    for (id, text) in &all {
        assert!(matches!(upload(&server, id, text).status, 200 | 201));
    }
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asked = all.iter().cycle().take(12).map(|(id, _)| {
            let server = &server;
            scope.spawn(move || {
                let agent = agent();
                let path = format!("/models/{id}/promote?campaign=one");
                ask(&agent, "POST", &server.admin, &path, &[], b"").ok()
            })
        });
        let asked: Vec<_> = asked.collect();
        asked.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    assert_eq!(answers.len(), 12);
    // Each version begins where the one before ended.
    let mut now = shipped("gold-one-day").0;
    for version in history(&server) {
        let changed = version["changed"].to_string();
        if let Some((from, to)) = changed.split_once(": model ").and_then(|(_, rest)| rest.split_once(" → "))
        {
            assert_eq!(from, now);
            now = to.chars().take_while(char::is_ascii_hexdigit).collect();
        }
    }
    assert_eq!(decides(&server, "one"), now);
}

#[test]
fn document_that_asks_more_than_the_promoted_model_can_judge_is_refused() {
    let server = Server::start();
    put(&server, &open("one"));
    let customer = include_str!("golden/models/linear-3.json");
    let id = upbeat_svm::Model::read(customer.as_bytes()).expect("a model").id().to_owned();
    upload(&server, &id, customer);
    promote(&server, &id, "one").ok();
    let profit = open("one").replace("threshold = { score = -1e9 }", "threshold = \"profit\"");
    let detail = put_with(&server, &profit, &[]).problem(422, "invalid-campaigns");
    assert!(detail.contains(&id), "it names the model that decides: {detail}");
}

#[test]
fn files_of_models_that_never_decided_go_with_the_last_ten() {
    let kept = Kept::new();
    let server = kept.start();
    let (_, text) = shipped("facebook-like");
    let bias = text.find("\"bias\":").expect("a bias") + "\"bias\":".len();
    let sent: Vec<_> = (1..=12)
        .map(|number| {
            let other = format!(
                "{}-{number}.5{}",
                &text[..bias],
                &text[bias + text[bias..].find(',').expect("an end")..]
            );
            let id = upbeat_svm::Model::read(other.as_bytes()).expect("a model").id().to_owned();
            assert_eq!(upload(&server, &id, &other).status, 201);
            id
        })
        .collect();
    let is_there = |id: &String| kept.data.path().join(format!("data/models/{id}.json")).is_file();
    assert_eq!(sent.iter().filter(|id| is_there(id)).count(), 10);
    assert!(!is_there(&sent[0]) && !is_there(&sent[1]), "the oldest go");
    let listed = models(&server).iter().filter(|model| model["role"] == "uploaded").count();
    assert_eq!(listed, 10);
}

#[test]
fn backup_has_the_registry_and_what_was_promoted_decides_where_it_is_restored() {
    let kept = Kept::new();
    let server = serving_two(&kept);
    let (other, text) = shipped("facebook-like");
    upload(&server, &other, &text);
    promote(&server, &other, "one").ok();
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy");
    assert_done(&backup(&server, &copy, &[]));
    let elsewhere = Elsewhere::new();
    assert_done(&restore(&copy, &elsewhere.directory()));
    let restored = elsewhere.0.start();
    assert_eq!(decides(&restored, "one"), other);
    assert_eq!(history(&restored), history(&server));
}
