//! Looking at a data directory without changing it: what is there, and what is wrong with it.

use std::sync::Arc;

use crate::disk::{Disk, File};
use crate::end::has_come;
use crate::error::RecoveryError;
use crate::files::{SegmentFile, at, open_segments, read_group};
use crate::group::{self, BLOCK, GroupHead};
use crate::record::records;
use crate::recovery::{Start, TornEnd, check_size, check_unmade};
use crate::segment::SegmentHead;
use crate::snapshot::{self, Snapshot, SnapshotError};
use crate::{rewrite, spare};

/// Something that is not as it should be.
#[derive(Debug)]
pub enum Finding {
    /// The end of the log was being written when the machine stopped. Nothing in it was acknowledged, and the next start
    /// clears it.
    TornEnd(TornEnd),
    /// A file was being made when the machine stopped. The next start, or the next snapshot, does without it.
    Unfinished {
        /// The file.
        file: String,
    },
    /// Groups of the log are damaged or missing.
    Lost {
        /// The file where they were.
        file: String,
        /// Where the first of them was, in bytes.
        offset: u64,
        /// The numbers of the groups, the first and the last.
        groups: (u64, u64),
        /// All that is missing has a position from the first of these on and below the second.
        positions: (u64, u64),
    },
    /// The log cannot be read as a whole.
    Log(RecoveryError),
    /// A snapshot cannot be used.
    Snapshot(SnapshotError),
}

impl Finding {
    /// Whether nothing was lost and the next start works without further ado.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        matches!(self, Self::TornEnd(_) | Self::Unfinished { .. })
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, into: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TornEnd(torn) => write!(
                into,
                "{}, byte {}: a torn end of {} bytes; nothing in it was acknowledged",
                torn.file, torn.offset, torn.bytes
            ),
            Self::Unfinished { file } => write!(into, "{file}: was being made when the machine stopped"),
            Self::Lost { file, offset, groups, positions } => write!(
                into,
                "{file}, byte {offset}: groups {} to {} are damaged or missing; they held records at positions from {} on and below {}",
                groups.0, groups.1, positions.0, positions.1
            ),
            Self::Log(error) => error.fmt(into),
            Self::Snapshot(error) => error.fmt(into),
        }
    }
}

/// What is in a data directory.
#[derive(Debug, Default)]
pub struct Report {
    /// All that is not as it should be, in order of the files.
    pub findings: Vec<Finding>,
    /// Sound snapshots, newest first: the name, S, and the size in bytes.
    pub snapshots: Vec<(String, u64, u64)>,
    /// The number of files of the log.
    pub segments: u64,
    /// The number of sound groups.
    pub groups: u64,
    /// The number of records in them.
    pub records: u64,
    /// Positions in the log: from here on, and below.
    pub positions: (u64, u64),
}

impl Report {
    /// Whether the next start works and nothing was lost.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(Finding::is_harmless)
    }
}

/// A group that was found.
pub(crate) struct FoundGroup {
    /// Where it ends, in bytes.
    pub end: u64,
    pub head: GroupHead,
}

/// What a segment holds: its groups, and where the last one ends.
pub(crate) struct Scanned {
    pub groups: Vec<FoundGroup>,
    pub end: u64,
    /// Something other than zeros lies between the end and here.
    pub rest: Option<u64>,
}

/// Looks for groups everywhere in a segment, also after damage.
pub(crate) fn scan<F: File>(
    segment: &SegmentFile<F>,
    head: &SegmentHead,
    mut visit: impl FnMut(&GroupHead, &[u8]),
) -> Result<Scanned, RecoveryError> {
    let mut scanned = Scanned { groups: Vec::new(), end: BLOCK as u64, rest: None };
    let (mut buffer, mut again) = (Vec::new(), Vec::new());
    let mut offset = BLOCK as u64;
    while offset < segment.size {
        let next_number = scanned.groups.last().map_or(head.first_group, |group| group.head.number + 1);
        match read_group(segment, head.salt, offset, &mut buffer)? {
            // What lies at its place and has a lower number is none of this log's groups.
            Some(group) if group.number >= next_number => {
                let end = (scanned.end, next_number);
                if offset > scanned.end && has_come(segment, head, end, &mut again)? {
                    // A process that uses the directory has written on since.
                    offset = scanned.end;
                    continue;
                }
                let (_, records) = group::read(&buffer).expect("it was read just now");
                visit(&group, records);
                let end = offset + buffer.len() as u64;
                scanned.groups.push(FoundGroup { end, head: group });
                offset = end;
                (scanned.end, scanned.rest) = (offset, None);
            }
            _ => {
                buffer.resize(BLOCK, 0);
                let read = at(&segment.name, segment.file.read_at(offset, &mut buffer))?;
                if buffer[..read].iter().any(|byte| *byte != 0) {
                    scanned.rest = Some(offset + read as u64);
                }
                offset += BLOCK as u64;
            }
        }
    }
    Ok(scanned)
}

/// Reads all of a data directory and says what is wrong with it. Changes nothing.
///
/// # Errors
/// The disk failed, a newer program wrote the directory, or another one did.
pub fn check<D: Disk>(disk: &Arc<D>) -> Result<Report, RecoveryError> {
    let mut report = Report::default();
    let start = check_snapshots(disk, &mut report)?;
    check_log(&**disk, start, &mut report)?;
    Ok(report)
}

