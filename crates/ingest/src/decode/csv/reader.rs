//! The rows of a CSV file, one after another.

use std::ops::Range;

use super::super::{Context, Row};
use super::header::Layout;
use super::lines::{LineCount, line_ends};
use super::record::Fields;
use super::split::{Found, Splitter};
use super::{ClickRow, ImpressionRow, PlayRow, plain, record};
use upbeat_core::event::{Event, LastDate, Zone};

/// A row that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its bytes without the line end, counted from the beginning of what the reader was given.
    pub row: Range<usize>,
    /// What is wrong with it.
    pub reason: String,
}

/// How a block begins: what is known from the bytes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// Nothing is before it, so there may be a byte order mark.
    is_file: bool,
    /// No row is before it, so there may be a header.
    before_rows: bool,
    /// It continues a line of a row that was refused.
    in_refused_line: bool,
    /// CR is before it, whose LF it may begin with.
    after_cr: bool,
}

impl Begin {
    /// The beginning of a file.
    pub const FILE: Self = Self { is_file: true, before_rows: true, ..Self::LINE };
    /// The beginning of a line.
    pub const LINE: Self =
        Self { is_file: false, before_rows: false, in_refused_line: false, after_cr: false };

    /// Whether this is within a line.
    #[must_use]
    pub fn is_within_line(self) -> bool {
        self.in_refused_line
    }

    /// Whether `block` begins with the LF of a line end before it.
    pub(super) fn is_within_line_end(self, block: &[u8]) -> bool {
        self.after_cr && block.first() == Some(&b'\n')
    }
}

/// The rows of a CSV file, or of one block of it.
///
/// Rows of the usual form are read in one pass; all others are split by the rule of `split`. A byte order mark at the
/// beginning of the file and blank lines are skipped, and so are lines that repeat the header.
///
/// # Several threads
/// A line break may be inside quotes, so the start of a row is certain only if everything before it was read. To read
/// in parallel, guess and check: cut the file into blocks of whole lines, read the blocks concurrently, and then check in
/// the file's order that each block's reader ended at its end and with [`Begin::LINE`]. If it did not, discard the rows of
/// later blocks, and read on from where the reader ended.
pub struct RowReader<'a> {
    bytes: &'a [u8],
    at: usize,
    begin: Begin,
    /// Where the first row of the file begins, which may be its header.
    first_row: Option<usize>,
    /// Whether the bytes include the end of the file.
    last: bool,
    layout: Layout,
    is_plain: bool,
    last_date: LastDate,
    splitter: Option<Box<Splitter>>,
}

impl<'a> RowReader<'a> {
    /// All rows of a file.
    #[must_use]
    pub fn new(bytes: &'a [u8], layout: Layout) -> Self {
        Self::block(bytes, layout, Begin::FILE, true)
    }

    /// The rows of one block of a file that is not in memory as a whole; `last` says whether it is the last block.
    ///
    /// A row that does not end in the block is not read, unless the block is the last. After all rows,
    /// [`RowReader::position`] is where such a row begins, or else the block's length, and [`RowReader::end`] is how what
    /// follows there begins.
    #[must_use]
    pub fn block(bytes: &'a [u8], layout: Layout, begin: Begin, last: bool) -> Self {
        let is_plain = layout.is_plain();
        let (last_date, splitter) = (LastDate::default(), None);
        let mut reader =
            Self { bytes, at: 0, begin, first_row: None, last, layout, is_plain, last_date, splitter };
        reader.skip_what_is_no_row();
        reader
    }

    fn skip_what_is_no_row(&mut self) {
        if self.begin.is_file && self.bytes.starts_with(b"\xef\xbb\xbf") {
            self.at = 3;
        }
        if self.begin.in_refused_line {
            let end = memchr::memchr2(b'\r', b'\n', self.bytes);
            self.at = end.unwrap_or(self.bytes.len());
            self.begin.in_refused_line = end.is_none();
        }
        self.at += line_end_bytes(&self.bytes[self.at..]);
        self.first_row = self.begin.before_rows.then_some(self.at);
    }

    /// The offset of the next row, in bytes from the beginning of the file or block.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// How what is at [`RowReader::position`] begins.
    #[must_use]
    pub fn end(&self) -> Begin {
        match self.bytes[..self.at].last() {
            None => self.begin,
            Some(last) => Begin {
                is_file: false,
                before_rows: self.first_row == Some(self.at),
                in_refused_line: self.begin.in_refused_line,
                after_cr: *last == b'\r',
            },
        }
    }

    /// How many lines end before [`RowReader::position`].
    #[must_use]
    pub fn lines(&self) -> u64 {
        let within = self.begin.is_within_line_end(self.bytes);
        line_ends(&self.bytes[..self.at]) - u64::from(within && self.at > 0)
    }

