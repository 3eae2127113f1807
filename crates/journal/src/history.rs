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
    /// The number of the group after its last one, where a group was begun in it and in a later file.
    pub(crate) end: Option<u64>,
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
    let mut heads = Vec::with_capacity(numbered.len());
    let mut block = vec![0; 2 * BLOCK];
    for (_, name) in numbered {
        let file = disk.open(&name)?;
        let read = file.read_at(0, &mut block)?;
        let head = segment::decode(&block[..read]).ok();
        heads.push(head.filter(|_| is_used(head, &block[..read])));
        let (bytes, modified_ms) = (file.space()?, file.modified_ms()?);
        files.push(LogFile { name, bytes, modified_ms, history: false, end: None });
    }
    // A file is history if a later one says that all before it is below what is needed.
    let needed_from = needed_from.unwrap_or(0);
    let first_needed = heads.iter().rposition(|head| head.is_some_and(|head| head.floor <= needed_from));
    for file in &mut files[..first_needed.unwrap_or(0)] {
        file.history = true;
    }
    let mut later = None;
    for (file, head) in files.iter_mut().zip(heads).rev() {
        file.end = later.filter(|_| head.is_some());
        later = head.map(|head| head.first_group).or(later);
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
    let files = log_files(disk, needed_from)?;
    let mut bytes: u64 = files.iter().filter(|file| file.history).map(|file| file.bytes).sum();
    let goes = |file: &LogFile| {
        let goes = bytes > retention.bytes || file.modified_ms < retention.not_before_ms;
        bytes -= file.bytes;
        goes
    };
    remove_while(disk, &files, goes)
}

/// Removes the files of history that come before the file of this name, if that is history; returns what was removed.
/// `needed_from` as for [`remove_history`].
///
/// # Errors
/// The disk failed.
pub fn remove_before<D: Disk>(disk: &D, needed_from: Option<u64>, name: &str) -> io::Result<Vec<LogFile>> {
    let files = log_files(disk, needed_from)?;
    if !files.iter().any(|file| file.history && file.name == name) {
        return Ok(Vec::new());
    }
    remove_while(disk, &files, |file| file.name != name)
}

fn remove_while<D: Disk>(
    disk: &D,
    files: &[LogFile],
    mut goes: impl FnMut(&LogFile) -> bool,
) -> io::Result<Vec<LogFile>> {
    let mut removed = Vec::new();
    for file in files.iter().filter(|file| file.history).take_while(|file| goes(file)) {
        if removed.is_empty() {
            // Where a former removal may not be durable, this fails, and there is no gap behind a file that comes back.
            disk.sync_names()?;
        }
        disk.remove(&file.name)?;
        // One at a time: after a loss of power the log has no gap.
        disk.sync_names()?;
        removed.push(file.clone());
    }
    Ok(removed)
}
