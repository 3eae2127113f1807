//! The report of `upbeat train`, for people and for programs.

use std::path::Path;

use serde_json::{Value, json};

use super::Outcome;
use crate::cli::evaluate;
use crate::cli::files;
use upbeat_svm::{
    Calibration, Candidate, ClassWeights, Criterion, Fixed, Kernel, LeftOut, Loss, Measured, Parameters,
    Search, Shortest, Significant, TrainError, Trained, Training,
};

/// The report for programs: one object.
pub(super) fn json(outcome: &Outcome) -> Value {
    let Outcome { model, trained } = outcome;
    let (parameters, solve) = (&trained.parameters, &trained.fitted.solve);
    json!({
        "model": { "id": model.id(), "name": model.name() },
        "rows": trained.rows,
        "positives": trained.positives,
        "features": model.parts().features.count,
        "labels": model.parts().labels,
        "kernel": kernel_json(&parameters.kernel),
        "c": parameters.c,
        "scale": if parameters.standardise { "standard" } else { "none" },
        "seed": parameters.seed,
        "solver": solve.solver.name(),
        "parameters": model.parts().training.as_ref().and_then(|training| training.parameters.as_ref()),
        "objective": solve.objective,
        "iterations": solve.iterations,
        "converged": solve.converged,
        "constant": trained.constant,
        "gap": solve.gap,
        "support_vectors": solve.support_vectors,
        "bounded_support_vectors": solve.bounded,
        "calibration": trained.calibration,
        "base_rate": trained.calibration.as_ref().and_then(Calibration::constant),
        "measured": trained.measured,
        "search": trained.search.as_ref().map(search_json),
    })
}

fn kernel_json(kernel: &Kernel) -> Value {
    json!({
        "type": kernel.name(),
        "gamma": kernel.gamma(),
        "coef0": kernel.coef0(),
        "degree": kernel.degree(),
    })
}

/// Of the positive and the negative label.
fn weights_json(parameters: &Parameters) -> Value {
    json!([parameters.class_weights.positive, parameters.class_weights.negative])
}

fn search_json(search: &Search) -> Value {
    let candidate = |candidate: &Candidate| {
        json!({
            "kernel": kernel_json(&candidate.parameters.kernel),
            "c": candidate.parameters.c,
            "log_loss": candidate.metrics.log_loss,
            "auc": candidate.metrics.auc,
            "error": candidate.metrics.error,
            "loss": candidate.parameters.loss.to_string(),
            "scale": if candidate.parameters.standardise { "standard" } else { "none" },
            "class_weights": weights_json(&candidate.parameters),
            "repetitions": 1 + candidate.again.len(),
        })
    };
    let left_out = |left_out: &LeftOut| {
        json!({
            "kernel": kernel_json(&left_out.parameters.kernel),
            "c": left_out.parameters.c,
            "loss": left_out.parameters.loss.to_string(),
            "scale": if left_out.parameters.standardise { "standard" } else { "none" },
            "reason": left_out.reason,
        })
    };
    json!({
        "rows": search.rows,
        "folds": search.folds,
        "criterion": search.criterion.name(),
        "chosen": search.chosen,
        "tried": search.tried.iter().map(candidate).collect::<Vec<_>>(),
        "left_out": search.left_out.iter().map(left_out).collect::<Vec<_>>(),
    })
}

