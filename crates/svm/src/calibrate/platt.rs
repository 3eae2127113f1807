//! Platt's sigmoid.

use serde::{Deserialize, Serialize};

use crate::data::exact;

/// Platt's sigmoid: probability of the positive label = 1 / (1 + exp(a·score + b)).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platt {
    /// Slope; below 0 when a higher score means the positive label.
    #[serde(deserialize_with = "exact::number")]
    pub a: f64,
    /// Offset.
    #[serde(deserialize_with = "exact::number")]
    pub b: f64,
}

impl Platt {
    /// The probability of the positive label, in `0.0..=1.0`; NaN for a NaN score.
    pub fn probability(&self, score: f64) -> f64 {
        let t = self.a * score + self.b;
        // Two forms, so that exp never overflows: Lin, Lin and Weng (2007), section 3.
        if t >= 0.0 { (-t).exp() / (1.0 + (-t).exp()) } else { 1.0 / (1.0 + t.exp()) }
    }

    /// Fits the sigmoid to scores that the scoring model was not trained on.
    ///
    /// Newton's method with backtracking on Platt's regularised targets, from Lin, Lin and Weng, *A note
    /// on Platt's probabilistic outputs for support vector machines*, Machine Learning 68 (2007), sections
    /// 2 and 3 and the pseudo code of appendix C. None when a class is missing or a score is not finite.
    pub fn fit(scores: &[f64], positive: &[bool]) -> Option<Self> {
        assert_eq!(scores.len(), positive.len(), "one label per score");
        let positives = positive.iter().filter(|&&positive| positive).count() as f64;
        let negatives = positive.len() as f64 - positives;
        if positives == 0.0 || negatives == 0.0 || scores.iter().any(|score| !score.is_finite()) {
            return None;
        }
        let high = (positives + 1.0) / (positives + 2.0);
        let low = 1.0 / (negatives + 2.0);
        let target = |i: usize| if positive[i] { high } else { low };
        let objective = |at: Self| -> f64 { (0..scores.len()).map(|i| at.loss(scores[i], target(i))).sum() };

        let mut at = Self { a: 0.0, b: ((negatives + 1.0) / (positives + 1.0)).ln() };
        let mut value = objective(at);
        for _ in 0..100 {
            let slope = Slope::at(at, scores, target);
            if slope.a.abs() < 1e-5 && slope.b.abs() < 1e-5 {
                break;
            }
            let (da, db) = slope.newton_step();
            let descent = slope.a * da + slope.b * db;
            let mut step = 1.0;
            loop {
                let next = Self { a: at.a + step * da, b: at.b + step * db };
                let next_value = objective(next);
                if next_value < value + 1e-4 * step * descent {
                    (at, value) = (next, next_value);
                    break;
                }
                step /= 2.0;
                if step < 1e-10 {
                    return at.finite();
                }
            }
        }
        at.finite()
    }

    /// Cross entropy of one score against its target, in the form that does not overflow.
    fn loss(&self, score: f64, target: f64) -> f64 {
        let t = self.a * score + self.b;
        if t >= 0.0 { target * t + (-t).exp().ln_1p() } else { (target - 1.0) * t + t.exp().ln_1p() }
    }

    fn finite(self) -> Option<Self> {
        (self.a.is_finite() && self.b.is_finite()).then_some(self)
    }
}

/// Gradient and Hessian of the cross entropy.
struct Slope {
    a: f64,
    b: f64,
    aa: f64,
    ab: f64,
    bb: f64,
}

impl Slope {
    fn at(at: Platt, scores: &[f64], target: impl Fn(usize) -> f64) -> Self {
        const RIDGE: f64 = 1e-12;
        let mut slope = Self { a: 0.0, b: 0.0, aa: RIDGE, ab: 0.0, bb: RIDGE };
        for (i, &score) in scores.iter().enumerate() {
            let p = at.probability(score);
            let weight = p * (1.0 - p);
            slope.aa += score * score * weight;
            slope.ab += score * weight;
            slope.bb += weight;
            let residual = target(i) - p;
            slope.a += score * residual;
            slope.b += residual;
        }
        slope
    }

    fn newton_step(&self) -> (f64, f64) {
        let determinant = self.aa * self.bb - self.ab * self.ab;
        (
            -(self.bb * self.a - self.ab * self.b) / determinant,
            -(-self.ab * self.a + self.aa * self.b) / determinant,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    #[test]
    fn planted_sigmoid_is_recovered() {
        let planted = Platt { a: -1.7, b: 0.6 };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        let scores: Vec<f64> = (0..40_000).map(|_| rng.random_range(-4.0..4.0)).collect();
        let positive: Vec<bool> =
            scores.iter().map(|&score| rng.random::<f64>() < planted.probability(score)).collect();
        let found = Platt::fit(&scores, &positive).unwrap();
        assert!((found.a - planted.a).abs() < 0.05 && (found.b - planted.b).abs() < 0.05, "{found:?}");
    }

    #[test]
    fn separable_scores_stay_finite_and_ordered() {
        let scores = [-3.0, -2.0, -1.5, 1.2, 2.0, 1e6];
        let found = Platt::fit(&scores, &[false, false, false, true, true, true]).unwrap();
        assert!(found.a < 0.0);
        let probabilities: Vec<f64> = scores.iter().map(|&score| found.probability(score)).collect();
        assert!(
            probabilities.is_sorted() && probabilities.iter().all(|p| (0.0..=1.0).contains(p)),
            "{probabilities:?}"
        );
    }

    #[test]
    fn scores_of_one_class_or_not_finite_have_no_calibration() {
        assert_eq!(Platt::fit(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(Platt::fit(&[1.0, f64::NAN], &[true, false]), None);
        assert_eq!(Platt::fit(&[], &[]), None);
    }

    #[test]
    fn equal_scores_give_the_share_of_positives() {
        let positive: Vec<bool> = (0..1000).map(|i| i % 4 == 0).collect();
        let found = Platt::fit(&[0.3; 1000], &positive).unwrap();
        assert!((found.probability(0.3) - 0.25).abs() < 0.01, "{found:?}");
    }

    proptest::proptest! {
        #[test]
        fn probabilities_stay_between_0_and_1(
            rows in proptest::collection::vec((-1e6f64..1e6, proptest::bool::ANY), 0..40),
            score in proptest::num::f64::ANY
        ) {
            let (scores, positive): (Vec<f64>, Vec<bool>) = rows.into_iter().unzip();
            if let Some(found) = Platt::fit(&scores, &positive) {
                let p = found.probability(score);
                proptest::prop_assert!((0.0..=1.0).contains(&p) || p.is_nan());
                proptest::prop_assert!(!p.is_nan() || !score.is_finite() );
            }
        }
    }
}
