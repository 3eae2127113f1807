//! The rules of one campaign for one customer.

use crate::campaign::{PeriodCap, Plan, Planned};
use crate::decision::{Reason, Score};
use crate::event::{DAY_MS, Id, Membership};
use crate::feature::{Counts, FeatureVector};
use crate::profile::{AD_HISTORY_LIMIT, Digest, Profile};

use super::{Inputs, Live, Rule};

/// The customer's side of the rules; what several campaigns ask is found once.
pub(super) struct Customer<'a> {
    plan: &'a Plan,
    profile: &'a Profile,
    /// Whether anything of the history is young enough for a cap or a cooldown.
    is_recent: bool,
    /// Without one nothing was heard or clicked that counts.
    digest: Option<&'a Digest>,
    live: &'a [Live],
    plays: u32,
    now_ms: i64,
    level: Membership,
    capped_over_all: Option<bool>,
}

impl<'a> Customer<'a> {
    pub(super) fn new<C>(inputs: &Inputs<'a, C>, profile: &'a Profile) -> Self {
        let is_recent = inputs.history_ms > inputs.now_ms.saturating_sub(inputs.plan.longest_ms);
        Self {
            plan: inputs.plan,
            profile,
            is_recent,
            digest: if is_recent { profile.digest() } else { None },
            live: inputs.live,
            plays: inputs.counts.plays.into(),
            now_ms: inputs.now_ms,
            level: profile.level().unwrap_or(Membership::Free),
            capped_over_all: None,
        }
    }

    /// The first rule of a campaign that refuses, and the reason that it gives.
    #[inline]
    pub(super) fn refusal<const N: usize>(
        &mut self,
        index: usize,
        scores: &mut Scores<'_, N>,
    ) -> Option<(Rule, Reason)> {
        let (campaign, live) = (&self.plan.campaigns[index], &self.live[index]);
        let now_ms = self.now_ms;
        if campaign.paused {
            return Some((Rule::Paused, Reason::Paused));
        }
        if !live.open {
            return Some((Rule::Schedule, Reason::NotScheduled));
        }
        if !campaign.admits(self.level) {
            let is_gold = self.level == Membership::Gold;
            return Some((Rule::Audience, if is_gold { Reason::AlreadyGold } else { Reason::NotInAudience }));
        }
        if campaign.signed_up.is_some() && !signed_up_in_time(campaign, self.profile.signed_up_ms(), now_ms) {
            return Some((Rule::SignedUp, Reason::NotInAudience));
        }
        let Some(model) = campaign.model else { return Some((Rule::Model, Reason::NoModel)) };
        if self.plays == 0 || self.plays < campaign.min_plays {
            return Some((Rule::History, Reason::TooLittleHistory));
        }
        if self.is_capped(&campaign.caps, Some(campaign)) {
            return Some((Rule::Cap, Reason::Capped));
        }
        if !self.plan.caps.is_empty() && self.is_capped_over_all() {
            return Some((Rule::CapOverAll, Reason::Capped));
        }
        if let Some(rule) = self.cooling_down(campaign) {
            return Some((rule, Reason::CoolingDown));
        }
        if live.available_micro < campaign.cost_micro {
            return Some((Rule::Budget, Reason::OverBudget));
        }
        let passes =
            scores.value(model).is_some_and(|value| is_above(campaign, value, || scores.probability(model)));
        (!passes).then_some((Rule::Score, Reason::UnlikelyToClick))
    }

    /// Whether the customer has an ad history, which may have to come from memory.
    #[inline]
    pub(super) fn has_history(&self) -> bool {
        self.digest.is_some()
    }

    fn is_capped_over_all(&mut self) -> bool {
        if self.capped_over_all.is_none() {
            self.capped_over_all = Some(self.is_capped(&self.plan.caps, None));
        }
        self.capped_over_all == Some(true)
    }

