//! Isotonic regression: the rising function that is closest to the true labels.

use crate::calibrate::counts::Counts;
use crate::calibrate::pairs::Pairs;

/// Most points that are kept; the fit of a million rows has some hundreds.
pub const MAX_POINTS: usize = 10_000;

/// A rising line through points; level before the first and after the last.
#[derive(Debug, Clone, PartialEq)]
pub struct Isotonic {
    scores: Vec<f64>,
    probabilities: Vec<f64>,
}

/// Rows of neighbouring scores that share one probability.
#[derive(Clone, Copy)]
struct Block {
    low: f64,
    high: f64,
    sum: f64,
    rows: f64,
}

impl Block {
    fn mean(&self) -> f64 {
        self.sum / self.rows
    }
}

impl Isotonic {
    /// Points with finite, rising scores and probabilities in `0.0..=1.0` that never fall.
    ///
    /// # Errors
    /// What is wrong, for a message.
    pub fn new(scores: Vec<f64>, probabilities: Vec<f64>) -> Result<Self, String> {
        if scores.len() != probabilities.len() || !(1..=MAX_POINTS).contains(&scores.len()) {
            return Err(format!(
                "calibration.scores and calibration.probabilities must have the same 1 to {MAX_POINTS} numbers"
            ));
        }
        if !(scores.iter().all(|score| score.is_finite()) && scores.is_sorted_by(|one, next| one < next)) {
            return Err("calibration.scores must be finite and rise".to_owned());
        }
        let within = probabilities.iter().all(|probability| (0.0..=1.0).contains(probability));
        if !(within && probabilities.is_sorted()) {
            return Err("calibration.probabilities must be from 0 to 1 and never fall".to_owned());
        }
        Ok(Self { scores, probabilities })
    }

    /// Fits to scores that the scoring model was not trained on.
    ///
    /// Pools adjacent violators: Ayer, Brunk, Ewing, Reid and Silverman, *An empirical distribution function
    /// for sampling with incomplete information*, Annals of Mathematical Statistics 26 (1955); for SVM
    /// scores Zadrozny and Elkan, KDD 2002, section 3. The targets are Platt's, (N₊+1)/(N₊+2) and
    /// 1/(N₋+2), so that no probability is 0 or 1; a row of weight 2 counts as two. None when a class is missing, a
    /// score is not finite, or a weight is not finite and above 0.
    pub fn fit(scores: &[f64], positive: &[bool], weights: Option<&[f64]>) -> Option<Self> {
        Self::fit_to(Pairs::all(scores, positive, weights))
    }

    /// [`Isotonic::fit`] to rows that may be a part.
    pub(crate) fn fit_to(rows: Pairs) -> Option<Self> {
        let Pairs { scores, positive, weights, stands_for } = rows;
        assert_eq!(scores.len(), positive.len(), "one label per score");
        let counts = Counts::of(positive, weights, stands_for)?;
        if scores.iter().any(|score| !score.is_finite()) {
            return None;
        }
        let mut rows: Vec<usize> = (0..scores.len()).collect();
        rows.sort_by(|&one, &other| scores[one].total_cmp(&scores[other]));
        let mut blocks: Vec<Block> = Vec::new();
        for row in rows {
            let (score, weight) = (scores[row], counts.weight(row));
            let sum = weight * counts.target(positive[row]);
            let mut block = Block { low: score, high: score, sum, rows: weight };
            while let Some(before) =
                blocks.pop_if(|before| before.high == block.low || before.mean() >= block.mean())
            {
                block = Block {
                    low: before.low,
                    high: block.high,
                    sum: before.sum + block.sum,
                    rows: before.rows + block.rows,
                };
            }
            blocks.push(block);
        }
        Some(Self::through(&blocks))
    }

    /// Level over each block, a straight line from one to the next.
    fn through(blocks: &[Block]) -> Self {
        // Every block has two points at most; where there are too many, every n-th block stands for n.
        let step = (2 * blocks.len()).div_ceil(MAX_POINTS);
        let (mut scores, mut probabilities) = (Vec::new(), Vec::new());
        for block in blocks.iter().step_by(step) {
            scores.push(block.low);
            probabilities.push(block.mean().clamp(0.0, 1.0));
            if block.high > block.low {
                scores.push(block.high);
                probabilities.push(block.mean().clamp(0.0, 1.0));
            }
        }
        Self { scores, probabilities }
    }

