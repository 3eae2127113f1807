//! Scores in double precision of the machine that multipliers make, for many rows at once.

use super::working_set::Change;
use crate::data::matrix::Matrix;
use crate::kernel::Kernel;

/// Support vectors that are laid out together: 64 of 2,000 features take a megabyte, which stays in the second-level cache
/// while every row passes by.
const TILE: usize = 64;

/// With fewer than one value in so many that is not zero, zeros are passed over.
const SPARSE: usize = 4;

/// A feature of a tile's support vectors.
type Feature = [f64; TILE];

/// `Σ β_j K(x_j, x_i)` for every row `i` of `x`; `support` are rows of it and their signed multipliers.
pub(super) fn scores(x: &Matrix, kernel: Kernel, support: &[Change]) -> Vec<f64> {
    let stored = x.values().iter().filter(|value| **value != 0.0).count();
    let is_sparse = stored < x.values().len() / SPARSE;
    let mut scores = vec![0.0; x.len()];
    let mut features: Vec<Feature> = vec![[0.0; TILE]; x.columns()];
    for tile in support.chunks(TILE) {
        let mut squares = [0.0; TILE];
        for (place, &(row, _)) in tile.iter().enumerate() {
            let row = x.row(row as usize);
            features.iter_mut().zip(row).for_each(|(feature, value)| feature[place] = *value);
            squares[place] = row.iter().map(|value| value * value).sum();
        }
        for (row, score) in x.rows().zip(&mut scores) {
            let inner = match kernel {
                Kernel::Rbf { .. } if is_sparse => distances_of_sparse(row, &features, &squares),
                Kernel::Rbf { .. } => distances(row, &features),
                _ => products(row, &features),
            };
            let terms = tile.iter().zip(inner).map(|(&(_, signed), inner)| signed * kernel.of_sum(inner));
            *score += terms.sum::<f64>();
        }
    }
    scores
}

fn products(row: &[f64], features: &[Feature]) -> Feature {
    let mut sums = [0.0; TILE];
    for (value, feature) in row.iter().zip(features).filter(|(value, _)| **value != 0.0) {
        sums.iter_mut().zip(feature).for_each(|(sum, other)| *sum += value * other);
    }
    sums
}

fn distances(row: &[f64], features: &[Feature]) -> Feature {
    let mut sums = [0.0; TILE];
    for (value, feature) in row.iter().zip(features) {
        sums.iter_mut().zip(feature).for_each(|(sum, other)| *sum += (value - other) * (value - other));
    }
    sums
}

/// Where the row is zero its distance is the other's square, which is not added up again. Rows with large values of little
/// difference would lose digits so; those of many zeros have none.
fn distances_of_sparse(row: &[f64], features: &[Feature], squares: &Feature) -> Feature {
    let mut sums = *squares;
    for (value, feature) in row.iter().zip(features).filter(|(value, _)| **value != 0.0) {
        sums.iter_mut().zip(feature).for_each(|(sum, other)| *sum += value * (value - 2.0 * other));
    }
    sums.map(|sum: f64| sum.max(0.0))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    #[test]
    fn scores_are_the_sums_of_the_kernel_whatever_the_shape() {
        let kernels = [
            Kernel::Rbf { gamma: 0.3 },
            Kernel::Poly { gamma: 0.2, coef0: 1.0, degree: 3 },
            Kernel::Sigmoid { gamma: 0.1, coef0: -0.2 },
            Kernel::Linear,
        ];
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        // Also rows far from the origin, and more support vectors than a tile has.
        for (rows, columns, share, offset) in [(3, 1, 1.0, 0.0), (150, 6, 1.0, 1e6), (100, 40, 0.1, 0.0)] {
            let mut value =
                || if random.random::<f64>() < share { offset + random.random::<f64>() } else { 0.0 };
            let x = Matrix::from_rows((0..rows).map(|_| (0..columns).map(|_| value()).collect::<Vec<_>>()));
            let support: Vec<Change> = (0..rows as u32).map(|row| (row, f64::from(row % 7) - 3.0)).collect();
            for kernel in kernels {
                let scores = scores(&x, kernel, &support);
                for (row, score) in x.rows().zip(scores) {
                    let terms =
                        support.iter().map(|&(j, signed)| signed * kernel.apply(row, x.row(j as usize)));
                    let terms: Vec<f64> = terms.collect();
                    let size: f64 = terms.iter().map(|term| term.abs()).sum();
                    let expected: f64 = terms.iter().sum();
                    assert!(
                        (score - expected).abs() <= 1e-13 * size,
                        "{kernel}, {columns}: {score}, {expected}"
                    );
                }
            }
        }
    }
}
