//! Erasing the log's content of customers who were erased.
//!
//! A customer who is deleted leaves the profiles at once, and the log within `erase_deadline`. Their records lie in files
//! that a start may read, so these have to become history first: the log goes on in a new file, and two snapshots are
//! written. Then history is rewritten without the records.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use upbeat_engine::Engine;
use upbeat_journal::disk::Disk;
use upbeat_journal::{HistoryFile, Record, RewriteError, Rotation, history_covers, log_files};

use super::app::App;
use super::retry::{RETRY_AFTER, Retry, lacked_by_rewrite};

/// With a deadline up to this nothing is saved up.
const AT_ONCE: Duration = Duration::from_secs(60);

/// A deletion so far ahead of the wall clock was made before that was set back.
const MOST_AHEAD_MS: i64 = 60_000;

/// What is being done about the erasures up to a position.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Nothing.
    Idle,
    /// The log is to go on in a new file: the number of the request.
    Rotating(Run, u64),
    /// A snapshot is to be written.
    First(Run),
    /// It is.
    Written(Run),
    /// The next one is to begin at a later position than this.
    Advancing(Run, u64),
    /// Another snapshot is to be written.
    Second(Run),
    /// History is to be rewritten.
    Rewriting(Run),
}

#[derive(Debug, Clone, Copy)]
struct Run {
    position: u64,
    count: usize,
    began: Instant,
}

/// Whoever sees to it that the log holds nothing of customers who were erased.
pub(super) struct Erasing<D: Disk> {
    disk: Arc<D>,
    rotation: Rotation,
    /// Bytes that stay free for the log where a file is rewritten.
    spare: u64,
    stage: Stage,
    /// Since when this process knows of erasures that are pending: a wall clock that jumps delays them no longer than that.
    since: Option<Instant>,
    retry: Retry,
}

impl<D: Disk> Erasing<D> {
    pub(super) fn new(disk: Arc<D>, rotation: Rotation, spare: u64) -> Self {
        Self { disk, rotation, spare, stage: Stage::Idle, since: None, retry: Retry::default() }
    }

    /// Does what is due at `now`; whether a snapshot is wanted. `needed_from` is from where on the log is needed; `pace` is called with
    /// the bytes read and written of a file so far, and has it given up where it answers no.
    pub(super) fn turn(
        &mut self,
        app: &App,
        needed_from: Option<u64>,
        now: Instant,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> bool {
        if self.note(app, now) && self.retry.is_due(now, || self.disk.free()) {
            let free = self.disk.free().unwrap_or(0);
            let step = self.step(app, needed_from, now, pace);
            if let Err(error) = step {
                self.stage = Stage::Idle;
                self.retry.failed(now, lacked_by_rewrite(&error, free));
                app.metrics.journal.history_failed.inc();
                tracing::error!(
                    "what the log holds of erased customers stays: {error}; it is tried again in {} s, or when there is \
                     the space that it lacked. `upbeat journal compact` erases it where no server runs",
                    RETRY_AFTER.as_secs()
                );
            }
        }
        matches!(self.stage, Stage::First(_) | Stage::Second(_))
    }

    /// A snapshot was written that began after the last turn.
    pub(super) fn note_snapshot(&mut self) {
        self.stage = match self.stage {
            Stage::First(run) => Stage::Written(run),
            Stage::Second(run) => Stage::Rewriting(run),
            other => other,
        };
    }

    /// Notes how old the oldest pending erasure is; whether something is due.
    fn note(&mut self, app: &App, now: Instant) -> bool {
        let Some(pending) = app.engine.pending_erasures() else {
            (self.since, self.stage) = (None, Stage::Idle);
            app.metrics.journal.note_erasures(false);
            return false;
        };
        let since = *self.since.get_or_insert(now);
        let by_wall_ms = app.wall_ms().saturating_sub(pending.oldest_ms);
        // By a clock that was set back its age is not known, and a process that ends early each time would never see it come.
        let is_ahead = by_wall_ms < -MOST_AHEAD_MS;
        let by_wall = Duration::from_millis(u64::try_from(by_wall_ms).unwrap_or(0));
        let age = now.saturating_duration_since(since).max(by_wall);
        let deadline = app.config.erase_deadline.get();
        app.metrics.journal.note_erasures(age > deadline);
        !matches!(self.stage, Stage::Idle) || deadline <= AT_ONCE || is_ahead || age >= deadline / 2
    }

    fn step(
        &mut self,
        app: &App,
        needed_from: Option<u64>,
        now: Instant,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), RewriteError> {
        match self.stage {
            Stage::Idle => self.begin(&app.engine, needed_from, now)?,
            Stage::Rotating(run, number) if self.rotation.is_done(number) => {
                self.stage = Stage::First(run);
            }
            Stage::Written(run) => {
                self.stage = Stage::Advancing(run, app.engine.barrier());
                self.rotation.take_position();
            }
            Stage::Advancing(run, position) if app.engine.barrier() > position => {
                self.stage = Stage::Second(run);
            }
            Stage::Rotating(..) | Stage::Advancing(..) | Stage::First(_) | Stage::Second(_) => {}
            Stage::Rewriting(run) => {
                if !history_covers(&*self.disk, needed_from, run.position)? {
                    return Err(RewriteError::of_directory(io::Error::other(
                        "two snapshots left the erased records in need",
                    )));
                }
                if let Some(records) = self.rewrite(&app.engine, needed_from, pace)? {
                    // Their files are those of before.
                    app.backups().drop_all_begun(app);
                    app.engine.log_content_erased(run.position);
                    (self.stage, self.since) = (Stage::Idle, Some(run.began));
                    let took_s = run.began.elapsed().as_secs_f64();
                    tracing::info!(customers = run.count, records, took_s, "erased from the log");
                }
            }
        }
        Ok(())
    }

    /// Begins where everything up to the last erasure is durable. After a restart all of it may be history already.
    fn begin(&mut self, engine: &Engine, needed_from: Option<u64>, now: Instant) -> Result<(), RewriteError> {
        let Some(pending) = engine.pending_erasures().filter(|of| engine.durable() > of.position) else {
            return Ok(());
        };
        let run = Run { position: pending.position, count: pending.count, began: now };
        self.stage = if history_covers(&*self.disk, needed_from, run.position)? {
            Stage::Rewriting(run)
        } else {
            Stage::Rotating(run, self.rotation.ask())
        };
        Ok(())
    }

    /// Rewrites all history; the number of records that went or lost their customer, `None` if it was given up.
    fn rewrite(
        &self,
        engine: &Engine,
        needed_from: Option<u64>,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<u64>, RewriteError> {
        let rule = engine.rewrite_rule();
        let mut rule = |record: Record<'_>| {
            rule(&record).map_err(|error| format!("position {}: {error}", record.position))
        };
        let mut records = 0;
        let files = log_files(&*self.disk, needed_from).map_err(RewriteError::of_directory)?;
        for file in files.iter().filter(|file| file.history) {
            let Some(opened) = HistoryFile::open(&*self.disk, file)? else { continue };
            let Some(rewritten) = opened.rewrite(&*self.disk, (self.spare, false), &mut rule, pace)? else {
                return Ok(None);
            };
            records += rewritten.dropped + rewritten.replaced;
        }
        Ok(Some(records))
    }
}

#[cfg(test)]
mod tests;
