//! Seeded partitions of rows that keep the share of each class.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

/// Rows to train on and rows kept back, both ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Rows to train on.
    pub train: Vec<usize>,
    /// Rows the training does not see.
    pub held_out: Vec<usize>,
}

/// The fold, `0..folds`, of every row.
///
/// Each class is shuffled and dealt out in turn; the second class continues where the first stopped, so
/// fold sizes differ by at most one. `folds` ≥ 1.
pub fn stratified_folds(positive: &[bool], folds: usize, seed: u64) -> Vec<usize> {
    let [negatives, positives] = shuffled_classes(positive, seed);
    let mut fold_of = vec![0; positive.len()];
    for (dealt, row) in positives.into_iter().chain(negatives).enumerate() {
        fold_of[row] = dealt % folds;
    }
    fold_of
}

/// Holds back `share` (above 0, below 1) of the rows at random, whatever their class; each side has a row of each class at
/// least.
///
/// Each class's share of its own would give away how many of the rows held back are positive: measured on those, a
/// model that knows the share and nothing else looks better than it is on fresh rows, and its calibration error small.
/// None when a class has fewer than two rows.
pub fn random_split(positive: &[bool], share: f64, seed: u64) -> Option<Split> {
    let positives = positive.iter().filter(|&&positive| positive).count();
    if positives.min(positive.len() - positives) < 2 {
        return None;
    }
    let mut rows: Vec<usize> = (0..positive.len()).collect();
    rows.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
    let count = (positive.len() as f64 * share).round() as usize;
    let (held_out, train) = rows.split_at_mut(count.clamp(2, positive.len() - 2));
    for class in [false, true] {
        require_class(held_out, train, positive, class);
        require_class(train, held_out, positive, class);
    }
    held_out.sort_unstable();
    train.sort_unstable();
    Some(Split { train: train.to_vec(), held_out: held_out.to_vec() })
}

/// Takes a row of the class from `other` where `side` has none.
fn require_class(side: &mut [usize], other: &mut [usize], positive: &[bool], class: bool) {
    if side.iter().all(|&row| positive[row] != class)
        && let Some(row) = other.iter_mut().find(|row| positive[**row] == class)
    {
        std::mem::swap(&mut side[0], row);
    }
}

/// At most `max_rows` rows, ascending, with each class's share kept; all rows when there are no more.
pub fn stratified_sample(positive: &[bool], max_rows: usize, seed: u64) -> Vec<usize> {
    if positive.len() <= max_rows {
        return (0..positive.len()).collect();
    }
    let [negatives, positives] = shuffled_classes(positive, seed);
    let wanted = (positives.len() as f64 * max_rows as f64 / positive.len() as f64).round() as usize;
    let wanted = wanted.clamp(positives.len().min(1), positives.len().min(max_rows));
    let mut rows = positives[..wanted].to_vec();
    rows.extend(&negatives[..negatives.len().min(max_rows - wanted)]);
    rows.sort_unstable();
    rows
}

/// The rows of the negative and of the positive class, each shuffled.
fn shuffled_classes(positive: &[bool], seed: u64) -> [Vec<usize>; 2] {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    [false, true].map(|class| {
        let mut rows: Vec<usize> = (0..positive.len()).filter(|&row| positive[row] == class).collect();
        rows.shuffle(&mut rng);
        rows
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(positive: &[bool], rows: &[usize]) -> usize {
        rows.iter().filter(|&&row| positive[row]).count()
    }

    proptest::proptest! {
        #[test]
        fn folds_are_even_in_size_and_in_classes(
            positive in proptest::collection::vec(proptest::bool::weighted(0.3), 1..200),
            folds in 1usize..8,
            seed in 0u64..99
        ) {
            let fold_of = stratified_folds(&positive, folds, seed);
            proptest::prop_assert_eq!(&fold_of, &stratified_folds(&positive, folds, seed));
            let sizes: Vec<[usize; 2]> = (0..folds).map(|fold| {
                let rows: Vec<usize> = (0..positive.len()).filter(|&row| fold_of[row] == fold).collect();
                [rows.len(), count(&positive, &rows)]
            }).collect();
            for part in 0..2 {
                let of_part = sizes.iter().map(|size| size[part]);
                proptest::prop_assert!(of_part.clone().max().unwrap() - of_part.min().unwrap() <= 1);
            }
        }

        #[test]
        fn split_loses_no_row_and_has_both_classes_on_both_sides(
            positive in proptest::collection::vec(proptest::bool::weighted(0.2), 1..200),
            share in 0.01f64..0.99,
            seed in 0u64..99
        ) {
            let positives = positive.iter().filter(|&&p| p).count();
            let split = random_split(&positive, share, seed);
            proptest::prop_assert_eq!(split.is_some(), positives >= 2 && positive.len() - positives >= 2);
            if let Some(Split { train, held_out }) = split {
                for side in [&train, &held_out] {
                    let of_side = count(&positive, side);
                    proptest::prop_assert!(of_side > 0 && of_side < side.len());
                }
                let wanted = (share * positive.len() as f64).clamp(2.0, positive.len() as f64 - 2.0);
                proptest::prop_assert!((held_out.len() as f64 - wanted).abs() <= 0.5);
                let mut all = [train, held_out].concat();
                all.sort_unstable();
                proptest::prop_assert_eq!(all, (0..positive.len()).collect::<Vec<_>>());
            }
        }

        #[test]
        fn sample_is_no_greater_than_asked_and_keeps_the_share(
            positive in proptest::collection::vec(proptest::bool::weighted(0.2), 2..300),
            max_rows in 2usize..100,
            seed in 0u64..99
        ) {
            let rows = stratified_sample(&positive, max_rows, seed);
            proptest::prop_assert_eq!(rows.len(), positive.len().min(max_rows));
            proptest::prop_assert!(rows.is_sorted_by(|a, b| a < b));
            let share = positive.iter().filter(|&&p| p).count() as f64 / positive.len() as f64;
            let off = (count(&positive, &rows) as f64 - share * rows.len() as f64).abs();
            proptest::prop_assert!(off <= 1.0);
        }
    }

    #[test]
    fn rows_held_back_have_the_scatter_of_fresh_rows_in_their_share_of_positives() {
        // 30 of 100 rows, 50 of which are positive: 15 of them in the mean, with the deviation of draws without return.
        let positive: Vec<bool> = (0..100).map(|row| row % 2 == 0).collect();
        let counts: Vec<f64> = (0..400)
            .map(|seed| count(&positive, &random_split(&positive, 0.3, seed).unwrap().held_out) as f64)
            .collect();
        let mean = counts.iter().sum::<f64>() / 400.0;
        let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 400.0;
        let wanted = 30.0 * 0.25 * 70.0 / 99.0;
        assert!(
            (mean - 15.0).abs() < 0.4 && (variance / wanted - 1.0).abs() < 0.3,
            "{mean} {variance} {wanted}"
        );
    }
}
