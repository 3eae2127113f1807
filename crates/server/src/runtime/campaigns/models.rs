//! The models that campaigns name: files beside the campaigns, models that ship, and copies in the data directory of all that were
//! served, so that what was decided by one can be told for as long as the decision is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use upbeat_core::campaign::{Document, Served};
use upbeat_core::model::{label, serving_notes, window};
use upbeat_engine::campaigns::DEFAULT_MODEL;
use upbeat_svm::Model;

use super::super::model::{LoadError, load_model, of_bytes, read_copy, read_model};
use super::source;
use crate::config::Config;
use crate::runtime::ordinary_file::is_there;
use crate::runtime::shipped::shipped_model;

/// The directory of copies, in the data directory.
pub(in crate::runtime) const KEPT: &str = "models";

/// Which of them was served last from a file of campaigns' models, by the file's name.
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

/// The models of a document.
#[derive(Debug)]
pub(super) struct Found {
    /// All of them.
    pub(super) served: Vec<Served>,
    /// The ids of those that come from a file of their own, by name: these names mean their copies once the files are gone.
    own: Names,
}

/// Why a model is not served.
#[derive(Debug)]
pub(super) struct NotFound {
    /// The name that campaigns give.
    pub(super) name: String,
    /// What is wrong with it.
    pub(super) error: LoadError,
}

/// Reads the models that a document names, and the one that `serve` was started with; a campaign whose model is nowhere is refused
/// when the document is compiled. A file that is gone takes nothing back: the copy of what was served from it last is served, also
/// under the name of a model that ships.
///
/// # Errors
/// A file cannot be read, is no model, or cannot be served with this window.
pub(super) fn named(config: &Config, document: &Document) -> Result<Found, NotFound> {
    let named = document.campaign.iter().map(|campaign| campaign.model.as_str());
    let names: BTreeSet<&str> = named.chain([DEFAULT_MODEL]).collect();
    let directory = source::models(config);
    let (mut served, mut own) = (Vec::with_capacity(names.len()), Names::new());
    for name in names {
        let found = find(config, directory.as_deref(), name);
        let found = found.map_err(|error| NotFound { name: name.to_owned(), error })?;
        let Some((model, is_own)) = found else { continue };
        let (id, label) = (model.id().to_owned(), label(&model));
        if is_own {
            own.insert(name.to_owned(), id.clone());
        }
        served.push(Served::new(name, id, label, Arc::new(model)));
    }
    Ok(Found { served, own })
}

/// The model of a name, and whether it comes from a file of its own; `None` where there is none.
fn find(config: &Config, directory: Option<&Path>, name: &str) -> Result<Option<(Model, bool)>, LoadError> {
    if name == DEFAULT_MODEL {
        return Ok(load_model(&config.model, config.window)?.map(|model| (model, false)));
    }
    let own =
        |path: &Path| read_model(&path.display().to_string(), config.window).map(|model| Some((model, true)));
    let path = directory.map(|directory| directory.join(format!("{name}.json")));
    if let Some(path) = path.filter(|path| is_there(path)) {
        return own(&path);
    }
    if let Some((id, copy)) = (!config.in_memory).then(|| copy_of(&config.data_dir, name)).flatten() {
        tracing::warn!(model = name, copy = %copy.display(), "the file of a model is gone: its copy is served");
        return read_copy(&copy, &id, config.window).map(|model| Some((model, true)));
    }
    let Some(bytes) = shipped_model(name) else { return Ok(None) };
    of_bytes(&format!("the shipped model {name}"), bytes, config.window).map(|model| Some((model, false)))
}

/// Says in the log of models that tell no listener from another, or whose solver did not converge, that they do not.
pub(in crate::runtime) fn note<'a>(models: impl IntoIterator<Item = &'a Served>) {
    for Served { name, model, .. } in models {
        for note in serving_notes(model) {
            tracing::warn!(name, model = model.id(), "{note}");
        }
    }
}

/// The ids of the models that were served last from the files of these names.
pub(in crate::runtime) type Names = BTreeMap<String, String>;

