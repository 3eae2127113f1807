//! How long history is kept: events and decisions each by age and size, and the files in which they lie together.
//!
//! The oldest goes first, and never from the middle: a file whose events are past their bounds and whose decisions are not is
//! rewritten without the events, and the other way round; one with neither is removed once all before it are gone.

use std::collections::HashMap;
use std::sync::Arc;

use upbeat_engine::storage::{RecordClass, record_class};
use upbeat_journal::disk::Disk;
use upbeat_journal::{
    FILE_HEAD_BYTES, HistoryFile, LogFile, Record, RecoveryError, Retention as Everything, Rewrite,
    RewriteError, group_bytes, log_files, remove_before, remove_history, stored,
};

use crate::config;

/// What a file of history holds, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Contents {
    /// What the file takes on the disk.
    disk: u64,
    /// Records of events, and of decisions.
    events: u64,
    decisions: u64,
    /// What the file would take with the one and without the other.
    only_events: u64,
    only_decisions: u64,
}

/// What is kept, in bytes and by age.
#[derive(Debug, Clone, Copy)]
struct Bound {
    bytes: u64,
    /// What was last written before this time goes, in milliseconds since 1970.
    not_before_ms: u64,
}

impl Bound {
    fn of(kept: &config::Retained, now_ms: u64) -> Self {
        let ms = u64::from(kept.days) * 24 * 3600 * 1000;
        Self { bytes: kept.bytes.0, not_before_ms: now_ms.saturating_sub(ms) }
    }
}

/// What is to be done, by the index of files, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    /// Files before this one are removed.
    first: usize,
    /// Those before keep no events, and no decisions.
    events: usize,
    decisions: usize,
}

/// Decides what is kept of files, oldest first, each with the time when it was last written. What they take on the disk is
/// divided among events and decisions by the bytes of their records, so that all of it is within both bounds together.
fn plan(files: &[(u64, Contents)], events: Bound, decisions: Bound) -> Plan {
    let (mut keep_events, mut keep_decisions) = (true, true);
    let (mut events_sum, mut decisions_sum) = (0_u64, 0_u64);
    let mut plan = Plan { first: files.len(), events: 0, decisions: 0 };
    let mut written_ms = u64::MAX;
    for (index, (modified_ms, of)) in files.iter().enumerate().rev() {
        // None is younger than a later one, whatever the file system says.
        written_ms = written_ms.min(*modified_ms);
        if keep_events && written_ms < events.not_before_ms {
            (keep_events, plan.events) = (false, index + 1);
        }
        if keep_decisions && written_ms < decisions.not_before_ms {
            (keep_decisions, plan.decisions) = (false, index + 1);
        }
        let (mut for_events, mut for_decisions);
        loop {
            (for_events, for_decisions) = of.shares(keep_events, keep_decisions);
            if keep_events && events_sum + for_events > events.bytes {
                (keep_events, plan.events) = (false, index + 1);
            } else if keep_decisions && decisions_sum + for_decisions > decisions.bytes {
                (keep_decisions, plan.decisions) = (false, index + 1);
            } else {
                break;
            }
        }
        if !keep_events && !keep_decisions {
            break;
        }
        (events_sum, decisions_sum) = (events_sum + for_events, decisions_sum + for_decisions);
        if keep_events || of.decisions > 0 {
            plan.first = index;
        }
    }
    plan
}

impl Contents {
    /// What the file takes on the disk for events and for decisions, if these are kept.
    fn shares(&self, events: bool, decisions: bool) -> (u64, u64) {
        let Self { disk, .. } = *self;
        match (events, decisions) {
            (true, true) => {
                let all = u128::from(self.events) + u128::from(self.decisions);
                let share = u128::from(disk) * u128::from(self.decisions);
                let share = share.checked_div(all).map_or(0, |share| share as u64);
                (disk - share, share)
            }
            (true, false) => (if self.decisions == 0 { disk } else { self.only_events }, 0),
            (false, true) => (0, if self.events == 0 { disk } else { self.only_decisions }),
            (false, false) => (0, 0),
        }
    }

    /// Notes the records of a group.
    fn add(&mut self, group: &[u8]) {
        let (mut events, mut decisions, mut others) = (0, 0, 0);
        for stored in stored(group) {
            match record_class(stored.kind) {
                RecordClass::Event => events += stored.bytes,
                RecordClass::Decision => decisions += stored.bytes,
                RecordClass::Other => others += stored.bytes,
            }
        }
        self.events += events as u64;
        self.decisions += decisions as u64;
        self.only_events += group_bytes(others + events);
        self.only_decisions += group_bytes(others + decisions);
    }
}

