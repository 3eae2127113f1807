//! Campaigns are watched as they run, also those whose models nobody changes: each finding is a metric, and is told when it changes.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::campaigns::put;
use super::coins::{Radio, campaign};
use super::listeners::{membership, plays, seconds_from_now};
use super::support::*;

/// How long a click counts on this server, and how often a job runs, in seconds.
const ATTRIBUTION_S: i64 = 600;

struct Watched {
    radio: Radio,
    customers: usize,
    /// Clicks that the model expects of the ads that were shown, and those that came.
    expected: f64,
    clicks: f64,
}

impl Watched {
    fn start() -> Self {
        let radio = Radio::start(&[("UPBEAT_LEARN_ATTRIBUTION", "10m"), ("UPBEAT_LEARN_EVERY", "10m")]);
        let keys = "audience = [\"free\"]\nclick_value = 0.5\nthreshold = { score = -1e9 }\nholdout = 0.5";
        put(&radio.server, &format!("currency = \"USD\"\n{}", campaign("offer", "gold-one-day", keys)));
        Self { radio, customers: 0, expected: 0.0, clicks: 0.0 }
    }

    /// So many new customers ask, and click what they are shown where `clicks` says so; then their labels are known, and a job has run.
    fn round(&mut self, count: usize, clicks: impl Fn(&Self) -> bool) {
        let customers: Vec<String> =
            (0..count).map(|number| format!("of-{}", self.customers + number)).collect();
        self.customers += count;
        let mut lines = String::new();
        for (number, customer) in customers.iter().enumerate() {
            lines += &plays(customer, number % 7);
            let _ = writeln!(lines, "{}", membership(customer, 1, "free", 90_000));
        }
        self.radio.server.load("/events", NDJSON, lines);
        let answers = self.radio.decide_all(&customers);
        let shown: Vec<&Value> = answers.iter().filter(|answer| answer["show"] == true).collect();
        self.expected +=
            shown.iter().map(|answer| answer["probability"].as_f64().expect("it is calibrated")).sum::<f64>();
        let mut lines = String::new();
        for answer in shown {
            if clicks(self) {
                self.clicks += 1.0;
                let time = seconds_from_now(self.radio.now_s + 30);
                let click = json!({
                    "type": "click", "event_id": "click", "customer_id": answer["customer"],
                    "decision_id": answer["decision_id"], "time": time,
                });
                let _ = writeln!(lines, "{click}");
            }
        }
        self.radio.server.load("/events", NDJSON, lines);
        self.job();
    }

    /// The time of a job comes, and the job has ended.
    fn job(&mut self) {
        let ended = |of: &Self| of.radio.server.metric("upbeat_learning_jobs_total{outcome=\"watched\"}");
        let before = ended(self);
        self.radio.turn_to(self.radio.now_s + ATTRIBUTION_S + 60);
        until("a job has looked at the campaign", || ended(self) > before);
    }

    fn metric(&self, name: &str) -> f64 {
        self.radio.server.metric(name)
    }

    /// How often the server has said that something is so.
    fn said(&self, level: &str, what: &str) -> usize {
        let text = self.radio.server.stderr_text();
        text.lines().filter(|line| line.contains(level) && line.contains(what)).count()
    }
}

#[test]
fn frozen_campaign_is_watched_and_calibration_is_told_when_it_turns_bad_and_when_it_is_good_again() {
    let mut watched = Watched::start();
    // Everybody clicks: far more than the model expects.
    watched.round(300, |_| true);
    let ratio = watched.metric("upbeat_campaign_calibration_ratio{campaign=\"offer\",time=\"week\"}");
    assert!((ratio - watched.expected / watched.clicks).abs() < 1e-6 && ratio < 0.8, "{ratio}");
    let bad = "upbeat_campaign_watch_bad{campaign=\"offer\",subject=\"calibration\"}";
    assert_eq!(watched.metric(bad), 1.0);
    assert_eq!(watched.metric("upbeat_campaign_click_rate{campaign=\"offer\",time=\"day\"}"), 1.0);
    assert_eq!((watched.said("WARN", "calibration: of"), watched.said("INFO", "calibration: of")), (1, 0));
    // It stays so, and is not told again.
    watched.job();
    assert_eq!((watched.metric(bad), watched.said("WARN", "calibration: of")), (1.0, 1));
    // Then fewer, until there are as many as expected.
    while watched.clicks > watched.expected + 1.0 {
        watched.round(1_000, |of| of.clicks < of.expected);
    }
    let ratio = watched.metric("upbeat_campaign_calibration_ratio{campaign=\"offer\",time=\"week\"}");
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
    assert_eq!(watched.metric(bad), 0.0);
    assert_eq!((watched.said("WARN", "calibration: of"), watched.said("INFO", "calibration: of")), (1, 1));
    // Half of the customers are held out, as the holdout says.
    let ratio = watched.metric("upbeat_campaign_held_out_ratio{campaign=\"offer\"}");
    assert!((0.8..1.2).contains(&ratio), "{ratio}");
    assert!(watched.metric("upbeat_campaign_sample_ratio_p{campaign=\"offer\"}") > 0.001);
    assert_eq!(watched.metric("upbeat_campaign_watch_bad{campaign=\"offer\",subject=\"sample_ratio\"}"), 0.0);
    // Every decision that was logged has the counts of the events before it.
    assert_eq!(watched.metric("upbeat_consistency_share"), 1.0);
    assert_eq!(watched.metric("upbeat_consistency_checked"), watched.customers as f64);
    // Nothing was trained or judged.
    let jobs =
        |outcome: &str| watched.metric(&format!("upbeat_learning_jobs_total{{outcome=\"{outcome}\"}}"));
    assert_eq!(["registered", "no_model", "failed", "stays"].map(jobs), [0.0; 4]);
    let models = watched.radio.server.admin_get("/models").text();
    assert!(models.contains("only watched") && models.contains("nothing is wrong"), "{models}");
}
