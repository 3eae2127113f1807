//! Collecting: what the lanes have published, up to one group.

use super::Writer;
use super::held::Seen;
use crate::disk::Disk;
use crate::group;
use crate::pack::Packer;
use crate::planted::{Guard, stands};
use crate::record::{self, ABANDONED, VOID};

impl<D: Disk> Writer<D> {
    /// From now on small records of this kind, which are units by themselves and follow each other in a lane, are packed: in the
    /// log they take little more than their payloads. Whoever reads records gets them as they were published.
    pub fn pack(&mut self, kind: u16) {
        (self.packer, self.seen) = (Packer::of(kind), Seen::default());
    }

    /// Copies records from the lanes into the group.
    pub(super) fn collect(&mut self) {
        self.collect_within(self.group_bytes);
    }

    /// The same, until the group's records have so many bytes.
    pub(super) fn collect_within(&mut self, most: usize) {
        if self.rotation.takes_position() {
            self.take_position(VOID, 0);
        }
        self.close_abandoned();
        // Before the lanes: a position below this is published, or its lane says that it is not.
        let mut watermark = self.positions.next();
        crate::planted::meanwhile();
        self.behind = false;
        let first = self.next_group as usize;
        for index in 0..self.lanes.len() {
            // Each lane comes first in its turn, so that a full group leaves none out for ever.
            let index = (first + index) % self.lanes.len();
            let (lane, collected) = (&self.lanes[index], &mut self.collected[index]);
            let published = lane.published();
            if stands(Guard::Watermark) {
                watermark = watermark.min(published.since);
            }
            while let Some((bytes, next)) = lane.record(*collected, published.tail) {
                if let Some((record, _)) = record::read(bytes) {
                    let needed = bytes.len() + self.packer.most_growth();
                    if self.group.len() - group::HEAD + needed > most {
                        // What is left, and all above it, is for the next group.
                        watermark = watermark.min(record.position);
                        self.behind = most == self.group_bytes;
                        break;
                    }
                    self.units.note(&record);
                    self.group_top = self.group_top.max(record.position + 1);
                    if !self.packer.takes(&record) {
                        self.group_is_small = false;
                        self.others_top = self.others_top.max(record.position + 1);
                    }
                    self.packer.append(&mut self.group, &record, bytes);
                    self.group_records += 1;
                }
                *collected = next;
            }
            self.packer.end_run(&mut self.group);
        }
        self.seen.begin(&self.collected);
        let undivided = self.units.hold(watermark);
        if stands(Guard::WholeUnits) {
            watermark = undivided;
        }
        self.watermark = self.watermark.max(watermark);
        let passed = self.units.pass(self.watermark);
        if passed > 0 {
            self.unit_passed = true;
            self.positions.pass_units(passed);
        }
    }

    /// Records that units were dropped without a commit: all their records are published, at positions below.
    fn close_abandoned(&mut self) {
        let room = (self.group_bytes + group::HEAD - self.group.len()) / record::HEAD;
        for unit in self.positions.abandoned(room) {
            self.take_position(ABANDONED, unit);
        }
    }

    /// Takes a position for a record of the journal's own, without payload.
    fn take_position(&mut self, kind: u16, unit: u16) {
        let position = self.positions.take();
        let start = self.group.len();
        self.group.resize(start + record::HEAD, 0);
        record::write_head(&mut self.group[start..], position, kind, unit, 0);
        self.units.note(&record::Record { position, kind, unit, payload: &[] });
        self.group_top = self.group_top.max(position + 1);
        self.group_is_small = false;
        self.others_top = self.others_top.max(position + 1);
        self.group_records += 1;
    }
}
