//! Random histories of an account over several processes, ended in order, by a kill or by a loss of power.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use upbeat_core::campaign::Bill;
use upbeat_core::event::{DAY_MS, Event, EventKind, HOUR_MS, Id, MINUTE_MS, Membership};
use upbeat_journal::disk::simulated::{Dice, SimulatedDisk};
use upbeat_journal::{Memory, Record, Start, Writer};

use super::super::Snapshotter;
use super::recoveries::histories;
use super::{memories, opened, play, settings, showing};
use crate::ledger::tests::setting;
use crate::ledger::{AccountState, Change, Charge, Confirmed, NoMoney, Op, Shown};
use crate::log::{Entry, Payload, Use};
use crate::striped::use_stripe;
use crate::{Clock, Engine};

const LANES: usize = 3;

/// Of a campaign that the engine does not run.
const SLOT: u16 = 7;

/// 2026-10-24T20:00:00Z, two hours before midnight in Berlin; the day after has 25 hours.
const BEGINNING_MS: i64 = 1_792_872_000_000;

const COST: i64 = 10;

/// A show that somebody was answered, whatever is left of its record.
#[derive(Debug)]
struct KnownShow {
    charge: Charge,
    time_ms: i64,
    position: u64,
    /// The positions of what became of it.
    voided: Option<u64>,
    confirmed: Option<u64>,
    /// Whether the confirmation was paid.
    paid: bool,
    /// A loss of power has taken its record.
    lost: bool,
}

impl KnownShow {
    /// What it has cost by now: what nobody knows of any more, too.
    fn cost(&self, now_ms: i64) -> i64 {
        let is_held = now_ms.div_euclid(1000) < self.charge.expires_s;
        let costs = match (self.confirmed, self.voided) {
            (Some(_), None) => self.paid,
            (Some(_), Some(_)) => self.paid,
            (None, Some(_)) => false,
            (None, None) => self.charge.bill == Bill::Show || is_held,
        };
        if costs { self.charge.cost } else { 0 }
    }
}

