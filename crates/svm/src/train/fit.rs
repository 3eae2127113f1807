//! One machine of one problem; and several along a path of C, each with a warm start from the last one.

use crate::data::either::Rows;
use crate::data::problem::Problem;
use crate::data::scaling::Scaling;
use crate::evaluate::ties::constant;
use crate::kernel::Kernel;
use crate::model::machine::Machine;
use crate::score::Scorer;
use crate::solve::linear::{self, LinearOptions, Loss};
#[cfg(feature = "smartcore")]
use crate::solve::smartcore;
use crate::solve::smo::{self, Smo, SmoOptions};
use crate::solve::{Examples, Progress, Solution, Stopping};
use crate::train::cross_validation::require;
use crate::train::memory;
use crate::train::parameters::{NO_SUPPORT, Parameters, Solver, TrainError};

/// Greater kernel values than this, times C, lose the digits that the tolerance asks for.
const MAX_MAGNITUDE: f64 = 1e12;

/// Greatest gamma |x|² of the RBF kernel, whose exponent then has an error of some 1e-5.
const MAX_EXPONENT: f64 = 1e11;

/// Pairs of SMO on a line. One that takes more is solved by what is made for lines: SMO's pairs grow with C, and come to
/// millions where rows overlap.
const LINE_PAIRS: u64 = 10_000;

/// Where what single precision rounds off a kernel value, times the cost of a row, is more than the margin itself, SMO may never
/// meet its rule, and is given so many pairs, and so many for each row.
const COARSE_PAIRS: u64 = 100_000;
const COARSE_PAIRS_PER_ROW: u64 = 20;

/// A machine with the scaling it was trained behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Learned on the training rows only; none when rows are taken as they are.
    pub scaling: Option<Scaling>,
    /// The decision function over scaled rows.
    pub machine: Machine,
    /// The solver's outcome.
    pub solve: Solve,
}

/// The outcome of a solver.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Solve {
    /// The dual objective, with libSVM's sign; none where the solver does not report it.
    pub objective: Option<f64>,
    /// The duality gap at the end, relative to the primal objective: with the primal objective
    /// `P = ½ |w|² + Σ cost · loss` of the machine and the dual objective `D`, this is `(P − D) / P`, so that P is at most
    /// that share of it above the optimum. None where the solver does not report it.
    pub gap: Option<f64>,
    /// The solver whose machine this is. SMO hands over a linear machine that it does not finish soon, so that this may be
    /// [`Solver::Native`] where [`Solver::Smo`] was asked for.
    pub solver: Solver,
    /// Iterations; none where the solver does not report them.
    pub iterations: Option<u64>,
    /// Whether this is the optimum: `gap` is within epsilon, or the solver's own rule was met within epsilon and the gap
    /// is at most a thousandth and twenty epsilons. A solver that stopped at its bound on iterations is judged by the gap like any other.
    pub converged: bool,
    /// Rows with a multiplier above 0.
    pub support_vectors: usize,
    /// Those of them whose multiplier is at its upper bound: rows inside the margin.
    pub bounded: usize,
}

impl Fitted {
    /// The compiled form, without calibration.
    pub fn scorer(&self) -> Scorer {
        Scorer::compile(&self.machine, self.scaling.as_ref(), None)
    }

    /// Whether all of these unscaled rows score alike. Scores no more of them than it needs.
    pub(crate) fn is_constant(&self, x: &Rows) -> bool {
        const AT_ONCE: usize = 64;
        let scorer = self.scorer();
        let blocks =
            (0..x.len()).step_by(AT_ONCE).map(|first| (first..x.len()).take(AT_ONCE).collect::<Vec<_>>());
        constant(blocks.flat_map(|rows| scorer.score_rows(x, &rows)))
    }
}

/// Trains one machine on all rows of a problem.
///
/// # Errors
/// A parameter out of range, rows of one class only, kernel values too great, or the solver's failure.
pub fn fit(
    problem: &Problem,
    parameters: &Parameters,
    progress: &dyn Progress,
) -> Result<Fitted, TrainError> {
    let mut path = fit_path(problem, parameters, &[parameters.c], progress)?;
    path.pop().unwrap_or_else(|| Err(failed(parameters, "it was given no C")))
}

