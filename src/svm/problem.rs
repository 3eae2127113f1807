//! A training problem: rows of features, each with one of two labels.

use std::io::BufRead;

use super::model::Labels;
use super::rows::{Fault, RowError, RowReader};

/// Most values (rows × features) a problem may hold: 2 GiB of memory.
const MAX_CELLS: usize = 1 << 28;

/// Rows of equal width, one after the other in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    values: Vec<f64>,
    columns: usize,
}

impl Matrix {
    /// A matrix without rows; `columns` ≥ 1.
    pub fn new(columns: usize) -> Self {
        assert!(columns > 0, "a matrix has at least one column");
        Self { values: Vec::new(), columns }
    }

    /// Adds a row of `self.columns()` values.
    pub fn push(&mut self, row: &[f64]) {
        assert_eq!(row.len(), self.columns, "rows have one value per column");
        self.values.extend_from_slice(row);
    }

    /// Values per row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.values.len() / self.columns
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// One row, by its number from 0.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// All values, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The rows in order.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, f64> {
        self.values.chunks_exact(self.columns)
    }

    /// The rows in order, to be changed in place.
    pub fn rows_mut(&mut self) -> std::slice::ChunksExactMut<'_, f64> {
        self.values.chunks_exact_mut(self.columns)
    }

    /// The mean of each column; 0 where there is no row.
    pub fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.columns];
        for row in self.rows() {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        let rows = self.len().max(1) as f64;
        mean.iter_mut().for_each(|sum| *sum /= rows);
        mean
    }

    /// The named rows, in the order they are named.
    pub fn select(&self, rows: &[usize]) -> Self {
        let mut selected = Self::new(self.columns);
        selected.values.reserve_exact(rows.len() * self.columns);
        rows.iter().for_each(|&row| selected.push(self.row(row)));
        selected
    }

    /// Gives every row `columns` values, old values in front, zeros behind; or cuts zeros off again.
    fn reshape(&mut self, columns: usize) {
        let kept = self.columns.min(columns);
        let mut values = vec![0.0; self.len() * columns];
        for (new, old) in values.chunks_exact_mut(columns).zip(self.rows()) {
            new[..kept].copy_from_slice(&old[..kept]);
        }
        *self = Self { values, columns };
    }
}

/// Rows of features and whether each belongs to the positive class.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The features, a row per example.
    pub x: Matrix,
    /// Whether the row at the same place has the positive label.
    pub positive: Vec<bool>,
    /// The two labels as written in the file.
    pub labels: Labels,
    /// What C is multiplied by for the row at the same place, finite and above 0; none for 1 everywhere.
    pub weights: Option<Vec<f64>>,
}

/// Why text is not a training problem.
#[derive(Debug, thiserror::Error)]
pub enum ProblemError {
    /// A line is wrong.
    #[error(transparent)]
    Row(#[from] RowError),
    /// There is no row at all.
    #[error("there are no rows; a row is a label and its features: 1 1:0.29 2:0.21")]
    Empty,
    /// Rows without any feature.
    #[error("no row has a feature; a row is a label and its features: 1 1:0.29 2:0.21")]
    NoFeatures,
    /// All rows have the same label.
    #[error("every row has the label {label}; training needs rows of two labels, such as 1 and 0")]
    OneLabel {
        /// That label, as first written.
        label: String,
    },
}

impl Problem {
    /// Reads libSVM text: `label index:value … # comment`, indices from 1 and ascending, left-out
    /// indices zero. Labels are compared as numbers and kept as first written; the greater one is the
    /// positive class.
    ///
    /// # Errors
    /// A faulty line, with its number; a third label; fewer than two labels; more than 10,000 features
    /// or 2²⁸ values.
    pub fn read(input: impl BufRead) -> Result<Self, ProblemError> {
        Self::read_at_most(input, MAX_CELLS)
    }

