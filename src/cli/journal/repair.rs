//! `upbeat journal repair`: what is sound of a damaged directory, in a new one.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use upbeat_journal::LockFile;
use upbeat_journal::disk::{ReadOnlyDisk, RealDisk};
use upbeat_server::runtime::{move_lanes, random};

use super::output;
use super::usage::unused;

/// Says what is lost, and with `yes` puts what is sound into a new directory of the old one's name. The old one is kept.
pub(super) fn repair(directory: &Path, yes: bool) -> anyhow::Result<ExitCode> {
    // Who has the lock keeps servers away until the end.
    drop(unused(directory)?);
    let lock = LockFile::take(directory)?;
    let name = directory.display();
    let damaged = Arc::new(ReadOnlyDisk::new(directory).with_context(|| name.to_string())?);
    let report = upbeat_journal::check(&damaged).with_context(|| name.to_string())?;
    if report.is_sound() {
        output::print(format_args!("{name}: there is nothing to repair\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let losses = report.findings.iter().filter(|finding| !finding.is_harmless());
    output::print(format_args!("{name}: what is lost:\n"))?;
    for finding in losses {
        output::print(format_args!("  {finding}\n"))?;
    }
    let (kept, made) = (beside(directory, "damaged"), beside(directory, "repaired"));
    if !yes {
        output::print(format_args!(
            "{} sound groups with {} records would be kept. With --yes they are put into a new {name}, and the damaged one \
             stays as {}\n",
            report.groups,
            report.records,
            kept.display()
        ))?;
        return Ok(ExitCode::FAILURE);
    }
    for taken in [&kept, &made] {
        anyhow::ensure!(!taken.exists(), "{} is there already: move it away first", taken.display());
    }
    DirBuilder::new().mode(0o700).create(&made).with_context(|| made.display().to_string())?;
    let repaired = upbeat_journal::repair(&damaged, &RealDisk::new(&made), random)
        .with_context(|| format!("{name}: not repaired, and as it was"))?;
    // What a killed server has in its lanes alone is for whoever goes on with its records.
    if let Some(lanes) = lock.lanes() {
        let moved = move_lanes(lanes, directory, &made).with_context(|| lanes.display().to_string())?;
        LockFile::take(&made)?.note_lanes(moved)?;
    }
    // From here on there is always one of the two under its name, or both beside it.
    let above = match directory.canonicalize()?.parent() {
        Some(above) => above.to_owned(),
        None => PathBuf::from("/"),
    };
    std::fs::rename(directory, &kept).with_context(|| kept.display().to_string())?;
    std::fs::rename(&made, directory).with_context(|| format!("{} has what is sound", made.display()))?;
    File::open(&above).and_then(|above| above.sync_all()).with_context(|| above.display().to_string())?;
    output::print(format_args!(
        "{name} has what is sound, the damaged one is {}; {} bodies of which rows may be lost count as not sent\n",
        kept.display(),
        repaired.units
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The path of a directory with something after its name.
fn beside(directory: &Path, what: &str) -> PathBuf {
    let mut name = directory.components().as_path().as_os_str().to_owned();
    name.push(".");
    name.push(what);
    PathBuf::from(name)
}
