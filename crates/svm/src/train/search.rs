//! Choosing kernel, C and gamma by cross-validation: coarse first, then finer around the best.

use crate::calibrate::{Calibration, Method};
use crate::data::folds::stratified_sample;
use crate::data::problem::Problem;
use crate::data::scaling::Scaling;
use crate::evaluate::metrics::Metrics;
use crate::kernel::Kernel;
use crate::solve::{NoProgress, Progress};
use crate::train::cross_validation::{FoldRows, require_folds};
use crate::train::fit::fit_path;
use crate::train::parallel::{cores, in_parallel};
use crate::train::parameters::{Parameters, Solver, TrainError};

/// Most rows that candidates are compared on, so that a search takes seconds, not hours.
pub const SEARCH_ROWS: usize = 5000;

/// C of the coarse grid, in powers of 4, times the kernel's unit.
const C_POWERS: std::ops::RangeInclusive<i32> = -3..=6;

/// Gamma of the coarse grid, in powers of 4, times 1 / (features × variance).
const GAMMA_POWERS: std::ops::RangeInclusive<i32> = -3..=2;

/// Bound on a candidate's iterations per row: most converge long before, and one that does not would delay all
/// others. It is judged by the solution at the bound.
const MAX_ITERATIONS_PER_ROW: u64 = 100;

/// Log losses within this share of the least are a tie; and within one unit over all rows together, a
/// likelihood ratio of e.
const LOG_LOSS_TIE: f64 = 0.01;

/// Counts of wrong rows within this many standard errors, √count, of the least are a tie; and within one
/// row. Candidates are compared on the same rows, so that their difference scatters less than either count.
const ERROR_TIE: f64 = 0.5;

/// What makes one candidate better than another. Ties go by the other measure, and ties of both to the
/// simpler candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criterion {
    /// Negative log probability of the true labels, after calibration; within 1 % (or one unit) is a tie.
    LogLoss,
    /// Rows with the wrong label; within half a standard error (or one row) is a tie.
    Error,
}

impl Criterion {
    /// `log-loss` or `error`, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::LogLoss => "log-loss",
            Self::Error => "error",
        }
    }

    /// The rule of choice, in words.
    pub fn rule(self) -> &'static str {
        match self {
            Self::LogLoss => {
                "log loss within 1 % (or one unit over all rows) of the least, then the least error, then the simplest"
            }
            Self::Error => {
                "error within half a standard error (or one row) of the least, then the least log loss, then the simplest"
            }
        }
    }

    /// The measure to minimise: the log loss of all rows together, or how many rows are wrong.
    pub fn of(self, metrics: &Metrics) -> f64 {
        match self {
            Self::LogLoss => {
                metrics.log_loss.map_or(f64::INFINITY, |mean| mean * metrics.confusion.rows() as f64)
            }
            Self::Error => (metrics.confusion.false_positive + metrics.confusion.false_negative) as f64,
        }
    }

    /// The worst that still counts as good as `best`.
    fn tied(self, best: f64) -> f64 {
        match self {
            Self::LogLoss => best + (LOG_LOSS_TIE * best).max(1.0),
            Self::Error => best + (ERROR_TIE * best.sqrt()).max(1.0),
        }
    }

    fn other(self) -> Self {
        match self {
            Self::LogLoss => Self::Error,
            Self::Error => Self::LogLoss,
        }
    }
}

/// The candidates of a search and the rule that compares them.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// A set of parameters per kernel and loss, simplest first; C and gamma are replaced by the grid's.
    pub families: Vec<Parameters>,
    /// Folds of the cross-validation, at least 2.
    pub folds: usize,
    /// What makes one better than another.
    pub criterion: Criterion,
}

/// One candidate and its measures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// What was tried.
    pub parameters: Parameters,
    /// Measures of its cross-validation, with a calibration fitted to the same scores.
    pub metrics: Metrics,
}

/// The outcome of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// Every candidate, simplest first: by family, then smaller gamma, then smaller C.
    pub tried: Vec<Candidate>,
    /// Place of the chosen one in `tried`.
    pub chosen: usize,
    /// Rows they were compared on.
    pub rows: usize,
    /// Folds they were compared in.
    pub folds: usize,
    /// What made one better than another.
    pub criterion: Criterion,
}

