//! The whole story of a decision: every campaign, every rule with what it compared, and every coin.

use upbeat_svm::Machine;

use crate::campaign::schedule::local_day;
use crate::campaign::{PeriodCap, Planned, Served, Share, Slot, Threshold};
use crate::decision::{Reason, Score};
use crate::event::{DAY_MS, Id, Membership};
use crate::feature::{Counts, FEATURE_COUNT, FEATURE_NAMES};
use crate::profile::Profile;

use super::contest::{self, Contest};
use super::eligible::{self, Scores};
use super::{Coins, Inputs, Live, Rule, Salt};

/// What a rule compared.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Finding {
    /// Yes or no.
    Flag(bool),
    /// A count of plays, impressions or days.
    Count(i64),
    /// A score, a probability, or an expected value in micro-units.
    Number(f64),
    /// Money in micro-units.
    MoneyMicro(i64),
    /// An instant, in Unix milliseconds.
    TimeMs(i64),
    /// A length of time, in milliseconds.
    LengthMs(i64),
    /// Words.
    Text(String),
}

/// One rule of one campaign.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleTrace {
    /// Which rule; [`Rule::Cap`] and [`Rule::CapOverAll`] are there once for each cap.
    pub rule: Rule,
    /// Whether it passed.
    pub passed: bool,
    /// The reason that it gives, if it did not.
    pub reason: Option<Reason>,
    /// What was found; `None` where there is nothing, as before the first impression.
    pub input: Option<Finding>,
    /// What it is compared with.
    pub limit: Option<Finding>,
    /// The length of a cap's period, in milliseconds.
    pub period_ms: Option<i64>,
    /// Until when it refuses if nothing else happens, in Unix milliseconds, where that is known.
    pub until_ms: Option<i64>,
}

/// Which coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coin {
    /// Pacing lets this show pass.
    Pacing,
    /// The customer's toss of the day chose the campaign.
    Exploration,
    /// The customer belongs to the campaign's holdout.
    Holdout,
    /// The customer belongs to the holdout over all campaigns.
    HoldoutOverAll,
}

impl Coin {
    /// The coin in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pacing => "pacing",
            Self::Exploration => "exploration",
            Self::Holdout => "holdout",
            Self::HoldoutOverAll => "holdout_all",
        }
    }
}

/// One coin of one campaign.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CoinTrace {
    /// Which coin.
    pub coin: Coin,
    /// How probable it was.
    pub probability: f64,
    /// Whether it fell.
    pub fell: bool,
}

/// One feature of the plays in the window, and its part of the score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FeaturePart {
    /// The feature's name.
    pub name: &'static str,
    /// How many plays count for it.
    pub count: u16,
    /// The share of plays, `0.0..=1.0`.
    pub value: f64,
    /// Weight times scaled value; `None` of a model whose score is no sum of parts.
    pub part: Option<f64>,
}

/// What one campaign made of a customer.
#[derive(Debug, Clone, PartialEq)]
pub struct CampaignTrace {
    /// The campaign.
    pub campaign: Id,
    /// Its number.
    pub slot: Slot,
    /// Every rule that it has, in the order in which they are asked; the first that did not pass gives its reason.
    pub rules: Vec<RuleTrace>,
    /// The reason of the first rule that refuses; `None` if it passed all.
    pub refused: Option<Reason>,
    /// The id of its model; `None` while none is loaded.
    pub model: Option<String>,
    /// Its score; `None` without a model, and when the window is empty.
    pub score: Option<Score>,
    /// What the score is without any feature, of a linear model.
    pub constant: Option<f64>,
    /// The features; with the constant, their parts add up to the score. Empty when the window is.
    pub features: Vec<FeaturePart>,
    /// The expected profit of a show in micro-units; `None` where no probability is known.
    pub profit_micro: Option<f64>,
    /// Its place in the contest, from 1 on; `None` if a rule refused it.
    pub place: Option<usize>,
    /// The coins that it has.
    pub coins: Vec<CoinTrace>,
    /// How probable it was that it is shown, every coin in it, but for holdouts.
    pub propensity: f64,
}

