//! Choosing kernel, C and gamma by cross-validation: coarse first, then finer around the best.

mod choose;
mod compare;
mod nested;

pub use choose::Criterion;

use crate::data::problem::Problem;
use crate::data::scaling::Scaling;
use crate::evaluate::metrics::Metrics;
use crate::kernel::Kernel;
use crate::solve::Progress;
use crate::train::cross_validation::{FoldRows, require_folds};
use crate::train::parameters::{ClassWeights, Parameters, Solver, TrainError};
use crate::train::sample::sample;
use choose::{choose, near_ties};
use compare::{Compared, Path, compare};

/// Most rows that candidates are compared on, so that a search takes seconds, not hours.
pub const SEARCH_ROWS: usize = 5000;

/// C of the coarse grid, in powers of 4, times the kernel's unit.
const C_POWERS: std::ops::RangeInclusive<i32> = -3..=6;

/// Gamma of the coarse grid, in powers of 4, times 1 / (features × variance).
const GAMMA_POWERS: std::ops::RangeInclusive<i32> = -3..=2;

/// How often candidates that nearly tie are compared again, in other folds.
const REPETITIONS: u64 = 2;

/// Most candidates that are compared again.
const MOST_REPEATED: usize = 24;

/// Below this share of the scarcer class, balanced class weights join the candidates.
const RARE_SHARE: f64 = 0.25;

/// The candidates of a search and the rule that compares them.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// A set of parameters per kernel and loss, simplest first; C and gamma are replaced by the grid's.
    pub families: Vec<Parameters>,
    /// Folds of the cross-validation, at least 2.
    pub folds: usize,
    /// What makes one better than another.
    pub criterion: Criterion,
    /// Whether the best is tried with class weights that make both classes count alike, too, where less than a quarter
    /// of the rows are of one of them; only without class weights of the families' own.
    pub balance: bool,
}

/// One candidate and its measures.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Place of its family among the grid's.
    pub family: usize,
    /// What was tried.
    pub parameters: Parameters,
    /// Measures of its cross-validation: each fold by a machine and by Platt's sigmoid, or the base rate, that were made
    /// of the other folds.
    pub metrics: Metrics,
    /// Whether every machine of that converged within the search's bound on iterations: a candidate that needs more is
    /// compared by where it was then.
    pub converged: bool,
    /// The score of each row of the sample by the machine that was trained without the row's fold.
    pub scores: Vec<f64>,
    /// The probability of each row of the sample by the sigmoid that was fitted without the row's fold; none where one
    /// could not be fitted.
    pub probabilities: Option<Vec<f64>>,
    /// The same of further cross-validations, in other folds: only of candidates that nearly tie with the best.
    pub again: Vec<Again>,
}

/// One more cross-validation of a candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Again {
    /// As [`Candidate::metrics`].
    pub metrics: Metrics,
    /// As [`Candidate::scores`], in these folds.
    pub scores: Vec<f64>,
    /// As [`Candidate::probabilities`], in these folds.
    pub probabilities: Option<Vec<f64>>,
}

/// A candidate that could not be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftOut {
    /// What was tried.
    pub parameters: Parameters,
    /// Why it has no measures: values too great for it, or a solver that did not converge on a fold.
    pub reason: String,
}

/// The outcome of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// Every candidate, simplest first: by family, as they are before balanced, then smaller gamma, then smaller C.
    pub tried: Vec<Candidate>,
    /// Those that could not be compared.
    pub left_out: Vec<LeftOut>,
    /// Place of the chosen one in `tried`.
    pub chosen: usize,
    /// Rows they were compared on.
    pub rows: usize,
    /// Folds they were compared in.
    pub folds: usize,
    /// What made one better than another.
    pub criterion: Criterion,
    /// Places of those rows in the problem, ascending.
    pub sample: Vec<usize>,
    /// What each of those rows counts; none for 1 everywhere.
    pub weights: Option<Vec<f64>>,
    /// The fold of each of those rows, below `folds`.
    pub fold_of: Vec<usize>,
}

