//! The models that campaigns name: files beside the campaigns, models that ship, and copies in the data directory of all that were
//! served, so that what was decided by one can be told for as long as the decision is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use upbeat_core::campaign::{Document, Served};
use upbeat_core::model::{label, serving_notes};
use upbeat_engine::campaigns::DEFAULT_MODEL;
use upbeat_svm::Model;

use super::super::model::{LoadError, load_model, of_bytes, read_model};
use super::source;
use crate::config::Config;
use crate::runtime::shipped::shipped_model;

/// The directory of copies, in the data directory.
pub(in crate::runtime) const KEPT: &str = "models";

/// Under which name each of them was served last.
const NAMES: &str = "names.json";

/// What the name of such a copy begins with in a backup, which has no directories.
const BACKED_UP: &str = "model-";

/// Whether a file of a backup with this name is a copy of a model, or says under which names they are served.
#[must_use]
pub fn is_model_copy(name: &str) -> bool {
    file_of_backup(name).is_some()
}

/// The path in a data directory of a file of a backup that is a copy of a model.
pub(in crate::runtime) fn file_of_backup(name: &str) -> Option<PathBuf> {
    let file = name.strip_prefix(BACKED_UP)?;
    let stem = file.strip_suffix(".json")?;
    let is_id = (1..=64).contains(&stem.len()) && stem.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id.then(|| Path::new(KEPT).join(file))
}

/// The copies of models in a data directory: the path of each, and its name in a backup.
///
/// # Errors
/// The disk failed.
pub(in crate::runtime) fn files_for_backup(data_dir: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let entries = match fs::read_dir(data_dir.join(KEPT)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = format!("{BACKED_UP}{}", entry.file_name().to_string_lossy());
        if is_model_copy(&name) {
            files.push((entry.path(), name));
        }
    }
    files.sort();
    Ok(files)
}

/// Reads the models that a document names, and the one that `serve` was started with; a campaign whose model is nowhere is refused
/// when the document is compiled. The last resort is the copy of the model
/// that was served under a name before.
///
/// # Errors
/// A file cannot be read, is no model, or cannot be served with this window.
pub(super) fn named(config: &Config, document: &Document) -> Result<Vec<Served>, LoadError> {
    let named = document.campaign.iter().map(|campaign| campaign.model.as_str());
    let names: BTreeSet<&str> = named.chain([DEFAULT_MODEL]).collect();
    let directory = source::models(config);
    let mut models = Vec::with_capacity(names.len());
    for name in names {
        if let Some(model) = find(config, directory.as_deref(), name)? {
            models.push(served(name, model));
        }
    }
    Ok(models)
}

/// The model of a name; `None` where there is none.
fn find(config: &Config, directory: Option<&Path>, name: &str) -> Result<Option<Model>, LoadError> {
    if name == DEFAULT_MODEL {
        return load_model(&config.model, config.window);
    }
    let path = directory.map(|directory| directory.join(format!("{name}.json")));
    if let Some(path) = path.filter(|path| path.exists()) {
        return read_model(&path.display().to_string(), config.window).map(Some);
    }
    if let Some(bytes) = shipped_model(name) {
        return of_bytes(&format!("the shipped model {name}"), bytes, config.window).map(Some);
    }
    let copy = (!config.in_memory).then(|| copy_of(&config.data_dir, name)).flatten();
    let Some(path) = copy else { return Ok(None) };
    tracing::warn!(model = name, copy = %path.display(), "the file of a model is gone: its copy is served");
    read_model(&path.display().to_string(), config.window).map(Some)
}

fn served(name: &str, model: Model) -> Served {
    let (id, label) = (model.id().to_owned(), label(&model));
    Served::new(name, id, label, Arc::new(model))
}

/// Says in the log of models that tell no listener from another, or whose solver did not converge, that they do not.
pub(in crate::runtime) fn note<'a>(models: impl IntoIterator<Item = &'a Served>) {
    for Served { name, model, .. } in models {
        for note in serving_notes(model) {
            tracing::warn!(name, model = model.id(), "{note}");
        }
    }
}

/// Copies models into the data directory, each once under its id, durably, and notes under which names they are served.
///
/// # Errors
/// The disk failed: the file, and what the system said.
pub(super) fn keep(data_dir: &Path, models: &[Served]) -> Result<(), KeepError> {
    if models.is_empty() {
        return Ok(());
    }
    let directory = data_dir.join(KEPT);
    match DirBuilder::new().mode(0o700).create(&directory) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(KeepError { path: directory, error }),
        Ok(()) => sync(data_dir)?,
    }
    for Served { id, model, .. } in models {
        let path = directory.join(format!("{id}.json"));
        if !path.exists() {
            put(&path, &model.to_bytes())?;
        }
    }
    let before = names(data_dir);
    let mut names = before.clone();
    names.extend(models.iter().map(|served| (served.name.clone(), served.id.clone())));
    if names != before {
        put(&directory.join(NAMES), &serde_json::to_vec(&names).unwrap_or_default())?;
    }
    sync(&directory)
}

/// The ids of the models that were served last under each name.
fn names(data_dir: &Path) -> BTreeMap<String, String> {
    let bytes = fs::read(data_dir.join(KEPT).join(NAMES)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// The copy of the model that was served last under a name.
fn copy_of(data_dir: &Path, name: &str) -> Option<PathBuf> {
    let id = names(data_dir).remove(name)?;
    let path = data_dir.join(KEPT).join(format!("{id}.json"));
    path.exists().then_some(path)
}

/// Puts a file in place at once: under its name it is whole, whenever the process ends.
fn put(path: &Path, bytes: &[u8]) -> Result<(), KeepError> {
    let partial = path.with_extension("partial");
    write(&partial, bytes).and_then(|()| fs::rename(&partial, path)).map_err(at(path))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync(directory: &Path) -> Result<(), KeepError> {
    File::open(directory).and_then(|names| names.sync_all()).map_err(at(directory))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> KeepError {
    let path = path.to_owned();
    move |error| KeepError { path, error }
}

/// Why a model was not copied.
#[derive(Debug, thiserror::Error)]
#[error("{}: a model cannot be kept: {error}", path.display())]
pub struct KeepError {
    path: PathBuf,
    error: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Model {
        load_model("", Config::default().window).expect("a model").expect("the built-in model")
    }

    #[test]
    fn copy_of_a_model_is_served_once_its_file_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config {
            directory: Some(folder.path().to_owned()),
            data_dir: folder.path().join("data"),
            ..Config::default()
        };
        fs::create_dir_all(folder.path().join("data")).expect("a folder");
        fs::create_dir_all(folder.path().join("models")).expect("a folder");
        let file = folder.path().join("models/mine.json");
        let document =
            upbeat_engine::campaigns::parse("[[campaign]]\nid = \"a\"\nad = \"A\"\nmodel = \"mine\"\n");
        let document = document.expect("a document");
        let found = || named(&config, &document);
        let ids = |models: &[Served]| models.iter().map(|served| served.name.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&found().expect("models")), ["default"], "there is none of this name");
        fs::write(&file, shipped().to_bytes()).expect("a file");
        let models = found().expect("models");
        assert_eq!(ids(&models), ["default", "mine"]);
        keep(&config.data_dir, &models).expect("they are kept");
        keep(&config.data_dir, &models).expect("and once more");
        fs::write(&file, "no model").expect("a file");
        let refused = found().expect_err("it is no model").to_string();
        assert!(refused.contains("mine.json"), "{refused}");
        fs::remove_file(&file).expect("a file");
        assert_eq!(ids(&found().expect("models")), ["default", "mine"]);
    }
}
