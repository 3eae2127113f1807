//! A document compiled for the policy: immutable, shared by all threads, its campaigns in the order of the contest.

use std::sync::Arc;

use upbeat_svm::{Model, Scorer};

use super::schedule::Schedule;
use super::{
    Bill, Campaign, CapRule, Creative, Document, Invalid, Mode, Money, Pacing, Share, SignedUp, Threshold,
};
use crate::event::{Id, Membership, Zone};
use crate::profile::Mark;

/// A campaign id's number for ever, by which records, accounts and coins name it: ids are numbered in the order in which
/// they first appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

/// What the probability of a model is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// That a customer clicks at some time: the seed's label.
    #[default]
    Customer,
    /// That this show is clicked.
    Impression,
}

impl Label {
    /// The label in model files and messages: `customer` or `impression`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Impression => "impression",
        }
    }
}

/// A model that is being served.
#[derive(Debug, Clone)]
pub struct Served {
    /// The name that campaigns give.
    pub name: String,
    /// The one campaign for which it stands in place of what else has this name: a model that was promoted there. `None` for
    /// what all campaigns mean that give the name.
    pub only: Option<Id>,
    /// The model's id, as in answers.
    pub id: String,
    /// What its probability is of.
    pub label: Label,
    /// The model as read from its file.
    pub model: Arc<Model>,
    /// Its compiled form, which scores.
    pub scorer: Arc<Scorer>,
}

impl Served {
    /// Compiles a model.
    #[must_use]
    pub fn new(name: impl Into<String>, id: impl Into<String>, label: Label, model: Arc<Model>) -> Self {
        let scorer = Arc::new(model.scorer());
        Self { name: name.into(), only: None, id: id.into(), label, model, scorer }
    }

    /// The same, promoted for one campaign in place of what else has the name.
    #[must_use]
    pub fn only_for(self, campaign: Id) -> Self {
        Self { only: Some(campaign), ..self }
    }

    /// Whether both stand for the same name in the same campaigns.
    #[must_use]
    pub fn replaces(&self, other: &Self) -> bool {
        self.name == other.name && self.only == other.only
    }

    /// Whether the campaign gives its name, and it is no other campaign's.
    fn is_for(&self, campaign: &Campaign) -> bool {
        self.name == campaign.model && self.only.as_ref().is_none_or(|only| *only == campaign.id)
    }

    /// Whether its scores have probabilities.
    #[must_use]
    pub fn is_calibrated(&self) -> bool {
        self.scorer.probability(0.0).is_some()
    }
}

/// At most `impressions` in the last `period_ms` milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeriodCap {
    /// Impressions allowed, `1..=64`.
    pub impressions: u32,
    /// Length of the rolling period in milliseconds.
    pub period_ms: i64,
}

impl From<&CapRule> for PeriodCap {
    fn from(rule: &CapRule) -> Self {
        Self { impressions: rule.impressions, period_ms: rule.period_ms() }
    }
}

/// One campaign of a [`Plan`].
#[derive(Debug, Clone)]
pub struct Planned {
    /// Its id, which answers and impression events name.
    pub id: Id,
    /// The label that click events carry.
    pub ad: Id,
    /// The mark of its id.
    pub mark: Mark,
    /// The mark of the label of its clicks.
    pub ad_mark: Mark,
    /// Its number.
    pub slot: Slot,
    /// Its place in the document, from 0.
    pub place: usize,
    /// Whether it rests.
    pub paused: bool,
    /// Its priority; higher ones come first.
    pub priority: i32,
    /// A bit for each membership, by [`Planned::admits`].
    audience: u8,
    /// How long ago the customer must have signed up.
    pub signed_up: Option<SignedUp>,
    /// When it runs.
    pub schedule: Schedule,
    /// The zone of its schedule and of the days of its budget.
    pub zone: Zone,
    /// Fewest plays in the window.
    pub min_plays: u32,
    /// How often one customer may hear the ad.
    pub caps: Box<[PeriodCap]>,
    /// Milliseconds after its last impression; 0 for none.
    pub cooldown_after_impression_ms: i64,
    /// Milliseconds after the last click on its ad; 0 for none.
    pub cooldown_after_click_ms: i64,
    /// Milliseconds after the customer's level last rose; 0 for none.
    pub cooldown_after_upgrade_ms: i64,
    /// What an impression costs, in micro-units.
    pub cost_micro: i64,
    /// What a click is worth, in micro-units.
    pub value_micro: i64,
    /// The most that a local day may cost.
    pub daily_budget: Option<Money>,
    /// The most that the campaign may cost.
    pub total_budget: Option<Money>,
    /// How the budget is spread over time.
    pub pacing: Pacing,
    /// What costs.
    pub bill: Bill,
    /// How long a show that is not confirmed holds its cost, in milliseconds.
    pub reserve_ms: i64,
    /// From which score on it is shown.
    pub threshold: Threshold,
    /// Its model, by its place in [`Plan::models`]; `None` while none is loaded.
    pub model: Option<usize>,
    /// Who changes the model.
    pub mode: Mode,
    /// The share of customers who do not see it.
    pub holdout: Share,
    /// The share of tosses that show it to an unlikely customer.
    pub exploration: Share,
    /// What the player shows and plays.
    pub creative: Arc<Creative>,
}

