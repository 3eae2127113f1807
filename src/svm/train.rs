//! Training: a problem and settings in, a fitted machine, its calibration and its measures out.

use std::num::NonZero;
use std::panic::resume_unwind;

use super::calibration::Calibration;
use super::folds::{Split, stratified_folds, stratified_sample, stratified_split};
use super::kernel::Kernel;
use super::machine::Machine;
use super::metrics::Metrics;
use super::model::Measured;
use super::problem::Problem;
use super::scaling::Scaling;
use super::scorer::Scorer;
use super::smartcore;

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The kernel and its parameters.
    pub kernel: Kernel,
    /// Cost of an error, finite and above 0.
    pub c: f64,
    /// Whether features are standardised; else they are taken as they are.
    pub standardise: bool,
    /// Seeds the solver's order of rows, the splits and the folds.
    pub seed: u64,
}

/// Which rows train and which rows measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Plan {
    /// All rows train; a cross-validation of at most [`CALIBRATION_ROWS`] rows calibrates and measures.
    All,
    /// This share of each class is kept back and measures; the others train, and calibrate as in `All`.
    Holdout(f64),
    /// All rows train; a cross-validation of all rows in so many folds calibrates and measures.
    CrossValidation(usize),
}

/// Most rows of the cross-validation behind a calibration.
///
/// Two numbers are fitted, which a few thousand scores settle; the solver's time grows with rows².
pub const CALIBRATION_ROWS: usize = 2000;

/// Folds of the cross-validation behind a calibration, as in Lin, Lin and Weng (2007), section 1.
const CALIBRATION_FOLDS: usize = 3;

/// Why nothing was trained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting is out of range.
    #[error("{name} must be {wanted}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// Its range.
        wanted: &'static str,
    },
    /// A class has too few rows for what was asked.
    #[error("{asked} needs at least {needed} rows of each label, and label {label} has {rows}; {mending}")]
    TooFew {
        /// What was asked for.
        asked: String,
        /// Rows it needs of each class.
        needed: usize,
        /// The scarce label, as written.
        label: String,
        /// Its rows.
        rows: usize,
        /// What to do.
        mending: &'static str,
    },
    /// Kernel values beyond what the solver's arithmetic can tell apart.
    #[error(
        "values of the {kernel} kernel, times C, are too great to train with; \
         use --scale standard, a smaller -c, or smaller --gamma, --coef0 and --degree"
    )]
    TooGreat {
        /// The kernel.
        kernel: &'static str,
    },
    /// The solver failed.
    #[error("the smartcore solver failed: {0}")]
    Solver(String),
}

/// A machine with the scaling it was trained behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Learned on the training rows only; none when rows are taken as they are.
    pub scaling: Option<Scaling>,
    /// The decision function over scaled rows.
    pub machine: Machine,
}

/// What [`train()`] finds.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The machine and its scaling.
    pub fitted: Fitted,
    /// None when a class has too few rows to calibrate on.
    pub calibration: Option<Calibration>,
    /// Measures on rows that the measured machine was not trained on.
    pub measured: Option<Measured>,
    /// Rows the machine was trained on.
    pub rows: usize,
    /// Rows with the positive label among them.
    pub positives: usize,
}

impl Fitted {
    /// The compiled form, without calibration.
    pub fn scorer(&self) -> Scorer {
        Scorer::compile(&self.machine, self.scaling.as_ref(), None)
    }
}

/// Trains one machine on all rows of a problem.
///
/// # Errors
/// A setting out of range, or the solver's failure.
pub fn fit(problem: &Problem, settings: &Settings) -> Result<Fitted, TrainError> {
    settings.check()?;
    let scaling = settings.standardise.then(|| Scaling::learn(&problem.x));
    let machine = match &scaling {
        Some(scaling) => smartcore::fit(&scaling.applied(&problem.x), &problem.positive, settings)?,
        None => smartcore::fit(&problem.x, &problem.positive, settings)?,
    };
    Ok(Fitted { scaling, machine })
}

