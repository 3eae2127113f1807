//! A record: some bytes that mean something to whoever wrote them, at a position of their own.
//!
//! In a lane and in a group a record is the same bytes, so that collecting a group is copying:
//!
//! ```text
//! position u64 | length u32 | kind u16 | unit u16 | payload, padded with zeros to a multiple of 16
//! ```

/// Bytes before the payload. Records are multiples of it, so that whatever is left at a ring's end has room for a head.
pub(crate) const HEAD: usize = 16;

/// The kind of a record that says nothing but that its position was taken.
pub const VOID: u16 = u16::MAX;

/// A record as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the order of all records. Positions may have gaps, and records lie in the log in another order.
    pub position: u64,
    /// What the payload is, to whoever wrote it.
    pub kind: u16,
    /// Its place in a unit; 0 if it is a unit by itself.
    pub unit: u16,
    /// The bytes.
    pub payload: &'a [u8],
}

/// Bytes that a record with `payload` bytes takes.
pub(crate) const fn size(payload: usize) -> usize {
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
