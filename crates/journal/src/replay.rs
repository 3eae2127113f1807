//! Records in the order of their positions.
//!
//! Lanes are collected one after the other, so records lie in a log in another order than that of their positions. After
//! a group all records below its watermark are known: these are given, sorted, and the others are held back. The
//! watermark divides no unit, so a unit is given whole; one that the last watermark of its process did not reach is dropped:
//! it was not acknowledged, and some of its records may be lost with their lane.

use std::collections::BTreeMap;

use crate::error::RecoveryError;
use crate::group::GroupHead;
use crate::pack::unpack;
use crate::planted::{Guard, stands};
use crate::record::{self, ABANDONED, COMMIT, Record, VOID};

/// Who is given the records of a log. A closure that takes a [`Record`] is one.
pub trait Visitor {
    /// A record; their positions ascend. Neither void records nor those of units without a commit are given.
    ///
    /// # Errors
    /// Why the record cannot be used: the log is not opened.
    fn record(&mut self, record: Record<'_>) -> Result<(), String>;

    /// Whether records of a kind are to be given. Of others nothing is held or counted, which saves time where they are many.
    fn wants(&self, kind: u16) -> bool {
        let _ = kind;
        true
    }

    /// Whether the records that were given tell that the process that began at position `from` had opened the log: asked after all of
    /// them. Until then it has answered nobody, and one that syncs has that record durable before it answers anybody.
    fn has_opened(&self, from: u64) -> bool {
        let _ = from;
        true
    }

    /// All records of one process were given; what follows is of a later one.
    ///
    /// # Errors
    /// As of [`Visitor::record`].
    fn process_ended(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// All records were given; nothing was changed on the disk yet.
    ///
    /// # Errors
    /// As of [`Visitor::record`].
    fn finished(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// `read` bytes of the `all` that are to be read have been; called after each group.
    fn progress(&mut self, read: u64, all: u64) {
        let _ = (read, all);
    }
}

impl<F: FnMut(Record<'_>) -> Result<(), String>> Visitor for F {
    fn record(&mut self, record: Record<'_>) -> Result<(), String> {
        self(record)
    }
}

/// What was given and what was not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Records that the visitor got.
    pub records: u64,
    /// Records of units without a commit, which it did not get.
    pub dropped: u64,
}

/// A record that is held back.
pub(crate) struct Held {
    kind: u16,
    unit: u16,
    payload: Box<[u8]>,
}

impl Held {
    fn of(record: &Record<'_>) -> Self {
        Self { kind: record.kind, unit: record.unit, payload: record.payload.into() }
    }

    fn record(&self, position: u64) -> Record<'_> {
        Record { position, kind: self.kind, unit: self.unit, payload: &self.payload }
    }
}

/// Puts the records of groups into order.
pub(crate) struct InOrder<'v, V> {
    pub visitor: &'v mut V,
    /// Records below are not given.
    from: u64,
    /// Records at or above the watermark, by position.
    held: BTreeMap<u64, Held>,
    /// All records below were given.
    given: u64,
    pub replayed: Replayed,
}

impl<'v, V: Visitor> InOrder<'v, V> {
    pub fn new(from: u64, visitor: &'v mut V) -> Self {
        Self { visitor, from, held: BTreeMap::new(), given: 0, replayed: Replayed::default() }
    }

    /// Takes the records of a group and gives all that are below its watermark.
    pub fn group(&mut self, head: &GroupHead, records: &[u8]) -> Result<(), String> {
        let mut later = self.held.split_off(&head.watermark);
        let known = std::mem::take(&mut self.held);
        let mut ready: Vec<Record<'_>> =
            known.iter().map(|(position, held)| held.record(*position)).collect();
        let mut rest = records;
        while let Some((record, after)) = record::read(rest) {
            rest = after;
            let Some((kind, mut packed)) = unpack(&record) else {
                self.sort_out(record, head.watermark, &mut ready, &mut later)?;
                continue;
            };
            if !self.visitor.wants(kind) {
                continue;
            }
            for record in packed.by_ref() {
                self.sort_out(record, head.watermark, &mut ready, &mut later)?;
            }
            if packed.is_bad() {
                return Err(format!(
                    "the records that are packed at position {} are not readable",
                    record.position
                ));
            }
        }
        self.held = later;
        self.give(ready, head.watermark)
    }

