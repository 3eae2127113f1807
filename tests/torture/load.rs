//! Clients that post, delete and ask, and note what they were answered.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::account::{Kind, Row};
use crate::catalogue::Track;
use crate::customers::{Customers, short_id};
use crate::dice::Dice;
use crate::ledger::{Act, Deed, Many, Outcome, Shown};
use crate::trace::now;
use crate::wire::{Answer, Encoding, Wire};

const CSV: &str = "text/csv";
const NDJSON: &str = "application/x-ndjson";
const JSON: &str = "application/json";

/// Customers that a client works with at once. No other client has them.
const CUSTOMERS: usize = 12;

/// Tracks that a client sends again and again.
const TRACKS: u64 = 6;

/// One client: one request at a time.
#[derive(Debug)]
pub struct Client {
    number: u64,
    dice: Dice,
    pub customers: Customers,
    events: u64,
    requests: u64,
    tracks: u64,
    /// Newest times of events, in seconds.
    today: i64,
    last: Vec<Row>,
    /// Bodies that nothing was promised for, which are sent again as shippers do.
    unsure: Vec<(Vec<Row>, bool)>,
    deeds: Vec<Deed>,
    /// Answers that no right server gives.
    pub faults: Vec<String>,
    /// Requests answered 503, as a full disk does.
    pub shed: usize,
    /// Requests that were sent and had no answer.
    pub cut: Vec<String>,
    /// Rows that were sent again after their customers were erased, and answered so.
    pub erased: usize,
}

impl Client {
    pub fn new(seed: u64, number: u64) -> Self {
        Self::with(seed, number, Customers::new(number, short_id, CUSTOMERS, false))
    }

    /// One that works with so many customers at once, and deletes those who are full.
    pub fn tidy(seed: u64, number: u64, customers: usize) -> Self {
        Self::with(seed, number, Customers::new(number, short_id, customers, true))
    }

    /// One with these customers.
    pub fn with(seed: u64, number: u64, customers: Customers) -> Self {
        Self {
            number,
            dice: Dice::part(seed, number + 1),
            customers,
            events: 0,
            requests: 0,
            tracks: 0,
            today: jiff::Timestamp::now().as_second(),
            last: Vec::new(),
            unsure: Vec::new(),
            deeds: Vec::new(),
            faults: Vec::new(),
            shed: 0,
            cut: Vec::new(),
            erased: 0,
        }
    }

    pub fn take_deeds(&mut self) -> Vec<Deed> {
        std::mem::take(&mut self.deeds)
    }

    /// Sends requests until there were so many, or `stop` is set, or the server is gone.
    pub fn work(&mut self, data: &str, admin: &str, most: usize, stop: &AtomicBool) {
        let (mut data, mut admin) = (Wire::to(data), Wire::to(admin));
        if self.send_unsure(&mut data).is_err() {
            return;
        }
        for _ in 0..most {
            if stop.load(Ordering::Relaxed) || self.one(&mut data, &mut admin).is_err() {
                return;
            }
        }
    }

    /// Sends again what nothing was promised for; what it is answered with is noted.
    pub fn send_unsure(&mut self, data: &mut Wire) -> io::Result<()> {
        for (rows, atomic) in std::mem::take(&mut self.unsure) {
            self.post_rows(data, &rows, atomic)?;
        }
        Ok(())
    }

    /// How many bodies nothing was promised for.
    pub fn unsure(&self) -> usize {
        self.unsure.len()
    }

    fn one(&mut self, data: &mut Wire, admin: &mut Wire) -> io::Result<()> {
        for customer in std::mem::take(&mut self.customers.leaving) {
            self.erase_one(admin, &customer).1?;
        }
        match self.dice.below(100) {
            0..50 => {
                let row = self.row();
                self.post(data, vec![row], false)
            }
            50..65 => {
                let rows = 2 + self.dice.place(40);
                let rows = (0..rows).map(|_| self.play()).collect();
                self.post(data, rows, false)
            }
            65..74 => {
                let rows = 2 + self.dice.place(30);
                let rows = (0..rows).map(|_| self.play()).collect();
                self.post(data, rows, true)
            }
            74..78 => self.repeat(data),
            78..79 => self.send_erased(data),
            79..83 => self.erase(admin),
            83..86 => self.send_tracks(data),
            86..89 => self.decide_many(data),
            _ => self.decide(data),
        }
    }

