//! Rows by which an export is held against the model that it was made of.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::data::scaling::Scaling;
use crate::evaluate::explanation::training_mean;
use crate::model::Model;
use crate::model::machine::Machine;
use crate::score::Scorer;

/// Random rows.
const RANDOM_ROWS: usize = 128;

/// Most support vectors, and most features one at a time, that become rows.
const MOST_OF_EACH: usize = 128;

/// Most products that scoring all rows may take: under a second.
const MOST_WORK: usize = 50_000_000;

/// A label may be the other one where the score is nearer to 0 than this share of the usual size.
const NEAR_ZERO: f64 = 1e-5;

/// What an export gives for a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Answer {
    /// Whether the label is the positive one.
    pub positive: bool,
    /// The probability of the positive label, or the score.
    pub value: f64,
}

/// Where an export is furthest from its model.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    /// The row.
    pub row: Vec<f64>,
    /// The model's probability or score.
    pub value: f64,
    /// The export's.
    pub given: f64,
    /// How far the two are apart: of probabilities as it is, of scores as a share of `unit`; infinite when one is no
    /// number, at least 1 for another label where the score is not as good as 0.
    pub apart: f64,
    /// 1 for probabilities; for scores the row's, or the size that is usual where that is more.
    pub unit: f64,
    /// How many rows were compared.
    pub rows: usize,
}

/// Holds `answer` against the model over [`rows`]: by probabilities where `by_probability`, else by scores.
pub(crate) fn greatest_difference(
    model: &Model,
    by_probability: bool,
    answer: impl Fn(&[f64]) -> Answer,
) -> Option<Difference> {
    let scorer = Scorer::new(model);
    // What the model itself cannot score says nothing about the export.
    let scored: Vec<(Vec<f64>, f64)> = rows(model)
        .into_iter()
        .map(|row| {
            let score = scorer.score(&row);
            (row, score)
        })
        .filter(|scored| scored.1.is_finite())
        .collect();
    let usual = usual_size(scored.iter().map(|scored| scored.1));
    let rows = scored.len();
    let differences = scored.into_iter().map(|(row, score)| {
        let Answer { positive, value: given } = answer(&row);
        let value = if by_probability { scorer.probability(score).unwrap_or(score) } else { score };
        let other_label = positive != (score > 0.0) && score.abs() > NEAR_ZERO * usual;
        let unit = if by_probability { 1.0 } else { usual.max(score.abs()) };
        let apart = (given - value).abs() / unit;
        let apart = if apart.is_nan() { f64::INFINITY } else { apart.max(f64::from(u8::from(other_label))) };
        Difference { row, value, given, apart, unit, rows }
    });
    differences.max_by(|one, other| one.apart.total_cmp(&other.apart))
}

/// The median of the scores' sizes: some rows may be far from all others.
fn usual_size(scores: impl Iterator<Item = f64>) -> f64 {
    let mut sizes: Vec<f64> = scores.map(f64::abs).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.get(sizes.len() / 2).copied().unwrap_or(0.0).max(f64::MIN_POSITIVE)
}

/// Rows, unscaled: the average one, those around it within three standard deviations (all features at once, each
/// alone, at random), support vectors, and zeros. The same for the same model.
fn rows(model: &Model) -> Vec<Vec<f64>> {
    let Scaling { mean, scale } = region(model);
    let at = |steps: &dyn Fn(usize) -> f64| -> Vec<f64> {
        let row = mean.iter().zip(&scale).enumerate().map(|(i, (mean, scale))| mean + steps(i) * scale);
        row.map(|value| value.clamp(f64::MIN, f64::MAX)).collect()
    };
    // Of a million features, rows beyond these would take gigabytes before they were left out.
    let work = mean.len() * model.parts().machine.support_vectors().max(1);
    let most = (MOST_WORK / work).max(8);
    let mut rows = vec![mean.clone(), vec![0.0; mean.len()]];
    rows.extend([-3.0, -1.0, 1.0, 3.0].map(|steps| at(&|_| steps)));
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    for _ in 0..RANDOM_ROWS.min(most - rows.len()) {
        let steps: Vec<f64> = mean.iter().map(|_| random.random_range(-3.0..3.0)).collect();
        rows.push(at(&|i| steps[i]));
    }
    if let Machine::Kernel { vectors, .. } = &model.parts().machine {
        let some = vectors.rows().step_by(vectors.len().div_ceil(MOST_OF_EACH));
        for vector in some.take(most - rows.len()) {
            let mut row = vector.to_vec();
            if let Some(scaling) = &model.parts().scaling {
                let factors = scaling.mean.iter().zip(&scaling.scale);
                row.iter_mut().zip(factors).for_each(|(value, (mean, scale))| *value = *value * scale + mean);
            }
            rows.push(row);
        }
    }
    let features = (0..mean.len()).step_by(mean.len().div_ceil(MOST_OF_EACH));
    for feature in features.take(most - rows.len()) {
        rows.push(at(&|i| if i == feature { 3.0 } else { 0.0 }));
    }
    rows
}

/// Where rows are to be expected: the mean of each feature and how far it varies.
fn region(model: &Model) -> Scaling {
    let parts = model.parts();
    if let Some(scaling) = &parts.scaling {
        return scaling.clone();
    }
    match &parts.machine {
        Machine::Kernel { vectors, .. } => Scaling::learn(&vectors.clone().into()),
        Machine::Linear { weights, .. } => {
            let mean = training_mean(parts).map_or_else(|| vec![0.0; weights.len()], <[f64]>::to_vec);
            // Nothing says how far a feature varies: as far as its mean is from 0, or until the score changes by 1.
            let scale = mean.iter().zip(weights).map(|(mean, weight)| {
                let unit = if *mean != 0.0 { mean.abs() } else { weight.recip().abs() };
                if unit.is_normal() { unit } else { 1.0 }
            });
            Scaling { scale: scale.collect(), mean }
        }
    }
}
