//! The disk calls of the journal, all of them: a real directory, or a simulated one that loses, tears and fails.
//!
//! Everything that the journal does to files goes through [`Disk`] and [`File`], so that the code that runs in production
//! is the code that the simulation breaks.

mod lanes;
mod read_only;
mod real;
pub mod simulated;

use std::io;
use std::sync::Arc;

pub use lanes::{LaneDirectory, LaneError, LaneFiles, map_lanes};
pub use read_only::{ReadOnlyDisk, ReadOnlyFile};
pub use real::{RealDisk, RealFile};

/// One directory of files.
pub trait Disk: Send + Sync + 'static {
    /// An open file of it.
    type File: File;

    /// The names of all files, in no order.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Creates a file that did not exist, with `bytes` bytes of zeros allocated on the disk.
    ///
    /// The name is durable after [`Disk::sync_names`], the contents and the size after [`File::sync`].
    ///
    /// # Errors
    /// It exists, or there is no space, or the disk failed.
    fn create(&self, name: &str, bytes: u64) -> io::Result<Self::File>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// There is none, or it may not be opened.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Gives a file another name; a file that had it is replaced. Durable after [`Disk::sync_names`].
    ///
    /// # Errors
    /// The disk failed, or there is no such file.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Durable after [`Disk::sync_names`].
    ///
    /// # Errors
    /// The disk failed, or there is no such file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every creation, renaming and removal so far durable.
    ///
    /// # Errors
    /// The disk failed: which of them are durable is unknown. Every later call fails, too, whoever makes it: another sync
    /// would not tell.
    fn sync_names(&self) -> io::Result<()>;

    /// Bytes that may still be allocated.
    ///
    /// # Errors
    /// The file system does not say.
    fn free(&self) -> io::Result<u64>;
}

/// A disk that several threads use.
impl<D: Disk> Disk for Arc<D> {
    type File = D::File;

    fn names(&self) -> io::Result<Vec<String>> {
        D::names(self)
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Self::File> {
        D::create(self, name, bytes)
    }

    fn open(&self, name: &str) -> io::Result<Self::File> {
        D::open(self, name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        D::rename(self, from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        D::remove(self, name)
    }

    fn sync_names(&self) -> io::Result<()> {
        D::sync_names(self)
    }

    fn free(&self) -> io::Result<u64> {
        D::free(self)
    }
}

/// An open file.
pub trait File: Send + Sync + 'static {
    /// Its size in bytes.
    ///
    /// # Errors
    /// The disk failed.
    fn size(&self) -> io::Result<u64>;

    /// Bytes that it takes on the disk.
    ///
    /// # Errors
    /// The disk failed.
    fn space(&self) -> io::Result<u64>;

    /// Fills `into` with the bytes from `at` on; returns how many there were.
    ///
    /// # Errors
    /// The disk failed.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `at`. Durable after [`File::sync`].
    ///
    /// # Errors
    /// The disk failed or is full; some of the bytes may have been written.
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything that was written so far durable.
    ///
    /// # Errors
    /// The disk failed. What was written is lost or not, and another call does not tell: the kernel marks the pages clean
    /// (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
    fn sync(&self) -> io::Result<()>;

    /// Gives the space of what lies from `from` on back to the file system: it reads as zeros, and the size stays. Durable
    /// after [`File::sync`].
    ///
    /// # Errors
    /// The file system cannot do that, or the disk failed.
    fn release(&self, from: u64) -> io::Result<()>;

    /// When it was last written, in milliseconds since 1970.
    ///
    /// # Errors
    /// The disk failed.
    fn modified_ms(&self) -> io::Result<u64>;

    /// Says that it was last written then, in milliseconds since 1970: what is rewritten is no younger for that. Durable when
    /// this returns, as far as the file system keeps such times.
    ///
    /// # Errors
    /// The disk failed.
    fn set_modified_ms(&self, ms: u64) -> io::Result<()>;

    /// What is durable need not stay in memory: where the file system allows, the next read comes from the disk.
    fn drop_cache(&self) {}
}
