//! What became of ads that were shown: an ad is held back until its confirmation, its void and its click are known or late.

use std::collections::{HashMap, VecDeque};

use upbeat_core::event::{ClickOf, DecisionId, Event, EventKind, Id, ImpressionOf};

use crate::rows::Row;

/// So much longer than a click may take an ad is held back: events come late.
const GRACE_MS: i64 = 3_600_000;

/// The most ads that are held back: some 300 bytes each. Beyond them the oldest are taken for known.
const MOST_HELD: usize = 1 << 20;

/// Whether an event is before a decision, in whole seconds, as the server compares them: senders often leave out what is finer.
fn is_before(event_ms: i64, decision_ms: i64) -> bool {
    event_ms < decision_ms.div_euclid(1000) * 1000
}

/// Ads that are held back.
pub(crate) struct Outcomes {
    attribution_ms: i64,
    /// Now, by the newest decision.
    now_ms: i64,
    held: HashMap<DecisionId, Row>,
    /// In the order in which they were shown.
    order: VecDeque<(i64, DecisionId)>,
    /// Those of a customer, the newest last.
    by_customer: HashMap<Id, Vec<DecisionId>>,
}

impl Outcomes {
    /// A click counts so long after its ad was shown.
    pub(crate) fn new(attribution_ms: i64) -> Self {
        Self {
            attribution_ms,
            now_ms: i64::MIN,
            held: HashMap::new(),
            order: VecDeque::new(),
            by_customer: HashMap::new(),
        }
    }

    /// Notes that it is this time at least.
    pub(crate) fn advance(&mut self, time_ms: i64) {
        self.now_ms = self.now_ms.max(time_ms);
    }

    /// Holds back an ad that was shown.
    pub(crate) fn show(&mut self, row: Row) {
        let (id, time_ms, customer) = (row.id, row.time_ms, row.customer.clone());
        if self.held.insert(id, row).is_none() {
            self.order.push_back((time_ms, id));
            self.by_customer.entry(customer).or_default().push(id);
        }
    }

    /// Notes what an event says of an ad. `ad_of` gives the ad of a campaign.
    pub(crate) fn event(&mut self, event: &Event, ad_of: impl Fn(&Id) -> Option<Id>) {
        let ms = event.time.unix_ms;
        let of_customer = |shown: &&mut Row| shown.customer == event.customer;
        match &event.kind {
            EventKind::Impression(ImpressionOf::Decision(id)) => {
                let shown = self.held.get_mut(id).filter(of_customer);
                shown.into_iter().for_each(|shown| shown.is_confirmed = true);
            }
            EventKind::Void { decision } => {
                let shown = self.held.get_mut(decision).filter(of_customer);
                shown.into_iter().for_each(|shown| shown.was_voided = true);
            }
            EventKind::Click { of: ClickOf::Decision { decision, .. } } => {
                let within = self.attribution_ms;
                let shown = self.held.get_mut(decision).filter(of_customer);
                // One of a time before its ad is of it all the same: the decision says so, and clocks differ.
                let shown = shown.filter(|shown| ms - shown.time_ms <= within);
                shown.into_iter().for_each(|shown| shown.is_clicked = true);
            }
            EventKind::Click { of: ClickOf::Ad(ad) } => {
                let Some(ids) = self.by_customer.get(&event.customer) else { return };
                let is_it = |id: &&DecisionId| {
                    self.held.get(id).is_some_and(|shown| {
                        let campaign = shown.campaign.as_ref();
                        !shown.is_clicked
                            && !is_before(ms, shown.time_ms)
                            && ms - shown.time_ms <= self.attribution_ms
                            && campaign.and_then(&ad_of).as_ref() == Some(ad)
                    })
                };
                if let Some(shown) = ids.iter().rev().find(is_it).and_then(|id| self.held.get_mut(id)) {
                    shown.is_clicked = true;
                }
            }
            _ => {}
        }
    }

    /// The oldest that is held back, if what became of it is known.
    pub(crate) fn next_known(&mut self) -> Option<Row> {
        let (time_ms, id) = *self.order.front()?;
        let known_ms = time_ms.saturating_add(self.attribution_ms).saturating_add(GRACE_MS);
        if self.now_ms <= known_ms && self.order.len() <= MOST_HELD {
            return None;
        }
        self.order.pop_front();
        self.take(id)
    }

    fn take(&mut self, id: DecisionId) -> Option<Row> {
        let mut shown = self.held.remove(&id)?;
        shown.is_mature = self.now_ms > shown.time_ms.saturating_add(self.attribution_ms);
        let customer = &shown.customer;
        if let Some(of) = self.by_customer.get_mut(customer) {
            of.retain(|other| *other != id);
            if of.is_empty() {
                self.by_customer.remove(customer);
            }
        }
        Some(shown)
    }

    /// All that is held back, the oldest first.
    pub(crate) fn rest(&mut self) -> Vec<Row> {
        let order = std::mem::take(&mut self.order);
        order.into_iter().filter_map(|(_, id)| self.take(id)).collect()
    }
}
