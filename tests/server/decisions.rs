//! Decisions: every reason, and what counts an impression.

use serde_json::{Value, json};

use super::listeners::{likely, membership, play, plays, unlikely};
use super::support::{JSON, NDJSON, Server};

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn likely_clicker_is_shown_the_ad() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48"));
    let answer = server.get("/should-show-ad/48");
    let decision = answer.ok();
    let text = answer.text();
    // The order of the fields is part of what people see in a terminal, so it is tested too.
    let order = ["customer", "show", "reason", "campaign", "score", "probability", "model", "decision_id"];
    let places: Vec<_> = order.iter().map(|key| text.find(&format!("\"{key}\":"))).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{text}");
    assert_eq!(keys(&decision).len(), order.len());

    assert_eq!(decision["customer"], "48");
    assert_eq!(decision["show"], true);
    assert_eq!(decision["reason"], "likely_to_click");
    assert_eq!(decision["campaign"], "gold-one-day");
    assert!(decision["score"].as_f64().is_some_and(|score| score > 0.0), "{decision}");
    assert!(decision["probability"].as_f64().is_some_and(|p| (0.0..=1.0).contains(&p)), "{decision}");
    assert!(decision["model"].as_str().is_some_and(|model| !model.is_empty()), "{decision}");
    let id = decision["decision_id"].as_str().expect("an id");
    assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{id}");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[test]
fn unlikely_clicker_is_not_shown_the_ad() {
    let server = Server::start();
    server.load("/events", NDJSON, unlikely("532"));
    let decision = server.decide("532");
    assert_eq!((&decision["show"], &decision["reason"]), (&json!(false), &json!("unlikely_to_click")));
    assert!(decision["score"].as_f64().is_some_and(|score| score <= 0.0), "{decision}");
}

#[test]
fn unknown_customer_is_an_answer_and_not_an_error() {
    let server = Server::start();
    let decision = server.decide("nobody");
    assert_eq!((&decision["show"], &decision["reason"]), (&json!(false), &json!("unknown_customer")));
    assert_eq!(decision["customer"], "nobody");
    assert_eq!((&decision["score"], &decision["probability"]), (&Value::Null, &Value::Null));
    assert_eq!(server.profiles(), 0);
}

#[test]
fn gold_members_are_not_shown_the_offer() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48"));
    server.load("/events", JSON, membership("48", 1, "gold", 60));
    let decision = server.decide("48");
    assert_eq!((&decision["show"], &decision["reason"]), (&json!(false), &json!("already_gold")));
    // A customer who leaves Gold may be shown the offer again.
    server.load("/events", JSON, membership("48", 2, "free", 30));
    assert_eq!(server.decide("48")["reason"], "likely_to_click");
}

#[test]
fn campaign_is_shown_to_its_audience_only() {
    let server = Server::with(&[], &[("UPBEAT_CAMPAIGN_AUDIENCE", "[\"silver\"]")]);
    server.load("/events", NDJSON, likely("1") + &likely("2") + &likely("3"));
    server.load("/events", JSON, membership("2", 1, "silver", 60));
    server.load("/events", JSON, membership("3", 1, "gold", 60));
    assert_eq!(server.reason("1"), "not_in_audience", "without a membership event the membership is Free");
    assert_eq!(server.reason("2"), "likely_to_click");
    assert_eq!(server.reason("3"), "already_gold");
}

#[test]
fn fewer_than_ten_plays_are_too_little_history() {
    let server = Server::start();
    for event_id in 1..=9 {
        server.load("/events", JSON, play("48", event_id, 60 * event_id as i64));
        assert_eq!(server.reason("48"), "too_little_history", "after {event_id} plays");
    }
    server.load("/events", JSON, play("48", 10, 600));
    assert_ne!(server.reason("48"), "too_little_history");
}

#[test]
fn plays_older_than_the_window_do_not_count() {
    let server = Server::start();
    let day_s = 24 * 3600;
    let old: String = (0..40).map(|id| play("48", id, 28 * day_s + 60 + id as i64) + "\n").collect();
    assert_eq!(server.load("/events", NDJSON, old), (40, 0));
    assert_eq!(server.reason("48"), "too_little_history");
    let recent: String = (40..50).map(|id| play("48", id, 27 * day_s + id as i64) + "\n").collect();
    server.load("/events", NDJSON, recent);
    assert_ne!(server.reason("48"), "too_little_history");
}

#[test]
fn server_without_a_model_answers_no_ad() {
    let server = Server::with(&["--model", "none"], &[]);
    server.load("/events", NDJSON, likely("48"));
    let decision = server.decide("48");
    assert_eq!((&decision["show"], &decision["reason"]), (&json!(false), &json!("no_model")));
    assert_eq!(decision["model"], Value::Null);
    assert_eq!(server.get("/readyz").status, 200);
    assert_eq!(server.admin_get("/models").ok(), json!([]));
}

