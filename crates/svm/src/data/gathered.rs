//! Rows as they are read, dense or sparse as pays.

use crate::data::either::Rows;
use crate::data::matrix::Matrix;
use crate::data::sparse::SparseMatrix;

/// Up to so many columns rows are dense whatever they hold: they are small, and the solvers of narrow rows are the
/// fastest ones.
const NARROW: usize = 64;

/// Wider rows are dense when at least one value in so many is not zero. A cell costs 8 bytes and a sparse value 12, so
/// that dense rows take more memory below two in three; but vector instructions take several cells in the time of one
/// sparse value, which is why the bound is lower.
const WORTH_DENSE: usize = 4;

/// While rows are read, dense ones become sparse below this share only: the next rows may be fuller.
const WORTH_STAYING_DENSE: usize = 2 * WORTH_DENSE;

/// So few cells are no reason to change.
const SMALL: usize = 1 << 16;

/// The rows so far.
#[derive(Debug)]
pub(crate) struct Gathered {
    kept: Rows,
    rows: usize,
    columns: usize,
    /// Values that are not zero.
    stored: usize,
    /// Most values to keep: cells of dense rows, what is not zero of sparse ones.
    most: usize,
}

impl Gathered {
    pub(crate) fn new(most: usize) -> Self {
        Self { kept: Matrix::new(1).into(), rows: 0, columns: 0, stored: 0, most }
    }

    /// The greatest index so far.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Adds a row of `(index, value)`, indices from 1 and ascending; false when that makes too many values.
    pub(crate) fn push(&mut self, entries: &[(usize, f64)]) -> bool {
        let width = entries.last().map_or(0, |entry| entry.0);
        self.columns = self.columns.max(width);
        self.rows += 1;
        self.stored += entries.iter().filter(|entry| entry.1 != 0.0).count();
        match self.kept {
            Rows::Dense(_) if !self.is_worth(WORTH_STAYING_DENSE, SMALL) => self.make_sparse(),
            // Asked so rarely, what a change costs does not add up.
            Rows::Sparse(_) if self.rows.is_power_of_two() && self.is_worth(WORTH_DENSE, 0) => {
                self.make_dense()
            }
            _ => {}
        }
        match &mut self.kept {
            Rows::Dense(x) => {
                if width > x.columns() {
                    // Doubling keeps a file whose every row is wider than the last from costing rows²; most
                    // files are as wide as their first row.
                    x.reshape(if x.is_empty() { width } else { width.next_power_of_two() });
                }
                let cells = x.push_zeros();
                entries.iter().for_each(|&(index, value)| cells[index - 1] = value);
            }
            Rows::Sparse(_) if self.stored > self.most => return false,
            Rows::Sparse(x) => {
                x.reshape(self.columns);
                x.push(entries.iter().map(|&(index, value)| (index - 1, value)));
            }
        }
        true
    }

    /// The rows, as wide as the widest: which kind depends on what they hold, not on their order. At least one has a value.
    pub(crate) fn finish(mut self) -> Rows {
        if self.is_worth(WORTH_DENSE, 0) {
            self.make_dense();
        } else {
            self.make_sparse();
        }
        match &mut self.kept {
            Rows::Dense(x) if x.columns() != self.columns => x.reshape(self.columns),
            Rows::Dense(_) => {}
            Rows::Sparse(x) => x.reshape(self.columns),
        }
        self.kept
    }

    /// Whether dense rows are allowed, and one value in `share` is not zero, or that matters little.
    fn is_worth(&self, share: usize, small: usize) -> bool {
        let cells = self.rows.saturating_mul(self.columns);
        let pays = self.columns <= NARROW || cells <= small || self.stored.saturating_mul(share) >= cells;
        cells <= self.most && pays
    }

    fn make_dense(&mut self) {
        if let Rows::Sparse(x) = &mut self.kept {
            x.reshape(self.columns);
            self.kept = self.kept.to_dense().into_owned().into();
        }
    }

    fn make_sparse(&mut self) {
        if let Rows::Dense(x) = &self.kept {
            let mut sparse = SparseMatrix::new(self.columns.max(x.columns()));
            x.rows().for_each(|row| sparse.push(row.iter().copied().enumerate()));
            self.kept = sparse.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gathered(rows: &[Vec<(usize, f64)>], most: usize) -> Option<Rows> {
        let mut gathered = Gathered::new(most);
        rows.iter().all(|row| gathered.push(row)).then(|| gathered.finish())
    }

    fn entries(width: usize, most: usize) -> impl Strategy<Value = Vec<(usize, f64)>> {
        let entry = (1..=width, prop_oneof![Just(0.0), -1.0f64..1.0]);
        proptest::collection::btree_map(1..=width, entry.prop_map(|entry| entry.1), 0..=most)
            .prop_map(|entries| entries.into_iter().collect())
    }

    proptest! {
        #[test]
        fn rows_are_what_was_pushed_and_dense_where_enough_is_not_zero(
            rows in prop_oneof![
                proptest::collection::vec(entries(70, 70), 1..20),
                proptest::collection::vec(entries(70, 20), 1..20),
                proptest::collection::vec(entries(3000, 8), 1..70),
                proptest::collection::vec(prop_oneof![entries(6, 6), entries(300, 40)], 1..70),
            ]
        ) {
            let columns = rows.iter().flatten().map(|entry| entry.0).max().unwrap_or(0);
            prop_assume!(columns > 0);
            let read = gathered(&rows, usize::MAX).unwrap();
            prop_assert_eq!((read.len(), read.columns()), (rows.len(), columns));
            let mut cells = vec![9.0; columns];
            for (row, entries) in rows.iter().enumerate() {
                read.fill(row, &mut cells);
                let mut expected = vec![0.0; columns];
                entries.iter().for_each(|&(index, value)| expected[index - 1] = value);
                prop_assert_eq!(&cells, &expected);
            }
            let stored = rows.iter().flatten().filter(|entry| entry.1 != 0.0).count();
            let dense = columns <= NARROW || stored * WORTH_DENSE >= rows.len() * columns;
            prop_assert_eq!(read.as_dense().is_some(), dense);
            let mut backwards = rows.clone();
            backwards.reverse();
            prop_assert_eq!(gathered(&backwards, usize::MAX).unwrap().as_dense().is_some(), dense);
        }
    }

    #[test]
    fn rows_that_are_too_many_cells_stay_sparse_and_too_many_values_are_refused() {
        let row = |index: usize| vec![(index, 1.0)];
        let narrow: Vec<_> = (0..20).map(|at| row(1 + at % 6)).collect();
        assert!(gathered(&narrow, 120).unwrap().as_dense().is_some());
        assert!(gathered(&narrow, 119).unwrap().as_dense().is_none());
        assert!(gathered(&narrow, 20).is_some() && gathered(&narrow, 19).is_none());
    }
}
