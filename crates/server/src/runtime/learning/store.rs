//! The registry's file, and the models that it names: beside the copies of all that were served, in the data directory and in backups.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use upbeat_core::campaign::{Document, Served};
use upbeat_core::event::Id;
use upbeat_core::model::label;
use upbeat_core::profile::Window;
use upbeat_learn::registry::Registry;
use upbeat_svm::Model;

use super::super::app::App;
use super::super::campaigns::{KEPT, KeepError, keep_file, names_of};
use super::super::model::{LoadError, read_copy};
use super::super::ordinary_file::read_at_most;

/// Its name.
const FILE: &str = "registry.json";

/// The form of it: a version of the program that knows another refuses it, and says so.
const FORMAT: u32 = 1;

/// The most bytes of it: a thousand campaigns with every model that is kept of each.
const MOST_BYTES: u64 = 256 << 20;

/// Why the registry of models cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: the registry of models cannot be read: {error}; put it back from a backup, or remove it: then campaigns are served by the \
     models that they name, and what was promoted over them is not in force any more", path.display()
)]
pub struct RegistryError {
    path: PathBuf,
    error: io::Error,
}

/// Reads the registry of a data directory; an empty one where there is none.
///
/// # Errors
/// It is there and cannot be read, or is none.
pub(in crate::runtime) fn read(data_dir: &Path) -> Result<Registry, RegistryError> {
    let path = data_dir.join(KEPT).join(FILE);
    let parsed = match read_at_most(&path, MOST_BYTES) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Registry::default()),
        Err(error) => Err(error),
        Ok(bytes) => parse(&bytes),
    };
    parsed.map_err(|error| RegistryError { path, error })
}

/// The registry as its file has it.
#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    registry: &'a Registry,
}

fn written(registry: &Registry) -> Vec<u8> {
    serde_json::to_vec(&Written { format: FORMAT, registry }).unwrap_or_default()
}

fn parse(bytes: &[u8]) -> io::Result<Registry> {
    /// What every form of it has.
    #[derive(Deserialize)]
    struct Any {
        format: u32,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Read {
        #[serde(rename = "format")]
        _format: u32,
        registry: Registry,
    }
    let Any { format } = serde_json::from_slice(bytes)?;
    if format != FORMAT {
        let what = format!(
            "it has format {format}, and this version of upbeat reads {FORMAT}: start the version that has written it"
        );
        return Err(io::Error::new(ErrorKind::InvalidData, what));
    }
    let Read { registry, .. } = serde_json::from_slice(bytes)?;
    Ok(registry)
}

/// The models that were promoted for campaigns of a document and are in force, as they are served; and those that cannot be: the
/// campaign, and why. `present` are served already.
pub(in crate::runtime) fn promoted(
    registry: &Registry,
    (document, data_dir, window): (&Document, &Path, Window),
    present: &[Served],
) -> (Vec<Served>, Vec<(Id, LoadError)>) {
    let (mut served, mut failed) = (Vec::new(), Vec::new());
    for campaign in &document.campaign {
        let Some(promoted) = registry.promoted(&campaign.id, &campaign.model) else { continue };
        if let Some(known) = present.iter().find(|known| known.id == promoted.id) {
            served.push(Served {
                name: campaign.model.clone(),
                only: Some(campaign.id.clone()),
                ..known.clone()
            });
            continue;
        }
        match read_copy(&path_of(data_dir, &promoted.id), &promoted.id, window) {
            Ok(model) => served.push(serving(&campaign.model, Arc::new(model)).only_for(campaign.id.clone())),
            Err(error) => failed.push((campaign.id.clone(), error)),
        }
    }
    (served, failed)
}

/// A model as it is served under a name.
pub(super) fn serving(name: &str, model: Arc<Model>) -> Served {
    Served::new(name, model.id().to_owned(), label(&model), model)
}

/// Where the model of this id lies, which is one of the form that ids have.
pub(super) fn path_of(data_dir: &Path, id: &str) -> PathBuf {
    data_dir.join(KEPT).join(format!("{id}.json"))
}

/// Whether a text is of the form of a model's id, and so names a file of models and no other.
pub(crate) fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl App {
    /// Goes on with the registry of the data directory.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub(in crate::runtime) fn begin_registry(&self) -> Result<(), RegistryError> {
        let Some(kept) = self.kept() else { return Ok(()) };
        self.learning().state().registry = read(&kept.data_dir)?;
        Ok(())
    }

    /// Makes this the registry, durably where something is kept, and forgets what is beyond its bounds. To be called under the lock of
    /// the campaigns.
    ///
    /// # Errors
    /// The disk failed: the former one stays.
    pub(super) fn commit(&self, mut next: Registry) -> Result<(), KeepError> {
        let forgotten = next.trim();
        {
            let state = self.learning().state();
            if next == state.registry && !state.is_unwritten {
                return Ok(());
            }
        }
        if let Some(kept) = self.kept() {
            keep_file(&kept.data_dir, FILE, &written(&next))?;
            self.remove_models(&kept.data_dir, &forgotten);
        }
        let mut state = self.learning().state();
        forgotten.iter().for_each(|id| drop(state.models.remove(id)));
        (state.registry, state.is_unwritten) = (next, false);
        Ok(())
    }

    /// Writes what [`App::see_models`] took in. To be called under the lock of the campaigns.
    ///
    /// # Errors
    /// The disk failed: what is in force is in force, and the next change writes it.
    pub(in crate::runtime) fn write_registry(&self) -> Result<(), KeepError> {
        self.commit(self.learning().registry())
    }

    /// Removes the files of models that have never decided and are known no more, but for one that a campaign's name means.
    fn remove_models(&self, data_dir: &Path, forgotten: &[String]) {
        if forgotten.is_empty() {
            return;
        }
        let named: BTreeSet<_> = names_of(data_dir).into_values().collect();
        let current = self.engine.campaigns();
        let is_used =
            |id: &String| named.contains(id) || current.plan.models.iter().any(|served| served.id == *id);
        for id in forgotten.iter().filter(|id| !is_used(id)) {
            // One that stays takes a little space, and nothing else.
            if let Err(error) = std::fs::remove_file(path_of(data_dir, id)) {
                tracing::debug!(model = id, %error, "the file of a model that nothing names stays");
            }
        }
    }
}
