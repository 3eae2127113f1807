//! Decisions as a directory has them, and what became of them.

use std::cell::Cell;
use std::sync::Arc;

use upbeat_core::encoding::DecodeError;
use upbeat_journal::disk::Disk;
use upbeat_journal::snapshot::find;
use upbeat_journal::{Start, oldest};

use super::OpenError;
use super::dump::{dump_log, head_of};
use crate::log::{Entry, kind};

/// Gives what the log has of decisions and of their customers to `visit`, with its positions, in their order: decisions, where these
/// are wanted, and events but plays of the usual form, deletions, beginnings and campaigns. The first event of all is given whatever it
/// is: decisions before it are older than what the log still has of events. Before the log it gives the campaigns of
/// the newest sound snapshot, at position 0. Returns the watermark: where a process uses the directory, some records at higher
/// positions were not there yet. Changes nothing, and takes the same memory however long the log is.
///
/// # Errors
/// The directory cannot be read, or `visit` refused: see [`OpenError`].
pub fn decisions<D: Disk>(
    disk: &Arc<D>,
    with_decisions: bool,
    visit: &mut dyn FnMut(u64, Entry) -> Result<(), String>,
) -> Result<u64, OpenError> {
    read(disk, with_decisions, false, visit)
}

/// As [`decisions`] with decisions, and with all plays and evictions: of whoever was evicted no play counts that came before.
///
/// # Errors
/// As those of [`decisions`].
pub fn decisions_and_plays<D: Disk>(
    disk: &Arc<D>,
    visit: &mut dyn FnMut(u64, Entry) -> Result<(), String>,
) -> Result<u64, OpenError> {
    read(disk, true, true, visit)
}

fn read<D: Disk>(
    disk: &Arc<D>,
    with_decisions: bool,
    with_plays: bool,
    visit: &mut dyn FnMut(u64, Entry) -> Result<(), String>,
) -> Result<u64, OpenError> {
    let mut start = Start { reached: 1, ..oldest(&**disk).map_err(upbeat_journal::OpenError::from)? };
    if let Some(snapshot) = find(Arc::clone(disk))?.newest {
        start.reached = snapshot.reached();
        if let Some(campaigns) = head_of(&snapshot)?.campaigns {
            let refused =
                |refused| OpenError::Record { position: 0, error: DecodeError::bad("an entry", refused) };
            visit(0, Entry::Campaigns(Box::new(campaigns))).map_err(refused)?;
        }
    }
    let has_event = Cell::new(false);
    let is_wanted = |kind: u16, _: &[u8]| {
        Ok(match kind {
            kind::EVENT | kind::USUAL_PLAY if !has_event.replace(true) => true,
            kind::USUAL_PLAY | kind::EVICTED => with_plays,
            kind::LAST_EVENT | kind::TRACK | kind::MONEY => false,
            kind::DECIDED | kind::DECIDED_STATE | kind::SHOWN | kind::ANSWERED | kind::SHOWN_IN_PLAN => {
                with_decisions
            }
            _ => true,
        })
    };
    dump_log(&**disk, start, &is_wanted, &mut |position, entry| visit(position.unwrap_or_default(), entry))
}
