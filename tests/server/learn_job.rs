//! `upbeat learn-job`: the process that judges and trains, on the data directory of a server that runs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use super::campaigns::put;
use super::coins::{Radio, campaign};
use super::export_decisions::all_durable;
use super::listeners::{membership, plays, seconds_from_now};
use super::support::*;

/// How long a click counts on this server, in seconds.
pub(super) const ATTRIBUTION_S: i64 = 600;

/// Customers of a round, and the rounds after which a model is trained.
const CUSTOMERS: usize = 1_200;

/// A service whose listeners click what its model does not think: four of ten where at most two plays of six are on a phone, else
/// one of 25.
pub(super) struct Service {
    pub(super) radio: Radio,
    rounds: usize,
}

impl Service {
    fn start() -> Self {
        Self::start_with(&[], "")
    }

    /// With more environment, and more keys of the campaign.
    pub(super) fn start_with(environment: &[(&str, &str)], keys: &str) -> Self {
        let radio = Radio::start(&[&[("UPBEAT_LEARN_ATTRIBUTION", "10m")], environment].concat());
        let ours = "audience = [\"free\"]\nclick_value = 0.1\nthreshold = \"profit\"\nexploration = 0.5";
        let keys = &format!("{ours}\n{keys}");
        put(&radio.server, &format!("currency = \"USD\"\n{}", campaign("offer", "gold-one-day", keys)));
        Self { radio, rounds: 0 }
    }

    /// Others ask, and click within minutes; then their labels mature, but for those of a last few.
    pub(super) fn round(&mut self) {
        let round = self.rounds;
        self.rounds += 1;
        let mut lines = String::new();
        let customers: Vec<String> =
            (0..CUSTOMERS).map(|number| format!("of-{round}-{number}-{}", number % 7)).collect();
        for (number, customer) in customers.iter().enumerate() {
            lines += &plays(customer, number % 7);
            let _ = writeln!(lines, "{}", membership(customer, 1, "free", 90_000));
        }
        self.radio.server.load("/events", NDJSON, lines);
        let mut clicks = String::new();
        for (number, answer) in self.radio.decide_all(&customers).iter().enumerate() {
            let mobile = number % 7;
            let one_of = if mobile <= 2 { number % 10 < 4 } else { number % 25 == 0 };
            if answer["show"] == true && one_of {
                let time = seconds_from_now(self.radio.now_s + 30);
                let click = json!({
                    "type": "click", "event_id": format!("click-{round}"), "customer_id": answer["customer"],
                    "decision_id": answer["decision_id"], "time": time,
                });
                let _ = writeln!(clicks, "{click}");
            }
        }
        self.radio.server.load("/events", NDJSON, clicks);
        self.radio.turn_to(self.radio.now_s + ATTRIBUTION_S + 60);
        all_durable(&self.radio.server);
    }

    fn now_ms(&self) -> i64 {
        let now: jiff::Timestamp = seconds_from_now(self.radio.now_s).parse().expect("a time");
        now.as_millisecond()
    }

    /// What a server asks that has no challenger.
    fn ask(&self) -> Value {
        json!({
            "campaign": "offer", "champion": self.champion(), "challenger": null, "train": true, "trained_until_ms": null,
            "min_labels": 100, "attribution_ms": ATTRIBUTION_S * 1000, "conversion_ms": 86_400_000, "now_ms": self.now_ms(),
            "gate": {"alpha": 0.05, "min_gain_micro": 0.0, "max_age_ms": 604_800_000, "exploration": 0.5}, "seed": 7,
        })
    }

    fn champion(&self) -> String {
        let answer = self.radio.server.get("/should-show-ad/of-0-0-0?preview=offer").ok();
        answer["model"].as_str().expect("an id").to_owned()
    }

