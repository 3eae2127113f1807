//! Metrics after a known history.

use std::collections::BTreeMap;

use super::listeners::{likely, membership, play, unlikely};
use super::support::{CSV, JSON, NDJSON, Server};

/// What Prometheus 2 asks for.
const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// Every sample by its name and labels, as written; asserts the form of the OpenMetrics text format.
fn scrape(server: &Server) -> BTreeMap<String, f64> {
    let answer = server.ask("GET", &server.admin, "/metrics", &[("accept", PROMETHEUS)], b"");
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    let text = answer.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut families: BTreeMap<String, String> = BTreeMap::new();
    let mut samples = BTreeMap::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<_> = comment.splitn(3, ' ').collect();
            match words[..] {
                ["TYPE", name, kind] => {
                    assert!(families.insert(name.into(), kind.into()).is_none(), "{name} twice");
                }
                ["HELP", _, help] => assert!(help.len() > 5, "{line}"),
                ["EOF"] | ["UNIT", ..] => {}
                _ => panic!("{line}"),
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a sample");
        let bare = name.split('{').next().expect("a name");
        let family =
            families.keys().filter(|family| bare.starts_with(family.as_str())).max_by_key(|f| f.len());
        let kind =
            family.map(|family| families[family].as_str()).unwrap_or_else(|| panic!("no TYPE for {name}"));
        assert!(kind != "counter" || bare.ends_with("_total"), "{line}");
        assert!(bare.starts_with("upbeat_"), "{line}");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(value >= 0.0 && samples.insert(name.to_owned(), value).is_none(), "{line}");
    }
    samples
}

#[test]
fn metrics_count_a_known_history() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48") + &unlikely("49"));
    server.load("/events", NDJSON, likely("48"));
    server.load("/events", JSON, membership("50", 1, "gold", 60));
    server.load("/events?kind=clicks", CSV, "1,48,ADV_REDUCED_1DAY,2014-10-23 03:26:20\n");
    server.load("/events?kind=tracks", CSV, "TrackId,Title,Artist,Length\n1,a,b,10\n");
    server.post("/events", NDJSON, "nonsense\n7\n").ok();
    server.post("/events", JSON, play("48", 99, -9000)).problem(409, "event-conflict");
    for customer in ["48", "48", "49", "50", "51", "52"] {
        server.decide(customer);
    }
    server.post("/decisions", JSON, r#"{"customers":["48","49"]}"#).ok();
    server.get("/should-show-ad/48?dry_run=true").ok();
    for _ in 0..3 {
        server.get("/should-show-ad/53?request_id=r").ok();
    }
    server.get("/nowhere").problem(404, "not-found");
    server.get("/should-show-ad/a%20b").problem(400, "invalid-customer-id");

    let samples = scrape(&server);
    for (name, expected) in [
        ("upbeat_decisions_total{reason=\"likely_to_click\"}", 1.0),
        ("upbeat_decisions_total{reason=\"capped\"}", 2.0),
        ("upbeat_decisions_total{reason=\"unlikely_to_click\"}", 2.0),
        ("upbeat_decisions_total{reason=\"already_gold\"}", 1.0),
        ("upbeat_decisions_total{reason=\"unknown_customer\"}", 3.0),
        ("upbeat_decisions_total{reason=\"no_model\"}", 0.0),
        ("upbeat_decisions_total{reason=\"not_in_audience\"}", 0.0),
        ("upbeat_decisions_total{reason=\"too_little_history\"}", 0.0),
        ("upbeat_dry_run_decisions_total", 1.0),
        ("upbeat_repeated_requests_total", 2.0),
        ("upbeat_events_total{kind=\"play\",outcome=\"accepted\"}", 48.0),
        ("upbeat_events_total{kind=\"play\",outcome=\"duplicate\"}", 24.0),
        ("upbeat_events_total{kind=\"play\",outcome=\"rejected\"}", 1.0),
        ("upbeat_events_total{kind=\"membership\",outcome=\"accepted\"}", 1.0),
        ("upbeat_events_total{kind=\"click\",outcome=\"accepted\"}", 1.0),
        ("upbeat_events_total{kind=\"impression\",outcome=\"accepted\"}", 0.0),
        ("upbeat_events_total{kind=\"track\",outcome=\"accepted\"}", 1.0),
        ("upbeat_events_total{kind=\"unreadable\",outcome=\"rejected\"}", 2.0),
        ("upbeat_profiles", 3.0),
        ("upbeat_plays", 48.0),
        ("upbeat_tracks", 1.0),
        ("upbeat_problems_total{type=\"not-found\"}", 1.0),
        ("upbeat_problems_total{type=\"invalid-customer-id\"}", 1.0),
        ("upbeat_problems_total{type=\"event-conflict\"}", 1.0),
        ("upbeat_http_requests_total{route=\"/should-show-ad/{customer}\",status=\"200\"}", 10.0),
        ("upbeat_http_requests_total{route=\"/should-show-ad/{customer}\",status=\"400\"}", 1.0),
        ("upbeat_http_requests_total{route=\"/events\",status=\"409\"}", 1.0),
        ("upbeat_http_requests_total{route=\"other\",status=\"404\"}", 1.0),
        ("upbeat_decision_seconds_count", 11.0),
        ("upbeat_impression_cost_spent_total", 0.02),
        ("upbeat_impression_cost_saved_total", 0.16),
    ] {
        let value = samples.get(name).unwrap_or_else(|| panic!("no {name} in {samples:#?}"));
        assert!((value - expected).abs() < 1e-9, "{name} is {value}, not {expected}");
    }
    assert!(samples["upbeat_request_body_bytes_total"] > 1000.0);
    assert!(samples["upbeat_profile_bytes"] > 0.0 && samples["upbeat_resident_bytes"] > 0.0);
}

#[test]
fn metrics_name_the_model_and_the_build() {
    let server = Server::start();
    let id = server.admin_get("/models").ok()[0]["id"].as_str().expect("an id").to_owned();
    let samples = scrape(&server);
    assert_eq!(
        samples.get(&format!("upbeat_model{{id=\"{id}\",role=\"champion\"}}")),
        Some(&1.0),
        "{samples:#?}"
    );
    assert_eq!(
        samples.get(&format!("upbeat_build{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))),
        Some(&1.0)
    );
    let without = Server::with(&["--model", "none"], &[]);
    assert!(!scrape(&without).keys().any(|name| name.starts_with("upbeat_model{")));
}

#[test]
fn latency_buckets_are_cumulative() {
    let server = Server::start();
    for _ in 0..25 {
        server.decide("48");
    }
    let samples = scrape(&server);
    let mut buckets: Vec<(f64, f64)> = samples
        .iter()
        .filter_map(|(name, count)| {
            let bound = name.strip_prefix("upbeat_decision_seconds_bucket{le=\"")?.strip_suffix("\"}")?;
            Some((bound.parse().unwrap_or(f64::INFINITY), *count))
        })
        .collect();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(buckets.len() > 5 && buckets.is_sorted_by(|a, b| a.1 <= b.1), "{buckets:?}");
    assert_eq!(buckets.last(), Some(&(f64::INFINITY, 25.0)));
}

#[test]
fn metrics_have_no_customer_ids_in_labels() {
    let server = Server::start();
    server.decide("whosecret");
    server.get("/secret/path").problem(404, "not-found");
    server.get("/should-show-ad/whosecret?secret=1").problem(400, "invalid-query");
    server.ask("SECRET", &server.data, "/events", &[], b"").problem(405, "method-not-allowed");
    assert!(!server.admin_get("/metrics").text().to_lowercase().contains("secret"));
}
