#![doc = include_str!("../README.md")]

mod apply;
pub mod campaigns;
mod catalogue;
mod claims;
mod counters;
mod customer;
mod decide;
mod decision_ids;
mod event_clock;
mod evict;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod hashing;
mod interests;
pub mod ledger;
mod log;
mod model_id;
mod retries;
pub mod storage;
mod striped;
mod sync;
mod table;
pub mod tombstones;

use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use upbeat_core::campaign::{Document, Served};
use upbeat_core::event::Id;
use upbeat_core::feedback::FeedbackPeriods;
use upbeat_core::model::{ServingError, check_serving, label};
use upbeat_core::profile::{Profile, Window};
use upbeat_svm::{Model, Scorer};

pub use apply::{
    AtomicBody, MAX_REJECTED_REPORTED, Progress, RejectedRow, Rejection, Remains, Report, RowProblem,
};
pub use catalogue::NotPut;
pub use counters::{Counters, Outcome, RowKind};
pub use customer::{CUSTOMER_BYTES, Customer};
pub use decide::{Ask, Decision, Explanation};
pub use event_clock::EventClockStatus;
pub use evict::NotRemoved;
pub use interests::Interest;
pub use log::{Answered, Coins, Entry, Facts, LogRefusal, LogState, Started};
pub use model_id::ModelId;
pub use retries::{NotKept, RETRY_PERIOD_MS, RequestId};
pub use striped::{Numbers, Striped, take_own_stripe};
pub use table::{PREFETCHED, Sweep, Table, UpdateError};
pub use tombstones::{Buried, PendingErasures, Tombstone};

use campaigns::{Current, NewCampaigns, Versions};
use catalogue::Catalogue;
use claims::Claims;
use decision_ids::DecisionIds;
use event_clock::EventClock;
use retries::RecentRequests;
use tombstones::Tombstones;

/// The meaning of *now* for windows and caps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// The wall clock: production.
    #[default]
    Wall,
    /// The time of the newest event seen, without dates far ahead that nobody else confirms: for replaying history.
    Event,
}

/// The settings of an engine, which do not change while it runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The window of plays that count.
    pub window: Window,
    /// The meaning of *now*.
    pub clock: Clock,
    /// How long what is shown waits for clicks and upgrades.
    pub feedback: FeedbackPeriods,
    /// Events more than this far ahead of the wall clock are refused, in milliseconds.
    pub max_future_ms: i64,
    /// The number of customers for which memory is reserved at the start.
    pub expected_customers: usize,
    /// The most customers held.
    pub max_customers: usize,
    /// The most bytes of profiles, as [`Engine::profile_bytes`] counts them.
    pub max_profile_bytes: usize,
    /// The most bytes of answers kept for retries, as [`Engine::retry_bytes`] counts them.
    pub max_retry_bytes: usize,
    /// The most tracks in the catalogue.
    pub max_tracks: usize,
    /// The most tombstones of customers who were erased: see [`tombstones`].
    pub max_tombstones: usize,
    /// Numbers of decisions that show nothing are at least this. It should be derived from the wall clock at start, so that ids
    /// never repeat where no log is kept. Below 2^63.
    pub first_decision: u64,
}

/// A model that is being served.
pub struct Champion {
    /// The model as read from its file.
    pub model: Arc<Model>,
    /// Its compiled form, which scores.
    pub scorer: Arc<Scorer>,
    /// Its id, as in answers.
    pub id: ModelId,
}

/// The profile store, campaign, model, catalogue and counters. All methods take `&self` and may be called from any
/// thread.
pub struct Engine {
    settings: Settings,
    customers: Table<Customer>,
    claims: sync::Arc<Claims>,
    tracks: Catalogue,
    champion: ArcSwapOption<Champion>,
    campaigns: ArcSwap<Current>,
    versions: Mutex<Versions>,
    event_clock: EventClock,
    decision_ids: DecisionIds,
    requests: RecentRequests,
    counters: Counters,
    accounts: ledger::Accounts,
    erasures: evict::Erasures,
    interests: interests::Interests,
    tombstones: Tombstones,
    /// Set once, when the log is opened; an engine without one keeps nothing.
    log: OnceLock<Arc<log::Log>>,
    /// Of requests that were refused before they came here.
    log_refusals: log::LogRefusals,
}

impl Engine {
    /// An engine with an empty store and no model, in which these campaigns run.
    ///
    /// # Panics
    /// The document is none that [`Document::check`] accepts.
    #[must_use]
    pub fn new(settings: Settings, document: Document) -> Self {
        let new = NewCampaigns::of(document, "");
        Self::with_campaigns(settings, new, 0).unwrap_or_else(|invalid| panic!("campaigns: {invalid}"))
    }

