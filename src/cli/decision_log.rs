//! The log of decisions of a data directory, of a backup, or of a running server: what exports and estimates read.

mod attribution;
mod models;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use tempfile::TempDir;
use upbeat_engine::Entry;
use upbeat_engine::storage::{self, ProfilesBefore};
use upbeat_journal::disk::ReadOnlyDisk;
use upbeat_learn::Found;
use upbeat_server::config::Duration;

use self::attribution::Attribution;
pub(super) use self::attribution::parse as attribution_length;
pub(super) use self::models::Models;
use super::journal::{look, note, usage};
use super::{backup, output};

/// Which log, and how long a click counts.
#[derive(clap::Args)]
pub(super) struct LogArgs {
    /// A data directory, a backup, or the address of a server's admin listener, such as http://127.0.0.1:8081
    #[arg(long, value_name = "DIR|URL")]
    pub(super) from: String,
    /// The configuration of the server whose directory it is: its `[learn] attribution` says how long after an ad a click counts. A
    /// running server says so itself [default: 30m]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How long after an ad a click counts, whatever the server counts, such as 45m
    #[arg(long, value_name = "LENGTH", value_parser = attribution::parse)]
    attribution: Option<Duration>,
}

impl LogArgs {
    /// For whoever has flags of its own.
    pub(super) fn with(from: String, config: Option<PathBuf>, attribution: Option<Duration>) -> Self {
        Self { from, config, attribution }
    }

    /// For whoever counts no clicks, or knows by itself for how long they count.
    pub(super) fn of(from: String) -> Self {
        Self::with(from, None, None)
    }

    /// The log of a directory whose server has the default configuration.
    pub(super) fn of_directory(directory: &Path) -> Self {
        Self::of(directory.display().to_string())
    }
}

/// What a command needs of the log.
#[derive(Clone, Copy)]
pub(super) struct Needs {
    /// The command, as messages name it.
    pub(super) role: &'static str,
    /// Whether it counts clicks, and so says for how long they count.
    pub(super) clicks: bool,
    /// Whether it has to know the newest decision before it reads the first.
    pub(super) newest: bool,
    /// Whether it says what is worth knowing of the directory; a process that another one started has nobody to tell.
    pub(super) notes: bool,
}

/// A log that was looked at once, and is read by [`DecisionLog::read`].
pub(super) struct DecisionLog {
    /// What the first look found.
    pub(super) found: Found,
    /// How long after its ad a click counts, in milliseconds.
    pub(super) attribution_ms: i64,
    directory: PathBuf,
    from: String,
    disk: Arc<ReadOnlyDisk>,
    /// A copy of what a running server keeps, which goes with the value.
    _copied: Option<TempDir>,
}

impl DecisionLog {
    /// Looks at the log for the first time.
    ///
    /// # Errors
    /// It cannot be read, or the flags do not fit together.
    pub(super) fn open(args: &LogArgs, needs: Needs) -> anyhow::Result<Self> {
        let Needs { role, clicks, newest, notes } = needs;
        // A running server is copied as by a backup: consistent, checked, and gone when this ends.
        let attribution = Attribution::of(args)?;
        let (copied, of_server) = match args.from.contains("://") {
            true => copied(&args.from).map(|(folder, of_server)| (Some(folder), of_server))?,
            false => (None, None),
        };
        let attribution = attribution.or_of_server(of_server, &args.from);
        if clicks {
            attribution.say(role);
        }
        let inside = copied.as_ref().map(|folder| folder.path().join(COPY));
        let directory = inside.unwrap_or_else(|| PathBuf::from(&args.from));
        let usage = usage(&directory)?;
        if let Some(note) = note(&directory, &usage).filter(|_| notes) {
            output::note(format_args!("upbeat {role}: {note}"));
        }
        let (found, disk) = look(
            &directory,
            &usage,
            |_| true,
            |disk| {
                let mut found = Found::default();
                let read = storage::decisions(disk, newest, &mut |position, entry| {
                    found.note(position, &entry);
                    Ok(())
                });
                let watermark = read.with_context(|| directory.display().to_string())?;
                if usage.process().is_some() {
                    found.below = watermark;
                }
                Ok(found)
            },
        )?;
        let (attribution_ms, from) = (attribution.ms(), args.from.clone());
        Ok(Self { found, attribution_ms, directory, from, disk, _copied: copied })
    }

    /// Gives each record with its position, in the order of the log; plays of the usual form where they are wanted.
    ///
    /// # Errors
    /// The log cannot be read; or those of `visit`.
    pub(super) fn read(
        &self,
        with_plays: bool,
        visit: &mut dyn FnMut(u64, Entry) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut failed = None;
        let visit = &mut |position, entry| {
            visit(position, entry).map_err(|error| {
                let said = error.to_string();
                failed = Some(error);
                said
            })
        };
        let read = match with_plays {
            true => storage::decisions_and_plays(&self.disk, visit),
            false => storage::decisions(&self.disk, true, visit),
        };
        failed.map_or(read.map(drop).map_err(anyhow::Error::from), Err).with_context(|| self.from.clone())
    }

    /// Gives what the newest snapshot has, where the log has lost its beginning: see [`storage::profiles_before`].
    ///
    /// # Errors
    /// The snapshot cannot be read.
    pub(super) fn profiles_before(&self, visit: &mut dyn FnMut(Entry)) -> anyhow::Result<ProfilesBefore> {
        let visit = &mut |entry| {
            visit(entry);
            Ok(())
        };
        storage::profiles_before(&self.disk, visit).with_context(|| self.from.clone())
    }

    /// The models that decisions name.
    pub(super) fn models(&self) -> Models {
        Models::of(&self.directory)
    }
}

/// The name of a copy in its folder.
const COPY: &str = "copy";

/// A folder with a copy of what the server of this admin listener keeps, which goes with the value; and how long after its ad a click
/// counts there.
fn copied(url: &str) -> anyhow::Result<(TempDir, Option<Duration>)> {
    let folder = tempfile::Builder::new().prefix("upbeat-export-").tempdir();
    let folder = folder.context(
        "no folder for a copy of what the server keeps: set TMPDIR to a directory with room for it",
    )?;
    let attribution = backup::copy(url, &folder.path().join(COPY))?;
    Ok((folder, attribution))
}
