//! What a first reading of a log finds: what a second one makes rows with.

use std::collections::HashMap;

use upbeat_core::event::Id;
use upbeat_core::profile::Window;
use upbeat_engine::storage::ErasedCustomers;
use upbeat_engine::{Entry, ModelId};

use super::Campaigns;
use super::rows::decided;

/// What a first reading of a log found.
pub struct Found {
    /// Who was erased, and must not come out.
    pub erased: ErasedCustomers,
    /// The campaigns.
    pub campaigns: Campaigns,
    /// Records at and above this position are left out: some of them were not in the log yet.
    pub below: u64,
    /// The time of the newest decision, in Unix milliseconds, if decisions were read.
    pub newest_ms: Option<i64>,
    /// The window of the plays that features are made of, as the newest process had it.
    pub window: Option<Window>,
    /// The position of the first event that the log still has. Events and decisions are kept for lengths of their own: what became
    /// of ads that were shown before it is not known any more.
    pub first_event: Option<u64>,
    /// By slot, the model of the newest decision that names the campaign, if decisions were read; and when that was.
    models: HashMap<u16, (i64, ModelId)>,
}

impl Default for Found {
    /// What is found where there is nothing; no record is left out.
    fn default() -> Self {
        Self {
            erased: ErasedCustomers::default(),
            campaigns: Campaigns::default(),
            below: u64::MAX,
            newest_ms: None,
            window: None,
            first_event: None,
            models: HashMap::new(),
        }
    }
}

impl Found {
    /// Notes a record at its position; 0 is that of what the newest snapshot has.
    pub fn note(&mut self, position: u64, entry: &Entry) {
        self.erased.note(Some(position).filter(|position| *position > 0), entry);
        self.campaigns.note(entry);
        if let Entry::Event { .. } = entry {
            self.first_event = self.first_event.or(Some(position));
        }
        if let Entry::Started(started) = entry {
            self.window = Some(started.window);
        }
        let Some(facts) = decided(entry) else { return };
        self.newest_ms = self.newest_ms.max(Some(facts.time_ms));
        if let (Some(slot), Some(model)) = (facts.campaign, facts.model) {
            let newest = self.models.entry(slot).or_insert((facts.time_ms, model));
            if newest.0 <= facts.time_ms {
                *newest = (facts.time_ms, model);
            }
        }
    }

    /// Whether a record of this customer may come out.
    #[must_use]
    pub fn is_kept(&self, position: u64, customer: &Id) -> bool {
        position < self.below && !self.erased.covers(Some(position), customer)
    }

    /// Whether the log still has the events that came after the record at this position.
    #[must_use]
    pub fn has_events_after(&self, position: u64) -> bool {
        self.first_event.is_some_and(|first| first <= position)
    }

    /// The model that decided for a campaign last.
    #[must_use]
    pub fn champion(&self, slot: u16) -> Option<ModelId> {
        self.models.get(&slot).map(|(_, model)| *model)
    }
}
