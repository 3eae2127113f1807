//! Rows with their zeros or without them.

use std::borrow::Cow;

use crate::data::matrix::Matrix;
use crate::data::sparse::SparseMatrix;

/// The rows of a problem: dense ones, which vector instructions take, or sparse ones, which cost memory and time for
/// what is not zero only.
///
/// ```
/// use upbeat_svm::{Matrix, Rows, SparseMatrix};
///
/// let mut sparse = SparseMatrix::new(3);
/// sparse.push([(1, 2.0)]);
/// let (sparse, dense) = (Rows::from(sparse), Rows::from(Matrix::from_rows([[0.0, 2.0, 0.0]])));
/// assert_eq!(sparse.dot(0, &[5.0, 6.0, 7.0]), dense.dot(0, &[5.0, 6.0, 7.0]));
/// assert_eq!(*sparse.to_dense(), *dense.to_dense());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Rows {
    /// Every value is kept.
    Dense(Matrix),
    /// Zeros are not kept.
    Sparse(SparseMatrix),
}

impl From<Matrix> for Rows {
    fn from(rows: Matrix) -> Self {
        Self::Dense(rows)
    }
}

impl From<SparseMatrix> for Rows {
    fn from(rows: SparseMatrix) -> Self {
        Self::Sparse(rows)
    }
}

impl Rows {
    /// Values per row, zeros included.
    pub fn columns(&self) -> usize {
        match self {
            Self::Dense(rows) => rows.columns(),
            Self::Sparse(rows) => rows.columns(),
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Dense(rows) => rows.len(),
            Self::Sparse(rows) => rows.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows where they are dense.
    pub fn as_dense(&self) -> Option<&Matrix> {
        match self {
            Self::Dense(rows) => Some(rows),
            Self::Sparse(_) => None,
        }
    }

    /// The rows with their zeros: 8 bytes a cell where they are sparse, and no copy where they are dense.
    pub fn to_dense(&self) -> Cow<'_, Matrix> {
        match self {
            Self::Dense(rows) => Cow::Borrowed(rows),
            Self::Sparse(rows) => {
                let mut dense = Matrix::new(rows.columns());
                dense.reserve(rows.len());
                for row in 0..rows.len() {
                    let slots = dense.push_zeros();
                    rows.row(row).for_each(|(column, value)| slots[column] = value);
                }
                Cow::Owned(dense)
            }
        }
    }

    /// The rows with their zeros, as by [`Rows::to_dense`].
    pub fn into_dense(self) -> Matrix {
        match self {
            Self::Dense(rows) => rows,
            Self::Sparse(_) => self.to_dense().into_owned(),
        }
    }

    /// Column and value of every cell of a dense row, or of what is not zero in a sparse one; ascending.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn entries(&self, row: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let (dense, sparse) = match self {
            Self::Dense(rows) => (Some(rows.row(row).iter().copied().enumerate()), None),
            Self::Sparse(rows) => (None, Some(rows.row(row))),
        };
        dense.into_iter().flatten().chain(sparse.into_iter().flatten())
    }

    /// Writes a row, with its zeros, into `to`, which is as long as there are columns.
    ///
    /// # Panics
    /// When there is no such row, or `to` has another length.
    pub fn fill(&self, row: usize, to: &mut [f64]) {
        assert_eq!(to.len(), self.columns(), "a place for each column");
        match self {
            Self::Dense(rows) => to.copy_from_slice(rows.row(row)),
            Self::Sparse(rows) => {
                to.fill(0.0);
                rows.row(row).for_each(|(column, value)| to[column] = value);
            }
        }
    }

    /// The inner product of a row with `weights`, one a column.
    ///
    /// # Panics
    /// When there is no such row, or a column without a weight.
    pub fn dot(&self, row: usize, weights: &[f64]) -> f64 {
        match self {
            Self::Dense(rows) => {
                rows.row(row).iter().zip(weights).map(|(value, weight)| value * weight).sum()
            }
            Self::Sparse(rows) => rows.row(row).map(|(column, value)| value * weights[column]).sum(),
        }
    }

    /// Adds `factor` times a row to `to`, a place a column.
    pub(crate) fn add_to(&self, row: usize, factor: f64, to: &mut [f64]) {
        match self {
            Self::Dense(rows) => {
                to.iter_mut().zip(rows.row(row)).for_each(|(to, value)| *to += factor * value)
            }
            Self::Sparse(rows) => rows.row(row).for_each(|(column, value)| to[column] += factor * value),
        }
    }

    /// The inner product of a row with itself.
    pub(crate) fn square(&self, row: usize) -> f64 {
        match self {
            Self::Dense(rows) => rows.row(row).iter().map(|value| value * value).sum(),
            Self::Sparse(rows) => rows.parts(row).1.iter().map(|value| value * value).sum(),
        }
    }

    /// The mean of each column, finite also where the sum of its values is not; 0 where there is no row.
    pub fn mean(&self) -> Vec<f64> {
        match self {
            Self::Dense(rows) => rows.mean(),
            Self::Sparse(rows) => rows.mean(),
        }
    }

    /// The named rows, in the order they are named.
    pub fn select(&self, rows: &[usize]) -> Self {
        match self {
            Self::Dense(all) => Self::Dense(all.select(rows)),
            Self::Sparse(all) => Self::Sparse(all.select(rows)),
        }
    }

    /// Row, column and value of the first value that is NaN or infinite.
    pub(crate) fn first_not_finite(&self) -> Option<(usize, usize, f64)> {
        let values = match self {
            Self::Dense(rows) => rows.values(),
            Self::Sparse(rows) => rows.values(),
        };
        if values.iter().all(|value| value.is_finite()) {
            return None;
        }
        (0..self.len()).find_map(|row| {
            let (column, value) = self.entries(row).find(|(_, value)| !value.is_finite())?;
            Some((row, column, value))
        })
    }
}

/// What tests of dense rows need without a `match`.
#[cfg(test)]
impl Rows {
    pub(crate) fn row(&self, row: usize) -> &[f64] {
        self.as_dense().expect("dense rows").row(row)
    }

    pub(crate) fn rows(&self) -> std::slice::ChunksExact<'_, f64> {
        self.as_dense().expect("dense rows").rows()
    }

    pub(crate) fn dense_mut(&mut self) -> &mut Matrix {
        match self {
            Self::Dense(rows) => rows,
            Self::Sparse(_) => panic!("dense rows"),
        }
    }
}
