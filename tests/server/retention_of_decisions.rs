//! `[retention] decisions = { days, bytes }` of decisions that showed nothing, most of all decisions: what is past a bound goes, what is
//! not stays, exports show just that, and the model of each decision that is kept is kept, too.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::campaign_models::{is_kept, shipped};
use super::campaigns::{Files, open};
use super::durability::{Kept, kill};
use super::export_decisions::{all_durable, exported};
use super::listeners::{play, unlikely};
use super::support::*;

const CUSTOMERS: u64 = 60;

/// Some 26 bytes each in the log: the first are more than [`BYTES`], the others together are less, even if each batch fills a block of
/// the disk and half of another by itself.
const PHASES: [(&str, u64); 3] = [
    ("gold-one-day", 100 * CUSTOMERS),
    ("charity-donation", 10 * CUSTOMERS),
    ("free-referral", 5 * CUSTOMERS),
];
const BYTES: u64 = 128 << 10;

/// A server whose only campaign shows to nobody, its answers, and the last file of the log with those of each phase.
struct Logged {
    files: Files,
    kept: Kept,
    server: Server,
    answers: Vec<Value>,
    ends: Vec<String>,
}

/// The files of the log by their names, oldest first.
fn segments(directory: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory").map_while(Result::ok);
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("segment-")).collect();
    names.sort();
    names
}

/// Logs the decisions of every phase, each in files of its own and by a model of its own.
fn logged(decisions: &str) -> Logged {
    let config = format!(
        "workers = 1\ndecisions = {{ unshown_interval = \"100ms\" }}\n\
         journal = {{ segment_bytes = \"64KiB\", snapshot_bytes = \"64KiB\" }}\n\
         [retention]\nevents = {{ days = 36500 }}\ndecisions = {decisions}\n"
    );
    let toml = open("nobody").replace("-1e9", "1e9").replace("\"gold-one-day\"", "\"mine\"");
    let files = Files::new(&[("upbeat.toml", &config), ("campaigns.toml", &toml)]);
    files.write("models/mine.json", &shipped(PHASES[0].0));
    let kept = Kept::new();
    let server = files.start(&kept);
    let customers: Vec<_> = (0..CUSTOMERS).map(|customer| customer.to_string()).collect();
    server.load("/events", NDJSON, customers.iter().map(|customer| unlikely(customer)).collect::<String>());
    let body = json!({"customers": customers}).to_string();
    let (mut answers, mut ends, mut play_id) = (Vec::new(), Vec::new(), 1_000_u64);
    for (number, (model, decisions)) in PHASES.into_iter().enumerate() {
        if number > 0 {
            files.write("models/mine.json", &shipped(model));
            server.signal("HUP");
            let version = 1.0 + number as f64;
            until("the model is a version", || server.metric("upbeat_campaigns_version") == version);
        }
        for _ in 0..decisions / CUSTOMERS {
            let answer = server.post("/decisions", JSON, &body).ok();
            answers.extend(answer["decisions"].as_array().expect("decisions").iter().cloned());
        }
        all_durable(&server);
        let end = segments(&kept.directory()).pop().expect("a file");
        // Plays of others, until no file that had decisions is needed any more: one more may be made ahead, and one is written.
        let snapshots = || server.metric("upbeat_journal_snapshots_total");
        let due = snapshots() + 2.0;
        let later = || segments(&kept.directory()).iter().filter(|name| **name > end).count();
        while snapshots() < due || later() < 4 {
            let row = |row: u64| play(&format!("other-{}", row % CUSTOMERS), row, 60) + "\n";
            server.load("/events", NDJSON, (play_id..play_id + 1500).map(row).collect::<String>());
            play_id += 1500;
        }
        ends.push(end);
    }
    assert!(answers.iter().all(|answer| answer["reason"] == "unlikely_to_click"), "{}", answers[0]);
    Logged { files, kept, server, answers, ends }
}

impl Logged {
    /// Makes all files up to the last of a phase five days old.
    fn age(&self, phase: usize) {
        let then = SystemTime::now() - Duration::from_secs(5 * 24 * 3600);
        let directory = self.kept.directory();
        for name in segments(&directory).into_iter().filter(|name| *name <= self.ends[phase]) {
            // One may go meanwhile.
            if let Ok(file) = std::fs::File::options().write(true).open(Path::new(&directory).join(name)) {
                file.set_modified(then).expect("it is ours");
            }
        }
    }

    /// The ids of what an export shows, in the order of the log.
    fn shown(&self) -> Vec<String> {
        let rows = exported("decisions", &["--from", &self.kept.directory()]);
        rows.into_iter().map(|row| row["decision_id"].clone()).collect()
    }

    /// The number of the newest answers, of which all and no others are exported, each as it was answered.
    #[track_caller]
    fn newest(&self) -> usize {
        let rows = exported("decisions", &["--from", &self.kept.directory()]);
        let answers = &self.answers[self.answers.len() - rows.len()..];
        for (row, answer) in rows.iter().zip(answers) {
            assert_eq!(json!(row["decision_id"]), answer["decision_id"]);
            assert_eq!(json!(row["model"]), answer["model"]);
            let score: f64 = row["score"].parse().expect("the model gives it");
            let answered = answer["score"].as_f64().expect("a score");
            assert!((score - answered).abs() <= 2.0 * f64::EPSILON * answered.abs(), "{row:?}, {answer}");
        }
        let models: BTreeSet<&str> = answers.iter().filter_map(|answer| answer["model"].as_str()).collect();
        assert!(models.iter().all(|model| is_kept(&self.kept, model)), "{models:?}");
        rows.len()
    }

    /// The same by the next process, which has no files of models but those that it keeps itself.
    #[track_caller]
    fn stays_after_a_kill(mut self) {
        let newest = self.newest();
        kill(self.server);
        std::fs::remove_dir_all(self.files.path("models")).expect("a folder");
        self.server = self.files.start(&self.kept);
        all_durable(&self.server);
        assert_eq!(self.newest(), newest);
    }
}

/// How many decisions there are from this phase on.
fn since(phase: usize) -> usize {
    PHASES[phase..].iter().map(|(_, decisions)| *decisions as usize).sum()
}

#[test]
fn decisions_past_their_days_go_and_younger_ones_stay_with_their_models() {
    let logged = logged("{ days = 4 }");
    assert_eq!(logged.newest(), since(0), "all are young");
    logged.age(0);
    until("the old ones are gone", || logged.shown().len() <= since(1));
    assert_eq!(logged.newest(), since(1));
    logged.stays_after_a_kill();
}

#[test]
fn decisions_past_their_bytes_go_from_the_oldest_on_and_the_others_stay_with_their_models() {
    let logged = logged("{ bytes = \"128KiB\" }");
    // A decision takes 25 bytes at least.
    let most = BYTES as usize / 25;
    until("those beyond the bound are gone", || logged.shown().len() <= most);
    let newest = logged.newest();
    assert!(newest >= since(1), "{newest} are within the bound");
    logged.stays_after_a_kill();
}

#[test]
fn decisions_past_either_bound_go_where_both_are_set() {
    let logged = logged("{ days = 4, bytes = \"128KiB\" }");
    let most = BYTES as usize / 25;
    until("those beyond the bytes are gone", || logged.shown().len() <= most);
    assert!(logged.newest() >= since(1), "{} are within the bound", logged.newest());
    logged.age(1);
    until("those beyond the days are gone", || logged.shown().len() <= since(2));
    assert_eq!(logged.newest(), since(2));
    logged.stays_after_a_kill();
}
