//! Standardising: every feature to mean 0 and variance 1.

use serde::{Deserialize, Serialize};

use crate::data::either::Rows;
use crate::data::exact;
use crate::data::matrix::Matrix;

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
        Self::learn_weighted(x, None)
    }

    /// The same where a row counts as many times as its weight says; finite and above 0, one a row.
    pub fn learn_weighted(x: &Rows, weights: Option<&[f64]>) -> Self {
        let mean = mean(x, weights);
        let scale = match (x, weights) {
            (Rows::Dense(x), None) => dense_deviations(x, &mean),
            _ => deviations(x, &mean, weights),
        };
        let scale = scale.into_iter().map(|deviation| if deviation.is_normal() { deviation } else { 1.0 });
        let scale = scale.collect();
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

/// The mean of each column, where a row counts as many times as its weight says.
pub(crate) fn mean(x: &Rows, weights: Option<&[f64]>) -> Vec<f64> {
    let Some(weights) = weights else { return x.mean() };
    let mut mean = vec![0.0; x.columns()];
    for (row, share) in shares(weights).enumerate() {
        x.entries(row).for_each(|(column, value)| mean[column] += share * value);
    }
    mean
}

/// The share of each row in the sum of the weights, which may be beyond the greatest float.
fn shares(weights: &[f64]) -> impl Iterator<Item = f64> + '_ {
    let greatest = weights.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let total: f64 = weights.iter().map(|weight| weight / greatest).sum();
    weights.iter().map(move |weight| weight / greatest / total)
}

/// The standard deviation of a column by the means of its deviations and of their squares; 0 where it is no more than the
/// rounding of values: such a column is constant.
///
/// The mean of a million equal values is off by more digits than a value is. That is why the mean of the deviations, 0 but
/// for rounding, is taken from the variance (Chan, Golub and LeVeque, "Algorithms for computing the sample variance",
/// *The American Statistician* 37, 1983): the deviation of a constant column would be the error of its mean.
fn deviation(mean: f64, deviations: f64, squares: f64) -> f64 {
    let corrected = (squares - deviations * deviations).max(0.0).sqrt();
    if corrected > 8.0 * f64::EPSILON * mean.abs() { squares.sqrt() } else { 0.0 }
}

/// Sums of squares none of whose greater terms has overflowed, or lost digits below the least normal number.
const EXACT_SQUARES: std::ops::Range<f64> = 1e-250..f64::INFINITY;

fn dense_deviations(x: &Matrix, mean: &[f64]) -> Vec<f64> {
    let rows = x.len() as f64;
    let (mut sums, mut squares) = (vec![0.0; x.columns()], vec![0.0; x.columns()]);
    for row in x.rows() {
        let sums = sums.iter_mut().zip(&mut squares);
        for ((sum, square), (value, mean)) in sums.zip(row.iter().zip(mean)) {
            let difference = value - mean;
            *sum += difference;
            *square += difference * difference;
        }
    }
    let of_column = |column: usize| {
        let (mean, squares) = (mean[column], squares[column]);
        if EXACT_SQUARES.contains(&squares) {
            deviation(mean, sums[column] / rows, squares / rows)
        } else {
            deviation_in_unit(|| x.rows().map(|row| row[column]), mean, rows)
        }
    };
    (0..x.columns()).map(of_column).collect()
}

/// The population standard deviation of a column whose squared deviations no float holds: of the values divided by a
/// power of two near the greatest of them, which loses no digit (as LAPACK's `dlassq` scales a sum of squares).
fn deviation_in_unit<I: Iterator<Item = f64>>(column: impl Fn() -> I, mean: f64, rows: f64) -> f64 {
    let greatest = column().fold(mean.abs(), |greatest, value| greatest.max(value.abs()));
    if greatest < f64::MIN_POSITIVE {
        return 0.0;
    }
    let unit = power_of_two(greatest);
    let differences = || column().map(|value| value / unit - mean / unit);
    let squares: f64 = differences().map(|difference| difference * difference).sum();
    deviation(mean / unit, differences().sum::<f64>() / rows, squares / rows) * unit
}

/// The greatest power of two that is not above a normal value: its exponent's bits alone.
fn power_of_two(value: f64) -> f64 {
    f64::from_bits(value.to_bits() & f64::INFINITY.to_bits())
}

