//! What a loss of power forfeits of a budget, and how soon money that comes back is spent.

use std::sync::Arc;

use upbeat_core::campaign::Bill;
use upbeat_journal::disk::simulated::{Dice, SimulatedDisk};
use upbeat_journal::{Memory, Writer};

use super::recoveries::histories;
use super::{WALL_MS, memories, opened, settings, showing};
use crate::ledger::tests::setting;
use crate::ledger::{AccountState, Change, NoMoney, Op, Shown};
use crate::log::{Payload, Use};
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
        let writer = opened(&engine, &disk, lanes, 1, 3).writer;
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
