//! The model that the configuration names: the built-in model, a file, or none.

use std::io;
use std::path::Path;

use upbeat_core::model::{ServingError, check_serving, read, serving_notes};
use upbeat_core::profile::Window;
use upbeat_engine::{Engine, ModelId};
use upbeat_svm::{Model, ModelError};

use super::ordinary_file::read_at_most;

/// The model that ships inside the binary.
pub(super) const BUILT_IN_MODEL: &[u8] = include_bytes!("../../../../model/default.json");

/// At most this many bytes of a model file are read: one more than [`Model::read`] accepts, so that a longer file is refused.
const MAX_MODEL_BYTES: u64 = (64 << 20) + 1;

/// Why the configured model is not served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{name}: cannot be read: {error}")]
    Io {
        /// The model's name in messages.
        name: String,
        /// The error of the system.
        error: io::Error,
    },
    /// The file is not a valid model.
    #[error("{name}: {error}")]
    Model {
        /// The model's name in messages.
        name: String,
        /// What is wrong with it.
        error: ModelError,
    },
    /// The model cannot be served here.
    #[error("{name}: {error}")]
    Serving {
        /// The model's name in messages.
        name: String,
        /// The reason, and how to fix it.
        error: ServingError,
    },
    /// The file of a model is that of another.
    #[error("{name}: the file is damaged: it is that of the model {id}")]
    Other {
        /// The model's name in messages.
        name: String,
        /// The model that is in it.
        id: String,
    },
    /// No model file is configured.
    #[error("model = \"none\": there is no file to read again")]
    NoFile,
}

/// Reads the model of this name, as in the configuration: `none`, empty for the built-in model, otherwise a file's
/// path. At most 64 MiB are read.
///
/// # Errors
/// The file cannot be read, is not a valid model, or cannot be served with this window.
pub fn load_model(name: &str, window: Window) -> Result<Option<Model>, LoadError> {
    match name {
        "none" => Ok(None),
        "" => of_bytes(&display_name(name), BUILT_IN_MODEL, window).map(Some),
        path => read_model(path, window).map(Some),
    }
}

/// Reads the model in a file.
///
/// # Errors
/// As for [`load_model`].
pub(super) fn read_model(path: &str, window: Window) -> Result<Model, LoadError> {
    of_bytes(&display_name(path), &read_file(path)?, window)
}

/// Reads the copy of a model from a path: it must be the model of this id.
///
/// # Errors
/// As for [`load_model`], and it is another model.
pub(super) fn read_copy(path: &Path, id: &str, window: Window) -> Result<Model, LoadError> {
    let path = path.display().to_string();
    let model = read_model(&path, window)?;
    if model.id() != id {
        return Err(LoadError::Other { name: display_name(&path), id: model.id().to_owned() });
    }
    Ok(model)
}

/// The model in these bytes, with its name in messages.
///
/// # Errors
/// As for [`load_model`].
pub(super) fn of_bytes(name: &str, bytes: &[u8], window: Window) -> Result<Model, LoadError> {
    let name = || name.to_owned();
    let model = read(bytes).map_err(|error| LoadError::Model { name: name(), error })?;
    check_serving(&model, window).map_err(|error| LoadError::Serving { name: name(), error })?;
    Ok(model)
}

/// Serves the model of this name from now on; returns its id, or `None` for `none`. The log says of a model that tells
/// no listener from another that it does not, and of one whose solver did not converge that it has not.
///
/// # Errors
/// As for [`load_model`]; the present model stays.
pub(crate) fn serve_model(engine: &Engine, name: &str) -> Result<Option<ModelId>, LoadError> {
    let Some(model) = load_model(name, engine.settings().window)? else { return Ok(None) };
    for note in serving_notes(&model) {
        tracing::warn!(model = model.id(), "{note}");
    }
    engine.promote(model).map_err(|error| LoadError::Serving { name: display_name(name), error })?;
    Ok(engine.champion().map(|champion| champion.id))
}

fn read_file(path: &str) -> Result<Vec<u8>, LoadError> {
    read_at_most(Path::new(path), MAX_MODEL_BYTES)
        .map_err(|error| LoadError::Io { name: display_name(path), error })
}

/// The name of a configured model in messages.
fn display_name(name: &str) -> String {
    if name.is_empty() { "the built-in model".to_owned() } else { format!("model {name}") }
}
