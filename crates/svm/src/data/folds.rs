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

/// Holds back `share` (above 0, below 1) of each class, rounded, at least one row and never all of them.
///
/// None when a class has fewer than two rows.
pub fn stratified_split(positive: &[bool], share: f64, seed: u64) -> Option<Split> {
    let mut held = vec![false; positive.len()];
    for class in shuffled_classes(positive, seed) {
        if class.len() < 2 {
            return None;
        }
        let count = (class.len() as f64 * share).round() as usize;
        class[..count.clamp(1, class.len() - 1)].iter().for_each(|&row| held[row] = true);
    }
    let (held_out, train) = (0..positive.len()).partition(|&row| held[row]);
    Some(Split { train, held_out })
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
            let split = stratified_split(&positive, share, seed);
            proptest::prop_assert_eq!(split.is_some(), positives >= 2 && positive.len() - positives >= 2);
            if let Some(Split { train, held_out }) = split {
                for side in [&train, &held_out] {
                    let of_side = count(&positive, side);
                    proptest::prop_assert!(of_side > 0 && of_side < side.len());
                }
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
}