    /// A new row of someone.
    fn event(&mut self, place: usize, kind: Kind) -> Row {
        self.events += 1;
        let event = self.number * 10_000_000 + self.events;
        let usual = match kind {
            Kind::Impression(_) | Kind::Void(_) => jiff::Timestamp::now().as_second(),
            // Out of order, and no two of a customer at one time.
            _ => self.today - 1_600_000 + (event * 7919 % 1_500_007) as i64,
        };
        self.customers.count(place, &kind);
        let customer = self.customers.at(place);
        Row { customer: customer.id.clone(), event, kind, seconds: customer.seconds(usual) }
    }

    fn play(&mut self) -> Row {
        let place = self.customers.someone(&mut self.dice);
        self.event(place, Kind::Play)
    }

    fn row(&mut self) -> Row {
        let kind = match self.dice.below(10) {
            0 => Kind::Click,
            1 => Kind::Membership(["free", "silver", "gold"][self.dice.place(3)]),
            _ => return self.play(),
        };
        let place = self.customers.someone(&mut self.dice);
        self.event(place, kind)
    }

    fn post(&mut self, data: &mut Wire, rows: Vec<Row>, atomic: bool) -> io::Result<()> {
        let answer = self.post_rows(data, &rows, atomic)?;
        if let Some((accepted, duplicates)) = answer
            && (accepted, duplicates) != (rows.len(), 0)
        {
            let fault =
                format!("{} new rows: {accepted} accepted, {duplicates} taken for repeats", rows.len());
            self.faults.push(fault);
        }
        self.last = if answer.is_some() { rows } else { Vec::new() };
        Ok(())
    }

    /// Sends the last rows again.
    fn repeat(&mut self, data: &mut Wire) -> io::Result<()> {
        let rows = self.last.clone();
        if rows.is_empty() {
            return Ok(());
        }
        let answer = self.post_rows(data, &rows, false)?;
        if let Some((accepted, duplicates)) = answer
            && (accepted, duplicates) != (0, rows.len())
        {
            let fault = format!("{} repeats: {accepted} were accepted a second time", rows.len());
            self.faults.push(fault);
        }
        Ok(())
    }

    /// Posts rows, notes it, and returns how many were accepted and how many were repeats, if that was promised.
    fn post_rows(
        &mut self,
        data: &mut Wire,
        rows: &[Row],
        atomic: bool,
    ) -> io::Result<Option<(usize, usize)>> {
        let is_plays = rows.iter().all(|row| row.kind == Kind::Play);
        let (path, content_type, body) = match rows {
            [one] => ("/events", JSON, one.json().to_string()),
            many if atomic => {
                ("/events?atomic=true", JSON, Value::from_iter(many.iter().map(Row::json)).to_string())
            }
            many if is_plays && self.dice.one_in(2) => {
                ("/events?kind=plays", CSV, many.iter().map(Row::csv).collect())
            }
            many => ("/events", NDJSON, ndjson(many)),
        };
        let encoding = match rows {
            [_] => Encoding::Identity,
            _ => [Encoding::Identity, Encoding::Gzip, Encoding::Zstd][self.dice.place(3)],
        };
        let sent = now();
        let answer = data.post_as(path, content_type, encoding, body.as_bytes());
        let mut counts = None;
        // The power took the show: there is nothing to void.
        let is_void = matches!(rows, [Row { kind: Kind::Void(_), .. }]);
        let is_gone = is_void
            && answer.as_ref().is_ok_and(|answer| answer.status == 200 && answer.json()["too_old"] == 1);
        let outcome = match &answer {
            Ok(_) if is_gone => Outcome::Refused,
            Ok(answer) if answer.status == 200 => {
                let report = answer.json();
                let count = |name: &str| report[name].as_u64().expect("a count") as usize;
                let found = (count("accepted"), count("duplicates"));
                if found.0 + found.1 != rows.len() || report["rejected"] != json!([]) {
                    self.faults.push(format!("{} rows, and the report is {report}", rows.len()));
                }
                counts = Some(found);
                self.customers.know(rows);
                Outcome::Acknowledged
            }
            Ok(answer) => self.shed(answer, rows.len() == 1 || atomic),
            Err(_) => Outcome::Unknown,
        };
        if counts.is_none() && !is_gone {
            self.unsure.push((rows.to_vec(), atomic));
        }
        self.note(sent, &answer, Act::Post { rows: rows.to_vec(), atomic, outcome });
        answer.map(|_| counts)
    }

