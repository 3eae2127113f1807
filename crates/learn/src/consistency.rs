//! Whether features are the same where they are learnt from and where they decide: the counts in the records of decisions, against those
//! that the events before them give by the one feature code.
//!
//! A profile is a function of the set of its events, and a decision of a customer has a place in the log between the customer's events: so
//! the counts in its record must be those of the events before that place, in the window of its time. Where they are not, a record
//! knows what came later (a leak), or what decides and what is learnt from have come apart.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use upbeat_core::event::{EventKind, Id, StableHash};
use upbeat_core::feature::{Counts, counts_in};
use upbeat_core::profile::{Bounds, Profile, Window};
use upbeat_engine::Entry;
use upbeat_engine::storage::ProfilesBefore;

use super::Found;
use super::rows::decided;

/// The most disagreements that are listed, each of another customer.
pub const MOST_LISTED: usize = 10;

/// What one customer takes beside the plays, in bytes, roughly.
const CUSTOMER_BYTES: usize = 256;

/// What came of comparing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Decisions whose counts were computed again.
    pub checked: u64,
    /// Those of them whose record has the same counts.
    pub agreed: u64,
    /// Decisions of which nothing can be said, and why.
    pub not_checkable: NotCheckable,
    /// The first that disagree, by their place in the log, at most one of a customer and [`MOST_LISTED`] in all.
    pub disagreements: Vec<Disagreement>,
}

/// Why decisions cannot be checked, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotCheckable {
    /// The log has lost events before them, and no snapshot says what these came to: retention took them.
    pub events_gone: u64,
    /// Their customer was erased since, and their events with them.
    pub erased: u64,
    /// Their record has no counts: a version wrote it that kept none.
    pub without_counts: u64,
    /// Their customer's plays did not fit into the memory of one reading.
    pub no_memory: u64,
}

impl NotCheckable {
    /// All of them.
    #[must_use]
    pub fn sum(&self) -> u64 {
        let Self { events_gone, erased, without_counts, no_memory } = self;
        events_gone + erased + without_counts + no_memory
    }
}

/// A decision whose record has other counts than the events before it give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disagreement {
    /// Its id, as in its answer.
    pub decision_id: String,
    /// The customer.
    pub customer: Id,
    /// When, by the engine's clock, in Unix milliseconds.
    pub time_ms: i64,
    /// Its place in the log.
    pub position: u64,
    /// Plays, and how many of them count towards each feature, in the order of the features; by its record.
    pub logged: [u16; 7],
    /// The same by the events before it.
    pub computed: [u16; 7],
}

fn numbers(of: &Counts) -> [u16; 7] {
    let [a, b, c, d, e, f] = of.parts;
    [of.plays, a, b, c, d, e, f]
}

impl Agreement {
    /// Which share of those that were checked agrees, 0 to 1; `None` where none was.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        (self.checked > 0).then(|| self.agreed as f64 / self.checked as f64)
    }

    /// Adds what another reading of the same log found of other customers.
    pub fn add(&mut self, other: Self) {
        let Self { checked, agreed, not_checkable, disagreements } = other;
        self.checked += checked;
        self.agreed += agreed;
        let into = &mut self.not_checkable;
        into.events_gone += not_checkable.events_gone;
        into.erased += not_checkable.erased;
        into.without_counts += not_checkable.without_counts;
        into.no_memory += not_checkable.no_memory;
        self.disagreements.extend(disagreements);
        self.disagreements.sort_by_key(|of| of.position);
        self.disagreements.truncate(MOST_LISTED);
    }
}

/// One customer.
#[derive(Default)]
struct Held {
    /// Of which the plays alone are kept.
    profile: Profile,
    checked: u64,
    agreed: u64,
    first: Option<Box<Disagreement>>,
}

/// One reading of a log. Customers are taken by a hash of their ids, from a first one on up to where their plays fit into the memory
/// that is given; the next reading goes on from there.
pub struct Consistency<'a> {
    found: &'a Found,
    before: ProfilesBefore,
    window: Option<Window>,
    customers: HashMap<Id, Held>,
    /// The hashes of customers that are held, both ends included.
    hashes: (u64, u64),
    bytes: usize,
    most_bytes: usize,
    not_checkable: NotCheckable,
    /// Decisions of customers beyond the last hash.
    beyond: u64,
}

impl<'a> Consistency<'a> {
    /// A reading of customers whose hash is `first_hash` at least, 0 in the first, which takes some `most_bytes` of memory, and at least
    /// what one customer takes. `found` is what a look at the same log found; [`Self::profile`] is to be given what
    /// [`profiles_before`](upbeat_engine::storage::profiles_before) gives, and [`Self::begin`] what it returned.
    #[must_use]
    pub fn new(found: &'a Found, first_hash: u64, most_bytes: usize) -> Self {
        Self {
            found,
            before: ProfilesBefore { from: 0, known_from: 0 },
            window: None,
            customers: HashMap::new(),
            hashes: (first_hash, u64::MAX),
            bytes: 0,
            most_bytes,
            not_checkable: NotCheckable::default(),
            beyond: 0,
        }
    }

    /// Takes an entry of the snapshot from which on the log goes on.
    pub fn profile(&mut self, entry: Entry) {
        match entry {
            Entry::Started(started) => self.window = Some(started.window),
            Entry::Event { event, .. } => self.play(event),
            _ => {}
        }
    }

