//! `upbeat restore`: a data directory from a backup.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use upbeat_server::runtime::{Restoration, Restored};

use super::backed_up::{MANIFEST, Manifest, check, digest, is_of_backup};
use super::output;
use super::progress::Progress;

/// Make a data directory from a backup
///
/// The backup is read first, every byte of it, and refused where a file is missing, one too many, or has one byte changed. The data
/// directory must not be there yet, or be empty. It gets its name once everything is in it and was opened as a server would open it:
/// where this is interrupted, there is none.
#[derive(clap::Args)]
#[command(after_help = "Example:
  upbeat restore backups/monday --data-dir upbeat-data")]
pub(crate) struct Args {
    /// The directory of the backup: what `upbeat backup -o DIR` made, or an unpacked stream
    #[arg(value_name = "DIR")]
    backup: PathBuf,
    /// The data directory to make
    #[arg(long, value_name = "D")]
    data_dir: PathBuf,
    /// Restore although nothing says who was erased since the backup was taken: they come back
    #[arg(long)]
    forget_erasures: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { backup, data_dir, forget_erasures } = args;
    let restoration = Restoration::prepare(&data_dir)?;
    let manifest = verified(&backup)?;
    ensure!(
        forget_erasures,
        "{}: it has no file of tombstones, which says who was erased: with --forget-erasures it is restored all the same, and \
         customers who were erased after {} come back",
        backup.display(),
        manifest.taken
    );
    let files: Vec<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    let Restored { customers } = restoration.run(&backup, &files, &manifest.server)?;
    output::print(format_args!(
        "{}: restored: {customers} customers as of {}; customers who were erased after that have come back\n",
        data_dir.display(),
        manifest.taken
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// What belongs to a backup, every byte of which was read.
fn verified(backup: &Path) -> anyhow::Result<Manifest> {
    let name = backup.display();
    let entries = backup.read_dir().with_context(|| format!("{name}: name the directory of a backup"))?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.with_context(|| name.to_string())?.file_name().to_string_lossy().into_owned());
    }
    ensure!(
        names.iter().any(|held| held == MANIFEST),
        "{name}: it holds no {MANIFEST}: it is no backup, or a stream that was cut short; name the directory that `upbeat backup` has \
         made"
    );
    let manifest = Manifest::read(backup)?;
    ensure!(
        manifest.finished,
        "{name}: the backup is not whole; `upbeat backup` with the same directory goes on with it"
    );
    if let Some(stray) =
        names.iter().find(|held| is_of_backup(held) && !manifest.files.iter().any(|file| file.name == **held))
    {
        bail!("{name}: it holds {stray}, which is not of the backup: move it away");
    }
    let mut progress = Progress::bytes(Some(manifest.bytes()));
    for file in &manifest.files {
        let (bytes, sha256) = digest(&backup.join(&file.name), &mut progress)
            .with_context(|| format!("{name}: {} belongs to the backup", file.name))?;
        ensure!(
            bytes == file.bytes,
            "{name}: {} has {bytes} bytes, and {} belong to the backup: take another backup",
            file.name,
            file.bytes
        );
        ensure!(
            Some(&sha256) == file.sha256.as_ref(),
            "{name}: {} was changed since the backup was taken: take another backup",
            file.name
        );
    }
    drop(progress);
    check(backup, &manifest)?;
    Ok(manifest)
}
