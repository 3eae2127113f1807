//! The models that decisions name, by which their scores are computed again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use upbeat_core::feature::Counts;
use upbeat_engine::ModelId;
use upbeat_server::runtime::model_in_binary;
use upbeat_svm::{Model, Scorer};

/// The directory of a data directory in which a server keeps every model that a decision names.
const KEPT: &str = "models";

/// The beginning of their names in a backup, which has no directories.
const IN_BACKUP: &str = "model-";

/// Models by id, each read once.
pub(crate) struct Models {
    directory: PathBuf,
    known: BTreeMap<String, Option<Scorer>>,
    missing: BTreeMap<String, u64>,
}

impl Models {
    /// Those that are kept in a data directory, or in a backup.
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self { directory: data_dir.to_owned(), known: BTreeMap::new(), missing: BTreeMap::new() }
    }

    /// Score and probability of these counts by this model; `None` where it is not there, which is counted, or there are no plays.
    pub(crate) fn score(&mut self, model: ModelId, counts: &Counts) -> Option<(f64, Option<f64>)> {
        let vector = counts.vector()?;
        let directory = &self.directory;
        let id = model.as_str();
        let scorer = self
            .known
            .entry(id.to_owned())
            .or_insert_with(|| read(directory, id).map(|model| Scorer::new(&model)));
        let Some(scorer) = scorer else {
            *self.missing.entry(id.to_owned()).or_default() += 1;
            return None;
        };
        let score = scorer.score(&vector);
        Some((score, scorer.probability(score)))
    }

    /// The model itself; `None` where it is not there.
    pub(crate) fn model(&self, model: ModelId) -> Option<Model> {
        read(&self.directory, model.as_str())
    }

    /// Models that were not there, and how many decisions name them.
    pub(crate) fn missing(&self) -> impl Iterator<Item = (&String, &u64)> {
        self.missing.iter()
    }
}

/// The model of this id, from the directory or of those in the program. A file of another content than its name says is none.
fn read(directory: &Path, id: &str) -> Option<Model> {
    let kept = |directory: &Path, beginning: &str| {
        let entries = std::fs::read_dir(directory).ok()?;
        let is_it = |path: &PathBuf| {
            path.extension().is_some_and(|ending| ending == "json")
                && path.file_stem().is_some_and(|stem| {
                    stem.to_string_lossy().strip_prefix(beginning).is_some_and(|stem| stem.starts_with(id))
                })
        };
        let path = entries.map_while(Result::ok).map(|entry| entry.path()).find(is_it)?;
        upbeat_core::model::read(&std::fs::read(path).ok()?).ok()
    };
    let is_it = |model: &Model| ModelId::new(model.id()).as_str() == id;
    let in_program = || upbeat_core::model::read(model_in_binary(id)?).ok();
    let model = kept(&directory.join(KEPT), "").filter(is_it);
    let model = model.or_else(|| kept(directory, IN_BACKUP).filter(is_it));
    model.or_else(|| in_program().filter(is_it))
}
