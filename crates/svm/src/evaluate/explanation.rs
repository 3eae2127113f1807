//! Explanations of a score by the contributions of the features.

use crate::model::Parts;
use crate::score::Scorer;

/// Most features for which a kernel's score is explained: 2¹² scores, a few milliseconds at most.
const MAX_KERNEL_FEATURES: usize = 12;

/// The contribution of each feature to the difference between a score and the score of the average row.
///
/// `base + Σ contributions = score`, up to rounding.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The score of the average row.
    pub base: f64,
    /// What each feature adds to it, in the features' order and the score's unit.
    pub contributions: Vec<f64>,
    /// The score that is explained.
    pub score: f64,
}

/// The average training row, unscaled; none when the model does not record it.
pub fn training_mean(parts: &Parts) -> Option<&[f64]> {
    let training = parts.training.as_ref().and_then(|training| training.feature_mean.as_ref());
    // A scaling of sparse rows subtracts nothing: its means of zero are not those of the rows.
    let scaling = || parts.scaling.as_ref().map(|scaling| &scaling.mean);
    let scaling = || scaling().filter(|mean| mean.iter().any(|&mean| mean != 0.0));
    training.or_else(scaling).map(Vec::as_slice)
}

/// Explains the score of `x` against the average row `mean`, both unscaled and as wide as the model.
///
/// The contributions are Shapley values (Shapley, A value for n-person games, 1953) of the game in which features
/// change from the average row's value to that of `x` (Lundberg and Lee, NeurIPS 2017, with one background row). For
/// weights that is `weight · (x - mean)`; for a kernel all 2^features mixed rows are scored. None for a
/// kernel with more than 12 features.
///
/// ```
/// use upbeat_svm::{Machine, Scorer, explain};
///
/// let scorer = Scorer::compile(&Machine::Linear { weights: vec![2.0, -1.0], bias: 0.5 }, None, None);
/// let explanation = explain(&scorer, &[0.0, 1.0], &[1.0, 3.0]).unwrap();
/// assert_eq!((explanation.base, explanation.score), (-0.5, -0.5));
/// assert_eq!(explanation.contributions, [2.0, -2.0]);
/// ```
///
/// # Panics
/// When a row is not [`Scorer::features`] wide.
pub fn explain(scorer: &Scorer, mean: &[f64], x: &[f64]) -> Option<Explanation> {
    let (base, score) = (scorer.score(mean), scorer.score(x));
    let contributions = match scorer.weights() {
        Some(weights) => {
            weights.iter().zip(x).zip(mean).map(|((weight, x), mean)| weight * (x - mean)).collect()
        }
        None if x.len() <= MAX_KERNEL_FEATURES => shapley_values(scorer, mean, x),
        None => return None,
    };
    Some(Explanation { base, contributions, score })
}

/// Each feature's gain, averaged over all orders in which features can change.
///
/// A set of features is a number whose bit `k` stands for feature `k`.
fn shapley_values(scorer: &Scorer, mean: &[f64], x: &[f64]) -> Vec<f64> {
    let features = x.len();
    let holds = |set: usize, feature: usize| set >> feature & 1 == 1;
    let mut row = vec![0.0; features];
    let scores: Vec<f64> = (0..1 << features)
        .map(|set| {
            for (feature, value) in row.iter_mut().enumerate() {
                *value = if holds(set, feature) { x[feature] } else { mean[feature] };
            }
            scorer.score(&row)
        })
        .collect();
    let shares = shares_of_orders(features);
    let gain = |feature: usize| {
        let without = (0..scores.len()).filter(|&set| !holds(set, feature));
        without
            .map(|set| shares[set.count_ones() as usize] * (scores[set | 1 << feature] - scores[set]))
            .sum()
    };
    (0..features).map(gain).collect()
}

