//! Simulated days of an account that is paced.

use upbeat_core::campaign::schedule::{Schedule, local_day};
use upbeat_core::campaign::{Bill, Campaign, Pacing, Plan};
use upbeat_core::decision::Reason;
use upbeat_core::event::{DAY_MS, HOUR_MS, Id, MINUTE_MS, Zone};

use super::threads::Random;
use super::{BEGINNING_MS, day_in_berlin, setting};
use crate::ledger::pacing::Paced;
use crate::ledger::setting::Setting;
use crate::ledger::{AccountCopy, Accounts, NoMoney};

/// Requests of a day, so that demand is 2.5 times the budget.
const REQUESTS: f64 = 20_000.0;

/// Micro-units of a day, and of a show.
const DAILY: i64 = 160_000;
const COST: i64 = 20;

fn paced(mode: Pacing, daily: Option<i64>, total: Option<i64>, days: i64) -> Setting {
    let mut campaign = Campaign::new(Id::Number(1), Id::Number(2));
    campaign.start = Some("2026-10-24T00:00:00".parse().expect("a time"));
    campaign.end = Some(format!("2026-10-{}T00:00:00", 24 + days).parse().expect("a time"));
    let zone = Zone::named("Europe/Berlin").expect("zone files");
    let schedule = Schedule::new(&campaign, &zone);
    Setting { paced: Paced { mode, schedule, zone }, ..setting(COST, Bill::Show, daily, total) }
}

/// What a simulated day came to, hour by hour from its beginning.
struct SimulatedDay {
    spent: Vec<i64>,
    requests: Vec<f64>,
}

impl SimulatedDay {
    fn total(&self) -> i64 {
        self.spent.iter().sum()
    }

    /// The largest difference between what was spent of all up to an hour, and what came of the traffic by then.
    fn distance(&self, expected: &[f64]) -> f64 {
        let (all, all_expected) = (self.total() as f64, expected.iter().sum::<f64>());
        let (mut spent, mut came, mut distance) = (0.0, 0.0, 0.0_f64);
        for (of_hour, expected) in self.spent.iter().zip(expected) {
            (spent, came) = (spent + *of_hour as f64 / all, came + expected / all_expected);
            distance = distance.max((spent - came).abs());
        }
        distance
    }
}

/// How much traffic there is at an hour, on average 1.
fn traffic(hour: f64) -> f64 {
    (1.1 + (std::f64::consts::TAU * (hour - 14.0) / 24.0).sin()) / 1.1
}

/// A local day of requests with a peak in the evening, each decided as decisions are.
fn live(accounts: &Accounts, day_start_ms: i64, requests: f64, random: &mut Random) -> SimulatedDay {
    let zone = Zone::named("Europe/Berlin").expect("zone files");
    let day = local_day(&zone, day_start_ms);
    let hours = ((day.end_ms - day.start_ms) / HOUR_MS) as usize;
    let mut simulated = SimulatedDay { spent: vec![0; hours], requests: vec![0.0; hours] };
    let mut due = 0.0;
    for minute_ms in (day.start_ms..day.end_ms).step_by(MINUTE_MS as usize) {
        accounts.tick(None, &Plan::default(), minute_ms);
        let hour = (minute_ms - day.start_ms) as f64 / HOUR_MS as f64;
        let of_minute =
            (1.1 + (std::f64::consts::TAU * (hour - 14.0) / 24.0).sin()) / 1.1 * requests / 1440.0;
        let at = (minute_ms - day.start_ms) as usize / HOUR_MS as usize;
        due += of_minute;
        simulated.requests[at] += of_minute;
        while due >= 1.0 {
            due -= 1.0;
            let now_ms = minute_ms + random.below(MINUTE_MS as u64) as i64;
            if accounts.available(None, 0, now_ms) < COST {
                accounts.not_shown(0, now_ms, Reason::OverBudget);
            } else if random.below(65_535) >= u64::from(accounts.pass(0)) {
                accounts.not_shown(0, now_ms, Reason::Paced);
            } else {
                match accounts.reserve(None, 0, now_ms, |_| true) {
                    Ok(_) => simulated.spent[at] += COST,
                    Err(refused) => assert_eq!(refused, NoMoney::Budget),
                }
            }
        }
    }
    simulated
}

/// Midnight in Berlin before [`BEGINNING_MS`].
const FIRST_MS: i64 = BEGINNING_MS - 2 * HOUR_MS;

/// Four days, the second of which has 25 hours.
fn live_days(accounts: &Accounts) -> Vec<SimulatedDay> {
    let mut random = Random(7);
    let starts =
        [FIRST_MS, FIRST_MS + DAY_MS, FIRST_MS + 2 * DAY_MS + HOUR_MS, FIRST_MS + 3 * DAY_MS + HOUR_MS];
    starts.into_iter().map(|start_ms| live(accounts, start_ms, REQUESTS, &mut random)).collect()
}

