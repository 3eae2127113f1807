//! The thread that writes snapshots: when the log has grown by so much that a start would read it for long, and at the end.

mod last;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use upbeat_engine::storage::Snapshotter;
use upbeat_journal::disk::Disk;
use upbeat_journal::snapshot::SnapshotError;
use upbeat_journal::{Rotation, log_files};

use super::app::App;
use super::history::History;
use super::retry::{RETRY_AFTER, Retry, lacked_by};
use last::Last;

/// How often the log's size is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often the files of the log are counted, and history is looked at: it is removed for its age where nothing comes, too.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// A snapshot is due, too, when a start would have to open so many files more than the log's bytes fill: each start begins a
/// file, however little comes.
const MOST_FILES: u64 = 64;

/// A snapshot is written, and read back, at most at this rate, so that the log's own writes find the disk free.
const BYTES_PER_S: u64 = 64 << 20;

/// How long to wait for the log to be durable past a snapshot before it is asked again.
const LOG_PAUSE: Duration = Duration::from_millis(5);

/// A snapshot of fewer bytes says nothing of the disk's rate: most of its time are the syncs.
const RATED_BYTES: u64 = 16 << 20;

/// How long to wait where so many bytes are written after `elapsed`, and so many were at the call before: the log's own writes
/// come first. Where there are no more than before, the log is waited for.
fn pause(bytes: u64, before: u64, elapsed: Duration) -> Duration {
    let due = Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / BYTES_PER_S);
    let pause = due.saturating_sub(elapsed);
    if bytes == before { pause.max(LOG_PAUSE) } else { pause }
}

/// How many bytes have to be free for a snapshot that failed for want of space, where `free` were when it began.
fn lacked(error: &SnapshotError, free: u64) -> Option<u64> {
    match error {
        SnapshotError::Space { needed, .. } => Some(*needed),
        SnapshotError::Disk { error, .. } => lacked_by(error, free),
        _ => None,
    }
}

/// What the thread works with.
pub(super) struct Snapshots<D: Disk> {
    snapshotter: Snapshotter<D>,
    disk: Arc<D>,
    app: Arc<App>,
    /// How far the log had grown when the last snapshot began, as the metrics count it; less at the start, by what was read.
    grown: i64,
    /// How much its files had taken then.
    taken: u64,
    retry: Retry,
    history: History<D>,
    counted: Option<Instant>,
    /// Files that a start needs, as counted last.
    needed_files: u64,
    /// Bytes a second at which the last snapshot was written and read back, without its pauses; `None` before there is one.
    rate: Option<u64>,
}

/// A running thread.
pub(super) struct Running<D: Disk> {
    thread: JoinHandle<Snapshots<D>>,
    stop: Arc<AtomicBool>,
}

impl<D: Disk> Snapshots<D> {
    /// Of a log of which `read` bytes were read at the start, and which goes on in a new file by `rotation`.
    pub(super) fn new(
        snapshotter: Snapshotter<D>,
        disk: Arc<D>,
        app: Arc<App>,
        (read, rotation): (u64, Rotation),
    ) -> Self {
        let grown = -i64::try_from(read).unwrap_or(i64::MAX);
        Self {
            history: History::new(Arc::clone(&disk), &app, rotation),
            snapshotter,
            disk,
            app,
            grown,
            taken: 0,
            retry: Retry::default(),
            counted: None,
            needed_files: 0,
            rate: None,
        }
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no more threads.
    pub(super) fn start(mut self) -> io::Result<Running<D>> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let run = move || {
            while !stopping.load(Ordering::Acquire) {
                self.turn(&stopping);
                thread::park_timeout(LOOK_EVERY);
            }
            self
        };
        let thread = thread::Builder::new().name("snapshots".into()).spawn(run)?;
        Ok(Running { thread, stop })
    }

    /// Bytes of the log that a start would read.
    fn log_bytes(&self) -> u64 {
        let written = i64::try_from(self.app.metrics.journal.bytes()).unwrap_or(i64::MAX);
        u64::try_from(written.saturating_sub(self.grown)).unwrap_or(0)
    }

    /// Whether the log has more files, or takes more of them, than its records between two snapshots fill, by far.
    fn has_many_files(&self) -> bool {
        let journal = &self.app.config.journal;
        // Half of what two snapshots may leave, however small its groups are.
        let most = journal.snapshot_bytes.0 + MOST_FILES / 2 * journal.segment_bytes.0;
        if self.app.metrics.journal.file_bytes() - self.taken >= most {
            return true;
        }
        self.needed_files > MOST_FILES + 2 * journal.snapshot_bytes.0 / journal.segment_bytes.0
    }