/// Trains a machine for each of `cs`, ascending. Every solver but smartcore begins each from the
/// multipliers of the one before, scaled to the new bounds (DeCoste and Wagstaff, *Alpha seeding for
/// support vector machines*, KDD 2000), and keeps the kernel rows it has computed.
///
/// Gives an outcome for each of `cs`, in order: one that fails leaves the others as they are. A machine whose
/// solver did not converge is among them, and says so in [`Solve::converged`]; where it came to the bound on iterations that
/// the parameters ask for, it is the last: greater C take longer.
///
/// # Errors
/// What no C can mend: a parameter out of range, or rows of one class only.
pub fn fit_path(
    problem: &Problem,
    parameters: &Parameters,
    cs: &[f64],
    progress: &dyn Progress,
) -> Result<Vec<Result<Fitted, TrainError>>, TrainError> {
    let greatest = cs.iter().copied().fold(0.0, f64::max);
    Parameters { c: greatest, ..*parameters }.check()?;
    require(problem, 1, "training", "add rows of it")?;
    if problem.weights.as_ref().is_some_and(|weights| weights.len() != problem.len()) {
        let (name, wanted) = ("the number of row weights", "the number of rows");
        return Err(TrainError::Parameter { name, wanted });
    }
    memory::check(&problem.x, parameters, memory::KERNEL_BYTES)?;
    let scaling =
        parameters.standardise.then(|| Scaling::learn_weighted(&problem.x, problem.weights.as_deref()));
    let scaled = scaling.as_ref().map(|scaling| scaling.applied(&problem.x));
    let x = scaled.as_ref().unwrap_or(&problem.x);
    let along = Along { problem, parameters, kernel_value: greatest_kernel_value(x, parameters.kernel) };
    let fitted = |(machine, solve)| Fitted { scaling: scaling.clone(), machine, solve };
    Ok(match (parameters.solver, parameters.kernel) {
        #[cfg(not(feature = "smartcore"))]
        (Solver::Smartcore, _) => unreachable!("refused by Parameters::check"),
        #[cfg(feature = "smartcore")]
        (Solver::Smartcore, _) => cs
            .iter()
            .map(|&c| {
                along.costs(c)?;
                if problem.weights.is_some() {
                    return Err(failed(parameters, "it has one C for all rows; leave the rows' weights out"));
                }
                smartcore::fit(&x.to_dense(), &problem.positive, &Parameters { c, ..*parameters }).map(fitted)
            })
            .collect(),
        (Solver::Native, Kernel::Linear) => along
            .solve(cs, |costs, start| {
                let bound = parameters.max_iterations.unwrap_or(u64::MAX);
                Ok((along.line(x, costs, bound, start, progress), Solver::Native))
            })
            .map(|solved| finish(problem, x, parameters, solved?).map(fitted))
            .collect(),
        (Solver::Native | Solver::Smo, kernel) => {
            let dense = x.to_dense();
            let mut smo = Smo::new(&dense, &problem.positive, kernel, parameters.loss, SmoOptions::default());
            along
                .solve(cs, |costs, start| {
                    let coarse = along.is_coarse(costs);
                    let stopping = Stopping {
                        epsilon: parameters.epsilon,
                        max_iterations: along.smo_iterations(coarse),
                    };
                    let solution = smo.solve(costs, stopping, start, progress);
                    match kernel {
                        Kernel::Linear => Ok(along.line_after(x, costs, solution, progress)),
                        _ if coarse && !solution.converged && parameters.max_iterations.is_none() => {
                            Err(along.too_great())
                        }
                        _ => Ok((solution, parameters.solver)),
                    }
                })
                .map(|solved| finish(problem, x, parameters, solved?).map(fitted))
                .collect()
        }
    })
}

impl Parameters {
    /// C of every row of a problem.
    fn costs(&self, problem: &Problem, c: f64) -> Vec<f64> {
        let weights = self.class_weights;
        let of_class = |positive| c * if positive { weights.positive } else { weights.negative };
        match &problem.weights {
            None => problem.positive.iter().map(|&positive| of_class(positive)).collect(),
            Some(rows) => problem
                .positive
                .iter()
                .zip(rows)
                .map(|(&positive, weight)| weight * of_class(positive))
                .collect(),
        }
    }
}

/// A solved problem with the costs it was solved under.
struct Solved {
    solution: Solution,
    solver: Solver,
    costs: Vec<f64>,
}

