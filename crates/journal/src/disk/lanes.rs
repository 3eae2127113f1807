//! The files in which lanes lie: in memory that outlives the process, mapped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::lane;
use crate::memory::Memory;

/// The files of the lanes of one log, numbered from 0.
pub trait LaneFiles {
    /// The size of a lane's file in bytes; `None` if there is none.
    ///
    /// # Errors
    /// It cannot be told.
    fn size(&self, lane: usize) -> io::Result<Option<u64>>;

    /// The memory of a lane's file, which is made or changed to `bytes` bytes, all of them allocated.
    ///
    /// # Errors
    /// It cannot be made, opened or mapped, or there is no space.
    fn map(&self, lane: usize, bytes: usize) -> io::Result<Memory>;
}

/// Why there is no memory of lanes.
#[derive(Debug, thiserror::Error)]
#[error("lane {lane}: {error}")]
pub struct LaneError {
    /// The lane that failed.
    pub lane: usize,
    /// What the system said.
    pub error: io::Error,
    /// Whether lanes of a former process may be there, whose records are nowhere else: a log that goes on without them
    /// loses them.
    pub of_former: bool,
}

/// Maps `count` lanes or more: those that a former process left keep their size, whatever their number; others have `bytes`
/// bytes.
///
/// # Errors
/// See [`LaneError`]. What a former process left is as it was.
pub fn map_lanes(files: &impl LaneFiles, count: usize, bytes: usize) -> Result<Vec<Memory>, LaneError> {
    let (mut memories, mut of_former) = (Vec::new(), false);
    for lane in 0.. {
        // What cannot be told may be there.
        let found = files.size(lane).map_err(|error| LaneError { lane, error, of_former: true })?;
        let former =
            found.and_then(|found| usize::try_from(found).ok()).filter(|found| lane::is_size(*found));
        of_former |= former.is_some();
        let bytes = match former {
            Some(former) => former,
            None if lane < count => bytes,
            None => break,
        };
        memories.push(files.map(lane, bytes).map_err(|error| LaneError { lane, error, of_former })?);
    }
    Ok(memories)
}

/// The lanes in a directory of a real tmpfs.
#[derive(Debug)]
pub struct LaneDirectory(PathBuf);

impl LaneDirectory {
    /// The lanes in an existing directory.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// The file of a lane.
    #[must_use]
    pub fn path(&self, lane: usize) -> PathBuf {
        self.0.join(format!("lane-{lane}"))
    }
}

impl LaneFiles for LaneDirectory {
    fn size(&self, lane: usize) -> io::Result<Option<u64>> {
        match fs::metadata(self.path(lane)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn map(&self, lane: usize, bytes: usize) -> io::Result<Memory> {
        Memory::of_file(&self.path(lane), bytes)
    }
}
