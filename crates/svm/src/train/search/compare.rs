//! Trains the candidates on the folds and measures them.

use crate::calibrate::{Calibration, Method};
use crate::data::problem::Problem;
use crate::evaluate::metrics::Metrics;
use crate::kernel::Kernel;
use crate::solve::{NoProgress, Progress};
use crate::train::cross_validation::FoldRows;
use crate::train::fit::{Fitted, fit_path};
use crate::train::parallel::{cores, in_parallel};
use crate::train::parameters::{Parameters, Solver, TrainError};
use crate::train::search::Candidate;

/// Bound on a candidate's iterations per row: most converge long before, and one that does not would delay all
/// others. It is judged by the solution at the bound.
const MAX_ITERATIONS_PER_ROW: u64 = 100;

/// Machines that differ in C alone: trained one after the other, each from where the last one ended.
pub(super) struct Path {
    pub(super) family: usize,
    pub(super) parameters: Parameters,
    pub(super) cs: Vec<f64>,
}

/// Every candidate of the paths with its measures; folds and paths run in parallel.
pub(super) fn compare(
    problem: &Problem,
    paths: &[Path],
    fold_rows: &FoldRows,
    stage: &str,
    progress: &dyn Progress,
) -> Result<Vec<Candidate>, TrainError> {
    let folds = fold_rows.count();
    let machines: usize = paths.iter().map(|path| path.cs.len() * folds).sum();
    progress.stage(stage, Some(machines as u64));
    let scored = in_parallel(paths.len() * folds, cores(), |piece| {
        let (path, fold) = (&paths[piece / folds], piece % folds);
        let training = fold_rows.training(problem, fold);
        let parameters = bounded(&path.parameters, training.len());
        let fitted = match fit_path(&training, &parameters, &path.cs, &NoProgress) {
            Err(TrainError::TooGreat { .. } | TrainError::Solver { .. }) => return Ok(None),
            fitted => fitted?,
        };
        progress.advance(path.cs.len() as u64);
        let score = |machine: &Fitted| -> Vec<f64> {
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
                tried.push(Candidate { family: path.family, parameters, metrics, scores });
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
