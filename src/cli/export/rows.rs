//! Rows of decisions: the columns of each export.

use serde_json::{Map, json};
use upbeat_core::campaign::Bill;
use upbeat_core::decision::Reason;
use upbeat_engine::Facts;
use upbeat_learn::{Campaigns, Row};

use super::decided::has_score;
use super::table::{Cell, Column, Kind};
use crate::cli::decision_log::Models;

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exported {
    Decisions,
    Training,
    Impressions,
}

const COUNTS: [Column; 7] = [
    ("plays", Kind::Whole),
    ("morning", Kind::Whole),
    ("afternoon", Kind::Whole),
    ("evening", Kind::Whole),
    ("night", Kind::Whole),
    ("mobile", Kind::Whole),
    ("unique", Kind::Whole),
];

const DECISIONS: [Column; 23] = [
    ("decision_id", Kind::Text),
    ("time", Kind::Time),
    ("customer", Kind::Text),
    ("campaign", Kind::Text),
    ("action", Kind::Text),
    ("reason", Kind::Text),
    ("eligible", Kind::Flag),
    ("propensities", Kind::Text),
    COUNTS[0],
    COUNTS[1],
    COUNTS[2],
    COUNTS[3],
    COUNTS[4],
    COUNTS[5],
    COUNTS[6],
    ("score", Kind::Number),
    ("probability", Kind::Number),
    ("model", Kind::Text),
    ("held_out", Kind::Flag),
    ("cost", Kind::Whole),
    ("bill", Kind::Text),
    ("confirmed", Kind::Flag),
    ("voided", Kind::Flag),
];

const TRAINING: [Column; 15] = [
    ("decision_id", Kind::Text),
    ("time", Kind::Time),
    ("customer", Kind::Text),
    ("campaign", Kind::Text),
    ("clicked", Kind::Flag),
    ("weight", Kind::Number),
    COUNTS[0],
    COUNTS[1],
    COUNTS[2],
    COUNTS[3],
    COUNTS[4],
    COUNTS[5],
    COUNTS[6],
    ("model", Kind::Text),
    ("reason", Kind::Text),
];

const IMPRESSIONS: [Column; 5] = [
    ("event_id", Kind::Text),
    ("customer_id", Kind::Text),
    ("ad", Kind::Text),
    ("time", Kind::Time),
    ("clicked", Kind::Whole),
];

impl Exported {
    /// The columns, in their order.
    pub(super) fn columns(self) -> &'static [Column] {
        match self {
            Self::Decisions => &DECISIONS,
            Self::Training => &TRAINING,
            Self::Impressions => &IMPRESSIONS,
        }
    }
}

/// Plays and the six counts.
fn count_cells(row: &Row) -> [Cell; 7] {
    let Some(counts) = row.counts() else { return [const { Cell::Empty }; 7] };
    let [a, b, c, d, e, f] = counts.parts;
    [counts.plays, a, b, c, d, e, f].map(|count| Cell::Whole(count.into()))
}

fn head(row: &Row) -> [Cell; 4] {
    [
        Cell::Text(row.id.to_string()),
        Cell::Time(row.time_ms),
        Cell::Text(row.customer.to_string()),
        Cell::of(row.campaign.as_ref(), |id| Cell::Text(id.to_string())),
    ]
}

fn model_cell(row: &Row) -> Cell {
    Cell::of(row.model(), |model| Cell::Text(model.to_string()))
}

/// The row of `export decisions`.
pub(super) fn decision_cells(of: &Row, campaigns: &Campaigns, models: &mut Models) -> Vec<Cell> {
    let facts = of.facts.as_ref();
    let reason = of.reason();
    let scored = facts
        .filter(|facts| has_score(facts.reason))
        .and_then(|facts| models.score(facts.model?, facts.counts.as_ref()?));
    let action = match &of.campaign {
        Some(campaign) if of.is_shown() => campaign.to_string(),
        _ => "none".to_owned(),
    };
    let propensities = facts.map(|facts| propensities(facts, campaigns));
    let is_told = of.is_shown() && of.has_events;
    let mut row = head(of).to_vec();
    row.extend([
        Cell::Text(action),
        Cell::Text(reason.name().to_owned()),
        Cell::of(facts, |facts| Cell::Flag(facts.eligible)),
        Cell::of(propensities, Cell::Text),
    ]);
    row.extend(count_cells(of));
    row.extend([
        Cell::of(scored, |(score, _)| Cell::Number(score)),
        Cell::of(scored.and_then(|(_, probability)| probability), Cell::Number),
        model_cell(of),
        Cell::Flag(reason == Reason::HeldOut),
        Cell::of(of.charge, |charge| Cell::Whole(charge.cost)),
        Cell::of(of.charge, |charge| Cell::Text(bill(charge.bill).to_owned())),
        Cell::of(is_told.then_some(of.is_confirmed), Cell::Flag),
        Cell::of(is_told.then_some(of.is_voided()), Cell::Flag),
    ]);
    row
}

fn bill(bill: Bill) -> &'static str {
    match bill {
        Bill::Show => "show",
        Bill::Impression => "impression",
    }
}

/// The row of `export training`; `None` where the ad was not played, or nothing is known of the plays before it.
pub(super) fn training_cells(of: &Row) -> Option<Vec<Cell>> {
    let weight = of.training_weight()?;
    let mut row = head(of).to_vec();
    row.extend([Cell::Flag(of.is_clicked), Cell::Number(weight)]);
    row.extend(count_cells(of));
    row.extend([model_cell(of), Cell::Text(of.reason().name().to_owned())]);
    Some(row)
}

/// The row of `export impressions`; `None` where the ad was not played, or nothing says which one it was.
pub(super) fn impression_cells(of: &Row, campaigns: &Campaigns) -> Option<Vec<Cell>> {
    let ad = campaigns.ad(of.campaign.as_ref()?).filter(|_| !of.is_voided())?;
    Some(vec![
        Cell::Text(of.id.to_string()),
        Cell::Text(of.customer.to_string()),
        Cell::Text(ad.to_string()),
        Cell::Time(of.time_ms),
        Cell::Whole(of.is_clicked.into()),
    ])
}

/// As JSON: `none`, and every campaign that could have been shown.
fn propensities(facts: &Facts<'_>, campaigns: &Campaigns) -> String {
    let (none, shows) = facts.propensities();
    let shows = shows.into_iter().map(|(slot, of)| (campaigns.id(slot).to_string(), json!(of)));
    let all: Map<_, _> = std::iter::once(("none".to_owned(), json!(none))).chain(shows).collect();
    serde_json::Value::Object(all).to_string()
}
