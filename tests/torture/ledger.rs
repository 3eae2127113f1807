//! What was sent, what was answered, and what must therefore be there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::account::{Account, Held, Kind, Row};
use crate::catalogue::{Catalogue, Track};
use crate::trace::Instant;

/// How a request that changes something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was promised.
    Acknowledged,
    /// It was refused before anything was applied.
    Refused,
    /// No answer, or one that promises nothing.
    Unknown,
}

/// A decision that said to show the ad.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    pub decision: String,
    pub answer: Value,
}

#[derive(Debug, Clone)]
pub enum Act {
    Post {
        rows: Vec<Row>,
        atomic: bool,
        outcome: Outcome,
    },
    Erase {
        customer: String,
        outcome: Outcome,
    },
    /// `None` is no answer; the inner one is an answer that shows nothing.
    Decide {
        customer: String,
        request: String,
        shown: Option<Option<Shown>>,
    },
    /// Many at once, without a request id: the decisions that show the ad, in the order of the customers.
    DecideMany {
        customers: Vec<String>,
        shown: Option<Vec<Option<String>>>,
    },
    Tracks {
        tracks: Vec<Track>,
        outcome: Outcome,
    },
}

/// One request of a client, whose requests are one after the other.
#[derive(Debug, Clone)]
pub struct Deed {
    pub sent: Instant,
    /// When the answer had been read; the end of the connection is none.
    pub answered: Option<Instant>,
    pub act: Act,
}

impl Deed {
    /// Whether it promises something that is durable.
    pub fn is_promise(&self) -> bool {
        match &self.act {
            Act::Post { outcome, .. } | Act::Erase { outcome, .. } | Act::Tracks { outcome, .. } => {
                *outcome == Outcome::Acknowledged
            }
            Act::Decide { .. } | Act::DecideMany { .. } => false,
        }
    }
}

/// Rows that are all there or none of them.
#[derive(Debug, Clone)]
struct Group {
    name: &'static str,
    rows: Vec<(String, u64, u64)>,
}

/// An answer that its retry must repeat.
#[derive(Debug, Clone)]
pub struct Retry {
    pub customer: String,
    pub request: String,
    pub answer: Value,
    pub at: Instant,
    decision: String,
    epoch: u64,
}

/// All that is known of what must be there.
#[derive(Debug, Clone, Default)]
pub struct Book {
    accounts: BTreeMap<String, Account>,
    /// Accounts that nothing happens to, which are not looked at each time.
    resting: BTreeMap<String, Account>,
    groups: Vec<Group>,
    /// Every decision id that was heard.
    decisions: BTreeSet<String>,
    retries: Vec<Retry>,
    pub catalogue: Catalogue,
    faults: Vec<String>,
}

impl Book {
    /// Enters what clients did up to an instant, each client's deeds in order.
    ///
    /// Where `lanes` outlived the process no impression may be missing that was heard of; else none that was heard before
    /// something was sent that is durable: its position is lower.
    pub fn enter(&mut self, clients: &[Vec<Deed>], until: Instant, lanes: bool) {
        self.enter_promised(clients, until, until, lanes);
    }

