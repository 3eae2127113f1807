//! A record: some bytes that mean something to whoever wrote them, at a position of their own.
//!
//! In a lane and in a group a record is the same bytes, so that collecting a group is copying:
//!
//! ```text
//! position u64 | length u32 | kind u16 | unit u16 | payload, padded with zeros to a multiple of 16
//! ```

use crate::pack::{Unpacked, unpack};

/// Bytes before the payload. Records are multiples of it, so that whatever is left at a ring's end has room for a head.
pub(crate) const HEAD: usize = 16;

/// The kind of a record that says nothing but that its position was taken.
pub const VOID: u16 = u16::MAX;

/// The kind of the record that completes its unit.
pub const COMMIT: u16 = u16::MAX - 1;

/// The kind of the record that says that its unit never happened.
pub const ABANDONED: u16 = u16::MAX - 2;

/// A record as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the order of all records. Positions may have gaps, and records lie in the log in another order.
    pub position: u64,
    /// What the payload is, to whoever wrote it; the highest four are the journal's own.
    pub kind: u16,
    /// The number of its unit; 0 if it is a unit by itself.
    pub unit: u16,
    /// The bytes.
    pub payload: &'a [u8],
}

/// Bytes that a record with `payload` bytes takes, in a lane and in the log.
#[must_use]
pub const fn size(payload: usize) -> usize {
    HEAD + payload.next_multiple_of(16)
}

/// Writes the head of a record; the payload begins at [`HEAD`].
pub(crate) fn write_head(into: &mut [u8], position: u64, kind: u16, unit: u16, payload: u32) {
    into[..8].copy_from_slice(&position.to_le_bytes());
    into[8..12].copy_from_slice(&payload.to_le_bytes());
    into[12..14].copy_from_slice(&kind.to_le_bytes());
    into[14..16].copy_from_slice(&unit.to_le_bytes());
}

/// Reads the record at the beginning of `bytes` and returns what follows it; `None` if there is no whole one.
pub(crate) fn read(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let number = |from: usize, to: usize| {
        head[from..to].iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let length = usize::try_from(number(8, 12)).ok()?;
    let (padded, rest) = rest.split_at_checked(length.next_multiple_of(16))?;
    let record = Record {
        position: number(0, 8),
        kind: number(12, 14) as u16,
        unit: number(14, 16) as u16,
        payload: &padded[..length],
    };
    Some((record, rest))
}

/// The records that lie one after the other in `bytes`, as in a group, with those that are packed in one. A packed one that is
/// not readable is given itself, after what is readable of it.
pub fn records(mut bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut packed: Option<(Record<'_>, Unpacked<'_>)> = None;
    std::iter::from_fn(move || {
        loop {
            if let Some((whole, unpacked)) = &mut packed {
                let (whole, next) = (*whole, unpacked.next());
                if next.is_some() {
                    return next;
                }
                let is_bad = unpacked.is_bad();
                packed = None;
                if is_bad {
                    return Some(whole);
                }
            }
            let (record, rest) = read(bytes)?;
            bytes = rest;
            match unpack(&record) {
                Some((_, unpacked)) => packed = Some((record, unpacked)),
                None => return Some(record),
            }
        }
    })
}

/// What records take as they lie in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Their kind.
    pub kind: u16,
    /// How many they are: more than one where they are packed in one.
    pub records: u64,
    /// What they take in bytes, with their heads.
    pub bytes: usize,
}

/// What the records take that lie one after the other in `bytes`, as in a group.
pub fn stored(mut bytes: &[u8]) -> impl Iterator<Item = Stored> {
    std::iter::from_fn(move || {
        let (record, rest) = read(bytes)?;
        let length = bytes.len() - rest.len();
        bytes = rest;
        Some(match unpack(&record) {
            Some((kind, unpacked)) => Stored { kind, records: unpacked.count() as u64, bytes: length },
            None => Stored { kind: record.kind, records: 1, bytes: length },
        })
    })
}
