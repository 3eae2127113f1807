//! What profiles were where the log that is left begins: for whoever makes them again from it.

use std::sync::Arc;

use upbeat_journal::disk::Disk;
use upbeat_journal::snapshot::find;
use upbeat_journal::{Start, oldest_whole};

use super::OpenError;
use super::dump::dump_snapshot;
use crate::log::Entry;

/// From where on profiles can be made again from a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfilesBefore {
    /// Records below this position are to be left out: what was given has them already.
    pub from: u64,
    /// Below this position profiles are not known: what was given may have records up to there. 0 where the log has all from its
    /// beginning on, and [`u64::MAX`] where nothing says what was before it.
    pub known_from: u64,
}

/// Gives what the newest sound snapshot has to `visit`, as [`dump`](super::dump()) does, where the log has lost its beginning, or events of it;
/// nothing where the log has all of them. Changes nothing, and takes the same memory however large the snapshot is.
///
/// # Errors
/// The directory cannot be read, or `visit` refused: see [`OpenError`].
pub fn profiles_before<D: Disk>(
    disk: &Arc<D>,
    visit: &mut dyn FnMut(Entry) -> Result<(), String>,
) -> Result<ProfilesBefore, OpenError> {
    let begins = oldest_whole(&**disk).map_err(upbeat_journal::OpenError::from)?.from;
    if begins <= Start::BEGINNING.from {
        return Ok(ProfilesBefore { from: 0, known_from: 0 });
    }
    let Some(snapshot) = find(Arc::clone(disk))?.newest else {
        return Ok(ProfilesBefore { from: 0, known_from: u64::MAX });
    };
    dump_snapshot(&snapshot, visit)?;
    Ok(ProfilesBefore { from: snapshot.from(), known_from: snapshot.reached() })
}