/// The trace of every campaign in the order of [`Plan::campaigns`](crate::campaign::Plan::campaigns), for the decision that [`decide`](super::decide) makes of the
/// same inputs. Empty for a customer of whom nothing is known.
#[must_use]
pub fn explain<C: Coins>(inputs: &Inputs<'_, C>) -> Vec<CampaignTrace> {
    let Some(profile) = inputs.profile else { return Vec::new() };
    let plan = inputs.plan;
    let mut scores = Scores::<64>::new(plan, &inputs.counts);
    let verdict = super::decide(inputs);
    let order: Vec<usize> = match verdict.passed {
        0 => Vec::new(),
        passed => Contest::<64>::new(plan, passed, &mut scores).order().collect(),
    };
    let propensities = super::propensities(plan, &inputs.counts, |index| inputs.live[index].pass, &verdict);
    let tossed =
        verdict.tossed().then(|| contest::toss(plan, verdict.explored, inputs.coins.toss())).flatten();
    let campaign_trace = |(index, campaign): (usize, &Planned)| {
        let asked = Asked { inputs, profile, campaign, live: &inputs.live[index] };
        let rules = asked.rules(&mut scores);
        let served = campaign.model.map(|model| &plan.models[model]);
        let profit_micro = Some(scores.profit_micro(index)).filter(|profit| profit.is_finite());
        let place = order.iter().position(|passed| *passed == index).map(|place| place + 1);
        let mut coins = Vec::new();
        if place.is_some() {
            let pass = asked.live.pass;
            let fell = pass.falls(|| inputs.coins.pass(campaign.slot));
            coins.push(CoinTrace { coin: Coin::Pacing, probability: pass.value(), fell });
        }
        if verdict.explored & 1 << index != 0 {
            let (coin, probability) = (Coin::Exploration, campaign.exploration.value());
            coins.push(CoinTrace { coin, probability, fell: tossed == Some(index) });
        }
        let holdouts = [
            (Coin::Holdout, campaign.holdout, Salt::Campaign(&campaign.id)),
            (Coin::HoldoutOverAll, plan.holdout_all, Salt::All),
        ];
        for (coin, share, salt) in holdouts {
            if share > Share::NONE {
                let fell = share.takes(inputs.coins.holdout(salt));
                coins.push(CoinTrace { coin, probability: share.value(), fell });
            }
        }
        CampaignTrace {
            campaign: campaign.id.clone(),
            slot: campaign.slot,
            refused: rules.iter().find_map(|rule| rule.reason),
            rules,
            model: served.map(|served| served.id.clone()),
            score: scores.of(index),
            constant: served.and_then(constant),
            features: served.map_or_else(Vec::new, |served| features(served, &inputs.counts)),
            profit_micro,
            place,
            coins,
            propensity: propensities.shows[index],
        }
    };
    plan.campaigns.iter().enumerate().map(campaign_trace).collect()
}

/// What the score of a linear model is without any feature.
fn constant(served: &Served) -> Option<f64> {
    match &served.model.parts().machine {
        Machine::Linear { bias, .. } => Some(*bias),
        Machine::Kernel { .. } => None,
    }
}

fn features(served: &Served, counts: &Counts) -> Vec<FeaturePart> {
    let Some(vector) = counts.vector() else { return Vec::new() };
    let parts = served.model.parts();
    let mut scaled = vector;
    if let Some(scaling) = &parts.scaling {
        scaling.apply(&mut scaled);
    }
    let weight = |at: usize| match &parts.machine {
        Machine::Linear { weights, .. } => weights.get(at).copied(),
        Machine::Kernel { .. } => None,
    };
    let feature = |at: usize| FeaturePart {
        name: FEATURE_NAMES[at],
        count: counts.parts[at],
        value: vector[at],
        part: weight(at).map(|weight| weight * scaled[at]),
    };
    (0..FEATURE_COUNT).map(feature).collect()
}

/// One campaign's rules, asked of one customer.
struct Asked<'a, C> {
    inputs: &'a Inputs<'a, C>,
    profile: &'a Profile,
    campaign: &'a Planned,
    live: &'a Live,
}

