//! Rows of decisions: the columns of each export.

use serde_json::{Map, json};
use upbeat_core::campaign::Bill;
use upbeat_core::decision::Reason;
use upbeat_core::event::{DecisionId, Id};
use upbeat_core::feature::Counts;
use upbeat_engine::{Entry, Facts};

use super::decided::{Campaigns, has_score};
use super::models::Models;
use super::outcomes::Shown;
use super::table::{Cell, Column, Kind};

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

/// A decision of the log.
pub(super) struct Decision {
    pub(super) id: DecisionId,
    pub(super) customer: Id,
    pub(super) time_ms: i64,
    pub(super) campaign: Option<Id>,
    /// `None` of an ad that a version showed which kept nothing else.
    facts: Option<Box<Facts<'static>>>,
    /// What the ad costs in micro-units, and how it is billed.
    charge: Option<(i64, &'static str)>,
}

impl Decision {
    /// What a record has of a decision; `None` if it is none.
    pub(super) fn of(entry: Entry, campaigns: &Campaigns) -> Option<Self> {
        match entry {
            Entry::Decided { customer, facts, .. } => Some(Self::with(customer, facts, None, campaigns)),
            Entry::Shown { customer, decision: id, campaign, time_ms, .. } => {
                Some(Self { id, customer, time_ms, campaign: Some(campaign), facts: None, charge: None })
            }
            Entry::ShownInPlan { customer, facts, charge, .. } => {
                let bill = match charge.bill {
                    Bill::Show => "show",
                    Bill::Impression => "impression",
                };
                Some(Self::with(customer, facts, Some((charge.cost, bill)), campaigns))
            }
            _ => None,
        }
    }

    fn with(
        customer: Id,
        facts: Box<Facts<'static>>,
        charge: Option<(i64, &'static str)>,
        campaigns: &Campaigns,
    ) -> Self {
        let campaign = facts.campaign.map(|slot| campaigns.id(slot));
        Self { id: facts.id, customer, time_ms: facts.time_ms, campaign, facts: Some(facts), charge }
    }

    /// Whether an ad was shown.
    pub(super) fn is_shown(&self) -> bool {
        self.facts.as_ref().is_none_or(|facts| facts.reason.shows())
    }

    fn counts(&self) -> Option<&Counts> {
        self.facts.as_ref()?.counts.as_ref()
    }

    /// Plays and the six counts.
    fn count_cells(&self) -> [Cell; 7] {
        let Some(counts) = self.counts() else { return [const { Cell::Empty }; 7] };
        let [a, b, c, d, e, f] = counts.parts;
        [counts.plays, a, b, c, d, e, f].map(|count| Cell::Whole(count.into()))
    }

    fn head(&self) -> [Cell; 4] {
        [
            Cell::Text(self.id.to_string()),
            Cell::Time(self.time_ms),
            Cell::Text(self.customer.to_string()),
            Cell::of(self.campaign.as_ref(), |id| Cell::Text(id.to_string())),
        ]
    }

    fn model_cell(&self) -> Cell {
        Cell::of(self.facts.as_ref().and_then(|facts| facts.model), |model| Cell::Text(model.to_string()))
    }

    fn reason(&self) -> Reason {
        self.facts.as_ref().map_or(Reason::LikelyToClick, |facts| facts.reason)
    }
}

impl Shown {
    /// The row of `export decisions`.
    pub(super) fn decision_row(&self, campaigns: &Campaigns, models: &mut Models) -> Vec<Cell> {
        let of = &self.decision;
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
        let is_shown = of.is_shown();
        let mut row = of.head().to_vec();
        row.extend([
            Cell::Text(action),
            Cell::Text(reason.name().to_owned()),
            Cell::of(facts, |facts| Cell::Flag(facts.eligible)),
            Cell::of(propensities, Cell::Text),
        ]);
        row.extend(of.count_cells());
        row.extend([
            Cell::of(scored, |(score, _)| Cell::Number(score)),
            Cell::of(scored.and_then(|(_, probability)| probability), Cell::Number),
            of.model_cell(),
            Cell::Flag(reason == Reason::HeldOut),
            Cell::of(of.charge, |(cost, _)| Cell::Whole(cost)),
            Cell::of(of.charge, |(_, bill)| Cell::Text(bill.to_owned())),
            Cell::of(is_shown.then_some(self.is_confirmed()), Cell::Flag),
            Cell::of(is_shown.then_some(self.is_voided()), Cell::Flag),
        ]);
        row
    }

    /// The row of `export training`; `None` where the ad was not played, or nothing is known of the plays before it.
    pub(super) fn training_row(&self, campaigns: &Campaigns) -> Option<Vec<Cell>> {
        let of = &self.decision;
        let (facts, campaign) = (of.facts.as_ref()?, of.campaign.as_ref()?);
        of.counts()?;
        if self.is_voided() {
            return None;
        }
        let (_, shows) = facts.propensities();
        let propensity = shows.iter().find(|(slot, _)| campaigns.id(*slot) == *campaign)?.1;
        let mut row = of.head().to_vec();
        row.extend([Cell::Flag(self.is_clicked), Cell::Number(1.0 / propensity)]);
        row.extend(of.count_cells());
        row.extend([of.model_cell(), Cell::Text(of.reason().name().to_owned())]);
        Some(row)
    }

    /// The row of `export impressions`; `None` where the ad was not played, or nothing says which one it was.
    pub(super) fn impression_row(&self, campaigns: &Campaigns) -> Option<Vec<Cell>> {
        let of = &self.decision;
        let ad = campaigns.ad(of.campaign.as_ref()?).filter(|_| !self.is_voided())?;
        Some(vec![
            Cell::Text(of.id.to_string()),
            Cell::Text(of.customer.to_string()),
            Cell::Text(ad.to_string()),
            Cell::Time(of.time_ms),
            Cell::Whole(self.is_clicked.into()),
        ])
    }
}

/// As JSON: `none`, and every campaign that could have been shown.
fn propensities(facts: &Facts<'_>, campaigns: &Campaigns) -> String {
    let (none, shows) = facts.propensities();
    let shows = shows.into_iter().map(|(slot, of)| (campaigns.id(slot).to_string(), json!(of)));
    let all: Map<_, _> = std::iter::once(("none".to_owned(), json!(none))).chain(shows).collect();
    serde_json::Value::Object(all).to_string()
}
