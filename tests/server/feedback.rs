//! What became of shown ads: confirmed, voided, clicked, in every odd way, with its answer and its count.

use serde_json::{Value, json};

use super::durability::{Kept, kill};
use super::listeners::{later_than_now, likely, play_at, seconds_from_now};
use super::support::*;

/// The instant of decisions of a server by the event clock, in seconds from now.
const SHOWN_S: i64 = -7200;

/// A server whose *now* is [`SHOWN_S`].
pub(super) fn by_event_clock() -> Server {
    let server = Server::by_event_clock();
    turn_to(&server, SHOWN_S);
    server
}

/// Moves *now*, so many seconds from the present, by plays of two others: one alone could be a wrong date.
pub(super) fn turn_to(server: &Server, seconds: i64) {
    for other in ["clock-1", "clock-2"] {
        server.load("/events", JSON, play_at(other, (seconds + 10_000) as u64, &seconds_from_now(seconds)));
    }
}

/// The id of a decision that shows a customer the ad, who likes it.
pub(super) fn shown(server: &Server, customer: &str) -> String {
    server.load("/events", NDJSON, likely(customer));
    let decision = server.decide(customer);
    assert_eq!(decision["show"], true, "{decision}");
    decision["decision_id"].as_str().expect("an id").to_owned()
}

/// An event so many seconds after [`SHOWN_S`]; `of` has what it is of.
pub(super) fn event(kind: &str, event_id: &str, customer: &str, of: (&str, &str), after_s: i64) -> Value {
    json!({"type": kind, "event_id": event_id, "customer_id": customer, of.0: of.1, "time": seconds_from_now(SHOWN_S + after_s)})
}

/// What is odd about an event that is taken, and whether it was new.
pub(super) fn said(server: &Server, event: &Value) -> (Vec<String>, &'static str) {
    let report = server.post("/events", JSON, event.to_string()).ok();
    let count = |key: &str| report[key].as_u64().unwrap_or_default();
    let outcome = match (count("accepted"), count("duplicates"), count("too_old")) {
        (1, 0, 0) => "new",
        (0, 1, 0) => "known",
        (0, 0, 1) => "too old",
        other => panic!("{other:?}: {report}"),
    };
    (odd(&report), outcome)
}

fn odd(report: &Value) -> Vec<String> {
    let counts = report["feedback"].as_object().expect("feedback");
    let mut kinds: Vec<_> = counts.keys().map(String::as_str).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["early", "expired", "foreign", "late", "repeated", "unknown"]);
    let some = counts.iter().filter(|(_, count)| **count != json!(0));
    some.map(|(kind, _)| kind.clone()).collect()
}

fn none() -> Vec<String> {
    Vec::new()
}

pub(super) fn count(server: &Server, event: &str, kind: &str) -> f64 {
    server.metric(&format!("upbeat_feedback_total{{event=\"{event}\",kind=\"{kind}\"}}"))
}

#[test]
fn every_odd_confirmation_and_void_has_its_answer_and_its_count() {
    let server = by_event_clock();
    let (one, two, three) = (shown(&server, "1"), shown(&server, "2"), shown(&server, "3"));
    let confirm = |id: &str, customer: &str, decision: &str, after_s| {
        event("impression", id, customer, ("decision_id", decision), after_s)
    };
    let void = |id: &str, customer: &str, decision: &str, after_s| {
        event("void", id, customer, ("decision_id", decision), after_s)
    };
    assert_eq!(said(&server, &confirm("a", "1", &one, 5)), (none(), "new"));
    assert_eq!(said(&server, &confirm("a", "1", &one, 5)), (none(), "known"), "the same event");
    assert_eq!(said(&server, &confirm("b", "1", &one, 6)), (vec!["repeated".to_owned()], "known"));
    assert_eq!(
        said(&server, &void("b", "1", &one, 6)),
        (vec!["repeated".to_owned()], "new"),
        "kept, and changes nothing"
    );
    assert_eq!(server.reason("1"), "capped");
    assert_eq!(said(&server, &void("c", "2", &two, -60)), (vec!["early".to_owned()], "new"));
    assert_eq!(server.reason("2"), "likely_to_click", "the place is given back");

    turn_to(&server, SHOWN_S + 30 * 60 + 1);
    assert_eq!(said(&server, &void("d", "3", &three, 10)), (vec!["late".to_owned()], "new"));
    assert_eq!(server.reason("3"), "likely_to_click", "late or not");
    assert_eq!(said(&server, &confirm("e", "3", &three, 10)), (vec!["late".to_owned()], "new"));
    assert_eq!(server.reason("3"), "capped", "a confirmation wins");

    for kind in ["late", "early", "repeated"] {
        let counts = (count(&server, "impression", kind), count(&server, "void", kind));
        let expected = match kind {
            "late" => (1.0, 1.0),
            "early" => (0.0, 1.0),
            _ => (1.0, 1.0),
        };
        assert_eq!(counts, expected, "{kind}");
    }
}

