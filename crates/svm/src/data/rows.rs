//! libSVM text, one row at a time: `label index:value … # comment`.

use std::io::BufRead;
use std::ops::Range;

use crate::data::decimal;
use crate::data::labels::Labels;

/// The greatest feature index a file may use. A linear model of so many features, scaled, has some 46 bytes a feature and
/// so fits into the 64 MiB of a model file; and an index in a few bytes of text makes a few megabytes of weights at most.
pub const MAX_FEATURES: usize = 1_000_000;

/// A line longer than this is refused before it is kept; 50,000 values fit.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// Labels are a few characters; a longer one is a file of another kind.
const MAX_LABEL_BYTES: usize = 32;

/// One row; what it borrows lives until the next row is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row<'a> {
    /// Line number in the file, from 1.
    pub line: u64,
    /// The label as written.
    pub label: &'a str,
    /// The label's value; finite.
    pub value: f64,
    /// `(index, value)` in ascending order; indices from 1 to [`MAX_FEATURES`], values finite.
    pub entries: &'a [(usize, f64)],
}

impl Row<'_> {
    /// Writes the row into `dense`; indices that the row leaves out are zero.
    ///
    /// # Errors
    /// An index greater than `dense.len()`.
    pub fn fill(&self, dense: &mut [f64]) -> Result<(), RowError> {
        self.check_width(dense.len())?;
        dense.fill(0.0);
        self.entries.iter().for_each(|&(index, value)| dense[index - 1] = value);
        Ok(())
    }

    /// Whether no index is beyond so many features.
    pub(crate) fn check_width(&self, features: usize) -> Result<(), RowError> {
        // The last index is the greatest; the error names the first that is beyond.
        if self.entries.last().is_none_or(|entry| entry.0 <= features) {
            return Ok(());
        }
        let index = self.entries.iter().map(|entry| entry.0).find(|&index| index > features).unwrap_or(0);
        Err(self.fault(RowFault::BeyondModel { index, features }))
    }

    /// Whether the row's label is the model's positive one.
    ///
    /// # Errors
    /// A label that is neither of the two.
    pub fn is_positive(&self, labels: &Labels) -> Result<bool, RowError> {
        labels.is_positive(self.value).ok_or_else(|| {
            let Labels { positive, negative } = labels.clone();
            self.fault(RowFault::UnknownLabel { label: self.label.to_owned(), positive, negative })
        })
    }

    /// An error at this row.
    pub(crate) fn fault(&self, fault: RowFault) -> RowError {
        RowError::At { line: self.line, fault }
    }
}

/// What can be wrong with a file of rows.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// A line does not hold a row.
    #[error("line {line}: {fault}")]
    At {
        /// Line number, from 1.
        line: u64,
        /// What is wrong and how to fix it.
        fault: RowFault,
    },
    /// The file could not be read.
    #[error("line {line}: cannot be read: {reason}")]
    Io {
        /// Line number, from 1.
        line: u64,
        /// The system's reason; part of the message, and so no source of its own, which would be shown a second time.
        reason: std::io::Error,
    },
}

impl RowError {
    /// The error of a part of a file that so many lines go before.
    #[must_use]
    pub fn after(self, lines: u64) -> Self {
        match self {
            Self::At { line, fault } => Self::At { line: line + lines, fault },
            Self::Io { line, reason } => Self::Io { line: line + lines, reason },
        }
    }
}

