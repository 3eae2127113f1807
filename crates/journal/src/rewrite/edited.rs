//! The records of a group by a rule: those that stay, and what the others become.

use super::Rewrite;
use crate::group::{self, MOST_BYTES};
use crate::pack::{Packer, Unpacked, unpack};
use crate::record::{self, ABANDONED, COMMIT, Record, VOID};

/// A group whose records are rewritten, and what became of all so far.
#[derive(Default)]
pub(super) struct Edited {
    /// Room for a head, and the records.
    pub buffer: Vec<u8>,
    pub dropped: u64,
    pub replaced: u64,
}

impl Edited {
    pub fn records(&self) -> &[u8] {
        &self.buffer[group::HEAD..]
    }

    /// Puts what becomes of these records, by a rule, into the buffer.
    pub fn edit(
        &mut self,
        records: &[u8],
        rule: &mut dyn FnMut(Record<'_>) -> Result<Rewrite, String>,
    ) -> Result<(), String> {
        group::begin(&mut self.buffer);
        let mut rest = records;
        while let Some((record, after)) = record::read(rest) {
            let whole = &rest[..rest.len() - after.len()];
            rest = after;
            if let Some((kind, packed)) = unpack(&record) {
                self.edit_packed(kind, packed, whole, rule)?;
                continue;
            }
            let becomes = match record.kind {
                // What it holds was never written, and is of some record before it.
                VOID if !record.payload.is_empty() => Rewrite::Replace(VOID, Vec::new()),
                VOID | COMMIT | ABANDONED => Rewrite::Keep,
                _ => rule(record)?,
            };
            match becomes {
                Rewrite::Keep => self.buffer.extend_from_slice(whole),
                Rewrite::Drop => self.dropped += 1,
                Rewrite::Replace(kind, payload) => self.replace(&record, kind, &payload),
            }
        }
        if !rest.is_empty() {
            return Err("the records of the group do not fill it".to_owned());
        }
        if self.records().len() > MOST_BYTES {
            return Err("its records would be more than a group takes".to_owned());
        }
        Ok(())
    }
    /// Edits records that are packed in one: those that stay are packed again.
    fn edit_packed(
        &mut self,
        kind: u16,
        mut packed: Unpacked<'_>,
        whole: &[u8],
        rule: &mut dyn FnMut(Record<'_>) -> Result<Rewrite, String>,
    ) -> Result<(), String> {
        let (mut kept, mut replaced, mut dropped) = (Vec::new(), Vec::new(), 0);
        for record in packed.by_ref() {
            match rule(record)? {
                Rewrite::Keep => kept.push(record),
                Rewrite::Drop => dropped += 1,
                Rewrite::Replace(kind, payload) => replaced.push((record, kind, payload)),
            }
        }
        if packed.is_bad() {
            return Err("records that are packed in one are not readable".to_owned());
        }
        if dropped == 0 && replaced.is_empty() {
            self.buffer.extend_from_slice(whole);
            return Ok(());
        }
        let mut packer = Packer::of(kind);
        let mut single = Vec::new();
        for record in kept {
            single.clear();
            put(&mut single, &record, kind, record.payload);
            packer.append(&mut self.buffer, &record, &single);
        }
        packer.end_run(&mut self.buffer);
        for (record, kind, payload) in &replaced {
            self.replace(record, *kind, payload);
        }
        self.dropped += dropped;
        Ok(())
    }

    fn replace(&mut self, record: &Record<'_>, kind: u16, payload: &[u8]) {
        self.replaced += 1;
        put(&mut self.buffer, record, kind, payload);
    }
}

/// Appends a record at the position of another, and of its unit.
fn put(into: &mut Vec<u8>, record: &Record<'_>, kind: u16, payload: &[u8]) {
    let start = into.len();
    into.resize(start + record::size(payload.len()), 0);
    let place = &mut into[start..];
    record::write_head(place, record.position, kind, record.unit, payload.len() as u32);
    place[record::HEAD..record::HEAD + payload.len()].copy_from_slice(payload);
}
