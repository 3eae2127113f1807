//! The account against a plain model, and its bytes.

mod decided;
mod model;
mod paced;
mod rules;
mod threads;

use proptest::prelude::*;
use upbeat_core::campaign::schedule::Schedule;
use upbeat_core::campaign::{Bill, Campaign, Pacing};
use upbeat_core::encoding::Decoder;
use upbeat_core::event::{DAY_MS, HOUR_MS, Id, MINUTE_MS, Zone};

use super::pacing::Paced;
use super::setting::Setting;
use super::{AccountState, Budgets, Change, Charge, NoMoney, Terms};
use model::Model;

/// 2026-10-24T00:00:00Z: the clocks of Berlin go back an hour on the next day.
const BEGINNING_MS: i64 = 1_792_800_000_000;

/// 2026-10-25T01:00:00Z.
const BACK_MS: i64 = BEGINNING_MS + DAY_MS + HOUR_MS;

/// The local day in Berlin around [`BEGINNING_MS`].
fn day_in_berlin(unix_ms: i64) -> i32 {
    let offset_ms = if unix_ms < BACK_MS { 2 * HOUR_MS } else { HOUR_MS };
    (unix_ms + offset_ms).div_euclid(DAY_MS) as i32
}

/// What an account is set to that is not paced.
pub(crate) fn setting(cost: i64, bill: Bill, daily: Option<i64>, total: Option<i64>) -> Setting {
    let zone = Zone::named("Europe/Berlin").expect("zone files");
    let schedule = Schedule::new(&Campaign::new(Id::Number(1), Id::Number(2)), &zone);
    Setting {
        zone: "Europe/Berlin".into(),
        cost,
        bill,
        reserve_ms: 30 * MINUTE_MS,
        click_value: 25,
        budgets: Budgets { daily, total, from_day: None },
        paced: Paced { mode: Pacing::None, schedule, zone },
    }
}

fn terms(cost: i64, bill: Bill, reserve_ms: i64) -> Terms {
    let zone = "Europe/Berlin".into();
    Terms { from_ms: i64::MIN, zone, cost, bill, reserve_ms, click_value: 25 }
}

/// One step; a number of a show is taken among those that there are.
#[derive(Debug, Clone)]
enum Step {
    Pass(i64),
    Show(u8),
    Confirm(usize),
    Void(usize),
    Click(usize),
    Upgrade(usize),
    Budgets(Budgets),
    Costs(i64, Bill, i64),
    Keep,
}

fn any_step() -> impl Strategy<Value = Step> {
    let limit = || prop::option::of(prop_oneof![Just(0), 1..30i64, 30..400i64]);
    let bill = prop_oneof![Just(Bill::Show), Just(Bill::Impression)];
    prop_oneof![
        4 => prop_oneof![0..3_000i64, Just(10 * MINUTE_MS), Just(7 * HOUR_MS), Just(DAY_MS)].prop_map(Step::Pass),
        8 => (1..12u8).prop_map(Step::Show),
        6 => any::<usize>().prop_map(Step::Confirm),
        6 => any::<usize>().prop_map(Step::Void),
        1 => any::<usize>().prop_map(Step::Click),
        1 => any::<usize>().prop_map(Step::Upgrade),
        1 => (limit(), limit(), prop::option::of(-1..4i32)).prop_map(|(daily, total, from)| {
            let from_day = from.map(|from| day_in_berlin(BEGINNING_MS) + from);
            Step::Budgets(Budgets { daily, total, from_day })
        }),
        1 => (0..9i64, bill, prop_oneof![Just(0), Just(2_500), Just(30 * MINUTE_MS)])
            .prop_map(|(cost, bill, reserve_ms)| Step::Costs(cost, bill, reserve_ms)),
        1 => Just(Step::Keep),
    ]
}

/// An account that is changed as an engine changes it, with the changes that the log would have.
struct Kept {
    state: AccountState,
    changes: Vec<Change>,
    now_ms: i64,
}

impl Kept {
    fn new() -> Self {
        let mut kept = Self { state: AccountState::default(), changes: Vec::new(), now_ms: BEGINNING_MS };
        kept.configure(terms(3, Bill::Show, 30 * MINUTE_MS), Budgets::default());
        kept
    }

    fn make(&mut self, change: Option<Change>) {
        if let Some(change) = change {
            self.state.apply(&change);
            self.changes.push(change);
        }
    }