#[test]
fn feedback_of_a_decision_that_was_never_given_or_for_another_is_refused_with_a_sentence() {
    let server = by_event_clock();
    let decision = shown(&server, "1");
    server.load("/events", NDJSON, likely("2"));
    let dry =
        server.get("/should-show-ad/2?dry_run=true").ok()["decision_id"].as_str().expect("an id").to_owned();
    for kind in ["impression", "void", "click"] {
        for (customer, id, odd_kind, sentence) in [
            ("2", decision.as_str(), "foreign", "was given for another customer"),
            ("1", "0123456789abcdef", "unknown", "is of no answer that said to show this customer an ad"),
            ("2", dry.as_str(), "unknown", "is of no answer that said to show this customer an ad"),
        ] {
            let event = event(kind, "x", customer, ("decision_id", id), 5);
            let answer = server.post("/events", JSON, event.to_string());
            let detail = answer.problem(409, "event-conflict");
            assert!(detail.contains(sentence) && detail.contains(id), "{detail}");
            assert_eq!(odd(&answer.json()), [odd_kind], "{event}");
            let rows = server.post("/events", JSON, json!([event]).to_string()).ok();
            assert_eq!(
                (odd(&rows), rows["rejected"].as_array().map(Vec::len)),
                (vec![odd_kind.to_owned()], Some(1))
            );
        }
        assert_eq!((count(&server, kind, "foreign"), count(&server, kind, "unknown")), (2.0, 4.0));
    }
    assert_eq!(server.reason("1"), "capped", "nobody gives back for others");
}

#[test]
fn feedback_that_names_too_much_or_too_little_says_what_to_send() {
    let server = Server::start();
    let decision = ("decision_id", "0123456789abcdef");
    let with = |mut event: Value, key: &str, value: &str| {
        event[key] = json!(value);
        event
    };
    for (event, sentence) in [
        (event("click", "1", "48", ("zip", "1"), 0), "zip does not belong to a click"),
        (
            with(event("click", "1", "48", decision, 0), "ad", "A"),
            "a click needs either ad or decision_id, not both",
        ),
        (event("void", "1", "48", ("campaign", "gold-one-day"), 0), "campaign does not belong to a void"),
        (event("void", "1", "48", ("decision_id", "17"), 0), "not 16 lower-case hexadecimal digits"),
        (event("voided", "1", "48", decision, 0), "send play, click, impression, void or membership"),
    ] {
        let detail = server.post("/events", JSON, event.to_string()).problem(422, "invalid-event");
        assert!(detail.contains(sentence), "{event}: {detail}");
    }
}

