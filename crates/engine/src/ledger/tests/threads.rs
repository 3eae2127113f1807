//! One account under many threads.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use upbeat_core::campaign::{Bill, Plan};
use upbeat_core::event::{DAY_MS, HOUR_MS, MINUTE_MS};

use super::{BEGINNING_MS, setting};
use crate::ledger::{Accounts, NoMoney, Op, Shown};

const THREADS: u64 = 64;

/// Random numbers; each seed has its own.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % end
    }
}

/// What a thread knows of its own shows.
#[derive(Default)]
struct Tally {
    shows: i64,
    confirmed: i64,
    voided: i64,
    refused: i64,
}

/// Each of the threads asks for so many shows, and voids or confirms some of them at once.
fn shows_of_thread(accounts: &Accounts, seed: u64, asked: u64, clock: &AtomicI64) -> Tally {
    let (mut random, mut tally) = (Random(seed << 32 | 0x9e37_79b9), Tally::default());
    for _ in 0..asked {
        let now_ms = clock.fetch_add(1, Ordering::Relaxed);
        let charge = match accounts.reserve(None, 0, now_ms, |_| true) {
            Err(NoMoney::Budget) => {
                tally.refused += 1;
                continue;
            }
            Err(other) => panic!("there is no log, and so {other:?} is none"),
            Ok(charge) => charge,
        };
        tally.shows += 1;
        assert_eq!(charge.cost, 20);
        let shown = Shown { time_ms: now_ms, voided: false, lost: false };
        match random.below(8) {
            0 => {
                assert!(accounts.make(None, (0, Op::Void(shown)), now_ms, |_| true));
                tally.voided += 1;
            }
            1..=3 => {
                assert!(accounts.make(None, (0, Op::Confirm(shown)), now_ms, |_| true));
                tally.confirmed += 1;
            }
            4 => assert!(!accounts.make(None, (0, Op::Void(shown)), now_ms, |_| false)),
            _ => {}
        }
    }
    tally
}

fn run(bill: Bill, daily: Option<i64>, total: Option<i64>) -> (Accounts, Tally, i64) {
    let accounts = Accounts::default();
    assert!(accounts.set(None, 0, setting(20, bill, daily, total), Some(BEGINNING_MS)));
    let budget = daily.or(total).expect("one of them");
    let (clock, ended) = (AtomicI64::new(BEGINNING_MS), AtomicBool::new(false));
    // At least twice what can be paid.
    let asked = (budget / 20 * 5 / 2) as u64 / THREADS + 1;
    let tally = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Acquire) {
                let state = accounts.copy(0, None).expect("it was set").state;
                let committed: i64 = state.days().iter().map(|day| day.sums.committed()).sum();
                assert!((0..=budget).contains(&committed), "{committed} of {budget}");
                assert!(accounts.available(None, 0, clock.load(Ordering::Relaxed)) >= 0);
                std::thread::yield_now();
            }
        });
        let (accounts, clock) = (&accounts, &clock);
        let threads: Vec<_> = (1..=THREADS)
            .map(|seed| scope.spawn(move || shows_of_thread(accounts, seed, asked, clock)))
            .collect();
        let tallies = threads.into_iter().map(|thread| thread.join().expect("no panic"));
        let sum = tallies.fold(Tally::default(), |sum, of| Tally {
            shows: sum.shows + of.shows,
            confirmed: sum.confirmed + of.confirmed,
            voided: sum.voided + of.voided,
            refused: sum.refused + of.refused,
        });
        ended.store(true, Ordering::Release);
        sum
    });
    (accounts, tally, budget)
}

#[test]
fn budget_is_spent_to_the_last_show_and_never_exceeded_by_64_threads() {
    for (bill, daily, total) in [
        (Bill::Show, Some(200_000), None),
        (Bill::Show, None, Some(200_010)),
        (Bill::Impression, Some(100_000), Some(200_000)),
    ] {
        let (accounts, tally, budget) = run(bill, daily, total);
        let committed = (tally.shows - tally.voided) * 20;
        assert!(committed > budget - 20 && committed <= budget, "{committed} of {budget}");
        assert!(tally.refused > tally.shows / 2, "there was demand for twice as much");
        let state = accounts.copy(0, None).expect("it was set").state;
        let report = state.report(0, i32::MAX);
        assert_eq!(report.reserved + report.spent, committed);
        assert_eq!((report.returned, report.late, report.overrun), (tally.voided * 20, 0, 0));
        // When all has ended, every show has cost, or those that were confirmed.
        accounts.tick(None, &Plan::default(), BEGINNING_MS + HOUR_MS);
        let state = accounts.copy(0, None).expect("it was set").state;
        let report = state.report(0, i32::MAX);
        let paid = if bill == Bill::Show { tally.shows - tally.voided } else { tally.confirmed };
        assert_eq!((report.reserved, report.spent), (0, paid * 20), "{bill:?}");
        assert_eq!(report.impressions as i64, paid, "{bill:?}");
        assert_eq!(report.spent + report.returned, tally.shows * 20, "{bill:?}");
    }
}

#[test]
fn reading_without_the_lock_tells_what_is_left_at_that_instant() {
    let accounts = Accounts::default();
    assert!(accounts.set(None, 3, setting(5, Bill::Impression, Some(12), None), Some(BEGINNING_MS)));
    let available = |now_ms: i64| accounts.available(None, 3, now_ms);
    assert_eq!((available(BEGINNING_MS), accounts.available(None, 4, 0)), (12, i64::MAX));
    accounts.reserve(None, 3, BEGINNING_MS, |_| true).expect("there is money");
    accounts.reserve(None, 3, BEGINNING_MS, |_| true).expect("there is money");
    assert_eq!(available(BEGINNING_MS + 29 * MINUTE_MS), 2);
    assert_eq!(accounts.reserve(None, 3, BEGINNING_MS + 29 * MINUTE_MS, |_| true), Err(NoMoney::Budget));
    // Nobody confirmed them.
    assert_eq!(available(BEGINNING_MS + 30 * MINUTE_MS), 12);
    // The next local day has a budget of its own, and an earlier one what is left of it.
    accounts.reserve(None, 3, BEGINNING_MS + DAY_MS, |_| true).expect("there is money");
    assert_eq!(available(BEGINNING_MS + DAY_MS), 7);
    assert_eq!(available(BEGINNING_MS), 12);
    assert_eq!(available(BEGINNING_MS + 2 * DAY_MS), 12);
    // A lower budget counts at once.
    assert!(accounts.set(None, 3, setting(5, Bill::Impression, Some(6), None), Some(BEGINNING_MS + DAY_MS)));
    assert_eq!(available(BEGINNING_MS + DAY_MS), 6);
}

#[test]
fn show_whose_record_is_not_published_costs_nothing() {
    let accounts = Accounts::default();
    assert!(accounts.set(None, 0, setting(5, Bill::Show, Some(5), None), Some(BEGINNING_MS)));
    assert_eq!(accounts.reserve(None, 0, BEGINNING_MS, |_| false), Err(NoMoney::Log));
    assert_eq!(accounts.available(None, 0, BEGINNING_MS), 5);
    assert!(accounts.reserve(None, 0, BEGINNING_MS, |_| true).is_ok());
}
