//! Measures of scores against the true labels.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::calibrate::{Calibration, Method};
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
    /// The same of the probabilities, as far as it is known: below `auc` where rows of different scores have one
    /// probability. None without calibration, and in files of version 1 and 2.
    #[serde(default, deserialize_with = "exact::optional")]
    pub probability_auc: Option<f64>,
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
        let probabilities: Option<Vec<f64>> = calibration
            .map(|calibration| scores.iter().map(|&score| calibration.probability(score)).collect());
        let probabilities = probabilities.as_deref();
        Self::of(&Assessed { scores, probabilities, positive, weights, fold_of: None, fitted: None })
    }

    /// Measures what was told of rows.
    pub(crate) fn of(told: &Assessed) -> Option<Self> {
        let Assessed { scores, positive, weights, .. } = *told;
        if scores.is_empty() || scores.iter().any(|score| !score.is_finite()) || !told.has_weights() {
            return None;
        }
        // Weights are relative, and their squares may be beyond all numbers.
        let relative = weights.map(|weights| {
            let greatest = weights.iter().copied().fold(0.0, f64::max);
            weights.iter().map(|weight| weight / greatest).collect::<Vec<f64>>()
        });
        let told = &Assessed { weights: relative.as_deref(), ..*told };
        let predicted = |row: usize| scores[row] > 0.0;
        let share = |part: &dyn Fn(usize) -> bool, whole: &dyn Fn(usize) -> bool| told.share(part, whole);
        let (error, error_interval) = share(&|row| told.is_wrong(row), &|_| true)?;
        let precision = share(&|row| positive[row], &predicted);
        let recall = share(&predicted, &|row| positive[row]);
        let auc = told.auc(scores);
        Some(Self {
            error,
            error_interval: Some(error_interval),
            confusion: told.confusion(),
            precision: precision.map(|precision| precision.0),
            precision_interval: precision.map(|precision| precision.1),
            recall: recall.map(|recall| recall.0),
            recall_interval: recall.map(|recall| recall.1),
            auc,
            auc_interval: auc.map(|auc| told.auc_interval(auc)),
            probability_auc: told.probability_auc(),
            log_loss: told.log_loss(),
            calibration_error: told.calibration_error(),
        })
    }
}

impl Confusion {
    /// All rows.
    pub fn rows(&self) -> u64 {
        self.true_positive + self.false_positive + self.false_negative + self.true_negative
    }
}

/// What was told of rows, the truth, and what each row counts.
#[derive(Clone, Copy)]
pub(crate) struct Assessed<'a> {
    pub(crate) scores: &'a [f64],
    /// None without calibration.
    pub(crate) probabilities: Option<&'a [f64]>,
    pub(crate) positive: &'a [bool],
    pub(crate) weights: Option<&'a [f64]>,
    /// The fold of each row, where machine and calibration of each were made of the other, stratified, folds.
    pub(crate) fold_of: Option<&'a [usize]>,
    /// How the calibrations of folds were fitted, and to which scores: those in the units of their machines.
    pub(crate) fitted: Option<(Method, &'a [f64])>,
}