    /// The log follows, of which this is known.
    pub fn begin(&mut self, before: ProfilesBefore) {
        self.before = before;
        // Who was erased since is in the snapshot, and not to be known any more.
        let (found, from) = (self.found, before.from);
        self.customers.retain(|customer, _| !found.erased.covers(Some(from), customer));
        self.count_bytes();
    }

    /// Takes the next record of the log, with all plays and evictions in it.
    pub fn entry(&mut self, position: u64, entry: &Entry) {
        if position >= self.found.below {
            return;
        }
        let is_after = position >= self.before.from;
        match entry {
            Entry::Started(started) if is_after => self.window = Some(started.window),
            Entry::Event { event, .. } if is_after && self.found.is_kept(position, &event.customer) => {
                self.play(event.clone());
            }
            Entry::Evicted { customer, .. } if is_after => {
                if let Some(held) = self.customers.get_mut(customer) {
                    self.bytes = self.bytes.saturating_sub(held.profile.play_bytes());
                    held.profile = Profile::default();
                }
            }
            Entry::Shown { .. } if self.is_first() => self.not_checkable.without_counts += 1,
            Entry::Decided { customer, .. } | Entry::ShownInPlan { customer, .. } => {
                self.decision(position, customer, entry);
            }
            _ => {}
        }
    }

    /// Whether this reading is the first: what is said of no customer is counted once.
    fn is_first(&self) -> bool {
        self.hashes.0 == 0
    }

    fn play(&mut self, event: upbeat_core::event::Event) {
        let (EventKind::Play { .. }, Some(window)) = (&event.kind, self.window) else { return };
        if !self.holds(&event.customer) {
            return;
        }
        let bytes = &mut self.bytes;
        let held = self.customers.entry(event.customer.clone()).or_insert_with(|| {
            *bytes += CUSTOMER_BYTES;
            Held::default()
        });
        let before = held.profile.play_bytes();
        held.profile.apply(event, &Bounds { plays: window.plays as usize, campaigns: &[] });
        *bytes = (*bytes + held.profile.play_bytes()).saturating_sub(before);
        while self.bytes > self.most_bytes && self.customers.len() > 1 {
            self.halve();
        }
    }

    fn holds(&self, customer: &Id) -> bool {
        (self.hashes.0..=self.hashes.1).contains(&hash(customer))
    }

    /// Leaves the upper half of the customers to the next reading.
    fn halve(&mut self) {
        let (first, last) = self.hashes;
        let middle = first + (last - first) / 2;
        self.hashes.1 = middle;
        let beyond = &mut self.beyond;
        self.customers.retain(|customer, held| {
            let is_held = hash(customer) <= middle;
            *beyond += if is_held { 0 } else { held.checked };
            is_held
        });
        self.count_bytes();
    }

    fn count_bytes(&mut self) {
        let each = self.customers.values().map(|held| CUSTOMER_BYTES + held.profile.play_bytes());
        self.bytes = each.sum();
    }

    fn decision(&mut self, position: u64, customer: &Id, entry: &Entry) {
        let Some(facts) = decided(entry) else { return };
        let why_not = match (facts.counts, self.window) {
            _ if !self.found.is_kept(position, customer) => Err(&mut self.not_checkable.erased),
            (None, _) => Err(&mut self.not_checkable.without_counts),
            (Some(counts), Some(window)) if position >= self.before.known_from => Ok((counts, window)),
            _ => Err(&mut self.not_checkable.events_gone),
        };
        let (logged, window) = match why_not {
            Ok(of) => of,
            Err(count) => {
                *count += u64::from(self.hashes.0 == 0);
                return;
            }
        };
        if !self.holds(customer) {
            self.beyond += u64::from(hash(customer) > self.hashes.1);
            return;
        }
        let held = match self.customers.get_mut(customer) {
            Some(held) => held,
            None => {
                self.bytes += CUSTOMER_BYTES;
                self.customers.entry(customer.clone()).or_default()
            }
        };
        let computed = counts_in(&held.profile, &window, facts.time_ms).counts;
        held.checked += 1;
        if computed == logged {
            held.agreed += 1;
        } else if held.first.is_none() {
            held.first = Some(Box::new(Disagreement {
                decision_id: facts.id.to_string(),
                customer: customer.clone(),
                time_ms: facts.time_ms,
                position,
                logged: numbers(&logged),
                computed: numbers(&computed),
            }));
        }
    }

    /// What was found of the customers that were held, and the first hash of the next reading, if one is to follow.
    #[must_use]
    pub fn finish(self) -> (Agreement, Option<u64>) {
        let mut all = Agreement { not_checkable: self.not_checkable, ..Agreement::default() };
        let mut disagreements = Vec::new();
        for held in self.customers.into_values() {
            all.checked += held.checked;
            all.agreed += held.agreed;
            disagreements.extend(held.first.map(|first| *first));
        }
        all.add(Agreement { disagreements, ..Agreement::default() });
        (all, self.hashes.1.checked_add(1))
    }

    /// What was found by one reading alone: decisions of customers that were not held are counted as not checked.
    #[must_use]
    pub fn finish_alone(self) -> Agreement {
        let beyond = self.beyond;
        let (mut all, _) = self.finish();
        all.not_checkable.no_memory += beyond;
        all
    }
}

fn hash(customer: &Id) -> u64 {
    StableHash::with_key(0).id(customer.as_ref()).finish()
}

#[cfg(test)]
mod tests;
