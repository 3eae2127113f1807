//! Curves of scores and probabilities against the true labels.
//!
//! Everywhere `scores` and `positive` have one entry per row, and so have `weights`, which are finite and above 0, where
//! there are any: a row of weight 2 counts as two, as in [`Metrics::measure`](crate::Metrics::measure), and without weights
//! every row counts as one. Scores are finite, and ties ([`SCORE_TIE`](crate::SCORE_TIE)) count together, so that the order
//! of the rows does not matter.

#[cfg(test)]
mod tests;

use crate::evaluate::intervals::wilson_of;
use crate::evaluate::metrics::Interval;
use crate::evaluate::ties::Ties;

/// Bins of a reliability diagram and of the expected calibration error: ten of equal width, as in Naeini,
/// Cooper and Hauskrecht (2015). More bins hold fewer rows each, and chance then looks like miscalibration.
pub const RELIABILITY_BINS: usize = 10;

/// A point of the receiver operating characteristic; both rates in `0.0..=1.0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RocPoint {
    /// Of the negative rows, the share that scores at or above this point's threshold.
    pub false_positive_rate: f64,
    /// Of the positive rows, the share that scores at or above this point's threshold.
    pub true_positive_rate: f64,
}

/// A point of the precision–recall curve; both in `0.0..=1.0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrecisionRecall {
    /// Of the positive rows, the share that scores at or above this point's threshold.
    pub recall: f64,
    /// Of the rows that score at or above this point's threshold, the share that is positive.
    pub precision: f64,
}

/// The rows whose probability lies in one range; there is at least one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReliabilityBin {
    /// Least probability of the range.
    pub low: f64,
    /// End of the range; belongs to the next one, but 1 to the last.
    pub high: f64,
    /// Rows in the range.
    pub rows: u64,
    /// Positive rows among them.
    pub positives: u64,
    /// The rows' weight, above 0.
    pub weight: f64,
    /// The positive rows' weight.
    pub positive_weight: f64,
    /// How many equal rows say as much as these, `(Σw)²/Σw²` (Kish, *Survey Sampling*, 1965, section 11.7).
    pub effective_rows: f64,
    /// Mean of their probabilities, by weight.
    pub mean_probability: f64,
}

impl ReliabilityBin {
    /// Of the rows in the range, the share that is positive, by weight.
    pub fn share(&self) -> f64 {
        self.positive_weight / self.weight
    }

    /// 95 % interval of the share: [`wilson`](crate::wilson)'s of the effective rows.
    pub fn interval(&self) -> Interval {
        wilson_of(self.share() * self.effective_rows, self.effective_rows).into()
    }
}

/// The rows whose score lies in one range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreBin {
    /// Least score of the range.
    pub low: f64,
    /// End of the range; belongs to the next one.
    pub high: f64,
    /// Positive rows in the range.
    pub positives: u64,
    /// Negative rows in the range.
    pub negatives: u64,
    /// The positive rows' weight.
    pub positive_weight: f64,
    /// The negative rows' weight.
    pub negative_weight: f64,
}

/// The receiver operating characteristic from (0, 0) to (1, 1), one point per distinct score between them,
/// highest score first; nothing without rows of both classes.
///
/// The area under the straight lines between the points is the AUC, ties half (Fawcett, "An introduction to
/// ROC analysis", 2006, algorithms 1 and 2).
pub fn roc(scores: &[f64], positive: &[bool], weights: Option<&[f64]>) -> Vec<RocPoint> {
    let steps = steps(scores, positive, weights);
    let Some(&Step { positives, negatives }) = steps.last() else {
        return Vec::new();
    };
    if positives == 0.0 || negatives == 0.0 {
        return Vec::new();
    }
    let start = Step::default();
    std::iter::once(start)
        .chain(steps)
        .map(|step| RocPoint {
            false_positive_rate: step.negatives / negatives,
            true_positive_rate: step.positives / positives,
        })
        .collect()
}

/// The precision–recall curve, one point per distinct score, highest score and so least recall first;
/// nothing without a positive row.
///
/// Between two points the curve is no straight line (Davis and Goadrich, ICML 2006, section 3); draw steps.
pub fn precision_recall(scores: &[f64], positive: &[bool], weights: Option<&[f64]>) -> Vec<PrecisionRecall> {
    let steps = steps(scores, positive, weights);
    let all = steps.last().map_or(0.0, |step| step.positives);
    if all == 0.0 {
        return Vec::new();
    }
    steps
        .iter()
        .map(|step| PrecisionRecall {
            recall: step.positives / all,
            precision: step.positives / (step.positives + step.negatives),
        })
        .collect()
}

/// Mean precision over the positive rows, `Σ (R_k - R_{k-1}) P_k` over the points of
/// [`precision_recall`], without interpolation (as scikit-learn's `average_precision_score`); none without
/// points. A model that knows nothing has the share of positive rows.
pub fn average_precision(curve: &[PrecisionRecall]) -> Option<f64> {
    let mut before = 0.0;
    let steps = curve.iter().map(|point| {
        let gained = point.recall - before;
        before = point.recall;
        gained * point.precision
    });
    let sum = steps.sum();
    (!curve.is_empty()).then_some(sum)
}

