//! Reported measures against fresh samples of the same source; `just fresh` holds more of both.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;
use crate::data::matrix::Matrix;
use crate::evaluate::metrics::Metrics;
use crate::model::Model;
use crate::solve::NoProgress;
use crate::train::search::Criterion;

/// Rows whose log odds are `offset` and `slope` times the first of three features, which are nearly normal.
#[derive(Clone, Copy)]
struct Source {
    offset: f64,
    slope: f64,
}

const CLOUDS: Source = Source { offset: -0.5, slope: 2.5 };
const NOISE: Source = Source { offset: 0.0, slope: 0.0 };
const RARE: Source = Source { offset: -6.2, slope: 1.4 };

impl Source {
    fn sample(self, rows: usize, seed: u64) -> Problem {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (mut x, mut positive) = (Matrix::new(3), Vec::new());
        for _ in 0..rows {
            let row = [0; 3].map(|_| (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0);
            positive.push(rng.random::<f64>() < 1.0 / (1.0 + (-self.offset - self.slope * row[0]).exp()));
            x.push(&row);
        }
        Problem::new(x, positive).unwrap()
    }
}

fn measures(metrics: &Metrics) -> [Option<f64>; 4] {
    [Some(metrics.error), metrics.auc, metrics.log_loss, metrics.calibration_error]
}

/// Reported measures of a training, and those of the model on fresh rows, its calibration error as parts of as many rows
/// as were measured show it.
fn told_and_met(
    source: Source,
    rows: usize,
    seed: u64,
    choice: &Choice,
    plan: Plan,
    method: Option<Method>,
) -> Option<[[Option<f64>; 4]; 2]> {
    let problem = source.sample(rows, seed);
    let trained = train(&problem, choice, plan, method, &NoProgress).unwrap();
    let told = trained.measured.clone()?.metrics;
    let model = Model::new(trained.into_parts(&problem)).unwrap();
    let calibration = model.parts().calibration.as_ref();
    let fresh = source.sample(3000, 1000 + seed);
    let scores = model.scorer().score_rows(&fresh.x, &(0..3000).collect::<Vec<_>>());
    let measure =
        |scores: &[f64], positive: &[bool]| Metrics::measure(scores, positive, None, calibration).unwrap();
    let mut met = measures(&measure(&scores, &fresh.positive));
    let part = told.confusion.rows() as usize;
    let parts = scores.chunks_exact(part).zip(fresh.positive.chunks_exact(part));
    let gaps: Vec<f64> =
        parts.filter_map(|(scores, positive)| measure(scores, positive).calibration_error).collect();
    met[3] = (!gaps.is_empty()).then(|| gaps.iter().sum::<f64>() / gaps.len() as f64);
    Some([measures(&told), met])
}

/// The mean difference, and its standard error.
fn bias(pairs: &[[f64; 2]]) -> (f64, f64) {
    let count = pairs.len() as f64;
    let mean = pairs.iter().map(|[told, met]| told - met).sum::<f64>() / count;
    let squares: f64 = pairs.iter().map(|[told, met]| (told - met - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0) / count).sqrt())
}

/// All differences of reported and met measures beyond noise.
fn beyond_noise(source: Source, rows: usize, samples: u64, choice: &Choice, plans: &[Plan]) -> Vec<String> {
    let mut beyond = Vec::new();
    for &plan in plans {
        for method in [Some(Method::Platt), Some(Method::Isotonic), None] {
            let mut pairs: [Vec<[f64; 2]>; 4] = Default::default();
            for seed in 20..20 + samples {
                let Some([told, met]) = told_and_met(source, rows, seed, choice, plan, method) else {
                    continue;
                };
                for (pairs, (told, met)) in pairs.iter_mut().zip(told.into_iter().zip(met)) {
                    pairs.extend(told.zip(met).map(|(told, met)| [told, met]));
                }
            }
            for (name, pairs) in ["error", "AUC", "log loss", "ECE"].iter().zip(&pairs) {
                let (bias, error) = bias(pairs);
                // Five standard errors of eight samples: one of six hundred lies beyond by chance.
                if pairs.len() > 2 && bias.abs() > 5.0 * error {
                    beyond.push(format!("{name} {bias} ± {error}: {choice:?}, {plan:?}, {method:?}"));
                }
            }
        }
    }
    beyond
}

fn grid(criterion: Criterion) -> Choice {
    Choice::Grid(Grid { families: vec![Parameters::default()], folds: 3, criterion, balance: false })
}

const PLANS: [Plan; 3] = [Plan::All, Plan::CrossValidation(4), Plan::Holdout(0.3)];

#[test]
fn reported_measures_are_those_of_fresh_samples_for_every_plan_and_calibration() {
    let choice = Choice::Parameters(Parameters::default());
    for (source, rows) in [(CLOUDS, 70), (NOISE, 60)] {
        let beyond = beyond_noise(source, rows, 10, &choice, &PLANS);
        assert!(beyond.is_empty(), "{beyond:#?}");
    }
}

// A search's scores serve the cross-validation as well.
#[test]
fn reported_measures_are_those_of_fresh_samples_where_a_search_chose_by_error() {
    let beyond = beyond_noise(CLOUDS, 60, 8, &grid(Criterion::Error), &[Plan::All, Plan::Holdout(0.3)]);
    assert!(beyond.is_empty(), "{beyond:#?}");
}

#[test]
fn reported_measures_are_those_of_fresh_samples_where_a_search_chose_by_log_loss() {
    let beyond = beyond_noise(CLOUDS, 60, 8, &grid(Criterion::LogLoss), &[Plan::All, Plan::Holdout(0.3)]);
    assert!(beyond.is_empty(), "{beyond:#?}");
}

#[test]
fn rare_positives_are_reported_as_fresh_samples_have_them_though_machines_of_folds_differ_in_unit() {
    let choice = Choice::Parameters(Parameters::default());
    let mut losses = Vec::new();
    for seed in 0..12 {
        let plan = Plan::CrossValidation(4);
        let [told, met] = told_and_met(RARE, 2500, seed, &choice, plan, Some(Method::Platt)).unwrap();
        losses.push([told[2].unwrap(), met[2].unwrap()]);
    }
    let (bias, error) = bias(&losses);
    let met = losses.iter().map(|[_, met]| met).sum::<f64>() / losses.len() as f64;
    // Of one calibration for all units, a fifth.
    assert!(bias < 0.12 * met && bias.abs() < 2.5 * error, "{bias} ± {error} of {met}");
}

#[test]
fn noise_never_beats_the_base_rate() {
    let samples = 12;
    for plan in PLANS {
        let (mut losses, mut errors) = (Vec::new(), Vec::new());
        for seed in 0..samples {
            let choice = Choice::Parameters(Parameters::default());
            let [told, _] = told_and_met(NOISE, 60, seed, &choice, plan, Some(Method::Platt)).unwrap();
            let positives = NOISE.sample(60, seed).positives() as f64 / 60.0;
            losses.push(told[2].unwrap());
            errors.push([told[0].unwrap(), positives.min(1.0 - positives)]);
        }
        let mean = losses.iter().sum::<f64>() / samples as f64;
        assert!(mean > std::f64::consts::LN_2 - 0.002, "{plan:?}: log loss {mean}");
        // Of the rows at hand the commoner label is right more often than half of the time; a machine of noise is not.
        let (above, error) = bias(&errors);
        assert!(above > -error, "{plan:?}: error {above} above the commoner label's");
    }
}
