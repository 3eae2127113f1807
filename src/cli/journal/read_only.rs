//! A data directory that is read and never changed.

use std::fs::{File as StdFile, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::Context;
use upbeat_journal::disk::{Disk, File, RealDisk, RealFile};
use upbeat_journal::{LOCK_NAME, is_file_name};

/// The files of a directory, which every call that would change one refuses to do.
#[derive(Debug)]
pub(super) struct ReadOnlyDisk {
    directory: PathBuf,
    disk: RealDisk,
}

impl ReadOnlyDisk {
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), disk: RealDisk::new(directory) }
    }
}

fn refused<T>() -> io::Result<T> {
    Err(io::Error::new(ErrorKind::ReadOnlyFilesystem, "the directory is only read"))
}

impl Disk for ReadOnlyDisk {
    type File = ReadOnlyFile;

    fn names(&self) -> io::Result<Vec<String>> {
        let names = self.directory.read_dir()?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn create(&self, _name: &str, _bytes: u64) -> io::Result<ReadOnlyFile> {
        refused()
    }

    fn open(&self, name: &str) -> io::Result<ReadOnlyFile> {
        self.disk.open_to_read(name).map(ReadOnlyFile)
    }

    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _name: &str) -> io::Result<()> {
        refused()
    }

    fn sync_names(&self) -> io::Result<()> {
        refused()
    }

    fn free(&self) -> io::Result<u64> {
        Ok(0)
    }
}

/// A file of it.
#[derive(Debug)]
pub(super) struct ReadOnlyFile(RealFile);

impl File for ReadOnlyFile {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(at, into)
    }

    fn write_at(&self, _at: u64, _bytes: &[u8]) -> io::Result<()> {
        refused()
    }

    fn sync(&self) -> io::Result<()> {
        refused()
    }

    fn space(&self) -> io::Result<u64> {
        self.0.space()
    }

    fn release(&self, _from: u64) -> io::Result<()> {
        refused()
    }

    fn modified_ms(&self) -> io::Result<u64> {
        self.0.modified_ms()
    }
}

/// Keeps servers away from a directory while this lives, without changing a byte of it.
pub(super) struct Unused(Option<StdFile>);

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
    let names = ReadOnlyDisk::new(directory).names().with_context(hint)?;
    if !names.iter().any(|name| is_file_name(name)) {
        let held = names.iter().find(|name| *name != LOCK_NAME).map_or("nothing", |name| name);
        anyhow::bail!("{name}: it holds {held:?} and no file of Upbeat's; {remedy}");
    }
    let path = directory.join(LOCK_NAME);
    let file = match OpenOptions::new().read(true).open(&path) {
        Ok(file) => file,
        // A copy of the files alone, which no server uses.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Unused(None)),
        Err(error) => {
            return Err(error)
                .with_context(|| format!("{}; run this as the user of the server", path.display()));
        }
    };
    // SAFETY: the descriptor is open; the call has no other precondition.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_SH | libc::LOCK_NB) } != 0 {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let process = text.lines().next().unwrap_or("of another user").trim();
        anyhow::bail!("{} is in use by process {process}: stop it first", directory.display());
    }
    Ok(Unused(Some(file)))
}
