//! A training problem: rows of features, each with one of two labels.

use std::io::BufRead;

use crate::data::either::Rows;
use crate::data::gathered::Gathered;
use crate::data::labels::Labels;
use crate::data::rows::{RowError, RowFault, RowReader};

/// Most values a problem may hold, of sparse rows those that are not zero: 2 GiB of memory, or 3 of sparse rows.
const MAX_VALUES: usize = 1 << 28;

/// Rows of features and whether each belongs to the positive class.
///
/// From memory:
///
/// ```
/// use upbeat_svm::{Matrix, Problem};
///
/// let problem = Problem::new(Matrix::from_rows([[0.9, 0.1], [0.2, 0.7]]), vec![true, false])?;
/// assert_eq!((problem.len(), problem.positives()), (2, 1));
/// assert_eq!(problem.labels.positive, "1");
/// # Ok::<(), upbeat_svm::ProblemError>(())
/// ```
///
/// From libSVM text:
///
/// ```
/// # use upbeat_svm::Problem;
/// let problem = Problem::read("+1 1:0.9 2:0.1  # a comment\n-1 2:0.7\n".as_bytes())?;
/// assert_eq!(problem.x.to_dense().row(1), [0.0, 0.7]);
/// # Ok::<(), upbeat_svm::ProblemError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The features, a row per example.
    pub x: Rows,
    /// Whether the row at the same place has the positive label.
    pub positive: Vec<bool>,
    /// The two labels as written in the file.
    pub labels: Labels,
    /// What C is multiplied by for the row at the same place, finite and above 0; none for 1 everywhere.
    pub weights: Option<Vec<f64>>,
}

/// Why text or rows are not a training problem.
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
    /// Not as many classes as rows.
    #[error("there are {rows} rows and {classes} classes; every row has one")]
    Lengths {
        /// Rows.
        rows: usize,
        /// Classes.
        classes: usize,
    },
    /// A feature is NaN or infinite.
    #[error("row {row}, feature {feature}: {value} is not a finite number")]
    NotFinite {
        /// The row, from 0.
        row: usize,
        /// The feature, from 0.
        feature: usize,
        /// Its value.
        value: f64,
    },
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
    /// Rows of more than 64 columns become sparse where fewer than a quarter of their values are not zero.
    ///
    /// # Errors
    /// A faulty line, with its number; a third label; fewer than two labels; more features than [`MAX_FEATURES`]
    /// or more than 2²⁸ values, of sparse rows those that are not zero.
    ///
    /// [`MAX_FEATURES`]: crate::MAX_FEATURES
    pub fn read(input: impl BufRead) -> Result<Self, ProblemError> {
        Self::read_at_most(input, MAX_VALUES)
    }

    /// A problem of rows in memory with the labels `1` and `0`; other labels, and weights of rows, are set as fields.
    ///
    /// # Errors
    /// No row; rows and classes that differ in number; values that are not finite; rows of one class only.
    pub fn new(x: impl Into<Rows>, positive: Vec<bool>) -> Result<Self, ProblemError> {
        let x = x.into();
        let (rows, classes) = (x.len(), positive.len());
        if rows != classes {
            return Err(ProblemError::Lengths { rows, classes });
        }
        if rows == 0 {
            return Err(ProblemError::Empty);
        }
        if let Some((row, feature, value)) = x.first_not_finite() {
            return Err(ProblemError::NotFinite { row, feature, value });
        }
        let labels = Labels::default();
        if positive.iter().all(|&class| class == positive[0]) {
            let label = if positive[0] { labels.positive } else { labels.negative };
            return Err(ProblemError::OneLabel { label });
        }
        Ok(Self { x, positive, labels, weights: None })
    }

    fn read_at_most(input: impl BufRead, most: usize) -> Result<Self, ProblemError> {
        let mut reader = RowReader::new(input);
        let mut rows = Gathered::new(most);
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
                    return Err(row.fault(RowFault::ThirdLabel { label, first, second }).into());
                }
            };
            if !rows.push(row.entries) {
                return Err(row.fault(RowFault::TooBig(most)).into());
            }
            classes.push(class);
        }
        Self::assemble(rows, seen, classes)
    }

    fn assemble(rows: Gathered, seen: Vec<(f64, String)>, classes: Vec<usize>) -> Result<Self, ProblemError> {
        let [(first, first_text), (second, second_text)] =
            <[_; 2]>::try_from(seen).map_err(|seen| match seen.into_iter().next() {
                Some((_, label)) => ProblemError::OneLabel { label },
                None => ProblemError::Empty,
            })?;
        if rows.columns() == 0 {
            return Err(ProblemError::NoFeatures);
        }
        let positive_class = usize::from(second > first);
        let labels = if second > first {
            Labels { positive: second_text, negative: first_text }
        } else {
            Labels { positive: first_text, negative: second_text }
        };
        let positive = classes.into_iter().map(|class| class == positive_class).collect();
        Ok(Self { x: rows.finish(), positive, labels, weights: None })
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
    use crate::data::matrix::Matrix;

    #[test]
    fn greater_label_is_positive_and_kept_as_written() {
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
    fn rows_in_memory_must_be_finite_and_of_two_classes() {
        let new = |rows: &[[f64; 2]], positive: &[bool]| {
            let mut x = Matrix::new(2);
            rows.iter().for_each(|row| x.push(row));
            Problem::new(x, positive.to_vec()).map_err(|error| error.to_string())
        };
        assert_eq!(new(&[[1.0, 2.0], [3.0, 4.0]], &[false, true]).unwrap().labels, Labels::default());
        for (rows, positive, message) in [
            (&[][..], &[][..], "there are no rows"),
            (&[[0.0; 2]], &[true, false], "there are 1 rows and 2 classes; every row has one"),
            (&[[0.0; 2]; 2], &[true, true], "every row has the label 1"),
            (&[[0.0; 2], [1.0, f64::NAN]], &[true, false], "row 1, feature 1: NaN is not a finite number"),
        ] {
            let reported = new(rows, positive).unwrap_err();
            assert!(reported.contains(message), "{message:?} not in {reported:?}");
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
    fn text_without_two_classes_of_rows_is_refused_with_the_reason() {
        for (text, message) in [
            ("", "there are no rows"),
            ("\n# nothing\n", "there are no rows"),
            ("1 1:1\n+1 1:2", "every row has the label 1; training needs rows of two labels"),
            ("1\n0\n", "no row has a feature"),
            ("1 1:1\n0 1:1\n2 1:1", "line 3: label 2 is a third one beside 1 and 0"),
        ] {
            let reported = Problem::read(text.as_bytes()).unwrap_err().to_string();
            assert!(reported.contains(message), "{message:?} not in {reported:?}");
        }
    }

    #[test]
    fn few_bytes_cannot_allocate_gigabytes() {
        let text = format!("1 10000:1\n{}", "0\n".repeat(1000));
        let Rows::Sparse(x) = Problem::read(text.as_bytes()).unwrap().x else { panic!("dense rows") };
        assert_eq!((x.len(), x.columns(), x.stored()), (1001, 10_000, 1));
        let text = "1 10000:1\n0 1:1\n0 1:1\n0 1:1\n";
        let reported = Problem::read_at_most(text.as_bytes(), 3).unwrap_err().to_string();
        assert!(reported.contains("line 4: the problem has more than 3 values"), "{reported}");
    }
}
