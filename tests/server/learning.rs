//! Jobs that judge and train, over HTTP: what they come to, and that one that is killed or cancelled changes nothing.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::campaigns::{open, put};
use super::durability::Kept;
use super::learn_job::Service;
use super::listeners::{likely, unlikely};
use super::models::{decides, models, of_role, promote};
use super::support::*;

pub(super) fn retrain(server: &Server, campaign: &str) -> Answer {
    let path = format!("/retrain?campaign={campaign}");
    server.ask("POST", &server.admin, &path, &[("x-upbeat-user", "ada")], b"")
}

/// Begins a job that must be taken; its id.
#[track_caller]
pub(super) fn begun(server: &Server, campaign: &str) -> String {
    let answer = retrain(server, campaign);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let job = answer.json()["job"].as_str().expect("an id").to_owned();
    assert_eq!(answer.header("location"), format!("/retrain/{job}"));
    assert_eq!((&answer.json()["who"], &answer.json()["campaign"]), (&json!("ada"), &json!(campaign)));
    job
}

fn job(server: &Server, id: &str) -> Value {
    server.admin_get(&format!("/retrain/{id}")).ok()
}

pub(super) fn ended(server: &Server, id: &str) -> Value {
    until("the job has ended", || !job(server, id)["ended"].is_null());
    job(server, id)
}

pub(super) fn sentence(job: &Value) -> &str {
    job["sentence"].as_str().unwrap_or_else(|| panic!("{job}"))
}

pub(super) fn send(signal: &str, process: u32) {
    // It may have ended by itself.
    let _ = Command::new("kill").args([&format!("-{signal}"), &process.to_string()]).output();
}

/// The state of a process, and who has started it; `None` where it is gone.
pub(super) fn state_of(process: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut rest = stat.rsplit_once(") ")?.1.split(' ');
    Some((rest.next()?.chars().next()?, rest.next()?.parse().ok()?))
}

pub(super) fn child_of(parent: u32) -> Option<u32> {
    let entries = std::fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
    let mut ids = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
    ids.find(|id| matches!(state_of(*id), Some((state, of)) if of == parent && state != 'Z'))
}

/// A job whose process is stopped while it reads the log: its id, and the process. Jobs of so few decisions are over soon, so several
/// are begun until one is met.
pub(super) fn stopped_amid(server: &Server, kept: &Kept, campaign: &str) -> (String, u32) {
    let directory = Path::new(&kept.directory()).canonicalize().expect("a path");
    let is_there = |process: u32| state_of(process).is_some_and(|(state, _)| state != 'Z');
    let reads = |process: u32| {
        // Until it is the program of jobs it has the files of the server.
        let command = std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
        if !command.contains("learn-job") {
            return false;
        }
        let Ok(files) = std::fs::read_dir(format!("/proc/{process}/fd")) else { return false };
        let mut targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        targets.any(|target| target.starts_with(&directory))
    };
    for _ in 0..200 {
        let id = begun(server, campaign);
        while job(server, &id)["ended"].is_null() {
            let Some(process) = child_of(server.id()) else { continue };
            while is_there(process) && !reads(process) {}
            if is_there(process) {
                send("STOP", process);
                if reads(process) && job(server, &id)["state"] == "running" {
                    return (id, process);
                }
                send("CONT", process);
            }
        }
    }
    panic!("no job was met while it read")
}