    fn answer(&self, ask: &Value) -> Value {
        let output = self.run(&ask.to_string());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    fn run(&self, ask: &str) -> Output {
        learn_job(&self.radio.kept.directory(), ask)
    }

    /// A file of the models that the server keeps.
    fn model_file(&self, id: &str) -> PathBuf {
        PathBuf::from(self.radio.kept.directory()).join("models").join(format!("{id}.json"))
    }
}

fn learn_job(directory: &str, ask: &str) -> Output {
    let mut command = upbeat();
    command.args(["learn-job", "--data-dir", directory]);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    // One that refuses its data directory may have ended before.
    let _ = child.stdin.take().expect("standard input").write_all(ask.as_bytes());
    child.wait_with_output().expect("it ends")
}

#[test]
fn job_trains_a_candidate_and_judges_it_while_the_server_runs() {
    let mut service = Service::start();
    service.round();
    service.round();
    let ask = service.ask();
    let answer = service.answer(&ask);
    assert_eq!(answer["judged"], Value::Null);
    let candidate = &answer["trained"]["candidate"];
    let model = candidate["model"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let id = candidate["id"].as_str().expect("an id");
    assert!(candidate["clicks"].as_u64() >= Some(20), "{candidate}");
    assert!(candidate["trained_until_ms"].as_i64() <= candidate["newest_ms"].as_i64(), "{candidate}");
    assert_eq!(service.answer(&ask), answer, "the same log and the same seed give the same bytes");

    // What the server does with it: its file, and a challenger in the next ask.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("candidate.json");
    std::fs::write(&file, model).expect("a file");
    let checked = upbeat().args(["model", "check"]).arg(&file).output().expect("it runs");
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    let other = Server::with(&["--model", file.to_str().expect("text")], &[]);
    other.load("/events", NDJSON, plays("phone", 6) + &plays("desk", 0));
    let [phone, desk] = ["phone", "desk"].map(|customer| other.decide(customer));
    assert_eq!(phone["model"], id);
    let probability = |of: &Value| of["probability"].as_f64().unwrap_or_else(|| panic!("{of}"));
    assert!(probability(&desk) > 0.2 && probability(&phone) < 0.1, "{phone} {desk}");
    std::fs::write(service.model_file(id), model).expect("a file");
    let mut ask = ask;
    ask["challenger"] = json!({
        "id": id, "number": 1, "trained_until_ms": candidate["trained_until_ms"], "fixed_ms": service.now_ms(),
        "cost_micro": 20_000, "value_micro": 100_000,
    });
    service.radio.turn_to(service.radio.now_s + 60);
    service.round();
    ask["now_ms"] = json!(service.now_ms());
    let judged = &service.answer(&ask)["judged"];
    assert_eq!(judged["id"], id);
    assert!(judged["rows"].as_u64() > Some(100), "{judged}");
    let checks: Vec<_> =
        judged["verdicts"].as_array().expect("a list").iter().map(|of| &of["check"]).collect();
    assert_eq!(checks.len(), 8, "{judged}");
    let value = |check: &str| {
        let verdicts = judged["verdicts"].as_array().expect("a list");
        verdicts.iter().find(|of| of["check"] == check).expect("a verdict")["value"].as_f64()
    };
    let mean = value("propensities").expect("it was computed");
    assert!((0.8..1.2).contains(&mean), "{judged}");
    assert!(judged["would_have_profit_micro"].as_f64() > Some(0.0), "{judged}");
    assert!((0.0..1.0).contains(&judged["agreement"].as_f64().expect("rows")), "{judged}");
    assert!(["stays", "promote"].contains(&judged["standing"].as_str().expect("text")), "{judged}");

    // Without its file nothing can be said of it, and nothing is trained in its place.
    std::fs::remove_file(service.model_file(id)).expect("it is there");
    let answer = service.answer(&ask);
    assert_eq!((&answer["judged"]["standing"], &answer["trained"]), (&json!("not_computed"), &Value::Null));
    let sentence = answer["judged"]["sentence"].as_str().expect("text");
    assert!(sentence.contains(id) && sentence.contains("PUT /models/"), "{sentence}");
    // Once it has stayed as long as it may, it makes room for another.
    ask["gate"]["max_age_ms"] = json!(1);
    let answer = service.answer(&ask);
    assert_eq!(answer["judged"]["standing"], "too_old");
    assert!(answer["trained"]["candidate"]["id"].is_string(), "{answer}");
}

#[test]
fn job_that_can_train_nothing_says_why_and_one_that_can_read_nothing_fails() {
    let mut service = Service::start();
    let refusal = |service: &Service, ask: &Value| {
        let answer = service.answer(ask);
        let none = &answer["trained"]["none"]["sentence"];
        none.as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    service.round();
    let mut ask = service.ask();
    ask["min_labels"] = json!(1_000_000);
    let few = refusal(&service, &ask);
    assert!(few.contains("1000000 are needed ([learn] min_labels)"), "{few}");
    let mut ask = service.ask();
    ask["now_ms"] = json!(service.now_ms() - 2 * ATTRIBUTION_S * 1000);
    let jumped = refusal(&service, &ask);
    assert!(jumped.contains("no ad of the campaign was shown"), "{jumped}");
    ask["now_ms"] = json!(service.now_ms() - 86_400_000);
    let jumped = refusal(&service, &ask);
    assert!(jumped.contains("the clock had jumped ahead"), "{jumped}");
    let mut ask = service.ask();
    ask["campaign"] = json!("another");
    let unknown = refusal(&service, &ask);
    assert!(unknown.contains("no version of the campaigns that has another"), "{unknown}");

    let ask = service.ask().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let nowhere = folder.path().join("none").display().to_string();
    for (output, said) in [
        (service.run("{}"), "standard input: what a server asks"),
        (service.run(&" ".repeat(2 << 20)), "an ask has at most"),
        (learn_job(&nowhere, &ask), "none"),
    ] {
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(1), true), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{output:?}");
    }
}
