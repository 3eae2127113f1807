//! Packed records: small records of one kind that follow each other in a lane, each a unit by itself, are one record in the log.
//!
//! A record takes 16 bytes for its head and is padded to a multiple of 16; where records are small and many, that is more
//! than they are. In a lane they stay as they are published, so that they outlive a killed process one by one.
//!
//! The payload of a packed record:
//!
//! ```text
//! kind u16 of the records in it | for each: position, less that of the one before, varint | length varint | payload
//! ```
//!
//! The position of the packed record is that of the first in it, whose difference is 0. Whoever reads records gets those in
//! it, and never sees that they were packed.

use crate::record::{self, Record};

/// The kind of a packed record; only the log has it.
pub(crate) const PACKED: u16 = u16::MAX - 3;

/// The most bytes of a packed record's payload: its head and padding are a hundredth then.
pub(crate) const MOST_BYTES: usize = 4096;

/// Bytes before the first record in a payload.
const KIND: usize = 2;

/// Reads a number of 7 bits a byte, the lowest first.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        if index == 9 && bits > 1 {
            return None;
        }
        number |= bits << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[index + 1..]));
        }
    }
    None
}

fn put_varint(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// The kind of the records in a packed one, and those; `None` if it is no packed record.
pub(crate) fn unpack<'a>(packed: &Record<'a>) -> Option<(u16, Unpacked<'a>)> {
    let (kind, rest) = packed.payload.split_first_chunk::<KIND>().filter(|_| packed.kind == PACKED)?;
    let kind = u16::from_le_bytes(*kind);
    Some((kind, Unpacked { kind, position: packed.position, rest, is_bad: false }))
}

/// The records in a packed one.
#[derive(Debug, Clone)]
pub(crate) struct Unpacked<'a> {
    kind: u16,
    position: u64,
    rest: &'a [u8],
    is_bad: bool,
}

impl Unpacked<'_> {
    /// Whether what follows is no record: said once the last that is one was given.
    pub fn is_bad(&self) -> bool {
        self.is_bad
    }
}

impl<'a> Iterator for Unpacked<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        if self.rest.is_empty() || self.is_bad {
            return None;
        }
        let read = || {
            let (difference, rest) = varint(self.rest)?;
            let (length, rest) = varint(rest)?;
            let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            let position = self.position.checked_add(difference)?;
            Some((Record { position, kind: self.kind, unit: 0, payload }, rest))
        };
        let Some((record, rest)) = read() else {
            self.is_bad = true;
            return None;
        };
        (self.position, self.rest) = (record.position, rest);
        Some(record)
    }
}

/// Appends records to a group, and packs those of one kind that follow each other.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    /// The kind that is packed.
    pub kind: Option<u16>,
    run: Option<Run>,
}

/// Records that are being packed.
#[derive(Debug)]
struct Run {
    /// Where the record begins in the group.
    start: usize,
    first: u64,
    last: u64,
    /// One alone lies there as it was published.
    is_packed: bool,
}

impl Packer {
    /// A packer of records of this kind.
    pub fn of(kind: u16) -> Self {
        Self { kind: Some(kind), run: None }
    }

    /// Whether it packs such a record.
    pub fn takes(&self, record: &Record<'_>) -> bool {
        self.kind == Some(record.kind) && record.unit == 0
    }

    /// By how much the next record may let the group grow beyond its own bytes, the padding of [`Packer::end_run`] included.
    pub fn most_growth(&self) -> usize {
        if self.run.is_some() { 48 } else { 0 }
    }

    /// Appends a record, whose bytes are `whole`.
    pub fn append(&mut self, group: &mut Vec<u8>, record: &Record<'_>, whole: &[u8]) {
        if !self.takes(record) {
            self.end_run(group);
            group.extend_from_slice(whole);
            return;
        }
        // Both numbers of an entry take up to ten bytes.
        let fits = |run: &Run| {
            group.len() - run.start + record.payload.len() + 20 <= record::HEAD + MOST_BYTES
                && run.last < record.position
        };
        if !self.run.as_ref().is_some_and(fits) {
            self.end_run(group);
            let (start, first) = (group.len(), record.position);
            self.run = Some(Run { start, first, last: first, is_packed: false });
            group.extend_from_slice(whole);
            return;
        }
        let Some(run) = &mut self.run else { return };
        if !run.is_packed {
            run.is_packed = true;
            let single = group.split_off(run.start);
            group.resize(run.start + record::HEAD, 0);
            group.extend_from_slice(&record.kind.to_le_bytes());
            if let Some((first, _)) = record::read(&single) {
                put_entry(group, 0, first.payload);
            }
        }
        put_entry(group, record.position - run.last, record.payload);
        run.last = record.position;
    }