#[test]
fn job_registers_a_challenger_that_is_judged_until_it_is_promoted() {
    let environment = [("UPBEAT_LEARN_MIN_LABELS", "100"), ("UPBEAT_LEARN_EVERY", "8760h")];
    let mut service = Service::start_with(&environment, "mode = \"frozen\"");
    service.round();
    service.round();
    let server = &service.radio.server;
    let before = of_role(server, "offer", "champion");
    let first = ended(server, &begun(server, "offer"));
    assert_eq!((&first["state"], &first["outcome"]), (&json!("done"), &json!("registered")), "{first}");
    let challengers = of_role(server, "offer", "challenger");
    let [challenger] = &*challengers else { panic!("{challengers:?}") };
    let listed = models(server).into_iter().find(|model| model["id"] == **challenger).expect("it is listed");
    assert_eq!(
        (&listed["source"], &listed["challenge"]["number"]),
        (&json!("trained"), &json!(1)),
        "{listed}"
    );
    assert_eq!((&listed["label"], &listed["standing"]), (&json!("impression"), &Value::Null));
    assert_eq!(of_role(server, "offer", "champion"), before, "it decides nothing");
    assert_eq!(server.metric("upbeat_learning_challenger{campaign=\"offer\",standing=\"new\"}"), 1.0);

    service.radio.turn_to(service.radio.now_s + 60);
    service.round();
    let server = &service.radio.server;
    let second = ended(server, &begun(server, "offer"));
    assert!(
        ["stays", "would_promote"].contains(&second["outcome"].as_str().expect("an outcome")),
        "{second}"
    );
    assert_eq!(of_role(server, "offer", "challenger"), challengers, "no other is made meanwhile");
    let listed = models(server).into_iter().find(|model| model["id"] == **challenger).expect("it is listed");
    let checks = listed["gate"].as_array().expect("a list");
    assert_eq!(checks.len(), 8, "{listed}");
    for verdict in checks {
        for key in ["check", "ok", "value", "limit", "sentence"] {
            assert!(verdict.get(key).is_some(), "{key} of {verdict}");
        }
    }
    assert!(listed["rows"].as_u64() > Some(100) && listed["agreement"].is_number(), "{listed}");
    assert_eq!(
        server.metric("upbeat_learning_challenger_rows{campaign=\"offer\"}"),
        listed["rows"].as_f64().expect("rows")
    );
    let champion = models(server).into_iter().find(|model| model["role"] == "champion").expect("one decides");
    assert_eq!(champion["learning"]["last_job"]["sentence"], second["sentence"]);

    promote(server, challenger, "offer").ok();
    assert_eq!(of_role(server, "offer", "champion"), challengers);
    assert_eq!(of_role(server, "offer", "former"), before);
    let third = ended(server, &begun(server, "offer"));
    assert!(["registered", "no_model"].contains(&third["outcome"].as_str().expect("an outcome")), "{third}");
}

#[test]
fn job_sees_decisions_that_wait_in_memory() {
    let kept = Kept::new();
    let server = kept.start_with(&[("UPBEAT_DECISIONS_UNSHOWN_INTERVAL", "1h")]);
    server.load("/events", NDJSON, unlikely("50"));
    let decision = server.decide("50");
    assert_eq!(decision["show"], false);
    let id = decision["decision_id"].as_str().expect("an id");
    let is_logged = || {
        let export = ["export", "decisions", "--from", &kept.directory(), "-o", "-"];
        let output = upbeat().args(export).output().expect("it runs");
        String::from_utf8(output.stdout).expect("text").contains(id)
    };
    assert!(!is_logged(), "it waits");
    ended(&server, &begun(&server, "gold-one-day"));
    assert!(is_logged());
}

