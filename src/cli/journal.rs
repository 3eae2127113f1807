//! `upbeat journal`: the log of a data directory, looked at and mended while no server uses it.

mod compact;
mod lines;
mod read_only;
mod repair;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;

use super::output;
use read_only::{ReadOnlyDisk, unused};
use upbeat_core::event::Id;
use upbeat_engine::{Entry, storage};
use upbeat_journal::snapshot::find;
use upbeat_journal::{Record, Start, oldest};

/// Look at the log of a data directory, or mend it
///
/// For a directory that no server uses. What serve keeps there: snapshots of all customers, and the log of everything that
/// changed since.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  upbeat journal check upbeat-data")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Check(CheckArgs),
    Repair(RepairArgs),
    Dump(DumpArgs),
    Compact(CompactArgs),
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

/// Keep what is sound of a damaged directory
///
/// Says exactly what is lost, and does nothing more without --yes. With it everything sound is put into a new directory of the same
/// name, and the damaged one stays beside it as DIR.damaged.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  upbeat journal repair upbeat-data
  upbeat journal repair --yes upbeat-data")]
struct RepairArgs {
    /// The data directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Do it
    #[arg(long)]
    yes: bool,
}

/// Write the events of the log as NDJSON that POST /events takes again; changes nothing
///
/// Everything that the log holds of customers who were not deleted since; where the log's beginning is gone, the newest snapshot in
/// its place. With --all, a line also for everything else that is there.
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

/// Keep the present state alone: two new snapshots, and no history
///
/// Says what goes, and does nothing more without --yes. What happened before is no longer there for dumps, exports and backtests;
/// what every customer has now is. What a killed server had not written yet is kept, too.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  upbeat journal compact upbeat-data
  upbeat journal compact --yes upbeat-data")]
struct CompactArgs {
    /// The data directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Do it
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Check(CheckArgs { directory }) => check(&directory),
        Command::Repair(RepairArgs { directory, yes }) => repair::repair(&directory, yes),
        Command::Compact(CompactArgs { directory, yes }) => compact::compact(&directory, yes),
        Command::Dump(DumpArgs { directory, all }) => dump(&directory, all),
    }
}

/// Reads everything that a start would read, and the history.
fn check(directory: &Path) -> anyhow::Result<ExitCode> {
    let _unused = unused(directory)?;
    let name = directory.display();
    let disk = Arc::new(ReadOnlyDisk::new(directory));
    let report = upbeat_journal::check(&disk).with_context(|| name.to_string())?;
    for (snapshot, from, bytes) in &report.snapshots {
        output::print(format_args!(
            "{name}: {snapshot} is sound: {bytes} bytes, the log goes on from {from}\n"
        ))?;
    }
    let (first, end) = report.positions;
    output::print(format_args!(
        "{name}: the log has {} files with {} sound groups, {} records from position {first} on and below {end}\n",
        report.segments, report.groups, report.records
    ))?;
    for finding in report.findings.iter().filter(|finding| finding.is_harmless()) {
        output::print(format_args!("{name}: {finding}; the next start sees to it\n"))?;
    }
    let mut is_sound = report.is_sound();
    for finding in report.findings.iter().filter(|finding| !finding.is_harmless()) {
        output::note(format_args!("upbeat journal check: {name}: {finding}"));
    }
    // Each record must be one that this program knows, too; where groups are lost the log cannot be read as a whole.
    if is_sound && let Err(error) = each(&disk, &mut |_, _| Ok(())) {
        output::note(format_args!("upbeat journal check: {name}: {error}"));
        is_sound = false;
    }
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes the events that are held, or everything.
fn dump(directory: &Path, all: bool) -> anyhow::Result<ExitCode> {
    let _unused = unused(directory)?;
    let name = || directory.display().to_string();
    let disk = Arc::new(ReadOnlyDisk::new(directory));
    // What was erased must not come back with its events.
    let mut erased: HashMap<Id, u64> = HashMap::new();
    each(&disk, &mut |position, entry| {
        if let (Some(position), Entry::Erased { customer }) = (position, entry) {
            erased.insert(customer.clone(), position);
        }
        Ok(())
    })
    .with_context(name)?;
    let is_erased = |position: Option<u64>, customer: &Id| {
        erased.get(customer).is_some_and(|erased| position.is_none_or(|position| position < *erased))
    };
    let mut text = String::new();
    let read = each(&disk, &mut |position, entry| {
        let line = match entry {
            Entry::Event { event, .. } if is_erased(position, &event.customer) => return Ok(()),
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
    });
    // Also where reading fails: what comes before is sound.
    output::print(format_args!("{text}"))?;
    read.with_context(name)?;
    Ok(ExitCode::SUCCESS)
}

/// Lines are written together, so many bytes at a time.
const MOST_HELD_BYTES: usize = 64 << 10;

/// Takes each record with its position; what is of a snapshot has none.
type Visit<'a> = &'a mut dyn FnMut(Option<u64>, &Entry) -> anyhow::Result<()>;

/// Gives all that is held to `visit`: the whole log where its beginning is still there, else what the newest snapshot holds and the log
/// from there on.
///
/// # Errors
/// Something is damaged or none that this program knows, or `visit` fails.
fn each(disk: &Arc<ReadOnlyDisk>, visit: Visit<'_>) -> anyhow::Result<()> {
    let mut start = oldest(&**disk)?;
    let mut failed = None;
    let mut visit = |position: Option<u64>, entry: &Entry| {
        visit(position, entry).map_err(|error| {
            let said = error.to_string();
            failed = Some(error);
            said
        })
    };
    let read = if start.from <= Start::BEGINNING.from {
        let mut visitor = |record: Record<'_>| {
            let entry = Entry::decode(record.kind, record.payload)
                .map_err(|error| format!("position {}: {error}", record.position))?;
            visit(Some(record.position), &entry)
        };
        // A log that a snapshot has outrun has lost its end.
        start.reached = find(Arc::clone(disk))?.newest.map_or(1, |snapshot| snapshot.reached());
        upbeat_journal::read(&**disk, start, &mut visitor).map(drop).map_err(anyhow::Error::from)
    } else {
        let mut visitor = |position, entry| visit(position, &entry);
        storage::dump(Arc::clone(disk), &mut visitor).map(drop).map_err(anyhow::Error::from)
    };
    // An error of the output is told as one, so that a reader who has had enough ends the command quietly.
    failed.map_or(read, Err)
}
