//! Rewriting history: records that are to be forgotten leave the files of the log that no recovery needs.
//!
//! A file is rewritten under another name, with the same head, the same groups, numbers and watermarks, and without the
//! records that go; it is synced, read back and compared, and takes the place of the old one by a rename. So a crash at any
//! moment leaves either, and both are sound. It is as long as its groups are, and keeps the old one's age.

mod edited;

use std::io;

use self::edited::Edited;
use crate::disk::{Disk, File};
use crate::error::RecoveryError;
use crate::files::{SegmentFile, at, read_group};
use crate::group::{self, BLOCK, GroupHead};
use crate::history::{LogFile, log_files};
use crate::planted::{Guard, stands};
use crate::record::Record;
use crate::segment::{self, SegmentHead};

/// Bytes after which a file is synced: the log's syncs never wait for more than these.
const SYNC_BYTES: u64 = 4 << 20;

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrite {
    /// It stays as it is.
    Keep,
    /// It goes. Its position stays a gap, which every reader takes.
    Drop,
    /// It becomes one of this kind with this payload, at the same position and of the same unit.
    Replace(u16, Vec<u8>),
}

/// What came of rewriting a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// Records that are gone.
    pub dropped: u64,
    /// Records that are others now.
    pub replaced: u64,
    /// Bytes of the file, as it was and as it is.
    pub bytes: (u64, u64),
}

impl Rewritten {
    /// Whether there is another file than before: one in which nothing changes is not written.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.dropped + self.replaced > 0
    }
}

/// Why a file of history is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// It cannot be read or written, it is damaged, or what was written is not what is read.
    #[error(transparent)]
    Log(#[from] RecoveryError),
    /// There is not enough space beside it.
    #[error("{file}: rewriting it needs {needed} bytes, and {free} are free")]
    Space {
        /// The file.
        file: String,
        /// In bytes.
        needed: u64,
        /// In bytes.
        free: u64,
    },
}

impl RewriteError {
    /// The data directory itself could not be read or written.
    #[must_use]
    pub fn of_directory(error: io::Error) -> Self {
        RecoveryError::Disk { file: "the data directory".to_owned(), error }.into()
    }
}

/// Bytes that a group takes in a file whose records take so many, with their heads.
#[must_use]
pub const fn group_bytes(records: usize) -> u64 {
    group::size(records) as u64
}

/// Bytes of a file's own head.
pub const FILE_HEAD_BYTES: u64 = BLOCK as u64;

fn unfinished_name(number: u64) -> String {
    format!("{}.tmp", segment::name(number))
}

/// Whether this is the name of a file that was being rewritten: the old one is there beside it.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(".tmp").and_then(segment::number).is_some()
}

/// Removes what a former process did not finish. What stays is replaced by the next.
pub(crate) fn remove_unfinished<D: Disk>(disk: &D) {
    let names = disk.names().unwrap_or_default();
    for name in names.iter().filter(|name| is_unfinished(name)) {
        let _ = disk.remove(name);
    }
}

/// Whether every record at or below a position lies in history: so it is once the log has gone on in a new file after the position
/// was durable, and no snapshot needs a file before that.
///
/// # Errors
/// The disk failed, or a file is damaged.
pub fn history_covers<D: Disk>(
    disk: &D,
    needed_from: Option<u64>,
    position: u64,
) -> Result<bool, RecoveryError> {
    let files = at("the data directory", log_files(disk, needed_from))?;
    let Some(first) = files.iter().find(|file| !file.history) else { return Ok(false) };
    // Without history it may be one that was never finished.
    let Ok((segment, head)) = open_file(disk, first) else { return Ok(false) };
    let mut buffer = Vec::new();
    let group = read_group(&segment, head.salt, BLOCK as u64, &mut buffer)?;
    let is_empty = group::read(&buffer).is_some_and(|(_, records)| records.is_empty());
    if group.is_some_and(|group| is_empty && group.watermark > position) {
        // All below its watermark is in an earlier one.
        return Ok(true);
    }
    let last = files.iter().rev().find(|file| file.history && file.end.is_some());
    let mut covers = false;
    if let Some(last) = last
        && let Some(last) = HistoryFile::open(disk, last)?
    {
        last.groups(|group, _| {
            covers = group.watermark > position;
            Ok(true)
        })?;
    }
    Ok(covers)
}

