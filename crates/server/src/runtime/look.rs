//! Looking at a data directory that a server uses meanwhile.
//!
//! Such a server makes, renames and removes files and writes on in the last one. What is opened can be read to the end all the same,
//! and where the log has grown reading goes on. What is left are instants between listing the files and opening them: a finding is
//! looked at again, and what stays is damage.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use upbeat_journal::disk::ReadOnlyDisk;

/// How often a directory that a server uses is looked at before a finding counts.
pub const LOOKS: u32 = 5;

/// Between two looks; it gets longer with each.
const PAUSE: Duration = Duration::from_millis(50);

/// Has `look` look at what a directory holds now; again until the result is sound by `is_sound` or has been looked at `looks` times.
/// Returns what was found and the files in which it was. It blocks.
///
/// # Errors
/// Those of the last look.
pub fn look<T, E: From<io::Error>>(
    directory: &Path,
    looks: u32,
    is_sound: impl Fn(&T) -> bool,
    mut look: impl FnMut(&Arc<ReadOnlyDisk>) -> Result<T, E>,
) -> Result<(T, Arc<ReadOnlyDisk>), E> {
    let mut once = || {
        let disk = Arc::new(ReadOnlyDisk::new(directory)?);
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
