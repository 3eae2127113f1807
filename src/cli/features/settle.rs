//! From plays to vectors, customer by customer.

use std::collections::{HashMap, HashSet};

use foldhash::fast::FixedState;

use super::record::{AnyKey, Entry, Record, Run};
use crate::event::IdRef;
use crate::feature::{self, FeatureVector, Heard};

/// What of a customer's plays counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Whether a play counts as often as it was told.
    pub(super) keep_repeats: bool,
    /// At most so many plays count.
    pub(super) plays: usize,
    /// Plays before this instant do not count.
    pub(super) start: u64,
}

/// A customer's row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row<K> {
    pub(super) customer: K,
    pub(super) vector: FeatureVector,
    pub(super) clicked: bool,
}

/// The rows of some customers, by ascending id.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Settled {
    pub(super) numbers: Vec<Row<u64>>,
    pub(super) texts: Vec<Row<Box<str>>>,
    /// Plays that had been told before.
    pub(super) repeats: u64,
}

impl Settled {
    /// Adds the rows of other customers, whose order is then to be made by [`Settled::sort`].
    pub(super) fn append(&mut self, other: Self) {
        self.numbers.extend(other.numbers);
        self.texts.extend(other.texts);
        self.repeats += other.repeats;
    }

    /// Brings the rows into the order of ids.
    pub(super) fn sort(&mut self) {
        // Made for what is sorted piece by piece, as this is.
        self.numbers.sort_by_key(|row| row.customer);
        self.texts.sort_by(|a, b| a.customer.cmp(&b.customer));
    }
}

/// Who clicked.
#[derive(Debug, Default)]
pub(super) struct Clicked {
    pub(super) numbers: HashSet<u64, FixedState>,
    pub(super) texts: HashSet<Box<str>, FixedState>,
}

/// The rows of all customers with plays in `runs`.
pub(super) fn settle(runs: &[Run<'_>], rules: &Rules, clicked: &Clicked) -> Settled {
    let mut settled = Settled::default();
    if runs.iter().all(|run| run.text.is_empty()) {
        let plays: Vec<Record> = runs.iter().flat_map(|run| run.records).copied().collect();
        settled.repeats = for_each_customer(&plays, rules, |customer, vector| {
            settled.numbers.push(Row { customer, vector, clicked: clicked.numbers.contains(&customer) });
        });
    } else {
        let mut plays: Vec<Entry<IdRef<'_>>> = Vec::new();
        for run in runs {
            plays.extend(run.records.iter().map(|record| record.resolve(run.text)));
        }
        settled.repeats = for_each_customer(&plays, rules, |customer, vector| match customer {
            IdRef::Number(customer) => {
                settled.numbers.push(Row { customer, vector, clicked: clicked.numbers.contains(&customer) });
            }
            IdRef::Text(customer) => {
                let clicked = clicked.texts.contains(customer);
                settled.texts.push(Row { customer: customer.into(), vector, clicked });
            }
        });
    }
    settled.sort();
    settled
}

/// Gives each customer with plays that count, and their vector; how many plays were repeats, of all customers.
fn for_each_customer<K: AnyKey>(
    plays: &[Entry<K>],
    rules: &Rules,
    mut give: impl FnMut(K, FeatureVector),
) -> u64 {
    let mut repeats = 0;
    let mut grouped = Grouped::new(plays);
    for own in grouped.customers() {
        // Most files are in the order of time.
        if !own.is_sorted_by_key(Entry::order) {
            own.sort_by_key(Entry::order);
        }
        let distinct = 1 + own.windows(2).filter(|pair| pair[0].order() != pair[1].order()).count();
        repeats += (own.len() - distinct) as u64;
        let told =
            if rules.keep_repeats || distinct == own.len() { own } else { first_of_each(own, distinct) };
        if let Some(vector) = vector(in_window(told, rules)) {
            give(told[0].customer, vector);
        }
    }
    repeats
}

/// Moves the first of each group of repeats to the front: the `distinct` plays that count.
fn first_of_each<K: AnyKey>(own: &mut [Entry<K>], distinct: usize) -> &mut [Entry<K>] {
    let mut kept = 0;
    for at in 1..own.len() {
        if own[at].order() != own[kept].order() {
            kept += 1;
            own[kept] = own[at];
        }
    }
    &mut own[..distinct]
}

/// As [`crate::profile::Window::of`] has it.
fn in_window<'a, K: AnyKey>(plays: &'a [Entry<K>], rules: &Rules) -> &'a [Entry<K>] {
    let by_age = plays.partition_point(|play| play.moment.instant() < rules.start);
    let by_count = plays.len().saturating_sub(rules.plays);
    &plays[by_age.max(by_count)..]
}

fn vector<K: AnyKey>(plays: &[Entry<K>]) -> Option<FeatureVector> {
    feature::vector(plays.iter().map(|play| Heard {
        hour: play.moment.hour(),
        mobile: play.moment.mobile(),
        track: play.track.as_id(),
    }))
}

/// Plays customer by customer, each one's in the order they came.
struct Grouped<K> {
    plays: Vec<Entry<K>>,
    /// Where each customer's plays end.
    ends: Vec<usize>,
}

impl<K: AnyKey> Grouped<K> {
    fn new(plays: &[Entry<K>]) -> Self {
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

    fn customers(&mut self) -> impl Iterator<Item = &mut [Entry<K>]> {
        let (mut rest, mut start) = (&mut self.plays[..], 0);
        self.ends.iter().map(move |end| {
            let (own, others) = std::mem::take(&mut rest).split_at_mut(end - start);
            (rest, start) = (others, *end);
            own
        })
    }
}
