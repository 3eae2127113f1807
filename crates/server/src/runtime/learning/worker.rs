//! The thread that runs jobs, one after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use upbeat_core::campaign::Mode;
use upbeat_core::event::Id;
use upbeat_learn::job::Ask;

use super::super::app::App;
use super::super::random;
use super::child::{Bounds, ChildError, Program};
use super::jobs::{Begun, Outcome, SCHEDULE};
use super::watching::{bad, said};

/// What the process of a job may take: rows of some millions of decisions, and a kernel's rows of the search, fit into this.
const BOUNDS: Bounds = Bounds { memory: 2 << 30, time: Duration::from_secs(30 * 60) };

/// The thread that runs jobs.
pub(in crate::runtime) struct Worker {
    app: Arc<App>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts it, where decisions are kept.
    pub(in crate::runtime) fn start(app: &Arc<App>) -> Option<Self> {
        let program = Program::of_jobs(&app.kept()?.data_dir);
        let (shared, handle) = (Arc::clone(app), Handle::current());
        // A process ends with the thread that has started it, so this one lives as long as the server.
        let work = move || {
            while let Some(begun) = shared.learning().queue().begin(|| shared.wall_ms()) {
                run(&shared, &handle, &program, begun);
            }
        };
        let thread = thread::Builder::new().name("learning".into()).spawn(work);
        let thread = thread.inspect_err(|error| tracing::error!(%error, "no model is judged or trained"));
        Some(Self { app: Arc::clone(app), thread: Some(thread.ok()?) })
    }
}

impl Drop for Worker {
    /// No job begins any more, and the one that runs is killed.
    fn drop(&mut self) {
        self.app.learning().queue().stop();
        // It may wait for the log, which goes on without it.
        drop(self.thread.take());
    }
}

fn run(app: &App, handle: &Handle, program: &Program, begun: Begun) {
    let started = Instant::now();
    let Begun { id, campaign, who, runner } = begun;
    let work = || {
        let ask = handle.block_on(app.begin_job(&campaign, &who))?;
        let mut answer = runner.run(program, &ask, BOUNDS).map_err(|error| match error {
            ChildError::Cancelled => (Outcome::Cancelled, cancelled(app.learning().queue().is_stopped())),
            error => (Outcome::Failed, format!("The champion stays in force: {error}.")),
        })?;
        let watched = answer.watched.take();
        let (bad, said) = (bad(watched.as_ref()), said(watched.as_ref()));
        app.take_watched(&ask.campaign, watched, answer.consistency.take());
        if ask.is_watching() {
            return Ok((Outcome::Watched, said));
        }
        let (outcome, sentence) = app.apply(&ask, answer)?;
        Ok((outcome, bad.map_or(sentence.clone(), |bad| format!("{sentence} {bad}"))))
    };
    // A job that panics is not the end of those behind it; what it had not committed is not.
    let ended = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let what = "The champion stays in force: the job met a fault of this program, of which the log of the server has more.";
        Err((Outcome::Failed, what.to_owned()))
    });
    let (outcome, sentence) = ended.unwrap_or_else(|ended| ended);
    let took = started.elapsed();
    match outcome {
        Outcome::Failed => {
            tracing::warn!(job = id, %campaign, took_s = took.as_secs_f64(), "a job has failed: {sentence}")
        }
        _ => {
            tracing::debug!(job = id, %campaign, outcome = outcome.name(), took_s = took.as_secs_f64(), "{sentence}")
        }
    }
    app.say(&campaign, &sentence);
    app.metrics.learning.count_job(outcome, took);
    app.learning().queue().end(&id, outcome, sentence, app.wall_ms());
}

/// Why a job that ran has come to nothing.
fn cancelled(is_stopped: bool) -> String {
    let why = if is_stopped { "the server stopped while the job ran" } else { "the job was cancelled" };
    format!("The champion stays in force: {why}.")
}

/// What a job has come to, with its sentence.
pub(super) type Ended = (Outcome, String);

impl App {
    /// Waits until the log holds all decisions up to now, and says what is to be done.
    ///
    /// # Errors
    /// There is nothing to do, or the log does not go on.
    async fn begin_job(&self, campaign: &Id, who: &str) -> Result<Ask, Ended> {
        let failed = |what: String| (Outcome::Failed, format!("The champion stays in force: {what}."));
        let timeout = self.config.ack_timeout;
        if self.durability().end_with_all(timeout.get()).await.is_none() {
            return Err(failed(format!(
                "the log did not take the latest decisions within ack_timeout ({timeout}); /readyz says how it is"
            )));
        }
        let current = self.engine.campaigns();
        let index = current.plan.find(campaign);
        let gone =
            || (Outcome::Cancelled, format!("Nothing was done: no campaign {campaign} runs any more."));
        let index = index.ok_or_else(gone)?;
        let planned = &current.plan.campaigns[index];
        let now_ms = self.engine.now_ms(self.wall_ms());
        let mut registry = self.learning().registry();
        let of = registry.of_mut(campaign);
        let periods = self.config.learn.periods();
        // Nobody but people trains or judges for a frozen one; it is watched all the same.
        let learns = planned.mode != Mode::Frozen || who != SCHEDULE;
        let exploration = current.document.campaign[planned.place].exploration;
        Ok(Ask {
            campaign: campaign.clone(),
            champion: planned.model.map(|model| current.plan.models[model].id.clone()),
            challenger: of.challenger.clone().filter(|_| learns),
            train: learns,
            trained_until_ms: of.trained_until_ms,
            min_labels: self.config.learn.min_labels,
            attribution_ms: periods.attribution_ms,
            conversion_ms: periods.conversion_ms,
            now_ms,
            gate: self.config.learn.gate(exploration),
            seed: random(),
        })
    }
}
