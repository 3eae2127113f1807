//! Standardising: every feature to mean 0 and variance 1.

use serde::{Deserialize, Serialize};

use crate::data::either::Rows;
use crate::data::exact;
use crate::data::matrix::Matrix;
use crate::data::sparse::SparseMatrix;

/// Mean and scale of each feature, learned on training rows only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// Subtracted from the feature.
    #[serde(deserialize_with = "exact::numbers")]
    pub mean: Vec<f64>,
    /// Divides the difference; finite and above 0.
    #[serde(deserialize_with = "exact::numbers")]
    pub scale: Vec<f64>,
}

impl Scaling {
    /// Mean and population standard deviation of each column; a constant column gets scale 1.
    ///
    /// Two passes, so that a large mean does not swallow a small deviation. Columns of any finite values are
    /// standardised: where squares of deviations would overflow, or vanish, they are taken of values in another unit.
    ///
    /// Sparse rows keep their zeros, which centred ones would not: their means are given as 0, and only the scale is
    /// learned. A linear machine whose bias is free is the same either way, since the bias takes up what the means
    /// would; one whose bias is regularised is not.
    pub fn learn(x: &Rows) -> Self {
        let mean = x.mean();
        let deviations = match x {
            Rows::Dense(x) => dense_deviations(x, &mean),
            Rows::Sparse(x) => sparse_deviations(x, &mean),
        };
        let scale = deviations
            .into_iter()
            .zip(&mean)
            .map(|(deviation, mean)| {
                // Below the rounding of the mean itself, a deviation is noise: the column is constant.
                let noise = 8.0 * f64::EPSILON * mean.abs();
                if deviation.is_normal() && deviation > noise { deviation } else { 1.0 }
            })
            .collect();
        match x {
            Rows::Dense(_) => Self { mean, scale },
            Rows::Sparse(_) => Self { mean: vec![0.0; mean.len()], scale },
        }
    }

    /// Scales one row in place; `row.len()` is the number of features.
    pub fn apply(&self, row: &mut [f64]) {
        for ((value, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
            *value = (*value - mean) / scale;
        }
    }

    /// All rows, scaled. Sparse rows become dense where a mean is not 0.
    pub fn applied(&self, x: &Rows) -> Rows {
        match x {
            Rows::Sparse(x) if self.mean.iter().all(|&mean| mean == 0.0) => {
                let mut scaled = x.clone();
                scaled.for_each(|column, value| *value /= self.scale[column]);
                scaled.into()
            }
            x => {
                let mut scaled = x.to_dense().into_owned();
                scaled.rows_mut().for_each(|row| self.apply(row));
                scaled.into()
            }
        }
    }
}

/// Sums of squares none of whose greater terms has overflowed, or lost digits below the least normal number.
const EXACT_SQUARES: std::ops::Range<f64> = 1e-250..f64::INFINITY;

fn dense_deviations(x: &Matrix, mean: &[f64]) -> Vec<f64> {
    let rows = x.len() as f64;
    let mut squares = vec![0.0; x.columns()];
    for row in x.rows() {
        add_each(&mut squares, row.iter().zip(mean).map(|(value, mean)| (value - mean).powi(2)));
    }
    let deviation = |(column, (&squares, &mean)): (usize, (&f64, &f64))| {
        if EXACT_SQUARES.contains(&squares) {
            (squares / rows).sqrt()
        } else {
            deviation_in_unit(|| x.rows().map(|row| row[column]), mean, rows)
        }
    };
    squares.iter().zip(mean).enumerate().map(deviation).collect()
}

/// The population standard deviation of a column whose squared deviations no float holds: of the values divided by a
/// power of two near the greatest of them, which loses no digit (as LAPACK's `dlassq` scales a sum of squares).
fn deviation_in_unit<I: Iterator<Item = f64>>(column: impl Fn() -> I, mean: f64, rows: f64) -> f64 {
    let greatest = column().fold(mean.abs(), |greatest, value| greatest.max(value.abs()));
    if greatest < f64::MIN_POSITIVE {
        return 0.0;
    }
    let unit = power_of_two(greatest);
    let squares: f64 = column().map(|value| (value / unit - mean / unit).powi(2)).sum();
    (squares / rows).sqrt() * unit
}

/// The greatest power of two that is not above a normal value: its exponent's bits alone.
fn power_of_two(value: f64) -> f64 {
    f64::from_bits(value.to_bits() & f64::INFINITY.to_bits())
}

/// As [`deviation_in_unit`] for every column, in two passes over what is not zero.
fn sparse_deviations(x: &SparseMatrix, mean: &[f64]) -> Vec<f64> {
    let rows = x.len() as f64;
    let entries = || (0..x.len()).flat_map(|row| x.row(row));
    let mut unit: Vec<f64> = mean.iter().map(|mean| mean.abs()).collect();
    let mut zeros = vec![rows; mean.len()];
    for (column, value) in entries() {
        unit[column] = unit[column].max(value.abs());
        zeros[column] -= 1.0;
    }
    unit.iter_mut().for_each(|unit| *unit = power_of_two(unit.max(f64::MIN_POSITIVE)));
    let mut squares = vec![0.0; mean.len()];
    for (column, value) in entries() {
        squares[column] += (value / unit[column] - mean[column] / unit[column]).powi(2);
    }
    let of_zeros = zeros.iter().zip(mean.iter().zip(&unit));
    add_each(&mut squares, of_zeros.map(|(zeros, (mean, unit))| zeros * (mean / unit).powi(2)));
    squares.iter().zip(&unit).map(|(squares, unit)| (squares / rows).sqrt() * unit).collect()
}

fn add_each(sums: &mut [f64], values: impl Iterator<Item = f64>) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix<const N: usize>(rows: &[[f64; N]]) -> Rows {
        Matrix::from_rows(rows).into()
    }