impl Assessed<'_> {
    fn has_weights(&self) -> bool {
        self.weights.is_none_or(|weights| {
            assert_eq!(weights.len(), self.scores.len(), "one weight per score");
            weights.iter().all(|&weight| weight > 0.0 && weight.is_finite())
        })
    }

    fn is_wrong(&self, row: usize) -> bool {
        (self.scores[row] > 0.0) != self.positive[row]
    }

    fn confusion(&self) -> Confusion {
        let mut counts = Confusion::default();
        for (&score, &positive) in self.scores.iter().zip(self.positive) {
            *match (positive, score > 0.0) {
                (true, true) => &mut counts.true_positive,
                (true, false) => &mut counts.false_negative,
                (false, true) => &mut counts.false_positive,
                (false, false) => &mut counts.true_negative,
            } += 1;
        }
        counts
    }

    pub(super) fn weight(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |weights| weights[row])
    }

    /// The sum over the rows.
    pub(super) fn sum(&self, of_row: impl Fn(usize) -> f64) -> f64 {
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
    /// Of rows in folds, only pairs in one fold are compared: scores of different machines have different units, and
    /// a pooled AUC falls short of what any of them does (Airola, Pahikkala, Waegeman, De Baets and Salakoski,
    /// *Computational Statistics and Data Analysis* 55, 2011).
    ///
    /// Without weights all counts are multiples of ½, so that the sum is exact for up to 90 million rows.
    fn auc(&self, scores: &[f64]) -> Option<f64> {
        let folds = self.fold_of.and_then(|fold_of| fold_of.iter().max()).map_or(1, |last| last + 1);
        let mut of_fold: Vec<(Vec<f64>, Vec<usize>)> = vec![Default::default(); folds];
        for (row, &score) in scores.iter().enumerate() {
            let (scores, rows) = &mut of_fold[self.fold_of.map_or(0, |fold_of| fold_of[row])];
            scores.push(score);
            rows.push(row);
        }
        let (mut wins, mut pairs) = (0.0, 0.0);
        for (scores, rows) in of_fold {
            let (mut below, mut positives) = (0.0, 0.0);
            for tied in Ties::of(&scores).groups() {
                let (mut of_positive, mut of_negative) = (0.0, 0.0);
                for row in tied.iter().map(|&place| rows[place]) {
                    *if self.positive[row] { &mut of_positive } else { &mut of_negative } += self.weight(row);
                }
                wins += of_positive * (below + of_negative / 2.0);
                below += of_negative;
                positives += of_positive;
            }
            pairs += positives * below;
        }
        (pairs > 0.0).then(|| (wins / pairs).min(1.0))
    }

    /// [`Assessed::auc`] of the log odds, so that small probabilities are no ties.
    fn probability_auc(&self) -> Option<f64> {
        let log_odds = |&p: &f64| (p.max(f64::MIN_POSITIVE) / (1.0 - p).max(f64::EPSILON / 2.0)).ln();
        self.auc(&self.probabilities?.iter().map(log_odds).collect::<Vec<_>>())
    }

    fn auc_interval(&self, auc: f64) -> Interval {
        let [positives, negatives] =
            [true, false].map(|class| self.effective(&|row| self.positive[row] == class));
        auc_interval_of(auc, positives, negatives).into()
    }

    /// Mean negative log probability of the true labels.
    ///
    /// Stratified folds give the other folds' share of positive rows away: it is that of all rows, the row itself
    /// among them. So the odds are those of all rows but this one (their prior is changed as by Saerens, Latinne and
    /// Decaestecker, *Neural Computation* 14, 2002, section 2.2), without which even the share of the positive rows
    /// looks better than it is, by 1/n.
    fn log_loss(&self) -> Option<f64> {
        const EDGE: f64 = 1e-15;
        let probabilities = self.probabilities?;
        let classes = [false, true]
            .map(|class| self.sum(|row| if self.positive[row] == class { self.weight(row) } else { 0.0 }));
        let loss = self.sum(|row| {
            let (p, positive, weight) = (probabilities[row], self.positive[row], self.weight(row));
            let of_truth = if positive { p } else { 1.0 - p };
            let others =
                if self.fold_of.is_some() { 1.0 - weight / classes[usize::from(positive)] } else { 1.0 };
            -weight * (of_truth * others / (of_truth * others + (1.0 - of_truth))).max(EDGE).ln()
        });
        Some(loss / self.sum(|row| self.weight(row)))
    }

    /// Mean squared difference of probability and truth (Brier, *Monthly Weather Review* 78, 1950).
    pub(crate) fn brier(&self) -> Option<f64> {
        let probabilities = self.probabilities?;
        let gap = |row: usize| f64::from(self.positive[row]) - probabilities[row];
        let sum = self.sum(|row| self.weight(row) * gap(row).powi(2));
        Some(sum / self.sum(|row| self.weight(row)))
    }

    /// [`expected_calibration_error`](crate::expected_calibration_error) of weighted rows; of rows in folds, as fresh
    /// rows of that number would show it.
    fn calibration_error(&self) -> Option<f64> {
        let all = self.sum(|row| self.weight(row));
        Some((self.gap(self.probabilities?, self.positive) + self.hidden_gap()) / all)
    }

    /// The gaps between what is told of rows and these labels, in all ranges together.
    pub(super) fn gap(&self, told: &[f64], positive: &[bool]) -> f64 {
        let mut gaps = [0.0; RELIABILITY_BINS];
        for (row, (&p, &positive)) in told.iter().zip(positive).enumerate() {
            gaps[reliability_bin(p)] += self.weight(row) * (f64::from(positive) - p);
        }
        gaps.iter().map(|gap| gap.abs()).sum()
    }
}

pub(super) fn reliability_bin(p: f64) -> usize {
    ((p * RELIABILITY_BINS as f64) as usize).min(RELIABILITY_BINS - 1)
}
