//! `upbeat export`: what a server keeps, written to a file of a common form.

mod directory;
mod events;
mod listener;
mod sink;

use std::path::PathBuf;
use std::process::ExitCode;

use upbeat_core::event::{Event, Id, Time, Zone};

/// Write what a server keeps to a file of a common form
#[derive(clap::Args)]
#[command(after_help = "Example:\n  upbeat export events --customer 48 --from upbeat-data -o events.ndjson")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Events(EventsArgs),
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
    /// The customer; all customers when not given
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// A data directory, or the address of a server's admin listener, such as http://127.0.0.1:8081
    #[arg(long, value_name = "DIR|URL")]
    from: String,
    /// Events of this time and later; without an offset it is in UTC
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Time>,
    /// Events before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Time>,
    /// Where to write, FILE.ndjson or FILE.csv; NDJSON to standard output when not given
    #[arg(short, long, value_name = "OUT", default_value = "-")]
    output: PathBuf,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Events(args) => events::run(&args),
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
    /// Whether an event is of a time that is wanted.
    fn is_in_range(&self, event: &Event) -> bool {
        let ms = event.time.unix_ms;
        self.since.is_none_or(|since| ms >= since.unix_ms)
            && self.until.is_none_or(|until| ms < until.unix_ms)
    }
}