    /// Puts a record to those that are ready to be given, or that are not.
    fn sort_out<'a>(
        &self,
        record: Record<'a>,
        watermark: u64,
        ready: &mut Vec<Record<'a>>,
        later: &mut BTreeMap<u64, Held>,
    ) -> Result<(), String> {
        if record.position < self.given {
            return Err(format!("position {} comes after {} was passed", record.position, self.given));
        }
        if record.position < watermark {
            ready.push(record);
        } else {
            later.insert(record.position, Held::of(&record));
        }
        Ok(())
    }

    /// Takes a record that is not in the log.
    pub fn hold(&mut self, record: &Record<'_>) {
        self.held.insert(record.position, Held::of(record));
    }

    /// Gives what is held back: no more records come. `all_known` as of [`InOrder::end_of_process`].
    pub fn finish(&mut self, all_known: bool) -> Result<Replayed, RecoveryError> {
        let finished = self.end_of_process(all_known).and_then(|()| self.visitor.finished());
        finished.map_err(|what| RecoveryError::Refused {
            file: "the end of the log".to_owned(),
            offset: 0,
            what,
        })?;
        Ok(self.replayed)
    }

    /// Whether records of units are held back.
    pub fn holds_units(&self) -> bool {
        self.held.values().any(|held| held.unit != 0)
    }

    /// Gives what is held back: no more records of this process come. Unless `all_known`, records may be lost whose
    /// positions are below those that are held back, and a unit may lack some although its commit is there: the units among
    /// them are dropped.
    pub fn end_of_process(&mut self, all_known: bool) -> Result<(), String> {
        let mut held = std::mem::take(&mut self.held);
        if !all_known && stands(Guard::WholeUnits) {
            let before = held.len();
            held.retain(|_, held| held.unit == 0);
            self.replayed.dropped += (before - held.len()) as u64;
        }
        let Some((last, _)) = held.last_key_value() else { return Ok(()) };
        let given = self.given.max(last + 1);
        self.give(held.iter().map(|(position, held)| held.record(*position)).collect(), given)
    }

    /// Gives these records, which hold all of each unit of which they hold one.
    fn give(&mut self, mut records: Vec<Record<'_>>, watermark: u64) -> Result<(), String> {
        // A sort that knows runs: each lane's records are in order.
        records.sort_by_key(|record| record.position);
        if let Some(pair) = records.windows(2).find(|pair| pair[0].position == pair[1].position) {
            return Err(format!("position {} comes twice", pair[0].position));
        }
        self.drop_open_units(&mut records);
        for record in records {
            let ours = record.position >= self.from
                && !matches!(record.kind, VOID | COMMIT | ABANDONED)
                && self.visitor.wants(record.kind);
            if ours {
                self.visitor.record(record)?;
                self.replayed.records += 1;
            }
        }
        self.given = self.given.max(watermark);
        Ok(())
    }

    /// Leaves out the records of units that are not committed.
    fn drop_open_units(&mut self, records: &mut Vec<Record<'_>>) {
        if records.iter().all(|record| record.unit == 0) {
            return;
        }
        // From the end: what closes a unit comes after its records. A number may be used again once it is closed.
        let mut committed = BTreeMap::new();
        let mut dropped = 0;
        let mut kept: Vec<Record<'_>> = Vec::with_capacity(records.len());
        for record in records.iter().rev() {
            match record.kind {
                COMMIT => drop(committed.insert(record.unit, true)),
                ABANDONED => drop(committed.insert(record.unit, false)),
                _ if record.unit == 0 || committed.get(&record.unit) == Some(&true) => kept.push(*record),
                _ => dropped += 1,
            }
        }
        kept.reverse();
        *records = kept;
        self.replayed.dropped += dropped;
    }
}
