//! What a run did and found.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::action::Action;
use crate::usage::Sample;

/// What the server may take at most: what a small container has.
const MOST_RESIDENT_KIB: u64 = 256 << 10;
/// The clients' connections, the listeners, the event loops: some forty; and the files of a backup under way.
const MOST_OPEN_FILES: u64 = 256;
/// 64 files of the log more than it fills, since each start begins one; history, of which each file may be as small; snapshots. A
/// backup under way, also one whose reader was killed, holds as many that were removed since.
const MOST_FILES: u64 = 2 * 160;

/// The bytes of the data directory, as the operator's guide sums them up, for the configuration of these tests: history, the log
/// between snapshots, and three files of it; 4 MiB for the first file of a start; 4 MiB for what is logged while a snapshot is
/// written or history is read, and 4 MiB for files that a backup holds. Three snapshots come on top.
const MOST_DIRECTORY_KIB: u64 = (256 + 256) + (2 * 128 + 64 * 64) + 3 * 64 + 4096 + 4096 + 4096;

#[derive(Debug, Default)]
pub struct Tally {
    /// How often each was done, and how long it took at most.
    done: BTreeMap<Action, (u64, Duration)>,
    pub requests: usize,
    /// Promised rows that were looked for, each as often as it was.
    pub looked_at: usize,
    pub shown: usize,
    pub starts: usize,
    pub longest_start: Duration,
    pub longest_stop: Duration,
    pub killed_starts: usize,
    pub refused_starts: usize,
    pub killed_in_calls: usize,
    pub ended_at_once: usize,
    pub stops_with_status_1: usize,
    /// Requests without an answer in the last action, and in all planned stops.
    pub cut: usize,
    pub cut_by_stops: usize,
    /// Customers who are erased, and rows of erased customers that were sent again.
    pub erased: usize,
    pub erased_again: usize,
    /// How often files were searched for ids, for how many of erased customers, and how many of others were found.
    pub looks: usize,
    /// From the last deletion on, until no file holds who was deleted.
    pub longest_erasure: Duration,
    pub erased_looked_for: usize,
    pub present_found: usize,
    pub backups: usize,
    pub interrupted_backups: usize,
    pub restores: usize,
    /// Promised rows that were looked for in restored directories.
    pub restored_rows: usize,
    pub usage: Sample,
}

impl Tally {
    pub fn count(&mut self, action: Action, took: Duration) {
        let (count, longest) = self.done.entry(action).or_default();
        *count += 1;
        *longest = took.max(*longest);
    }

    pub fn actions(&self) -> u64 {
        self.done.values().map(|(count, _)| count).sum()
    }

    fn most_directory_kib(&self) -> u64 {
        MOST_DIRECTORY_KIB + 3 * self.usage.snapshot_kib
    }

    /// What is not as it must be of the run as a whole.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, is, most) in [
            ("KiB resident", self.usage.peak_kib, MOST_RESIDENT_KIB),
            ("open files", self.usage.open_files, MOST_OPEN_FILES),
            ("files in the data directory", self.usage.files, MOST_FILES),
            ("KiB in the data directory", self.usage.directory_kib, self.most_directory_kib()),
        ] {
            if is > most {
                faults.push(format!("{is} {name}, more than {most}"));
            }
        }
        if self.cut_by_stops > 0 {
            faults.push(format!("planned stops cut {} requests", self.cut_by_stops));
        }
        faults
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "{} actions, {} requests", self.actions(), self.requests)?;
        for (action, (count, longest)) in &self.done {
            writeln!(to, "  {count:>5} × {:<24} at most {:.1} s", action.name(), longest.as_secs_f32())?;
        }
        writeln!(
            to,
            "  {} starts, at most {:.1} s; {} killed in the start, {} refused for want of space; stops at most {:.1} s",
            self.starts,
            self.longest_start.as_secs_f32(),
            self.killed_starts,
            self.refused_starts,
            self.longest_stop.as_secs_f32()
        )?;
        writeln!(
            to,
            "  {} killed in calls, {} ended at once by a second signal, {} stops with status 1 on a full disk; planned stops cut {} requests",
            self.killed_in_calls, self.ended_at_once, self.stops_with_status_1, self.cut_by_stops
        )?;
        writeln!(
            to,
            "  {} times a promised row was looked for, {} times an impression",
            self.looked_at, self.shown
        )?;
        writeln!(
            to,
            "  {} customers are erased, {} of their rows were sent again; {} looks into the files for {} of them, which found {} others; erased at most {:.1} s after the last deletion",
            self.erased,
            self.erased_again,
            self.looks,
            self.erased_looked_for,
            self.present_found,
            self.longest_erasure.as_secs_f32()
        )?;
        writeln!(
            to,
            "  {} backups, {} interrupted; {} restored, in which a promised row was looked for {} times",
            self.backups, self.interrupted_backups, self.restores, self.restored_rows
        )?;
        write!(
            to,
            "  at most {} of {MOST_RESIDENT_KIB} KiB resident, {} of {MOST_OPEN_FILES} open files, {} of {MOST_FILES} files and {} of {} KiB in \
             the data directory",
            self.usage.peak_kib,
            self.usage.open_files,
            self.usage.files,
            self.usage.directory_kib,
            self.most_directory_kib()
        )
    }
}
