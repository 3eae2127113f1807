//! Calibration and measures by rows that the machines were not trained on.

use crate::calibrate::{Calibration, Method};
use crate::data::problem::Problem;
use crate::evaluate::metrics::{Assessed, Metrics};
use crate::kernel::Kernel;
use crate::model::training::Measured;
use crate::solve::Progress;
use crate::train::cross_validation::{CrossValidated, FoldRows, cross_validate_in, require_folds, scarcer};
use crate::train::parallel::cores;
use crate::train::parameters::{Parameters, Solver, TrainError};
use crate::train::score_unit::ScoreUnit;
use crate::train::search::Search;
use crate::train::{CALIBRATION_ROWS, Scored, sample};

/// Most rows of it where one class is rare and the machine is a line.
const RARE_CALIBRATION_ROWS: usize = 20_000;

/// Rows that each sampled row of the commoner class stands for there, if that many may be taken.
const ROWS_EACH_STANDS_FOR: usize = 5;

/// What scores out of folds give: a calibration of all of them, and measures of each fold by the others.
#[derive(Default)]
pub(super) struct Validated {
    pub(super) calibration: Option<Calibration>,
    /// Whether the calibration is of scores in their machine's [`ScoreUnit`].
    pub(super) in_units: bool,
    pub(super) measured: Option<Measured>,
    pub(super) scored: Option<Scored>,
}

impl Validated {
    /// With what is said of folds that did not converge.
    fn with_unconverged(mut self, folds: Option<u64>) -> Self {
        if let Some(measured) = &mut self.measured {
            measured.unconverged_folds = folds;
        }
        self
    }
}

/// Calibrates and measures by cross-validation. The measures are of machines, calibrations and, after a search, choices
/// that were made without the rows that they are measured on.
pub(super) fn validate(
    problem: &Problem,
    parameters: &Parameters,
    search: Option<&Search>,
    folds: Option<usize>,
    calibrate: Option<Method>,
    progress: &dyn Progress,
) -> Result<Validated, TrainError> {
    let all = problem;
    let of_search = search.map(|search| validate_search(all, search, calibrate, progress)).transpose()?;
    // The rows of a search are measured already.
    let searched = search.filter(|search| folds.is_none() || search.rows == problem.len());
    // Without folds that were asked for, only the calibration needs some.
    if calibrate.is_none() && (folds.is_none() || searched.is_some()) {
        return Ok(of_search.unwrap_or_default());
    }
    let sample;
    let (problem, fold_rows) = match (searched, folds) {
        (Some(search), _) => {
            let weights = search.weights.clone();
            sample = Problem { weights, ..problem.select(&search.sample) };
            (&sample, FoldRows::of(search.fold_of.clone(), search.folds))
        }
        (None, Some(folds)) => {
            require_folds(problem, folds)?;
            (problem, FoldRows::new(problem, folds, parameters.seed))
        }
        (None, None) => {
            let rows = calibration_rows(problem, parameters);
            sample = sample::sample(problem, rows, parameters.solver, parameters.seed).0;
            let folds = scarcer(&sample).0.min(calibration_folds(sample.len()));
            if folds < 2 {
                return Ok(Validated::default());
            }
            (&sample, FoldRows::new(&sample, folds, parameters.seed))
        }
    };
    let folds = fold_rows.count();
    let found = cross_validate_in(&fold_rows, problem, parameters, progress);
    let (found, of_search) = match (found, of_search) {
        // The search has scores of machines that were as far as its bound on iterations lets them come.
        (Err(TrainError::UnconvergedFold { .. }), Some(of_search)) => {
            return Ok(of_search.with_unconverged(Some(folds as u64)));
        }
        (found, of_search) => (found?, of_search),
    };
    let CrossValidated { scores, units, unconverged_folds } = found;
    let in_units = units.iter().all(ScoreUnit::is_known);
    let alike: Vec<f64> = if in_units {
        scores.iter().zip(fold_rows.fold_of()).map(|(&score, &fold)| units[fold].inside(score)).collect()
    } else {
        scores.clone()
    };
    let rows = fold_rows.out_of_fold(problem, &alike);
    let calibration = calibrate.and_then(|method| rows.calibration(method));
    if let Some(of_search) = of_search {
        let validated = Validated { calibration, in_units, ..of_search };
        return Ok(validated.with_unconverged(unconverged_folds));
    }
    let probabilities =
        calibrate.and_then(|method| rows.probabilities(method, calibration.as_ref(), cores()));
    let scored = Scored {
        probabilities,
        positive: problem.positive.clone(),
        weights: problem.weights.clone(),
        fold_of: Some(fold_rows.fold_of().to_vec()),
        scores,
    };
    let name = if calibrate.is_some() { "cross-validation, cross-fitted" } else { "cross-validation" };
    let fitted = calibrate.map(|method| (method, alike.as_slice()));
    let measured = measured(name, Some(folds as u64), fitted, &scored);
    let validated = Validated { calibration, in_units, measured, scored: Some(scored) };
    Ok(validated.with_unconverged(unconverged_folds))
}