/// Opens a file of the log by what was found of it.
fn open_file<D: Disk>(
    disk: &D,
    file: &LogFile,
) -> Result<(SegmentFile<D::File>, SegmentHead), RecoveryError> {
    let name = &file.name;
    let opened = at(name, disk.open(name))?;
    let size = at(name, opened.size())?;
    let mut block = vec![0; BLOCK];
    let read = at(name, opened.read_at(0, &mut block))?;
    let head = segment::decode(&block[..read]);
    let Ok(found) = head else {
        let what = "its head is damaged".to_owned();
        return Err(RecoveryError::Damaged { file: name.clone(), offset: 0, what });
    };
    let (name, number) = (name.clone(), found.number);
    Ok((SegmentFile { name, number, file: opened, size, head, used: true }, found))
}

/// A file of history, opened.
pub struct HistoryFile<F> {
    segment: SegmentFile<F>,
    head: SegmentHead,
    /// The number of the group after its last one.
    end: u64,
}

impl<F: File> HistoryFile<F> {
    /// Opens a file that [`log_files`] found; `None` if it is no history, or no group was ever begun in it.
    ///
    /// # Errors
    /// The disk failed, or the file's head is damaged.
    pub fn open<D: Disk<File = F>>(disk: &D, file: &LogFile) -> Result<Option<Self>, RecoveryError> {
        let Some(end) = file.end.filter(|_| file.history) else { return Ok(None) };
        let (segment, head) = open_file(disk, file)?;
        Ok(Some(Self { segment, head, end }))
    }

    /// Gives the records of each group, one after the other, to `visit`, which says whether to go on; whether it always
    /// did.
    ///
    /// # Errors
    /// The disk failed, a group is damaged or missing, or `visit` refused one.
    pub fn groups(
        &self,
        mut visit: impl FnMut(&GroupHead, &[u8]) -> Result<bool, String>,
    ) -> Result<bool, RecoveryError> {
        let (mut offset, mut buffer) = (BLOCK as u64, Vec::new());
        for number in self.head.first_group..self.end {
            let file = || self.segment.name.clone();
            let found = read_group(&self.segment, self.head.salt, offset, &mut buffer)?;
            if found.is_none_or(|group| group.number != number) {
                let what = format!("group {number} is damaged or missing");
                return Err(RecoveryError::Damaged { file: file(), offset, what });
            }
            let (head, records) = group::read(&buffer).expect("it was read just now");
            let goes_on = visit(&head, records).map_err(|what| RecoveryError::Refused {
                file: file(),
                offset,
                what,
            })?;
            if !goes_on {
                return Ok(false);
            }
            offset += buffer.len() as u64;
        }
        Ok(true)
    }

