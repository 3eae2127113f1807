//! The state that all handlers share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use upbeat_core::event::{DAY_MS, Time, Zone, hex_digits};
use upbeat_engine::campaigns::{Invalid, NewCampaigns};
use upbeat_engine::{Clock, Engine, ModelId, Numbers, Settings};

use super::backups::Backups;
use super::bulk::BulkPool;
use super::campaigns::of_table;
use super::durability::{Durability, Waits};
use super::learning::Learning;
use super::memory::{ResponseMemory, ResponsePermit};
use super::model::{LoadError, serve_model};
use super::recovery::Recovery;
use super::supervisor::Supervisor;
use super::wall_clock::{Because, Change, ClockGuard, Instant, monotonic_ms};
use crate::api::{Kind, Problem, RefusedRows};
use crate::config::{self, Config};
use crate::gate::{Admit, Gate, HeadFacts, Principal};
use crate::metrics::Metrics;
use crate::wire::Slices;

/// A function that reads the wall clock, in Unix milliseconds; tests pass their own.
pub type WallClock = fn() -> i64;

/// The wall clock of the machine, in Unix milliseconds.
#[must_use]
pub fn machine_clock() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// What is kept on a disk, and where.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The data directory.
    pub(crate) data_dir: PathBuf,
    /// Where the lanes lie, if they outlive the process.
    pub(crate) lanes: Option<PathBuf>,
    /// The longest time that a record which nobody waits for is left in its lane.
    pub(crate) every: config::Duration,
    /// The longest time that a decision which showed nothing is.
    pub(crate) unshown: config::Duration,
    /// Records of the log that were read at the start.
    pub(crate) recovered_records: u64,
    /// How long the recovery took.
    pub(crate) recovery_seconds: f64,
}

/// Engine, configuration and metrics, shared by both listeners.
pub struct App {
    /// Decides, and applies events.
    pub engine: Arc<Engine>,
    /// The configuration.
    pub config: Config,
    /// The zone of times that are written without an offset.
    pub zone: Zone,
    /// The server's metrics.
    pub metrics: Metrics,
    /// Warns of refused rows.
    pub(crate) refused_rows: RefusedRows,
    /// The budget of bytes for request bodies, one permit per byte.
    body_memory: Arc<Semaphore>,
    response_memory: Arc<ResponseMemory>,
    bulk: BulkPool,
    /// One permit: for reading the history.
    histories: Arc<Semaphore>,
    slices: Slices,
    durability: Arc<Durability>,
    recovery: Recovery,
    supervisor: Supervisor,
    kept: OnceLock<Kept>,
    backups: Backups,
    learning: Arc<Learning>,
    /// Locked while campaigns are changed or read again.
    campaigns: Mutex<()>,
    gate: Gate,
    clock: WallClock,
    clock_guard: ClockGuard,
    draining: AtomicBool,
    /// Event loops that have failed.
    failed_loops: AtomicUsize,
    request_numbers: Numbers,
    /// Counts only where `log.sample` asks for it: over all threads, so that one in every so many is logged.
    requests_seen: AtomicU64,
}

impl App {
    /// An app with an empty engine, in which the campaign of the `[campaign]` table runs.
    ///
    /// # Panics
    /// [`Config::validate`] refuses the table.
    #[must_use]
    pub fn new(config: Config, zone: Zone, clock: WallClock) -> Self {
        let campaigns = of_table(&config.campaign);
        Self::with_campaigns(config, campaigns, zone, clock)
            .unwrap_or_else(|invalid| panic!("campaign: {invalid}"))
    }

