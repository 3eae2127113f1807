//! Where exported rows go: CSV, or Parquet where the program is built with it.

use std::path::Path;

use serde_json::json;
use upbeat_core::event::Time;

#[cfg(feature = "parquet")]
mod parquet;

use crate::cli::WrongCall;
use crate::cli::output::{self, Output};

/// Bytes of CSV that are written together.
const MOST_HELD_BYTES: usize = 64 << 10;

/// What a column holds; every cell may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// An instant, in milliseconds.
    Time,
    Whole,
    Number,
    Flag,
}

/// A column: its name, and what it holds.
pub(super) type Column = (&'static str, Kind);

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Empty,
    Text(String),
    /// In Unix milliseconds.
    Time(i64),
    Whole(i64),
    Number(f64),
    Flag(bool),
}

impl Cell {
    /// A cell that may be empty.
    pub(super) fn of<T>(value: Option<T>, cell: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Empty, cell)
    }

    /// As text in a table that people open: what a spreadsheet would run as a formula has an apostrophe before it.
    fn csv(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) => quoted(&neutral(text)),
            Self::Time(ms) => json!(Time::from_unix_ms(*ms)).as_str().unwrap_or_default().to_owned() + "Z",
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
        }
    }
}

/// A text that no spreadsheet takes for a formula.
pub(super) fn neutral(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

/// A cell of CSV (RFC 4180).
pub(super) fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// An output of rows.
pub(super) struct Table {
    output: Output,
    form: Form,
    columns: usize,
    rows: u64,
}

enum Form {
    Csv(String),
    #[cfg(feature = "parquet")]
    Parquet(Box<parquet::Rows>),
}

/// What is said where Parquet is asked for and the program has none.
#[cfg(not(feature = "parquet"))]
const NO_PARQUET: &str = "this program was built without Parquet, which takes a C compiler and some minutes: name F.csv, take a \
                          release, or build it with cargo build --release --features parquet";

impl Table {
    /// Opens an output, of the form that its name ends with: `.csv`, `.parquet`, or CSV to standard output.
    ///
    /// # Errors
    /// It ends with another, cannot be written, or the program cannot write its form.
    pub(super) fn open(path: &Path, columns: &[Column]) -> anyhow::Result<Self> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let refused = |what: &str| WrongCall(format!("{}: {what}", path.display()));
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let form = match ending.as_deref() {
            None | Some("csv") => Form::Csv(names.join(",") + "\n"),
            #[cfg(feature = "parquet")]
            Some("parquet") => Form::Parquet(Box::new(parquet::Rows::new(columns)?)),
            #[cfg(not(feature = "parquet"))]
            Some("parquet") => return Err(refused(NO_PARQUET).into()),
            Some(_) => {
                let what =
                    "no such form is written here; name F.parquet or F.csv, and of events F.ndjson, too";
                return Err(refused(what).into());
            }
        };
        Ok(Self { output: output::open_one(&[], path)?, form, columns: columns.len(), rows: 0 })
    }

    /// Writes a row, whose cells are of the kinds of the columns.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn row(&mut self, cells: &[Cell]) -> anyhow::Result<()> {
        assert_eq!(cells.len(), self.columns, "a cell for each column");
        self.rows += 1;
        match &mut self.form {
            Form::Csv(held) => {
                for (index, cell) in cells.iter().enumerate() {
                    if index > 0 {
                        held.push(',');
                    }
                    held.push_str(&cell.csv());
                }
                held.push('\n');
                if held.len() >= MOST_HELD_BYTES {
                    self.output.write(|out| Ok(out.write_all(held.as_bytes())?))?;
                    held.clear();
                }
            }
            #[cfg(feature = "parquet")]
            Form::Parquet(rows) => {
                if let Some(bytes) = rows.push(cells)? {
                    self.output.write(|out| Ok(out.write_all(&bytes)?))?;
                }
            }
        }
        Ok(())
    }

    /// Rows so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes the rest, and gives a file its name.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        let rest = match self.form {
            Form::Csv(held) => held.into_bytes(),
            #[cfg(feature = "parquet")]
            Form::Parquet(rows) => rows.finish()?,
        };
        self.output.write(|out| Ok(out.write_all(&rest)?))?;
        self.output.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_have_to_be_and_none_is_a_formula() {
        let texts = ["", "a,b", "a\"b", "=1+1", "+1", "-x", "@sum", "x=1", "-a,b"];
        let cells = texts.map(|text| Cell::Text(text.to_owned()).csv());
        let expected = ["", "\"a,b\"", "\"a\"\"b\"", "'=1+1", "'+1", "'-x", "'@sum", "x=1", "\"'-a,b\""];
        assert_eq!(cells, expected);
        let others = [Cell::Empty, Cell::Whole(-7), Cell::Number(-0.25), Cell::Flag(true), Cell::Time(1500)];
        let expected = ["", "-7", "-0.25", "true", "1970-01-01T00:00:01.500Z"];
        assert_eq!(others.map(|cell| cell.csv()), expected);
    }
}
