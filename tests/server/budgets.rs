//! Money and caps are exact over real HTTP: 64 connections that want more than there is, ads that were not played, and a kill
//! in the middle.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::durability::{Kept, kill};
use super::fallible::Client;
use super::listeners::{play, seconds_from_now};
use super::support::*;

const CONNECTIONS: usize = 64;
const CUSTOMERS: usize = 1200;

/// What one show costs, in micro-units.
const COST: i64 = 20_000;
/// The budgets of `all-in-all` and `by-day`: a whole number of shows, and not enough for one more.
const TOTAL: i64 = 500 * COST + 9_999;
const DAILY: i64 = 300 * COST + 1;

/// How often one customer may hear any ad, and that of `by-day`; that of `all-in-all` once.
const CAP: usize = 3;
const CAP_BY_DAY: usize = 2;

fn money(micro: i64) -> String {
    format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000)
}

/// A zone in which it is about noon, so that no local day ends while a test runs.
pub(super) fn zone_at_noon() -> String {
    let hour = jiff::Timestamp::now().strftime("%H").to_string().parse::<i64>().expect("an hour");
    match hour - 12 {
        0 => "UTC".to_owned(),
        // These names have the sign of the time to add.
        hours => format!("Etc/GMT{hours:+}"),
    }
}

/// A campaign for everybody of whom one play is known.
fn campaign(id: &str, keys: &str) -> String {
    format!(
        "[[campaign]]\nid = \"{id}\"\nad = \"AD\"\nmin_plays = 1\nthreshold = {{ score = -1e9 }}\nmodel = \"gold-one-day\"\n\
         time_zone = \"{}\"\nreserve = \"24h\"\nimpression_cost = {}\n{keys}\n",
        zone_at_noon(),
        money(COST)
    )
}

fn put(server: &Server, toml: &str) {
    let headers = [("content-type", "application/toml")];
    let answer = server.ask("PUT", &server.admin, "/campaigns", &headers, toml.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn campaigns() -> String {
    let caps = |most: usize| format!("caps = [{{ impressions = {most}, hours = 24 }}]");
    format!(
        "[[cap]]\nimpressions = {CAP}\nhours = 24\n{}{}{}",
        campaign("all-in-all", &format!("priority = 2\ntotal_budget = {}\n{}", money(TOTAL), caps(1))),
        campaign(
            "by-day",
            &format!(
                "priority = 1\nbill = \"impression\"\ndaily_budget = {}\n{}",
                money(DAILY),
                caps(CAP_BY_DAY)
            )
        ),
        campaign("without-end", "")
    )
}

fn customers(count: usize) -> String {
    (0..count).map(|number| play(&number.to_string(), 1, 60) + "\n").collect()
}

fn report(server: &Server, campaign: &str) -> Value {
    server.admin_get(&format!("/campaigns/{campaign}/report")).ok()
}

fn amount(report: &Value, name: &str) -> i64 {
    report[name].as_i64().unwrap_or_else(|| panic!("{name} in {report}"))
}

/// Reserved and spent: what a budget bounds.
fn taken(report: &Value) -> i64 {
    amount(report, "reserved") + amount(report, "spent")
}

/// Numbers that follow from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33) as usize % count
    }
}

/// What a connection was answered.
#[derive(Debug, Default)]
struct Heard {
    /// Of each decision that showed an ad: the customer and the campaign.
    shown: BTreeMap<String, (usize, String)>,
    /// Decisions that were voided, and whether that was acknowledged.
    voided: BTreeMap<String, bool>,
    /// Decisions that were asked for and not heard of.
    unheard: usize,
    reasons: BTreeMap<String, usize>,
}

impl Heard {
    fn add(&mut self, other: Self) {
        self.shown.extend(other.shown);
        for (decision, acknowledged) in other.voided {
            *self.voided.entry(decision).or_default() |= acknowledged;
        }
        self.unheard += other.unheard;
        for (reason, count) in other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
    }
}

/// One connection: asks for customers at random, and says of some shows that they were played, or were not.
struct Connection<'a> {
    client: Client,
    dice: Dice,
    events: &'a AtomicUsize,
    heard: Heard,
}

impl Connection<'_> {
    /// Whether the server lives.
    fn ask(&mut self, customer: usize, reports: bool) -> bool {
        let Ok((status, answer)) = self.client.get(&format!("/should-show-ad/{customer}")) else {
            self.heard.unheard += 1;
            return false;
        };
        assert_eq!(status, 200, "{answer}");
        let text = |name: &str| answer[name].as_str().expect("text").to_owned();
        *self.heard.reasons.entry(text("reason")).or_default() += 1;
        if answer["show"] != true {
            return true;
        }
        let decision = text("decision_id");
        self.heard.shown.insert(decision.clone(), (customer, text("campaign")));
        match self.dice.below(8) {
            // Twice, by the same event or by another one.
            0 if reports => {
                let event = self.events.fetch_add(1, Ordering::Relaxed);
                let other = if self.dice.below(2) == 0 { event } else { event + (1 << 32) };
                self.send("void", event, customer, &decision) && self.send("void", other, customer, &decision)
            }
            1 if reports => {
                let event = self.events.fetch_add(1, Ordering::Relaxed);
                self.send("impression", event, customer, &decision)
            }
            _ => true,
        }
    }

    fn send(&mut self, kind: &str, event: usize, customer: usize, decision: &str) -> bool {
        let event = json!({"type": kind, "event_id": event, "customer_id": customer, "decision_id": decision,
            "time": seconds_from_now(0)});
        let answer = self.client.post_event(&event.to_string());
        if let Ok((status, answer)) = &answer {
            assert_eq!((*status, &answer["rejected"]), (200, &json!([])), "{answer}");
        }
        if kind == "void" {
            *self.heard.voided.entry(decision.to_owned()).or_default() |= answer.is_ok();
        }
        answer.is_ok()
    }
}

