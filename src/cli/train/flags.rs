//! The flags of `upbeat train`, and the job they ask for.

use std::path::PathBuf;

use clap::ValueEnum;

use super::values::{above_zero, class_weight, name, number, share, tolerance};
use crate::cli::files;
use crate::cli::label::LabelName;
use upbeat_core::campaign::Label;
use upbeat_core::profile::Window;
use upbeat_svm::{
    Bias, Choice, ClassWeights, Criterion, Grid, Kernel, Labels, Loss, Method, Parameters, Plan, Solver,
};

/// Folds in which a grid is compared, unless --cv says another number.
const GRID_FOLDS: usize = 5;

/// What --auto compares, simplest first: kernel, and whether features are standardised; each under the squared hinge
/// loss and, but for --solver smartcore, under the hinge loss.
const AUTOMATIC: [(Kernel, bool); 4] = [
    (Kernel::Linear, true),
    (Kernel::Linear, false),
    (Kernel::Rbf { gamma: 1.0 }, true),
    (Kernel::Rbf { gamma: 1.0 }, false),
];

/// Train a model on feature vectors
///
/// Reads libSVM text, trains a support vector machine, calibrates its scores to probabilities, and writes
/// a model file that needs nothing beside it. Without --holdout and --cv all rows train, and the measures
/// are those of a cross-validation on at most 2,000 of them: in 10 folds up to 300 rows, 5 up to 1,000, else 3.
#[derive(clap::Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
Examples:
  upbeat train features.txt -o gold.json
  upbeat train features.txt -o gold.json --auto --name gold-2024-10 --report gold.html
  upbeat train features.txt -o gold.json --kernel linear -c 10 --holdout 0.25 --seed 7
  upbeat train features.txt -o gold.json --kernel rbf --grid --criterion error --cv 10
  upbeat train features.txt -o gold.json --class-weight 1=5
  upbeat features --tracks tracks.csv --clicks clicks.csv | upbeat train - -o - > gold.json

