//! Row after row of a CSV file in memory.

use std::ops::Range;

use ::csv::ByteRecord;
use csv_core::ReadRecordResult;

use super::{ClickRow, PlayRow, plain, record};
use crate::event::{Event, LastDate, Zone};

/// The rows of a CSV file or of a part of one, one after another, each with the byte where it begins.
///
/// Rows in the plain form are read at once; all others as the csv crate reads them: rows of unequal length, no header,
/// `\r`, `\n` and `\r\n` all end a row, blank lines are none. [`super::LineCount`] tells a row's line from its beginning.
///
/// # Several threads
/// A line's end may stand inside quotes, so where a row begins is known for certain only from all before it. Guess and
/// check: cut the file at [`RowReader::cut`]s, read the parts at once, each on its own, and then see in the file's order
/// that each part's reader ended ([`RowReader::position`]) where the next part begins. Where it did not, the guess was
/// wrong: the next part's rows are void, and it is to be read again from where the reader before it ended.
pub struct RowReader<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
    /// Whether the bytes begin as the file does.
    first: bool,
    /// Whether the bytes end as the file does.
    last: bool,
    last_date: LastDate,
    quoting: Option<Box<QuotingReader>>,
}

impl<'a> RowReader<'a> {
    /// All rows of a file.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::part(bytes, 0..bytes.len())
    }

    /// The rows of a file that begin within `part`, in bytes; a row must begin where `part` does, if not a blank line.
    ///
    /// # Panics
    /// `part` does not lie within the file.
    #[must_use]
    pub fn part(bytes: &'a [u8], part: Range<usize>) -> Self {
        assert!(part.start <= part.end && part.end <= bytes.len(), "{part:?} of {} bytes", bytes.len());
        let Range { start: at, end } = part;
        Self { bytes, at, end, first: true, last: true, last_date: LastDate::default(), quoting: None }
            .at_first_row()
    }

    /// The rows of a block out of a file of which no more is in memory; a row must begin where the block does, if not a
    /// blank line. `first` and `last` say whether the file begins with the block and ends with it.
    ///
    /// A row that does not end in the block is left, unless the block is the last: [`RowReader::position`] then tells
    /// where it begins, and is the block's length otherwise.
    #[must_use]
    pub fn block(bytes: &'a [u8], first: bool, last: bool) -> Self {
        Self { bytes, at: 0, end: bytes.len(), first, last, last_date: LastDate::default(), quoting: None }
            .at_first_row()
    }

    fn at_first_row(mut self) -> Self {
        self.skip_blank_lines();
        self
    }

    /// Where a file may be cut, at `near` or after: where a line begins that is not blank, or at the file's end.
    #[must_use]
    pub fn cut(bytes: &[u8], near: usize) -> usize {
        let from = near.saturating_sub(1).min(bytes.len());
        let line_end = memchr::memchr(b'\n', &bytes[from..]).map_or(bytes.len(), |length| from + length);
        let start = if near == 0 { 0 } else { line_end };
        start + blank_length(&bytes[start..])
    }

    /// Where the next row begins, in bytes from the file's beginning.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next row as a play: where it begins, and the play or which column is wrong and what it should be.
    #[inline]
    pub fn play(&mut self, zone: &Zone) -> Option<(usize, Result<Event, String>)> {
        self.play_row(zone).map(|(start, row)| (start, row.map(Event::from)))
    }

    /// As [`RowReader::play`], with the ids left where the row has them.
    #[inline]
    pub fn play_row(&mut self, zone: &Zone) -> Option<(usize, Result<PlayRow<'_>, String>)> {
        if let Some((start, row)) = self.plain_row(|bytes, last| plain::play(bytes, zone, last)) {
            return Some((start, Ok(row)));
        }
        self.record().map(|(start, columns)| (start, record::play(columns, zone)))
    }

    /// The next row as a click: where it begins, and the click or which column is wrong and what it should be.
    #[inline]
    pub fn click(&mut self, zone: &Zone) -> Option<(usize, Result<Event, String>)> {
        self.click_row(zone).map(|(start, row)| (start, row.map(Event::from)))
    }

    /// As [`RowReader::click`], with the ids left where the row has them.
    #[inline]
    pub fn click_row(&mut self, zone: &Zone) -> Option<(usize, Result<ClickRow<'_>, String>)> {
        if let Some((start, row)) = self.plain_row(|bytes, last| plain::click(bytes, zone, last)) {
            return Some((start, Ok(row)));
        }
        self.record().map(|(start, columns)| (start, record::click(columns, zone)))
    }

    /// The next row, whatever it says, and where it begins.
    pub fn record(&mut self) -> Option<(usize, &ByteRecord)> {
        if self.at >= self.end {
            return None;
        }
        let start = self.at;
        let at_start = self.first && start == 0;
        let quoting = self.quoting.get_or_insert_with(|| Box::new(QuotingReader::new(at_start)));
        match quoting.read(&self.bytes[start..], self.last) {
            Found::Record { length } => self.at += length,
            Found::Nothing => {
                self.at = self.bytes.len();
                return None;
            }
            Found::Unfinished => {
                self.end = start;
                return None;
            }
        }
        self.at += blank_length(&self.bytes[self.at..]);
        Some((start, &quoting.record))
    }

    /// The next row and where it begins, if it is plain.
    #[inline]
    fn plain_row<T>(
        &mut self,
        plain: impl FnOnce(&'a [u8], &mut LastDate) -> Option<(T, usize)>,
    ) -> Option<(usize, T)> {
        let start = self.at;
        if start >= self.end {
            return None;
        }
        let (row, length) = plain(&self.bytes[start..], &mut self.last_date)?;
        if start + length == self.bytes.len() && !self.last {
            return None;
        }
        self.at += length;
        self.skip_blank_lines();
        Some((start, row))
    }

    #[inline]
    fn skip_blank_lines(&mut self) {
        self.at += blank_length(&self.bytes[self.at..]);
    }
}

/// How many bytes at the beginning end lines and nothing else.
#[inline]
fn blank_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}

/// What a text begins with.
enum Found {
    /// A record of so many bytes.
    Record { length: usize },
    /// No record.
    Nothing,
    /// A record that does not end in the text.
    Unfinished,
}

/// Reads single records by the rules of quoting.
struct QuotingReader {
    core: csv_core::Reader,
    record: ByteRecord,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl QuotingReader {
    /// A reader that skips a byte order mark before its first record only `at_start` of a file.
    fn new(at_start: bool) -> Self {
        let mut core = csv_core::Reader::new();
        if !at_start {
            core.read_record(b"\n", &mut [0], &mut [0]);
        }
        Self { core, record: ByteRecord::new(), text: vec![0; 1024], ends: vec![0; 16] }
    }

    /// Reads the record at the beginning of `bytes`. `last` says that their end is the file's.
    fn read(&mut self, bytes: &[u8], last: bool) -> Found {
        let (mut taken, mut written, mut ended) = (0, 0, 0);
        loop {
            let (result, took, wrote, ends) =
                self.core.read_record(&bytes[taken..], &mut self.text[written..], &mut self.ends[ended..]);
            (taken, written, ended) = (taken + took, written + wrote, ended + ends);
            match result {
                ReadRecordResult::InputEmpty if !last => return Found::Unfinished,
                // The next round is given nothing, which tells that nothing more comes.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.text.resize(2 * self.text.len(), 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return Found::Nothing,
            }
        }
        self.record.clear();
        let mut start = 0;
        for end in &self.ends[..ended] {
            self.record.push_field(&self.text[start..*end]);
            start = *end;
        }
        Found::Record { length: taken }
    }
}