    /// The same where acknowledgements after `promised` promise nothing; returns how many those are.
    pub fn enter_promised(
        &mut self,
        clients: &[Vec<Deed>],
        until: Instant,
        promised: Instant,
        lanes: bool,
    ) -> usize {
        let mut early = 0;
        let mut outcome_of = |deed: &Deed, outcome: Outcome| match deed.answered.filter(|at| *at <= until) {
            Some(at) if at > promised && outcome == Outcome::Acknowledged => {
                early += 1;
                Outcome::Unknown
            }
            Some(_) => outcome,
            None => Outcome::Unknown,
        };
        let promised = |deed: &&Deed| deed.answered.is_some_and(|at| at <= promised) && deed.is_promise();
        let barrier = clients.iter().flatten().filter(promised).map(|deed| deed.sent).max().unwrap_or(0);
        for deed in clients.iter().flat_map(|deeds| deeds.iter().take_while(|deed| deed.sent <= until)) {
            let answered = deed.answered.filter(|at| *at <= until);
            match &deed.act {
                Act::Post { rows, atomic, outcome } => {
                    let outcome = outcome_of(deed, *outcome);
                    self.enter_post(rows, *atomic, outcome);
                }
                Act::Erase { customer, outcome } => {
                    let outcome = outcome_of(deed, *outcome);
                    self.enter_erasure(customer, outcome);
                }
                Act::Decide { customer, request, shown } => match (answered, shown) {
                    (Some(at), Some(Some(shown))) => {
                        let epoch = self.enter_shown(customer, &shown.decision, lanes || at < barrier);
                        self.retries.push(Retry {
                            customer: customer.clone(),
                            request: request.clone(),
                            answer: shown.answer.clone(),
                            at,
                            decision: shown.decision.clone(),
                            epoch,
                        });
                    }
                    (Some(_), Some(None)) => {}
                    _ => account(&mut self.accounts, &mut self.resting, customer).unheard += 1,
                },
                Act::DecideMany { customers, shown } => match (answered, shown) {
                    (Some(at), Some(shown)) => {
                        for (customer, decision) in customers.iter().zip(shown) {
                            if let Some(decision) = decision {
                                self.enter_shown(customer, decision, lanes || at < barrier);
                            }
                        }
                    }
                    _ => {
                        for customer in customers {
                            account(&mut self.accounts, &mut self.resting, customer).unheard += 1;
                        }
                    }
                },
                Act::Tracks { tracks, outcome } => {
                    self.catalogue.enter(tracks, outcome_of(deed, *outcome));
                }
            }
        }
        early
    }

    fn enter_post(&mut self, rows: &[Row], atomic: bool, outcome: Outcome) {
        let mut fresh = Vec::new();
        for row in rows {
            let account = account(&mut self.accounts, &mut self.resting, &row.customer);
            match outcome {
                Outcome::Acknowledged => {
                    account.may.remove(&row.event);
                    account.must.insert(row.event, row.clone());
                    if let Kind::Impression(decision) = &row.kind {
                        if !account.shown.contains(decision) {
                            account.late.insert(decision.clone());
                        }
                        account.perhaps_shown.remove(decision);
                        account.shown.insert(decision.clone());
                        account.confirmed.insert(decision.clone());
                    }
                }
                Outcome::Unknown if !account.must.contains_key(&row.event) => {
                    if let Kind::Impression(decision) = &row.kind
                        && !account.shown.contains(decision)
                    {
                        account.perhaps_shown.insert(decision.clone());
                        account.late.insert(decision.clone());
                    }
                    if account.may.insert(row.event, row.clone()).is_none() {
                        fresh.push((row.customer.clone(), account.epoch, row.event));
                    }
                }
                Outcome::Unknown | Outcome::Refused => {}
            }
        }
        if atomic && outcome == Outcome::Unknown {
            self.groups.push(Group { name: "atomic body", rows: fresh });
        }
    }

    fn enter_erasure(&mut self, customer: &str, outcome: Outcome) {
        let account = account(&mut self.accounts, &mut self.resting, customer);
        match outcome {
            Outcome::Acknowledged => *account = Account { epoch: account.epoch + 1, ..Account::default() },
            Outcome::Unknown => {
                // Of what was whole before, the rows of this customer may now be gone.
                for group in &mut self.groups {
                    group.rows.retain(|(of, _, _)| of != customer);
                }
                let is_profile = |row: &&Row| matches!(row.kind, Kind::Play | Kind::Click);
                let rows = account.must.values().filter(is_profile);
                let rows = rows.map(|row| (customer.to_owned(), account.epoch, row.event)).collect();
                self.groups.push(Group { name: "erasure", rows });
                account.may.append(&mut account.must);
                account.perhaps_shown.append(&mut account.shown);
                account.confirmed.clear();
            }
            Outcome::Refused => {}
        }
    }

    /// Enters a decision that shows the ad, and returns the epoch of the customer's account.
    fn enter_shown(&mut self, customer: &str, decision: &str, certain: bool) -> u64 {
        let account = account(&mut self.accounts, &mut self.resting, customer);
        if !self.decisions.insert(decision.to_owned()) {
            self.faults.push(format!("decision id {decision} was given twice"));
        }
        let into = if certain { &mut account.shown } else { &mut account.perhaps_shown };
        into.insert(decision.to_owned());
        account.epoch
    }

    /// Lets no answer be asked for again, and no customer looked at of whom nothing is left: the number of all profiles tells
    /// whether one is back.
    pub fn forget_past(&mut self) {
        self.retries.clear();
        if self.groups.is_empty() {
            self.accounts.retain(|_, account| !account.is_empty());
        }
    }

