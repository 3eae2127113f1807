//! Platt's sigmoid.

use serde::{Deserialize, Serialize};

use crate::calibrate::counts::Counts;
use crate::calibrate::pairs::Pairs;
use crate::data::exact;
use crate::evaluate::ties::constant;

/// Platt's sigmoid: probability of the positive label = 1 / (1 + exp(a·score + b)).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platt {
    /// Slope, 0 or below: a higher score never means a lower probability. At 0 every probability is the same.
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

    /// The same probability for every score: that of the share of positive rows.
    ///
    /// A row of weight 2 counts as two. None as for [`Platt::fit`].
    pub fn base_rate(positive: &[bool], weights: Option<&[f64]>) -> Option<Self> {
        Counts::of(positive, weights, 1.0).map(|counts| Self::of_share(&counts))
    }

    fn of_share(counts: &Counts) -> Self {
        Self { a: 0.0, b: (counts.negatives / counts.positives).ln() }
    }

    /// Fits the sigmoid to scores that the scoring model was not trained on; it never falls as the score rises.
    ///
    /// Newton's method with backtracking on Platt's regularised targets, from Lin, Lin and Weng, *A note
    /// on Platt's probabilistic outputs for support vector machines*, Machine Learning 68 (2007), sections
    /// 2 and 3. It runs on scores that are moved and scaled into −1 to 1, and stops by the Newton decrement (Boyd and
    /// Vandenberghe, *Convex optimization*, 2004, section 9.5), so that the scores' own scale does not matter. The
    /// slope is held to a ≤ 0: where positive rows do not score above negative ones in the mean, or all scores
    /// are [`constant`](crate::constant), it is [`Platt::base_rate`]. A row of weight 2 counts as two. None when a class is missing, a
    /// score is not finite, or a weight is not finite and above 0.
    pub fn fit(scores: &[f64], positive: &[bool], weights: Option<&[f64]>) -> Option<Self> {
        Self::fit_from(Pairs::all(scores, positive, weights), None)
    }

    /// [`Platt::fit`] that begins at `start`, which takes two or three steps where that was fitted to most of the
    /// same scores.
    pub(crate) fn fit_from(rows: Pairs, start: Option<Self>) -> Option<Self> {
        let Pairs { scores, positive, weights, stands_for } = rows;
        assert_eq!(scores.len(), positive.len(), "one label per score");
        let counts = Counts::of(positive, weights, stands_for)?;
        let flat = Self::of_share(&counts);
        if scores.iter().any(|score| !score.is_finite()) {
            return None;
        }
        let Some(unit) = Unit::of(scores).filter(|unit| unit.rises(scores, positive, &counts)) else {
            return Some(flat);
        };
        let fit = unit.newton(scores, positive, &counts, start.map_or(flat, |start| unit.inside(start)));
        let found = unit.outside(fit);
        Some(if found.a < 0.0 && found.a.is_finite() && found.b.is_finite() { found } else { flat })
    }

    /// Cross entropy of one score against its target, in the form that does not overflow.
    fn loss(&self, score: f64, target: f64) -> f64 {
        let t = self.a * score + self.b;
        if t >= 0.0 { target * t + (-t).exp().ln_1p() } else { (target - 1.0) * t + t.exp().ln_1p() }
    }
}

/// A change of unit that takes the scores into −1 to 1.
struct Unit {
    middle: f64,
    half: f64,
}

impl Unit {
    /// None where the scores are all the same, as far as a solver determines them.
    fn of(scores: &[f64]) -> Option<Self> {
        if constant(scores.iter().copied()) {
            return None;
        }
        let low = scores.iter().copied().fold(f64::INFINITY, f64::min);
        let high = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Halved first: the difference of two finite numbers may overflow.
        let (middle, half) = (high / 2.0 + low / 2.0, high / 2.0 - low / 2.0);
        half.is_normal().then_some(Self { middle, half })
    }

    fn of_score(&self, score: f64) -> f64 {
        (score - self.middle) / self.half
    }

    /// A sigmoid of scores as one of scores in this unit.
    fn inside(&self, outside: Platt) -> Platt {
        Platt { a: outside.a * self.half, b: outside.b + outside.a * self.middle }
    }

    /// A sigmoid of scores in this unit as one of scores.
    fn outside(&self, inside: Platt) -> Platt {
        let a = inside.a / self.half;
        Platt { a, b: inside.b - a * self.middle }
    }

