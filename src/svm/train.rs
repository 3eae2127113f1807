//! Training: a problem and settings in, a fitted machine, its calibration and its measures out.

use super::calibration::{Calibration, Method};
use super::fit::{Fitted, fit};
use super::folds::{Split, stratified_folds, stratified_sample, stratified_split};
use super::metrics::Metrics;
use super::model::Measured;
use super::parallel::{cores, in_parallel};
use super::problem::Problem;
use super::search::{Grid, Search, search};
use super::settings::{Settings, Solver, TrainError};
use super::solver::{Quiet, Watch};

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
/// Two numbers are fitted, which a few thousand scores settle; a kernel solver's time grows with rows².
pub const CALIBRATION_ROWS: usize = 2000;

/// Folds of the cross-validation behind a calibration, as in Lin, Lin and Weng (2007), section 1.
const CALIBRATION_FOLDS: usize = 3;

/// Where the settings come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// These.
    Settings(Settings),
    /// The best of a grid, compared on the rows that train.
    Grid(Grid),
}

/// What [`train()`] finds.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The settings that were given or chosen.
    pub settings: Settings,
    /// How they were chosen.
    pub search: Option<Search>,
    /// The machine and its scaling.
    pub fitted: Fitted,
    /// None when it was not asked for, or a class has too few rows to calibrate on.
    pub calibration: Option<Calibration>,
    /// Measures on rows that the measured machine was not trained on.
    pub measured: Option<Measured>,
    /// The scores behind the measures.
    pub scored: Option<Scored>,
    /// Rows the machine was trained on.
    pub rows: usize,
    /// Rows with the positive label among them.
    pub positives: usize,
    /// The mean of each feature over those rows, unscaled.
    pub feature_mean: Vec<f64>,
}

/// Scores of rows that the scoring machine was not trained on, and the truth.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// A decision value a row.
    pub scores: Vec<f64>,
    /// Whether the row at the same place has the positive label.
    pub positive: Vec<bool>,
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
    watch: &dyn Watch,
) -> Result<Vec<f64>, TrainError> {
    require_folds(problem, folds)?;
    watch.stage(&format!("cross-validation in {folds} folds"), Some(folds as u64));
    let parts = Parts::new(problem, folds, settings.seed);
    let scored = in_parallel(folds, cores(), |fold| -> Result<Vec<f64>, TrainError> {
        let scorer = fit(&parts.training(problem, fold), settings, &Quiet)?.scorer();
        watch.advance(1);
        Ok(parts.held(fold).iter().map(|&row| scorer.score(problem.x.row(row))).collect())
    });
    let mut scores = vec![0.0; problem.len()];
    for (fold, scored) in scored.into_iter().enumerate() {
        parts.held(fold).iter().zip(scored?).for_each(|(&row, score)| scores[row] = score);
    }
    Ok(scores)
}

/// The rows of each fold.
pub(super) struct Parts {
    held: Vec<Vec<usize>>,
}

impl Parts {
    /// Stratified and seeded; `folds` ≥ 2.
    pub(super) fn new(problem: &Problem, folds: usize, seed: u64) -> Self {
        let mut held = vec![Vec::new(); folds];
        for (row, fold) in stratified_folds(&problem.positive, folds, seed).into_iter().enumerate() {
            held[fold].push(row);
        }
        Self { held }
    }

    /// The rows kept back in a fold, ascending.
    pub(super) fn held(&self, fold: usize) -> &[usize] {
        &self.held[fold]
    }

    /// The rows of all other folds as a problem.
    pub(super) fn training(&self, problem: &Problem, fold: usize) -> Problem {
        let mut held = self.held[fold].iter().copied().peekable();
        let others: Vec<usize> = (0..problem.len()).filter(|&row| held.next_if_eq(&row).is_none()).collect();
        problem.select(&others)
    }
}