/// A problem along a path of C.
#[derive(Clone, Copy)]
struct Along<'a> {
    problem: &'a Problem,
    parameters: &'a Parameters,
    /// The greatest of the rows, once scaled.
    kernel_value: f64,
}

impl Along<'_> {
    /// Solves for each C in turn; one that is refused leaves the start of the next as it is.
    fn solve(
        self,
        cs: &[f64],
        mut solve: impl FnMut(&[f64], Option<&[f64]>) -> Result<(Solution, Solver), TrainError>,
    ) -> impl Iterator<Item = Result<Solved, TrainError>> {
        let mut last: Option<(f64, Vec<f64>)> = None;
        let mut bounded_at: Option<f64> = None;
        cs.iter().map(move |&c| {
            if let Some(smaller) = bounded_at {
                return Err(TrainError::Beyond { smaller });
            }
            let costs = self.costs(c)?;
            // The squared hinge loss has no upper bound to cut them to.
            let bounds = (self.parameters.loss != Loss::SquaredHinge).then_some(costs.as_slice());
            let start = last.as_ref().map(|(before, alpha)| smo::rescaled(alpha, bounds, c / before));
            let (solution, solver) = solve(&costs, start.as_deref())?;
            if !solution.converged && Some(solution.iterations) >= self.parameters.max_iterations {
                bounded_at = self.parameters.max_iterations.map(|_| c);
            }
            // A solver that gave up has found nothing to start from.
            if cs.len() > 1 && solution.gap.is_finite() {
                last = Some((c, solution.alpha.clone()));
            }
            Ok(Solved { solution, solver, costs })
        })
    }

    /// The cost of every row under this C, unless that is no number to calculate with: sums would be NaN or lose the
    /// digits of the tolerance, and solvers do not converge on them.
    fn costs(&self, c: f64) -> Result<Vec<f64>, TrainError> {
        let costs = self.parameters.costs(self.problem, c);
        if !costs.iter().all(|cost| cost.is_normal() && *cost > 0.0) {
            return Err(TrainError::Parameter {
                name: "C times the weights",
                wanted: "a number within 1e-300 and 1e300",
            });
        }
        let greatest = costs.iter().copied().fold(1.0, f64::max);
        // Written so that NaN is refused as well.
        if self.kernel_value * greatest <= MAX_MAGNITUDE {
            return Ok(costs);
        }
        Err(self.too_great())
    }

    fn too_great(&self) -> TrainError {
        let Parameters { kernel, standardise, .. } = *self.parameters;
        TrainError::TooGreat { kernel, standardised: standardise }
    }

    /// Whether single precision, in which SMO has kernel values, may round off more than the margin for a row of such a cost.
    fn is_coarse(&self, costs: &[f64]) -> bool {
        costs.iter().copied().fold(0.0, f64::max) * self.kernel_value * f64::from(f32::EPSILON) > 1.0
    }

    fn smo_iterations(&self, coarse: bool) -> u64 {
        let rows = self.problem.len() as u64;
        let asked = self.parameters.max_iterations;
        match self.parameters.kernel {
            Kernel::Linear => asked.map_or(LINE_PAIRS, |asked| asked.min(LINE_PAIRS)),
            _ if coarse => asked.unwrap_or(COARSE_PAIRS + COARSE_PAIRS_PER_ROW * rows),
            // libSVM's own bound.
            _ => asked.unwrap_or((100 * rows).max(10_000_000)),
        }
    }

    /// Solves for a linear machine by what is made for it.
    fn line(
        &self,
        x: &Rows,
        costs: &[f64],
        max_iterations: u64,
        start: Option<&[f64]>,
        progress: &dyn Progress,
    ) -> Solution {
        let Parameters { loss, bias, seed, epsilon, .. } = *self.parameters;
        let examples = Examples { x, positive: &self.problem.positive, costs };
        let options = LinearOptions { loss, bias, seed };
        linear::solve(&examples, &options, Stopping { epsilon, max_iterations }, start, progress)
    }

    /// SMO's linear machine, or a better one where SMO did not converge; a bound on iterations that was asked for is for both.
    fn line_after(
        &self,
        x: &Rows,
        costs: &[f64],
        smo: Solution,
        progress: &dyn Progress,
    ) -> (Solution, Solver) {
        let left =
            self.parameters.max_iterations.map_or(u64::MAX, |asked| asked.saturating_sub(smo.iterations));
        if smo.converged || left == 0 {
            return (smo, Solver::Smo);
        }
        let start = smo.gap.is_finite().then_some(smo.alpha.as_slice());
        let line = self.line(x, costs, left, start, progress);
        let iterations = smo.iterations + line.iterations;
        if line.converged || line.gap < smo.gap {
            return (Solution { iterations, ..line }, Solver::Native);
        }
        (Solution { iterations, ..smo }, Solver::Smo)
    }
}

