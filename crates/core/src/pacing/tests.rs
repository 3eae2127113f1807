//! Simulated days: what is spent follows the traffic, up to the last show and not beyond.

mod forecasts;

use super::*;
use crate::campaign::schedule::{LocalDay, Schedule, local_day};
use crate::campaign::{Campaign, LocalTime};
use crate::event::{Time, Zone};

const COST_MICRO: i64 = 20_000;
const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

fn at(text: &str) -> i64 {
    Time::parse(text, &Zone::utc()).expect(text).unix_ms
}

fn local(text: &str) -> LocalTime {
    text.parse().expect("a time")
}

fn schedule(zone: &str, edit: impl FnOnce(&mut Campaign)) -> Schedule {
    let mut campaign = Campaign::new("a".parse().expect("an id"), "AD".parse().expect("an id"));
    edit(&mut campaign);
    Schedule::new(&campaign, &Zone::named(zone).expect("zone files"))
}

/// A day with little traffic at night and a peak in the evening, by the hour of the day.
fn evening(hour: f64) -> f64 {
    1.1 + (std::f64::consts::TAU * (hour - 14.0) / 24.0).sin()
}

/// A day with a peak in the morning.
fn morning(hour: f64) -> f64 {
    1.1 + (std::f64::consts::TAU * (hour - 2.0) / 24.0).sin()
}

fn curve_of(traffic: fn(f64) -> f64) -> Curve {
    let requests = std::array::from_fn(|slot| (traffic(slot as f64 / 4.0) * 10_000.0) as u64);
    let mut curve = Curve::default();
    for _ in 0..40 {
        curve.learn(&requests);
    }
    curve
}

/// A budget, as a ledger bounds it.
struct Budget {
    micro: i64,
    spent_micro: i64,
    forecast: Forecast,
}

impl Budget {
    fn new(micro: i64, forecast: Forecast) -> Self {
        Self { micro, spent_micro: 0, forecast }
    }

    fn limit(&self) -> Limit<'_> {
        Limit { budget_micro: self.micro, committed_micro: self.spent_micro, forecast: &self.forecast }
    }
}

/// Uniform numbers of 64 bits: splitmix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Runs the minutes of a span of time: requests come as `traffic` says, `per_day` of them a day, each is shown if the coin
/// falls and every budget pays it. Calls `look` at each minute's end with the instant and the budgets.
fn run(
    (from_ms, to_ms): (i64, i64),
    schedule: &Schedule,
    traffic: fn(f64) -> f64,
    per_day: f64,
    budgets: &mut [Budget],
    pacer: &mut Pacer,
    mut look: impl FnMut(i64, &[Budget], Rate),
) {
    let (mut dice, mut carried) = (Dice(7), 0.0);
    let all: f64 = (0..1440).map(|minute| traffic(f64::from(minute) / 60.0)).sum();
    let mut now_ms = from_ms;
    let mut rate = pacer.rate();
    while now_ms < to_ms {
        let hour = schedule.local_of_day_ms(now_ms) as f64 / HOUR_MS as f64;
        carried += if schedule.is_open(now_ms) { per_day * traffic(hour) / all } else { 0.0 };
        let mut shows = 0;
        while carried >= 1.0 {
            carried -= 1.0;
            let pays = budgets.iter().all(|budget| budget.spent_micro + COST_MICRO <= budget.micro);
            if pays && rate.falls(|| dice.next()) {
                budgets.iter_mut().for_each(|budget| budget.spent_micro += COST_MICRO);
                shows += 1;
            }
        }
        now_ms += SLICE_MS;
        let limits: Vec<_> = budgets.iter().map(Budget::limit).collect();
        rate = pacer.adjust(now_ms, shows, COST_MICRO, &limits);
        look(now_ms, budgets, rate);
    }
}

fn day_of(schedule_zone: &str, instant: &str) -> LocalDay {
    local_day(&Zone::named(schedule_zone).expect("zone files"), at(instant))
}

/// One day of a daily budget of `shows` shows at `demand` times as many requests: the greatest distance of what was spent from
/// the forecast after the first two hours, as a share of the budget, and how much was spent.
fn one_day(traffic: fn(f64) -> f64, curve: Option<&Curve>, demand: f64, shows: i64) -> (f64, f64) {
    let schedule = schedule("Europe/Berlin", |_| {});
    let day = day_of("Europe/Berlin", "2026-06-01T12:00:00Z");
    let mut budgets = [Budget::new(shows * COST_MICRO, Forecast::of_day(&schedule, day, curve))];
    let mut farthest = 0.0_f64;
    let per_day = demand * shows as f64;
    let span = (day.start_ms, day.end_ms);
    run(span, &schedule, traffic, per_day, &mut budgets, &mut Pacer::default(), |now_ms, budgets, _| {
        let budget = &budgets[0];
        assert!(budget.spent_micro <= budget.micro);
        let spent = budget.spent_micro as f64 / budget.micro as f64;
        if now_ms >= day.start_ms + 2 * HOUR_MS {
            farthest = farthest.max((spent - budget.forecast.share_before(now_ms)).abs());
        }
    });
    (farthest, budgets[0].spent_micro as f64 / budgets[0].micro as f64)
}

