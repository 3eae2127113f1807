//! What happens in one life of a process, by a seed: publishing, units, snapshots, rotation, failures, calls that never return,
//! a full disk; beside it plain sets of what was published and what was said to be durable.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use crate::disk::simulated::{Call, Dice, SimulatedDisk};
use crate::planted::set_other;
use crate::snapshot::{Check, Checked, Checking, SnapshotWriter, Snapshots};
use crate::{
    HistoryFile, LaneWriter, Opened, Positions, Retention, RewriteError, SpareMaker, Unit, Writer, log_files,
    remove_history,
};

use super::lives::{AMPLE, Disk, Recovered};
use super::model::{Model, State, THINGS, apply, forget, write_payload};

/// A unit that is being published: what it is in the log and in the model, and its records so far.
struct OpenUnit {
    unit: Unit,
    tag: u64,
    ids: BTreeSet<u64>,
    first: u64,
    /// What is abandoned in the end is applied to nothing.
    applied: bool,
}

enum SnapshotStage {
    Copying(SnapshotWriter<SimulatedDisk>, Vec<u64>),
    Checking(Checking<SimulatedDisk>),
    Waiting(Checked<SimulatedDisk>),
}

/// One life of the process.
pub(super) struct Process<'a> {
    dice: &'a mut Dice,
    model: &'a mut Model,
    disk: Disk,
    writer: Writer<Disk>,
    spare: SpareMaker<Disk>,
    lanes: Vec<Rc<RefCell<LaneWriter>>>,
    positions: Positions,
    state: State,
    /// By position: the record, and its unit in the model.
    published: BTreeMap<u64, (u64, u64)>,
    unit: Option<OpenUnit>,
    snapshots: Snapshots<SimulatedDisk>,
    snapshot: Option<SnapshotStage>,
    /// Which of the process's threads are in a call that never returns.
    stuck: Stuck,
}

#[derive(Default)]
pub(super) struct Stuck {
    journal: bool,
    spare: bool,
    snapshots: bool,
}

impl<'a> Process<'a> {
    pub fn new(dice: &'a mut Dice, model: &'a mut Model, disk: &Disk, recovered: Recovered) -> Self {
        let Recovered { opened, state, snapshots } = recovered;
        let Opened { mut writer, lanes, positions, .. } = opened;
        // Whether records are packed is of each process by itself.
        if dice.one_in(2) {
            writer.pack(1);
        }
        Self {
            dice,
            model,
            disk: Arc::clone(disk),
            spare: writer.spare_maker(),
            writer,
            lanes: lanes.into_iter().map(|lane| Rc::new(RefCell::new(lane))).collect(),
            positions,
            state,
            published: BTreeMap::new(),
            unit: None,
            snapshots,
            snapshot: None,
            stuck: Stuck::default(),
        }
    }

    fn new_id(&mut self) -> u64 {
        self.model.next_id += 1;
        self.model.next_id
    }

    fn length(&mut self) -> usize {
        if self.dice.one_in(12) {
            self.dice.below(2000) as usize + 16
        } else {
            self.dice.below(100) as usize + 16
        }
    }

    /// Publishes a record of a unit or by itself; now and then the journal's thread works meanwhile.
    fn publish(&mut self) {
        let (length, id) = (self.length(), self.new_id());
        let (tag, number, applied) = self
            .unit
            .as_ref()
            .filter(|_| self.dice.one_in(2))
            .map_or((0, 0, true), |open| (open.tag, open.unit.number(), open.applied));
        let lane = Rc::clone(&self.lanes[self.dice.below(3) as usize]);
        if !lane.borrow_mut().has_room(1, length) {
            return;
        }
        let meanwhile = self.dice.one_in(10);
        let position = lane.borrow_mut().publish(1, number, length, |into| {
            if meanwhile {
                self.step();
            }
            write_payload(into, id, tag);
        });
        if let Some(open) = self.unit.as_mut().filter(|_| tag != 0) {
            open.ids.insert(id);
            open.first = open.first.min(position);
            self.model.open.insert(id);
        }
        if applied {
            self.note(position, id, tag);
        }
    }

