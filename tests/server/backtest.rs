//! `upbeat backtest`: what it estimates of logged decisions is what a plain computation over the exported rows gives.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use upbeat_svm::Scorer;

use super::campaigns::put;
use super::coins::{Radio, Row, campaign, propensities};
use super::listeners::{likely, membership, seconds_from_now, unlikely};
use super::skipped::skipped;
use super::support::*;

/// How long a click counts on this server, in seconds.
const ATTRIBUTION_S: i64 = 600;

/// The share of customers who do not see the first campaign.
const HELD_OUT: f64 = 0.2;

const CHALLENGER: &str = "model/impression/charity-donation.json";

/// Listeners of different habits.
fn load(radio: &Radio, prefix: &str, count: usize, level: &str) {
    let mut lines = String::new();
    for number in 0..count {
        let customer = format!("{prefix}-{number}");
        for play in 0..6 {
            let seconds = 600 + play * 3600 * (number as i64 % 7);
            let play = json!({
                "type": "play", "event_id": play, "customer_id": customer, "track_id": play % (1 + number as i64 % 6),
                "time": seconds_from_now(radio.now_s - seconds), "mobile": play % 6 < number as i64 % 7,
            });
            let _ = writeln!(lines, "{play}");
        }
        let _ = writeln!(lines, "{}", membership(&customer, 1, level, 90_000));
    }
    radio.server.load("/events", NDJSON, lines);
}

fn customers(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}-{number}")).collect()
}

/// A probability that some of these customers are above and some below, by the model of the first campaign.
fn middle(radio: &Radio, customers: &[String]) -> f64 {
    let ask = |customer: &String| {
        let told = radio.server.get(&format!("/should-show-ad/{customer}?dry_run=true")).ok();
        told["probability"].as_f64().expect("a probability")
    };
    let mut all: Vec<f64> = customers.iter().map(ask).collect();
    all.sort_by(f64::total_cmp);
    all.dedup();
    assert!(all.len() >= 4, "{all:?}");
    (all[all.len() / 2 - 1] + all[all.len() / 2]) / 2.0
}

/// What was done about a campaign by customers of each group.
#[derive(Default)]
struct Done {
    clicks: BTreeMap<String, u32>,
    upgrades: BTreeSet<String>,
}

/// A server on which one campaign explores and holds out, and the other is paced; and what its customers did.
struct Played {
    radio: Radio,
    threshold: f64,
    done: Done,
}

fn played() -> Played {
    let mut radio = Radio::start(&[("UPBEAT_LEARN_ATTRIBUTION", "10m")]);
    let (free, silver) = (customers("free", 400), customers("silver", 150));
    load(&radio, "free", free.len() + 40, "free");
    load(&radio, "silver", silver.len(), "silver");
    let explored = |threshold: &str| {
        let keys = format!(
            "audience = [\"free\"]\nclick_value = 0.5\nexploration = 0.4\nholdout = {HELD_OUT}\nthreshold = {threshold}"
        );
        campaign("explored", "gold-one-day", &keys)
    };
    let paced = campaign(
        "paced",
        "free-referral",
        "audience = [\"silver\"]\nclick_value = 0.3\nthreshold = { score = -1e9 }\npacing = \"even\"\ndaily_budget = 100000\n\
         bill = \"impression\"",
    );
    let document = |threshold: &str| format!("currency = \"USD\"\n{}{paced}", explored(threshold));
    put(&radio.server, &document("{ score = -1e9 }"));
    let threshold = middle(&radio, &free);
    put(&radio.server, &document(&format!("{{ probability = {threshold} }}")));
    radio.pace(&["paced"]);
    let mut answers = radio.decide_all(&[free.clone(), silver].concat());
    // Once more: who was tossed and is unlikely is not tossed again.
    answers.extend(radio.decide_all(&free));
    let (shown_s, mut done, mut events) = (radio.now_s, Done::default(), String::new());
    let mut tell = |kind: &str, number: usize, customer: &str, more: (&str, Value)| {
        let time = seconds_from_now(shown_s + 60);
        let event = json!({"type": kind, "event_id": format!("{kind}-{number}"), "customer_id": customer, "time": time, more.0: more.1});
        let _ = writeln!(events, "{event}");
    };
    for (number, answer) in answers.iter().enumerate() {
        let customer = answer["customer"].as_str().expect("an id");
        let id = ("decision_id", answer["decision_id"].clone());
        let clicks = if answer["show"] == true { number % 3 == 0 } else { false };
        match (answer["campaign"].as_str(), answer["show"] == true) {
            (Some("paced"), true) if number % 2 == 0 => tell("impression", number, customer, id.clone()),
            (Some("explored"), true) if number % 11 == 0 => tell("void", number, customer, id.clone()),
            // Who was held out clicks all the same, now and then.
            (Some("explored"), false) if answer["reason"] == "held_out" && number % 7 == 0 => {
                tell("click", number, customer, ("ad", json!("AD_explored")));
                *done.clicks.entry(customer.to_owned()).or_default() += 1;
            }
            _ => {}
        }
        if clicks && number % 11 != 0 {
            tell("click", number, customer, id);
            *done.clicks.entry(customer.to_owned()).or_default() += 1;
        }
        if number % 9 == 0 && customer.starts_with("free") && done.upgrades.insert(customer.to_owned()) {
            tell("membership", number, customer, ("level", json!("silver")));
        }
    }
    radio.server.load("/events", NDJSON, events);
    radio.turn_to(shown_s + ATTRIBUTION_S + 61);
    let young: Vec<String> = (400..440).map(|number| format!("free-{number}")).collect();
    radio.decide_all(&young);
    Played { radio, threshold, done }
}