impl Planned {
    /// Whether members of this level may hear the ad.
    #[inline]
    #[must_use]
    pub fn admits(&self, level: Membership) -> bool {
        self.audience & 1 << level as u8 != 0
    }

    /// How far its caps and cooldowns look back, in milliseconds.
    fn periods_ms(&self) -> impl Iterator<Item = i64> {
        let cooldowns =
            [self.cooldown_after_impression_ms, self.cooldown_after_click_ms, self.cooldown_after_upgrade_ms];
        self.caps.iter().map(|cap| cap.period_ms).chain(cooldowns)
    }
}

/// All campaigns of a document, compiled.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// By descending priority, then ascending id.
    pub campaigns: Box<[Planned]>,
    /// The models that they name, each once.
    pub models: Box<[Served]>,
    /// Caps over all campaigns together.
    pub caps: Box<[PeriodCap]>,
    /// The share of customers who see no campaign.
    pub holdout_all: Share,
    /// The first campaign of the document that explores, by its place in [`Plan::campaigns`]: its local days are those of
    /// tosses.
    pub first_explorer: Option<usize>,
    /// The longest period of a cap and the longest cooldown of all, in milliseconds: no rule asks for what is older.
    pub longest_ms: i64,
    /// The currency of all money.
    pub currency: Option<String>,
}

impl Plan {
    /// Compiles a document that [`Document::check`] has accepted. `slots` has the number of each campaign's id, and
    /// `models` every model that may be named. A campaign of the model `default` gets none while `models` has none of this
    /// name.
    ///
    /// # Errors
    /// A model is not there, or cannot judge what its campaign asks of it; a campaign has no number.
    pub fn new(document: &Document, slots: &[(Id, Slot)], models: &[Served]) -> Result<Self, Invalid> {
        Self::compiled(document, slots, models, true)
    }

    /// Compiles a document that was accepted earlier. A campaign whose model is not among `models`, or cannot judge what it asks,
    /// gets none, and so shows nothing until there is one.
    ///
    /// # Errors
    /// A campaign has no number, or a zone that this system does not know.
    pub fn recovered(document: &Document, slots: &[(Id, Slot)], models: &[Served]) -> Result<Self, Invalid> {
        Self::compiled(document, slots, models, false)
    }

    fn compiled(
        document: &Document,
        slots: &[(Id, Slot)],
        models: &[Served],
        needs_models: bool,
    ) -> Result<Self, Invalid> {
        let mut used: Vec<Served> = Vec::new();
        let mut campaigns = Vec::with_capacity(document.campaign.len());
        let is_contest = document.campaign.len() > 1;
        for (place, campaign) in document.campaign.iter().enumerate() {
            let at = |key: &str| format!("campaign[{place}].{key}");
            let slot = slots.iter().find(|(id, _)| *id == campaign.id).map(|(_, slot)| *slot);
            let slot =
                slot.ok_or_else(|| Invalid::new(at("id"), format!("{} has no number", campaign.id)))?;
            let mut named = models.iter().filter(|served| served.is_for(campaign));
            // One that was promoted for the campaign comes before what all mean by the name.
            let served = named.clone().find(|served| served.only.is_some()).or_else(|| named.next());
            let served = served.filter(|served| needs_models || judges(served, campaign, is_contest).is_ok());
            if needs_models && served.is_none() && campaign.model != DEFAULT_MODEL {
                let reason = format!(
                    "no model {} is here; put it as {}.json into models/ beside campaigns.toml, or name one that is \
                     shipped",
                    campaign.model, campaign.model
                );
                return Err(Invalid::new(at("model"), reason));
            }
            if let Some(served) = served {
                judges(served, campaign, is_contest)
                    .map_err(|(key, reason)| Invalid::new(at(key), reason))?;
            }
            let model = served.map(|served| {
                used.iter().position(|used| used.replaces(served)).unwrap_or_else(|| {
                    used.push(served.clone());
                    used.len() - 1
                })
            });
            campaigns.push(planned(campaign, place, slot, model)?);
        }
        campaigns.sort_by(|one, other| other.priority.cmp(&one.priority).then_with(|| one.id.cmp(&other.id)));
        let explorers =
            campaigns.iter().enumerate().filter(|(_, campaign)| campaign.exploration > Share::NONE);
        let first_explorer = explorers.min_by_key(|(_, campaign)| campaign.place).map(|(index, _)| index);
        let caps: Box<[PeriodCap]> = document.cap.iter().map(PeriodCap::from).collect();
        let periods = campaigns.iter().flat_map(Planned::periods_ms);
        let longest_ms = periods.chain(caps.iter().map(|cap| cap.period_ms)).max().unwrap_or(0);
        Ok(Self {
            campaigns: campaigns.into(),
            models: used.into(),
            caps,
            longest_ms,
            holdout_all: Share::of(document.holdout_all),
            first_explorer,
            currency: document.currency.clone(),
        })
    }

