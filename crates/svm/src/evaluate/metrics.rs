//! Measures of scores against the true labels.

use serde::{Deserialize, Serialize};

use crate::calibrate::Calibration;
use crate::data::exact;
use crate::evaluate::curves::{RELIABILITY_BINS, expected_calibration_error, reliability};
use crate::evaluate::intervals::{auc_interval, wilson};
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
    /// Share of rows with the wrong label, in `0.0..=1.0`.
    #[serde(deserialize_with = "exact::number")]
    pub error: f64,
    /// 95 % interval of the error ([`wilson`]); none in files of version 1.
    #[serde(default)]
    pub error_interval: Option<Interval>,
    /// Counts by true and predicted label.
    pub confusion: Confusion,
    /// Of the rows predicted positive, the share that is; none when no row was.
    #[serde(deserialize_with = "exact::optional")]
    pub precision: Option<f64>,
    /// 95 % interval of the precision ([`wilson`]).
    #[serde(default)]
    pub precision_interval: Option<Interval>,
    /// Of the positive rows, the share that was found; none when there is no positive row.
    #[serde(deserialize_with = "exact::optional")]
    pub recall: Option<f64>,
    /// 95 % interval of the recall ([`wilson`]).
    #[serde(default)]
    pub recall_interval: Option<Interval>,
    /// Probability that a positive row scores above a negative one, ties ([`SCORE_TIE`](crate::SCORE_TIE)) half; none
    /// without both.
    #[serde(deserialize_with = "exact::optional")]
    pub auc: Option<f64>,
    /// 95 % interval of the AUC ([`auc_interval`]).
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
    /// None when there are no rows or a score is not finite. Probabilities are kept 1e-15 away from 0 and
    /// 1 in the log loss, so that one wrong certainty does not make it infinite.
    ///
    /// ```
    /// use upbeat_svm::{Metrics, wilson};
    ///
    /// let metrics = Metrics::measure(&[1.5, 0.2, -0.7, -1.1], &[true, false, true, false], None).unwrap();
    /// assert_eq!((metrics.error, metrics.precision, metrics.auc), (0.5, Some(0.5), Some(0.75)));
    /// assert_eq!(metrics.error_interval, Some(wilson(2, 4).into()));
    /// ```
    ///
    /// # Panics
    /// When there is not one label per score.
    pub fn measure(scores: &[f64], positive: &[bool], calibration: Option<&Calibration>) -> Option<Self> {
        assert_eq!(scores.len(), positive.len(), "one label per score");
        if scores.is_empty() || scores.iter().any(|score| !score.is_finite()) {
            return None;
        }
        let confusion = Confusion::count(scores, positive);
        let Confusion { true_positive, false_positive, false_negative, true_negative } = confusion;
        let (wrong, rows) = (false_positive + false_negative, scores.len() as u64);
        let (predicted, actual) = (true_positive + false_positive, true_positive + false_negative);
        let auc = auc(scores, positive);
        let interval = |part, whole| (whole > 0).then(|| wilson(part, whole).into());
        Some(Self {
            error: wrong as f64 / rows as f64,
            error_interval: interval(wrong, rows),
            confusion,
            precision: share(true_positive, predicted),
            precision_interval: interval(true_positive, predicted),
            recall: share(true_positive, actual),
            recall_interval: interval(true_positive, actual),
            auc,
            auc_interval: auc.map(|auc| auc_interval(auc, actual, false_positive + true_negative).into()),
            log_loss: calibration.map(|calibration| log_loss(scores, positive, calibration)),
            calibration_error: calibration
                .and_then(|calibration| calibration_error(scores, positive, calibration)),
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

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Area under the ROC curve: the Mann-Whitney statistic `U / (positives · negatives)`, from the sum of the
/// positive rows' ranks, ties at their mean rank (Hanley and McNeil, Radiology 1982). None without rows of both
/// classes.
///
/// Ranks are multiples of ½, so that their sum is exact in any order for up to 90 million rows.
fn auc(scores: &[f64], positive: &[bool]) -> Option<f64> {
    let positives = positive.iter().filter(|&&positive| positive).count() as f64;
    let negatives = positive.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let (mut ranked, mut rank_sum) = (0, 0.0);
    for tied in Ties::of(scores).groups() {
        let mean_rank = (ranked + 1 + ranked + tied.len()) as f64 / 2.0;
        rank_sum += mean_rank * tied.iter().filter(|&&row| positive[row]).count() as f64;
        ranked += tied.len();
    }
    Some((rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}

fn log_loss(scores: &[f64], positive: &[bool], calibration: &Calibration) -> f64 {
    const EDGE: f64 = 1e-15;
    let sum: f64 = scores
        .iter()
        .zip(positive)
        .map(|(&score, &positive)| {
            let p = calibration.probability(score);
            -(if positive { p } else { 1.0 - p }).max(EDGE).ln()
        })
        .sum();
    sum / scores.len() as f64
}

fn calibration_error(scores: &[f64], positive: &[bool], calibration: &Calibration) -> Option<f64> {
    let probabilities: Vec<f64> = scores.iter().map(|&score| calibration.probability(score)).collect();
    expected_calibration_error(&reliability(&probabilities, positive, RELIABILITY_BINS))
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
        let metrics = Metrics::measure(&scores, &positive, Some(&calibration)).unwrap();
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
        assert_eq!(Metrics::measure(&[], &[], None), None);
        assert_eq!(Metrics::measure(&[f64::NAN], &[true], None), None);
        let all_negative = Metrics::measure(&[-1.0, -2.0], &[false, false], None).unwrap();
        assert_eq!((all_negative.precision, all_negative.recall, all_negative.auc), (None, None, None));
        assert_eq!((all_negative.error, all_negative.log_loss), (0.0, None));
    }

    proptest::proptest! {
        #[test]
        fn auc_is_the_share_of_pairs_in_order(
            rows in proptest::collection::vec((-3i32..3, proptest::bool::ANY), 1..60)
        ) {
            let scores: Vec<f64> = rows.iter().map(|row| f64::from(row.0) / 2.0).collect();
            let positive: Vec<bool> = rows.iter().map(|row| row.1).collect();
            match (auc(&scores, &positive), brute_force_auc(&scores, &positive)) {
                (Some(ranks), Some(pairs)) => proptest::prop_assert!((ranks - pairs).abs() < 1e-12),
                (ranks, pairs) => proptest::prop_assert_eq!(ranks, pairs),
            }
        }
    }
}
