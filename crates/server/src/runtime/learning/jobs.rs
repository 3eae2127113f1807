//! The jobs that wait, the one that runs, and the last ones: what `/retrain` tells.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use upbeat_core::event::Id;

use super::super::random;
use super::child::{Cancel, Runner};

/// So many jobs are told of: those that have ended make room for others.
const MOST_JOBS: usize = 100;

/// Who asks for a job that nobody has asked for.
pub(crate) const SCHEDULE: &str = "schedule";

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobState {
    /// Another one runs.
    Queued,
    /// Its process is at work.
    Running,
    /// It has come to something.
    Done,
    /// It has come to nothing, and the champion stays in force.
    Failed,
    /// Somebody has cancelled it.
    Cancelled,
}

/// What a job has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// A model was trained, and challenges the champion.
    Registered,
    /// The challenger is the champion now.
    Promoted,
    /// The challenger has passed, and the campaign's mode leaves the promotion to people.
    WouldPromote,
    /// The challenger stays until more is known.
    Stays,
    /// The challenger is gone, and no other was trained.
    Dropped,
    /// No model was trained.
    NoModel,
    /// The campaign was looked at, and nothing more was asked for.
    Watched,
    /// The job has failed.
    Failed,
    /// The job was cancelled.
    Cancelled,
}

impl Outcome {
    /// Every outcome.
    pub(crate) const ALL: [Self; 9] = [
        Self::Registered,
        Self::Promoted,
        Self::WouldPromote,
        Self::Stays,
        Self::Dropped,
        Self::NoModel,
        Self::Watched,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The name in metrics and answers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Promoted => "promoted",
            Self::WouldPromote => "would_promote",
            Self::Stays => "stays",
            Self::Dropped => "dropped",
            Self::NoModel => "no_model",
            Self::Watched => "watched",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    fn state(self) -> JobState {
        match self {
            Self::Failed => JobState::Failed,
            Self::Cancelled => JobState::Cancelled,
            _ => JobState::Done,
        }
    }
}

/// A job. Times are of the wall clock, in Unix milliseconds.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) campaign: Id,
    pub(crate) state: JobState,
    /// Who asked for it: `schedule`, or a name.
    pub(crate) who: String,
    pub(crate) outcome: Option<Outcome>,
    /// What it has come to, in words.
    pub(crate) sentence: Option<String>,
    pub(crate) queued_ms: i64,
    pub(crate) started_ms: Option<i64>,
    pub(crate) ended_ms: Option<i64>,
}

/// All jobs, and who waits for one.
#[derive(Default)]
pub(crate) struct Queue {
    jobs: Mutex<Jobs>,
    changed: Condvar,
}

#[derive(Default)]
struct Jobs {
    /// Oldest first.
    all: VecDeque<Job>,
    /// What cancels the one that runs.
    running: Option<Cancel>,
    is_stopped: bool,
}

/// A job that begins.
pub(super) struct Begun {
    pub(super) id: String,
    pub(super) campaign: Id,
    /// Who asked for it: `schedule`, or a name.
    pub(super) who: String,
    pub(super) runner: Runner,
}

impl Queue {
    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        // Nothing that panics runs under this lock.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a job run for a campaign once those before have ended. Where one waits for it already, that is the job: it will see all that
    /// a second one would.
    pub(crate) fn push(&self, campaign: &Id, who: &str, now_ms: i64) -> Job {
        let mut jobs = self.jobs();
        let waits = |job: &&Job| job.state == JobState::Queued && job.campaign == *campaign;
        if let Some(waiting) = jobs.all.iter().position(|job| waits(&job)) {
            let waiting = &mut jobs.all[waiting];
            // A job that somebody has asked for does all that one by schedule does, and may do more.
            if waiting.who == SCHEDULE {
                waiting.who = who.to_owned();
            }
            return waiting.clone();
        }
        let job = Job {
            id: format!("{:016x}", random()),
            campaign: campaign.clone(),
            state: JobState::Queued,
            who: who.to_owned(),
            outcome: None,
            sentence: None,
            queued_ms: now_ms,
            started_ms: None,
            ended_ms: None,
        };
        jobs.all.push_back(job.clone());
        let has_ended = |job: &Job| job.ended_ms.is_some();
        // Of those that have not ended there are one a campaign and the one that runs.
        while jobs.all.len() > MOST_JOBS {
            let Some(oldest) = jobs.all.iter().position(has_ended) else { break };
            jobs.all.remove(oldest);
        }
        self.changed.notify_all();
        job
    }

    /// A job, by its id.
    pub(crate) fn get(&self, id: &str) -> Option<Job> {
        self.jobs().all.iter().find(|job| job.id == id).cloned()
    }

