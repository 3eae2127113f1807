//! Small symmetric positive definite systems.

/// Sums that an inner product is made of.
const SUMS: usize = 8;

/// The lower triangle `L` of `A = L Lᵀ`, row after row.
#[derive(Debug)]
pub(super) struct Cholesky {
    factor: Vec<f64>,
    size: usize,
}

impl Cholesky {
    /// Factors the matrix of which `entry(row, column)` is the lower triangle; none when a pivot is not
    /// positive and finite. Golub and Van Loan, "Matrix Computations", section 4.2.
    pub fn new(size: usize, entry: impl Fn(usize, usize) -> f64) -> Option<Self> {
        let mut factor = vec![0.0; size * size];
        for row in 0..size {
            for column in 0..=row {
                let products = product(&factor[row * size..][..column], &factor[column * size..][..column]);
                let remainder = entry(row, column) - products;
                factor[row * size + column] = if column < row {
                    remainder / factor[column * size + column]
                } else if remainder > 0.0 && remainder.is_finite() {
                    remainder.sqrt()
                } else {
                    return None;
                };
            }
        }
        Some(Self { factor, size })
    }

    /// Overwrites `b` by the solution of `A x = b`; `b` may be longer, and keeps what is behind.
    pub fn solve(&self, b: &mut [f64]) {
        let at = |row: usize, column: usize| self.factor[row * self.size + column];
        for row in 0..self.size {
            let known: f64 = (0..row).map(|k| at(row, k) * b[k]).sum();
            b[row] = (b[row] - known) / at(row, row);
        }
        for row in (0..self.size).rev() {
            let known: f64 = (row + 1..self.size).map(|k| at(k, row) * b[k]).sum();
            b[row] = (b[row] - known) / at(row, row);
        }
    }
}

/// The inner product, in sums that do not wait for each other: one alone takes most of a great matrix's time.
fn product(one: &[f64], other: &[f64]) -> f64 {
    let ((one, one_rest), (other, other_rest)) = (one.as_chunks::<SUMS>(), other.as_chunks::<SUMS>());
    let mut sums = [0.0; SUMS];
    for (one, other) in one.iter().zip(other) {
        for lane in 0..SUMS {
            sums[lane] += one[lane] * other[lane];
        }
    }
    let rest: f64 = one_rest.iter().zip(other_rest).map(|(one, other)| one * other).sum();
    sums.iter().sum::<f64>() + rest
}
