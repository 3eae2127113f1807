//! `upbeat journal`: the log of a data directory, looked at and mended.

mod check;
mod compact;
mod dump;
mod lines;
mod look;
mod repair;
mod stats;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use super::output;
pub(crate) use dump::Held;
pub(crate) use look::{look, note};
pub(crate) use usage::{Usage, usage};

/// Look at the log of a data directory, or mend it
///
/// What serve keeps there: snapshots of all customers, and the log of everything that changed since. check, dump and stats may look
/// at it while a server uses it; repair and compact need one that no server uses.
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
    Stats(StatsArgs),
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

/// Say how much of what there is; changes nothing
///
/// Files by what they are for, records of the log by kind, the times of its events, the newest snapshot, and with what the last
/// server ran.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  upbeat journal stats upbeat-data
  upbeat journal stats --json upbeat-data")]
struct StatsArgs {
    /// The data directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Write JSON
    #[arg(long)]
    json: bool,
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
        Command::Check(CheckArgs { directory }) => check::check(&directory),
        Command::Repair(RepairArgs { directory, yes }) => repair::repair(&directory, yes),
        Command::Compact(CompactArgs { directory, yes }) => compact::compact(&directory, yes),
        Command::Dump(DumpArgs { directory, all }) => dump::dump(&directory, all),
        Command::Stats(StatsArgs { directory, json }) => stats::stats(&directory, json),
    }
}
