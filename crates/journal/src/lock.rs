//! One process at a time has a data directory.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
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
    #[error("{}: {error}; {}", file.display(), remedy(error))]
    Disk {
        /// The lock file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make space on its disk",
        io::ErrorKind::ReadOnlyFilesystem => {
            "mount its file system so that it can be written, or use a copy elsewhere"
        }
        _ => "the directory must be writable for the user whom the service runs as",
    }
}

fn name(pid: Option<u32>) -> String {
    pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
}

/// A lock on a directory, held while this lives. The kernel lets go of it however the process ends.
///
/// Its file says which process has the lock, and where that process's lanes lie while something may be in them alone. A
/// process that is killed leaves both.
#[derive(Debug)]
pub struct LockFile {
    /// Keeps the lock.
    file: File,
    path: PathBuf,
    lanes: Option<PathBuf>,
}

/// The name of the lock file in its directory.
pub const LOCK_NAME: &str = "lock";

/// What the line of the lanes begins with.
const LANES: &[u8] = b"lanes ";

impl LockFile {
    /// Takes the lock of a directory, and writes the number of this process into its file. The file stays: to remove it
    /// would let two processes lock two files of the same name. What it says of lanes stays, too.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn take(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join(LOCK_NAME);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let disk = |error| LockError::Disk { file: path.clone(), error };
        let mut file = options.open(&path).map_err(disk)?;
        let mut text = Vec::new();
        // SAFETY: the descriptor is open; the call has no other precondition.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::WouldBlock {
                return Err(disk(error));
            }
            let pid = file.read_to_end(&mut text).ok().and_then(|_| process(&text));
            return Err(LockError::Held { directory: directory.to_owned(), pid });
        }
        file.read_to_end(&mut text).map_err(disk)?;
        let lanes = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(LANES));
        let lanes = lanes.map(|path| PathBuf::from(OsString::from_vec(path.to_vec())));
        let lock = Self { file, path, lanes };
        lock.write()?;
        Ok(lock)
    }

    /// Where the lanes of the last process lie, unless it ended with nothing in them.
    #[must_use]
    pub fn lanes(&self) -> Option<&Path> {
        self.lanes.as_deref()
    }

    /// Says where lanes lie that outlive this process, or that nothing is left in any.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn note_lanes(&mut self, lanes: Option<PathBuf>) -> Result<(), LockError> {
        self.lanes = lanes;
        self.write()
    }

    /// Not synced: after a loss of power there are no lanes either. What a killed process was about to write is whole or not
    /// there, but for a rest that says nothing.
    fn write(&self) -> Result<(), LockError> {
        let mut text = format!("{}\n", std::process::id()).into_bytes();
        if let Some(lanes) = &self.lanes {
            text.extend_from_slice(LANES);
            text.extend_from_slice(lanes.as_os_str().as_bytes());
            text.push(b'\n');
        }
        let written = self.file.write_all_at(&text, 0).and_then(|()| self.file.set_len(text.len() as u64));
        written.map_err(|error| LockError::Disk { file: self.path.clone(), error })
    }
}

/// The process in the text of a lock file.
fn process(text: &[u8]) -> Option<u32> {
    let line = text.split(|byte| *byte == b'\n').next()?;
    std::str::from_utf8(line).ok()?.trim().parse().ok()
}
