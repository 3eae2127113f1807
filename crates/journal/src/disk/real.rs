//! A directory of a real file system.

use std::fs::{self, File as StdFile, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use super::{Disk, File};

/// Only the user whom the service runs as reads what customers did.
const MODE_OF_FILES: u32 = 0o600;

/// A directory of a real file system.
#[derive(Debug)]
pub struct RealDisk {
    directory: PathBuf,
    /// Syncing the names has failed: which are durable is unknown, and a later sync would not tell.
    names_failed: AtomicBool,
}

impl RealDisk {
    /// The files of an existing directory.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), names_failed: AtomicBool::new(false) }
    }

    /// Opens a file for reading alone: every call that would change it fails.
    ///
    /// # Errors
    /// There is none, or it may not be read.
    pub fn open_to_read(&self, name: &str) -> io::Result<RealFile> {
        StdFile::open(self.path(name)).map(RealFile)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Disk for RealDisk {
    type File = RealFile;

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            // A name that is not UTF-8 is none of ours.
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<RealFile> {
        let path = self.path(name);
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(MODE_OF_FILES).open(&path)?;
        allocate(&file, bytes).inspect_err(|_| {
            // A file without its space is of no use, and the caller will try its name again.
            let _ = fs::remove_file(&path);
        })?;
        Ok(RealFile(file))
    }

    fn open(&self, name: &str) -> io::Result<RealFile> {
        OpenOptions::new().read(true).write(true).open(self.path(name)).map(RealFile)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        if self.names_failed.load(Ordering::Acquire) {
            return Err(io::Error::other("syncing the directory has failed before"));
        }
        StdFile::open(&self.directory)?
            .sync_all()
            .inspect_err(|_| self.names_failed.store(true, Ordering::Release))
    }

    fn free(&self) -> io::Result<u64> {
        let directory = StdFile::open(&self.directory)?;
        let mut of = std::mem::MaybeUninit::<libc::statvfs>::uninit();
        // SAFETY: the descriptor is open, and the kernel fills the structure when it returns 0.
        let of = unsafe {
            if libc::fstatvfs(directory.as_raw_fd(), of.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            of.assume_init()
        };
        Ok(of.f_bavail.saturating_mul(of.f_frsize))
    }
}

/// Allocates the space of a new file, so that a later write within it does not find the disk full.
fn allocate(file: &StdFile, bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    let length = libc::off_t::try_from(bytes).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open; the call has no other precondition.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// An open file of a real file system.
#[derive(Debug)]
pub struct RealFile(StdFile);

impl File for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn space(&self) -> io::Result<u64> {
        // In units of 512 bytes, whatever the blocks of the file system.
        Ok(self.0.metadata()?.blocks() * 512)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < into.len() {
            match self.0.read_at(&mut into[read..], at + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn release(&self, from: u64) -> io::Result<()> {
        let bytes = self.size()?.saturating_sub(from);
        if bytes == 0 {
            return Ok(());
        }
        let (from, bytes) = (libc::off_t::try_from(from), libc::off_t::try_from(bytes));
        let (from, bytes) = (from.map_err(io::Error::other)?, bytes.map_err(io::Error::other)?);
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        // SAFETY: the descriptor is open; the call has no other precondition.
        match unsafe { libc::fallocate(self.0.as_raw_fd(), mode, from, bytes) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn modified_ms(&self) -> io::Result<u64> {
        let since = self.0.metadata()?.modified()?.duration_since(UNIX_EPOCH);
        Ok(since.map_or(0, |since| since.as_millis() as u64))
    }

    fn set_modified_ms(&self, ms: u64) -> io::Result<()> {
        self.0.set_modified(UNIX_EPOCH + Duration::from_millis(ms))?;
        // A sync of the data alone leaves it out.
        self.0.sync_all()
    }

    fn drop_cache(&self) {
        // SAFETY: the descriptor is open; the call has no other precondition, and its failure changes nothing.
        unsafe { libc::posix_fadvise(self.0.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    }
}
