//! Rows of numbers in one piece of memory.

/// Rows of equal width, one after the other in memory.
///
/// ```
/// use upbeat_svm::Matrix;
///
/// let matrix = Matrix::from_rows([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]);
/// assert_eq!((matrix.len(), matrix.columns()), (3, 2));
/// assert_eq!(matrix.row(1), [3.0, 4.0]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    values: Vec<f64>,
    columns: usize,
}

impl Matrix {
    /// A matrix without rows; `columns` ≥ 1.
    ///
    /// # Panics
    /// When `columns` is 0.
    pub fn new(columns: usize) -> Self {
        assert!(columns > 0, "a matrix has at least one column");
        Self { values: Vec::new(), columns }
    }

    /// A matrix of these rows.
    ///
    /// # Panics
    /// When there is no row, rows differ in length, or have none.
    pub fn from_rows<R: AsRef<[f64]>>(rows: impl IntoIterator<Item = R>) -> Self {
        let mut rows = rows.into_iter();
        let first = rows.next().expect("a matrix of rows has at least one");
        let mut matrix = Self::new(first.as_ref().len());
        matrix.push(first.as_ref());
        rows.for_each(|row| matrix.push(row.as_ref()));
        matrix
    }

    /// Adds a row of `self.columns()` values.
    ///
    /// # Panics
    /// When the row is longer or shorter.
    pub fn push(&mut self, row: &[f64]) {
        assert_eq!(row.len(), self.columns, "rows have one value per column");
        self.values.extend_from_slice(row);
    }

    /// Makes room for so many more rows.
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.values.reserve_exact(rows * self.columns);
    }

    /// Adds a row of zeros, to be filled in.
    pub(crate) fn push_zeros(&mut self) -> &mut [f64] {
        let start = self.values.len();
        self.values.resize(start + self.columns, 0.0);
        &mut self.values[start..]
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
    ///
    /// # Panics
    /// When there is no such row.
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

    /// The mean of each column, finite also where the sum of its values is not; 0 where there is no row.
    pub fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.columns];
        for row in self.rows() {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        let rows = self.len().max(1) as f64;
        mean.iter_mut().for_each(|sum| *sum /= rows);
        for column in (0..self.columns).filter(|&column| !mean[column].is_finite()).collect::<Vec<_>>() {
            mean[column] = self.rows().map(|row| row[column] / rows).sum();
        }
        mean
    }

    /// The named rows, in the order they are named.
    pub fn select(&self, rows: &[usize]) -> Self {
        let mut selected = Self::new(self.columns);
        selected.values.reserve_exact(rows.len() * self.columns);
        rows.iter().for_each(|&row| selected.push(self.row(row)));
        selected
    }

    /// Gives every row `columns` values: the old ones in front and zeros behind, or only the first ones.
    pub(crate) fn reshape(&mut self, columns: usize) {
        let kept = self.columns.min(columns);
        let mut values = vec![0.0; self.len() * columns];
        for (new, old) in values.chunks_exact_mut(columns).zip(self.rows()) {
            new[..kept].copy_from_slice(&old[..kept]);
        }
        *self = Self { values, columns };
    }
}
