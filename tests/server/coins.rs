//! Several campaigns with coins over HTTP: what is exported of every decision agrees with the policy, and the coins fall as often as
//! their propensities say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Value, json};

use super::budgets::zone_at_noon;
use super::campaigns::put;
use super::durability::Kept;
use super::export_decisions::{all_durable, exported};
use super::listeners::{membership, play_at, seconds_from_now};
use super::support::*;

/// When the clock of events begins, in seconds from now.
const BEGIN_S: i64 = -7200;

/// What a show costs, in micro-units.
const COST: i64 = 20_000;

/// Customers of each round and membership.
const CUSTOMERS: usize = 900;

/// A row of an export, by the names of the columns.
pub(super) type Row = BTreeMap<String, String>;

/// A server by the clock of events.
pub(super) struct Radio {
    pub(super) kept: Kept,
    pub(super) server: Server,
    /// Its time, in seconds from now.
    pub(super) now_s: i64,
}

impl Radio {
    pub(super) fn start(environment: &[(&str, &str)]) -> Self {
        let kept = Kept::new();
        let environment = [&[("UPBEAT_CLOCK", "event")], environment].concat();
        let server = kept.start_with(&environment);
        let mut radio = Self { kept, server, now_s: BEGIN_S };
        radio.turn_to(BEGIN_S);
        radio
    }

    /// Moves *now*, by plays of two others: one alone could be a wrong date.
    pub(super) fn turn_to(&mut self, now_s: i64) {
        for other in ["clock-1", "clock-2"] {
            let play = play_at(other, (now_s + 10_000) as u64, &seconds_from_now(now_s));
            self.server.load("/events", JSON, play);
        }
        self.now_s = now_s;
    }