    /// What an answer without a promise says.
    fn shed(&mut self, answer: &Answer, whole: bool) -> Outcome {
        self.shed += 1;
        if answer.status != 503 || !answer.retry_after {
            let fault = format!("{} (Retry-After: {}): {}", answer.status, answer.retry_after, answer.text());
            self.faults.push(fault);
        }
        if whole && answer.problem() == "log-unavailable" { Outcome::Refused } else { Outcome::Unknown }
    }

    /// Sends rows again whose customers were erased; they change nothing.
    fn send_erased(&mut self, data: &mut Wire) -> io::Result<()> {
        let rows = self.customers.erased_rows();
        if rows.is_empty() {
            return Ok(());
        }
        let answer = data.post("/events", NDJSON, ndjson(&rows).as_bytes());
        match &answer {
            Ok(answer) if answer.status == 200 => {
                let report = answer.json();
                let is_right = report["erased"] == json!(rows.len()) && report["accepted"] == json!(0);
                if !is_right {
                    self.faults.push(format!("{} erased rows, and the report is {report}", rows.len()));
                }
                self.erased += rows.len();
            }
            Ok(answer) => drop(self.shed(answer, false)),
            Err(error) => self.count_cut(error),
        }
        answer.map(drop)
    }

    fn erase(&mut self, admin: &mut Wire) -> io::Result<()> {
        let place = self.customers.anyone(&mut self.dice);
        let customer = self.customers.leave(place);
        let (answer, answered) = self.erase_one(admin, &customer.id);
        if answer == Some(404) && customer.is_known() {
            self.faults.push(format!("nothing was held of {}, who was acknowledged", customer.id));
        }
        // Half of them never come back: what is found of them after a crash was not there any more.
        if matches!(answer, Some(204 | 404)) && self.dice.one_in(2) {
            self.customers.bring_back(place, customer, jiff::Timestamp::now().as_second());
        }
        answered
    }

    /// Deletes someone; the status of the answer.
    fn erase_one(&mut self, admin: &mut Wire, customer: &str) -> (Option<u16>, io::Result<()>) {
        let sent = now();
        let answer = admin.delete(&format!("/customers/{customer}"));
        let outcome = match &answer {
            Ok(answer) if matches!(answer.status, 204 | 404) => Outcome::Acknowledged,
            Ok(answer) => self.shed(answer, true),
            Err(_) => Outcome::Unknown,
        };
        if outcome == Outcome::Acknowledged {
            self.customers.forget(customer);
        } else {
            self.customers.leaving.push(customer.to_owned());
        }
        // What is sent again of a deleted customer is erased.
        self.unsure.retain(|(rows, _)| rows.iter().all(|row| row.customer != customer));
        self.last.clear();
        self.note(sent, &answer, Act::Erase { customer: customer.to_owned(), outcome });
        (answer.as_ref().ok().map(|answer| answer.status), answer.map(drop))
    }

    fn decide(&mut self, data: &mut Wire) -> io::Result<()> {
        let place = self.customers.someone(&mut self.dice);
        let customer = self.customers.at(place).id.clone();
        self.requests += 1;
        let request = format!("r{}-{}", self.number, self.requests);
        let path = format!("/should-show-ad/{customer}?request_id={request}");
        let sent = now();
        let answer = data.get(&path);
        let shown = match &answer {
            Ok(answer) if answer.status == 200 => Some(shown(answer)),
            Ok(answer) => {
                self.faults.push(format!("a decision is answered {}: {}", answer.status, answer.text()));
                None
            }
            Err(_) => None,
        };
        let decision = shown.as_ref().and_then(Option::as_ref).map(|shown| shown.decision.clone());
        self.note(sent, &answer, Act::Decide { customer: customer.clone(), request, shown });
        let first = answer?;
        match self.dice.below(4) {
            0 if decision.is_some() => {
                let again = data.get(&path)?;
                if again.json() != first.json() {
                    self.faults.push(format!("a retry is answered {} after {}", again.text(), first.text()));
                }
                Ok(())
            }
            1 | 2 => {
                let Some(decision) = decision else { return Ok(()) };
                let is_voided = self.dice.one_in(2);
                if is_voided {
                    let row = self.event(place, Kind::Void(decision.clone()));
                    self.post(data, vec![row], false)?;
                }
                if is_voided && self.dice.one_in(2) {
                    return Ok(());
                }
                // Of those that were voided some were played after all.
                let row = self.event(place, Kind::Impression(decision));
                self.post(data, vec![row], false)
            }
            _ => Ok(()),
        }
    }

