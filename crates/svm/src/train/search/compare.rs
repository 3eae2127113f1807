//! Trains the candidates on the folds and measures them.

use crate::calibrate::Method;
use crate::data::problem::Problem;
use crate::evaluate::metrics::Metrics;
use crate::evaluate::ties::constant;
use crate::kernel::Kernel;
use crate::solve::linear::{Bias, Loss};
use crate::solve::{NoProgress, Progress};
use crate::train::cross_validation::FoldRows;
use crate::train::fit::{Fitted, fit_path};
use crate::train::memory;
use crate::train::parallel::{cores, in_parallel};
use crate::train::parameters::{Parameters, Solver, TrainError};
use crate::train::search::{Again, Candidate, LeftOut};

/// Bound on SMO's iterations, per row and at least. Most candidates converge long before, and those that do not, squared
/// hinge machines of great C above all, took more than half of a search's time, which grows with C on and on.
const MAX_ITERATIONS_PER_ROW: u64 = 15;
const LEAST_MAX_ITERATIONS: u64 = 3000;

/// SMO's epsilon where that of the parameters is less: margins are 1, and what this leaves of them moves a label here and
/// there, less than another choice of folds does.
const SEARCH_EPSILON: f64 = 0.01;

/// Most numbers of wide rows that are made dense for SMO.
const WIDE_NUMBERS: usize = 1_000_000;

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

/// Every candidate of the paths with its measures; folds and paths run in parallel. A candidate that fails in one
/// fold is left out: alone, but for one whose solver does not converge within its bound, behind which greater C of its path
/// are left out as well.
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
        let parameters = eased(&path.parameters, &training);
        let fitted = match checked(&training, &parameters, &path.cs) {
            Err(error @ TrainError::TooLarge { .. }) => {
                let reason = error.to_string();
                return Ok(path.cs.iter().map(|_| Err(reason.clone())).collect());
            }
            fitted => fitted?,
        };
        progress.advance(path.cs.len() as u64);
        let score = |machine: Result<Fitted, TrainError>| -> Result<Vec<f64>, String> {
            let machine = machine.map_err(|error| error.to_string())?;
            if !machine.solve.converged && !parameters.allow_unconverged {
                let iterations = machine.solve.iterations.unwrap_or(0);
                return Err(TrainError::Unconverged { iterations }.to_string());
            }
            Ok(machine.scorer().score_rows(&problem.x, fold_rows.held(fold)))
        };
        Ok(fitted.into_iter().map(score).collect::<Vec<_>>())
    });
    let mut scored = scored.into_iter().collect::<Result<Vec<_>, TrainError>>()?;
    let mut attempts = Vec::new();
    for (path, of_folds) in paths.iter().zip(scored.chunks_mut(folds)) {
        for &c in &path.cs {
            let held: Result<Vec<Vec<f64>>, String> =
                of_folds.iter_mut().map(|of_cs| of_cs.remove(0)).collect();
            attempts.push((path.family, Parameters { c, ..path.parameters }, held));
        }
    }
    let measured = in_parallel(attempts.len(), cores(), |place| {
        let (family, parameters, held) = &attempts[place];
        held.as_ref().map_err(Clone::clone).and_then(|held| {
            let Again { metrics, brier, scores, probabilities } = measure(problem, fold_rows, held)?;
            let (family, parameters, again) = (*family, *parameters, Vec::new());
            Ok(Candidate { family, parameters, metrics, brier, scores, probabilities, again })
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

/// The scores of all rows, their probabilities by calibrations of the other folds, and their measures.
fn measure(problem: &Problem, fold_rows: &FoldRows, held: &[Vec<f64>]) -> Result<Again, String> {
    let mut scores = vec![0.0; problem.len()];
    for (fold, held) in held.iter().enumerate() {
        fold_rows.held(fold).iter().zip(held).for_each(|(&row, &score)| scores[row] = score);
    }
    // Folds that are each alike, at heights of their own, differ in nothing but their rows.
    if held.iter().all(|scores| constant(scores.iter().copied())) {
        return Err("it scores all rows alike; use other features, or another loss than the hinge".to_owned());
    }
    let rows = fold_rows.out_of_fold(problem, &scores);
    let calibration = rows.calibration(Method::Platt);
    let probabilities = rows.probabilities(Method::Platt, calibration.as_ref(), 1);
    let assessed = rows.assessed(Some(Method::Platt), probabilities.as_deref());
    let metrics = Metrics::of(&assessed).ok_or_else(|| "a score is not a finite number".to_owned())?;
    let brier = assessed.brier();
    Ok(Again { metrics, brier, scores, probabilities })
}

/// The parameters with which machines are compared: SMO with a bound on its iterations, unless they have one, and with an
/// epsilon that is small enough to compare by; and lines of dense rows that are no more than their columns by SMO as well,
/// whose time grows with the rows and not with the cube of the columns. The other solvers end soon.
pub(super) fn eased(parameters: &Parameters, training: &Problem) -> Parameters {
    let rows = training.len();
    let columns = training.x.columns();
    let wide = columns >= rows && columns.saturating_mul(rows) <= WIDE_NUMBERS;
    let lines_by_smo = parameters.solver == Solver::Native
        && parameters.bias == Bias::Free
        && parameters.loss != Loss::Logistic
        && wide;
    let solver = if lines_by_smo { Solver::Smo } else { parameters.solver };
    let smo = solver == Solver::Smo || parameters.kernel != Kernel::Linear;
    let bound = smo.then_some((MAX_ITERATIONS_PER_ROW * rows as u64).max(LEAST_MAX_ITERATIONS));
    let epsilon = if smo { parameters.epsilon.max(SEARCH_EPSILON) } else { parameters.epsilon };
    Parameters { solver, epsilon, max_iterations: parameters.max_iterations.or(bound), ..*parameters }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::blobs;

    #[test]
    fn candidate_of_folds_that_are_each_alike_at_heights_of_their_own_has_no_measures() {
        let problem = blobs(30, 0.2, 4);
        let fold_rows = FoldRows::new(&problem, 3, 1);
        let held = |slope: f64| -> Vec<Vec<f64>> {
            let of_fold = |fold: usize| {
                let rows = fold_rows.held(fold);
                rows.iter().map(|&row| slope * row as f64 - 1.0 + 0.1 * fold as f64).collect()
            };
            (0..3).map(of_fold).collect()
        };
        let reason = measure(&problem, &fold_rows, &held(0.0)).unwrap_err();
        assert!(reason.contains("it scores all rows alike"), "{reason}");
        assert!(measure(&problem, &fold_rows, &held(0.01)).is_ok());
    }
}