    fn turn(&mut self, stopping: &AtomicBool) {
        let now = Instant::now();
        let mut pace = |began: Instant, bytes, before| {
            thread::sleep(pause(bytes, before, began.elapsed()));
            !stopping.load(Ordering::Acquire)
        };
        if self.counted.is_none_or(|at| now >= at + COUNT_EVERY) {
            self.counted = Some(now);
            self.history.keep(&self.app, self.snapshotter.log_needed_from(), &mut pace);
            self.count_files();
        }
        let is_wanted = self.history.erase(&self.app, self.snapshotter.log_needed_from(), &mut pace);
        let is_due = is_wanted
            || self.log_bytes() >= self.app.config.journal.snapshot_bytes.0
            || self.has_many_files();
        if is_due && self.retry.is_due(now, || self.disk.free()) {
            let free = self.disk.free().unwrap_or(0);
            if let Err(error) = self.write(&mut pace) {
                self.retry.failed(Instant::now(), lacked(&error, free));
                let retry = RETRY_AFTER.as_secs();
                match error {
                    SnapshotError::Space { .. } => {
                        tracing::warn!("{error}; it is tried again in {retry} s, or when there is space")
                    }
                    error => tracing::error!("no snapshot: {error}; it is tried again in {retry} s"),
                }
            }
        }
    }

    /// Writes a snapshot; whether it was not given up. `pace` gets when it began, the bytes so far and those of the call before.
    fn write(&mut self, pace: &mut dyn FnMut(Instant, u64, u64) -> bool) -> Result<bool, SnapshotError> {
        let (began, mut before, mut paused) = (Instant::now(), 0, Duration::ZERO);
        let bytes_now = i64::try_from(self.app.metrics.journal.bytes()).unwrap_or(i64::MAX);
        let taken_now = self.app.metrics.journal.file_bytes();
        let durability = Arc::clone(self.app.durability());
        let mut pace = |bytes: u64| {
            if bytes == before {
                durability.want_all();
            }
            let pauses = Instant::now();
            let goes_on = pace(began, bytes, before);
            paused += pauses.elapsed();
            before = bytes;
            goes_on
        };
        let written = self.snapshotter.write(&self.app.engine, &mut pace).inspect_err(|_| {
            self.app.metrics.journal.snapshots_failed.inc();
        })?;
        let Some(written) = written else { return Ok(false) };
        (self.grown, self.taken) = (bytes_now, taken_now);
        self.retry.clear();
        let (took, worked) = (began.elapsed(), began.elapsed().saturating_sub(paused));
        if before >= RATED_BYTES {
            self.rate = Some((before as f64 / worked.as_secs_f64().max(1e-6)) as u64);
        }
        self.app.metrics.journal.note_snapshot(written.bytes);
        let (customers, bytes, took_s) = (written.customers, written.bytes, took.as_secs_f64());
        tracing::info!(customers, bytes, took_s, "snapshot written");
        // What became history by it is looked at in the next turn.
        self.counted = None;
        self.history.note_snapshot();
        Ok(true)
    }

    fn count_files(&mut self) {
        // Metrics are all that depends on it.
        let Ok(files) = log_files(&*self.disk, self.snapshotter.log_needed_from()) else { return };
        let history: Vec<_> = files.iter().filter(|file| file.history).collect();
        let bytes = history.iter().map(|file| file.bytes).sum();
        self.needed_files = (files.len() - history.len()) as u64;
        self.app.metrics.journal.note_files(files.len() - history.len(), history.len(), bytes);
    }

    /// Writes a last snapshot where the next start is shorter by it and there is time for it before `deadline`, at which it is given
    /// up. Everything is durable. `is_awaited` says whether connections wait for the next process.
    pub(super) fn end(mut self, deadline: Instant, is_awaited: bool) {
        let last = Last {
            log_bytes: self.log_bytes(),
            bytes: self.snapshotter.estimated_bytes(&self.app.engine),
            rate: self.rate,
            time: deadline.saturating_duration_since(Instant::now()),
            is_awaited,
        };
        if let Some(reason) = last.reason_against() {
            tracing::info!(
                log_bytes = last.log_bytes,
                snapshot_bytes = last.bytes,
                "no last snapshot: {reason}"
            );
            return;
        }
        self.app.supervisor().status("stopping: a last snapshot is written");
        let mut pace = |began: Instant, bytes, before| {
            if bytes == before {
                thread::sleep(LOG_PAUSE);
            }
            Instant::now() < deadline && last.may_fit(bytes, began.elapsed())
        };
        match self.write(&mut pace) {
            Ok(true) => tracing::info!(
                log_bytes = last.log_bytes,
                "the next start reads a last snapshot in place of the log"
            ),
            Ok(false) => tracing::info!(
                "the last snapshot is given up: the disk is too slow for it to fit the deadline"
            ),
            Err(error) => tracing::warn!("no last snapshot: {error}; the next start reads more of the log"),
        }
    }
}

impl<D: Disk> Running<D> {
    /// Ends the thread; a snapshot that is being written is given up.
    pub(super) fn stop(self) -> Option<Snapshots<D>> {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread.join().ok()
    }
}

#[cfg(test)]
mod tests;
