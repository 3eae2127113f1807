//! The campaigns that run: a document, compiled for the policy, with every version of it that there was.
//!
//! The log owns them: a version is published before a decision is made by it, and recovery begins with the last. An id of a
//! campaign has a number for ever, its slot, by which records name it; so ids of decisions that a former campaign gave, and
//! what is held of it, keep their meaning.

mod changes;
mod kept;
mod parse;
mod slots;
mod text;

use std::sync::{Arc, MutexGuard, PoisonError};

use arc_swap::Guard;
use sha2::{Digest, Sha256};
use upbeat_core::campaign::{Document, Plan, Planned, Served, Slot};
use upbeat_core::event::Id;
use upbeat_core::profile::Bounds;

pub(crate) use kept::Versions;
use kept::named_models;
pub use kept::{KeptCampaigns, NamedModel};
pub use parse::{Invalid, MAX_BYTES, parse};
pub use slots::MOST_SLOTS;
pub(crate) use slots::Slots;

use crate::decide::Hours;
use crate::decision_ids::IdKey;
use crate::{Engine, ModelId};

/// How many versions are kept in the history.
pub const MOST_VERSIONS: usize = 1_000;

/// Who changed the campaigns where a file did: its digest is compared at the next start.
pub const FILE: &str = "file";

/// Who made a version where decisions named one of which nothing else was left after a loss of power.
pub const RECOVERY: &str = "recovery";

/// The longest name of whoever changes campaigns, in bytes.
pub const MAX_WHO: usize = 200;

/// The name of the model that the server was started with.
pub const DEFAULT_MODEL: &str = "default";

/// The SHA-256 of a document's text.
#[must_use]
pub fn digest(toml: &str) -> [u8; 32] {
    Sha256::digest(toml.as_bytes()).into()
}

/// Campaigns that are to run.
#[derive(Debug, Clone)]
pub struct NewCampaigns {
    /// The text, as [`parse`] reads it.
    pub toml: String,
    /// What it says.
    pub document: Document,
    /// Who changes it: [`FILE`], or a name.
    pub who: String,
    /// The models that it names; those that are served already need not be among them.
    pub models: Vec<Served>,
}

impl NewCampaigns {
    /// A document without a text of its own, and without models.
    #[must_use]
    pub fn of(document: Document, who: &str) -> Self {
        let toml = text::of(&document);
        Self { toml, document, who: who.to_owned(), models: Vec::new() }
    }
}

/// Why campaigns were not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSet {
    /// The document is wrong.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The log takes nothing at the moment.
    #[error(
        "the campaigns cannot be recorded at the moment: the log is full or has failed; send them again later"
    )]
    LogUnavailable,
    /// One record of the log does not take the document: its bytes, and how many it takes.
    #[error("the document takes {0} bytes of the log, whose records have {1} at most; shorten its texts")]
    TooLarge(usize, usize),
}

/// A version of the campaigns, as the history has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignVersion {
    /// Its number, from 1.
    pub version: u64,
    /// When it came, by the wall clock, in Unix milliseconds; 0 where nobody said.
    pub time_ms: i64,
    /// Who made it: [`FILE`], or a name.
    pub who: String,
    /// What it changed, as in `gold-one-day: paused false → true`.
    pub changed: Vec<String>,
    /// The SHA-256 of its text.
    pub digest: [u8; 32],
}

/// The campaigns that run at a moment.
#[derive(Debug)]
pub struct Current {
    /// The version, from 1.
    pub version: u64,
    /// The text.
    pub toml: Arc<str>,
    /// The SHA-256 of the text.
    pub digest: [u8; 32],
    /// What it says.
    pub document: Arc<Document>,
    /// The same, compiled.
    pub plan: Plan,
    pub(crate) slots: Arc<Slots>,
    /// The ids of the plan's models, as answers carry them.
    pub(crate) models: Box<[ModelId]>,
    pub(crate) hours: Hours,
}

impl Current {
    fn new(version: u64, toml: Arc<str>, document: Arc<Document>, plan: Plan, slots: Arc<Slots>) -> Self {
        let models = plan.models.iter().map(|served| ModelId::new(&served.id)).collect();
        let hours = Hours::new(&document, &plan);
        Self { version, digest: digest(&toml), toml, document, plan, slots, models, hours }
    }

    /// The same, in which the campaign at this place in the plan runs alone.
    pub(crate) fn alone(&self, index: usize) -> Self {
        let place = self.plan.campaigns[index].place;
        let document =
            Document { campaign: vec![self.document.campaign[place].clone()], ..Document::default() };
        let mut plan = self.plan.alone(index);
        plan.campaigns.iter_mut().for_each(|planned| planned.place = 0);
        let Self { version, toml, slots, .. } = self;
        Self::new(*version, toml.clone(), Arc::new(document), plan, slots.clone())
    }

