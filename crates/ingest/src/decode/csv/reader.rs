//! The rows of a CSV file in memory, one after another.

use std::ops::Range;

use ::csv::ByteRecord;
use csv_core::ReadRecordResult;

use super::{ClickRow, PlayRow, plain, record};
use upbeat_core::event::{Event, LastDate, Zone};

/// The rows of a CSV file or of a part of one, each with the offset in bytes at which it begins.
///
/// Rows of the usual form are read in one pass; all others as the csv crate reads them: rows of unequal length, no
/// header, `\r`, `\n` and `\r\n` all end a row, blank lines are skipped. [`super::LineCount`] turns an offset into a
/// line number.
///
/// # Several threads
/// A line break may be inside quotes, so the start of a row is certain only if everything before it was read. To read
/// in parallel, guess and check: cut the file at [`RowReader::cut`]s, read the parts concurrently, and then check in
/// the file's order that each part's reader ended ([`RowReader::position`]) where the next part begins. If it did not,
/// discard the next part's rows and read that part again from where the reader before it ended.
pub struct RowReader<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
    /// Whether the bytes include the beginning of the file.
    first: bool,
    /// Whether the bytes include the end of the file.
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

    /// The rows of a file that begin within `part`, a range of bytes, which must begin with a row or a blank line.
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

    /// The rows of one block of a file that is not in memory as a whole; the block must begin with a row or a blank
    /// line. `first` and `last` say whether it is the file's first block, and its last.
    ///
    /// A row that does not end in the block is not read, unless the block is the last. After all rows,
    /// [`RowReader::position`] is where such a row begins, or else the block's length.
    #[must_use]
    pub fn block(bytes: &'a [u8], first: bool, last: bool) -> Self {
        Self { bytes, at: 0, end: bytes.len(), first, last, last_date: LastDate::default(), quoting: None }
            .at_first_row()
    }

    fn at_first_row(mut self) -> Self {
        self.skip_blank_lines();
        self
    }

    /// An offset at which a file may be cut, `near` or greater: the start of a line that is not blank, or the end of
    /// the file.
    #[must_use]
    pub fn cut(bytes: &[u8], near: usize) -> usize {
        let from = near.saturating_sub(1).min(bytes.len());
        let line_end = memchr::memchr(b'\n', &bytes[from..]).map_or(bytes.len(), |length| from + length);
        let start = if near == 0 { 0 } else { line_end };
        start + blank_length(&bytes[start..])
    }

    /// The offset of the next row, in bytes from the beginning of the file or block.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next row as a play: its offset, and the play, or which column is wrong and what it should be. `None` at the
    /// end.
    #[inline]
    pub fn play(&mut self, zone: &Zone) -> Option<(usize, Result<Event, String>)> {
        self.play_row(zone).map(|(start, row)| (start, row.map(Event::from)))
    }

    /// As [`RowReader::play`], with ids that borrow from the row.
    #[inline]
    pub fn play_row(&mut self, zone: &Zone) -> Option<(usize, Result<PlayRow<'_>, String>)> {
        if let Some((start, row)) = self.plain_row(|bytes, last| plain::play(bytes, zone, last)) {
            return Some((start, Ok(row)));
        }
        self.record().map(|(start, columns)| (start, record::play(columns, zone)))
    }

    /// The next row as a click: its offset, and the click, or which column is wrong and what it should be. `None` at
    /// the end.
    #[inline]
    pub fn click(&mut self, zone: &Zone) -> Option<(usize, Result<Event, String>)> {
        self.click_row(zone).map(|(start, row)| (start, row.map(Event::from)))
    }

    /// As [`RowReader::click`], with ids that borrow from the row.
    #[inline]
    pub fn click_row(&mut self, zone: &Zone) -> Option<(usize, Result<ClickRow<'_>, String>)> {
        if let Some((start, row)) = self.plain_row(|bytes, last| plain::click(bytes, zone, last)) {
            return Some((start, Ok(row)));
        }
        self.record().map(|(start, columns)| (start, record::click(columns, zone)))
    }

    /// The next row's offset and its fields, unchecked. `None` at the end.
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

    /// The next row and its offset, if it has the usual form.
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

/// The number of line-break bytes at the beginning.
#[inline]
fn blank_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}

/// The result of reading one record.
enum Found {
    /// A record that takes `length` bytes.
    Record { length: usize },
    /// No record.
    Nothing,
    /// A record that does not end in the text.
    Unfinished,
}

/// Reads single records of quoted CSV.
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

    /// Reads the record at the beginning of `bytes`. `last` says that the file ends where they do.
    fn read(&mut self, bytes: &[u8], last: bool) -> Found {
        let (mut taken, mut written, mut ended) = (0, 0, 0);
        loop {
            let (result, took, wrote, ends) =
                self.core.read_record(&bytes[taken..], &mut self.text[written..], &mut self.ends[ended..]);
            (taken, written, ended) = (taken + took, written + wrote, ended + ends);
            match result {
                ReadRecordResult::InputEmpty if !last => return Found::Unfinished,
                // The next call gets no bytes, which csv-core takes for the end of the file.
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
