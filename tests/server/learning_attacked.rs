//! What goes wrong with models and their jobs: the champion stays in force, and a sentence says why.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::campaigns::{history, open, put};
use super::durability::{Kept, kill};
use super::learn_job::{ATTRIBUTION_S, Service};
use super::learning::{begun, child_of, ended, send, sentence, stopped_amid};
use super::listeners::{likely, membership, plays};
use super::models::{decides, models, of_role, promote, serving_two, shipped, upload};
use super::support::*;

#[test]
fn promoted_model_whose_file_is_gone_or_another_leaves_the_one_that_is_named_and_says_so() {
    let kept = Kept::new();
    let mut server = serving_two(&kept);
    let (other, text) = shipped("facebook-like");
    let (first, _) = shipped("gold-one-day");
    let file = kept.data.path().join(format!("data/models/{other}.json"));
    // Gone, cut short, and the file of another model.
    let (_, of_another) = shipped("charity-donation");
    for damaged in [None, Some(&text[..100]), Some(&*of_another)] {
        upload(&server, &other, &text);
        // The copy that was damaged the last time is whole again.
        assert_eq!(std::fs::read_to_string(&file).expect("a file").trim_end(), text.trim_end());
        promote(&server, &other, "one").ok();
        assert_eq!(decides(&server, "one"), other);
        kill(server);
        match damaged {
            None => std::fs::remove_file(&file).expect("a file"),
            Some(damaged) => std::fs::write(&file, damaged).expect("a file"),
        }
        server = kept.start();
        assert_eq!(decides(&server, "one"), first);
        let champion =
            models(&server).into_iter().find(|model| model["campaign"] == "one").expect("a champion");
        let said = champion["learning"]["last_job"]["sentence"].as_str().expect("a sentence").to_owned();
        let path = format!("models/{other}.json");
        assert!(said.contains("cannot be served any more") && said.contains(&path), "{said}");
        let last = history(&server).pop().expect("a version");
        assert_eq!(last["changed"], json!([format!("one: model {other} → {first}")]));
    }
}

#[test]
fn model_whose_file_is_damaged_is_not_promoted_until_it_is_sent_again() {
    let kept = Kept::new();
    let server = serving_two(&kept);
    let (other, text) = shipped("facebook-like");
    let (first, _) = shipped("gold-one-day");
    upload(&server, &other, &text);
    let (_, of_another) = shipped("charity-donation");
    for damaged in [&text[..100], &*of_another, ""] {
        std::fs::write(kept.data.path().join(format!("data/models/{other}.json")), damaged).expect("a file");
        let detail = promote(&server, &other, "one").problem(422, "invalid-model");
        assert!(detail.contains(&format!("PUT /models/{other}")), "{detail}");
        assert_eq!(decides(&server, "one"), first);
        upload(&server, &other, &text).ok();
        promote(&server, &other, "one").ok();
        assert_eq!(decides(&server, "one"), other);
        promote(&server, &first, "one").ok();
    }
}

#[test]
fn registry_that_is_damaged_or_of_another_version_is_refused_at_the_start_with_what_to_do() {
    let kept = Kept::new();
    kill(kept.start());
    let file = kept.data.path().join("data/models/registry.json");
    let whole = std::fs::read_to_string(&file).expect("a registry");
    assert!(whole.starts_with("{\"format\":1,"), "{whole}");
    let later = whole.replacen("\"format\":1", "\"format\":2", 1).replace("\"registry\"", "\"models\"");
    let more = whole.replacen("\"campaigns\"", "\"more\":1,\"campaigns\"", 1);
    for (damaged, said) in [
        ("", "EOF"),
        ("{", "EOF"),
        (&whole[..whole.len() / 2], "EOF"),
        ("{}", "format"),
        ("\0\0\0\0", "expected value"),
        (&*later, "it has format 2, and this version of upbeat reads 1"),
        (&*more, "unknown field `more`"),
    ] {
        std::fs::write(&file, damaged).expect("a file");
        let error = kept.refused(&[]);
        for said in [said, "models/registry.json", "put it back from a backup, or remove it"] {
            assert!(error.contains(said), "{said}: {error}");
        }
    }
    std::fs::remove_file(&file).expect("a file");
    kept.start();
}

