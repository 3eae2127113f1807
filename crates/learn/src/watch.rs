//! Watching a campaign: whether its model still expects the clicks that come, how many come, and whether the holdout's groups are of the
//! sizes that its share says. A function of the log's records in their order.

mod rates;
pub mod split;

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use upbeat_core::decision::Reason;
use upbeat_core::event::{Id, StableHash};
use upbeat_engine::Entry;
use upbeat_engine::storage::ProfilesBefore;

use self::rates::Rates;
use self::split::Split;
use super::backtest::Judge;
use super::rows::decided;
use super::{Found, Row};

pub use self::rates::Measured;
pub use self::split::Ratio;

/// The most customers of whom is remembered that they were counted, some 50 bytes each. Where there are more, half of them are left out, by
/// a hash that nothing else goes by.
const MOST_CUSTOMERS: usize = 1 << 20;

/// Makes the hash of a customer another than those that shards, coins and holdouts go by.
const KEY: u64 = 0x0077_6174_6368;

/// The calibration is wrong where all of its interval is outside.
const CALIBRATION: (f64, f64) = (0.9, 1.1);

/// The click rate of a day is another than that of its week where all of its interval is outside of so many times the week's.
const CLICK_RATE: (f64, f64) = (0.5, 2.0);

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Clicks expected to clicks that came, over the last week.
    Calibration,
    /// Clicks a shown ad, the last day's against the last week's.
    ClickRate,
    /// Customers held out to customers shown the campaign.
    SampleRatio,
}

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing says that it is wrong.
    Good,
    /// Chance hardly explains what was found.
    Bad,
    /// It cannot be told.
    Unknown,
}

/// How one of them is, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Of what.
    pub subject: Subject,
    /// How it is.
    pub state: State,
    /// A sentence with the figures.
    pub sentence: String,
}

/// What was found of a campaign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    /// The last day of ads of which is known what became of them.
    pub day: Measured,
    /// The last week of them.
    pub week: Measured,
    /// The groups of the holdout, since the log begins; `None` where that cannot be told.
    pub split: Option<Ratio>,
    /// How each is, in words.
    pub findings: Vec<Finding>,
}

/// Takes a log's records and rows.
pub struct Watch<'a> {
    found: &'a Found,
    slot: u16,
    id: Id,
    judge: Option<Judge>,
    rates: Rates,
    split: Split,
    counted: HashSet<u64>,
    /// Of those whom the snapshot knows: when the campaign was first shown to them, or would have been, in Unix milliseconds.
    first_ms: HashMap<u64, i64>,
    /// Customers whose hashes are above this are left out.
    most_hash: u64,
    is_known: bool,
}

impl<'a> Watch<'a> {
    /// Of the campaign in this slot, whose model is `judge`. `found` is what a look at the same log found; [`Self::before`] is to be given
    /// what [`profiles_before`](upbeat_engine::storage::profiles_before) gives, and [`Self::begin`] what it returned.
    #[must_use]
    pub fn new(found: &'a Found, slot: u16, judge: Option<Judge>) -> Self {
        Self {
            found,
            slot,
            id: found.campaigns.id(slot),
            judge: judge.filter(Judge::knows_clicks),
            rates: Rates::default(),
            split: Split::default(),
            counted: HashSet::new(),
            first_ms: HashMap::new(),
            most_hash: u64::MAX,
            is_known: true,
        }
    }

    /// Takes an entry of the snapshot from which on the log goes on: who was shown the campaign before what is left of the log, or would
    /// have been, does not count.
    pub fn before(&mut self, entry: &Entry) {
        let Entry::Shown { customer, campaign, time_ms, .. } = entry else { return };
        let hash = hash(customer);
        if *campaign == self.id && hash <= self.most_hash {
            let first = self.first_ms.entry(hash).or_insert(*time_ms);
            *first = (*first).min(*time_ms);
            while self.first_ms.len() > MOST_CUSTOMERS {
                self.halve();
            }
        }
    }

    /// The log follows, of which this is known.
    pub fn begin(&mut self, before: ProfilesBefore) {
        self.is_known = before.known_from < u64::MAX;
    }

    /// Takes the next record of the log. Customers of both groups are counted in its order: rows of shown ads come late.
    pub fn entry(&mut self, position: u64, entry: &Entry) {
        let (Entry::Decided { customer, .. } | Entry::ShownInPlan { customer, .. }) = entry else { return };
        let Some(facts) = decided(entry).filter(|facts| facts.campaign == Some(self.slot)) else { return };
        let is_held_out = facts.reason == Reason::HeldOut;
        if !(is_held_out || facts.reason.shows()) || !self.found.is_kept(position, customer) {
            return;
        }
        let hash = hash(customer);
        if hash > self.most_hash || !self.counted.insert(hash) {
            return;
        }
        while self.counted.len() > MOST_CUSTOMERS {
            self.halve();
        }
        // The snapshot has this decision, too, if it is the first; what it has before is older than the log.
        let is_first = self.first_ms.remove(&hash).is_none_or(|first_ms| first_ms == facts.time_ms);
        let terms = self.found.campaigns.terms_of(&self.id, facts.version);
        if let Some(terms) = terms.filter(|_| is_first) {
            self.split.add(is_held_out, terms.held_out);
        }
    }

