//! Making a log that can be opened of one that is damaged, in another directory: the damaged one stays as it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::check::{Finding, Report, check};
use crate::disk::{Disk, File};
use crate::error::RecoveryError;
use crate::files::{SegmentFile, at, open_segments, read_group};
use crate::group::{self, BLOCK, GroupHead};
use crate::record::{self, ABANDONED, COMMIT, records};
use crate::segment::{self, SegmentHead, VERSION};
use crate::snapshot;

/// Bytes that are copied at once.
const COPY_BYTES: usize = 1 << 20;

/// What a repair gave up, beyond what [`Report::findings`] names as lost.
#[derive(Debug)]
pub struct Repaired {
    /// What was found in the damaged directory.
    pub report: Report,
    /// Units of which records may be among those that are lost: none of their records counts.
    pub units: u64,
}

/// A sound group of the damaged log.
struct Sound {
    /// Which of the segments it lies in.
    segment: usize,
    offset: u64,
    head: GroupHead,
    commits: Vec<u64>,
}

/// Writes what is sound of `from` into `to`, which is empty: sound snapshots, and all groups of the log that are. A
/// [`check`] says before what will be lost. `random` gives random numbers.
///
/// # Errors
/// A disk failed, or a newer program wrote the directory. `to` is of no use then.
pub fn repair<D: Disk, E: Disk>(
    from: &Arc<D>,
    to: &E,
    mut random: impl FnMut() -> u64,
) -> Result<Repaired, RecoveryError> {
    let report = check(from)?;
    let mut reached = 0;
    for (name, ..) in &report.snapshots {
        copy(&**from, to, name)?;
        let sound = snapshot::Snapshot::open(&**from, name);
        reached = reached.max(sound.map_or(0, |snapshot| snapshot.reached()));
    }
    let segments = open_segments(&**from)?;
    let heads = heads(&segments)?;
    let sound = sound_groups(&segments, &heads)?;
    let suspects = suspects(&sound, reached);
    let mut next = sound.first().map_or(1, |group| group.head.number);
    let (mut watermark, mut top) = (0, 0);
    // With no snapshot to begin from, what is missing at the beginning is given up.
    let lost_beginning =
        report.findings.iter().any(|finding| matches!(finding, Finding::Log(RecoveryError::Missing { .. })));
    let mut buffer = Vec::new();
    for (index, (segment, head)) in segments.iter().zip(&heads).enumerate() {
        let Some(head) = head else { continue };
        let is_first = top == 0;
        let floor = if is_first && lost_beginning { 1 } else { head.floor.max(top) };
        // Room for a last group that marks the end.
        let bytes = segment.size.max(head.bytes) + BLOCK as u64;
        let head = SegmentHead {
            salt: random(),
            first_group: next,
            floor,
            bytes,
            number: segment.number,
            // What would tell that its process had opened the log may be among what is lost.
            begins: head.begins.filter(|complete| !complete),
            ..*head
        };
        let file = at(&segment.name, segment::make(to, &head, None))?;
        let mut end = BLOCK as u64;
        top = top.max(floor);
        for group in sound.iter().filter(|group| group.segment == index) {
            read_group(segment, group.head.salt, group.offset, &mut buffer)?;
            let length = group::read(&buffer).map_or(0, |(_, records)| records.len());
            buffer.truncate(group::HEAD + length);
            abandon(&mut buffer[group::HEAD..], &suspects);
            (watermark, top) = (group.head.watermark, top.max(group.head.top));
            write(
                &segment.name,
                &file,
                &mut end,
                &mut buffer,
                &GroupHead { salt: head.salt, number: next, top, ..group.head },
            )?;
            next += 1;
        }
        if heads[index + 1..].iter().all(Option::is_none) {
            let mark = watermark.max(reached);
            group::begin(&mut buffer);
            let head = GroupHead {
                salt: head.salt,
                number: next,
                durable: next - 1,
                watermark: mark,
                top: top.max(mark),
            };
            write(&segment.name, &file, &mut end, &mut buffer, &head)?;
        }
        at(&segment.name, file.sync())?;
    }
    at("the new directory", to.sync_names())?;
    Ok(Repaired { report, units: suspects.len() as u64 })
}

fn copy<D: Disk, E: Disk>(from: &D, to: &E, name: &str) -> Result<(), RecoveryError> {
    let source = at(name, from.open(name))?;
    let copy = at(name, to.create(name, 0))?;
    let (mut offset, mut buffer) = (0, vec![0; COPY_BYTES]);
    loop {
        let read = at(name, source.read_at(offset, &mut buffer))?;
        if read == 0 {
            return at(name, copy.sync());
        }
        at(name, copy.write_at(offset, &buffer[..read]))?;
        offset += read as u64;
    }
}

