//! Background jobs: evicting idle customers, reloading the model. All of them are started and stopped here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::app::App;
use super::model::{LoadError, serve_model};

/// The shortest period between sweeps; if shards are due more often, several are swept at a time.
const SHORTEST_TICK: Duration = Duration::from_millis(10);

/// Jobs that run until they are stopped.
pub(super) struct Jobs {
    tasks: JoinSet<()>,
}

impl Jobs {
    /// Starts the jobs that every server has.
    pub(super) fn start(app: &Arc<App>) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(evict_idle_customers(Arc::clone(app)));
        Self { tasks }
    }

    /// Reloads the model file at each SIGHUP.
    ///
    /// # Errors
    /// The signal handler cannot be installed.
    pub(super) fn reload_model_on_hangup(&mut self, app: &Arc<App>) -> io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut hangup = signal(SignalKind::hangup())?;
        let app = Arc::clone(app);
        self.tasks.spawn(async move {
            while hangup.recv().await.is_some() {
                reload_model(&app).await;
            }
        });
        Ok(())
    }

    /// Stops all jobs.
    pub(super) fn stop(mut self) {
        self.tasks.abort_all();
    }
}

/// Sweeps every shard of the profile store once in `limits.evict_every`.
async fn evict_idle_customers(app: Arc<App>) {
    let shards = app.engine.shards();
    let period = app.config.limits.evict_every.get().max(SHORTEST_TICK);
    let tick = (period / u32::try_from(shards).unwrap_or(u32::MAX)).max(SHORTEST_TICK);
    let ticks = (period.as_nanos() / tick.as_nanos()).max(1) as usize;
    let mut interval = tokio::time::interval(tick);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shard = 0;
    loop {
        interval.tick().await;
        for _ in 0..shards.div_ceil(ticks) {
            app.engine.evict_idle(shard, app.wall_ms());
            shard = (shard + 1) % shards;
            // One shard takes less than a tenth of a millisecond; other tasks run between two of them.
            tokio::task::yield_now().await;
        }
    }
}

/// Reads the configured model file and promotes it; a file that cannot be served leaves the present model in place.
async fn reload_model(app: &Arc<App>) {
    let worker = Arc::clone(app);
    let reload = move || match worker.config.model.as_str() {
        "none" => Err(LoadError::NoFile),
        name => serve_model(&worker.engine, name).map(|id| id.map(|id| id.to_string())),
    };
    match tokio::task::spawn_blocking(reload).await {
        Ok(Ok(model)) => tracing::info!(model, "model read again"),
        Ok(Err(error)) => tracing::error!("model not read again, the present one stays: {error}"),
        Err(error) => tracing::error!(%error, "reading the model again failed"),
    }
}