/// What is wrong with a line, and how to fix it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each is.
pub enum RowFault {
    #[error("not UTF-8 text; save the file as UTF-8 (libSVM files are plain ASCII)")]
    NotText,
    #[error("longer than {MAX_LINE_BYTES} bytes; this is not a libSVM file, or line ends are missing")]
    LongLine,
    #[error("`{0}` is not a label; a row starts with a number such as 1, 0 or -1")]
    Label(String),
    #[error("`{0}` is not index:value; write for example 5:0.81")]
    Pair(String),
    #[error("`{0}` is not a feature index; indices are whole numbers from 1 to {MAX_FEATURES}")]
    Index(String),
    #[error("index {index} comes after {previous}; write indices in ascending order")]
    Descending { index: usize, previous: usize },
    #[error("index {0} appears twice; give each feature once")]
    Twice(usize),
    #[error("index {0} is more than the {MAX_FEATURES} features a problem may have")]
    TooManyFeatures(usize),
    #[error("`{text}` at index {index} is not a finite number; leave a missing feature out, or write 0")]
    Value { index: usize, text: String },
    #[error(
        "index {index} is beyond the model's {features} features; \
         use rows made like those the model was trained on"
    )]
    BeyondModel { index: usize, features: usize },
    #[error("label {label} is a third one beside {first} and {second}; a model tells two classes apart")]
    ThirdLabel { label: String, first: String, second: String },
    #[error("label {label} is neither the model's {positive} nor its {negative}")]
    UnknownLabel { label: String, positive: String, negative: String },
    #[error("the problem has more than {0} values; take a sample of the rows")]
    TooBig(usize),
    #[error(
        "the model's score is no finite number, since the row's values are too great for it; \
         use rows made like those the model was trained on"
    )]
    Score,
}

/// Reads rows from a stream, keeping one line in memory.
#[derive(Debug)]
pub struct RowReader<R> {
    input: R,
    /// Whether the input begins where its file does.
    first: bool,
    line: u64,
    /// Bytes of the input's buffer that the last row borrowed.
    borrowed: usize,
    bytes: Vec<u8>,
    entries: Vec<(usize, f64)>,
}

impl<R: BufRead> RowReader<R> {
    /// A reader at the first line of `input`.
    pub fn new(input: R) -> Self {
        Self::part(input, true)
    }

    /// A reader of part of a file, whole lines of it, which it counts from 1; `first` says that the file begins there.
    pub fn part(input: R, first: bool) -> Self {
        Self { input, first, line: 0, borrowed: 0, bytes: Vec::new(), entries: Vec::new() }
    }

    /// The next row, or none at the end. Blank lines and lines with only a comment are skipped.
    ///
    /// # Errors
    /// The line's number, what is wrong with it and how to fix it.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, RowError> {
        self.input.consume(std::mem::take(&mut self.borrowed));
        if let Some((length, label, value)) = self.plain_row()? {
            self.line += 1;
            self.borrowed = length;
            let line = self.line;
            let buffer = self.input.fill_buf().map_err(|reason| RowError::Io { line, reason })?;
            let label = std::str::from_utf8(&buffer[label])
                .map_err(|_| RowError::At { line, fault: RowFault::NotText })?;
            return Ok(Some(Row { line, label, value, entries: &self.entries }));
        }
        self.any_row()
    }

    /// Fast path: the row at the start of the input's buffer when it lies there whole and is plainly written: its
    /// length with the line's end, where its label is, and the label's value. Any other line is left to
    /// [`RowReader::any_row`], which also finds the message for what is wrong.
    fn plain_row(&mut self) -> Result<Option<(usize, Range<usize>, f64)>, RowError> {
        let line = self.line + 1;
        let buffer = self.input.fill_buf().map_err(|reason| RowError::Io { line, reason })?;
        let reach = buffer.len().min(MAX_LINE_BYTES);
        let Some(end) = memchr::memchr(b'\n', &buffer[..reach]) else {
            return Ok(None);
        };
        let row = parse_plain(&buffer[..end], &mut self.entries);
        Ok(row.map(|(label, value)| (end + 1, label, value)))
    }

    /// Slow path: the next row, across buffers, with comments, byte order mark and faults.
    fn any_row(&mut self) -> Result<Option<Row<'_>>, RowError> {
        let range = loop {
            if !self.fill_line()? {
                return Ok(None);
            }
            let at = |fault| RowError::At { line: self.line, fault };
            let text = std::str::from_utf8(&self.bytes).map_err(|_| at(RowFault::NotText))?;
            let start = if self.first && self.line == 1 && text.starts_with('\u{feff}') { 3 } else { 0 };
            let end = text.find('#').unwrap_or(text.len()).max(start);
            if !text[start..end].trim_ascii().is_empty() {
                break start..end;
            }
        };
        let line = self.line;
        let at = |fault| RowError::At { line, fault };
        let text = std::str::from_utf8(&self.bytes[range]).map_err(|_| at(RowFault::NotText))?;
        let (label, value) = parse_line(text, &mut self.entries).map_err(at)?;
        Ok(Some(Row { line, label, value, entries: &self.entries }))
    }

    /// Reads one line into `bytes`, never more than [`MAX_LINE_BYTES`]; false at the end of the input.
    fn fill_line(&mut self) -> Result<bool, RowError> {
        self.bytes.clear();
        self.line += 1;
        let line = self.line;
        let mut limited = std::io::Read::take(&mut self.input, MAX_LINE_BYTES as u64 + 1);
        let got =
            limited.read_until(b'\n', &mut self.bytes).map_err(|reason| RowError::Io { line, reason })?;
        if got > MAX_LINE_BYTES {
            return Err(RowError::At { line, fault: RowFault::LongLine });
        }
        Ok(got > 0)
    }
}