fn write<F: File>(
    name: &str,
    file: &F,
    end: &mut u64,
    buffer: &mut Vec<u8>,
    head: &GroupHead,
) -> Result<(), RecoveryError> {
    group::seal(buffer, head);
    at(name, file.write_at(*end, buffer))?;
    *end += buffer.len() as u64;
    Ok(())
}

/// The head of each segment; of one whose head is damaged and which holds groups, what can be told of it.
fn heads<F: File>(segments: &[SegmentFile<F>]) -> Result<Vec<Option<SegmentHead>>, RecoveryError> {
    let mut heads: Vec<Option<SegmentHead>> = Vec::new();
    let mut buffer = Vec::new();
    for segment in segments {
        let mut head = segment.head.ok();
        let mut offset = BLOCK as u64;
        while head.is_none() && offset < segment.size {
            buffer.resize(BLOCK, 0);
            let read = at(&segment.name, segment.file.read_at(offset, &mut buffer))?;
            let salt = u64::from_le_bytes(buffer[8..16].try_into().expect("eight bytes"));
            if read == BLOCK
                && let Some(group) = read_group(segment, salt, offset, &mut buffer)?
            {
                let former = heads.iter().flatten().last();
                head = Some(SegmentHead {
                    version: VERSION,
                    salt,
                    number: segment.number,
                    life: former.map_or(1, |head| head.life),
                    lanes: former.map_or(0, |head| head.lanes),
                    first_group: group.number,
                    floor: former.map_or(1, |head| head.floor),
                    synced: former.is_none_or(|head| head.synced),
                    bytes: segment.size,
                    thinned: false,
                    begins: None,
                });
            }
            offset += BLOCK as u64;
        }
        heads.push(head);
    }
    Ok(heads)
}

/// All groups that are sound and in order.
fn sound_groups<F: File>(
    segments: &[SegmentFile<F>],
    heads: &[Option<SegmentHead>],
) -> Result<Vec<Sound>, RecoveryError> {
    let mut sound: Vec<Sound> = Vec::new();
    let mut buffer = Vec::new();
    for (index, (segment, head)) in segments.iter().zip(heads).enumerate() {
        let Some(head) = head else { continue };
        let mut offset = BLOCK as u64;
        while offset < segment.size {
            let next = sound.last().map_or(head.first_group, |group| group.head.number + 1);
            let Some(group) =
                read_group(segment, head.salt, offset, &mut buffer)?.filter(|group| group.number >= next)
            else {
                offset += BLOCK as u64;
                continue;
            };
            let (_, bytes) = group::read(&buffer).expect("it was read just now");
            let commits = records(bytes).filter(|record| record.kind == COMMIT).map(|record| record.position);
            sound.push(Sound { segment: index, offset, head: group, commits: commits.collect() });
            offset += buffer.len() as u64;
        }
    }
    Ok(sound)
}

/// The commits of units that may have a record in a group that is lost.
fn suspects(sound: &[Sound], reached: u64) -> BTreeSet<u64> {
    let mut suspects = BTreeSet::new();
    // A mark that stands for an end that is missing would pass units of which something is missing with it.
    if let Some(last) = sound.last().filter(|last| last.head.watermark < reached) {
        let commits = sound.iter().flat_map(|group| &group.commits);
        suspects.extend(commits.filter(|position| **position >= last.head.watermark));
    }
    for index in 1..sound.len() {
        let (before, after) = (&sound[index - 1], &sound[index]);
        if after.head.number == before.head.number + 1 {
            continue;
        }
        // What is lost lies from the watermark before on, and below the top after. While a unit is open, the watermark does not
        // pass it: once it has passed that top, all units of which something is lost are closed.
        let (low, high) = (before.head.watermark, after.head.top);
        let passed = sound[index..].iter().position(|group| group.head.watermark >= high);
        let end = passed.map_or(sound.len(), |passed| index + passed + 1);
        let commits = sound[..end].iter().flat_map(|group| &group.commits);
        suspects.extend(commits.filter(|position| **position >= low));
    }
    suspects
}

/// Turns commits of these positions into their opposite.
fn abandon(bytes: &mut [u8], suspects: &BTreeSet<u64>) {
    let mut at = 0;
    while let Some((record, rest)) = record::read(&bytes[at..]) {
        let (position, unit, end) = (record.position, record.unit, bytes.len() - rest.len());
        if record.kind == COMMIT && suspects.contains(&position) {
            record::write_head(&mut bytes[at..], position, ABANDONED, unit, 0);
        }
        at = end;
    }
}
