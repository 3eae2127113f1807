//! What every handler shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Semaphore;

use super::metrics::Metrics;
use super::priority;
use super::problem::{Kind, Problem};
use crate::config::Config;
use crate::engine::{Engine, Settings};
use crate::event::{Zone, hex_digits};

/// Tells the wall clock in Unix milliseconds; tests bring their own.
pub type WallClock = fn() -> i64;

/// The wall clock of the machine, in Unix milliseconds.
#[must_use]
pub fn machine_clock() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Engine, configuration and metrics, shared by both listeners.
pub struct App {
    /// Decides and applies.
    pub engine: Arc<Engine>,
    /// As loaded.
    pub config: Config,
    /// The zone of times without an offset.
    pub zone: Zone,
    /// What is counted at the edge.
    pub metrics: Metrics,
    /// Bytes of request bodies that may still be held.
    pub body_memory: Semaphore,
    /// Bulk requests that may still be worked on.
    bulk: Semaphore,
    clock: WallClock,
    draining: AtomicBool,
    next_request: AtomicU64,
    requests_logged: AtomicU64,
}

impl App {
    /// An app with an empty engine.
    #[must_use]
    pub fn new(config: Config, zone: Zone, clock: WallClock) -> Self {
        // A million numbers a millisecond before the next start could meet them again.
        let first_number = (clock() as u64) << 20;
        let engine = Arc::new(Engine::new(Settings {
            window: config.window,
            campaign: config.campaign.clone(),
            clock: config.clock,
            max_future_ms: i64::try_from(config.max_future.get().as_millis()).unwrap_or(i64::MAX),
            expected_customers: config.limits.expected_customers,
            max_customers: config.limits.customers,
            max_profile_bytes: config.limits.profile_bytes,
            max_tracks: config.limits.tracks,
            first_decision: first_number,
        }));
        Self {
            metrics: Metrics::new(Arc::clone(&engine)),
            body_memory: Semaphore::new(config.limits.body_memory_bytes),
            bulk: Semaphore::new(config.limits.bulk_in_flight),
            clock,
            draining: AtomicBool::new(false),
            next_request: AtomicU64::new(first_number),
            requests_logged: AtomicU64::new(0),
            engine,
            config,
            zone,
        }
    }

    /// The wall clock in Unix milliseconds.
    #[must_use]
    pub fn wall_ms(&self) -> i64 {
        (self.clock)()
    }

    /// From now on `/readyz` says no.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the server is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// A new id for a request that brought none: 16 hexadecimal digits.
    #[must_use]
    pub fn new_request_id(&self) -> [u8; 16] {
        hex_digits(self.next_request.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether this request is the one of so many that is logged; counts it.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        let period = self.config.log.sample;
        period > 0 && self.requests_logged.fetch_add(1, Ordering::Relaxed).is_multiple_of(period)
    }

    /// Runs long work beside the threads that answer decisions, so that no decision waits for it.
    ///
    /// # Errors
    /// The work panicked.
    pub async fn beside<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Problem> {
        let failed = |detail: String| Problem::new(Kind::Internal, detail);
        let _turn = self.bulk.acquire().await.map_err(|error| failed(error.to_string()))?;
        let gives_way = move || {
            priority::give_way();
            work()
        };
        tokio::task::spawn_blocking(gives_way).await.map_err(|error| failed(error.to_string()))
    }
}
