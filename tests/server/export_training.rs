//! `upbeat export training`: the labels, weights and counts of ads that can no longer be clicked in time, by the time that the server
//! itself counts clicks by.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::campaigns::put;
use super::coins::{Radio, Row, four, propensities};
use super::listeners::{play_at, seconds_from_now};
use super::support::*;

/// How long a click counts on this server, in seconds: not the default.
const ATTRIBUTION_S: i64 = 600;

/// What becomes of an ad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    ClickedInTime,
    NotClicked,
    ClickedLate,
    Voided,
    ClickedByAd,
    Confirmed,
    ClickedEarly,
}

const FATES: [Fate; 7] = [
    Fate::ClickedInTime,
    Fate::NotClicked,
    Fate::ClickedLate,
    Fate::Voided,
    Fate::ClickedByAd,
    Fate::Confirmed,
    Fate::ClickedEarly,
];

/// Those that are a click of the ad.
const CLICKED: [Fate; 3] = [Fate::ClickedInTime, Fate::ClickedByAd, Fate::ClickedEarly];

/// An ad that was shown, and the explanation of the moment before.
struct Show {
    answer: Value,
    told: Value,
    fate: Fate,
}

impl Show {
    fn text(&self, key: &str) -> &str {
        self.answer[key].as_str().expect("text")
    }

    /// The event that tells its fate, if one does, and how many seconds after the show.
    fn event(&self) -> Option<(i64, Value)> {
        let (kind, after_s) = match self.fate {
            Fate::NotClicked => return None,
            Fate::ClickedInTime => ("click", 60),
            // The clock of who tells it is slow.
            Fate::ClickedEarly => ("click", -2),
            Fate::ClickedByAd => ("click", ATTRIBUTION_S),
            Fate::ClickedLate => ("click", ATTRIBUTION_S + 1),
            Fate::Voided => ("void", 60),
            Fate::Confirmed => ("impression", 60),
        };
        let mut event = json!({"type": kind, "event_id": "fate", "customer_id": self.text("customer")});
        match self.fate {
            Fate::ClickedByAd => event["ad"] = json!(format!("AD_{}", self.text("campaign"))),
            _ => event["decision_id"] = self.answer["decision_id"].clone(),
        }
        Some((after_s, event))
    }
}

/// Free and silver listeners of a name.
fn customers(name: &str) -> Vec<String> {
    let of = |level: &'static str| (0..80).map(move |number| format!("{level}-{name}-{number}"));
    of("free").chain(of("silver")).collect()
}

/// A server on which ads of four campaigns met every fate, and the newest of which may be clicked yet.
fn played() -> (Radio, Vec<Show>, Vec<Value>) {
    let mut radio = Radio::start(&[("UPBEAT_LEARN_ATTRIBUTION", "10m")]);
    put(&radio.server, &four(false));
    for (name, level) in [("old", "free"), ("old", "silver"), ("young", "free"), ("young", "silver")] {
        radio.load(&format!("{level}-{name}"), 80, level);
    }
    radio.pace(&["first", "second"]);
    let old = customers("old");
    let explain =
        |customer: &String| radio.server.get(&format!("/should-show-ad/{customer}?explain=true")).ok();
    let told: Vec<Value> = old.iter().map(explain).collect();
    // What has no lease of its budget yet is paced for the moment: the lease of the second is behind that of the first.
    let answers = radio.decide_all(&old);
    let shown = answers.into_iter().zip(told).filter(|(answer, _)| answer["show"] == true);
    let shows: Vec<Show> = shown
        .zip(FATES.iter().cycle())
        .map(|((answer, told), fate)| Show { answer, told, fate: *fate })
        .collect();
    assert!(shows.len() >= 24, "{} shows", shows.len());
    let shown_s = radio.now_s;
    // Everybody plays on: what is learned from is what was known at the decision.
    let lines = old.iter().map(|customer| play_at(customer, 99, &seconds_from_now(shown_s + 30)) + "\n");
    radio.server.load("/events", NDJSON, lines.collect::<String>());
    let mut events: Vec<_> = shows.iter().filter_map(Show::event).collect();
    events.sort_by_key(|(after_s, _)| *after_s);
    for (after_s, mut event) in events {
        event["time"] = json!(seconds_from_now(shown_s + after_s));
        radio.server.load("/events", JSON, event.to_string());
    }
    radio.turn_to(shown_s + ATTRIBUTION_S + 61);
    let young = radio.decide_all(&customers("young"));
    assert!(young.iter().any(|answer| answer["show"] == true), "{young:?}");
    (radio, shows, young)
}

