//! The numbers of campaigns' ids, and the keys of their decisions.

use upbeat_core::campaign::Slot;
use upbeat_core::event::Id;

use crate::decision_ids::IdKey;

/// The most ids of campaigns in the life of a directory: a number is never given again.
pub const MOST_SLOTS: usize = 1_000;

/// Every id of a campaign that ever ran here, by its number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slots {
    ids: Vec<Id>,
    /// The keys of their decisions' ids.
    keys: Vec<IdKey>,
}

impl Slots {
    /// The slots of these ids, in their order, whose decisions' ids have keys of this one.
    pub fn new(ids: Vec<Id>, key: IdKey) -> Self {
        let keys = ids.iter().map(|id| key.of_campaign(id)).collect();
        Self { ids, keys }
    }

    /// These ids, and behind them those of `more` that are new; `None` beyond [`MOST_SLOTS`].
    pub fn extended<'a>(ids: &[Id], more: impl Iterator<Item = &'a Id>) -> Option<Vec<Id>> {
        let mut all = ids.to_vec();
        for id in more {
            if !all.contains(id) {
                all.push(id.clone());
            }
        }
        (all.len() <= MOST_SLOTS).then_some(all)
    }

    /// Makes `ids` those of so many numbers: names stand for campaigns of which nothing but the numbers is left.
    pub fn fill(ids: &mut Vec<Id>, numbers: usize) {
        for number in ids.len()..numbers.min(MOST_SLOTS) {
            ids.push(Id::Text(format!("unrecorded:{number}").into()));
        }
    }

    /// All ids, by their numbers.
    pub fn ids(&self) -> &[Id] {
        &self.ids
    }

    /// Each id with its number.
    pub fn numbered(&self) -> Vec<(Id, Slot)> {
        // There are few enough for the number.
        self.ids.iter().zip(0..).map(|(id, number)| (id.clone(), Slot(number))).collect()
    }

    /// The id of this number.
    pub fn id(&self, slot: Slot) -> Option<&Id> {
        self.ids.get(usize::from(slot.0))
    }

    /// The key of the decisions of a campaign.
    pub fn key(&self, slot: Slot) -> IdKey {
        self.keys[usize::from(slot.0)]
    }

    /// Each number with its key.
    pub fn keys(&self) -> impl Iterator<Item = (Slot, IdKey)> {
        self.keys.iter().zip(0..).map(|(key, number)| (Slot(number), *key))
    }
}
