//! What a directory has of one customer.

use std::sync::Arc;

use upbeat_core::event::{Event, Id};
use upbeat_journal::disk::Disk;
use upbeat_journal::snapshot::find;
use upbeat_journal::{Start, oldest, oldest_whole};

use super::OpenError;
use super::dump::{dump_log, dump_snapshot, last_started};
use crate::log::{Entry, customer_of, kind};
use crate::tombstones::DigestKey;

/// What a record of the log says of a customer.
#[derive(Debug, Clone, PartialEq)]
pub enum OfCustomer {
    /// An event.
    Event(Event),
    /// Everything before was erased.
    Erased,
}

/// The digest by which a tombstone names a customer; `None` where nothing says with which key.
///
/// # Errors
/// The directory cannot be read: see [`OpenError`].
pub fn digest_of<D: Disk>(disk: &Arc<D>, customer: &Id) -> Result<Option<[u8; 16]>, OpenError> {
    let started = last_started(Arc::clone(disk))?;
    Ok(started.map(|started| DigestKey::of(started.id_key).digest(customer.as_ref())))
}

/// Gives what the log has of a customer from a position on to `visit`, with its positions, in their order. 0 is the beginning of what
/// is there. `digest` is that of [`digest_of`]. Changes nothing, and takes the same memory however long the log is.
///
/// # Errors
/// The log cannot be read, or `visit` refused: see [`OpenError`].
pub fn log_of<D: Disk>(
    disk: &D,
    customer: &Id,
    digest: Option<[u8; 16]>,
    from: u64,
    visit: &mut dyn FnMut(u64, OfCustomer) -> Result<(), String>,
) -> Result<(), OpenError> {
    let begins = oldest(disk).map_err(upbeat_journal::OpenError::from)?.from;
    let start = Start { from: from.max(begins), reached: 1 };
    let is_of = |kind: u16, payload: &[u8]| {
        Ok(kind == kind::TOMBSTONE || customer_of(kind, payload)?.is_some_and(|id| id == customer.as_ref()))
    };
    let mut visit = |position: Option<u64>, entry| {
        let position = position.unwrap_or_default();
        match entry {
            Entry::Event { event, .. } => visit(position, OfCustomer::Event(event)),
            Entry::Erased { .. } | Entry::Erasure { .. } => visit(position, OfCustomer::Erased),
            Entry::Tombstone(tombstone) if digest == Some(tombstone.digest) => {
                visit(position, OfCustomer::Erased)
            }
            // Each kind by its name, so that whoever adds one that erases adds it here.
            Entry::Tombstone(_)
            | Entry::Shown { .. }
            | Entry::ShownInPlan { .. }
            | Entry::Decided { .. }
            | Entry::Evicted { .. }
            | Entry::LastEvent { .. }
            | Entry::Track { .. }
            | Entry::Started(_)
            | Entry::Campaigns(_)
            | Entry::Tossed { .. }
            | Entry::Promoted { .. }
            | Entry::Leased { .. }
            | Entry::Money { .. } => Ok(()),
        }
    };
    dump_log(disk, start, &is_of, &mut visit).map(drop)
}

/// The events of a customer in the newest sound snapshot where the beginning of the log, or the events in it, are gone, and the position from which on the log
/// goes on from it; nothing and 0 where the log has all of them.
///
/// # Errors
/// It cannot be read: see [`OpenError`].
pub fn snapshot_of<D: Disk>(disk: &Arc<D>, customer: &Id) -> Result<(Vec<Event>, u64), OpenError> {
    let begins = oldest_whole(&**disk).map_err(upbeat_journal::OpenError::from)?.from;
    let mut events = Vec::new();
    if begins <= Start::BEGINNING.from {
        return Ok((events, 0));
    }
    let Some(snapshot) = find(Arc::clone(disk))?.newest else { return Ok((events, 0)) };
    dump_snapshot(&snapshot, &mut |entry| {
        if let Entry::Event { event, .. } = entry
            && event.customer == *customer
        {
            events.push(event);
        }
        Ok(())
    })?;
    Ok((events, snapshot.from()))
}
