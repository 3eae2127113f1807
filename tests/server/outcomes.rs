//! Clicks in every odd way, and rises of the membership: each with its answer and its count.

use serde_json::{Value, json};

use super::campaigns::{open, put};
use super::feedback::{by_event_clock, count, event, said, shown, turn_to};
use super::listeners::{likely, play_at, seconds_from_now};
use super::support::*;

const DAY_S: i64 = 86_400;

fn kinds(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn report(server: &Server, campaign: &str) -> Value {
    server.admin_get(&format!("/campaigns/{campaign}/report")).ok()
}

#[test]
fn every_odd_click_has_its_answer_and_its_count_and_only_those_in_time_are_the_campaigns() {
    let server = by_event_clock();
    let decisions: Vec<String> = (0..5).map(|customer| shown(&server, &customer.to_string())).collect();
    let click = |id: &str, customer: usize, after_s: i64| {
        event("click", id, &customer.to_string(), ("decision_id", &decisions[customer]), after_s)
    };
    // Of each: the event, what is odd, and whether the campaign has one click more.
    let cases = [
        (click("a", 0, 60), kinds(&[]), 1),
        (click("a", 0, 60), kinds(&[]), 1),
        (click("b", 0, 61), kinds(&["repeated"]), 1),
        (click("c", 1, -1), kinds(&["early"]), 2),
        (click("d", 2, 1800), kinds(&[]), 3),
        (click("e", 3, 1801), kinds(&["late"]), 3),
        (click("f", 1, 1801), kinds(&["late", "repeated"]), 3),
        // Of an ad without a show: kept, and nobody's.
        (event("click", "g", "nobody", ("ad", "ADV_REDUCED_1DAY"), 60), kinds(&[]), 3),
        (event("click", "h", "4", ("ad", "ADV_OF_OTHERS"), 60), kinds(&[]), 3),
        // Of an ad that was shown later than it was clicked.
        (event("click", "i", "4", ("ad", "ADV_REDUCED_1DAY"), -1), kinds(&[]), 3),
        (event("click", "j", "4", ("ad", "ADV_REDUCED_1DAY"), 1800), kinds(&[]), 4),
    ];
    for (event, odd, clicks) in cases {
        assert_eq!(said(&server, &event).0, odd, "{event}");
        assert_eq!(report(&server, "gold-one-day")["clicks"], clicks, "{event}");
    }
    assert_eq!(server.metric("upbeat_campaign_clicks{campaign=\"gold-one-day\"}"), 4.0);
    let counts = ["late", "early", "repeated", "unknown", "expired", "foreign"]
        .map(|kind| count(&server, "click", kind));
    assert_eq!(counts, [2.0, 1.0, 2.0, 0.0, 0.0, 0.0]);
    for (customer, clicks) in [("nobody", 1), ("4", 3)] {
        assert_eq!(server.held(customer)["clicks"].as_array().map(Vec::len), Some(clicks), "they are kept");
    }
}

#[test]
fn feedback_of_decisions_that_are_kept_no_longer_is_expired_in_the_answer_and_in_the_count() {
    let server = by_event_clock();
    let decision = shown(&server, "1");
    assert_eq!(server.ask("DELETE", &server.admin, "/customers/1", &[], b"").status, 204);
    for (kind, outcome) in [("void", "too old"), ("click", "new"), ("impression", "new")] {
        let event = event(kind, "x", "1", ("decision_id", &decision), 600);
        assert_eq!(said(&server, &event), (kinds(&["expired"]), outcome), "{kind}");
        assert_eq!(count(&server, kind, "expired"), 1.0, "{kind}");
    }
    assert_eq!(report(&server, "gold-one-day")["clicks"], 0);
}

#[test]
fn early_confirmations_are_counted_as_such_and_count() {
    let server = by_event_clock();
    let decision = shown(&server, "1");
    let early = event("impression", "a", "1", ("decision_id", &decision), -60);
    assert_eq!(said(&server, &early), (kinds(&["early"]), "new"));
    assert_eq!(count(&server, "impression", "early"), 1.0);
    assert_eq!(server.held("1")["impressions"][0]["confirmed"], true);
    assert_eq!(report(&server, "gold-one-day")["impressions"], 1);
}

#[test]
fn rise_of_the_membership_within_seven_days_of_a_show_is_its_upgrade_and_a_later_one_is_not() {
    let server = Server::by_event_clock();
    put(&server, &(open("summer") + "min_plays = 1\n"));
    let shown_s = -9 * DAY_S;
    turn_to(&server, shown_s);
    let customers = ["in-time", "late", "lower", "voided", "not-shown"];
    let mut decisions = Vec::new();
    for customer in customers {
        server.load("/events", JSON, play_at(customer, 1, &seconds_from_now(shown_s - 60)));
        if customer != "not-shown" {
            decisions.push(server.decide(customer));
        }
    }
    assert!(decisions.iter().all(|decision| decision["show"] == true), "{decisions:?}");
    let rises = |customer: &str, level: &str, after_s: i64| {
        let time = seconds_from_now(shown_s + after_s);
        let event = json!({"type": "membership", "event_id": 7, "customer_id": customer, "level": level, "time": time});
        assert_eq!(server.load("/events", JSON, event.to_string()), (1, 0));
    };
    let void = json!({
        "type": "void", "event_id": 1, "customer_id": "voided", "decision_id": decisions[3]["decision_id"],
        "time": seconds_from_now(shown_s + 5),
    });
    server.load("/events", JSON, void.to_string());
    for (customer, level, after_s, upgrades) in [
        ("voided", "gold", 60, 0),
        ("not-shown", "gold", 60, 0),
        ("lower", "free", 60, 0),
        ("in-time", "gold", 7 * DAY_S, 1),
        ("late", "gold", 7 * DAY_S + 1, 1),
    ] {
        rises(customer, level, after_s);
        assert_eq!(report(&server, "summer")["upgrades"], upgrades, "{customer}");
        let metric = server.metric("upbeat_campaign_upgrades{campaign=\"summer\"}");
        assert_eq!(metric, f64::from(upgrades), "{customer}");
    }
}

#[test]
fn each_row_of_a_body_counts_what_is_odd_about_it() {
    let server = by_event_clock();
    let (one, two) = (shown(&server, "1"), shown(&server, "2"));
    server.load("/events", NDJSON, likely("3"));
    let of = |kind: &str, id: &str, customer: &str, decision: &str, after_s: i64| {
        event(kind, id, customer, ("decision_id", decision), after_s)
    };
    let rows = json!([
        of("click", "a", "1", &one, 60),
        of("click", "b", "1", &one, 61),
        of("impression", "c", "2", &two, -1),
        of("click", "d", "2", &two, 1801),
        of("void", "e", "3", &two, 5),
        of("click", "f", "3", "0123456789abcdef", 5),
    ]);
    let report = server.post("/events", JSON, rows.to_string()).ok();
    let expected = json!({"late": 1, "early": 1, "repeated": 1, "unknown": 1, "expired": 0, "foreign": 1});
    assert_eq!(report["feedback"], expected, "{report}");
    let rejected = report["rejected"].as_array().expect("a list").iter().map(|row| row["index"].clone());
    assert_eq!(
        (report["accepted"].clone(), rejected.collect::<Vec<_>>()),
        (json!(4), vec![json!(4), json!(5)])
    );
    let counted: f64 = ["click", "impression", "void"]
        .iter()
        .flat_map(|event| ["late", "early", "repeated", "unknown", "foreign"].map(|kind| (*event, kind)))
        .map(|(event, kind)| count(&server, event, kind))
        .sum();
    assert_eq!(counted, 5.0);
}
