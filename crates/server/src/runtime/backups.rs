//! Backups: what a consistent copy of the data directory needs, held while somebody reads it over HTTP.
//!
//! A backup begins with hard links of the snapshots and of the log's files. Then the log is asked for an end that holds everything
//! that was answered before, and only what belongs to that end is kept: the copy is what a start would find after a loss of
//! power at that instant. The links keep its bytes until all of them are read, or nobody has read any for `backup.expire`.

mod pinned;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use serde::Serialize;
use upbeat_journal::CopiedFile;

use super::app::App;
use super::bulk::BulkPool;
use super::random;
use crate::api::{Kind, Problem};
use crate::config::Duration;
use crate::metrics::BackupOutcome;
use pinned::PinDirectory;
pub(super) use pinned::{is_pin_name, remove_pins};

/// As many are held at once; each may keep the space of as many bytes as the log has.
const MOST_HELD: usize = 2;

/// The most bytes of one answer.
const MOST_PART_BYTES: u64 = 4 << 20;

/// A backup as its reader sees it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct BackupView {
    id: String,
    server: String,
    taken: String,
    position: u64,
    snapshot: Option<String>,
    files: Vec<FileView>,
    expires: String,
    /// How long after its ad a click counts: what the copy's ads are exported by.
    attribution: Duration,
}

/// A file of it.
#[derive(Debug, Clone, Serialize)]
struct FileView {
    name: String,
    bytes: u64,
    size: u64,
}

/// Bytes of a file, the last one included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// The first.
    pub(crate) first: u64,
    /// The last, if it is said.
    pub(crate) last: Option<u64>,
}

/// A part that was read.
#[derive(Debug)]
pub(crate) struct ReadPart {
    /// The first byte of it.
    pub(crate) first: u64,
    /// The last byte of it.
    pub(crate) last: u64,
    /// Bytes of the file in all.
    pub(crate) of: u64,
    /// The bytes, or their SHA-256 in hexadecimal digits.
    pub(crate) content: Bytes,
}

/// The backups that are held.
pub(crate) struct Backups {
    held: Mutex<Vec<Held>>,
    /// One begins at a time.
    beginning: tokio::sync::Mutex<()>,
    /// Files are read here, one part at a time: never in the way of decisions, nor of bodies that wait for the bulk pool.
    pool: BulkPool,
}

/// A backup that is held.
struct Held {
    view: BackupView,
    directory: Arc<PinDirectory>,
    /// Up to where each file was read without a gap.
    read: Vec<u64>,
    last_read: Instant,
}

impl BackupView {
    /// Its name in paths.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

impl Held {
    fn is_read(&self) -> bool {
        self.read.iter().zip(&self.view.files).all(|(read, file)| *read >= file.bytes)
    }

    fn bytes(&self) -> u64 {
        self.view.files.iter().map(|file| file.size).sum()
    }
}

impl Default for Backups {
    fn default() -> Self {
        Self { held: Mutex::default(), beginning: tokio::sync::Mutex::default(), pool: BulkPool::new(1) }
    }
}

impl Backups {
    fn held(&self) -> MutexGuard<'_, Vec<Held>> {
        // Nothing that panics runs under this lock.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a backup that holds everything that was answered before; with `history` also what of the log is kept only for
    /// looking back.
    ///
    /// # Errors
    /// The server keeps nothing, as many are held as may be, the log does not go on, or the disk failed.
    pub(crate) async fn begin(&self, app: &App, history: bool) -> Result<BackupView, Problem> {
        let begun = self.try_begin(app, history).await;
        if begun.is_err() {
            app.metrics.backups.count(BackupOutcome::Refused, app.wall_ms());
        }
        begun
    }

