//! Reading a log: every group in order, the torn end cut, and damage before it never skipped.
//!
//! Groups are written one at a time, so a valid group proves that all before it were durable. A bad group with nothing valid
//! after it is the torn end: nothing in it was acknowledged. A bad group with a valid one after it, or a gap in the
//! numbers, is damage, and the log is not opened.

use std::io;

use crate::disk::{Disk, File};
use crate::group::{self, BLOCK, GroupHead};
use crate::segment::{self, BadHead, SegmentHead};
use crate::writer::Continuation;

/// Why a log was not opened. Nothing was changed on the disk.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The disk failed.
    #[error("{file}: {error}")]
    Disk {
        /// The file, or the directory's own name.
        file: String,
        /// What it said.
        error: io::Error,
    },
    /// What was durable is damaged.
    #[error("{file}, byte {offset}: {what}; everything before it is sound")]
    Damaged {
        /// The file.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A newer program wrote it.
    #[error("{file} has version {version} of the format, and this program reads up to {}", segment::VERSION)]
    Newer {
        /// The file.
        file: String,
        /// Its version.
        version: u32,
    },
    /// A record could not be used by whoever wrote it.
    #[error("{file}, byte {offset}: {what}")]
    Refused {
        /// The file.
        file: String,
        /// Where its group begins, in bytes.
        offset: u64,
        /// What is wrong.
        what: String,
    },
}

/// The torn end of a log: what was being written when the machine stopped. Nothing in it was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornEnd {
    /// The file.
    pub file: String,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How far something other than zeros reaches, in bytes.
    pub bytes: u64,
}

/// What reading a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// How the log goes on.
    pub next: Continuation,
    /// The number of groups read.
    pub groups: u64,
    /// Every record at a position below is there.
    pub watermark: u64,
    /// The random numbers of the processes that wrote it, in order; their lanes have the same.
    pub lives: Vec<u64>,
    /// What was cut.
    pub torn: Option<TornEnd>,
    /// The last group, where it lies: its bytes may be in the page cache alone.
    last: Option<(String, u64, Vec<u8>)>,
}

struct Segment<F> {
    name: String,
    file: F,
    size: u64,
    head: Result<SegmentHead, BadHead>,
}

fn at<T>(file: &str, result: io::Result<T>) -> Result<T, RecoveryError> {
    result.map_err(|error| RecoveryError::Disk { file: file.to_owned(), error })
}

/// Reads all groups of a log in order, and gives each to `visit`: its head and its records. Changes nothing.
///
/// # Errors
/// See [`RecoveryError`]; groups before the error were visited.
pub fn read<D: Disk>(
    disk: &D,
    mut visit: impl FnMut(&GroupHead, &[u8]) -> Result<(), String>,
) -> Result<Recovered, RecoveryError> {
    let segments = segments(disk)?;
    let mut found = Recovered {
        next: Continuation::BEGINNING,
        groups: 0,
        watermark: 0,
        lives: Vec::new(),
        torn: None,
        last: None,
    };
    for segment in &segments {
        found.next.segment = segment::number(&segment.name).map_or(1, |number| number + 1);
    }
    let made: Vec<&Segment<D::File>> = segments.iter().filter(|segment| segment.head.is_ok()).collect();
    for segment in segments.iter().filter(|segment| segment.head.is_err()) {
        check_unmade(segment)?;
    }
    let mut buffer = Vec::new();
    let mut expected = None;
    for (index, segment) in made.iter().enumerate() {
        let head = segment.head.as_ref().expect("only these are kept");
        let number = *expected.get_or_insert(head.first_group);
        if head.first_group != number {
            return Err(RecoveryError::Damaged {
                file: segment.name.clone(),
                offset: 0,
                what: format!("its first group is number {}, and number {number} is not there", head.first_group),
            });
        }
        let (end, number) = read_groups(segment, head, number, &mut buffer, &mut found, &mut visit)?;
        expected = Some(number);
        if found.lives.last() != Some(&head.life) {
            found.lives.push(head.life);
        }
        found.next.group = number;
        let torn = after_the_end(segment, head, end)?;
        if let Some(torn) = torn {
            // A later segment was made after the last group of this one was durable, and begins with the next.
            let followed = made.get(index + 1).is_some();
            if followed {
                let what = "a group is damaged, and the log goes on in the next file".to_owned();
                return Err(RecoveryError::Damaged { file: torn.file, offset: torn.offset, what });
            }
            found.torn = Some(torn);
        }
    }
    found.next.position = found.next.position.max(found.watermark);
    Ok(found)
}

/// All segments in order.
fn segments<D: Disk>(disk: &D) -> Result<Vec<Segment<D::File>>, RecoveryError> {
    let mut numbered: Vec<(u64, String)> = at("the data directory", disk.names())?
        .into_iter()
        .filter_map(|name| Some((segment::number(&name)?, name)))
        .collect();
    numbered.sort_unstable();
    let mut segments = Vec::with_capacity(numbered.len());
    for (number, name) in numbered {
        let file = at(&name, disk.open(&name))?;
        let size = at(&name, file.size())?;
        let mut block = vec![0; BLOCK];
        let read = at(&name, file.read_at(0, &mut block))?;
        let mut head = segment::decode(&block[..read]);
        if let Err(BadHead::Newer(version)) = head {
            return Err(RecoveryError::Newer { file: name, version });
        }
        if head.is_ok_and(|head| head.number != number) {
            head = Err(BadHead::Damaged);
        }
        segments.push(Segment { name, file, size, head });
    }
    Ok(segments)
}