/// Machines that differ in C alone: trained one after the other, each from where the last one ended.
struct Path {
    family: usize,
    parameters: Parameters,
    cs: Vec<f64>,
}

/// Compares every C and gamma of a coarse grid, then halves and doubles of each family's best, on at most
/// [`SEARCH_ROWS`] rows.
///
/// The best by the criterion wins, of those that tie the best by the other measure, of those that tie there
/// too the simplest: the earlier family, then the smaller gamma, then the smaller C. The result does not
/// depend on the number of threads. Candidates whose kernel values are too great, or that have no support
/// vector, are left out.
///
/// # Errors
/// Fewer rows of a class than folds, the solver's failure, or values too great for every family.
pub fn search(problem: &Problem, grid: &Grid, progress: &dyn Progress) -> Result<Search, TrainError> {
    let seed = grid.families.first().map_or(0, |parameters| parameters.seed);
    let rows = stratified_sample(&problem.positive, SEARCH_ROWS, seed);
    let sample = problem.select(&rows);
    require_folds(&sample, grid.folds)?;
    let compare = |paths: &[Path], stage: &str| compare(&sample, paths, grid.folds, seed, stage, progress);
    let mut tried = compare(&coarse(&sample, grid), "coarse grid")?;
    let bests: Vec<(usize, Parameters)> = (0..grid.families.len())
        .filter_map(|family| {
            let of_family: Vec<_> = tried.iter().filter(|tried| tried.0 == family).copied().collect();
            choose(&of_family, grid.criterion).map(|best| (family, of_family[best].1.parameters))
        })
        .collect();
    tried.extend(compare(&fine(&bests), "fine grid")?);
    tried.sort_by(|(family, one), (other_family, other)| {
        let gamma = |candidate: &Candidate| candidate.parameters.kernel.gamma().unwrap_or(0.0);
        let c = one.parameters.c.total_cmp(&other.parameters.c);
        family.cmp(other_family).then(gamma(one).total_cmp(&gamma(other))).then(c)
    });
    let Some(chosen) = choose(&tried, grid.criterion) else {
        let kernel = grid.families.first().map_or("", |parameters| parameters.kernel.name());
        return Err(TrainError::TooGreat { kernel });
    };
    Ok(Search {
        tried: tried.into_iter().map(|(_, candidate)| candidate).collect(),
        chosen,
        rows: sample.len(),
        folds: grid.folds,
        criterion: grid.criterion,
    })
}