/// The machine of a solution.
fn finish(
    problem: &Problem,
    x: &Rows,
    parameters: &Parameters,
    solved: Solved,
) -> Result<(Machine, Solve), TrainError> {
    let Solved { solution, solver, costs } = solved;
    let Solution { alpha, bias, weights, objective, gap, iterations, converged } = solution;
    if !bias.is_finite() || !objective.is_finite() || alpha.iter().any(|multiplier| !multiplier.is_finite()) {
        return Err(failed(parameters, "it did not come to finite numbers; try a smaller -c"));
    }
    let support: Vec<usize> = (0..alpha.len()).filter(|&row| alpha[row] > 0.0).collect();
    if support.is_empty() {
        return Err(failed(parameters, NO_SUPPORT));
    }
    // The squared hinge loss has no upper bound.
    let has_bound = parameters.loss != Loss::SquaredHinge;
    let bounded = support.iter().filter(|&&row| has_bound && alpha[row] >= costs[row]).count();
    let sign = |row: usize| if problem.positive[row] { alpha[row] } else { -alpha[row] };
    let machine = match weights {
        Some(weights) => Machine::Linear { weights, bias },
        None => {
            let coefficients = support.iter().map(|&row| sign(row)).collect();
            Machine::from_expansion(parameters.kernel, x.select(&support), coefficients, bias)
        }
    };
    let solve = Solve {
        objective: Some(objective),
        gap: gap.is_finite().then_some(gap),
        solver,
        iterations: Some(iterations),
        converged,
        support_vectors: support.len(),
        bounded,
    };
    Ok((machine, solve))
}

fn failed(parameters: &Parameters, problem: &str) -> TrainError {
    TrainError::Solver { solver: parameters.solver.name(), problem: problem.to_owned() }
}