/// Trains, calibrates by the method that `calibrate` names, and measures.
///
/// # Errors
/// What [`fit`] and [`cross_validate`] refuse; a holdout of a class with one row.
pub fn train(
    problem: &Problem,
    choice: &Choice,
    plan: Plan,
    calibrate: Option<Method>,
    watch: &dyn Watch,
) -> Result<Trained, TrainError> {
    match plan {
        Plan::All => train_all(problem, choice, None, calibrate, watch),
        Plan::CrossValidation(folds) => train_all(problem, choice, Some(folds), calibrate, watch),
        Plan::Holdout(share) => {
            require(problem, 2, "a holdout", "add rows, or leave --holdout out")?;
            let Some(Split { train, held_out }) = stratified_split(&problem.positive, share, choice.seed())
            else {
                return Err(TrainError::Setting { name: "--holdout", wanted: "above 0 and below 1" });
            };
            let mut trained = train_all(&problem.select(&train), choice, None, calibrate, watch)?;
            let scorer = trained.fitted.scorer();
            let scored = Scored {
                scores: held_out.iter().map(|&row| scorer.score(problem.x.row(row))).collect(),
                positive: held_out.iter().map(|&row| problem.positive[row]).collect(),
            };
            trained.measured = measured("holdout", None, &scored, trained.calibration.as_ref());
            trained.scored = Some(scored);
            Ok(trained)
        }
    }
}

/// Trains on all rows; `folds` of all rows calibrate and measure, or a few folds of a sample.
fn train_all(
    problem: &Problem,
    choice: &Choice,
    folds: Option<usize>,
    calibrate: Option<Method>,
    watch: &dyn Watch,
) -> Result<Trained, TrainError> {
    let (settings, search) = match choice {
        Choice::Settings(settings) => (*settings, None),
        Choice::Grid(grid) => {
            let found = search(problem, grid, watch)?;
            (found.tried[found.chosen].settings, Some(found))
        }
    };
    let settings = &settings;
    settings.check()?;
    let sample;
    let (validated, folds) = match folds {
        Some(folds) => (problem, folds),
        // Only the calibration needs these folds.
        None if calibrate.is_none() => (problem, 0),
        None => {
            let rows = stratified_sample(&problem.positive, CALIBRATION_ROWS, settings.seed);
            sample = problem.select(&rows);
            (&sample, scarcer(&sample).0.min(CALIBRATION_FOLDS))
        }
    };
    let (mut calibration, mut measures, mut scored) = (None, None, None);
    if folds >= 2 {
        let scores = cross_validate(validated, settings, folds, watch)?;
        calibration = calibrate.and_then(|method| Calibration::fit(method, &scores, &validated.positive));
        let these = Scored { scores, positive: validated.positive.clone() };
        measures = measured("cross-validation", Some(folds as u64), &these, calibration.as_ref());
        scored = Some(these);
    }
    watch.stage(&format!("training on {} rows", problem.len()), None);
    let fitted = fit(problem, settings, watch)?;
    Ok(Trained {
        settings: *settings,
        search,
        fitted,
        calibration,
        measured: measures,
        scored,
        rows: problem.len(),
        positives: problem.positives(),
        feature_mean: problem.x.mean(),
    })
}

impl Choice {
    /// The solver; of a grid, its first family's.
    pub fn solver(&self) -> Option<Solver> {
        match self {
            Self::Settings(settings) => Some(settings.solver),
            Self::Grid(grid) => grid.families.first().map(|settings| settings.solver),
        }
    }

    fn seed(&self) -> u64 {
        match self {
            Self::Settings(settings) => settings.seed,
            Self::Grid(grid) => grid.families.first().map_or(0, |settings| settings.seed),
        }
    }
}

fn measured(
    method: &str,
    folds: Option<u64>,
    scored: &Scored,
    calibration: Option<&Calibration>,
) -> Option<Measured> {
    let metrics = Metrics::measure(&scored.scores, &scored.positive, calibration)?;
    Some(Measured { method: method.to_owned(), folds, metrics })
}

