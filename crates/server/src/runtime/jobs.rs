//! Background jobs: evicting idle customers, dropping old answers, ending backups that nobody reads, finding
//! interests of before the start, reloading campaigns and models. All of them are started and stopped here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use upbeat_core::event::Time;
use upbeat_engine::Clock;
use upbeat_engine::campaigns::DEFAULT_MODEL;

use super::app::App;
use super::campaigns::{CampaignsError, Reloaded, note};
use super::learning::{Worker, schedule};

/// The shortest period between sweeps; if shards are due more often, several are swept at a time.
const SHORTEST_TICK: Duration = Duration::from_millis(10);

/// The period in which a condition that goes on is logged once.
const LOG_PERIOD: Duration = Duration::from_secs(1);

/// How often answers kept for retries are looked through.
const DROP_ANSWERS_EVERY: Duration = Duration::from_secs(1);

/// How often the engine is told what time it is.
const TICK_EVERY: Duration = Duration::from_secs(1);

/// How often backups are looked at.
const EXPIRE_BACKUPS_EVERY: Duration = Duration::from_secs(1);

/// Jobs that run until they are stopped. None runs before what was kept is read: what a job changed amid that, no record would
/// tell.
#[derive(Default)]
pub(super) struct Jobs {
    tasks: JoinSet<()>,
    learning: Option<Worker>,
}

impl Jobs {
    /// Starts the jobs that every server has.
    pub(super) fn start(&mut self, app: &Arc<App>) {
        let tasks = &mut self.tasks;
        tasks.spawn(evict_idle_customers(Arc::clone(app)));
        tasks.spawn(drop_old_answers(Arc::clone(app)));
        tasks.spawn(tick(Arc::clone(app)));
        tasks.spawn(expire_backups(Arc::clone(app)));
        tasks.spawn(search_interests(Arc::clone(app)));
        tasks.spawn(schedule(Arc::clone(app)));
        if app.config.clock == Clock::Event {
            tasks.spawn(log_unconfirmed_dates(Arc::clone(app)));
        }
        self.learning = Worker::start(app);
    }

    /// Reads the file of campaigns, and models, again at each SIGHUP.
    ///
    /// # Errors
    /// The signal handler cannot be installed.
    pub(super) fn reload_on_hangup(&mut self, app: &Arc<App>) -> io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut hangup = signal(SignalKind::hangup())?;
        let app = Arc::clone(app);
        self.tasks.spawn(async move {
            while hangup.recv().await.is_some() {
                app.supervisor().reloading();
                reload(&app).await;
                app.supervisor().ready();
            }
        });
        Ok(())
    }

    /// Stops all jobs.
    pub(super) fn stop(mut self) {
        self.tasks.abort_all();
        drop(self.learning.take());
    }
}

/// Sweeps every shard of the profile store once in `limits.evict_every`. While the wall clock is in doubt nobody is evicted by it,
/// and the customers are asked what time it is.
async fn evict_idle_customers(app: Arc<App>) {
    let shards = app.engine.shards();
    look_at_clock(&app).await;
    let mut confirming = 0;
    let period = app.config.limits.evict_every.get().max(SHORTEST_TICK);
    let tick = (period / u32::try_from(shards).unwrap_or(u32::MAX)).max(SHORTEST_TICK);
    let ticks = (period.as_nanos() / tick.as_nanos()).max(1) as usize;
    let mut interval = tokio::time::interval(tick);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shard = 0;
    loop {
        interval.tick().await;
        for _ in 0..shards.div_ceil(ticks) {
            match app.near_doubted_ms() {
                None => {
                    app.engine.evict_idle(shard, app.wall_ms());
                }
                Some(near_ms) => {
                    let (_, dated) = app.engine.times(shard, i64::MIN, near_ms);
                    confirming += dated;
                }
            }
            shard = (shard + 1) % shards;
            if shard == 0 {
                app.count_confirming(std::mem::take(&mut confirming));
            }
            // One shard takes less than a tenth of a millisecond; other tasks run between two of them.
            tokio::task::yield_now().await;
        }
    }
}

