//! `upbeat predict`: labels and decision values.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::progress::Progress;
use super::{files, output};
use upbeat_batch::predict::{PredictError, Predictor};
use upbeat_ingest::file::Text;
use upbeat_svm::{Model, RowReader, training_mean};

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
    let mut output = output::open_one(&[&args.features, &args.model], &args.output)?;
    let model = files::read_model(&args.model)?;
    output.write(|output| predict(&args, &model, output))?;
    output.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn predict(args: &Args, model: &Model, output: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let predictor = if args.explain { explaining(model, &args.model)? } else { Predictor::new(model) };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let text = files::open_text(&args.features)?;
    if threads > 1
        && let Text::Plain(file) = text
    {
        let mut progress = Progress::bytes(file.metadata().ok().map(|metadata| metadata.len()));
        let predicted = predictor.predict_file(file, threads, output, |bytes| progress.add(bytes));
        return predicted.map_err(|error| with_file(error, &args.features));
    }
    // Lines of a pipe are predicted as they come.
    let rows = RowReader::new(files::with_progress(text));
    predictor.predict(rows, output).map_err(|error| with_file(error, &args.features))
}

/// Checked before the first line is written.
fn explaining<'a>(model: &'a Model, path: &Path) -> anyhow::Result<Predictor<'a>> {
    let mean = training_mean(model.parts()).with_context(|| {
        format!(
            "{}: --explain needs the average training row, and the model does not hold it; train it again \
             with this version's `upbeat train`",
            files::shown(path)
        )
    })?;
    Predictor::explaining(model, mean).map_err(|error| match error {
        PredictError::TooManyFeatures(features) => {
            anyhow::anyhow!("--explain is for up to 12 features with a kernel; these are {features}")
        }
        other => other.into(),
    })
}

/// Names the file of a bad row; that output cannot be written is the system's own message.
fn with_file(error: PredictError, features: &Path) -> anyhow::Error {
    match error {
        PredictError::Row(error) => anyhow::Error::new(error).context(files::shown(features)),
        PredictError::Write(error) => error.into(),
        other => other.into(),
    }
}