/// Calibrates by the search's scores of the chosen candidate, and measures with a choice and a calibration of its own for
/// each fold.
fn validate_search(
    problem: &Problem,
    search: &Search,
    calibrate: Option<Method>,
    progress: &dyn Progress,
) -> Result<Validated, TrainError> {
    let sample = Problem { weights: search.weights.clone(), ..problem.select(&search.sample) };
    let fold_rows = FoldRows::of(search.fold_of.clone(), search.folds);
    let scores = &search.tried[search.chosen].scores;
    let calibration = calibrate.and_then(|method| fold_rows.out_of_fold(&sample, scores).calibration(method));
    let Some(nested) = search.nested(&sample, calibrate, progress)? else {
        return Ok(Validated { calibration, ..Validated::default() });
    };
    let fitted = calibrate.map(|method| (method, nested.alike.as_slice()));
    let scored = Scored {
        scores: nested.scores,
        probabilities: nested.probabilities,
        positive: sample.positive,
        weights: sample.weights,
        fold_of: Some(search.fold_of.clone()),
    };
    let measured = measured("nested cross-validation", Some(search.folds as u64), fitted, &scored);
    Ok(Validated { calibration, measured, scored: Some(scored), ..Validated::default() })
}

/// Rows of the cross-validation behind a calibration.
///
/// Where one class is rare, a sampled row of the other stands for many: a single error counts as so many, and the
/// machines of folds see few of the rows at the edge. Lines, whose time grows with the rows alone, take more rows then.
fn calibration_rows(problem: &Problem, parameters: &Parameters) -> usize {
    let linear = parameters.kernel == Kernel::Linear && parameters.solver == Solver::Native;
    let scarce = scarcer(problem).0;
    if !linear || scarce >= CALIBRATION_ROWS / 2 {
        return CALIBRATION_ROWS;
    }
    let for_few = scarce + (problem.len() - scarce) / ROWS_EACH_STANDS_FOR;
    for_few.clamp(CALIBRATION_ROWS, RARE_CALIBRATION_ROWS)
}

/// Folds of the cross-validation behind a calibration: three, as in Lin, Lin and Weng (2007), section 1, and more for
/// few rows, whose machines would differ much from that of all rows and cost little.
fn calibration_folds(rows: usize) -> usize {
    match rows {
        0..=300 => 10,
        301..=1000 => 5,
        _ => 3,
    }
}

/// None where a score is not finite; `fitted` is how calibrations of folds were, if there are any.
pub(super) fn measured(
    name: &str,
    folds: Option<u64>,
    fitted: Option<(Method, &[f64])>,
    scored: &Scored,
) -> Option<Measured> {
    let metrics = Metrics::of(&Assessed {
        scores: &scored.scores,
        probabilities: scored.probabilities.as_deref(),
        positive: &scored.positive,
        weights: scored.weights.as_deref(),
        fold_of: scored.fold_of.as_deref(),
        fitted,
    })?;
    Some(Measured { method: name.to_owned(), folds, unconverged_folds: None, metrics })
}
