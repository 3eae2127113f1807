//! Campaigns at random, and changes of them.

use crate::chance::Dice;
use crate::world::{Campaign, Cap, DAY, Document, Level, Ms, Threshold};

/// Zones whose clocks change, at the times when they do in 2026, and one whose clocks do not.
pub const ZONES: [(&str, &[&str]); 5] = [
    ("Europe/Berlin", &["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"]),
    ("America/New_York", &["2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"]),
    ("Australia/Lord_Howe", &["2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z"]),
    ("Africa/Casablanca", &["2026-02-15T02:00:00Z", "2026-03-22T02:00:00Z"]),
    ("Asia/Seoul", &["2026-06-15T00:00:00Z"]),
];

pub const MODELS: [&str; 3] = ["default", "of-mornings", "of-tracks"];

/// The most campaigns of a document.
const CAMPAIGNS: usize = 5;

/// An instant at which the clocks of some zone change.
pub fn change_of_clocks(dice: &mut Dice) -> Ms {
    let (_, changes) = *dice.of(&ZONES);
    dice.of(changes).parse::<jiff::Timestamp>().expect("a time").as_millisecond()
}

/// A document of which `around` is about the middle of the time that it runs.
pub fn document(dice: &mut Dice, around: Ms) -> Document {
    let count = dice.within(1, CAMPAIGNS as i64) as usize;
    let mut document = Document::default();
    if dice.one_in(2) {
        document.caps = caps(dice, 1);
    }
    if dice.one_in(3) {
        document.holdout_all = *dice.of(&[0.05, 0.3]);
    }
    for _ in 0..count {
        add(dice, &mut document, around);
    }
    document
}

fn add(dice: &mut Dice, document: &mut Document, around: Ms) {
    let campaign = campaign(dice, document.campaigns.len(), around);
    document.campaigns.push(campaign);
    put_right(document);
}

/// What would be refused: the explorations of all campaigns are at most 1 together, and pacing needs a budget and its time.
pub fn put_right(document: &mut Document) {
    if document.campaigns.is_empty() {
        return;
    }
    let share = 1.0 / document.campaigns.len() as f64;
    for campaign in &mut document.campaigns {
        campaign.exploration = campaign.exploration.min(share * 0.5).min(1.0 - campaign.holdout);
        let is_flight = campaign.start.is_some() && campaign.end.is_some() && campaign.total.is_some();
        if campaign.daily.is_none() && !is_flight {
            campaign.pacing = "none";
        }
    }
}

fn campaign(dice: &mut Dice, number: usize, around: Ms) -> Campaign {
    // Not in the order of ids.
    let id = ["first", "second", "third", "another", "last"][number % CAMPAIGNS];
    let mut campaign =
        Campaign { min_plays: 3, value: 500_000, cost: 20_000, exploration: 0.1, ..Campaign::plain(id) };
    campaign.zone = dice.of(&ZONES).0.to_owned();
    campaign.bills_impressions = dice.one_in(2);
    campaign.reserve_s = 600;
    campaign.daily = Some(dice.within(1, 6) * campaign.cost);
    for _ in 0..dice.within(4, 12) {
        vary(dice, &mut campaign, around);
    }
    campaign
}

/// Another document, most of it the same.
pub fn changed(dice: &mut Dice, document: &Document, around: Ms) -> Document {
    let mut changed = document.clone();
    match dice.below(12) {
        0 if changed.campaigns.len() < CAMPAIGNS => add(dice, &mut changed, around),
        1 => changed.caps = if dice.one_in(2) { Vec::new() } else { caps(dice, 2) },
        2 => changed.holdout_all = *dice.of(&[0.0, 0.05, 0.3]),
        _ => {
            let place = dice.below(changed.campaigns.len() as i64) as usize;
            vary(dice, &mut changed.campaigns[place], around);
        }
    }
    put_right(&mut changed);
    changed
}

fn caps(dice: &mut Dice, most: i64) -> Vec<Cap> {
    (0..dice.within(1, most))
        .map(|_| Cap { impressions: dice.within(1, 4) as usize, hours: *dice.of(&[1, 5, 24, 48]) })
        .collect()
}

fn perhaps<T>(dice: &mut Dice, value: T) -> Option<T> {
    if dice.one_in(3) { None } else { Some(value) }
}

