//! The campaigns that run: taken from their file at a start and at SIGHUP, and over HTTP, all or nothing.
//!
//! The log owns them. A file whose digest is another than that of the last file taken becomes a new version; an unchanged file
//! never undoes what was put over HTTP.

mod models;
mod source;

use std::sync::Arc;

use tokio::runtime::Handle;
use upbeat_core::campaign::{self, Document, Plan, Served, Single, Slot};
use upbeat_engine::campaigns::{Current, DEFAULT_MODEL, FILE, Invalid, NewCampaigns, NotSet, digest, parse};

pub use source::SourceError;
use source::{Source, is_of_table, text_of};

use super::app::App;
use super::learning::{self, RegistryError};
use super::model::LoadError;
use crate::api::{Kind, Place, Problem};
use crate::config::Config;
pub(super) use models::note;
use models::{Found, NotFound};
pub(super) use models::{KEPT, file_of_backup, files_for_backup, keep_file, keep_model, names as names_of};
pub use models::{KeepError, is_model_copy};

/// Why campaigns are not taken; the present ones stay.
#[derive(Debug, thiserror::Error)]
pub enum CampaignsError {
    /// Their file, or the `[campaign]` table, is not good.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A model that they name is not good.
    #[error(transparent)]
    Model(#[from] LoadError),
    /// A model that they name cannot be kept.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// Nobody knows which models were promoted.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// They ask more of a model than it can judge, or cannot be recorded.
    #[error("campaigns {name}: {error}")]
    NotSet {
        /// Their name in messages.
        name: String,
        /// Why.
        error: NotSet,
    },
}

/// Reads the campaigns of a configuration with their models, for a server that begins with them.
///
/// # Errors
/// The file, or a model, is not good.
pub fn load_campaigns(config: &Config) -> Result<NewCampaigns, CampaignsError> {
    let Source { toml, document, name, .. } = Source::read(config)?;
    let mut models = models::named(config, &document).map_err(|not_found| not_found.error)?.served;
    models::note(models.iter().filter(|served| served.name != DEFAULT_MODEL));
    if !config.in_memory {
        // One that cannot be read is told of once the directory is taken, which says first what is wrong with all of it.
        let registry = learning::read_registry(&config.data_dir).unwrap_or_default();
        let of = (&document, &*config.data_dir, config.window);
        // One that is gone is told of once its promotion is over.
        models.extend(learning::promoted(&registry, of, &[]).0);
    }
    let slots: Vec<_> =
        document.campaign.iter().map(|campaign| campaign.id.clone()).zip((0..).map(Slot)).collect();
    if let Err(invalid) = Plan::new(&document, &slots, &models) {
        let error = NotSet::Invalid(Invalid::within(invalid, &toml));
        return Err(CampaignsError::NotSet { name, error });
    }
    Ok(NewCampaigns { toml, document, who: FILE.to_owned(), models })
}

/// The campaign of a `[campaign]` table that [`Single::validate`] accepts, without its model.
pub(super) fn of_table(table: &Single) -> NewCampaigns {
    NewCampaigns {
        toml: text_of(table),
        document: table.document(),
        who: FILE.to_owned(),
        models: Vec::new(),
    }
}

/// The tag of a version of the campaigns, with its quotes.
pub(crate) fn tag(current: &Current) -> String {
    let half: String = current.digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{half}\"")
}

/// What a reload has come to.
#[derive(Debug)]
pub(super) struct Reloaded {
    /// The models that are served.
    pub(super) models: Vec<Served>,
    /// The version that runs.
    pub(super) version: u64,
    /// What it changes, if it is a new one.
    pub(super) changed: Option<Vec<String>>,
}

