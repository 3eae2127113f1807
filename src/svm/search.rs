//! Choosing kernel, C and gamma by cross-validation: coarse first, then finer round the best.

use super::calibration::{Calibration, Method};
use super::fit::fit_path;
use super::folds::stratified_sample;
use super::kernel::Kernel;
use super::metrics::Metrics;
use super::parallel::{cores, in_parallel};
use super::problem::Problem;
use super::scaling::Scaling;
use super::settings::{Settings, Solver, TrainError};
use super::solver::{Quiet, Watch};
use super::train::{Parts, require_folds};

/// Most rows that candidates are compared on, so that a search takes seconds, not hours.
pub const SEARCH_ROWS: usize = 5000;

/// C of the coarse grid, in powers of 4, times the kernel's unit.
const C_POWERS: std::ops::RangeInclusive<i32> = -3..=6;

/// Gamma of the coarse grid, in powers of 4, times 1 / (features × variance).
const GAMMA_POWERS: std::ops::RangeInclusive<i32> = -3..=2;

/// A candidate's solver is stopped after so many iterations a row: most end long before, and one that does
/// not would hold up all others. It is judged by what it had come to.
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

    /// How the candidates were chosen among, in words.
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

    /// What is to be small: the log loss of all rows together, or how many rows are wrong.
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

/// What is compared, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// A set of settings per kernel and loss, simplest first; C and gamma are replaced by the grid's.
    pub families: Vec<Settings>,
    /// Folds of the cross-validation, at least 2.
    pub folds: usize,
    /// What makes one better than another.
    pub criterion: Criterion,
}

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
    settings: Settings,
    cs: Vec<f64>,
}

