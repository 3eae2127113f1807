//! The files of a log: which are needed, which are history, and how long history is kept.

use std::io;

use crate::disk::{Disk, File};
use crate::files::is_used;
use crate::group::BLOCK;
use crate::segment;

/// A file of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Its name.
    pub name: String,
    /// Bytes that it takes on the disk.
    pub bytes: u64,
    /// When it was last written, in milliseconds since 1970.
    pub modified_ms: u64,
    /// Every position in it is below what is needed: it is kept for those who want to look back.
    pub history: bool,
}

/// How much history is kept; whichever ends first.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// The most bytes.
    pub bytes: u64,
    /// What was last written before this time goes, in milliseconds since 1970.
    pub not_before_ms: u64,
}

/// The files of a log, oldest first. `needed_from` is the position from which on records are needed for recovery.
///
/// # Errors
/// The disk failed.
pub fn log_files<D: Disk>(disk: &D, needed_from: Option<u64>) -> io::Result<Vec<LogFile>> {
    let mut numbered: Vec<(u64, String)> =
        disk.names()?.into_iter().filter_map(|name| Some((segment::number(&name)?, name))).collect();
    numbered.sort_unstable();
    let mut files = Vec::with_capacity(numbered.len());
    let mut floors = Vec::with_capacity(numbered.len());
    let mut block = vec![0; 2 * BLOCK];
    for (_, name) in numbered {
        let file = disk.open(&name)?;
        let read = file.read_at(0, &mut block)?;
        let head = segment::decode(&block[..read]).ok();
        floors.push(head.filter(|_| is_used(head, &block[..read])).map(|head| head.floor));
        files.push(LogFile { bytes: file.space()?, modified_ms: file.modified_ms()?, name, history: false });
    }
    // A file is history if a later one says that all before it is below what is needed.
    let needed_from = needed_from.unwrap_or(0);
    let first_needed = floors.iter().rposition(|floor| floor.is_some_and(|floor| floor <= needed_from));
    for file in &mut files[..first_needed.unwrap_or(0)] {
        file.history = true;
    }
    Ok(files)
}

/// Removes history that is not to be kept any longer, oldest first; returns what was removed. `needed_from` is
/// [`Snapshots::log_needed_from`](crate::snapshot::Snapshots::log_needed_from).
///
/// # Errors
/// The disk failed.
pub fn remove_history<D: Disk>(
    disk: &D,
    needed_from: Option<u64>,
    retention: Retention,
) -> io::Result<Vec<LogFile>> {
    let mut history: Vec<LogFile> =
        log_files(disk, needed_from)?.into_iter().filter(|file| file.history).collect();
    let mut bytes: u64 = history.iter().map(|file| file.bytes).sum();
    let mut removed = Vec::new();
    for file in history.drain(..) {
        if bytes <= retention.bytes && file.modified_ms >= retention.not_before_ms {
            break;
        }
        disk.remove(&file.name)?;
        // One at a time: after a loss of power the log has no gap.
        disk.sync_names()?;
        bytes -= file.bytes;
        removed.push(file);
    }
    Ok(removed)
}
