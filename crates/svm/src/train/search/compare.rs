//! Trains the candidates on the folds and measures them.

use crate::calibrate::Method;
use crate::data::problem::Problem;
use crate::evaluate::metrics::Metrics;
use crate::evaluate::ties::constant;
use crate::kernel::Kernel;
use crate::solve::{NoProgress, Progress};
use crate::train::cross_validation::FoldRows;
use crate::train::fit::{Fitted, fit_path};
use crate::train::memory;
use crate::train::parallel::{cores, in_parallel};
use crate::train::parameters::{Parameters, Solver, TrainError};
use crate::train::search::{Candidate, LeftOut};

/// Bound on a candidate's iterations per row: most converge long before, and those that do not, squared hinge machines of
/// great C above all, took more than half of a search's time. Such a candidate is judged by the solution at the bound, and
/// [`Candidate::converged`] says so.
const MAX_ITERATIONS_PER_ROW: u64 = 30;

/// Machines that differ in C alone: trained one after the other, each from where the last one ended.
pub(super) struct Path {
    pub(super) family: usize,
    pub(super) parameters: Parameters,
    pub(super) cs: Vec<f64>,
}

/// What became of the candidates.
#[derive(Default)]
pub(super) struct Compared {
    pub(super) tried: Vec<Candidate>,
    pub(super) left_out: Vec<LeftOut>,
}

/// The scores of a fold's rows, and whether the solver converged.
struct Held {
    scores: Vec<f64>,
    converged: bool,
}

/// Every candidate of the paths with its measures; folds and paths run in parallel. A candidate that fails in one
/// fold is left out, alone.
pub(super) fn compare(
    problem: &Problem,
    paths: &[Path],
    fold_rows: &FoldRows,
    stage: &str,
    progress: &dyn Progress,
) -> Result<Compared, TrainError> {
    let folds = fold_rows.count();
    let machines: usize = paths.iter().map(|path| path.cs.len() * folds).sum();
    progress.stage(stage, Some(machines as u64));
    let scored = in_parallel(paths.len() * folds, cores(), |piece| {
        let (path, fold) = (&paths[piece / folds], piece % folds);
        let training = fold_rows.training(problem, fold);
        let parameters = bounded(&path.parameters, training.len());
        let fitted = match checked(&training, &parameters, &path.cs) {
            Err(error @ TrainError::TooLarge { .. }) => {
                let reason = error.to_string();
                return Ok(path.cs.iter().map(|_| Err(reason.clone())).collect());
            }
            fitted => fitted?,
        };
        progress.advance(path.cs.len() as u64);
        let judged_early = parameters.max_iterations != path.parameters.max_iterations;
        let score = |machine: Result<Fitted, TrainError>| -> Result<Held, String> {
            let machine = machine.map_err(|error| error.to_string())?;
            let converged = machine.solve.converged;
            // What stopped at the solver's own bound would do so on all rows as well.
            if !converged && !judged_early && !parameters.allow_unconverged {
                let iterations = machine.solve.iterations.unwrap_or(0);
                return Err(TrainError::Unconverged { iterations }.to_string());
            }
            let scorer = machine.scorer();
            let scores = scorer.score_rows(&problem.x, fold_rows.held(fold));
            Ok(Held { scores, converged })
        };
        Ok(fitted.into_iter().map(score).collect::<Vec<_>>())
    });
    let mut scored = scored.into_iter().collect::<Result<Vec<_>, TrainError>>()?;
    let mut attempts = Vec::new();
    for (path, of_folds) in paths.iter().zip(scored.chunks_mut(folds)) {
        for &c in &path.cs {
            let held: Result<Vec<Held>, String> = of_folds.iter_mut().map(|of_cs| of_cs.remove(0)).collect();
            attempts.push((path.family, Parameters { c, ..path.parameters }, held));
        }
    }
    let measured = in_parallel(attempts.len(), cores(), |place| {
        let (family, parameters, held) = &attempts[place];
        held.as_ref().map_err(Clone::clone).and_then(|held| {
            let converged = held.iter().all(|held| held.converged);
            let (scores, probabilities, metrics) = measure(problem, fold_rows, held)?;
            Ok(Candidate {
                family: *family,
                parameters: *parameters,
                metrics,
                converged,
                scores,
                probabilities,
                again: Vec::new(),
            })
        })
    });
    let mut compared = Compared::default();
    for (measured, (_, parameters, _)) in measured.into_iter().zip(attempts) {
        match measured {
            Ok(candidate) => compared.tried.push(candidate),
            Err(reason) => compared.left_out.push(LeftOut { parameters, reason }),
        }
    }
    Ok(compared)
}

/// [`fit_path`] within the memory that a search allows.
fn checked(
    training: &Problem,
    parameters: &Parameters,
    cs: &[f64],
) -> Result<Vec<Result<Fitted, TrainError>>, TrainError> {
    if training.x.as_dense().is_none() {
        memory::check(&training.x, parameters, memory::SEARCH_KERNEL_BYTES)?;
    }
    fit_path(training, parameters, cs, &NoProgress)
}

/// Scores, probabilities and their measures.
type Measured = (Vec<f64>, Option<Vec<f64>>, Metrics);

/// The scores of all rows, their probabilities by calibrations of the other folds, and their measures.
fn measure(problem: &Problem, fold_rows: &FoldRows, held: &[Held]) -> Result<Measured, String> {
    let mut scores = vec![0.0; problem.len()];
    for (fold, held) in held.iter().enumerate() {
        fold_rows.held(fold).iter().zip(&held.scores).for_each(|(&row, &score)| scores[row] = score);
    }
    if constant(scores.iter().copied()) {
        return Err("it scores all rows alike; use other features, or another loss than the hinge".to_owned());
    }
    let rows = fold_rows.out_of_fold(problem, &scores);
    let calibration = rows.calibration(Method::Platt);
    let probabilities = rows.probabilities(Method::Platt, calibration.as_ref(), 1);
    let metrics = rows.metrics(Some(Method::Platt), probabilities.as_deref());
    let metrics = metrics.ok_or_else(|| "a score is not a finite number".to_owned())?;
    Ok((scores, probabilities, metrics))
}

/// The parameters with a bound on SMO's iterations, unless they have one; the other solvers end soon.
fn bounded(parameters: &Parameters, rows: usize) -> Parameters {
    let smo = parameters.solver == Solver::Smo || parameters.kernel != Kernel::Linear;
    let bound = smo.then_some(MAX_ITERATIONS_PER_ROW * rows as u64);
    Parameters { max_iterations: parameters.max_iterations.or(bound), ..*parameters }
}
