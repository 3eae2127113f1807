//! Scores of rows by machines that were trained without them.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::calibrate::Pairs;
use crate::data::folds::stratified_folds;
use crate::data::problem::Problem;
use crate::solve::{NoProgress, Progress};
use crate::train::fit::fit;
use crate::train::out_of_fold::OutOfFold;
use crate::train::parallel::{cores, in_parallel};
use crate::train::parameters::{Parameters, TrainError};
use crate::train::score_unit::ScoreUnit;

/// Scores every row with a machine trained on the other folds; each fold learns its own scaling. Folds
/// run in parallel, one a core; the scores do not depend on the number of cores.
///
/// # Errors
/// Fewer than two folds, fewer rows in a class than folds; what [`fit`] refuses; a machine that does not converge, unless
/// the parameters bound its iterations or allow it: scores of such machines say nothing of one that does.
pub fn cross_validate(
    problem: &Problem,
    parameters: &Parameters,
    folds: usize,
    progress: &dyn Progress,
) -> Result<Vec<f64>, TrainError> {
    require_folds(problem, folds)?;
    let fold_rows = FoldRows::new(problem, folds, parameters.seed);
    cross_validate_in(&fold_rows, problem, parameters, progress).map(|validated| validated.scores)
}

/// What the machines of folds give.
pub(crate) struct CrossValidated {
    /// A decision value a row.
    pub(crate) scores: Vec<f64>,
    /// The unit of each fold's scores.
    pub(crate) units: Vec<ScoreUnit>,
    /// How many folds' solver did not converge; none for none.
    pub(crate) unconverged_folds: Option<u64>,
}

/// [`cross_validate`] in these folds.
pub(crate) fn cross_validate_in(
    fold_rows: &FoldRows,
    problem: &Problem,
    parameters: &Parameters,
    progress: &dyn Progress,
) -> Result<CrossValidated, TrainError> {
    let folds = fold_rows.count();
    progress.stage(&format!("cross-validation in {folds} folds"), Some(folds as u64));
    let failed = AtomicBool::new(false);
    let scored = in_parallel(folds, cores(), |fold| {
        // A fold that was not begun comes after one that failed, which is the one that is reported.
        if failed.load(Ordering::Relaxed) {
            return Ok(OfFold::default());
        }
        let scored = score_fold(fold_rows, fold, problem, parameters);
        failed.fetch_or(scored.is_err(), Ordering::Relaxed);
        progress.advance(1);
        scored
    });
    let (mut scores, mut units, mut unconverged) = (vec![0.0; problem.len()], Vec::with_capacity(folds), 0);
    for (fold, scored) in scored.into_iter().enumerate() {
        let OfFold { held, unit, converged } = scored?;
        fold_rows.held(fold).iter().zip(held).for_each(|(&row, score)| scores[row] = score);
        units.push(unit);
        unconverged += u64::from(!converged);
    }
    Ok(CrossValidated { scores, units, unconverged_folds: (unconverged > 0).then_some(unconverged) })
}

#[derive(Default)]
struct OfFold {
    held: Vec<f64>,
    unit: ScoreUnit,
    converged: bool,
}

fn score_fold(
    fold_rows: &FoldRows,
    fold: usize,
    problem: &Problem,
    parameters: &Parameters,
) -> Result<OfFold, TrainError> {
    let training = fold_rows.training(problem, fold);
    let fitted = fit(&training, parameters, &NoProgress)?;
    let converged = fitted.solve.converged;
    if !converged && parameters.max_iterations.is_none() && !parameters.allow_unconverged {
        let iterations = fitted.solve.iterations.unwrap_or(0);
        return Err(TrainError::UnconvergedFold { fold: fold + 1, iterations });
    }
    let scorer = fitted.scorer();
    let held = scorer.score_rows(&problem.x, fold_rows.held(fold));
    Ok(OfFold { held, unit: ScoreUnit::of(&scorer, &training), converged })
}

/// The rows of each fold, and the fold of each row.
pub(crate) struct FoldRows {
    held: Vec<Vec<usize>>,
    fold_of: Vec<usize>,
}

impl FoldRows {
    /// Stratified and seeded; `folds` ≥ 2.
    pub(crate) fn new(problem: &Problem, folds: usize, seed: u64) -> Self {
        Self::of(stratified_folds(&problem.positive, folds, seed), folds)
    }

