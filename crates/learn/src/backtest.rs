//! What policies would have earned with a campaign, over the rows of a log.

use upbeat_core::campaign::Label;
use upbeat_core::event::{DecisionId, Id, Membership, StableHash};
use upbeat_core::feature::{Counts, FeatureVector};
use upbeat_engine::Entry;
use upbeat_svm::{Model, Scorer};

mod heard;

pub use heard::Heard;

use super::detail::Detail;
use super::estimate::{Chance, Estimate, Estimator, Tally};
use super::lift::Lift;
use super::{Found, Joiner, Row, Terms};

/// A model that judges rows.
#[derive(Debug, Clone)]
pub struct Judge {
    /// Its id.
    pub id: String,
    /// What its probability is of.
    pub label: Label,
    scorer: Scorer,
}

impl Judge {
    /// Compiles a model.
    #[must_use]
    pub fn new(model: &Model) -> Self {
        Self {
            id: model.id().to_owned(),
            label: upbeat_core::model::label(model),
            scorer: Scorer::new(model),
        }
    }

    /// Whether its probability is that of a click on this show.
    #[must_use]
    pub fn knows_clicks(&self) -> bool {
        self.label == Label::Impression && self.scorer.probability(0.0).is_some()
    }

    /// Score and probability; `None` without plays.
    pub(crate) fn judge(&self, counts: &Counts) -> Option<(f64, Option<f64>)> {
        counts.vector().map(|vector| self.of_vector(&vector))
    }

    /// Score and probability.
    fn of_vector(&self, vector: &FeatureVector) -> (f64, Option<f64>) {
        let score = self.scorer.score(vector);
        (score, self.scorer.probability(score))
    }

    /// Whether it shows, by the campaign's rule.
    pub(crate) fn shows(&self, counts: &Counts, terms: &Terms) -> bool {
        counts.vector().is_some_and(|vector| self.shows_vector(&vector, terms))
    }

    fn shows_vector(&self, vector: &FeatureVector, terms: &Terms) -> bool {
        let (score, probability) = self.of_vector(vector);
        terms.threshold.is_passed(terms.cost_micro, terms.value_micro, score, || probability)
    }
}

/// A policy of which is estimated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Policy {
    /// The one that was logged, its coins and holdouts included.
    Logging,
    /// Every eligible row is shown.
    ShowAll,
    /// None is.
    ShowNone,
    /// As many as were logged, whoever the customer is.
    Random,
    /// Those that the campaign's model and rule show, without coins.
    Champion,
    /// The same with another model.
    Challenger,
    /// Those whose probability of a click is above this, by the champion.
    Threshold(f64),
}

impl Policy {
    /// The name in output, as in `show-all` and `threshold 0.05`.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Logging => "logging".to_owned(),
            Self::ShowAll => "show-all".to_owned(),
            Self::ShowNone => "show-none".to_owned(),
            Self::Random => "random".to_owned(),
            Self::Champion => "champion".to_owned(),
            Self::Challenger => "challenger".to_owned(),
            Self::Threshold(limit) => format!("threshold {limit}"),
        }
    }
}

/// What a policy would have earned.
#[derive(Debug, Clone, Copy)]
pub struct Estimated {
    /// The policy.
    pub policy: Policy,
    /// How it was estimated.
    pub estimator: Estimator,
    /// What it would have earned.
    pub estimate: Estimate,
}

/// A decision that was shown with a logged probability of 0: what it was logged with is wrong, and nothing can be estimated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "decision {decision} showed campaign {campaign} at a time when its logged probability of that was 0: the log contradicts itself, \
     and nothing is estimated from it"
)]
pub struct ImpossibleShow {
    decision: DecisionId,
    campaign: Id,
}

/// The rows of one campaign.
#[derive(Debug)]
pub struct OfCampaign {
    /// The campaign.
    pub id: Id,
    /// Its number.
    pub slot: u16,
    /// What the newest version says of it.
    pub terms: Terms,
    /// The model that decided last.
    pub champion: Option<Judge>,
    /// Decisions that name it, or in which it had its chance.
    pub decisions: u64,
    /// Those of which estimates may be made, the young ones among them.
    pub eligible: u64,
    /// Eligible ones on whose ads a click may come yet, and that are left out.
    pub young: u64,
    /// Eligible ones that are older than the events that the log still has, and that are left out.
    pub forgotten: u64,
    /// Ads that were shown, of those that are left.
    pub shown: u64,
    /// Ads that were clicked in time.
    pub clicked: u64,
    tallies: Vec<(Policy, Tally)>,
    detail: Option<Detail>,
}

