//! `upbeat predict`: labels and decision values.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::files;
use crate::svm::{G17, Model, RowReader, Scorer};

/// Write label and decision value of every row
///
/// A line a row: the predicted label as the training file had it, a space, and the decision value with
/// 17 significant digits. Above 0 is the positive label. Labels in FEATURES are read and not used.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  upbeat predict features.txt --model gold.json
  upbeat predict features.txt --model gold.json -o predictions.txt
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
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if files::is_dash(&args.features) && files::is_dash(&args.model) {
        return Ok(super::train::usage("FEATURES and --model cannot both be standard input"));
    }
    let model = files::read_model(&args.model)?;
    files::write_to(&args.output, |output| predict(&args.features, &model, output))?;
    Ok(ExitCode::SUCCESS)
}

/// One row in memory at a time, whatever the size of the file.
fn predict(features: &Path, model: &Model, output: &mut dyn Write) -> anyhow::Result<()> {
    let at = |error| anyhow::Error::new(error).context(files::shown(features));
    let scorer = Scorer::new(model);
    let mut rows = RowReader::new(files::open_with_progress(features)?);
    let mut dense = vec![0.0; scorer.features()];
    while let Some(row) = rows.next_row().map_err(at)? {
        row.fill(&mut dense).map_err(at)?;
        let score = scorer.score(&dense);
        writeln!(output, "{} {}", model.parts().labels.predicted(score), G17(score))?;
    }
    Ok(())
}
