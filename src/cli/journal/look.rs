//! Looking at a data directory, which a server may use meanwhile.
//!
//! Such a server makes, renames and removes files and writes on in the last one. What is opened can be read to the end all the same,
//! and where the log has grown reading goes on. What is left are instants between listing the files and opening them: a finding is
//! looked at again, and what stays is damage.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use upbeat_journal::disk::ReadOnlyDisk;

use super::usage::Usage;

/// How often a directory that a server uses is looked at before a finding counts.
const LOOKS: u32 = 5;

/// Between two looks; it gets longer with each.
const PAUSE: Duration = Duration::from_millis(50);

/// Has `look` look at what a directory holds now; again, where a server uses it, until the result is sound by `is_sound` or has been
/// looked at five times. Returns what was found and the files in which it was.
///
/// # Errors
/// Those of the last look.
pub(crate) fn look<T>(
    directory: &Path,
    usage: &Usage,
    is_sound: impl Fn(&T) -> bool,
    mut look: impl FnMut(&Arc<ReadOnlyDisk>) -> anyhow::Result<T>,
) -> anyhow::Result<(T, Arc<ReadOnlyDisk>)> {
    // All files are open at once.
    upbeat_server::runtime::raise_limit(usize::MAX);
    let looks = if usage.process().is_some() { LOOKS } else { 1 };
    let mut once = || {
        let disk = ReadOnlyDisk::new(directory).with_context(|| directory.display().to_string())?;
        let disk = Arc::new(disk);
        Ok((look(&disk)?, disk))
    };
    for number in 1..looks {
        match once() {
            Ok((found, disk)) if is_sound(&found) => return Ok((found, disk)),
            _ => std::thread::sleep(PAUSE * number),
        }
    }
    once()
}

/// What is said of a directory that a server uses.
pub(crate) fn note(directory: &Path, usage: &Usage) -> Option<String> {
    let (name, process) = (directory.display(), usage.process()?);
    Some(format!("{name}: process {process} uses it: what it is about to write is not looked at"))
}