#[test]
fn spending_follows_the_traffic_and_uses_up_the_budget() {
    let curve = curve_of(evening);
    for demand in [2.0, 5.0, 50.0] {
        let (farthest, spent) = one_day(evening, Some(&curve), demand, 5_000);
        assert!(farthest < 0.05, "demand {demand}: {farthest} from the curve");
        assert!(spent >= 0.999, "demand {demand}: {spent}");
    }
    // Few shows a day: single coins are seen.
    let (farthest, spent) = one_day(evening, Some(&curve), 10.0, 100);
    assert!(farthest < 0.15 && spent >= 0.999, "{farthest} {spent}");
}

#[test]
fn few_shows_among_millions_of_requests_last_the_day() {
    // The lowest rate of 1/65,535 alone would spend them in a quarter of it.
    let (farthest, spent) = one_day(evening, Some(&curve_of(evening)), 250_000.0, 12);
    assert!(farthest < 0.45 && spent >= 0.999, "{farthest} {spent}");
}

#[test]
fn even_pacing_spends_as_the_clock_goes_whatever_the_traffic_is() {
    let (farthest, spent) = one_day(evening, None, 20.0, 5_000);
    assert!(farthest < 0.05 && spent >= 0.999, "{farthest} {spent}");
    // The night has not enough requests for its part; the day takes it over.
    let (_, spent) = one_day(evening, None, 2.0, 5_000);
    assert!(spent >= 0.999, "{spent}");
}

#[test]
fn wrong_forecast_leaves_nothing_unspent_where_the_hours_waited_for_have_enough_traffic() {
    // It waits for an evening that has a twentieth of the morning's requests: enough, if there are ten times as many in all.
    let (_, spent) = one_day(morning, Some(&curve_of(evening)), 10.0, 5_000);
    assert!(spent >= 0.999, "{spent}");
}

#[test]
fn without_pacing_the_same_day_is_spent_by_its_first_hours() {
    // The tests above tell something: first come, first served is far from the curve.
    let schedule = schedule("UTC", |_| {});
    let day = day_of("UTC", "2026-06-01T12:00:00Z");
    let curve = curve_of(evening);
    let mut budgets = [Budget::new(5_000 * COST_MICRO, Forecast::of_day(&schedule, day, Some(&curve)))];
    let mut used_up_ms = None;
    let all: f64 = (0..1440).map(|minute| evening(f64::from(minute) / 60.0)).sum();
    for minute in 0..1440_i64 {
        let requests = (50_000.0 * evening(minute as f64 / 60.0) / all) as i64;
        budgets[0].spent_micro = (budgets[0].spent_micro + requests * COST_MICRO).min(budgets[0].micro);
        if budgets[0].spent_micro == budgets[0].micro {
            used_up_ms.get_or_insert(day.start_ms + minute * SLICE_MS);
        }
    }
    let used_up_ms = used_up_ms.expect("used up");
    assert!(budgets[0].forecast.share_before(used_up_ms) < 0.5);
}

#[test]
fn hours_in_which_it_does_not_run_are_planned_for() {
    let schedule = schedule("Asia/Seoul", |campaign| {
        campaign.hours = vec!["07:00-23:00".parse().expect("hours")];
        campaign.time_zone = "Asia/Seoul".to_owned();
    });
    let day = day_of("Asia/Seoul", "2026-06-01T12:00:00Z");
    let forecast = Forecast::of_day(&schedule, day, None);
    assert_eq!(forecast.share_before(day.start_ms + 7 * HOUR_MS), 0.0);
    assert!((forecast.share_before(day.start_ms + 15 * HOUR_MS) - 0.5).abs() < 1e-9);
    assert_eq!(forecast.end_ms(), day.start_ms + 23 * HOUR_MS);
    let mut budgets = [Budget::new(2_000 * COST_MICRO, forecast)];
    let span = (day.start_ms, day.end_ms);
    run(span, &schedule, evening, 20_000.0, &mut budgets, &mut Pacer::default(), |now_ms, budgets, rate| {
        if now_ms < day.start_ms + 7 * HOUR_MS {
            assert!(
                rate.0.abs_diff(Pacer::default().rate().0) <= 1,
                "no traffic that is not expected raises the rate"
            );
        }
        assert!(budgets[0].spent_micro <= budgets[0].micro);
    });
    assert!(budgets[0].spent_micro as f64 >= 0.999 * budgets[0].micro as f64);
}