    #[test]
    fn constant_features_stay_finite() {
        let x = matrix(&[[0.1, 1e9], [0.1, 1e9], [0.1, 1e9]]);
        let scaling = Scaling::learn(&x);
        assert_eq!(scaling.scale, [1.0, 1.0]);
        assert!(scaling.applied(&x).rows().flatten().all(|value| value.abs() < 1e-6));
    }

    #[test]
    fn columns_of_any_finite_magnitude_have_mean_0_and_variance_1() {
        for power in [-300, -200, -170, -150, -1, 100, 150, 155, 200, 300, 307] {
            let unit = 10f64.powi(power);
            let x = matrix(&[[3.0 * unit, 9.0], [5.0 * unit, 9.0], [-8.0 * unit, 9.0], [7.0 * unit, 9.0]]);
            let scaling = Scaling::learn(&x);
            let scaled = scaling.applied(&x);
            let mean = scaled.rows().map(|row| row[0]).sum::<f64>() / 4.0;
            let variance = scaled.rows().map(|row| row[0] * row[0]).sum::<f64>() / 4.0;
            assert!(mean.abs() < 1e-12 && (variance - 1.0).abs() < 1e-12, "1e{power}: {mean} {variance}");
            assert_eq!(scaling.scale[1], 1.0);
        }
        // Sums of these overflow, though each of them and their mean do not.
        let wide = Scaling::learn(&matrix(&[[1.5e308, 0.0], [1.7e308, 0.0], [1.6e308, 0.0]]));
        assert!((wide.mean[0] / 1.6e308 - 1.0).abs() < 1e-12 && wide.scale[0] < 1e307, "{wide:?}");
    }

    proptest::proptest! {
        #[test]
        fn sparse_features_have_the_scale_of_dense_ones_and_no_mean(
            rows in proptest::collection::vec([-5.0f64..5.0, -0.5f64..1e200, 2.0f64..2.1, 1e-200f64..2e-200], 2..60)
        ) {
            let rows: Vec<_> = rows.into_iter().map(|row| row.map(|value| if value < 0.0 { 0.0 } else { value })).collect();
            let dense = matrix(&rows);
            let mut sparse = SparseMatrix::new(4);
            dense.rows().for_each(|row| sparse.push(row.iter().copied().enumerate()));
            let sparse = Rows::from(sparse);
            let (of_dense, of_sparse) = (Scaling::learn(&dense), Scaling::learn(&sparse));
            proptest::prop_assert_eq!(&of_sparse.mean, &vec![0.0; 4]);
            for (one, other) in of_dense.scale.iter().zip(&of_sparse.scale) {
                proptest::prop_assert!((one / other - 1.0).abs() < 1e-9, "{} {}", one, other);
            }
            let scaled = of_sparse.applied(&sparse);
            proptest::prop_assert!(scaled.as_dense().is_none());
            let mut row = rows[0];
            of_sparse.apply(&mut row);
            proptest::prop_assert_eq!(scaled.to_dense().row(0).to_vec(), row.to_vec());
        }

        #[test]
        fn scaled_features_have_mean_0_and_variance_1(
            rows in proptest::collection::vec([0.0f64..1.0, -50.0f64..50.0], 2..60)
        ) {
            let x = matrix(&rows);
            let scaling = Scaling::learn(&x);
            let scaled = scaling.applied(&x);
            for column in 0..2 {
                let n = rows.len() as f64;
                let mean = scaled.rows().map(|row| row[column]).sum::<f64>() / n;
                let variance = scaled.rows().map(|row| (row[column] - mean).powi(2)).sum::<f64>() / n;
                proptest::prop_assert!(mean.abs() < 1e-9, "mean {}", mean);
                proptest::prop_assert!((variance - 1.0).abs() < 1e-9 || variance < 1e-9, "{}", variance);
            }
        }
    }
}
