//! What a model file records of its training.

use serde::{Deserialize, Serialize};

use crate::data::exact::{self, Number};
use crate::evaluate::metrics::Metrics;
use crate::train::fit::Solve;
use crate::train::parameters::{ClassWeights, Parameters};

/// How the model came to be. Holds no time, so that the same training gives the same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Name and version of the solver.
    pub solver: String,
    /// Version of the program that trained.
    pub tool_version: String,
    /// Cost of an error, above 0.
    #[serde(deserialize_with = "exact::number")]
    pub c: f64,
    /// Seed of the solver, of splits and of folds.
    pub seed: u64,
    /// Rows the final machine was trained on.
    pub rows: u64,
    /// Rows with the positive label among them.
    pub positives: u64,
    /// SHA-256 of the training file's bytes, 64 hex digits; none when trained from memory.
    pub data_sha256: Option<String>,
    /// How good it was, and on which rows; none when there were too few rows to measure.
    pub measured: Option<Measured>,
    /// The other parameters and how the solver ended; none in files of version 1.
    #[serde(default)]
    pub parameters: Option<SolverRecord>,
    /// The mean of each feature over the training rows, unscaled; none in files of version 1.
    #[serde(default, deserialize_with = "exact::optional_numbers")]
    pub feature_mean: Option<Vec<f64>>,
    /// Whether the machine scored all training rows alike ([`SCORE_TIE`](crate::SCORE_TIE)); none in files of versions
    /// 1 and 2.
    #[serde(default)]
    pub constant: Option<bool>,
}

impl Training {
    /// What to say of a model whose solver did not converge, on all rows or on folds of the cross-validation that calibrated
    /// and measured it, in one sentence; none where it did.
    pub fn unconverged(&self) -> Option<String> {
        let solver = self.parameters.as_ref().and_then(SolverRecord::unconverged);
        let folds =
            self.measured.as_ref().and_then(|measured| Some((measured.unconverged_folds?, measured.folds?)));
        let folds = folds.map(|(unconverged, folds)| {
            format!(
                "the solver did not converge on {unconverged} of the {folds} folds of the cross-validation, whose measures and \
                 calibration are of other machines"
            )
        });
        let said: Vec<String> = solver.into_iter().chain(folds).collect();
        (!said.is_empty()).then(|| said.join("; and "))
    }
}

/// What the solver was asked for, besides C and the kernel, and how it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SolverRecord {
    /// `hinge`, `squared-hinge` or `logistic`.
    pub loss: String,
    /// `free` or `regularised`.
    pub bias: String,
    /// The optimality conditions were to be met within this, above 0.
    #[serde(deserialize_with = "exact::number")]
    pub epsilon: f64,
    /// What C was multiplied by for the rows of the positive and of the negative label, above 0.
    pub class_weights: [Number; 2],
    /// Whether rows had weights of their own.
    pub row_weights: bool,
    /// The dual objective reached; none where the solver does not report it.
    #[serde(deserialize_with = "exact::optional")]
    pub objective: Option<f64>,
    /// How far that is from the optimum at most, as [`Solve::gap`]; none in files of versions 1 and 2.
    #[serde(default, deserialize_with = "exact::optional")]
    pub gap: Option<f64>,
    /// Iterations; none where the solver does not report them.
    pub iterations: Option<u64>,
    /// Whether the solver found the optimum, as [`Solve::converged`].
    pub converged: bool,
    /// Rows with a multiplier above 0.
    pub support_vectors: u64,
}

impl SolverRecord {
    /// The record of a training: its parameters, how the solver ended, and whether rows had weights of their own.
    pub fn of(parameters: &Parameters, solve: &Solve, row_weights: bool) -> Self {
        let ClassWeights { positive, negative } = parameters.class_weights;
        Self {
            loss: parameters.loss.to_string(),
            bias: parameters.bias.to_string(),
            epsilon: parameters.epsilon,
            class_weights: [Number(positive), Number(negative)],
            row_weights,
            objective: solve.objective,
            gap: solve.gap,
            iterations: solve.iterations,
            converged: solve.converged,
            support_vectors: solve.support_vectors as u64,
        }
    }
}

impl SolverRecord {
    /// What to say of a machine whose solver did not converge, in one sentence; none where it did.
    ///
    /// ```
    /// use upbeat_svm::{NoProgress, Parameters, Problem, Solver, SolverRecord, fit};
    ///
    /// let problem = Problem::read("1 1:0.9\n0 1:0.8\n1 1:0.7\n0 1:0.1\n".as_bytes())?;
    /// let parameters = Parameters { solver: Solver::Smo, max_iterations: Some(1), ..Parameters::default() };
    /// let solve = fit(&problem, &parameters, &NoProgress)?.solve;
    /// let said = SolverRecord::of(&parameters, &solve, false).unconverged().expect("one step is not enough");
    /// assert!(said.starts_with("the solver stopped after 1 iterations before it converged"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unconverged(&self) -> Option<String> {
        if self.converged {
            return None;
        }
        let after =
            self.iterations.map_or(String::new(), |iterations| format!(" after {iterations} iterations"));
        let gap = self.gap.map_or("unknown".to_owned(), |gap| format!("{:.2} %", 100.0 * gap));
        Some(format!(
            "the solver stopped{after} before it converged (duality gap {gap}), so that scores and labels are not those \
             of its parameters"
        ))
    }
}

/// Measures and where they come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// How: `holdout`; `cross-validation, cross-fitted`, whose calibrations have not seen the fold either;
    /// `nested cross-validation`, where the choice has not either; `cross-validation` without calibration, and in files
    /// of version 1 and 2 with one that has.
    pub method: String,
    /// Folds of a cross-validation; none for a holdout.
    pub folds: Option<u64>,
    /// Of how many of the folds the solver did not converge, which training allowed; none for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconverged_folds: Option<u64>,
    /// The measures.
    pub metrics: Metrics,
}
