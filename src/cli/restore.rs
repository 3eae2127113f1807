//! `upbeat restore`: a data directory from a backup.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use jiff::Timestamp;
use upbeat_engine::tombstones::file::TombstoneFile;
use upbeat_server::runtime::{Restoration, Restored};

use super::backed_up::{MANIFEST, Manifest, TOMBSTONES, check, digest, is_of_backup, tombstones};
use super::output;
use super::progress::Progress;

/// Make a data directory from a backup
///
/// The backup is read first, every byte of it, and refused where a file is missing, one too many, or has one byte changed. The data
/// directory must not be there yet, or be empty. It gets its name once everything is in it and was opened as a server would open it:
/// where this is interrupted, there is none. Customers who were deleted since the backup was taken are erased from it, as the file of
/// tombstones says: that of the backup, or a later one.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  upbeat restore backups/monday --data-dir upbeat-data
  upbeat restore backups/monday --data-dir upbeat-data --tombstones tombstones
      with what `curl http://127.0.0.1:8081/tombstones` gave later")]
pub(crate) struct Args {
    /// The directory of the backup: what `upbeat backup -o DIR` made, or an unpacked stream
    #[arg(value_name = "DIR")]
    backup: PathBuf,
    /// The data directory to make
    #[arg(long, value_name = "D")]
    data_dir: PathBuf,
    /// A file of tombstones of the same server that is newer than that of the backup
    #[arg(long, value_name = "FILE", conflicts_with = "forget_erasures")]
    tombstones: Option<PathBuf>,
    /// Erase nobody: who was deleted after the backup was taken comes back
    #[arg(long)]
    forget_erasures: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { backup, data_dir, tombstones, forget_erasures } = args;
    let restoration = Restoration::prepare(&data_dir)?;
    let manifest = verified(&backup)?;
    let erasures = if forget_erasures { None } else { Some(erasures(&backup, &manifest, tombstones)?) };
    let files: Vec<&str> =
        manifest.files.iter().map(|file| file.name.as_str()).filter(|name| is_of_backup(name)).collect();
    let of = erasures.as_ref().map_or(&[][..], |erasures| &erasures.tombstones);
    let restored = restoration.run(&backup, &files, &manifest.server, of)?;
    let Restored { customers, erased, tombstones } = restored;
    let name = data_dir.display();
    output::print(format_args!("{name}: restored: {customers} customers as of {}\n", manifest.taken))?;
    match erasures {
        Some(TombstoneFile { taken, .. }) => output::print(format_args!(
            "{name}: {tombstones} deletions since then, as of {taken}, were made again: {erased} customers of the backup are erased from \
             it. Who was deleted after {taken} has come back: delete them again\n"
        ))?,
        None => output::print(format_args!(
            "{name}: who was deleted after {} has come back: delete them again\n",
            manifest.taken
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Who was erased: as a file says that was named, or that of the backup.
fn erasures(backup: &Path, manifest: &Manifest, named: Option<PathBuf>) -> anyhow::Result<TombstoneFile> {
    let read = |path: &Path| {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
        tombstones(&name, &text, &manifest.server)
    };
    let has_own = manifest.files.iter().any(|file| file.name == TOMBSTONES);
    let own = if has_own { Some(read(&backup.join(TOMBSTONES))?) } else { None };
    let Some(path) = named else {
        return own.with_context(|| {
            format!(
                "{}: it has no file {TOMBSTONES}, which says who was erased: name one with --tombstones, or restore without with \
                 --forget-erasures, and who was deleted after {} comes back",
                backup.display(),
                manifest.taken
            )
        });
    };
    let named = read(&path)?;
    let known = own.as_ref().map_or(&manifest.taken, |own| &own.taken);
    ensure!(
        instant(&named.taken)? >= instant(known)?,
        "{}: these tombstones are of {}, and the backup knows of all deletions up to {known}: leave them out, or name a newer file",
        path.display(),
        named.taken
    );
    Ok(named)
}

fn instant(text: &str) -> anyhow::Result<Timestamp> {
    text.parse().with_context(|| format!("{text:?} is no time"))
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
    let belongs = |held: &str| manifest.files.iter().any(|file| file.name == held);
    if let Some(stray) = names.iter().find(|held| is_of_backup(held) && !belongs(held)) {
        bail!("{name}: it holds {stray}, which is not of the backup: move it away");
    }
    let mut progress = Progress::bytes(Some(manifest.bytes()));
    for file in &manifest.files {
        let (bytes, sha256) = digest(&backup.join(&file.name), &mut progress)
            .with_context(|| format!("{name}: {} belongs to the backup", file.name))?;
        let helps = if file.name == TOMBSTONES {
            "put the old one back, and name another with --tombstones"
        } else {
            "take another backup"
        };
        ensure!(
            bytes == file.bytes,
            "{name}: {} has {bytes} bytes, and {} belong to the backup: {helps}",
            file.name,
            file.bytes
        );
        ensure!(
            Some(&sha256) == file.sha256.as_ref(),
            "{name}: {} was changed since the backup was taken: {helps}",
            file.name
        );
    }
    drop(progress);
    check(backup, &manifest)?;
    Ok(manifest)
}