/// The greatest kernel value of two rows; NaN where there is one.
fn greatest_kernel_value(x: &Rows, kernel: Kernel) -> f64 {
    // |K(u, v)| is greatest for a vector with itself, by Cauchy and Schwarz; RBF and sigmoid stay within 1.
    let norm = (0..x.len()).map(|row| x.square(row));
    // Unlike `f64::max`, this keeps NaN.
    let norm = norm
        .fold(0.0, |greatest: f64, norm| if greatest >= norm || greatest.is_nan() { greatest } else { norm });
    match kernel {
        Kernel::Linear => norm,
        Kernel::Poly { gamma, coef0, degree } => (gamma * norm + coef0.abs()).powi(degree as i32),
        // The squared distance is |u|² + |v|² − 2 u·v, whose rounding error grows with the lengths: beyond this, even a
        // row's distance from itself is not 0.
        Kernel::Rbf { gamma } if gamma * norm > MAX_EXPONENT => f64::INFINITY,
        Kernel::Rbf { .. } | Kernel::Sigmoid { .. } if norm.is_finite() => 1.0,
        Kernel::Rbf { .. } | Kernel::Sigmoid { .. } => norm,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solve::NoProgress;
    use crate::testing::blobs;

    #[test]
    fn rbf_distances_that_rounding_swallows_are_refused() {
        let problem = blobs(40, 0.1, 1);
        for (factor, refused) in [(1e4, false), (1e6, true), (1e150, true)] {
            let mut far = problem.clone();
            far.x.dense_mut().rows_mut().for_each(|row| row.iter_mut().for_each(|value| *value *= factor));
            let parameters = Parameters {
                kernel: Kernel::Rbf { gamma: 1.0 },
                standardise: false,
                ..Parameters::default()
            };
            let fitted = fit(&far, &parameters, &NoProgress);
            assert_eq!(matches!(fitted, Err(TrainError::TooGreat { .. })), refused, "{factor}: {fitted:?}");
        }
    }

    #[test]
    fn values_too_great_for_one_c_leave_the_machines_of_the_others() {
        let mut problem = blobs(40, 0.1, 1);
        problem.x.dense_mut().rows_mut().for_each(|row| row[0] *= 1e2);
        for (solver, kernel) in [(Solver::Native, Kernel::Linear), (Solver::Smo, Kernel::Linear)] {
            let loss = Loss::Hinge;
            let parameters = Parameters { solver, kernel, loss, standardise: false, ..Parameters::default() };
            let path = fit_path(&problem, &parameters, &[1e-300, 1.0, 1e11], &NoProgress).unwrap();
            let [_, Ok(fitted), Err(TrainError::TooGreat { .. })] = &path[..] else { panic!("{path:?}") };
            let alone = fit(&problem, &parameters, &NoProgress).unwrap();
            let objectives = [fitted, &alone].map(|fitted| fitted.solve.objective.unwrap());
            assert!((objectives[0] - objectives[1]).abs() <= 1e-3 * objectives[1].abs(), "{objectives:?}");
        }
    }

    #[test]
    fn rows_and_weights_that_are_no_costs_or_numbers_are_refused() {
        let problem = blobs(20, 0.1, 1);
        let reported = |problem: &Problem, standardise: bool| {
            let parameters = Parameters { standardise, ..Parameters::default() };
            fit(problem, &parameters, &NoProgress).unwrap_err().to_string()
        };
        let mut nan = problem.clone();
        nan.x.dense_mut().rows_mut().nth(3).unwrap()[2] = f64::NAN;
        for standardise in [true, false] {
            assert!(reported(&nan, standardise).contains("values of the linear kernel"));
        }
        for (weights, message) in [
            (vec![1.0; 19], "the number of row weights must be the number of rows"),
            (vec![-1.0; 20], "C times the weights must be"),
            (vec![f64::NAN; 20], "C times the weights must be"),
        ] {
            let weighted = Problem { weights: Some(weights), ..problem.clone() };
            assert!(reported(&weighted, true).contains(message));
        }
    }

    #[test]
    fn line_that_smo_does_not_finish_is_the_native_solvers_and_says_so() {
        let problem = blobs(60, 0.2, 1);
        let solved = |solver: Solver, loss: Loss, c: f64, max_iterations: Option<u64>| {
            let kernel = Kernel::Linear;
            let parameters = Parameters { solver, kernel, loss, c, max_iterations, ..Parameters::default() };
            fit(&problem, &parameters, &NoProgress).unwrap().solve
        };
        let soon = solved(Solver::Smo, Loss::Hinge, 0.1, None);
        assert!(
            soon.converged && soon.solver == Solver::Smo && soon.iterations < Some(LINE_PAIRS),
            "{soon:?}"
        );
        for loss in [Loss::Hinge, Loss::SquaredHinge] {
            let handed = solved(Solver::Smo, loss, 1e5, None);
            let native = solved(Solver::Native, loss, 1e5, None);
            assert!(handed.converged && handed.solver == Solver::Native, "{handed:?}");
            assert!(handed.iterations > Some(LINE_PAIRS), "{handed:?}");
            let objectives = [handed, native].map(|solve| solve.objective.unwrap());
            assert!((objectives[0] / objectives[1] - 1.0).abs() < 1e-3, "{objectives:?}");
        }
        // What was asked for bounds both together.
        let bounded = solved(Solver::Smo, Loss::Hinge, 1e5, Some(100));
        assert!(!bounded.converged && bounded.solver == Solver::Smo && bounded.iterations == Some(100));
    }

    #[test]
    fn kernel_values_whose_rounding_keeps_smo_from_its_rule_are_refused() {
        let mut problem = blobs(60, 0.2, 1);
        problem.x.dense_mut().rows_mut().for_each(|row| row[0] = 100.0);
        let fitted = |c: f64, max_iterations: Option<u64>| {
            let kernel = Kernel::Poly { gamma: 0.125, coef0: 1.0, degree: 3 };
            let standardise = false;
            let parameters = Parameters { kernel, c, standardise, max_iterations, ..Parameters::default() };
            fit(&problem, &parameters, &NoProgress)
        };
        assert!(fitted(1e-6, None).unwrap().solve.converged);
        let refused = fitted(1.0, None);
        assert!(matches!(refused, Err(TrainError::TooGreat { .. })), "{refused:?}");
        // Who bounds the iterations has what they come to.
        assert!(!fitted(1.0, Some(100)).unwrap().solve.converged);
    }
}
