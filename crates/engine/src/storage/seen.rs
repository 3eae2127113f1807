//! What reading a directory has seen of numbers that are given once: of decisions, of campaigns and of their versions.

use upbeat_core::campaign::Slot;
use upbeat_core::event::Id;

use crate::campaigns::{CampaignVersion, KeptCampaigns, RECOVERY, Slots};
use crate::decision_ids::{IdKey, NextNumbers};
use crate::log::{Coins, Facts, Started};

/// What is known of the ids of decisions that were given.
#[derive(Debug, Default)]
pub(super) struct SeenIds {
    /// Above all numbers that were seen or leased.
    pub next: NextNumbers,
    /// The key, if a process has begun.
    pub key: Option<IdKey>,
    /// The ids of the campaigns that ran in versions that ran one.
    pub campaigns: Vec<Id>,
    /// The last version of the campaigns.
    pub kept: Option<KeptCampaigns>,
    /// The versions before it.
    pub versions: Vec<CampaignVersion>,
    /// What records name of campaigns.
    pub named: Named,
}

/// What records name of campaigns: where it is more than what a version says of itself, that version was lost with the power.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Above all numbers of campaigns.
    slots: usize,
    /// The highest version, and when a decision was made by it first, by the engine's clock.
    version: u64,
    version_ms: i64,
}

impl Named {
    pub fn slot(&mut self, slot: u16) {
        self.slots = self.slots.max(usize::from(slot) + 1);
    }

    pub fn facts(&mut self, facts: &Facts<'_>) {
        if facts.version > self.version {
            (self.version, self.version_ms) = (facts.version, facts.time_ms);
        }
        facts.campaign.into_iter().for_each(|slot| self.slot(slot));
        match &facts.coins {
            Coins::None => {}
            Coins::Pacing(of) => of.iter().for_each(|(slot, _)| self.slot(*slot)),
            Coins::Exploration(of) => of.iter().for_each(|(slot, _)| self.slot(*slot)),
        }
    }
}

impl SeenIds {
    /// Where records name a version of the campaigns, or a campaign, that a loss of power took: makes a new version of the last
    /// that is left, above all that are named, so that no number means two things. Whether it did.
    pub fn replace_lost_version(&mut self) -> bool {
        let Some(kept) = &mut self.kept else { return false };
        let Named { slots, version, version_ms } = self.named;
        if slots <= kept.slots.len() && version <= kept.version.version {
            return false;
        }
        Slots::fill(&mut kept.slots, slots);
        let time_ms = version_ms.max(kept.version.time_ms);
        let version = version.max(kept.version.version) + 1;
        let lost = format!(
            "a version after {} was lost with the power, but for what was decided by it",
            kept.version.version
        );
        let (who, changed) = (RECOVERY.to_owned(), vec![lost]);
        let next = CampaignVersion { version, time_ms, who, changed, digest: kept.version.digest };
        self.versions.push(std::mem::replace(&mut kept.version, next));
        true
    }

    /// A process began with this.
    pub fn start(&mut self, started: &Started) {
        self.key = Some(started.id_key);
        if let Some(campaign) = &started.campaign
            && !self.campaigns.contains(&campaign.id)
        {
            self.campaigns.push(campaign.id.clone());
        }
    }

    /// The number of a campaign's id.
    pub fn slot_of(&self, campaign: &Id) -> Option<Slot> {
        let slots = self.kept.as_ref().map_or(&self.campaigns, |kept| &kept.slots);
        let place = slots.iter().position(|id| id == campaign)?;
        u16::try_from(place).ok().map(Slot)
    }

    /// This version of the campaigns ran. A copy of the engine may have a later one than a record that comes again.
    pub fn run(&mut self, kept: &KeptCampaigns) {
        match &mut self.kept {
            Some(later) if later.version.version >= kept.version.version => {}
            Some(former) => {
                self.versions.push(former.version.clone());
                former.clone_from(kept);
            }
            none => *none = Some(kept.clone()),
        }
    }
}
