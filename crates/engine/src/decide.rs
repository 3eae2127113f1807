//! Decisions for one customer at one instant, and explanations of them.

use std::sync::Arc;

use upbeat_core::campaign::{Single, Slot};
use upbeat_core::decision::{self, CachedScore, Reason, Score, Trace, Verdict};
use upbeat_core::event::{DecisionId, Id, Time};
use upbeat_core::profile::Profile;

use crate::campaigns::Current;
use crate::log::{Answered, Coins, Facts, Payload, Use};
use crate::storage::blocks::ShownAnswer;
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
    /// The campaign that it is about, by its number: [`Current::campaign`](crate::campaigns::Current::campaign) has its id. `None` where no
    /// campaign runs.
    pub campaign: Option<Slot>,
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
        let ShownAnswer { customer, decision: id, campaign, answer, .. } = shown;
        let Answered { request, made_ms, score, model } = answer;
        // A version that ran one campaign did not name it.
        let campaign = campaign.or(Some(Slot(0)));
        let decision = Decision { reason: Reason::LikelyToClick, score, campaign, model, id };
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

    /// Prefetches a customer's record into the processor's cache, ahead of a decision for them.
    pub fn prefetch(&self, id: &Id) {
        self.customers.prefetch(id);
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
        let champion = self.champion.load();
        let campaigns = self.campaigns.load();
        let (mut shown_as, mut unshown_as) = (None, None);
        let known = self.customers.with_mut(id, |customer| {
            let mut verdict = self.verdict(customer, &campaigns, champion.as_deref(), now_ms);
            // Nothing of the log is touched before this is known.
            if verdict.reason.shows() {
                let shown = match dry_run {
                    true => self.could_show(id, &campaigns, now_ms),
                    false => {
                        let slot = campaigns.single.as_ref().map_or(Slot(0), |(slot, _)| *slot);
                        let (number, decision_id) = self.decision_ids.shown(campaigns.slots.key(slot), id);
                        shown_as = Some(decision_id);
                        let decision = decision(&verdict, &campaigns, champion.as_deref(), decision_id);
                        let request = request.map(|request| (request, wall_ms));
                        self.show(id, customer, &campaigns, now_ms, (number, &decision), request)
                    }
                };
                if !shown {
                    (verdict.reason, shown_as) = (Reason::LogUnavailable, None);
                }
            }
            if !dry_run && shown_as.is_none() {
                let decision_id = self.decision_ids.unshown();
                unshown_as = Some(decision_id);
                let decision = decision(&verdict, &campaigns, champion.as_deref(), decision_id);
                self.log_unshown(id, customer, &decision, &campaigns, now_ms);
            }
            verdict
        });
        let verdict = known.unwrap_or(Verdict::UNKNOWN);
        self.counters.count_decision(verdict.reason, dry_run);
        // Nothing that was not shown has an id that could be confirmed.
        let decision_id = shown_as.or(unshown_as).unwrap_or_else(|| self.decision_ids.unshown());
        decision(&verdict, &campaigns, champion.as_deref(), decision_id)
    }

    /// A dry run and everything that it was computed from; `None` if nothing is known of the customer.
    /// `wall_ms` in Unix milliseconds.
    pub fn explain(&self, id: &Id, wall_ms: i64) -> Option<Explanation> {
        let now_ms = self.now_ms(wall_ms);
        let champion = self.champion.load_full();
        let campaigns = self.campaigns.load();
        let (verdict, profile) = self.customers.with_mut(id, |customer| {
            (self.verdict(customer, &campaigns, champion.as_deref(), now_ms), customer.profile.clone())
        })?;
        self.counters.count_decision(verdict.reason, true);
        let decision = decision(&verdict, &campaigns, champion.as_deref(), self.decision_ids.unshown());
        Some(Explanation { decision, trace: verdict.trace, profile, champion, now_ms })
    }

    /// Logs a decision that shows nothing, with the customer's shard locked.
    #[inline]
    fn log_unshown(
        &self,
        id: &Id,
        customer: &mut Customer,
        decision: &Decision,
        campaigns: &Current,
        now_ms: i64,
    ) {
        if self.log.get().is_none() {
            return;
        }
        let facts = Facts {
            id: decision.id,
            time_ms: now_ms,
            reason: decision.reason,
            // What the score refused alone is policy; before it are rules.
            eligible: decision.reason == Reason::UnlikelyToClick,
            campaign: decision.campaign.map(|slot| slot.0),
            version: campaigns.version,
            model: decision.model,
            counts: Some(customer.counts(&self.settings.window, now_ms)),
            coins: Coins::None,
        };
        self.log_decision(id, &facts);
    }

    /// Whether the log would take the impression of a decision at this moment, with the customer's shard locked.
    fn could_show(&self, id: &Id, campaigns: &Current, now_ms: i64) -> bool {
        self.log.get().is_none_or(|log| {
            let Some((_, Single { id: campaign, .. })) = &campaigns.single else { return false };
            let payload = Payload::of_show(id, DecisionId(0), campaign, now_ms, None);
            log.room(Use::Show, 1, payload.bytes().len()).is_some()
        })
    }

    /// Counts the impression of a decision that says *show* and publishes it, with the customer's shard locked; whether it could
    /// be recorded. `number` is in the decision's id; `request` has the request that is answered and the wall clock, in Unix milliseconds.
    fn show(
        &self,
        id: &Id,
        customer: &mut Customer,
        campaigns: &Current,
        now_ms: i64,
        (number, decision): (u64, &Decision),
        request: Option<(&RequestId, i64)>,
    ) -> bool {
        let Some((_, Single { id: campaign, .. })) = &campaigns.single else { return false };
        let recorded = self.log.get().map(|log| {
            let answer = request.map(|(request, made_ms)| Answered {
                request: request.clone(),
                made_ms,
                score: decision.score,
                model: decision.model,
            });
            let payload = Payload::of_show(id, decision.id, campaign, now_ms, answer.as_ref());
            let leased = log.covers(number);
            let room = log.room(Use::Show, 1, payload.bytes().len()).filter(|_| leased);
            room.map(|room| (room, payload))
        });
        if matches!(recorded, Some(None)) {
            return false;
        }
        let (time, bounds) = (Time::from_unix_ms(now_ms), campaigns.bounds(self.settings.window.plays));
        let grown = customer.count_decided_impression(decision.id, campaign.clone(), time, &bounds);
        self.counters.add_bytes(grown);
        if let Some((mut room, payload)) = recorded.flatten() {
            room.publish(&payload, 0);
        }
        true
    }

    /// The verdict on a customer whose shard is locked, with the cached counts where they are valid.
    #[inline]
    fn verdict(
        &self,
        customer: &mut Customer,
        campaigns: &Current,
        champion: Option<&Champion>,
        now_ms: i64,
    ) -> Verdict {
        let Some((_, single)) = &campaigns.single else { return Verdict::UNKNOWN };
        let score = champion.map(|champion| {
            CachedScore::of(&customer.counts(&self.settings.window, now_ms), &champion.scorer)
        });
        decision::decide(&customer.profile, single, score, now_ms)
    }
}

fn decision(verdict: &Verdict, campaigns: &Current, champion: Option<&Champion>, id: DecisionId) -> Decision {
    let probability = |value: f64| champion.and_then(|champion| champion.scorer.probability(value));
    let score = verdict.trace.value.map(|value| Score { value, probability: probability(value) });
    let campaign = campaigns.single.as_ref().map(|(slot, _)| *slot);
    Decision { reason: verdict.reason, score, campaign, model: champion.map(|champion| champion.id), id }
}
