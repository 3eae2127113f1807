//! How to train, and why nothing was trained.

use super::kernel::Kernel;
use super::linear::{Bias, Loss};

/// Which solver trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Solver {
    /// Coordinate descent for the linear kernel, SMO for the others.
    Native,
    /// SMO for every kernel, as libSVM does.
    Smo,
    /// smartcore's support vector classifier.
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

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The solver.
    pub solver: Solver,
    /// The kernel and its parameters.
    pub kernel: Kernel,
    /// What an error costs; other than [`Loss::Hinge`] for the native linear solver only.
    pub loss: Loss,
    /// Whether the bias is kept small with the weights; regularised for the native linear solver only.
    pub bias: Bias,
    /// Cost of an error, finite and above 0.
    pub c: f64,
    /// What C is multiplied by for each class.
    pub class_weights: ClassWeights,
    /// The optimality conditions are met within this, finite and above 0.
    pub epsilon: f64,
    /// Bound on the solver's iterations; none for libSVM's and LIBLINEAR's own bounds.
    pub max_iterations: Option<u64>,
    /// Whether features are standardised; else they are taken as they are.
    pub standardise: bool,
    /// Seeds the solver's order of rows, the splits and the folds.
    pub seed: u64,
}

impl Default for Settings {
    /// A straight line, C = 1, standardised features, libSVM's tolerance.
    fn default() -> Self {
        Self {
            solver: Solver::Native,
            kernel: Kernel::Linear,
            loss: Loss::Hinge,
            bias: Bias::Free,
            c: 1.0,
            class_weights: ClassWeights::NONE,
            epsilon: 1e-3,
            max_iterations: None,
            standardise: true,
            seed: 1,
        }
    }
}

impl Settings {
    /// Whether every setting is in its range and fits the others.
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
                return Err(TrainError::Setting { name, wanted: number });
            }
        }
        if !positive.max(negative).is_finite() {
            return Err(TrainError::Setting { name: "class weight", wanted: number });
        }
        if let Some((name, wanted)) = self.kernel.fault() {
            return Err(TrainError::Setting { name, wanted });
        }
        self.check_solver()
    }

    /// Whether the solver can do what the other settings ask for.
    fn check_solver(&self) -> Result<(), TrainError> {
        let straight = self.solver == Solver::Native && self.kernel == Kernel::Linear;
        if !straight && (self.loss != Loss::Hinge || self.bias != Bias::Free) {
            let wanted = "hinge, and the bias free, but for the linear kernel under the native solver";
            return Err(TrainError::Setting { name: "loss", wanted });
        }
        if self.solver == Solver::Smartcore && self.class_weights != ClassWeights::NONE {
            let wanted = "1 for the smartcore solver, which has one C for all rows";
            return Err(TrainError::Setting { name: "class weight", wanted });
        }
        Ok(())
    }
}

/// Why nothing was trained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting is out of range.
    #[error("{name} must be {wanted}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// Its range.
        wanted: &'static str,
    },
    /// A class has too few rows for what was asked.
    #[error("{asked} needs at least {needed} rows of each label, and label {label} has {rows}; {mending}")]
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
        mending: &'static str,
    },
    /// Kernel values beyond what the solvers' arithmetic can tell apart.
    #[error(
        "values of the {kernel} kernel, times C and weights, are too great to train with; \
         use --scale standard, a smaller -c or weight, or smaller --gamma, --coef0 and --degree"
    )]
    TooGreat {
        /// The kernel.
        kernel: &'static str,
    },
    /// A solver failed.
    #[error("the {solver} solver failed: {problem}")]
    Solver {
        /// Its name.
        solver: &'static str,
        /// What happened, and what to do.
        problem: String,
    },
}