/// A rule without a period and an end.
fn rule(rule: Rule, refused: Option<Reason>, input: Option<Finding>, limit: Option<Finding>) -> RuleTrace {
    RuleTrace {
        rule,
        passed: refused.is_none(),
        reason: refused,
        input,
        limit,
        period_ms: None,
        until_ms: None,
    }
}

impl<C> Asked<'_, C> {
    /// Every rule that the campaign has, asked whatever the others said.
    fn rules(&self, scores: &mut Scores<'_, 64>) -> Vec<RuleTrace> {
        let Self { inputs, campaign, live, .. } = self;
        let mut rules = vec![
            rule(
                Rule::Paused,
                campaign.paused.then_some(Reason::Paused),
                Some(Finding::Flag(campaign.paused)),
                None,
            ),
            self.schedule(),
            self.audience(),
        ];
        rules.extend(self.signed_up());
        let model = campaign.model.map(|model| Finding::Text(inputs.plan.models[model].id.clone()));
        rules.push(rule(Rule::Model, model.is_none().then_some(Reason::NoModel), model, None));
        let plays = u32::from(inputs.counts.plays);
        let too_few = plays == 0 || plays < campaign.min_plays;
        let [found, asked] = [plays, campaign.min_plays].map(|count| Some(Finding::Count(count.into())));
        rules.push(rule(Rule::History, too_few.then_some(Reason::TooLittleHistory), found, asked));
        rules.extend(campaign.caps.iter().map(|cap| self.cap(Rule::Cap, cap)));
        rules.extend(inputs.plan.caps.iter().map(|cap| self.cap(Rule::CapOverAll, cap)));
        rules.extend(self.cooldowns());
        if live.available_micro < i64::MAX {
            let over = live.available_micro < campaign.cost_micro;
            let [left, cost] =
                [live.available_micro, campaign.cost_micro].map(|micro| Some(Finding::MoneyMicro(micro)));
            // The next local day has a budget of its own; one for the whole flight has no end.
            let is_of_day = campaign.daily_budget.is_some() && campaign.total_budget.is_none();
            let until_ms = (over && is_of_day).then(|| local_day(&campaign.zone, inputs.now_ms).end_ms);
            let refused = over.then_some(Reason::OverBudget);
            rules.push(RuleTrace { until_ms, ..rule(Rule::Budget, refused, left, cost) });
        }
        rules.push(self.score(scores));
        rules
    }

    fn schedule(&self) -> RuleTrace {
        let Self { inputs, campaign, live, .. } = self;
        let closed = (!live.open).then_some(Reason::NotScheduled);
        let (now, limit) = (Finding::TimeMs(inputs.now_ms), Finding::Text(campaign.schedule.to_string()));
        let until_ms = closed.and_then(|_| campaign.schedule.next_change_ms(inputs.now_ms));
        RuleTrace { until_ms, ..rule(Rule::Schedule, closed, Some(now), Some(limit)) }
    }

    fn audience(&self) -> RuleTrace {
        let level = self.profile.level().unwrap_or(Membership::Free);
        let levels = [Membership::Free, Membership::Silver, Membership::Gold];
        let admitted = levels.into_iter().filter(|level| self.campaign.admits(*level));
        let admitted = admitted.map(Membership::name).collect::<Vec<_>>().join(", ");
        let reason = if level == Membership::Gold { Reason::AlreadyGold } else { Reason::NotInAudience };
        let refused = (!self.campaign.admits(level)).then_some(reason);
        let found = Finding::Text(level.name().to_owned());
        rule(Rule::Audience, refused, Some(found), Some(Finding::Text(admitted)))
    }

    fn signed_up(&self) -> Option<RuleTrace> {
        let asked = self.campaign.signed_up?;
        let (now_ms, signed_up_ms) = (self.inputs.now_ms, self.profile.signed_up_ms());
        let passed = eligible::signed_up_in_time(self.campaign, signed_up_ms, now_ms);
        let days = signed_up_ms.map(|at_ms| Finding::Count((now_ms - at_ms).div_euclid(DAY_MS)));
        let words = |word: &str, days: Option<u32>| days.map(|days| format!("{word} {days}"));
        let limit = [words("at least", asked.min), words("at most", asked.max)];
        let limit = limit.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let due_ms = |at_ms: i64| at_ms + i64::from(asked.min.unwrap_or(0)) * DAY_MS;
        let until_ms = signed_up_ms.map(due_ms).filter(|due_ms| !passed && *due_ms > now_ms);
        let refused = (!passed).then_some(Reason::NotInAudience);
        Some(RuleTrace { until_ms, ..rule(Rule::SignedUp, refused, days, Some(Finding::Text(limit))) })
    }

    fn cap(&self, which: Rule, cap: &PeriodCap) -> RuleTrace {
        let of = (which == Rule::Cap).then_some(&self.campaign.id);
        let after_ms = self.inputs.now_ms.saturating_sub(cap.period_ms);
        let times: Vec<i64> =
            eligible::times(self.profile, of).take_while(|at_ms| *at_ms > after_ms).collect();
        // It allows one more when so many have left the period that fewer than the cap are in it.
        let cut_ms = eligible::cut_ms(self.profile, of).filter(|at_ms| *at_ms > after_ms);
        let blocking_ms = times.get(cap.impressions as usize - 1).copied().max(cut_ms);
        let until_ms = blocking_ms.map(|at_ms| at_ms.saturating_add(cap.period_ms));
        let [found, limit] =
            [times.len() as i64, cap.impressions.into()].map(|count| Some(Finding::Count(count)));
        let refused = until_ms.is_some().then_some(Reason::Capped);
        RuleTrace { until_ms, period_ms: Some(cap.period_ms), ..rule(which, refused, found, limit) }
    }

    fn cooldowns(&self) -> Vec<RuleTrace> {
        let Self { campaign, profile, inputs, .. } = self;
        let cooldowns = [
            (
                Rule::CooldownAfterImpression,
                campaign.cooldown_after_impression_ms,
                eligible::last_impression_ms(profile, &campaign.id),
            ),
            (
                Rule::CooldownAfterClick,
                campaign.cooldown_after_click_ms,
                eligible::last_click_ms(profile, &campaign.ad),
            ),
            (Rule::CooldownAfterUpgrade, campaign.cooldown_after_upgrade_ms, profile.upgraded_ms()),
        ];
        let set = cooldowns.into_iter().filter(|(_, cooldown_ms, _)| *cooldown_ms > 0);
        let trace = |(which, cooldown_ms, last_ms): (Rule, i64, Option<i64>)| {
            let until_ms = last_ms.map(|last_ms| last_ms.saturating_add(cooldown_ms));
            let until_ms = until_ms.filter(|until_ms| *until_ms > inputs.now_ms);
            let refused = until_ms.map(|_| Reason::CoolingDown);
            let (found, limit) = (last_ms.map(Finding::TimeMs), Some(Finding::LengthMs(cooldown_ms)));
            RuleTrace { until_ms, ..rule(which, refused, found, limit) }
        };
        set.map(trace).collect()
    }

    fn score(&self, scores: &mut Scores<'_, 64>) -> RuleTrace {
        let campaign = self.campaign;
        let value = campaign.model.and_then(|model| scores.value(model));
        let probability = campaign.model.and_then(|model| scores.probability(model));
        let passes = value.is_some_and(|value| eligible::is_above(campaign, value, || probability));
        let (found, limit) = match campaign.threshold {
            Threshold::Score(limit) => (value, Finding::Number(limit)),
            Threshold::Probability(limit) => (probability, Finding::Number(limit)),
            Threshold::Profit => {
                let expected = probability.map(|probability| probability * campaign.value_micro as f64);
                (expected, Finding::MoneyMicro(campaign.cost_micro))
            }
        };
        let refused = (!passes).then_some(Reason::UnlikelyToClick);
        rule(Rule::Score, refused, found.map(Finding::Number), Some(limit))
    }
}
