use super::*;
use crate::calibrate::Platt;

fn assessed<'a>(scores: &'a [f64], positive: &'a [bool]) -> Assessed<'a> {
    Assessed { scores, probabilities: None, positive, weights: None, fold_of: None, fitted: None }
}

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
    let confusion = Confusion { true_positive: 1, false_positive: 1, false_negative: 1, true_negative: 2 };
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
    for unit in [3e5, 1e200, 1e-200, 5e307] {
        let heavier = weights.map(|weight| weight * unit);
        let heavier = Metrics::measure(&scores, &positive, Some(&heavier), Some(&calibration)).unwrap();
        for (one, other) in shares(&weighed).into_iter().zip(shares(&heavier)) {
            assert!((one - other).abs() < 1e-12, "{unit}: {weighed:?} {heavier:?}");
        }
        assert!((width(&heavier).unwrap() - width(&weighed).unwrap()).abs() < 1e-9, "{unit}");
    }
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
        match (assessed(&scores, &positive).auc(&scores), brute_force_auc(&scores, &positive)) {
            (Some(ranks), Some(pairs)) => proptest::prop_assert!((ranks - pairs).abs() < 1e-12),
            (ranks, pairs) => proptest::prop_assert_eq!(ranks, pairs),
        }
    }
}
