//! What an account does, rule by rule.

use upbeat_core::campaign::Bill;
use upbeat_core::event::{DAY_MS, HOUR_MS, MINUTE_MS};

use super::{BEGINNING_MS, Kept, day_in_berlin, redone, terms};
use crate::ledger::days::Days;
use crate::ledger::{Budgets, Change, Charge, NoMoney, Terms};

#[test]
fn void_gives_a_cost_back_once_before_and_after_it_was_spent() {
    for passed_ms in [0, HOUR_MS] {
        let mut kept = Kept::new();
        kept.configure(
            terms(5, Bill::Show, 30 * MINUTE_MS),
            Budgets { daily: Some(5), ..Budgets::default() },
        );
        let charge = kept.show().expect("there is money");
        assert_eq!(kept.show(), Err(NoMoney::Budget));
        kept.now_ms += passed_ms;
        kept.end();
        let void = kept.state.void(charge);
        kept.make(void);
        assert_eq!(kept.state.available(charge.day), 5, "after {passed_ms} ms");
        assert_eq!(kept.state.void(charge), None, "after {passed_ms} ms");
        let Some(Change::Confirmed(..)) = kept.state.confirmation(charge, true, false) else {
            panic!("a confirmation after a void takes the cost again");
        };
    }
}

#[test]
fn budget_that_is_lowered_below_what_is_committed_leaves_nothing_and_takes_nothing_back() {
    let mut kept = Kept::new();
    let of = |daily| Budgets { daily: Some(daily), ..Budgets::default() };
    kept.configure(terms(5, Bill::Show, MINUTE_MS), of(20));
    let charges: Vec<Charge> = (0..4).map(|_| kept.show().expect("there is money")).collect();
    kept.configure(terms(5, Bill::Show, MINUTE_MS), of(10));
    assert_eq!(kept.state.available(charges[0].day), 0);
    assert_eq!(kept.state.report(0, i32::MAX).reserved, 20);
    kept.configure(terms(5, Bill::Show, MINUTE_MS), of(25));
    assert_eq!(kept.state.available(charges[0].day), 5);
    kept.show().expect("the budget was raised");
    assert_eq!(kept.show(), Err(NoMoney::Budget));
}

#[test]
fn day_of_25_hours_has_one_budget_and_shows_belong_to_the_day_that_decided_them() {
    let mut kept = Kept::new();
    // Midnight in Berlin, before a day of 25 hours.
    kept.now_ms = BEGINNING_MS + 22 * HOUR_MS;
    kept.configure(
        terms(1, Bill::Impression, 2 * HOUR_MS),
        Budgets { daily: Some(10), ..Budgets::default() },
    );
    let shown = |kept: &mut Kept| (0..20).filter(|_| kept.show().is_ok()).count();
    let first = day_in_berlin(kept.now_ms);
    assert_eq!(shown(&mut kept), 10);
    kept.now_ms += 25 * HOUR_MS - 1;
    assert_eq!(day_in_berlin(kept.now_ms), first);
    // What nobody confirmed is left for the same day, 25 hours long.
    kept.end();
    assert_eq!(shown(&mut kept), 10);
    kept.now_ms += 1;
    assert_eq!((day_in_berlin(kept.now_ms), shown(&mut kept)), (first + 1, 10));
    let days: Vec<i32> = kept.state.days().iter().map(|day| day.day).collect();
    assert_eq!(days, [first, first + 1]);
    assert_eq!(kept.state.report(first, first + 1).reserved, 10);
}

#[test]
fn cost_of_a_former_show_is_known_from_its_time_alone() {
    let mut kept = Kept::new();
    let mut shows = Vec::new();
    for (cost, reserve_ms) in [(3, 0), (4, 2_500), (3, HOUR_MS), (7, 31 * DAY_MS)] {
        // Within one millisecond, and with the clock set back.
        for now_ms in [kept.now_ms, kept.now_ms - HOUR_MS] {
            kept.now_ms = now_ms;
            kept.configure(terms(cost, Bill::Show, reserve_ms), Budgets::default());
            shows.push((kept.now_ms, kept.show().expect("nothing is limited")));
        }
        kept.now_ms = kept.state.newest_ms;
    }
    for (time_ms, charge) in shows {
        let terms = kept.state.terms_at(time_ms).expect("they are set");
        assert_eq!(terms.charge(time_ms, charge.day), charge);
    }
}

#[test]
fn costs_that_change_while_the_clock_was_far_ahead_hold_when_it_is_set_back() {
    let mut kept = Kept::new();
    let set = |kept: &mut Kept, cost: i64| {
        let terms = Terms { from_ms: i64::MIN, ..terms(cost, Bill::Show, MINUTE_MS) };
        let change = kept.state.configuration(terms, Budgets::default(), Some(kept.now_ms));
        kept.make(change);
    };
    kept.show().expect("nothing is limited");
    kept.now_ms += 4_000 * DAY_MS;
    set(&mut kept, 7);
    assert_eq!(kept.show().map(|charge| charge.cost), Ok(7));
    kept.now_ms -= 4_000 * DAY_MS - HOUR_MS;
    // Before anybody looks at it again, those of then hold; and then the present ones, once.
    assert_eq!(kept.show().map(|charge| charge.cost), Ok(7));
    for cost in [7, 9, 9] {
        set(&mut kept, cost);
        assert_eq!(kept.show().map(|charge| charge.cost), Ok(cost));
        kept.now_ms += 1;
    }
    assert_eq!(redone(&kept.changes), kept.state);
}

#[test]
fn reservation_ends_no_earlier_than_it_should_and_little_later() {
    for reserve_ms in [0, 1, 999, 1_000, 30 * MINUTE_MS, 7 * DAY_MS, 365 * DAY_MS] {
        for now_ms in [-5_001, 0, 1, BEGINNING_MS + 1, BEGINNING_MS + 999] {
            let charge = terms(1, Bill::Show, reserve_ms).charge(now_ms, 0);
            let held_ms = charge.expires_s * 1000 - now_ms;
            let most = reserve_ms + (reserve_ms / 2048).max(0) + 2_000;
            assert!((reserve_ms..most).contains(&held_ms), "{reserve_ms} ms are {held_ms} ms");
        }
    }
}

#[test]
fn days_beyond_the_most_that_are_kept_are_summed_up() {
    let (mut days, count) = (Days::default(), Days::MOST as i32 + 50);
    for day in 0..count {
        days.day_mut(day).sums.spent += 1;
    }
    let (before, kept) = days.parts();
    let before = before.expect("some are summed up");
    assert_eq!((before.day, before.sums.spent, kept.len()), (49, 50, Days::MOST));
    // Whatever comes late for a day that is summed up is added there.
    days.day_mut(-5).sums.spent += 1;
    days.day_mut(49).sums.spent += 1;
    assert_eq!(days.sums(0).spent, 52);
    assert_eq!(days.iter().map(|day| day.sums.spent).sum::<i64>(), i64::from(count) + 2);
}

#[test]
fn amounts_beyond_the_range_of_a_number_are_not_spent() {
    let mut kept = Kept::new();
    kept.configure(terms(i64::MAX / 2, Bill::Show, MINUTE_MS), Budgets::default());
    assert!(kept.show().is_ok() && kept.show().is_ok());
    assert_eq!(kept.show(), Err(NoMoney::Budget));
}