/// Compares every C and gamma of a coarse grid, then halves and doubles of each family's best, on at most
/// [`SEARCH_ROWS`] rows; a family that differs from an earlier one in the loss alone around the best of that one; where [`Grid::balance`] asks for it and a class is rare, the best with balanced class weights;
/// and those that nearly tie again, in other folds.
///
/// The best by the criterion wins, of those that tie the best by the other measure, of those that tie there
/// too the simplest: the earlier family, then the smaller gamma, then the smaller C. Both measures are averages over a
/// candidate's cross-validations and over its neighbours on the grid, for those scatter less from seed to seed. The result
/// does not depend on the number of threads. Candidates whose kernel values are too great, that have no support
/// vector or whose solver does not converge are left out, each by itself, and listed.
///
/// # Errors
/// Fewer rows of a class than folds, or the reason of the first candidate where none could be compared.
pub fn search(problem: &Problem, grid: &Grid, progress: &dyn Progress) -> Result<Search, TrainError> {
    let seed = grid.families.first().map_or(0, |parameters| parameters.seed);
    let solver = grid.families.first().map_or(Solver::Native, |parameters| parameters.solver);
    let (sample, rows) = sample(problem, SEARCH_ROWS, solver, seed);
    require_folds(&sample, grid.folds)?;
    let fold_rows = FoldRows::new(&sample, grid.folds, seed);
    let compare = |paths: &[Path], stage: &str| compare(&sample, paths, &fold_rows, stage, progress);
    let mut compared = compare(&coarse(&sample, grid), "coarse grid")?;
    let bests: Vec<(usize, Parameters)> = (0..grid.families.len())
        .filter_map(|family| {
            let of_family: Vec<&Candidate> =
                compared.tried.iter().filter(|tried| tried.family == family).collect();
            choose(&of_family, grid.criterion).map(|best| (family, of_family[best].parameters))
        })
        .collect();
    let mut finer = fine(&bests);
    for (family, parameters) in grid.families.iter().enumerate() {
        let best = of_other_loss(grid, family).and_then(|other| bests.iter().find(|best| best.0 == other));
        finer.extend(best.into_iter().flat_map(|(_, best)| like(family, parameters, best)));
    }
    compared.add(compare(&finer, "fine grid")?);
    if let (true, Some(chosen)) = (grid.balance, compared.choose(grid.criterion)) {
        let Candidate { family, parameters, .. } = &compared.tried[chosen];
        if let Some(path) = balanced(&sample, *family, parameters) {
            compared.add(compare(&[path], "class weights")?);
        }
    }
    repeat(&sample, grid, &mut compared, seed, progress)?;
    let Some(chosen) = compared.choose(grid.criterion) else {
        let reason = compared.left_out.first().map_or("there is none", |left_out| &left_out.reason);
        return Err(TrainError::NoCandidate { reason: reason.to_owned() });
    };
    let Compared { tried, left_out } = compared;
    Ok(Search {
        tried,
        left_out,
        chosen,
        rows: sample.len(),
        folds: grid.folds,
        criterion: grid.criterion,
        sample: rows,
        weights: sample.weights.clone(),
        fold_of: fold_rows.fold_of().to_vec(),
    })
}

impl Compared {
    /// Adds more, and brings all in order, simplest first.
    fn add(&mut self, more: Self) {
        self.tried.extend(more.tried);
        self.left_out.extend(more.left_out);
        self.tried.sort_by(|one, other| {
            let order = |candidate: &Candidate| {
                let Parameters { kernel, class_weights, .. } = candidate.parameters;
                (candidate.family, class_weights.positive != class_weights.negative, kernel.gamma())
            };
            let (of_one, of_other) = (order(one), order(other));
            let gamma = of_one.2.unwrap_or(0.0).total_cmp(&of_other.2.unwrap_or(0.0));
            let c = one.parameters.c.total_cmp(&other.parameters.c);
            of_one.0.cmp(&of_other.0).then(of_one.1.cmp(&of_other.1)).then(gamma).then(c)
        });
    }

    fn choose(&self, criterion: Criterion) -> Option<usize> {
        choose(&self.tried.iter().collect::<Vec<_>>(), criterion)
    }
}

