//! Measures of scores against the true labels.

use serde::{Deserialize, Serialize};

use crate::calibrate::Calibration;
use crate::data::exact;
use crate::evaluate::curves::RELIABILITY_BINS;
use crate::evaluate::intervals::{auc_interval_of, wilson_of};
use crate::evaluate::ties::Ties;

/// Rows by true label and predicted label.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confusion {
    /// Positive rows that were predicted positive.
    pub true_positive: u64,
    /// Negative rows that were predicted positive.
    pub false_positive: u64,
    /// Positive rows that were predicted negative.
    pub false_negative: u64,
    /// Negative rows that were predicted negative.
    pub true_negative: u64,
}

/// The measures of a model on rows it was not trained on (or on whatever rows it was given).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Share of rows with the wrong label, in `0.0..=1.0`; of their weight, where rows have weights.
    #[serde(deserialize_with = "exact::number")]
    pub error: f64,
    /// 95 % interval of the error ([`wilson`](crate::wilson)); none in files of version 1.
    #[serde(default)]
    pub error_interval: Option<Interval>,
    /// Counts of rows by true and predicted label, whatever they weigh.
    pub confusion: Confusion,
    /// Of the rows predicted positive, the share that is; none when no row was.
    #[serde(deserialize_with = "exact::optional")]
    pub precision: Option<f64>,
    /// 95 % interval of the precision ([`wilson`](crate::wilson)).
    #[serde(default)]
    pub precision_interval: Option<Interval>,
    /// Of the positive rows, the share that was found; none when there is no positive row.
    #[serde(deserialize_with = "exact::optional")]
    pub recall: Option<f64>,
    /// 95 % interval of the recall ([`wilson`](crate::wilson)).
    #[serde(default)]
    pub recall_interval: Option<Interval>,
    /// Probability that a positive row scores above a negative one, ties ([`SCORE_TIE`](crate::SCORE_TIE)) half; none
    /// without both.
    #[serde(deserialize_with = "exact::optional")]
    pub auc: Option<f64>,
    /// 95 % interval of the AUC ([`auc_interval`](crate::auc_interval)).
    #[serde(default)]
    pub auc_interval: Option<Interval>,
    /// Mean negative log probability of the true label, natural logarithm; none without calibration.
    #[serde(deserialize_with = "exact::optional")]
    pub log_loss: Option<f64>,
    /// Expected calibration error over ten ranges of equal width, in `0.0..=1.0`; none without
    /// calibration.
    #[serde(default, deserialize_with = "exact::optional")]
    pub calibration_error: Option<f64>,
}

/// A 95 % interval within `0.0..=1.0`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval(
    /// Its lower end.
    #[serde(deserialize_with = "exact::number")]
    pub f64,
    /// Its upper end.
    #[serde(deserialize_with = "exact::number")]
    pub f64,
);

impl From<(f64, f64)> for Interval {
    fn from((low, high): (f64, f64)) -> Self {
        Self(low, high)
    }
}

impl Metrics {
    /// Measures finite scores against the truth; a score above 0 predicts the positive label.
    ///
    /// A row of weight 2 counts as two in every share and mean; intervals are those of as many rows as the weights are
    /// worth, `(Σw)²/Σw²` (Kish, *Survey Sampling*, 1965, section 11.7). Without weights every row counts as one.
    ///
    /// None when there are no rows, a score is not finite, or a weight is not finite and above 0. Probabilities are kept 1e-15 away from 0 and
    /// 1 in the log loss, so that one wrong certainty does not make it infinite.
    ///
    /// ```
    /// use upbeat_svm::{Metrics, wilson};
    ///
    /// let metrics = Metrics::measure(&[1.5, 0.2, -0.7, -1.1], &[true, false, true, false], None, None).unwrap();
    /// assert_eq!((metrics.error, metrics.precision, metrics.auc), (0.5, Some(0.5), Some(0.75)));
    /// assert_eq!(metrics.error_interval, Some(wilson(2, 4).into()));
    /// ```
    ///
    /// # Panics
    /// When there is not one label, and one weight where there are weights, per score.
    pub fn measure(
        scores: &[f64],
        positive: &[bool],
        weights: Option<&[f64]>,
        calibration: Option<&Calibration>,
    ) -> Option<Self> {
        assert_eq!(scores.len(), positive.len(), "one label per score");
        if scores.is_empty() || scores.iter().any(|score| !score.is_finite()) {
            return None;
        }
        let rows = Rows::of(scores, positive, weights)?;
        let wrong = |row: usize| (scores[row] > 0.0) != positive[row];
        let predicted = |row: usize| scores[row] > 0.0;
        let share = |part: &dyn Fn(usize) -> bool, whole: &dyn Fn(usize) -> bool| rows.share(part, whole);
        let (error, error_interval) = share(&wrong, &|_| true)?;
        let precision = share(&|row| positive[row], &predicted);
        let recall = share(&predicted, &|row| positive[row]);
        let auc = rows.auc();
        Some(Self {
            error,
            error_interval: Some(error_interval),
            confusion: Confusion::count(scores, positive),
            precision: precision.map(|precision| precision.0),
            precision_interval: precision.map(|precision| precision.1),
            recall: recall.map(|recall| recall.0),
            recall_interval: recall.map(|recall| recall.1),
            auc,
            auc_interval: auc.map(|auc| rows.auc_interval(auc)),
            log_loss: calibration.map(|calibration| rows.log_loss(calibration)),
            calibration_error: calibration.map(|calibration| rows.calibration_error(calibration)),
        })
    }
}

