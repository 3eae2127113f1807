//! Rows: decisions with what became of them, the same for exports, training and estimates.

use std::collections::HashMap;

use upbeat_core::campaign::Bill;
use upbeat_core::decision::Reason;
use upbeat_core::event::{DecisionId, EventKind, Id, Membership};
use upbeat_core::feature::Counts;
use upbeat_engine::ledger::Charge;
use upbeat_engine::{Entry, Facts, ModelId};

use super::estimate::Shown;
use super::outcomes::Outcomes;
use super::{Found, Terms};

/// A decision as the log has it, with what became of it.
#[derive(Debug, Clone)]
pub struct Row {
    /// The decision's id.
    pub id: DecisionId,
    /// The customer.
    pub customer: Id,
    /// When, by the engine's clock, in Unix milliseconds.
    pub time_ms: i64,
    /// The campaign that the answer named.
    pub campaign: Option<Id>,
    /// What estimates and models need to learn from it; `None` of an ad that a version showed which kept nothing else.
    pub facts: Option<Box<Facts<'static>>>,
    /// What a shown ad costs.
    pub charge: Option<Charge>,
    /// The customer's membership at the decision, by the events that the log has before it; `None` where it has none, and where
    /// nobody asked for it.
    pub level: Option<Membership>,
    /// Whether the log still has the events of its time: without them nobody knows what became of it.
    pub has_events: bool,
    /// Whether a caller said that the ad was played.
    pub is_confirmed: bool,
    /// Whether a caller said that it was not.
    pub(crate) was_voided: bool,
    /// Whether a click on it came within the time in which one counts.
    pub is_clicked: bool,
    /// Whether no click can come any more that counts.
    pub is_mature: bool,
}

impl Row {
    /// What a record has of a decision; `None` if it is none. What became of it is not known yet.
    #[must_use]
    pub fn of(entry: Entry, campaigns: &super::Campaigns) -> Option<Self> {
        let with = |customer, facts: Box<Facts<'static>>, charge| {
            let campaign = facts.campaign.map(|slot| campaigns.id(slot));
            let (id, time_ms) = (facts.id, facts.time_ms);
            Self { charge, ..Self::bare(id, customer, time_ms, campaign, Some(facts)) }
        };
        match entry {
            Entry::Decided { customer, facts, .. } => Some(with(customer, facts, None)),
            Entry::Shown { customer, decision, campaign, time_ms, .. } => {
                Some(Self::bare(decision, customer, time_ms, Some(campaign), None))
            }
            Entry::ShownInPlan { customer, facts, charge, .. } => Some(with(customer, facts, Some(charge))),
            _ => None,
        }
    }

    fn bare(
        id: DecisionId,
        customer: Id,
        time_ms: i64,
        campaign: Option<Id>,
        facts: Option<Box<Facts<'static>>>,
    ) -> Self {
        Self {
            id,
            customer,
            time_ms,
            campaign,
            facts,
            charge: None,
            level: None,
            has_events: true,
            is_confirmed: false,
            was_voided: false,
            is_clicked: false,
            is_mature: false,
        }
    }

    /// Whether an ad was shown.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        self.facts.as_ref().is_none_or(|facts| facts.reason.shows())
    }

    /// Whether a caller said that the ad was not played, and none that it was.
    #[must_use]
    pub fn is_voided(&self) -> bool {
        self.was_voided && !self.is_confirmed
    }

    /// Why it came out so.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.facts.as_ref().map_or(Reason::LikelyToClick, |facts| facts.reason)
    }

    /// The counts of plays at the decision, of which the features are shares.
    #[must_use]
    pub fn counts(&self) -> Option<&Counts> {
        self.facts.as_ref()?.counts.as_ref()
    }

    /// The model that decided.
    #[must_use]
    pub fn model(&self) -> Option<ModelId> {
        self.facts.as_ref()?.model
    }

    /// How probable it was that this campaign was shown, or would have been but for a holdout, every coin in it, `0.0..=1.0`.
    #[must_use]
    pub fn propensity(&self, slot: u16) -> Option<f64> {
        let (_, shows) = self.facts.as_ref()?.propensities();
        shows.into_iter().find(|(other, _)| *other == slot).map(|(_, propensity)| propensity)
    }

    /// How probable it was that this campaign was shown, or would have been but for a holdout, in a decision of which estimates of it
    /// may be made: one in which no rule refused it. 0 where pacing let nothing pass. `None` of other decisions.
    pub(crate) fn chance(&self, slot: u16) -> Option<f64> {
        let facts = self.facts.as_ref().filter(|facts| facts.eligible && facts.counts.is_some())?;
        // Where pacing's coin could not fall for it, no rule refused it all the same.
        let is_its_own =
            facts.campaign == Some(slot) && (facts.reason.shows() || facts.reason == Reason::Paced);
        self.propensity(slot).or_else(|| is_its_own.then_some(0.0))
    }

    /// What came of the show of this campaign, if it was shown. `terms` are those of the decision's version.
    pub(crate) fn shown(&self, slot: u16, terms: &Terms) -> Option<Shown> {
        let is_shown = self.is_shown() && self.facts.as_ref()?.campaign == Some(slot);
        is_shown.then(|| Shown {
            is_clicked: self.is_clicked && !self.is_voided(),
            cost_micro: self.cost_micro(),
            value_micro: terms.value_micro,
        })
    }

    /// What it cost in the end, in micro-units: of one that was given back, or that is billed when it is confirmed and was not, nothing.
    #[must_use]
    pub fn cost_micro(&self) -> i64 {
        let Some(charge) = &self.charge else { return 0 };
        let is_billed = match charge.bill {
            Bill::Show => !self.is_voided(),
            Bill::Impression => self.is_confirmed,
        };
        if is_billed { charge.cost } else { 0 }
    }

    /// What a row of a shown ad weighs in training: one over the probability that it was shown. `None` where the ad was not
    /// played, or nothing is known of the plays before it.
    #[must_use]
    pub fn training_weight(&self) -> Option<f64> {
        self.counts()?;
        if !self.is_shown() || self.is_voided() {
            return None;
        }
        Some(1.0 / self.propensity(self.facts.as_ref()?.campaign?)?)
    }
}

