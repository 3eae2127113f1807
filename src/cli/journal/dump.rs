//! `upbeat journal dump`: the events of a directory, or all that it holds.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use upbeat_engine::Entry;
use upbeat_engine::storage::{self, ErasedCustomers};
use upbeat_journal::disk::ReadOnlyDisk;

use super::look::{look, note};
use super::usage::{Usage, usage};
use super::{lines, output};

/// Lines are written together, so many bytes at a time.
const MOST_HELD_BYTES: usize = 64 << 10;

/// Writes the events that are held, or everything.
pub(super) fn dump(directory: &Path, all: bool) -> anyhow::Result<ExitCode> {
    let usage = usage(directory)?;
    if let Some(note) = note(directory, &usage) {
        output::note(format_args!("upbeat journal dump: {note}"));
    }
    let held = Held::of(directory, &usage)?;
    let (mut text, mut campaigns) = (String::new(), Vec::new());
    let read = held.each(&mut |entry| {
        if let Entry::Campaigns(kept) = &entry {
            campaigns.clone_from(&kept.slots);
        }
        let line = match entry {
            Entry::Event { event, .. } => lines::event(event),
            other if all => lines::other(other, &campaigns),
            _ => return Ok(()),
        };
        text.push_str(&line.to_string());
        text.push('\n');
        if text.len() >= MOST_HELD_BYTES {
            output::print(format_args!("{text}"))?;
            text.clear();
        }
        Ok(())
    });
    // Also where reading fails: what comes before is sound.
    output::print(format_args!("{text}"))?;
    read.with_context(|| directory.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// All that a directory held at one moment, without the events of customers who were deleted since.
pub(crate) struct Held {
    disk: Arc<ReadOnlyDisk>,
    /// What was erased must not come back with its events.
    erased: ErasedCustomers,
    /// Records at and above this position are left out: some of them were not in the log yet.
    below: u64,
}

impl Held {
    /// Reads all of a directory once.
    ///
    /// # Errors
    /// Something is damaged or none that this program knows.
    pub(crate) fn of(directory: &Path, usage: &Usage) -> anyhow::Result<Self> {
        let (found, disk) = look(
            directory,
            usage,
            |_| true,
            |disk| {
                let mut erased = ErasedCustomers::default();
                let read = storage::history(Arc::clone(disk), &mut |position, entry| {
                    erased.note(position, &entry);
                    Ok(())
                });
                let read = read.with_context(|| directory.display().to_string())?;
                Ok((erased, read.watermark))
            },
        )?;
        let (erased, watermark) = found;
        let below = if usage.process().is_some() { watermark } else { u64::MAX };
        Ok(Self { disk, erased, below })
    }

    /// Gives all of it to `visit`, in the order in which it happened.
    ///
    /// # Errors
    /// Something is damaged, or `visit` fails.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(&Entry) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut failed = None;
        let read = storage::history(Arc::clone(&self.disk), &mut |position, entry| {
            let is_left_out = position.is_some_and(|position| position >= self.below)
                || matches!(&entry, Entry::Event { event, .. } if self.erased.covers(position, &event.customer));
            if is_left_out {
                return Ok(());
            }
            visit(&entry).map_err(|error| {
                let said = error.to_string();
                failed = Some(error);
                said
            })
        });
        // An error of the output is told as one, so that a reader who has had enough ends the command quietly.
        failed.map_or(read.map(drop).map_err(anyhow::Error::from), Err)
    }
}