    /// Whether positive rows score above negative ones in the mean. The cross entropy is convex, so that its minimum
    /// has a < 0 just when its derivative at a = 0 says so.
    fn rises(&self, scores: &[f64], positive: &[bool], counts: &Counts) -> bool {
        let (mut sums, mut rows) = ([0.0; 2], [0.0; 2]);
        for (row, (&score, &positive)) in scores.iter().zip(positive).enumerate() {
            let weight = counts.weight(row);
            sums[usize::from(positive)] += weight * self.of_score(score);
            rows[usize::from(positive)] += weight;
        }
        sums[1] / rows[1] > sums[0] / rows[0]
    }

    /// The minimum of the cross entropy, in this unit.
    fn newton(&self, scores: &[f64], positive: &[bool], counts: &Counts, start: Platt) -> Platt {
        let rows = || {
            let row =
                |row: usize| (self.of_score(scores[row]), counts.target(positive[row]), counts.weight(row));
            (0..scores.len()).map(row)
        };
        let objective = |at: Platt| -> f64 {
            rows().map(|(score, target, weight)| weight * at.loss(score, target)).sum()
        };
        let (mut at, mut value) = (start, objective(start));
        for _ in 0..MAX_STEPS {
            let Step { a, b, decrement } = Step::at(at, rows());
            // Twice the distance of the objective from its minimum, nearly; the objective counts every row.
            if decrement.is_nan() || decrement <= CONVERGED {
                break;
            }
            let mut share = 1.0;
            let next = loop {
                let next = Platt { a: at.a + share * a, b: at.b + share * b };
                let next_value = objective(next);
                if next_value < value - 1e-4 * share * decrement {
                    break Some((next, next_value));
                }
                share /= 2.0;
                if share < 1e-10 {
                    break None;
                }
            };
            let Some(next) = next else { break };
            (at, value) = next;
        }
        at
    }
}

/// Most steps of Newton's method; some ten are usual.
const MAX_STEPS: usize = 100;

/// Newton decrement, squared, at which the fit ends: the likelihood of all rows together is then known to nine digits.
const CONVERGED: f64 = 1e-9;

/// A step of Newton's method.
struct Step {
    a: f64,
    b: f64,
    /// The squared Newton decrement: what the step promises, twice.
    decrement: f64,
}

impl Step {
    /// `rows` are scores with their targets and weights.
    ///
    /// Solved about the weighted mean of the scores, where the Hessian is diagonal: no digits cancel.
    fn at(at: Platt, rows: impl Iterator<Item = (f64, f64, f64)> + Clone) -> Self {
        let (mut sum, mut weights, mut residuals) = (0.0, 0.0, 0.0);
        for (score, target, weight) in rows.clone() {
            let p = at.probability(score);
            let curvature = weight * (p * (1.0 - p));
            sum += score * curvature;
            weights += curvature;
            residuals += weight * (target - p);
        }
        let mean = sum / weights;
        let (mut curvature, mut slope) = (0.0, 0.0);
        for (score, target, weight) in rows {
            let (p, from_mean) = (at.probability(score), score - mean);
            curvature += weight * (from_mean * from_mean * (p * (1.0 - p)));
            slope += weight * (from_mean * (target - p));
        }
        let a = if curvature > 0.0 { -slope / curvature } else { 0.0 };
        let shift = -residuals / weights;
        let decrement = residuals * residuals / weights - slope * a;
        Self { a, b: shift - mean * a, decrement }
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
        let found = Platt::fit(&scores, &positive, None).unwrap();
        assert!((found.a - planted.a).abs() < 0.05 && (found.b - planted.b).abs() < 0.05, "{found:?}");
    }

    #[test]
    fn separable_scores_stay_finite_and_ordered() {
        let scores = [-3.0, -2.0, -1.5, 1.2, 2.0, 1e6];
        let found = Platt::fit(&scores, &[false, false, false, true, true, true], None).unwrap();
        assert!(found.a < 0.0);
        let probabilities: Vec<f64> = scores.iter().map(|&score| found.probability(score)).collect();
        assert!(
            probabilities.is_sorted() && probabilities.iter().all(|p| (0.0..=1.0).contains(p)),
            "{probabilities:?}"
        );
    }

    #[test]
    fn scores_of_one_class_or_not_finite_have_no_calibration() {
        assert_eq!(Platt::fit(&[1.0, 2.0], &[true, true], None), None);
        assert_eq!(Platt::fit(&[1.0, f64::NAN], &[true, false], None), None);
        assert_eq!(Platt::fit(&[], &[], None), None);
    }

    #[test]
    fn equal_scores_give_the_share_of_positives() {
        let positive: Vec<bool> = (0..1000).map(|i| i % 4 == 0).collect();
        let found = Platt::fit(&[0.3; 1000], &positive, None).unwrap();
        assert!((found.probability(0.3) - 0.25).abs() < 0.01, "{found:?}");
    }

