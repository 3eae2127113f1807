//! What follows from a decision: the ad that is shown, the one that is held back, the toss of the day; each with its record.

use upbeat_core::campaign::Slot;
use upbeat_core::decision::policy::{Live, Verdict};
use upbeat_core::event::{DecisionId, Id, Time};

use super::DecisionCoins;
use crate::campaigns::Current;
use crate::ledger::NoMoney;
use crate::log::{Answered, Coins, Facts, Payload, Use};
use crate::{Customer, Engine, RequestId};

/// What one decision is asked of.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The customer.
    pub id: &'a Id,
    pub campaigns: &'a Current,
    pub coins: &'a DecisionCoins<'a>,
    pub now_ms: i64,
    /// The decision's id if it shows nothing; its coins are of the same number.
    pub unshown: DecisionId,
}

impl Asked<'_> {
    fn slot(&self, verdict: &Verdict) -> Option<Slot> {
        verdict.campaign.map(|index| self.campaigns.plan.campaigns[index].slot)
    }

    /// What the log keeps of the decision.
    #[inline]
    fn facts(
        &self,
        engine: &Engine,
        customer: &mut Customer,
        live: &[Live],
        verdict: &Verdict,
    ) -> Facts<'static> {
        let plan = &self.campaigns.plan;
        let counts = customer.counts(&engine.settings.window, self.now_ms);
        let planned = verdict.campaign.map(|index| &plan.campaigns[index]);
        Facts {
            id: self.unshown,
            time_ms: self.now_ms,
            reason: verdict.reason,
            eligible: verdict.eligible,
            campaign: planned.map(|planned| planned.slot.0),
            version: self.campaigns.version,
            model: planned.and_then(|planned| planned.model).map(|model| self.campaigns.models[model]),
            counts: Some(counts),
            coins: Coins::of(plan, &counts, |index| live[index].pass, verdict),
        }
    }
}

impl Engine {
    /// Whether the log would take the impression of a decision at this moment, with the customer's shard locked.
    pub(super) fn could_show(&self, asked: &Asked<'_>) -> bool {
        // Of the size of most records of shows.
        const USUAL_BYTES: usize = 96;
        self.log.get().is_none_or(|log| {
            let bytes = USUAL_BYTES + asked.id.heap_bytes();
            log.room(Use::Show, 1, bytes.min(log.most_payload())).is_some()
        })
    }

    /// Holds the cost of a decision that says *show*, counts its impression and publishes it, with the customer's shard locked;
    /// its id. `request` has the request that is answered and the wall clock, in Unix milliseconds.
    pub(super) fn show(
        &self,
        asked: &Asked<'_>,
        customer: &mut Customer,
        live: &[Live],
        verdict: &Verdict,
        request: Option<(&RequestId, i64)>,
    ) -> Result<DecisionId, NoMoney> {
        let Asked { id: customer_id, campaigns, now_ms, .. } = *asked;
        let slot = asked.slot(verdict).ok_or(NoMoney::Budget)?;
        let campaign = campaigns.campaign(slot).ok_or(NoMoney::Budget)?;
        let (number, id) = self.decision_ids.shown(campaigns.slots.key(slot), customer_id);
        let log = self.log.get().map(|log| &**log);
        let leased = log.is_none_or(|log| log.covers(number));
        let facts = log.map(|_| Facts { id, ..asked.facts(self, customer, live, verdict) });
        let toss_day = self.toss_day(asked, verdict);
        self.accounts.reserve(log, slot.0, now_ms, |charge| {
            let recorded = log.zip(facts.as_ref()).map(|(log, facts)| {
                let answer = request.map(|(request, made_ms)| Answered {
                    request: request.clone(),
                    made_ms,
                    score: verdict.score,
                    model: facts.model,
                });
                let payload = Payload::of_show_in_plan(customer_id, facts, charge, answer.as_ref());
                let toss = toss_day.map(|day| Payload::of_toss(customer_id, day));
                let toss_bytes = toss.as_ref().map_or(0, |toss| toss.bytes().len());
                let records = 1 + usize::from(toss.is_some());
                let room = log.room(Use::Show, records, payload.bytes().len() + toss_bytes);
                room.filter(|_| leased).map(|room| (room, payload, toss))
            });
            if matches!(recorded, Some(None)) {
                return false;
            }
            self.count_shown(asked, customer, id, campaign.clone());
            toss_day.into_iter().for_each(|day| customer.set_explored_day(day));
            if let Some((mut room, payload, toss)) = recorded.flatten() {
                // The toss first: without the other record nobody was answered.
                toss.into_iter().chain([payload]).for_each(|payload| {
                    room.publish(&payload, 0);
                });
            }
            true
        })?;
        Ok(id)
    }

    /// Counts the ad that a holdout holds back, and the toss of the day, and publishes them, with the customer's shard locked; whether
    /// they could be recorded. Where not, there was no toss and nothing was held back.
    pub(super) fn hold_back(
        &self,
        asked: &Asked<'_>,
        customer: &mut Customer,
        live: &[Live],
        verdict: &Verdict,
    ) -> bool {
        let toss_day = self.toss_day(asked, verdict);
        let recorded = match self.log.get() {
            None => None,
            Some(log) => {
                let facts = asked.facts(self, customer, live, verdict);
                let payload = if verdict.held_out() {
                    Payload::of_decision_with_state(asked.id, &facts)
                } else {
                    Payload::of_decision(asked.id, &facts)
                };
                let toss = toss_day.map(|day| Payload::of_toss(asked.id, day));
                let toss_bytes = toss.as_ref().map_or(0, |toss| toss.bytes().len());
                let records = 1 + usize::from(toss.is_some());
                let Some(room) = log.room(Use::Show, records, payload.bytes().len() + toss_bytes) else {
                    return false;
                };
                Some((room, payload, toss))
            }
        };
        toss_day.into_iter().for_each(|day| customer.set_explored_day(day));
        if verdict.held_out()
            && let Some(campaign) = asked.slot(verdict).and_then(|slot| asked.campaigns.campaign(slot))
        {
            self.count_shown(asked, customer, asked.unshown, campaign.clone());
        }
        if let Some((mut room, payload, toss)) = recorded {
            toss.into_iter().chain([payload]).for_each(|payload| {
                room.publish(&payload, 0);
            });
        }
        true
    }

    /// Logs a decision that shows nothing, with the customer's shard locked.
    #[inline]
    pub(super) fn log_unshown(
        &self,
        asked: &Asked<'_>,
        customer: &mut Customer,
        live: &[Live],
        verdict: &Verdict,
    ) {
        if self.log.get().is_some() {
            self.log_decision(asked.id, &asked.facts(self, customer, live, verdict));
        }
    }

    /// The local day of the toss that was made, if one was.
    fn toss_day(&self, asked: &Asked<'_>, verdict: &Verdict) -> Option<u16> {
        let Asked { campaigns, now_ms, .. } = asked;
        verdict.tossed().then(|| campaigns.hours.toss_day(&campaigns.plan, *now_ms))
    }

    /// Counts an ad that takes a place in the caps.
    fn count_shown(&self, asked: &Asked<'_>, customer: &mut Customer, id: DecisionId, campaign: Id) {
        let bounds = asked.campaigns.bounds(self.settings.window.plays);
        let time = Time::from_unix_ms(asked.now_ms);
        let grown = customer.count_decided_impression(id, campaign, time, &bounds);
        self.counters.add_bytes(grown);
    }
}
