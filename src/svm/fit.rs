//! One machine from one problem; and several along C, each begun where the last one ended.

use super::kernel::Kernel;
use super::linear::{self, LinearOptions};
use super::machine::Machine;
use super::problem::{Matrix, Problem};
use super::scaling::Scaling;
use super::scorer::Scorer;
use super::settings::{Settings, Solver, TrainError};
use super::smartcore;
use super::smo::{self, Smo, SmoOptions};
use super::solver::{Examples, Solution, Stopping, Watch};

/// Passes over the rows of coordinate descent; LIBLINEAR's own bound.
const MAX_PASSES: u64 = 1000;

/// Greater kernel values than this, times C, lose the digits that the tolerance asks for.
const MAX_MAGNITUDE: f64 = 1e12;

/// A machine with the scaling it was trained behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Learned on the training rows only; none when rows are taken as they are.
    pub scaling: Option<Scaling>,
    /// The decision function over scaled rows.
    pub machine: Machine,
    /// How the solver ended.
    pub solve: Solve,
}

/// How a solver ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Solve {
    /// The dual objective, with libSVM's sign; none where the solver does not tell it.
    pub objective: Option<f64>,
    /// Iterations; none where the solver does not tell them.
    pub iterations: Option<u64>,
    /// Whether the optimality conditions were met within epsilon.
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
}

/// Trains one machine on all rows of a problem.
///
/// # Errors
/// A setting out of range, kernel values too great, or the solver's failure.
pub fn fit(problem: &Problem, settings: &Settings, watch: &dyn Watch) -> Result<Fitted, TrainError> {
    let mut path = fit_path(problem, settings, &[settings.c], watch)?;
    path.pop().ok_or_else(|| failed(settings, "it was given no C"))
}

/// Trains a machine for each of `cs`, ascending. Every solver but smartcore begins each from the
/// multipliers of the one before, stretched to the new bounds (DeCoste and Wagstaff, *Alpha seeding for
/// support vector machines*, KDD 2000), and keeps the kernel rows it has computed.
///
/// # Errors
/// As [`fit`].
pub fn fit_path(
    problem: &Problem,
    settings: &Settings,
    cs: &[f64],
    watch: &dyn Watch,
) -> Result<Vec<Fitted>, TrainError> {
    let greatest = cs.iter().copied().fold(0.0, f64::max);
    Settings { c: greatest, ..*settings }.check()?;
    let scaling = settings.standardise.then(|| Scaling::learn(&problem.x));
    let scaled = scaling.as_ref().map(|scaling| scaling.applied(&problem.x));
    let x = scaled.as_ref().unwrap_or(&problem.x);
    check_magnitude(x, settings.kernel, &settings.costs(problem, greatest))?;
    let fitted = |(machine, solve)| Fitted { scaling: scaling.clone(), machine, solve };
    match (settings.solver, settings.kernel) {
        (Solver::Smartcore, _) => cs
            .iter()
            .map(|&c| {
                if problem.weights.is_some() {
                    return Err(failed(settings, "it has one C for all rows; leave the rows' weights out"));
                }
                smartcore::fit(x, &problem.positive, &Settings { c, ..*settings }).map(fitted)
            })
            .collect(),
        (Solver::Native, Kernel::Linear) => {
            let options = LinearOptions { loss: settings.loss, bias: settings.bias, seed: settings.seed };
            let stopping = settings.stopping(MAX_PASSES);
            along(problem, settings, cs, |costs, start| {
                let examples = Examples { x, positive: &problem.positive, costs };
                linear::solve(&examples, &options, stopping, start, watch)
            })
            .map(|solution| finish(problem, x, settings, solution).map(fitted))
            .collect()
        }
        (Solver::Native | Solver::Smo, kernel) => {
            let mut smo = Smo::new(x, &problem.positive, kernel, SmoOptions::default());
            // libSVM's own bound.
            let stopping = settings.stopping((100 * problem.len() as u64).max(10_000_000));
            along(problem, settings, cs, |costs, start| smo.solve(costs, stopping, start, watch))
                .map(|solution| finish(problem, x, settings, solution).map(fitted))
                .collect()
        }
    }
}