/// Looks at a start whether the wall clock shows a time that the customers let expect, and whether their times are of the zone that is
/// configured.
async fn look_at_clock(app: &App) {
    // Where nothing was kept there is nothing to look at.
    if app.kept().is_none() {
        return app.look_at_clock_of_start(None);
    }
    // What is newer was accepted by this process.
    let started_ms = app.wall_ms() / 1000 * 1000;
    let (mut newest_ms, mut of_other_zone) = (None, None);
    for shard in 0..app.engine.shards() {
        of_other_zone = of_other_zone.or_else(|| {
            let time = app.engine.time_without_offset(shard)?;
            let here = Time::parse(&time.to_string(), &app.zone).ok()?;
            (here.unix_ms != time.unix_ms).then_some(time)
        });
        newest_ms = newest_ms.max(app.engine.times(shard, started_ms, i64::MAX).0);
        tokio::task::yield_now().await;
    }
    app.look_at_clock_of_start(newest_ms);
    if let Some(time) = of_other_zone {
        let was = Time::from_unix_ms(time.unix_ms);
        tracing::warn!(
            time_zone = app.config.time_zone,
            "events without an offset were taken in another time_zone: {time} was {was}Z. They stay so, and where one is sent again it \
             is another event; set the former time_zone, or send times with their offsets"
        );
    }
}

/// Finds the interests of customers of whom was read at the start, once.
async fn search_interests(app: Arc<App>) {
    if app.kept().is_none() {
        return;
    }
    for shard in 0..app.engine.shards() {
        app.engine.search_interests(shard);
        tokio::task::yield_now().await;
    }
}

/// Logs once a second at most that events dated far ahead did not move the event clock.
async fn log_unconfirmed_dates(app: Arc<App>) {
    let mut interval = tokio::time::interval(LOG_PERIOD);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut logged = 0;
    loop {
        interval.tick().await;
        let status = app.engine.event_clock();
        if status.unconfirmed == logged {
            continue;
        }
        let (events, days) = (status.unconfirmed - logged, app.config.window.days);
        logged = status.unconfirmed;
        let dated = Time::from_unix_ms(status.last_unconfirmed_ms);
        let now = Time::from_unix_ms(status.now_ms.unwrap_or_default());
        tracing::warn!(
            events,
            "events are dated more than {days} days ahead of the others, the last of them {dated}; they are kept, and \
             the event clock stays at {now} until an event of another customer within {days} days confirms the date"
        );
    }
}

/// Drops the answers whose minute for retries is over, each second.
async fn drop_old_answers(app: Arc<App>) {
    let mut interval = tokio::time::interval(DROP_ANSWERS_EVERY);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        for shard in 0..app.engine.retry_shards() {
            // To visit one without old answers takes nanoseconds; to yield takes a system call.
            if app.engine.drop_old_answers(shard, app.wall_ms()) > 0 {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Ends reservations of money, begins local days, and leases budgets and numbers of decisions ahead of their use, each second: both
/// are used only below what the log knows of, so that none is used again after a crash.
async fn tick(app: Arc<App>) {
    let mut interval = tokio::time::interval(TICK_EVERY);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        app.engine.tick(app.wall_ms());
    }
}

/// Ends backups that nobody reads any more, each second.
async fn expire_backups(app: Arc<App>) {
    let mut interval = tokio::time::interval(EXPIRE_BACKUPS_EVERY);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        app.backups().expire(&app).await;
    }
}

/// Reads the file of campaigns and their models again; where anything is not good, everything stays as it is.
async fn reload(app: &Arc<App>) {
    let worker = Arc::clone(app);
    let reloaded = tokio::task::spawn_blocking(move || worker.take_file_of_campaigns()).await;
    match reloaded {
        Ok(Ok(Reloaded { models, version, changed })) => {
            note(&models);
            let default = models.iter().find(|served| served.name == DEFAULT_MODEL);
            let model = default.map(|served| &*served.id);
            if let Some(changed) = changed {
                let changed = changed.join(", ");
                tracing::info!(version, changed, "campaigns and models taken from their files");
            }
            tracing::info!(model, "model read again");
            return;
        }
        Ok(Err(CampaignsError::Model(error))) => {
            tracing::error!("model not read again, the present one stays: {error}");
        }
        Ok(Err(error)) => tracing::error!("campaigns not read again, the present ones stay: {error}"),
        Err(error) => tracing::error!(%error, "reading campaigns and models again failed"),
    }
    app.metrics.campaigns_refused.inc();
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use crate::runtime::{Listeners, Server, listen};

    #[tokio::test]
    async fn no_job_runs_before_what_was_kept_is_read() {
        let bind = || listen((Ipv4Addr::LOCALHOST, 0).into(), 16).expect("a free port");
        let listeners = || Listeners { data: bind().into(), admin: bind().into() };
        let listening = Server::listen(listeners(), crate::tests::app()).expect("threads");
        assert!(listening.jobs.tasks.is_empty());
        let started = Server::start(listeners(), crate::tests::app()).expect("threads");
        assert!(!started.jobs.tasks.is_empty());
    }
}