/// Compares every C and gamma of a coarse grid, then halves and doubles of each family's best, on at most
/// [`SEARCH_ROWS`] rows.
///
/// The best by the criterion wins, of those that tie the best by the other measure, of those that tie there
/// too the simplest: the earlier family, then the smaller gamma, then the smaller C. The result does not
/// depend on the number of threads. Candidates whose kernel values are too great, or that have no support
/// vector, are passed over.
///
/// # Errors
/// Fewer rows of a class than folds, the solver's failure, or values too great for every family.
pub fn search(problem: &Problem, grid: &Grid, watch: &dyn Watch) -> Result<Search, TrainError> {
    let seed = grid.families.first().map_or(0, |settings| settings.seed);
    let rows = stratified_sample(&problem.positive, SEARCH_ROWS, seed);
    let sample = problem.select(&rows);
    require_folds(&sample, grid.folds)?;
    let compare = |paths: &[Path], stage: &str| compare(&sample, paths, grid.folds, seed, stage, watch);
    let mut tried = compare(&coarse(&sample, grid), "coarse grid")?;
    let bests: Vec<(usize, Settings)> = (0..grid.families.len())
        .filter_map(|family| {
            let of_family: Vec<_> = tried.iter().filter(|tried| tried.0 == family).copied().collect();
            choose(&of_family, grid.criterion).map(|best| (family, of_family[best].1.settings))
        })
        .collect();
    tried.extend(compare(&fine(&bests), "fine grid")?);
    tried.sort_by(|(family, one), (other_family, other)| {
        let gamma = |candidate: &Candidate| candidate.settings.kernel.gamma().unwrap_or(0.0);
        let c = one.settings.c.total_cmp(&other.settings.c);
        family.cmp(other_family).then(gamma(one).total_cmp(&gamma(other))).then(c)
    });
    let Some(chosen) = choose(&tried, grid.criterion) else {
        let kernel = grid.families.first().map_or("", |settings| settings.kernel.name());
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
    for (family, settings) in grid.families.iter().enumerate() {
        // Kernels of inner products grow with the features' variance, and C must shrink as they grow.
        let variance = if settings.standardise { 1.0 } else { mean_variance(problem) };
        let unit_gamma = 1.0 / (problem.x.columns() as f64 * variance);
        let unit_c = if settings.kernel == Kernel::Linear { power_of_4(1.0 / variance) } else { 1.0 };
        let cs: Vec<f64> = C_POWERS.map(|power| unit_c * 4f64.powi(power)).collect();
        let kernels: Vec<Kernel> = match settings.kernel {
            Kernel::Linear => vec![Kernel::Linear],
            kernel => GAMMA_POWERS.map(|power| kernel.with_gamma(unit_gamma * 4f64.powi(power))).collect(),
        };
        paths.extend(kernels.into_iter().map(|kernel| Path {
            family,
            settings: Settings { kernel, ..*settings },
            cs: cs.clone(),
        }));
    }
    paths
}

/// Half, once and twice the C and gamma of each family's best, but for the best itself.
fn fine(bests: &[(usize, Settings)]) -> Vec<Path> {
    let mut paths = Vec::new();
    for &(family, settings) in bests {
        let around = [0.5, 1.0, 2.0];
        let cs: Vec<f64> = around.map(|factor| settings.c * factor).to_vec();
        match settings.kernel.gamma() {
            None => paths.push(Path { family, settings, cs: vec![cs[0], cs[2]] }),
            Some(gamma) => paths.extend(around.map(|factor| {
                let kernel = settings.kernel.with_gamma(gamma * factor);
                let cs = if factor == 1.0 { vec![cs[0], cs[2]] } else { cs.clone() };
                Path { family, settings: Settings { kernel, ..settings }, cs }
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

/// Every candidate of the paths with its measures; folds and paths run beside each other.
fn compare(
    problem: &Problem,
    paths: &[Path],
    folds: usize,
    seed: u64,
    stage: &str,
    watch: &dyn Watch,
) -> Result<Vec<(usize, Candidate)>, TrainError> {
    let machines: usize = paths.iter().map(|path| path.cs.len() * folds).sum();
    watch.stage(stage, Some(machines as u64));
    let parts = Parts::new(problem, folds, seed);
    let scored = in_parallel(paths.len() * folds, cores(), |piece| {
        let (path, fold) = (&paths[piece / folds], piece % folds);
        let training = parts.training(problem, fold);
        let settings = bounded(&path.settings, training.len());
        let fitted = match fit_path(&training, &settings, &path.cs, &Quiet) {
            Err(TrainError::TooGreat { .. } | TrainError::Solver { .. }) => return Ok(None),
            fitted => fitted?,
        };
        watch.advance(path.cs.len() as u64);
        let score = |machine: &super::fit::Fitted| -> Vec<f64> {
            let scorer = machine.scorer();
            parts.held(fold).iter().map(|&row| scorer.score(problem.x.row(row))).collect()
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
                parts.held(fold).iter().zip(&of_cs[at]).for_each(|(&row, &score)| scores[row] = score);
            }
            let calibration = Calibration::fit(Method::Platt, &scores, &problem.positive);
            if let Some(metrics) = Metrics::measure(&scores, &problem.positive, calibration.as_ref()) {
                let settings = Settings { c, ..path.settings };
                tried.push((path.family, Candidate { settings, metrics }));
            }
        }
    }
    Ok(tried)
}

/// The settings with a bound on SMO's iterations, unless they have one; the other solvers end soon.
fn bounded(settings: &Settings, rows: usize) -> Settings {
    let smo = settings.solver == Solver::Smo || settings.kernel != Kernel::Linear;
    let bound = smo.then_some(MAX_ITERATIONS_PER_ROW * rows as u64);
    Settings { max_iterations: settings.max_iterations.or(bound), ..*settings }
}

/// The first of the candidates that tie by both measures, simplest first.
fn choose(tried: &[(usize, Candidate)], criterion: Criterion) -> Option<usize> {
    let mut left: Vec<usize> = (0..tried.len()).collect();
    for measure in [criterion, criterion.other()] {
        let value = |&place: &usize| measure.of(&tried[place].1.metrics);
        let best = left.iter().map(value).fold(f64::INFINITY, f64::min);
        left.retain(|place| value(place) <= measure.tied(best));
    }
    left.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::svm::metrics::Confusion;
    use crate::svm::testing::blobs;

    fn grid(criterion: Criterion) -> Grid {
        let families = [Kernel::Linear, Kernel::Rbf { gamma: 1.0 }];
        let families = families.map(|kernel| Settings { kernel, ..Settings::default() }).to_vec();
        Grid { families, folds: 3, criterion }
    }

    #[test]
    fn what_a_line_tells_apart_gets_a_line() {
        for criterion in [Criterion::LogLoss, Criterion::Error] {
            let found = search(&blobs(90, 0.06, 4), &grid(criterion), &Quiet).unwrap();
            // Ten C and two finer ones for the line; six gammas, and eight finer pairs for the curve.
            assert_eq!(found.tried.len(), 12 + 60 + 8);
            assert_eq!(found.tried[found.chosen].settings.kernel, Kernel::Linear, "{criterion:?}");
        }
    }

    #[test]
    fn what_a_line_cannot_tell_apart_gets_a_curve() {
        // Positive in the middle: no half space holds the positive rows only.
        let mut problem = blobs(120, 0.12, 4);
        let middle = |row: &[f64]| (row[4] - 0.64).abs() < 0.08;
        problem.positive = problem.x.rows().map(middle).collect();
        let found = search(&problem, &grid(Criterion::LogLoss), &Quiet).unwrap();
        assert_eq!(found.tried[found.chosen].settings.kernel.name(), "rbf");
    }

    #[test]
    fn no_candidate_is_tried_twice_and_none_beats_the_chosen_by_more_than_a_tie() {
        let found = search(&blobs(90, 0.12, 7), &grid(Criterion::LogLoss), &Quiet).unwrap();
        let same = |one: &Candidate, other: &Candidate| one.settings == other.settings;
        for (i, one) in found.tried.iter().enumerate() {
            assert!(!found.tried[..i].iter().any(|other| same(one, other)), "{:?}", one.settings);
            let chosen = found.tried[found.chosen].metrics.log_loss.unwrap();
            let rows = found.rows as f64;
            assert!(chosen <= one.metrics.log_loss.unwrap() * 1.01 + 1.0 / rows);
        }
    }

    #[test]
    fn values_too_great_for_one_family_leave_the_others() {
        let mut problem = blobs(60, 0.05, 4);
        problem.x.rows_mut().for_each(|row| row[0] *= 1e8);
        let raw = Settings { standardise: false, ..Settings::default() };
        let both = [raw, Settings::default()].to_vec();
        let grid = |families| Grid { families, folds: 3, criterion: Criterion::Error };
        let found = search(&problem, &grid(both), &Quiet).unwrap();
        assert!(found.tried.iter().all(|tried| tried.settings.standardise));
        let told = search(&problem, &grid(vec![raw]), &Quiet).unwrap_err().to_string();
        assert!(told.contains("use --scale standard"), "{told}");
    }

    #[test]
    fn ties_go_by_the_other_measure_and_then_to_the_simpler() {
        let candidate = |wrong: u64, log_loss: f64| {
            let mut metrics = Metrics::measure(&[1.0, -1.0], &[true, false], None).unwrap();
            metrics.confusion =
                Confusion { false_positive: wrong, true_negative: 1000 - wrong, ..Confusion::default() };
            metrics.log_loss = Some(log_loss);
            (0, Candidate { settings: Settings::default(), metrics })
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
