//! Standardising: every feature to mean 0 and variance 1.

use serde::{Deserialize, Serialize};

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
    /// Two passes, so that a large mean does not swallow a small deviation.
    pub fn learn(x: &Matrix) -> Self {
        let rows = x.len() as f64;
        let mean = x.mean();
        let mut variance = vec![0.0; x.columns()];
        for row in x.rows() {
            add_each(&mut variance, row.iter().zip(&mean).map(|(value, mean)| (value - mean).powi(2)));
        }
        let scale = variance
            .iter()
            .zip(&mean)
            .map(|(&sum, &mean)| {
                let deviation = (sum / rows).sqrt();
                // Below the rounding of the mean itself, a deviation is noise: the column is constant.
                let noise = 8.0 * f64::EPSILON * mean.abs();
                if deviation.is_normal() && deviation > noise { deviation } else { 1.0 }
            })
            .collect();
        Self { mean, scale }
    }

    /// Scales one row in place; `row.len()` is the number of features.
    pub fn apply(&self, row: &mut [f64]) {
        for ((value, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
            *value = (*value - mean) / scale;
        }
    }

    /// All rows, scaled.
    pub fn applied(&self, x: &Matrix) -> Matrix {
        let mut scaled = x.clone();
        scaled.rows_mut().for_each(|row| self.apply(row));
        scaled
    }
}

fn add_each(sums: &mut [f64], values: impl Iterator<Item = f64>) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: &[[f64; 2]]) -> Matrix {
        let mut matrix = Matrix::new(2);
        rows.iter().for_each(|row| matrix.push(row));
        matrix
    }

    #[test]
    fn constant_features_stay_finite() {
        let x = matrix(&[[0.1, 1e9], [0.1, 1e9], [0.1, 1e9]]);
        let scaling = Scaling::learn(&x);
        assert_eq!(scaling.scale, [1.0, 1.0]);
        assert!(scaling.applied(&x).rows().flatten().all(|value| value.abs() < 1e-6));
    }

    proptest::proptest! {
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
