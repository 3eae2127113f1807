//! Decisions for one customer at one instant, and explanations of them.

mod coins;
mod live;
mod show;

use std::sync::Arc;

use upbeat_core::campaign::{Plan, Slot};
use upbeat_core::decision::policy::{self, CampaignTrace, Inputs, Live, Verdict};
use upbeat_core::decision::{Reason, Score};
use upbeat_core::event::{DecisionId, Id};
use upbeat_core::feature::Counts;
use upbeat_core::profile::Profile;

pub(crate) use coins::CoinKeys;
pub(crate) use live::Hours;

use coins::DecisionCoins;
use live::FEW;
use show::Asked;

use crate::campaigns::Current;
use crate::ledger::NoMoney;
use crate::log::Answered;
use crate::storage::blocks::ShownAnswer;
use crate::{Champion, Customer, Engine, ModelId, NotKept, RequestId};

/// The options of one request for a decision.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Decide without counting an impression.
    pub dry_run: bool,
    /// Decide as if this campaign alone ran; that never counts.
    pub preview: Option<Id>,
    /// Retries with this id within [`RETRY_PERIOD_MS`](crate::RETRY_PERIOD_MS) get the same answer and count once. A
    /// dry run and a preview ignore it.
    pub request_id: Option<RequestId>,
}

/// A decision, as in an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// Whether to show, and why.
    pub reason: Reason,
    /// The score of the campaign; `None` if a rule before [`Rule::History`](policy::Rule::History) refused, or the window is empty.
    pub score: Option<Score>,
    /// The campaign that it is about, by its number: [`Current::campaign`] has its id. `None` where no campaign runs.
    pub campaign: Option<Slot>,
    /// The model of the campaign, if one is loaded.
    pub model: Option<ModelId>,
    /// The decision's own id.
    pub id: DecisionId,
}

/// A dry run and everything that it was computed from, taken under one lock, so that the parts are consistent.
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// Every campaign with its rules, its score and its coins, in the order of the plan.
    pub traces: Vec<CampaignTrace>,
    /// The customer's profile.
    pub profile: Profile,
    /// Counts of the plays in the window.
    pub counts: Counts,
    /// The model `default`, if one is loaded.
    pub champion: Option<Arc<Champion>>,
    /// The campaigns that decided.
    pub campaigns: Arc<Current>,
    /// The instant of the decision, in Unix milliseconds.
    pub now_ms: i64,
}

impl Engine {
    /// Answers one request for a decision: as [`Engine::decide_once`] does, or with the earlier answer if it is a retry.
    /// `wall_ms` in Unix milliseconds.
    ///
    /// # Errors
    /// The request has an id, and its answer could not be kept for retries: nothing was decided.
    pub fn decide(&self, id: &Id, ask: &Ask, wall_ms: i64) -> Result<Decision, NotKept> {
        if let Some(campaign) = &ask.preview {
            return Ok(self.preview(id, campaign, wall_ms));
        }
        let Some(request_id) = ask.request_id.as_ref().filter(|_| !ask.dry_run) else {
            return Ok(self.decide_once(id, ask.dry_run, wall_ms));
        };
        let decide = || self.decide_and_keep(id, false, wall_ms, Some(request_id));
        let kept = self.requests.get_or_decide(id, request_id, wall_ms, decide);
        let (decision, repeated) = kept.inspect_err(|_| self.counters.count_request_not_kept())?;
        if repeated {
            self.counters.count_retry();
        }
        Ok(decision)
    }

    /// Keeps an answer of a former process for retries. Where answers come `in_order` of their time, the old ones are dropped.
    pub(crate) fn restore_answer(&self, shown: ShownAnswer, in_order: bool) {
        let ShownAnswer { customer, decision: id, campaign, is_exploring, answer } = shown;
        let Answered { request, made_ms, score, model } = answer;
        // A version that ran one campaign did not name it.
        let campaign = campaign.or(Some(Slot(0)));
        let reason = if is_exploring { Reason::Exploring } else { Reason::LikelyToClick };
        let decision = Decision { reason, score, campaign, model, id };
        self.requests.restore(&customer, request, made_ms, decision, in_order);
    }

    /// Bytes that answers kept for retries take, without the allocator's overhead.
    #[must_use]
    pub fn retry_bytes(&self) -> usize {
        self.requests.bytes()
    }

    /// The number of parts that the answers kept for retries are in; [`Engine::drop_old_answers`] visits one by itself.
    #[must_use]
    pub fn retry_shards(&self) -> usize {
        self.requests.shards()
    }

    /// Drops the answers of one part, `0..retry_shards()`, that need not be kept any longer; returns how many. `wall_ms` in
    /// Unix milliseconds.
    ///
    /// # Panics
    /// There is no such part.
    pub fn drop_old_answers(&self, shard: usize, wall_ms: i64) -> usize {
        self.requests.drop_old(shard, wall_ms)
    }