    /// An app with an empty engine, in which these campaigns run.
    ///
    /// # Errors
    /// The campaigns are not good.
    pub fn with_campaigns(
        config: Config,
        campaigns: NewCampaigns,
        zone: Zone,
        clock: WallClock,
    ) -> Result<Self, Invalid> {
        // Numbers repeat after a restart only if more than 2^20 were used per millisecond of the earlier run.
        let first_number = (clock() as u64) << 20;
        let settings = Settings {
            window: config.window,
            clock: config.clock,
            max_future_ms: i64::try_from(config.max_future.get().as_millis()).unwrap_or(i64::MAX),
            expected_customers: config.limits.expected_customers,
            max_customers: config.limits.customers,
            max_profile_bytes: config.limits.profile_bytes,
            max_retry_bytes: config.limits.retry_bytes,
            max_tracks: config.limits.tracks,
            max_tombstones: config.limits.tombstones,
            first_decision: first_number,
            feedback: config.learn.periods(),
        };
        let engine = Arc::new(Engine::with_campaigns(settings, campaigns, clock())?);
        let learning = Arc::<Learning>::default();
        let metrics = Metrics::new(Arc::clone(&engine), Arc::clone(&learning));
        let response_memory =
            ResponseMemory::new(config.limits.response_memory_bytes, metrics.response_bytes.clone());
        let app = Self {
            metrics,
            response_memory: Arc::new(response_memory),
            refused_rows: RefusedRows::default(),
            body_memory: Arc::new(Semaphore::new(config.limits.body_memory_bytes)),
            bulk: BulkPool::new(config.limits.bulk_in_flight),
            histories: Arc::new(Semaphore::new(1)),
            slices: Slices::default(),
            durability: Arc::new(Durability::new(Arc::<Engine>::clone(&engine), Waits::new(&config))),
            recovery: Recovery::default(),
            supervisor: Supervisor::default(),
            kept: OnceLock::new(),
            backups: Backups::default(),
            learning,
            campaigns: Mutex::default(),
            gate: Gate::new(&config),
            clock,
            clock_guard: ClockGuard::new(Instant { wall_ms: clock(), monotonic_ms: monotonic_ms() }),
            draining: AtomicBool::new(false),
            failed_loops: AtomicUsize::new(0),
            request_numbers: Numbers::new(first_number),
            requests_seen: AtomicU64::new(0),
            engine,
            config,
            zone,
        };
        app.see_models();
        Ok(app)
    }

    /// The wall clock in Unix milliseconds.
    #[must_use]
    pub fn wall_ms(&self) -> i64 {
        (self.clock)()
    }

    fn clocks(&self) -> Instant {
        Instant { wall_ms: self.wall_ms(), monotonic_ms: monotonic_ms() }
    }

    /// The wall clock, in Unix milliseconds, for what is deleted for its age; `None` while it is in doubt.
    pub(super) fn believed_wall_ms(&self) -> Option<i64> {
        let now = self.clocks();
        self.tell_of_clock(self.clock_guard.look(now));
        (!self.clock_guard.is_in_doubt()).then_some(now.wall_ms)
    }

    /// While nobody is to be evicted because the wall clock is in doubt: from which time on events confirm it, in Unix milliseconds.
    pub(super) fn near_doubted_ms(&self) -> Option<i64> {
        let believed = self.believed_wall_ms();
        if believed.is_some() || self.config.clock == Clock::Event {
            None
        } else {
            self.clock_guard.near_ms()
        }
    }

    /// So many customers have plays near the new time.
    pub(super) fn count_confirming(&self, customers: usize) {
        self.tell_of_clock(self.clock_guard.count(self.clocks(), customers));
    }

    /// Looks whether the wall clock shows a time that the data directory lets expect, which knows of nothing newer than `newest_ms`.
    pub(super) fn look_at_clock_of_start(&self, newest_ms: Option<i64>) {
        let longest_ms = i64::from(self.config.window.days) * DAY_MS;
        let directory = self.kept().map(|kept| kept.data_dir.clone());
        // What is dated says nothing of the wall clock where events are the clock.
        let newest_ms = newest_ms.filter(|_| self.config.clock == Clock::Wall);
        self.tell_of_clock(self.clock_guard.look_at_start(self.clocks(), newest_ms, longest_ms, directory));
    }

    fn tell_of_clock(&self, change: Option<Change>) {
        match change {
            None => {}
            Some(Change::Doubted { ahead_ms }) => {
                self.metrics.clock_suspect.set(1);
                let side = if ahead_ms > 0 { "ahead of" } else { "behind" };
                let by = std::time::Duration::from_secs(ahead_ms.unsigned_abs() / 1000);
                tracing::warn!(
                    ?by,
                    now = %Time::from_unix_ms(self.wall_ms()),
                    "the wall clock is {side} what was expected: nobody is evicted and no history removed for its age until it is back, \
                     events of several customers are dated near the new time, or a day has passed; look at this machine's clock"
                );
            }
            Some(Change::Believed(because)) => {
                self.metrics.clock_suspect.set(0);
                let why = match because {
                    Because::Back => "it is back",
                    Because::Confirmed => "events of several customers are dated near its time",
                    Because::Time => "it has shown this time for a day",
                };
                tracing::info!("the wall clock is believed again: {why}");
            }
        }
    }

    /// From now on `/readyz` answers 503.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the server is draining, that is, about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// An event loop has failed: counted, and from now on `/readyz` answers 503.
    pub(super) fn note_failed_loop(&self) {
        self.failed_loops.fetch_add(1, Ordering::Relaxed);
        self.metrics.event_loops_failed.inc();
    }

    /// Whether an event loop has failed, so that fewer of them than configured answer.
    #[must_use]
    pub fn has_failed_loop(&self) -> bool {
        self.failed_loops.load(Ordering::Relaxed) > 0
    }