/// What the last job of a campaign came to, as `GET /models` has it.
fn last_said(server: &Server, campaign: &str) -> String {
    let champion =
        models(server).into_iter().find(|model| model["campaign"] == campaign && model["role"] == "champion");
    let said = champion.expect("a champion")["learning"]["last_job"]["sentence"].clone();
    said.as_str().expect("a sentence").to_owned()
}

#[test]
fn ads_without_labels_and_ads_of_one_class_train_nothing_and_the_champion_stays_in_force() {
    let mut service = Service::start_with(&[("UPBEAT_LEARN_MIN_LABELS", "100")], "mode = \"auto\"");
    let customers: Vec<_> = (0..1_500).map(|number| format!("nobody-{number}-{}", number % 7)).collect();
    let mut lines = String::new();
    for (number, customer) in customers.iter().enumerate() {
        lines += &plays(customer, number % 7);
        let _ = writeln!(lines, "{}", membership(customer, 1, "free", 90_000));
    }
    service.radio.server.load("/events", NDJSON, lines);
    let before = of_role(&service.radio.server, "offer", "champion");
    let shown = service.radio.decide_all(&customers).iter().filter(|answer| answer["show"] == true).count();
    assert!(shown > 400, "{shown}");
    for (passes_s, said) in
        [(0, "has a label yet"), (ATTRIBUTION_S + 60, "one class tells nobody from another")]
    {
        service.radio.turn_to(service.radio.now_s + passes_s);
        let server = &service.radio.server;
        let job = ended(server, &begun(server, "offer"));
        assert_eq!(job["outcome"], "no_model", "{job}");
        for said in ["the champion stays in force", said] {
            assert!(sentence(&job).contains(said), "{said}: {job}");
        }
        assert_eq!(last_said(server, "offer"), sentence(&job));
        assert_eq!(of_role(server, "offer", "champion"), before);
        assert!(of_role(server, "offer", "challenger").is_empty());
    }
}

/// The registry as a job leaves it that ran while the clock was a year ahead.
#[test]
fn challenger_that_was_registered_while_the_clock_was_a_year_ahead_makes_room_for_another() {
    let environment = [("UPBEAT_LEARN_MIN_LABELS", "100"), ("UPBEAT_LEARN_EVERY", "8760h")];
    let mut service = Service::start_with(&environment, "mode = \"auto\"");
    service.round();
    service.round();
    let server = &service.radio.server;
    let before = of_role(server, "offer", "champion");
    assert_eq!(ended(server, &begun(server, "offer"))["outcome"], "registered");
    service.radio.server.signal("TERM");
    service.radio.server.ended();
    let file = service.radio.kept.data.path().join("data/models/registry.json");
    let mut registry: Value = serde_json::from_slice(&std::fs::read(&file).expect("a file")).expect("JSON");
    let all = registry["registry"]["campaigns"].as_array_mut().expect("a list");
    let of = all.iter_mut().find(|of| of["campaign"] == "offer").expect("it is known");
    let year_ms = 365 * 86_400_000;
    for path in ["/challenger/fixed_ms", "/challenger/trained_until_ms", "/trained_until_ms"] {
        let time = of.pointer_mut(path).expect("a time");
        *time = json!(time.as_i64().expect("a time") + year_ms);
    }
    std::fs::write(&file, registry.to_string()).expect("a file");
    let again =
        [&environment[..], &[("UPBEAT_CLOCK", "event"), ("UPBEAT_LEARN_ATTRIBUTION", "10m")]].concat();
    service.radio.server = service.radio.kept.start_with(&again);
    let server = &service.radio.server;
    let job = ended(server, &begun(server, "offer"));
    assert_eq!(job["outcome"], "registered", "{job}");
    for said in ["The champion stays in force", "the clock had jumped ahead", "365.0 days"] {
        assert!(sentence(&job).contains(said), "{said}: {job}");
    }
    assert_eq!(of_role(server, "offer", "champion"), before);
    assert_eq!(of_role(server, "offer", "challenger").len(), 1);
}