/// Has all connections ask until each has so often, or the server is gone, while the reports are watched. `ends` does
/// something to the server meanwhile.
fn load(
    server: Server,
    events: &AtomicUsize,
    each: usize,
    reports: bool,
    ends: impl FnOnce(Server) -> Option<Server>,
) -> (Heard, Option<Server>) {
    let done = AtomicBool::new(false);
    let (data, admin) = (server.data.clone(), server.admin.clone());
    let mut heard = Heard::default();
    let left = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (mut client, mut looks) = (Client::new(&admin, true), 0);
            while !done.load(Ordering::Relaxed) {
                for (campaign, budget) in [("all-in-all", TOTAL), ("by-day", DAILY)] {
                    let Ok((200, report)) = client.get(&format!("/campaigns/{campaign}/report")) else {
                        return looks;
                    };
                    assert!(taken(&report) <= budget, "{campaign} overspends: {report}");
                    assert!(amount(&report, "reserved") >= 0 && amount(&report, "spent") >= 0, "{report}");
                    looks += 1;
                }
            }
            looks
        });
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let client = Client::new(&data, true);
                scope.spawn(move || {
                    let (dice, heard) =
                        (Dice((number as u64 * 7919).wrapping_add(each as u64)), Heard::default());
                    let mut connection = Connection { client, dice, events, heard };
                    for _ in 0..each {
                        let customer = connection.dice.below(CUSTOMERS);
                        if !connection.ask(customer, reports) {
                            break;
                        }
                    }
                    connection.heard
                })
            })
            .collect();
        let left = ends(server);
        for connection in connections {
            heard.add(connection.join().expect("a connection"));
        }
        done.store(true, Ordering::Relaxed);
        assert!(watch.join().expect("the reports are right") > 0, "a report is looked at");
        left
    });
    (heard, left)
}

/// What the profiles hold of each campaign's shows that count, and of each customer's.
fn held(server: &Server, heard: &Heard) -> (BTreeMap<String, i64>, Vec<usize>) {
    let (mut of_campaigns, mut of_customers) = (BTreeMap::new(), Vec::new());
    let mut told = 0;
    for customer in 0..CUSTOMERS {
        let profile = server.held(&customer.to_string());
        let impressions = profile["impressions"].as_array().expect("a list");
        let mut own: BTreeMap<&str, usize> = BTreeMap::new();
        for impression in impressions {
            let (campaign, decision) = (&impression["campaign"], &impression["decision_id"]);
            let (campaign, decision) = (campaign.as_str().expect("an id"), decision.as_str().expect("an id"));
            let is_voided = impression["voided"] == true;
            match heard.shown.get(decision) {
                Some(shown) => {
                    assert_eq!(shown, &(customer, campaign.to_owned()));
                    told += 1;
                }
                None => assert!(heard.unheard > 0, "nobody was told of {impression}"),
            }
            match heard.voided.get(decision) {
                Some(true) => assert!(is_voided, "{impression}"),
                Some(false) => {}
                None => assert!(!is_voided, "{impression}"),
            }
            if !is_voided {
                *own.entry(campaign).or_default() += 1;
                *of_campaigns.entry(campaign.to_owned()).or_default() += COST;
            }
        }
        let all: usize = own.values().sum();
        let of = |campaign: &str| own.get(campaign).copied().unwrap_or(0);
        let is_within = all <= CAP && of("all-in-all") <= 1 && of("by-day") <= CAP_BY_DAY;
        assert!(is_within, "the caps of customer {customer} are broken: {own:?}");
        of_customers.push(all);
    }
    assert_eq!(told, heard.shown.len(), "every show that was answered is there");
    (of_campaigns, of_customers)
}

