//! Training: a problem and parameters in, a fitted machine, its calibration and its measures out.

pub(crate) mod cross_validation;
pub(crate) mod fit;
#[cfg(test)]
mod fresh_tests;
pub(crate) mod memory;
mod out_of_fold;
mod parallel;
pub(crate) mod parameters;
pub(crate) mod sample;
mod score_unit;
pub(crate) mod search;
mod validate;

use crate::calibrate::{Calibration, Method, Platt};
use crate::data::folds::{Split, random_split};
use crate::data::problem::Problem;
use crate::data::scaling::mean;
use crate::model::metadata::Metadata;
use crate::model::training::{Measured, SolverRecord, Training};
use crate::model::{Features, Parts};
use crate::solve::Progress;
use crate::train::cross_validation::require;
use crate::train::fit::{Fitted, fit};
use crate::train::parameters::{Parameters, Solver, TrainError};
use crate::train::score_unit::ScoreUnit;
use crate::train::search::{Grid, Search, search};
use crate::train::validate::{Validated, measured, validate};

/// Which rows train and which rows measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Plan {
    /// All rows train; a cross-validation of at most [`CALIBRATION_ROWS`] rows calibrates and measures. All rows of the
    /// scarcer class are among them, up to half, and weights give each class its share.
    All,
    /// This share of the rows is kept back, drawn at random, and measures; the others train, and calibrate as in `All`.
    Holdout(f64),
    /// All rows train; a cross-validation of all rows in so many folds calibrates and measures. After a search on a sample
    /// it only calibrates: the search's rows measure, with a choice of its own for each fold.
    CrossValidation(usize),
}

/// Most rows of the cross-validation behind a calibration.
///
/// Two numbers are fitted, for which a few thousand scores suffice; a kernel solver's time grows with rows². Lines take up to
/// 20,000 rows where one class is rare.
pub const CALIBRATION_ROWS: usize = 2000;

/// From so many features the mean of each is not recorded.
const MANY_FEATURES: usize = 100_000;

/// Where the parameters come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// These.
    Parameters(Parameters),
    /// The best of a grid, compared on the rows that train.
    Grid(Grid),
}

/// The outcome of [`train()`].
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The parameters that were given or chosen.
    pub parameters: Parameters,
    /// The search that chose them, if there was one.
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
    /// The mean of each feature over those rows, unscaled; none where there are more features than anyone reads
    /// explanations of, and the model file has better use for the bytes: from 100,000.
    pub feature_mean: Option<Vec<f64>>,
    /// Whether the machine scores all of those rows alike ([`SCORE_TIE`](crate::SCORE_TIE)), so that it is of no use.
    ///
    /// The hinge loss comes to that wherever no row's chance p of the positive label comes near one half: its best score
    /// is the sign of 2p − 1, which is then the same for all rows. The best score of the squared hinge loss is 2p − 1
    /// itself (Zhang, *Annals of Statistics* 32, 2004, section 3; Bartlett, Jordan and McAuliffe, *JASA* 101, 2006).
    pub constant: bool,
}

impl Trained {
    /// The parts of a model: no name, nothing known of the features but their number, no metadata, and a record of
    /// the training without a checksum of its file. Callers put in what they know and call
    /// [`Model::new`](crate::Model::new).
    pub fn into_parts(self, problem: &Problem) -> Parts {
        let Self {
            parameters, fitted, calibration, measured, rows, positives, feature_mean, constant, ..
        } = self;
        Parts {
            name: None,
            features: Features::of_count(problem.x.columns()),
            window: Metadata::default(),
            labels: problem.labels.clone(),
            scaling: fitted.scaling,
            machine: fitted.machine,
            calibration,
            training: Some(Training {
                solver: fitted.solve.solver.name().to_owned(),
                tool_version: env!("CARGO_PKG_VERSION").to_owned(),
                c: parameters.c,
                seed: parameters.seed,
                rows: rows as u64,
                positives: positives as u64,
                data_sha256: None,
                measured,
                parameters: Some(SolverRecord::of(&parameters, &fitted.solve, problem.weights.is_some())),
                feature_mean,
                constant: Some(constant),
            }),
        }
    }
}

/// Scores of rows that the scoring machine was not trained on, and the truth.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// A decision value a row.
    pub scores: Vec<f64>,
    /// Whether the row at the same place has the positive label.
    pub positive: Vec<bool>,
    /// What the row at the same place counts; none for 1 everywhere.
    pub weights: Option<Vec<f64>>,
    /// A probability a row, by a calibration that was not fitted to the row; none without calibration.
    pub probabilities: Option<Vec<f64>>,
    /// The fold of each row of a cross-validation; none for a holdout.
    pub fold_of: Option<Vec<usize>>,
}

