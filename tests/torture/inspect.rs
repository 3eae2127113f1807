//! What a server that was started on what is left says of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::account::{Held, Kind, Row};
use crate::campaigns::CAMPAIGNS;
use crate::catalogue::Track;
use crate::ledger::{Book, Spending};
use crate::load::ndjson;
use crate::process::Server;
use crate::trace::{Instant, now};
use crate::wire::Wire;

/// For how long after its answer a retry is sent again: the server keeps answers for a minute.
const RETRIES_NS: Instant = 45_000_000_000;

/// The wall clock may be set by so much while the server is asked, as a machine that corrects its clock does.
const CLOCK_STEP_S: i64 = 1;

/// Confirmations of lost ads are so much later than now: later than what was erased of customers who are back, whose rows are a
/// second apart, and not so far ahead that they are refused.
const LATER_S: i64 = 200;

/// Rows in one body.
const ROWS: usize = 2000;

/// Customers who are asked about, to see what ids decisions get.
const DECISIONS: usize = 60;

/// Faults that are told, and characters of each: one lost group is many faults.
const MOST_TOLD: usize = 12;
const MOST_CHARACTERS: usize = 400;

/// What the server holds of each customer in the book.
pub fn held(server: &Server, book: &Book) -> HashMap<String, Held> {
    let mut admin = Wire::to(&server.admin);
    let profiles = book.customers().filter_map(|customer| {
        let answer = admin.get(&format!("/customers/{customer}")).expect("an answer");
        match answer.status {
            200 => Some((customer.to_owned(), Held::of(&answer.json()))),
            404 => None,
            status => panic!("GET /customers/{customer}: {status}: {}", answer.text()),
        }
    });
    profiles.collect()
}

/// The versions of the tracks in the book that the server holds.
pub fn tracks(server: &Server, book: &Book) -> BTreeMap<String, u64> {
    let mut admin = Wire::to(&server.admin);
    let versions = book.catalogue.ids().filter_map(|id| {
        let answer = admin.get(&format!("/tracks/{id}")).expect("an answer");
        match answer.status {
            200 => Some((id.to_owned(), Track::version_of(&answer.json()))),
            404 => None,
            status => panic!("GET /tracks/{id}: {status}: {}", answer.text()),
        }
    });
    versions.collect()
}

/// What the server says of the money of its campaigns.
pub fn spending(server: &Server) -> BTreeMap<String, Spending> {
    let mut admin = Wire::to(&server.admin);
    let reports = CAMPAIGNS.iter().map(|campaign| {
        let answer = admin.get(&format!("/campaigns/{}/report", campaign.id)).expect("an answer");
        assert_eq!(answer.status, 200, "{}: {}", answer.text(), server.stderr());
        let report = answer.json();
        let of = |name: &str| report[name].as_i64();
        let amount = |name: &str| of(name).unwrap_or_else(|| panic!("{name} in {report}"));
        let spending = Spending {
            budget: of("budget").unwrap_or(i64::MAX),
            reserved: amount("reserved"),
            spent: amount("spent"),
            returned: amount("returned"),
            overrun: amount("overrun"),
            lost: amount("lost"),
        };
        (campaign.id.to_owned(), spending)
    });
    reports.collect()
}

/// All that is wrong with what a server holds and answers, and what it holds.
pub fn faults(server: &Server, book: &Book) -> (HashMap<String, Held>, Vec<String>) {
    let held = held(server, book);
    let mut faults = book.check(&held);
    let profiles = metric(server, "upbeat_profiles");
    let known = held.len() + book.resting();
    if profiles != known as u64 {
        faults.push(format!("{profiles} profiles are held, of which {known} are of known customers"));
    }
    faults.extend(held.keys().next().and_then(|customer| clock_fault(server, customer)));
    faults.extend(book.check_spending(&spending(server), &held));
    faults.extend(book.catalogue.faults(&tracks(server, book)));
    faults.extend(retry_faults(server, book));
    faults.extend(repeat_faults(server, book));
    faults.extend(decision_faults(server, book));
    let more = faults.len().saturating_sub(MOST_TOLD);
    faults.truncate(MOST_TOLD);
    for fault in &mut faults {
        *fault = fault.chars().take(MOST_CHARACTERS).collect();
    }
    faults.extend((more > 0).then(|| format!("and {more} more faults")));
    (held, faults)
}

