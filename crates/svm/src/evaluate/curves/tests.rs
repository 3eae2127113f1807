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