    /// Prefetches customers' records into the processor's cache, ahead of decisions for them.
    pub fn prefetch(&self, ids: &[Id]) {
        self.customers.prefetch(ids);
    }

    /// Decides for one customer; a *show* counts as an impression unless it is a dry run. Never fails: a customer of
    /// whom nothing is known gets [`Reason::UnknownCustomer`]. `wall_ms` in Unix milliseconds.
    pub fn decide_once(&self, id: &Id, dry_run: bool, wall_ms: i64) -> Decision {
        self.decide_and_keep(id, dry_run, wall_ms, None)
    }

    /// Decides once; the log keeps a *show* as the answer to `request`.
    #[inline]
    fn decide_and_keep(&self, id: &Id, dry_run: bool, wall_ms: i64, request: Option<&RequestId>) -> Decision {
        let now_ms = self.now_ms(wall_ms);
        let campaigns = self.campaigns.load();
        let (mut few, mut many) = ([Live::UNBOUNDED; FEW], Vec::new());
        let unshown = self.decision_ids.unshown();
        let coins = DecisionCoins { keys: self.decision_ids.coins(), number: unshown.0, customer: id };
        let asked = Asked { id, campaigns: &campaigns, coins: &coins, now_ms, unshown };
        let (few, many, running) = (&mut few, &mut many, &campaigns);
        let known = self.customers.with_mut_meanwhile(
            id,
            move || self.live(running, now_ms, few, many),
            |customer, live| {
                customer.prefetch_history(now_ms, running.plan.longest_ms);
                match dry_run {
                    true => (self.decide_dry(&asked, customer, live), unshown),
                    false => {
                        self.decide_known(&asked, customer, live, request.map(|request| (request, wall_ms)))
                    }
                }
            },
        );
        let (verdict, decision_id) =
            known.unwrap_or_else(|| (unknown(&campaigns.plan, &coins, now_ms), unshown));
        self.counters.count_decision(verdict.reason, dry_run);
        let decision = campaigns.decision(&verdict, decision_id);
        if let (false, false, Some(slot)) = (dry_run, verdict.reason.shows(), decision.campaign) {
            self.accounts.not_shown(slot.0, now_ms, verdict.reason);
        }
        decision
    }

    /// The verdict on a customer whose shard is locked.
    #[inline]
    fn verdict(&self, asked: &Asked<'_>, customer: &mut Customer, live: &[Live]) -> Verdict {
        policy::decide(&self.inputs(asked, customer, live))
    }

