//! The parameters of training, and its errors.

use crate::kernel::Kernel;
use crate::model::ModelError;
use crate::solve::linear::{Bias, Loss};

/// Which solver trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Solver {
    /// For the linear kernel the interior point method, coordinate descent or Newton's method, by the loss and the rows;
    /// SMO for the others, and where those do not converge.
    Native,
    /// SMO for every kernel, as libSVM does. A linear machine that it does not finish in ten thousand pairs goes to what
    /// [`Solver::Native`] has for it; [`Solve::solver`](crate::Solve::solver) says so.
    Smo,
    /// smartcore's support vector classifier. Needs the crate's feature `smartcore`; without it training says so.
    Smartcore,
}

impl Solver {
    /// Name and version, for model files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Smo => "smo",
            Self::Smartcore => "smartcore 0.7",
        }
    }
}

/// What C is multiplied by for the rows of a class; finite and above 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassWeights {
    /// For rows with the positive label.
    pub positive: f64,
    /// For rows with the negative label.
    pub negative: f64,
}

impl ClassWeights {
    /// Both classes count as they are.
    pub const NONE: Self = Self { positive: 1.0, negative: 1.0 };
}

/// What training is asked for: solver, kernel and costs.
///
/// A plain struct; name what differs from the default:
///
/// ```
/// use upbeat_svm::{Kernel, Parameters};
///
/// let parameters = Parameters { kernel: Kernel::Rbf { gamma: 0.5 }, c: 10.0, ..Parameters::default() };
/// parameters.check()?;
/// # Ok::<(), upbeat_svm::TrainError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameters {
    /// The solver.
    pub solver: Solver,
    /// The kernel and its parameters.
    pub kernel: Kernel,
    /// The loss function: [`Loss::Logistic`] for the native linear solver only, [`Loss::SquaredHinge`] for all but
    /// smartcore's, and all kernels but the sigmoid.
    pub loss: Loss,
    /// Whether the bias is regularised with the weights; regularised for the native linear solver only.
    pub bias: Bias,
    /// Cost of an error, finite and above 0.
    pub c: f64,
    /// What C is multiplied by for each class.
    pub class_weights: ClassWeights,
    /// The optimality conditions are met within this, above 0 and below 1.
    pub epsilon: f64,
    /// Bound on the solver's iterations; none for libSVM's and LIBLINEAR's own bounds.
    pub max_iterations: Option<u64>,
    /// Whether features are standardised; else they are taken as they are.
    pub standardise: bool,
    /// Whether training goes on with machines whose solver did not converge: [`Solve::converged`](crate::Solve::converged) and
    /// [`Measured::unconverged_folds`](crate::Measured::unconverged_folds) say so. Else they are an error of
    /// cross-validation and of [`Model::train`](crate::Model::train), and left out of a search.
    pub allow_unconverged: bool,
    /// Seeds the solver's order of rows, the splits and the folds.
    pub seed: u64,
}

impl Default for Parameters {
    /// The native solver, the linear kernel, the squared hinge loss, C = 1, standardised features, libSVM's tolerance.
    ///
    /// libSVM's loss is [`Loss::Hinge`]. Its best score is the sign of 2p − 1, where p is the row's chance of the positive
    /// label, and so tells nothing where p stays below one half; that of the squared hinge loss is 2p − 1 itself, as a
    /// probability needs it (Zhang, *Annals of Statistics* 32, 2004, section 3).
    fn default() -> Self {
        Self {
            solver: Solver::Native,
            kernel: Kernel::Linear,
            loss: Loss::SquaredHinge,
            bias: Bias::Free,
            c: 1.0,
            class_weights: ClassWeights::NONE,
            epsilon: 1e-3,
            max_iterations: None,
            standardise: true,
            allow_unconverged: false,
            seed: 1,
        }
    }
}