    pub fn customers(&self) -> impl Iterator<Item = &str> {
        self.accounts.keys().map(String::as_str)
    }

    /// Lets all customers rest until something happens to them. To be called where nothing is unknown.
    pub fn rest(&mut self) {
        self.resting.append(&mut self.accounts);
    }

    /// Lets none rest.
    pub fn wake(&mut self) {
        self.accounts.append(&mut self.resting);
    }

    /// The number of resting customers of whom something is held.
    pub fn resting(&self) -> usize {
        let is_held = |account: &&Account| !account.must.is_empty() || !account.shown.is_empty();
        self.resting.values().filter(is_held).count()
    }

    /// Faults that the ledger itself shows.
    pub fn take_faults(&mut self) -> Vec<String> {
        std::mem::take(&mut self.faults)
    }

    /// Whether a decision id was heard before.
    pub fn has_heard(&self, decision: &str) -> bool {
        self.decisions.contains(decision)
    }

    /// Rows that must be there, so that each is a repeat.
    pub fn promised(&self) -> Vec<&Row> {
        self.accounts.values().flat_map(|account| account.must.values()).collect()
    }

    /// The number of impressions that must be there, and of decisions heard that may be lost.
    pub fn impressions(&self) -> (usize, usize) {
        let sum = |of: fn(&Account) -> usize| self.accounts.values().map(of).sum();
        (sum(|account| account.shown.len()), sum(|account| account.perhaps_shown.len()))
    }

    /// Decisions that were heard and are lost, as they may be, with their customers.
    pub fn lost(&self, held: &HashMap<String, Held>) -> Vec<(&str, &str)> {
        let mut lost = Vec::new();
        for (customer, account) in &self.accounts {
            let there = held.get(customer).map_or(&[][..], |held| &held.impressions);
            let is_lost = |decision: &&String| !there.iter().any(|(other, _)| other == *decision);
            let decisions = account.perhaps_shown.iter().filter(is_lost);
            lost.extend(decisions.map(|decision| (customer.as_str(), decision.as_str())));
        }
        lost
    }

    /// Answers given after an instant that their retries must repeat.
    pub fn retries_since(&self, at: Instant) -> Vec<&Retry> {
        let is_kept = |retry: &&Retry| {
            let account = self.accounts.get(&retry.customer);
            account.is_some_and(|account| {
                account.epoch == retry.epoch && account.shown.contains(&retry.decision)
            })
        };
        self.retries.iter().filter(|retry| retry.at >= at).filter(is_kept).collect()
    }

    /// What is wrong with what a server holds.
    pub fn check(&self, held: &HashMap<String, Held>) -> Vec<String> {
        let nothing = Held::default();
        let mut faults = Vec::new();
        for (customer, account) in &self.accounts {
            let held = held.get(customer).unwrap_or(&nothing);
            faults.extend(account.faults(held).into_iter().map(|fault| format!("{customer}: {fault}")));
        }
        for group in &self.groups {
            let current =
                group.rows.iter().filter(|(customer, epoch, _)| self.accounts[customer].epoch == *epoch);
            let is_there: BTreeSet<bool> = current
                .map(|(customer, _, event)| {
                    held.get(customer)
                        .is_some_and(|held| held.plays.contains(event) || held.clicks.contains(event))
                })
                .collect();
            if is_there.len() > 1 {
                faults.push(format!("half of an {} is there: {:?}", group.name, group.rows));
            }
        }
        faults
    }

    /// Takes what a server holds, which was found right, for what must be there from now on.
    pub fn take_over(&mut self, held: &HashMap<String, Held>, tracks: &BTreeMap<String, u64>) {
        self.catalogue.take_over(tracks);
        let nothing = Held::default();
        self.groups.clear();
        self.retries.clear();
        for (customer, account) in &mut self.accounts {
            account.take_over(held.get(customer).unwrap_or(&nothing));
            self.decisions.extend(account.shown.iter().cloned());
        }
    }
}

/// The account of a customer, who no longer rests.
fn account<'a>(
    accounts: &'a mut BTreeMap<String, Account>,
    resting: &mut BTreeMap<String, Account>,
    customer: &str,
) -> &'a mut Account {
    let rested = resting.remove(customer);
    accounts.entry(customer.to_owned()).or_insert_with(|| rested.unwrap_or_default())
}