/// The rows of `export training`, and what the command says.
fn training(arguments: &[&str]) -> (Vec<Row>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("training.csv").display().to_string();
    let output =
        upbeat().args(["export", "training", "-o", &path]).args(arguments).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = std::fs::read_to_string(path).expect("a file");
    (super::export_decisions::table(&text), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn rows_to_learn_from_have_label_weight_and_counts_of_ads_that_no_click_can_be_of_any_more() {
    let (radio, shows, young) = played();
    let decisions = radio.exported("decisions", &[]);
    let decisions: BTreeMap<&str, &Row> = decisions.iter().map(|row| (&*row["decision_id"], row)).collect();
    let (rows, _) = training(&["--from", &radio.kept.directory(), "--attribution", "10m"]);
    let rows: BTreeMap<&str, &Row> = rows.iter().map(|row| (&*row["decision_id"], row)).collect();
    let mut weights = std::collections::BTreeSet::new();
    for show in &shows {
        let row = rows.get(show.text("decision_id"));
        if show.fate == Fate::Voided {
            assert_eq!(row, None, "an ad that was not played says nothing");
            continue;
        }
        let row = row.unwrap_or_else(|| panic!("{:?} of {} is missing", show.fate, show.answer));
        let clicked = CLICKED.contains(&show.fate);
        assert_eq!(row["clicked"], clicked.to_string(), "{:?}: {row:?}", show.fate);
        let decision = decisions[show.text("decision_id")];
        for key in ["customer", "campaign", "time", "reason", "model", "plays", "night", "unique"] {
            assert_eq!(row[key], decision[key], "{key}");
        }
        let propensity = propensities(decision)[show.text("campaign")];
        let weight: f64 = row["weight"].parse().expect("a number");
        assert!((weight * propensity - 1.0).abs() < 1e-12 && weight > 1.0, "{weight} of {decision:?}");
        weights.insert(row["weight"].clone());
        // The features are those that the decision was explained by.
        let campaigns = show.told["campaigns"].as_array().expect("campaigns");
        let told =
            campaigns.iter().find(|of| of["campaign"] == show.answer["campaign"]).expect("the campaign");
        let plays: f64 = row["plays"].parse().expect("a count");
        for (name, feature) in told["features"].as_object().expect("features") {
            let name = if name == "unique_tracks" { "unique" } else { name };
            assert_eq!(row[name], feature["count"].to_string(), "{name}: {row:?}");
            let value: f64 = row[name].parse::<f64>().expect("a count") / plays;
            assert!((value - feature["value"].as_f64().expect("a share")).abs() < 1e-12, "{name}: {row:?}");
        }
    }
    assert!(weights.len() >= 3, "each campaign has its own coin: {weights:?}");
    let played = shows.iter().filter(|show| show.fate != Fate::Voided).count();
    assert_eq!(rows.len(), played, "and no others");
    for answer in young.iter().filter(|answer| answer["show"] == true) {
        assert!(!rows.contains_key(answer["decision_id"].as_str().expect("an id")), "it may be clicked yet");
    }
}

#[test]
fn export_counts_clicks_for_as_long_as_the_server_or_its_configuration_says() {
    let (radio, shows, _) = played();
    radio.exported("decisions", &[]);
    let directory = radio.kept.directory();
    let url = format!("http://{}", radio.server.admin);
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("upbeat.toml").display().to_string();
    std::fs::write(&config, "[learn]\nattribution = \"10m\"\n").expect("a file");
    let clicks = |rows: &[Row]| rows.iter().filter(|row| row["clicked"] == "true").count() as u64;
    let count = |fates: &[Fate]| shows.iter().filter(|show| fates.contains(&show.fate)).count() as u64;

    let (of_server, said) = training(&["--from", &url]);
    assert!(said.contains("a click counts for 10m after its ad, as the server at"), "{said}");
    let (of_file, said) = training(&["--from", &directory, "--config", &config]);
    assert!(said.contains(&format!("a click counts for 10m after its ad, as {config} says")), "{said}");
    assert_eq!(of_server, of_file);
    assert_eq!(clicks(&of_server), count(&CLICKED));
    // The server's reports count the same clicks.
    let reported = ["first", "second", "third", "fourth"].map(|id| {
        radio.server.admin_get(&format!("/campaigns/{id}/report")).ok()["clicks"].as_u64().expect("a count")
    });
    assert_eq!(reported.iter().sum::<u64>(), clicks(&of_server));

    // By the default all may be clicked yet, and that is said.
    let (rows, said) = training(&["--from", &directory]);
    assert!(rows.is_empty(), "{rows:?}");
    assert!(
        said.contains("a click counts for 30m after its ad, the default") && said.contains("--config"),
        "{said}"
    );
    // A flag is stronger than both.
    for from in [&["--from", &*url][..], &["--from", &*directory, "--config", &*config]] {
        let (rows, said) = training(&[from, &["--attribution", "11m"]].concat());
        assert_eq!(clicks(&rows), count(&CLICKED) + count(&[Fate::ClickedLate]));
        assert!(!said.contains("a click counts for"), "{said}");
    }
    let none = folder.path().join("none.toml").display().to_string();
    let wrong = folder.path().join("wrong.toml").display().to_string();
    std::fs::write(&wrong, "[learn]\nattribution = \"25h\"\n").expect("a file");
    for (arguments, status, sentence) in [
        (vec!["--from", &*url, "--config", &*config], 2, "leave out --config"),
        (vec!["--from", &*directory, "--config", &*none], 1, "none.toml"),
        (vec!["--from", &*directory, "--config", &*wrong], 1, "learn.attribution"),
        (vec!["--from", &*directory, "--attribution", "0s"], 2, "give 1s to 24h"),
        (vec!["--from", &*directory, "--attribution", "30"], 2, "write it as 30s, 5m"),
    ] {
        let output = upbeat().args(["export", "training"]).args(&arguments).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(said.contains(sentence), "{arguments:?}: {said}");
    }
}