    /// A new id for a request without one: 16 hexadecimal digits.
    #[must_use]
    pub fn new_request_id(&self) -> [u8; 16] {
        hex_digits(self.request_numbers.take())
    }

    /// Counts a request, and returns whether it is one of those that `log.sample` selects for the log.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        let period = self.config.log.sample;
        period > 0 && self.requests_seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(period)
    }

    /// Runs long work on the bulk pool, so that no decision waits for it. What locks shards of the profile store, it runs
    /// in [`App::slices`].
    ///
    /// # Errors
    /// The work panicked.
    pub(crate) async fn on_bulk_pool<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Problem> {
        self.bulk.run(work).await
    }

    /// Waits until nobody else reads the history: it is long, and needs a descriptor for each of its files.
    ///
    /// # Errors
    /// The server ends.
    pub(crate) async fn one_history(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let permit = Arc::clone(&self.histories).acquire_owned().await;
        permit.map_err(|error| Problem::new(Kind::NotReady, error.to_string()))
    }

    /// Where the parts of bulk work are run that lock shards of the profile store.
    #[inline]
    pub(crate) fn slices(&self) -> &Slices {
        &self.slices
    }

    /// Where answers wait until what they say is durable.
    #[inline]
    pub(crate) fn durability(&self) -> &Arc<Durability> {
        &self.durability
    }

    /// How far the start is.
    #[inline]
    pub(crate) fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Who is told how the process goes.
    pub(crate) fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// The same app, which tells this one how it goes.
    #[must_use]
    pub fn with_supervisor(self, supervisor: Supervisor) -> Self {
        Self { supervisor, ..self }
    }

    /// What is kept on a disk; `None` if nothing is, or it is still being read.
    pub(crate) fn kept(&self) -> Option<&Kept> {
        self.kept.get()
    }

    /// The backups that are under way.
    pub(crate) fn backups(&self) -> &Backups {
        &self.backups
    }

    /// What is known of models, and the jobs that learn.
    pub(crate) fn learning(&self) -> &Learning {
        &self.learning
    }

    /// Waits until nobody else changes campaigns, or reads their models again.
    pub(super) fn one_change_of_campaigns(&self) -> MutexGuard<'_, ()> {
        // What panicked under it has changed nothing.
        self.campaigns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this is kept.
    pub(super) fn set_kept(&self, kept: Kept) {
        let _ = self.kept.set(kept);
    }

    /// The same app, whose answers wait for another log.
    #[cfg(test)]
    pub(crate) fn with_log(self, log: Arc<dyn super::Log>) -> Self {
        Self { durability: Arc::new(Durability::new(log, Waits::Always)), ..self }
    }

    /// The budget of bytes for request bodies, one permit per byte.
    pub(crate) fn body_memory(&self) -> Arc<Semaphore> {
        Arc::clone(&self.body_memory)
    }

    /// The memory of answers that their clients have not taken.
    pub(crate) fn response_memory(&self) -> &Arc<ResponseMemory> {
        &self.response_memory
    }

    /// Room for an answer of so many bytes at most, to be held while it is worked on.
    ///
    /// # Errors
    /// Clients have not taken so many answers that there is none: the work is not to be begun.
    pub(crate) fn room_for_answer(&self, bytes: usize) -> Result<ResponsePermit, Problem> {
        self.response_memory.try_take(bytes).ok_or_else(|| self.no_room_for_answer())
    }

    /// The problem for a request whose answer has no room.
    pub(crate) fn no_room_for_answer(&self) -> Problem {
        let detail = "answers that clients have not taken fill limits.response_memory_bytes; send this request \
                      again in a second";
        Problem::new(Kind::Overloaded, detail)
    }

    /// Serves the configured model from now on; returns its id, or `None` if `model` is `none`.
    ///
    /// # Errors
    /// The model cannot be read or served; the previous one stays.
    pub fn serve_configured_model(&self) -> Result<Option<ModelId>, LoadError> {
        let _alone = self.one_change_of_campaigns();
        let served = serve_model(&self.engine, &self.config.model)?;
        self.see_models();
        Ok(served)
    }

    /// The same app, which asks `admit` about every request that the gate's own rules allow. The default admits them all.
    #[must_use]
    pub fn with_admit(self, admit: Admit) -> Self {
        Self { gate: self.gate.with_admit(admit), ..self }
    }

    /// Asks the gate whether to admit a request.
    ///
    /// # Errors
    /// The gate refuses the request: the problem to answer with.
    #[inline]
    pub(crate) fn admit(&self, head: &HeadFacts<'_>) -> Result<Principal, Problem> {
        self.gate.admit(head)
    }
}
