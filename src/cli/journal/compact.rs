//! `upbeat journal compact`: the present state alone, without what led to it.

use std::path::Path;
use std::process::ExitCode;

use upbeat_server::runtime::Compaction;

use super::output;
use super::usage::unused;

/// Says what goes, and with `yes` puts two new snapshots in its place.
pub(super) fn compact(directory: &Path, yes: bool) -> anyhow::Result<ExitCode> {
    // A directory that is not there is not made.
    drop(unused(directory)?);
    let compaction = Compaction::prepare(directory)?;
    let name = directory.display();
    let (files, bytes) = compaction.log();
    output::print(format_args!(
        "{name}: the log so far goes, {files} files of {bytes} bytes. All customers, tracks and counted ads stay as they are; what \
         happened before is no longer there for dumps, exports and backtests\n"
    ))?;
    if !yes {
        output::print(format_args!("Nothing is done without --yes\n"))?;
        return Ok(ExitCode::FAILURE);
    }
    let compacted = compaction.run()?;
    if compacted.drained > 0 {
        let drained = compacted.drained;
        output::print(format_args!(
            "{name}: {drained} records were in the lanes of a killed server alone\n"
        ))?;
    }
    output::print(format_args!(
        "{name}: {} bytes before, {} now, {} customers\n",
        compacted.before, compacted.after, compacted.customers
    ))?;
    Ok(ExitCode::SUCCESS)
}