#[test]
fn days_of_23_and_25_hours_are_spent_to_their_end() {
    for (zone, noon, hours) in
        [("Europe/Berlin", "2026-03-29T12:00:00Z", 23), ("Europe/Berlin", "2026-10-25T12:00:00Z", 25)]
    {
        let schedule = schedule(zone, |campaign| campaign.time_zone = zone.to_owned());
        let day = day_of(zone, noon);
        assert_eq!(day.end_ms - day.start_ms, hours * HOUR_MS);
        let curve = curve_of(evening);
        let mut budgets = [Budget::new(5_000 * COST_MICRO, Forecast::of_day(&schedule, day, Some(&curve)))];
        let span = (day.start_ms, day.end_ms);
        run(span, &schedule, evening, 20_000.0, &mut budgets, &mut Pacer::default(), |_, _, _| {});
        assert!(budgets[0].spent_micro as f64 >= 0.999 * budgets[0].micro as f64);
    }
}

#[test]
fn flight_is_spent_evenly_over_its_days_and_to_its_end() {
    let schedule = schedule("UTC", |campaign| {
        campaign.start = Some(local("2026-06-01T00:00:00"));
        campaign.end = Some(local("2026-06-08T18:00:00"));
    });
    let (start_ms, end_ms) = (at("2026-06-01T00:00:00Z"), at("2026-06-08T18:00:00Z"));
    let curve = curve_of(evening);
    let zone = Zone::utc();
    let forecast = |now_ms| Forecast::of_flight(&schedule, &zone, now_ms, Some(&curve)).expect("a flight");
    let mut budgets = [Budget::new(20_000 * COST_MICRO, forecast(start_ms))];
    assert_eq!(budgets[0].forecast.end_ms(), end_ms);
    let mut pacer = Pacer::default();
    let mut day_ms = start_ms;
    while day_ms < end_ms {
        // As the server does: a day begins with a forecast that knows its quarters of an hour.
        budgets[0].forecast = forecast(day_ms);
        let span = (day_ms, (day_ms + DAY_MS).min(end_ms));
        run(span, &schedule, evening, 8_000.0, &mut budgets, &mut pacer, |now_ms, budgets, _| {
            let spent = budgets[0].spent_micro as f64 / budgets[0].micro as f64;
            let planned = budgets[0].forecast.share_before(now_ms);
            assert!(now_ms < start_ms + 6 * HOUR_MS || (spent - planned).abs() < 0.03, "{spent} {planned}");
        });
        day_ms += DAY_MS;
    }
    assert!(budgets[0].spent_micro as f64 >= 0.999 * budgets[0].micro as f64);
    assert_eq!(Forecast::of_flight(&schedule_without_end(), &zone, start_ms, None), None);
}

fn schedule_without_end() -> Schedule {
    schedule("UTC", |campaign| campaign.start = Some(local("2026-06-01T00:00:00")))
}

#[test]
fn what_a_long_silence_left_is_caught_up_before_the_end_of_the_flight() {
    let schedule = schedule("UTC", |campaign| {
        campaign.start = Some(local("2026-06-01T00:00:00"));
        campaign.end = Some(local("2026-06-02T00:00:00"));
    });
    let (start_ms, end_ms) = (at("2026-06-01T00:00:00Z"), at("2026-06-02T00:00:00Z"));
    let forecast = Forecast::of_flight(&schedule, &Zone::utc(), start_ms, None).expect("a flight");
    // No request for 18 hours; then 4 times what is left can pay.
    let mut budgets = [Budget::new(1_000 * COST_MICRO, forecast)];
    let mut pacer = Pacer::default();
    run((start_ms, start_ms + 18 * HOUR_MS), &schedule, evening, 0.0, &mut budgets, &mut pacer, |_, _, _| {});
    assert_eq!(pacer.rate(), Rate::ALWAYS, "nothing came, and so everything may pass");
    run(
        (start_ms + 18 * HOUR_MS, end_ms),
        &schedule,
        evening,
        11_000.0,
        &mut budgets,
        &mut pacer,
        |now_ms, budgets, rate| {
            let left = budgets[0].micro - budgets[0].spent_micro;
            if now_ms >= end_ms - CATCH_UP_SLICES * SLICE_MS && left > 0 {
                assert_eq!(rate, Rate::ALWAYS);
            }
        },
    );
    assert_eq!(budgets[0].spent_micro, budgets[0].micro);
}

