//! Machines of one look-back: lines and RBF machines under the squared hinge loss.

use upbeat_svm::{
    Kernel, Loss, Machine, Matrix, NoProgress, Parameters, Problem, Rows, Scaling, Scorer, Solve, TrainError,
    fit, stratified_sample,
};

use super::Warm;
use super::examples::Example;

/// An RBF machine has at most so many vectors: one costs 100 ns a score with 100 of them. Under the squared hinge loss nearly
/// every example is a support vector where few click, so that the vectors are a sample and their coefficients are fitted to all
/// examples (Lee and Mangasarian, *RSVM: Reduced Support Vector Machines*, SDM 2001).
pub const LANDMARKS: usize = 32;

/// An RBF machine is fitted to at most so many examples, the newest: its time is rows times vectors squared.
const MOST_RBF_EXAMPLES: usize = 5_000;

/// Fewer examples than this for each vector fit chance.
const EXAMPLES_A_LANDMARK: usize = 8;

/// In so many parts the fitted examples are divided by their time, to be scored by machines that have not seen them.
const FOLDS: usize = 3;

/// What is tried.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Grid {
    line_cs: Vec<f64>,
    rbf_cs: Vec<f64>,
    gammas: Vec<f64>,
}

/// C lies within these, gamma within those.
const CS: (f64, f64) = (1e-4, 1e3);
const GAMMAS: (f64, f64) = (0.01, 10.0);

impl Grid {
    /// The whole grid, or what lies round what the last training chose.
    pub fn round(last: Option<Warm>) -> Self {
        let near = |of: f64, factor: f64, (low, high): (f64, f64)| {
            let mut all: Vec<f64> = [of / factor, of, of * factor].map(|of| of.clamp(low, high)).to_vec();
            all.dedup();
            all
        };
        let whole = Self { line_cs: vec![0.01, 1.0], rbf_cs: vec![0.01, 0.3], gammas: vec![0.1, 0.3, 1.0] };
        match last {
            None => whole,
            Some(Warm { c, gamma: None }) => Self { line_cs: near(c, 10.0, CS), ..whole },
            Some(Warm { c, gamma: Some(gamma) }) => {
                Self { rbf_cs: near(c, 10.0, CS), gammas: near(gamma, 2.0, GAMMAS), ..whole }
            }
        }
    }
}

/// A machine that was fitted.
#[derive(Debug, Clone)]
pub(super) struct Fitted {
    pub parameters: Parameters,
    pub solve: Solve,
    pub scaling: Scaling,
    pub machine: Machine,
    pub rows: usize,
    pub positives: usize,
}

impl Fitted {
    /// The vectors that it has; of a line the rows whose multipliers are above 0.
    pub fn support_vectors(&self) -> u64 {
        match &self.machine {
            Machine::Kernel { vectors, .. } => vectors.len() as u64,
            Machine::Linear { .. } => self.solve.support_vectors as u64,
        }
    }

    /// A score of each of these.
    pub fn scores(&self, examples: &[Example]) -> Vec<f64> {
        let mut scores = vec![0.0; examples.len()];
        let scorer = Scorer::compile(&self.machine, Some(&self.scaling), None);
        scorer.score_batch(&features(examples), &mut scores);
        scores
    }
}

/// One machine for each of the grid, lines first; each an error where it could not be fitted.
pub(super) fn machines(examples: &[Example], grid: &Grid, seed: u64) -> Vec<Result<Fitted, TrainError>> {
    let lines = Part::of(examples);
    let newest = &examples[examples.len().saturating_sub(MOST_RBF_EXAMPLES)..];
    let curves = Part::of(newest);
    let parameters = |c: f64| Parameters { c, loss: Loss::SquaredHinge, seed, ..Parameters::default() };
    let mut machines: Vec<_> = grid.line_cs.iter().map(|&c| lines.line(parameters(c))).collect();
    for &gamma in &grid.gammas {
        let of = curves.near_landmarks(gamma, seed);
        machines.extend(grid.rbf_cs.iter().map(|&c| curves.rbf(&of, parameters(c))));
    }
    machines
}

/// One machine of these parameters.
pub(super) fn machine(examples: &[Example], parameters: Parameters) -> Result<Fitted, TrainError> {
    match parameters.kernel {
        Kernel::Rbf { gamma } => {
            let newest = &examples[examples.len().saturating_sub(MOST_RBF_EXAMPLES)..];
            let part = Part::of(newest);
            let line = Parameters { kernel: Kernel::Linear, ..parameters };
            part.rbf(&part.near_landmarks(gamma, parameters.seed), line)
        }
        _ => Part::of(examples).line(parameters),
    }
}