/// In which share of the orders a feature comes right after one certain set of 0, 1, 2 … others:
/// `size! (features - size - 1)! / features!`
fn shares_of_orders(features: usize) -> Vec<f64> {
    let mut shares = vec![1.0 / features as f64; features];
    for size in 1..features {
        shares[size] = shares[size - 1] * size as f64 / (features - size) as f64;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::matrix::Matrix;
    use crate::data::scaling::Scaling;
    use crate::kernel::Kernel;
    use crate::model::machine::Machine;
    use proptest::prelude::*;

    fn kernels() -> impl Strategy<Value = Kernel> {
        prop_oneof![
            (0.01f64..3.0).prop_map(|gamma| Kernel::Rbf { gamma }),
            (0.01f64..1.0, 1u32..5).prop_map(|(gamma, degree)| Kernel::Poly { gamma, coef0: 0.5, degree }),
            (0.01f64..1.0).prop_map(|gamma| Kernel::Sigmoid { gamma, coef0: -0.1 }),
        ]
    }

    /// A kernel scorer, with what the magnitudes of its terms come to at most for rows in -1..1.
    fn scorer(kernel: Kernel, features: usize, values: &[f64]) -> Scorer {
        let mut values = values.iter().cycle().copied();
        let mut vectors = Matrix::new(features);
        (0..5).for_each(|_| vectors.push(&values.by_ref().take(features).collect::<Vec<_>>()));
        let coefficients = values.take(5).collect();
        Scorer::compile(&Machine::from_expansion(kernel, vectors, coefficients, 0.3), None, None)
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
    }

    /// The average gain over all orders, the definition to the letter.
    fn by_orders(scorer: &Scorer, mean: &[f64], x: &[f64]) -> Vec<f64> {
        fn walk(scorer: &Scorer, row: &[f64], x: &[f64], remaining: &[usize], weight: f64, sums: &mut [f64]) {
            for &feature in remaining {
                let mut next = row.to_vec();
                next[feature] = x[feature];
                let others: Vec<usize> =
                    remaining.iter().copied().filter(|&other| other != feature).collect();
                let weight = weight / remaining.len() as f64;
                sums[feature] += weight * (scorer.score(&next) - scorer.score(row));
                walk(scorer, &next, x, &others, weight, sums);
            }
        }
        let mut sums = vec![0.0; x.len()];
        walk(scorer, mean, x, &(0..x.len()).collect::<Vec<_>>(), 1.0, &mut sums);
        sums
    }

    proptest! {
        #[test]
        fn contributions_sum_to_the_score_and_are_the_mean_gains_over_all_orders(
            kernel in kernels(),
            features in 1usize..5,
            values in proptest::collection::vec(-1.0f64..1.0, 37),
            mean in proptest::collection::vec(-1.0f64..1.0, 4),
            x in proptest::collection::vec(-1.0f64..1.0, 4)
        ) {
            let scorer = scorer(kernel, features, &values);
            let (mean, x) = (&mean[..features], &x[..features]);
            let explained = explain(&scorer, mean, x).unwrap();
            prop_assert_eq!(explained.score, scorer.score(x));
            prop_assert_eq!(explained.base, scorer.score(mean));
            let sum = explained.base + explained.contributions.iter().sum::<f64>();
            prop_assert!(near(sum, explained.score), "{} {}", sum, explained.score);
            for (part, expected) in explained.contributions.iter().zip(by_orders(&scorer, mean, x)) {
                prop_assert!(near(*part, expected), "{} {}", part, expected);
            }
        }

        #[test]
        fn contribution_is_zero_at_the_mean_and_equal_for_equal_features(
            kernel in kernels(),
            values in proptest::collection::vec(-1.0f64..1.0, 37),
            mean in proptest::collection::vec(-1.0f64..1.0, 3),
            x in proptest::collection::vec(-1.0f64..1.0, 3)
        ) {
            // Features 0 and 1 are twins: the same in each vector, in the mean and in the row.
            let twins: Vec<f64> = values.chunks_exact(3).flat_map(|v| [v[0], v[0], v[1], v[2]]).collect();
            let scorer = scorer(kernel, 4, &twins);
            let mean = [mean[0], mean[0], mean[1], mean[2]];
            let x = [x[0], x[0], x[1], mean[3]];
            let parts = explain(&scorer, &mean, &x).unwrap().contributions;
            prop_assert!(near(parts[0], parts[1]), "{} {}", parts[0], parts[1]);
            prop_assert_eq!(parts[3], 0.0);
        }

        #[test]
        fn contributions_of_weights_are_their_shapley_values(
            weights in proptest::collection::vec(-2.0f64..2.0, 6),
            mean in proptest::collection::vec(-1.0f64..1.0, 6),
            scale in proptest::collection::vec(0.1f64..3.0, 6),
            x in proptest::collection::vec(-1.0f64..1.0, 6)
        ) {
            let scaling = Scaling { mean: mean.clone(), scale };
            let scorer = Scorer::compile(&Machine::Linear { weights, bias: 0.2 }, Some(&scaling), None);
            let explained = explain(&scorer, &mean, &x).unwrap();
            prop_assert_eq!(explained.base, 0.2);
            for (part, expected) in explained.contributions.iter().zip(shapley_values(&scorer, &mean, &x)) {
                prop_assert!(near(*part, expected), "{} {}", part, expected);
            }
        }
    }

    #[test]
    fn kernel_over_many_features_is_not_explained_and_weights_are() {
        let kernel = Kernel::Rbf { gamma: 1.0 };
        let wide = MAX_KERNEL_FEATURES + 1;
        assert!(explain(&scorer(kernel, wide, &[0.5]), &vec![0.0; wide], &vec![1.0; wide]).is_none());
        assert!(
            explain(&scorer(kernel, wide - 1, &[0.5]), &vec![0.0; wide - 1], &vec![1.0; wide - 1]).is_some()
        );
        let weights = Scorer::compile(&Machine::Linear { weights: vec![1.0; 100], bias: 0.0 }, None, None);
        let parts = explain(&weights, &vec![0.0; 100], &vec![0.5; 100]).unwrap().contributions;
        assert_eq!(parts, [0.5; 100]);
    }
}
