//! `?explain=true` for somebody who runs campaigns: what was found, what is allowed, until when, in words.

use serde_json::{Value, json};

use super::campaigns::put;
use super::coins::{Radio, campaign};
use super::listeners::{likely, seconds_from_now};
use super::support::*;

/// The explanation of a customer who is asked about one campaign.
fn told(radio: &Radio, customer: &str) -> Value {
    radio.server.get(&format!("/should-show-ad/{customer}?explain=true")).ok()
}

/// What is found under a key by its name, as in `("rules", "rule", "cap")`.
fn named(told: &Value, list: &str, key: &str, name: &str) -> Value {
    let of = told["campaigns"][0][list].as_array().expect("a list");
    of.iter().find(|one| one[key] == name).unwrap_or_else(|| panic!("{name} in {told}")).clone()
}

/// What holds for every explanation of a customer with plays.
fn check(told: &Value) {
    let campaign = &told["campaigns"][0];
    for rule in campaign["rules"].as_array().expect("rules") {
        for key in ["rule", "passed", "input", "limit", "until", "sentence"] {
            assert!(rule.get(key).is_some(), "{key} of {rule}");
        }
        let sentence = rule["sentence"].as_str().expect("a sentence");
        assert!(sentence.contains(' ') && !sentence.contains("micro"), "{sentence}");
        let is_bound = ["cap", "cap_over_all", "cooldown_after_impression", "budget"];
        if rule["passed"] == false && is_bound.iter().any(|name| rule["rule"] == *name) {
            assert!(rule["until"].is_string() && sentence.contains(": not before 20"), "{rule}");
        }
    }
    for coin in campaign["coins"].as_array().expect("coins") {
        assert!(coin["sentence"].as_str().is_some_and(|sentence| sentence.contains(' ')), "{coin}");
    }
    let parts = campaign["features"].as_object().expect("features").values();
    let sum: f64 = parts.map(|feature| feature["part"].as_f64().expect("a number")).sum();
    let number = |key: &str| campaign[key].as_f64().expect("a number");
    assert!((number("constant") + sum - number("score")).abs() < 1e-9, "{campaign}");
    assert_eq!(campaign["features"].as_object().map(serde_json::Map::len), Some(6));
}

#[test]
fn each_rule_and_coin_says_in_words_what_it_found_what_it_allows_and_until_when() {
    let radio = Radio::start(&[]);
    radio.server.load("/events", NDJSON, likely("48") + &likely("49"));
    let one = |id: &str, keys: &str| {
        let keys = format!("threshold = {{ score = -1e9 }}\n{keys}");
        put(&radio.server, &("currency = \"USD\"\n".to_owned() + &campaign(id, "gold-one-day", &keys)));
    };
    let later = |seconds: i64| json!(seconds_from_now(radio.now_s + seconds));

    one("capped", "caps = [{ impressions = 5, days = 7 }, { impressions = 1, hours = 24 }]");
    assert_eq!(radio.server.decide("48")["show"], true);
    let capped = told(&radio, "48");
    check(&capped);
    assert_eq!((&capped["reason"], &capped["campaigns"][0]["refused"]), (&json!("capped"), &json!("capped")));
    let caps: Vec<Value> = capped["campaigns"][0]["rules"].as_array().expect("rules").clone();
    let caps: Vec<&Value> = caps.iter().filter(|rule| rule["rule"] == "cap").collect();
    assert_eq!(caps[0]["sentence"], "this ad was heard 1 of 5 times within 7d");
    let [cap, until_then] = ["sentence", "until"].map(|key| caps[1][key].as_str().expect("text"));
    assert_eq!(
        (&caps[1]["input"], &caps[1]["limit"], &caps[1]["period"]),
        (&json!(1), &json!(1), &json!("1d"))
    );
    assert_eq!(json!(until_then), later(86_400));
    assert!(cap.starts_with("this ad was heard 1 of 1 times within 1d: not before 20"), "{cap}");

    one("resting", "cooldown_after_impression = \"30m\"");
    assert_eq!(radio.server.decide("48")["show"], true);
    let cooling = told(&radio, "48");
    check(&cooling);
    let rule = named(&cooling, "rules", "rule", "cooldown_after_impression");
    assert_eq!((&cooling["reason"], &rule["until"]), (&json!("cooling_down"), &later(1800)));
    assert_eq!((&rule["input"], &rule["limit"]), (&later(0), &json!("30m")));
    let sentence = rule["sentence"].as_str().expect("a sentence");
    assert!(
        sentence.starts_with("this ad was heard last at 20") && sentence.contains("it rests 30m after that"),
        "{sentence}"
    );

    one("poor", "daily_budget = 0.03");
    until("somebody is shown it", || radio.server.decide("48")["show"] == true);
    let poor = told(&radio, "49");
    check(&poor);
    let rule = named(&poor, "rules", "rule", "budget");
    assert_eq!(
        (&poor["reason"], &rule["input"], &rule["limit"]),
        (&json!("over_budget"), &json!(10_000), &json!(20_000))
    );
    let sentence = rule["sentence"].as_str().expect("a sentence");
    assert!(
        sentence.starts_with("0.01 USD of the budget is left, and a show costs 0.02 USD: not before"),
        "{sentence}"
    );
    assert!(sentence.contains(" 00:00:00 "), "the next local day: {sentence}");

    one("slow", "daily_budget = 100\npacing = \"even\"");
    let mut paced = Value::Null;
    until("one is paced", || {
        paced = told(&radio, "48");
        paced["reason"] == "paced"
    });
    check(&paced);
    let coin = named(&paced, "coins", "coin", "pacing");
    let sentence = coin["sentence"].as_str().expect("a sentence");
    assert!(
        sentence.starts_with("pacing lets ")
            && sentence.ends_with(" of shows pass, so that the budget lasts: this one does not"),
        "{sentence}"
    );

    one("compared", "holdout = 1.0");
    let held_out = told(&radio, "48");
    check(&held_out);
    assert_eq!(held_out["reason"], "held_out");
    let coin = named(&held_out, "coins", "coin", "holdout");
    assert_eq!(
        coin["sentence"],
        "100 % of listeners never hear this campaign, to compare with: this one is among them"
    );

    put(&radio.server, &campaign("dear", "gold-one-day", "threshold = \"profit\"\nclick_value = 0.000001"));
    let dear = told(&radio, "48");
    check(&dear);
    let rule = named(&dear, "rules", "rule", "threshold");
    let sentence = rule["sentence"].as_str().expect("a sentence");
    assert!(
        sentence.starts_with("a show is worth 0") && sentence.ends_with(", not above its cost of 0.02"),
        "{sentence}"
    );
}