#[test]
fn process_of_a_job_that_is_killed_fails_the_job_alone() {
    let kept = Kept::new();
    let server = kept.start();
    server.load("/events", NDJSON, likely("48"));
    put(&server, &open("one"));
    let before = decides(&server, "one");
    let (id, process) = stopped_amid(&server, &kept, "one");
    // At the lowest priority.
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("a process");
    let fields: Vec<_> = stat.rsplit_once(") ").expect("a name").1.split(' ').collect();
    assert_eq!(fields[16], "19", "{stat}");
    let score = std::fs::read_to_string(format!("/proc/{process}/oom_score_adj")).expect("a process");
    assert_eq!(score.trim(), "1000", "the system ends it before the server where memory ends");
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).expect("a process");
    let data = limits.lines().find(|line| line.starts_with("Max data size")).expect("a limit");
    assert!(data.contains(&(2_u64 << 30).to_string()), "{data}");
    // Meanwhile all else goes on, and another job waits.
    assert_eq!(decides(&server, "one"), before);
    let waiting = begun(&server, "one");
    assert_eq!(begun(&server, "one"), waiting, "one waits for a campaign");
    assert_eq!(job(&server, &waiting)["state"], "queued");
    let failed = server.metric("upbeat_learning_jobs_total{outcome=\"failed\"}");
    send("KILL", process);
    let killed = ended(&server, &id);
    assert_eq!((&killed["state"], &killed["outcome"]), (&json!("failed"), &json!("failed")), "{killed}");
    assert!(
        sentence(&killed).contains("The champion stays in force") && sentence(&killed).contains("signal 9"),
        "{killed}"
    );
    assert_eq!(server.metric("upbeat_learning_jobs_total{outcome=\"failed\"}"), failed + 1.0);
    assert_eq!(decides(&server, "one"), before);
    assert_eq!(ended(&server, &waiting)["state"], "done", "the next one is as if nothing had been");
}

#[test]
fn job_is_cancelled_whether_it_waits_or_runs() {
    let kept = Kept::new();
    let server = kept.start();
    put(&server, &open("one"));
    let (running, process) = stopped_amid(&server, &kept, "one");
    let waiting = begun(&server, "one");
    let cancel = |id: &str| server.ask("DELETE", &server.admin, &format!("/retrain/{id}"), &[], b"");
    assert_eq!(cancel(&waiting).ok()["state"], "cancelled");
    cancel(&running).ok();
    let cancelled = ended(&server, &running);
    assert_eq!(
        (&cancelled["state"], sentence(&cancelled)),
        (&json!("cancelled"), "The champion stays in force: the job was cancelled.")
    );
    assert_eq!(state_of(process).filter(|(state, _)| *state != 'Z'), None, "its process is gone");
    assert_eq!(cancel(&running).ok(), cancelled, "what has ended stays as it is");
    cancel("0").problem(404, "job-not-found");
    server.admin_get("/retrain/0").problem(404, "job-not-found");
    retrain(&server, "two").problem(404, "campaign-not-found");
}

#[test]
fn process_of_a_job_ends_with_its_server() {
    for signal in ["KILL", "TERM"] {
        let kept = Kept::new();
        let mut server = kept.start();
        put(&server, &open("one"));
        let (_, process) = stopped_amid(&server, &kept, "one");
        server.signal(signal);
        server.ended();
        until("the process is gone", || state_of(process).is_none_or(|(state, _)| state == 'Z'));
    }
}

#[test]
fn server_without_a_log_has_nothing_to_learn_from() {
    let server = Server::start();
    let detail = retrain(&server, "gold-one-day").problem(409, "nothing-kept");
    assert!(detail.contains("start it with a data directory"), "{detail}");
}

#[test]
fn jobs_begin_by_themselves_for_campaigns_that_learn_and_watch_those_that_do_not() {
    let kept = Kept::new();
    let server = kept.start_with(&[("UPBEAT_LEARN_EVERY", "1s")]);
    let shared = |id: &str| open(id).replace("threshold = { score = -1e9 }", "threshold = \"profit\"");
    put(&server, &(shared("frozen") + &shared("learning") + "mode = \"apprentice\"\n"));
    let jobs = || server.metric("upbeat_learning_jobs_total{outcome=\"no_model\"}");
    until("two jobs have run", || jobs() >= 2.0);
    let said = |campaign: &str| {
        let model =
            models(&server).into_iter().find(|model| model["campaign"] == campaign).expect("a champion");
        model["learning"]["last_job"].clone()
    };
    let frozen = || said("frozen")["sentence"].as_str().unwrap_or_default().to_owned();
    until("the frozen one was looked at", || frozen().contains("only watched"));
    assert!(said("learning")["sentence"].as_str().is_some_and(|sentence| !sentence.is_empty()));
}