/// The report for people.
pub(super) fn text(outcome: &Outcome, output: &Path) -> String {
    let Outcome { model, trained } = outcome;
    let mut text = trained.search.as_ref().map(search_text).unwrap_or_default();
    let (parameters, solve) = (&trained.parameters, &trained.fitted.solve);
    let labels = &model.parts().labels;
    text += &format!(
        "trained    {} C={}, {} support vectors\non         {} rows, {} of them labelled {}\n",
        machine_name(parameters),
        Shortest(parameters.c),
        solve.support_vectors,
        trained.rows,
        trained.positives,
        labels.positive
    );
    if let (Some(objective), Some(iterations)) = (solve.objective, solve.iterations) {
        text += &format!("solved     in {iterations} iterations, objective {}\n", Significant(objective, 8));
    }
    if let Some(said) = model.parts().training.as_ref().and_then(Training::unconverged) {
        text += &format!("converged  no: {said}\n");
    }
    text += &match &trained.measured {
        Some(Measured { method, folds, metrics, .. }) => {
            let folds = folds.map_or(String::new(), |folds| format!(", {folds} folds"));
            format!("measured   {method}{folds}\n{}", evaluate::table(metrics, labels))
        }
        None => {
            "measured   no: a label has too few rows to keep some back, or --calibration none\n".to_owned()
        }
    };
    if trained.constant {
        text += &format!("constant   {}\n", constant(trained));
    }
    if trained.calibration.is_none() {
        text += "calibrated no: the model tells scores, not probabilities; add rows of the scarcer label, \
                 or leave --calibration none out\n";
    }
    if let Some(base_rate) = trained.calibration.as_ref().and_then(Calibration::constant) {
        text += &format!("calibrated {}\n", evaluate::same_probability(base_rate));
    }
    let place = if files::is_dash(output) { String::new() } else { format!(" in {}", output.display()) };
    text + &format!("model      {}{place}\n", model.id())
}

/// What is said of a machine that scores all rows alike. Flags that a search sets itself are no advice after one.
pub(super) fn constant(trained: &Trained) -> String {
    if trained.search.is_some() {
        return "the model scores all rows alike and tells none from another, as the best of those that were compared; the \
                features say nothing of the labels: use other features"
            .to_owned();
    }
    TrainError::Constant { loss: trained.parameters.loss }.to_string()
}

/// The kernel, the loss where it is not the default one, and whether features are as they are and classes weighted.
fn machine_name(parameters: &Parameters) -> String {
    let kernel = match parameters.kernel {
        Kernel::Rbf { gamma } => format!("rbf gamma={}", Significant(gamma, 5)),
        other => other.to_string(),
    };
    let loss =
        if parameters.loss == Loss::SquaredHinge { String::new() } else { format!(" {}", parameters.loss) };
    let scale = if parameters.standardise { "" } else { " unscaled" };
    let ClassWeights { positive, negative } = parameters.class_weights;
    let weights = if positive == negative { "" } else { " weighted" };
    format!("{kernel}{loss}{scale}{weights}")
}

/// How many candidates the report for people shows; the JSON report has all.
const SHOWN: usize = 12;

fn search_text(search: &Search) -> String {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| Fixed(value, 4).to_string());
    let by = match search.criterion {
        Criterion::LogLoss => "log loss",
        Criterion::Error => "error",
    };
    let mut text = format!(
        "compared   {} machines on {} rows in {} folds by {by}; the best {} of them\n",
        search.tried.len(),
        search.rows,
        search.folds,
        SHOWN.min(search.tried.len())
    );
    text += &format!("  {:<28} {:>10} {:>8} {:>9} {:>8}\n", "kernel", "C", "error", "log loss", "AUC");
    for &i in best(search).iter().take(SHOWN) {
        let Candidate { parameters, metrics, .. } = &search.tried[i];
        let mark = if i == search.chosen { "*" } else { " " };
        let (error, loss) = (100.0 * metrics.error, number(metrics.log_loss));
        let (name, auc) = (machine_name(parameters), number(metrics.auc));
        text +=
            &format!("{mark} {name:<28} {:>10} {error:>6.2} % {loss:>9} {auc:>8}\n", Shortest(parameters.c));
    }
    if let Some(first) = search.left_out.first() {
        let (count, name) = (search.left_out.len(), machine_name(&first.parameters));
        text += &format!(
            "left out   {count} machines that could not be trained, the first {name}: {}\n",
            first.reason
        );
    }
    text + &format!("chosen     * {}\n", search.criterion.rule())
}

/// The places of the candidates, best first by the criterion, simpler first where equal.
fn best(search: &Search) -> Vec<usize> {
    let value = |candidate: &Candidate| search.criterion.of(&candidate.metrics);
    let mut places: Vec<usize> = (0..search.tried.len()).collect();
    places.sort_by(|&one, &other| {
        let chosen = (other == search.chosen).cmp(&(one == search.chosen));
        chosen.then(value(&search.tried[one]).total_cmp(&value(&search.tried[other])))
    });
    places
}