    async fn try_begin(&self, app: &App, history: bool) -> Result<BackupView, Problem> {
        let _alone = self.beginning.lock().await;
        let Some(kept) = app.kept() else {
            let detail = "this server keeps nothing on a disk (in_memory), so there is nothing to back up; start it with a data \
                          directory";
            return Err(Problem::new(Kind::NothingKept, detail));
        };
        self.expire(app).await;
        if self.held().len() >= MOST_HELD {
            let expire = app.config.backup.expire;
            let detail = format!(
                "{MOST_HELD} backups are under way, and no more are held at once; wait until one is finished, or until \
                 nobody has read of it for {expire} (backup.expire)"
            );
            return Err(Problem::new(Kind::TooManyBackups, detail));
        }
        let id = format!("{:016x}", random());
        let (data_dir, name) = (kept.data_dir.clone(), id.clone());
        let failed = |what: String| Problem::new(Kind::BackupFailed, what);
        let directory = self.pool.run(move || PinDirectory::make(&data_dir, &name)).await?;
        let directory = directory.map_err(|error| {
            failed(format!("the files of {} cannot be held by hard links: {error}", kept.data_dir.display()))
        })?;
        let taken_ms = app.wall_ms();
        let end = app.durability().end_with_all(app.config.ack_timeout.get()).await;
        let end = end.ok_or_else(|| {
            let timeout = app.config.ack_timeout;
            let detail = format!(
                "the log did not come to an end within ack_timeout ({timeout}) that holds what was answered so far; send this \
                 request again when /readyz says that it takes records"
            );
            Problem::new(Kind::LogUnavailable, detail)
        })?;
        let choose = move || directory.choose(&end, history).map(|copy| (copy, directory));
        let (copy, directory) = self.pool.run(choose).await?.map_err(|error| failed(format!("{error}")))?;
        let file_view = |file: CopiedFile| FileView { name: file.name, bytes: file.bytes, size: file.size };
        let view = BackupView {
            id,
            server: app.engine.server_fingerprint(),
            taken: utc(taken_ms),
            position: copy.position,
            snapshot: copy.snapshot,
            files: copy.files.into_iter().map(file_view).collect(),
            expires: String::new(),
            attribution: app.config.learn.attribution,
        };
        let held = Held {
            read: vec![0; view.files.len()],
            view,
            directory: Arc::new(directory),
            last_read: Instant::now(),
        };
        let view = expiring(&held, app);
        tracing::info!(backup = view.id, position = view.position, bytes = held.bytes(), "a backup begins");
        self.held().push(held);
        self.note_pinned(app);
        Ok(view)
    }

    /// A backup that is held.
    ///
    /// # Errors
    /// There is none of this id.
    pub(crate) fn view(&self, app: &App, id: &str) -> Result<BackupView, Problem> {
        let held = self.held();
        let held = held.iter().find(|held| held.view.id == id).ok_or_else(|| not_held(id))?;
        Ok(expiring(held, app))
    }

    /// Reads a part of a file, of at most [`MOST_PART_BYTES`]; with `digest` its SHA-256 alone.
    ///
    /// # Errors
    /// There is no such backup, file or part, or the disk failed.
    pub(crate) async fn read(
        &self,
        (id, name): (&str, &str),
        part: Result<Part, Problem>,
        digest: bool,
    ) -> Result<ReadPart, Problem> {
        let (directory, index, of) = {
            let mut held = self.held();
            let held = held.iter_mut().find(|held| held.view.id == id).ok_or_else(|| not_held(id))?;
            let index = held.view.files.iter().position(|file| file.name == name).ok_or_else(|| {
                Problem::new(
                    Kind::BackupNotFound,
                    format!("backup {id} has no file {name:?}; GET /backups/{id} lists them"),
                )
            })?;
            held.last_read = Instant::now();
            (Arc::clone(&held.directory), index, held.view.files[index].bytes)
        };
        let Part { first, last } = part?;
        if first >= of || last.is_some_and(|last| last < first) {
            return Err(Problem::new(
                Kind::InvalidRange,
                format!("{name} has {of} bytes, and none of them is asked for"),
            ));
        }
        let last = last.unwrap_or(u64::MAX).min(of - 1).min(first + MOST_PART_BYTES - 1);
        let path = directory.path_of(name);
        let read = move || {
            // The files are there for as long as somebody reads them.
            let _held = directory;
            let bytes = pinned::read(&path, first, (last + 1 - first) as usize)?;
            Ok::<_, std::io::Error>(if digest { pinned::sha256(&bytes).into() } else { Bytes::from(bytes) })
        };
        let content = self.pool.run(read).await?.map_err(|error| {
            Problem::new(Kind::BackupFailed, format!("{name}, from byte {first} on, cannot be read: {error}"))
        })?;
        if let Some(held) = self.held().iter_mut().find(|held| held.view.id == id) {
            held.last_read = Instant::now();
            let read = &mut held.read[index];
            if first <= *read {
                *read = (*read).max(last + 1);
            }
        }
        Ok(ReadPart { first, last, of, content })
    }