    fn inputs<'a>(
        &self,
        asked: &Asked<'a>,
        customer: &'a mut Customer,
        live: &'a [Live],
    ) -> Inputs<'a, DecisionCoins<'a>> {
        let Asked { campaigns, coins, now_ms, .. } = *asked;
        let counts = customer.counts(&self.settings.window, now_ms);
        let toss_day = campaigns.hours.toss_day(&campaigns.plan, now_ms);
        let explored_today = toss_day > 0 && customer.explored_day() == toss_day;
        let (history_ms, profile) = (customer.history_ms(), Some(&customer.profile));
        Inputs { plan: &campaigns.plan, profile, history_ms, counts, now_ms, live, explored_today, coins }
    }

    /// Decides about a known customer without a trace of it, but for whether the log would take the impression.
    fn decide_dry(&self, asked: &Asked<'_>, customer: &mut Customer, live: &[Live]) -> Verdict {
        let mut verdict = self.verdict(asked, customer, live);
        if verdict.reason.shows() && !self.could_show(asked) {
            verdict.reason = Reason::LogUnavailable;
        }
        verdict
    }

    /// Decides about a known customer, whose shard is locked, and records what follows; with the decision's id.
    #[inline]
    fn decide_known(
        &self,
        asked: &Asked<'_>,
        customer: &mut Customer,
        live: &mut [Live],
        request: Option<(&RequestId, i64)>,
    ) -> (Verdict, DecisionId) {
        loop {
            let mut verdict = self.verdict(asked, customer, live);
            let Some(index) = verdict.campaign else {
                self.log_unshown(asked, customer, live, &verdict);
                return (verdict, asked.unshown);
            };
            if verdict.reason.shows() {
                match self.show(asked, customer, live, &verdict, request) {
                    Ok(id) => return (verdict, id),
                    // Somebody else was faster: what is decided without this campaign is decided again.
                    Err(NoMoney::Budget) => {
                        live[index].available_micro = i64::MIN;
                        continue;
                    }
                    Err(NoMoney::Lease) => refuse(&mut verdict, Reason::Paced),
                    Err(NoMoney::Log) => refuse(&mut verdict, Reason::LogUnavailable),
                }
            } else if verdict.held_out() || verdict.tossed() {
                if self.hold_back(asked, customer, live, &verdict) {
                    return (verdict, asked.unshown);
                }
                refuse(&mut verdict, Reason::LogUnavailable);
            }
            self.log_unshown(asked, customer, live, &verdict);
            return (verdict, asked.unshown);
        }
    }

    /// Decides as if one campaign alone ran, without a trace of it.
    fn preview(&self, id: &Id, campaign: &Id, wall_ms: i64) -> Decision {
        let now_ms = self.now_ms(wall_ms);
        let unshown = self.decision_ids.unshown();
        self.counters.count_dry_run();
        let Some((campaigns, live)) = self.alone(campaign, now_ms) else {
            let (reason, score, campaign, model) = (Reason::NoCampaign, None, None, None);
            return Decision { reason, score, campaign, model, id: unshown };
        };
        let coins = DecisionCoins { keys: self.decision_ids.coins(), number: unshown.0, customer: id };
        let asked = Asked { id, campaigns: &campaigns, coins: &coins, now_ms, unshown };
        let known = self.customers.with_mut(id, |customer| self.verdict(&asked, customer, &[live]));
        let verdict = known.unwrap_or_else(|| unknown(&campaigns.plan, &coins, now_ms));
        campaigns.decision(&verdict, unshown)
    }

    /// The campaigns with this one alone, and what is true of it; `None` if it does not run.
    fn alone(&self, campaign: &Id, now_ms: i64) -> Option<(Current, Live)> {
        let running = self.campaigns.load();
        let index = running.plan.find(campaign)?;
        Some((running.alone(index), self.live_of(&running, index, now_ms)))
    }

    /// A dry run and everything that it was computed from; `None` if nothing is known of the customer.
    /// `wall_ms` in Unix milliseconds.
    pub fn explain(&self, id: &Id, wall_ms: i64) -> Option<Explanation> {
        let now_ms = self.now_ms(wall_ms);
        let campaigns = self.campaigns.load_full();
        let (mut few, mut many) = ([Live::UNBOUNDED; FEW], Vec::new());
        let live = self.live(&campaigns, now_ms, &mut few, &mut many);
        self.explain_among(id, campaigns, live, now_ms)
    }

    /// The same as if one campaign alone ran; `None` also if it does not run.
    pub fn explain_preview(&self, id: &Id, campaign: &Id, wall_ms: i64) -> Option<Explanation> {
        let now_ms = self.now_ms(wall_ms);
        let (campaigns, live) = self.alone(campaign, now_ms)?;
        self.explain_among(id, Arc::new(campaigns), &[live], now_ms)
    }

    fn explain_among(
        &self,
        id: &Id,
        campaigns: Arc<Current>,
        live: &[Live],
        now_ms: i64,
    ) -> Option<Explanation> {
        let champion = self.champion.load_full();
        let unshown = self.decision_ids.unshown();
        let coins = DecisionCoins { keys: self.decision_ids.coins(), number: unshown.0, customer: id };
        let asked = Asked { id, campaigns: &campaigns, coins: &coins, now_ms, unshown };
        let (verdict, traces, profile, counts) = self.customers.with_mut(id, |customer| {
            let verdict = self.decide_dry(&asked, customer, live);
            let traces = policy::explain(&self.inputs(&asked, customer, live));
            (verdict, traces, customer.profile.clone(), customer.counts(&self.settings.window, now_ms))
        })?;
        self.counters.count_decision(verdict.reason, true);
        let decision = campaigns.decision(&verdict, unshown);
        Some(Explanation { decision, traces, profile, counts, champion, campaigns, now_ms })
    }
}

/// The verdict on a customer of whom nothing is known.
fn unknown(plan: &Plan, coins: &DecisionCoins<'_>, now_ms: i64) -> Verdict {
    let counts = Counts::default();
    policy::decide(&Inputs {
        plan,
        profile: None,
        history_ms: i64::MAX,
        counts,
        now_ms,
        live: &[],
        explored_today: false,
        coins,
    })
}

/// What would have been shown is not, for the moment: nothing may be estimated of that.
fn refuse(verdict: &mut Verdict, reason: Reason) {
    (verdict.reason, verdict.eligible) = (reason, false);
    (verdict.passed, verdict.explored) = (0, 0);
}

impl Current {
    fn decision(&self, verdict: &Verdict, id: DecisionId) -> Decision {
        let planned = verdict.campaign.map(|index| &self.plan.campaigns[index]);
        let model = planned.and_then(|planned| planned.model).map(|model| self.models[model]);
        let (Verdict { reason, score, .. }, campaign) = (verdict, planned.map(|planned| planned.slot));
        Decision { reason: *reason, score: *score, campaign, model, id }
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests;
