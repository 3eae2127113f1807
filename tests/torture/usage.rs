//! What a server takes of memory, open files and the disk.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What a server takes at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    pub resident_kib: u64,
    /// The most that was resident since the process began.
    pub peak_kib: u64,
    pub open_files: u64,
    /// Files of the log.
    pub segments: u64,
    /// Files of any kind in the data directory, and their bytes.
    pub files: u64,
    pub directory_kib: u64,
    /// The largest snapshot.
    pub snapshot_kib: u64,
}

impl Sample {
    /// `None` where the process has ended.
    pub fn of(process: u32, data: &Path) -> Option<Self> {
        let process = format!("/proc/{process}");
        let status = fs::read_to_string(format!("{process}/status")).ok()?;
        let kib = |name: &str| -> Option<u64> {
            let text = status.lines().find_map(|line| line.strip_prefix(name))?;
            text.trim().strip_suffix(" kB")?.trim().parse().ok()
        };
        let mut sample = Self {
            // A process that has ended and was not waited for has no memory.
            resident_kib: kib("VmRSS:")?,
            peak_kib: kib("VmHWM:")?,
            open_files: fs::read_dir(format!("{process}/fd")).ok()?.count() as u64,
            ..Self::default()
        };
        let (mut folders, mut seen) = (vec![data.to_owned()], HashSet::new());
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(folder).into_iter().flatten();
            for entry in entries.map_while(Result::ok) {
                // Removed or renamed since, where it is not there.
                let Ok(of) = entry.metadata() else { continue };
                if of.is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                // A file that a backup holds has two names.
                if !seen.insert(of.ino()) {
                    continue;
                }
                let (name, kib) = (entry.file_name(), of.len() / 1024);
                sample.files += 1;
                sample.directory_kib += kib;
                sample.segments += u64::from(name.to_string_lossy().starts_with("segment-"));
                if name.to_string_lossy().starts_with("snapshot-") {
                    sample.snapshot_kib = sample.snapshot_kib.max(kib);
                }
            }
        }
        Some(sample)
    }

    /// The most of each.
    pub fn most(samples: &[Self]) -> Self {
        let most = |of: fn(&Self) -> u64| samples.iter().map(of).max().unwrap_or(0);
        Self {
            resident_kib: most(|sample| sample.resident_kib),
            peak_kib: most(|sample| sample.peak_kib),
            open_files: most(|sample| sample.open_files),
            segments: most(|sample| sample.segments),
            files: most(|sample| sample.files),
            directory_kib: most(|sample| sample.directory_kib),
            snapshot_kib: most(|sample| sample.snapshot_kib),
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resident_kib, open_files, segments, directory_kib, .. } = self;
        write!(to, "{resident_kib:>12} {open_files:>6} {segments:>9} {directory_kib:>14}")
    }
}
