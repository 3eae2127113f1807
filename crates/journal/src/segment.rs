//! A segment: a file of the log, allocated and filled with zeros when it is made. Most are made ahead by another thread; one
//! that the log's own thread has to make is short, so that the log does not stand still for long.
//!
//! ```text
//! magic u64 | checksum u32 (CRC-32C of what follows, up to 128) | version u32 | salt u64 | number u64 | life u64 |
//! lanes u64 | first group u64 | floor u64 | synced u64 | bytes u64 | thinned u64 | begins u64 | zeros up to 4,096 | groups
//! ```
//!
//! Its salt is random, so that what an earlier file left in the same blocks is no group of this one, and zeros are none.

use std::io;

use crate::disk::{Disk, File};
use crate::group::BLOCK;
use crate::planted::{Guard, stands};
use crate::spare::Spare;

const MAGIC: u64 = u64::from_le_bytes(*b"UBSEGMNT");

/// The version of the format that this program writes.
pub const VERSION: u32 = 1;

/// Bytes of a segment that is not made ahead. Filling so much takes some milliseconds, and a sync within zeros takes half the
/// time that one within blocks takes which are only allocated.
pub(crate) const SHORT_BYTES: u64 = if cfg!(test) { 20 << 10 } else { 4 << 20 };

/// Bytes of zeros written at once.
const FILL_BYTES: u64 = 1 << 20;

/// The part of the head that its checksum covers ends here.
const CHECKED: usize = 128;

/// What the head of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHead {
    /// The version of its format.
    pub version: u32,
    /// What each of its groups must repeat.
    pub salt: u64,
    /// Ascending; an attempt that failed leaves a gap.
    pub number: u64,
    /// A random number of the process that made it: its lanes have the same.
    pub life: u64,
    /// The number of lanes of that process.
    pub lanes: u64,
    /// The number that its first group has.
    pub first_group: u64,
    /// Above every position in the segments before it: whoever reads from here on, or from above, needs none of them.
    pub floor: u64,
    /// Whether each of its groups was synced before the next was written: without, groups may be missing before sound ones.
    pub synced: bool,
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether records were taken from it that were past their retention: it is not the whole of what happened.
    pub thinned: bool,
    /// Where it is the first of its process: whether all that the processes before have published was there when it began. `None`
    /// for others, and where an earlier version made it.
    pub begins: Option<bool>,
}

/// A segment that groups are written to.
pub(crate) struct Open<F> {
    pub file: F,
    pub salt: u64,
    /// Where the next group begins, in bytes.
    pub end: u64,
    pub bytes: u64,
}

/// Why the head of a segment cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadHead {
    /// It is zeros or cut: the file was being made when the process ended.
    Unmade,
    /// It is damaged.
    Damaged,
    /// It is none of ours.
    Foreign,
    /// A newer program wrote it.
    Newer(u32),
}

pub(crate) fn name(number: u64) -> String {
    format!("segment-{number:012}")
}

/// The number in the name of a segment.
pub(crate) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("segment-")?;
    (digits.len() >= 12 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

pub(crate) fn encode(head: &SegmentHead) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..8].copy_from_slice(&MAGIC.to_le_bytes());
    block[12..16].copy_from_slice(&head.version.to_le_bytes());
    let words = [
        head.salt,
        head.number,
        head.life,
        head.lanes,
        head.first_group,
        head.floor,
        u64::from(head.synced),
        head.bytes,
        u64::from(head.thinned),
        head.begins.map_or(0, |complete| 1 + u64::from(complete)),
    ];
    for (place, word) in block[16..96].chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    let checksum = crc32c::crc32c(&block[12..CHECKED]);
    block[8..12].copy_from_slice(&checksum.to_le_bytes());
    block
}

pub(crate) fn decode(block: &[u8]) -> Result<SegmentHead, BadHead> {
    if block.iter().all(|byte| *byte == 0) {
        return Err(BadHead::Unmade);
    }
    if block.iter().zip(MAGIC.to_le_bytes()).any(|(byte, ours)| *byte != ours && *byte != 0) {
        return Err(BadHead::Foreign);
    }
    if block.len() < BLOCK {
        return Err(BadHead::Unmade);
    }
    let word = |at: usize| u64::from_le_bytes(block[at..at + 8].try_into().expect("eight bytes"));
    let checksum = word(8) as u32;
    if word(0) != MAGIC || checksum != crc32c::crc32c(&block[12..CHECKED]) {
        return Err(BadHead::Damaged);
    }
    let version = (word(8) >> 32) as u32;
    if version > VERSION {
        return Err(BadHead::Newer(version));
    }
    Ok(SegmentHead {
        version,
        salt: word(16),
        number: word(24),
        life: word(32),
        lanes: word(40),
        first_group: word(48),
        floor: word(56),
        synced: word(64) != 0,
        bytes: word(72),
        thinned: word(80) != 0,
        begins: [None, Some(false), Some(true)].get(word(88) as usize).copied().flatten(),
    })
}

/// Makes a segment, durable with its name and its head before this returns: of the one that was made ahead, or filled with zeros
/// here.
///
/// # Errors
/// The disk failed or is full. Nothing of it counts, and its number is not used again.
pub(crate) fn make<D: Disk>(
    disk: &D,
    head: &SegmentHead,
    ahead: Option<&Spare<D::File>>,
) -> io::Result<D::File> {
    let name = name(head.number);
    let file = match ahead.and_then(|spare| spare.take(disk, &name)) {
        Some(file) => file?,
        None => {
            let file = disk.create(&name, head.bytes)?;
            // The size before the head: a head in a shorter file says that it was cut.
            fill(&file, head.bytes).and_then(|()| file.sync()).inspect_err(|_| drop(disk.remove(&name)))?;
            file
        }
    };
    let names = || if stands(Guard::SyncNames) { disk.sync_names() } else { Ok(()) };
    let made = file.write_at(0, &encode(head)).and_then(|()| file.sync()).and_then(|()| names());
    match made {
        Ok(()) => Ok(file),
        Err(error) => {
            // Without a name of its own it could be taken for one that is lost.
            let _ = disk.remove(&name);
            Err(error)
        }
    }
}

/// Fills a new file with zeros.
fn fill<F: File>(file: &F, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; FILL_BYTES.min(bytes) as usize];
    let mut at = 0;
    while at < bytes {
        let some = (bytes - at).min(FILL_BYTES);
        file.write_at(at, &zeros[..some as usize])?;
        at += some;
    }
    Ok(())
}
