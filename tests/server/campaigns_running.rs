//! Several campaigns at once: what decides between them, what they cost, and how a decision is explained.

use serde_json::{Value, json};

use super::campaigns::{Files, open, put};
use super::durability::{Kept, kill};
use super::listeners::{likely, membership, unlikely};
use super::support::*;

/// The four campaigns that ship, as an example.
fn four() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/model/campaigns.toml"))
        .expect("the example")
}

#[test]
fn model_of_a_campaign_is_a_file_beside_the_campaigns_or_one_that_ships() {
    let own = open("own").replace("\"gold-one-day\"", "\"mine\"");
    let files = Files::new(&[
        ("upbeat.toml", ""),
        ("campaigns.toml", &own),
        ("models/mine.json", include_str!("golden/models/linear-3.json")),
    ]);
    let kept = Kept::new();
    let server = files.start(&kept);
    server.load("/events", NDJSON, likely("48"));
    let first = server.decide("48")["model"].as_str().expect("an id").to_owned();
    assert!(kept.data.path().join("data/models").join(format!("{first}.json")).is_file());
    // A changed model file is taken at SIGHUP, and is a version of its own.
    files.write("models/mine.json", include_str!("golden/models/rbf-3.json"));
    server.signal("HUP");
    let model =
        || server.get("/should-show-ad/48?dry_run=true").ok()["model"].as_str().expect("an id").to_owned();
    until("the new model scores", || model() != first);
    let second = model();
    kill(server);
    // The model of what is in force is kept, whatever becomes of the file.
    std::fs::remove_file(files.path("models/mine.json")).expect("a file");
    let server = files.start(&kept);
    assert_eq!(server.get("/should-show-ad/48?dry_run=true").ok()["model"], json!(second));
}

#[test]
fn explanation_tells_of_every_campaign_and_every_rule_and_counts_nothing() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48") + &membership("48", 1, "silver", 60) + "\n");
    let toml = open("shown")
        + "priority = 1\ncaps = [{ impressions = 1, hours = 24 }]\n"
        + &open("resting")
        + "paused = true\n"
        + &open("of-gold")
        + "audience = [\"gold\"]\n"
        + &open("picky").replace("-1e9", "1e9");
    put(&server, &toml);
    for path in ["/should-show-ad/48?explain=true", "/should-show-ad/48?explain=true&request_id=r"] {
        let told = server.get(path).ok();
        assert_eq!((&told["show"], &told["campaign"]), (&json!(true), &json!("shown")), "{told}");
        let ids: Vec<_> =
            told["campaigns"].as_array().expect("a list").iter().map(|c| c["campaign"].clone()).collect();
        assert_eq!(ids, ["shown", "of-gold", "picky", "resting"]);
    }
    assert_eq!(server.decide("48")["campaign"], "shown", "no explanation has counted");
    let told = server.get("/should-show-ad/48?explain=true").ok();
    assert_eq!(told["reason"], "unlikely_to_click", "the one that came farthest: {told}");
    let rule = |campaign: usize, name: &str| {
        let rules = told["campaigns"][campaign]["rules"].as_array().expect("a list").clone();
        rules.into_iter().find(|rule| rule["rule"] == name).unwrap_or_else(|| panic!("{name} in {told}"))
    };
    let cap = rule(0, "cap");
    assert_eq!(
        (&cap["passed"], &cap["input"], &cap["limit"]),
        (&json!(false), &json!(1), &json!(1)),
        "{cap}"
    );
    assert!(cap["until"].as_str().is_some_and(|time| time.contains('T')), "{cap}");
    assert_eq!(rule(3, "paused")["passed"], false);
    assert_eq!(rule(1, "audience")["passed"], false);
    assert_eq!(rule(2, "threshold")["passed"], false);
    let admin = server.admin_get("/customers/48/explain").ok();
    // Each is of its own instant.
    let refused = |told: &Value| -> Vec<Value> {
        told["campaigns"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|campaign| campaign["refused"].clone())
            .collect()
    };
    assert_eq!(refused(&admin), refused(&told));
    assert_eq!(refused(&told), ["capped", "not_in_audience", "unlikely_to_click", "paused"]);
    let campaign = &told["campaigns"][0];
    let parts = campaign["features"].as_object().expect("features").values();
    let sum: f64 = parts.map(|feature| feature["part"].as_f64().expect("a number")).sum();
    let (constant, score) =
        (campaign["constant"].as_f64().expect("one"), campaign["score"].as_f64().expect("one"));
    assert!((constant + sum - score).abs() < 1e-9, "{told}");
    assert!(server.get("/should-show-ad/49?explain=true").ok()["campaigns"].is_array(), "also of nobody");
}

