//! A model: everything that scoring needs, checked once and then trusted.

use serde::{Deserialize, Serialize};

use crate::feature::{FEATURE_COUNT, FEATURE_DEFINITION, FEATURE_NAMES};
use crate::profile::Window;

use super::calibration::Calibration;
use super::exact::{self, Number};
use super::fit::Solve;
use super::machine::Machine;
use super::metrics::Metrics;
use super::model_check::check;
use super::model_json;
use super::rows::finite;
use super::scaling::Scaling;
use super::settings::{ClassWeights, Settings};

/// What a model's input is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Name and version of the code that makes the features; none when it is not known.
    pub definition: Option<String>,
    /// A name per feature, in order; none when they are not known.
    pub names: Option<Vec<String>>,
    /// How many there are, `1..=10_000`.
    pub count: usize,
}

impl Features {
    /// Six features are Upbeat's own shares; any other number is somebody else's problem.
    pub fn of_count(count: usize) -> Self {
        let own = count == FEATURE_COUNT;
        Self {
            definition: own.then(|| FEATURE_DEFINITION.to_owned()),
            names: own.then(|| FEATURE_NAMES.map(str::to_owned).to_vec()),
            count,
        }
    }
}

/// The two labels as written in the training file; the positive one is the greater number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// Predicted for a score above 0.
    pub positive: String,
    /// Predicted for any other score.
    pub negative: String,
}

impl Labels {
    /// The label that a score predicts.
    pub fn predicted(&self, score: f64) -> &str {
        if score > 0.0 { &self.positive } else { &self.negative }
    }

    /// Whether a label's value is the positive one; none when it is neither of the two.
    pub fn is_positive(&self, value: f64) -> Option<bool> {
        if finite(&self.positive) == Some(value) {
            Some(true)
        } else {
            (finite(&self.negative) == Some(value)).then_some(false)
        }
    }
}

/// How the model came to be. Holds no time, so that the same training gives the same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Name and version of the solver.
    pub solver: String,
    /// Version of Upbeat.
    pub tool_version: String,
    /// Cost of an error, above 0.
    #[serde(deserialize_with = "exact::number")]
    pub c: f64,
    /// Seed of the solver, of splits and of folds.
    pub seed: u64,
    /// Rows the final machine was trained on.
    pub rows: u64,
    /// Rows with the positive label among them.
    pub positives: u64,
    /// SHA-256 of the training file's bytes, 64 hex digits; none when trained from memory.
    pub data_sha256: Option<String>,
    /// How good it was, and on which rows; none when there were too few rows to tell.
    pub measured: Option<Measured>,
    /// The other parameters and how the solver ended; none in files of version 1.
    #[serde(default)]
    pub parameters: Option<Parameters>,
    /// The mean of each feature over the training rows, unscaled; none in files of version 1.
    #[serde(default, deserialize_with = "exact::optional_numbers")]
    pub feature_mean: Option<Vec<f64>>,
}

/// What the solver was asked for beside C and the kernel, and how it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// `hinge`, `squared-hinge` or `logistic`.
    pub loss: String,
    /// `free` or `regularised`.
    pub bias: String,
    /// The optimality conditions were to be met within this, above 0.
    #[serde(deserialize_with = "exact::number")]
    pub epsilon: f64,
    /// What C was multiplied by for the rows of the positive and of the negative label, above 0.
    pub class_weights: [Number; 2],
    /// Whether rows had weights of their own.
    pub row_weights: bool,
    /// The dual objective reached; none where the solver does not tell it.
    #[serde(deserialize_with = "exact::optional")]
    pub objective: Option<f64>,
    /// Iterations; none where the solver does not tell them.
    pub iterations: Option<u64>,
    /// Whether the optimality conditions were met.
    pub converged: bool,
    /// Rows with a multiplier above 0.
    pub support_vectors: u64,
}

impl Parameters {
    /// Of settings and how their solver ended.
    pub fn of(settings: &Settings, solve: &Solve, row_weights: bool) -> Self {
        let ClassWeights { positive, negative } = settings.class_weights;
        Self {
            loss: settings.loss.to_string(),
            bias: settings.bias.to_string(),
            epsilon: settings.epsilon,
            class_weights: [Number(positive), Number(negative)],
            row_weights,
            objective: solve.objective,
            iterations: solve.iterations,
            converged: solve.converged,
            support_vectors: solve.support_vectors as u64,
        }
    }
}

