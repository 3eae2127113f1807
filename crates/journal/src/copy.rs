//! What a copy of a directory needs that is taken while its log is written: a snapshot, and the log from there on up to the end of
//! a whole group. Files that are not written any more are copied as they are.

use crate::disk::Disk;
use crate::error::RecoveryError;
use crate::files::{at, open_segments};
use crate::history::log_files;
use crate::segment;
use crate::snapshot::{self, Snapshot, SnapshotError};

/// Where a log ends: after a whole group, and before whatever is written next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEnd {
    /// The number of its last file.
    pub segment: u64,
    /// Where the last group ends in that file, in bytes.
    pub bytes: u64,
    /// Every record at a position below is in the log up to here.
    pub complete: u64,
    /// Above all positions in the log up to here.
    pub top: u64,
}

/// A file that a copy needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedFile {
    /// Its name.
    pub name: String,
    /// As many of its bytes, from the first on, belong to the copy.
    pub bytes: u64,
    /// Its size in bytes: what is not copied is zeros.
    pub size: u64,
}

/// What a copy needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The snapshot in it; without one the log in it is whole.
    pub snapshot: Option<String>,
    /// Above all positions in it.
    pub position: u64,
    /// The snapshot, and the log in its order.
    pub files: Vec<CopiedFile>,
}

/// What a copy needs of a directory whose log had this end at some moment, after all of its files were made. Without `history`
/// files of the log are left out that the snapshot makes needless. What was written after the end is not in it.
///
/// # Errors
/// The disk failed, a newer program wrote a file, or part of what is needed is not there.
pub fn files_of_copy<D: Disk>(disk: &D, end: &LogEnd, history: bool) -> Result<Copy, RecoveryError> {
    let snapshot = newest_within(disk, end)?;
    let from = snapshot.as_ref().map(Snapshot::from);
    let is_history: Vec<String> = match from {
        Some(_) if !history => {
            let files = at("the data directory", log_files(disk, from))?;
            files.into_iter().filter(|file| file.history).map(|file| file.name).collect()
        }
        _ => Vec::new(),
    };
    let segments = open_segments(disk)?;
    let needed =
        segments.iter().filter(|file| file.number <= end.segment && !is_history.contains(&file.name));
    let mut files: Vec<CopiedFile> = Vec::new();
    if let Some(snapshot) = &snapshot {
        let (name, bytes) = (snapshot.name().to_owned(), snapshot.bytes());
        files.push(CopiedFile { name, bytes, size: bytes });
    }
    let (mut begins, mut ends, mut has_end) = (None, 0, false);
    for segment in needed {
        let size = segment.size;
        if let Ok(head) = segment.head {
            begins = begins.or(Some((segment.name.clone(), head.floor)));
            ends = head.floor;
        }
        let is_last = segment.number == end.segment;
        has_end |= is_last;
        let bytes = if is_last { end.bytes.min(size) } else { size };
        files.push(CopiedFile { name: segment.name.clone(), bytes, size });
    }
    let from = from.unwrap_or(1).max(1);
    if let Some((file, begins)) = begins.filter(|(_, begins)| from < *begins) {
        return Err(RecoveryError::Missing { file, begins, from });
    }
    if !has_end {
        return Err(RecoveryError::Behind { ends, reached: end.top });
    }
    Ok(Copy { snapshot: snapshot.map(|snapshot| snapshot.name().to_owned()), position: end.top, files })
}

/// The newest snapshot that can be read and holds nothing of a position that the log does not have up to its end. Its blocks are
/// read by whoever checks the copy.
fn newest_within<D: Disk>(disk: &D, end: &LogEnd) -> Result<Option<Snapshot<D>>, RecoveryError> {
    let mut names: Vec<String> = at("the data directory", disk.names())?;
    names.retain(|name| snapshot::position(name).is_some());
    names.sort_unstable_by(|a, b| b.cmp(a));
    for name in names {
        match Snapshot::open(disk, &name) {
            Ok(found) if found.reached() <= end.top && snapshot::position(&name) == Some(found.from()) => {
                return Ok(Some(found));
            }
            // It is of a later moment, or has the name of another.
            Ok(_) | Err(SnapshotError::Damaged { .. } | SnapshotError::Space { .. }) => {}
            Err(SnapshotError::Newer { file, version }) => {
                return Err(RecoveryError::Newer { file, version });
            }
            Err(SnapshotError::Disk { file, error }) => return Err(RecoveryError::Disk { file, error }),
        }
    }
    Ok(None)
}

impl LogEnd {
    /// The name of the log's last file.
    #[must_use]
    pub fn file(&self) -> String {
        segment::name(self.segment)
    }
}