/// Compares those that nearly tie again, in folds of other seeds.
fn repeat(
    sample: &Problem,
    grid: &Grid,
    compared: &mut Compared,
    seed: u64,
    progress: &dyn Progress,
) -> Result<(), TrainError> {
    let mut near = near_ties(&compared.tried.iter().collect::<Vec<_>>(), grid.criterion, MOST_REPEATED);
    if near.len() < 2 {
        return Ok(());
    }
    // In the order of the candidates, so that each path goes up in C.
    near.sort_unstable();
    let mut paths: Vec<Path> = Vec::new();
    for &place in &near {
        let Candidate { family, parameters, .. } = &compared.tried[place];
        let same = |path: &Path| {
            path.family == *family && Parameters { c: parameters.c, ..path.parameters } == *parameters
        };
        match paths.last_mut().filter(|path| same(path)) {
            Some(path) => path.cs.push(parameters.c),
            None => paths.push(Path { family: *family, parameters: *parameters, cs: vec![parameters.c] }),
        }
    }
    for repetition in 1..=REPETITIONS {
        let others =
            FoldRows::new(sample, grid.folds, seed.wrapping_add(repetition.wrapping_mul(OTHER_SEED)));
        let again = compare(sample, &paths, &others, "near ties", progress)?;
        for Candidate { parameters, family, metrics, scores, probabilities, .. } in again.tried {
            let same = |tried: &&mut Candidate| tried.family == family && tried.parameters == parameters;
            if let Some(tried) = compared.tried.iter_mut().find(same) {
                tried.again.push(Again { metrics, scores, probabilities });
            }
        }
    }
    Ok(())
}

/// Far from the seeds that people count up from 1, so that repetitions of one search are not the folds of another.
const OTHER_SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Half, once and twice the C of these parameters where both classes count alike, if one of them is rare and the parameters
/// have no class weights of their own.
fn balanced(sample: &Problem, family: usize, parameters: &Parameters) -> Option<Path> {
    if parameters.class_weights != ClassWeights::NONE || parameters.solver == Solver::Smartcore {
        return None;
    }
    let weight = |row: usize| sample.weights.as_ref().map_or(1.0, |weights| weights[row]);
    let all: f64 = (0..sample.len()).map(weight).sum();
    let positive = (0..sample.len()).filter(|&row| sample.positive[row]).map(weight).sum::<f64>() / all;
    if positive.min(1.0 - positive) >= RARE_SHARE {
        return None;
    }
    // The classes' total cost stays that of all rows.
    let class_weights = ClassWeights { positive: 0.5 / positive, negative: 0.5 / (1.0 - positive) };
    let cs = [0.5, 1.0, 2.0].map(|factor| factor * parameters.c).to_vec();
    Some(Path { family, parameters: Parameters { class_weights, ..*parameters }, cs })
}

/// The paths of the coarse grid.
fn coarse(problem: &Problem, grid: &Grid) -> Vec<Path> {
    let mut paths = Vec::new();
    for (family, parameters) in grid.families.iter().enumerate() {
        if of_other_loss(grid, family).is_some() {
            continue;
        }
        // Kernels of inner products grow with the features' variance, and C must shrink as they grow.
        let variance = if parameters.standardise { 1.0 } else { mean_variance(problem) };
        let unit_gamma = 1.0 / (problem.x.columns() as f64 * variance);
        let unit_c = if parameters.kernel == Kernel::Linear { power_of_4(1.0 / variance) } else { 1.0 };
        let cs: Vec<f64> = C_POWERS.map(|power| unit_c * 4f64.powi(power)).collect();
        let kernels: Vec<Kernel> = match parameters.kernel {
            Kernel::Linear => vec![Kernel::Linear],
            kernel => GAMMA_POWERS.map(|power| kernel.with_gamma(unit_gamma * 4f64.powi(power))).collect(),
        };
        paths.extend(kernels.into_iter().map(|kernel| Path {
            family,
            parameters: Parameters { kernel, ..*parameters },
            cs: cs.clone(),
        }));
    }
    paths
}

/// The earlier family that differs in the loss alone: where one loss does well, the other does, so that the coarse grid is
/// searched by the first alone.
fn of_other_loss(grid: &Grid, family: usize) -> Option<usize> {
    let parameters = &grid.families[family];
    grid.families[..family]
        .iter()
        .position(|other| Parameters { loss: parameters.loss, ..*other } == *parameters)
}

