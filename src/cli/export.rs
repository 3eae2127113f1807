//! `upbeat export`: what a server keeps, written to a file of a common form.

mod decided;
mod directory;
mod events;
mod listener;
mod rows;
mod sink;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use upbeat_core::event::{Event, Id, Time, Zone};

use self::rows::Exported;
use super::WrongCall;
use super::decision_log::LogArgs;

/// Write what a server keeps to a file of a common form
#[derive(clap::Args)]
#[command(after_help = "Example:\n  upbeat export events --customer 48 --from upbeat-data -o events.ndjson")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Decisions(DecisionsArgs),
    Events(EventsArgs),
    Training(DecisionsArgs),
    Impressions(DecisionsArgs),
}

/// Write decisions, or the ads that were shown, as tables
///
/// `decisions`: every decision of a known customer that the log has, dry runs and previews excepted, with what estimates need: the
/// propensity of every action, the counts of plays, score and probability by the model that decided, and what became of a shown ad.
/// `training`: a row for each ad that was shown, not given back, and can no longer be clicked in time; the weight is one over its
/// propensity. `impressions`: the same ads in the columns of `upbeat simulate`'s impressions.csv, young ones among them. Of a
/// data directory, also while a server uses it; of a backup; or of a running server, from which everything is copied as by `upbeat
/// backup` into a folder in TMPDIR first. Customers who were deleted are not there.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  upbeat export decisions --from upbeat-data --since 2026-11-01T00:00:00Z -o decisions.parquet
  upbeat export training --from upbeat-data --config upbeat.toml -o training.csv
  upbeat export impressions --from upbeat-data -o impressions.csv")]
struct DecisionsArgs {
    #[command(flatten)]
    wanted: WantedArgs,
    #[command(flatten)]
    log: LogArgs,
    /// Where to write, F.parquet or F.csv; CSV to standard output when not given
    #[arg(short, long, value_name = "OUT", default_value = "-")]
    output: PathBuf,
}

/// Which rows are wanted.
#[derive(clap::Args)]
struct WantedArgs {
    /// The customer; all customers when not given
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// What is of this time and later; without an offset it is in UTC
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Time>,
    /// What is before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Time>,
}

/// Write events as POST /events takes them again
///
/// Of one customer, everything that the log has, and what it has no longer of the present profile; or all events. Of a data
/// directory, also while a server uses it; or of one customer from a running server. What was deleted is not there. Exit status 1,
/// and no file, where nothing is known of the customer.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  upbeat export events --customer 48 --from http://127.0.0.1:8081
  upbeat export events --customer 48 --from upbeat-data --since 2026-11-01T00:00:00Z -o events.csv
  upbeat export events --from upbeat-data -o all.ndjson")]
struct EventsArgs {
    #[command(flatten)]
    wanted: WantedArgs,
    /// A data directory, or the address of a server's admin listener, such as http://127.0.0.1:8081
    #[arg(long, value_name = "DIR|URL")]
    from: String,
    /// Where to write, F.ndjson, F.csv or F.parquet; NDJSON to standard output when not given
    #[arg(short, long, value_name = "OUT", default_value = "-")]
    output: PathBuf,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Decisions(args) => decided::run(&args, Exported::Decisions),
        Command::Events(args) => events::run(&args),
        Command::Training(args) => decided::run(&args, Exported::Training),
        Command::Impressions(args) => decided::run(&args, Exported::Impressions),
    }
}

fn time(text: &str) -> Result<Time, String> {
    Time::parse(text, &Zone::utc()).map_err(|error| error.to_string())
}

/// Which events are wanted.
struct Wanted {
    customer: Option<Id>,
    since: Option<Time>,
    until: Option<Time>,
}

impl Wanted {
    /// What the flags say.
    ///
    /// # Errors
    /// The customer is no id, or the times are in the wrong order.
    fn of(args: &WantedArgs) -> anyhow::Result<Self> {
        let WantedArgs { customer, since, until } = args;
        let customer = customer.as_deref().map(Id::parse).transpose();
        let customer = customer.map_err(|error| WrongCall(format!("--customer: {error}")))?;
        if let (Some(since), Some(until)) = (since, until)
            && since.unix_ms >= until.unix_ms
        {
            return Err(WrongCall("--since is to be before --until".to_owned()).into());
        }
        Ok(Self { customer, since: *since, until: *until })
    }

    /// Whether a time is wanted.
    fn is_time_in_range(&self, ms: i64) -> bool {
        self.since.is_none_or(|since| ms >= since.unix_ms)
            && self.until.is_none_or(|until| ms < until.unix_ms)
    }

    /// Whether an event is of a time that is wanted.
    fn is_in_range(&self, event: &Event) -> bool {
        self.is_time_in_range(event.time.unix_ms)
    }
}