/// The paths of the coarse grid.
fn coarse(problem: &Problem, grid: &Grid) -> Vec<Path> {
    let mut paths = Vec::new();
    for (family, parameters) in grid.families.iter().enumerate() {
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

/// Every candidate of the paths with its measures; folds and paths run in parallel.
fn compare(
    problem: &Problem,
    paths: &[Path],
    folds: usize,
    seed: u64,
    stage: &str,
    progress: &dyn Progress,
) -> Result<Vec<(usize, Candidate)>, TrainError> {
    let machines: usize = paths.iter().map(|path| path.cs.len() * folds).sum();
    progress.stage(stage, Some(machines as u64));
    let fold_rows = FoldRows::new(problem, folds, seed);
    let scored = in_parallel(paths.len() * folds, cores(), |piece| {
        let (path, fold) = (&paths[piece / folds], piece % folds);
        let training = fold_rows.training(problem, fold);
        let parameters = bounded(&path.parameters, training.len());
        let fitted = match fit_path(&training, &parameters, &path.cs, &NoProgress) {
            Err(TrainError::TooGreat { .. } | TrainError::Solver { .. }) => return Ok(None),
            fitted => fitted?,
        };
        progress.advance(path.cs.len() as u64);
        let score = |machine: &crate::train::fit::Fitted| -> Vec<f64> {
            let scorer = machine.scorer();
            fold_rows.held(fold).iter().map(|&row| scorer.score(problem.x.row(row))).collect()
        };
        Ok(Some(fitted.iter().map(score).collect::<Vec<_>>()))
    });
    let scored = scored.into_iter().collect::<Result<Vec<_>, TrainError>>()?;
    let mut tried = Vec::new();
    for (path, of_folds) in paths.iter().zip(scored.chunks(folds)) {
        let Some(of_folds) = of_folds.iter().map(Option::as_ref).collect::<Option<Vec<_>>>() else {
            continue;
        };
        for (at, &c) in path.cs.iter().enumerate() {
            let mut scores = vec![0.0; problem.len()];
            for (fold, of_cs) in of_folds.iter().enumerate() {
                fold_rows.held(fold).iter().zip(&of_cs[at]).for_each(|(&row, &score)| scores[row] = score);
            }
            let calibration = Calibration::fit(Method::Platt, &scores, &problem.positive);
            if let Some(metrics) = Metrics::measure(&scores, &problem.positive, calibration.as_ref()) {
                let parameters = Parameters { c, ..path.parameters };
                tried.push((path.family, Candidate { parameters, metrics }));
            }
        }
    }
    Ok(tried)
}

/// The parameters with a bound on SMO's iterations, unless they have one; the other solvers end soon.
fn bounded(parameters: &Parameters, rows: usize) -> Parameters {
    let smo = parameters.solver == Solver::Smo || parameters.kernel != Kernel::Linear;
    let bound = smo.then_some(MAX_ITERATIONS_PER_ROW * rows as u64);
    Parameters { max_iterations: parameters.max_iterations.or(bound), ..*parameters }
}

/// The first of the candidates that tie by both measures, simplest first.
fn choose(tried: &[(usize, Candidate)], criterion: Criterion) -> Option<usize> {
    let mut tied: Vec<usize> = (0..tried.len()).collect();
    for measure in [criterion, criterion.other()] {
        let value = |&place: &usize| measure.of(&tried[place].1.metrics);
        let best = tied.iter().map(value).fold(f64::INFINITY, f64::min);
        tied.retain(|place| value(place) <= measure.tied(best));
    }
    tied.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::metrics::Confusion;
    use crate::testing::blobs;

    fn grid(criterion: Criterion) -> Grid {
        let families = [Kernel::Linear, Kernel::Rbf { gamma: 1.0 }];
        let families = families.map(|kernel| Parameters { kernel, ..Parameters::default() }).to_vec();
        Grid { families, folds: 3, criterion }
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
    fn values_too_great_for_one_family_leave_the_other_families() {
        let mut problem = blobs(60, 0.05, 4);
        problem.x.rows_mut().for_each(|row| row[0] *= 1e8);
        let raw = Parameters { standardise: false, ..Parameters::default() };
        let both = [raw, Parameters::default()].to_vec();
        let grid = |families| Grid { families, folds: 3, criterion: Criterion::Error };
        let found = search(&problem, &grid(both), &NoProgress).unwrap();
        assert!(found.tried.iter().all(|tried| tried.parameters.standardise));
        let reported = search(&problem, &grid(vec![raw]), &NoProgress).unwrap_err().to_string();
        assert!(reported.contains("use --scale standard"), "{reported}");
    }

    #[test]
    fn ties_go_by_the_other_measure_and_then_to_the_simpler() {
        let candidate = |wrong: u64, log_loss: f64| {
            let mut metrics = Metrics::measure(&[1.0, -1.0], &[true, false], None).unwrap();
            metrics.confusion =
                Confusion { false_positive: wrong, true_negative: 1000 - wrong, ..Confusion::default() };
            metrics.log_loss = Some(log_loss);
            (0, Candidate { parameters: Parameters::default(), metrics })
        };
        for (tried, criterion, chosen) in [
            ([(30, 0.5), (16, 0.3), (18, 0.2), (40, 0.1)], Criterion::Error, 2),
            ([(30, 0.5), (16, 0.2), (18, 0.2), (40, 0.1)], Criterion::Error, 1),
            ([(30, 0.5), (16, 0.2), (19, 0.1), (40, 0.1)], Criterion::Error, 1),
            ([(30, 0.5), (40, 0.1005), (18, 0.1), (18, 0.1)], Criterion::LogLoss, 2),
            ([(0, f64::INFINITY), (40, 0.1), (41, 0.1), (99, 0.1)], Criterion::LogLoss, 1),
            ([(2, 0.0101), (2, 0.0100), (1, 0.0099), (1, 0.009)], Criterion::Error, 1),
        ] {
            let tried = tried.map(|(wrong, loss)| candidate(wrong, loss));
            assert_eq!(choose(&tried, criterion), Some(chosen));
        }
    }
}