#[test]
fn paced_day_spends_its_budget_along_the_traffic_that_was_learned() {
    let accounts = Accounts::default();
    assert!(accounts.set(None, 0, paced(Pacing::Traffic, Some(DAILY), None, 5), Some(FIRST_MS)));
    let days = live_days(&accounts);
    for (number, day) in days.iter().enumerate() {
        assert!((DAILY * 999 / 1000..=DAILY).contains(&day.total()), "day {number}: {}", day.total());
    }
    // Nothing is known on the first day; a quarter of each day is learned.
    let distances: Vec<f64> = days.iter().map(|day| day.distance(&day.requests)).collect();
    let even = days[3].distance(&[1.0; 24]);
    assert!(distances[3] < distances[0] && distances[3] < even, "{distances:?}, {even} from even");
    // What was learned is in a snapshot.
    let AccountCopy { state, pace, from } = accounts.copy(0, None).expect("it is there");
    let restored = Accounts::default();
    restored.restore(0, AccountCopy { state, pace: pace.clone(), from }).expect("it was just copied");
    assert_eq!(restored.copy(0, None).expect("it is there").pace, pace);
    let report = accounts.copy(0, None).expect("it is there").state.report(0, i32::MAX);
    let decided: u64 = report.not_shown.values().sum();
    let requests: f64 = days.iter().flat_map(|day| &day.requests).sum();
    let shows = days.iter().map(SimulatedDay::total).sum::<i64>() / COST;
    assert!((decided as f64 + shows as f64 - requests).abs() < 5.0, "{decided} and {shows} of {requests}");
}

#[test]
fn paced_day_follows_traffic_that_is_known_to_a_few_hundredths() {
    let accounts = Accounts::default();
    let setting = || paced(Pacing::Traffic, Some(DAILY), None, 5);
    assert!(accounts.set(None, 0, setting(), Some(FIRST_MS)));
    let mut copy = accounts.copy(0, None).expect("it is there");
    // The shares of the quarters of an hour come after the rate.
    for (slot, share) in copy.pace[2..].chunks_exact_mut(8).take(96).enumerate() {
        share.copy_from_slice(&traffic(slot as f64 / 4.0).to_bits().to_le_bytes());
    }
    accounts.restore(0, copy).expect("it was just copied");
    assert!(accounts.set(None, 0, setting(), Some(FIRST_MS)));
    let day = live(&accounts, FIRST_MS, REQUESTS, &mut Random(5));
    assert!((DAILY * 999 / 1000..=DAILY).contains(&day.total()), "{}", day.total());
    assert!(day.distance(&day.requests) < 0.04, "{}", day.distance(&day.requests));
}

#[test]
fn even_day_spends_its_budget_by_the_clock() {
    let accounts = Accounts::default();
    assert!(accounts.set(None, 0, paced(Pacing::Even, Some(DAILY), None, 5), Some(FIRST_MS)));
    // So many that an even pace has enough of them at night.
    let day = live(&accounts, FIRST_MS, 6.0 * REQUESTS, &mut Random(3));
    assert!((DAILY * 999 / 1000..=DAILY).contains(&day.total()), "{}", day.total());
    assert!(day.distance(&[1.0; 24]) < 0.04, "{} from even", day.distance(&[1.0; 24]));
}

#[test]
fn lesser_of_two_budgets_sets_the_pace_and_the_flight_is_spent_at_its_end() {
    let accounts = Accounts::default();
    // The days alone would have spent the flight's by the end of the second.
    let total = DAILY * 2;
    assert!(accounts.set(None, 0, paced(Pacing::Even, Some(DAILY), Some(total), 4), Some(FIRST_MS)));
    let days = live_days(&accounts);
    let spent: Vec<i64> = days.iter().map(SimulatedDay::total).collect();
    let all: i64 = spent.iter().sum();
    assert!((total * 999 / 1000..=total).contains(&all), "{spent:?}");
    assert!(spent.iter().all(|of_day| (DAILY / 4..=DAILY * 3 / 4).contains(of_day)), "{spent:?}");
    assert_eq!(day_in_berlin(FIRST_MS), day_in_berlin(BEGINNING_MS));
}

#[test]
fn campaign_without_pacing_without_a_budget_or_without_costs_is_never_held_back() {
    let accounts = Accounts::default();
    assert!(accounts.set(None, 0, paced(Pacing::None, Some(DAILY), None, 5), Some(FIRST_MS)));
    assert!(accounts.set(None, 1, paced(Pacing::Traffic, None, None, 5), Some(FIRST_MS)));
    for (slot, daily) in [(3, 0), (4, DAILY)] {
        let free = Setting { cost: 0, ..paced(Pacing::Even, Some(daily), None, 5) };
        assert!(accounts.set(None, slot, free, Some(FIRST_MS)));
    }
    for minute in 0..100 {
        accounts.tick(None, &Plan::default(), FIRST_MS + minute * MINUTE_MS);
        assert_eq!([0, 1, 2, 3, 4].map(|slot| accounts.pass(slot)), [u16::MAX; 5]);
    }
}
