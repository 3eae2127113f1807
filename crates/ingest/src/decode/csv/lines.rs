//! The line numbers of rows.

use std::ops::Range;

use memchr::memchr_iter;

use super::Refusal;

/// The number of line ends: CR, LF and CRLF are one each.
#[must_use]
pub fn line_ends(bytes: &[u8]) -> u64 {
    let lone = |cr: &usize| bytes.get(cr + 1) != Some(&b'\n');
    let cr = memchr_iter(b'\r', bytes).filter(lone).count();
    (memchr_iter(b'\n', bytes).count() + cr) as u64
}

/// Finds the lines of rows within some bytes; each byte is searched once.
pub struct LineCount<'a> {
    bytes: &'a [u8],
    counted_to: usize,
    line: u64,
}

impl<'a> LineCount<'a> {
    /// Line numbers within `bytes`, counted from 1 at the offset `start`.
    pub(super) fn new(bytes: &'a [u8], start: usize) -> Self {
        Self { bytes, counted_to: start, line: 1 }
    }

    /// The line of the row that begins at `start`, an offset in bytes; must be called in ascending order.
    pub fn at(&mut self, start: usize) -> u64 {
        self.line += line_ends(&self.bytes[self.counted_to..start]);
        self.counted_to = start;
        self.line
    }

    /// The first and the last line of a row; must be called in ascending order.
    pub fn of(&mut self, row: &Range<usize>) -> (u64, u64) {
        let first = self.at(row.start);
        (first, first + line_ends(&self.bytes[row.clone()]))
    }

    /// What is wrong with a row, after its line or lines; must be called in ascending order.
    pub(super) fn report(&mut self, refusal: &Refusal) -> String {
        format!("line {}", report(self.of(&refusal.row), &refusal.reason))
    }
}

/// What is wrong with a row, after the number of the line where it begins, and its lines if there are several:
/// `7: (lines 7 to 9) …`.
#[must_use]
pub fn report(lines: (u64, u64), reason: &str) -> String {
    match lines {
        (first, last) if first == last => format!("{first}: {reason}"),
        (first, last) => format!("{first}: (lines {first} to {last}) {reason}"),
    }
}
