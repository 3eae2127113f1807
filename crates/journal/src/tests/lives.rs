//! Histories of a log by a seed: lives of processes, ended by kills and losses of power, and the recoveries between them.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use crate::disk::map_lanes;
use crate::disk::simulated::{Call, Dice, SimulatedDisk};
use crate::planted::{Guard, without};
use crate::snapshot::{Snapshots, find};
use crate::{OpenError, Opened, Options, Start, oldest, open, read};

use super::history::Process;
use super::model::{Applying, Model, State, apply, ids};
use super::{LANE_BYTES, LANES, random};

pub(super) type Disk = Arc<SimulatedDisk>;
const OPTIONS: Options = Options { segment_bytes: 24 << 10, group_bytes: 4 << 10, sync: true };
pub(super) const AMPLE: u64 = 1 << 22;

/// Opens the log and what snapshots hold; an error if a call was made to fail.
fn recover(model: &Model, disk: &Disk, dice: &mut Dice) -> Result<Recovered, String> {
    let lanes = map_lanes(&**disk, LANES, LANE_BYTES).map_err(|error| error.to_string())?;
    let found = find(Arc::clone(disk)).map_err(|error| error.to_string())?;
    let mut state = State::new();
    let mut start = Start::BEGINNING;
    if let Some(newest) = &found.newest {
        start = newest.start();
        let mut block = Vec::new();
        for number in 0..newest.blocks() {
            newest.block(number, &mut block).map_err(|error| error.to_string())?;
            let ids = block.chunks_exact(8).map(|id| u64::from_le_bytes(id.try_into().unwrap()));
            ids.for_each(|id| apply(&mut state, id));
        }
    }
    let mut applying = Applying { seed: model.seed, start, state: &mut state, last: 0, finished: false };
    look_back(model, disk).map_err(|error| error.to_string())?;
    let opened = open(Arc::clone(disk), OPTIONS, start, lanes, random(dice.draw()), &mut applying);
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

/// All that is left of the log can be read, history among it.
fn look_back(model: &Model, disk: &Disk) -> Result<(), crate::RecoveryError> {
    let start = oldest(disk)?;
    let mut state = State::new();
    let mut applying = Applying { seed: model.seed, start, state: &mut state, last: 0, finished: false };
    match read(disk, start, &mut applying) {
        Ok(_) => Ok(()),
        Err(error @ crate::RecoveryError::Disk { .. }) => Err(error),
        Err(_) if model.names_fail => Ok(()),
        Err(error) => panic!("seed {}: history: {error}", model.seed),
    }
}

pub(super) struct Recovered {
    pub opened: Opened<Disk>,
    pub state: State,
    pub snapshots: Snapshots<SimulatedDisk>,
}

/// The process ends; the lanes may outlive it, or the machine loses power.
fn end(disk: &Disk, dice: &mut Dice, model: &mut Model) {
    match dice.below(3) {
        0 => return disk.kill(),
        1 => {
            disk.kill();
            disk.lose_lanes();
        }
        _ => disk.lose_power(),
    }
    model.in_lanes.clear();
}

/// One history of a log by a seed.
pub(super) fn history(seed: u64) {
    let mut dice = Dice::new(seed);
    let disk = Arc::new(SimulatedDisk::new(dice.draw(), AMPLE));
    let mut model = Model::new(seed);
    if dice.one_in(4) {
        // Another log was on this disk before.
        live(&mut dice, &mut model, &disk);
        disk.format();
        model = Model { next_id: model.next_id, ..Model::new(seed) };
        if dice.one_in(2) {
            disk.lose_lanes();
        }
    }
    for _ in 0..2 + dice.below(4) {
        live(&mut dice, &mut model, &disk);
        end(&disk, &mut dice, &mut model);
        // Recovery, too, is interrupted.
        while dice.one_in(4) {
            interrupt(&mut dice, &mut model, &disk);
            end(&disk, &mut dice, &mut model);
        }
    }
    live(&mut dice, &mut model, &disk);
}

/// A recovery in which a call fails or never returns.
fn interrupt(dice: &mut Dice, model: &mut Model, disk: &Disk) {
    const CALLS: [Call; 7] =
        [Call::Write, Call::Sync, Call::Create, Call::SyncNames, Call::Read, Call::OpenLane, Call::MapLane];
    let call = CALLS[dice.below(CALLS.len() as u64) as usize];
    if dice.one_in(8) {
        disk.hang_after(Call::Sync, dice.below(8));
    } else {
        model.names_fail |= call == Call::SyncNames;
        disk.fail_after(call, dice.below(8), libc::EIO);
    }
    if let Some(Ok(recovered)) = disk.catch_hang(|| recover(model, disk, dice)) {
        model.check(&ids(&recovered.state));
        model.accept(&recovered.state);
    }
}

/// One life of the process, from recovery to its end.
fn live(dice: &mut Dice, model: &mut Model, disk: &Disk) {
    disk.set_capacity(AMPLE);
    let recovered = recover(model, disk, dice);
    let recovered = recovered.unwrap_or_else(|error| panic!("seed {}: {error}", model.seed));
    model.check(&ids(&recovered.state));
    model.accept(&recovered.state);
    let actions = dice.below(100);
    let mut process = Process::new(dice, model, disk, recovered);
    for _ in 0..actions {
        process.act();
    }
    process.leave_lanes();
    // A snapshot that is dropped by the end of the process is not removed.
    disk.kill();
}

/// Says so also where the test command shows no output of tests that pass.
fn say(text: &str) {
    // A test that nobody listens to is one all the same.
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[test]
fn durable_records_are_recovered_once_and_whole_and_none_is_invented() {
    const SEEDS: u64 = 300;
    let began = Instant::now();
    (0..SEEDS).for_each(history);
    let per_minute = SEEDS as f64 * 60.0 / began.elapsed().as_secs_f64();
    say(&format!(
        "journal: {SEEDS} histories, {per_minute:.0} a minute by one thread: nothing lost, doubled or invented"
    ));
}

/// Each guard is taken away in turn, and the histories of so many seeds show that it is missing.
#[test]
fn planted_faults_are_found_within_their_seeds() {
    let guards = [
        (Guard::SyncNames, 20, "skip the directory sync"),
        (Guard::SyncGroup, 20, "acknowledge before sync"),
        (Guard::Salt, 100, "accept a frame of another segment"),
        (Guard::FailedSyncIsFinal, 100, "retry a failed fsync"),
        (Guard::SnapshotAfterLog, 100, "snapshot ahead of the log"),
        (Guard::KeepGroupWhenFull, 20, "drop the group at ENOSPC"),
        (Guard::WriteLastGroupAgain, 100, "trust the page cache"),
        (Guard::ClearTornEnd, 20, "leave a torn end"),
        (Guard::Watermark, 20, "pass positions that are not published"),
        (Guard::WholeUnits, 20, "divide a unit"),
        (Guard::LanesOfLastProcess, 100, "take lanes of any process"),
        (Guard::SyncRewritten, 300, "put a rewritten file in place before its sync"),
    ];
    for (guard, seeds, fault) in guards {
        let is_found = |seed: &u64| std::panic::catch_unwind(|| history(*seed)).is_err();
        let found = without(guard, || (0..seeds).find(is_found));
        assert!(found.is_some(), "{guard:?} is not missed within {seeds} seeds");
        say(&format!("journal: planted \"{fault}\": found by seed {} of {seeds}", found.unwrap_or_default()));
    }
}
