//! From the rows of a log to a candidate.
//!
//! An [`Example`] is an ad that was shown, was not given back, and can no longer be clicked in time: the counts of the decision,
//! whether it was clicked, and one over the probability that it was shown. In the order of their time the oldest are fitted to,
//! later ones calibrate, the next choose among candidates, and the newest are held out for the gate (see [`Split`]). Candidates
//! are lines and RBF machines under the squared hinge loss, each fitted to all examples and to the newest half, quarter and so on,
//! so that what changed lately is learnt lately. The reasons and the figures are in docs/decisions/learning.md.

mod choose;
mod examples;
mod fit;
mod split;

use upbeat_core::campaign::Label;
use upbeat_core::feature::{Counts, FEATURE_COUNT};
use upbeat_core::model;
use upbeat_core::profile::Window;
use upbeat_svm::{Kernel, Labels, Machine, Model, ModelError, Parts, SolverRecord, Training};

use choose::Chosen;
use fit::Grid;

pub use examples::{Example, Examples, MOST_EXAMPLES, MOST_WEIGHT};
pub use fit::LANDMARKS;
pub use split::Split;

/// The fewest examples and clicks that a machine is fitted to.
pub const LEAST_EXAMPLES: usize = 300;
/// See [`LEAST_EXAMPLES`].
pub const LEAST_CLICKS: usize = 20;

/// A candidate is offered where what it would have earned beyond the champion on ads that it has not seen is above so many standard
/// errors: one that is no better is then so by chance in one of twenty.
pub const OFFERED: f64 = 1.645;

/// What a training is told beside its examples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// The window of the plays that the counts are of; the model carries it.
    pub window: Window,
    /// Decides what the search tries.
    pub seed: u64,
    /// What the last training chose, if there was one: the search begins round it.
    pub last: Option<Warm>,
}

/// C and gamma of a machine that was trained here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Warm {
    /// The cost of an error.
    pub c: f64,
    /// Of the RBF kernel; `None` of a line.
    pub gamma: Option<f64>,
}

impl Warm {
    /// What a model says of its training; `None` of one whose file does not, or of another label than impression.
    #[must_use]
    pub fn of(model: &Model) -> Option<Self> {
        let training = model.parts().training.as_ref()?;
        let is_ours = model::label(model) == Label::Impression;
        let gamma = match &model.parts().machine {
            Machine::Kernel { kernel: Kernel::Rbf { gamma }, .. } => Some(*gamma),
            _ => None,
        };
        is_ours.then_some(Self { c: training.c, gamma })
    }
}

/// A model that may challenge the champion.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The model.
    pub model: Model,
    /// The newest decision that it was fitted to, calibrated on or chosen by, in Unix milliseconds.
    pub trained_until_ms: i64,
    /// Examples up to it that are in the look-back, and how many of them were clicked.
    pub rows: u64,
    /// See `rows`.
    pub clicks: u64,
    /// It was not fitted to examples from here on, in Unix milliseconds.
    pub unseen_from_ms: i64,
    /// The newest of all examples, in Unix milliseconds: those after `trained_until_ms` are held out for the gate.
    pub newest_ms: i64,
    /// What was tried, and why this one.
    pub sentence: String,
}

/// Why examples give no candidate. Each says what is missing and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NoCandidate {
    /// Nobody clicked, or all did.
    #[error(
        "all {examples} ads that have matured were {}: one class tells nobody from another; {}",
        if *clicked { "clicked" } else { "not clicked" },
        if *clicked { "check that each click is sent once, with the decision_id of its own ad" }
        else { "check that clicks are sent to POST /events, with decision_id or the campaign's ad, or wait for the first" }
    )]
    OneClass {
        /// How many.
        examples: usize,
        /// Which class.
        clicked: bool,
    },
    /// Too few clicks, or too few ads.
    #[error(
        "of {examples} ads that have matured {clicks} were clicked, and the oldest {fitted} of them, which a machine would be fitted to, \
         have {fitted_clicks} clicks: {LEAST_EXAMPLES} ads and {LEAST_CLICKS} clicks are needed there; more `exploration` brings them sooner, \
         else wait"
    )]
    TooFew {
        /// How many ads.
        examples: usize,
        /// How many clicks.
        clicks: usize,
        /// Ads that would be fitted to.
        fitted: usize,
        /// Clicks among them.
        fitted_clicks: usize,
    },
    /// No machine converged and told listeners apart.
    #[error(
        "none of {tried} machines could be used: {reason}; nothing that is known of the listeners tells who clicks, or more ads are needed"
    )]
    NoneFit {
        /// How many were tried.
        tried: usize,
        /// What was wrong with the first.
        reason: String,
    },
    /// The best is no better than the same probability for all.
    #[error(
        "the best of {tried} machines tells clicks of {examples} later ads no better than one probability for all does (log loss {found:.4}, \
         and {all_alike:.4}): nothing that is known of the listeners tells who clicks, or more ads are needed"
    )]
    TellsNothing {
        /// How many were tried.
        tried: usize,
        /// Ads that they were compared on.
        examples: usize,
        /// Log loss of the best.
        found: f64,
        /// Log loss of the mean click rate.
        all_alike: f64,
    },
    /// The newest ads contradict it.
    #[error(
        "of the newest {examples} ads, which no machine was fitted to, the best would have {expected:.1} clicked, and {clicks} were: what listeners click has changed lately, and too few ads have been shown since to learn it; wait"
    )]
    Contradicted {
        /// Ads held out.
        examples: usize,
        /// Clicks expected on them.
        expected: f64,
        /// Clicks that came.
        clicks: usize,
    },
    /// What was trained is no model.
    #[error("what was trained is no model: {0}; report it with the version")]
    NoModel(String),
}