/// Parses a plainly written line; returns where the label is, and its value. None decides nothing about
/// the line: [`parse_line`] accepts whatever this accepts, with the same result.
fn parse_plain(line: &[u8], entries: &mut Vec<(usize, f64)>) -> Option<(Range<usize>, f64)> {
    let (value, label_end) = decimal::leading(line)?;
    let mut at = label_end;
    if label_end > MAX_LABEL_BYTES || !value.is_finite() {
        return None;
    }
    entries.clear();
    let mut previous = 0;
    loop {
        let token = at;
        while matches!(line.get(at), Some(b' ' | b'\t' | b'\r')) {
            at += 1;
        }
        match line.get(at) {
            None => return Some((0..label_end, value)),
            // A comment may hold anything that is text.
            Some(b'#') if line[at..].is_ascii() => return Some((0..label_end, value)),
            Some(_) if at > token => {}
            Some(_) => return None,
        }
        let mut index = 0;
        while let Some(digit) = line.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10) {
            index = index * 10 + usize::from(digit);
            at += 1;
            if index > MAX_FEATURES {
                return None;
            }
        }
        if index <= previous || line.get(at) != Some(&b':') {
            return None;
        }
        let (value, length) = decimal::leading(&line[at + 1..])?;
        if !value.is_finite() {
            return None;
        }
        entries.push((index, value));
        previous = index;
        at += 1 + length;
    }
}

/// Splits a line without its comment into label, label value and entries.
pub(crate) fn parse_line<'a>(
    text: &'a str,
    entries: &mut Vec<(usize, f64)>,
) -> Result<(&'a str, f64), RowFault> {
    let mut tokens = text.split_ascii_whitespace();
    let label = tokens.next().unwrap_or_default();
    let value = finite(label)
        .filter(|_| label.len() <= MAX_LABEL_BYTES)
        .ok_or_else(|| RowFault::Label(shorten(label)))?;
    entries.clear();
    let mut previous = 0;
    for token in tokens {
        let (index, value) = parse_pair(token)?;
        match index.cmp(&previous) {
            std::cmp::Ordering::Less => return Err(RowFault::Descending { index, previous }),
            std::cmp::Ordering::Equal => return Err(RowFault::Twice(index)),
            std::cmp::Ordering::Greater => previous = index,
        }
        entries.push((index, value));
    }
    Ok((label, value))
}

fn parse_pair(token: &str) -> Result<(usize, f64), RowFault> {
    let (index, value) = token.split_once(':').ok_or_else(|| RowFault::Pair(shorten(token)))?;
    let digits = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
    let index: usize = index
        .parse()
        .ok()
        .filter(|&number| digits && number > 0)
        .ok_or_else(|| RowFault::Index(shorten(index)))?;
    if index > MAX_FEATURES {
        return Err(RowFault::TooManyFeatures(index));
    }
    let value = finite(value).ok_or_else(|| RowFault::Value { index, text: shorten(value) })?;
    Ok((index, value))
}

/// A finite decimal number; not `nan`, `inf`, or one that overflows to infinity.
pub(crate) fn finite(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// The start of a text, for a message.
pub(crate) fn shorten(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
