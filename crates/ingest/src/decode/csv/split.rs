//! Where a row ends and which fields it has: the one rule of quotes, for bodies, files in blocks and files in streams.
//!
//! A row ends at CR, LF or CRLF outside of quotes. A field whose first byte is a quote ends at the next quote that is not
//! doubled; a comma, the row's end, or blanks and then one of them must follow. Line ends inside a quoted field belong to
//! it, as RFC 4180 has it. A quote further on in an unquoted field is a letter like any other.
//!
//! An open quote must not take later rows with it. A quoted field is open if no quote ends it within the bound of a row,
//! or if it spans several lines and text follows the quote that ends it: then that quote begins a field of a later row.
//! The row of an open quote is refused, and reading resumes on the line after the one where the quote opened.
//!
//! Each decision depends on at most [`MAX_ROW_BYTES`] and one byte more from the row's beginning, so a file has the same
//! rows however it is cut into blocks. Bytes are looked at a second time only behind an open quote, up to the next quote
//! that is not doubled, so the time is proportional to the length whatever the bytes are.

use memchr::{memchr, memchr_iter, memchr2, memchr3};

/// The longest row, in bytes without its line end.
pub const MAX_ROW_BYTES: usize = 64 << 10;

/// The fields that are kept of a row; further ones are counted only.
pub const MAX_COLUMNS: usize = 1024;

/// Splits rows into fields; its memory is reused, and bounded by [`MAX_ROW_BYTES`] and [`MAX_COLUMNS`].
#[derive(Debug, Default)]
pub(super) struct Splitter {
    fields: Vec<Field>,
    /// Fields of the row, including those that are not kept.
    columns: usize,
    /// The texts of fields with doubled quotes, with one quote for two.
    text: Vec<u8>,
}

/// Where the text of a field lies.
#[derive(Debug, Clone, Copy)]
struct Field {
    start: u32,
    end: u32,
    /// In [`Splitter::text`] rather than in the row itself.
    is_copied: bool,
}

/// What is at the beginning of some bytes. A `length` in bytes leaves out the line end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A row.
    Row { length: usize },
    /// A row that is refused for its form. If it is `unended`, its last line goes on behind the bytes.
    Refused { length: usize, fault: Fault, unended: bool },
    /// What follows the bytes decides.
    Unfinished,
}

/// Why a row is refused for its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error(
        "the quote that opens column {0} is not closed, so the row was taken to end with its line; \
         close it, and write a quote inside a quoted field twice"
    )]
    OpenQuote(usize),
    #[error(
        "text follows the closing quote of column {0}; write a quote inside a quoted field twice (\"\"), not as \\\""
    )]
    TextAfterQuote(usize),
    #[error("the row is longer than {MAX_ROW_BYTES} bytes")]
    TooLong,
}

/// What the end of the bytes that are looked at means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The end of the row.
    Row,
    /// The bound of a row.
    Bound,
    /// More bytes have to be awaited.
    Unknown,
}

/// A quoted field.
enum Quoted {
    /// It ends: the quote at `close` ends it, and what follows that and perhaps blanks is at `next`.
    Closed { close: usize, next: usize, has_doubled: bool },
    /// No quote ends it.
    Open,
}

impl Splitter {
    /// Splits the row at the beginning of `bytes`, after which nothing follows if they are the `last`.
    pub(super) fn split(&mut self, bytes: &[u8], last: bool) -> Found {
        self.clear();
        let window = &bytes[..bytes.len().min(MAX_ROW_BYTES + 1)];
        let end = match last {
            _ if window.len() > MAX_ROW_BYTES => End::Bound,
            true => End::Row,
            false => End::Unknown,
        };
        let (mut at, mut fault) = (0, None);
        loop {
            let start = at;
            let column = self.columns + 1;
            let mut field = None;
            if window.get(start) == Some(&b'"') {
                match quoted(window, start) {
                    Quoted::Closed { close, next, has_doubled } => {
                        let follows = window.get(next);
                        if follows.is_none_or(|byte| matches!(byte, b',' | b'\r' | b'\n')) {
                            field = Some(self.quoted_field(window, start + 1..close, has_doubled));
                        } else if let Some(length) = memchr2(b'\r', b'\n', &window[start..close]) {
                            let fault = Fault::OpenQuote(column);
                            return Found::Refused { length: start + length, fault, unended: false };
                        } else {
                            fault = fault.or(Some(Fault::TextAfterQuote(column)));
                        }
                        at = next;
                    }
                    Quoted::Open if end == End::Unknown => return Found::Unfinished,
                    Quoted::Open => return refused(bytes, window, start, last, Fault::OpenQuote(column)),
                }
            }
            let length = memchr3(b',', b'\r', b'\n', &window[at..]);
            match (length, end) {
                (None, End::Unknown) => return Found::Unfinished,
                (None, End::Bound) => return refused(bytes, window, start, last, Fault::TooLong),
                (Some(_), _) | (None, End::Row) => {}
            }
            at = length.map_or(window.len(), |length| at + length);
            self.push(field.unwrap_or(Field { start: start as u32, end: at as u32, is_copied: false }));
            if window.get(at) != Some(&b',') {
                return match fault {
                    None => Found::Row { length: at },
                    Some(fault) => Found::Refused { length: at, fault, unended: false },
                };
            }
            at += 1;
        }
    }

