//! Looking at a data directory, which a server may use meanwhile.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use upbeat_journal::disk::ReadOnlyDisk;
use upbeat_server::runtime;

use super::usage::Usage;

/// Has `look` look at what a directory holds now; several times, where a server uses it, until the result is sound by `is_sound`.
/// Returns what was found and the files in which it was.
///
/// # Errors
/// Those of the last look.
pub(crate) fn look<T>(
    directory: &Path,
    usage: &Usage,
    is_sound: impl Fn(&T) -> bool,
    look: impl FnMut(&Arc<ReadOnlyDisk>) -> anyhow::Result<T>,
) -> anyhow::Result<(T, Arc<ReadOnlyDisk>)> {
    // All files are open at once.
    runtime::raise_limit(usize::MAX);
    let looks = if usage.process().is_some() { runtime::LOOKS } else { 1 };
    runtime::look(directory, looks, is_sound, look).with_context(|| directory.display().to_string())
}

/// What is said of a directory that a server uses.
pub(crate) fn note(directory: &Path, usage: &Usage) -> Option<String> {
    let (name, process) = (directory.display(), usage.process()?);
    Some(format!("{name}: process {process} uses it: what it is about to write is not looked at"))
}
