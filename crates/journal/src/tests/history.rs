//! Histories of a log by a seed: publishing, units, snapshots, rotation, failures, a full disk, kills and losses of power;
//! beside it plain sets of what was published and what was said to be durable.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use crate::disk::simulated::{Call, Dice, SimulatedDisk};
use crate::planted::{Guard, set_other, without};
use crate::snapshot::{Check, Checked, Checking, SnapshotWriter, Snapshots, find};
use crate::{
    LaneWriter, Memory, OpenError, Opened, Options, Positions, Retention, SpareMaker, Start, Unit, Writer,
    open, remove_history,
};

use super::model::{Applying, Model, State, THINGS, apply, ids, write_payload};
use super::{memories, random};

type Disk = Arc<SimulatedDisk>;
const OPTIONS: Options = Options { segment_bytes: 24 << 10, group_bytes: 4 << 10, sync: true };
const AMPLE: u64 = 1 << 22;

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
struct Process<'a> {
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
}

impl Process<'_> {
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
        let step = self.writer.step();
        set_other(None);
        drop(step);
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
        let error = [libc::EIO, libc::ENOSPC][self.dice.below(2) as usize];
        self.disk.fail_after(call, self.dice.below(6), error);
    }

    fn act(&mut self) {
        match self.dice.below(40) {
            0..16 => (0..self.dice.below(8)).for_each(|_| self.publish()),
            16..27 => self.step(),
            27 => drop(self.writer.mark()),
            28 => drop(self.spare.step(16 << 10)),
            29..32 => self.step_unit(),
            32..38 => self.step_snapshot(),
            38 => {
                let full = self.dice.one_in(2);
                self.disk.set_capacity(if full { self.dice.below(1 << 18) } else { AMPLE });
            }
            _ if self.dice.one_in(3) => self.fail_something(),
            _ => {}
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
    fn leave_lanes(&mut self) {
        let committed = |tag: &u64| *tag == 0 || self.model.units.contains_key(tag);
        let left = self.published.values().filter(|(_, tag)| committed(tag)).map(|(id, _)| *id);
        self.model.in_lanes = left.collect();
    }
}

/// Opens the log and what snapshots hold; an error if a call was made to fail.
fn recover(model: &Model, disk: &Disk, lanes: &[Memory], dice: &mut Dice) -> Result<Recovered, String> {
    let found = find(Arc::clone(disk)).map_err(|error| error.to_string())?;
    let mut state = State::new();
    let mut start = Start::BEGINNING;
    if let Some(newest) = &found.newest {
        start = Start { from: newest.from(), reached: newest.reached() };
        let mut block = Vec::new();
        for number in 0..newest.blocks() {
            newest.block(number, &mut block).map_err(|error| error.to_string())?;
            let ids = block.chunks_exact(8).map(|id| u64::from_le_bytes(id.try_into().unwrap()));
            ids.for_each(|id| apply(&mut state, id));
        }
    }
    let mut applying = Applying { seed: model.seed, start, state: &mut state, last: 0, finished: false };
    let opened = open(Arc::clone(disk), OPTIONS, start, lanes.to_vec(), random(dice.draw()), &mut applying);
    let seed = model.seed;
    match opened {
        Ok(opened) => {
            assert!(applying.finished && applying.last < opened.positions.next(), "seed {seed}");
            if let Some(torn) = &opened.recovered.torn {
                let end = disk.contents(&torn.file)[torn.offset as usize..].iter().all(|byte| *byte == 0);
                assert!(end, "seed {seed}: the torn end is not cleared");
            }
            Ok(Recovered { opened, state, snapshots: found.snapshots })
        }
        Err(OpenError::Recovery(error @ crate::RecoveryError::Disk { .. })) => Err(error.to_string()),
        Err(OpenError::Step(error)) => Err(error.to_string()),
        Err(error) => panic!("seed {seed}: {error}"),
    }
}

struct Recovered {
    opened: Opened<Disk>,
    state: State,
    snapshots: Snapshots<SimulatedDisk>,
}

/// The process ends; the lanes may outlive it, or the machine loses power.
fn end(disk: &Disk, dice: &mut Dice, lanes: &mut Vec<Memory>) -> bool {
    match dice.below(3) {
        0 => {
            disk.kill();
            return true;
        }
        1 => disk.kill(),
        _ => disk.lose_power(),
    }
    *lanes = memories();
    false
}

/// One history of a log by a seed.
pub(super) fn history(seed: u64) {
    let mut dice = Dice::new(seed);
    let disk = Arc::new(SimulatedDisk::new(dice.draw(), AMPLE));
    let mut lanes = memories();
    let mut model = Model::new(seed);
    if dice.one_in(4) {
        // Another log was on this disk before.
        live(&mut dice, &mut model, &disk, &lanes);
        disk.format();
        model = Model { next_id: model.next_id, ..Model::new(seed) };
        lanes = memories();
    }
    for _ in 0..2 + dice.below(4) {
        live(&mut dice, &mut model, &disk, &lanes);
        if !end(&disk, &mut dice, &mut lanes) {
            model.in_lanes.clear();
        }
        // Recovery, too, is interrupted.
        while dice.one_in(4) {
            let call =
                [Call::Write, Call::Sync, Call::Create, Call::SyncNames, Call::Read][dice.below(5) as usize];
            disk.fail_after(call, dice.below(8), libc::EIO);
            if let Ok(recovered) = recover(&model, &disk, &lanes, &mut dice) {
                model.check(&ids(&recovered.state));
                model.accept(&recovered.state);
            }
            if !end(&disk, &mut dice, &mut lanes) {
                model.in_lanes.clear();
            }
        }
    }
    live(&mut dice, &mut model, &disk, &lanes);
}

/// One life of the process, from recovery to its end.
fn live(dice: &mut Dice, model: &mut Model, disk: &Disk, lanes: &[Memory]) {
    disk.set_capacity(AMPLE);
    let recovered = recover(model, disk, lanes, dice);
    let recovered = recovered.unwrap_or_else(|error| panic!("seed {}: {error}", model.seed));
    model.check(&ids(&recovered.state));
    model.accept(&recovered.state);
    let Opened { writer, lanes, positions, .. } = recovered.opened;
    let lanes = lanes.into_iter().map(|lane| Rc::new(RefCell::new(lane))).collect();
    let actions = dice.below(100);
    let mut process = Process {
        dice,
        model,
        disk: Arc::clone(disk),
        spare: writer.spare_maker(),
        writer,
        lanes,
        positions,
        state: recovered.state,
        published: BTreeMap::new(),
        unit: None,
        snapshots: recovered.snapshots,
        snapshot: None,
    };
    for _ in 0..actions {
        process.act();
    }
    process.leave_lanes();
    // A snapshot that is dropped by the end of the process is not removed.
    disk.kill();
}

#[test]
fn durable_records_are_recovered_once_and_whole_and_none_is_invented() {
    for seed in 0..300 {
        history(seed);
    }
}

/// Each guard is taken away in turn, and the histories of so many seeds show that it is missing.
#[test]
fn planted_faults_are_found_within_their_seeds() {
    let guards = [
        (Guard::SyncNames, 20),
        (Guard::SyncGroup, 20),
        (Guard::Salt, 100),
        (Guard::FailedSyncIsFinal, 100),
        (Guard::KeepGroupWhenFull, 20),
        (Guard::WriteLastGroupAgain, 100),
        (Guard::ClearTornEnd, 20),
        (Guard::Watermark, 20),
        (Guard::WholeUnits, 20),
        (Guard::SnapshotAfterLog, 100),
    ];
    for (guard, seeds) in guards {
        let is_found = |seed: &u64| std::panic::catch_unwind(|| history(*seed)).is_err();
        let found = without(guard, || (0..seeds).find(is_found));
        assert!(found.is_some(), "{guard:?} is not missed within {seeds} seeds");
        eprintln!("{guard:?}: found by seed {}", found.unwrap_or_default());
    }
}
