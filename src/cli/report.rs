//! `upbeat report features`: averages over customers, and how often a model is wrong of them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use upbeat_core::feature::FEATURE_NAMES;
use upbeat_server::runtime::default_model;
use upbeat_svm::{Confusion, Fixed, Labels, Model, RowReader, Scorer};

use super::{files, output};

/// The greatest error that a model of who clicked may have, and the share of customers who clicked below which it tells nothing.
const MOST_ERROR: f64 = 0.1;
const LEAST_CLICKED: f64 = 0.1;

/// Say what feature files hold, and how good a model is on them
#[derive(clap::Args)]
#[command(after_help = "Example:\n  upbeat report features features.txt --model gold.json")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Features(FeaturesArgs),
}

/// Averages of each feature over customers who clicked, over those who did not and over all; and the error of a model
///
/// The model says yes where its score is above 0. It passes where it is wrong of at most 10 % of the customers and of fewer than saying no
/// to all would be. Where under 10 % clicked, saying no to all passes the first, and neither tells much.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  upbeat report features features.txt
  upbeat report features features.txt --model gold.json --json")]
struct FeaturesArgs {
    /// Labelled rows, as `upbeat features` writes them; `-` for standard input
    features: PathBuf,
    /// Model file, as `upbeat train` writes it; the model that is part of the program when not given
    #[arg(long)]
    model: Option<PathBuf>,
    /// Write one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Command::Features(args) = args.command;
    let inputs: Vec<&Path> =
        [Some(&args.features), args.model.as_ref()].into_iter().flatten().map(PathBuf::as_path).collect();
    if inputs.len() == 2 && inputs.iter().all(|path| files::is_dash(path)) {
        return Ok(super::train::usage("FEATURES and --model cannot both be standard input"));
    }
    output::check(&inputs)?;
    let model = match &args.model {
        Some(path) => files::read_model(path)?,
        None => upbeat_core::model::read(default_model())?,
    };
    let report = Report::of(&args.features, &model)?;
    match args.json {
        true => output::print(format_args!("{}\n", report.json(&model)))?,
        false => output::print(report.text(&model))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Sums over the rows of one label.
#[derive(Default)]
struct Sums {
    rows: u64,
    of: Vec<f64>,
}

impl Sums {
    fn mean(&self, feature: usize) -> Option<f64> {
        (self.rows > 0).then(|| self.of[feature] / self.rows as f64)
    }
}

struct Report {
    positive: Sums,
    negative: Sums,
    confusion: Confusion,
}

impl Report {
    /// Reads the rows one by one.
    ///
    /// # Errors
    /// The file cannot be read, has no rows, or one that the model cannot score or whose label it does not know.
    fn of(features: &Path, model: &Model) -> anyhow::Result<Self> {
        let at = || files::shown(features);
        let (labels, scorer) = (&model.parts().labels, Scorer::new(model));
        let mut rows = RowReader::new(files::open_with_progress(features)?);
        let mut cells = vec![0.0; scorer.features()];
        let sums = || Sums { rows: 0, of: vec![0.0; scorer.features()] };
        let confusion =
            Confusion { true_positive: 0, false_positive: 0, false_negative: 0, true_negative: 0 };
        let mut report = Self { positive: sums(), negative: sums(), confusion };
        while let Some(row) = rows.next_row().with_context(at)? {
            let is_told = scorer.score_row(&row, &mut cells).with_context(at)? > 0.0;
            let is_positive = row.is_positive(labels).with_context(at)?;
            let sums = if is_positive { &mut report.positive } else { &mut report.negative };
            sums.rows += 1;
            row.entries.iter().for_each(|(index, value)| sums.of[index - 1] += value);
            let Confusion { true_positive, false_positive, false_negative, true_negative } =
                &mut report.confusion;
            *match (is_positive, is_told) {
                (true, true) => true_positive,
                (false, true) => false_positive,
                (true, false) => false_negative,
                (false, false) => true_negative,
            } += 1;
        }
        if report.rows() == 0 {
            bail!("{}: there are no rows to report on", at());
        }
        Ok(report)
    }

    fn rows(&self) -> u64 {
        self.positive.rows + self.negative.rows
    }

    fn share(&self, count: u64) -> f64 {
        count as f64 / self.rows() as f64
    }

    fn error(&self) -> f64 {
        self.share(self.confusion.false_positive + self.confusion.false_negative)
    }

    /// The error of saying no to all.
    fn always_no(&self) -> f64 {
        self.share(self.positive.rows)
    }

    fn passes(&self) -> bool {
        self.error() <= MOST_ERROR && self.error() < self.always_no()
    }

    /// Averages of a feature over all rows, over positive ones and over negative ones.
    fn means(&self, feature: usize) -> [Option<f64>; 3] {
        let sum = self.positive.of[feature] + self.negative.of[feature];
        [Some(sum / self.rows() as f64), self.positive.mean(feature), self.negative.mean(feature)]
    }

    fn features(&self) -> impl Iterator<Item = (String, [Option<f64>; 3])> {
        let count = self.positive.of.len();
        let name = move |index: usize| match FEATURE_NAMES.get(index).filter(|_| count == FEATURE_NAMES.len())
        {
            Some(name) => (*name).to_owned(),
            None => format!("{}", index + 1),
        };
        (0..count).map(move |index| (name(index), self.means(index)))
    }

    fn sentence(&self, model: &Model) -> String {
        let percent = |share: f64| format!("{} %", Fixed(100.0 * share, 2));
        let (error, no) = (self.error(), self.always_no());
        let limit = match error <= MOST_ERROR {
            true => "at most the 10 % that it may be",
            false => "more than the 10 % that it may be",
        };
        let below = match error < no {
            true => format!("fewer than the {} that saying no to all is wrong of", percent(no)),
            false => format!("not fewer than the {} that saying no to all is wrong of", percent(no)),
        };
        let verdict = if self.passes() { "it passes" } else { "it does not pass" };
        let mut sentence = format!(
            "model {} is wrong of {} of the customers: {limit}, and {below}: {verdict}",
            model.id(),
            percent(error)
        );
        if no < LEAST_CLICKED {
            sentence +=
                ". Under 10 % clicked, so that this tells little: upbeat evaluate has measures that do";
        }
        sentence
    }

    fn text(&self, model: &Model) -> String {
        let Labels { positive, negative } = &model.parts().labels;
        let mut text = format!(
            "rows       {}\nlabel {positive:<5}{} ({} %)\nlabel {negative:<5}{}\n\naverages over customers\n",
            self.rows(),
            self.positive.rows,
            Fixed(100.0 * self.always_no(), 2),
            self.negative.rows
        );
        let line = |name: &str, cells: [String; 3]| {
            let [all, yes, no] = cells;
            format!("  {name:<14}{all:>10}{yes:>12}{no:>12}\n")
        };
        text += &line("", ["all".to_owned(), format!("label {positive}"), format!("label {negative}")]);
        let cell = |mean: Option<f64>| mean.map_or("-".to_owned(), |mean| Fixed(mean, 4).to_string());
        for (name, means) in self.features() {
            text += &line(&name, means.map(cell));
        }
        let Confusion { true_positive, false_positive, false_negative, true_negative } = self.confusion;
        text += "\nerror of the model\n";
        let counts = |name: &str, left: String, right: String| format!("  {name:<14}{left:>12}{right:>12}\n");
        text += &counts("", format!("says {positive}"), format!("says {negative}"));
        text += &counts(&format!("label {positive}"), true_positive.to_string(), false_negative.to_string());
        text += &counts(&format!("label {negative}"), false_positive.to_string(), true_negative.to_string());
        text + "\n" + &self.sentence(model) + "\n"
    }

    fn json(&self, model: &Model) -> Value {
        let features: Vec<Value> = self
            .features()
            .map(|(name, [all, positive, negative])| {
                json!({"feature": name, "all": all, "positive": positive, "negative": negative})
            })
            .collect();
        json!({
            "rows": self.rows(), "positives": self.positive.rows, "features": features, "model": model.id(),
            "confusion": self.confusion, "error": self.error(), "always_no_error": self.always_no(), "passes": self.passes(),
            "informative": self.always_no() >= LEAST_CLICKED, "sentence": self.sentence(model),
        })
    }
}
