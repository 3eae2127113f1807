//! `upbeat predict`: labels and decision values.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::files;
use crate::svm::{Explanation, G17, Model, Parts, RowReader, Scorer, explain, training_mean};

/// Write label and decision value of every row
///
/// A line a row: the predicted label as the training file had it, a space, and the decision value with
/// 17 significant digits. Above 0 is the positive label. Labels in FEATURES are read and not used.
///
/// With --explain the line goes on with how the decision value came about: `base:` is that of the average
/// training row, and `1:`, `2:` … say how far each feature moves it from there. They sum to the decision
/// value: exactly so for a linear model, as Shapley values for the other kernels.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  upbeat predict features.txt --model gold.json
  upbeat predict features.txt --model gold.json -o predictions.txt
  upbeat predict features.txt --model gold.json --explain
  upbeat features --tracks tracks.csv --clicks clicks.csv | upbeat predict - --model gold.json")]
pub(crate) struct Args {
    /// Rows as libSVM text, `label index:value …`; `-` for standard input
    features: PathBuf,
    /// Model file, as `upbeat train` writes it
    #[arg(long)]
    model: PathBuf,
    /// Where to write; `-` for standard output
    #[arg(short, long, default_value = "-")]
    output: PathBuf,
    /// Say how far each feature moves the decision value from the average row's
    #[arg(long)]
    explain: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if files::is_dash(&args.features) && files::is_dash(&args.model) {
        return Ok(super::train::usage("FEATURES and --model cannot both be standard input"));
    }
    let model = files::read_model(&args.model)?;
    files::write_to(&args.output, |output| predict(&args, &model, output))?;
    Ok(ExitCode::SUCCESS)
}

/// One row in memory at a time, whatever the size of the file.
fn predict(args: &Args, model: &Model, output: &mut dyn Write) -> anyhow::Result<()> {
    let at = |error| anyhow::Error::new(error).context(files::shown(&args.features));
    let parts = model.parts();
    let scorer = Scorer::new(model);
    let mean = if args.explain { Some(average_row(parts, &args.model)?) } else { None };
    if let Some(mean) = mean {
        // Asked before the first line is written.
        explanation(&scorer, mean, mean)?;
    }
    let mut rows = RowReader::new(files::open_with_progress(&args.features)?);
    let mut dense = vec![0.0; scorer.features()];
    let mut line = Vec::new();
    while let Some(row) = rows.next_row().map_err(at)? {
        row.fill(&mut dense).map_err(at)?;
        let score = scorer.score(&dense);
        line.clear();
        write!(line, "{} {}", parts.labels.predicted(score), G17(score))?;
        if let Some(mean) = mean {
            write_explanation(&scorer, mean, &dense, &mut line)?;
        }
        line.push(b'\n');
        output.write_all(&line)?;
    }
    Ok(())
}

fn average_row<'a>(parts: &'a Parts, model: &Path) -> anyhow::Result<&'a [f64]> {
    training_mean(parts).with_context(|| {
        format!(
            "{}: --explain needs the average training row, and the model does not tell it; train it again \
             with this version's `upbeat train`",
            files::shown(model)
        )
    })
}

fn explanation(scorer: &Scorer, mean: &[f64], x: &[f64]) -> anyhow::Result<Explanation> {
    explain(scorer, mean, x)
        .with_context(|| format!("--explain is for up to 12 features with a kernel; these are {}", x.len()))
}

fn write_explanation(scorer: &Scorer, mean: &[f64], x: &[f64], output: &mut Vec<u8>) -> anyhow::Result<()> {
    let explanation = explanation(scorer, mean, x)?;
    write!(output, " base:{}", G17(explanation.base))?;
    for (i, contribution) in explanation.contributions.iter().enumerate() {
        write!(output, " {}:{}", i + 1, G17(*contribution))?;
    }
    Ok(())
}