impl Settings {
    fn stopping(&self, max_iterations: u64) -> Stopping {
        Stopping { epsilon: self.epsilon, max_iterations: self.max_iterations.unwrap_or(max_iterations) }
    }

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
    costs: Vec<f64>,
}

/// Solves for each C in turn.
fn along<'a>(
    problem: &'a Problem,
    settings: &'a Settings,
    cs: &'a [f64],
    mut solve: impl FnMut(&[f64], Option<&[f64]>) -> Solution + 'a,
) -> impl Iterator<Item = Solved> + 'a {
    let mut last: Option<(f64, Vec<f64>)> = None;
    cs.iter().map(move |&c| {
        let costs = settings.costs(problem, c);
        let start = last.take().map(|(before, alpha)| smo::rescaled(&alpha, &costs, c / before));
        let solution = solve(&costs, start.as_deref());
        if cs.len() > 1 {
            last = Some((c, solution.alpha.clone()));
        }
        Solved { solution, costs }
    })
}

/// The machine of a solution.
fn finish(
    problem: &Problem,
    x: &Matrix,
    settings: &Settings,
    solved: Solved,
) -> Result<(Machine, Solve), TrainError> {
    let Solution { alpha, bias, objective, iterations, converged } = solved.solution;
    if !bias.is_finite() || !objective.is_finite() || alpha.iter().any(|multiplier| !multiplier.is_finite()) {
        return Err(failed(settings, "it did not come to finite numbers; try a smaller -c"));
    }
    let support: Vec<usize> = (0..alpha.len()).filter(|&row| alpha[row] > 0.0).collect();
    if support.is_empty() {
        return Err(failed(settings, "it found no support vector; try a greater -c"));
    }
    let bounded = support.iter().filter(|&&row| alpha[row] >= solved.costs[row]).count();
    let sign = |row: usize| if problem.positive[row] { alpha[row] } else { -alpha[row] };
    let coefficients = support.iter().map(|&row| sign(row)).collect();
    let machine = Machine::from_expansion(settings.kernel, x.select(&support), coefficients, bias);
    let solve = Solve {
        objective: Some(objective),
        iterations: Some(iterations),
        converged,
        support_vectors: support.len(),
        bounded,
    };
    Ok((machine, solve))
}

fn failed(settings: &Settings, problem: &str) -> TrainError {
    TrainError::Solver { solver: settings.solver.name(), problem: problem.to_owned() }
}

/// Sums of values that are not numbers, or beyond the digits of one, do not converge: they must not arise.
fn check_magnitude(x: &Matrix, kernel: Kernel, costs: &[f64]) -> Result<(), TrainError> {
    let cost = costs.iter().copied().fold(0.0, f64::max);
    if !costs.iter().all(|cost| cost.is_normal()) {
        return Err(TrainError::Setting {
            name: "C times the weights",
            wanted: "a number within 1e-300 and 1e300",
        });
    }
    // |K(u, v)| is greatest for a vector with itself, by Cauchy and Schwarz; RBF and sigmoid stay within 1.
    let norm = x.rows().map(|row| Kernel::Linear.apply(row, row)).fold(0.0, f64::max);
    let greatest = match kernel {
        Kernel::Linear => norm,
        Kernel::Poly { gamma, coef0, degree } => (gamma * norm + coef0.abs()).powi(degree as i32),
        Kernel::Rbf { .. } | Kernel::Sigmoid { .. } if norm.is_finite() => 1.0,
        Kernel::Rbf { .. } | Kernel::Sigmoid { .. } => norm,
    };
    // Written so that NaN is refused as well.
    if greatest * cost.max(1.0) <= MAX_MAGNITUDE {
        return Ok(());
    }
    Err(TrainError::TooGreat { kernel: kernel.name() })
}