#[test]
fn rate_jumps_to_all_shortly_before_the_end_and_not_sooner() {
    let schedule = schedule("UTC", |_| {});
    let day = day_of("UTC", "2026-06-01T12:00:00Z");
    let forecast = Forecast::of_day(&schedule, day, None);
    // Traffic has come down to nearly nothing, and the rate is still that of the rush before.
    let left =
        Limit { budget_micro: 1_000 * COST_MICRO, committed_micro: 900 * COST_MICRO, forecast: &forecast };
    let used_up = Limit { committed_micro: 1_000 * COST_MICRO, ..left };
    let rate = |now_ms, limit| {
        Pacer { shows: 1.0, passed: 1e9, ..Pacer::resumed(Rate(1_000)) }.adjust(
            now_ms,
            0,
            COST_MICRO,
            &[limit],
        )
    };
    let catch_up_ms = day.end_ms - CATCH_UP_SLICES * SLICE_MS;
    assert_eq!(rate(catch_up_ms - SLICE_MS, left), Rate(1_100));
    assert_eq!(rate(catch_up_ms, left), Rate::ALWAYS);
    assert_eq!(rate(catch_up_ms, used_up), Rate(1_000));
}

#[test]
fn several_limits_are_coupled_by_the_minimum() {
    let schedule = schedule("UTC", |campaign| {
        campaign.start = Some(local("2026-06-01T00:00:00"));
        campaign.end = Some(local("2026-06-11T00:00:00"));
    });
    let start_ms = at("2026-06-01T00:00:00Z");
    let day = local_day(&Zone::utc(), start_ms);
    let daily = || Forecast::of_day(&schedule, day, None);
    let flight = || Forecast::of_flight(&schedule, &Zone::utc(), start_ms, None).expect("a flight");
    // A tenth of the flight is what the total budget has for the day: the lower of both is spent, in either order.
    for (of_day, of_flight, spent) in [(1_000, 20_000, 1_000), (1_000, 5_000, 500)] {
        for reversed in [false, true] {
            let mut budgets = vec![
                Budget::new(of_day * COST_MICRO, daily()),
                Budget::new(of_flight * COST_MICRO, flight()),
            ];
            if reversed {
                budgets.reverse();
            }
            let span = (day.start_ms, day.end_ms - CATCH_UP_SLICES * SLICE_MS);
            run(span, &schedule, evening, 10_000.0, &mut budgets, &mut Pacer::default(), |_, _, _| {});
            let shows = budgets[0].spent_micro / COST_MICRO;
            assert!((shows - spent).abs() <= spent / 15, "{shows} of {spent}");
        }
    }
    // Step by step, the rate with both is never above that with either.
    let (tight, loose) = (Budget::new(100 * COST_MICRO, daily()), Budget::new(900 * COST_MICRO, daily()));
    let now_ms = day.start_ms + 5 * HOUR_MS;
    for shows in [0, 1, 50] {
        let rate =
            |limits: &[Limit<'_>]| Pacer::resumed(Rate::of(0.5)).adjust(now_ms, shows, COST_MICRO, limits);
        let [both, one, other] =
            [rate(&[tight.limit(), loose.limit()]), rate(&[tight.limit()]), rate(&[loose.limit()])];
        assert_eq!(both, one.min(other));
    }
}

#[test]
fn rate_moves_by_a_tenth_a_slice_and_stays_where_nothing_is_left() {
    let schedule = schedule("UTC", |_| {});
    let day = day_of("UTC", "2026-06-01T12:00:00Z");
    let forecast = Forecast::of_day(&schedule, day, None);
    let now_ms = day.start_ms + 6 * HOUR_MS;
    let mut pacer = Pacer { shows: 1.0, ..Pacer::resumed(Rate::of(0.5)) };
    let limit = |micro, committed_micro| Limit { budget_micro: micro, committed_micro, forecast: &forecast };
    let before = pacer.rate().value();
    let slower = pacer.adjust(now_ms, 1_000, COST_MICRO, &[limit(1_000 * COST_MICRO, 0)]).value();
    assert!((slower - before / 1.1).abs() < 1e-4);
    let faster = pacer.adjust(now_ms, 1, COST_MICRO, &[limit(1_000_000 * COST_MICRO, 0)]).value();
    assert!((faster - before).abs() < 1e-4);
    let stays = pacer.adjust(now_ms, 1, COST_MICRO, &[limit(5 * COST_MICRO, 5 * COST_MICRO)]);
    assert_eq!(stays, Rate::of(faster));
    let mut slices = Vec::new();
    for _ in 0..1_000 {
        slices.push(pacer.adjust(now_ms, u32::MAX, COST_MICRO, &[limit(COST_MICRO, 0)]));
    }
    let last = &slices[500..];
    assert!(last.contains(&Rate(1)) && last.contains(&Rate::NEVER), "it goes on asking, and rarely");
}
