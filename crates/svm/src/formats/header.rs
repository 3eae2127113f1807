//! The lines that a text model begins with, of bounded length and number.

use std::io::{BufRead, Read};

use crate::data::rows::{MAX_LINE_BYTES, RowError, RowFault, finite, parse_line, shorten};
use crate::formats::ExchangeError;

/// A header line longer than this belongs to another kind of file.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// Most lines of a header; libSVM writes at most 13.
const MAX_HEADER_LINES: u64 = 64;

/// Most bytes of a line with a number; `%.17g` writes 24.
const MAX_NUMBER_BYTES: usize = 256;

/// One line of a header: `key value value…`.
pub(crate) struct HeaderLine {
    pub line: u64,
    pub key: String,
    pub values: Vec<String>,
}

impl HeaderLine {
    /// An error at this line.
    pub fn fault(&self, problem: impl Into<String>) -> ExchangeError {
        ExchangeError::Line { line: self.line, problem: problem.into() }
    }

    /// `must be …, not …`
    pub fn wrong(&self, wanted: &str) -> ExchangeError {
        self.fault(format!("`{}` must be {wanted}, not `{}`", self.key, shorten(&self.values.join(" "))))
    }

    /// The only value.
    pub fn one(&self) -> Result<&str, ExchangeError> {
        match self.values.as_slice() {
            [value] => Ok(value),
            _ => Err(self.wrong("one value, as a model of two classes has it")),
        }
    }

    /// The only value as a finite number.
    pub fn number(&self) -> Result<f64, ExchangeError> {
        finite(self.one()?).ok_or_else(|| self.wrong("a finite number"))
    }

    /// The only value as a whole number from 0.
    pub fn whole<N: std::str::FromStr>(&self) -> Result<N, ExchangeError> {
        self.one()?.parse().map_err(|_| self.wrong("a whole number"))
    }

    /// The values as a pair.
    pub fn pair(&self) -> Option<[&str; 2]> {
        match self.values.as_slice() {
            [first, second] => Some([first, second]),
            _ => None,
        }
    }

    /// The values as the two labels.
    pub fn labels(&self) -> Result<[String; 2], ExchangeError> {
        let numbers = self.pair().filter(|pair| match pair.map(finite) {
            [Some(first), Some(second)] => first != second,
            _ => false,
        });
        Ok(numbers.ok_or_else(|| self.wrong("two different numbers"))?.map(str::to_owned))
    }
}

/// Sets a header's field, once.
pub(crate) fn set<T>(field: &mut Option<T>, line: &HeaderLine, value: T) -> Result<(), ExchangeError> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(line.fault(format!("`{}` appears twice; this is more than one model", line.key))),
    }
}

/// Reads lines of bounded length and number.
pub(crate) struct HeaderReader<R> {
    input: R,
    line: u64,
    bytes: Vec<u8>,
}

impl<R: BufRead> HeaderReader<R> {
    pub fn new(input: R) -> Self {
        Self { input, line: 0, bytes: Vec::new() }
    }

    /// Calls `take` for each line of the header from `first` on, up to the one with the key `end`, and returns
    /// that one.
    pub fn read_until(
        &mut self,
        end: &'static str,
        tool: &'static str,
        first: HeaderLine,
        mut take: impl FnMut(&HeaderLine) -> Result<(), ExchangeError>,
    ) -> Result<HeaderLine, ExchangeError> {
        let mut line = first;
        while line.key != end {
            take(&line)?;
            line = self.next_line(end, tool)?;
        }
        self.check_end()?;
        Ok(line)
    }

    /// The next line that is not blank. The end of the file means that `missing`, which ends the header
    /// that `tool` writes, is not there.
    pub fn next_line(
        &mut self,
        missing: &'static str,
        tool: &'static str,
    ) -> Result<HeaderLine, ExchangeError> {
        while self.line < MAX_HEADER_LINES && self.fill(MAX_HEADER_BYTES)? {
            let text = String::from_utf8_lossy(&self.bytes);
            let mut words = text.trim_start_matches('\u{feff}').split_ascii_whitespace().map(str::to_owned);
            if let Some(key) = words.next() {
                // A first line without an end is more likely that of another kind of file.
                if self.line > 1 {
                    self.check_end()?;
                }
                return Ok(HeaderLine { line: self.line, key, values: words.collect() });
            }
        }
        Err(ExchangeError::Missing(missing, tool))
    }

    /// The next line that is not blank, as one finite number; none at the end of the file.
    pub fn next_number(&mut self) -> Result<Option<f64>, ExchangeError> {
        while self.fill(MAX_NUMBER_BYTES)? {
            let text = String::from_utf8_lossy(&self.bytes);
            let text = text.trim_ascii();
            if !text.is_empty() {
                self.check_end()?;
                let problem = || format!("`{}` is not one finite number", shorten(text));
                let number = finite(text);
                return number
                    .map(Some)
                    .ok_or_else(|| ExchangeError::Line { line: self.line, problem: problem() });
            }
        }
        Ok(None)
    }

    /// The next line that is not blank, as a row of libSVM text without a comment; none at the end of the file.
    ///
    /// Returns the label's value and its entries, which go to `entries`.
    pub fn next_vector(&mut self, entries: &mut Vec<(usize, f64)>) -> Result<Option<f64>, ExchangeError> {
        while self.fill(MAX_LINE_BYTES)? {
            let line = self.line;
            let at = |fault| RowError::At { line, fault };
            let text = std::str::from_utf8(&self.bytes).map_err(|_| at(RowFault::NotText))?;
            if text.trim_ascii().is_empty() {
                continue;
            }
            // Rows of data may end with a comment; in a model it would be a vector that lost its last entries.
            if text.contains('#') {
                let problem = "a support vector has no comment; this is not what svm-train wrote".to_owned();
                return Err(ExchangeError::Line { line, problem });
            }
            self.check_end()?;
            return Ok(Some(parse_line(text, entries).map_err(at)?.1));
        }
        Ok(None)
    }

    /// How many lines have been read.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Refuses a last line that has no end: a number that is cut off is another number.
    fn check_end(&self) -> Result<(), ExchangeError> {
        if self.bytes.ends_with(b"\n") {
            return Ok(());
        }
        let problem = "the file ends within this line; it is not whole, copy it again".to_owned();
        Err(ExchangeError::Line { line: self.line, problem })
    }

    fn fill(&mut self, most: usize) -> Result<bool, ExchangeError> {
        self.bytes.clear();
        let got = self.input.by_ref().take(most as u64 + 1).read_until(b'\n', &mut self.bytes)?;
        self.line += u64::from(got > 0);
        if got > most {
            let problem = format!("longer than {most} bytes; this is not a model, or line ends are missing");
            return Err(ExchangeError::Line { line: self.line, problem });
        }
        Ok(got > 0)
    }
}