/// What was spent is what was shown and not voided, to the micro-unit.
fn assert_exact(server: &Server, heard: &Heard) -> Vec<usize> {
    let (of_campaigns, of_customers) = held(server, heard);
    for campaign in ["all-in-all", "by-day", "without-end"] {
        let report = report(server, campaign);
        assert_eq!(taken(&report), of_campaigns.get(campaign).copied().unwrap_or(0), "{campaign}: {report}");
        assert_eq!((amount(&report, "lost"), amount(&report, "overrun")), (0, 0), "{campaign}: {report}");
        let is_of = |decision: &&String| heard.shown.get(*decision).is_some_and(|(_, id)| id == campaign);
        let acknowledged = heard.voided.iter().filter(|(_, acknowledged)| **acknowledged);
        let least = acknowledged.filter(|(decision, _)| is_of(decision)).count() as i64 * COST;
        let most = heard.voided.keys().filter(is_of).count() as i64 * COST;
        let returned = amount(&report, "returned");
        assert!((least..=most).contains(&returned), "{campaign}: {least} to {most} came back: {report}");
    }
    of_customers
}

/// Asks for everybody in turn until nobody is shown anything any more.
fn exhaust(server: &Server, heard: &mut Heard) {
    let events = AtomicUsize::new(0);
    let (client, dice) = (Client::new(&server.data, true), Dice(1));
    let mut connection = Connection { client, dice, events: &events, heard: Heard::default() };
    until("everybody has heard all that they may", || {
        let before = (connection.heard.shown.len(), connection.heard.reasons.get("paced").copied());
        for customer in 0..CUSTOMERS {
            assert!(connection.ask(customer, false), "the server lives");
        }
        before == (connection.heard.shown.len(), connection.heard.reasons.get("paced").copied())
    });
    heard.add(connection.heard);
}

#[test]
fn budgets_are_spent_to_the_last_show_and_caps_hold_under_64_connections_and_over_a_kill() {
    let kept = Kept::new();
    let server = kept.start();
    put(&server, &campaigns());
    server.load("/events", NDJSON, customers(CUSTOMERS));
    let events = AtomicUsize::new(1000);

    // Killed while all connections ask.
    let (mut heard, _) = load(server, &events, usize::MAX, true, |server| {
        until("much is spent", || taken(&report(&server, "all-in-all")) > TOTAL / 3);
        kill(server);
        None
    });
    assert!(heard.unheard <= CONNECTIONS && !heard.voided.is_empty(), "{:?}", heard.reasons);
    let server = kept.start();
    assert_exact(&server, &heard);
    assert!(heard.shown.len() > 200, "{:?}", heard.reasons);

    // Twice as much is wanted as there is, and in the end all of it is spent.
    let (again, server) = load(server, &events, 2 * CUSTOMERS * CAP / CONNECTIONS, true, Some);
    let server = server.expect("it runs");
    heard.add(again);
    exhaust(&server, &mut heard);
    let of_customers = assert_exact(&server, &heard);
    assert!(of_customers.iter().all(|shown| *shown == CAP), "everybody heard as many ads as they may");
    for (campaign, budget) in [("all-in-all", TOTAL), ("by-day", DAILY)] {
        let report = report(&server, campaign);
        assert_eq!(taken(&report), budget / COST * COST, "{campaign} is spent to the last show: {report}");
        assert!(taken(&report) as f64 >= 0.999 * budget as f64, "{report}");
        assert!(amount(&report, "returned") > 0, "something came back: {report}");
    }
    // Money alone.
    let reports = |server: &Server| {
        ["all-in-all", "by-day", "without-end"].map(|campaign| {
            let mut report = report(server, campaign);
            report.as_object_mut().expect("an object").remove("not_shown");
            report
        })
    };
    let before = reports(&server);
    kill(server);
    let server = kept.start();
    assert_exact(&server, &heard);
    assert_eq!(reports(&server), before, "the kill changes no figure");
}

#[test]
fn released_show_that_is_confirmed_late_takes_what_is_left_and_is_overrun_otherwise() {
    let server = Server::start();
    let keys = format!("bill = \"impression\"\nreserve = \"1s\"\ndaily_budget = {}", money(3 * COST));
    put(&server, &campaign("short", &keys).replace("reserve = \"24h\"\n", ""));
    server.load("/events", NDJSON, customers(10));
    let show = |customer: usize| {
        let answer = server.decide(&customer.to_string());
        (answer["reason"].as_str().expect("a reason").to_owned(), answer["decision_id"].clone())
    };
    let confirm = |customer: usize, decision: &Value| {
        let event = json!({"type": "impression", "event_id": customer, "customer_id": customer,
            "decision_id": decision, "time": seconds_from_now(0)});
        assert_eq!(server.load("/events", JSON, event.to_string()), (1, 0));
    };
    let released: Vec<Value> = (0..2).map(|customer| show(customer).1).collect();
    until("they are released", || taken(&report(&server, "short")) == 0);
    // As much is left as two shows cost, of which one takes a half and the other one the rest.
    let shown = show(2);
    confirm(2, &shown.1);
    confirm(0, &released[0]);
    let (reason, last) = show(3);
    assert_eq!(reason, "likely_to_click");
    confirm(3, &last);
    assert_eq!(show(4).0, "over_budget");
    confirm(1, &released[1]);
    let report = report(&server, "short");
    assert_eq!((amount(&report, "spent"), amount(&report, "reserved")), (3 * COST, 0), "{report}");
    assert_eq!((amount(&report, "overrun"), amount(&report, "impressions")), (COST, 4), "{report}");
}
