//! `upbeat journal stats`: what a directory holds, counted.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use serde_json::{Value, json};
use upbeat_engine::storage::{self, Stats};
use upbeat_journal::disk::{Disk, ReadOnlyDisk};
use upbeat_journal::{is_file_name, log_files};

use super::look::{look, note};
use super::output;
use super::usage::usage;

/// Files of one sort.
#[derive(Debug, Clone, Copy, Default)]
struct Files {
    files: u64,
    /// What they take on the disk.
    bytes: u64,
}

impl Files {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }

    fn json(self) -> Value {
        json!({"files": self.files, "bytes": self.bytes})
    }
}

/// The files of a directory.
#[derive(Debug, Default)]
struct Sorts {
    /// Of the log, needed by the next start.
    needed: Files,
    /// Of the log, kept for those who want to look back.
    history: Files,
    snapshots: Files,
    /// All else.
    other: Files,
}

/// Says what a directory holds.
pub(super) fn stats(directory: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let usage = usage(directory)?;
    let (found, _) = look(
        directory,
        &usage,
        |_| true,
        |disk| {
            let name = || directory.display().to_string();
            let stats = storage::stats(Arc::clone(disk)).with_context(name)?;
            let sorts = sorts(directory, disk, &stats).with_context(name)?;
            Ok((stats, sorts))
        },
    )?;
    let (stats, sorts) = found;
    if as_json {
        let process = usage
            .process()
            .map(|process| process.parse::<u32>().map_or_else(|_| json!(process), |process| json!(process)));
        let told = told(&stats, &sorts, process);
        output::print(format_args!("{told:#}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::print(page(&stats, &sorts))?;
    if let Some(note) = note(directory, &usage) {
        output::print(format_args!("{note}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn sorts(directory: &Path, disk: &ReadOnlyDisk, stats: &Stats) -> anyhow::Result<Sorts> {
    let mut sorts = Sorts::default();
    for file in log_files(disk, stats.needed_from)? {
        if file.history { &mut sorts.history } else { &mut sorts.needed }.add(file.bytes);
    }
    for name in disk.names()?.iter().filter(|name| !name.starts_with("segment-")) {
        // What is there no longer takes nothing.
        let Ok(metadata) = directory.join(name).symlink_metadata() else { continue };
        let is_snapshot = is_file_name(name) && !name.ends_with(".tmp");
        let bytes = std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
        if is_snapshot { &mut sorts.snapshots } else { &mut sorts.other }.add(bytes);
    }
    Ok(sorts)
}

fn told(stats: &Stats, sorts: &Sorts, process: Option<Value>) -> Value {
    let records = stats
        .records
        .iter()
        .map(|(name, count)| ((*name).to_owned(), json!({"records": count.records, "bytes": count.bytes})));
    json!({
        "used_by_process": process,
        "files": {
            "needed": sorts.needed.json(),
            "history": sorts.history.json(),
            "snapshots": sorts.snapshots.json(),
            "other": sorts.other.json(),
        },
        "positions": {"from": stats.positions.0, "below": stats.positions.1},
        "groups": stats.groups,
        "records": records.collect::<serde_json::Map<_, _>>(),
        "events": stats.events.map(|(first, last)| json!({"first": first, "last": last})),
        "snapshot": stats.snapshot.as_ref().map(|snapshot| json!({
            "file": snapshot.name,
            "bytes": snapshot.bytes,
            "customers": snapshot.customers,
        })),
        "started": stats.started.as_ref().map(|(position, started)| json!({
            "position": position,
            "window": started.window,
        })),
        "campaigns": stats.campaigns.as_ref().map(|kept| json!({
            "version": kept.version.version,
            "who": kept.version.who,
            "ids": kept.slots,
        })),
    })
}

fn page(stats: &Stats, sorts: &Sorts) -> String {
    let mut lines = vec![format!("{:<24}{:>12}{:>16}", "files", "number", "bytes on disk")];
    for (name, files) in [
        ("log, needed", sorts.needed),
        ("log, history", sorts.history),
        ("snapshots", sorts.snapshots),
        ("other", sorts.other),
    ] {
        lines.push(format!("  {name:<22}{:>12}{:>16}", files.files, files.bytes));
    }
    lines.push(format!("{:<24}{:>12}{:>16}", "records of the log", "number", "bytes"));
    for (name, count) in &stats.records {
        lines.push(format!("  {name:<22}{:>12}{:>16}", count.records, count.bytes));
    }
    let (from, below) = stats.positions;
    lines.push(format!(
        "positions               from {from} on and below {below}, in {} groups",
        stats.groups
    ));
    // As they are written in a dump.
    let time = |time| json!(time).as_str().unwrap_or_default().to_owned();
    lines.push(match &stats.events {
        Some((first, last)) => format!("times of events         from {} to {}", time(first), time(last)),
        None => "times of events         the log has no events".to_owned(),
    });
    lines.push(match &stats.snapshot {
        Some(snapshot) => {
            format!("newest snapshot         {}: {} customers", snapshot.name, snapshot.customers)
        }
        None => "newest snapshot         none".to_owned(),
    });
    lines.push(match &stats.started {
        Some((position, started)) => format!(
            "last start              position {position}: window of {} plays and {} days",
            started.window.plays, started.window.days
        ),
        None => "last start              before the beginning of the log".to_owned(),
    });
    lines.push(match &stats.campaigns {
        Some(kept) => {
            let ids: Vec<String> = kept.slots.iter().map(ToString::to_string).collect();
            format!("campaigns               version {}; {}", kept.version.version, ids.join(", "))
        }
        None => "campaigns               none are kept".to_owned(),
    });
    lines.join("\n") + "\n"
}
