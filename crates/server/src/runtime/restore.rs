//! Making a data directory from the files of a backup: beside its place, opened there as a server would open it, and given its name
//! at the end.

mod opened;

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use upbeat_engine::storage::{self, OpenError};
use upbeat_engine::{NotRemoved, Tombstone};
use upbeat_journal::disk::{Disk, RealDisk};
use upbeat_journal::snapshot::SnapshotError;
use upbeat_journal::{LOCK_NAME, LockFile, MOST_BYTES, RewriteError, SPARE_NAMES, StepError, is_file_name};

use super::campaigns::{KEPT as MODELS_NAME, file_of_backup};
use super::data_dir::{DataDir, DataDirError, above, make};
use opened::open_and_erase;

/// Why nothing is restored. The place of the data directory is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The place is taken.
    #[error("{}: {what}; nothing was changed", path.display())]
    Taken {
        /// The place.
        path: PathBuf,
        /// By what, and what helps.
        what: String,
    },
    /// The place cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// What was copied cannot be read.
    #[error("{}: {error}; nothing was restored", path.display())]
    Open {
        /// Where it was copied to.
        path: PathBuf,
        /// Why.
        error: OpenError,
    },
    /// The log of the copy cannot be written.
    #[error("{}: {error}; nothing was restored", path.display())]
    Step {
        /// Where it was copied to.
        path: PathBuf,
        /// Why.
        error: StepError,
    },
    /// There is too little space.
    #[error("{}: the data directory needs {needed} bytes, and {free} are free: make space, or name a place on another disk; nothing \
        was changed", path.display())]
    Space {
        /// The directory that it is to be made in.
        path: PathBuf,
        /// In bytes.
        needed: u64,
        /// In bytes.
        free: u64,
    },
    /// Those who were erased since cannot be erased from the copy.
    #[error("{}: {error}; nothing was restored", path.display())]
    Bury {
        /// Where it was copied to.
        path: PathBuf,
        /// Why.
        error: NotRemoved,
    },
    /// A snapshot without them cannot be written.
    #[error("{}: no snapshot: {error}; nothing was restored", path.display())]
    Snapshot {
        /// Where it was copied to.
        path: PathBuf,
        /// Why.
        error: SnapshotError,
    },
    /// What the log holds of them cannot be erased.
    #[error("{}: {error}; nothing was restored", path.display())]
    Rewrite {
        /// Where it was copied to.
        path: PathBuf,
        /// Why.
        error: RewriteError,
    },
    /// The data are not of the server that they should be of.
    #[error(
        "the files are of server {found}, and the backup is of server {expected}: they do not belong together"
    )]
    OtherServer {
        /// That of the data.
        found: String,
        /// That which the backup names.
        expected: String,
    },
    /// The disk failed.
    #[error("{}: {error}; nothing was restored", path.display())]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// A place for a data directory.
#[derive(Debug)]
pub struct Restoration {
    target: PathBuf,
    /// Where everything is until it is whole.
    partial: PathBuf,
}

/// What restoring came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// Customers in the new directory.
    pub customers: usize,
    /// Customers of the backup who were erased since, and are not in it.
    pub erased: usize,
    /// Tombstones that the backup did not know.
    pub tombstones: usize,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    let path = path.to_owned();
    move |error| RestoreError::Disk { path, error }
}