impl Confusion {
    fn count(scores: &[f64], positive: &[bool]) -> Self {
        let mut counts = Self::default();
        for (&score, &positive) in scores.iter().zip(positive) {
            *match (positive, score > 0.0) {
                (true, true) => &mut counts.true_positive,
                (true, false) => &mut counts.false_negative,
                (false, true) => &mut counts.false_positive,
                (false, false) => &mut counts.true_negative,
            } += 1;
        }
        counts
    }

    /// All rows.
    pub fn rows(&self) -> u64 {
        self.true_positive + self.false_positive + self.false_negative + self.true_negative
    }
}

/// Scores with the truth and what each row counts.
struct Rows<'a> {
    scores: &'a [f64],
    positive: &'a [bool],
    weights: Option<&'a [f64]>,
}

impl<'a> Rows<'a> {
    fn of(scores: &'a [f64], positive: &'a [bool], weights: Option<&'a [f64]>) -> Option<Self> {
        if let Some(weights) = weights {
            assert_eq!(weights.len(), scores.len(), "one weight per score");
            if !weights.iter().all(|&weight| weight > 0.0) || !weights.iter().sum::<f64>().is_finite() {
                return None;
            }
        }
        Some(Self { scores, positive, weights })
    }

    fn weight(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |weights| weights[row])
    }

    /// The sum over the rows.
    fn sum(&self, of_row: impl Fn(usize) -> f64) -> f64 {
        (0..self.scores.len()).map(of_row).sum()
    }

    /// How many equal rows say as much as these: `(Σw)²/Σw²`.
    fn effective(&self, among: &dyn Fn(usize) -> bool) -> f64 {
        let of = |power: i32| self.sum(|row| if among(row) { self.weight(row).powi(power) } else { 0.0 });
        let (sum, squares) = (of(1), of(2));
        if squares > 0.0 { sum * sum / squares } else { 0.0 }
    }

    /// The share of `part` in the weight of `whole`, and its 95 % interval; none when there is no such row.
    fn share(&self, part: &dyn Fn(usize) -> bool, whole: &dyn Fn(usize) -> bool) -> Option<(f64, Interval)> {
        let all = self.sum(|row| if whole(row) { self.weight(row) } else { 0.0 });
        let these = self.sum(|row| if whole(row) && part(row) { self.weight(row) } else { 0.0 });
        let trials = self.effective(whole);
        let share = (these / all).min(1.0);
        (all > 0.0)
            .then(|| (share, wilson_of(if share == 1.0 { trials } else { share * trials }, trials).into()))
    }

    /// Area under the ROC curve: the Mann-Whitney statistic, of all pairs of a positive and a negative row the share
    /// in which the positive one scores higher, ties half (Hanley and McNeil, Radiology 1982). None without rows of
    /// both classes.
    ///
    /// Without weights all counts are multiples of ½, so that the sum is exact for up to 90 million rows.
    fn auc(&self) -> Option<f64> {
        let (mut below, mut positives, mut wins) = (0.0, 0.0, 0.0);
        for tied in Ties::of(self.scores).groups() {
            let (mut of_positive, mut of_negative) = (0.0, 0.0);
            for &row in tied {
                *if self.positive[row] { &mut of_positive } else { &mut of_negative } += self.weight(row);
            }
            wins += of_positive * (below + of_negative / 2.0);
            below += of_negative;
            positives += of_positive;
        }
        (positives > 0.0 && below > 0.0).then(|| (wins / (positives * below)).min(1.0))
    }

    fn auc_interval(&self, auc: f64) -> Interval {
        let [positives, negatives] =
            [true, false].map(|class| self.effective(&|row| self.positive[row] == class));
        auc_interval_of(auc, positives, negatives).into()
    }

    fn log_loss(&self, calibration: &Calibration) -> f64 {
        const EDGE: f64 = 1e-15;
        let loss = self.sum(|row| {
            let p = calibration.probability(self.scores[row]);
            -self.weight(row) * (if self.positive[row] { p } else { 1.0 - p }).max(EDGE).ln()
        });
        loss / self.sum(|row| self.weight(row))
    }

    /// [`expected_calibration_error`](crate::expected_calibration_error) of weighted rows.
    fn calibration_error(&self, calibration: &Calibration) -> f64 {
        let mut gaps = [0.0; RELIABILITY_BINS];
        for (row, &score) in self.scores.iter().enumerate() {
            let p = calibration.probability(score);
            let bin = ((p * RELIABILITY_BINS as f64) as usize).min(RELIABILITY_BINS - 1);
            gaps[bin] += self.weight(row) * (f64::from(self.positive[row]) - p);
        }
        gaps.iter().map(|gap| gap.abs()).sum::<f64>() / self.sum(|row| self.weight(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::Platt;

    fn brute_force_auc(scores: &[f64], positive: &[bool]) -> Option<f64> {
        let (mut wins, mut pairs) = (0.0, 0.0);
        for (i, _) in positive.iter().enumerate().filter(|row| *row.1) {
            for (j, _) in positive.iter().enumerate().filter(|row| !*row.1) {
                pairs += 1.0;
                wins += if scores[i] > scores[j] {
                    1.0
                } else if scores[i] == scores[j] {
                    0.5
                } else {
                    0.0
                };
            }
        }
        (pairs > 0.0).then(|| wins / pairs)
    }

    #[test]
    fn measures_of_a_small_table_equal_those_by_hand() {
        let scores = [2.0, 0.5, -0.5, 0.0, -2.0];
        let positive = [true, false, true, false, false];
        let calibration = Calibration::Platt(Platt { a: -1.0, b: 0.0 });
        let metrics = Metrics::measure(&scores, &positive, None, Some(&calibration)).unwrap();
        let confusion =
            Confusion { true_positive: 1, false_positive: 1, false_negative: 1, true_negative: 2 };
        assert_eq!(metrics.confusion, confusion);
        assert_eq!((metrics.error, metrics.precision, metrics.recall), (0.4, Some(0.5), Some(0.5)));
        assert!((metrics.auc.unwrap() - 4.0 / 6.0).abs() < 1e-12);
        let by_hand = (0.126928 + 0.974077 + 0.974077 + std::f64::consts::LN_2 + 0.126928) / 5.0;
        assert!((metrics.log_loss.unwrap() - by_hand).abs() < 1e-6);
    }

    #[test]
    fn measures_without_rows_or_classes_are_none() {
        assert_eq!(Metrics::measure(&[], &[], None, None), None);
        assert_eq!(Metrics::measure(&[f64::NAN], &[true], None, None), None);
        let all_negative = Metrics::measure(&[-1.0, -2.0], &[false, false], None, None).unwrap();
        assert_eq!((all_negative.precision, all_negative.recall, all_negative.auc), (None, None, None));
        assert_eq!((all_negative.error, all_negative.log_loss), (0.0, None));
    }

    #[test]
    fn row_of_weight_2_counts_as_two() {
        let (scores, positive) = ([2.0, 0.5, -0.5, 0.0, -2.0], [true, false, true, false, false]);
        let twice = [0, 0, 1, 2, 2, 3, 4];
        let weights = [2.0, 1.0, 2.0, 1.0, 1.0];
        let calibration = Calibration::Platt(Platt { a: -1.3, b: 0.2 });
        let weighed = Metrics::measure(&scores, &positive, Some(&weights), Some(&calibration)).unwrap();
        let repeated = Metrics::measure(
            &twice.map(|row| scores[row]),
            &twice.map(|row| positive[row]),
            None,
            Some(&calibration),
        );
        let repeated = repeated.unwrap();
        let shares = |metrics: &Metrics| {
            [
                Some(metrics.error),
                metrics.precision,
                metrics.recall,
                metrics.auc,
                metrics.log_loss,
                metrics.calibration_error,
            ]
            .map(Option::unwrap)
        };
        for (one, other) in shares(&weighed).into_iter().zip(shares(&repeated)) {
            assert!((one - other).abs() < 1e-12, "{weighed:?} {repeated:?}");
        }
        // Five rows that weigh as seven tell less than seven rows.
        let width = |metrics: &Metrics| metrics.error_interval.map(|Interval(low, high)| high - low);
        assert!(width(&weighed) > width(&repeated));
        assert_eq!(weighed.confusion.rows(), 5);
        let heavier = weights.map(|weight| weight * 3e5);
        let heavier = Metrics::measure(&scores, &positive, Some(&heavier), Some(&calibration)).unwrap();
        assert!((heavier.log_loss.unwrap() - weighed.log_loss.unwrap()).abs() < 1e-12);
        for no_weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Metrics::measure(&[1.0, 2.0], &[true, false], Some(&[1.0, no_weight]), None), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn auc_is_the_share_of_pairs_in_order(
            rows in proptest::collection::vec((-3i32..3, proptest::bool::ANY), 1..60)
        ) {
            let scores: Vec<f64> = rows.iter().map(|row| f64::from(row.0) / 2.0).collect();
            let positive: Vec<bool> = rows.iter().map(|row| row.1).collect();
            match (Rows { scores: &scores, positive: &positive, weights: None }.auc(), brute_force_auc(&scores, &positive)) {
                (Some(ranks), Some(pairs)) => proptest::prop_assert!((ranks - pairs).abs() < 1e-12),
                (ranks, pairs) => proptest::prop_assert_eq!(ranks, pairs),
            }
        }
    }
}