    /// How long what was shown, clicked or bought bears on decisions, in milliseconds.
    pub(crate) fn longest_period_ms(&self) -> i64 {
        let caps =
            self.plan.caps.iter().chain(self.plan.campaigns.iter().flat_map(|campaign| &campaign.caps));
        let cooldowns = self.plan.campaigns.iter().flat_map(|campaign| {
            let Planned {
                cooldown_after_impression_ms: impression,
                cooldown_after_click_ms: click,
                cooldown_after_upgrade_ms: upgrade,
                ..
            } = campaign;
            [*impression, *click, *upgrade]
        });
        caps.map(|cap| cap.period_ms).chain(cooldowns).max().unwrap_or(0)
    }

    /// What a profile keeps: each campaign that ever ran here has a history of its own.
    pub(crate) fn bounds(&self, plays: u32) -> Bounds<'_> {
        Bounds { plays: plays as usize, campaigns: self.slots.ids() }
    }

    /// The id of a campaign that runs or ran here, by its number.
    #[must_use]
    pub fn campaign(&self, slot: Slot) -> Option<&Id> {
        self.slots.id(slot)
    }
}

/// What `Engine` begins with: version 1.
pub(crate) fn beginning(new: NewCampaigns, wall_ms: i64, key: IdKey) -> Result<(Current, Versions), Invalid> {
    let NewCampaigns { toml, document, who, models } = new;
    let ids = slots_of(&[], &document)?;
    let slots = Arc::new(Slots::new(ids, key));
    let plan = Plan::new(&document, &slots.numbered(), &models)?;
    let file_digest = (who == FILE).then(|| digest(&toml));
    let current = Current::new(1, toml.into(), Arc::new(document), plan, slots);
    let changed = changes::between(&Document::default(), &current.document);
    let version = CampaignVersion { version: 1, time_ms: wall_ms, who, changed, digest: current.digest };
    let recorded = Some(named_models(&current.plan));
    let mut versions = Versions { file_digest, models, recorded, ..Versions::default() };
    versions.add(version);
    Ok((current, versions))
}

/// The ids that are known, and those of the document behind them.
fn slots_of(known: &[Id], document: &Document) -> Result<Vec<Id>, Invalid> {
    Slots::extended(known, document.campaign.iter().map(|campaign| &campaign.id)).ok_or_else(|| Invalid {
        path: "campaign".to_owned(),
        line: None,
        reason: format!(
            "with the new ids more than {MOST_SLOTS} campaigns would have run on this data directory, each of which is \
             kept apart for ever; use an id again"
        ),
    })
}

impl Engine {
    /// The campaigns that run.
    #[must_use]
    pub fn campaigns(&self) -> Arc<Current> {
        self.campaigns.load_full()
    }

    /// The same without a count of references, for the time of one answer.
    #[must_use]
    pub fn running(&self) -> Guard<Arc<Current>> {
        self.campaigns.load()
    }

    /// The versions of the campaigns, oldest first: the last [`MOST_VERSIONS`] of them.
    #[must_use]
    pub fn campaign_history(&self) -> Vec<CampaignVersion> {
        self.versions().history.iter().cloned().collect()
    }

    /// The digest of the last text that came from a file; a file of another digest makes a new version.
    #[must_use]
    pub fn campaign_file_digest(&self) -> Option<[u8; 32]> {
        self.versions().file_digest
    }

    fn versions(&self) -> MutexGuard<'_, Versions> {
        // What panicked under it has stored nothing yet.
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the log has it that the version which runs decides by these models, each under its name.
    #[must_use]
    pub fn has_recorded(&self, models: &[Served]) -> bool {
        self.versions().has_recorded(models)
    }

    /// What all campaigns mean that give this name, but for those for which another model was promoted.
    #[must_use]
    pub fn served(&self, name: &str) -> Option<Served> {
        let versions = self.versions();
        versions.models.iter().find(|served| served.only.is_none() && served.name == name).cloned()
    }

    /// Compiles the present campaigns with a model that was promoted for one of them, and changes nothing.
    ///
    /// # Errors
    /// The campaign asks more of the model than it can judge.
    pub fn try_model(&self, model: &Served) -> Result<(), Invalid> {
        let current = self.campaigns();
        let models = self.versions().with_promoted(std::slice::from_ref(model));
        let plan = Plan::new(&current.document, &current.slots.numbered(), &models);
        plan.map(drop).map_err(|invalid| Invalid::within(invalid, &current.toml))
    }

