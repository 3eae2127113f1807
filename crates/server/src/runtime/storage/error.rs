//! Why a server does not start with what is kept.

use std::io;
use std::path::{Path, PathBuf};

use upbeat_engine::storage::OpenError;
use upbeat_journal::RecoveryError;

use crate::runtime::campaigns::CampaignsError;
use crate::runtime::data_dir::DataDirError;
use crate::runtime::lanes::LanesError;

/// Why the server does not start with what is kept.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The lanes cannot lie where they should.
    #[error(transparent)]
    Lanes(#[from] LanesError),
    /// What is kept cannot be read, or not gone on with.
    #[error("data directory {}: {error}{}", path.display(), commands(path, error))]
    Open {
        /// The data directory.
        path: PathBuf,
        /// Why.
        error: OpenError,
    },
    /// There is no space for a file of the log.
    #[error("data directory {}: the log's next file needs {needed} bytes, and {free} are free: make space, or set a smaller \
        journal.segment_bytes", path.display())]
    Space {
        /// The data directory.
        path: PathBuf,
        /// In bytes.
        needed: u64,
        /// In bytes.
        free: u64,
    },
    /// The lanes that a killed process left are of a later state than the directory.
    #[error(
        "data directory {}: {error}. To go on with what is in the directory, and without what the lanes hold, remove {}",
        path.display(), lanes.display()
    )]
    OlderThanLanes {
        /// The data directory.
        path: PathBuf,
        /// Where the lanes lie.
        lanes: PathBuf,
        /// What does not fit.
        error: RecoveryError,
    },
    /// The campaigns cannot go on.
    #[error(transparent)]
    Campaigns(#[from] CampaignsError),
    /// The system has no more threads.
    #[error("no thread for the log: {0}")]
    Thread(io::Error),
    /// A defect in Upbeat.
    #[error("reading what was kept panicked")]
    Panicked,
}

/// The commands for a directory that is damaged, ready to be copied; nothing for one that is not.
fn commands(path: &Path, error: &OpenError) -> String {
    if !error.is_damage() {
        return String::new();
    }
    let directory = quoted(path);
    format!(
        "\nNothing was changed. What is sound, and what a repair would lose, say\n  upbeat journal check {directory}\n  \
         upbeat journal repair {directory}"
    )
}

/// A path as a shell takes it.
pub(in crate::runtime) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:,@%=".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) && !text.starts_with('-') {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}
