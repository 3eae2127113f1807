//! The contents of the page of `--report`.

use super::Outcome;
use upbeat_batch::report::{Candidate, Evaluation, Grid, Report, Spread, render};
use upbeat_svm::{Rows, Search, Shortest, Significant};

/// The page; `x` are the rows of the training file.
pub(super) fn page(outcome: &Outcome, x: &Rows) -> anyhow::Result<String> {
    let Outcome { model, trained } = outcome;
    let measured = trained.measured.as_ref();
    let method = measured.map(|measured| match measured.folds {
        Some(folds) => format!("a cross-validation in {folds} folds"),
        None => "rows that were kept back from training".to_owned(),
    });
    let compared = trained.search.as_ref().map(compared);
    let tried = trained.search.as_ref().map(tried);
    let why = trained.search.as_ref().map(why);
    render(&Report {
        model,
        evaluation: measured.zip(method.as_deref()).zip(trained.scored.as_ref()).map(
            |((measured, method), scored)| Evaluation {
                method,
                metrics: &measured.metrics,
                probabilities: scored.probabilities.as_deref(),
                scores: &scored.scores,
                positive: &scored.positive,
                weights: scored.weights.as_deref(),
                folds: scored.fold_of.is_some(),
            },
        ),
        grid: trained
            .search
            .as_ref()
            .zip(compared.as_deref())
            .zip(tried.as_deref())
            .map(|((search, method), tried)| Grid { method, criterion: search.criterion, tried }),
        spreads: Some(Spread::of_rows(x)),
        why: why.as_deref(),
        facts: facts(outcome),
    })
}

fn compared(search: &Search) -> String {
    format!("{} folds of {} rows", search.folds, search.rows)
}

fn tried(search: &Search) -> Vec<Candidate> {
    let tried = search.tried.iter().enumerate().map(|(i, candidate)| Candidate {
        kernel: candidate.parameters.kernel,
        scaled: candidate.parameters.standardise,
        c: candidate.parameters.c,
        log_loss: candidate.metrics.log_loss,
        error: candidate.metrics.error,
        chosen: i == search.chosen,
    });
    tried.collect()
}

fn why(search: &Search) -> String {
    format!("Chosen from {} candidates: {}.", search.tried.len(), search.criterion.rule())
}

fn facts(outcome: &Outcome) -> Vec<(String, String)> {
    let (parameters, solve) = (&outcome.trained.parameters, &outcome.trained.fitted.solve);
    let mut facts = vec![
        ("Loss".to_owned(), format!("{}, bias {}", parameters.loss, parameters.bias)),
        (
            "Support vectors".to_owned(),
            format!("{}, {} of them at their bound", solve.support_vectors, solve.bounded),
        ),
        ("Tolerance".to_owned(), Shortest(parameters.epsilon).to_string()),
        (
            "Class weights".to_owned(),
            format!(
                "{} and {}",
                Shortest(parameters.class_weights.positive),
                Shortest(parameters.class_weights.negative)
            ),
        ),
    ];
    if let Some(gap) = solve.gap {
        facts.push(("Duality gap".to_owned(), format!("{gap:.2e} of the objective")));
    }
    if let (Some(objective), Some(iterations)) = (solve.objective, solve.iterations) {
        facts.push(("Dual objective".to_owned(), Significant(objective, 8).to_string()));
        facts.push(("Iterations".to_owned(), iterations.to_string()));
    }
    facts
}
