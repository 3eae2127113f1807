//! Curves of scores and probabilities against the true labels.
//!
//! Everywhere `scores` and `positive` have one entry per row, and so have `weights`, which are finite and above 0, where
//! there are any: a row of weight 2 counts as two, as in [`Metrics::measure`](crate::Metrics::measure), and without weights
//! every row counts as one. Scores are finite, and ties ([`SCORE_TIE`](crate::SCORE_TIE)) count together, so that the order
//! of the rows does not matter.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;
    use proptest::prelude::*;

    /// Scores with ties, and their labels.
    fn rows() -> impl Strategy<Value = (Vec<f64>, Vec<bool>)> {
        // Thousandths, so that two scores are equal or no tie.
        let row = (prop_oneof![-4i32..4, -9000..9000].prop_map(|n| f64::from(n) / 1000.0), any::<bool>());
        proptest::collection::vec(row, 0..80).prop_map(|rows| rows.into_iter().unzip())
    }

    fn area(points: &[RocPoint]) -> f64 {
        let slices = points.windows(2).map(|pair| {
            let width = pair[1].false_positive_rate - pair[0].false_positive_rate;
            width * f64::midpoint(pair[0].true_positive_rate, pair[1].true_positive_rate)
        });
        slices.sum()
    }

    proptest! {
        #[test]
        fn area_under_the_roc_equals_the_auc((scores, positive) in rows()) {
            let points = roc(&scores, &positive, None);
            let auc = Metrics::measure(&scores, &positive, None, None).and_then(|metrics| metrics.auc);
            match auc {
                None => prop_assert!(points.is_empty()),
                Some(auc) => prop_assert!((area(&points) - auc).abs() < 1e-12),
            }
        }

        #[test]
        fn curves_rise_from_end_to_end_with_a_point_per_distinct_score((scores, positive) in rows()) {
            let mut distinct = scores.clone();
            distinct.sort_by(f64::total_cmp);
            distinct.dedup();
            let points = roc(&scores, &positive, None);
            let rates = |point: &RocPoint| (point.false_positive_rate, point.true_positive_rate);
            if let (Some(first), Some(last)) = (points.first(), points.last()) {
                prop_assert_eq!((rates(first), rates(last)), ((0.0, 0.0), (1.0, 1.0)));
                prop_assert_eq!(points.len(), distinct.len() + 1);
            }
            prop_assert!(points.is_sorted_by_key(|point| point.false_positive_rate));
            prop_assert!(points.is_sorted_by_key(|point| point.true_positive_rate));

            let curve = precision_recall(&scores, &positive, None);
            prop_assert_eq!(curve.is_empty(), !positive.contains(&true));
            prop_assert!(curve.is_sorted_by_key(|point| point.recall));
            prop_assert!(curve.iter().all(|point| (0.0..=1.0).contains(&point.precision)));
            if let Some(last) = curve.last() {
                let positives = positive.iter().filter(|&&positive| positive).count();
                prop_assert_eq!(last.recall, 1.0);
                prop_assert_eq!(last.precision, positives as f64 / positive.len() as f64);
                let average = average_precision(&curve).unwrap();
                prop_assert!(average > 0.0 && average <= 1.0 + 1e-12);
            }
        }

        #[test]
        fn curves_do_not_depend_on_the_order_of_rows((scores, positive) in rows()) {
            let backwards: (Vec<f64>, Vec<bool>) =
                scores.iter().copied().zip(positive.iter().copied()).rev().unzip();
            prop_assert_eq!(roc(&scores, &positive, None), roc(&backwards.0, &backwards.1, None));
            prop_assert_eq!(
                precision_recall(&scores, &positive, None),
                precision_recall(&backwards.0, &backwards.1, None)
            );
        }

        #[test]
        fn every_row_is_in_the_bin_of_its_probability(
            rows in proptest::collection::vec((prop_oneof![0.0f64..=1.0, Just(0.0), Just(1.0)], any::<bool>()), 0..80),
            bins in 1usize..20,
        ) {
            let (probabilities, positive): (Vec<f64>, Vec<bool>) = rows.into_iter().unzip();
            let found = reliability(&probabilities, &positive, None, bins);
            prop_assert_eq!(found.iter().map(|bin| bin.rows).sum::<u64>(), probabilities.len() as u64);
            prop_assert_eq!(
                found.iter().map(|bin| bin.positives).sum::<u64>(),
                positive.iter().filter(|&&positive| positive).count() as u64
            );
            for bin in &found {
                prop_assert!(bin.rows > 0 && bin.positives <= bin.rows);
                prop_assert!(bin.low - 1e-12 <= bin.mean_probability && bin.mean_probability <= bin.high + 1e-12);
            }
            match expected_calibration_error(&found) {
                None => prop_assert!(probabilities.is_empty()),
                Some(error) => prop_assert!((0.0..=1.0).contains(&error)),
            }
        }

        #[test]
        fn every_score_is_in_its_histogram_bin_and_no_bin_straddles_the_threshold(
            (scores, positive) in rows(),
            bins in 2usize..40,
            size in prop_oneof![Just(1.0), Just(1e-300), Just(1e300), Just(0.0)],
        ) {
            let scores: Vec<f64> = scores.iter().map(|score| score * size).collect();
            let found = histogram(&scores, &positive, None, bins);
            prop_assert!(found.len() <= bins);
            let total: u64 = found.iter().map(|bin| bin.positives + bin.negatives).sum();
            prop_assert_eq!(total, scores.len() as u64);
            prop_assert!(found.iter().all(|bin| bin.low >= 0.0 || bin.high <= 0.0));
            prop_assert!(found.iter().all(|bin| bin.low < bin.high && bin.high.is_finite()));
            prop_assert!(found.windows(2).all(|pair| pair[0].high == pair[1].low));
            let below: u64 = found.iter().filter(|bin| bin.high <= 0.0).map(|bin| bin.positives + bin.negatives).sum();
            prop_assert_eq!(below, scores.iter().filter(|&&score| score < 0.0).count() as u64);
        }
    }

    #[test]
    fn curves_of_a_small_table_equal_those_by_hand() {
        let scores = [3.0, 2.0, 2.0, 1.0];
        let positive = [true, true, false, false];
        let rates: Vec<(f64, f64)> = roc(&scores, &positive, None)
            .iter()
            .map(|point| (point.false_positive_rate, point.true_positive_rate))
            .collect();
        assert_eq!(rates, [(0.0, 0.0), (0.0, 0.5), (0.5, 1.0), (1.0, 1.0)]);
        let curve = precision_recall(&scores, &positive, None);
        let points: Vec<(f64, f64)> = curve.iter().map(|point| (point.recall, point.precision)).collect();
        assert_eq!(points, [(0.5, 1.0), (1.0, 2.0 / 3.0), (1.0, 0.5)]);
        assert!((average_precision(&curve).unwrap() - 5.0 / 6.0).abs() < 1e-12);
    }

    #[test]
    fn score_of_0_is_in_the_bin_above_it_whatever_the_rounding_of_the_width() {
        // Seven times the rounded seventh is a little less than the score.
        let scores = [0.0, -3.619_690_219_263_419_3];
        let bins = histogram(&scores, &[false, false], None, 8);
        let last = bins.last().unwrap();
        assert!(bins.len() <= 8 && last.low == 0.0 && last.negatives == 1, "{bins:?}");
    }

    #[test]
    fn calibration_error_equals_that_by_hand() {
        // Two rows of probability 0.25, one of them positive; two of 0.95, both positive.
        let bins = reliability(&[0.25, 0.25, 0.95, 0.95], &[true, false, true, true], None, RELIABILITY_BINS);
        assert_eq!(bins.iter().map(|bin| (bin.rows, bin.positives)).collect::<Vec<_>>(), [(2, 1), (2, 2)]);
        assert!((expected_calibration_error(&bins).unwrap() - (0.5 * 0.25 + 0.5 * 0.05)).abs() < 1e-12);
    }

    #[test]
    fn row_of_weight_2_counts_as_two_in_every_curve() {
        let (scores, positive) = ([2.0, 0.5, -0.5, 0.0, -2.0], [true, false, true, false, false]);
        let twice = [0, 0, 1, 2, 2, 3, 4];
        let weights = [2.0, 1.0, 2.0, 1.0, 1.0];
        let (repeated, labels) = (twice.map(|row| scores[row]), twice.map(|row| positive[row]));
        let weighed = Some(&weights[..]);
        assert_eq!(roc(&scores, &positive, weighed), roc(&repeated, &labels, None));
        assert_eq!(precision_recall(&scores, &positive, weighed), precision_recall(&repeated, &labels, None));
        let of_bins = |bins: Vec<ScoreBin>| -> Vec<(f64, f64)> {
            bins.iter().map(|bin| (bin.positive_weight, bin.negative_weight)).collect()
        };
        assert_eq!(
            of_bins(histogram(&scores, &positive, weighed, 4)),
            of_bins(histogram(&repeated, &labels, None, 4))
        );
        let chance = |score: f64| 0.5 + score / 8.0;
        let one = reliability(&scores.map(chance), &positive, weighed, 3);
        let other = reliability(&repeated.map(chance), &labels, None, 3);
        let told = |bins: &[ReliabilityBin]| -> Vec<(f64, f64, f64)> {
            bins.iter().map(|bin| (bin.weight, bin.share(), bin.mean_probability)).collect()
        };
        assert_eq!(told(&one), told(&other));
        assert_eq!(expected_calibration_error(&one), expected_calibration_error(&other));
        // Fewer rows of the same weight tell less.
        assert!(one.iter().zip(&other).all(|(one, other)| one.effective_rows <= other.effective_rows));
        assert!(one.iter().map(|bin| bin.effective_rows).sum::<f64>() < 7.0);
    }
}