struct History {
    seed: u64,
    dice: Dice,
    disk: SimulatedDisk,
    lanes: Vec<Memory>,
    engine: Arc<Engine>,
    writer: Writer<Arc<SimulatedDisk>>,
    snapshotter: Snapshotter<SimulatedDisk>,
    now_ms: i64,
    bill: Bill,
    daily: Option<i64>,
    total: Option<i64>,
    shows: Vec<KnownShow>,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let disk = SimulatedDisk::new(dice.draw(), 1 << 30);
        let (engine, lanes) = (Arc::new(showing(settings(Clock::Wall))), memories(LANES, 32 << 10));
        let opened = opened(&engine, &disk, lanes.clone(), 1, dice.draw());
        let limits = [(Some(4_000), None), (None, Some(9_000)), (Some(3_000), Some(5_000))];
        let (daily, total) = limits[dice.below(3) as usize];
        let bill = if dice.one_in(2) { Bill::Show } else { Bill::Impression };
        let (writer, snapshotter, now_ms) = (opened.writer, opened.snapshotter, BEGINNING_MS);
        let shows = Vec::new();
        let mut history =
            Self { seed, dice, disk, lanes, engine, writer, snapshotter, now_ms, bill, daily, total, shows };
        history.configure();
        history
    }

    fn configure(&mut self) {
        let setting = setting(COST, self.bill, self.daily, self.total);
        assert!(self.engine.accounts.set(self.engine.log(), SLOT, setting, Some(self.now_ms)));
    }

    fn state(&self) -> AccountState {
        self.engine.accounts.copy(SLOT, self.engine.log()).expect("it was set").state
    }

    /// Publishes a record as decisions do, within the account's lock; its position.
    fn publish(engine: &Engine, payload: &Payload) -> Option<u64> {
        let mut room = engine.log()?.room(Use::Show, 1, payload.bytes().len())?;
        Some(room.publish(payload, 0))
    }

    fn show(&mut self) -> Result<(), NoMoney> {
        let (engine, now_ms, mut position) = (Arc::clone(&self.engine), self.now_ms, None);
        let charge = engine.accounts.reserve(engine.log(), SLOT, now_ms, |charge| {
            let change = Change::Shown { charge: *charge, time_ms: now_ms };
            position = Self::publish(&engine, &Payload::of_money(SLOT, &change));
            position.is_some()
        })?;
        let position = position.expect("it was published");
        let (voided, confirmed, paid, lost) = (None, None, true, false);
        self.shows.push(KnownShow { charge, time_ms: now_ms, position, voided, confirmed, paid, lost });
        Ok(())
    }

    /// Voids or confirms one of the last shows.
    fn resolve(&mut self) {
        let last = self.shows.len().min(200) as u64;
        if last == 0 {
            return;
        }
        let place = self.shows.len() - 1 - self.dice.below(last) as usize;
        let confirms = self.dice.one_in(2);
        let (show, engine) = (&mut self.shows[place], Arc::clone(&self.engine));
        if show.confirmed.is_some() || (!confirms && show.voided.is_some()) {
            return;
        }
        let shown = Shown { time_ms: show.time_ms, voided: show.voided.is_some(), lost: show.lost };
        let op = if confirms { Op::Confirm(shown) } else { Op::Void(shown) };
        // Without money that moves the event alone has a record, which does not matter here.
        let (mut position, mut paid) = (Some(0), show.voided.is_none());
        let made = engine.accounts.make(engine.log(), (SLOT, op), self.now_ms, |money| {
            if let Some(payload) = money {
                position = Self::publish(&engine, payload);
                let entry = Entry::decode(payload.kind(), payload.bytes());
                let Ok(Entry::Money { change, .. }) = entry else { panic!("{entry:?}") };
                paid = !matches!(change, Change::Confirmed(_, Confirmed::Overrun));
            }
            position.is_some()
        });
        if made && confirms {
            (show.confirmed, show.paid) = (position, paid);
        } else if made && !show.lost {
            show.voided = position;
        }
    }

    fn step(&mut self) {
        self.writer.step().unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
    }

    fn flush(&mut self) {
        while self.engine.durable() < self.engine.barrier() {
            self.step();
        }
    }

    /// Nothing that was answered costs more than there is, whatever of it is recorded.
    fn check(&self) {
        let of = |shows: &mut dyn Iterator<Item = &KnownShow>| shows.map(|show| show.cost(self.now_ms)).sum();
        let cost: i64 = of(&mut self.shows.iter());
        assert!(self.total.is_none_or(|total| cost <= total), "seed {}: {cost} in all", self.seed);
        let days: BTreeSet<i32> = self.shows.iter().map(|show| show.charge.day).collect();
        for day in days {
            let cost: i64 = of(&mut self.shows.iter().filter(|show| show.charge.day == day));
            assert!(self.daily.is_none_or(|daily| cost <= daily), "seed {}: {cost} on day {day}", self.seed);
        }
        for day in self.state().days().iter() {
            let sums = day.sums;
            assert!(sums.amounts().into_iter().all(|amount| amount >= 0), "seed {}: {sums:?}", self.seed);
        }
    }

    fn live(&mut self) {
        for _ in 0..200 + self.dice.below(300) {
            use_stripe(Some(self.dice.below(4) as usize).filter(|stripe| *stripe > 0));
            match self.dice.below(100) {
                0..=54 => drop(self.show()),
                55..=74 => self.resolve(),
                75..=89 => self.step(),
                90..=95 => self.engine.tick(self.now_ms),
                96 => self.now_ms += [20 * MINUTE_MS, HOUR_MS][self.dice.below(2) as usize],
                97 => self.snapshot(),
                98 => {
                    self.daily = self.daily.map(|daily| daily + 50);
                    self.total = self.total.map(|total| total + 50);
                    self.configure();
                }
                _ => self.now_ms += self.dice.below(3000) as i64,
            }
        }
        self.check();
    }

    fn snapshot(&mut self) {
        let engine = Arc::clone(&self.engine);
        let mut tries = 60;
        let (writer, dice, now_ms) = (&mut self.writer, &mut self.dice, self.now_ms);
        let written = self.snapshotter.write(&engine, &mut |_| {
            if dice.one_in(2) {
                engine.tick(now_ms);
            }
            writer.step().expect("the disk is sound");
            tries -= 1;
            tries > 0
        });
        written.expect("there is space");
    }

    /// The next process.
    fn open(&mut self) {
        self.engine = Arc::new(showing(settings(Clock::Wall)));
        let opened = opened(&self.engine, &self.disk, self.lanes.clone(), 2, self.dice.draw());
        (self.writer, self.snapshotter) = (opened.writer, opened.snapshotter);
    }

    /// What was forfeited, by day.
    fn lost(&self) -> BTreeMap<i32, i64> {
        self.state().days().iter().map(|day| (day.day, day.sums.lost)).collect()
    }

    fn end_in_order(&mut self) {
        self.engine.end_leases();
        let before = self.state();
        self.flush();
        self.disk.kill();
        self.lanes = memories(LANES, 32 << 10);
        self.open();
        assert_eq!(self.state(), before, "seed {}", self.seed);
    }

    fn kill(&mut self) {
        let before = self.state();
        self.disk.kill();
        self.open();
        assert_eq!(self.state(), before, "seed {}", self.seed);
    }

    fn lose_power(&mut self) {
        let (durable, before) = (self.engine.durable(), self.lost());
        self.disk.lose_power();
        let mut positions = BTreeSet::new();
        let mut note = |record: Record<'_>| {
            positions.insert(record.position);
            Ok(())
        };
        upbeat_journal::read(&self.disk, Start::BEGINNING, &mut note).expect("it can be read");
        self.lanes = memories(LANES, 32 << 10);
        self.open();
        let is_there = |position: u64| position == 0 || positions.contains(&position);
        for show in &mut self.shows {
            let was_durable = show.position < durable;
            assert!(!was_durable || is_there(show.position), "seed {}: {show:?}", self.seed);
            show.lost |= !is_there(show.position) && show.confirmed.is_none_or(|at| !is_there(at));
            show.voided = show.voided.filter(|at| is_there(*at));
            show.confirmed = show.confirmed.filter(|at| is_there(*at));
            show.paid |= show.confirmed.is_none();
        }
        let budget = self.daily.into_iter().chain(self.total).min().expect("there is one");
        let most = (budget / 16).max(64 * COST);
        // About midnight two days have a lease.
        for (day, lost) in self.lost() {
            let lost = lost - before.get(&day).copied().unwrap_or(0);
            assert!(lost <= most, "seed {}: {lost} were lost of day {day}, and a lease is {most}", self.seed);
        }
    }

    /// Asks for shows until there is no money on this day: what nobody forfeited is spent to the last show.
    fn spend_all(&mut self) {
        let mut waited = 0;
        loop {
            match self.show() {
                Ok(()) => waited = 0,
                Err(NoMoney::Budget) => break,
                Err(NoMoney::Lease | NoMoney::Log) => {
                    waited += 1;
                    assert!(waited < 1000, "seed {}: the lease never came", self.seed);
                    self.engine.tick(self.now_ms);
                    self.step();
                }
            }
        }
        self.check();
        let left = self.engine.accounts.available(self.engine.log(), SLOT, self.now_ms);
        assert!(left < COST, "seed {}: {left} are left", self.seed);
    }
}