    /// The lines of the rows of this block, counted from 1.
    #[must_use]
    pub fn line_count(&self) -> LineCount<'a> {
        LineCount::new(self.bytes, usize::from(self.begin.is_within_line_end(self.bytes)))
    }

    /// The columns of the rows, which the header names once it was read.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The next row as a play, or what is wrong with it. `None` at the end.
    #[inline]
    pub fn play_row(&mut self, zone: &Zone) -> Option<Result<PlayRow<'_>, Refusal>> {
        if let Some(row) = self.plain_row(|bytes, last| plain::play(bytes, zone, last)) {
            return Some(Ok(row));
        }
        self.read(Quotes::Close, |fields| record::play(fields, zone))
    }

    /// As [`RowReader::play_row`], without its faster way for rows of the usual form.
    #[cfg(test)]
    pub(super) fn read_split(&mut self, zone: &Zone) -> Option<Result<PlayRow<'_>, Refusal>> {
        self.read(Quotes::Close, |fields| record::play(fields, zone))
    }

    /// The next row as a click, or what is wrong with it. `None` at the end.
    #[inline]
    pub fn click_row(&mut self, zone: &Zone) -> Option<Result<ClickRow<'_>, Refusal>> {
        if let Some(row) = self.plain_row(|bytes, last| plain::click(bytes, zone, last)) {
            return Some(Ok(row));
        }
        self.read(Quotes::Close, |fields| record::click(fields, zone))
    }

    /// The next row as an impression, or what is wrong with it. `None` at the end.
    #[inline]
    pub fn impression_row(&mut self, zone: &Zone) -> Option<Result<ImpressionRow<'_>, Refusal>> {
        if let Some(row) = self.plain_row(|bytes, last| plain::impression(bytes, zone, last)) {
            return Some(Ok(row));
        }
        self.read(Quotes::Close, |fields| record::impression(fields, zone))
    }

    /// The next row, which is refused for this reason unless it has another fault. `None` at the end.
    pub(super) fn refuse(&mut self, reason: &str) -> Option<Refusal> {
        Some(match self.row()? {
            Ok(row) => Refusal { row, reason: reason.to_owned() },
            Err(refusal) => refusal,
        })
    }

    /// The next row of a customer file as a membership, or what is wrong with it. `None` at the end.
    pub fn customer_row(&mut self, context: &Context) -> Option<Result<Event, Refusal>> {
        self.read(Quotes::Close, |fields| record::customer(fields, context))
    }

    /// The next row of a catalogue as a track, or what is wrong with it. `None` at the end.
    ///
    /// Its texts are unquoted in the file of the real history, and some begin with a quotation mark. So a line that splits
    /// at commas into as many fields as the header names is taken literally; only other rows are read as quoted CSV.
    pub fn track_row(&mut self) -> Option<Result<Row, Refusal>> {
        self.read(Quotes::MayBeLiteral, record::track)
    }

    /// The next row, without its line end: where it is, if it has the form of a row. Its columns are not checked. `None`
    /// at the end.
    pub fn row(&mut self) -> Option<Result<Range<usize>, Refusal>> {
        self.next_row(Quotes::Close)
    }

    /// A column of a row that [`RowReader::row`] has just returned, by its place among those of a file without a header.
    #[must_use]
    pub fn column(&self, row: &Range<usize>, column: usize) -> Option<&[u8]> {
        let record = self.splitter.as_deref()?.record(&self.bytes[row.clone()]);
        record.get(self.layout.columns().place(column)?)
    }

    /// Reads the next row that is not of the usual form.
    #[inline(never)]
    fn read<'r, T>(
        &'r mut self,
        quotes: Quotes,
        parse: impl FnOnce(Fields<'r>) -> Result<T, String>,
    ) -> Option<Result<T, Refusal>> {
        let row = match self.next_row(quotes)? {
            Ok(row) => row,
            Err(refusal) => return Some(Err(refusal)),
        };
        let record = self.splitter.as_deref()?.record(&self.bytes[row.clone()]);
        let read = self.layout.check(record).and_then(|columns| parse(Fields { record, columns }));
        Some(read.map_err(|reason| Refusal { row, reason }))
    }

    fn next_row(&mut self, quotes: Quotes) -> Option<Result<Range<usize>, Refusal>> {
        while self.at < self.bytes.len() {
            let start = self.at;
            let rest = &self.bytes[start..];
            let splitter = self.splitter.get_or_insert_default();
            let literal = match (quotes, self.layout.named_columns()) {
                (Quotes::MayBeLiteral, Some(columns)) => splitter.split_literally(rest, self.last, columns),
                _ => None,
            };
            let (length, fault) = match literal.unwrap_or_else(|| splitter.split(rest, self.last)) {
                Found::Row { length } => (length, None),
                Found::Refused { length, fault, unended } => {
                    self.begin.in_refused_line = unended;
                    (length, Some(fault))
                }
                Found::Unfinished => return None,
            };
            self.at += length;
            self.at += line_end_bytes(&self.bytes[self.at..]);
            let row = start..start + length;
            let record = splitter.record(&self.bytes[row.clone()]);
            let is_first = self.first_row == Some(start);
            let kept = match fault {
                Some(fault) => {
                    if is_first {
                        self.layout.note_refused_first_row(&self.bytes[row.clone()]);
                    }
                    Err(fault.to_string())
                }
                None if record.is_blank() => {
                    self.first_row = is_first.then_some(self.at).or(self.first_row);
                    Ok(false)
                }
                None => self.layout.take(record, is_first),
            };
            match kept {
                Ok(true) => return Some(Ok(row)),
                Ok(false) => self.is_plain = self.layout.is_plain(),
                Err(reason) => {
                    self.is_plain = self.layout.is_plain();
                    return Some(Err(Refusal { row, reason }));
                }
            }
        }
        None
    }

    /// The next row, if it has the usual form.
    #[inline]
    fn plain_row<T>(
        &mut self,
        plain: impl FnOnce(&'a [u8], &mut LastDate) -> Option<(T, usize)>,
    ) -> Option<T> {
        let start = self.at;
        if start >= self.bytes.len() || !self.is_plain {
            return None;
        }
        let (row, length) = plain(&self.bytes[start..], &mut self.last_date)?;
        if start + length == self.bytes.len() && !self.last {
            return None;
        }
        self.at += length;
        self.at += line_end_bytes(&self.bytes[self.at..]);
        Some(row)
    }
}

/// What quotes at the beginning of a field may be.
#[derive(Clone, Copy)]
enum Quotes {
    /// A field in quotes, which must be closed.
    Close,
    /// That, or a part of an unquoted text.
    MayBeLiteral,
}

/// The number of line-end bytes at the beginning.
#[inline]
fn line_end_bytes(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}
