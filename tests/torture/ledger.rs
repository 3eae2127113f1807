//! What was sent, what was answered, and what must therefore be there.

mod entering;
mod purse;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::account::{Account, Held, Row};
use crate::catalogue::{Catalogue, Track};
use crate::trace::Instant;
use purse::Purse;
pub use purse::Spending;

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

/// One of many decisions that said to show an ad.
#[derive(Debug, Clone)]
pub struct Many {
    pub decision: String,
    pub campaign: String,
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
        shown: Option<Vec<Option<Many>>>,
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
    purse: Purse,
    faults: Vec<String>,
}

impl Book {
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
            let is_lost = |decision: &&String| !there.iter().any(|each| each.decision == **decision);
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

    /// What is wrong with what a server says of its campaigns.
    pub fn check_spending(
        &self,
        says: &BTreeMap<String, Spending>,
        held: &HashMap<String, Held>,
    ) -> Vec<String> {
        self.purse.faults(says, held, |customer| self.accounts.contains_key(customer))
    }

    /// Takes what a server holds and says, which was found right, for what must be there from now on.
    pub fn take_over(
        &mut self,
        held: &HashMap<String, Held>,
        tracks: &BTreeMap<String, u64>,
        says: &BTreeMap<String, Spending>,
    ) {
        self.purse.take_over(says, held, |customer| self.accounts.contains_key(customer));
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