/// A family's candidates around the best of another loss, whose C means somewhat else.
fn like(family: usize, parameters: &Parameters, best: &Parameters) -> Vec<Path> {
    let cs = [0.25, 0.5, 1.0, 2.0, 4.0].map(|factor| factor * best.c).to_vec();
    let kernels = match best.kernel.gamma() {
        None => vec![best.kernel],
        Some(gamma) => [0.5, 1.0, 2.0].map(|factor| best.kernel.with_gamma(factor * gamma)).to_vec(),
    };
    let path = |kernel| Path { family, parameters: Parameters { kernel, ..*parameters }, cs: cs.clone() };
    kernels.into_iter().map(path).collect()
}

/// Half, once and twice the C and gamma of each family's best, but for the best itself.
fn fine(bests: &[(usize, Parameters)]) -> Vec<Path> {
    let mut paths = Vec::new();
    for &(family, parameters) in bests {
        let around = [0.5, 1.0, 2.0];
        let cs: Vec<f64> = around.map(|factor| parameters.c * factor).to_vec();
        match parameters.kernel.gamma() {
            None => paths.push(Path { family, parameters, cs: vec![cs[0], cs[2]] }),
            Some(gamma) => paths.extend(around.map(|factor| {
                let kernel = parameters.kernel.with_gamma(gamma * factor);
                let cs = if factor == 1.0 { vec![cs[0], cs[2]] } else { cs.clone() };
                Path { family, parameters: Parameters { kernel, ..parameters }, cs }
            })),
        }
    }
    paths
}

/// Mean over the features of their variance, or 1 where nothing varies.
fn mean_variance(problem: &Problem) -> f64 {
    let scale = Scaling::learn(&problem.x).scale;
    let mean = scale.iter().map(|scale| scale * scale).sum::<f64>() / scale.len() as f64;
    if mean.is_normal() { mean } else { 1.0 }
}