/// A score of each of these by a machine that was fitted without it, and without those of its time: to the other two thirds. `None`
/// where one of the three could not be fitted.
pub(super) fn out_of_fold(examples: &[Example], parameters: Parameters) -> Option<Vec<f64>> {
    let mut scores = Vec::with_capacity(examples.len());
    let length = examples.len().div_ceil(FOLDS);
    for start in (0..examples.len()).step_by(length) {
        let end = examples.len().min(start + length);
        let others = [&examples[..start], &examples[end..]].concat();
        scores.extend(machine(&others, parameters).ok()?.scores(&examples[start..end]));
    }
    Some(scores)
}

/// Examples as a problem, their weights 1 in the mean, so that a C means the same whatever the propensities are.
struct Part {
    x: Matrix,
    positive: Vec<bool>,
    weights: Vec<f64>,
}

/// The examples by how near they are to landmarks.
struct Near {
    gamma: f64,
    scaling: Scaling,
    landmarks: Matrix,
    /// The kernel's value of each example with each landmark.
    values: Matrix,
}

impl Part {
    fn of(examples: &[Example]) -> Self {
        let all: f64 = examples.iter().map(|example| example.weight).sum();
        let mean = all / examples.len() as f64;
        Self {
            x: features(examples),
            positive: examples.iter().map(|example| example.clicked).collect(),
            weights: examples.iter().map(|example| example.weight / mean).collect(),
        }
    }

    fn fit(&self, x: &Matrix, parameters: &Parameters) -> Result<upbeat_svm::Fitted, TrainError> {
        let problem = Problem::new(x.clone(), self.positive.clone());
        let solver = "native";
        let problem = problem.map_err(|error| TrainError::Solver { solver, problem: error.to_string() })?;
        let weights = Some(self.weights.clone());
        let fitted = fit(&Problem { weights, ..problem }, parameters, &NoProgress)?;
        match fitted.solve.converged {
            true => Ok(fitted),
            false => Err(TrainError::Unconverged { iterations: fitted.solve.iterations.unwrap_or(0) }),
        }
    }

    fn fitted(&self, parameters: Parameters, solve: Solve, scaling: Scaling, machine: Machine) -> Fitted {
        let positives = self.positive.iter().filter(|positive| **positive).count();
        Fitted { parameters, solve, scaling, machine, rows: self.positive.len(), positives }
    }

    fn line(&self, parameters: Parameters) -> Result<Fitted, TrainError> {
        let upbeat_svm::Fitted { scaling, machine, solve } = self.fit(&self.x, &parameters)?;
        let scaling = scaling.unwrap_or_else(|| unscaled(self.x.columns()));
        Ok(self.fitted(parameters, solve, scaling, machine))
    }

    fn near_landmarks(&self, gamma: f64, seed: u64) -> Near {
        let x = Rows::from(self.x.clone());
        let scaling = Scaling::learn_weighted(&x, Some(&self.weights));
        let scaled = scaling.applied(&x).into_dense();
        let count = (self.positive.len() / EXAMPLES_A_LANDMARK).clamp(1, LANDMARKS);
        let landmarks = scaled.select(&stratified_sample(&self.positive, count, seed));
        let value = |one: &[f64], other: &[f64]| {
            let distance: f64 = one.iter().zip(other).map(|(one, other)| (one - other).powi(2)).sum();
            (-gamma * distance).exp()
        };
        let values = scaled
            .rows()
            .map(|row| landmarks.rows().map(|landmark| value(row, landmark)).collect::<Vec<_>>());
        Near { gamma, values: Matrix::from_rows(values), scaling, landmarks }
    }

    /// A line over the kernel's values is a machine whose vectors are the landmarks.
    fn rbf(&self, near: &Near, parameters: Parameters) -> Result<Fitted, TrainError> {
        let Near { gamma, scaling, landmarks, values } = near;
        let fitted = self.fit(values, &parameters)?;
        let Machine::Linear { weights, bias } = fitted.machine else {
            unreachable!("the machine of a linear kernel is a line")
        };
        let of_values = fitted.scaling.unwrap_or_else(|| unscaled(weights.len()));
        let coefficients: Vec<f64> =
            weights.iter().zip(&of_values.scale).map(|(weight, scale)| weight / scale).collect();
        let moved: f64 = coefficients.iter().zip(&of_values.mean).map(|(of, mean)| of * mean).sum();
        let kernel = Kernel::Rbf { gamma: *gamma };
        let machine =
            Machine::Kernel { kernel, vectors: landmarks.clone(), coefficients, bias: bias - moved };
        let parameters = Parameters { kernel, ..parameters };
        Ok(self.fitted(parameters, fitted.solve, scaling.clone(), machine))
    }
}

fn unscaled(columns: usize) -> Scaling {
    Scaling { mean: vec![0.0; columns], scale: vec![1.0; columns] }
}

/// The vectors that live scoring makes of the same counts.
fn features(examples: &[Example]) -> Matrix {
    Matrix::from_rows(examples.iter().map(|example| example.counts.vector().unwrap_or_default()))
}
