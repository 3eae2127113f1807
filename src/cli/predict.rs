//! `upbeat predict`: labels and decision values.

use std::fs::File;
use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::blocks::{Block, Blocks};
use super::files;
use super::in_order::in_order;
use super::progress::Progress;
use crate::svm::{
    Explanation, G17, Labels, MAX_LINE_BYTES, Model, Parts, RowError, RowReader, Scorer, explain,
    training_mean,
};

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

/// Some lines in memory at a time, whatever the size of the file.
fn predict(args: &Args, model: &Model, output: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let parts = model.parts();
    let mean = if args.explain { Some(average_row(parts, &args.model)?) } else { None };
    let predictor = Predictor { labels: &parts.labels, scorer: Scorer::new(model), mean };
    if let Some(mean) = mean {
        // Asked before the first line is written.
        explanation(&predictor.scorer, mean, mean)?;
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if threads > 1 && !files::is_dash(&args.features) {
        let file = File::open(&args.features)
            .with_context(|| format!("{}: cannot be opened", args.features.display()))?;
        if file.metadata().is_ok_and(|data| data.is_file()) {
            return predict_file(&predictor, file, &args.features, threads, output);
        }
    }
    // What comes through a pipe goes on as it comes.
    let rows = RowReader::new(files::open_with_progress(&args.features)?);
    predictor.lines(rows, output).map_err(|failure| failure.told(&args.features, 0))
}

/// Bytes of a file that one thread works on at a time.
const BLOCK_BYTES: usize = 128 << 10;

/// The lines of a plain file, block by block on so many threads.
fn predict_file(
    predictor: &Predictor<'_>,
    file: File,
    path: &Path,
    threads: usize,
    output: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let mut progress = Progress::bytes(file.metadata().ok().map(|data| data.len()));
    let mut blocks = Blocks::new(file.into(), BLOCK_BYTES).with_longest_line(2 * MAX_LINE_BYTES);
    let (mut lines, mut end) = (0, Ok(()));
    in_order(
        threads,
        Block::default,
        |block| blocks.next(block).transpose(),
        |block, place| {
            let (mut text, mut count) = (Vec::new(), 0);
            let predicted =
                place.map_err(|source| RowError::Io { line: 1, source }.into()).and_then(|place| {
                    count = memchr::memchr_iter(b'\n', block.bytes()).count() as u64;
                    predictor.lines(RowReader::part(block.bytes(), place.offset == 0), &mut text)
                });
            (text, block.bytes().len(), count, predicted)
        },
        |(text, bytes, count, predicted)| {
            progress.add(bytes as u64);
            let written = output.write_all(&text).map_err(anyhow::Error::from);
            end = written.and_then(|()| predicted.map_err(|failure: Failure| failure.told(path, lines)));
            lines += count;
            if end.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        },
    );
    end
}

/// Why lines could not be predicted.
enum Failure {
    Row(RowError),
    Other(anyhow::Error),
}

impl From<RowError> for Failure {
    fn from(error: RowError) -> Self {
        Self::Row(error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Other(error.into())
    }
}

impl Failure {
    /// The failure of lines of `features` that so many lines go before.
    fn told(self, features: &Path, lines: u64) -> anyhow::Error {
        match self {
            Self::Row(error) => anyhow::Error::new(error.after(lines)).context(files::shown(features)),
            Self::Other(error) => error,
        }
    }
}

/// What predicts, and how it is explained.
struct Predictor<'a> {
    labels: &'a Labels,
    scorer: Scorer,
    /// The average training row, where each row is to be explained.
    mean: Option<&'a [f64]>,
}

impl Predictor<'_> {
    /// Writes a line for each row.
    fn lines(
        &self,
        mut rows: RowReader<impl BufRead>,
        output: &mut (impl Write + ?Sized),
    ) -> Result<(), Failure> {
        let mut dense = vec![0.0; self.scorer.features()];
        let mut line = Vec::new();
        while let Some(row) = rows.next_row()? {
            row.fill(&mut dense)?;
            let score = self.scorer.score(&dense);
            line.clear();
            write!(line, "{} {}", self.labels.predicted(score), G17(score))?;
            if let Some(mean) = self.mean {
                write_explanation(&self.scorer, mean, &dense, &mut line)?;
            }
            line.push(b'\n');
            output.write_all(&line)?;
        }
        Ok(())
    }
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
