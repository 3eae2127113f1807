//! What a learning job is asked, and what it answers: the wire between the server and the process that it starts for one campaign.
//!
//! The server writes an [`Ask`] as one JSON object to the process, which reads the data directory, changes nothing in it, and
//! answers with an [`Answer`]. Both are functions of what they name: a job that is killed is asked again.

mod run;

pub use run::{Given, Run};

use serde::{Deserialize, Serialize};
use upbeat_core::event::Id;

use crate::consistency::Agreement;
use crate::watch::Watched;

/// What a job is to do for one campaign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The campaign.
    pub campaign: Id,
    /// The model that decides for it now, by its id; `None` where it has none.
    pub champion: Option<String>,
    /// The challenger that is to be judged; `None` where there is none.
    pub challenger: Option<Challenger>,
    /// Whether a model may be trained where no challenger stays.
    pub train: bool,
    /// The newest row that the last training knew, in Unix milliseconds, those included that it held out
    /// ([`newest_ms`](Training::Candidate::newest_ms)); `None` before the first.
    pub trained_until_ms: Option<i64>,
    /// So many matured labels must have come since then.
    pub min_labels: u64,
    /// How long after its ad a click counts, in milliseconds.
    pub attribution_ms: i64,
    /// How long after an impression a rise of the membership counts, in milliseconds.
    pub conversion_ms: i64,
    /// Now, by the engine's clock, in Unix milliseconds.
    pub now_ms: i64,
    /// What the gate asks of a challenger.
    pub gate: GateSettings,
    /// Decides which rows a training holds out and what its search tries.
    pub seed: u64,
}

/// What is later than *now* by more than this, in milliseconds, is of a clock that had jumped ahead.
pub const JUMP_MS: i64 = 3_600_000;

impl Ask {
    /// The newest row that the last training knew. It says nothing where the clock had
    /// jumped ahead then: no row would be newer for as long.
    #[must_use]
    pub fn trained_since_ms(&self) -> Option<i64> {
        self.trained_until_ms.filter(|since_ms| !self.is_ahead(*since_ms))
    }

    /// Whether a time, in Unix milliseconds, is one that a clock which had jumped ahead has given.
    #[must_use]
    pub fn is_ahead(&self, time_ms: i64) -> bool {
        time_ms > self.now_ms.saturating_add(JUMP_MS)
    }

    /// Whether the campaign is only to be watched.
    #[must_use]
    pub fn is_watching(&self) -> bool {
        !self.train && self.challenger.is_none()
    }
}

/// A candidate that is held against the champion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenger {
    /// The model's id, of a file in the data directory.
    pub id: String,
    /// Its number in the champion's reign, from 1.
    pub number: u32,
    /// The newest decision that it was fitted to or calibrated on, in Unix milliseconds.
    pub trained_until_ms: i64,
    /// From when on both models are fixed, in Unix milliseconds.
    pub fixed_ms: i64,
    /// What a show cost then, in micro-units.
    pub cost_micro: i64,
    /// What a click was worth then, in micro-units.
    pub value_micro: i64,
}

/// The settings of [`Gate`](crate::gate::Gate) that the configuration has, and those of the campaign.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateSettings {
    /// `[learn] alpha`.
    pub alpha: f64,
    /// `[learn] min_gain`, in micro-units a decision.
    pub min_gain_micro: f64,
    /// `[learn] max_age`, in milliseconds.
    pub max_age_ms: i64,
    /// The campaign's `exploration`, 0 to 1.
    pub exploration: f64,
}

/// What a job has found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// What became of the challenger, where there was one.
    pub judged: Option<Judged>,
    /// What became of the training, where one was asked for and no challenger stays.
    pub trained: Option<Training>,
    /// What was found of the campaign as it runs; `None` where the log does not know it.
    #[serde(default)]
    pub watched: Option<Watched>,
    /// Whether the log's decisions have the counts of the events before them, of all campaigns.
    #[serde(default)]
    pub consistency: Option<Agreement>,
}

/// What becomes of a challenger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It has shown enough.
    Promote,
    /// It stays until more is known.
    Stays,
    /// It is not good enough, and no more rows will change that.
    Futile,
    /// It has stayed as long as it may.
    TooOld,
    /// The gate could not be computed; the sentence says why. It stays.
    NotComputed,
}

/// A challenger against the champion, by the gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// The challenger's id.
    pub id: String,
    /// What becomes of it.
    pub standing: Standing,
    /// The same in words.
    pub sentence: String,
    /// What each check has found, in their order.
    pub verdicts: Vec<Verdict>,
    /// Matured decisions since both were fixed.
    pub rows: u64,
    /// The share of them on which both would do the same, 0 to 1; `None` without rows.
    pub agreement: Option<f64>,
    /// What the challenger would have earned on them beyond the champion, in micro-units, by inverse propensities.
    pub would_have_profit_micro: Option<f64>,
}

/// What a check of the gate has found: as `GET /models` lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Which check, by its name.
    pub check: String,
    /// Whether it passed; `None` where it does not decide.
    pub ok: Option<bool>,
    /// What was found; `None` where it could not be computed.
    pub value: Option<f64>,
    /// What it is held against.
    pub limit: f64,
    /// All of it in words.
    pub sentence: String,
}

/// What became of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Training {
    /// A model that may challenge the champion.
    Candidate {
        /// The text of the model file.
        model: String,
        /// Its id.
        id: String,
        /// The newest decision that it was fitted to or calibrated on, in Unix milliseconds.
        trained_until_ms: i64,
        /// The newest decision whose label was known, in Unix milliseconds: those after `trained_until_ms` are held out for the
        /// gate. The next training counts its labels from here ([`Ask::trained_until_ms`]).
        #[serde(default)]
        newest_ms: Option<i64>,
        /// Shown decisions that it was fitted to and calibrated on.
        rows: u64,
        /// Those of them that were clicked.
        clicks: u64,
        /// What was tried, and why this one, in words.
        sentence: String,
    },
    /// No model: too few labels, none of one class, nothing that tells listeners apart. The sentence says why.
    None {
        /// Why, and what would mend it.
        sentence: String,
        /// Matured labels since the last training.
        labels: u64,
    },
}