    /// Rewrites the file by a rule that says for each record what becomes of it; `None` if it was given up. What the journal
    /// itself wrote, to close units, stays; a void record loses what its place held before.
    ///
    /// `pace` is called with the bytes read and written so far, after each group, and waits as long as it likes; where
    /// it answers no, the file is left as it was. The rule is asked again about every record that is read back, and has to
    /// keep them all. `spare` bytes stay free for the log. `thins` says that records go which are past their retention, and not
    /// as if they had never been.
    ///
    /// # Errors
    /// See [`RewriteError`]; the file is as it was.
    pub fn rewrite<D: Disk<File = F>>(
        &self,
        disk: &D,
        (spare, thins): (u64, bool),
        rule: &mut dyn FnMut(Record<'_>) -> Result<Rewrite, String>,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<Rewritten>, RewriteError> {
        let (mut edited, mut needed, mut done) = (Edited::default(), BLOCK as u64, 0);
        let goes_on = self.groups(|_, records| {
            edited.edit(records, rule)?;
            needed += group_bytes(edited.records().len());
            done += group_bytes(records.len());
            Ok(pace(done))
        })?;
        let before = at(&self.segment.name, self.segment.file.space())?;
        let (dropped, replaced) = (edited.dropped, edited.replaced);
        if !goes_on || dropped + replaced == 0 {
            let kept = Rewritten { bytes: (before, before), ..Rewritten::default() };
            return Ok(goes_on.then_some(kept));
        }
        let free = at(&self.segment.name, disk.free())?;
        if free < needed + spare {
            return Err(RewriteError::Space {
                file: self.segment.name.clone(),
                needed: needed + spare,
                free,
            });
        }
        let name = unfinished_name(self.head.number);
        // What an earlier attempt left.
        let _ = disk.remove(&name);
        let mut pace = |bytes| pace(done + bytes);
        let written = self.write(disk, &name, (needed, thins), rule, &mut pace);
        if !matches!(written, Ok(true)) {
            // What cannot be removed now is removed before the next attempt, or by the next start.
            let _ = disk.remove(&name);
        }
        let rewritten = Rewritten { dropped, replaced, bytes: (before, needed) };
        Ok(written?.then_some(rewritten))
    }

    /// Writes the new file of so many bytes under another name, reads it back and gives it the name of the old one; whether it
    /// did, or was told to give up.
    fn write<D: Disk<File = F>>(
        &self,
        disk: &D,
        name: &str,
        (bytes, thins): (u64, bool),
        rule: &mut dyn FnMut(Record<'_>) -> Result<Rewrite, String>,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<bool, RecoveryError> {
        let file = at(name, disk.create(name, bytes))?;
        let head = SegmentHead { bytes, thinned: self.head.thinned || thins, ..self.head };
        at(name, file.write_at(0, &segment::encode(&head)))?;
        let (mut end, mut synced, mut wrote) = (BLOCK as u64, 0, 0);
        let (mut edited, mut failed) = (Edited::default(), None);
        let goes_on = self.groups(|head, records| {
            edited.edit(records, rule)?;
            wrote = sum(wrote, head, edited.records());
            group::seal(&mut edited.buffer, head);
            let mut write = || {
                file.write_at(end, &edited.buffer)?;
                end += edited.buffer.len() as u64;
                if end - synced >= SYNC_BYTES {
                    file.sync()?;
                    synced = end;
                }
                Ok::<_, io::Error>(())
            };
            failed = write().err();
            Ok(failed.is_none() && pace(end))
        })?;
        at(name, failed.map_or(Ok(()), Err))?;
        if !goes_on {
            return Ok(false);
        }
        if stands(Guard::SyncRewritten) {
            at(name, file.sync())?;
        }
        // Where the file system allows, what is read now comes from the disk.
        file.drop_cache();
        let modified_ms = at(name, self.segment.file.modified_ms())?;
        let size = at(name, file.size())?;
        let segment = SegmentFile {
            name: name.to_owned(),
            number: head.number,
            size,
            head: Ok(head),
            used: true,
            file,
        };
        let copy = Self { segment, head, end: self.end };
        let mut block = vec![0; BLOCK];
        at(name, copy.segment.file.read_at(0, &mut block))?;
        let mut read = 0;
        let goes_on = copy.groups(|head, records| {
            read = sum(read, head, records);
            let left = edited.dropped + edited.replaced;
            edited.edit(records, rule)?;
            let is_done = left == edited.dropped + edited.replaced;
            is_done.then(|| pace(end + group_bytes(records.len()))).ok_or_else(|| {
                "a record that was rewritten is not to be kept: the rule contradicts itself".to_owned()
            })
        })?;
        if goes_on && (segment::decode(&block) != Ok(head) || read != wrote || size != bytes) {
            let what = "what is read is not what was written".to_owned();
            return Err(RecoveryError::Damaged { file: name.to_owned(), offset: 0, what });
        }
        if goes_on {
            at(name, copy.segment.file.set_modified_ms(modified_ms))?;
            at(name, disk.rename(name, &self.segment.name))?;
            at(&self.segment.name, disk.sync_names())?;
        }
        Ok(goes_on)
    }
}

/// A checksum that goes on over a group.
fn sum(so_far: u32, head: &GroupHead, records: &[u8]) -> u32 {
    let words = [head.number, head.durable, head.watermark, head.top, records.len() as u64];
    let sum = words.iter().fold(so_far, |sum, word| crc32c::crc32c_append(sum, &word.to_le_bytes()));
    crc32c::crc32c_append(sum, records)
}