    fn decide_many(&mut self, data: &mut Wire) -> io::Result<()> {
        let count = 2 + self.dice.place(5);
        let customers: Vec<String> = (0..count)
            .map(|_| {
                let place = self.customers.someone(&mut self.dice);
                self.customers.at(place).id.clone()
            })
            .collect();
        let body = json!({"customers": customers}).to_string();
        let sent = now();
        let answer = data.post("/decisions", JSON, body.as_bytes());
        let shown = match &answer {
            Ok(answer) if answer.status == 200 => {
                let answer = answer.json();
                let decisions = answer["decisions"].as_array().expect("a list");
                let is_in_order = decisions
                    .iter()
                    .map(|decision| decision["customer"].as_str().unwrap_or(""))
                    .eq(customers.iter().map(String::as_str));
                if !is_in_order {
                    self.faults.push(format!("{customers:?} are decided as {answer}"));
                }
                let id = |decision: &Value| decision["decision_id"].as_str().expect("an id").to_owned();
                let campaign = |decision: &Value| decision["campaign"].as_str().expect("an id").to_owned();
                let many = |decision: &Value| Many { decision: id(decision), campaign: campaign(decision) };
                Some(decisions.iter().map(|each| (each["show"] == json!(true)).then(|| many(each))).collect())
            }
            Ok(answer) => {
                self.faults.push(format!("decisions are answered {}: {}", answer.status, answer.text()));
                None
            }
            Err(_) => None,
        };
        self.note(sent, &answer, Act::DecideMany { customers, shown });
        answer.map(drop)
    }

    /// Sends two tracks, with titles that they have not had before.
    fn send_tracks(&mut self, data: &mut Wire) -> io::Result<()> {
        let first = self.dice.below(TRACKS);
        let tracks: Vec<Track> = [first, (first + 1) % TRACKS]
            .into_iter()
            .map(|number| {
                self.tracks += 1;
                Track { client: self.number, number, version: self.tracks }
            })
            .collect();
        let rows: String = tracks.iter().map(|track| track.csv()).collect();
        let body = format!("TrackId,Title,Artist,Length\n{rows}");
        let sent = now();
        let answer = data.post("/events?kind=tracks", CSV, body.as_bytes());
        let outcome = match &answer {
            Ok(answer) if answer.status == 200 => {
                let report = answer.json();
                if report["accepted"] != json!(tracks.len()) {
                    self.faults.push(format!("{} tracks, and the report is {report}", tracks.len()));
                }
                Outcome::Acknowledged
            }
            Ok(answer) => self.shed(answer, false),
            Err(_) => Outcome::Unknown,
        };
        self.note(sent, &answer, Act::Tracks { tracks, outcome });
        answer.map(drop)
    }

    fn note(&mut self, sent: u64, answer: &io::Result<Answer>, act: Act) {
        let answered = answer.is_ok().then(now);
        if let Err(error) = answer {
            self.count_cut(error);
        }
        self.deeds.push(Deed { sent, answered, act });
    }

    /// Notes a request without an answer, unless it was not sent.
    fn count_cut(&mut self, error: &io::Error) {
        if error.kind() != io::ErrorKind::ConnectionRefused {
            self.cut.push(error.to_string());
        }
    }
}

/// The decision of an answer that shows the ad.
pub fn shown(answer: &Answer) -> Option<Shown> {
    let answer = answer.json();
    (answer["show"] == json!(true))
        .then(|| Shown { decision: answer["decision_id"].as_str().expect("an id").to_owned(), answer })
}

pub fn ndjson<'a>(rows: impl IntoIterator<Item = &'a Row>) -> String {
    rows.into_iter().map(|row| row.json().to_string() + "\n").collect()
}

/// Lets all clients work at once until each has sent so many requests, or the server is gone.
pub fn work(clients: &mut [Client], data: &str, admin: &str, most: usize, stop: &AtomicBool) {
    std::thread::scope(|scope| {
        for client in clients {
            scope.spawn(|| client.work(data, admin, most, stop));
        }
    });
}