--auto compares straight lines and RBF machines, features standardised and as they are, under the squared
hinge and the hinge loss, over C and gamma in a 5-fold cross-validation on at most 5,000 rows, finer round
the best, which are compared in other folds, too, and with class weights where a label is rare; it takes the
simplest of those that do best. --grid does the same for the kernel of --kernel, without class weights."
)]
pub(crate) struct Args {
    /// Rows as libSVM text, `label index:value …`; `-` for standard input
    pub(super) features: PathBuf,
    /// Where to write the model; `-` for standard output
    #[arg(short, long)]
    pub(super) output: PathBuf,
    /// Choose kernel, C and gamma by cross-validation
    #[arg(long, conflicts_with_all = ["grid", "kernel", "loss", "bias", "c", "gamma", "degree", "coef0"])]
    auto: bool,
    /// Choose C and gamma for the kernel by cross-validation
    #[arg(long, conflicts_with_all = ["c", "gamma"])]
    grid: bool,
    /// What --auto and --grid make as small as they can [default: error]
    #[arg(long, value_enum)]
    criterion: Option<CriterionName>,
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
    /// What an error costs: hinge is libSVM's, all are LIBLINEAR's; logistic for the linear kernel only
    /// [default: squared-hinge, or hinge with --calibration none, --kernel sigmoid or
    /// --solver smartcore; --auto tries both]
    #[arg(long, value_enum)]
    loss: Option<LossName>,
    /// Whether the linear kernel's bias is left alone, as libSVM does, or kept small with the weights, as
    /// LIBLINEAR does with -B 1 [default: free]
    #[arg(long, value_enum)]
    bias: Option<BiasName>,
    /// Bring every feature to mean 0 and variance 1, or take it as it is [default: standard; --auto tries both]
    #[arg(long, value_enum)]
    scale: Option<Scale>,
    /// Multiply C for the rows of a label
    #[arg(long = "class-weight", value_name = "LABEL=W", allow_hyphen_values = true, value_parser = class_weight)]
    class_weights: Vec<(String, f64)>,
    /// Multiply C for each row by a number of this file, one a line in the order of the rows
    #[arg(long, value_name = "FILE")]
    pub(super) row_weights: Option<PathBuf>,
    /// Which solver trains: native is SMO, and for the linear kernel the interior point method, coordinate descent or
    /// Newton's method, by the loss and the rows; smo is SMO for all, and hands over a line that it does not finish in ten
    /// thousand pairs
    #[arg(long, value_enum, default_value_t = SolverName::Native)]
    solver: SolverName,
    /// How exactly the optimality conditions are met, above 0 and below 1
    #[arg(short, long, default_value = "0.001", value_parser = tolerance)]
    epsilon: f64,
    /// Stop the solver after so many iterations, converged or not [default: the solvers' own bounds]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_iterations: Option<u64>,
    /// Write a model that scores all rows alike, as the hinge loss makes of rare positives, instead of failing
    #[arg(long)]
    pub(super) allow_constant: bool,
    /// Go on where the solver does not converge, on all rows or on folds of a cross-validation, instead of failing; model
    /// and reports say so
    #[arg(long)]
    pub(super) allow_unconverged: bool,
    /// Turn scores into probabilities by Platt's sigmoid, by isotonic regression (better with ten thousand
    /// rows and more; use --cv with it), or not at all
    #[arg(long, value_enum, default_value_t = CalibrationName::Platt)]
    calibration: CalibrationName,
    /// Keep this share of the rows back, drawn at random, and measure on them, between 0 and 1
    #[arg(long, value_name = "SHARE", conflicts_with = "cv", value_parser = share)]
    holdout: Option<f64>,
    /// Measure, and compare with --auto and --grid, by stratified cross-validation in K folds
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(2..=1000))]
    cv: Option<u32>,
    /// Seed of everything random; the same seed and rows give the same model, byte by byte
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Name for people, 1 to 64 of A-Z a-z 0-9 . _ : -
    #[arg(long, value_parser = name)]
    name: Option<String>,
    /// What a row of the features is, as `features --label` was told; the model file carries it, and a profit threshold
    /// needs a model of impressions
    #[arg(long, value_enum, default_value_t = LabelName::Customer)]
    label: LabelName,
    /// Window the features were made with: at most so many plays
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_535))]
    window_plays: u32,
    /// Window the features were made with: plays at most so many days old
    #[arg(long, value_name = "N", default_value_t = 28, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    window_days: u32,
    /// Also write a page with charts, which opens without network
    #[arg(long, value_name = "HTML")]
    pub(super) report: Option<PathBuf>,
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
enum LossName {
    Hinge,
    SquaredHinge,
    Logistic,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BiasName {
    Free,
    Regularised,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CriterionName {
    LogLoss,
    Error,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CalibrationName {
    Platt,
    Isotonic,
    None,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scale {
    Standard,
    None,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SolverName {
    Native,
    Smo,
    Smartcore,
}

/// What to do, checked as far as it can be without the rows.
pub(super) struct Job {
    pub(super) plan: Plan,
    pub(super) calibrate: Option<Method>,
    pub(super) name: Option<String>,
    pub(super) window: Window,
    /// What a row is.
    pub(super) label: Label,
    /// All parameters but those that depend on the rows: gamma's default, and which label is the positive one.
    parameters: Parameters,
    search: Option<Comparison>,
    gamma: Option<f64>,
    class_weights: Vec<(String, f64)>,
}

/// What --auto or --grid compares: kernel and whether features are standardised, simplest first, and losses.
struct Comparison {
    families: Vec<(Kernel, bool)>,
    losses: Vec<Loss>,
    criterion: Criterion,
    folds: usize,
    balance: bool,
}

impl Args {
    /// The job, or what is wrong with the call.
    pub(super) fn job(&self) -> Result<Job, String> {
        self.check()?;
        let coef0 = self.coef0.unwrap_or(0.0);
        let kernel = match self.kernel {
            KernelName::Linear => Kernel::Linear,
            KernelName::Rbf => Kernel::Rbf { gamma: 1.0 },
            KernelName::Poly => Kernel::Poly { gamma: 1.0, coef0, degree: self.degree.unwrap_or(3) },
            KernelName::Sigmoid => Kernel::Sigmoid { gamma: 1.0, coef0 },
        };
        let standardise = self.scale != Some(Scale::None);
        let families = match (self.auto, self.grid) {
            (true, _) => Some(AUTOMATIC.to_vec()),
            (false, true) => Some(vec![(kernel, standardise)]),
            (false, false) => None,
        };
        let criterion = match self.criterion {
            Some(CriterionName::LogLoss) => Criterion::LogLoss,
            Some(CriterionName::Error) | None => Criterion::Error,
        };
        let hinge_alone = self.solver == SolverName::Smartcore || self.kernel == KernelName::Sigmoid;
        let loss = match self.loss {
            Some(LossName::Hinge) => Loss::Hinge,
            Some(LossName::SquaredHinge) => Loss::SquaredHinge,
            Some(LossName::Logistic) => Loss::Logistic,
            None if hinge_alone || self.calibration == CalibrationName::None => Loss::Hinge,
            // Where the probability decides, scores must follow it below one half too.
            None => Loss::SquaredHinge,
        };
        let losses = match (self.auto, self.solver) {
            (true, SolverName::Native | SolverName::Smo) => vec![Loss::SquaredHinge, Loss::Hinge],
            _ => vec![loss],
        };
        let folds = self.cv.map(|folds| folds as usize);
        Ok(Job {
            plan: match (self.holdout, folds) {
                (Some(share), _) => Plan::Holdout(share),
                (None, Some(folds)) => Plan::CrossValidation(folds),
                (None, None) => Plan::All,
            },
            calibrate: match self.calibration {
                CalibrationName::Platt => Some(Method::Platt),
                CalibrationName::Isotonic => Some(Method::Isotonic),
                CalibrationName::None => None,
            },
            name: self.name.clone(),
            window: Window { plays: self.window_plays, days: self.window_days },
            label: self.label.into(),
            parameters: Parameters {
                solver: match self.solver {
                    SolverName::Native => Solver::Native,
                    SolverName::Smo => Solver::Smo,
                    SolverName::Smartcore => Solver::Smartcore,
                },
                kernel,
                loss,
                bias: match self.bias {
                    Some(BiasName::Free) | None => Bias::Free,
                    Some(BiasName::Regularised) => Bias::Regularised,
                },
                c: self.c,
                class_weights: ClassWeights::NONE,
                epsilon: self.epsilon,
                max_iterations: self.max_iterations,
                standardise,
                allow_unconverged: self.allow_unconverged,
                seed: self.seed,
            },
            search: families.map(|mut families| {
                if self.scale.is_some() {
                    families.retain(|family| family.1 == standardise);
                }
                let folds = folds.unwrap_or(GRID_FOLDS);
                Comparison { families, losses, criterion, folds, balance: self.auto }
            }),
            gamma: self.gamma,
            class_weights: self.class_weights.clone(),
        })
    }

    /// What is wrong with the call, beyond what clap has checked.
    fn check(&self) -> Result<(), String> {
        if self.json && files::is_dash(&self.output) {
            return Err("-o - and --json would both write to standard output; name a file".to_owned());
        }
        if self.report.as_deref().is_some_and(files::is_dash) {
            return Err("--report writes a page; name a file, such as report.html".to_owned());
        }
        if self.criterion.is_some() && !(self.auto || self.grid) {
            return Err("--criterion compares what --auto or --grid tries; add one of them".to_owned());
        }
        let smartcore = self.solver == SolverName::Smartcore;
        if smartcore && !(self.class_weights.is_empty() && self.row_weights.is_none()) {
            return Err("the smartcore solver has one C for all rows and cannot weigh labels or rows; \
                        leave --solver smartcore, or --class-weight and --row-weights, out"
                .to_owned());
        }
        let straight = self.solver == SolverName::Native && self.kernel == KernelName::Linear;
        let logistic = self.loss == Some(LossName::Logistic);
        for (flag, given) in [("--loss logistic", logistic), ("--bias", self.bias.is_some())] {
            if given && !straight {
                return Err(format!("{flag} is a parameter of --kernel linear under --solver native only"));
            }
        }
        if self.kernel == KernelName::Sigmoid && self.loss == Some(LossName::SquaredHinge) {
            return Err("--kernel sigmoid is for the hinge loss: it is not positive semidefinite, and without a bound on \
                        the multipliers there may be no optimum; use --kernel rbf, or leave --loss out"
                .to_owned());
        }
        if smartcore && self.loss == Some(LossName::SquaredHinge) {
            return Err(
                "--solver smartcore knows the hinge loss only; leave --loss or --solver out".to_owned()
            );
        }
        let unused =
            |flag: &str, kernels: &str| Err(format!("{flag} is a parameter of --kernel {kernels} only"));
        match self.kernel {
            KernelName::Linear if self.gamma.is_some() => unused("--gamma", "rbf, poly and sigmoid"),
            KernelName::Linear | KernelName::Rbf if self.coef0.is_some() => {
                unused("--coef0", "poly and sigmoid")
            }
            KernelName::Linear | KernelName::Rbf | KernelName::Sigmoid if self.degree.is_some() => {
                unused("--degree", "poly")
            }
            _ => Ok(()),
        }
    }
}

impl Job {
    /// The parameters, or the grid to search for them, for rows with these labels and so many features; gamma
    /// is 1/features unless it was given, as in libSVM.
    ///
    /// # Errors
    /// A --class-weight for a label that the rows do not have, or a second one for the same label.
    pub(super) fn choice(&self, labels: &Labels, features: usize) -> Result<Choice, String> {
        let gamma = self.gamma.unwrap_or(1.0 / features as f64);
        let class_weights = self.class_weights(labels)?;
        let parameters =
            Parameters { kernel: self.parameters.kernel.with_gamma(gamma), class_weights, ..self.parameters };
        Ok(match &self.search {
            None => Choice::Parameters(parameters),
            Some(Comparison { families, losses, criterion, folds, balance }) => Choice::Grid(Grid {
                families: families
                    .iter()
                    .flat_map(|&(kernel, standardise)| {
                        let of_loss =
                            move |&loss: &Loss| Parameters { kernel, standardise, loss, ..parameters };
                        losses.iter().map(of_loss)
                    })
                    .collect(),
                folds: *folds,
                criterion: *criterion,
                balance: *balance,
            }),
        })
    }

    fn class_weights(&self, labels: &Labels) -> Result<ClassWeights, String> {
        let (mut positive, mut negative) = (None, None);
        for (label, weight) in &self.class_weights {
            let slot = match label.parse().ok().and_then(|value| labels.is_positive(value)) {
                Some(true) => &mut positive,
                Some(false) => &mut negative,
                None => {
                    return Err(format!(
                        "--class-weight {label}={weight}: the rows are labelled {} and {}",
                        labels.positive, labels.negative
                    ));
                }
            };
            if slot.replace(*weight).is_some() {
                return Err(format!("--class-weight {label}={weight}: this label has a weight already"));
            }
        }
        Ok(ClassWeights { positive: positive.unwrap_or(1.0), negative: negative.unwrap_or(1.0) })
    }
}
