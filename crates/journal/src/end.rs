//! What lies after the last group of a segment.

use crate::disk::File;
use crate::error::RecoveryError;
use crate::files::{SegmentFile, at, read_group};
use crate::group::BLOCK;
use crate::recovery::TornEnd;
use crate::segment::SegmentHead;

/// What lies there.
pub(crate) enum AfterTheEnd {
    /// Zeros, or a torn end.
    Rest(Option<TornEnd>),
    /// The group that comes next: it was written since it was looked for, by a process that uses the directory.
    Grown,
}

/// Looks at what lies after the last valid group of a segment, which ends at `end`; `next` is the number of the group that would
/// follow.
///
/// # Errors
/// A group is damaged: one after it is sound. The disk failed.
pub(crate) fn after_the_end<F: File>(
    segment: &SegmentFile<F>,
    head: &SegmentHead,
    (end, next): (u64, u64),
) -> Result<AfterTheEnd, RecoveryError> {
    let (mut offset, mut last) = (end, None);
    let mut buffer = Vec::new();
    while offset < segment.size {
        if head.synced
            && let Some(group) = read_group(segment, head.salt, offset, &mut buffer)?
        {
            if has_come(segment, head, (end, next), &mut buffer)? {
                return Ok(AfterTheEnd::Grown);
            }
            return Err(RecoveryError::Damaged {
                file: segment.name.clone(),
                offset: end,
                what: format!("a group is damaged, and group {} after it is sound", group.number),
            });
        }
        buffer.resize(BLOCK, 0);
        let read = at(&segment.name, segment.file.read_at(offset, &mut buffer))?;
        if buffer[..read].iter().any(|byte| *byte != 0) {
            last = Some(offset + read as u64);
        }
        offset += BLOCK as u64;
    }
    let torn = last.map(|last| TornEnd { file: segment.name.clone(), offset: end, bytes: last - end });
    Ok(AfterTheEnd::Rest(torn))
}

/// Whether the group `next` lies at `end` by now, where none was a moment ago. Groups are written one after the other: where a later
/// one is seen that was written meanwhile, so is this one, and where it is damaged it stays so.
pub(crate) fn has_come<F: File>(
    segment: &SegmentFile<F>,
    head: &SegmentHead,
    (end, next): (u64, u64),
    buffer: &mut Vec<u8>,
) -> Result<bool, RecoveryError> {
    Ok(read_group(segment, head.salt, end, buffer)?.is_some_and(|group| group.number == next))
}
