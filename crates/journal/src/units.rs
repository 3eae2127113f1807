//! What the journal's thread knows of units: up to where the watermark may rise.

use crate::record::{ABANDONED, COMMIT, Record};

/// The records of a unit that are collected.
#[derive(Debug)]
struct Span {
    unit: u16,
    first: u64,
    /// The position of the record that closed it.
    closed: Option<u64>,
}

/// The units that the watermark has not passed. A unit's number is not used again before.
#[derive(Debug, Default)]
pub(crate) struct Units(Vec<Span>);

impl Units {
    /// Notes a record that was collected.
    pub fn note(&mut self, record: &Record<'_>) {
        if record.unit == 0 {
            return;
        }
        let at = self.0.iter().position(|span| span.unit == record.unit).unwrap_or_else(|| {
            self.0.push(Span { unit: record.unit, first: record.position, closed: None });
            self.0.len() - 1
        });
        let span = &mut self.0[at];
        // Records of several lanes are collected in no order.
        span.first = span.first.min(record.position);
        if matches!(record.kind, COMMIT | ABANDONED) {
            span.closed = Some(record.position);
        }
    }

    /// The watermark that does not divide a unit, given one below which all records are collected.
    pub fn hold(&self, mut watermark: u64) -> u64 {
        // Held by one, the watermark may lie within another that overlaps it.
        loop {
            let divides =
                |span: &&Span| span.first < watermark && span.closed.is_none_or(|closed| watermark <= closed);
            let Some(first) = self.0.iter().filter(divides).map(|span| span.first).min() else {
                return watermark;
            };
            watermark = first;
        }
    }

    /// Forgets the units that lie below the watermark; returns how many there were.
    pub fn pass(&mut self, watermark: u64) -> u64 {
        let before = self.0.len();
        self.0.retain(|span| span.closed.is_none_or(|closed| watermark <= closed));
        (before - self.0.len()) as u64
    }
}
