//! What a loss of power forfeits of a budget, and how soon money that comes back is spent.

use std::sync::Arc;

use upbeat_core::campaign::Bill;
use upbeat_journal::disk::simulated::{Call, Dice, SimulatedDisk};
use upbeat_journal::{Memory, Writer};

use super::super::{OpenError, open};
use super::recoveries::histories;
use super::{WALL_MS, memories, opened, options, random, settings, showing};
use crate::ledger::tests::setting;
use crate::ledger::{AccountState, Change, NoMoney, Op, Shown};
use crate::log::{Payload, Use};
use crate::striped::use_stripe;
use crate::{Clock, Engine};

/// Of a campaign that the engine does not run.
const SLOT: u16 = 7;

const COST: i64 = 10;

/// A campaign with a total budget, of which nobody says what is played.
struct Campaign {
    disk: SimulatedDisk,
    engine: Engine,
    writer: Writer<Arc<SimulatedDisk>>,
    shown: i64,
}

impl Campaign {
    fn open(disk: SimulatedDisk, lanes: Vec<Memory>, budget: i64) -> Self {
        let engine = showing(settings(Clock::Wall));
        // Each is another process.
        let random = 1 << 40 | disk.calls();
        let writer = opened(&engine, &disk, lanes, 1, random).writer;
        let campaign = Self { disk, engine, writer, shown: 0 };
        let setting = setting(COST, Bill::Show, None, Some(budget));
        assert!(campaign.engine.accounts.set(campaign.engine.log(), SLOT, setting, Some(WALL_MS)));
        campaign
    }

    fn show(&mut self) -> Result<(), NoMoney> {
        let log = self.engine.log();
        self.engine.accounts.reserve(log, SLOT, WALL_MS, |charge| {
            let payload = Payload::of_money(SLOT, &Change::Shown { charge: *charge, time_ms: WALL_MS });
            let room = log.expect("it is open").room(Use::Show, 1, payload.bytes().len());
            room.map(|mut room| room.publish(&payload, 0)).is_some()
        })?;
        self.shown += COST;
        Ok(())
    }

    /// Voids the first show of which nobody has said anything.
    fn void(&mut self) {
        let log = self.engine.log();
        let op = Op::Void(Shown { time_ms: WALL_MS, voided: false, lost: false });
        let voided = self.engine.accounts.make(log, (SLOT, op), WALL_MS, |money| {
            let payload = money.expect("it costs");
            let room = log.expect("it is open").room(Use::Change, 1, payload.bytes().len());
            room.map(|mut room| room.publish(payload, 0)).is_some()
        });
        assert!(voided);
        self.shown -= COST;
    }

    fn flush(&mut self) {
        while self.engine.durable() < self.engine.barrier() {
            self.writer.step().expect("the disk is sound");
        }
    }

    /// Asks for shows until no money is left; how often one had to wait for the disk, which was told of it.
    fn spend_all(&mut self) -> usize {
        let mut waits = 0;
        loop {
            match self.show() {
                Ok(()) => {}
                Err(NoMoney::Budget) => return waits,
                Err(NoMoney::Lease | NoMoney::Log) => {
                    assert!(self.engine.is_log_wanted(), "nobody would write the log before its time");
                    self.flush();
                    waits += 1;
                    assert!(waits < 1000, "the lease never comes");
                }
            }
        }
    }

    fn state(&self) -> AccountState {
        self.engine.accounts.copy(SLOT, self.engine.log()).expect("it was set").state
    }

    /// Some shows, of which the log has some.
    fn live(&mut self, dice: &mut Dice) {
        // No loss of power takes the campaign.
        self.flush();
        for _ in 0..dice.below(200) {
            use_stripe(Some(dice.below(4) as usize).filter(|stripe| *stripe > 0));
            match dice.below(8) {
                0 => self.writer.step().map(drop).expect("the disk is sound"),
                1 => self.engine.tick(WALL_MS),
                _ => drop(self.show()),
            }
        }
        use_stripe(None);
    }

    fn lost(&self) -> i64 {
        self.state().days().iter().map(|day| day.sums.lost).sum()
    }

