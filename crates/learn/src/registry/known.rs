//! A model that is known: where it came from, what it is, and what was found of it.

use serde::{Deserialize, Serialize};
use upbeat_core::campaign::Label;
use upbeat_core::model;
use upbeat_core::profile::Window;
use upbeat_svm::Model;

use crate::job::{Standing, Verdict};

/// Where a model came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// It was trained here, from decisions of this server.
    Trained,
    /// It was sent to this server.
    Uploaded,
    /// It ships with the program.
    Shipped,
    /// A file that the configuration or the campaigns name.
    File,
}

/// What a model is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Properties {
    /// The kernel's name.
    pub kernel: String,
    /// How many support vectors it has; 0 of a linear one.
    pub support_vectors: usize,
    /// The window of plays that it was trained on.
    pub window: Window,
    /// Whether its scores have probabilities.
    pub calibrated: bool,
    /// Whether it scores all listeners alike.
    pub constant: bool,
    /// Whether its solver ended at its tolerance; `None` where the file does not say.
    pub converged: Option<bool>,
}

impl Properties {
    /// Those of a model.
    #[must_use]
    pub fn of(of: &Model) -> Self {
        Self {
            kernel: of.parts().machine.kernel().name().to_owned(),
            support_vectors: of.parts().machine.support_vectors(),
            window: model::window(of).unwrap_or_default(),
            calibrated: of.scorer().probability(0.0).is_some(),
            constant: of.is_constant(),
            converged: model::solver_record(of).map(|record| record.converged),
        }
    }
}

/// A model that is known of a campaign, or was uploaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// The model's id.
    pub id: String,
    /// What its probability is of.
    pub label: Label,
    /// Where it came from.
    pub source: Source,
    /// When it became known, by the wall clock, in Unix milliseconds.
    pub registered_ms: i64,
    /// What it is.
    pub properties: Properties,
    /// The newest decision that it was fitted to or calibrated on, in Unix milliseconds; `None` where it was not trained here.
    pub trained_until_ms: Option<i64>,
    /// Whether it may have decided: then a decision that is kept may name it.
    pub has_decided: bool,
    /// What each check of the gate has found, where it was a challenger.
    pub gate: Vec<Verdict>,
    /// What became of it at the last look.
    pub standing: Option<Standing>,
    /// How it was trained, or what became of it, in words.
    pub sentence: Option<String>,
    /// Matured decisions that it was compared on.
    pub rows: Option<u64>,
    /// The share of them on which champion and challenger would do the same, 0 to 1.
    pub agreement: Option<f64>,
    /// What it would have earned on them beyond the champion, in micro-units.
    pub would_have_profit_micro: Option<f64>,
}

impl Known {
    /// A model of which nothing was found yet.
    #[must_use]
    pub fn new(model: &Model, source: Source, registered_ms: i64) -> Self {
        Self {
            id: model.id().to_owned(),
            label: upbeat_core::model::label(model),
            source,
            registered_ms,
            properties: Properties::of(model),
            trained_until_ms: None,
            has_decided: false,
            gate: Vec::new(),
            standing: None,
            sentence: None,
            rows: None,
            agreement: None,
            would_have_profit_micro: None,
        }
    }
}
