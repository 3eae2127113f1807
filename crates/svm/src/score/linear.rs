//! A linear decision function, ready for unscaled rows.

use crate::data::scaling::Scaling;
use crate::kernel::Kernel;

/// `Σ weight · (x - mean) / scale + bias`, the scale folded into the weight.
///
/// Not the mean into the bias as well: where a mean is far greater than its scale, the difference would be
/// lost in the rounding of the sum.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    bias: f64,
    /// `weight / scale`
    folded: Box<[f64]>,
    mean: Box<[f64]>,
    weights: Box<[f64]>,
    scale: Box<[f64]>,
    /// Whether a mean is not 0, so that zeros of a row add something to its score.
    centred: bool,
}

impl Linear {
    pub fn new(weights: &[f64], bias: f64, scaling: Option<&Scaling>) -> Self {
        let (mean, scale) = match scaling {
            Some(scaling) => (scaling.mean.clone(), scaling.scale.clone()),
            None => (vec![0.0; weights.len()], vec![1.0; weights.len()]),
        };
        Self {
            centred: mean.iter().any(|&mean| mean != 0.0),
            bias,
            folded: weights.iter().zip(&scale).map(|(weight, scale)| weight / scale).collect(),
            mean: mean.into(),
            weights: weights.into(),
            scale: scale.into(),
        }
    }

    /// How many features a row has.
    pub fn features(&self) -> usize {
        self.folded.len()
    }

    /// How far a unit of each feature moves the score.
    pub fn folded(&self) -> &[f64] {
        &self.folded
    }

    /// The score of an unscaled row; where rounding could have turned its sign, that of [`Linear::plain`].
    #[inline]
    pub fn score(&self, x: &[f64]) -> f64 {
        let (sum, magnitude) = match (<&[f64; 6]>::try_from(x), self.of_six()) {
            (Ok(x), Some((folded, mean))) => sum(folded, mean, x),
            _ => sum(&self.folded, &self.mean, x),
        };
        self.without_doubt(sum, magnitude).unwrap_or_else(|| self.plain(x))
    }

    /// [`Linear::score`] of a row given by its columns, ascending, and their values; the others are zero. None where
    /// zeros add something to the score.
    pub fn score_entries(&self, entries: impl Iterator<Item = (usize, f64)> + Clone) -> Option<f64> {
        if self.centred {
            return None;
        }
        // Each term goes to the sum that `sum` adds it to.
        let in_three = self.folded.len() / 3 * 3;
        let (mut sums, mut magnitudes) = ([0.0; 3], [0.0; 3]);
        for (column, value) in entries.clone() {
            let term = self.folded[column] * value;
            let place = if column < in_three { column % 3 } else { 0 };
            sums[place] += term;
            magnitudes[place] += term.abs();
        }
        let (sum, magnitude) = (sums[0] + sums[1] + sums[2], magnitudes[0] + magnitudes[1] + magnitudes[2]);
        let score = self.without_doubt(sum, magnitude);
        Some(score.unwrap_or_else(|| {
            let mut x = vec![0.0; self.folded.len()];
            entries.for_each(|(column, value)| x[column] = value);
            self.plain(&x)
        }))
    }

    /// The score of terms with this sum and sum of magnitudes; none where rounding could have turned its sign.
    #[inline]
    fn without_doubt(&self, sum: f64, magnitude: f64) -> Option<f64> {
        let score = sum + self.bias;
        // See `Expansion::doubt`; here each term is off by three roundings at most.
        let doubt = 4.0 * f64::EPSILON * (self.folded.len() + 64) as f64 * (magnitude + self.bias.abs());
        (score.abs() > doubt).then_some(score)
    }

    fn of_six(&self) -> Option<(&[f64; 6], &[f64; 6])> {
        Some(((&*self.folded).try_into().ok()?, (&*self.mean).try_into().ok()?))
    }

    /// The score as [`crate::Machine::score`] adds it up: bit by bit the same.
    #[cold]
    #[inline(never)]
    fn plain(&self, x: &[f64]) -> f64 {
        let scaled = x.iter().zip(&self.mean).zip(&self.scale).map(|((x, mean), scale)| (x - mean) / scale);
        Kernel::Linear.of_pairs(self.weights.iter().copied().zip(scaled)) + self.bias
    }
}

/// `Σ weight · (x - mean)` and `Σ |weight · (x - mean)|`, in three independent sums: a single one would
/// wait for each addition in turn.
#[inline(always)]
fn sum(weights: &[f64], mean: &[f64], x: &[f64]) -> (f64, f64) {
    let (weights, weights_rest) = weights.as_chunks::<3>();
    let (mean, mean_rest) = mean.as_chunks::<3>();
    let (x, x_rest) = x.as_chunks::<3>();
    let (mut sums, mut magnitudes) = ([0.0; 3], [0.0; 3]);
    for ((weights, mean), x) in weights.iter().zip(mean).zip(x) {
        for i in 0..3 {
            let term: f64 = weights[i] * (x[i] - mean[i]);
            sums[i] += term;
            magnitudes[i] += term.abs();
        }
    }
    for ((weight, mean), x) in weights_rest.iter().zip(mean_rest).zip(x_rest) {
        let term = weight * (x - mean);
        sums[0] += term;
        magnitudes[0] += term.abs();
    }
    (sums[0] + sums[1] + sums[2], magnitudes[0] + magnitudes[1] + magnitudes[2])
}