impl App {
    /// Takes the file of campaigns if it has changed since the last one was taken, and reads their models again. Blocks for as long
    /// as files are read and written.
    ///
    /// # Errors
    /// Something is not good: everything stays as it is.
    pub(super) fn take_file_of_campaigns(&self) -> Result<Reloaded, CampaignsError> {
        let _alone = self.one_change_of_campaigns();
        let Source { toml, document, name, is_default } = Source::read(&self.config)?;
        let before = self.engine.campaigns();
        // A file that is gone takes nothing back: what it said, or was put over it, stays in force.
        let is_gone = is_default && !is_of_table(&before.toml);
        let is_other = !is_gone && self.engine.campaign_file_digest() != Some(digest(&toml));
        let (document, name) = match is_other {
            true => (document, name),
            false => (Document::clone(&before.document), format!("version {}, which runs", before.version)),
        };
        let found = models::named(&self.config, &document).map_err(|not_found| not_found.error)?;
        let mut models = found.served.clone();
        models.extend(self.promoted_models(&document));
        let set = self.keep_and_set(&found, || {
            if is_other {
                let new = NewCampaigns { toml, document, who: FILE.to_owned(), models };
                self.engine.set_campaigns(new, self.wall_ms())
            } else {
                let who = self.promoted_before(&before, &models);
                self.engine.set_models(&models, who.as_deref().unwrap_or(FILE), self.wall_ms())
            }
        })?;
        let version = set.map_err(|error| CampaignsError::NotSet { name, error })?;
        self.see_models();
        self.write_registry()?;
        let last = self.engine.campaign_history().pop().filter(|last| last.version != before.version);
        Ok(Reloaded { models: found.served, version, changed: last.map(|last| last.changed) })
    }

    /// Replaces the campaigns, if `condition` holds of the tag of those that run. Gives the version that runs once it is durable.
    ///
    /// # Errors
    /// The problem to answer with; unless it is that nobody knows whether they are durable, the present campaigns stay.
    pub(crate) async fn put_campaigns(
        self: Arc<Self>,
        toml: String,
        who: String,
        condition: impl FnOnce(&Current) -> Result<(), Problem> + Send + 'static,
    ) -> Result<Arc<Current>, Problem> {
        let this = Arc::clone(&self);
        let put = move || {
            // Between the look at the tag and the change nobody else changes anything.
            let _alone = this.one_change_of_campaigns();
            condition(&this.engine.campaigns())?;
            let current = this.put_document(toml, who)?;
            this.see_models();
            // What ends with the document ends once the document is durable.
            Handle::current().block_on(this.durable())?;
            this.write_registry().map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
            Ok(current)
        };
        let put = tokio::task::spawn_blocking(put).await;
        put.map_err(|error| Problem::new(Kind::Internal, error.to_string()))?
    }

    fn put_document(&self, toml: String, who: String) -> Result<Arc<Current>, Problem> {
        let document = parse(&toml).map_err(refused)?;
        let found = models::named(&self.config, &document).map_err(|NotFound { name, error }| {
            // The model that `serve` was started with may be named by none of them.
            let place = document.campaign.iter().position(|campaign| campaign.model == name);
            let path = place.map_or_else(|| "model".to_owned(), |place| format!("campaign[{place}].model"));
            refused(Invalid::within(campaign::Invalid { path, reason: error.to_string() }, &toml))
        })?;
        let mut models = found.served.clone();
        models.extend(self.promoted_models(&document));
        let new = NewCampaigns { toml, document, who, models };
        let set = self.keep_and_set(&found, || self.engine.set_campaigns(new, self.wall_ms()));
        match set.map_err(|error| Problem::new(Kind::Internal, error.to_string()))? {
            Ok(_) => Ok(self.engine.campaigns()),
            Err(NotSet::Invalid(invalid)) => Err(refused(invalid)),
            Err(error @ NotSet::TooLarge(..)) => Err(Problem::new(Kind::BodyTooLarge, error.to_string())),
            Err(error @ NotSet::LogUnavailable) => Err(Problem::new(Kind::LogUnavailable, error.to_string())),
        }
    }

    /// Keeps models, and has them decide; where they are refused, names mean the copies of before.
    fn keep_and_set(
        &self,
        found: &Found,
        set: impl FnOnce() -> Result<u64, NotSet>,
    ) -> Result<Result<u64, NotSet>, KeepError> {
        let Some(kept) = self.kept() else { return Ok(set()) };
        let before = models::keep(&kept.data_dir, found)?;
        let set = set();
        if set.is_err() {
            models::note_names(&kept.data_dir, &before)?;
        }
        Ok(set)
    }
}

fn refused(invalid: Invalid) -> Problem {
    let Invalid { path, line, reason } = invalid;
    Problem::new(Kind::InvalidCampaigns, format!("{path}: {reason}")).at(Place { path, line })
}
