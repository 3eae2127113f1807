//! Quantiles and intervals.

/// The 97.5 % quantile of the normal distribution.
pub(crate) const NORMAL: f64 = 1.959_963_984_540_054;

/// The 97.5 % quantile of Student's t with so many degrees of freedom, at least 1, to one part in a hundred from 3 on: its expansion
/// at the normal quantile (Abramowitz and Stegun, 26.7.5); below, exact.
pub(crate) fn t_quantile(freedom: f64) -> f64 {
    if freedom < 1.5 {
        return 12.706_204_736;
    }
    if freedom < 2.5 {
        return 4.302_652_729;
    }
    let z = NORMAL;
    let terms = [
        (z.powi(3) + z) / 4.0,
        (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
        (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
        (79.0 * z.powi(9) + 776.0 * z.powi(7) + 1482.0 * z.powi(5) - 1920.0 * z.powi(3) - 945.0 * z)
            / 92_160.0,
    ];
    terms.iter().rev().fold(0.0, |sum, term| (sum + term) / freedom) + z
}

/// Wilson's interval of a probability that was found to be `share` of `count` draws, which may be a part of one.
pub(crate) fn wilson(share: f64, count: f64, quantile: f64) -> (f64, f64) {
    let squared = quantile * quantile;
    let middle = (share + squared / (2.0 * count)) / (1.0 + squared / count);
    let half = quantile / (1.0 + squared / count)
        * (share * (1.0 - share) / count + squared / (4.0 * count * count)).max(0.0).sqrt();
    ((middle - half).clamp(0.0, share), (middle + half).clamp(share, 1.0))
}

/// The mean of a group, from the sums of its values and of their squares.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Moments {
    pub(crate) count: f64,
    pub(crate) sum: f64,
    pub(crate) squared: f64,
}

impl Moments {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        self.sum += value;
        self.squared += value * value;
    }

    pub(crate) fn mean(&self) -> f64 {
        if self.count > 0.0 { self.sum / self.count } else { 0.0 }
    }

    /// The mean and its variance with a 0 and a 1 added, so that a group in which nothing happened proves little.
    fn cautious(mut self) -> (f64, f64) {
        self.add(0.0);
        self.add(1.0);
        let mean = self.mean();
        (mean, (self.squared / self.count - mean * mean).max(0.0) / self.count)
    }
}

/// The 95 % interval of the difference of two means, of counts that are mostly 0 and 1: Agresti and Caffo, The American Statistician
/// 54, 2000.
pub(crate) fn difference(one: Moments, other: Moments) -> (f64, f64) {
    let ((mean, variance), (other_mean, other_variance)) = (one.cautious(), other.cautious());
    let half = NORMAL * (variance + other_variance).sqrt();
    (mean - other_mean - half, mean - other_mean + half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_tables() {
        for (freedom, expected) in [
            (1.0, 12.706),
            (2.0, 4.303),
            (3.0, 3.182),
            (5.0, 2.571),
            (10.0, 2.228),
            (30.0, 2.042),
            (511.0, 1.9646),
        ] {
            let found = t_quantile(freedom);
            assert!((found / expected - 1.0).abs() < 0.01, "{found} of {freedom}: {expected}");
        }
    }

    #[test]
    fn wilsons_interval_is_that_of_tables_and_never_empty_where_nothing_happened() {
        let (low, high) = wilson(0.1, 100.0, NORMAL);
        assert!((low - 0.0552).abs() < 1e-4 && (high - 0.1744).abs() < 1e-4, "{low} to {high}");
        let (low, high) = wilson(0.0, 20.0, NORMAL);
        assert!(low == 0.0 && (high - 0.1611).abs() < 1e-4, "{low} to {high}");
    }
}