    /// The next process, after a loss of power.
    fn lose_power(self, budget: i64) -> Self {
        self.disk.lose_power();
        Self::open(self.disk, memories(1, 32 << 10), budget)
    }
}

#[test]
fn loss_of_power_forfeits_at_most_a_sixteenth_of_a_budget_or_64_shows() {
    for seed in histories(60) {
        let mut dice = Dice::new(seed);
        let budget = (1 + dice.below(3000) as i64) * COST + dice.below(COST as u64) as i64;
        let mut campaign = Campaign::open(SimulatedDisk::new(seed, 1 << 30), memories(1, 32 << 10), budget);
        for _ in 0..dice.below(1500) {
            match dice.below(4) {
                0 => campaign.writer.step().map(drop).expect("the disk is sound"),
                1 => campaign.engine.tick(WALL_MS),
                _ => drop(campaign.show()),
            }
        }
        let played = campaign.shown;
        let mut campaign = campaign.lose_power(budget);
        let (lost, most) = (campaign.lost(), (budget / 16).max(64 * COST));
        assert!(lost <= most, "seed {seed}: {lost} of {budget} are lost");
        // Nothing more is lost, and whatever was played is never paid twice.
        let recovered: i64 = campaign.state().days().iter().map(|day| day.sums.shown).sum();
        campaign.spend_all();
        let all = played.max(recovered) + campaign.shown;
        assert!(all <= budget, "seed {seed}: {all} of {budget} are played");
        assert!(recovered + lost + campaign.shown > budget - COST, "seed {seed}: money is left of {budget}");
    }
}

#[test]
fn small_budget_is_spent_to_the_last_show_while_its_leases_wait_for_the_disk() {
    for shows in 1..200 {
        let budget = shows * COST + 3;
        let mut campaign = Campaign::open(SimulatedDisk::new(1, 1 << 30), memories(1, 32 << 10), budget);
        let waits = campaign.spend_all();
        assert_eq!(campaign.shown, shows * COST);
        // Two for each lease but the first: its shows, and its record.
        assert!(waits <= 2 * (shows as usize / 32 + 1), "{waits} waits for {shows} shows");
        assert!(!campaign.engine.is_log_wanted() || campaign.engine.durable() < campaign.engine.barrier());
    }
}

#[test]
fn what_a_void_gives_back_to_a_used_up_budget_is_shown_again_once_the_void_is_durable() {
    let budget = 40 * COST;
    let mut campaign = Campaign::open(SimulatedDisk::new(4, 1 << 30), memories(1, 32 << 10), budget);
    campaign.spend_all();
    campaign.flush();
    for _ in 0..5 {
        campaign.void();
        assert_eq!(campaign.show(), Err(NoMoney::Lease), "a void that may be lost gives nothing back");
        campaign.flush();
        assert_eq!(campaign.show(), Ok(()));
        assert_eq!(campaign.show(), Err(NoMoney::Budget));
    }
    // The last one is in no record that is durable.
    let campaign = campaign.lose_power(budget);
    assert_eq!(campaign.lost(), COST);
    assert_eq!(campaign.state().available(WALL_MS.div_euclid(86_400_000) as i32), 0);
}

const LANES: usize = 3;

/// The next process, which has done nothing yet.
fn state_after(disk: &SimulatedDisk, lanes: &[Memory], seed: u64) -> AccountState {
    let engine = showing(settings(Clock::Wall));
    opened(&engine, disk, lanes.to_vec(), 1, seed);
    engine.accounts.copy(SLOT, engine.log()).expect("it was set").state
}

/// Ends a process, by a loss of power or a kill; the lanes that the next one has.
fn end(disk: &SimulatedDisk, lanes: Vec<Memory>, loses_power: bool) -> Vec<Memory> {
    if loses_power {
        disk.lose_power();
        return memories(LANES, 32 << 10);
    }
    disk.kill();
    lanes
}