    fn read_at_most(input: impl BufRead, max_cells: usize) -> Result<Self, ProblemError> {
        let mut reader = RowReader::new(input);
        let mut x = Matrix::new(1);
        let mut columns = 0;
        let mut seen: Vec<(f64, String)> = Vec::new();
        let mut classes: Vec<usize> = Vec::new();
        while let Some(row) = reader.next_row()? {
            let class = match seen.iter().position(|known| known.0 == row.value) {
                Some(class) => class,
                None if seen.len() < 2 => {
                    seen.push((row.value, row.label.to_owned()));
                    seen.len() - 1
                }
                None => {
                    let (first, second) = (seen[0].1.clone(), seen[1].1.clone());
                    let label = row.label.to_owned();
                    return Err(row.fault(Fault::ThirdLabel { label, first, second }).into());
                }
            };
            let width = row.entries.last().map_or(0, |entry| entry.0);
            columns = columns.max(width);
            if (classes.len() + 1).saturating_mul(columns) > max_cells {
                return Err(row.fault(Fault::TooBig(max_cells)).into());
            }
            if width > x.columns {
                // Doubling keeps a file whose every row is wider than the last from costing rows²; most
                // files are as wide as their first row.
                x.reshape(if x.is_empty() { width } else { width.next_power_of_two() });
            }
            let start = x.values.len();
            x.values.resize(start + x.columns, 0.0);
            for &(index, value) in row.entries {
                x.values[start + index - 1] = value;
            }
            classes.push(class);
        }
        Self::assemble(x, columns, seen, classes)
    }

    fn assemble(
        mut x: Matrix,
        columns: usize,
        seen: Vec<(f64, String)>,
        classes: Vec<usize>,
    ) -> Result<Self, ProblemError> {
        let [(first, first_text), (second, second_text)] =
            <[_; 2]>::try_from(seen).map_err(|seen| match seen.into_iter().next() {
                Some((_, label)) => ProblemError::OneLabel { label },
                None => ProblemError::Empty,
            })?;
        if columns == 0 {
            return Err(ProblemError::NoFeatures);
        }
        if columns != x.columns {
            x.reshape(columns);
        }
        let positive_class = usize::from(second > first);
        let labels = if second > first {
            Labels { positive: second_text, negative: first_text }
        } else {
            Labels { positive: first_text, negative: second_text }
        };
        let positive = classes.into_iter().map(|class| class == positive_class).collect();
        Ok(Self { x, positive, labels, weights: None })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.positive.len()
    }

    /// Whether there is no row; never so for a problem that was read.
    pub fn is_empty(&self) -> bool {
        self.positive.is_empty()
    }

    /// How many rows have the positive label.
    pub fn positives(&self) -> usize {
        self.positive.iter().filter(|&&positive| positive).count()
    }

    /// The named rows as a problem with the same labels.
    pub fn select(&self, rows: &[usize]) -> Self {
        Self {
            x: self.x.select(rows),
            positive: rows.iter().map(|&row| self.positive[row]).collect(),
            labels: self.labels.clone(),
            weights: self.weights.as_ref().map(|weights| rows.iter().map(|&row| weights[row]).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greater_label_is_positive_and_kept_as_written() {
        for (text, positive, negative, classes) in [
            ("0 1:1\n+1 1:2\n1 1:3", "+1", "0", vec![false, true, true]),
            ("1 1:1\n-1 1:2", "1", "-1", vec![true, false]),
            ("2 1:1\n1.0 1:2\n1 1:2", "2", "1.0", vec![true, false, false]),
        ] {
            let problem = Problem::read(text.as_bytes()).unwrap();
            assert_eq!(problem.labels.positive, positive);
            assert_eq!(problem.labels.negative, negative);
            assert_eq!(problem.positive, classes);
        }
    }

    #[test]
    fn missing_indices_are_zero_whatever_the_widths() {
        let problem = Problem::read(&b"1 2:2\n0 1:1\n0 5:5\n1\n"[..]).unwrap();
        assert_eq!(problem.x.columns(), 5);
        let rows: Vec<&[f64]> = problem.x.rows().collect();
        assert_eq!(rows[0], [0.0, 2.0, 0.0, 0.0, 0.0]);
        assert_eq!(rows[1], [1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(rows[2], [0.0, 0.0, 0.0, 0.0, 5.0]);
        assert_eq!(rows[3], [0.0; 5]);
    }

    #[test]
    fn what_cannot_be_trained_on_says_why() {
        for (text, message) in [
            ("", "there are no rows"),
            ("\n# nothing\n", "there are no rows"),
            ("1 1:1\n+1 1:2", "every row has the label 1; training needs rows of two labels"),
            ("1\n0\n", "no row has a feature"),
            ("1 1:1\n0 1:1\n2 1:1", "line 3: label 2 is a third one beside 1 and 0"),
        ] {
            let told = Problem::read(text.as_bytes()).unwrap_err().to_string();
            assert!(told.contains(message), "{message:?} not in {told:?}");
        }
    }

    #[test]
    fn a_few_bytes_cannot_ask_for_gigabytes() {
        let text = "1 10000:1\n0\n0\n0\n";
        let told = Problem::read_at_most(text.as_bytes(), 30_000).unwrap_err().to_string();
        assert!(told.contains("line 4: the problem is greater than 30000 values"), "{told}");
    }
}