fn history(seed: u64) {
    let mut history = History::new(seed);
    for life in 0..4 {
        history.live();
        if life == 2 {
            history.spend_all();
        }
        match history.dice.below(4) {
            0 => history.end_in_order(),
            1 => history.kill(),
            _ => history.lose_power(),
        }
        history.configure();
        history.check();
    }
    history.spend_all();
    history.now_ms += DAY_MS;
    history.engine.tick(history.now_ms);
    history.spend_all();
    use_stripe(None);
}

#[test]
fn account_is_exact_after_a_kill_and_never_overspent_after_a_loss_of_power() {
    histories(40).for_each(history);
}

#[test]
fn decisions_that_showed_nothing_are_counted_again_after_a_kill() {
    let (disk, lanes) = (SimulatedDisk::new(5, 1 << 30), memories(1, 32 << 10));
    let engine = showing(settings(Clock::Wall));
    let mut first = opened(&engine, &disk, lanes.clone(), 1, 5);
    let ours = engine.campaigns().document.campaign[0].id.clone();
    let count = |engine: &Engine| engine.report(&ours, i32::MIN, i32::MAX).expect("it runs").not_shown;
    let refuse = |event_id: u64| {
        // Of Gold members, to whom nothing is shown.
        let kind = EventKind::Membership(Membership::Gold);
        engine
            .apply(Event { kind, ..play(event_id, event_id, BEGINNING_MS) }, BEGINNING_MS)
            .expect("it is taken");
        assert!(!engine.decide_once(&Id::Number(event_id), false, BEGINNING_MS).reason.shows());
    };
    (0..20).for_each(refuse);
    let mut pace = |_| first.writer.step().is_ok();
    assert!(first.snapshotter.write(&engine, &mut pace).expect("there is space").is_some());
    (20..35).for_each(refuse);
    let counted = count(&engine);
    assert_eq!(counted.values().sum::<u64>(), 35, "{counted:?}");
    disk.kill();
    let again = showing(settings(Clock::Wall));
    opened(&again, &disk, lanes, 2, 6);
    assert_eq!(count(&again), counted);
}
