//! The campaigns that a log knows, over all their versions.

use std::collections::HashMap;

use upbeat_core::campaign::{Document, Share, Threshold};
use upbeat_core::event::Id;
use upbeat_engine::{Entry, campaigns};

/// What a version says of a campaign, as far as it decides what a row is worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// What an impression costs, in micro-units.
    pub cost_micro: i64,
    /// What a click is worth, in micro-units.
    pub value_micro: i64,
    /// From which score on it is shown.
    pub threshold: Threshold,
    /// The probability that a customer is in a holdout of the campaign, its own or that over all.
    pub held_out: f64,
    /// The zone of its schedule, by its IANA name.
    pub time_zone: String,
}

impl Terms {
    /// The probability of a click at which a show earns what it costs; `None` where a click is worth nothing, or a show costs nothing.
    #[must_use]
    pub fn break_even(&self) -> Option<f64> {
        let of = self.cost_micro as f64 / self.value_micro as f64;
        (self.cost_micro > 0 && self.value_micro > 0).then_some(of)
    }

    /// Thresholds that are worth comparing: multiples of the break-even probability, to six decimals, below 1.
    #[must_use]
    pub fn thresholds(&self) -> Vec<f64> {
        let Some(middle) = self.break_even() else { return vec![0.01, 0.02, 0.05, 0.1, 0.2, 0.5] };
        let multiples = [0.25, 0.5, 1.0, 2.0, 4.0].map(|factor| (middle * factor * 1e6).round() / 1e6);
        multiples.into_iter().filter(|threshold| (1e-6..1.0).contains(threshold)).collect()
    }
}

/// The campaigns that the log knows.
#[derive(Debug, Default)]
pub struct Campaigns {
    /// Ids by slot.
    slots: Vec<Id>,
    /// The ad of each campaign, as the newest version that has the campaign says.
    ads: HashMap<Id, (u64, Id)>,
    /// By campaign, the versions that changed its terms, ascending.
    terms: HashMap<Id, Vec<(u64, Terms)>>,
    /// The currency of the newest version.
    currency: Option<String>,
    /// The newest version.
    newest: u64,
}

impl Campaigns {
    /// Notes what a record says of them.
    pub fn note(&mut self, entry: &Entry) {
        match entry {
            Entry::Started(started) => {
                // A version that ran one campaign.
                if let Some(campaign) = &started.campaign {
                    if self.slots.is_empty() {
                        self.slots.push(campaign.id.clone());
                    }
                    self.document(0, &campaign.document());
                }
            }
            Entry::Campaigns(kept) => {
                // Slots are for ever, and those of a later version are more.
                if kept.slots.len() >= self.slots.len() {
                    self.slots.clone_from(&kept.slots);
                }
                if let Ok(document) = campaigns::parse(&kept.toml) {
                    self.document(kept.version.version, &document);
                }
            }
            _ => {}
        }
    }

    fn document(&mut self, version: u64, document: &Document) {
        if version >= self.newest {
            (self.newest, self.currency) = (version, document.currency.clone());
        }
        for campaign in &document.campaign {
            let ad = self.ads.entry(campaign.id.clone()).or_insert_with(|| (version, campaign.ad.clone()));
            if version >= ad.0 {
                *ad = (version, campaign.ad.clone());
            }
            let share = |share| Share::of(share).value();
            let terms = Terms {
                cost_micro: campaign.impression_cost.micro(),
                value_micro: campaign.click_value.micro(),
                threshold: campaign.threshold,
                held_out: 1.0 - (1.0 - share(document.holdout_all)) * (1.0 - share(campaign.holdout)),
                time_zone: campaign.time_zone.clone(),
            };
            let of = self.terms.entry(campaign.id.clone()).or_default();
            let place = of.partition_point(|(other, _)| *other <= version);
            if place.checked_sub(1).is_none_or(|before| of[before].1 != terms) {
                of.insert(place, (version, terms));
            }
        }
    }

    /// The id of a slot; one that nothing names any more is told by its number.
    #[must_use]
    pub fn id(&self, slot: u16) -> Id {
        self.slots.get(usize::from(slot)).cloned().unwrap_or(Id::Number(slot.into()))
    }

    /// The ids of all slots, in their order.
    #[must_use]
    pub fn ids(&self) -> &[Id] {
        &self.slots
    }

    /// The ad of a campaign.
    #[must_use]
    pub fn ad(&self, campaign: &Id) -> Option<&Id> {
        self.ads.get(campaign).map(|(_, ad)| ad)
    }

    /// What a version says of a campaign; of one that the log has no longer, what the oldest says that it has.
    #[must_use]
    pub fn terms(&self, campaign: &Id, version: u64) -> Option<&Terms> {
        let of = self.terms.get(campaign)?;
        let place = of.partition_point(|(other, _)| *other <= version);
        of.get(place.saturating_sub(1)).map(|(_, terms)| terms)
    }

    /// What a version says of a campaign; `None` where the log has that version no longer.
    #[must_use]
    pub fn terms_of(&self, campaign: &Id, version: u64) -> Option<&Terms> {
        let of = self.terms.get(campaign)?;
        of.first().filter(|(oldest, _)| *oldest <= version)?;
        self.terms(campaign, version)
    }

    /// What the newest version says that has the campaign.
    #[must_use]
    pub fn newest_terms(&self, campaign: &Id) -> Option<&Terms> {
        self.terms(campaign, u64::MAX)
    }

    /// The currency of all money, three capital letters, if the newest version names one.
    #[must_use]
    pub fn currency(&self) -> Option<&str> {
        self.currency.as_deref()
    }
}