    /// The journal's thread makes a step, and now and then others publish after it has read the counter: records, or a
    /// whole unit.
    fn step(&mut self) {
        if self.stuck.journal {
            return;
        }
        let others: Rc<RefCell<Vec<(u64, u64, u64)>>> = Rc::default();
        if self.dice.one_in(3) {
            let (lane, positions) =
                (Rc::clone(&self.lanes[self.dice.below(3) as usize]), self.positions.clone());
            let (seen, first_id, is_unit) = (Rc::clone(&others), self.model.next_id + 1, self.dice.one_in(2));
            self.model.next_id += 3;
            set_other(Some(Box::new(move || {
                let Ok(mut lane) = lane.try_borrow_mut() else { return };
                let Some(unit) = positions.begin_unit().filter(|_| lane.has_room(3, 48)) else { return };
                let (tag, number) = if is_unit { (first_id, unit.number()) } else { (0, 0) };
                for id in [first_id + 1, first_id + 2] {
                    let position = lane.publish(1, number, 24, |into| write_payload(into, id, tag));
                    seen.borrow_mut().push((position, id, tag));
                }
                unit.commit(&mut lane);
            })));
        }
        self.stuck.journal = self.disk.catch_hang(|| self.writer.step()).is_none();
        set_other(None);
        for (position, id, tag) in others.take() {
            self.note(position, id, tag);
            if tag != 0 {
                self.model.units.entry(tag).or_default().insert(id);
            }
        }
    }

    fn note(&mut self, position: u64, id: u64, tag: u64) {
        apply(&mut self.state, id);
        self.model.may.insert(id);
        assert!(self.published.insert(position, (id, tag)).is_none(), "seed {}: position", self.model.seed);
    }

    fn step_unit(&mut self) {
        let Some(mut open) = self.unit.take() else {
            let unit = self.positions.begin_unit().expect("few units are open");
            let (tag, applied) = (self.new_id(), !self.dice.one_in(4));
            self.unit = Some(OpenUnit { unit, tag, ids: BTreeSet::new(), first: u64::MAX, applied });
            return;
        };
        let lane = &mut *self.lanes[self.dice.below(3) as usize].borrow_mut();
        if !open.applied {
            // Abandoned.
            return;
        }
        if !lane.has_room(1, 0) {
            self.unit = Some(open);
            return;
        }
        open.unit.commit(lane);
        self.model.open.retain(|id| !open.ids.contains(id));
        self.model.units.insert(open.tag, std::mem::take(&mut open.ids));
    }

    /// The journal's thread writes its mark.
    fn mark(&mut self) {
        self.stuck.journal = self.stuck.journal || self.disk.catch_hang(|| self.writer.mark()).is_none();
    }

    fn step_spare(&mut self) {
        self.stuck.spare = self.stuck.spare || self.disk.catch_hang(|| self.spare.step(16 << 10)).is_none();
    }

    fn step_snapshots(&mut self) {
        let disk = Arc::clone(&self.disk);
        self.stuck.snapshots = self.stuck.snapshots || disk.catch_hang(|| self.step_snapshot()).is_none();
    }

