//! Decisions for one customer at one instant, and explanations of them.

use std::sync::Arc;

use upbeat_core::decision::{self, Reason, Score, Trace, Verdict};
use upbeat_core::event::{DecisionId, Id, Time};
use upbeat_core::profile::Profile;

use crate::{Champion, Customer, Engine, ModelId, NotKept, RequestId};

/// The options of one request for a decision.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Decide without counting an impression.
    pub dry_run: bool,
    /// Retries with this id within [`RETRY_PERIOD_MS`](crate::RETRY_PERIOD_MS) get the same answer and count once. A
    /// dry run ignores it.
    pub request_id: Option<RequestId>,
}

/// A decision, as in an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// Whether to show, and why.
    pub reason: Reason,
    /// The score; `None` if a check before [`Check::History`](upbeat_core::decision::Check::History) refused, or the
    /// window is empty.
    pub score: Option<Score>,
    /// The model, if one is loaded.
    pub model: Option<ModelId>,
    /// The decision's own id.
    pub id: DecisionId,
}

/// A dry run and everything that it was computed from, taken under one lock, so that the parts are consistent.
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// The checks of the policy and their findings.
    pub trace: Trace,
    /// The customer's profile.
    pub profile: Profile,
    /// The model, if one is loaded.
    pub champion: Option<Arc<Champion>>,
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
        let Some(request_id) = ask.request_id.as_ref().filter(|_| !ask.dry_run) else {
            return Ok(self.decide_once(id, ask.dry_run, wall_ms));
        };
        let decide = || self.decide_once(id, false, wall_ms);
        let kept = self.requests.get_or_decide(id, request_id, wall_ms, decide);
        let (decision, repeated) = kept.inspect_err(|_| self.counters.count_request_not_kept())?;
        if repeated {
            self.counters.count_retry();
        }
        Ok(decision)
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

    /// Prefetches a customer's record into the processor's cache, ahead of a decision for them.
    pub fn prefetch(&self, id: &Id) {
        self.customers.prefetch(id);
    }

    /// Decides for one customer; a *show* counts as an impression unless it is a dry run. Never fails: a customer of
    /// whom nothing is known gets [`Reason::UnknownCustomer`]. `wall_ms` in Unix milliseconds.
    pub fn decide_once(&self, id: &Id, dry_run: bool, wall_ms: i64) -> Decision {
        let now_ms = self.now_ms(wall_ms);
        let decision_id = self.new_decision_id();
        let champion = self.champion.load();
        let known = self.customers.with_mut(id, |customer| {
            let verdict = self.verdict(customer, champion.as_deref(), now_ms);
            if verdict.reason.shows() && !dry_run {
                let campaign = self.settings.campaign.id.clone();
                let (time, bounds) = (Time::from_unix_ms(now_ms), self.settings.bounds());
                let grown = customer.count_decided_impression(decision_id, campaign, time, &bounds);
                self.counters.add_bytes(grown);
            }
            verdict
        });
        let verdict = known.unwrap_or(Verdict::UNKNOWN);
        self.counters.count_decision(verdict.reason, dry_run);
        decision(&verdict, champion.as_deref(), decision_id)
    }

    /// A dry run and everything that it was computed from; `None` if nothing is known of the customer.
    /// `wall_ms` in Unix milliseconds.
    pub fn explain(&self, id: &Id, wall_ms: i64) -> Option<Explanation> {
        let now_ms = self.now_ms(wall_ms);
        let champion = self.champion.load_full();
        let (verdict, profile) = self.customers.with_mut(id, |customer| {
            (self.verdict(customer, champion.as_deref(), now_ms), customer.profile.clone())
        })?;
        self.counters.count_decision(verdict.reason, true);
        let decision = decision(&verdict, champion.as_deref(), self.new_decision_id());
        Some(Explanation { decision, trace: verdict.trace, profile, champion, now_ms })
    }

    fn new_decision_id(&self) -> DecisionId {
        DecisionId(self.decision_numbers.take())
    }

    /// The verdict on a customer whose shard is locked, with the cached score where it is valid.
    #[inline]
    fn verdict(&self, customer: &mut Customer, champion: Option<&Champion>, now_ms: i64) -> Verdict {
        let score = champion.map(|champion| {
            customer.score(champion.generation, now_ms, |profile| {
                decision::score(profile, &champion.scorer, &self.settings.window, now_ms)
            })
        });
        decision::decide(&customer.profile, &self.settings.campaign, score, now_ms)
    }
}

fn decision(verdict: &Verdict, champion: Option<&Champion>, id: DecisionId) -> Decision {
    let probability = |value: f64| champion.and_then(|champion| champion.scorer.probability(value));
    let score = verdict.trace.value.map(|value| Score { value, probability: probability(value) });
    Decision { reason: verdict.reason, score, model: champion.map(|champion| champion.id), id }
}