    /// Ends a backup: its files are not needed any longer.
    ///
    /// # Errors
    /// There is none of this id.
    pub(crate) async fn end(&self, app: &App, id: &str) -> Result<(), Problem> {
        let ended = {
            let mut held = self.held();
            let index = held.iter().position(|held| held.view.id == id).ok_or_else(|| not_held(id))?;
            held.swap_remove(index)
        };
        let outcome = if ended.is_read() { BackupOutcome::Finished } else { BackupOutcome::GivenUp };
        self.release(app, vec![ended], outcome).await
    }

    /// Ends the backups of which nobody has read for `backup.expire`.
    pub(super) async fn expire(&self, app: &App) {
        let now = Instant::now();
        let expire = app.config.backup.expire.get();
        let expired = {
            let mut held = self.held();
            held.extract_if(.., |held| now.duration_since(held.last_read) >= expire).collect::<Vec<_>>()
        };
        if !expired.is_empty() {
            let _ = self.release(app, expired, BackupOutcome::Expired).await;
        }
    }

    /// Ends all backups at once, for whoever has erased what they may still hold, and waits for one that is beginning: it may
    /// hold it, too. Blocks as [`Backups::drop_all`] does, and up to `ack_timeout`; not to be called by what may not block.
    pub(super) fn drop_all_begun(&self, app: &App) {
        let _alone = self.beginning.blocking_lock();
        self.drop_all(app);
    }

    /// Ends all backups at once. Blocks for as long as it takes to remove their files; their readers have to begin anew.
    pub(crate) fn drop_all(&self, app: &App) {
        let ended = std::mem::take(&mut *self.held());
        self.note_pinned(app);
        for held in ended {
            note_ended(app, &held, BackupOutcome::Dropped);
        }
    }

    async fn release(&self, app: &App, ended: Vec<Held>, outcome: BackupOutcome) -> Result<(), Problem> {
        self.note_pinned(app);
        for held in &ended {
            note_ended(app, held, outcome);
        }
        // To remove the last name of a large file takes a while.
        self.pool.run(move || drop(ended)).await
    }

    fn note_pinned(&self, app: &App) {
        app.metrics.backups.note_pinned(self.held().iter().map(Held::bytes).sum());
    }
}

fn note_ended(app: &App, held: &Held, outcome: BackupOutcome) {
    app.metrics.backups.count(outcome, app.wall_ms());
    let (backup, name) = (&held.view.id, outcome.name());
    match outcome {
        BackupOutcome::Finished => tracing::info!(backup, "a backup is finished"),
        _ => tracing::warn!(backup, outcome = name, "a backup ended before all of it was read"),
    }
}

fn not_held(id: &str) -> Problem {
    let detail = format!(
        "there is no backup {id}: it was finished, nobody read of it for backup.expire, or the server was restarted; begin \
         another with POST /backups"
    );
    Problem::new(Kind::BackupNotFound, detail)
}

/// The view of a backup with the time at which it expires if nobody reads of it any more.
fn expiring(held: &Held, app: &App) -> BackupView {
    let left = app.config.backup.expire.get().saturating_sub(held.last_read.elapsed());
    let left_ms = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
    BackupView { expires: utc(app.wall_ms().saturating_add(left_ms)), ..held.view.clone() }
}

/// A time as RFC 3339 writes it.
pub(crate) fn utc(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms).map_or_else(|_| "unknown".to_owned(), |time| time.to_string())
}
