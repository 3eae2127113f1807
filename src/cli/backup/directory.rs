//! A backup into a directory, which goes on where it was broken off.
//!
//! Until it is whole, `backup.json` says so and names the server; a file is `NAME.part` until it is whole. Whatever a broken-off
//! run has left is compared with the server's files by digests of 4 MiB, and read anew from the first that differs: so nothing
//! is taken for sound because it has the right name or size, and nothing is read twice.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};
use upbeat_journal::disk::{Disk, RealDisk};
use upbeat_server::config::Duration;

use super::pace::Pace;
use super::remote::{DIGEST_BYTES, Gone, Held, HeldFile, PART_BYTES, Remote};
use crate::cli::backed_up::{
    BackedUp, MANIFEST, Manifest, TOMBSTONES, check, digest, hex, is_of_backup, tombstones,
};
use crate::cli::output;
use crate::cli::progress::Progress;

/// The end of the name of a file that is not whole.
const PART: &str = ".part";

/// How often another backup is begun where the server has let go of the one before.
const MOST_BACKUPS: u32 = 5;

/// A copy that is whole and checked.
pub(super) struct Copied {
    /// What it holds.
    pub(super) manifest: Manifest,
    /// How long after its ad a click counts on that server; `None` of a version that does not say so.
    pub(super) attribution: Option<Duration>,
}

/// Copies what a server keeps into a directory.
pub(super) fn to_directory(
    remote: &Remote,
    directory: &Path,
    history: bool,
    mut pace: Pace,
) -> anyhow::Result<Copied> {
    let mut begun = look(directory)?;
    let mut lock = None;
    for _ in 0..MOST_BACKUPS {
        let held = match begun.as_ref().and_then(|manifest| manifest.id.as_deref()) {
            Some(id) => remote.held(id)?,
            None => None,
        };
        let held = match held {
            Some(held) if begun.as_ref().is_some_and(|manifest| manifest.history == history) => held,
            _ => remote.begin(history)?,
        };
        let name = directory.display();
        if let Some(manifest) = begun.as_ref().filter(|manifest| manifest.server != held.server) {
            let _ = remote.end(&held.id);
            bail!(
                "{name}: it holds part of a backup of another server ({}, and this one is {}): name another directory",
                manifest.server,
                held.server
            );
        }
        let prepared = prepare(directory, &mut lock).and_then(|()| look_at_space(directory, &held));
        if let Err(error) = prepared {
            let _ = remote.end(&held.id);
            return Err(error);
        }
        let manifest = unfinished(&held, history);
        manifest.write(directory)?;
        match copy(remote, directory, &held, &mut pace) {
            Ok(()) => {
                let manifest = finish(remote, directory, manifest, &held)?;
                return Ok(Copied { manifest, attribution: held.attribution });
            }
            Err(error) if error.is::<Gone>() => begun = Some(manifest),
            Err(error) => {
                return Err(error
                    .context(format!("{name}: the backup is not whole; the same command goes on with it")));
            }
        }
    }
    bail!(
        "{}: the server let go of {MOST_BACKUPS} backups before they were read: a longer backup.expire in its configuration, or \
         a higher --rate, lets it wait; the same command goes on with what is there",
        directory.display()
    )
}

/// Looks at a directory before anything is asked: what a broken-off run has left, or nothing.
fn look(directory: &Path) -> anyhow::Result<Option<Manifest>> {
    let name = directory.display();
    let names = match names(directory) {
        Ok(names) => names,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            bail!("{name}: it is no directory; name one that is not there yet, or an empty one")
        }
        Err(error) => return Err(error).with_context(|| name.to_string()),
    };
    let Some(first) = names.first() else { return Ok(None) };
    if !names.contains(MANIFEST) {
        // Killed before there was more.
        if names.iter().all(|name| *name == format!("{MANIFEST}{PART}")) {
            return Ok(None);
        }
        bail!(
            "{name}: it holds {first:?} and no backup; name a directory that is not there yet, or an empty one"
        );
    }
    let manifest = Manifest::read(directory)?;
    ensure!(
        !manifest.finished,
        "{name}: it holds a backup already, of {}, which is whole and stays as it is; name another directory for another backup",
        manifest.taken
    );
    Ok(Some(manifest))
}

fn names(directory: &Path) -> std::io::Result<BTreeSet<String>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Makes the directory, and keeps other runs out of it while `lock` lives.
fn prepare(directory: &Path, lock: &mut Option<File>) -> anyhow::Result<()> {
    if lock.is_some() {
        return Ok(());
    }
    let name = || directory.display().to_string();
    match DirBuilder::new().mode(0o700).recursive(true).create(directory) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => made.with_context(name)?,
    }
    let file = File::open(directory).with_context(name)?;
    ensure!(
        file.try_lock().is_ok(),
        "{}: another `upbeat backup` writes it: wait for that, or name another directory",
        name()
    );
    *lock = Some(file);
    Ok(())
}

/// Looks whether there is space for what is not there yet.
fn look_at_space(directory: &Path, held: &Held) -> anyhow::Result<()> {
    let mut needed = 0;
    for file in &held.files {
        let there = [directory.join(&file.name), part_of(directory, &file.name)];
        let there: u64 = there.iter().filter_map(|path| Some(fs::metadata(path).ok()?.len())).sum();
        needed += file.size.saturating_sub(there);
    }
    // A file system that does not say is found out when it is full.
    let free = RealDisk::new(directory).free().unwrap_or(u64::MAX);
    ensure!(
        free >= needed,
        "{}: the backup needs {needed} bytes more, and {free} are free: make space, or name a directory elsewhere",
        directory.display()
    );
    Ok(())
}