    /// Splits the line at the beginning of `bytes` at each comma, whatever its quotes, if that gives so many `columns`. A
    /// field in quotes that are written as they should be is read without them.
    pub(super) fn split_literally(&mut self, bytes: &[u8], last: bool, columns: usize) -> Option<Found> {
        self.clear();
        let window = &bytes[..bytes.len().min(MAX_ROW_BYTES + 1)];
        let length = memchr2(b'\r', b'\n', window)
            .or((last && window.len() <= MAX_ROW_BYTES).then_some(window.len()))?;
        let line = &window[..length];
        let mut start = 0;
        for end in memchr_iter(b',', line).chain([length]) {
            let mut field = Field { start: start as u32, end: end as u32, is_copied: false };
            if line.get(start) == Some(&b'"')
                && let Quoted::Closed { close, next, has_doubled } = quoted(&line[..end], start)
                && next == end
            {
                field = self.quoted_field(line, start + 1..close, has_doubled);
            }
            self.push(field);
            start = end + 1;
        }
        (self.columns == columns).then_some(Found::Row { length })
    }

    /// The fields of the `row` that was split last.
    pub(super) fn record<'r>(&'r self, row: &'r [u8]) -> Record<'r> {
        Record { row, splitter: self }
    }

    fn clear(&mut self) {
        self.fields.clear();
        self.text.clear();
        self.columns = 0;
    }

    fn push(&mut self, field: Field) {
        if self.fields.len() < MAX_COLUMNS {
            self.fields.push(field);
        }
        self.columns += 1;
    }

    /// The field with the text at `inside`, between its quotes.
    fn quoted_field(&mut self, row: &[u8], inside: std::ops::Range<usize>, has_doubled: bool) -> Field {
        if !has_doubled || self.fields.len() >= MAX_COLUMNS {
            return Field { start: inside.start as u32, end: inside.end as u32, is_copied: false };
        }
        let start = self.text.len();
        let mut rest = &row[inside];
        while let Some(quote) = memchr(b'"', rest) {
            self.text.extend_from_slice(&rest[..=quote]);
            rest = &rest[quote + 2..];
        }
        self.text.extend_from_slice(rest);
        Field { start: start as u32, end: self.text.len() as u32, is_copied: true }
    }
}

/// The quoted field whose quote opens at `open`.
fn quoted(window: &[u8], open: usize) -> Quoted {
    let (mut at, mut has_doubled) = (open + 1, false);
    while let Some(length) = memchr(b'"', &window[at..]) {
        let close = at + length;
        if window.get(close + 1) == Some(&b'"') {
            (at, has_doubled) = (close + 2, true);
            continue;
        }
        let blanks = window[close + 1..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        return Quoted::Closed { close, next: close + 1 + blanks, has_doubled };
    }
    Quoted::Open
}

/// Refuses a row for its field that begins at `start`, with the rest of the line where it begins.
fn refused(bytes: &[u8], window: &[u8], start: usize, last: bool, fault: Fault) -> Found {
    if let Some(length) = memchr2(b'\r', b'\n', &window[start..]) {
        return Found::Refused { length: start + length, fault, unended: false };
    }
    let fault = if window.len() > MAX_ROW_BYTES { Fault::TooLong } else { fault };
    match memchr2(b'\r', b'\n', &bytes[window.len()..]) {
        Some(more) => Found::Refused { length: window.len() + more, fault, unended: false },
        None => Found::Refused { length: bytes.len(), fault, unended: !last },
    }
}

/// The fields of one row.
#[derive(Clone, Copy)]
pub(super) struct Record<'r> {
    row: &'r [u8],
    splitter: &'r Splitter,
}

impl<'r> Record<'r> {
    /// The number of fields, of which the first [`MAX_COLUMNS`] are kept.
    pub(super) fn columns(self) -> usize {
        self.splitter.columns
    }

    /// The text of a field without its quotes, and with one quote for two inside.
    pub(super) fn get(self, index: usize) -> Option<&'r [u8]> {
        let field = self.splitter.fields.get(index)?;
        let text = if field.is_copied { &self.splitter.text } else { self.row };
        Some(&text[field.start as usize..field.end as usize])
    }

    /// Whether the row is a blank line: nothing but spaces and tabs.
    pub(super) fn is_blank(self) -> bool {
        self.row.iter().all(|byte| matches!(byte, b' ' | b'\t'))
    }
}
