//! One customer: what was sent of them, what the server holds, and what is wrong with that.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::campaigns::CAMPAIGNS;
use crate::process::CAP;

/// What kind of event a row is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Play,
    Click,
    Membership(&'static str),
    /// The confirmation of an impression, by its decision.
    Impression(String),
    /// The ad of a decision was not played.
    Void(String),
}

/// One event. Its id is unique in a whole test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub customer: String,
    pub event: u64,
    pub kind: Kind,
    pub seconds: i64,
}

impl Row {
    fn time(&self) -> String {
        jiff::Timestamp::from_second(self.seconds).expect("a time").to_string()
    }

    pub fn json(&self) -> Value {
        let mut event = json!({"event_id": self.event, "customer_id": self.customer, "time": self.time()});
        let (name, key, value) = match &self.kind {
            Kind::Play => {
                event["mobile"] = json!(self.event.is_multiple_of(2));
                ("play", "track_id", json!(self.event % 50))
            }
            Kind::Click => ("click", "ad", json!("ADV_REDUCED_1DAY")),
            Kind::Membership(level) => ("membership", "level", json!(level)),
            Kind::Impression(decision) => ("impression", "decision_id", json!(decision)),
            Kind::Void(decision) => ("void", "decision_id", json!(decision)),
        };
        event["type"] = json!(name);
        event[key] = value;
        event
    }

    /// As a row of `kind=plays`, for plays.
    pub fn csv(&self) -> String {
        let time = self.time().replace('T', " ").replace('Z', "");
        let (event, customer, track) = (self.event, &self.customer, self.event % 50);
        format!("{event},{customer},{track},{time},{},72132\n", (event + 1) % 2)
    }
}

/// What the server says of a customer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Held {
    pub plays: Vec<u64>,
    pub clicks: Vec<u64>,
    pub membership: Option<(String, String)>,
    pub impressions: Vec<Impression>,
}

/// An ad that a decision showed, as the server holds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Impression {
    pub decision: String,
    pub campaign: String,
    pub is_confirmed: bool,
    /// It was not played, and does not count.
    pub is_voided: bool,
}

impl Held {
    /// Reads the answer of `GET /customers/{customer}`.
    pub fn of(profile: &Value) -> Self {
        let list = |name: &str| profile[name].as_array().expect("a list").clone();
        let events =
            |rows: Vec<Value>| rows.iter().map(|row| row["event_id"].as_u64().expect("an id")).collect();
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let impressions = list("impressions");
        let impressions = impressions.iter().map(|row| Impression {
            decision: row["decision_id"].as_str().unwrap_or("none").to_owned(),
            campaign: text(&row["campaign"]),
            is_confirmed: row["confirmed"] == json!(true),
            is_voided: row["voided"] == json!(true),
        });
        let membership = &profile["membership"];
        Self {
            plays: events([list("older_plays"), list("plays")].concat()),
            clicks: events(list("clicks")),
            membership: (!membership.is_null())
                .then(|| (text(&membership["level"]), text(&membership["since"]))),
            impressions: impressions.collect(),
        }
    }
}

/// What must be, and what may be, known of a customer.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Raised by each deletion: what was before is gone.
    pub epoch: u64,
    pub must: BTreeMap<u64, Row>,
    pub may: BTreeMap<u64, Row>,
    pub shown: BTreeSet<String>,
    pub perhaps_shown: BTreeSet<String>,
    /// Decisions whose answers were not heard: each may have counted one impression of an unknown id.
    pub unheard: usize,
    pub confirmed: BTreeSet<String>,
    pub voided: BTreeSet<String>,
    pub perhaps_voided: BTreeSet<String>,
    /// Decisions that may have been lost when they were confirmed: they count all the same, though another ad may have been
    /// shown meanwhile.
    pub late: BTreeSet<String>,
}