/// *Now* is the instant of the request, and none that was kept: else windows and caps would stand still.
fn clock_fault(server: &Server, customer: &str) -> Option<String> {
    let clock_s = || jiff::Timestamp::now().as_second();
    let before_s = clock_s();
    let profile = Wire::to(&server.admin).get(&format!("/customers/{customer}")).expect("an answer").json();
    let meanwhile_s = before_s - CLOCK_STEP_S..=clock_s() + CLOCK_STEP_S;
    let text = profile["now"].as_str().expect("a time");
    let now = jiff::tz::TimeZone::UTC.to_timestamp(text.parse().expect("a time")).expect("a time");
    let is_right = meanwhile_s.contains(&now.as_second());
    (!is_right).then(|| format!("the server takes {text} for now, {} s ago", clock_s() - now.as_second()))
}

pub fn metric(server: &Server, name: &str) -> u64 {
    let text = Wire::to(&server.admin).get("/metrics").expect("an answer").text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = value.unwrap_or_else(|| panic!("no metric {name} in\n{text}"));
    // Whole numbers may be written as 1.0.
    value.parse::<f64>().expect("a number") as u64
}

/// The confirmation of an ad that was shown is accepted once, also where the power took what the server knew of it.
pub fn lost_faults(server: &Server, book: &Book, held: &HashMap<String, Held>) -> (usize, Vec<String>) {
    let mut wire = Wire::to(&server.data);
    let time = jiff::Timestamp::now();
    let mut faults = Vec::new();
    let lost = book.lost(held);
    for (number, (customer, decision)) in lost.iter().enumerate() {
        let row = Row {
            customer: (*customer).to_owned(),
            event: 9_000_000_000 + number as u64,
            kind: Kind::Impression((*decision).to_owned()),
            seconds: time.as_second() + LATER_S,
        };
        for (name, other) in [("accepted", "duplicates"), ("duplicates", "accepted")] {
            let answer = wire.post("/events", "application/json", row.json().to_string().as_bytes());
            let answer = answer.expect("an answer");
            let is_right = answer.status == 200 && answer.json()[name] == 1 && answer.json()[other] == 0;
            if !is_right {
                let text = answer.text();
                faults.push(format!(
                    "the confirmation of {decision}, which is lost, is answered {}: {text}",
                    answer.status
                ));
            }
        }
    }
    (lost.len(), faults)
}

/// What was acknowledged is a repeat when it comes again.
fn repeat_faults(server: &Server, book: &Book) -> Vec<String> {
    let mut wire = Wire::to(&server.data);
    let rows = book.promised();
    let bodies = rows.chunks(ROWS).map(|rows| {
        let body = ndjson(rows.iter().copied());
        let answer = wire.post("/events", "application/x-ndjson", body.as_bytes()).expect("an answer");
        (rows.len(), answer)
    });
    bodies
        .filter_map(|(rows, answer)| {
            let report = answer.json();
            let is_right =
                answer.status == 200 && report["accepted"] == 0 && report["duplicates"] == rows as u64;
            (!is_right).then(|| format!("{rows} repeats are answered {}: {report}", answer.status))
        })
        .collect()
}

/// A retry gets the answer that was given before.
fn retry_faults(server: &Server, book: &Book) -> Vec<String> {
    let mut wire = Wire::to(&server.data);
    let retries = book.retries_since(now().saturating_sub(RETRIES_NS));
    let newest = retries.iter().rev().take(DECISIONS);
    newest
        .filter_map(|retry| {
            let path = format!("/should-show-ad/{}?request_id={}", retry.customer, retry.request);
            let answer = wire.get(&path).expect("an answer").json();
            (answer != retry.answer).then(|| format!("a retry is answered {answer} after {}", retry.answer))
        })
        .collect()
}

/// No decision gets an id that another one has.
fn decision_faults(server: &Server, book: &Book) -> Vec<String> {
    let mut wire = Wire::to(&server.data);
    let mut seen = HashSet::new();
    let mut faults = Vec::new();
    for customer in book.customers().take(DECISIONS) {
        // None of these counts an impression that the ledger does not know: the dry run has an id, too.
        let answer = wire.get(&format!("/should-show-ad/{customer}?dry_run=true")).expect("an answer");
        let id = answer.json()["decision_id"].as_str().expect("an id").to_owned();
        if book.has_heard(&id) || !seen.insert(id.clone()) {
            faults.push(format!("decision id {id} is given a second time"));
        }
    }
    faults
}
