//! What a run did and found.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::action::Action;
use crate::usage::Sample;

/// What the server may take at most: what a small container has.
const MOST_RESIDENT_KIB: u64 = 256 << 10;
/// The clients' connections, the listeners, the event loops, the files of the log.
const MOST_OPEN_FILES: u64 = 128;
/// A snapshot is due when the log since the last one has 64 files more than it fills; two are kept.
const MOST_FILES: u64 = 160;
/// Two snapshots and the one under way, the log since the older one, history, a file of 4 MiB of each start: each far below that.
const MOST_DIRECTORY_KIB: u64 = 16 << 10;

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
    pub erased_looked_for: usize,
    pub present_found: usize,
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

    /// What is not as it must be of the run as a whole.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, is, most) in [
            ("KiB resident", self.usage.peak_kib, MOST_RESIDENT_KIB),
            ("open files", self.usage.open_files, MOST_OPEN_FILES),
            ("files in the data directory", self.usage.files, MOST_FILES),
            ("KiB in the data directory", self.usage.directory_kib, MOST_DIRECTORY_KIB),
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
            "  {} customers are erased, {} of their rows were sent again; {} looks into the files for {} of them, which found {} others",
            self.erased, self.erased_again, self.looks, self.erased_looked_for, self.present_found
        )?;
        write!(
            to,
            "  at most {} KiB resident, {} open files, {} files of {} KiB in the data directory",
            self.usage.peak_kib, self.usage.open_files, self.usage.files, self.usage.directory_kib
        )
    }
}