    /// An engine with an empty store, in which these campaigns run as version 1 since `wall_ms`, in Unix milliseconds.
    ///
    /// # Errors
    /// The document is wrong, or names a model that is not there.
    pub fn with_campaigns(
        settings: Settings,
        new: NewCampaigns,
        wall_ms: i64,
    ) -> Result<Self, campaigns::Invalid> {
        let decision_ids = DecisionIds::new(settings.first_decision);
        let (current, versions) = campaigns::beginning(new, wall_ms, decision_ids.key())?;
        let accounts = ledger::Accounts::default();
        // Without a log there is room.
        let _ = accounts.configure(None, &current.plan, None);
        Ok(Self {
            customers: Table::new(settings.expected_customers, settings.max_customers),
            claims: sync::Arc::default(),
            tracks: Catalogue::new(0, settings.max_tracks),
            champion: ArcSwapOption::empty(),
            campaigns: ArcSwap::from_pointee(current),
            versions: Mutex::new(versions),
            event_clock: EventClock::new(settings.clock, settings.window),
            decision_ids,
            requests: RecentRequests::new(settings.max_retry_bytes),
            counters: Counters::default(),
            accounts,
            erasures: evict::Erasures::default(),
            interests: interests::Interests::default(),
            tombstones: Tombstones::new(settings.max_tombstones),
            log: OnceLock::new(),
            log_refusals: log::LogRefusals::default(),
            settings,
        })
    }

    /// Serves `model` from now on to the campaigns of the model `default`. What is cached of customers serves every model.
    ///
    /// # Errors
    /// The model's feature definition or window is not this engine's, or a campaign asks more of it than it can judge; the
    /// previous model stays.
    pub fn promote(&self, model: Model) -> Result<(), ServingError> {
        check_serving(&model, self.settings.window)?;
        self.serve_as_default(model).map_err(|invalid| ServingError::Mismatch(invalid.to_string()))
    }

    /// Serves a model whatever it was trained for.
    fn serve_as_default(&self, model: Model) -> Result<(), campaigns::Invalid> {
        let (id, label) = (model.id().to_owned(), label(&model));
        self.serve_models(&[Served::new(campaigns::DEFAULT_MODEL, id, label, Arc::new(model))])
    }

    /// The default model among these is served from now on.
    pub(crate) fn note_default(&self, models: &[Served]) {
        let Some(served) =
            models.iter().find(|served| served.only.is_none() && served.name == campaigns::DEFAULT_MODEL)
        else {
            return;
        };
        let (id, model, scorer) =
            (ModelId::new(&served.id), Arc::clone(&served.model), Arc::clone(&served.scorer));
        let is_other = self.champion.load().as_ref().is_none_or(|champion| champion.id != id);
        self.champion.store(Some(Arc::new(Champion { scorer, id, model })));
        if is_other {
            self.log_promotion(id);
        }
    }

    /// The model that is served; `None` before the first [`Engine::promote`].
    #[must_use]
    pub fn champion(&self) -> Option<Arc<Champion>> {
        self.champion.load_full()
    }

    /// The engine's settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The engine's counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// *Now* for windows and caps when the wall clock says `wall_ms`; both in Unix milliseconds. With [`Clock::Event`],
    /// the wall clock counts until the first event.
    #[must_use]
    pub fn now_ms(&self, wall_ms: i64) -> i64 {
        self.event_clock.now_ms().unwrap_or(wall_ms)
    }

    /// What the clock of [`Clock::Event`] has done so far.
    #[must_use]
    pub fn event_clock(&self) -> EventClockStatus {
        self.event_clock.status()
    }

    /// A copy of one customer's profile; `None` if nothing is known of them.
    #[must_use]
    pub fn profile(&self, id: &Id) -> Option<Profile> {
        self.customers.with(id, |customer| customer.profile.clone())
    }

    /// Whether anything is known of this customer.
    #[must_use]
    pub fn contains(&self, id: &Id) -> bool {
        self.customers.with(id, |_| ()).is_some()
    }

    /// Bytes that profiles take: what they request of the allocator and their share of the table, without the
    /// allocator's own overhead.
    #[must_use]
    pub fn profile_bytes(&self) -> usize {
        self.counters.profile_bytes()
    }

    /// How many customers are held.
    #[must_use]
    pub fn customer_count(&self) -> usize {
        self.customers.len()
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests;
