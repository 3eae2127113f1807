//! Reading a log: every group in order, the torn end cut, and damage before it never skipped.
//!
//! Groups are written one at a time, so a valid group proves that all before it were durable, and so does a segment of those
//! before its first. A bad group with nothing valid after it is the torn end: nothing in it was acknowledged. A bad group with
//! a valid one after it, or a gap in the numbers, is damage, and the log is not opened.

use crate::continuation::Continuation;
use crate::disk::{Disk, File};
use crate::end::{AfterTheEnd, after_the_end};
use crate::error::RecoveryError;
use crate::files::{SegmentFile, at, open_segments, read_group};
use crate::group::{self, BLOCK, GroupHead};
use crate::planted::{Guard, stands};
use crate::record::{self, records};
use crate::replay::{InOrder, Replayed, Visitor};
use crate::segment::{self, SegmentHead};

/// The torn end of a log: what was being written when the machine stopped. Nothing in it was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornEnd {
    /// The file.
    pub file: String,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How far something other than zeros reaches, in bytes.
    pub bytes: u64,
}

/// From where a log is read: what the snapshot says whose state the records are applied to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Start {
    /// Records at lower positions are not given, and segments that hold no others are not read. 0 and 1 are the beginning.
    pub from: u64,
    /// Positions below were durable when the snapshot was finished: a log that ends before has lost its end.
    pub reached: u64,
}

impl Start {
    /// All of the log.
    pub const BEGINNING: Self = Self { from: 1, reached: 1 };
}

/// What reading a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// How the log goes on.
    pub next: Continuation,
    /// The number of segments, read or not.
    pub segments: u64,
    /// The number of groups read.
    pub groups: u64,
    /// The bytes of these groups.
    pub bytes: u64,
    /// Every record at a position below is there.
    pub watermark: u64,
    /// Records given and left out; zeros where groups were read.
    pub replayed: Replayed,
    /// The random numbers of the processes that wrote it, in order; their lanes have the same.
    pub lives: Vec<u64>,
    /// The number of lanes of the last one.
    pub lanes: u64,
    /// Where the last one began and whether what was before was complete, if its first segment is there and says so.
    pub(crate) began: Option<(u64, bool)>,
    /// Whether each group of the last segment was synced before the next was written.
    pub synced: bool,
    /// What was cut.
    pub torn: Option<TornEnd>,
    /// The last group, where it lies: its bytes may be in the page cache alone.
    last: Option<(String, u64, Vec<u8>)>,
}

/// A group as read.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// The name of its file.
    pub file: &'a str,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// The head of its segment.
    pub segment: &'a SegmentHead,
    /// Its own head.
    pub head: GroupHead,
    /// Its records, one after the other: see [`records`](crate::records).
    pub records: &'a [u8],
    /// Bytes read so far, and bytes of all files that are read.
    pub progress: (u64, u64),
}