/// Trains, calibrates by the method `calibrate`, and measures: the long way from [`Problem`] to a model, of which
/// [`Model::train`](crate::Model::train) is the short one.
///
/// ```
/// use upbeat_svm::{
///     Choice, Criterion, Grid, Kernel, Matrix, Metadata, Method, Model, NoProgress, Parameters, Parts, Plan, Problem, train,
/// };
///
/// // Positive inside of a circle, which no line separates.
/// let points = (0..200).map(|i| [(i % 20) as f64 / 10.0 - 1.0, (i / 20) as f64 / 5.0 - 1.0]);
/// let x = Matrix::from_rows(points);
/// let positive = x.rows().map(|p| p[0] * p[0] + p[1] * p[1] < 0.6).collect();
/// let problem = Problem::new(x, positive)?;
///
/// let rbf = Parameters { kernel: Kernel::Rbf { gamma: 1.0 }, ..Parameters::default() };
/// let grid = Grid { families: vec![Parameters::default(), rbf], folds: 3, criterion: Criterion::LogLoss, balance: false };
/// let trained = train(&problem, &Choice::Grid(grid), Plan::Holdout(0.25), Some(Method::Platt), &NoProgress)?;
/// assert_eq!(trained.parameters.kernel.name(), "rbf");
/// assert!(trained.measured.as_ref().is_some_and(|measured| measured.metrics.error < 0.1));
///
/// let window = Metadata::new(&"the points of a circle");
/// let model = Model::new(Parts { name: Some("circle".to_owned()), window, ..trained.into_parts(&problem) })?;
/// assert_eq!(model.predict(&[0.0, 0.1]), "1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// What [`fit`] and [`cross_validate`](crate::cross_validate) refuse; a holdout of a class with one row.
pub fn train(
    problem: &Problem,
    choice: &Choice,
    plan: Plan,
    calibrate: Option<Method>,
    progress: &dyn Progress,
) -> Result<Trained, TrainError> {
    match plan {
        Plan::All => train_all(problem, choice, None, calibrate, progress),
        Plan::CrossValidation(folds) => train_all(problem, choice, Some(folds), calibrate, progress),
        Plan::Holdout(share) => {
            require(problem, 2, "a holdout", "add rows, or leave --holdout out")?;
            let Some(Split { train, held_out }) = random_split(&problem.positive, share, choice.seed())
            else {
                return Err(TrainError::Parameter { name: "--holdout", wanted: "above 0 and below 1" });
            };
            let mut trained = train_all(&problem.select(&train), choice, None, calibrate, progress)?;
            let scores = trained.fitted.scorer().score_rows(&problem.x, &held_out);
            let calibration = trained.calibration.as_ref();
            let probability = |calibration: &Calibration| {
                scores.iter().map(|&score| calibration.probability(score)).collect()
            };
            let scored = Scored {
                probabilities: calibration.map(probability),
                positive: held_out.iter().map(|&row| problem.positive[row]).collect(),
                weights: problem.weights.as_ref().map(|all| held_out.iter().map(|&row| all[row]).collect()),
                fold_of: None,
                scores,
            };
            trained.measured = measured("holdout", None, None, &scored);
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
    progress: &dyn Progress,
) -> Result<Trained, TrainError> {
    let train = |parameters: &Parameters| -> Result<(Fitted, bool), TrainError> {
        progress.stage(&format!("training on {} rows", problem.len()), None);
        let fitted = fit(problem, parameters, progress)?;
        let constant = fitted.is_constant(&problem.x);
        Ok((fitted, constant))
    };
    let (parameters, search, trained) = match choice {
        Choice::Parameters(parameters) => {
            parameters.check()?;
            (*parameters, None, None)
        }
        Choice::Grid(grid) => {
            let (found, trained) = search(problem, grid, progress)?.first_that_trains(train)?;
            (found.tried[found.chosen].parameters, Some(found), Some(trained))
        }
    };
    let parameters = &parameters;
    let Validated { calibration, in_units, measured: measures, scored } =
        validate(problem, parameters, search.as_ref(), folds, calibrate, progress)?;
    let (fitted, constant) = trained.map_or_else(|| train(parameters), Ok)?;
    let calibration = match calibration {
        Some(calibration) if in_units => {
            let unit = ScoreUnit::of(&fitted.scorer(), problem);
            let moved = unit.is_known().then(|| unit.outside(&calibration)).flatten();
            let base_rate = || Platt::base_rate(&problem.positive, problem.weights.as_deref());
            moved.or_else(|| base_rate().map(Calibration::Platt))
        }
        calibration => calibration,
    };
    Ok(Trained {
        parameters: *parameters,
        search,
        fitted,
        calibration,
        measured: measures,
        scored,
        rows: problem.len(),
        positives: problem.positives(),
        feature_mean: (problem.x.columns() < MANY_FEATURES)
            .then(|| mean(&problem.x, problem.weights.as_deref())),
        constant,
    })
}

impl Choice {
    /// The solver; of a grid, its first family's.
    pub fn solver(&self) -> Option<Solver> {
        match self {
            Self::Parameters(parameters) => Some(parameters.solver),
            Self::Grid(grid) => grid.families.first().map(|parameters| parameters.solver),
        }
    }

    fn seed(&self) -> u64 {
        match self {
            Self::Parameters(parameters) => parameters.seed,
            Self::Grid(grid) => grid.families.first().map_or(0, |parameters| parameters.seed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Kernel;
    use crate::solve::NoProgress;
    use crate::solve::linear::Loss;
    use crate::testing::blobs;

    fn parameters(kernel: Kernel) -> Parameters {
        Parameters { kernel, loss: Loss::Hinge, seed: 5, ..Parameters::default() }
    }

    #[test]
    fn every_kernel_and_plan_separates_distant_blobs() {
        let problem = blobs(100, 0.03, 1);
        let others = blobs(200, 0.03, 2);
        for kernel in [
            Kernel::Linear,
            Kernel::Rbf { gamma: 0.2 },
            Kernel::Poly { gamma: 0.2, coef0: 1.0, degree: 2 },
            Kernel::Sigmoid { gamma: 0.05, coef0: 0.0 },
        ] {
            for plan in [Plan::All, Plan::Holdout(0.25), Plan::CrossValidation(4)] {
                let trained = train(
                    &problem,
                    &Choice::Parameters(parameters(kernel)),
                    plan,
                    Some(Method::Platt),
                    &NoProgress,
                )
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
    fn equal_seeds_give_equal_machines() {
        let problem = blobs(60, 0.1, 1);
        let parameters = parameters(Kernel::Rbf { gamma: 0.2 });
        let train = |parameters| {
            train(&problem, &Choice::Parameters(parameters), Plan::All, Some(Method::Platt), &NoProgress)
                .unwrap()
        };
        assert_eq!(train(parameters), train(parameters));
        assert_ne!(train(parameters).calibration, train(Parameters { seed: 6, ..parameters }).calibration);
    }

    #[test]
    fn holdout_measures_rows_that_did_not_train() {
        let problem = blobs(80, 0.1, 1);
        let trained = train(
            &problem,
            &Choice::Parameters(parameters(Kernel::Linear)),
            Plan::Holdout(0.25),
            Some(Method::Platt),
            &NoProgress,
        )
        .unwrap();
        assert_eq!(trained.rows, 60);
        assert_eq!(trained.measured.unwrap().metrics.confusion.rows(), 20);
    }

    #[test]
    fn too_few_rows_of_a_label_skip_calibration_or_are_refused() {
        let rows: Vec<usize> = (0..1).chain(3..9).collect();
        let one_positive = blobs(10, 0.03, 1).select(&rows);
        let trained = train(
            &one_positive,
            &Choice::Parameters(parameters(Kernel::Linear)),
            Plan::All,
            Some(Method::Platt),
            &NoProgress,
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
            let reported = train(
                &one_positive,
                &Choice::Parameters(parameters(Kernel::Linear)),
                plan,
                Some(Method::Platt),
                &NoProgress,
            )
            .unwrap_err()
            .to_string();
            assert!(reported.contains(message), "{reported}");
        }
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        let problem = blobs(20, 0.1, 1);
        for (c, gamma, message) in [
            (0.0, 1.0, "C must be"),
            (f64::NAN, 1.0, "C must be"),
            (1.0, 0.0, "gamma must be"),
            (1.0, f64::INFINITY, "gamma must be"),
        ] {
            let parameters = Parameters { c, ..parameters(Kernel::Rbf { gamma }) };
            assert!(fit(&problem, &parameters, &NoProgress).unwrap_err().to_string().contains(message));
        }
    }
}