/// Measures and where they come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// `holdout` or `cross-validation`.
    pub method: String,
    /// Folds of a cross-validation; none for a holdout.
    pub folds: Option<u64>,
    /// The measures.
    pub metrics: Metrics,
}

/// The parts of a model before they are checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    /// A name for people, 1–64 of `A-Z a-z 0-9 . _ : -`.
    pub name: Option<String>,
    /// What the input is.
    pub features: Features,
    /// Which plays the features were made of.
    pub window: Window,
    /// The labels.
    pub labels: Labels,
    /// Applied to rows before the machine; none when rows are taken as they are.
    pub scaling: Option<Scaling>,
    /// The decision function.
    pub machine: Machine,
    /// From score to probability.
    pub calibration: Option<Calibration>,
    /// How the model came to be.
    pub training: Option<Training>,
}

/// A checked model with its identity.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    parts: Parts,
    id: String,
}

/// Why bytes are not a model, or why a model cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// More bytes than a model may have.
    #[error("a model file has at most {limit} bytes, this one has {bytes}")]
    TooLarge {
        /// Bytes of the file.
        bytes: usize,
        /// Most it may have.
        limit: usize,
    },
    /// Not JSON, or JSON of another shape; the reason names the field or the place.
    #[error("not an Upbeat model file: {0}")]
    Syntax(String),
    /// A field's value is out of range or does not fit the others.
    #[error("field {field}: {problem}")]
    Field {
        /// Path of the field in the file.
        field: String,
        /// What is wrong and what is wanted.
        problem: String,
    },
    /// The model is sound, but not for this server.
    #[error("the model cannot serve here: {0}")]
    Serving(String),
}

impl ModelError {
    pub(super) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into() }
    }
}

impl Model {
    /// Checks the parts; the id is that of the file [`Model::to_bytes`] writes.
    ///
    /// # Errors
    /// The first field that is out of range.
    pub fn new(parts: Parts) -> Result<Self, ModelError> {
        check(&parts)?;
        let id = model_json::id(&model_json::to_bytes(&parts));
        Ok(Self { parts, id })
    }

    /// Reads a model file (JSON, see docs/model-file.md).
    ///
    /// # Errors
    /// Anything that is not exactly such a file: other JSON, unknown fields, another version, numbers that
    /// are not finite, lengths that do not agree, values out of range.
    pub fn read(bytes: &[u8]) -> Result<Self, ModelError> {
        let parts = model_json::from_bytes(bytes)?;
        check(&parts)?;
        Ok(Self { parts, id: model_json::id(bytes) })
    }

    /// The model as a file; reading it gives the same parts, bit by bit.
    pub fn to_bytes(&self) -> Vec<u8> {
        model_json::to_bytes(&self.parts)
    }

    /// The first 12 hex digits of the SHA-256 of the model file.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name for people, when it has one.
    pub fn name(&self) -> Option<&str> {
        self.parts.name.as_deref()
    }

    /// Which plays the features were made of.
    pub fn window(&self) -> Window {
        self.parts.window
    }

    /// The checked parts.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Whether this build, with this window, may serve the model.
    ///
    /// # Errors
    /// Another feature definition, number of features or window, and how to mend it.
    pub fn check_serving(&self, window: Window) -> Result<(), ModelError> {
        let Features { definition, count, .. } = &self.parts.features;
        let refuse = |reason: String| Err(ModelError::Serving(reason));
        if *count != FEATURE_COUNT {
            return refuse(format!(
                "it takes {count} features, the server makes {FEATURE_COUNT} ({}); \
                 train on the output of `upbeat features`",
                FEATURE_NAMES.join(", ")
            ));
        }
        if definition.as_deref() != Some(FEATURE_DEFINITION) {
            return refuse(format!(
                "its features are {}, the server makes {FEATURE_DEFINITION}; \
                 make the features again with this version's `upbeat features` and train again",
                definition.as_deref().unwrap_or("of no known definition")
            ));
        }
        let Window { plays, days } = self.parts.window;
        if self.parts.window != window {
            return refuse(format!(
                "it was trained on a window of {plays} plays and {days} days, the server's is {} plays and \
                 {} days; set window.plays = {plays} and window.days = {days} in upbeat.toml, or train with \
                 --window-plays {} --window-days {} on features of that window",
                window.plays, window.days, window.plays, window.days
            ));
        }
        Ok(())
    }
}