    /// Whether a cap is reached by the impressions of a campaign, or of all.
    #[inline]
    pub(super) fn is_capped(&self, caps: &[PeriodCap], campaign: Option<&Planned>) -> bool {
        let Some(digest) = self.digest else { return false };
        let Some(longest_ms) = caps.iter().map(|cap| cap.period_ms).max() else { return false };
        match digest.impressions_after(self.now_ms.saturating_sub(longest_ms)) {
            Some(later) => {
                let of_it = later.filter(|(mark, _)| campaign.is_none_or(|campaign| campaign.mark == *mark));
                of_it.zip(1..).any(|((_, time_ms), count)| {
                    let after_ms = |cap: &PeriodCap| self.now_ms.saturating_sub(cap.period_ms);
                    caps.iter().any(|cap| cap.impressions == count && time_ms > after_ms(cap))
                })
            }
            None => is_capped(self.profile, caps, campaign.map(|campaign| &campaign.id), self.now_ms),
        }
    }

    pub(super) fn heard_after(&self, campaign: &Planned, after_ms: i64) -> bool {
        let Some(digest) = self.digest else { return false };
        match digest.impressions_after(after_ms) {
            Some(mut later) => later.any(|(mark, _)| mark == campaign.mark),
            None => last_impression_ms(self.profile, &campaign.id).is_some_and(|last_ms| last_ms > after_ms),
        }
    }

    pub(super) fn clicked_after(&self, campaign: &Planned, after_ms: i64) -> bool {
        let Some(digest) = self.digest else { return false };
        digest.clicked_after(campaign.ad_mark, after_ms).unwrap_or_else(|| {
            last_click_ms(self.profile, &campaign.ad).is_some_and(|last_ms| last_ms > after_ms)
        })
    }

    fn cooling_down(&self, campaign: &Planned) -> Option<Rule> {
        let is_within = |cooldown_ms, is_after: fn(&Self, &Planned, i64) -> bool| {
            cooldown_ms > 0 && is_after(self, campaign, self.now_ms.saturating_sub(cooldown_ms))
        };
        if is_within(campaign.cooldown_after_impression_ms, Self::heard_after) {
            return Some(Rule::CooldownAfterImpression);
        }
        if is_within(campaign.cooldown_after_click_ms, Self::clicked_after) {
            return Some(Rule::CooldownAfterClick);
        }
        let rose = is_within(campaign.cooldown_after_upgrade_ms, |customer, _, after_ms| {
            customer.is_recent && customer.profile.upgraded_ms().is_some_and(|last_ms| last_ms > after_ms)
        });
        rose.then_some(Rule::CooldownAfterUpgrade)
    }
}

/// Whether a cap is reached by the impressions of a campaign, or of all: whether the last of as many as it allows, counted
/// from the newest on, is in its period. So is one in whose period there are [`AD_HISTORY_LIMIT`] decisions, those that were
/// given back among them: the history may have dropped one that counts then.
pub(super) fn is_capped(profile: &Profile, caps: &[PeriodCap], campaign: Option<&Id>, now_ms: i64) -> bool {
    let Some(longest_ms) = caps.iter().map(|cap| cap.period_ms).max() else { return false };
    let (mut count, mut decided) = (0, 0);
    // One pass for all caps: a customer may have many impressions.
    let mut recent = profile
        .held_impressions()
        .rev()
        .take_while(|impression| impression.time.unix_ms > now_ms.saturating_sub(longest_ms))
        .filter(|impression| campaign.is_none_or(|campaign| impression.campaign == *campaign));
    recent.any(|impression| {
        let counts = !impression.is_voided();
        count += u32::from(counts);
        decided += usize::from(impression.decision().is_some());
        let is_cut = decided >= AD_HISTORY_LIMIT;
        let reaches = |cap: &PeriodCap| {
            (counts && cap.impressions == count || is_cut)
                && impression.time.unix_ms > now_ms.saturating_sub(cap.period_ms)
        };
        caps.iter().any(reaches)
    })
}

/// The time of the decision from which on a history of a campaign, or of all, may have dropped one that counts, if there are
/// [`AD_HISTORY_LIMIT`], voided or not; in Unix milliseconds.
pub(super) fn cut_ms(profile: &Profile, campaign: Option<&Id>) -> Option<i64> {
    let decided = profile.held_impressions().rev().filter(|impression| impression.decision().is_some());
    let mut of_it =
        decided.filter(|impression| campaign.is_none_or(|campaign| impression.campaign == *campaign));
    of_it.nth(AD_HISTORY_LIMIT - 1).map(|impression| impression.time.unix_ms)
}