    fn configure(&mut self, terms: Terms, budgets: Budgets) {
        let change = self.state.configuration(Terms { from_ms: self.now_ms, ..terms }, budgets, None);
        self.make(change);
    }

    fn end(&mut self) {
        let change = self.state.expiry(self.now_ms);
        self.make(change);
    }

    fn show(&mut self) -> Result<Charge, NoMoney> {
        let terms = self.state.terms_at(self.now_ms).expect("they are set");
        let charge = terms.charge(self.now_ms, day_in_berlin(self.now_ms));
        self.state.check(&charge)?;
        self.make(Some(Change::Shown { charge, time_ms: self.now_ms }));
        Ok(charge)
    }
}

fn read_back(state: &AccountState) -> AccountState {
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    let mut from = Decoder::new(&bytes);
    let read = AccountState::decode(&mut from).expect("it was written just now");
    from.end().expect("that is all");
    for length in 0..bytes.len() {
        assert!(AccountState::decode(&mut Decoder::new(&bytes[..length])).is_err(), "whole after {length}");
    }
    read
}

fn redone(changes: &[Change]) -> AccountState {
    let mut state = AccountState::default();
    for change in changes {
        let mut bytes = Vec::new();
        change.put(&mut bytes);
        let mut from = Decoder::new(&bytes);
        let read = Change::read(&mut from).expect("it was written just now");
        from.end().expect("that is all");
        assert_eq!(read, *change);
        state.apply(&read);
    }
    state
}

/// What holds of every account at every instant. A budget may be exceeded only by what was committed before it was lowered, and
/// then nothing more is.
fn check_bounds(state: &AccountState, exceeded: &mut bool) {
    for day in state.days().iter() {
        let sums = day.sums;
        assert!(sums.amounts().into_iter().all(|amount| amount >= 0), "{sums:?}");
        assert_eq!(sums.shown + sums.late, sums.reserved + sums.spent + sums.returned, "{sums:?}");
    }
    let Budgets { daily, total, from_day } = *state.budgets();
    let committed = |day: &&super::days::Day| day.sums.committed();
    let over_day = daily.is_some_and(|daily| state.days().iter().any(|day| committed(&day) > daily));
    let of_flight = state.days().iter().filter(|day| from_day.is_none_or(|from| from <= day.day));
    let over_total = total.is_some_and(|total| of_flight.map(|day| committed(&day)).sum::<i64>() > total);
    let is_over = over_day || over_total;
    assert!(!is_over || *exceeded, "{state:?}");
    *exceeded = is_over;
}

