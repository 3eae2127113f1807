//! The files of a log, opened.

use std::io;

use crate::disk::{Disk, File};
use crate::error::RecoveryError;
use crate::group::{self, BLOCK, GroupHead};
use crate::segment::{self, BadHead, SegmentHead};
use crate::{rewrite, snapshot, spare};

/// A file of the log and what its head says.
pub(crate) struct SegmentFile<F> {
    pub name: String,
    pub number: u64,
    pub file: F,
    pub size: u64,
    pub head: Result<SegmentHead, BadHead>,
    /// Whether a group was begun in it. What one that was not says of those before it may be out of date: its maker may
    /// have removed it, and a loss of power have brought it back.
    pub used: bool,
}

/// The names of a file that is made ahead, and of one that is not finished.
pub const SPARE_NAMES: [&str; 2] = [spare::NAME, spare::UNFINISHED];

/// Whether a file's name is one of a log's or of a snapshot's. Other programs have files that begin so, and go on otherwise.
#[must_use]
pub fn is_file_name(name: &str) -> bool {
    let is_finished = segment::number(name).is_some() || snapshot::position(name).is_some();
    is_finished || snapshot::is_unfinished(name) || rewrite::is_unfinished(name)
}

/// Bytes that the process which opens the log next gives back before it makes a file, at most: what was made ahead or being
/// rewritten, and what the last file holds beyond its end.
///
/// # Errors
/// The disk failed.
pub fn bytes_to_give_back<D: Disk>(disk: &D) -> io::Result<u64> {
    let names = disk.names()?;
    let last = names.iter().filter_map(|name| Some((segment::number(name)?, name))).max();
    let goes = |name: &str| SPARE_NAMES.contains(&name) || rewrite::is_unfinished(name);
    let ahead = names.iter().filter(|name| goes(name));
    ahead.chain(last.map(|(_, name)| name)).map(|name| disk.open(name)?.space()).sum()
}

/// An error of a call, with the file that it was about.
pub(crate) fn at<T>(file: &str, result: io::Result<T>) -> Result<T, RecoveryError> {
    result.map_err(|error| RecoveryError::Disk { file: file.to_owned(), error })
}

/// Whether a group begins after this head, sound or not.
pub(crate) fn is_used(head: Option<SegmentHead>, blocks: &[u8]) -> bool {
    let first = blocks.get(BLOCK..BLOCK + group::HEAD);
    head.zip(first).is_some_and(|(head, first)| group::claimed_size(first, head.salt).is_some())
}

/// All segments in order.
pub(crate) fn open_segments<D: Disk>(disk: &D) -> Result<Vec<SegmentFile<D::File>>, RecoveryError> {
    let mut numbered: Vec<(u64, String)> = at("the data directory", disk.names())?
        .into_iter()
        .filter_map(|name| Some((segment::number(&name)?, name)))
        .collect();
    numbered.sort_unstable();
    let mut segments = Vec::with_capacity(numbered.len());
    for (number, name) in numbered {
        let file = at(&name, disk.open(&name))?;
        let mut block = vec![0; 2 * BLOCK];
        let read = at(&name, file.read_at(0, &mut block))?;
        // After the head, which is written last: a file that is being made meanwhile is none that was cut.
        let size = at(&name, file.size())?;
        let mut head = segment::decode(&block[..read]);
        if let Err(BadHead::Newer(version)) = head {
            return Err(RecoveryError::Newer { file: name, version });
        }
        if head == Err(BadHead::Foreign) {
            let what = "this is no file of ours; if another program put it here, move it away".to_owned();
            return Err(RecoveryError::Damaged { file: name, offset: 0, what });
        }
        if head.is_ok_and(|head| head.number != number) {
            head = Err(BadHead::Damaged);
        }
        segments.push(SegmentFile {
            used: is_used(head.ok(), &block[..read]),
            name,
            number,
            file,
            size,
            head,
        });
    }
    Ok(segments)
}

/// Reads the group at `offset` into `buffer`; `None` if no valid one begins there.
pub(crate) fn read_group<F: File>(
    segment: &SegmentFile<F>,
    salt: u64,
    offset: u64,
    buffer: &mut Vec<u8>,
) -> Result<Option<GroupHead>, RecoveryError> {
    buffer.resize(BLOCK, 0);
    if at(&segment.name, segment.file.read_at(offset, buffer))? < BLOCK {
        return Ok(None);
    }
    let Some(size) = group::claimed_size(buffer, salt) else {
        return Ok(None);
    };
    buffer.resize(size, 0);
    let rest = &mut buffer[BLOCK..];
    if at(&segment.name, segment.file.read_at(offset + BLOCK as u64, rest))? < rest.len() {
        return Ok(None);
    }
    Ok(group::read(buffer).map(|(group, _)| group))
}