    #[test]
    fn scores_that_fall_with_the_label_give_the_base_rate() {
        let positive = [true, true, false, false, false, false, false, false];
        let base_rate = Platt::base_rate(&positive, None).unwrap();
        assert!((base_rate.probability(-7.0) - 0.25).abs() < 1e-15 && base_rate.a == 0.0);
        let falling = [-2.0, -1.0, 0.5, 0.1, 1.0, 1.5, 2.0, 0.3];
        assert_eq!(Platt::fit(&falling, &positive, None), Some(base_rate));
    }

    #[test]
    fn scores_that_differ_in_their_last_digits_give_the_base_rate() {
        // As a collapsed hinge machine's: the order of the last digits is that of the labels.
        let positive: Vec<bool> = (0..100).map(|i| i % 5 == 0).collect();
        let scores: Vec<f64> =
            positive.iter().map(|&positive| if positive { -1.0 + 1e-9 } else { -1.0 - 1e-9 }).collect();
        assert_eq!(Platt::fit(&scores, &positive, None), Platt::base_rate(&positive, None));
    }

    #[test]
    fn fit_does_not_depend_on_the_unit_of_the_scores() {
        let positive: Vec<bool> = (0..300).map(|i| i % 7 < 2 || i > 250).collect();
        let scores: Vec<f64> = (0..300).map(|i| f64::from(i) / 100.0 - 1.5).collect();
        let plain = Platt::fit(&scores, &positive, None).unwrap();
        assert!(plain.a < -0.5);
        for (factor, offset) in
            [(1e-5, 0.0), (1e9, 0.0), (1e150, 0.0), (1e300, 0.0), (1e-4, -1.0), (1e9, 1e9)]
        {
            let moved: Vec<f64> = scores.iter().map(|score| factor * score + offset).collect();
            let found = Platt::fit(&moved, &positive, None).unwrap();
            for (score, moved) in scores.iter().zip(&moved) {
                let (wanted, probability) = (plain.probability(*score), found.probability(*moved));
                assert!((wanted - probability).abs() < 1e-4, "{factor} {offset}: {probability} not {wanted}");
            }
        }
    }

    #[test]
    fn fit_from_near_the_end_is_the_fit_from_the_start() {
        let positive: Vec<bool> = (0..200).map(|i| i % 3 == 0 || i > 150).collect();
        let scores: Vec<f64> = (0..200).map(|i| f64::from(i) / 30.0).collect();
        let fit = Platt::fit(&scores, &positive, None).unwrap();
        for start in [fit, Platt { a: 1.1 * fit.a, b: 0.9 * fit.b }, Platt { a: -30.0, b: 7.0 }] {
            let again = Platt::fit_from(Pairs::all(&scores, &positive, None), Some(start)).unwrap();
            assert!((again.a - fit.a).abs() < 1e-4 && (again.b - fit.b).abs() < 1e-4, "{start:?}: {again:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn probability_never_falls_as_the_score_rises(
            rows in proptest::collection::vec((-3f64..3.0, proptest::bool::ANY), 2..40),
            power in -12i32..12
        ) {
            let scores: Vec<f64> = rows.iter().map(|row| row.0 * 10f64.powi(power)).collect();
            let positive: Vec<bool> = rows.iter().map(|row| row.1).collect();
            if let Some(found) = Platt::fit(&scores, &positive, None) {
                proptest::prop_assert!(found.a <= 0.0, "{:?}", found);
                // Likelier than the base rate, but for what the targets take away: two rows.
                let loss = |platt: Platt| -> f64 {
                    let p = |(score, positive): (&f64, &bool)| {
                        let p = platt.probability(*score);
                        -(if *positive { p } else { 1.0 - p }).ln()
                    };
                    scores.iter().zip(&positive).map(p).sum()
                };
                let base_rate = Platt::base_rate(&positive, None).unwrap();
                proptest::prop_assert!(loss(found) < loss(base_rate) + 1.0);
            }
        }

        #[test]
        fn probabilities_stay_between_0_and_1(
            rows in proptest::collection::vec((-1e6f64..1e6, proptest::bool::ANY), 0..40),
            score in proptest::num::f64::ANY
        ) {
            let (scores, positive): (Vec<f64>, Vec<bool>) = rows.into_iter().unzip();
            if let Some(found) = Platt::fit(&scores, &positive, None) {
                let p = found.probability(score);
                proptest::prop_assert!((0.0..=1.0).contains(&p) || p.is_nan());
                proptest::prop_assert!(!p.is_nan() || !score.is_finite() );
            }
        }
    }
}