impl Restoration {
    /// Looks whether a data directory can be made at a place. Changes nothing.
    ///
    /// # Errors
    /// Something is there already, or the place cannot be used.
    pub fn prepare(target: &Path) -> Result<Self, RestoreError> {
        // Without a slash at its end, which a link would be followed by.
        let target: PathBuf = target.components().collect();
        let taken = |what: String| RestoreError::Taken { path: target.clone(), what };
        match fs::symlink_metadata(&target) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(at(&target)(error)),
            Ok(metadata) if metadata.is_symlink() => {
                return Err(taken("it is a link: name the directory itself".to_owned()));
            }
            Ok(metadata) if !metadata.is_dir() => {
                return Err(taken("it is no directory: name one that is not there yet".to_owned()));
            }
            Ok(metadata) => {
                look_at_contents(&target)?;
                let above = fs::metadata(above(&target).unwrap_or(&target)).map_err(at(&target))?;
                if above.dev() != metadata.dev() {
                    let inside = target.join("data");
                    return Err(taken(format!(
                        "it is a file system of its own, which cannot be put in place at once: name a directory in it, such as {}",
                        inside.display()
                    )));
                }
            }
        }
        let mut name = target.as_os_str().to_owned();
        name.push(".partial");
        Ok(Self { partial: PathBuf::from(name), target })
    }

    /// Copies these files of `backup`, opens the copy as a server would, and gives it its name. A process that is killed at any
    /// moment leaves no data directory or a whole one; what else it leaves, the next run removes. `server` is the
    /// fingerprint of the server whose data they are. Whose `tombstones` these are, is erased from the copy, from every file of it.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn run(
        self,
        backup: &Path,
        files: &[&str],
        server: &str,
        tombstones: &[Tombstone],
    ) -> Result<Restored, RestoreError> {
        let partial = &self.partial;
        self.remove_partial()?;
        let directory = above(&self.target).unwrap_or(&self.target);
        make(directory).map_err(at(directory))?;
        look_at_space(directory, backup, files)?;
        DirBuilder::new().mode(0o700).create(partial).map_err(at(partial))?;
        let made = self.fill(backup, files, server, tombstones);
        let (restored, _lock) = match made {
            Ok(made) => made,
            Err(error) => {
                // The next run removes it otherwise.
                let _ = fs::remove_dir_all(partial);
                return Err(error);
            }
        };
        fs::rename(partial, &self.target).map_err(at(&self.target))?;
        File::open(directory).and_then(|names| names.sync_all()).map_err(at(directory))?;
        Ok(restored)
    }

    /// Removes what a run has left that was killed.
    fn remove_partial(&self) -> Result<(), RestoreError> {
        let partial = &self.partial;
        let entries = match fs::read_dir(partial) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(at(partial))?,
        };
        for entry in entries {
            let name = entry.map_err(at(partial))?.file_name().to_string_lossy().into_owned();
            let is_ours = is_file_name(&name)
                || name == LOCK_NAME
                || SPARE_NAMES.contains(&&*name)
                || name == MODELS_NAME;
            if !is_ours {
                let what = format!(
                    "it holds {name:?}, and the new directory is to be made under this name: move it away"
                );
                return Err(RestoreError::Taken { path: partial.clone(), what });
            }
        }
        // Another run would write it still.
        drop(LockFile::take(partial).map_err(DataDirError::from)?);
        fs::remove_dir_all(partial).map_err(at(partial))
    }

    fn fill(
        &self,
        backup: &Path,
        files: &[&str],
        server: &str,
        tombstones: &[Tombstone],
    ) -> Result<(Restored, DataDir), RestoreError> {
        let path = &self.partial;
        // Held until the directory has its name.
        let directory = DataDir::open(path, true)?;
        for file in files {
            let to = file_of_backup(file).unwrap_or_else(|| PathBuf::from(file));
            if let Some(of_models) = to.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                let of_models = path.join(of_models);
                make(&of_models).map_err(at(&of_models))?;
            }
            copy(&backup.join(file), &path.join(to))?;
        }
        let disk = Arc::new(RealDisk::new(path));
        let unreadable = |error: OpenError| RestoreError::Open { path: path.clone(), error };
        let started = storage::last_started(Arc::clone(&disk)).map_err(unreadable)?;
        let found =
            started.as_ref().map_or_else(|| "unknown".to_owned(), |started| started.server_fingerprint());
        if found != server {
            return Err(RestoreError::OtherServer { found, expected: server.to_owned() });
        }
        let (erased, customers) = open_and_erase(path, started.as_ref(), tombstones)?;
        File::open(path).and_then(|names| names.sync_all()).map_err(at(path))?;
        let restored = Restored { customers, erased: erased.customers, tombstones: erased.tombstones };
        Ok((restored, directory))
    }
}

/// # Errors
/// The directory is not empty.
fn look_at_contents(target: &Path) -> Result<(), RestoreError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(target).map_err(at(target))? {
        names.push(entry.map_err(at(target))?.file_name().to_string_lossy().into_owned());
    }
    let taken = |what: String| RestoreError::Taken { path: target.to_owned(), what };
    // Looked at without writing the number of this process into it.
    if let Ok(lock) = File::open(target.join(LOCK_NAME))
        && matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
    {
        let text = io::read_to_string(lock).unwrap_or_default();
        let process = text.lines().next().unwrap_or("of another user").to_owned();
        return Err(taken(format!("it is in use by process {process}: restore into another directory")));
    }
    match names.iter().find(|name| *name != LOCK_NAME).or(names.first()) {
        None => Ok(()),
        Some(name) => Err(taken(format!(
            "it holds {name:?}, and a backup is restored into a directory that is empty or not there yet"
        ))),
    }
}

/// # Errors
/// There is no room for the files, and for what an opening begins. A disk that does not say is found out when it is full.
fn look_at_space(directory: &Path, backup: &Path, files: &[&str]) -> Result<(), RestoreError> {
    let mut needed = MOST_BYTES as u64;
    for file in files {
        let path = backup.join(file);
        needed += fs::metadata(&path).map_err(at(&path))?.len();
    }
    let free = RealDisk::new(directory).free().unwrap_or(u64::MAX);
    if free >= needed {
        return Ok(());
    }
    Err(RestoreError::Space { path: directory.to_owned(), needed, free })
}

/// Copies a file, for this user alone, durably.
fn copy(from: &Path, to: &Path) -> Result<(), RestoreError> {
    let mut source = File::open(from).map_err(at(from))?;
    let made = File::options().write(true).create_new(true).mode(0o600).open(to);
    let mut made = made.map_err(at(to))?;
    // The kernel shares the blocks where the file system can.
    io::copy(&mut source, &mut made).map_err(at(to))?;
    made.sync_all().map_err(at(to))
}