/// What a record tells of a decision.
pub(crate) fn decided(entry: &Entry) -> Option<&Facts<'static>> {
    match entry {
        Entry::Decided { facts, .. } | Entry::ShownInPlan { facts, .. } => Some(facts),
        _ => None,
    }
}

/// Makes rows of a log's records. Ads that were shown are held back until their confirmation, their void and their click are
/// known or late, at most 1,048,576 of them, some 300 bytes each; other rows are given at once.
pub struct Joiner<'a> {
    found: &'a Found,
    outcomes: Outcomes,
    attribution_ms: i64,
    /// Now, where the log's own newest decision does not say it.
    now_ms: Option<i64>,
    /// The newest level of each customer, where it is asked for.
    levels: Option<HashMap<Id, Membership>>,
}

/// The most customers whose memberships are remembered, some 50 bytes each; those of others are not known.
const MOST_LEVELS: usize = 1 << 20;

impl<'a> Joiner<'a> {
    /// `found` is what a first reading of the same log found. A click counts for `attribution_ms` milliseconds after its ad.
    #[must_use]
    pub fn new(found: &'a Found, attribution_ms: i64) -> Self {
        Self { found, outcomes: Outcomes::new(attribution_ms), attribution_ms, now_ms: None, levels: None }
    }

    /// Rows have the memberships of their customers, too: of at most 1,048,576 customers.
    #[must_use]
    pub fn with_levels(self) -> Self {
        Self { levels: Some(HashMap::new()), ..self }
    }

    /// Rows mature by this instant, in Unix milliseconds, and not by the newest decision: the caller knows that the log has all
    /// events up to it, and gives no later decision.
    #[must_use]
    pub fn at(self, now_ms: i64) -> Self {
        Self { now_ms: Some(now_ms), ..self }
    }

    /// Takes the next record, and gives the rows that are known by it.
    ///
    /// # Errors
    /// Those of `give`.
    pub fn entry<E>(
        &mut self,
        position: u64,
        entry: Entry,
        give: &mut impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        let Found { campaigns, .. } = self.found;
        match entry {
            Entry::Event { event, .. } => {
                if self.found.is_kept(position, &event.customer) {
                    if let (EventKind::Membership(level), Some(levels)) = (&event.kind, &mut self.levels)
                        && (levels.len() < MOST_LEVELS || levels.contains_key(&event.customer))
                    {
                        levels.insert(event.customer.clone(), *level);
                    }
                    self.outcomes.event(&event, |campaign| campaigns.ad(campaign).cloned());
                }
            }
            entry => {
                let row = Row::of(entry, campaigns);
                let Some(mut row) = row.filter(|row| self.found.is_kept(position, &row.customer)) else {
                    return Ok(());
                };
                row.has_events = self.found.has_events_after(position);
                row.level = self.levels.as_ref().and_then(|levels| levels.get(&row.customer).copied());
                self.outcomes.advance(row.time_ms);
                if row.is_shown() {
                    self.outcomes.show(row);
                } else {
                    row.is_mature = self.is_past(row.time_ms);
                    give(row)?;
                }
                while let Some(shown) = self.outcomes.next_known() {
                    give(shown)?;
                }
            }
        }
        Ok(())
    }

    /// Whether no click could count any more on an ad of this time. Where the first reading read decisions, by the newest of them.
    fn is_past(&self, time_ms: i64) -> bool {
        let last_ms = time_ms.saturating_add(self.attribution_ms);
        self.now_ms.or(self.found.newest_ms).is_some_and(|newest_ms| newest_ms > last_ms)
    }

    /// Gives the rows that are held back.
    ///
    /// # Errors
    /// Those of `give`.
    pub fn finish<E>(mut self, give: &mut impl FnMut(Row) -> Result<(), E>) -> Result<(), E> {
        self.now_ms.into_iter().for_each(|now_ms| self.outcomes.advance(now_ms));
        self.outcomes.rest().into_iter().try_for_each(give)
    }
}
