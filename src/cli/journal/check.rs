//! `upbeat journal check`: is everything readable?

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use upbeat_engine::storage;
use upbeat_journal::Report;

use super::look::{look, note};
use super::output;
use super::usage::usage;

/// Reads everything that a start would read, and the history.
pub(super) fn check(directory: &Path) -> anyhow::Result<ExitCode> {
    let usage = usage(directory)?;
    let name = directory.display();
    let is_sound = |(report, unreadable): &(Report, Option<_>)| report.is_sound() && unreadable.is_none();
    let looked = look(directory, &usage, is_sound, |disk| {
        let report = upbeat_journal::check(disk).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
        // Each record must be one that this program knows, too; where groups are lost the log cannot be read as a whole.
        let read = || storage::history(Arc::clone(disk), &mut |_, _| Ok(()));
        let unreadable = if report.is_sound() { read().err() } else { None };
        Ok((report, unreadable))
    });
    let (found, _) = looked?;
    let is_sound = is_sound(&found);
    let (report, unreadable) = found;
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
    if let Some(note) = note(directory, &usage) {
        output::print(format_args!("{note}\n"))?;
    } else {
        for finding in report.findings.iter().filter(|finding| finding.is_harmless()) {
            output::print(format_args!("{name}: {finding}; the next start sees to it\n"))?;
        }
    }
    for finding in report.findings.iter().filter(|finding| !finding.is_harmless()) {
        output::note(format_args!("upbeat journal check: {name}: {finding}"));
    }
    if let Some(error) = unreadable {
        output::note(format_args!("upbeat journal check: {name}: {error}"));
    }
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
