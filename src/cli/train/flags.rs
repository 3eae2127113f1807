//! The flags of `upbeat train`, and the job they ask for.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::cli::files;
use crate::profile::Window;
use crate::svm::{Kernel, Plan, Settings, check_name};

/// Train a model on feature vectors
///
/// Reads libSVM text, trains a support vector machine, calibrates its scores to probabilities, and writes
/// a model file that needs nothing beside it. Without --holdout and --cv all rows train, and the measures
/// are those of a 3-fold cross-validation on at most 2,000 of them.
#[derive(clap::Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
Examples:
  upbeat train features.txt -o gold.json
  upbeat train features.txt -o gold.json --auto --name gold-2024-10
  upbeat train features.txt -o gold.json --kernel linear -c 10 --holdout 0.25 --seed 7
  upbeat features --tracks tracks.csv --clicks clicks.csv | upbeat train - -o - > gold.json

--auto compares linear machines (C 0.1, 1, 10) and RBF machines (C 1, 10; gamma 1/4, 1 and 4 times
1/features) by log loss in a 3-fold cross-validation on at most 1,500 rows, and
prefers the simpler of two that are within 1 % of each other."
)]
pub(crate) struct Args {
    /// Rows as libSVM text, `label index:value …`; `-` for standard input
    pub(super) features: PathBuf,
    /// Where to write the model; `-` for standard output
    #[arg(short, long)]
    pub(super) output: PathBuf,
    /// Choose kernel, C and gamma by cross-validation
    #[arg(long, conflicts_with_all = ["kernel", "c", "gamma", "degree", "coef0"])]
    auto: bool,
    /// Kernel of the machine
    #[arg(long, value_enum, default_value_t = KernelName::Linear)]
    kernel: KernelName,
    /// Cost of an error, above 0
    #[arg(short, value_name = "C", default_value = "1", value_parser = above_zero)]
    c: f64,
    /// Parameter of the rbf, poly and sigmoid kernels, above 0 [default: 1/features]
    #[arg(long, value_parser = above_zero)]
    gamma: Option<f64>,
    /// Degree of the poly kernel, 1 to 10 [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10))]
    degree: Option<u32>,
    /// Constant of the poly and sigmoid kernels [default: 0]
    #[arg(long, value_parser = number)]
    coef0: Option<f64>,
    /// Bring every feature to mean 0 and variance 1, or take it as it is
    #[arg(long, value_enum, default_value_t = Scale::Standard)]
    scale: Scale,
    /// Multiply C for the rows of a label (needs a native solver)
    #[arg(long = "class-weight", value_name = "LABEL=W", allow_hyphen_values = true, value_parser = class_weight)]
    class_weights: Vec<(String, f64)>,
    /// Which solver trains
    #[arg(long, value_enum, default_value_t = Solver::Smartcore)]
    solver: Solver,
    /// Keep this share of each label's rows back and measure on them, between 0 and 1
    #[arg(long, value_name = "SHARE", conflicts_with = "cv", value_parser = share)]
    holdout: Option<f64>,
    /// Measure by cross-validation of all rows in K folds
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(2..=1000))]
    cv: Option<u32>,
    /// Seed of everything random; the same seed and rows give the same model, byte by byte
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Name for people, 1 to 64 of A-Z a-z 0-9 . _ : -
    #[arg(long, value_parser = name)]
    name: Option<String>,
    /// Window the features were made with: at most so many plays
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    window_plays: u32,
    /// Window the features were made with: plays at most so many days old
    #[arg(long, value_name = "N", default_value_t = 28, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    window_days: u32,
    /// Write the report as one JSON object to standard output
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KernelName {
    Linear,
    Rbf,
    Poly,
    Sigmoid,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scale {
    Standard,
    None,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Solver {
    Native,
    Smartcore,
}

/// What to do, checked as far as it can be without the rows.
pub(super) struct Job {
    pub(super) auto: bool,
    pub(super) standardise: bool,
    pub(super) seed: u64,
    pub(super) plan: Plan,
    pub(super) name: Option<String>,
    pub(super) window: Window,
    kernel: KernelName,
    c: f64,
    gamma: Option<f64>,
    coef0: f64,
    degree: u32,
}

impl Args {
    /// The job, or what is wrong with the call.
    pub(super) fn job(&self) -> Result<Job, String> {
        if self.solver == Solver::Native {
            return Err("native solvers are not in this version; \
                        leave --solver out or write --solver smartcore"
                .to_owned());
        }
        if !self.class_weights.is_empty() {
            return Err("the smartcore solver has one C for all rows and cannot weigh labels; \
                        leave --class-weight out"
                .to_owned());
        }
        if self.json && files::is_dash(&self.output) {
            return Err("-o - and --json would both write to standard output; name a file".to_owned());
        }
        let kernel = self.kernel;
        let unused =
            |flag: &str, kernels: &str| Err(format!("{flag} is a parameter of --kernel {kernels} only"));
        match kernel {
            KernelName::Linear if self.gamma.is_some() => return unused("--gamma", "rbf, poly and sigmoid"),
            KernelName::Linear | KernelName::Rbf if self.coef0.is_some() => {
                return unused("--coef0", "poly and sigmoid");
            }
            KernelName::Linear | KernelName::Rbf | KernelName::Sigmoid if self.degree.is_some() => {
                return unused("--degree", "poly");
            }
            _ => {}
        }
        Ok(Job {
            auto: self.auto,
            standardise: self.scale == Scale::Standard,
            seed: self.seed,
            plan: match (self.holdout, self.cv) {
                (Some(share), _) => Plan::Holdout(share),
                (None, Some(folds)) => Plan::CrossValidation(folds as usize),
                (None, None) => Plan::All,
            },
            name: self.name.clone(),
            window: Window { plays: self.window_plays, days: self.window_days },
            kernel,
            c: self.c,
            gamma: self.gamma,
            coef0: self.coef0.unwrap_or(0.0),
            degree: self.degree.unwrap_or(3),
        })
    }
}

impl Job {
    /// The settings for rows of so many features; gamma is 1/features unless it was given, as in libSVM.
    pub(super) fn settings(&self, features: usize) -> Settings {
        let gamma = self.gamma.unwrap_or(1.0 / features as f64);
        let coef0 = self.coef0;
        let kernel = match self.kernel {
            KernelName::Linear => Kernel::Linear,
            KernelName::Rbf => Kernel::Rbf { gamma },
            KernelName::Poly => Kernel::Poly { gamma, coef0, degree: self.degree },
            KernelName::Sigmoid => Kernel::Sigmoid { gamma, coef0 },
        };
        Settings { kernel, c: self.c, standardise: self.standardise, seed: self.seed }
    }
}

fn number(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value: &f64| value.is_finite());
    value.ok_or_else(|| "must be a finite number".to_owned())
}

fn above_zero(text: &str) -> Result<f64, String> {
    let value = number(text).ok().filter(|&value| value > 0.0);
    value.ok_or_else(|| "must be a finite number above 0, such as 1 or 0.5".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let value = number(text).ok().filter(|&value| value > 0.0 && value < 1.0);
    value.ok_or_else(|| "must be a share above 0 and below 1, such as 0.25".to_owned())
}

fn class_weight(text: &str) -> Result<(String, f64), String> {
    let wanted = || "must be LABEL=W with W above 0, such as 1=5".to_owned();
    let (label, weight) = text.split_once('=').ok_or_else(wanted)?;
    number(label).map_err(|_| wanted())?;
    Ok((label.to_owned(), above_zero(weight).map_err(|_| wanted())?))
}

fn name(text: &str) -> Result<String, String> {
    check_name(text).map(|()| text.to_owned()).map_err(str::to_owned)
}