/// The times of the impressions of a campaign, or of all, that count, from the newest on; in Unix milliseconds.
pub(super) fn times(profile: &Profile, campaign: Option<&Id>) -> impl Iterator<Item = i64> {
    let of_it = move |of: &Id| campaign.is_none_or(|campaign| *of == *campaign);
    let impressions = profile.impressions().rev().filter(move |impression| of_it(&impression.campaign));
    impressions.map(|impression| impression.time.unix_ms)
}

pub(super) fn last_impression_ms(profile: &Profile, campaign: &Id) -> Option<i64> {
    times(profile, Some(campaign)).next()
}

/// When an ad was clicked last, in Unix milliseconds.
pub(super) fn last_click_ms(profile: &Profile, ad: &Id) -> Option<i64> {
    let click = profile.clicks().iter().rev().find(|click| click.ad == *ad);
    click.map(|click| click.time.unix_ms)
}

/// Whether the customer signed up as long ago as the campaign asks; one of whom no file told it did not.
pub(super) fn signed_up_in_time(campaign: &Planned, signed_up_ms: Option<i64>, now_ms: i64) -> bool {
    let Some(asked) = campaign.signed_up else { return true };
    signed_up_ms.is_some_and(|signed_up_ms| {
        let days = now_ms.saturating_sub(signed_up_ms).div_euclid(DAY_MS);
        asked.min.is_none_or(|min| days >= i64::from(min))
            && asked.max.is_none_or(|max| days <= i64::from(max))
    })
}

/// Whether a score is above a campaign's threshold.
#[inline]
pub(super) fn is_above(campaign: &Planned, value: f64, probability: impl FnOnce() -> Option<f64>) -> bool {
    let Planned { threshold, cost_micro, value_micro, .. } = campaign;
    threshold.is_passed(*cost_micro, *value_micro, value, probability)
}

/// The scores of one customer: each model scores once, whatever number of campaigns name it, and its probability, which takes
/// an exponential, is computed once where it is asked for.
pub(super) struct Scores<'a, const N: usize> {
    plan: &'a Plan,
    counts: &'a Counts,
    vector: Option<FeatureVector>,
    values: [f64; N],
    /// A bit for each model that has scored.
    known: u64,
    probabilities: [Option<f64>; N],
    /// A bit for each model whose probability is known.
    calibrated: u64,
}

impl<'a, const N: usize> Scores<'a, N> {
    pub(super) fn new(plan: &'a Plan, counts: &'a Counts) -> Self {
        Self {
            plan,
            counts,
            vector: None,
            values: [0.0; N],
            known: 0,
            probabilities: [None; N],
            calibrated: 0,
        }
    }

    /// Scores by those models for which that takes no longer than to wait for the customer's ad history.
    #[inline]
    pub(super) fn ahead(&mut self) {
        for (model, served) in self.plan.models.iter().enumerate() {
            if served.scorer.is_linear() {
                self.value(model);
            }
        }
    }

    /// The score by a model; `None` when the window is empty.
    pub(super) fn value(&mut self, model: usize) -> Option<f64> {
        if self.known & 1 << model == 0 {
            if self.vector.is_none() {
                self.vector = self.counts.vector();
            }
            self.values[model] = self.plan.models[model].scorer.score(self.vector.as_ref()?);
            self.known |= 1 << model;
        }
        Some(self.values[model])
    }

    pub(super) fn probability(&mut self, model: usize) -> Option<f64> {
        if self.calibrated & 1 << model == 0 {
            let value = self.value(model)?;
            self.probabilities[model] = self.plan.models[model].scorer.probability(value);
            self.calibrated |= 1 << model;
        }
        self.probabilities[model]
    }

    /// The score of a campaign; `None` without a model, and when the window is empty.
    pub(super) fn of(&mut self, campaign: usize) -> Option<Score> {
        let model = self.plan.campaigns[campaign].model?;
        Some(Score { value: self.value(model)?, probability: self.probability(model) })
    }

    /// The expected profit of a show in micro-units; negative infinity where no probability is known.
    pub(super) fn profit_micro(&mut self, campaign: usize) -> f64 {
        let Planned { model, value_micro, cost_micro, .. } = &self.plan.campaigns[campaign];
        let probability = model.and_then(|model| self.probability(model));
        probability
            .map_or(f64::NEG_INFINITY, |probability| probability * *value_micro as f64 - *cost_micro as f64)
    }
}