/// A campaign whose process ends, and a start that never returns from a call of the disk and ends, too. Whether that start came to its
/// end before.
fn interrupted(seed: u64, (call, calls): (Call, u64), ends: [bool; 2]) -> bool {
    let name = format!("seed {seed}: {ends:?}, {call:?} {calls}");
    let mut dice = Dice::new(seed);
    let budget = (20 + dice.below(400) as i64) * COST + dice.below(COST as u64) as i64;
    let (disk, lanes) = (SimulatedDisk::new(seed, 1 << 30), memories(LANES, 32 << 10));
    let mut campaign = Campaign::open(disk.clone(), lanes.clone(), budget);
    campaign.live(&mut dice);
    let (played, before) = (campaign.shown, campaign.state());
    let lanes = end(&disk, lanes, ends[0]);
    let expected = match ends[0] {
        true => state_after(&disk.copy(seed), &lanes, seed),
        false => before,
    };
    disk.hang_after(call, calls);
    let is_open = disk.catch_hang(|| state_after(&disk, &lanes, seed + 1)).is_some();
    let lanes = end(&disk, lanes, ends[1]);
    // The next one, too, before or after.
    disk.hang_after(Call::Write, dice.below(16));
    let _ = disk.catch_hang(|| state_after(&disk, &lanes, seed + 2));
    disk.kill();
    let state = state_after(&disk, &lanes, seed + 3);
    if ends != [false, true] {
        assert_eq!(state, expected, "{name}");
    }
    disk.kill();
    let recovered: i64 = state.days().iter().map(|day| day.sums.shown).sum();
    let mut campaign = Campaign::open(disk, lanes, budget);
    let (lost, most) = (campaign.lost(), (budget / 16).max(64 * COST));
    assert!(lost <= most, "{name}: {lost} of {budget} are lost");
    campaign.spend_all();
    let all = played.max(recovered) + campaign.shown;
    assert!(all <= budget, "{name}: {all} of {budget} are played");
    assert!(recovered + lost + campaign.shown > budget - COST, "{name}: money is left of {budget}");
    is_open
}

#[test]
fn start_that_is_ended_in_any_call_of_the_disk_books_no_loss_that_was_none_and_hides_none() {
    const CALLS: [Call; 8] = [
        Call::Write,
        Call::Sync,
        Call::Read,
        Call::Create,
        Call::Open,
        Call::Remove,
        Call::SyncNames,
        Call::Release,
    ];
    for seed in histories(3) {
        for call in CALLS {
            for ends in [[false, false], [false, true], [true, false], [true, true]] {
                let is_open = |calls: u64| interrupted(seed, (call, calls), ends);
                assert!((0..200).any(is_open), "it never opens");
            }
        }
    }
}

#[test]
fn start_that_ends_before_it_has_booked_what_it_found_leaves_that_to_the_next_one() {
    let mut without_room = 0;
    for seed in histories(20) {
        for (loses_power, ring) in [(false, 64), (true, 64), (true, 128), (true, 256), (true, 1024)] {
            let mut dice = Dice::new(seed);
            let budget = (20 + dice.below(400) as i64) * COST;
            let (disk, lanes) = (SimulatedDisk::new(seed, 1 << 30), memories(LANES, 32 << 10));
            let mut campaign = Campaign::open(disk.clone(), lanes.clone(), budget);
            campaign.live(&mut dice);
            let before = campaign.state();
            let lanes = if loses_power { Vec::new() } else { lanes };
            let expected = match loses_power {
                true => {
                    disk.lose_power();
                    state_after(&disk.copy(seed), &memories(LANES, 32 << 10), seed)
                }
                false => before,
            };
            disk.kill();
            // Its lanes are all there, and its first records are not.
            let lanes = [memories(1, ring), lanes].concat();
            let engine = showing(settings(Clock::Wall));
            let opened =
                open(&engine, Arc::new(disk.clone()), lanes.clone(), options(1), random(seed), &|_| {});
            without_room += usize::from(matches!(opened, Err(OpenError::NoRoom(_))));
            disk.kill();
            let lanes = [memories(1, 32 << 10), lanes].concat();
            let state = state_after(&disk, &lanes, seed + 1);
            assert_eq!(state, expected, "seed {seed}, loss of power: {loses_power}, lanes of {ring} bytes");
        }
    }
    assert!(without_room > 20, "{without_room} starts ended before they had begun");
}
