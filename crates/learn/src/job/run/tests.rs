//! Jobs over logs that are made here, with the truth beside them.

mod judged;
mod leaks;

use upbeat_core::campaign::Bill;
use upbeat_core::decision::Reason;
use upbeat_core::event::{ClickOf, DAY_MS, DecisionId, Event, EventKind, Time};
use upbeat_core::feature::{Counts, FEATURE_COUNT};
use upbeat_core::profile::Window;
use upbeat_engine::ledger::Charge;
use upbeat_engine::{Coins, Facts};
use upbeat_simulate::Rng;

use super::*;
use crate::job::{GateSettings, Training};
use crate::training::Plan;

const ATTRIBUTION_MS: i64 = 600_000;
const COST_MICRO: i64 = 20_000;
const VALUE_MICRO: i64 = 100_000;

/// The campaigns: one, which shows where a click is likelier than one of five.
fn campaigns() -> Entry {
    let toml = "[[campaign]]\nid = \"offer\"\nad = \"AD\"\nimpression_cost = 0.02\nclick_value = 0.1\nthreshold = \"profit\"\n\
                exploration = 0.1\nholdout = 0.2\n";
    crate::testing::version(1, "offer", toml)
}

/// Forty plays, of which so many are on a phone.
fn counts(mobile: u16) -> Counts {
    let mut parts = [0; FEATURE_COUNT];
    (parts[0], parts[4], parts[5]) = (40, mobile, 20);
    Counts { plays: 40, parts }
}

fn decided(number: u64, time_ms: i64, reason: Reason, counts: Counts, coins: Coins<'static>) -> Entry {
    let facts = Box::new(Facts {
        id: DecisionId(number),
        time_ms,
        reason,
        eligible: true,
        campaign: Some(0),
        version: 1,
        model: None,
        counts: Some(counts),
        coins,
    });
    let customer = Id::Number(number % 1_000_000);
    if !reason.shows() {
        return Entry::Decided { customer, facts, has_state: false };
    }
    let charge = Charge { expires_s: 0, day: 0, bill: Bill::Show, cost: COST_MICRO };
    Entry::ShownInPlan { customer, facts, charge, answer: None }
}

/// Pacing that lets so many of 65,535 shows pass; and exploration of so many of ten.
fn pacing(rate: u16) -> Coins<'static> {
    Coins::Pacing(vec![(0, rate)].into())
}

fn exploring(tenths: u64) -> Coins<'static> {
    Coins::Exploration(vec![(0, u64::MAX / 10 * tenths)].into())
}

fn event(number: u64, time_ms: i64, kind: EventKind) -> Entry {
    let (customer, time) = (Id::Number(number % 1_000_000), Time::from_unix_ms(time_ms));
    Entry::Event { event: Event { customer, id: Id::Number(1), time, kind }, last_event_s: 0 }
}

fn click(number: u64, time_ms: i64) -> Entry {
    event(
        number,
        time_ms,
        EventKind::Click { of: ClickOf::Decision { decision: DecisionId(number), ad: None } },
    )
}

fn play(number: u64, time_ms: i64) -> Entry {
    event(number, time_ms, EventKind::Play { track: Id::Number(1), mobile: true })
}

fn ask(now_ms: i64) -> Ask {
    Ask {
        campaign: Id::Text("offer".into()),
        champion: None,
        challenger: None,
        train: true,
        trained_until_ms: None,
        min_labels: 100,
        attribution_ms: ATTRIBUTION_MS,
        conversion_ms: 0,
        now_ms,
        gate: GateSettings { alpha: 0.05, min_gain_micro: 0.0, max_age_ms: DAY_MS, exploration: 0.1 },
        seed: 1,
    }
}

/// What a job answers over these records, after an event and the campaigns.
fn answer(ask: &Ask, given: &Given, entries: &[Entry]) -> Answer {
    let mut found = Found::default();
    found.window = Some(Window::default());
    let first = [play(999_999, 0), campaigns()];
    let records = || first.iter().chain(entries).zip(1..);
    records().for_each(|(entry, position)| found.note(position, entry));
    let mut run = Run::new(ask, &found, given);
    records().for_each(|(entry, position)| run.entry(position, entry.clone()));
    run.finish()
}

/// The model that a job has trained.
#[track_caller]
fn model(answer: Answer) -> Model {
    match answer.trained {
        Some(Training::Candidate { model, .. }) => Model::read(model.as_bytes()).expect("a model"),
        other => panic!("{other:?}"),
    }
}

/// Why a job has trained none.
#[track_caller]
fn refusal(answer: Answer) -> String {
    match answer.trained {
        Some(Training::None { sentence, .. }) => sentence,
        other => panic!("{other:?}"),
    }
}

/// How probable a click is of somebody who heard so many of forty plays on a phone.
fn truth(mobile: u16) -> f64 {
    0.05 + 0.6 * f64::from(mobile) / 40.0
}

/// An ad that was shown to somebody, and whether they clicked.
struct Shown {
    number: u64,
    time_ms: i64,
    mobile: u16,
    clicked: bool,
}

/// Ads that were shown to anybody, one a second.
fn shown(count: u64, seed: u64) -> Vec<Shown> {
    let mut rng = Rng::new(seed);
    let show = |number: u64| {
        let mobile = rng.below(41) as u16;
        Shown { number, time_ms: number as i64 * 1_000, mobile, clicked: rng.chance(truth(mobile)) }
    };
    (1..=count).map(show).collect()
}

impl Shown {
    fn entry(&self) -> Entry {
        decided(self.number, self.time_ms, Reason::LikelyToClick, counts(self.mobile), pacing(32_768))
    }
}

/// Records in the order in which a log would have them, by their times.
fn in_order(mut timed: Vec<(i64, Entry)>) -> Vec<Entry> {
    timed.sort_by_key(|(time_ms, _)| *time_ms);
    timed.into_iter().map(|(_, entry)| entry).collect()
}
