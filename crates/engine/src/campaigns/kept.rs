//! What is kept of campaigns: in the log each version before a decision is made by it, in snapshots the last one and the list of
//! those before.

use std::collections::VecDeque;
use std::sync::Arc;

use upbeat_core::campaign::{Plan, Served};
use upbeat_core::event::Id;

use super::{CampaignVersion, Current, Invalid, MOST_VERSIONS, NotSet, Slots, parse, slots_of};
use crate::log::{Payload, Use};
use crate::{Engine, ModelId};

/// What stands between the campaign and the name in the name of a model that was promoted for one: neither has one itself.
const ONLY: char = '/';

/// A model by which campaigns decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedModel {
    /// The name that campaigns give; where the model was promoted for one campaign, its id and `/` come before.
    pub name: String,
    /// The id that decisions carry.
    pub id: ModelId,
}

impl NamedModel {
    fn of(served: &Served) -> Self {
        let name = match &served.only {
            Some(campaign) => format!("{campaign}{ONLY}{}", served.name),
            None => served.name.clone(),
        };
        Self { name, id: ModelId::new(&served.id) }
    }

    /// The name that campaigns give, behind the one campaign for which the model was promoted.
    pub(super) fn parts(&self) -> (Option<&str>, &str) {
        self.name.split_once(ONLY).map_or((None, &*self.name), |(campaign, name)| (Some(campaign), name))
    }
}

/// The models of a plan, in the order of their names.
pub(super) fn named_models(plan: &Plan) -> Vec<NamedModel> {
    let mut models: Vec<_> = plan.models.iter().map(NamedModel::of).collect();
    models.sort_by(|one, other| one.name.cmp(&other.name));
    models
}

/// What the log and snapshots keep of campaigns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCampaigns {
    /// The version that runs.
    pub version: CampaignVersion,
    /// The text.
    pub toml: Arc<str>,
    /// The digest of the last text that came from a file.
    pub file_digest: Option<[u8; 32]>,
    /// Every id of a campaign, by its number.
    pub slots: Vec<Id>,
    /// The models by which the version decides; `None` where the program that wrote it did not say.
    pub models: Option<Vec<NamedModel>>,
}

/// The versions, and what the next one is made with. Locked while campaigns change.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    pub(super) history: VecDeque<CampaignVersion>,
    pub(super) file_digest: Option<[u8; 32]>,
    /// The models that are served, by name.
    pub(super) models: Vec<Served>,
    /// The models of the last version, as the log has them. Those that a process finds at its start may be others.
    pub(super) recorded: Option<Vec<NamedModel>>,
}

impl Versions {
    /// With this version, the newest or an older one that a snapshot has.
    pub(super) fn add(&mut self, version: CampaignVersion) {
        let place = self.history.partition_point(|known| known.version < version.version);
        if self.history.get(place).is_none_or(|known| known.version != version.version) {
            self.history.insert(place, version);
        }
        if self.history.len() > MOST_VERSIONS {
            self.history.pop_front();
        }
    }

    /// These models and those of other names that are served. Of models that were promoted for one campaign only these.
    pub(super) fn with(&self, more: &[Served]) -> Vec<Served> {
        let stays = |served: &&Served| served.only.is_none() && !more.iter().any(|new| new.replaces(served));
        self.models.iter().filter(stays).chain(more).cloned().collect()
    }

    /// These models and all others that are served, also those that were promoted.
    pub(super) fn with_promoted(&self, more: &[Served]) -> Vec<Served> {
        let stays = |served: &&Served| served.only.is_some() && !more.iter().any(|new| new.replaces(served));
        let promoted = self.models.iter().filter(stays).cloned();
        self.with(&promoted.chain(more.iter().cloned()).collect::<Vec<_>>())
    }

    /// Whether the last version decides by these models, each under its name.
    pub(super) fn has_recorded(&self, models: &[Served]) -> bool {
        let recorded = self.recorded.as_deref().unwrap_or_default();
        models.iter().all(|served| recorded.contains(&NamedModel::of(served)))
    }
}

impl Engine {
    /// What the log and snapshots keep of the campaigns, and all versions before.
    pub(crate) fn kept_campaigns(&self) -> (KeptCampaigns, Vec<CampaignVersion>) {
        let versions = self.versions();
        let current = self.campaigns.load();
        let mut history: Vec<_> = versions.history.iter().cloned().collect();
        let version = history.pop().unwrap_or_else(|| CampaignVersion {
            version: current.version,
            time_ms: 0,
            who: String::new(),
            changed: Vec::new(),
            digest: current.digest,
        });
        let kept = KeptCampaigns {
            version,
            toml: current.toml.clone(),
            file_digest: versions.file_digest,
            slots: current.slots.ids().to_vec(),
            models: versions.recorded.clone(),
        };
        (kept, history)
    }

    /// Goes on with the campaigns of a directory, and with its key of decisions' ids. `kept` is `None` where none were kept:
    /// then `slots` are those of the campaigns that its processes began with, and this engine's own run.
    ///
    /// # Errors
    /// The text that was kept is no document that this version reads.
    pub(crate) fn adopt_campaigns(
        &self,
        kept: Option<KeptCampaigns>,
        slots: &[Id],
        history: Vec<CampaignVersion>,
    ) -> Result<(), Invalid> {
        let mut versions = self.versions();
        let current = self.campaigns.load_full();
        let key = self.decision_ids.key();
        let Some(KeptCampaigns { version, toml, file_digest, slots, models }) = kept else {
            let ids = slots_of(slots, &current.document)?;
            let slots = Arc::new(Slots::new(ids, key));
            let plan = Plan::recovered(&current.document, &slots.numbered(), &versions.models)?;
            let Current { version, toml, document, .. } = &*current;
            let next = Current::new(*version, toml.clone(), document.clone(), plan, slots);
            self.campaigns.store(Arc::new(next));
            return Ok(());
        };
        let document = parse::read(&toml)?;
        let slots = Arc::new(Slots::new(slots, key));
        let plan = Plan::recovered(&document, &slots.numbered(), &versions.models)?;
        let next = Current::new(version.version, toml, Arc::new(document), plan, slots);
        versions.history.clear();
        history.into_iter().chain([version]).for_each(|version| versions.add(version));
        (versions.file_digest, versions.recorded) = (file_digest, models);
        self.campaigns.store(Arc::new(next));
        Ok(())
    }

    /// Publishes a version, with the lock of the versions held, so that they are in the log in their order.
    pub(super) fn publish_campaigns(&self, kept: &KeptCampaigns) -> Result<(), NotSet> {
        let Some(log) = self.log.get() else { return Ok(()) };
        let payload = Payload::of_campaigns(kept);
        let (bytes, most) = (payload.bytes().len(), log.most_payload());
        if bytes > most {
            return Err(NotSet::TooLarge(bytes, most));
        }
        log.room(Use::Show, 1, bytes).ok_or(NotSet::LogUnavailable)?.publish(&payload, 0);
        Ok(())
    }
}