/// What is asked of a log.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// Another model than the campaigns'.
    pub challenger: Option<Judge>,
    /// Thresholds of the probability of a click, each `0.0..=1.0`; none for those round each campaign's break-even probability.
    pub thresholds: Vec<f64>,
    /// Whether there is to be a curve over all thresholds, and what was observed by hour, membership and probability.
    pub in_detail: bool,
}

/// Takes the records of a log, in their order.
pub struct Backtest<'a> {
    found: &'a Found,
    joiner: Joiner<'a>,
    rows: Rows,
    lift: Lift,
}

struct Rows {
    challenger: Option<Judge>,
    campaigns: Vec<OfCampaign>,
}

impl<'a> Backtest<'a> {
    /// `campaigns` are those of which is asked, by their slots, each with the model that decided last. A click counts for
    /// `attribution_ms` milliseconds. `found` has read decisions.
    #[must_use]
    pub fn new(
        found: &'a Found,
        attribution_ms: i64,
        campaigns: Vec<(u16, Option<Judge>)>,
        question: Question,
    ) -> Self {
        let slots: Vec<u16> = campaigns.iter().map(|(slot, _)| *slot).collect();
        let with_terms = campaigns.into_iter().filter_map(|(slot, champion)| {
            let id = found.campaigns.id(slot);
            let terms = found.campaigns.newest_terms(&id)?.clone();
            Some(OfCampaign::new(id, slot, terms, champion, &question))
        });
        let joiner = Joiner::new(found, attribution_ms);
        Self {
            found,
            joiner: if question.in_detail { joiner.with_levels() } else { joiner },
            rows: Rows { campaigns: with_terms.collect(), challenger: question.challenger },
            lift: Lift::new(&slots),
        }
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// The log contradicts itself.
    pub fn entry(&mut self, position: u64, entry: Entry) -> Result<(), ImpossibleShow> {
        let Self { found, joiner, rows, lift } = self;
        lift.entry(position, &entry, found);
        joiner.entry(position, entry, &mut |row| rows.row(&row, found))
    }

    /// The campaigns, and the lift of each against its holdout.
    ///
    /// # Errors
    /// The log contradicts itself.
    pub fn finish(self) -> Result<(Vec<OfCampaign>, Lift), ImpossibleShow> {
        let Self { found, joiner, mut rows, lift } = self;
        joiner.finish(&mut |row| rows.row(&row, found))?;
        Ok((rows.campaigns, lift))
    }
}

impl Rows {
    fn row(&mut self, row: &Row, found: &Found) -> Result<(), ImpossibleShow> {
        let Some(facts) = &row.facts else { return Ok(()) };
        for of in &mut self.campaigns {
            let propensity = row.propensity(of.slot);
            let named = facts.campaign == Some(of.slot);
            of.decisions += u64::from(named || propensity.is_some());
            let (Some(propensity), Some(counts)) = (row.chance(of.slot), row.counts()) else { continue };
            of.eligible += 1;
            if !row.has_events {
                of.forgotten += 1;
                continue;
            }
            if !row.is_mature {
                of.young += 1;
                continue;
            }
            let then = found.campaigns.terms(&of.id, facts.version).unwrap_or(&of.terms);
            let chance = chance(row, of.slot, propensity, then);
            if chance.shown.is_some() && chance.propensity <= 0.0 {
                return Err(ImpossibleShow { decision: row.id, campaign: of.id.clone() });
            }
            of.take(&chance, counts.vector().as_ref(), self.challenger.as_ref(), (row.time_ms, row.level));
        }
        Ok(())
    }
}

/// What a row tells of a campaign that may be shown with this probability, but for holdouts.
fn chance(row: &Row, slot: u16, propensity: f64, terms: &Terms) -> Chance {
    let customer = StableHash::with_key(GROUP_KEY).id(row.customer.as_ref()).finish();
    // A holdout is a coin, too: one that falls once a customer.
    Chance { propensity: propensity * (1.0 - terms.held_out), shown: row.shown(slot, terms), customer }
}

/// Makes the hash of a customer another than those that shards, coins and holdouts go by.
const GROUP_KEY: u64 = 0x6573_7469_6d61_7465;

impl OfCampaign {
    fn new(id: Id, slot: u16, terms: Terms, champion: Option<Judge>, question: &Question) -> Self {
        let mut policies = vec![Policy::Logging, Policy::ShowAll, Policy::ShowNone];
        if champion.is_some() {
            policies.push(Policy::Champion);
        }
        if question.challenger.is_some() {
            policies.push(Policy::Challenger);
        }
        if champion.as_ref().is_some_and(Judge::knows_clicks) {
            let own = question.thresholds.is_empty().then(|| terms.thresholds());
            let thresholds = own.as_ref().unwrap_or(&question.thresholds);
            policies.extend(thresholds.iter().map(|limit| Policy::Threshold(*limit)));
        }
        let (judge, challenger) = (champion.as_ref(), question.challenger.as_ref());
        let detail = question.in_detail.then(|| Detail::new(&terms, judge, challenger));
        let tallies = policies.into_iter().map(|policy| (policy, Tally::default())).collect();
        let (decisions, eligible, young, forgotten, shown, clicked) = (0, 0, 0, 0, 0, 0);
        Self {
            id,
            slot,
            terms,
            champion,
            decisions,
            eligible,
            young,
            forgotten,
            shown,
            clicked,
            tallies,
            detail,
        }
    }