/// Trains a candidate. The same examples in whatever order, and the same plan, give the same bytes.
///
/// # Errors
/// Why there is none, in a sentence.
pub fn train(mut examples: Vec<Example>, plan: &Plan) -> Result<Candidate, NoCandidate> {
    examples.sort_unstable_by_key(|example| (example.time_ms, example.id));
    let count = examples.len();
    let clicks = examples::clicks(&examples);
    if clicks == 0 || clicks == count {
        return Err(NoCandidate::OneClass { examples: count, clicked: clicks > 0 });
    }
    let split = Split::of(&examples);
    let look_backs = split.look_backs(&examples);
    if look_backs.is_empty() {
        let fitted = split.longest();
        let fitted_clicks = examples::clicks(&examples[fitted.fit.clone()]);
        return Err(NoCandidate::TooFew { examples: count, clicks, fitted: fitted.fit.len(), fitted_clicks });
    }
    let grid = Grid::round(plan.last);
    let machines: Vec<_> = look_backs
        .iter()
        .flat_map(|look_back| {
            let part = &examples[look_back.fit.clone()];
            fit::machines(part, &grid, plan.seed).into_iter().map(|machine| (look_back.clone(), machine))
        })
        .collect();
    let chosen = choose::choose(&examples, &split, machines)?;
    let sentence = chosen.sentence(&examples, &split, &look_backs, plan.last);
    let used = chosen.look_back.fit.start..split.choose.end;
    let trained_until_ms = examples[used.end - 1].time_ms;
    let (unseen_from_ms, newest_ms) = (examples[split.choose.start].time_ms, examples[count - 1].time_ms);
    let (rows, clicks) = (used.len() as u64, examples::clicks(&examples[used]) as u64);
    let model = model(chosen, plan).map_err(|error| NoCandidate::NoModel(error.to_string()))?;
    Ok(Candidate { model, trained_until_ms, unseen_from_ms, newest_ms, rows, clicks, sentence })
}

/// What a candidate would have earned on examples beyond the champion, in micro-units an ad that was shown, with its standard error: by the
/// weights of the examples. `shows` says of counts whether each would show: the candidate, and the champion.
#[must_use]
pub fn gain<'a>(
    examples: impl IntoIterator<Item = &'a Example>,
    (cost_micro, value_micro): (i64, i64),
    shows: impl Fn(&Counts) -> (bool, bool),
) -> (f64, f64) {
    let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for Example { counts, clicked, weight, .. } in examples {
        let earned = if *clicked { value_micro - cost_micro } else { -cost_micro } as f64;
        let gained = match shows(counts) {
            (true, false) => earned * weight,
            (false, true) => -earned * weight,
            _ => 0.0,
        };
        (count, sum, squares) = (count + 1.0, sum + gained, squares + gained * gained);
    }
    let mean = sum / f64::max(count, 1.0);
    (mean, (squares - mean * sum).max(0.0).sqrt() / f64::max(count, 1.0))
}

fn model(chosen: Chosen, plan: &Plan) -> Result<Model, ModelError> {
    let Chosen { machine, calibration, measured, .. } = chosen;
    let record = SolverRecord {
        support_vectors: machine.support_vectors(),
        ..SolverRecord::of(&machine.parameters, &machine.solve, true)
    };
    Model::new(Parts {
        name: None,
        features: model::features(FEATURE_COUNT),
        window: model::metadata(plan.window, Label::Impression),
        labels: Labels::default(),
        training: Some(Training {
            solver: machine.solve.solver.name().to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            c: machine.parameters.c,
            seed: plan.seed,
            rows: machine.rows as u64,
            positives: machine.positives as u64,
            data_sha256: None,
            measured,
            parameters: Some(record),
            feature_mean: Some(machine.scaling.mean.clone()),
            constant: Some(false),
        }),
        scaling: Some(machine.scaling),
        machine: machine.machine,
        calibration: Some(calibration),
    })
}

#[cfg(test)]
mod tests;
