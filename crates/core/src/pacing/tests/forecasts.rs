//! What is expected of days and flights, and learned of traffic.

use super::*;

#[test]
fn forecast_of_a_flight_knows_when_it_runs_and_by_quarters_of_an_hour_today() {
    let schedule = schedule("Europe/Berlin", |campaign| {
        campaign.start = Some(local("2026-10-23T00:00:00"));
        campaign.end = Some(local("2026-10-27T12:00:00"));
        campaign.hours = vec!["06:00-18:00".parse().expect("hours")];
        campaign.time_zone = "Europe/Berlin".to_owned();
    });
    let zone = Zone::named("Europe/Berlin").expect("zone files");
    let today_ms = at("2026-10-24T12:00:00+02:00");
    let forecast = Forecast::of_flight(&schedule, &zone, today_ms, None).expect("a flight");
    // Four days of 12 hours, one of which the clocks make longer at night, and one of 6.
    for (instant, hours) in [
        ("2026-10-23T00:00:00+02:00", 0.0),
        ("2026-10-24T00:00:00+02:00", 12.0),
        ("2026-10-24T06:00:00+02:00", 12.0),
        ("2026-10-24T12:00:00+02:00", 18.0),
        ("2026-10-24T23:00:00+02:00", 24.0),
        ("2026-10-26T00:00:00+01:00", 36.0),
        ("2026-10-27T09:00:00+01:00", 51.0),
        ("2026-10-27T12:00:00+01:00", 54.0),
        ("2026-11-27T12:00:00+01:00", 54.0),
    ] {
        let share = forecast.share_before(at(instant));
        assert!((share - hours / 54.0).abs() < 1e-9, "{instant}: {share}");
    }
    assert_eq!(forecast.end_ms(), at("2026-10-27T12:00:00+01:00"));
}

#[test]
fn flight_that_began_long_ago_is_spread_to_its_end() {
    let years = |start: &str, end: &str| {
        schedule("UTC", |campaign| {
            campaign.start = Some(local(start));
            campaign.end = Some(local(end));
        })
    };
    for start in ["0000-01-01T00:00:00", "2000-01-01T00:00:00", "2014-10-23T00:00:00"] {
        let flight = years(start, "2027-01-01T00:00:00");
        let now_ms = at("2026-12-22T00:00:00Z");
        let forecast = Forecast::of_flight(&flight, &Zone::utc(), now_ms, None).expect("a flight");
        assert_eq!(forecast.end_ms(), at("2027-01-01T00:00:00Z"), "{start}");
        let limit = Limit { budget_micro: 10_000_000, committed_micro: 0, forecast: &forecast };
        let Some(Wanted::Micro(wanted)) = limit.wanted(now_ms) else {
            panic!("{start}: all is wanted at once")
        };
        let of_a_minute = 10_000_000.0 / (10.0 * 24.0 * 60.0);
        assert!((wanted - of_a_minute).abs() < 0.01 * of_a_minute, "{start}: {wanted}");
    }
}

#[test]
fn curve_learns_the_shape_of_days_and_not_their_size() {
    let shape = |size: u64| std::array::from_fn(|slot| size * slot as u64);
    let (mut few, mut many) = (Curve::default(), Curve::default());
    for _ in 0..40 {
        few.learn(&shape(1));
        many.learn(&shape(1_000_000));
    }
    let total: f64 = (0..DAY_SLOTS).map(|slot| slot as f64).sum();
    for (slot, (one, other)) in few.shares().iter().zip(many.shares()).enumerate() {
        assert!((one - other).abs() < 1e-12 && (one - slot as f64 / total).abs() < 1e-5);
    }
    let before = few.clone();
    few.learn(&[0; DAY_SLOTS]);
    assert_eq!(few, before);
    assert_eq!(Curve::of([f64::NAN; DAY_SLOTS]).shares(), &[0.0; DAY_SLOTS]);
}
