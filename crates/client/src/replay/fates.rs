//! Rows that were not sent, and rows of which nobody knows whether they arrived.

use std::fmt;

/// What is known of rows without an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The server has none of them.
    Unsent,
    /// They were sent and there is no answer: the server has all, some or none of them.
    Unknown,
}

/// Rows without an outcome, as runs of lines.
#[derive(Debug, Default)]
pub(super) struct Fates {
    runs: Vec<(Fate, Run)>,
}

/// Consecutive rows of a file.
#[derive(Debug)]
pub(super) struct Run {
    file: String,
    first: u64,
    last: u64,
    rows: u64,
}

impl Fates {
    /// Adds the rows of these lines, which ascend.
    pub(super) fn add(&mut self, fate: Fate, file: &str, lines: &[u64]) {
        if let [first, ..] = *lines {
            let last = lines.last().copied().unwrap_or(first);
            self.runs.push((fate, Run { file: file.to_owned(), first, last, rows: lines.len() as u64 }));
        }
    }

    /// How many rows have this fate.
    pub(super) fn count(&self, fate: Fate) -> u64 {
        self.runs(fate).map(|run| run.rows).sum()
    }

    /// The runs of rows of this fate. The replay ends with the first, so that there are few.
    pub(super) fn runs(&self, fate: Fate) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |(other, _)| *other == fate).map(|(_, run)| run)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, first, last, rows } = self;
        match rows {
            1 => write!(f, "{file}, line {first}"),
            _ => write!(f, "{file}, lines {first} to {last} ({rows} rows)"),
        }
    }
}