/// Rows of the class that has fewer, and its label.
pub(super) fn scarcer(problem: &Problem) -> (usize, &str) {
    let positives = problem.positives();
    let negatives = problem.len() - positives;
    if positives <= negatives {
        (positives, &problem.labels.positive)
    } else {
        (negatives, &problem.labels.negative)
    }
}

/// Whether every class has a row for every fold.
pub(super) fn require_folds(problem: &Problem, folds: usize) -> Result<(), TrainError> {
    let asked = format!("a cross-validation in {folds} folds");
    require(problem, folds, &asked, "use fewer folds or more rows")
}

fn require(problem: &Problem, needed: usize, asked: &str, mending: &'static str) -> Result<(), TrainError> {
    let (rows, label) = scarcer(problem);
    if rows >= needed {
        return Ok(());
    }
    Err(TrainError::TooFew { asked: asked.to_owned(), needed, label: label.to_owned(), rows, mending })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::svm::kernel::Kernel;
    use crate::svm::testing::blobs;

    fn settings(kernel: Kernel) -> Settings {
        Settings { kernel, seed: 5, ..Settings::default() }
    }

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
                let trained =
                    train(&problem, &Choice::Settings(settings(kernel)), plan, Some(Method::Platt), &Quiet)
                        .unwrap();
                let scorer = trained.fitted.scorer();
                let right = others.x.rows().zip(&others.positive);
                let right = right.filter(|(row, positive)| (scorer.score(row) > 0.0) == **positive).count();
                assert!(right >= 196, "{kernel} {plan:?}: {right} of 200");
                let measured = trained.measured.unwrap();
                assert!(measured.metrics.error < 0.03 && measured.metrics.log_loss < Some(0.1));
                assert!(trained.calibration.unwrap().platt().unwrap().a < 0.0);
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_machine() {
        let problem = blobs(60, 0.1, 1);
        let settings = settings(Kernel::Rbf { gamma: 0.2 });
        let train = |settings| {
            train(&problem, &Choice::Settings(settings), Plan::All, Some(Method::Platt), &Quiet).unwrap()
        };
        assert_eq!(train(settings), train(settings));
        assert_ne!(train(settings).calibration, train(Settings { seed: 6, ..settings }).calibration);
    }

    #[test]
    fn a_holdout_measures_rows_that_did_not_train() {
        let problem = blobs(80, 0.1, 1);
        let trained = train(
            &problem,
            &Choice::Settings(settings(Kernel::Linear)),
            Plan::Holdout(0.25),
            Some(Method::Platt),
            &Quiet,
        )
        .unwrap();
        assert_eq!((trained.rows, trained.positives), (60, 18));
        assert_eq!(trained.measured.unwrap().metrics.confusion.rows(), 20);
    }

    #[test]
    fn too_few_rows_of_a_label_are_told_or_done_without() {
        let rows: Vec<usize> = (0..1).chain(3..9).collect();
        let one_positive = blobs(10, 0.03, 1).select(&rows);
        let trained = train(
            &one_positive,
            &Choice::Settings(settings(Kernel::Linear)),
            Plan::All,
            Some(Method::Platt),
            &Quiet,
        )
        .unwrap();
        assert_eq!((trained.calibration, trained.measured), (None, None));
        for (plan, message) in [
            (
                Plan::CrossValidation(4),
                "a cross-validation in 4 folds needs at least 4 rows of each label, and label 1 has 1",
            ),
            (Plan::Holdout(0.5), "a holdout needs at least 2 rows of each label, and label 1 has 1"),
        ] {
            let told = train(
                &one_positive,
                &Choice::Settings(settings(Kernel::Linear)),
                plan,
                Some(Method::Platt),
                &Quiet,
            )
            .unwrap_err()
            .to_string();
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
            assert!(fit(&problem, &settings, &Quiet).unwrap_err().to_string().contains(message));
        }
    }
}
