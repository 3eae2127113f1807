//! Why a log is not opened.

use std::io;

use crate::segment;

/// Why a log was not opened. Nothing was changed on the disk.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The disk failed.
    #[error("{file}: {error}")]
    Disk {
        /// The file, or the directory's own name.
        file: String,
        /// What it said.
        error: io::Error,
    },
    /// What was durable is damaged.
    #[error("{file}, byte {offset}: {what}; everything before it is sound")]
    Damaged {
        /// The file.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A newer program wrote it.
    #[error("{file} has version {version} of the format, and this program reads up to {}", segment::VERSION)]
    Newer {
        /// The file.
        file: String,
        /// Its version.
        version: u32,
    },
    /// Segments that hold records from `from` on have been removed, and nothing else has these.
    #[error(
        "{file}, byte 0: the log begins with position {begins}, and the positions from {from} on are needed"
    )]
    Missing {
        /// The first file.
        file: String,
        /// The lowest position from which on all is there.
        begins: u64,
        /// The position that reading was to begin with.
        from: u64,
    },
    /// The end of the log has been removed: a snapshot holds later positions, which were durable.
    #[error(
        "the log ends with position {ends}, and a snapshot reaches up to {reached}; the log's last files are missing"
    )]
    Behind {
        /// Above all positions of the log.
        ends: u64,
        /// Above all positions of the snapshot.
        reached: u64,
    },
    /// The lanes of the log's last process, which outlived it, have seen a later log.
    #[error(
        "the log ends with group {ends}, and its lanes in memory say that group {group} was durable: its end is damaged or \
         missing, or the directory was put back from an older copy"
    )]
    OlderThanLanes {
        /// The last group of the log.
        ends: u64,
        /// The last group that the lanes know of.
        group: u64,
    },
    /// A record could not be used by whoever wrote it.
    #[error("{file}, byte {offset}: {what}")]
    Refused {
        /// The file.
        file: String,
        /// Where its group begins, in bytes.
        offset: u64,
        /// What is wrong.
        what: String,
    },
}
