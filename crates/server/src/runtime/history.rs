//! What is done about history, on the thread that writes snapshots: it is kept within its bounds, and what it has of deleted
//! customers is erased.

use std::sync::Arc;
use std::time::Instant;

use upbeat_journal::Rotation;
use upbeat_journal::disk::Disk;

use super::app::App;
use super::erasing::Erasing;
use super::retention::{Forgotten, Retention};
use super::retry::{RETRY_AFTER, Retry, lacked_by_rewrite};

/// What the thread works with.
pub(super) struct History<D: Disk> {
    disk: Arc<D>,
    retention: Retention<D>,
    erasing: Erasing<D>,
    /// After history could not be removed or rewritten.
    retry: Retry,
}

impl<D: Disk> History<D> {
    /// Of the app's data directory, whose log goes on in a new file by `rotation`.
    pub(super) fn new(disk: Arc<D>, app: &App, rotation: Rotation) -> Self {
        // As much as a snapshot leaves to the log.
        let spare = 2 * app.config.journal.segment_bytes.0;
        Self {
            erasing: Erasing::new(Arc::clone(&disk), rotation, spare),
            retention: Retention::new(Arc::clone(&disk), app.config.retention.clone(), spare),
            retry: Retry::default(),
            disk,
        }
    }

    /// Does what is due to erase what the log has of deleted customers; whether a snapshot is wanted for it. Arguments as of
    /// [`History::keep`].
    pub(super) fn erase(
        &mut self,
        app: &App,
        needed_from: Option<u64>,
        pace: &mut dyn FnMut(Instant, u64, u64) -> bool,
    ) -> bool {
        self.erasing.turn(app, needed_from, Instant::now(), &mut of_files(pace))
    }

    /// A snapshot was written that began after the last turn.
    pub(super) fn note_snapshot(&mut self) {
        self.erasing.note_snapshot();
    }

    /// Removes and rewrites the history that is past its bounds. `needed_from` is from where on the log is needed. `pace` gets when
    /// a file was begun, the bytes read and written of it so far and those of the call before; where it answers no, the rest
    /// waits.
    pub(super) fn keep(
        &mut self,
        app: &App,
        needed_from: Option<u64>,
        pace: &mut dyn FnMut(Instant, u64, u64) -> bool,
    ) {
        if !self.retry.is_due(Instant::now(), || self.disk.free()) {
            return;
        }
        let free = self.disk.free().unwrap_or(0);
        // Nothing is older than 1970, so while the clock is in doubt nothing goes for its age.
        let now_ms = app.believed_wall_ms().and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0);
        match self.retention.apply(needed_from, now_ms, &mut of_files(pace)) {
            Ok(Forgotten { removed: 0, rewritten: 0, .. }) => self.retry.clear(),
            Ok(Forgotten { removed, rewritten, records, bytes }) => {
                self.retry.clear();
                tracing::info!(removed, rewritten, records, bytes, "history past its bounds is gone");
            }
            Err(error) => {
                self.retry.failed(Instant::now(), lacked_by_rewrite(&error, free));
                app.metrics.journal.history_failed.inc();
                let retry = RETRY_AFTER.as_secs();
                tracing::error!(
                    "history past its bounds stays: {error}; it is tried again in {retry} s, or when there is the space that \
                     it lacked"
                );
            }
        }
    }
}

/// The pace of one file after the other: the time of each is its own.
fn of_files(pace: &mut dyn FnMut(Instant, u64, u64) -> bool) -> impl FnMut(u64) -> bool {
    let (mut began, mut before) = (Instant::now(), 0);
    move |bytes| {
        if bytes < before {
            (began, before) = (Instant::now(), 0);
        }
        let continues = pace(began, bytes, before);
        before = bytes;
        continues
    }
}