    /// Takes a chance with the features before it, and when it was to whom.
    fn take(
        &mut self,
        chance: &Chance,
        vector: Option<&FeatureVector>,
        challenger: Option<&Judge>,
        (time_ms, level): (i64, Option<Membership>),
    ) {
        self.shown += u64::from(chance.shown.is_some());
        self.clicked += u64::from(chance.shown.is_some_and(|shown| shown.is_clicked));
        let certain = |shows: bool| f64::from(u8::from(shows));
        let by = |judge: Option<&Judge>| {
            certain(judge.zip(vector).is_some_and(|(judge, of)| judge.shows_vector(of, &self.terms)))
        };
        let told = |judge: Option<&Judge>| judge.zip(vector).and_then(|(judge, of)| judge.of_vector(of).1);
        let probability = told(self.champion.as_ref());
        for (policy, tally) in &mut self.tallies {
            let show = match policy {
                Policy::Logging => chance.propensity,
                Policy::ShowAll => 1.0,
                Policy::ShowNone | Policy::Random => 0.0,
                Policy::Champion => by(self.champion.as_ref()),
                Policy::Challenger => by(challenger),
                Policy::Threshold(limit) => certain(probability.is_some_and(|of| of > *limit)),
            };
            tally.add(chance, show);
        }
        if let Some(detail) = &mut self.detail {
            let of_clicks = probability.filter(|_| detail.champion.is_some());
            detail.slices.add(chance, time_ms, level, of_clicks);
            detail.champion.iter_mut().for_each(|curve| curve.add(chance, probability));
            detail.challenger.iter_mut().for_each(|curve| curve.add(chance, told(challenger)));
        }
    }

    /// What a page shows beyond the estimates, where it was asked for.
    #[must_use]
    pub fn detail(&self) -> Option<&Detail> {
        self.detail.as_ref()
    }

    /// Eligible decisions of which is estimated: no click can come for them any more, and those that came are in the log.
    #[must_use]
    pub fn mature(&self) -> u64 {
        self.eligible - self.young - self.forgotten
    }

    /// How often ads were shown by how often their probabilities say: near 1 unless these are wrong. `None` where nothing could be
    /// shown.
    #[must_use]
    pub fn support(&self) -> Option<f64> {
        self.tally(Policy::ShowAll)?.support()
    }

    fn tally(&self, policy: Policy) -> Option<&Tally> {
        self.tallies.iter().find(|(of, _)| *of == policy).map(|(_, tally)| tally)
    }

    /// What each policy would have earned, by each estimator.
    #[must_use]
    pub fn estimates(&self) -> Vec<Estimated> {
        let rate = self.tally(Policy::Logging).map_or(0.0, Tally::show_rate);
        let mut all = Vec::new();
        for (policy, tally) in &self.tallies {
            let estimates = Estimator::ALL.map(|estimator| (estimator, tally.estimate(estimator)));
            let each = |policy, rate: Option<f64>| {
                estimates.map(|(estimator, estimate)| {
                    let estimate = rate.map_or(estimate, |rate| estimate.scaled(rate));
                    Estimated { policy, estimator, estimate }
                })
            };
            all.extend(each(*policy, None));
            if *policy == Policy::ShowAll {
                all.extend(each(Policy::Random, Some(rate)));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests;
