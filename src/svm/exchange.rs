//! Models of other tools, told apart by how they begin, and what can go wrong with them.

use std::io::{BufRead, Read};

use crate::feature::FEATURE_COUNT;
use crate::profile::Window;

use super::model::{Labels, Model, ModelError};
use super::rows::{RowError, finite, shorten};
use super::{liblinear, libsvm};

/// A header line longer than this belongs to another kind of file.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// Most lines of a header; libSVM writes at most 13.
const MAX_HEADER_LINES: u64 = 64;

/// Most bytes of a line with a number; `%.17g` writes 24.
const MAX_NUMBER_BYTES: usize = 256;

/// Why a file is not a model that can be imported, or why a model cannot be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// A line is wrong.
    #[error("line {line}: {problem}")]
    Line {
        /// Line number, from 1.
        line: u64,
        /// What is wrong and what is wanted.
        problem: String,
    },
    /// A header line is missing.
    #[error("the header has no `{0}` line; this is not a whole model that {1} wrote")]
    Missing(&'static str, &'static str),
    /// The file ends early.
    #[error(
        "the file ends at line {line}, after {read} {what}, and the header tells of {wanted}; it is not whole"
    )]
    Truncated {
        /// The last line, from 1.
        line: u64,
        /// What is counted.
        what: &'static str,
        /// How many the header tells of.
        wanted: usize,
        /// How many there are.
        read: usize,
    },
    /// More numbers than a model may have.
    #[error("the support vectors are more than {0} numbers (vectors × features)")]
    TooBig(usize),
    /// A support vector's line is wrong.
    #[error(transparent)]
    Vector(#[from] RowError),
    /// What was read does not make a model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The model has no form in the other format.
    #[error("{0}")]
    NotExportable(String),
}

/// Which tool's text a model was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// `svm-train`'s, which begins with `svm_type`.
    Libsvm,
    /// LIBLINEAR's `train`'s, which begins with `solver_type`.
    Liblinear,
}

/// What an imported file does not say itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Import {
    /// Which plays the features were made of.
    pub window: Window,
    /// How many features a row has, `1..=10_000`; when not given, six if the file has no greater index,
    /// else the greatest.
    pub features: Option<usize>,
    /// A name for people, see [`super::check_name`].
    pub name: Option<String>,
}

impl Import {
    /// Reads a model of two classes as libSVM or LIBLINEAR write it; the first word tells which.
    ///
    /// Memory grows with what is read, never with what a header says.
    ///
    /// # Errors
    /// Regression, one class or more than two; a file that is neither, not whole, or joined with another;
    /// numbers that are not finite; more features than asked for.
    pub fn read(self, input: impl BufRead) -> Result<(TextFormat, Model), ExchangeError> {
        let mut header = HeaderReader::new(input);
        let first = header.next_line("svm_type", "svm-train")?;
        if first.key == "solver_type" {
            return Ok((TextFormat::Liblinear, liblinear::import(first, header, self)?));
        }
        Ok((TextFormat::Libsvm, libsvm::import(first, header, self)?))
    }

    /// How many features the model gets when its file uses indices up to `greatest`.
    pub(super) fn count(&self, greatest: usize) -> usize {
        self.features.unwrap_or(greatest.max(FEATURE_COUNT))
    }
}

/// One line of a header: `key value value…`.
pub(super) struct HeaderLine {
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
        let numbers = self.pair().filter(|pair| pair.iter().all(|label| finite(label).is_some()));
        Ok(numbers.ok_or_else(|| self.wrong("two numbers"))?.map(str::to_owned))
    }
}

/// Sets a header's field, once.
pub(super) fn set<T>(field: &mut Option<T>, line: &HeaderLine, value: T) -> Result<(), ExchangeError> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(line.fault(format!("`{}` appears twice; this is more than one model", line.key))),
    }
}

/// Reads lines of bounded length and number.
pub(super) struct HeaderReader<R> {
    input: R,
    line: u64,
    bytes: Vec<u8>,
}

impl<R: BufRead> HeaderReader<R> {
    fn new(input: R) -> Self {
        Self { input, line: 0, bytes: Vec::new() }
    }

    /// Has `take` read each line of the header from `first` on, up to the one with the key `end`, and gives that one back.
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
                let problem = || format!("`{}` is not one finite number", shorten(text));
                let number = finite(text);
                return number
                    .map(Some)
                    .ok_or_else(|| ExchangeError::Line { line: self.line, problem: problem() });
            }
        }
        Ok(None)
    }

    /// How many lines have been read.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// What follows the lines read so far.
    pub fn into_rest(self) -> R {
        self.input
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

/// Both tools score for the file's first label, Upbeat for the greater one: the labels as Upbeat orders
/// them, and the sign to turn scores by.
pub(super) fn order(labels: [String; 2]) -> (f64, Labels) {
    let [first, second] = labels;
    if finite(&first) > finite(&second) {
        (1.0, Labels { positive: first, negative: second })
    } else {
        (-1.0, Labels { positive: second, negative: first })
    }
}

/// Both labels, the positive first, as C's `%d` reads them.
pub(super) fn whole_labels(labels: &Labels) -> Result<[i32; 2], ExchangeError> {
    let whole = |label: &String| {
        let value = finite(label).unwrap_or(f64::NAN);
        Some(value as i32).filter(|&whole| f64::from(whole) == value).ok_or_else(|| {
            ExchangeError::NotExportable(format!(
                "label {label} cannot be exported: libSVM and LIBLINEAR read whole numbers only; \
                 train on labels such as 1 and 0"
            ))
        })
    };
    Ok([whole(&labels.positive)?, whole(&labels.negative)?])
}
