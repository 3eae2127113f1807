//! Events of a data directory, also while a server uses it.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Context;
use upbeat_core::event::{Event, Id};
use upbeat_engine::Entry;
use upbeat_engine::storage::{OfCustomer, digest_of, log_of, snapshot_of};
use upbeat_server::event_line;

use super::Wanted;
use super::sink::Sink;
use crate::cli::journal::{Held, Usage, look, note, usage};
use crate::cli::output;

/// Writes the events that are wanted; whether there is any of the customer, of whatever time.
///
/// # Errors
/// The directory cannot be read, or the output not be written.
pub(super) fn each(directory: &Path, wanted: &Wanted, sink: &mut Sink) -> anyhow::Result<bool> {
    let usage = usage(directory)?;
    if let Some(note) = note(directory, &usage) {
        output::note(format_args!("upbeat export: {note}"));
    }
    let name = || directory.display().to_string();
    let Some(customer) = &wanted.customer else {
        let held = Held::of(directory, &usage)?;
        let each = held.each(&mut |entry| match entry {
            Entry::Event { event, .. } if wanted.is_in_range(event) => sink.event(&event_line(event)),
            _ => Ok(()),
        });
        return each.with_context(name).map(|()| true);
    };
    of_customer(directory, &usage, customer, wanted, sink).with_context(name)
}

/// What makes two events the same one.
fn key(event: &Event) -> (Id, i64, &'static str) {
    (event.id.clone(), event.time.unix_ms, event.kind.name())
}

/// What a first look at the log found of a customer.
struct Found {
    /// Events of the snapshot that the log has no longer.
    before: Vec<Event>,
    /// By which a tombstone names the customer.
    digest: Option<[u8; 16]>,
    /// The position of the last deletion.
    erased: u64,
    any: bool,
}

fn of_customer(
    directory: &Path,
    usage: &Usage,
    customer: &Id,
    wanted: &Wanted,
    sink: &mut Sink,
) -> anyhow::Result<bool> {
    let (found, disk) = look(
        directory,
        usage,
        |_| true,
        |disk| {
            let digest = digest_of(disk, customer)?;
            let (mut before, goes_on) = snapshot_of(disk, customer)?;
            let keys: HashSet<_> = before.iter().map(key).collect();
            let (mut seen, mut erased, mut any) = (HashSet::new(), 0, false);
            log_of(&**disk, customer, digest, 0, &mut |position, of| {
                match of {
                    OfCustomer::Erased => {
                        (erased, any) = (position, false);
                        if position >= goes_on {
                            before.clear();
                        }
                    }
                    OfCustomer::Event(event) => {
                        any = true;
                        let key = key(&event);
                        if keys.contains(&key) {
                            seen.insert(key);
                        }
                    }
                }
                Ok(())
            })?;
            any |= !before.is_empty();
            before.retain(|event| !seen.contains(&key(event)));
            before.sort_by_key(|event| event.time.unix_ms);
            Ok(Found { before, digest, erased, any })
        },
    )?;
    for event in found.before.iter().filter(|event| wanted.is_in_range(event)) {
        sink.event(&event_line(event))?;
    }
    let (mut failed, mut deleted) = (None, false);
    let read = log_of(&*disk, customer, found.digest, found.erased, &mut |position, of| {
        match of {
            // Since the first look: what follows is of a new profile, which that did not see.
            OfCustomer::Erased => deleted |= position > found.erased,
            OfCustomer::Event(event) if !deleted && wanted.is_in_range(&event) => {
                sink.event(&event_line(&event)).map_err(|error| {
                    let said = error.to_string();
                    failed = Some(error);
                    said
                })?;
            }
            OfCustomer::Event(_) => {}
        }
        Ok(())
    });
    failed.map_or(read.map_err(anyhow::Error::from), Err)?;
    // A file would have what came before the deletion.
    anyhow::ensure!(!deleted, "customer {customer} was deleted meanwhile");
    Ok(found.any)
}