fn threshold(dice: &mut Dice) -> Threshold {
    match dice.below(4) {
        0 => Threshold::Probability(*dice.of(&[0.0, 0.3, 0.5, 0.8])),
        1 => Threshold::Score(*dice.of(&[-1000.0, 0.0, 0.5, 1000.0])),
        _ => Threshold::Profit,
    }
}

/// Changes one key.
fn vary(dice: &mut Dice, campaign: &mut Campaign, around: Ms) {
    let shows = |dice: &mut Dice, most: i64| dice.within(0, most) * 20_000 + *dice.of(&[0, 0, 1, 19_999]);
    match dice.below(26) {
        0 => campaign.paused = !campaign.paused && dice.one_in(2),
        1 => campaign.priority = dice.within(-1, 1) as i32,
        2 => {
            let levels = Level::ALL.into_iter().filter(|_| !dice.one_in(3)).collect::<Vec<_>>();
            campaign.audience = if levels.is_empty() { vec![Level::Free, Level::Silver] } else { levels };
        }
        3 => {
            let (min, span) = (dice.within(0, 20), dice.within(0, 20));
            let ends = [(Some(min), None), (None, Some(min + span)), (Some(min), Some(min + span))];
            campaign.signed_up = if dice.one_in(2) { None } else { Some(*dice.of(&ends)) };
        }
        4 => {
            let local = |dice: &mut Dice, days: i64| {
                let time = around + dice.within(-days, days) * DAY;
                let local = jiff::Timestamp::from_millisecond(time).expect("a time");
                let local = jiff::tz::TimeZone::UTC.to_datetime(local);
                local.date().at(dice.below(24) as i8, *dice.of(&[0, 15, 30]), 0, 0)
            };
            let (start, end) = (local(dice, 10), local(dice, 10));
            campaign.start = perhaps(dice, start.min(end));
            campaign.end = perhaps(dice, start.max(end)).filter(|end| *end > start.min(*end));
        }
        5 => {
            let days: Vec<i8> = (0..7).filter(|_| !dice.one_in(4)).collect();
            campaign.weekdays = if days.is_empty() { vec![5, 6] } else { days };
        }
        6 => {
            campaign.hours = Vec::new();
            for _ in 0..dice.within(0, 2) {
                let minutes = [0, 60, 90, 120, 150, 180, 420, 720, 1020, 1200, 1320, 1380];
                let (from, to) = (*dice.of(&minutes), *dice.of(&[0, 90, 120, 150, 360, 720, 1380, 1440]));
                if from != to && !(from == 0 && to == 0) {
                    campaign.hours.push((from, to));
                }
            }
        }
        7 => campaign.min_plays = dice.within(1, 12) as usize,
        8 | 9 => campaign.caps = if dice.one_in(3) { Vec::new() } else { caps(dice, 3) },
        10 => {
            let seconds = *dice.of(&[90, 7200, 86_400]);
            campaign.after_impression_s = perhaps(dice, seconds);
        }
        11 => {
            let seconds = *dice.of(&[600, 86_400]);
            campaign.after_click_s = perhaps(dice, seconds);
        }
        12 => {
            let seconds = *dice.of(&[3600, 259_200]);
            campaign.after_upgrade_s = perhaps(dice, seconds);
        }
        13 => campaign.cost = *dice.of(&[20_000, 20_000, 30_001, 0]),
        14 => campaign.value = *dice.of(&[500_000, 60_000, 40_000, 0]),
        15 | 16 => {
            let budget = shows(dice, 8);
            campaign.daily = perhaps(dice, budget);
        }
        17 => {
            let budget = shows(dice, 40);
            campaign.total = perhaps(dice, budget);
        }
        18 => {
            campaign.bills_impressions = dice.one_in(2);
            campaign.reserve_s = *dice.of(&[60, 600, 1800, 7200, 86_400]);
        }
        19 => campaign.threshold = threshold(dice),
        20 => campaign.model = (*dice.of(&MODELS)).to_owned(),
        21 => campaign.holdout = *dice.of(&[0.0, 0.0, 0.1, 0.4]),
        22 => campaign.pacing = *dice.of(&["none", "none", "even", "traffic"]),
        _ => {
            campaign.exploration = *dice.of(&[0.0, 0.02, 0.2, 0.5]);
            campaign.threshold = threshold(dice);
        }
    }
}
