//! `upbeat export events`: events of one customer, or all.

use std::path::Path;
use std::process::ExitCode;

use super::sink::Sink;
use super::{EventsArgs, Wanted, directory, listener};
use crate::cli::{WrongCall, output};

pub(super) fn run(args: &EventsArgs) -> anyhow::Result<ExitCode> {
    let wanted = Wanted::of(&args.wanted)?;
    let is_url = args.from.contains("://");
    if is_url && wanted.customer.is_none() {
        let what = "a server is asked about one customer: name it with --customer, or read all events from its data directory with \
                    --from DIR, also while it runs";
        return Err(WrongCall(what.to_owned()).into());
    }
    // Opened at first, and given its name at the end alone: where nothing is known of the customer there is no file.
    let mut sink = Sink::open(&args.output)?;
    let found = if is_url {
        listener::each(&args.from, &wanted, &mut sink)?
    } else {
        directory::each(Path::new(&args.from), &wanted, &mut sink)?
    };
    if let (false, Some(customer)) = (found, &wanted.customer) {
        output::note(format_args!(
            "upbeat export: {}: nothing is known of customer {customer}: none of their events is there, or they were deleted",
            args.from
        ));
        return Ok(ExitCode::FAILURE);
    }
    let events = sink.events();
    sink.finish()?;
    if args.output != Path::new("-") {
        output::note(format_args!("{events} events in {}", args.output.display()));
    }
    Ok(ExitCode::SUCCESS)
}
