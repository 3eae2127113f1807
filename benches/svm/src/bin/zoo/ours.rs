//! The library's own solvers, through its public interface.

use upbeat_svm::{Fitted, Kernel, Machine, NoProgress, Parameters, Problem, Solver, fit};

use crate::data::{Data, Row};
use crate::objective::{Decision, Task};
use crate::peers::EPSILON;

/// A machine as the library left it, or why it has none.
pub enum Outcome {
    Fitted { decision: Decision, converged: bool, dual: Option<f64> },
    Refused(String),
}

/// Trains on all rows as they are.
pub fn train(data: &Data, task: &Task, solver: Solver, timed: &mut dyn FnMut(&mut dyn FnMut())) -> Outcome {
    let problem = match data.problem() {
        Ok(problem) => problem,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let parameters = parameters(task, solver);
    let mut fitted = None;
    timed(&mut || fitted = Some(fit(&problem, &parameters, &NoProgress)));
    match fitted.expect("it ran at least once") {
        Err(error) => Outcome::Refused(error.to_string()),
        Ok(fitted) => outcome(&fitted, &problem, data),
    }
}

fn parameters(task: &Task, solver: Solver) -> Parameters {
    Parameters {
        solver,
        kernel: task.kernel,
        loss: task.loss,
        bias: task.bias,
        c: task.c,
        epsilon: EPSILON,
        standardise: false,
        ..Parameters::default()
    }
}

fn outcome(fitted: &Fitted, problem: &Problem, data: &Data) -> Outcome {
    let solve = &fitted.solve;
    // The library reports the dual as a minimum, with libSVM's sign.
    let dual = solve.objective.map(|objective| -objective);
    let entries =
        |row: &[f64]| -> Row { row.iter().copied().enumerate().filter(|entry| entry.1 != 0.0).collect() };
    let decision = match &fitted.machine {
        Machine::Linear { weights, bias } => {
            debug_assert_eq!(weights.len(), problem.x.columns());
            let mut weights = weights.clone();
            weights.resize(data.columns, 0.0);
            Decision::Linear { weights, bias: *bias, multipliers: None }
        }
        Machine::Kernel { kernel, vectors, coefficients, bias } => {
            debug_assert_ne!(*kernel, Kernel::Linear);
            let vectors = vectors.rows().map(entries).collect();
            Decision::Expansion { vectors, coefficients: coefficients.clone(), bias: *bias }
        }
    };
    Outcome::Fitted { decision, converged: solve.converged, dual }
}