/// Its bound is made small enough for a log of a few records, as soon as its server has bounded it.
#[test]
fn job_that_runs_out_of_memory_fails_alone_and_says_so() {
    let kept = Kept::new();
    let server = kept.start();
    server.load("/events", NDJSON, likely("48"));
    put(&server, &open("one"));
    let before = decides(&server, "one");
    // Not while it is loaded: then it is the system's loader that has no memory.
    let bounded = |process: u32| {
        let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
        if !maps.contains("[heap]") {
            return false;
        }
        let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap_or_default();
        let data =
            limits.lines().find(|line| line.starts_with("Max data size")).unwrap_or_default().to_owned();
        data.contains(&(2_u64 << 30).to_string())
    };
    let out_of_memory = || {
        let id = begun(&server, "one");
        let process = loop {
            match child_of(server.id()).filter(|process| bounded(*process)) {
                Some(process) => break process,
                None if has_ended(&server, &id) => return None,
                None => {}
            }
        };
        send("STOP", process);
        let limit = libc::rlimit { rlim_cur: 1 << 16, rlim_max: 1 << 16 };
        // SAFETY: the limit outlives the call, which touches no memory of this process.
        unsafe { libc::prlimit(process as libc::pid_t, libc::RLIMIT_DATA, &limit, std::ptr::null_mut()) };
        send("CONT", process);
        let job = ended(&server, &id);
        sentence(&job).contains("memory allocation of").then_some(job)
    };
    let job = (0..50).find_map(|_| out_of_memory()).expect("a job that ran out of memory");
    for said in
        ["The champion stays in force", "asks for more memory than it may have", "memory allocation of"]
    {
        assert!(sentence(&job).contains(said), "{said}: {job}");
    }
    assert_eq!(last_said(&server, "one"), sentence(&job));
    assert_eq!(decides(&server, "one"), before);
    assert_eq!(
        ended(&server, &begun(&server, "one"))["state"],
        "done",
        "the next one is as if nothing had been"
    );
}

#[test]
fn job_about_a_champion_or_a_campaign_that_is_gone_meanwhile_changes_nothing_and_says_so() {
    let kept = Kept::new();
    let server = serving_two(&kept);
    let (other, text) = shipped("facebook-like");
    upload(&server, &other, &text);
    let (id, process) = stopped_amid(&server, &kept, "one");
    promote(&server, &other, "one").ok();
    send("CONT", process);
    let job = ended(&server, &id);
    assert_eq!(job["outcome"], "failed", "{job}");
    assert!(sentence(&job).contains("was changed while the job ran"), "{job}");
    assert_eq!((decides(&server, "one"), last_said(&server, "one")), (other, sentence(&job).to_owned()));

    let (id, process) = stopped_amid(&server, &kept, "one");
    let waiting = begun(&server, "one");
    put(&server, &open("two"));
    send("CONT", process);
    let nothing = ended(&server, &waiting);
    assert_eq!(nothing["state"], "cancelled", "{nothing}");
    assert!(sentence(&nothing).contains("no campaign one runs any more"), "{nothing}");
    let job = ended(&server, &id);
    assert_eq!(job["outcome"], "failed", "{job}");
    assert!(sentence(&job).contains("the campaign one was removed while the job ran"), "{job}");
    assert!(of_role(&server, "one", "champion").is_empty());
}

/// A directory in the place of the registry's file is what nobody can write, whoever runs this.
#[test]
fn promotion_that_the_disk_does_not_take_changes_nothing() {
    let kept = Kept::new();
    let server = serving_two(&kept);
    let (other, text) = shipped("facebook-like");
    let (first, _) = shipped("gold-one-day");
    upload(&server, &other, &text);
    let (listed, versions) = (models(&server), history(&server));
    let registry = kept.data.path().join("data/models/registry.json");
    let whole = std::fs::read(&registry).expect("a registry");
    std::fs::remove_file(&registry).expect("a file");
    std::fs::create_dir(&registry).expect("a directory");
    let detail = promote(&server, &other, "one").problem(500, "internal");
    assert!(detail.contains("models/registry.json: cannot be written"), "{detail}");
    assert_eq!(decides(&server, "one"), first);
    assert_eq!((models(&server), history(&server)), (listed, versions));
    let left = std::fs::read_dir(registry.parent().expect("a directory")).expect("a directory");
    let left: Vec<_> = left.map(|entry| entry.expect("an entry").path()).collect();
    assert!(left.iter().all(|path| path.extension().is_some_and(|of| of == "json")), "{left:?}");
    std::fs::remove_dir(&registry).expect("a directory");
    std::fs::write(&registry, whole).expect("a file");
    promote(&server, &other, "one").ok();
    assert_eq!(decides(&server, "one"), other);
}

fn has_ended(server: &Server, id: &str) -> bool {
    !server.admin_get(&format!("/retrain/{id}")).ok()["ended"].is_null()
}