#[test]
fn clicks_belong_to_shows_by_decision_or_by_ad_within_half_an_hour() {
    let server = by_event_clock();
    let (one, two) = (shown(&server, "1"), shown(&server, "2"));
    let by_decision = |id: &str, customer: &str, decision: &str, after_s| {
        event("click", id, customer, ("decision_id", decision), after_s)
    };
    let by_ad =
        |id: &str, customer: &str, after_s| event("click", id, customer, ("ad", "ADV_REDUCED_1DAY"), after_s);
    assert_eq!(said(&server, &by_decision("a", "1", &one, 60)), (none(), "new"));
    assert_eq!(
        said(&server, &by_decision("b", "1", &one, 61)),
        (vec!["repeated".to_owned()], "new"),
        "clicked twice"
    );
    assert_eq!(said(&server, &by_ad("a", "2", 60)), (none(), "new"));
    assert_eq!(said(&server, &by_ad("a", "2", 60)), (none(), "known"));
    assert_eq!(said(&server, &by_decision("b", "2", &two, 1801)), (vec!["late".to_owned()], "new"));
    assert_eq!(said(&server, &by_ad("c", "2", 1801)), (vec!["late".to_owned()], "new"));
    assert_eq!(
        said(&server, &by_ad("d", "nobody", 60)),
        (none(), "new"),
        "without a show it is kept all the same"
    );
    let clicks = &server.held("1")["clicks"];
    assert_eq!(clicks[0]["decision_id"], json!(one));
    assert_eq!(clicks[0]["ad"], "ADV_REDUCED_1DAY", "the ad of the decision's campaign");
    assert_eq!(server.held("nobody")["clicks"].as_array().map(Vec::len), Some(1));
}

#[test]
fn decision_of_a_deleted_customer_is_expired() {
    let server = by_event_clock();
    let decision = shown(&server, "1");
    assert_eq!(server.ask("DELETE", &server.admin, "/customers/1", &[], b"").status, 204);
    let of = ("decision_id", decision.as_str());
    let void = event("void", "a", "1", of, 600);
    assert_eq!(
        said(&server, &void),
        (vec!["expired".to_owned()], "too old"),
        "there is nothing to give back"
    );
    let unknown = server.admin_get("/customers/1");
    assert_eq!(unknown.status, 404, "it makes nobody known");
    assert_eq!(said(&server, &event("click", "b", "1", of, 600)), (vec!["expired".to_owned()], "new"));
    assert_eq!(said(&server, &event("impression", "c", "1", of, 600)), (vec!["expired".to_owned()], "new"));
    assert_eq!(
        said(&server, &void),
        (vec!["repeated".to_owned()], "new"),
        "the confirmation has made it known again"
    );
    assert_eq!(server.held("1")["impressions"][0]["confirmed"], true);
    assert_eq!(count(&server, "void", "expired"), 1.0);
}

#[test]
fn void_and_confirmation_in_any_order_and_number_leave_the_same() {
    let server = by_event_clock();
    let mut left = Vec::new();
    let decisions = ["1", "2"].map(|customer| shown(&server, customer));
    let orders = [("1", ["void", "impression"]), ("2", ["impression", "void"])];
    for ((customer, order), decision) in orders.into_iter().zip(decisions) {
        for kind in order.iter().chain(&order) {
            said(&server, &event(kind, "a", customer, ("decision_id", &decision), 5));
        }
        let mut held = server.held(customer)["impressions"][0].clone();
        (held["decision_id"], held["event_id"]) = (Value::Null, Value::Null);
        left.push((held, server.reason(customer)));
    }
    assert_eq!(left[0], left[1]);
    assert_eq!((&left[0].0["confirmed"], left[0].1.as_str()), (&json!(true), "capped"));
}

#[test]
fn atomic_body_voids_and_confirms_or_does_neither() {
    let server = by_event_clock();
    let (one, two) = (shown(&server, "1"), shown(&server, "2"));
    let void =
        |id: &str, customer: &str, decision: &str| event("void", id, customer, ("decision_id", decision), 5);
    let bad = json!([void("a", "1", &one), void("b", "2", &one)]);
    let answer = server.post("/events?atomic=true", JSON, bad.to_string());
    answer.problem(409, "event-conflict");
    assert_eq!(odd(&answer.json()), ["foreign"]);
    assert_eq!(server.reason("1"), "capped", "nothing was applied");
    let confirmation = event("impression", "a", "2", ("decision_id", &two), 5);
    let good = json!([void("a", "1", &one), confirmation, void("b", "2", &two), void("a", "1", &one)]);
    let report = server.post("/events?atomic=true", JSON, good.to_string()).ok();
    assert_eq!((&report["accepted"], &report["duplicates"]), (&json!(3), &json!(1)), "{report}");
    assert_eq!(odd(&report), ["repeated"]);
    assert_eq!((server.reason("1").as_str(), server.reason("2").as_str()), ("likely_to_click", "capped"));
}

