//! A group: the records that one write puts on the disk, with one checksum.
//!
//! ```text
//! magic u32 | checksum u32 (CRC-32C of all that follows, up to `length`) | salt u64 of the segment | group number u64 |
//! durable u64: the last group known durable when this was written | watermark u64 | length u32 of the records | zero u32 |
//! top u64 | zeros up to 64 | records | zeros up to a multiple of 4,096
//! ```
//!
//! Numbers are little-endian. A group begins at a multiple of 4,096 bytes and shares no such block with another: no disk
//! writes less at once, so a torn write of one cannot harm another.

use crate::planted::{Guard, stands};

/// The unit in which groups lie in a segment, in bytes.
pub const BLOCK: usize = 4096;

/// The most bytes of a group's records.
pub const MOST_BYTES: usize = 8 << 20;

pub(crate) const HEAD: usize = 64;

const MAGIC: u32 = u32::from_le_bytes(*b"UBG1");

/// What the head of a group says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupHead {
    /// The salt of its segment, so that an old frame never passes for a new one.
    pub salt: u64,
    /// Its number; consecutive over all segments.
    pub number: u64,
    /// The last group known durable when it was written; 0 if there was none.
    pub durable: u64,
    /// Every record at a position below is in this group or an earlier one.
    pub watermark: u64,
    /// Above every position in this group and in earlier ones: what a group that is lost before it may have held.
    pub top: u64,
}

/// Begins a group in `buffer`: [`seal`] completes it.
pub(crate) fn begin(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.resize(HEAD, 0);
}

/// Completes the group in `buffer`, which holds a head to be written and the records after it.
pub(crate) fn seal(buffer: &mut Vec<u8>, head: &GroupHead) {
    let length = buffer.len() - HEAD;
    buffer[..4].copy_from_slice(&MAGIC.to_le_bytes());
    buffer[8..16].copy_from_slice(&head.salt.to_le_bytes());
    buffer[16..24].copy_from_slice(&head.number.to_le_bytes());
    buffer[24..32].copy_from_slice(&head.durable.to_le_bytes());
    buffer[32..40].copy_from_slice(&head.watermark.to_le_bytes());
    buffer[48..56].copy_from_slice(&head.top.to_le_bytes());
    buffer[40..44].copy_from_slice(&(length as u32).to_le_bytes());
    let checksum = crc32c::crc32c(&buffer[8..]);
    buffer[4..8].copy_from_slice(&checksum.to_le_bytes());
    buffer.resize(buffer.len().next_multiple_of(BLOCK), 0);
}

/// Bytes that a group of `records` bytes takes in a segment.
pub(crate) const fn size(records: usize) -> usize {
    (HEAD + records).next_multiple_of(BLOCK)
}

/// Bytes that the group at the beginning of `block` claims to take in its segment; `None` if no group begins there.
pub(crate) fn claimed_size(block: &[u8], salt: u64) -> Option<usize> {
    let number = |from: usize| u32::from_le_bytes(block[from..from + 4].try_into().expect("four bytes"));
    let length = number(40) as usize;
    let ours = block.len() >= HEAD
        && number(0) == MAGIC
        && (block[8..16] == salt.to_le_bytes() || !stands(Guard::Salt))
        && length <= MOST_BYTES;
    ours.then(|| size(length))
}

/// Reads the group at the beginning of `bytes`, which hold as many as [`claimed_size`] says: its head and its records.
/// `None` if the checksum is not theirs.
pub(crate) fn read(bytes: &[u8]) -> Option<(GroupHead, &[u8])> {
    let number = |from: usize| u64::from_le_bytes(bytes[from..from + 8].try_into().expect("eight bytes"));
    let length = number(40) as u32 as usize;
    let whole = bytes.get(..HEAD + length)?;
    if u64::from(crc32c::crc32c(&whole[8..])) != number(0) >> 32 {
        return None;
    }
    let head = GroupHead {
        salt: number(8),
        number: number(16),
        durable: number(24),
        watermark: number(32),
        top: number(48),
    };
    Some((head, &whole[HEAD..]))
}
