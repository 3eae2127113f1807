//! `upbeat evaluate`: how good a model is on labelled rows.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::{files, output};
use upbeat_core::model::solver_record;
use upbeat_svm::{Fixed, Interval, Labels, Metrics, Model, RowReader, Scorer, Training, constant};

/// Measure a model on labelled rows
///
/// Error, confusion, precision, recall, area under the ROC curve, each with its 95 % interval, and log loss
/// and expected calibration error (ECE) when the model has a calibration. Use rows that the model was not trained on.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  upbeat evaluate next-week.txt --model gold.json
  upbeat evaluate next-week.txt --model gold.json --json | jq .metrics.auc")]
pub(crate) struct Args {
    /// Labelled rows as libSVM text; `-` for standard input
    features: PathBuf,
    /// Model file, as `upbeat train` writes it
    #[arg(long)]
    model: PathBuf,
    /// Write one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if files::is_dash(&args.features) && files::is_dash(&args.model) {
        return Ok(super::train::usage("FEATURES and --model cannot both be standard input"));
    }
    output::check(&[&args.features, &args.model])?;
    let model = files::read_model(&args.model)?;
    let (metrics, constant) = measure(&args.features, &model)?;
    if args.json {
        let answer = serde_json::json!({
            "model": model.id(),
            "rows": metrics.confusion.rows(),
            "converged": solver_record(&model).map(|record| record.converged),
            "constant": constant,
            "metrics": metrics,
        });
        output::print(format_args!("{answer}\n"))?;
    } else {
        let said = model.parts().training.as_ref().and_then(Training::unconverged);
        let said = said.map_or(String::new(), |said| format!("converged  no: {said}\n"));
        let note = if constant { SCORES_ALIKE } else { "" };
        output::print(format_args!("{}{note}{said}", table(&metrics, &model.parts().labels)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is said of a model that tells no row of those asked about from another.
const SCORES_ALIKE: &str =
    "constant   the model scores all of these rows alike and tells none from another\n";

/// Reads the rows one by one; memory holds a score and a label for each. Also says whether all scores are the same.
fn measure(features: &Path, model: &Model) -> anyhow::Result<(Metrics, bool)> {
    let at = || files::shown(features);
    let labels = &model.parts().labels;
    let scorer = Scorer::new(model);
    let mut rows = RowReader::new(files::open_with_progress(features)?);
    let mut cells = vec![0.0; scorer.features()];
    let (mut scores, mut positive) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next_row().with_context(at)? {
        scores.push(scorer.score_row(&row, &mut cells).with_context(at)?);
        positive.push(row.is_positive(labels).with_context(at)?);
    }
    if scores.is_empty() {
        bail!("{}: there are no rows to measure on", at());
    }
    let metrics = Metrics::measure(&scores, &positive, None, model.parts().calibration.as_ref());
    let metrics = metrics.with_context(|| format!("{}: a score is not a finite number", at()))?;
    Ok((metrics, scores.len() > 1 && constant(scores)))
}

/// What a calibration says that has one probability for all scores.
pub(crate) fn same_probability(base_rate: f64) -> String {
    format!(
        "the scores do not tell the classes apart: every probability is the base rate, {}",
        Fixed(base_rate, 6)
    )
}

/// The measures for people, a line each.
pub(crate) fn table(metrics: &Metrics, labels: &Labels) -> String {
    let share =
        |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{} %", Fixed(100.0 * value, 2)));
    let plain = |value: Option<f64>| value.map_or("-".to_owned(), |value| Fixed(value, 4).to_string());
    let within = |low: String, high: String| format!("  (95 %: {low} to {high})");
    let shares = |ends: Option<Interval>| {
        ends.map_or(String::new(), |Interval(low, high)| within(share(Some(low)), share(Some(high))))
    };
    let plains = |ends: Option<Interval>| {
        ends.map_or(String::new(), |Interval(low, high)| within(plain(Some(low)), plain(Some(high))))
    };
    let counts = metrics.confusion;
    let differs = |value: Option<f64>, part: u64, rest: u64| {
        value.is_some_and(|value| (value - part as f64 / (part + rest) as f64).abs() > 1e-9)
    };
    let wrong = counts.false_positive + counts.false_negative;
    let weighted = differs(Some(metrics.error), wrong, counts.rows() - wrong)
        || differs(metrics.precision, counts.true_positive, counts.false_positive)
        || differs(metrics.recall, counts.true_positive, counts.false_negative);
    let width = [labels.positive.len(), labels.negative.len(), 9].into_iter().max().unwrap_or(9);
    let line =
        |name: &str, left: String, right: String| format!("  {name:>18} {left:>width$} {right:>width$}\n");
    [
        format!("rows       {}\n", counts.rows()),
        format!("error      {}{}\n", share(Some(metrics.error)), shares(metrics.error_interval)),
        format!("precision  {}{}\n", share(metrics.precision), shares(metrics.precision_interval)),
        format!("recall     {}{}\n", share(metrics.recall), shares(metrics.recall_interval)),
        format!("AUC        {}{}\n", plain(metrics.auc), plains(metrics.auc_interval)),
        format!("AUC of p   {}\n", plain(metrics.probability_auc)),
        format!("log loss   {}\n", plain(metrics.log_loss)),
        format!("ECE        {}\n", plain(metrics.calibration_error)),
        format!(
            "confusion{}\n",
            if weighted { "  of rows; the shares above are of what they weigh" } else { "" }
        ),
        line("predicted:", labels.positive.clone(), labels.negative.clone()),
        line(
            &format!("label {}", labels.positive),
            counts.true_positive.to_string(),
            counts.false_negative.to_string(),
        ),
        line(
            &format!("label {}", labels.negative),
            counts.false_positive.to_string(),
            counts.true_negative.to_string(),
        ),
    ]
    .concat()
}