impl Parameters {
    /// Whether every parameter is in its range and fits the others.
    ///
    /// # Errors
    /// The first one that is not.
    pub fn check(&self) -> Result<(), TrainError> {
        let number = "a finite number above 0";
        let ClassWeights { positive, negative } = self.class_weights;
        for (name, value) in
            [("C", self.c), ("epsilon", self.epsilon), ("class weight", positive.min(negative))]
        {
            if !(value.is_finite() && value > 0.0) {
                return Err(TrainError::Parameter { name, wanted: number });
            }
        }
        if self.epsilon >= 1.0 {
            // Every machine, one that was not trained as well, meets the conditions within the margin itself.
            return Err(TrainError::Parameter {
                name: "epsilon",
                wanted: "above 0 and below 1, which is the margin",
            });
        }
        if !positive.max(negative).is_finite() {
            return Err(TrainError::Parameter { name: "class weight", wanted: number });
        }
        if let Some((name, wanted)) = self.kernel.fault() {
            return Err(TrainError::Parameter { name, wanted });
        }
        self.check_solver()
    }

    /// Whether the solver can do what the other parameters ask for.
    fn check_solver(&self) -> Result<(), TrainError> {
        if self.solver == Solver::Smartcore && !cfg!(feature = "smartcore") {
            return Err(TrainError::MissingFeature { solver: self.solver.name(), feature: "smartcore" });
        }
        let straight = self.solver == Solver::Native && self.kernel == Kernel::Linear;
        if !straight && self.bias != Bias::Free {
            let wanted = "free, but for the linear kernel under the native solver";
            return Err(TrainError::Parameter { name: "bias", wanted });
        }
        if !straight && self.loss == Loss::Logistic {
            let wanted = "hinge or squared hinge, but for the linear kernel under the native solver";
            return Err(TrainError::Parameter { name: "loss", wanted });
        }
        if matches!(self.kernel, Kernel::Sigmoid { .. }) && self.loss == Loss::SquaredHinge {
            // Not positive semidefinite: without an upper bound on the multipliers the dual problem may have no optimum.
            return Err(TrainError::Parameter { name: "loss", wanted: "hinge for the sigmoid kernel" });
        }
        if self.solver == Solver::Smartcore && self.loss != Loss::Hinge {
            return Err(TrainError::Parameter { name: "loss", wanted: "hinge for the smartcore solver" });
        }
        if self.solver == Solver::Smartcore && self.class_weights != ClassWeights::NONE {
            let wanted = "1 for the smartcore solver, which has one C for all rows";
            return Err(TrainError::Parameter { name: "class weight", wanted });
        }
        Ok(())
    }
}

/// What is said of a solution without support vectors.
pub(crate) const NO_SUPPORT: &str = "it found no support vector: all rows are alike to the kernel, or C is too small; \
                                     try --scale standard, a smaller --gamma, or a greater -c";