/// Reads the groups of a log in the order in which they were written, from the first that may hold a record at or above
/// `start.from`, and gives each to `visit`. Changes nothing.
///
/// # Errors
/// See [`RecoveryError`]; groups before the error were visited.
pub fn read_groups<D: Disk>(
    disk: &D,
    start: Start,
    mut visit: impl FnMut(&Group<'_>) -> Result<(), String>,
) -> Result<Recovered, RecoveryError> {
    let segments = open_segments(disk)?;
    let mut found = Recovered {
        next: Continuation::BEGINNING,
        segments: segments.len() as u64,
        groups: 0,
        bytes: 0,
        watermark: 0,
        replayed: Replayed::default(),
        lives: Vec::new(),
        lanes: 0,
        began: None,
        synced: true,
        torn: None,
        last: None,
    };
    if let Some(last) = segments.last() {
        found.next.segment = last.number + 1;
    }
    let made: Vec<(&SegmentFile<D::File>, SegmentHead)> =
        segments.iter().filter_map(|segment| Some((segment, segment.head.ok()?))).collect();
    let (used, unused): (Vec<_>, Vec<_>) = made.into_iter().partition(|(segment, _)| segment.used);
    check_reach(&used, start)?;
    for (_, head) in &used {
        if found.lives.last() != Some(&head.life) {
            found.lives.push(head.life);
            found.began = head.begins.map(|complete| (head.floor, complete));
        }
        (found.lanes, found.synced) = (head.lanes, head.synced);
        found.next.position = found.next.position.max(head.floor);
    }
    // The next one's floor says that all of this one lies below.
    let skipped = used.windows(2).take_while(|pair| pair[1].1.floor <= start.from).count();
    let kept = &used[skipped..];
    let all = kept.iter().map(|(segment, _)| segment.size).sum();
    let mut reader = Reader { buffer: Vec::new(), all, before: 0, found };
    let mut former: Option<(&str, u64)> = None;
    for (segment, head) in kept {
        check_size(segment, head)?;
        if let Some((file, end)) = former.filter(|_| head.first_group != reader.found.next.group) {
            return Err(missing(file, end, reader.found.next.group, segment, head));
        }
        let (end, number) = reader.groups(segment, head, (BLOCK as u64, head.first_group), &mut visit)?;
        reader.found.next.group = number;
        reader.before += segment.size;
        former = Some((&segment.name, end));
    }
    if let (Some((segment, head)), Some((_, end))) = (kept.last(), former) {
        (reader.found.torn, _) = reader.rest_of(segment, head, end, &mut visit)?;
    }
    let last_used = used.last().map_or(0, |(segment, _)| segment.number);
    for (segment, head) in unused.iter().filter(|(segment, _)| segment.number > last_used) {
        check_size(segment, head)?;
        let (file, end) = former.unwrap_or((&segment.name, 0));
        // One that was made and removed may come back by a loss of power: then it is older than what was written since.
        if head.first_group > reader.found.next.group {
            return Err(missing(file, end, reader.found.next.group, segment, head));
        }
        let (torn, end) = reader.rest_of(segment, head, BLOCK as u64, &mut visit)?;
        reader.found.torn = reader.found.torn.or(torn);
        former = (end > BLOCK as u64).then_some((&*segment.name, end)).or(former);
    }
    for segment in segments.iter().filter(|segment| segment.head.is_err() && segment.number > last_used) {
        check_unmade(segment, reader.found.next.group)?;
    }
    let mut found = reader.found;
    found.next.position = found.next.position.max(found.watermark);
    if found.next.position < start.reached {
        return Err(RecoveryError::Behind { ends: found.next.position, reached: start.reached });
    }
    Ok(found)
}

/// Reads the records of a log in the order of their positions and gives them to `visitor`. Changes nothing.
///
/// # Errors
/// See [`RecoveryError`]; records before the error were given.
pub fn read<D: Disk>(disk: &D, start: Start, visitor: &mut impl Visitor) -> Result<Recovered, RecoveryError> {
    let mut in_order = InOrder::new(start.from, visitor);
    let mut recovered = read_in_order(disk, start, &mut in_order, |_| {})?;
    recovered.replayed = in_order.finish(false)?;
    Ok(recovered)
}

/// Reads records in order up to the watermark of the last group; what is above is still held by `in_order`. `seen` is told
/// each position.
pub(crate) fn read_in_order<D: Disk, V: Visitor>(
    disk: &D,
    start: Start,
    in_order: &mut InOrder<'_, V>,
    mut seen: impl FnMut(u64),
) -> Result<Recovered, RecoveryError> {
    let mut life = None;
    read_groups(disk, start, |group| {
        if life.replace(group.segment.life).is_some_and(|former| former != group.segment.life) {
            in_order.end_of_process(false)?;
            in_order.visitor.process_ended()?;
        }
        records(group.records).for_each(|record| seen(record.position));
        in_order.group(&group.head, group.records)?;
        in_order.visitor.progress(group.progress.0, group.progress.1);
        Ok(())
    })
}

/// Each segment was made after the last group of the one before was durable.
fn missing<F>(file: &str, end: u64, next: u64, later: &SegmentFile<F>, head: &SegmentHead) -> RecoveryError {
    let (first, name) = (head.first_group, &later.name);
    let what =
        format!("group {next} is damaged or missing, and the log goes on with group {first} in {name}");
    RecoveryError::Damaged { file: file.to_owned(), offset: end, what }
}

/// Whether all that is needed can be there.
fn check_reach<F>(made: &[(&SegmentFile<F>, SegmentHead)], start: Start) -> Result<(), RecoveryError> {
    let Some((segment, head)) = made.first() else {
        return Ok(());
    };
    if start.from.max(1) < head.floor {
        let file = segment.name.clone();
        return Err(RecoveryError::Missing { file, begins: head.floor, from: start.from });
    }
    Ok(())
}

/// A segment is durable with its whole size before anything is written to it.
pub(crate) fn check_size<F>(segment: &SegmentFile<F>, head: &SegmentHead) -> Result<(), RecoveryError> {
    if segment.size >= head.bytes {
        return Ok(());
    }
    Err(RecoveryError::Damaged {
        file: segment.name.clone(),
        offset: segment.size,
        what: format!("it had {} bytes and is cut", head.bytes),
    })
}

/// A segment without a head was being made when the machine stopped, and has no group that goes on with the log; else its
/// head is damaged. A process that uses the directory may have made it since its head was read: then all in it is newer than that.
pub(crate) fn check_unmade<F: File>(segment: &SegmentFile<F>, next_group: u64) -> Result<(), RecoveryError> {
    let mut buffer = vec![0; BLOCK];
    let mut offset = BLOCK as u64;
    while offset < segment.size {
        buffer.resize(BLOCK, 0);
        let read = at(&segment.name, segment.file.read_at(offset, &mut buffer))?;
        // Whatever salt its head had.
        let salt = u64::from_le_bytes(buffer[8..16].try_into().expect("eight bytes"));
        if read == BLOCK
            && let Some(group) = read_group(segment, salt, offset, &mut buffer)?
            && group.number >= next_group
        {
            // Before the first group its maker has written the whole head: one that is damaged stays so.
            let mut block = vec![0; BLOCK];
            let read = at(&segment.name, segment.file.read_at(0, &mut block))?;
            if segment::decode(&block[..read]).is_ok_and(|head| head.number == segment.number) {
                return Ok(());
            }
            return Err(RecoveryError::Damaged {
                file: segment.name.clone(),
                offset: 0,
                what: format!("its head is damaged, and group {} in it is sound", group.number),
            });
        }
        offset += BLOCK as u64;
    }
    Ok(())
}

/// What reading the groups of segments needs.
struct Reader {
    buffer: Vec<u8>,
    /// Bytes of all files, and of those that were read.
    all: u64,
    before: u64,
    found: Recovered,
}

impl Reader {
    /// Reads the groups of one segment from an offset and a number on; returns where they end and which number comes next.
    fn groups<F: File>(
        &mut self,
        segment: &SegmentFile<F>,
        head: &SegmentHead,
        (mut offset, mut number): (u64, u64),
        visit: &mut impl FnMut(&Group<'_>) -> Result<(), String>,
    ) -> Result<(u64, u64), RecoveryError> {
        let found = &mut self.found;
        while read_group(segment, head.salt, offset, &mut self.buffer)?
            .is_some_and(|group| group.number == number)
        {
            let (group, records) = group::read(&self.buffer).expect("it was read just now");
            let mut rest = records;
            while let Some((record, after)) = record::read(rest) {
                found.next.position = found.next.position.max(record.position + 1);
                rest = after;
            }
            // Those that are packed in one are at higher positions than it.
            found.next.position = found.next.position.max(group.top);
            if !rest.is_empty() {
                let what = "the records of the group do not fill it".to_owned();
                return Err(RecoveryError::Damaged { file: segment.name.clone(), offset, what });
            }
            let end = offset + self.buffer.len() as u64;
            let progress = (self.before + end, self.all);
            visit(&Group { file: &segment.name, offset, segment: head, head: group, records, progress })
                .map_err(|what| RecoveryError::Refused { file: segment.name.clone(), offset, what })?;
            found.watermark = group.watermark;
            found.groups += 1;
            found.bytes += end - offset;
            // The two buffers take turns.
            let former = found.last.take().map_or_else(Vec::new, |(_, _, buffer)| buffer);
            found.last = Some((segment.name.clone(), offset, std::mem::replace(&mut self.buffer, former)));
            offset = end;
            number += 1;
        }
        Ok((offset, number))
    }

    /// Looks at what lies after the last valid group, and reads on where a process that uses the directory has written more since
    /// it was looked for; returns a torn end and where it begins.
    fn rest_of<F: File>(
        &mut self,
        segment: &SegmentFile<F>,
        head: &SegmentHead,
        mut end: u64,
        visit: &mut impl FnMut(&Group<'_>) -> Result<(), String>,
    ) -> Result<(Option<TornEnd>, u64), RecoveryError> {
        loop {
            match after_the_end(segment, head, (end, self.found.next.group))? {
                AfterTheEnd::Rest(torn) => return Ok((torn, end)),
                AfterTheEnd::Grown => {
                    if self.found.lives.last() != Some(&head.life) {
                        self.found.lives.push(head.life);
                        self.found.began = head.begins.map(|complete| (head.floor, complete));
                    }
                    (self.found.lanes, self.found.synced) = (head.lanes, head.synced);
                    let from = (end, self.found.next.group);
                    (end, self.found.next.group) = self.groups(segment, head, from, visit)?;
                }
            }
        }
    }
}

impl Recovered {
    /// Whether the log ends before `group`, which was in it when lanes of its last process were released: with it goes
    /// what lies between. Lanes do not outlive the machine, so nothing but a copy that was put back, or lost files, explains that;
    /// without syncs a disk that was taken out does, too.
    ///
    /// # Errors
    /// It does, and the group was synced: what is missing was acknowledged.
    pub(crate) fn is_older_than(&self, group: u64) -> Result<bool, RecoveryError> {
        let ends = self.next.group - 1;
        let is_older = ends < group && stands(Guard::LanesOfThisLog);
        if is_older && self.synced {
            Err(RecoveryError::OlderThanLanes { ends, group })
        } else {
            Ok(is_older)
        }
    }

    /// Makes what was read durable: the torn end becomes zeros, and the last group is written again where it lies, since
    /// the page cache of a dead process may hold what the disk does not. To be called before anything is acknowledged.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn make_durable<D: Disk>(&self, disk: &D) -> Result<(), RecoveryError> {
        // The names, too, may be in the cache alone.
        at("the data directory", disk.sync_names())?;
        if let Some((name, offset, bytes)) = &self.last
            && stands(Guard::WriteLastGroupAgain)
        {
            let file = at(name, disk.open(name))?;
            at(name, file.write_at(*offset, bytes))?;
            at(name, file.sync())?;
        }
        if let Some(torn) = &self.torn
            && stands(Guard::ClearTornEnd)
        {
            let file = at(&torn.file, disk.open(&torn.file))?;
            let zeros = vec![0; (1 << 20).min(torn.bytes as usize)];
            let mut offset = torn.offset;
            while offset < torn.offset + torn.bytes {
                let bytes = (torn.offset + torn.bytes - offset).min(zeros.len() as u64);
                at(&torn.file, file.write_at(offset, &zeros[..bytes as usize]))?;
                offset += bytes;
            }
            at(&torn.file, file.sync())?;
        }
        if stands(Guard::ClearTornEnd) {
            self.release_space(disk);
        }
        Ok(())
    }

    /// Gives back what the last process had allocated ahead: a server that is killed again and again, at each start, would
    /// fill the disk with zeros otherwise.
    fn release_space<D: Disk>(&self, disk: &D) {
        let Some((name, offset, bytes)) = &self.last else { return };
        // They are zeros and durable already, so that nothing but space is lost where this fails.
        let _ = disk.open(name).and_then(|file| file.release(offset + bytes.len() as u64));
    }
}
