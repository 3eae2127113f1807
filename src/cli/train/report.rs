//! What `upbeat train` says when it is done.

use std::path::Path;

use serde_json::{Value, json};

use super::Outcome;
use crate::cli::evaluate;
use crate::cli::files;
use crate::svm::{Candidate, Kernel, Measured, Search};

/// The report for programs: one object.
pub(super) fn json(outcome: &Outcome) -> Value {
    let Outcome { model, trained, settings, search } = outcome;
    json!({
        "model": { "id": model.id(), "name": model.name() },
        "rows": trained.rows,
        "positives": trained.positives,
        "features": model.parts().features.count,
        "labels": model.parts().labels,
        "kernel": kernel_json(&settings.kernel),
        "c": settings.c,
        "scale": if settings.standardise { "standard" } else { "none" },
        "seed": settings.seed,
        "solver": crate::svm::SOLVER,
        "support_vectors": trained.fitted.machine.support_vectors(),
        "calibration": trained.calibration,
        "measured": trained.measured,
        "search": search.as_ref().map(search_json),
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

fn search_json(search: &Search) -> Value {
    let candidate = |candidate: &Candidate| {
        json!({
            "kernel": kernel_json(&candidate.settings.kernel),
            "c": candidate.settings.c,
            "log_loss": candidate.metrics.log_loss,
            "auc": candidate.metrics.auc,
            "error": candidate.metrics.error,
        })
    };
    json!({
        "rows": search.rows,
        "chosen": search.chosen,
        "tried": search.tried.iter().map(candidate).collect::<Vec<_>>(),
    })
}

/// The report for people.
pub(super) fn text(outcome: &Outcome, output: &Path) -> String {
    let Outcome { model, trained, settings, search } = outcome;
    let mut text = search.as_ref().map(search_text).unwrap_or_default();
    let vectors = match settings.kernel {
        Kernel::Linear => String::new(),
        _ => format!(", {} support vectors", trained.fitted.machine.support_vectors()),
    };
    let labels = &model.parts().labels;
    text += &format!(
        "trained    {} C={}{vectors}\non         {} rows, {} of them labelled {}\n",
        settings.kernel, settings.c, trained.rows, trained.positives, labels.positive
    );
    text += &match &trained.measured {
        Some(Measured { method, folds, metrics }) => {
            let folds = folds.map_or(String::new(), |folds| format!(", {folds} folds"));
            format!("measured   {method}{folds}\n{}", evaluate::table(metrics, labels))
        }
        None => "measured   no: a label has too few rows to keep some back\n".to_owned(),
    };
    if trained.calibration.is_none() {
        text += "calibrated no: the model tells scores, not probabilities; add rows of the scarcer label\n";
    }
    let place = if files::is_dash(output) { String::new() } else { format!(" in {}", output.display()) };
    text + &format!("model      {}{place}\n", model.id())
}

fn search_text(search: &Search) -> String {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
    let mut text = format!("compared   on {} rows, 3 folds\n", search.rows);
    text += &format!("  {:<28} {:>6} {:>9} {:>8}\n", "kernel", "C", "log loss", "AUC");
    for (i, Candidate { settings, metrics }) in search.tried.iter().enumerate() {
        let mark = if i == search.chosen { "*" } else { " " };
        let kernel = match settings.kernel {
            Kernel::Rbf { gamma } => format!("rbf gamma={gamma:.4}"),
            other => other.to_string(),
        };
        let (loss, auc) = (number(metrics.log_loss), number(metrics.auc));
        text += &format!("{mark} {kernel:<28} {:>6} {loss:>9} {auc:>8}\n", settings.c);
    }
    text + "chosen     * the simplest whose log loss is within 1 % of the least\n"
}