#[test]
fn preview_answers_as_if_one_campaign_ran_alone_and_never_counts() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48") + &unlikely("49"));
    let capped = "caps = [{ impressions = 1, hours = 24 }]\n";
    put(&server, &(open("first") + "priority = 1\n" + capped + &open("second") + capped));
    for _ in 0..3 {
        let previewed = server.get("/should-show-ad/48?preview=second").ok();
        assert_eq!((&previewed["campaign"], &previewed["show"]), (&json!("second"), &json!(true)));
    }
    for path in ["preview=second&dry_run=true", "preview=second&request_id=r", "preview=second&explain=true"]
    {
        assert_eq!(server.get(&format!("/should-show-ad/48?{path}")).ok()["campaign"], "second", "{path}");
    }
    assert_eq!(server.decide("48")["campaign"], "first");
    assert_eq!(server.decide("48")["campaign"], "second", "no preview has counted");
    let detail = server.get("/should-show-ad/48?preview=third").problem(404, "campaign-not-found");
    assert!(detail.contains("third"), "{detail}");
    server.get("/should-show-ad/48?preview=%20").problem(400, "invalid-query");
    server.get("/should-show-ad/48?preview=first&preview=second").problem(400, "invalid-query");
    server.get("/should-show-ad/48?explain=maybe").problem(400, "invalid-query");
}

#[test]
fn explained_preview_has_the_coins_and_propensities_of_that_campaign_alone() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48") + &unlikely("49"));
    let over_all = "holdout_all = 1.0\n[[cap]]\nimpressions = 1\nhours = 24\n";
    let picky = open("picky").replace("-1e9", "1e9") + "exploration = 0.9\n";
    let picky_too = open("picky-too").replace("-1e9", "1e9") + "exploration = 0.1\n";
    let toml = [over_all, &open("first"), "priority = 1\n", &open("second"), &picky, &picky_too].concat();
    put(&server, &toml);
    let told = |query: &str| server.get(&format!("/should-show-ad/48?explain=true{query}")).ok();
    let of = |told: &Value, id: &str| {
        let campaigns = told["campaigns"].as_array().expect("a list");
        campaigns.iter().find(|campaign| campaign["campaign"] == id).expect("the campaign").clone()
    };
    // Beside the first, the second is never shown, and everybody is held out.
    let together = told("");
    assert_eq!((&together["reason"], &together["campaign"]), (&json!("held_out"), &json!("first")));
    let second = of(&together, "second");
    assert_eq!((&second["place"], &second["propensity"]), (&json!(2), &json!(0.0)), "{second}");
    // Alone it is, as the plain preview says.
    for query in ["&preview=second", "&preview=second&request_id=r", "&preview=second&dry_run=true"] {
        let alone = told(query);
        assert_eq!(alone["campaigns"].as_array().map(Vec::len), Some(1), "{alone}");
        let second = of(&alone, "second");
        assert_eq!((&second["place"], &second["propensity"]), (&json!(1), &json!(1.0)), "{second}");
        let sentence = "pacing lets every show pass";
        let pacing = json!([{"coin": "pacing", "probability": 1.0, "fell": true, "sentence": sentence}]);
        assert_eq!(second["coins"], pacing, "no holdout over all campaigns");
        let rules = second["rules"].as_array().expect("a list");
        assert!(rules.iter().all(|rule| rule["rule"] != "cap_over_all"), "{second}");
        let plain = server.get("/should-show-ad/48?preview=second").ok();
        for key in ["show", "reason", "campaign", "score", "probability", "model"] {
            assert_eq!(alone[key], plain[key], "{key}");
        }
    }
    // Beside others nobody tosses for the unlikely one; alone its toss is made.
    let alone = of(&told("&preview=picky"), "picky");
    assert_eq!(
        (&alone["coins"][0]["coin"], &alone["coins"][0]["probability"]),
        (&json!("exploration"), &json!(0.9))
    );
    assert_eq!(alone["propensity"], 0.9, "{alone}");
    assert_eq!(of(&together, "picky")["propensity"], 0.0);
    // Of nobody there is nothing to tell.
    let nobody = server.get("/should-show-ad/7?explain=true&preview=second").ok();
    assert_eq!((&nobody["reason"], &nobody["campaigns"]), (&json!("unknown_customer"), &json!([])));
    assert_eq!(server.held("48")["impressions"], json!([]), "nothing of it counts");
}