/// Scores every row with a machine trained on the other folds; each fold learns its own scaling. Folds
/// run beside each other, one a core; the scores do not depend on how many cores there are.
///
/// # Errors
/// Fewer rows in a class than folds; what [`fit`] refuses.
pub fn cross_validate(
    problem: &Problem,
    settings: &Settings,
    folds: usize,
    step: &mut dyn FnMut(&str),
) -> Result<Vec<f64>, TrainError> {
    require(problem, folds, &format!("a cross-validation in {folds} folds"), "use fewer folds or more rows")?;
    let fold_of = stratified_folds(&problem.positive, folds, settings.seed);
    let score_fold = |fold: usize| -> Result<Vec<(usize, f64)>, TrainError> {
        let (held, others): (Vec<usize>, Vec<usize>) =
            (0..problem.len()).partition(|&row| fold_of[row] == fold);
        let scorer = fit(&problem.select(&others), settings)?.scorer();
        Ok(held.into_iter().map(|row| (row, scorer.score(problem.x.row(row)))).collect())
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut scores = vec![0.0; problem.len()];
    for first in (0..folds).step_by(threads) {
        step(&format!("cross-validation, fold {} of {folds}", first + 1));
        let last = folds.min(first + threads);
        let scored: Vec<_> = std::thread::scope(|scope| {
            let score_fold = &score_fold;
            let started: Vec<_> = (first..last).map(|fold| scope.spawn(move || score_fold(fold))).collect();
            started
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        for fold in scored {
            fold?.into_iter().for_each(|(row, score)| scores[row] = score);
        }
    }
    Ok(scores)
}

/// Trains, calibrates and measures. `step` is told what is being done, for a progress display.
///
/// # Errors
/// What [`fit`] and [`cross_validate`] refuse; a holdout of a class with one row.
pub fn train(
    problem: &Problem,
    settings: &Settings,
    plan: Plan,
    step: &mut dyn FnMut(&str),
) -> Result<Trained, TrainError> {
    settings.check()?;
    match plan {
        Plan::All => train_all(problem, settings, None, step),
        Plan::CrossValidation(folds) => train_all(problem, settings, Some(folds), step),
        Plan::Holdout(share) => {
            require(problem, 2, "a holdout", "add rows, or leave --holdout out")?;
            let Some(Split { train, held_out }) = stratified_split(&problem.positive, share, settings.seed)
            else {
                return Err(TrainError::Setting { name: "--holdout", wanted: "above 0 and below 1" });
            };
            let mut trained = train_all(&problem.select(&train), settings, None, step)?;
            let scorer = trained.fitted.scorer();
            let scores: Vec<f64> = held_out.iter().map(|&row| scorer.score(problem.x.row(row))).collect();
            let positive: Vec<bool> = held_out.iter().map(|&row| problem.positive[row]).collect();
            trained.measured = measured("holdout", None, &scores, &positive, trained.calibration);
            Ok(trained)
        }
    }
}

/// Trains on all rows; `folds` of all rows calibrate and measure, or a few folds of a sample.
fn train_all(
    problem: &Problem,
    settings: &Settings,
    folds: Option<usize>,
    step: &mut dyn FnMut(&str),
) -> Result<Trained, TrainError> {
    let sample;
    let (validated, folds) = match folds {
        Some(folds) => (problem, folds),
        None => {
            let rows = stratified_sample(&problem.positive, CALIBRATION_ROWS, settings.seed);
            sample = problem.select(&rows);
            (&sample, scarcer(&sample).0.min(CALIBRATION_FOLDS))
        }
    };
    let (mut calibration, mut measures) = (None, None);
    if folds >= 2 {
        let scores = cross_validate(validated, settings, folds, step)?;
        calibration = Calibration::fit(&scores, &validated.positive);
        measures =
            measured("cross-validation", Some(folds as u64), &scores, &validated.positive, calibration);
    }
    step(&format!("training on {} rows", problem.len()));
    let fitted = fit(problem, settings)?;
    Ok(Trained {
        fitted,
        calibration,
        measured: measures,
        rows: problem.len(),
        positives: problem.positives(),
    })
}

fn measured(
    method: &str,
    folds: Option<u64>,
    scores: &[f64],
    positive: &[bool],
    calibration: Option<Calibration>,
) -> Option<Measured> {
    let metrics = Metrics::measure(scores, positive, calibration.as_ref())?;
    Some(Measured { method: method.to_owned(), folds, metrics })
}

/// Rows of the class that has fewer, and its label.
fn scarcer(problem: &Problem) -> (usize, &str) {
    let positives = problem.positives();
    let negatives = problem.len() - positives;
    if positives <= negatives {
        (positives, &problem.labels.positive)
    } else {
        (negatives, &problem.labels.negative)
    }
}

fn require(problem: &Problem, needed: usize, asked: &str, mending: &'static str) -> Result<(), TrainError> {
    let (rows, label) = scarcer(problem);
    if rows >= needed {
        return Ok(());
    }
    Err(TrainError::TooFew { asked: asked.to_owned(), needed, label: label.to_owned(), rows, mending })
}

impl Settings {
    /// Whether every setting is in its range.
    ///
    /// # Errors
    /// The first one that is not.
    pub fn check(&self) -> Result<(), TrainError> {
        if !(self.c.is_finite() && self.c > 0.0) {
            return Err(TrainError::Setting { name: "C", wanted: "a finite number above 0" });
        }
        match self.kernel.fault() {
            Some((name, wanted)) => Err(TrainError::Setting { name, wanted }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::svm::testing::blobs;

    fn settings(kernel: Kernel) -> Settings {
        Settings { kernel, c: 1.0, standardise: true, seed: 5 }
    }

    fn quiet(_: &str) {}

    #[test]
    fn blobs_apart_are_told_apart_by_every_kernel_and_plan() {
        let problem = blobs(100, 0.03, 1);
        let others = blobs(200, 0.03, 2);
        for kernel in [
            Kernel::Linear,
            Kernel::Rbf { gamma: 0.2 },
            Kernel::Poly { gamma: 0.2, coef0: 1.0, degree: 2 },
            Kernel::Sigmoid { gamma: 0.05, coef0: 0.0 },
        ] {
            for plan in [Plan::All, Plan::Holdout(0.25), Plan::CrossValidation(4)] {
                let trained = train(&problem, &settings(kernel), plan, &mut quiet).unwrap();
                let scorer = trained.fitted.scorer();
                let right = others.x.rows().zip(&others.positive);
                let right = right.filter(|(row, positive)| (scorer.score(row) > 0.0) == **positive).count();
                assert!(right >= 196, "{kernel} {plan:?}: {right} of 200");
                let measured = trained.measured.unwrap();
                assert!(measured.metrics.error < 0.03 && measured.metrics.log_loss < Some(0.1));
                assert!(trained.calibration.unwrap().a < 0.0);
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_machine() {
        let problem = blobs(60, 0.1, 1);
        let settings = settings(Kernel::Rbf { gamma: 0.2 });
        let train = |settings| train(&problem, &settings, Plan::All, &mut quiet).unwrap();
        assert_eq!(train(settings), train(settings));
        assert_ne!(train(settings).calibration, train(Settings { seed: 6, ..settings }).calibration);
    }

    #[test]
    fn a_holdout_measures_rows_that_did_not_train() {
        let problem = blobs(80, 0.1, 1);
        let trained = train(&problem, &settings(Kernel::Linear), Plan::Holdout(0.25), &mut quiet).unwrap();
        assert_eq!((trained.rows, trained.positives), (60, 18));
        assert_eq!(trained.measured.unwrap().metrics.confusion.rows(), 20);
    }

    #[test]
    fn too_few_rows_of_a_label_are_told_or_done_without() {
        let rows: Vec<usize> = (0..1).chain(3..9).collect();
        let one_positive = blobs(10, 0.03, 1).select(&rows);
        let trained = train(&one_positive, &settings(Kernel::Linear), Plan::All, &mut quiet).unwrap();
        assert_eq!((trained.calibration, trained.measured), (None, None));
        for (plan, message) in [
            (
                Plan::CrossValidation(4),
                "a cross-validation in 4 folds needs at least 4 rows of each label, and label 1 has 1",
            ),
            (Plan::Holdout(0.5), "a holdout needs at least 2 rows of each label, and label 1 has 1"),
        ] {
            let told =
                train(&one_positive, &settings(Kernel::Linear), plan, &mut quiet).unwrap_err().to_string();
            assert!(told.contains(message), "{told}");
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let problem = blobs(20, 0.1, 1);
        for (c, gamma, message) in [
            (0.0, 1.0, "C must be"),
            (f64::NAN, 1.0, "C must be"),
            (1.0, 0.0, "gamma must be"),
            (1.0, f64::INFINITY, "gamma must be"),
        ] {
            let settings = Settings { c, ..settings(Kernel::Rbf { gamma }) };
            assert!(fit(&problem, &settings).unwrap_err().to_string().contains(message));
        }
    }
}
