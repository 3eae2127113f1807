//! What Newton's method does with rows; and how it does it with sparse ones.

use crate::data::sparse::SparseMatrix;

/// The matrix of products of so many columns takes 32 MB.
pub(super) const MAX_COLUMNS: usize = 2000;

/// Signed rows `z` with the signed constant feature behind the others.
///
/// Vectors of weights are `width` numbers: one a feature, the bias, and zeros.
pub(super) trait Rows {
    /// How many rows there are.
    fn len(&self) -> usize;

    /// The length of a vector of weights.
    fn width(&self) -> usize;

    /// The bias's place in such a vector: the number of features.
    fn bias(&self) -> usize;

    /// Writes `z·weights` of each row.
    fn products(&self, weights: &[f64], products: &mut [f64]);

    /// Writes `Σ factor z`.
    fn sum(&self, factors: &[f64], sum: &mut [f64]);

    /// Writes `Σ factor (z·weights) z`.
    fn curved(&self, factors: &[f64], weights: &[f64], sum: &mut [f64]);

    /// Writes `Σ factor z∘z`, a number a feature.
    fn squares(&self, factors: &[f64], sum: &mut [f64]);

    /// Whether [`Rows::matrix`] is worth its memory.
    fn is_narrow(&self) -> bool;

    /// `Σ factor z zᵀ`, of which the lower triangle is filled; `width` numbers a row.
    fn matrix(&self, factors: &[f64]) -> Vec<f64>;
}

/// Sparse rows, as they are.
pub(super) struct Sparse<'a> {
    pub x: &'a SparseMatrix,
    pub positive: &'a [bool],
}

impl Sparse<'_> {
    /// Columns, values and sign of each row.
    fn rows(&self) -> impl Iterator<Item = (&[u32], &[f64], f64)> {
        let signed = |(row, &positive): (usize, &bool)| {
            let (columns, values) = self.x.parts(row);
            (columns, values, if positive { 1.0 } else { -1.0 })
        };
        self.positive.iter().enumerate().map(signed)
    }

    fn product(&self, columns: &[u32], values: &[f64], weights: &[f64]) -> f64 {
        let terms = columns.iter().zip(values).map(|(&column, value)| value * weights[column as usize]);
        terms.sum::<f64>() + weights[self.bias()]
    }

    fn add(&self, factor: f64, columns: &[u32], values: &[f64], sum: &mut [f64]) {
        columns.iter().zip(values).for_each(|(&column, value)| sum[column as usize] += factor * value);
        sum[self.bias()] += factor;
    }
}

impl Rows for Sparse<'_> {
    fn len(&self) -> usize {
        self.x.len()
    }

    fn width(&self) -> usize {
        self.x.columns() + 1
    }

    fn bias(&self) -> usize {
        self.x.columns()
    }

    fn products(&self, weights: &[f64], products: &mut [f64]) {
        for ((columns, values, sign), product) in self.rows().zip(products) {
            *product = sign * self.product(columns, values, weights);
        }
    }

    fn sum(&self, factors: &[f64], sum: &mut [f64]) {
        sum.fill(0.0);
        for ((columns, values, sign), &factor) in self.rows().zip(factors) {
            if factor != 0.0 {
                self.add(sign * factor, columns, values, sum);
            }
        }
    }

    fn curved(&self, factors: &[f64], weights: &[f64], sum: &mut [f64]) {
        sum.fill(0.0);
        for ((columns, values, _), &factor) in self.rows().zip(factors) {
            if factor != 0.0 {
                // The square of the sign is 1.
                self.add(factor * self.product(columns, values, weights), columns, values, sum);
            }
        }
    }

    fn squares(&self, factors: &[f64], sum: &mut [f64]) {
        sum.fill(0.0);
        for ((columns, values, _), &factor) in self.rows().zip(factors) {
            let squares = columns.iter().zip(values);
            squares.for_each(|(&column, value)| sum[column as usize] += factor * (value * value));
            sum[self.bias()] += factor;
        }
    }

    fn is_narrow(&self) -> bool {
        self.x.columns() <= MAX_COLUMNS
    }

    fn matrix(&self, factors: &[f64]) -> Vec<f64> {
        let width = self.width();
        let mut matrix = vec![0.0; width * width];
        for ((columns, values, _), &factor) in self.rows().zip(factors) {
            if factor != 0.0 {
                for (place, (&column, value)) in columns.iter().zip(values).enumerate() {
                    let into = &mut matrix[column as usize * width..];
                    let up_to = columns[..=place].iter().zip(values);
                    up_to.for_each(|(&other, with)| into[other as usize] += factor * value * with);
                }
                self.add(factor, columns, values, &mut matrix[width * (width - 1)..]);
            }
        }
        matrix
    }
}