    /// Runs other campaigns from now on; returns the number of the version. A text that is the present one, with the present models,
    /// makes no new version unless it is the first from a file. Models that were promoted for one campaign serve it as long as they are
    /// among those that are given. `wall_ms` in Unix milliseconds.
    ///
    /// # Errors
    /// The document is wrong, names a model that is not there, or cannot be recorded; the present campaigns stay.
    pub fn set_campaigns(&self, new: NewCampaigns, wall_ms: i64) -> Result<u64, NotSet> {
        let NewCampaigns { toml, document, who, models } = new;
        document.check().map_err(|invalid| Invalid::within(invalid, &toml))?;
        let versions = self.versions();
        let file_digest = if who == FILE { Some(digest(&toml)) } else { versions.file_digest };
        let models = versions.with(&models);
        let next = Next { toml: toml.into(), document: Arc::new(document), file_digest, who, models };
        self.run(versions, next, wall_ms)
    }

    /// Has the present campaigns decide by these models from now on, each in place of the one of its name; returns the number of the
    /// version. It is a new one where a model that a campaign names is another. Models that were promoted for one campaign serve it as
    /// long as they are among those that are given. `wall_ms` in Unix milliseconds.
    ///
    /// # Errors
    /// A campaign asks more of one than it can judge, or the change cannot be recorded; the present models stay.
    pub fn set_models(&self, models: &[Served], who: &str, wall_ms: i64) -> Result<u64, NotSet> {
        let versions = self.versions();
        let current = self.campaigns.load_full();
        let next = Next {
            toml: current.toml.clone(),
            document: current.document.clone(),
            file_digest: versions.file_digest,
            who: who.to_owned(),
            models: versions.with(models),
        };
        self.run(versions, next, wall_ms)
    }

    /// Runs what is next, as a new version where it is another than the last.
    fn run(&self, mut versions: MutexGuard<'_, Versions>, next: Next, wall_ms: i64) -> Result<u64, NotSet> {
        let Next { toml, document, file_digest, who, models } = next;
        let current = self.campaigns.load_full();
        let digest = digest(&toml);
        let ids = slots_of(current.slots.ids(), &document)?;
        let slots = Arc::new(Slots::new(ids, self.decision_ids.key()));
        let plan = Plan::new(&document, &slots.numbered(), &models)
            .map_err(|invalid| Invalid::within(invalid, &toml))?;
        let named = named_models(&plan);
        // What an earlier program recorded without its models is taken to have had these.
        let before = versions.recorded.as_ref().unwrap_or(&named);
        let is_same = digest == current.digest && file_digest == versions.file_digest && *before == named;
        let mut number = current.version;
        if !is_same {
            number += 1;
            let (earlier, later) = ((&*current.document, before.as_slice()), (&*document, named.as_slice()));
            let mut changed = changes::of_models(earlier, later);
            changed.extend(changes::of_promoted(earlier, later));
            changed.extend(changes::between(&current.document, &document));
            let who = shortened(who, MAX_WHO);
            let version = CampaignVersion { version: number, time_ms: wall_ms, who, changed, digest };
            let (toml, slots) = (toml.clone(), slots.ids().to_vec());
            let kept = KeptCampaigns { version, toml, file_digest, slots, models: Some(named.clone()) };
            self.publish_campaigns(&kept)?;
            // What finds no room is set by the next tick.
            let _ = self.accounts.configure(self.log(), &plan, Some(self.now_ms(wall_ms)));
            versions.add(kept.version);
        }
        self.note_default(&models);
        (versions.models, versions.file_digest, versions.recorded) = (models, file_digest, Some(named));
        self.campaigns.store(Arc::new(Current::new(number, toml, document, plan, slots)));
        Ok(number)
    }

    /// Serves the models that a process begins with, each in place of the one of its name, without a new version of the campaigns:
    /// the next change is compared with what the log has.
    ///
    /// # Errors
    /// A campaign asks more of one than it can judge; the present models stay.
    pub fn serve_models(&self, models: &[Served]) -> Result<(), Invalid> {
        let mut versions = self.versions();
        let current = self.campaigns.load_full();
        let models = versions.with_promoted(models);
        let plan = Plan::new(&current.document, &current.slots.numbered(), &models)
            .map_err(|invalid| Invalid::within(invalid, &current.toml))?;
        if self.log.get().is_none() {
            versions.recorded = Some(named_models(&plan));
        }
        let Current { version, toml, document, slots, .. } = &*current;
        let next = Current::new(*version, toml.clone(), document.clone(), plan, slots.clone());
        self.note_default(&models);
        versions.models = models;
        self.campaigns.store(Arc::new(next));
        Ok(())
    }
}

/// What is to run next.
struct Next {
    toml: Arc<str>,
    document: Arc<Document>,
    file_digest: Option<[u8; 32]>,
    who: String,
    /// All that are served then.
    models: Vec<Served>,
}

/// A text of so many bytes at most.
fn shortened(mut text: String, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    text
}

#[cfg(all(test, not(feature = "loom")))]
mod tests;