/// The sum of a report in micro-units: what it holds of a budget.
fn report(server: &Server, campaign: &str) -> Value {
    server.admin_get(&format!("/campaigns/{campaign}/report")).ok()
}

#[test]
fn budget_is_spent_to_the_last_show_and_not_beyond_and_a_void_gives_it_back() {
    let kept = Kept::new();
    let server = kept.start();
    let customers: Vec<String> = (1..=12).map(|number| number.to_string()).collect();
    server.load("/events", NDJSON, customers.iter().map(|customer| likely(customer)).collect::<String>());
    put(&server, &(open("dear") + "impression_cost = 0.03\ntotal_budget = 0.23\n"));
    let answers: Vec<Value> = customers.iter().map(|customer| server.decide(customer)).collect();
    let reasons = |reason: &str| answers.iter().filter(|answer| answer["reason"] == reason).count();
    assert_eq!((reasons("likely_to_click"), reasons("over_budget")), (7, 5), "{answers:?}");
    let told = report(&server, "dear");
    assert_eq!(
        (&told["reserved"], &told["spent"], &told["budget"]),
        (&json!(210_000), &json!(0), &json!(230_000))
    );
    assert_eq!((&told["not_shown"]["over_budget"], &told["returned"]), (&json!(5), &json!(0)), "{told}");
    let void = json!({
        "type": "void", "event_id": "v1", "customer_id": "1", "time": jiff::Timestamp::now().to_string(),
        "decision_id": answers[0]["decision_id"],
    });
    assert_eq!(server.load("/events", JSON, void.to_string()), (1, 0));
    assert_eq!(server.load("/events", JSON, void.to_string()), (0, 1), "once");
    let told = report(&server, "dear");
    assert_eq!((&told["reserved"], &told["returned"]), (&json!(180_000), &json!(30_000)), "{told}");
    // The log is asked for the lease of what came back; until it is durable shows are paced.
    until("somebody else is shown it", || server.decide("12")["show"] == true);
    assert_eq!(server.decide("11")["reason"], "over_budget");
    let money = |server: &Server| {
        let report = report(server, "dear");
        ["budget", "reserved", "spent", "returned", "late", "overrun", "lost"].map(|key| report[key].clone())
    };
    let before = money(&server);
    kill(server);
    let server = kept.start();
    assert_eq!(money(&server), before, "a kill changes none of it");
    assert_eq!(server.decide("11")["reason"], "over_budget");
}

#[test]
fn report_is_of_known_campaigns_and_of_days_that_there_are() {
    let server = Server::start();
    put(&server, &open("a"));
    put(&server, &open("b"));
    assert_eq!(report(&server, "a")["spent"], 0, "one that runs no more");
    server.admin_get("/campaigns/c/report").problem(404, "campaign-not-found");
    for query in [
        "from=2026-02-30",
        "from=yesterday",
        "to=2026-13-01",
        "from=2026-03-01&to=2026-02-01",
        "since=1",
        "from=2026-03-01T00:00:00",
    ] {
        server.admin_get(&format!("/campaigns/a/report?{query}")).problem(400, "invalid-query");
    }
    let empty = server.admin_get("/campaigns/a/report?from=2026-03-01&to=2026-03-01").ok();
    assert_eq!(empty["impressions"], 0);
}