/// A segment without a head was being made when the machine stopped, and has no group; else its head is damaged.
fn check_unmade<F: File>(segment: &Segment<F>) -> Result<(), RecoveryError> {
    let mut block = vec![0; BLOCK];
    let mut offset = BLOCK as u64;
    while offset < segment.size {
        let read = at(&segment.name, segment.file.read_at(offset, &mut block))?;
        if block[..read].iter().any(|byte| *byte != 0) {
            return Err(RecoveryError::Damaged {
                file: segment.name.clone(),
                offset: 0,
                what: "its head is damaged, and something was written after it".to_owned(),
            });
        }
        offset += BLOCK as u64;
    }
    Ok(())
}

/// Reads the groups of one segment; returns where they end and which number comes next.
fn read_groups<F: File>(
    segment: &Segment<F>,
    head: &SegmentHead,
    mut number: u64,
    buffer: &mut Vec<u8>,
    found: &mut Recovered,
    visit: &mut impl FnMut(&GroupHead, &[u8]) -> Result<(), String>,
) -> Result<(u64, u64), RecoveryError> {
    let mut offset = BLOCK as u64;
    while read_group(segment, head, offset, buffer)?.is_some_and(|group| group.number == number) {
        let (group, records) = group::read(buffer).expect("it was read just now");
        let mut rest = records;
        while let Some((record, after)) = crate::record::read(rest) {
            found.next.position = found.next.position.max(record.position + 1);
            rest = after;
        }
        if !rest.is_empty() {
            let what = "the records of the group do not fill it".to_owned();
            return Err(RecoveryError::Damaged { file: segment.name.clone(), offset, what });
        }
        visit(&group, records)
            .map_err(|what| RecoveryError::Refused { file: segment.name.clone(), offset, what })?;
        found.watermark = group.watermark;
        found.groups += 1;
        found.last = Some((segment.name.clone(), offset, buffer.clone()));
        offset += buffer.len() as u64;
        number += 1;
    }
    Ok((offset, number))
}

/// Reads the group at `offset` into `buffer`; `None` if no valid one begins there.
fn read_group<F: File>(
    segment: &Segment<F>,
    head: &SegmentHead,
    offset: u64,
    buffer: &mut Vec<u8>,
) -> Result<Option<GroupHead>, RecoveryError> {
    buffer.resize(BLOCK, 0);
    if at(&segment.name, segment.file.read_at(offset, buffer))? < BLOCK {
        return Ok(None);
    }
    let Some(size) = group::claimed_size(buffer, head.salt) else {
        return Ok(None);
    };
    buffer.resize(size, 0);
    let rest = &mut buffer[BLOCK..];
    if at(&segment.name, segment.file.read_at(offset + BLOCK as u64, rest))? < rest.len() {
        return Ok(None);
    }
    Ok(group::read(buffer).map(|(group, _)| group))
}

/// Looks at what lies after the last valid group of a segment: zeros, or a torn end.
fn after_the_end<F: File>(
    segment: &Segment<F>,
    head: &SegmentHead,
    end: u64,
) -> Result<Option<TornEnd>, RecoveryError> {
    let (mut offset, mut last) = (end, None);
    let mut buffer = Vec::new();
    while offset < segment.size {
        if let Some(group) = read_group(segment, head, offset, &mut buffer)? {
            return Err(RecoveryError::Damaged {
                file: segment.name.clone(),
                offset: end,
                what: format!("a group is damaged, and group {} after it is sound", group.number),
            });
        }
        buffer.resize(BLOCK, 0);
        let read = at(&segment.name, segment.file.read_at(offset, &mut buffer))?;
        if buffer[..read].iter().any(|byte| *byte != 0) {
            last = Some(offset + read as u64);
        }
        offset += BLOCK as u64;
    }
    Ok(last.map(|last| TornEnd { file: segment.name.clone(), offset: end, bytes: last - end }))
}

impl Recovered {
    /// Makes what was read durable: the torn end becomes zeros, and the last group is written again where it lies, since
    /// the page cache of a dead process may hold what the disk does not. To be called before anything is acknowledged.
    ///
    /// # Errors
    /// The disk failed.
    pub fn settle<D: Disk>(&self, disk: &D) -> Result<(), RecoveryError> {
        // The names, too, may be in the cache alone.
        at("the data directory", disk.sync_names())?;
        if let Some((name, offset, bytes)) = &self.last {
            let file = at(name, disk.open(name))?;
            at(name, file.write_at(*offset, bytes))?;
            at(name, file.sync())?;
        }
        if let Some(torn) = &self.torn {
            let file = at(&torn.file, disk.open(&torn.file))?;
            at(&torn.file, file.write_at(torn.offset, &vec![0; torn.bytes as usize]))?;
            at(&torn.file, file.sync())?;
        }
        Ok(())
    }
}