/// As [`deviation_in_unit`] for every column, in two passes over what is not zero.
fn deviations(x: &Rows, mean: &[f64], weights: Option<&[f64]>) -> Vec<f64> {
    let equal = vec![1.0; if weights.is_some() { 0 } else { x.len() }];
    let shares: Vec<f64> = shares(weights.unwrap_or(&equal)).collect();
    let entries = || {
        shares.iter().enumerate().flat_map(|(row, &share)| x.entries(row).map(move |entry| (share, entry)))
    };
    let mut unit: Vec<f64> = mean.iter().map(|mean| mean.abs()).collect();
    // Rows without an entry, by number and by share: where there is none, what rounding leaves of the share is none either.
    let mut missing = vec![(x.len(), 1.0); mean.len()];
    for (share, (column, value)) in entries() {
        unit[column] = unit[column].max(value.abs());
        missing[column].0 -= 1;
        missing[column].1 -= share;
    }
    unit.iter_mut().for_each(|unit| *unit = power_of_two(unit.max(f64::MIN_POSITIVE)));
    let mean: Vec<f64> = mean.iter().zip(&unit).map(|(mean, unit)| mean / unit).collect();
    let (mut sums, mut squares) = (vec![0.0; mean.len()], vec![0.0; mean.len()]);
    let mut add = |column: usize, share: f64, difference: f64| {
        sums[column] += share * difference;
        squares[column] += share * difference * difference;
    };
    entries().for_each(|(share, (column, value))| add(column, share, value / unit[column] - mean[column]));
    for (column, &(_, share)) in missing.iter().enumerate().filter(|missing| missing.1.0 > 0) {
        add(column, f64::max(share, 0.0), -mean[column]);
    }
    (0..mean.len())
        .map(|column| deviation(mean[column], sums[column], squares[column]) * unit[column])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::sparse::SparseMatrix;

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

    /// The mean of many values of 0.1 is off by more than the rounding of 0.1.
    #[test]
    fn constant_feature_of_many_rows_has_scale_1_whatever_its_value() {
        for value in [0.1, -0.3, 1e-200, 1e200, 1e9 + 0.1, 3.3e-5] {
            let mut dense = Matrix::new(2);
            let mut sparse = SparseMatrix::new(2);
            for row in 0..20_000 {
                let other = f64::from(row % 7);
                dense.push(&[value, other]);
                sparse.push([(0, value), (1, other)]);
            }
            let weights: Vec<f64> = (0..20_000).map(|row| 0.1 + f64::from(row % 3)).collect();
            for x in [Rows::from(dense), Rows::from(sparse)] {
                for weights in [None, Some(weights.as_slice())] {
                    let scaling = Scaling::learn_weighted(&x, weights);
                    assert_eq!(scaling.scale[0], 1.0, "{value} {scaling:?}");
                    assert!((scaling.scale[1] - 2.0).abs() < 0.01, "{scaling:?}");
                }
            }
        }
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
        fn row_of_weight_2_is_two_rows(
            rows in proptest::collection::vec(([-5.0f64..5.0, 1e200f64..2e200, -0.5f64..1.0], 1u8..4), 2..40)
        ) {
            let mut once = Matrix::new(3);
            let mut written = Matrix::new(3);
            let mut sparse = SparseMatrix::new(3);
            for (row, times) in &rows {
                let row = row.map(|value| if (-0.5..0.0).contains(&value) { 0.0 } else { value });
                once.push(&row);
                sparse.push(row.into_iter().enumerate());
                (0..*times).for_each(|_| written.push(&row));
            }
            // Of weights only what they are to each other counts.
            let weights: Vec<f64> = rows.iter().map(|row| 1e307 * f64::from(row.1)).collect();
            let wanted = Scaling::learn(&written.into());
            for x in [Rows::from(once), Rows::from(sparse)] {
                let Scaling { mean, scale } = Scaling::learn_weighted(&x, Some(&weights));
                for column in 0..3 {
                    let near = |one: f64, other: f64| (one - other).abs() <= 1e-9 * wanted.scale[column];
                    let of_sparse = x.as_dense().is_none();
                    proptest::prop_assert!(of_sparse && mean[column] == 0.0 || near(mean[column], wanted.mean[column]));
                    proptest::prop_assert!(near(scale[column], wanted.scale[column]), "{:?} {:?}", scale, wanted);
                }
            }
        }

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