#[test]
fn four_campaigns_run_at_once_and_one_rests() {
    let server = Server::start();
    let customers: Vec<String> = (1..=40).map(|number| number.to_string()).collect();
    server.load("/events", NDJSON, customers.iter().map(|customer| likely(customer)).collect::<String>());
    let capped = "caps = [{ impressions = 1, hours = 24 }]\nimpression_cost = 0.01\n";
    let four = ["a", "b", "c", "d"].map(|id| open(id) + capped).concat();
    put(&server, &four);
    let shown = |customer: &str| server.decide(customer)["campaign"].as_str().map(str::to_owned);
    let all: std::collections::BTreeSet<_> = (0..4).map(|_| shown("1")).collect();
    assert_eq!(all.len(), 4, "one after the other: {all:?}");
    assert_eq!(server.reason("1"), "capped");
    put(&server, &four.replace("ad = \"AD_c\"\n", "ad = \"AD_c\"\npaused = true\n"));
    let three: std::collections::BTreeSet<_> = (0..3).map(|_| shown("2")).collect();
    assert_eq!(three.len(), 3);
    assert!(!three.contains(&Some("c".to_owned())), "{three:?}");
    let reserved = |id: &str| server.metric(&format!("upbeat_campaign_reserved{{campaign=\"{id}\"}}"));
    assert_eq!(["a", "b", "c", "d"].map(reserved), [0.02, 0.02, 0.01, 0.02]);
}

#[test]
fn metrics_of_each_campaign_add_up_with_the_answers_and_its_report() {
    let server = Server::start();
    let customers: Vec<String> = (1..=9).map(|number| number.to_string()).collect();
    server.load("/events", NDJSON, customers.iter().map(|customer| likely(customer)).collect::<String>());
    let dear = "priority = 1\nimpression_cost = 0.03\ntotal_budget = 0.23\n";
    let capped = "caps = [{ impressions = 1, hours = 24 }]\n";
    put(
        &server,
        &(open("dear") + dear + capped + &open("free") + capped + &open("rests") + "paused = true\n"),
    );
    let mut answers: Vec<Value> =
        (0..3).flat_map(|_| customers.iter().map(|customer| server.decide(customer))).collect();
    answers.push(server.decide("nobody"));
    for campaign in ["dear", "free", "rests"] {
        let of = |name: &str| server.metric(&format!("upbeat_campaign_{name}{{campaign=\"{campaign}\"}}"));
        let named = || answers.iter().filter(|answer| answer["campaign"] == campaign);
        assert_eq!(of("shows_total"), named().filter(|answer| answer["show"] == true).count() as f64);
        let told = report(&server, campaign);
        for reason in upbeat_core::decision::Reason::ALL.iter().filter(|reason| !reason.shows()) {
            let count = named().filter(|answer| answer["reason"] == reason.name()).count();
            let labels = format!("campaign=\"{campaign}\",reason=\"{}\"", reason.name());
            assert_eq!(
                server.metric(&format!("upbeat_campaign_not_shown{{{labels}}}")),
                count as f64,
                "{labels}"
            );
            assert_eq!(told["not_shown"][reason.name()].as_u64().unwrap_or(0), count as u64, "{labels}");
        }
        let [reserved, spent] = ["reserved", "spent"].map(|name| of(&format!("{name}_micro_units")));
        assert_eq!((Some(reserved), Some(spent)), (told["reserved"].as_f64(), told["spent"].as_f64()));
    }
    assert_eq!(server.metric("upbeat_campaign_shows_total{campaign=\"dear\"}"), 7.0);
    assert_eq!(server.metric("upbeat_campaign_budget_micro_units{campaign=\"dear\"}"), 230_000.0);
    assert_eq!(server.metric("upbeat_campaign_reserved_micro_units{campaign=\"dear\"}"), 210_000.0);
}

#[test]
fn campaigns_that_ship_as_an_example_are_taken() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("1"));
    put(&server, &four());
    let ids = server.get("/should-show-ad/1?explain=true").ok();
    assert_eq!(ids["campaigns"].as_array().map(Vec::len), Some(4));
}