/// Sorts probabilities in `0.0..=1.0` into ranges of equal width, least first; ranges without a row are
/// left out.
///
/// # Panics
/// When `bins` is 0 or there is not one label, and one weight where there are weights, per probability.
pub fn reliability(
    probabilities: &[f64],
    positive: &[bool],
    weights: Option<&[f64]>,
    bins: usize,
) -> Vec<ReliabilityBin> {
    assert_lengths(probabilities, positive, weights);
    assert!(bins > 0, "at least one bin");
    let edge = |bin: usize| bin as f64 / bins as f64;
    let empty = |bin| ReliabilityBin {
        low: edge(bin),
        high: edge(bin + 1),
        rows: 0,
        positives: 0,
        weight: 0.0,
        positive_weight: 0.0,
        // Of squared weights, and of probabilities, until all rows are summed.
        effective_rows: 0.0,
        mean_probability: 0.0,
    };
    // Squares of weights may be beyond all numbers.
    let greatest = weights.map_or(1.0, |weights| weights.iter().copied().fold(0.0, f64::max));
    let mut sums: Vec<ReliabilityBin> = (0..bins).map(empty).collect();
    for (row, (&probability, &positive)) in probabilities.iter().zip(positive).enumerate() {
        let weight = weights.map_or(1.0, |weights| weights[row]);
        let bin = &mut sums[((probability * bins as f64) as usize).min(bins - 1)];
        bin.rows += 1;
        bin.positives += u64::from(positive);
        bin.weight += weight;
        bin.positive_weight += if positive { weight } else { 0.0 };
        bin.effective_rows += (weight / greatest) * (weight / greatest);
        bin.mean_probability += weight * probability;
    }
    sums.retain(|bin| bin.rows > 0);
    for bin in &mut sums {
        let relative = bin.weight / greatest;
        bin.effective_rows = relative * relative / bin.effective_rows;
        bin.mean_probability /= bin.weight;
    }
    sums
}

/// How far probabilities are from the observed shares: `Σ n_b/N |share of positives - mean probability|` over
/// the bins, in `0.0..=1.0`, where `n_b` is a bin's weight; none without rows.
///
/// Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning",
/// AAAI 2015. It is of the positive class's probability, not of the predicted label's.
pub fn expected_calibration_error(bins: &[ReliabilityBin]) -> Option<f64> {
    let weight: f64 = bins.iter().map(|bin| bin.weight).sum();
    let gaps = bins.iter().map(|bin| bin.weight * (bin.share() - bin.mean_probability).abs());
    (weight > 0.0).then(|| gaps.sum::<f64>() / weight)
}

/// Counts scores by class in at most `bins` ranges of equal width that touch each other, least first; 0 is
/// an edge, so that no range holds rows of both predicted labels. Nothing without rows.
///
/// # Panics
/// When `bins` is below 2 or there is not one label, and one weight where there are weights, per score.
pub fn histogram(scores: &[f64], positive: &[bool], weights: Option<&[f64]>, bins: usize) -> Vec<ScoreBin> {
    assert_lengths(scores, positive, weights);
    assert!(bins > 1, "at least two bins");
    let least = scores.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if scores.is_empty() {
        return Vec::new();
    }
    // One range less than asked for leaves room for moving the edges onto multiples of the width.
    let ranges = (bins - 1) as f64;
    let spread = greatest / ranges - least / ranges;
    let farthest = greatest.abs().max(least.abs());
    let mut width = if spread > farthest * 1e-9 { spread } else { farthest.max(1.0) };
    // Rounding of the quotients may count one range too many, which a slightly greater width avoids.
    let mut widening = f64::EPSILON;
    while (greatest / width).floor() - (least / width).floor() > ranges {
        width *= 1.0 + widening;
        widening *= 2.0;
    }
    let first = (least / width).floor();
    let last = ((greatest / width).floor() - first).clamp(0.0, ranges) as usize;
    let mut counted: Vec<ScoreBin> = (0..=last)
        .map(|bin| ScoreBin {
            low: (first + bin as f64) * width,
            high: (first + bin as f64 + 1.0) * width,
            positives: 0,
            negatives: 0,
            positive_weight: 0.0,
            negative_weight: 0.0,
        })
        .collect();
    for (row, (&score, &positive)) in scores.iter().zip(positive).enumerate() {
        let weight = weights.map_or(1.0, |weights| weights[row]);
        let bin = &mut counted[(((score / width).floor() - first).max(0.0) as usize).min(last)];
        let (rows, weights) = if positive {
            (&mut bin.positives, &mut bin.positive_weight)
        } else {
            (&mut bin.negatives, &mut bin.negative_weight)
        };
        *rows += 1;
        *weights += weight;
    }
    counted
}

/// Weights of the rows that score at or above some threshold, by class.
#[derive(Clone, Copy, Default)]
struct Step {
    positives: f64,
    negatives: f64,
}

/// The sums for every distinct score as threshold, highest first.
fn steps(scores: &[f64], positive: &[bool], weights: Option<&[f64]>) -> Vec<Step> {
    assert_lengths(scores, positive, weights);
    let mut steps = Vec::new();
    let mut summed = Step::default();
    for tied in Ties::of(scores).groups().rev() {
        for &row in tied {
            let weight = weights.map_or(1.0, |weights| weights[row]);
            *if positive[row] { &mut summed.positives } else { &mut summed.negatives } += weight;
        }
        steps.push(summed);
    }
    steps
}

fn assert_lengths(values: &[f64], positive: &[bool], weights: Option<&[f64]>) {
    assert_eq!(values.len(), positive.len(), "one label per row");
    assert!(weights.is_none_or(|weights| weights.len() == values.len()), "one weight per row");
}