/// What became of history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Forgotten {
    /// Files that are gone.
    pub(super) removed: usize,
    /// Files that are rewritten, and the records that they lost.
    pub(super) rewritten: usize,
    pub(super) records: u64,
    /// Bytes that the disk has back.
    pub(super) bytes: u64,
}

/// Keeps history within its bounds.
pub(super) struct Retention<D: Disk> {
    disk: Arc<D>,
    bounds: config::Retention,
    /// Bytes that stay free for the log where a file is rewritten.
    spare: u64,
    /// What is known of files, by name.
    known: HashMap<String, Contents>,
}

impl<D: Disk> Retention<D> {
    pub(super) fn new(disk: Arc<D>, bounds: config::Retention, spare: u64) -> Self {
        Self { disk, bounds, spare, known: HashMap::new() }
    }

    /// Removes and rewrites what is past the bounds at `now_ms`, in milliseconds since 1970. Where `pace` answers no, the rest is
    /// left to the next call; it is called with the bytes read and written of a file so far.
    ///
    /// # Errors
    /// The disk failed or is full, or a file is damaged.
    pub(super) fn apply(
        &mut self,
        needed_from: Option<u64>,
        now_ms: u64,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Forgotten, RewriteError> {
        let (events, decisions) =
            (Bound::of(&self.bounds.events, now_ms), Bound::of(&self.bounds.decisions, now_ms));
        let mut done = Forgotten::default();
        let mut files = log_files(&*self.disk, needed_from).map_err(RewriteError::of_directory)?;
        files.retain(|file| file.history);
        self.known.retain(|name, _| files.iter().any(|file| file.name == *name));
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        let not_before_ms = events.not_before_ms.max(decisions.not_before_ms);
        if bytes <= events.bytes.min(decisions.bytes)
            && files.iter().all(|file| file.modified_ms >= not_before_ms)
        {
            return Ok(done);
        }
        let mut measured = Vec::with_capacity(files.len());
        for file in &files {
            let Some(contents) = self.contents(file, pace)? else { return Ok(done) };
            measured.push((file.modified_ms, contents));
        }
        let plan = plan(&measured, events, decisions);
        // Removing comes first: it makes the space for the rest.
        let removed = match files.get(plan.first) {
            Some(first) => remove_before(&*self.disk, needed_from, &first.name),
            None => remove_history(&*self.disk, needed_from, Everything { bytes: 0, not_before_ms: 0 }),
        };
        let removed = removed.map_err(RewriteError::of_directory)?;
        done.removed = removed.len();
        done.bytes = removed.iter().map(|file| file.bytes).sum();
        for (index, file) in files.iter().enumerate().skip(plan.first) {
            let (no_events, no_decisions) = (index < plan.events, index < plan.decisions);
            let contents = measured[index].1;
            if (no_events && contents.events > 0) || (no_decisions && contents.decisions > 0) {
                let mut rule = |record: Record<'_>| {
                    Ok(match record_class(record.kind) {
                        RecordClass::Event if no_events => Rewrite::Drop,
                        RecordClass::Decision if no_decisions => Rewrite::Drop,
                        _ => Rewrite::Keep,
                    })
                };
                let Some(opened) = HistoryFile::open(&*self.disk, file)? else { continue };
                let Some(rewritten) = opened.rewrite(&*self.disk, (self.spare, true), &mut rule, pace)?
                else {
                    return Ok(done);
                };
                self.known.remove(&file.name);
                done.rewritten += 1;
                done.records += rewritten.dropped;
                done.bytes += rewritten.bytes.0.saturating_sub(rewritten.bytes.1);
            }
        }
        Ok(done)
    }

    /// What a file holds, by looking once; `None` if that was given up.
    fn contents(
        &mut self,
        file: &LogFile,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<Contents>, RecoveryError> {
        if let Some(known) = self.known.get(&file.name).filter(|known| known.disk == file.bytes) {
            return Ok(Some(*known));
        }
        let mut contents = Contents {
            disk: file.bytes,
            only_events: FILE_HEAD_BYTES,
            only_decisions: FILE_HEAD_BYTES,
            ..Contents::default()
        };
        if let Some(opened) = HistoryFile::open(&*self.disk, file)? {
            let mut read = 0;
            let goes_on = opened.groups(|_, group| {
                contents.add(group);
                read += group_bytes(group.len());
                Ok(pace(read))
            })?;
            if !goes_on {
                return Ok(None);
            }
        }
        self.known.insert(file.name.clone(), contents);
        Ok(Some(contents))
    }
}

#[cfg(test)]
mod tests;
