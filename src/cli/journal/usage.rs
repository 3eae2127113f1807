//! Whether a server uses a data directory.

use std::fs::{File as StdFile, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::path::Path;

use anyhow::Context;
use upbeat_journal::{LOCK_NAME, is_file_name};

/// Whether a server uses a directory.
pub(crate) enum Usage {
    /// None does, and none can while this lives.
    Unused(Unused),
    /// This process does, by what the lock says.
    By(String),
}

impl Usage {
    /// The process that uses it.
    pub(crate) fn process(&self) -> Option<&str> {
        match self {
            Self::Unused(_) => None,
            Self::By(process) => Some(process),
        }
    }
}

/// Keeps servers away from a directory while this lives, without changing a byte of it.
pub(crate) struct Unused(Option<StdFile>);

impl Drop for Unused {
    fn drop(&mut self) {
        // The lock ends with its file.
        drop(self.0.take());
    }
}

/// Sees to it that no server uses a data directory, now or while the result lives.
///
/// # Errors
/// It is no directory of Upbeat's, or a server uses it: which.
pub(super) fn unused(directory: &Path) -> anyhow::Result<Unused> {
    match usage(directory)? {
        Usage::Unused(unused) => Ok(unused),
        Usage::By(process) => {
            anyhow::bail!("{} is in use by process {process}: stop it first", directory.display())
        }
    }
}

/// Looks whether a server uses a data directory. Where none does, none can while the result lives.
///
/// # Errors
/// It is no directory of Upbeat's, or may not be looked at.
pub(crate) fn usage(directory: &Path) -> anyhow::Result<Usage> {
    let name = directory.display();
    let remedy = "name the data directory of a server: data_dir in its configuration, upbeat-data unless that says otherwise";
    if let Ok(to) = std::fs::read_link(directory)
        && !directory.exists()
    {
        anyhow::bail!("{name}: it is a link to {}, which is not there; {remedy}", to.display());
    }
    let metadata = std::fs::metadata(directory).with_context(|| format!("{name}; {remedy}"))?;
    anyhow::ensure!(metadata.is_dir(), "{name}: it is no directory; {remedy}");
    let hint = || format!("{name}; run this as the user of the server");
    let mut held = None;
    let mut is_ours = false;
    for entry in directory.read_dir().with_context(hint)? {
        let entry = entry.with_context(hint)?.file_name();
        let entry = entry.to_string_lossy();
        is_ours |= is_file_name(&entry);
        if entry != LOCK_NAME {
            held.get_or_insert_with(|| entry.into_owned());
        }
    }
    if !is_ours {
        let held = held.as_deref().unwrap_or("nothing");
        anyhow::bail!("{name}: it holds {held:?} and no file of Upbeat's; {remedy}");
    }
    let path = directory.join(LOCK_NAME);
    let file = match OpenOptions::new().read(true).open(&path) {
        Ok(file) => file,
        // A copy of the files alone, which no server uses.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Usage::Unused(Unused(None))),
        Err(error) => {
            return Err(error)
                .with_context(|| format!("{}; run this as the user of the server", path.display()));
        }
    };
    // SAFETY: the descriptor is open; the call has no other precondition.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_SH | libc::LOCK_NB) } != 0 {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let process = text.lines().next().unwrap_or("of another user").trim();
        return Ok(Usage::By(process.to_owned()));
    }
    Ok(Usage::Unused(Unused(Some(file))))
}