fn check_snapshots<D: Disk>(disk: &Arc<D>, report: &mut Report) -> Result<Start, RecoveryError> {
    let mut names = at("the data directory", disk.names())?;
    names.sort_unstable_by(|a, b| b.cmp(a));
    let mut start = None;
    for name in names {
        if snapshot::is_unfinished(&name) || rewrite::is_unfinished(&name) || name == spare::UNFINISHED {
            report.findings.push(Finding::Unfinished { file: name });
        } else if snapshot::position(&name).is_some() {
            let sound = Snapshot::open(&**disk, &name).and_then(|sound| sound.check().map(|()| sound));
            match sound {
                Ok(sound) => {
                    start.get_or_insert(sound.start());
                    report.snapshots.push((name, sound.from(), sound.bytes()));
                }
                Err(SnapshotError::Newer { file, version }) => {
                    return Err(RecoveryError::Newer { file, version });
                }
                Err(error) => report.findings.push(Finding::Snapshot(error)),
            }
        }
    }
    Ok(start.unwrap_or(Start::BEGINNING))
}

fn check_log<D: Disk>(disk: &D, start: Start, report: &mut Report) -> Result<(), RecoveryError> {
    let segments = open_segments(disk)?;
    report.segments = segments.len() as u64;
    // The next group's number, the watermark and the top so far.
    let mut former: Option<(u64, u64, u64)> = None;
    let last_made = segments.iter().rposition(|segment| segment.head.is_ok());
    for (index, segment) in segments.iter().enumerate() {
        let Ok(head) = segment.head else {
            let next = former.map_or(1, |(next, ..)| next);
            report.findings.push(match check_unmade(segment, next) {
                Err(error @ RecoveryError::Disk { .. }) => return Err(error),
                Err(damaged) => Finding::Log(damaged),
                Ok(()) => Finding::Unfinished { file: segment.name.clone() },
            });
            continue;
        };
        if let Err(cut) = check_size(segment, &head) {
            report.findings.push(Finding::Log(cut));
        }
        if !segment.used
            && former.is_some_and(|(next, ..)| head.first_group <= next)
            && Some(index) != last_made
        {
            continue;
        }
        let (next, watermark, top) = former.unwrap_or((head.first_group, head.floor, head.floor));
        if former.is_none() {
            report.positions = (head.floor, head.floor);
        }
        let (mut next, mut watermark, mut top) = (next, watermark, top.max(head.floor));
        let scanned = scan(segment, &head, |_, bytes| report.records += records(bytes).count() as u64)?;
        report.groups += scanned.groups.len() as u64;
        let mut end = BLOCK as u64;
        for group in &scanned.groups {
            if group.head.number > next {
                report.findings.push(Finding::Lost {
                    file: segment.name.clone(),
                    offset: end,
                    groups: (next, group.head.number - 1),
                    positions: (watermark, group.head.top),
                });
            }
            (next, watermark, top) = (group.head.number + 1, group.head.watermark, group.head.top);
            end = group.end;
        }
        let later = &segments[index + 1..];
        let is_gap = |later: &&SegmentFile<_>| later.head.is_ok_and(|head| head.first_group > next);
        let followed = later.iter().find(|later| later.used).or_else(|| later.iter().find(is_gap));
        if let Some(later) = followed.filter(is_gap).and_then(|later| later.head.ok()) {
            report.findings.push(Finding::Lost {
                file: segment.name.clone(),
                offset: scanned.end,
                groups: (next, later.first_group - 1),
                positions: (watermark, later.floor),
            });
            next = later.first_group;
        } else if let Some(rest) = scanned.rest.filter(|_| Some(index) == last_made) {
            let bytes = rest - scanned.end;
            let torn = TornEnd { file: segment.name.clone(), offset: scanned.end, bytes };
            report.findings.push(Finding::TornEnd(torn));
        }
        former = Some((next, watermark, top));
    }
    let (_, watermark, top) = former.unwrap_or((1, 1, 1));
    report.positions.1 = top.max(watermark);
    report.findings.extend(check_whole(&segments, start).err().map(Finding::Log));
    if report.positions.1 < start.reached {
        let behind = RecoveryError::Behind { ends: report.positions.1, reached: start.reached };
        report.findings.push(Finding::Log(behind));
    }
    Ok(())
}

/// Whether all records from a start on are there: none was removed, or taken for its age. It is for recovery; who looks at a log takes
/// what there is.
pub(crate) fn check_whole<F>(segments: &[SegmentFile<F>], start: Start) -> Result<(), RecoveryError> {
    match first_whole(segments) {
        Some((file, head)) if start.from.max(1) < head.floor => {
            Err(RecoveryError::Missing { file: file.to_owned(), begins: head.floor, from: start.from })
        }
        _ => Ok(()),
    }
}

/// The first segment from which on nothing was taken, if there is one.
fn first_whole<F>(segments: &[SegmentFile<F>]) -> Option<(&str, SegmentHead)> {
    let made = || segments.iter().filter_map(|segment| Some((segment, segment.head.ok()?)));
    let thinned = made().filter(|(_, head)| head.thinned).last().map(|(segment, _)| segment.number);
    let (first, head) = made().find(|(segment, _)| thinned.is_none_or(|thinned| segment.number > thinned))?;
    Some((&first.name, head))
}

/// From where a log has all that happened: not where history was removed, or records were taken from it for their age. For
/// looking at a log, not for recovery.
///
/// # Errors
/// As of [`oldest`].
pub fn oldest_whole<D: Disk>(disk: &D) -> Result<Start, RecoveryError> {
    let from = first_whole(&open_segments(disk)?).map_or(1, |(_, head)| head.floor);
    Ok(Start { from, reached: 1 })
}

/// From where a log can be read at all: history that was removed is not there. For looking at a log, not for recovery.
///
/// # Errors
/// The disk failed, or a file is of a newer program or of another.
pub fn oldest<D: Disk>(disk: &D) -> Result<Start, RecoveryError> {
    let segments = open_segments(disk)?;
    let floor = segments.iter().find_map(|segment| segment.head.ok()).map_or(1, |head| head.floor);
    Ok(Start { from: floor, reached: 1 })
}