#[test]
fn event_voids_one_decision_only() {
    let server = Server::with(&[], &[("UPBEAT_CAMPAIGN_CAP_IMPRESSIONS", "2")]);
    let first = shown(&server, "1");
    let second = server.decide("1")["decision_id"].as_str().expect("an id").to_owned();
    let void = |decision: &str| event("void", "a", "1", ("decision_id", decision), 7200);
    assert_eq!(said(&server, &void(&first)).1, "new");
    let detail = server.post("/events", JSON, void(&second).to_string()).problem(409, "event-conflict");
    assert!(detail.contains(&format!("already voided decision {first}")), "{detail}");
    let both = json!([void(&second), void(&first)]).to_string();
    server.post("/events?atomic=true", JSON, both).problem(409, "event-conflict");
}

#[test]
fn cloudevent_and_lines_void_and_click() {
    let server = by_event_clock();
    let (one, two) = (shown(&server, "1"), shown(&server, "2"));
    let envelope = json!({
        "specversion": "1.0", "id": "e-1", "source": "/player", "type": "com.example.void", "subject": "1",
        "time": seconds_from_now(SHOWN_S + 5), "data": {"decision_id": one}
    });
    let report = server.post("/events", "application/cloudevents+json", envelope.to_string()).ok();
    assert_eq!((&report["accepted"], odd(&report)), (&json!(1), none()));
    let of = ("decision_id", two.as_str());
    let lines =
        [event("click", "a", "2", of, 5), event("void", "b", "2", of, 6), event("void", "c", "2", of, 7)];
    let lines = lines.map(|line| line.to_string() + "\n").concat() + &likely("3");
    let report = server.post("/events", NDJSON, lines).ok();
    assert_eq!(odd(&report), ["repeated"]);
    assert_eq!(
        (server.reason("1").as_str(), server.reason("2").as_str()),
        ("likely_to_click", "likely_to_click")
    );
    let plays = server.post("/events", NDJSON, likely("3")).ok();
    assert_eq!(plays.get("feedback"), None, "only where feedback was in it");
}

#[test]
fn feedback_outlives_a_kill_and_its_repeats_change_nothing() {
    let kept = Kept::new();
    let server = kept.start();
    let (one, two, three) = (shown(&server, "1"), shown(&server, "2"), shown(&server, "3"));
    // Later than the shows, which are of the wall clock, however long the tests have run.
    let time = later_than_now();
    let of = |kind: &str, customer: &str, decision: &str| {
        let mut event = event(kind, "a", customer, ("decision_id", decision), 0);
        event["time"] = json!(time);
        event
    };
    let sent =
        [of("void", "1", &one), of("void", "2", &two), of("impression", "2", &two), of("click", "3", &three)];
    for event in &sent {
        assert_eq!(said(&server, event), (none(), "new"), "{event}");
    }
    let customers = ["1", "2", "3"];
    let before = customers.map(|customer| (server.held(customer), server.reason(customer)));
    assert_eq!(before.each_ref().map(|(_, reason)| reason.as_str()), ["likely_to_click", "capped", "capped"]);
    kill(server);

    let server = kept.start();
    for _ in 0..2 {
        for (customer, (held, reason)) in customers.iter().zip(&before) {
            let mut after = server.held(customer);
            after["now"] = held["now"].clone();
            assert_eq!((&after, &server.reason(customer)), (held, reason));
        }
        for event in &sent {
            assert_eq!(said(&server, event), (none(), "known"), "{event}");
        }
    }
    // The place that was given back is taken again, and then confirmed after another kill.
    let again = server.decide("1")["decision_id"].as_str().expect("an id").to_owned();
    kill(server);
    let server = kept.start();
    assert_eq!(server.reason("1"), "capped");
    let mut confirmation = of("impression", "1", &again);
    confirmation["event_id"] = json!("b");
    assert_eq!(said(&server, &confirmation), (none(), "new"));
    assert_eq!(said(&server, &of("void", "1", &one)), (none(), "known"));
    assert_eq!(server.reason("1"), "capped");
}