fn backtest(arguments: &[&str]) -> Output {
    upbeat().arg("backtest").args(arguments).output().expect("it runs")
}

fn answer(arguments: &[&str]) -> Value {
    let output = backtest(&[arguments, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// One eligible row, by the exports.
struct Chance {
    propensity: f64,
    counts: [f64; 7],
    /// Clicked, cost and value in micro-units.
    shown: Option<(bool, f64, f64)>,
}

/// When a row was decided, in seconds.
fn second(row: &Row) -> f64 {
    row["time"].parse::<jiff::Timestamp>().expect("a time").as_millisecond() as f64 / 1000.0
}

/// The rows of a campaign of which estimates may be made.
fn chances(decisions: &[Row], clicked: &BTreeMap<&str, bool>, campaign: &str) -> Vec<Chance> {
    let newest = decisions.iter().map(second).fold(0.0, f64::max);
    let mut chances = Vec::new();
    for row in decisions.iter().filter(|row| row["eligible"] == "true") {
        let propensity = propensities(row).get(campaign).copied();
        let is_paced_away = row["reason"] == "paced" && row["campaign"] == campaign;
        if (propensity.is_none() && !is_paced_away) || second(row) + ATTRIBUTION_S as f64 >= newest {
            continue;
        }
        let (is_shown, flag) = (row["action"] == campaign, |key: &str| row[key] == "true");
        let cost: f64 = row["cost"].parse().unwrap_or_default();
        let (is_billed, value, share) = match campaign {
            "explored" => (!flag("voided"), 500_000.0, 1.0 - HELD_OUT),
            _ => (flag("confirmed"), 300_000.0, 1.0),
        };
        let cost = if is_billed { cost } else { 0.0 };
        let shown = is_shown.then(|| (clicked.get(&*row["decision_id"]) == Some(&true), cost, value));
        let count = |key: &str| row[key].parse().expect("a count");
        let counts = ["plays", "morning", "afternoon", "evening", "night", "mobile", "unique"].map(count);
        chances.push(Chance { propensity: propensity.unwrap_or_default() * share, counts, shown });
    }
    chances
}

/// The probability of a click by a model file.
fn probability(scorer: &Scorer, counts: &[f64; 7]) -> f64 {
    let shares: Vec<f64> = counts[1..].iter().map(|count| count / counts[0]).collect();
    scorer.probability(scorer.score(&shares)).expect("a calibrated model")
}

fn scorer(path: &str) -> Scorer {
    let bytes = std::fs::read(path).expect("a model");
    Scorer::new(&upbeat_core::model::read(&bytes).expect("a model"))
}

/// Clicks, cost, profit, effective sample size, largest weight and unsupported share, by the formulas of the issue.
fn plain(chances: &[Chance], estimator: &str, policy: impl Fn(&Chance) -> f64) -> [f64; 6] {
    let (mut sums, mut weights, mut squares, mut shows, mut largest, mut unsupported) =
        ([0.0; 3], 0.0, 0.0, 0.0, 0.0_f64, 0.0);
    for chance in chances {
        let show = policy(chance);
        if chance.propensity == 0.0 {
            unsupported += f64::from(u8::from(show > 0.0));
            continue;
        }
        shows += show;
        let Some((clicked, cost, value)) = chance.shown else { continue };
        let weight = show / chance.propensity;
        let clicks = f64::from(u8::from(clicked));
        for (sum, of) in sums.iter_mut().zip([clicks, cost, clicks * value - cost]) {
            *sum += weight * of;
        }
        (weights, squares, largest) = (weights + weight, squares + weight * weight, largest.max(weight));
    }
    if estimator == "snips" {
        sums = sums.map(|sum| if weights > 0.0 { shows * sum / weights } else { 0.0 });
    }
    let ess = if squares > 0.0 { weights * weights / squares } else { 0.0 };
    [sums[0], sums[1], sums[2], ess, largest, unsupported / chances.len() as f64]
}

#[track_caller]
fn assert_near(found: &Value, expected: f64, what: &str) {
    let found = found.as_f64().unwrap_or_else(|| panic!("{what}: {found}"));
    // Money is whole in answers.
    assert!(
        (found - expected).abs() <= 0.5 + 1e-9 * expected.abs() && (found - expected).abs() < 0.51,
        "{what}: {found}, {expected}"
    );
}

#[test]
fn estimates_of_a_directory_and_of_its_server_are_those_of_a_plain_computation_over_its_exports() {
    let Played { radio, threshold, done } = played();
    let decisions = radio.exported("decisions", &[]);
    let training = radio.exported("training", &["--attribution", "10m"]);
    let clicked: BTreeMap<&str, bool> =
        training.iter().map(|row| (&*row["decision_id"], row["clicked"] == "true")).collect();
    let directory = radio.kept.directory();
    let more = ["--model", CHALLENGER, "--threshold", "0.03"];
    let found = answer(&[&["--from", &*directory, "--attribution", "10m"][..], &more].concat());
    let url = format!("http://{}", radio.server.admin);
    assert_eq!(
        answer(&[&["--from", &*url][..], &more].concat()),
        found,
        "the server says for how long clicks count"
    );

    let policies = found["policies"].as_array().expect("a list");
    for (id, model, file) in [("explored", "gold-one-day", true), ("paced", "free-referral", false)] {
        let rows = chances(&decisions, &clicked, id);
        let (champion, challenger) = (scorer(&format!("model/impression/{model}.json")), scorer(CHALLENGER));
        let passes =
            |scorer: &Scorer, chance: &Chance| !file || probability(scorer, &chance.counts) > threshold;
        let certain = |shows: bool| f64::from(u8::from(shows));
        let logged = rows.iter().map(|chance| chance.propensity).sum::<f64>() / rows.len() as f64;
        let policy = |name: &str, chance: &Chance| match name {
            "logging" => chance.propensity,
            "show-all" => 1.0,
            "show-none" => 0.0,
            "random" => logged,
            "champion" => certain(passes(&champion, chance)),
            "challenger" => certain(passes(&challenger, chance)),
            "threshold 0.03" => certain(probability(&champion, &chance.counts) > 0.03),
            other => panic!("{other}"),
        };
        let of_it: Vec<&Value> = policies.iter().filter(|policy| policy["campaign"] == id).collect();
        assert_eq!(of_it.len(), 14, "each policy by each estimator: {of_it:?}");
        for of in of_it {
            let (name, estimator) =
                (of["name"].as_str().expect("a name"), of["estimator"].as_str().expect("a name"));
            let expected = plain(&rows, estimator, |chance| policy(name, chance));
            let what = format!("{id}, {name}, {estimator}");
            for (key, expected) in ["cost", "profit"].iter().zip(&expected[1..3]) {
                assert_near(&of[key], *expected, &format!("{what}: {key}"));
            }
            for (key, at) in [("clicks", 0), ("ess", 3), ("max_weight", 4), ("unsupported", 5)] {
                let (found, expected) = (of[key].as_f64().expect("a number"), expected[at]);
                assert!(
                    (found - expected).abs() <= 1e-9 * (1.0 + expected.abs()),
                    "{what}, {key}: {found}, {expected}"
                );
            }
            let [low, profit, high] =
                ["low", "profit", "high"].map(|key| of[key].as_i64().expect("whole micro-units"));
            assert!(low <= profit && profit <= high && (low < high || name == "show-none"), "{what}: {of}");
            if (name, estimator) == ("logging", "ips") {
                let shown = || rows.iter().filter_map(|chance| chance.shown);
                let observed: f64 =
                    shown().map(|(clicked, cost, value)| f64::from(u8::from(clicked)) * value - cost).sum();
                assert_eq!(profit, observed as i64, "to the micro-unit");
                assert!(shown().any(|(clicked, ..)| clicked) && shown().any(|(_, cost, _)| cost == 0.0));
            }
        }
        let told = found["campaigns"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|of| of["campaign"] == id)
            .expect("it is there");
        assert_eq!(told["estimated"], rows.len(), "{told}");
        if id == "explored" {
            assert!(told["young"].as_u64().is_some_and(|young| young >= 20), "{told}");
            assert!(told["eligible"].as_u64() < told["decisions"].as_u64(), "who was tossed already: {told}");
            assert_lift(told, &decisions, &done);
        } else {
            assert_eq!(told["lift"], json!([]), "it has no holdout");
        }
    }
}

/// The lift is the difference between customers of whom a decision would show the campaign.
fn assert_lift(told: &Value, decisions: &[Row], done: &Done) {
    let mut groups = [(BTreeSet::new(), "with", "treated"), (BTreeSet::new(), "without", "held_out")];
    for row in decisions.iter().filter(|row| row["campaign"] == "explored") {
        match &*row["reason"] {
            "likely_to_click" | "exploring" => drop(groups[0].0.insert(&row["customer"])),
            "held_out" => drop(groups[1].0.insert(&row["customer"])),
            _ => {}
        }
    }
    let count = |outcome: &str, customer: &str| match outcome {
        "clicks" => done.clicks.get(customer).copied().unwrap_or_default(),
        _ => u32::from(done.upgrades.contains(customer)),
    };
    for outcome in ["clicks", "upgrades"] {
        let lifts = told["lift"].as_array().expect("a list");
        let lift = lifts.iter().find(|lift| lift["outcome"] == outcome).expect("it is there");
        for (customers, mean, size) in &groups {
            assert_eq!(lift[size], customers.len(), "{lift}");
            let sum: u32 = customers.iter().map(|customer| count(outcome, customer)).sum();
            let expected = f64::from(sum) / customers.len() as f64;
            assert!((lift[mean].as_f64().expect("a mean") - expected).abs() < 1e-12, "{mean}: {lift}");
        }
        let [low, high] = ["low", "high"].map(|key| lift[key].as_f64().expect("a number"));
        assert!(low < high, "{lift}");
    }
}

#[test]
fn backtest_prints_tables_for_people_and_of_one_campaign_where_it_is_named() {
    let Played { radio, .. } = played();
    radio.exported("decisions", &[]);
    let directory = radio.kept.directory();
    let output = backtest(&["--from", &directory, "--attribution", "10m", "--campaign", "explored"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    for part in [
        "campaign explored",
        "logging",
        "show-all",
        "champion",
        "snips",
        "95 % interval",
        "threshold 0.04",
        "lift in clicks",
        "USD",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("campaign paced"), "{text}");
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A page as Chromium has it once it is loaded; `None` where there is no Chromium.
fn in_chromium(page: &Path) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let dump = File::create(folder.path().join("dump.html")).expect("a file");
    let mut chromium = Command::new("chromium");
    chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--dump-dom"]);
    chromium.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
    chromium
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .stdout(dump)
        .stderr(Stdio::null());
    let mut started = Running(chromium.spawn().ok()?);
    let mut status = None;
    until("chromium has read the page", || {
        status = started.0.try_wait().expect("its state");
        status.is_some()
    });
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
    Some(std::fs::read_to_string(folder.path().join("dump.html")).expect("text"))
}

#[test]
fn report_of_a_backtest_is_one_page_that_fetches_nothing() {
    let Played { radio, .. } = played();
    radio.exported("decisions", &[]);
    let (directory, folder) = (radio.kept.directory(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("estimates.html");
    let report = path.display().to_string();
    let flags = ["--from", &directory, "--attribution", "10m", "--model", CHALLENGER];
    let output = backtest(&[&flags[..], &["--report", &report]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let page = std::fs::read_to_string(&path).expect("a page");
    let parts = [
        "<h2>explored</h2>",
        "<h2>paced</h2>",
        "Profit against threshold",
        "What a budget buys",
        "Reliability",
        "Lift against the holdout",
        "By hour",
        "By membership",
        "<td>free</td>",
        "challenger",
    ];
    for part in parts {
        assert!(page.contains(part), "{part}");
    }
    for outside in ["http:", "https:", "//", "<script", "<link", "<img", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    // Five pictures of the one, and of the other, which has no holdout, four.
    assert_eq!(page.matches("<svg").count(), 9);
    match in_chromium(&path) {
        Some(opened) => {
            assert_eq!(opened.matches("<svg").count(), 9);
            // What the browser read is what was written: it had nothing to close, to move or to leave out.
            let elements = |page: &str| {
                page.split('<')
                    .filter(|tag| tag.starts_with(|letter: char| letter.is_ascii_lowercase()))
                    .count()
            };
            assert_eq!(elements(&opened), elements(&page));
        }
        None => skipped("there is no chromium to open the page in"),
    }
    // A page that cannot be written is told before the log is read.
    let nowhere = folder.path().join("none/page.html").display().to_string();
    let output = backtest(&[&flags[..], &["--report", &nowhere]].concat());
    assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("page.html"), "{output:?}");
}

#[test]
fn campaign_of_the_configuration_is_estimated_without_thresholds_of_a_probability_that_is_no_clicks() {
    let mut radio = Radio::start(&[]);
    for (customer, plays) in [("48", likely("48")), ("49", unlikely("49"))] {
        radio.server.load("/events", NDJSON, plays);
        radio.decide_all(&[customer.to_owned()]);
    }
    radio.turn_to(radio.now_s + 3600);
    radio.decide_all(&["49".to_owned()]);
    radio.exported("decisions", &[]);
    let output = backtest(&["--from", &radio.kept.directory(), "--json"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("is of the label customer"), "{said}");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let policies = answer["policies"].as_array().expect("a list");
    let names: BTreeSet<&str> = policies.iter().filter_map(|of| of["name"].as_str()).collect();
    assert_eq!(names, BTreeSet::from(["champion", "logging", "random", "show-all", "show-none"]));
    // The one that a rule refused is not in it, and of one customer alone there is no interval.
    let told = &answer["campaigns"][0];
    assert_eq!(
        (&told["eligible"], &told["estimated"], &told["shown"]),
        (&json!(1), &json!(1), &json!(1)),
        "{told}"
    );
    for of in policies.iter().filter(|of| of["name"] != "show-none") {
        assert_eq!((&of["low"], &of["high"]), (&Value::Null, &Value::Null), "{of}");
    }
}

#[test]
fn model_of_another_window_is_not_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("data").display().to_string();
    let server = Server::with(&["--data-dir", &directory, "--model", "none"], &[("UPBEAT_WINDOW_DAYS", "7")]);
    server.load("/events", NDJSON, likely("48"));
    server.decide("48");
    super::export_decisions::all_durable(&server);
    let output = backtest(&["--from", &directory, "--model", CHALLENGER]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("trained on a window of 256 plays and 28 days") && said.contains(CHALLENGER),
        "{said}"
    );
}

#[test]
fn backtest_says_what_it_cannot_estimate() {
    let refused = |arguments: &[&str], status: i32, sentence: &str| {
        let output = backtest(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(said.contains(sentence), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "no figures where there are none");
    };
    let mut radio = Radio::start(&[]);
    let directory = radio.kept.directory();
    radio.exported("decisions", &[]);
    refused(&["--from", &directory], 1, "there is no decision in it");
    load(&radio, "free", 30, "free");
    let plain = |keys: &str| campaign("plain", "gold-one-day", &format!("click_value = 0.5\n{keys}"));
    put(&radio.server, &plain("threshold = { score = 1e9 }"));
    radio.decide_all(&customers("free", 30));
    radio.exported("decisions", &[]);
    refused(&["--from", &directory], 1, "campaign plain: none of its 30 decisions is eligible");
    put(&radio.server, &plain("threshold = { score = -1e9 }"));
    radio.decide_all(&customers("free", 30));
    radio.exported("decisions", &[]);
    refused(&["--from", &directory], 1, "campaign plain: all of its 30 eligible decisions are so young");
    refused(
        &["--from", &directory, "--campaign", "other"],
        1,
        "--campaign other: the log knows no such campaign; it knows",
    );
    refused(&["--from", &directory, "--threshold", "2"], 2, "give a number from 0 to 1");
    refused(&["--from", &directory, "--model", "model/default.json"], 1, "its label is customer");
    refused(&["--from", &directory, "--model", "nothing.json"], 1, "nothing.json");
    // Ads that nobody clicked are told of, and the interval is not empty.
    radio.turn_to(radio.now_s + 3600);
    radio.decide_all(&customers("free", 1));
    radio.exported("decisions", &[]);
    let output = backtest(&["--from", &directory, "--json"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("none of its 30 shown ads was clicked"), "{said}");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let all = answer["policies"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|of| of["name"] == "show-all")
        .expect("it is there");
    let [low, profit, high] = ["low", "profit", "high"].map(|key| all[key].as_i64().expect("micro-units"));
    assert!(profit == -600_000 && low <= profit && high > 0, "what thirty unclicked shows prove: {all}");
}