    /// Folds that are known already.
    pub(crate) fn of(fold_of: Vec<usize>, folds: usize) -> Self {
        let mut held = vec![Vec::new(); folds];
        for (row, &fold) in fold_of.iter().enumerate() {
            held[fold].push(row);
        }
        Self { held, fold_of }
    }

    /// How many folds there are.
    pub(crate) fn count(&self) -> usize {
        self.held.len()
    }

    /// The fold of every row.
    pub(crate) fn fold_of(&self) -> &[usize] {
        &self.fold_of
    }

    /// Scores of the problem's rows as scores out of these folds.
    pub(crate) fn out_of_fold<'a>(&'a self, problem: &'a Problem, scores: &'a [f64]) -> OutOfFold<'a> {
        let (positive, weights) = (&problem.positive, problem.weights.as_deref());
        OutOfFold {
            pairs: Pairs::all(scores, positive, weights),
            fold_of: &self.fold_of,
            folds: self.held.len(),
        }
    }

    /// The rows kept back in a fold, ascending.
    pub(crate) fn held(&self, fold: usize) -> &[usize] {
        &self.held[fold]
    }

    /// The rows of all other folds as a problem.
    pub(crate) fn training(&self, problem: &Problem, fold: usize) -> Problem {
        let mut held = self.held[fold].iter().copied().peekable();
        let others: Vec<usize> = (0..problem.len()).filter(|&row| held.next_if_eq(&row).is_none()).collect();
        problem.select(&others)
    }
}

/// Rows of the class that has fewer, and its label.
pub(crate) fn scarcer(problem: &Problem) -> (usize, &str) {
    let positives = problem.positives();
    let negatives = problem.len() - positives;
    if positives <= negatives {
        (positives, &problem.labels.positive)
    } else {
        (negatives, &problem.labels.negative)
    }
}

/// Whether there are folds, and every class has a row for each.
pub(crate) fn require_folds(problem: &Problem, folds: usize) -> Result<(), TrainError> {
    if folds < 2 {
        return Err(TrainError::Parameter { name: "the number of folds", wanted: "2 or more" });
    }
    let asked = format!("a cross-validation in {folds} folds");
    require(problem, folds, &asked, "use fewer folds or more rows")
}

/// Whether every class has the rows that something `asked` for needs.
pub(super) fn require(
    problem: &Problem,
    needed: usize,
    asked: &str,
    fix: &'static str,
) -> Result<(), TrainError> {
    let (rows, label) = scarcer(problem);
    if rows >= needed {
        return Ok(());
    }
    Err(TrainError::TooFew { asked: asked.to_owned(), needed, label: label.to_owned(), rows, fix })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::testing::blobs;

    #[test]
    fn machines_that_do_not_converge_are_not_measured_as_if_they_had() {
        // No solver meets such a tolerance.
        let parameters = Parameters { epsilon: 1e-300, ..Parameters::default() };
        let problem = blobs(60, 0.3, 3);
        let reported = cross_validate(&problem, &parameters, 3, &NoProgress).unwrap_err();
        assert!(matches!(reported, TrainError::UnconvergedFold { fold: 1, .. }), "{reported}");
        // Whoever bounds the iterations asks for what is found until then.
        let bounded = Parameters { max_iterations: Some(5), ..parameters };
        assert_eq!(cross_validate(&problem, &bounded, 3, &NoProgress).unwrap().len(), 60);
        let allowed = Parameters { allow_unconverged: true, ..parameters };
        let folds = FoldRows::new(&problem, 3, 1);
        let validated = cross_validate_in(&folds, &problem, &allowed, &NoProgress).unwrap();
        assert_eq!((validated.scores.len(), validated.unconverged_folds), (60, Some(3)));
    }

    #[test]
    fn folds_stop_after_the_first_that_fails() {
        struct Count(AtomicU64);
        impl Progress for Count {
            fn advance(&self, more: u64) {
                self.0.fetch_add(more, Ordering::Relaxed);
            }
        }
        // Every fold fails; as many as there are threads may have begun by then.
        let parameters = Parameters { epsilon: 1e-300, ..Parameters::default() };
        let folds = 2 * cores() + 1;
        let ended = Count(AtomicU64::new(0));
        let reported = cross_validate(&blobs(4 * folds, 0.3, 3), &parameters, folds, &ended).unwrap_err();
        assert!(matches!(reported, TrainError::UnconvergedFold { .. }), "{reported}");
        assert!((1..=cores() as u64).contains(&ended.0.load(Ordering::Relaxed)), "{:?}", ended.0);
    }
}