/// Copies models into the data directory, each once under its id, and notes which copy a name means once its file is gone; durably,
/// before one of them decides. What was noted before: it is to be noted again if they are refused.
///
/// # Errors
/// The disk failed: the file, and what the system said.
pub(super) fn keep(data_dir: &Path, found: &Found) -> Result<Names, KeepError> {
    let before = names(data_dir);
    if found.served.is_empty() {
        return Ok(before);
    }
    let directory = directory(data_dir)?;
    for Served { id, model, .. } in &found.served {
        put_copy(&directory.join(format!("{id}.json")), model)?;
    }
    sync(&directory)?;
    let mut names = before.clone();
    names.extend(found.own.clone());
    note_names(data_dir, &names)?;
    Ok(before)
}

/// The directory of copies, which is made where it is not there.
fn directory(data_dir: &Path) -> Result<PathBuf, KeepError> {
    let directory = data_dir.join(KEPT);
    match DirBuilder::new().mode(0o700).create(&directory) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(KeepError { path: directory, error }),
        Ok(()) => sync(data_dir)?,
    }
    Ok(directory)
}

/// Puts a file beside the copies, at once and durably.
///
/// # Errors
/// The disk failed: the file, and what the system said.
pub(in crate::runtime) fn keep_file(data_dir: &Path, name: &str, bytes: &[u8]) -> Result<(), KeepError> {
    let directory = directory(data_dir)?;
    put(&directory.join(name), bytes)?;
    sync(&directory)
}

/// Puts a model beside the copies under its id, at once and durably.
///
/// # Errors
/// The disk failed: the file, and what the system said.
pub(in crate::runtime) fn keep_model(data_dir: &Path, model: &Model) -> Result<(), KeepError> {
    let directory = directory(data_dir)?;
    put_copy(&directory.join(format!("{}.json", model.id())), model)?;
    sync(&directory)
}

/// Puts the copy of a model in place, unless it is there and whole: one that is damaged would be all that a later start has.
fn put_copy(path: &Path, model: &Model) -> Result<(), KeepError> {
    if read_copy(path, model.id(), window(model).unwrap_or_default()).is_ok() {
        return Ok(());
    }
    put(path, &model.to_bytes())
}

/// Notes which copy a name means once its file is gone.
///
/// # Errors
/// The disk failed: the file, and what the system said.
pub(super) fn note_names(data_dir: &Path, noted: &Names) -> Result<(), KeepError> {
    if names(data_dir) == *noted {
        return Ok(());
    }
    let directory = data_dir.join(KEPT);
    put(&directory.join(NAMES), &serde_json::to_vec(noted).unwrap_or_default())?;
    sync(&directory)
}

/// The ids of the models that were served last from files, by the files' names.
pub(in crate::runtime) fn names(data_dir: &Path) -> Names {
    let bytes = fs::read(data_dir.join(KEPT).join(NAMES)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// The id of the model that was served last from the file of a name, and its copy.
fn copy_of(data_dir: &Path, name: &str) -> Option<(String, PathBuf)> {
    let id = names(data_dir).remove(name)?;
    let path = data_dir.join(KEPT).join(format!("{id}.json"));
    path.exists().then_some((id, path))
}

/// Puts a file in place at once: under its name it is whole, whenever the process ends.
fn put(path: &Path, bytes: &[u8]) -> Result<(), KeepError> {
    let partial = path.with_extension("partial");
    let done = write(&partial, bytes).and_then(|()| fs::rename(&partial, path));
    if done.is_err() {
        // What a full disk has taken of it would only keep it full.
        let _ = fs::remove_file(&partial);
    }
    done.map_err(at(path))
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
#[error("{}: cannot be written: {error}", path.display())]
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
        let names = |found: Found| found.served.into_iter().map(|served| served.name).collect::<Vec<_>>();
        assert_eq!(names(found().expect("models")), ["default"], "there is none of this name");
        fs::write(&file, shipped().to_bytes()).expect("a file");
        let models = found().expect("models");
        let before = keep(&config.data_dir, &models).expect("they are kept");
        keep(&config.data_dir, &models).expect("and once more");
        assert_eq!(names(models), ["default", "mine"]);
        fs::write(&file, "no model").expect("a file");
        let NotFound { name, error } = found().expect_err("it is no model");
        assert!(name == "mine" && error.to_string().contains("mine.json"), "{error}");
        fs::remove_file(&file).expect("a file");
        assert_eq!(names(found().expect("models")), ["default", "mine"]);
        note_names(&config.data_dir, &before).expect("it was refused");
        assert_eq!(names(found().expect("models")), ["default"]);
    }
}