fn unfinished(held: &Held, history: bool) -> Manifest {
    let Held { server, taken, position, snapshot, .. } = held.clone();
    let mut manifest = Manifest::new(server, taken, position, snapshot, history);
    manifest.id = Some(held.id.clone());
    let of = |file: &HeldFile| BackedUp { name: file.name.clone(), bytes: file.size, sha256: None };
    manifest.files = held.files.iter().map(of).collect();
    manifest
}

fn part_of(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}{PART}"))
}

/// Reads all files that are not there yet.
fn copy(remote: &Remote, directory: &Path, held: &Held, pace: &mut Pace) -> anyhow::Result<()> {
    for file in &held.files {
        ensure!(
            is_of_backup(&file.name),
            "the server names a file {:?}, which is none of a backup",
            file.name
        );
    }
    // What a backup before this one had, and this one has not.
    for name in names(directory)? {
        let of = name.strip_suffix(PART).unwrap_or(&name);
        if is_of_backup(of) && !held.files.iter().any(|file| file.name == of) {
            fs::remove_file(directory.join(&name))
                .with_context(|| directory.join(&name).display().to_string())?;
        }
    }
    let mut progress = Progress::bytes(Some(held.files.iter().map(|file| file.bytes).sum()));
    for file in &held.files {
        copy_file(remote, directory, (&held.id, file), pace, &mut progress)?;
    }
    sync(directory)
}

/// Writes a file durably.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all_at(bytes, 0)?;
    file.sync_all()
}

fn sync(directory: &Path) -> anyhow::Result<()> {
    File::open(directory).and_then(|names| names.sync_all()).with_context(|| directory.display().to_string())
}

fn copy_file(
    remote: &Remote,
    directory: &Path,
    (id, held): (&str, &HeldFile),
    pace: &mut Pace,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let (path, part) = (directory.join(&held.name), part_of(directory, &held.name));
    let at = || part.display().to_string();
    if path.exists() {
        fs::rename(&path, &part).with_context(at)?;
    }
    let file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&part);
    let file = file.with_context(at)?;
    let mut next = same_bytes(remote, &file, (id, held)).map_err(|error| at_path(error, &part))?;
    file.set_len(next).with_context(at)?;
    progress.add(next);
    while next < held.bytes {
        let bytes = remote.part(id, &held.name, next, (next + PART_BYTES).min(held.bytes) - 1)?;
        let end = next + bytes.len() as u64;
        // What was made ahead in the log's files and never written takes no space here.
        if bytes.iter().all(|byte| *byte == 0) {
            file.set_len(end).with_context(at)?;
        } else {
            file.write_all_at(&bytes, next).with_context(at)?;
        }
        next = end;
        progress.add(bytes.len() as u64);
        pace.wait(bytes.len() as u64);
    }
    file.set_len(held.size).and_then(|()| file.sync_all()).with_context(at)?;
    fs::rename(&part, &path).with_context(at)
}

/// As [`Context::with_context`], but what the server has said stays what it is.
fn at_path(error: anyhow::Error, path: &Path) -> anyhow::Error {
    if error.is::<Gone>() { error } else { error.context(path.display().to_string()) }
}

/// As many bytes of a file that is there in part are those that the server has.
fn same_bytes(remote: &Remote, file: &File, (id, held): (&str, &HeldFile)) -> anyhow::Result<u64> {
    let there = file.metadata()?.len().min(held.bytes);
    let mut same = 0;
    let mut buffer = vec![0; DIGEST_BYTES.min(there) as usize];
    while same < there {
        let some = DIGEST_BYTES.min(there - same);
        let buffer = &mut buffer[..some as usize];
        file.read_exact_at(buffer, same)?;
        if remote.digest(id, &held.name, same, same + some - 1)? != hex(&Sha256::digest(&*buffer)) {
            break;
        }
        same += some;
    }
    Ok(same)
}

/// Checks what was copied, and says in the directory that it is whole.
fn finish(
    remote: &Remote,
    directory: &Path,
    mut manifest: Manifest,
    held: &Held,
) -> anyhow::Result<Manifest> {
    check(directory, &manifest).context(
        "the files came as the server has them: `upbeat journal check` says whether its own directory is sound. The same command \
         compares them with the server's again",
    )?;
    let name = directory.join(TOMBSTONES);
    let text = remote.tombstones()?;
    tombstones(&name.display().to_string(), &text, &manifest.server)?;
    write_whole(&name, text.as_bytes()).with_context(|| name.display().to_string())?;
    manifest.files.push(BackedUp { name: TOMBSTONES.to_owned(), bytes: text.len() as u64, sha256: None });
    let mut progress = Progress::bytes(Some(manifest.bytes()));
    for file in &mut manifest.files {
        let (bytes, sha256) = digest(&directory.join(&file.name), &mut progress)?;
        ensure!(
            bytes == file.bytes,
            "{}: {} has {bytes} bytes, and {} before",
            directory.display(),
            file.name,
            file.bytes
        );
        file.sha256 = Some(sha256);
    }
    (manifest.finished, manifest.id) = (true, None);
    manifest.write(directory)?;
    drop(progress);
    if let Err(error) = remote.end(&held.id) {
        // It is whole all the same.
        output::note(format_args!("upbeat backup: {error:#}; the server lets go of the files by itself"));
    }
    Ok(manifest)
}