    /// The probability of the positive label, in `0.0..=1.0`; NaN for a NaN score.
    pub fn probability(&self, score: f64) -> f64 {
        if score.is_nan() {
            return f64::NAN;
        }
        let after = self.scores.partition_point(|&point| point <= score);
        let Some(before) = after.checked_sub(1) else { return self.probabilities[0] };
        let Some(&next) = self.scores.get(after) else { return self.probabilities[before] };
        let way = (score - self.scores[before]) / (next - self.scores[before]);
        let (low, high) = (self.probabilities[before], self.probabilities[after]);
        // The difference of two finite scores may overflow; the interpolation is then NaN.
        if way.is_finite() { (low + way * (high - low)).clamp(low, high) } else { low }
    }

    /// The probability of all scores, where there is but one.
    pub(super) fn constant(&self) -> Option<f64> {
        let first = self.probabilities[0];
        self.probabilities.iter().all(|&probability| probability == first).then_some(first)
    }

    /// The scores of the points, rising.
    pub fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// The probabilities of the points, never falling.
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rising fit as its min-max formula says it: max over starts of min over ends of the mean between
    /// (Robertson, Wright and Dykstra, *Order restricted statistical inference*, 1988, theorem 1.4.4).
    fn by_formula(targets: &[f64]) -> Vec<f64> {
        let mean = |from: usize, to: usize| targets[from..=to].iter().sum::<f64>() / (to - from + 1) as f64;
        (0..targets.len())
            .map(|i| {
                let least =
                    |from: usize| (i..targets.len()).map(|to| mean(from, to)).fold(f64::INFINITY, f64::min);
                (0..=i).map(least).fold(f64::NEG_INFINITY, f64::max)
            })
            .collect()
    }

    #[test]
    fn points_that_do_not_rise_are_refused() {
        for (scores, probabilities, message) in [
            (vec![], vec![], "must have the same 1 to"),
            (vec![1.0], vec![0.1, 0.2], "must have the same 1 to"),
            (vec![1.0, 1.0], vec![0.1, 0.2], "finite and rise"),
            (vec![1.0, f64::NAN], vec![0.1, 0.2], "finite and rise"),
            (vec![1.0, 2.0], vec![0.2, 0.1], "never fall"),
            (vec![1.0, 2.0], vec![0.2, 1.1], "from 0 to 1"),
            (vec![1.0, 2.0], vec![f64::NAN, 0.3], "from 0 to 1"),
        ] {
            let reported = Isotonic::new(scores, probabilities).unwrap_err();
            assert!(reported.contains(message), "{reported}");
        }
    }

    #[test]
    fn scores_of_one_class_or_not_finite_have_no_fit() {
        assert_eq!(Isotonic::fit(&[1.0, 2.0], &[true, true], None), None);
        assert_eq!(Isotonic::fit(&[1.0, f64::INFINITY], &[true, false], None), None);
        assert_eq!(Isotonic::fit(&[], &[], None), None);
    }

    proptest! {
        #[test]
        fn fit_equals_the_min_max_formula(classes in proptest::collection::vec(any::<bool>(), 2..40)) {
            let scores: Vec<f64> = (0..classes.len()).map(|i| i as f64).collect();
            if let Some(fit) = Isotonic::fit(&scores, &classes, None) {
                let positives = classes.iter().filter(|&&class| class).count() as f64;
                let negatives = classes.len() as f64 - positives;
                let target = |&class: &bool| {
                    if class { (positives + 1.0) / (positives + 2.0) } else { 1.0 / (negatives + 2.0) }
                };
                let wanted = by_formula(&classes.iter().map(target).collect::<Vec<_>>());
                for (score, wanted) in scores.iter().zip(wanted) {
                    prop_assert!((fit.probability(*score) - wanted).abs() < 1e-12);
                }
            }
        }

        #[test]
        fn probabilities_never_fall_and_stay_between_0_and_1(
            rows in proptest::collection::vec((-1e3f64..1e3, any::<bool>()), 2..60),
            asked in proptest::collection::vec(proptest::num::f64::NORMAL, 0..30)
        ) {
            let (scores, classes): (Vec<f64>, Vec<bool>) = rows.into_iter().unzip();
            if let Some(fit) = Isotonic::fit(&scores, &classes, None) {
                prop_assert!(Isotonic::new(fit.scores().to_vec(), fit.probabilities().to_vec()).is_ok());
                let mut asked = [asked, scores, vec![f64::INFINITY, f64::NEG_INFINITY]].concat();
                asked.sort_by(f64::total_cmp);
                let probabilities: Vec<f64> = asked.iter().map(|&score| fit.probability(score)).collect();
                prop_assert!(probabilities.is_sorted() && probabilities.iter().all(|p| *p > 0.0 && *p < 1.0), "{:?}", probabilities);
                prop_assert!(fit.probability(f64::NAN).is_nan());
            }
        }
    }
}