impl Account {
    pub fn faults(&self, held: &Held) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, kind, found) in [("play", Kind::Play, &held.plays), ("click", Kind::Click, &held.clicks)] {
            let of_kind = |rows: &BTreeMap<u64, Row>| -> BTreeSet<u64> {
                rows.values().filter(|row| row.kind == kind).map(|row| row.event).collect()
            };
            let (must, may) = (of_kind(&self.must), of_kind(&self.may));
            let there: BTreeSet<u64> = found.iter().copied().collect();
            if there.len() < found.len() {
                faults.push(format!("a {name} is there twice: {found:?}"));
            }
            let missing: Vec<_> = must.difference(&there).collect();
            if !missing.is_empty() {
                faults.push(format!("acknowledged {name}s are missing: {missing:?} of {}", must.len()));
            }
            let invented: Vec<_> =
                there.iter().filter(|event| !must.contains(event) && !may.contains(event)).collect();
            if !invented.is_empty() {
                faults.push(format!(
                    "{name}s are there that were deleted, refused or never sent: {invented:?}"
                ));
            }
        }
        faults.extend(self.membership_fault(held));
        faults.extend(self.impression_faults(held));
        faults
    }

    fn membership_fault(&self, held: &Held) -> Option<String> {
        let memberships = |rows: &BTreeMap<u64, Row>| -> Vec<(i64, String, String)> {
            let of = |row: &Row| match row.kind {
                Kind::Membership(level) => Some((row.seconds, level.to_owned(), row.time())),
                _ => None,
            };
            rows.values().filter_map(of).collect()
        };
        let newest = memberships(&self.must).into_iter().max();
        let from = newest.as_ref().map_or(i64::MIN, |newest| newest.0);
        let mut possible: Vec<Option<(String, String)>> = memberships(&self.may)
            .into_iter()
            .filter(|each| each.0 > from)
            .map(|each| Some((each.1, each.2)))
            .collect();
        possible.push(newest.map(|newest| (newest.1, newest.2)));
        let is_possible = possible.contains(&held.membership);
        (!is_possible).then(|| format!("membership is {:?} and not one of {possible:?}", held.membership))
    }

    fn impression_faults(&self, held: &Held) -> Vec<String> {
        let mut faults = Vec::new();
        let there: BTreeSet<&str> = held.impressions.iter().map(|each| each.decision.as_str()).collect();
        if there.len() < held.impressions.len() {
            faults.push(format!("an impression is there twice: {:?}", held.impressions));
        }
        let in_time = held.impressions.iter().filter(|each| !self.late.contains(&each.decision));
        if in_time.filter(|each| !each.is_voided).count() > CAP {
            faults.push(format!("more impressions than the cap of {CAP}: {:?}", held.impressions));
        }
        for campaign in &CAMPAIGNS {
            let in_time = held.impressions.iter().filter(|each| !self.late.contains(&each.decision));
            let own = in_time.filter(|each| each.campaign == campaign.id && !each.is_voided);
            if own.count() > campaign.cap {
                faults.push(format!("more than the cap of {}: {:?}", campaign.id, held.impressions));
            }
        }
        let missing: Vec<_> =
            self.shown.iter().filter(|decision| !there.contains(decision.as_str())).collect();
        if !missing.is_empty() {
            faults.push(format!("counted impressions are missing: {missing:?}"));
        }
        let is_unknown =
            |decision: &&&str| !self.shown.contains(**decision) && !self.perhaps_shown.contains(**decision);
        let unknown: Vec<_> = there.iter().filter(is_unknown).collect();
        if unknown.len() > self.unheard {
            faults.push(format!("impressions are there that nobody was told of: {unknown:?}"));
        }
        for Impression { decision, is_confirmed, is_voided, .. } in &held.impressions {
            if !is_confirmed && self.confirmed.contains(decision) {
                faults.push(format!("the confirmation of {decision} is missing"));
            }
            if !is_voided && !is_confirmed && self.voided.contains(decision) {
                faults.push(format!("{decision} was voided, and counts"));
            }
            if *is_voided && !self.voided.contains(decision) && !self.perhaps_voided.contains(decision) {
                faults.push(format!("{decision} does not count, and nobody has voided it"));
            }
        }
        faults
    }

    /// Whether nothing may be held of the customer.
    pub fn is_empty(&self) -> bool {
        self.must.is_empty()
            && self.may.is_empty()
            && self.shown.is_empty()
            && self.perhaps_shown.is_empty()
            && self.unheard == 0
    }

    pub fn take_over(&mut self, held: &Held) {
        let there: BTreeSet<u64> = held.plays.iter().chain(&held.clicks).copied().collect();
        let rows = std::mem::take(&mut self.must).into_iter().chain(std::mem::take(&mut self.may));
        for (event, row) in rows {
            let is_there = match &row.kind {
                Kind::Play | Kind::Click => there.contains(&event),
                Kind::Membership(level) => held.membership == Some(((*level).to_owned(), row.time())),
                Kind::Impression(decision) => {
                    held.impressions.iter().any(|each| each.decision == *decision && each.is_confirmed)
                }
                // Of one that is confirmed it cannot be told.
                Kind::Void(decision) => {
                    held.impressions.iter().any(|each| each.decision == *decision && each.is_voided)
                }
            };
            if is_there {
                self.must.insert(event, row);
            }
        }
        self.perhaps_shown.clear();
        self.late.retain(|decision| held.impressions.iter().any(|each| each.decision == *decision));
        self.unheard = 0;
        let decisions = |is_one: fn(&Impression) -> bool| -> BTreeSet<String> {
            held.impressions.iter().filter(|each| is_one(each)).map(|each| each.decision.clone()).collect()
        };
        self.shown = decisions(|_| true);
        self.confirmed = decisions(|each| each.is_confirmed);
        // One that is confirmed may have been voided as well.
        self.perhaps_voided.clear();
        self.voided = decisions(|each| each.is_voided);
    }
}
