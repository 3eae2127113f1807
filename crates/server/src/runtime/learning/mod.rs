//! Learning beside the answers: which models are known, who is promoted, and the jobs that judge and train.
//!
//! Decisions pay nothing for it. A job is a child process that reads the log; what it answers is applied here, under the lock
//! under which campaigns change. The registry is written before the version of the campaigns that follows from it, and a
//! start makes the version that a kill has prevented: either the old model or the new one is in force, and all say the same.

mod answer;
mod child;
mod jobs;
mod promotion;
mod schedule;
mod store;
mod watching;
mod worker;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use upbeat_core::campaign::Served;
use upbeat_learn::registry::Registry;
use upbeat_svm::Model;

pub(crate) use answer::GATE;
pub use child::end_with_parent;
pub(crate) use jobs::{Job, JobState, Outcome, SCHEDULE};
pub(crate) use promotion::{MAX_MODEL_BYTES, Uploaded};
pub(super) use schedule::schedule;
pub use store::RegistryError;
pub(crate) use store::is_id;
pub(super) use store::{promoted, read as read_registry};
pub(crate) use watching::Last;
pub(super) use worker::Worker;

use jobs::Queue;
use watching::Watching;

/// What the server knows of models, and the jobs that learn.
#[derive(Default)]
pub(crate) struct Learning {
    state: Mutex<State>,
    queue: Queue,
    watching: Watching,
}

/// What changes only under the lock of the campaigns.
#[derive(Default)]
struct State {
    registry: Registry,
    /// Whether the file says something else yet.
    is_unwritten: bool,
    /// Models that were promoted, as they are served.
    promoted: Vec<Served>,
    /// Where nothing is kept on a disk: all that are known and came without a file of their own.
    models: BTreeMap<String, Arc<Model>>,
}

impl Learning {
    fn state(&self) -> MutexGuard<'_, State> {
        // What panicked under it had changed nothing yet.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of the registry.
    pub(crate) fn registry(&self) -> Registry {
        self.state().registry.clone()
    }

    /// Looks at the registry.
    pub(crate) fn with_registry<R>(&self, look: impl FnOnce(&Registry) -> R) -> R {
        look(&self.state().registry)
    }

    /// What jobs have found of campaigns as they run.
    pub(crate) fn watching(&self) -> &Watching {
        &self.watching
    }

    /// The jobs.
    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }
}

#[cfg(test)]
mod tests;