    fn halve(&mut self) {
        self.most_hash /= 2;
        let most = self.most_hash;
        self.counted.retain(|hash| *hash <= most);
        self.first_ms.retain(|hash, _| *hash <= most);
    }

    /// Takes the next row, in whatever order.
    pub fn row(&mut self, row: &Row) {
        let is_of = row.facts.as_ref().is_some_and(|facts| facts.campaign == Some(self.slot));
        if !is_of || !row.is_shown() || row.is_voided() || !row.is_mature || !row.has_events {
            return;
        }
        let probability = row.counts().and_then(|counts| self.judge.as_ref()?.judge(counts)?.1);
        self.rates.add(row.time_ms, probability, row.is_clicked);
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> Watched {
        let (day, week) = (self.rates.last(24), self.rates.last(7 * 24));
        let split = self.is_known.then(|| self.split.found());
        let findings = vec![
            calibration(&week, self.judge.as_ref()),
            click_rate(&day, &week),
            sample_ratio(split.as_ref()),
        ];
        Watched { day, week, split, findings }
    }
}

fn hash(customer: &Id) -> u64 {
    StableHash::with_key(KEY).id(customer.as_ref()).finish()
}

/// Bad where all of an interval is outside of these.
fn state([_, low, high]: [f64; 3], (least, most): (f64, f64)) -> State {
    if high < least || low > most { State::Bad } else { State::Good }
}

fn calibration(week: &Measured, judge: Option<&Judge>) -> Finding {
    let (least, most) = CALIBRATION;
    let of = |state, sentence| Finding { subject: Subject::Calibration, state, sentence };
    let Measured { shown, clicks, expected, calibration, .. } = week;
    let (Some(judge), Some(expected)) = (judge, expected) else {
        let why =
            "the campaign's model tells no probability of a click on a show, so that nothing is expected";
        return of(State::Unknown, format!("calibration: {why}"));
    };
    let Some(ratio) = calibration else {
        let sentence = format!(
            "calibration: of {shown} ads of a week model {} expects {expected:.1} clicks, and {clicks} came: that is too few to tell",
            judge.id
        );
        return of(State::Unknown, sentence);
    };
    let sentence = format!(
        "calibration: of {shown} ads of a week model {} expects {expected:.1} clicks, and {clicks} came: {:.2} times as many, by a 95 % \
         interval {:.2} to {:.2}, some of which must be within {least} to {most}",
        judge.id, ratio[0], ratio[1], ratio[2]
    );
    of(state(*ratio, CALIBRATION), sentence)
}

fn click_rate(day: &Measured, week: &Measured) -> Finding {
    let of = |state, sentence| Finding { subject: Subject::ClickRate, state, sentence };
    let (Some(today), Some([usual, ..])) = (day.click_rate, week.click_rate) else {
        return of(
            State::Unknown,
            "click rate: no shown ad is old enough to tell whether it was clicked".to_owned(),
        );
    };
    let (least, most) = CLICK_RATE;
    let state = state(today, (least * usual, most * usual));
    let percent = |share: f64| 100.0 * share;
    let sentence = format!(
        "click rate: {:.2} % of {} ads of a day were clicked, by a 95 % interval {:.2} to {:.2} %, and {:.2} % of {} ads of a week: some of \
         the interval must be within half to twice that",
        percent(today[0]),
        day.shown,
        percent(today[1]),
        percent(today[2]),
        percent(usual),
        week.shown
    );
    of(state, sentence)
}

fn sample_ratio(split: Option<&Ratio>) -> Finding {
    let of = |state, sentence| Finding { subject: Subject::SampleRatio, state, sentence };
    let Some(ratio) = split else {
        let sentence = "sample ratio: the log has lost its beginning, and no snapshot says whom the campaign was shown before";
        return of(State::Unknown, sentence.to_owned());
    };
    let Ratio { treated, held_out, expected, .. } = ratio;
    let all = treated + held_out;
    if *expected == 0.0 && !ratio.is_mismatch() {
        return of(
            State::Unknown,
            format!("sample ratio: none of {all} customers is to be held out: there is no holdout"),
        );
    }
    let state = if ratio.is_mismatch() { State::Bad } else { State::Good };
    let sentence = format!(
        "sample ratio: of {all} customers to whom the campaign was to be shown for the first time {held_out} were held out, and {expected:.1} \
         should have been: p = {:.2e}, looked at all the time; at {} and below one of the groups loses customers",
        ratio.p(),
        split::ALPHA
    );
    of(state, sentence)
}

#[cfg(test)]
mod tests;