#[test]
fn default_cap_is_one_impression_a_day() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48") + &likely("49"));
    assert_eq!(server.decide("48")["reason"], "likely_to_click");
    for _ in 0..2 {
        let again = server.decide("48");
        assert_eq!((&again["show"], &again["reason"]), (&json!(false), &json!("capped")));
    }
    assert_eq!(server.decide("49")["reason"], "likely_to_click", "one customer's cap is not another's");
    let held = server.held("48");
    assert_eq!(held["impressions"].as_array().map(Vec::len), Some(1), "a capped answer is no impression");
}

#[test]
fn cap_is_configurable() {
    let server = Server::with(&[], &[("UPBEAT_CAMPAIGN_CAP_IMPRESSIONS", "3")]);
    server.load("/events", NDJSON, likely("48"));
    let shown: Vec<_> = (0..5).map(|_| server.decide("48")["show"].clone()).collect();
    assert_eq!(shown, [true, true, true, false, false]);
}

#[test]
fn threshold_is_configurable() {
    let server = Server::with(&[], &[("UPBEAT_CAMPAIGN_THRESHOLD", "1e9")]);
    server.load("/events", NDJSON, likely("48"));
    assert_eq!(server.reason("48"), "unlikely_to_click");
}

#[test]
fn dry_run_counts_nothing() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48"));
    for _ in 0..3 {
        let dry = server.get("/should-show-ad/48?dry_run=true").ok();
        assert_eq!((&dry["show"], &dry["reason"]), (&json!(true), &json!("likely_to_click")));
    }
    assert_eq!(server.held("48")["impressions"], json!([]));
    assert_eq!(server.metric("upbeat_decisions_total{reason=\"likely_to_click\"}"), 0.0);
    assert_eq!(server.metric("upbeat_dry_run_decisions_total"), 3.0);
    assert_eq!(server.get("/should-show-ad/48?dry_run=false").ok()["show"], true);
    assert_eq!(server.reason("48"), "capped");
}

#[test]
fn head_has_the_headers_of_get_and_counts_nothing() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48"));
    let path = "/should-show-ad/48";
    let head = server.ask("HEAD", &server.data, path, &[], b"");
    let get = server.get(path);
    assert_eq!(get.ok()["show"], true, "HEAD has counted an impression");
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in ["content-type", "cache-control", "content-length"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
}

#[test]
fn acknowledged_event_is_visible_to_the_next_decision() {
    let server = Server::start();
    for customer in 0..50 {
        let customer = format!("c{customer}");
        assert_eq!(server.reason(&customer), "unknown_customer");
        server.load("/events", JSON, play(&customer, 1, 60));
        assert_eq!(server.reason(&customer), "too_little_history");
        server.load("/events", JSON, membership(&customer, 2, "gold", 30));
        assert_eq!(server.reason(&customer), "already_gold");
    }
}

#[test]
fn explanation_names_the_deciding_step() {
    let server = Server::start();
    server.load("/events", NDJSON, plays("48", 6));
    let explained = server.admin_get("/customers/48/explain").ok();
    assert_eq!(explained["decision"]["reason"], "likely_to_click");
    let steps = explained["steps"].as_array().expect("a list");
    assert!(steps.len() == 5 && steps.iter().all(|step| step["passed"] == true), "{explained}");
    assert_eq!(explained["features"]["mobile"], 1.0);
    let parts = explained["contributions"].as_object().expect("the shipped model holds its average row");
    let sum: f64 = parts.values().map(|part| part.as_f64().expect("a number")).sum();
    let score = explained["decision"]["score"].as_f64().expect("a score");
    assert!(parts.len() == 7 && (sum - score).abs() < 1e-9, "{explained}");
    server.load("/events", JSON, membership("48", 99, "gold", 30));
    let explained = server.admin_get("/customers/48/explain").ok();
    assert_eq!(explained["contributions"], json!(null), "the model was not consulted");
    let steps = explained["steps"].as_array().expect("a list");
    assert_eq!((steps.len(), &steps[0]["passed"]), (1, &json!(false)));
    assert_eq!(server.held("48")["impressions"], json!([]), "an explanation counts no impression");
}

#[test]
fn deleted_customer_is_unknown() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48") + &likely("49"));
    let delete =
        |customer: &str| server.ask("DELETE", &server.admin, &format!("/customers/{customer}"), &[], b"");
    let retried = "/should-show-ad/48?request_id=r";
    assert_eq!(server.get(retried).ok()["show"], true);
    assert_eq!(delete("48").status, 204);
    delete("48").problem(404, "customer-not-found");
    server.admin_get("/customers/48").problem(404, "customer-not-found");
    server.admin_get("/customers/48/explain").problem(404, "customer-not-found");
    assert_eq!(server.reason("48"), "unknown_customer");
    assert_eq!(
        server.get(retried).ok()["reason"],
        "unknown_customer",
        "the answer kept for a retry is deleted too"
    );
    assert_eq!(server.reason("49"), "likely_to_click");
    assert_eq!((server.profiles(), server.metric("upbeat_plays")), (1, 24.0));
}
