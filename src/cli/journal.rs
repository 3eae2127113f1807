//! `upbeat journal`: the log of a data directory, looked at and mended while no server uses it.

mod lines;
mod read_only;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;

use super::output;
use read_only::{ReadOnlyDisk, unused};
use upbeat_engine::Entry;
use upbeat_journal::{Record, Recovered, RecoveryError, Start, log_files, snapshot};

/// Look at the log of a data directory, or mend it
///
/// For a directory that no server uses. What serve keeps there: snapshots of all customers, and the log of everything that
/// changed since.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Check(CheckArgs),
    Dump(DumpArgs),
}

/// Say whether everything is readable; changes nothing
///
/// Exit status: 0 if everything is sound, 1 with what is wrong, the file and the place in it.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  upbeat journal check upbeat-data")]
struct CheckArgs {
    /// The data directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Write the events of the log as NDJSON that POST /events takes again; changes nothing
///
/// The log goes back as far as the history that is kept ([retention] in upbeat.toml). With --all, a line also for everything else
/// that is in it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  upbeat journal dump upbeat-data > events.ndjson
  upbeat journal dump --all upbeat-data | grep shown")]
struct DumpArgs {
    /// The data directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Write shown ads, deletions, models and everything else, too
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Check(CheckArgs { directory }) => check(&directory),
        Command::Dump(DumpArgs { directory, all }) => dump(&directory, all),
    }
}

/// Reads everything that a start would read, and the history.
fn check(directory: &Path) -> anyhow::Result<ExitCode> {
    let _unused = unused(directory)?;
    let name = directory.display();
    let disk = Arc::new(ReadOnlyDisk::new(directory));
    let found = snapshot::find(Arc::clone(&disk)).with_context(|| name.to_string())?;
    let mut is_sound = found.damaged.is_empty();
    for damaged in &found.damaged {
        output::note(format_args!("upbeat journal check: {name}: {damaged}"));
    }
    match &found.newest {
        Some(newest) => output::print(format_args!(
            "{name}: snapshot {} is sound: {} blocks, {} bytes\n",
            newest.name(),
            newest.blocks(),
            newest.bytes()
        ))?,
        None => output::print(format_args!("{name}: no snapshot\n"))?,
    }
    let files = log_files(&*disk, found.snapshots.log_needed_from()).with_context(|| name.to_string())?;
    let mut records = 0_u64;
    let read = read_history(&disk, &mut |_, _| {
        records += 1;
        Ok(())
    });
    let read = match read {
        Ok((read, _)) => read,
        Err(error) => {
            output::note(format_args!("upbeat journal check: {name}: {error}"));
            return Ok(ExitCode::FAILURE);
        }
    };
    output::print(format_args!(
        "{name}: the log is sound: {} files, {} of them history, {} groups, {records} records\n",
        files.len(),
        files.iter().filter(|file| file.history).count(),
        read.groups
    ))?;
    if let Some(newest) = &found.newest
        && read.next.position < newest.reached()
    {
        is_sound = false;
        output::note(format_args!(
            "upbeat journal check: {name}: the log ends at position {}, and the snapshot {} was made when it reached {}: \
             its end is missing",
            read.next.position,
            newest.name(),
            newest.reached()
        ));
    }
    if let Some(torn) = &read.torn {
        output::print(format_args!(
            "{name}: {}, byte {}: {} bytes of a group that was being written when the machine stopped; nothing in it was \
             acknowledged, and the next start cuts it\n",
            torn.file, torn.offset, torn.bytes
        ))?;
    }
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes the events of the log, or everything.
fn dump(directory: &Path, all: bool) -> anyhow::Result<ExitCode> {
    let _unused = unused(directory)?;
    let disk = Arc::new(ReadOnlyDisk::new(directory));
    let mut text = String::new();
    let (_, begins) = read_history(&disk, &mut |_, entry| {
        let line = match entry {
            Entry::Event { event, .. } => lines::event(event),
            other if all => lines::other(other),
            _ => return Ok(()),
        };
        text.push_str(&line.to_string());
        text.push('\n');
        if text.len() >= MOST_HELD_BYTES {
            output::print(format_args!("{text}"))?;
            text.clear();
        }
        Ok(())
    })
    .with_context(|| directory.display().to_string())?;
    output::print(format_args!("{text}"))?;
    if begins > Start::BEGINNING.from {
        output::note(format_args!(
            "upbeat journal dump: the history begins at position {begins}: what came before is in the snapshots alone, as \
             the state that it led to"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Lines are written together, so many bytes at a time.
const MOST_HELD_BYTES: usize = 64 << 10;

/// Reads the log from where its history begins, and gives each record with its position to `visit`; that beginning is the
/// second part of the result.
///
/// # Errors
/// The log is damaged, a record is none that this program knows, or `visit` fails.
fn read_history(
    disk: &Arc<ReadOnlyDisk>,
    visit: &mut dyn FnMut(u64, &Entry) -> anyhow::Result<()>,
) -> anyhow::Result<(Recovered, u64)> {
    let mut failed = None;
    let mut read = |start: Start| {
        let mut visitor = |record: Record<'_>| {
            let entry = Entry::decode(record.kind, record.payload)
                .map_err(|error| format!("position {}: {error}", record.position))?;
            visit(record.position, &entry).map_err(|error| {
                let said = error.to_string();
                failed = Some(error);
                said
            })
        };
        upbeat_journal::read(&**disk, start, &mut visitor)
    };
    let mut begins = Start::BEGINNING.from;
    let found = match read(Start::BEGINNING) {
        Err(RecoveryError::Missing { begins: first, .. }) => {
            begins = first;
            read(Start { from: first, reached: first })
        }
        found => found,
    };
    // An error of the output is told as one, so that a reader who has had enough ends the command quietly.
    match failed {
        Some(error) => Err(error),
        None => Ok((found?, begins)),
    }
}
