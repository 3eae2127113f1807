//! From plays to feature vectors, customer by customer.

use std::collections::{HashMap, HashSet};

use foldhash::fast::FixedState;

use super::record::{Entry, IdKey, Record, Run};
use upbeat_core::event::IdRef;
use upbeat_core::feature::{self, FeatureVector, Heard};
use upbeat_core::profile::{Window, keep_distinct};

/// Which of a customer's plays count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Whether a play counts as often as it is in the file.
    pub(super) keep_repeats: bool,
    /// The most recent plays that count.
    pub(super) window: Window,
    /// The first instant in the window.
    pub(super) start: u64,
}

/// A customer's row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row<K> {
    pub(super) customer: K,
    pub(super) vector: FeatureVector,
    pub(super) clicked: bool,
}

/// A row per customer with plays that count, by ascending id: numbers, then other ids as text.
#[derive(Debug, Default, PartialEq)]
pub struct Aggregated {
    pub(super) numbers: Vec<Row<u64>>,
    pub(super) texts: Vec<Row<Box<str>>>,
    pub(super) repeats: u64,
}

impl Aggregated {
    /// Plays that repeat an earlier row of the file, by customer, event id and time.
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.repeats
    }

    /// Adds the rows of other customers; [`Aggregated::sort`] then restores the order.
    pub(super) fn append(&mut self, other: Self) {
        self.numbers.extend(other.numbers);
        self.texts.extend(other.texts);
        self.repeats += other.repeats;
    }

    /// Brings the rows into the order of ids.
    pub(super) fn sort(&mut self) {
        // The rows are runs in ascending order, which this sort merges.
        self.numbers.sort_by_key(|row| row.customer);
        self.texts.sort_by(|a, b| a.customer.cmp(&b.customer));
    }
}

/// The customers who clicked.
#[derive(Debug, Default)]
pub(super) struct Clicked {
    pub(super) numbers: HashSet<u64, FixedState>,
    pub(super) texts: HashSet<Box<str>, FixedState>,
}

/// The rows of all customers with plays in `runs`.
pub(super) fn aggregate(runs: &[Run<'_>], rules: &Rules, clicked: &Clicked) -> Aggregated {
    let mut aggregated = Aggregated::default();
    if runs.iter().all(|run| run.text.is_empty()) {
        let plays: Vec<Record> = runs.iter().flat_map(|run| run.records).copied().collect();
        aggregated.repeats = for_each_customer(&plays, rules, |customer, vector| {
            aggregated.numbers.push(Row { customer, vector, clicked: clicked.numbers.contains(&customer) });
        });
    } else {
        let mut plays: Vec<Entry<IdRef<'_>>> = Vec::new();
        for run in runs {
            plays.extend(run.records.iter().map(|record| record.resolve(run.text)));
        }
        aggregated.repeats = for_each_customer(&plays, rules, |customer, vector| match customer {
            IdRef::Number(customer) => {
                aggregated.numbers.push(Row {
                    customer,
                    vector,
                    clicked: clicked.numbers.contains(&customer),
                });
            }
            IdRef::Text(customer) => {
                let clicked = clicked.texts.contains(customer);
                aggregated.texts.push(Row { customer: customer.into(), vector, clicked });
            }
        });
    }
    aggregated.sort();
    aggregated
}

/// Passes each customer with plays that count to `row`, with their vector. Returns how many plays were repeats, of all
/// customers.
fn for_each_customer<K: IdKey>(
    plays: &[Entry<K>],
    rules: &Rules,
    mut row: impl FnMut(K, FeatureVector),
) -> u64 {
    let mut repeats = 0;
    let mut grouped = Grouped::new(plays);
    for own in grouped.customers() {
        let counted = arrange(own, rules.keep_repeats, &mut repeats);
        if let Some(vector) = vector(in_window(&own[..counted], rules)) {
            row(own[0].customer, vector);
        }
    }
    repeats
}

/// Brings a customer's records into their order, by time and event id; returns how many of them count, which are the
/// first, and adds how many repeat others to `repeats`.
pub(super) fn arrange<K: IdKey>(own: &mut [Entry<K>], keep_repeats: bool, repeats: &mut u64) -> usize {
    // Most files are in the order of time.
    if !own.is_sorted_by_key(Entry::order) {
        own.sort_by_key(Entry::order);
    }
    if !keep_repeats {
        let distinct = keep_distinct(own, Entry::order, Entry::precedes);
        *repeats += (own.len() - distinct) as u64;
        return distinct;
    }
    let again = own.windows(2).filter(|pair| pair[0].order() == pair[1].order()).count();
    if again > 0 {
        // The window may leave some copies of a play out; which ones must not depend on the order of the file.
        own.sort_by(|one, other| {
            let content = other.precedes(one).cmp(&one.precedes(other));
            one.order().cmp(&other.order()).then(content)
        });
    }
    *repeats += again as u64;
    own.len()
}

/// Of a customer's plays in their order, those in the window.
fn in_window<'a, K: IdKey>(plays: &'a [Entry<K>], rules: &Rules) -> &'a [Entry<K>] {
    let older = plays.partition_point(|play| play.moment.instant() < rules.start);
    &plays[rules.window.first(plays.len(), older)..]
}

pub(super) fn vector<K: IdKey>(plays: &[Entry<K>]) -> Option<FeatureVector> {
    feature::vector(plays.iter().map(|play| Heard {
        hour: play.moment.hour(),
        mobile: play.moment.mobile(),
        track: play.track.as_id(),
    }))
}

/// Records customer by customer, each customer's in the order in which they were read.
pub(super) struct Grouped<K> {
    plays: Vec<Entry<K>>,
    /// Where each customer's plays end.
    ends: Vec<usize>,
}

impl<K: IdKey> Grouped<K> {
    pub(super) fn new(plays: &[Entry<K>]) -> Self {
        let Some(&any) = plays.first() else { return Self { plays: Vec::new(), ends: Vec::new() } };
        let mut slots: HashMap<K, usize, FixedState> = HashMap::default();
        let mut counts: Vec<usize> = Vec::new();
        let slot_of_play: Vec<usize> = plays
            .iter()
            .map(|play| {
                let slot = *slots.entry(play.customer).or_insert(counts.len());
                if slot == counts.len() {
                    counts.push(0);
                }
                counts[slot] += 1;
                slot
            })
            .collect();
        let mut start = 0;
        for count in &mut counts {
            start += std::mem::replace(count, start);
        }
        let (mut ends, mut grouped) = (counts, vec![any; plays.len()]);
        for (play, slot) in plays.iter().zip(slot_of_play) {
            grouped[ends[slot]] = *play;
            ends[slot] += 1;
        }
        Self { plays: grouped, ends }
    }

    pub(super) fn customers(&mut self) -> impl Iterator<Item = &mut [Entry<K>]> {
        let (mut rest, mut start) = (&mut self.plays[..], 0);
        self.ends.iter().map(move |end| {
            let (own, others) = std::mem::take(&mut rest).split_at_mut(end - start);
            (rest, start) = (others, *end);
            own
        })
    }
}
