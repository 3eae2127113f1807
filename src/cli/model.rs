//! `upbeat model`: show, check, import and export model files.

mod exchange;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};

use super::label::LabelName;
use upbeat_core::profile::Window;

/// Show, check, import or export model files
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  upbeat model show gold.json
  upbeat model check gold.json
  upbeat model export --format libsvm gold.json -o gold.model
  upbeat model export --format onnx gold.json -o gold.onnx
  upbeat model import svm-train.model -o gold.json --window-plays 256 --window-days 28")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Show(ShowArgs),
    Check(CheckArgs),
    Import(ImportArgs),
    Export(ExportArgs),
}

/// Say what a model is, how it was trained and how good it was
#[derive(clap::Args)]
#[command(after_help = "Example: upbeat model show gold.json")]
pub(crate) struct ShowArgs {
    /// Model file; `-` for standard input
    model: PathBuf,
}

/// Say whether a model file is sound, and whether a server would take it
///
/// Exit status 1 when it would not.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  upbeat model check gold.json
  upbeat model check gold.json --window-plays 512 --window-days 90")]
pub(crate) struct CheckArgs {
    /// Model file; `-` for standard input
    model: PathBuf,
    #[command(flatten)]
    window: WindowArgs,
}

/// Turn a libSVM or LIBLINEAR model of two classes into a model file
///
/// Reads c_svc models of svm-train and every classifier of LIBLINEAR's train but Crammer and Singer's; the
/// file's first word tells which. A logistic regression's scores become probabilities, and so do those of
/// svm-train -b 1.
///
/// Such a file does not say how its rows were scaled, what its features are or which window they were made
/// with: rows are taken as they are, six features are taken for Upbeat's own, and the window is that of
/// the flags.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  svm-train -t 2 features.txt svm.model
  upbeat model import svm.model -o gold.json

  liblinear-train -s 0 -B 1 features.txt linear.model
  upbeat model import --format liblinear linear.model -o gold.json --name gold")]
pub(crate) struct ImportArgs {
    /// Format of the file, which its first word tells as well
    #[arg(long, value_enum)]
    format: Option<ImportFormat>,
    /// File to read; `-` for standard input
    input: PathBuf,
    /// Model file to write; `-` for standard output
    #[arg(short, long)]
    output: PathBuf,
    /// Features of a row [default: 6, or the greatest index when that is more]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    features: Option<u32>,
    /// Name for people, 1 to 64 of A-Z a-z 0-9 . _ : -
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    window: WindowArgs,
    /// What a row of the features was, as `features --label` was told
    #[arg(long, value_enum, default_value_t = LabelName::Customer)]
    label: LabelName,
}

/// Write a model for another tool: libSVM, LIBLINEAR, or any stack that runs ONNX
///
/// libsvm: what svm-predict reads. A linear model takes rows as they are; a kernel model with scaling takes
/// rows scaled with `svm-scale -r OUT.range`, which is written beside it. svm-scale prints six digits, and how far
/// a probability may be off by that is said; where every digit counts, train with --scale none.
///
/// liblinear: what LIBLINEAR's predict reads. Linear models only, rows as they are. Probabilities go along
/// for a logistic regression only.
///
/// onnx: a graph with the input X (float32, a row of unscaled features each) and the outputs label and
/// probabilities (float32, negative label first), or scores for a model without Platt's calibration. The graph is
/// run before it is written: a model whose probabilities it would change by more than 0.0001, because its rows
/// need more than 32-bit floats, is refused with the feature.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  upbeat model export --format libsvm gold.json -o gold.model
  svm-scale -r gold.model.range features.txt > scaled.txt
  svm-predict scaled.txt gold.model predictions.txt

  upbeat model export --format liblinear gold.json -o gold.linear
  liblinear-predict features.txt gold.linear predictions.txt

  upbeat model export --format onnx gold.json -o gold.onnx
  python3 -c 'import numpy, onnxruntime
row = numpy.float32([[0.29, 0.21, 0.21, 0.29, 0.81, 0.93]])
print(onnxruntime.InferenceSession(\"gold.onnx\").run(None, {\"X\": row}))'")]
pub(crate) struct ExportArgs {
    /// Format of the file that is written
    #[arg(long, value_enum)]
    format: Format,
    /// Model file to read; `-` for standard input
    input: PathBuf,
    /// File to write; `-` for standard output
    #[arg(short, long)]
    output: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Libsvm,
    Liblinear,
    Onnx,
}

#[derive(Clone, Copy, ValueEnum)]
enum ImportFormat {
    Libsvm,
    Liblinear,
}

#[derive(clap::Args)]
struct WindowArgs {
    /// Window of the features: at most so many plays
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_535))]
    window_plays: u32,
    /// Window of the features: plays at most so many days old
    #[arg(long, value_name = "N", default_value_t = 28, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    window_days: u32,
}

impl WindowArgs {
    fn window(&self) -> Window {
        Window { plays: self.window_plays, days: self.window_days }
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Show(args) => show::show(&args),
        Action::Check(args) => show::check(&args),
        Action::Import(args) => exchange::import(&args),
        Action::Export(args) => exchange::export(&args),
    }
}
