//! Rows of numbers of which most are zero, without the zeros.

/// Rows of equal width that keep only the values that are not zero: compressed sparse rows, 12 bytes a value.
///
/// Columns are numbered from 0, unlike the indices of libSVM text.
///
/// ```
/// use upbeat_svm::SparseMatrix;
///
/// let mut rows = SparseMatrix::new(100_000);
/// rows.push([(7, 1.5), (99_999, -2.0)]);
/// rows.push([]);
/// assert_eq!((rows.len(), rows.columns(), rows.stored()), (2, 100_000, 2));
/// assert_eq!(rows.row(0).collect::<Vec<_>>(), [(7, 1.5), (99_999, -2.0)]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SparseMatrix {
    /// Where each row starts in the other two, and where the last one ends.
    starts: Vec<usize>,
    /// The column of each value; ascending within a row.
    indices: Vec<u32>,
    values: Vec<f64>,
    columns: usize,
}

impl SparseMatrix {
    /// A matrix without rows; `columns` from 1 to 2³² − 1.
    ///
    /// # Panics
    /// When `columns` is 0 or more than that.
    pub fn new(columns: usize) -> Self {
        assert!(columns > 0, "a matrix has at least one column");
        assert!(u32::try_from(columns).is_ok(), "a column's number has 32 bits");
        Self { starts: vec![0], indices: Vec::new(), values: Vec::new(), columns }
    }

    /// Gives the rows another width, which no column is beyond.
    pub(crate) fn reshape(&mut self, columns: usize) {
        debug_assert!(
            columns >= self.columns || self.indices.iter().all(|&column| (column as usize) < columns)
        );
        self.columns = columns;
    }

    /// Adds a row of values at ascending columns. Zeros are left out.
    ///
    /// # Panics
    /// When a column is not greater than the one before it, or is not below `self.columns()`.
    pub fn push(&mut self, entries: impl IntoIterator<Item = (usize, f64)>) {
        let mut least = 0;
        for (column, value) in entries {
            assert!(column >= least, "columns ascend within a row");
            assert!(column < self.columns, "a column is below their number");
            least = column + 1;
            if value != 0.0 {
                self.indices.push(column as u32);
                self.values.push(value);
            }
        }
        self.starts.push(self.indices.len());
    }

    /// Values per row, zeros included.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many values are not zero.
    pub fn stored(&self) -> usize {
        self.values.len()
    }

    /// Column and value of what is not zero in a row, ascending.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row: usize) -> impl ExactSizeIterator<Item = (usize, f64)> + Clone + '_ {
        let (indices, values) = self.parts(row);
        indices.iter().zip(values).map(|(&column, &value)| (column as usize, value))
    }

    /// Columns and values of a row.
    pub(crate) fn parts(&self, row: usize) -> (&[u32], &[f64]) {
        let range = self.starts[row]..self.starts[row + 1];
        (&self.indices[range.clone()], &self.values[range])
    }

    /// Changes every value that is not zero, given its column.
    pub(crate) fn for_each(&mut self, mut change: impl FnMut(usize, &mut f64)) {
        self.indices.iter().zip(&mut self.values).for_each(|(&column, value)| change(column as usize, value));
    }

    /// All values that are not zero, row by row.
    pub(crate) fn values(&self) -> &[f64] {
        &self.values
    }

    /// The mean of each column, finite also where the sum of its values is not; 0 where there is no row.
    pub fn mean(&self) -> Vec<f64> {
        let rows = self.len().max(1) as f64;
        let sums_of = |share: f64| {
            let mut sums = vec![0.0; self.columns];
            let entries = self.indices.iter().zip(&self.values);
            entries.for_each(|(&column, value)| sums[column as usize] += value / share);
            sums
        };
        let mut mean: Vec<f64> = sums_of(1.0).into_iter().map(|sum| sum / rows).collect();
        if mean.iter().any(|mean| !mean.is_finite()) {
            let replaced = mean.iter_mut().zip(sums_of(rows));
            replaced.filter(|(mean, _)| !mean.is_finite()).for_each(|(mean, by_shares)| *mean = by_shares);
        }
        mean
    }

    /// The named rows, in the order they are named.
    pub fn select(&self, rows: &[usize]) -> Self {
        let stored = rows.iter().map(|&row| self.starts[row + 1] - self.starts[row]).sum();
        let mut selected = Self {
            starts: Vec::with_capacity(rows.len() + 1),
            indices: Vec::with_capacity(stored),
            values: Vec::with_capacity(stored),
            columns: self.columns,
        };
        selected.starts.push(0);
        for &row in rows {
            let (indices, values) = self.parts(row);
            selected.indices.extend_from_slice(indices);
            selected.values.extend_from_slice(values);
            selected.starts.push(selected.indices.len());
        }
        selected
    }
}