/// Why training failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A parameter is out of range.
    #[error("{name} must be {wanted}")]
    Parameter {
        /// The parameter's name.
        name: &'static str,
        /// Its range.
        wanted: &'static str,
    },
    /// A class has too few rows for what was asked.
    #[error("{asked} needs at least {needed} rows of each label, and label {label} has {rows}; {fix}")]
    TooFew {
        /// What was asked for.
        asked: String,
        /// Rows it needs of each class.
        needed: usize,
        /// The scarce label, as written.
        label: String,
        /// Its rows.
        rows: usize,
        /// What to do.
        fix: &'static str,
    },
    /// Kernel values beyond the precision of the solvers' arithmetic.
    #[error(
        "values of the {} kernel, times C and weights, are too great to train with; use {}a smaller -c or weight{}",
        kernel.name(),
        if *standardised { "" } else { "--scale standard, " },
        smaller(*kernel)
    )]
    TooGreat {
        /// The kernel.
        kernel: Kernel,
        /// Whether the rows are standardised already.
        standardised: bool,
    },
    /// A kernel machine would take more memory than [`KERNEL_BYTES`](crate::KERNEL_BYTES).
    #[error(
        "the {kernel} kernel on {rows} rows of {columns} columns needs {} of memory, and {} are allowed; use \
         --kernel linear with --solver native, which takes sparse rows as they are, or fewer rows or columns",
        gigabytes(*bytes),
        gigabytes(*limit)
    )]
    TooLarge {
        /// The kernel.
        kernel: &'static str,
        /// Rows to train on.
        rows: usize,
        /// Their columns.
        columns: usize,
        /// Bytes that it needs beside the problem.
        bytes: u64,
        /// Most that it may need.
        limit: u64,
    },
    /// The solver reached its bound on iterations before the optimality conditions were met.
    #[error(
        "the solver stopped{} without converging; use a smaller C, a greater epsilon or \
         max_iterations, or standardised features",
        after(*.iterations)
    )]
    Unconverged {
        /// Iterations taken; 0 where the solver does not tell.
        iterations: u64,
    },
    /// A machine of a path along C that was not trained, since that of a smaller C did not converge.
    #[error(
        "C = {smaller} brought the solver to its bound on iterations, and a greater C takes more; use a greater epsilon or \
         max_iterations, or standardised features"
    )]
    Beyond {
        /// The C of the machine that did not converge.
        smaller: f64,
    },
    /// As [`TrainError::Unconverged`], for one machine of a cross-validation.
    #[error(
        "the solver stopped{} without converging on fold {fold} of the cross-validation, whose \
         measures would be those of another machine; use a smaller C, a greater epsilon, standardised features, or no \
         calibration; --allow-unconverged goes on all the same",
        after(*.iterations)
    )]
    UnconvergedFold {
        /// The fold, from 1.
        fold: usize,
        /// Iterations taken; 0 where the solver does not tell.
        iterations: u64,
    },
    /// No candidate of a search could be compared.
    #[error("no machine of the grid could be trained; the first: {reason}")]
    NoCandidate {
        /// Why the first could not.
        reason: String,
    },
    /// The machine scores all rows alike.
    #[error("the model scores all rows alike and tells none from another; {}", remedy(*.loss))]
    Constant {
        /// The loss it was trained with.
        loss: Loss,
    },
    /// The solver is not part of this build.
    #[error("the {solver} solver is not part of this build; build upbeat-svm with its feature `{feature}`")]
    MissingFeature {
        /// Its name.
        solver: &'static str,
        /// The Cargo feature that has it.
        feature: &'static str,
    },
    /// What was trained does not make a model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A solver failed.
    #[error("the {solver} solver failed: {problem}")]
    Solver {
        /// Its name.
        solver: &'static str,
        /// What happened, and what to do.
        problem: String,
    },
}

/// Which of a kernel's parameters make its values smaller.
fn smaller(kernel: Kernel) -> &'static str {
    match kernel {
        Kernel::Linear => "",
        Kernel::Rbf { .. } => ", or a smaller --gamma",
        Kernel::Poly { .. } => ", or smaller --gamma, --coef0 and --degree",
        Kernel::Sigmoid { .. } => ", or smaller --gamma and --coef0",
    }
}

/// After how many iterations a solver stopped, where it tells.
fn after(iterations: u64) -> String {
    if iterations == 0 { String::new() } else { format!(" after {iterations} iterations") }
}

/// Why a machine of this loss scores all rows alike, and what to do.
fn remedy(loss: Loss) -> &'static str {
    match loss {
        Loss::Hinge => {
            "where no row's chance p of the positive label comes near one half, the best score of the hinge loss, the \
             sign of 2p − 1, is the same for all; use --loss squared-hinge, whose best score is 2p − 1 itself, or \
             --class-weight for the scarcer label; or else C is too small for the unit of the features: use --scale \
             standard, or a greater -c"
        }
        Loss::SquaredHinge | Loss::Logistic => {
            "the features say nothing of the labels, or C is too small for their unit; use other features, \
             --scale standard, or a greater -c"
        }
    }
}

/// Bytes for people.
fn gigabytes(bytes: u64) -> String {
    format!("{:.2} GB", bytes as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerance_as_great_as_the_margin_is_refused() {
        for (epsilon, is_good) in
            [(1e-300, true), (0.999, true), (1.0, false), (1e300, false), (f64::NAN, false)]
        {
            let checked = Parameters { epsilon, ..Parameters::default() }.check();
            assert_eq!(checked.is_ok(), is_good, "{epsilon}: {checked:?}");
        }
    }
}
