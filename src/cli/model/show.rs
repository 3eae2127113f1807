//! `upbeat model show` and `upbeat model check`.

use std::process::ExitCode;

use super::{CheckArgs, ShowArgs};
use crate::cli::{evaluate, files, output};
use upbeat_core::campaign::Label;
use upbeat_core::model::{check_serving, constant_note, label, serving_notes, window};
use upbeat_svm::{Calibration, Machine, Model, Platt, Shortest, Significant, Training};

pub(super) fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    output::check(&[&args.model])?;
    let model = files::read_model(&args.model)?;
    output::print(describe(&model)?)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    output::check(&[&args.model])?;
    let model = files::read_model(&args.model)?;
    let mut said = format!("model {} is sound: {}\n", model.id(), files::shown(&args.model));
    match &model.parts().calibration {
        None => said += "note: it has no calibration, so answers carry a score and no probability\n",
        Some(calibration) => {
            if let Some(base_rate) = calibration.constant() {
                said += &format!("note: {}\n", evaluate::same_probability(base_rate));
            }
        }
    }
    let notes = serving_notes(&model);
    let (verdict, status) = match check_serving(&model, args.window.window()) {
        Ok(()) => {
            let but: String = notes.iter().map(|note| format!(", but {note}")).collect();
            (format!("a server with this window takes it{but}"), ExitCode::SUCCESS)
        }
        Err(refusal) => {
            notes.iter().for_each(|note| said += &format!("note: {note}\n"));
            (format!("but {refusal}"), ExitCode::FAILURE)
        }
    };
    match output::print(format_args!("{said}{verdict}\n")) {
        // The status is the answer, whether or not somebody reads the words.
        Err(error) if output::is_closed(&error) => Ok(status),
        printed => printed.map(|()| status),
    }
}

fn describe(model: &Model) -> anyhow::Result<String> {
    let parts = model.parts();
    let window = window(model)?;
    let names = parts.features.names.as_deref();
    let name_of = |i: usize| names.map_or_else(|| format!("feature {}", i + 1), |names| names[i].clone());
    let mut lines = vec![
        format!("model      {}", model.id()),
        format!("name       {}", model.name().unwrap_or("-")),
        format!(
            "features   {} ({})",
            parts.features.count,
            parts.features.definition.as_deref().unwrap_or("of no known definition")
        ),
        format!("window     {} plays, {} days", window.plays, window.days),
        format!("labels     {} positive, {} negative", parts.labels.positive, parts.labels.negative),
        format!(
            "label      {}",
            match label(model) {
                Label::Customer => "customer: a row is a customer, who clicked at some time or did not",
                Label::Impression => "impression: a row is an ad heard, which was clicked or was not",
            }
        ),
        format!("kernel     {}", parts.machine.kernel()),
        format!("bias       {}", Shortest(parts.machine.bias())),
        format!("scaling    {}", if parts.scaling.is_some() { "standard" } else { "none" }),
        match &parts.calibration {
            Some(calibration) if let Some(base_rate) = calibration.constant() => {
                format!("calibrated {}", evaluate::same_probability(base_rate))
            }
            Some(Calibration::Platt(Platt { a, b })) => {
                format!("calibrated probability = 1 / (1 + exp({} score + {}))", Shortest(*a), Shortest(*b))
            }
            Some(Calibration::Isotonic(isotonic)) => {
                format!("calibrated by a rising line through {} points", isotonic.scores().len())
            }
            None => "calibrated no".to_owned(),
        },
    ];
    match &parts.machine {
        Machine::Linear { weights, .. } => {
            lines.push("weights    (of scaled features)".to_owned());
            // Thousands of weights are of no use on a terminal; the file has all of them.
            for (i, weight) in weights.iter().enumerate().take(20) {
                lines.push(format!("  {:<16} {:>10}", name_of(i), Significant(*weight, 5)));
            }
            if weights.len() > 20 {
                lines.push(format!("  and {} more", weights.len() - 20));
            }
        }
        Machine::Kernel { coefficients, .. } => {
            lines.push(format!("support    {} vectors", coefficients.len()));
        }
    }
    if let Some(note) = constant_note(model) {
        lines.push(format!("constant   {note}"));
    }
    if let Some(training) = &parts.training {
        lines.extend(describe_training(training));
    }
    let measured = parts.training.as_ref().and_then(|training| training.measured.as_ref());
    let table = measured.map(|measured| {
        let folds = measured.folds.map_or(String::new(), |folds| format!(", {folds} folds"));
        format!(
            "measured   {}{folds}\n{}",
            measured.method,
            evaluate::table(&measured.metrics, &parts.labels)
        )
    });
    Ok(format!("{}\n{}", lines.join("\n"), table.unwrap_or_default()))
}

fn describe_training(training: &Training) -> Vec<String> {
    let mut lines = vec![
        format!("trained    on {} rows, {} of them positive", training.rows, training.positives),
        format!("with       {}, C={}, seed {}", training.solver, Shortest(training.c), training.seed),
    ];
    if let Some(parameters) = &training.parameters {
        let [positive, negative] = parameters.class_weights;
        let rows = if parameters.row_weights { ", rows with weights of their own" } else { "" };
        lines.push(format!(
            "           {} loss, bias {}, epsilon {}, class weights {} and {}{rows}",
            parameters.loss,
            parameters.bias,
            Shortest(parameters.epsilon),
            Shortest(positive.0),
            Shortest(negative.0)
        ));
        let objective =
            parameters.objective.map_or("-".to_owned(), |objective| Shortest(objective).to_string());
        lines.push(format!(
            "           {} support vectors, objective {objective}",
            parameters.support_vectors
        ));
        if let Some(gap) = parameters.gap {
            lines.push(format!("           duality gap {gap:.2e} of the objective"));
        }
    }
    lines.extend(training.unconverged().map(|said| format!("converged  no: {said}")));
    lines.push(format!("by         upbeat {}", training.tool_version));
    lines.push(format!("data       sha256 {}", training.data_sha256.as_deref().unwrap_or("-")));
    lines
}