    /// The campaign of this id, by its place in [`Plan::campaigns`].
    #[must_use]
    pub fn find(&self, id: &Id) -> Option<usize> {
        self.campaigns.iter().position(|campaign| campaign.id == *id)
    }

    /// The plan in which one campaign runs alone, without the caps and the holdout over all campaigns: what a preview
    /// decides by. `campaign` is its place in [`Plan::campaigns`].
    ///
    /// # Panics
    /// There is no such campaign.
    #[must_use]
    pub fn alone(&self, campaign: usize) -> Self {
        let mut only = self.campaigns[campaign].clone();
        let models: Box<[Served]> = only.model.map(|model| self.models[model].clone()).into_iter().collect();
        only.model = only.model.map(|_| 0);
        let first_explorer = (only.exploration > Share::NONE).then_some(0);
        Self {
            longest_ms: only.periods_ms().max().unwrap_or(0),
            campaigns: [only].into(),
            models,
            caps: Box::default(),
            holdout_all: Share::NONE,
            first_explorer,
            currency: self.currency.clone(),
        }
    }
}

/// The name of the model that `serve` was started with.
const DEFAULT_MODEL: &str = "default";

/// Whether a model can judge what its campaign asks of it; otherwise the key that asks too much, and what to do.
fn judges(served: &Served, campaign: &Campaign, is_contest: bool) -> Result<(), (&'static str, String)> {
    let Served { name, id, label, .. } = served;
    let asks = match campaign.threshold {
        Threshold::Profit => "the profit of a show",
        _ if is_contest => "which of several campaigns earns most",
        _ => "",
    };
    if !asks.is_empty() && *label != Label::Impression {
        let key = if campaign.threshold == Threshold::Profit { "threshold" } else { "model" };
        let reason = format!(
            "{} asks for {asks}, and its model {name} ({id}) is of the label customer: it knows who clicks at some \
             time, not whether this show is clicked. Name a model of the label impression (upbeat features --label \
             impression, upbeat train), or leave one campaign with a score as its threshold",
            campaign.id
        );
        return Err((key, reason));
    }
    let needs_probability = !asks.is_empty() || matches!(campaign.threshold, Threshold::Probability(_));
    if needs_probability && !served.is_calibrated() {
        let reason = format!(
            "{} needs a probability, and its model {name} ({id}) has no calibration; train one with it",
            campaign.id
        );
        return Err(("model", reason));
    }
    Ok(())
}

fn planned(campaign: &Campaign, place: usize, slot: Slot, model: Option<usize>) -> Result<Planned, Invalid> {
    let zone = Zone::named(&campaign.time_zone)
        .map_err(|reason| Invalid::new(format!("campaign[{place}].time_zone"), reason))?;
    let cooldown_ms = |cooldown: Option<super::Span>| cooldown.map_or(0, super::Span::ms);
    Ok(Planned {
        id: campaign.id.clone(),
        ad: campaign.ad.clone(),
        mark: Mark::of(&campaign.id),
        ad_mark: Mark::of(&campaign.ad),
        slot,
        place,
        paused: campaign.paused,
        priority: campaign.priority,
        audience: campaign.audience.iter().fold(0, |bits, level| bits | 1 << *level as u8),
        signed_up: campaign.signed_up_days,
        schedule: Schedule::new(campaign, &zone),
        zone,
        min_plays: campaign.min_plays,
        caps: campaign.caps.iter().map(PeriodCap::from).collect(),
        cooldown_after_impression_ms: cooldown_ms(campaign.cooldown_after_impression),
        cooldown_after_click_ms: cooldown_ms(campaign.cooldown_after_click),
        cooldown_after_upgrade_ms: cooldown_ms(campaign.cooldown_after_upgrade),
        cost_micro: campaign.impression_cost.micro(),
        value_micro: campaign.click_value.micro(),
        daily_budget: campaign.daily_budget,
        total_budget: campaign.total_budget,
        pacing: campaign.pacing,
        bill: campaign.bill,
        reserve_ms: campaign.reserve.ms(),
        threshold: campaign.threshold,
        model,
        mode: campaign.mode,
        holdout: Share::of(campaign.holdout),
        exploration: Share::of(campaign.exploration),
        creative: Arc::new(campaign.creative.clone()),
    })
}