    /// Completes what is being packed: what is appended next does not follow it.
    pub fn end_run(&mut self, group: &mut Vec<u8>) {
        let Some(run) = self.run.take().filter(|run| run.is_packed) else { return };
        let payload = group.len() - run.start - record::HEAD;
        group.resize(run.start + record::size(payload), 0);
        record::write_head(&mut group[run.start..], run.first, PACKED, 0, payload as u32);
    }
}

/// Bytes that a record with `payload` bytes takes in a packed one, or one or a few more.
pub(crate) const fn least_size(payload: usize) -> usize {
    payload + 2
}

fn put_entry(into: &mut Vec<u8>, difference: u64, payload: &[u8]) {
    put_varint(into, difference);
    put_varint(into, payload.len() as u64);
    into.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::records;

    fn single(position: u64, kind: u16, unit: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; record::size(payload.len())];
        record::write_head(&mut bytes, position, kind, unit, payload.len() as u32);
        bytes[record::HEAD..record::HEAD + payload.len()].copy_from_slice(payload);
        bytes
    }

    /// A group of these records: position, kind, unit, bytes of the payload.
    fn packed(of: &[(u64, u16, u16, usize)]) -> Vec<u8> {
        let (mut packer, mut group) = (Packer::of(7), Vec::new());
        for (position, kind, unit, bytes) in of {
            let whole = single(*position, *kind, *unit, &vec![*position as u8; *bytes]);
            let (record, _) = record::read(&whole).expect("a record");
            packer.append(&mut group, &record, &whole);
        }
        packer.end_run(&mut group);
        group
    }

    #[track_caller]
    fn check(of: &[(u64, u16, u16, usize)]) -> usize {
        let group = packed(of);
        let read: Vec<_> = records(&group)
            .map(|record| {
                assert!(record.payload.iter().all(|byte| *byte == record.position as u8));
                (record.position, record.kind, record.unit, record.payload.len())
            })
            .collect();
        assert_eq!(read, of);
        group.len()
    }

    #[test]
    fn records_are_read_as_they_were_whether_packed_or_not() {
        check(&[]);
        assert_eq!(check(&[(1, 7, 0, 20)]), 48, "one alone stays as it is");
        assert_eq!(check(&[(1, 7, 0, 20), (2, 7, 0, 20)]), 64);
        check(&[(1, 7, 0, 20), (2, 8, 0, 20), (300, 7, 0, 0), (u64::MAX, 7, 0, 2)]);
        check(&[(1, 7, 0, 0), (2, 7, 3, 16), (3, 7, 0, 1), (9, 7, 0, 200), (20_000, 7, 0, 3000)]);
        // What goes back is another lane's.
        check(&[(5, 7, 0, 4), (3, 7, 0, 4), (4, 7, 0, 4), (4, 7, 0, 4)]);
        check(&[(1, 7, 0, MOST_BYTES), (2, 7, 0, MOST_BYTES - 22), (3, 7, 0, 1), (4, 7, 0, 9000)]);
    }

    #[test]
    fn many_small_records_take_little_more_than_they_are_and_packed_ones_are_bounded() {
        let of: Vec<_> = (0..10_000).map(|number| (1 + 2 * number, 7, 0, 24)).collect();
        let bytes = check(&of);
        assert!(bytes < 10_000 * (24 + 2) * 101 / 100, "{bytes}");
        let group = packed(&of);
        let mut rest = &group[..];
        while let Some((record, after)) = record::read(rest) {
            assert!(record.kind == PACKED && record.payload.len() <= MOST_BYTES);
            rest = after;
        }
    }

    #[test]
    fn cut_or_changed_packed_record_is_told_and_never_more_than_it_is() {
        let group = packed(&[(1, 7, 0, 20), (2, 7, 0, 200), (700, 7, 0, 3)]);
        let (whole, _) = record::read(&group).expect("one record");
        for length in 0..whole.payload.len() {
            let cut = Record { payload: &whole.payload[..length], ..whole };
            let Some((_, mut unpacked)) = unpack(&cut) else { continue };
            let count = unpacked.by_ref().count();
            assert!(count < 3 && (unpacked.is_bad() || unpacked.rest.is_empty()), "{length}");
        }
        let long = [7, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02, 0];
        let (_, mut unpacked) = unpack(&Record { payload: &long, ..whole }).expect("a kind");
        assert!(unpacked.next().is_none() && unpacked.is_bad());
    }
}