fn power_of_4(value: f64) -> f64 {
    4f64.powi((value.log2() / 2.0).round() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solve::NoProgress;
    use crate::testing::blobs;

    fn grid(criterion: Criterion) -> Grid {
        let families = [Kernel::Linear, Kernel::Rbf { gamma: 1.0 }];
        let families = families.map(|kernel| Parameters { kernel, ..Parameters::default() }).to_vec();
        Grid { families, folds: 3, criterion, balance: false }
    }

    #[test]
    fn linearly_separable_rows_get_the_linear_kernel() {
        for criterion in [Criterion::LogLoss, Criterion::Error] {
            let found = search(&blobs(90, 0.06, 4), &grid(criterion), &NoProgress).unwrap();
            // Ten C and two finer ones for the line; six gammas, and eight finer pairs for the curve.
            assert_eq!(found.tried.len(), 12 + 60 + 8);
            assert_eq!(found.tried[found.chosen].parameters.kernel, Kernel::Linear, "{criterion:?}");
        }
    }

    #[test]
    fn rows_that_no_line_separates_get_the_rbf_kernel() {
        // Positive in the middle: no half space holds the positive rows only.
        let mut problem = blobs(120, 0.12, 4);
        let middle = |row: &[f64]| (row[4] - 0.64).abs() < 0.08;
        problem.positive = problem.x.rows().map(middle).collect();
        let found = search(&problem, &grid(Criterion::LogLoss), &NoProgress).unwrap();
        assert_eq!(found.tried[found.chosen].parameters.kernel.name(), "rbf");
    }

    #[test]
    fn rare_label_gets_class_weights_beside_none_where_they_are_asked_for() {
        let mut problem = blobs(90, 0.2, 4);
        // Every sixth row is positive.
        let mut kept = 0..90;
        problem
            .positive
            .iter_mut()
            .for_each(|positive| *positive &= kept.next().is_some_and(|row| row % 3 == 0));
        let rare = problem.positives();
        assert!((6..22).contains(&rare), "{rare}");
        let grid =
            |balance| Grid { families: vec![Parameters::default()], balance, ..grid(Criterion::LogLoss) };
        let found = search(&problem, &grid(true), &NoProgress).unwrap();
        let weighted: Vec<&Candidate> =
            found.tried.iter().filter(|tried| tried.parameters.class_weights != ClassWeights::NONE).collect();
        assert_eq!(weighted.len(), 3);
        let ClassWeights { positive, negative } = weighted[0].parameters.class_weights;
        assert!((positive * rare as f64 - negative * (90 - rare) as f64).abs() < 1e-9);
        let without = search(&problem, &grid(false), &NoProgress).unwrap();
        assert!(without.tried.iter().all(|tried| tried.parameters.class_weights == ClassWeights::NONE));
    }

    #[test]
    fn near_ties_are_compared_in_other_folds_and_the_same_each_time() {
        let problem = blobs(90, 0.2, 4);
        let grid = Grid { families: vec![Parameters::default()], ..grid(Criterion::Error) };
        let found = search(&problem, &grid, &NoProgress).unwrap();
        let again: Vec<&Candidate> = found.tried.iter().filter(|tried| !tried.again.is_empty()).collect();
        assert!((2..=MOST_REPEATED).contains(&again.len()), "{}", again.len());
        for candidate in again {
            assert_eq!(candidate.again.len() as u64, REPETITIONS);
            assert!(candidate.again.iter().all(|again| again.scores != candidate.scores));
        }
        assert_eq!(search(&problem, &grid, &NoProgress).unwrap(), found);
    }

    #[test]
    fn candidates_are_tried_once_and_beat_the_chosen_by_no_more_than_a_tie() {
        let found = search(&blobs(90, 0.12, 7), &grid(Criterion::LogLoss), &NoProgress).unwrap();
        let same = |one: &Candidate, other: &Candidate| one.parameters == other.parameters;
        for (i, one) in found.tried.iter().enumerate() {
            assert!(!found.tried[..i].iter().any(|other| same(one, other)), "{:?}", one.parameters);
            let chosen = found.tried[found.chosen].metrics.log_loss.unwrap();
            let rows = found.rows as f64;
            assert!(chosen <= one.metrics.log_loss.unwrap() * 1.01 + 1.0 / rows);
        }
    }

    #[test]
    fn one_c_that_fails_leaves_the_others_of_its_family_and_is_listed() {
        let mut problem = blobs(60, 0.05, 4);
        problem.x.dense_mut().rows_mut().for_each(|row| row[0] *= 1e5);
        let raw = Parameters { standardise: false, ..Parameters::default() };
        // The weights of one row take only the greater C beyond what the solvers calculate with.
        problem.weights = Some((0..60).map(|row| if row == 0 { 1e8 } else { 1.0 }).collect());
        let grid = Grid { families: vec![raw], folds: 3, criterion: Criterion::Error, balance: false };
        let found = search(&problem, &grid, &NoProgress).unwrap();
        assert!(!found.left_out.is_empty() && !found.tried.is_empty());
        assert!(found.left_out.iter().all(|left_out| left_out.reason.contains("too great")));
        let least = found.left_out.iter().map(|left_out| left_out.parameters.c).fold(f64::INFINITY, f64::min);
        assert!(found.tried.iter().all(|tried| tried.parameters.c < least));
    }

    #[test]
    fn values_too_great_for_one_family_leave_the_other_families() {
        let mut problem = blobs(60, 0.05, 4);
        problem.x.dense_mut().rows_mut().for_each(|row| row[0] *= 1e8);
        let raw = Parameters { standardise: false, ..Parameters::default() };
        let both = [raw, Parameters::default()].to_vec();
        let grid = |families| Grid { families, folds: 3, criterion: Criterion::Error, balance: false };
        let found = search(&problem, &grid(both), &NoProgress).unwrap();
        assert!(found.tried.iter().all(|tried| tried.parameters.standardise));
        assert!(found.left_out.iter().all(|left_out| !left_out.parameters.standardise));
        assert_eq!(found.left_out.len(), C_POWERS.count());
        let reported = search(&problem, &grid(vec![raw]), &NoProgress).unwrap_err().to_string();
        assert!(reported.contains("use --scale standard"), "{reported}");
    }
}