    /// Goes on, minute by minute, until pacing lets between a fifth and three fifths of shows of these campaigns pass. Nobody is
    /// shown anything for that: the decision that ends a slice is of a customer for whom no campaign is.
    pub(super) fn pace(&mut self, campaigns: &[&str]) {
        self.server.load("/events", JSON, membership("gold", 1, "gold", 9000));
        let rates = |radio: &Self| campaigns.iter().map(|id| radio.rate(id)).collect::<Vec<_>>();
        let mut before = rates(self);
        for _ in 0..90 {
            if before.iter().all(|rate| (0.2..0.6).contains(rate)) {
                return;
            }
            self.turn_to(self.now_s + 60);
            assert_eq!(self.server.decide("gold")["reason"], "already_gold");
            let after = rates(self);
            if after == before {
                // The first forecast is made by a tick of the server, of which there is one a second.
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            before = after;
        }
        panic!("pacing lets {before:?} of shows pass");
    }

    pub(super) fn rate(&self, campaign: &str) -> f64 {
        self.server.metric(&format!("upbeat_campaign_pacing_rate{{campaign=\"{campaign}\"}}"))
    }

    /// Events of customers of whom one play is known, and the membership.
    pub(super) fn load(&self, prefix: &str, count: usize, level: &str) {
        let mut lines = String::new();
        for number in 0..count {
            let customer = format!("{prefix}-{number}");
            for play in 0..=number as u64 % 3 {
                let time = seconds_from_now(BEGIN_S - 600 - play as i64);
                let _ = writeln!(lines, "{}", play_at(&customer, play + 1, &time));
            }
            let _ = writeln!(lines, "{}", membership(&customer, 1, level, 9000));
        }
        self.server.load("/events", NDJSON, lines);
    }

    /// Decisions for many at one instant.
    pub(super) fn decide_all(&self, customers: &[String]) -> Vec<Value> {
        let body = json!({"customers": customers}).to_string();
        let answer = self.server.post("/decisions", JSON, body).ok();
        answer["decisions"].as_array().expect("a list").clone()
    }

    /// The rows of an export of the directory.
    pub(super) fn exported(&self, what: &str, more: &[&str]) -> Vec<Row> {
        all_durable(&self.server);
        exported(what, &[&["--from", &self.kept.directory()], more].concat())
    }
}

pub(super) fn campaign(id: &str, model: &str, keys: &str) -> String {
    format!(
        "[[campaign]]\nid = \"{id}\"\nad = \"AD_{id}\"\nmin_plays = 1\nmodel = \"{model}\"\ntime_zone = \"{}\"\nreserve = \"24h\"\n\
         impression_cost = 0.02\n{keys}\n",
        zone_at_noon()
    )
}

/// Those that pacing spreads, of free listeners, and those that nobody is likely enough for, of silver ones.
pub(super) fn four(holdouts: bool) -> String {
    let holdout = |share: f64| if holdouts { format!("holdout = {share}\n") } else { String::new() };
    let all = if holdouts { "holdout_all = 0.1\n" } else { "" };
    let paced = "audience = [\"free\"]\nthreshold = { score = -1e9 }\npacing = \"even\"\ndaily_budget = 100000\n\
                 caps = [{ impressions = 1, hours = 24 }]\ncooldown_after_impression = \"30m\"\n";
    let explored = |share: f64| {
        format!("audience = [\"silver\"]\nthreshold = {{ score = 1e9 }}\nexploration = {share}\n")
    };
    [
        format!("currency = \"USD\"\n{all}"),
        campaign("first", "gold-one-day", &format!("priority = 1\n{paced}{}", holdout(0.2))),
        campaign("second", "free-referral", paced),
        campaign("third", "charity-donation", &explored(0.3)),
        campaign("fourth", "facebook-like", &format!("{}{}", explored(0.2), holdout(0.5))),
    ]
    .concat()
}

/// The probabilities of a row.
pub(super) fn propensities(row: &Row) -> BTreeMap<String, f64> {
    serde_json::from_str(&row["propensities"]).expect("numbers by campaign")
}

/// What the coins chose: the campaign, also where a holdout kept it back.
fn chosen(row: &Row) -> &str {
    match &*row["reason"] {
        "likely_to_click" | "exploring" | "held_out" => &row["campaign"],
        _ => "none",
    }
}

/// Pearson's statistic over categories, each with what was found and expected.
fn chi_square(counts: impl Iterator<Item = (f64, f64)>) -> f64 {
    counts.map(|(found, expected)| (found - expected).powi(2) / expected).sum()
}

#[test]
fn exported_propensities_are_the_policys_and_the_coins_fall_as_often_as_they_say() {
    let mut radio = Radio::start(&[]);
    put(&radio.server, &four(true));
    radio.load("warm", 400, "free");
    for round in 0..2 {
        for level in ["free", "silver"] {
            radio.load(&format!("{level}-{round}"), CUSTOMERS, level);
        }
    }
    radio.pace(&["first", "second"]);
    // Both have a lease of their budget once somebody was shown each.
    let mut warm = 0;
    let mut seen = BTreeSet::new();
    until("both are shown", || {
        let answer = radio.server.decide(&format!("warm-{warm}"));
        warm += 1;
        if answer["show"] == true {
            seen.insert(answer["campaign"].as_str().expect("an id").to_owned());
        }
        seen.len() == 2
    });
    let mut of_round = Vec::new();
    for round in 0..2 {
        if round > 0 {
            radio.turn_to(radio.now_s + 60);
            radio.server.decide("gold");
        }
        let rates = ["first", "second"].map(|id| radio.rate(id));
        let customers: Vec<String> = ["free", "silver"]
            .iter()
            .flat_map(|level| (0..CUSTOMERS).map(move |number| format!("{level}-{round}-{number}")))
            .collect();
        let answers = radio.decide_all(&customers);
        assert_eq!(rates, ["first", "second"].map(|id| radio.rate(id)), "one slice");
        of_round.push((rates, answers));
    }
    let rows = radio.exported("decisions", &[]);
    let by_id: BTreeMap<&str, &Row> = rows.iter().map(|row| (&*row["decision_id"], row)).collect();
    assert_eq!(by_id.len(), rows.len(), "each once");

    let mut statistic = 0.0;
    let mut reasons = BTreeSet::new();
    // Of each campaign: would-be shows, and those that were held out.
    let mut due: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for ([first, second], answers) in &of_round {
        assert!((0.2..0.8).contains(first) && (0.2..0.8).contains(second), "{first} and {second}");
        let of_free =
            [("none", (1.0 - first) * (1.0 - second)), ("first", *first), ("second", (1.0 - first) * second)];
        let of_silver = [("none", 0.5), ("third", 0.3), ("fourth", 0.2)];
        let mut found = BTreeMap::<(&str, &str), f64>::new();
        for answer in answers {
            let row = by_id[answer["decision_id"].as_str().expect("an id")];
            for key in ["customer", "campaign", "reason"] {
                assert_eq!(row[key], answer[key], "{row:?}");
            }
            reasons.insert(row["reason"].clone());
            let expected = if row["customer"].starts_with("free") { of_free } else { of_silver };
            assert_eq!(row["eligible"], "true", "{row:?}");
            let told = propensities(row);
            assert!((told.values().sum::<f64>() - 1.0).abs() < 1e-12, "{row:?}");
            for (action, propensity) in expected {
                let of = told.get(action).copied().unwrap_or_default();
                assert!((of - propensity).abs() < 1e-9, "{action}: {propensity} in {row:?}");
            }
            let is_held_out = row["reason"] == "held_out";
            assert_eq!(row["held_out"] == "true", is_held_out);
            let shows = answer["show"] == true;
            assert_eq!(row["action"], if shows { chosen(row) } else { "none" });
            assert_eq!(row["cost"], if shows { COST.to_string() } else { String::new() }, "{row:?}");
            *found.entry((expected[1].0, chosen(row))).or_default() += 1.0;
            if chosen(row) != "none" {
                let (shows, held_out) = due.entry(row["campaign"].clone()).or_default();
                *shows += 1.0;
                *held_out += f64::from(u8::from(is_held_out));
            }
        }
        for expected in [of_free, of_silver] {
            let count = |action| found.get(&(expected[1].0, action)).copied().unwrap_or_default();
            statistic += chi_square(
                expected.iter().map(|(action, propensity)| (count(action), propensity * CUSTOMERS as f64)),
            );
        }
    }
    // Eight degrees of freedom: by chance alone one run in a hundred million.
    assert!(statistic < 53.0, "chi-square {statistic}");
    for reason in ["likely_to_click", "paced", "exploring", "unlikely_to_click", "held_out"] {
        assert!(reasons.contains(reason), "{reason} in {reasons:?}");
    }
    // One who is in either holdout is held out; four degrees of freedom.
    let share = |id: &str| {
        1.0 - 0.9
            * match id {
                "first" => 0.8,
                "fourth" => 0.5,
                _ => 1.0,
            }
    };
    let held_out = due.iter().map(|(id, (due, held_out))| {
        let (expected, share) = (due * share(id), share(id));
        (held_out - expected).powi(2) / (expected * (1.0 - share))
    });
    assert_eq!(due.len(), 4);
    let statistic: f64 = held_out.sum();
    assert!(statistic < 45.0, "chi-square {statistic}: {due:?}");

    // Who was held out has taken cap and cooldown, and no money.
    let held_out = rows.iter().find(|row| row["reason"] == "held_out" && row["campaign"] == "first");
    let customer = &held_out.expect("somebody")["customer"];
    let told = radio.server.get(&format!("/should-show-ad/{customer}?explain=true&preview=first")).ok();
    assert_eq!(told["reason"], "capped", "{told}");
    let rules = told["campaigns"][0]["rules"].as_array().expect("rules");
    let rule = |name: &str| rules.iter().find(|rule| rule["rule"] == name).expect("the rule");
    let cap = rule("cap");
    assert_eq!((&cap["passed"], &cap["input"], &cap["limit"]), (&json!(false), &json!(1), &json!(1)));
    assert_eq!(rule("cooldown_after_impression")["passed"], false);
    for id in ["first", "second", "third", "fourth"] {
        let report = radio.server.admin_get(&format!("/campaigns/{id}/report")).ok();
        let with = |key: &str, value: &str| {
            rows.iter().filter(|row| row["campaign"] == id && row[key] == value).count() as i64
        };

        let taken = report["reserved"].as_i64().unwrap_or(-1) + report["spent"].as_i64().unwrap_or(-1);
        assert_eq!(taken, with("action", id) * COST, "{id}: {report}");
        assert_eq!(
            report["not_shown"]["held_out"].as_i64().unwrap_or(0),
            with("held_out", "true"),
            "{report}"
        );
    }
}
