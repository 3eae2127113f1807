//! Choosing kernel, C and gamma by cross-validation.

use super::calibration::Calibration;
use super::folds::stratified_sample;
use super::kernel::Kernel;
use super::metrics::Metrics;
use super::problem::Problem;
use super::train::{Settings, TrainError, cross_validate};

/// Most rows that candidates are compared on, so that a search takes seconds, not hours.
pub const SEARCH_ROWS: usize = 1500;

/// Folds of the comparison.
const FOLDS: usize = 3;

/// A simpler candidate wins unless the best one's log loss is better by more than this share.
const WORTH: f64 = 0.01;

/// One candidate and how it did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// What was tried.
    pub settings: Settings,
    /// Measures of its cross-validation, with a calibration fitted to the same scores.
    pub metrics: Metrics,
}

/// The outcome of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// Every candidate, simplest first.
    pub tried: Vec<Candidate>,
    /// Place of the chosen one in `tried`.
    pub chosen: usize,
    /// Rows they were compared on.
    pub rows: usize,
}

/// Compares linear machines with C 0.1, 1 and 10 and RBF machines with C 1 and 10 and gamma a quarter of,
/// equal to and four times 1/features, on at most [`SEARCH_ROWS`] rows in 3 folds.
///
/// The least log loss after calibration wins; but a simpler candidate (linear before RBF, then smaller
/// gamma, then smaller C) within 1 % of it is preferred.
///
/// # Errors
/// Fewer than 3 rows of a class, or the solver's failure.
pub fn search(
    problem: &Problem,
    standardise: bool,
    seed: u64,
    step: &mut dyn FnMut(&str),
) -> Result<Search, TrainError> {
    let rows = stratified_sample(&problem.positive, SEARCH_ROWS, seed);
    let sample = problem.select(&rows);
    let mut tried = Vec::new();
    let candidates = candidates(problem.x.columns(), standardise, seed);
    for (i, settings) in candidates.iter().enumerate() {
        let mut named = |fold: &str| {
            step(&format!(
                "candidate {} of {}: {} C={}, {fold}",
                i + 1,
                candidates.len(),
                settings.kernel,
                settings.c
            ));
        };
        let scores = cross_validate(&sample, settings, FOLDS, &mut named)?;
        let calibration = Calibration::fit(&scores, &sample.positive);
        if let Some(metrics) = Metrics::measure(&scores, &sample.positive, calibration.as_ref()) {
            tried.push(Candidate { settings: *settings, metrics });
        }
    }
    match choose(&tried) {
        Some(chosen) => Ok(Search { tried, chosen, rows: sample.len() }),
        None => Err(TrainError::Solver("no candidate came to finite scores".to_owned())),
    }
}

/// Simplest first.
fn candidates(features: usize, standardise: bool, seed: u64) -> Vec<Settings> {
    let with = |kernel, c| Settings { kernel, c, standardise, seed };
    let linear = [0.1, 1.0, 10.0].map(|c| with(Kernel::Linear, c));
    let rbf = [0.25, 1.0, 4.0].into_iter().flat_map(|factor| {
        let kernel = Kernel::Rbf { gamma: factor / features as f64 };
        [1.0, 10.0].map(|c| with(kernel, c))
    });
    linear.into_iter().chain(rbf).collect()
}

/// The first candidate whose log loss is within [`WORTH`] of the least.
fn choose(tried: &[Candidate]) -> Option<usize> {
    let loss = |candidate: &Candidate| candidate.metrics.log_loss.unwrap_or(f64::INFINITY);
    let least = tried.iter().map(loss).fold(f64::INFINITY, f64::min);
    tried.iter().position(|candidate| loss(candidate) <= least * (1.0 + WORTH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::svm::testing::blobs;

    #[test]
    fn what_a_line_tells_apart_gets_a_line() {
        let found = search(&blobs(90, 0.12, 4), true, 1, &mut |_| {}).unwrap();
        assert_eq!(found.tried.len(), 9);
        assert_eq!(found.tried[found.chosen].settings.kernel, Kernel::Linear);
    }

    #[test]
    fn what_a_line_cannot_tell_apart_gets_a_curve() {
        // Positive in the middle: no half space holds the positive rows only.
        let mut problem = blobs(120, 0.12, 4);
        let middle = |row: &[f64]| (row[4] - 0.64).abs() < 0.08;
        problem.positive = problem.x.rows().map(middle).collect();
        let found = search(&problem, true, 1, &mut |_| {}).unwrap();
        assert_eq!(found.tried[found.chosen].settings.kernel.name(), "rbf");
    }
}
