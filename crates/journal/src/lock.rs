//! One process at a time has a data directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Why the lock was not taken. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{} is in use by {}: stop that process, or use another directory", directory.display(), name(*pid))]
    Held {
        /// The directory.
        directory: PathBuf,
        /// The other process, if it has said so.
        pid: Option<u32>,
    },
    /// The lock file cannot be opened.
    #[error("{}: {error}; the directory must be writable for the user whom the service runs as", file.display())]
    Disk {
        /// The lock file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

fn name(pid: Option<u32>) -> String {
    pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
}

/// A lock on a directory, held while this lives. The kernel lets go of it however the process ends.
#[derive(Debug)]
pub struct LockFile {
    /// Keeps the lock.
    _file: File,
}

/// The name of the lock file in its directory.
pub const LOCK_NAME: &str = "lock";

impl LockFile {
    /// Takes the lock of a directory, and writes the number of this process into its file. The file stays: to remove it
    /// would let two processes lock two files of the same name.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn take(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join(LOCK_NAME);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let disk = |error| LockError::Disk { file: path.clone(), error };
        let mut file = options.open(&path).map_err(disk)?;
        // SAFETY: the descriptor is open; the call has no other precondition.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::WouldBlock {
                return Err(disk(error));
            }
            let mut text = String::new();
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(LockError::Held { directory: directory.to_owned(), pid });
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(disk)?;
        Ok(Self { _file: file })
    }
}