    /// Cancels a job that waits or runs, and gives it; what has ended stays as it is. One that runs has ended soon.
    pub(crate) fn cancel(&self, id: &str, now_ms: i64) -> Option<Job> {
        let mut jobs = self.jobs();
        let place = jobs.all.iter().position(|job| job.id == id)?;
        match jobs.all[place].state {
            JobState::Queued => {
                end(
                    &mut jobs.all[place],
                    Outcome::Cancelled,
                    "The champion stays in force: the job was cancelled before it began.".into(),
                    now_ms,
                );
            }
            JobState::Running => {
                jobs.running.iter().for_each(Cancel::cancel);
            }
            JobState::Done | JobState::Failed | JobState::Cancelled => {}
        }
        Some(jobs.all[place].clone())
    }

    /// Waits for the next job and begins it; `None` once the queue is stopped. One runs at a time.
    pub(super) fn begin(&self, now_ms: impl Fn() -> i64) -> Option<Begun> {
        let mut jobs = self.jobs();
        loop {
            if jobs.is_stopped {
                return None;
            }
            if let Some(job) = jobs.all.iter_mut().find(|job| job.state == JobState::Queued) {
                (job.state, job.started_ms) = (JobState::Running, Some(now_ms()));
                let (runner, cancel) = Runner::new();
                let (id, campaign, who) = (job.id.clone(), job.campaign.clone(), job.who.clone());
                let begun = Begun { id, campaign, who, runner };
                jobs.running = Some(cancel);
                return Some(begun);
            }
            jobs = self.changed.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes what the job that runs has come to, and gives it.
    pub(super) fn end(&self, id: &str, outcome: Outcome, sentence: String, now_ms: i64) -> Option<Job> {
        let mut jobs = self.jobs();
        jobs.running = None;
        let job = jobs.all.iter_mut().find(|job| job.id == id)?;
        end(job, outcome, sentence, now_ms);
        Some(job.clone())
    }

    /// Whether the server stops.
    pub(super) fn is_stopped(&self) -> bool {
        self.jobs().is_stopped
    }

    /// No job begins any more, and the one that runs is cancelled.
    pub(super) fn stop(&self) {
        let mut jobs = self.jobs();
        jobs.is_stopped = true;
        jobs.running.iter().for_each(Cancel::cancel);
        self.changed.notify_all();
    }
}

fn end(job: &mut Job, outcome: Outcome, sentence: String, now_ms: i64) {
    (job.state, job.outcome, job.sentence) = (outcome.state(), Some(outcome), Some(sentence));
    job.ended_ms = Some(now_ms);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Id {
        Id::Text(text.into())
    }

    #[test]
    fn one_job_waits_for_each_campaign_and_one_runs() {
        let queue = Queue::default();
        let (a, b) = (queue.push(&id("a"), "ada", 1), queue.push(&id("b"), "ada", 2));
        assert_eq!(queue.push(&id("a"), "bob", 3).id, a.id, "it waits already");
        let begun = queue.begin(|| 4).expect("a job");
        assert_eq!((&begun.id, &begun.campaign), (&a.id, &id("a")));
        assert_eq!(queue.get(&a.id).expect("it is known").state, JobState::Running);
        let again = queue.push(&id("a"), "bob", 5);
        assert_ne!(again.id, a.id, "what runs has begun before");
        let ended = queue.end(&a.id, Outcome::Stays, "It stays.".into(), 6).expect("it is known");
        assert_eq!((ended.state, ended.ended_ms), (JobState::Done, Some(6)));
        assert_eq!(queue.begin(|| 7).expect("a job").id, b.id);
    }

    #[test]
    fn cancelled_job_that_waits_never_begins_and_one_that_ended_stays_as_it_is() {
        let queue = Queue::default();
        let (a, b) = (queue.push(&id("a"), "ada", 1), queue.push(&id("b"), "ada", 2));
        assert_eq!(queue.cancel(&a.id, 3).expect("it is known").state, JobState::Cancelled);
        assert_eq!(queue.begin(|| 4).expect("a job").id, b.id);
        queue.end(&b.id, Outcome::NoModel, "Too few.".into(), 5);
        assert_eq!(queue.cancel(&b.id, 6).expect("it is known").state, JobState::Done);
        assert!(queue.cancel("0", 7).is_none());
        queue.stop();
        queue.push(&id("c"), "ada", 8);
        assert!(queue.begin(|| 9).is_none(), "the server stops");
    }

    #[test]
    fn last_jobs_are_told_of_and_those_that_wait_always() {
        let queue = Queue::default();
        let first = queue.push(&id("a"), "ada", 0);
        queue.begin(|| 0);
        queue.end(&first.id, Outcome::Stays, String::new(), 0);
        let waiting: Vec<_> = (0..150).map(|number| queue.push(&Id::Number(number), "ada", 1)).collect();
        assert!(queue.get(&first.id).is_none());
        assert!(waiting.iter().all(|job| queue.get(&job.id).is_some()));
    }
}