    fn step_snapshot(&mut self) {
        let next = match self.snapshot.take() {
            None => {
                let from = self.positions.next();
                let needed = self.dice.below(1 << 17);
                SnapshotWriter::create(Arc::clone(&self.disk), from, self.dice.draw(), needed)
                    .map(|writer| Some(SnapshotStage::Copying(writer, (0..THINGS).collect())))
            }
            Some(SnapshotStage::Copying(mut writer, mut left)) => match left.pop() {
                Some(thing) => {
                    let ids = self.state.get(&thing).cloned().unwrap_or_default();
                    let block: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
                    writer.block(&block).map(|()| Some(SnapshotStage::Copying(writer, left)))
                }
                None => writer
                    .finish(self.positions.next())
                    .map(|checking| Some(SnapshotStage::Checking(checking))),
            },
            Some(SnapshotStage::Checking(checking)) => checking.step(4).map(|check| match check {
                Check::More(checking) => Some(SnapshotStage::Checking(checking)),
                Check::Done(checked) => Some(SnapshotStage::Waiting(checked)),
            }),
            Some(SnapshotStage::Waiting(checked)) => self
                .snapshots
                .publish(checked, self.positions.durable())
                .map(|early| early.map(SnapshotStage::Waiting)),
        };
        // What failed is begun again some time.
        self.snapshot = next.unwrap_or(None);
        if self.dice.one_in(2) {
            let retention = Retention { bytes: self.dice.below(1 << 17), not_before_ms: 0 };
            drop(remove_history(&*self.disk, self.snapshots.log_needed_from(), retention));
        }
    }

    fn step_history(&mut self) {
        let disk = Arc::clone(&self.disk);
        self.stuck.snapshots =
            self.stuck.snapshots || disk.catch_hang(|| drop(self.rewrite_history())).is_none();
    }

    /// Some records leave what history there is; now and then it is given up.
    fn rewrite_history(&mut self) -> Result<(), RewriteError> {
        let needed_from = self.snapshots.log_needed_from();
        let left = if self.dice.one_in(4) { self.dice.below(20) } else { u64::MAX };
        let mut paces = 0..left;
        for file in log_files(&*self.disk, needed_from).unwrap_or_default() {
            if let Some(file) = HistoryFile::open(&*self.disk, &file)? {
                let mut pace = |_| paces.next().is_some();
                file.rewrite(&*self.disk, (0, false), &mut forget, &mut pace)?;
            }
        }
        Ok(())
    }

    fn fail_something(&mut self) {
        const CALLS: [Call; 10] = [
            Call::Write,
            Call::Sync,
            Call::Sync,
            Call::Sync,
            Call::Create,
            Call::SyncNames,
            Call::Rename,
            Call::Remove,
            Call::Read,
            Call::Open,
        ];
        let call = CALLS[self.dice.below(CALLS.len() as u64) as usize];
        if self.dice.one_in(4) {
            return self.disk.hang_after(Call::Sync, self.dice.below(6));
        }
        self.model.names_fail |= call == Call::SyncNames;
        let error = [libc::EIO, libc::ENOSPC][self.dice.below(2) as usize];
        self.disk.fail_after(call, self.dice.below(6), error);
    }

    pub fn act(&mut self) {
        match self.dice.below(40) {
            0..16 => (0..self.dice.below(8)).for_each(|_| self.publish()),
            16..27 => self.step(),
            27 => self.mark(),
            28 => self.step_spare(),
            29..32 => self.step_unit(),
            32..38 => self.step_snapshots(),
            38 => {
                let full = self.dice.one_in(2);
                self.disk.set_capacity(if full { self.dice.below(1 << 18) } else { AMPLE });
            }
            _ => match self.dice.below(12) {
                0..4 => self.fail_something(),
                4 => drop(self.writer.rotation().ask()),
                5 => self.writer.rotation().take_position(),
                _ => self.step_history(),
            },
        }
        self.check_durable();
    }

    /// Moves what is durable into the model.
    fn check_durable(&mut self) {
        let durable = self.positions.durable();
        if let Some(open) = &self.unit {
            assert!(durable <= open.first, "seed {}: an open unit is passed", self.model.seed);
        }
        let later = self.published.split_off(&durable);
        let known = std::mem::replace(&mut self.published, later);
        self.model.must.extend(known.values().map(|(id, _)| *id));
    }

    /// The process has ended and its lanes have not.
    pub fn leave_lanes(&mut self) {
        let committed = |tag: &u64| *tag == 0 || self.model.units.contains_key(tag);
        let left = self.published.values().filter(|(_, tag)| committed(tag)).map(|(id, _)| *id);
        self.model.in_lanes = left.collect();
    }
}