fn act(kept: &mut Kept, model: &mut Model, step: &Step) {
    match step {
        Step::Pass(ms) => kept.now_ms += ms,
        Step::Show(count) => {
            for _ in 0..*count {
                kept.end();
                model.end(kept.now_ms);
                let terms = kept.state.terms_at(kept.now_ms).expect("they are set");
                let charge = terms.charge(kept.now_ms, day_in_berlin(kept.now_ms));
                assert_eq!(kept.show().is_ok(), model.show(charge));
            }
        }
        Step::Budgets(budgets) => {
            let terms = kept.state.terms_at(i64::MAX).expect("they are set").clone();
            kept.configure(terms, *budgets);
            model.budgets = *budgets;
        }
        Step::Costs(cost, bill, reserve_ms) => {
            let budgets = *kept.state.budgets();
            kept.configure(terms(*cost, *bill, *reserve_ms), budgets);
        }
        Step::Keep => assert_eq!(read_back(&kept.state), kept.state),
        Step::Confirm(at) | Step::Void(at) | Step::Click(at) | Step::Upgrade(at) => {
            if model.shows.is_empty() {
                return;
            }
            let show = at % model.shows.len();
            let (charge, of) = (model.shows[show].charge, &model.shows[show]);
            let (is_confirmed, is_voided) = (of.is_confirmed(), of.is_voided());
            kept.end();
            model.end(kept.now_ms);
            match step {
                Step::Confirm(_) if !is_confirmed => {
                    model.confirm(show);
                    let change = kept.state.confirmation(charge, is_voided, false);
                    kept.make(change);
                }
                Step::Void(_) if !is_confirmed && !is_voided => {
                    model.void(show);
                    let change = kept.state.void(charge);
                    kept.make(change);
                }
                Step::Click(_) => {
                    model.click(show, 25);
                    kept.make(Some(Change::Clicked { day: charge.day, value: 25 }));
                }
                Step::Upgrade(_) => {
                    model.upgrade(show);
                    kept.make(Some(Change::Upgraded { day: charge.day }));
                }
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 192 } else { 2048 }))]

    #[test]
    fn account_agrees_with_a_list_of_all_shows_and_never_exceeds_a_budget(
        budgets in (prop::option::of(20..200i64), prop::option::of(50..500i64)),
        steps in prop::collection::vec(any_step(), 1..120),
    ) {
        let (mut kept, mut model, mut exceeded) = (Kept::new(), Model::default(), false);
        act(&mut kept, &mut model, &Step::Budgets(Budgets { daily: budgets.0, total: budgets.1, from_day: None }));
        for step in &steps {
            // Only then may something be exceeded that was not.
            exceeded |= matches!(step, Step::Budgets(_));
            act(&mut kept, &mut model, step);
            check_bounds(&kept.state, &mut exceeded);
            let days: Vec<_> = kept.state.days().iter().map(|day| (day.day, day.sums)).collect();
            prop_assert_eq!(days, model.days().into_iter().collect::<Vec<_>>());
        }
        prop_assert_eq!(&redone(&kept.changes), &kept.state);
        prop_assert_eq!(&read_back(&kept.state), &kept.state);
        // In the end nothing is held.
        kept.now_ms += DAY_MS;
        kept.end();
        prop_assert_eq!(kept.state.next_expiry_s(), i64::MAX);
        prop_assert!(kept.state.days().iter().all(|day| day.sums.reserved == 0));
    }

    #[test]
    fn account_is_never_negative_nor_overspent_when_records_before_the_last_are_lost(
        steps in prop::collection::vec(any_step(), 1..120),
        lost in prop::collection::vec(prop::bool::weighted(0.2), 1..30),
    ) {
        let (mut kept, mut model) = (Kept::new(), Model::default());
        act(&mut kept, &mut model, &Step::Budgets(Budgets { daily: Some(60), total: Some(150), from_day: None }));
        for step in steps.iter().filter(|step| !matches!(step, Step::Budgets(_))) {
            act(&mut kept, &mut model, step);
        }
        let from = kept.changes.len().saturating_sub(lost.len());
        let is_lost = |place: usize| place >= from && place > 1 && lost[place - from];
        let changes: Vec<Change> =
            kept.changes.iter().enumerate().filter(|(place, _)| !is_lost(*place)).map(|(_, change)| change.clone()).collect();
        let state = redone(&changes);
        for day in state.days().iter() {
            prop_assert!(day.sums.amounts().into_iter().all(|amount| amount >= 0), "{:?}", day);
        }
        prop_assert_eq!(&read_back(&state), &state);
    }

    #[test]
    fn account_under_a_clock_that_leaps_back_and_forth_never_exceeds_a_budget(
        steps in prop::collection::vec((any_step(), -3 * DAY_MS..3 * DAY_MS, prop::bool::weighted(0.1)), 1..100),
    ) {
        let (mut kept, mut charges, mut exceeded) = (Kept::new(), Vec::new(), false);
        kept.configure(terms(3, Bill::Impression, 30 * MINUTE_MS), Budgets { daily: Some(60), total: Some(150), from_day: None });
        for (step, leap_ms, leaps) in steps {
            kept.now_ms += if leaps { leap_ms } else { 0 };
            kept.end();
            match step {
                Step::Pass(ms) => kept.now_ms += ms,
                Step::Show(_) => charges.extend(kept.show()),
                Step::Costs(cost, bill, reserve_ms) => {
                    let budgets = *kept.state.budgets();
                    kept.configure(terms(cost, bill, reserve_ms), budgets);
                }
                Step::Confirm(at) if !charges.is_empty() => {
                    let charge = charges.swap_remove(at % charges.len());
                    let change = kept.state.confirmation(charge, false, false);
                    kept.make(change);
                }
                Step::Void(at) if !charges.is_empty() => {
                    let charge = charges.swap_remove(at % charges.len());
                    let change = kept.state.void(charge);
                    kept.make(change);
                }
                _ => {}
            }
            check_bounds(&kept.state, &mut exceeded);
        }
        prop_assert_eq!(&redone(&kept.changes), &kept.state);
    }

    #[test]
    fn any_bytes_are_an_account_or_a_change_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = AccountState::decode(&mut Decoder::new(&bytes));
        let _ = Change::read(&mut Decoder::new(&bytes));
        let _ = Charge::read(1_792_800_000_000, &mut Decoder::new(&bytes));
    }
}
