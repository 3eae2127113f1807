//! How many rows a calibration counts, by class and in all.

/// What each row counts, and Platt's targets.
///
/// Weights are relative: they are scaled so that the rows of the scarcer class weigh 1 in the mean, whose number is
/// what limits how sure a calibration can be. A row of twice the weight counts as two.
pub(super) struct Counts<'a> {
    weights: Option<&'a [f64]>,
    scale: f64,
    /// The target of a positive row, (N₊+1)/(N₊+2).
    pub(super) high: f64,
    /// The target of a negative row, 1/(N₋+2).
    pub(super) low: f64,
    /// The sum of the weights of the positive rows, N₊.
    pub(super) positives: f64,
    /// The sum of the weights of the negative rows, N₋.
    pub(super) negatives: f64,
}

impl<'a> Counts<'a> {
    /// The targets are those of `stands_for` times the rows, see [`Pairs`](crate::calibrate::Pairs). None when a class
    /// has no row, or weights are not finite and above 0.
    ///
    /// # Panics
    /// When there are weights but not one per row.
    pub(super) fn of(positive: &[bool], weights: Option<&'a [f64]>, stands_for: f64) -> Option<Self> {
        let rows_positive = positive.iter().filter(|&&positive| positive).count() as f64;
        let rows_negative = positive.len() as f64 - rows_positive;
        let (mut positives, mut negatives, mut scale) = (rows_positive, rows_negative, 1.0);
        if let Some(weights) = weights {
            assert_eq!(weights.len(), positive.len(), "one weight per row");
            if !weights.iter().all(|&weight| weight > 0.0 && weight.is_finite()) {
                return None;
            }
            let sum = |class| -> f64 {
                weights.iter().zip(positive).filter(|row| *row.1 == class).map(|row| row.0).sum()
            };
            let (of_positive, of_negative) = (sum(true), sum(false));
            scale = if rows_positive <= rows_negative {
                rows_positive / of_positive
            } else {
                rows_negative / of_negative
            };
            (positives, negatives) = (scale * of_positive, scale * of_negative);
        }
        // The sums may overflow, and a class's mean weight vanish. Written so that NaN is refused as well.
        if !(positives > 0.0 && negatives > 0.0 && positives.is_finite() && negatives.is_finite()) {
            return None;
        }
        let of_all = |count: f64| stands_for * count;
        let high = (of_all(positives) + 1.0) / (of_all(positives) + 2.0);
        let low = 1.0 / (of_all(negatives) + 2.0);
        Some(Self { weights, scale, high, low, positives, negatives })
    }

    /// What the row counts.
    pub(super) fn weight(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |weights| self.scale * weights[row])
    }

    /// Platt's target of a class.
    pub(super) fn target(&self, positive: bool) -> f64 {
        if positive { self.high } else { self.low }
    }
}

#[cfg(test)]
mod tests {
    use crate::calibrate::{Calibration, Method};

    /// Eight positive rows among thirty, whose scores overlap.
    fn rows() -> (Vec<f64>, Vec<bool>) {
        (0..30).map(|row| (f64::from(row % 11) - 6.0 + 4.0 * f64::from(row % 4 == 1), row % 4 == 1)).unzip()
    }

    #[test]
    fn row_of_weight_2_counts_as_two() {
        let (scores, positive) = rows();
        let weights: Vec<f64> = positive.iter().map(|&positive| if positive { 1.0 } else { 2.0 }).collect();
        let negatives = (0..30).filter(|&row| !positive[row]);
        let repeated: Vec<usize> = (0..30).chain(negatives).collect();
        let (many, classes): (Vec<f64>, Vec<bool>) =
            repeated.iter().map(|&row| (scores[row], positive[row])).unzip();
        for method in [Method::Platt, Method::Isotonic] {
            let weighed = Calibration::fit(method, &scores, &positive, Some(&weights)).unwrap();
            let plain = Calibration::fit(method, &many, &classes, None).unwrap();
            let unweighed = Calibration::fit(method, &scores, &positive, None).unwrap();
            for score in [-6.0, -2.5, 0.0, 1.0, 7.0] {
                let gap = weighed.probability(score) - plain.probability(score);
                assert!(gap.abs() < 1e-4, "{method:?} at {score}: {gap}");
            }
            assert!(unweighed.probability(0.0) > weighed.probability(0.0) + 0.05);
        }
    }

    #[test]
    fn unit_of_the_weights_is_of_no_effect_and_weights_that_are_none_are_refused() {
        let (scores, positive) = rows();
        let fit = |weight: f64| {
            let weights: Vec<f64> = (0..30).map(|row| weight * f64::from(1 + row % 3)).collect();
            Calibration::fit(Method::Platt, &scores, &positive, Some(&weights))
        };
        let (one, other) = (fit(1.0).unwrap(), fit(1e-9).unwrap());
        assert!((one.probability(1.0) - other.probability(1.0)).abs() < 1e-4);
        assert!([0.0, -1.0, f64::NAN, f64::INFINITY].map(fit).iter().all(Option::is_none));
    }
}
